/** Branches that the other suites of this package do not reach: wrong arguments, and moments between the steps of a handshake. */
import {
  acceptKey,
  ClientProtocol,
  createUpgrade,
  decideUpgrade,
  getHeader,
  parseExtensions,
  ServerProtocol,
  type ServerProtocolOptions,
} from '@ferrywire/handshake';
import { describe, expect, it } from 'vitest';
import { bytes, goodRequest, goodResponse, head, requestFields, text, textFrame, VirtualClock } from './support.ts';

const clock = (): number => 0;
const serverIn = (options: Partial<ServerProtocolOptions> = {}): ServerProtocol => new ServerProtocol({ clock, ...options });
/** A server whose connection is open. */
function opened(): ServerProtocol {
  const server = serverIn();
  server.receiveData(bytes(goodRequest()));
  server.nextEvent();
  expect(server.accept()).toBe(true);
  expect(server.nextEvent()?.type).toBe('open');
  server.nextEvent();
  return server;
}
const keyOf = (client: ClientProtocol): string => /Sec-WebSocket-Key: (.*)\r\n/i.exec(text(client.takeOutput()))?.[1] ?? '';

describe('the whole life, once open', () => {
  it('passes on every call to the connection', () => {
    const server = opened();
    expect(text(server.takeOutput())).toMatch(/^HTTP\/1\.1 101 /);
    expect(server.bufferedAmount).toBe(0);
    expect(server.send('hi')).toBe(true);
    expect(server.bufferedAmount).toBe(4);
    for (const chunk of server.takeOutput()) server.recycleOutput(chunk);
    server.outputStalled();
    server.outputDrained();
    server.receiveData(textFrame('x', true));
    expect(server.nextEvent()).toMatchObject({ type: 'message', data: 'x' });
    server.receiveError(new Error('reset'));
    expect(server.nextEvent()).toMatchObject({ type: 'end', cause: { code: 'WS_TRANSPORT' } });
    expect(server.transport).toBe('abort');
    expect(server.close(1000)).toBe(false);
  });
  it('is steady once it is open, nothing of the handshake is left to write, and the connection is', () => {
    const server = serverIn({});
    expect(server.steadyUntil(0)).toBe(false);
    const fresh = opened();
    expect(fresh.steadyUntil(0)).toBe(false);
    fresh.takeOutput();
    const due = fresh.nextTimeout() ?? 0;
    expect([fresh.steadyUntil(due), fresh.steadyUntil(due + 1)]).toEqual([true, false]);
    fresh.pause();
    expect(fresh.steadyUntil(due)).toBe(false);
  });
  it('closes and aborts the connection', () => {
    const closing = opened();
    expect(closing.close(1001, 'bye')).toBe(true);
    expect(closing.connection?.closeSent).toEqual({ code: 1001, reason: 'bye' });
    const aborted = opened();
    aborted.abort();
    expect(aborted.transport).toBe('abort');
  });
});

describe('moments between', () => {
  it('a paused server opens a paused connection, and held frames come on resume', () => {
    const server = serverIn();
    server.receiveData(bytes(goodRequest()));
    server.receiveData(textFrame('held', true));
    server.nextEvent();
    server.pause();
    server.accept();
    expect(server.nextEvent()?.type).toBe('open');
    expect([server.connection?.paused, server.nextEvent()]).toEqual([true, null]);
    server.resume();
    expect(server.nextEvent()).toMatchObject({ type: 'message', data: 'held' });
  });
  it('an error while the frames behind the head are held reaches the connection after them', () => {
    const server = serverIn();
    server.receiveData(bytes(goodRequest()));
    server.receiveData(textFrame('first', true));
    server.receiveError(new Error('reset'));
    server.receiveEof();
    server.receiveError(new Error('again'));
    expect(server.nextEvent()?.type).toBe('request');
    server.accept();
    const seen = [...server.events()].map((event) => event.type);
    expect(seen).toEqual(['open', 'message', 'end']);
  });
  it('the end of the transport ends a refusal under way', () => {
    for (const [how, directive] of [
      ['eof', 'done'],
      ['error', 'abort'],
    ] as const) {
      const server = serverIn();
      server.receiveData(bytes(goodRequest({ 'Sec-WebSocket-Version': '8' })));
      server.nextEvent();
      server.accept();
      expect(server.transport).toBe('end');
      if (how === 'eof') server.receiveEof();
      else server.receiveError(new Error('reset'));
      expect([how, server.transport, server.nextTimeout()]).toEqual([how, directive, null]);
    }
  });
  it('the clock of a refusal starts again when output drains', () => {
    const time = new VirtualClock();
    const server = new ServerProtocol({ clock: time.read, timeouts: { closing: 100 } });
    server.receiveData(bytes('GET / HTTP/1.0\r\n\r\n'));
    server.nextEvent();
    server.accept();
    server.takeOutput();
    time.now += 60;
    server.outputDrained();
    expect(server.nextTimeout()).toBe(time.now + 100);
    server.outputStalled();
  });
  it('a sink without methods accepts, and misses nothing but the telling', () => {
    const server = serverIn({ sink: {} });
    server.receiveData(bytes(goodRequest()));
    expect(text(server.takeOutput())).toMatch(/^HTTP\/1\.1 101 /);
    const refused = serverIn({ sink: {} });
    refused.receiveData(bytes(goodRequest({ Upgrade: 'h2c' })));
    expect(text(refused.takeOutput())).toMatch(/^HTTP\/1\.1 426 /);
    for (const status of [101, 404]) {
      const client = new ClientProtocol({ clock, url: 'ws://server.example.com/', sink: {} });
      const accept = acceptKey(keyOf(client));
      client.receiveData(bytes(status === 101 ? goodResponse(accept) : 'HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n'));
      expect(client.connection === null).toBe(status === 404);
    }
  });
  it('the connection remains alone once nothing of the handshake is held, queued or to be written', () => {
    const server = serverIn();
    server.receiveData(bytes(goodRequest()));
    server.receiveData(textFrame('held', true));
    expect(server.remains).toBeNull();
    server.nextEvent();
    server.accept();
    expect(server.remains).toBeNull();
    server.takeOutput();
    expect(server.remains).toBeNull();
    expect([...server.events()].map((event) => event.type)).toEqual(['open', 'message']);
    expect(server.remains).toBe(server.connection);
  });
  it('an end that was held back behind the request comes after it, to a sink too', () => {
    const seen: string[] = [];
    const server = serverIn({
      sink: { onRequest: () => void seen.push('request'), onRefused: (_status, error) => void seen.push(`refused ${error}`) },
    });
    server.pause();
    server.receiveData(bytes(goodRequest()));
    server.receiveEof();
    expect(seen).toEqual([]);
    server.resume();
    expect(seen).toEqual(['request', 'refused WS_HS_EOF']);
  });
  it('a rejection that comes too late writes nothing', () => {
    const server = serverIn();
    server.receiveData(bytes(goodRequest()));
    server.nextEvent();
    server.receiveError(new Error('reset'));
    [...server.events()];
    const writer = server.startRejection(403);
    expect([writer.write(bytes('x')), writer.end(), server.takeOutput()]).toEqual([false, undefined, []]);
  });
});

describe('wrong arguments', () => {
  const uri = { secure: false, host: 'example.com', port: 80, resource: '/', userInfo: null };
  it.each([
    ['url.secure', { url: { ...uri, secure: 'no' } }, TypeError],
    ['url.host', { url: { ...uri, host: 5 } }, TypeError],
    ['url.host with a port', { url: { ...uri, host: 'example.com:81' } }, TypeError],
    ['httpVersion', { url: 'ws://a/', httpVersion: '1.0' }, TypeError],
    ['subprotocols', { url: 'ws://a/', subprotocols: 'chat' }, TypeError],
    ['headers', { url: 'ws://a/', headers: 'X: y' }, TypeError],
    ['a header', { url: 'ws://a/', headers: [['X']] }, TypeError],
    ['another header', { url: 'ws://a/', headers: ['X'] }, TypeError],
  ])('createUpgrade: %s', (_, options, kind) => {
    expect(() => createUpgrade(options as unknown as Parameters<typeof createUpgrade>[0])).toThrow(kind);
  });
  it.each([[{ path: 'chat' }], [{ headers: [['X']] }], [{ hosts: ['[::1]x'] }], [{ hosts: ['a:b'] }]])('a policy: %j', (policy) => {
    const head = { method: 'GET', target: '/', httpVersion: '1.1', headers: requestFields() } as const;
    expect(() => decideUpgrade(head, policy as unknown as Parameters<typeof decideUpgrade>[1])).toThrow(TypeError);
  });
  it('a client needs a source of nonces where the platform has none', () => {
    const before = Object.getOwnPropertyDescriptor(globalThis, 'crypto');
    Object.defineProperty(globalThis, 'crypto', { value: undefined, configurable: true });
    try {
      expect(() => createUpgrade({ url: 'ws://a/' })).toThrow(/options\.random/);
      expect(createUpgrade({ url: 'ws://a/', random: (target) => void target.fill(1) }).request.headers).toContainEqual([
        'Sec-WebSocket-Key',
        'AQEBAQEBAQEBAQEBAQEBAQ==',
      ]);
    } finally {
      if (before !== undefined) Object.defineProperty(globalThis, 'crypto', before);
    }
  });
  it('a rejection whose Content-Length is repeated', () => {
    const server = serverIn();
    server.receiveData(bytes(goodRequest()));
    server.nextEvent();
    const twice = [
      ['Content-Length', '1'],
      ['content-length', '1'],
    ] as const;
    expect(() => server.reject(403, 'x', twice)).toThrow(TypeError);
    const writer = server.startRejection(204);
    expect(() => writer.write(bytes('x'))).toThrow(RangeError);
    writer.end();
    expect(text(server.takeOutput())).toMatch(/^HTTP\/1\.1 204 /);
  });
});

describe('fields at the edge of what is text', () => {
  it('pseudo-headers among the fields are left out', () => {
    const headers = [[':path', '/elsewhere'], ...requestFields()] as const;
    expect(decideUpgrade({ method: 'GET', target: '/', httpVersion: '1.1', headers }).status).toBe(101);
    expect(getHeader(headers, ':PATH')).toBe('/elsewhere');
  });
  it('characters beyond Latin-1 belong to no token, no host and no extension', () => {
    const wide = '\u0178';
    expect(parseExtensions(`a${wide}`)).toBeNull();
    expect(parseExtensions(`a; b=${wide}`)).toBeNull();
    for (const change of [{ Host: `a${wide}` }, { 'Sec-WebSocket-Protocol': wide }, { Host: '[::1]8080' }, { Host: '[::1]:8080' }]) {
      const { status } = decideUpgrade({ method: 'GET', target: '/', httpVersion: '1.1', headers: requestFields(change) });
      expect([change, status]).toEqual([change, change.Host === '[::1]:8080' ? 101 : 400]);
    }
  });
  it('an extension over HTTP/2 is answered in lower case, and only once', () => {
    const extension = {
      name: 'x-test',
      accept: () => ({
        params: [],
        extension: { name: 'x-test', rsv: 1, inbound: () => neverUsed(), outbound: () => neverUsed() },
      }),
    };
    const decision = decideUpgrade(
      {
        method: 'CONNECT',
        protocol: 'websocket',
        target: '/',
        scheme: 'https',
        authority: 'example.com',
        httpVersion: '2',
        headers: [
          ['sec-websocket-version', '13'],
          ['sec-websocket-extensions', 'x-test, x-test; a=1'],
        ],
      },
      { extensions: [extension] },
    );
    expect(decision.headers).toContainEqual(['sec-websocket-extensions', 'x-test']);
  });
  it('an extension that was accepted is passed over when it is offered again', () => {
    const named = (name: string, rsv: number) => ({
      name,
      accept: () => ({ params: [], extension: { name, rsv, inbound: () => neverUsed(), outbound: () => neverUsed() } }),
    });
    const headers = requestFields({ 'Sec-WebSocket-Extensions': 'x-a, x-a; again, x-b' });
    const decision = decideUpgrade(
      { method: 'GET', target: '/', httpVersion: '1.1', headers },
      { extensions: [named('x-a', 1), named('x-b', 2)] },
    );
    expect(getHeader(decision.headers, 'sec-websocket-extensions')).toBe('x-a, x-b');
  });
  it('a response with two accepts, or none, opens nothing', () => {
    for (const more of [[['Sec-WebSocket-Accept', 'x']], []] as const) {
      const client = new ClientProtocol({ clock, url: 'ws://server.example.com/' });
      const accept = acceptKey(keyOf(client));
      const response =
        more.length > 0
          ? goodResponse(accept, [...more] as [string, string][])
          : head('HTTP/1.1 101 Ok', [
              ['Upgrade', 'websocket'],
              ['Connection', 'Upgrade'],
            ]);
      client.receiveData(bytes(response));
      expect(client.nextEvent()).toMatchObject({ type: 'refused', error: 'WS_HS_ACCEPT' });
    }
  });
});

function neverUsed(): never {
  throw new Error('not used here');
}
