/** Branches that the other suites of this package do not reach: wrong arguments, and moments between the steps of a handshake. */
import { runInNewContext } from 'node:vm';
import type { ClientExtension, Extension, ExtensionParam, ServerExtension } from '@ferrywire/core';
import {
  acceptKey,
  ClientProtocol,
  type ClientProtocolOptions,
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
  it('says of the close frames what the connection says, and of unread input also before there is one', () => {
    const server = serverIn({ autoClose: false });
    const told = () => [server.unread, server.closeReceived?.code ?? null, server.closeSent?.code ?? null];
    server.receiveData(bytes(goodRequest()));
    expect(told()).toEqual([false, null, null]);
    server.receiveData(Uint8Array.of(0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8));
    expect(told()).toEqual([true, null, null]);
    server.nextEvent();
    expect(server.accept()).toBe(true);
    expect(told()).toEqual([true, null, null]);
    expect([...server.events()].map(({ type }) => type)).toEqual(['open', 'close']);
    expect(told()).toEqual([false, 1000, null]);
    server.close(1001);
    expect(told()).toEqual([false, 1000, 1001]);
  });
  it('wants to read when the connection does', () => {
    const server = opened();
    server.receiveData(textFrame('unread', true));
    expect(server.wantsRead).toBe(false);
    expect([...server.events()]).toHaveLength(1);
    expect(server.wantsRead).toBe(true);
  });
  it('drops a peer that answers no ping, unless the transport has not taken the ping', () => {
    for (const stalls of [false, true]) {
      const time = new VirtualClock();
      const server = serverIn({ clock: time.read, timeouts: { keepalive: 100, pong: 100, closing: 100 } });
      server.receiveData(bytes(goodRequest()));
      server.nextEvent();
      server.accept();
      server.takeOutput();
      // By the answer to the handshake.
      if (stalls) server.outputStalled();
      expect(server.nextEvent()?.type).toBe('open');
      for (let turn = 0; turn < 4; turn++) {
        time.now += 100;
        server.handleTimeout();
        if (!stalls) server.takeOutput();
      }
      expect([stalls, server.transport]).toEqual([stalls, stalls ? 'open' : 'abort']);
    }
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
    server.receiveEof();
    expect(server.nextEvent()?.type).toBe('request');
    server.accept();
    const seen = [...server.events()];
    expect(seen.map(({ type }) => type)).toEqual(['open', 'message', 'end']);
    expect(seen.at(-1)).toMatchObject({ cause: { code: 'WS_TRANSPORT' } });
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
  it('a transport that stalls in the handshake keeps no closing connection for ever', () => {
    for (const stalls of ['before it is open', 'until it is open', 'once it is open', 'never'] as const) {
      const time = new VirtualClock();
      const client = new ClientProtocol({ clock: time.read, url: 'ws://server.example.com/', timeouts: { closing: 100, keepalive: 0 } });
      const accept = acceptKey(keyOf(client));
      if (stalls === 'before it is open' || stalls === 'until it is open') client.outputStalled();
      client.receiveData(bytes(goodResponse(accept)));
      if (stalls === 'until it is open') client.outputDrained();
      if (stalls === 'once it is open') client.outputStalled();
      expect(client.nextEvent()?.type).toBe('open');
      expect(client.close(1000)).toBe(true);
      // A stalled transport takes nothing, so the close frame is still here.
      const isStalled = stalls === 'before it is open' || stalls === 'once it is open';
      expect([stalls, client.nextTimeout()]).toEqual([stalls, isStalled ? time.now + 100 : null]);
    }
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

describe('input', () => {
  const sides = (): [string, ServerProtocol | ClientProtocol][] => {
    const refused = serverIn();
    refused.receiveData(bytes('\x00'));
    return [
      ['a server', serverIn()],
      ['a client', new ClientProtocol({ clock, url: 'ws://server.example.com/' })],
      ['a server that has refused', refused],
      ['an open connection', opened()],
    ];
  };
  it.each([
    ['a string', goodRequest(), 'string'],
    ['an ArrayBuffer', new ArrayBuffer(5), 'an object'],
    ['a DataView', new DataView(new ArrayBuffer(5)), 'an object'],
    ['a Uint16Array', new Uint16Array(2), 'an object'],
    ['an array', [71, 69, 84], 'an array'],
    ['a number', 5, 'number'],
    ['null', null, 'null'],
    ['undefined', undefined, 'undefined'],
  ])('%s is refused, whatever the phase', (_, chunk, kind) => {
    for (const [side, protocol] of sides()) {
      const { transport } = protocol;
      expect(() => protocol.receiveData(chunk as unknown as Uint8Array)).toThrow(new TypeError(`chunk must be a Uint8Array, not ${kind}`));
      expect([side, protocol.transport]).toEqual([side, transport]);
    }
  });
  it('bytes of another realm are bytes', () => {
    const server = serverIn();
    const foreign = runInNewContext('Uint8Array') as Uint8ArrayConstructor;
    server.receiveData(foreign.from(bytes(goodRequest())));
    expect(server.nextEvent()?.type).toBe('request');
    server.receiveData(new Uint8Array(0));
    expect(server.nextEvent()).toBeNull();
  });
});

describe('options of the connection', () => {
  const url = 'ws://server.example.com/';
  it.each([
    [{ limits: { maxMessageSize: -1 } }, RangeError, 'options.limits.maxMessageSize must be a whole number >= 0 or Infinity, not -1'],
    [{ limits: null }, TypeError, 'options.limits must be an object, not null'],
    [{ delivery: 'whole' }, TypeError, "options.delivery must be one of 'message', 'chunk', 'span', not 'whole'"],
    [{ input: 'mine' }, TypeError, "options.input must be one of 'shared', 'reused', 'transferred', not 'mine'"],
    [{ timeouts: { keepalive: -5 } }, RangeError, 'options.timeouts.keepalive must be >= 0 milliseconds, not -5'],
    [{ timeouts: null }, TypeError, 'options.timeouts must be an object, not null'],
    [{ autoPong: 1 }, TypeError, 'options.autoPong must be a boolean, not number'],
    [{ autoClose: 'no' }, TypeError, 'options.autoClose must be a boolean, not string'],
    [{ kernels: { applyMask: 3 } }, TypeError, 'options.kernels.applyMask must be a function, not number'],
    [{ random: 4 }, TypeError, 'options.random must be a function, not number'],
    [{ onTrace: null }, TypeError, 'options.onTrace must be a function, not null'],
    [{ clock: 5 }, TypeError, 'options.clock must be a function, not number'],
    [{ sink: null }, TypeError, 'options.sink must be an object, not null'],
    [{ sink: () => undefined }, TypeError, 'options.sink must be an object, not function'],
    [{ sink: { onText: 1 } }, TypeError, 'options.sink.onText must be a function, not number'],
    [{ sink: { onOpen: {} } }, TypeError, 'options.sink.onOpen must be a function, not an object'],
  ])('are judged before there is a peer: %j', (options, kind, message) => {
    const wrong = { clock, url, ...options } as unknown as ClientProtocolOptions & ServerProtocolOptions;
    // A sound one before it, and the same mistake twice: what is remembered is what was right.
    serverIn();
    for (let i = 0; i < 2; i++) {
      for (const make of [() => new ServerProtocol(wrong), () => new ClientProtocol(wrong)]) {
        expect(make).toThrow(kind);
        expect(make).toThrow(new kind(message));
      }
    }
  });
  it('must be an object', () => {
    expect(() => new ServerProtocol(null as unknown as ServerProtocolOptions)).toThrow(/^options must be an object, not null$/);
    expect(() => new ClientProtocol('ws://a/' as unknown as ClientProtocolOptions)).toThrow(/^options must be an object, not string$/);
  });
  it('that are the same values are judged once, in whatever object they come', () => {
    let looks = 0;
    const limits = {
      get maxMessageSize() {
        looks++;
        return 100;
      },
    };
    serverIn({ limits });
    const first = looks;
    expect(first).toBeGreaterThan(0);
    for (let i = 0; i < 3; i++) serverIn({ limits, sink: {}, onTrace: () => undefined });
    expect(looks).toBe(first);
    serverIn({ limits, delivery: 'chunk' });
    expect(looks).toBeGreaterThan(first);
  });
  it('of one connection are not seen by a trial', () => {
    const seen: string[] = [];
    const sink = { onEnd: () => void seen.push('end'), onOpen: () => void seen.push('open') };
    serverIn({ sink, random: () => void seen.push('random'), onTrace: ({ text: line }) => void seen.push(line), limits: {} });
    expect(seen).toEqual([]);
  });
});

describe("delivery 'span'", () => {
  const spans = (side: 'server' | 'client') => {
    const more = text([textFrame('hello', side === 'server')]);
    if (side === 'server') {
      const server = serverIn({ delivery: 'span' });
      server.receiveData(bytes(goodRequest() + more));
      return server;
    }
    const client = new ClientProtocol({ clock, url: 'ws://server.example.com/', delivery: 'span' });
    client.receiveData(bytes(goodResponse(acceptKey(keyOf(client))) + more));
    return client;
  };
  const answer = (protocol: ServerProtocol | ClientProtocol): void => {
    if (protocol instanceof ServerProtocol) protocol.accept();
  };
  it.each(['server', 'client'] as const)('a %s iterates up to open; readInto goes on', (side) => {
    const protocol = spans(side);
    const seen: string[] = [];
    for (const event of protocol.events()) {
      seen.push(event.type);
      if (event.type === 'request') answer(protocol);
    }
    expect(seen).toEqual(side === 'server' ? ['request', 'open'] : ['open']);
    expect(() => protocol.events()).toThrow(/readInto/);
    expect(() => protocol.nextEvent()).toThrow(/readInto/);
    const target = new Uint8Array(3);
    expect(protocol.readInto(target)).toEqual({ type: 'data', kind: 'text', count: 3, endOfMessage: false });
    expect(text([target])).toBe('hel');
    expect(protocol.readInto(target)).toEqual({ type: 'data', kind: 'text', count: 2, endOfMessage: true });
    expect(protocol.readInto(target)).toBeNull();
  });
  it.each(['server', 'client'] as const)('a %s is read with readInto alone, the handshake and the end included', (side) => {
    const protocol = spans(side);
    protocol.receiveEof();
    const target = new Uint8Array(64);
    const seen: string[] = [];
    for (let event = protocol.readInto(target); event !== null; event = protocol.readInto(target)) {
      seen.push(event.type === 'data' ? text([target.subarray(0, event.count)]) : event.type);
      if (event.type === 'request') answer(protocol);
    }
    expect(seen).toEqual([...(side === 'server' ? ['request'] : []), 'open', 'hello', 'end']);
  });
  it('a refusal is the last that readInto tells', () => {
    const server = serverIn({ delivery: 'span' });
    server.receiveData(bytes('\x00'));
    const target = new Uint8Array(1);
    expect([server.readInto(target)?.type, server.readInto(target)]).toEqual(['refused', null]);
  });
  it('readInto says what is wrong with its use', () => {
    const target = new Uint8Array(1);
    expect(() => serverIn().readInto(target)).toThrow(/^readInto: only for delivery 'span'/);
    expect(() => serverIn({ delivery: 'span', sink: {} }).readInto(target)).toThrow(/^readInto: with options\.sink/);
    const server = serverIn({ delivery: 'span' });
    expect(() => server.readInto(new Uint8Array(0))).toThrow(new RangeError('target must have room for at least one byte'));
    expect(() => server.readInto('x' as unknown as Uint8Array)).toThrow(new TypeError('target must be a Uint8Array, not string'));
  });
});

describe('extensions when something throws', () => {
  const mistake = (what: string) => (): never => {
    throw new Error(what);
  };
  const setUp = (change: { readonly inbound?: 'throws'; readonly dispose?: 'throws' } = {}) => {
    const log: string[] = [];
    const made = (name: string, rsv: number): Extension => ({
      name,
      rsv,
      inbound:
        name === 'x-b' && change.inbound === 'throws'
          ? mistake('inbound')
          : () => ({ begin: () => false, push: (_, start, end) => ({ consumed: end - start, status: 'need' }), finish: () => 'need' }),
      outbound: () => ({ begin: () => 0, push: (_, start, end) => ({ consumed: end - start, status: 'need' }), cacheKey: null }),
      dispose() {
        log.push(name);
        if (change.dispose === 'throws') throw new Error(`dispose ${name}`);
      },
    });
    return { log, made };
  };
  const accepts = (extension: Extension, params: readonly ExtensionParam[] = []): ServerExtension => ({
    name: extension.name,
    accept: () => ({ params, extension }),
  });
  const confirms = (extension: Extension): ClientExtension => ({ name: extension.name, offers: () => [[]], confirm: () => extension });
  const request = goodRequest({ 'Sec-WebSocket-Extensions': 'x-a, x-b, x-c' });
  const asked = (): ServerProtocol => {
    const server = serverIn();
    server.receiveData(bytes(request));
    server.nextEvent();
    return server;
  };

  it('a server lets go of those it has accepted, and may still answer', () => {
    for (const dispose of [{}, { dispose: 'throws' }] as const) {
      const { log, made } = setUp(dispose);
      const a = accepts(made('x-a', 4));
      const b = accepts(made('x-b', 2));
      const cases: [string, readonly ServerExtension[]][] = [
        ['accept', [a, b, { name: 'x-c', accept: mistake('accept') }]],
        ['a parameter value must be a token', [a, accepts(made('x-b', 2), [['p', 'no token']])]],
      ];
      for (const [message, extensions] of cases) {
        const server = asked();
        expect(() => server.accept({ extensions })).toThrow(message);
        expect([log.splice(0), server.connection]).toEqual([['x-a', 'x-b'], null]);
        server.reject(500);
        expect(text(server.takeOutput())).toMatch(/^HTTP\/1\.1 500 /);
      }
    }
  });
  it('so it does when the connection cannot be made', () => {
    const { log, made } = setUp({ inbound: 'throws', dispose: 'throws' });
    const server = asked();
    expect(() => server.accept({ extensions: [accepts(made('x-a', 4)), accepts(made('x-b', 2))] })).toThrow(/^inbound$/);
    expect([log, server.connection, server.transport]).toEqual([['x-a', 'x-b'], null, 'open']);
  });
  it('a client lets go of those it has confirmed, fails the handshake, and tells what was thrown', () => {
    for (const what of ['confirm', 'inbound'] as const) {
      const { log, made } = setUp(what === 'inbound' ? { inbound: 'throws' } : {});
      const last: ClientExtension = { name: 'x-c', offers: () => [[]], confirm: mistake('confirm') };
      const extensions = [confirms(made('x-a', 4)), confirms(made('x-b', 2)), last];
      const client = new ClientProtocol({ clock, url: 'ws://server.example.com/', extensions });
      const response = goodResponse(acceptKey(keyOf(client)), [
        ['Sec-WebSocket-Extensions', what === 'confirm' ? 'x-a, x-b, x-c' : 'x-a, x-b'],
      ]);
      expect(() => client.receiveData(bytes(response))).toThrow(what);
      expect([log, client.connection, client.transport]).toEqual([['x-a', 'x-b'], null, 'abort']);
      expect([...client.events()]).toMatchObject([{ type: 'refused', response: { status: 101 }, error: 'WS_HS_EXTENSIONS' }]);
    }
  });
  it('each of them is disposed of when a response is refused, whatever one throws', () => {
    const { log, made } = setUp({ dispose: 'throws' });
    const extensions = [confirms(made('x-a', 4)), confirms(made('x-b', 2))];
    const { request: sent, verify } = createUpgrade({ url: 'ws://server.example.com/', extensions });
    const answer = (names: string) => ({
      status: 101,
      headers: [
        ['Upgrade', 'websocket'],
        ['Connection', 'Upgrade'],
        ['Sec-WebSocket-Accept', acceptKey(getHeader(sent.headers, 'sec-websocket-key') ?? '')],
        ['Sec-WebSocket-Extensions', names],
      ] as const,
    });
    expect(() => verify(answer('x-a, x-b, x-unknown'))).toThrow(/^dispose x-a$/);
    expect(log).toEqual(['x-a', 'x-b']);
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
    ['random', { url: 'ws://a/', random: 4 }, /^options\.random must be a function$/],
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
