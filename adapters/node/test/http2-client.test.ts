/** `connect` over HTTP/2 (RFC 8441): sessions of its own and existing ones, and everything a server may do instead of saying yes. */
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2';
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import type { ClientExtension, EndInfo } from '@ferrywire/core';
import { FrameParser, serializeFrame } from '@ferrywire/core/frame';
import { attach, connect, EndpointError, listen, type Peer, type PeerHandlers, transportOf } from '@ferrywire/node';
import { afterEach, describe, expect, it } from 'vitest';
import { uncaughtDuring } from '../../../test/uncaught.ts';
import { certificate } from './certificate.ts';
import { deferred, failureOf } from './helpers.ts';
import { cleanUp, cleanups, FLOOD, relayTo, WIDE } from './http2-helpers.ts';

afterEach(cleanUp);

type OnStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, session: ServerHttp2Session) => void;

interface Served {
  readonly port: number;
  readonly sessions: ServerHttp2Session[];
}

async function listening(server: Http2Server | Http2SecureServer): Promise<Served> {
  const sessions: ServerHttp2Session[] = [];
  (server as Http2Server).on('session', (session) => void sessions.push(session)).on('sessionError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    for (const session of sessions) session.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port, sessions };
}
/** A server that allows extended CONNECT and does what a test says with each stream. */
async function scripted(onStream: OnStream, options: ServerOptions = { settings: { enableConnectProtocol: true } }): Promise<Served> {
  const server = createServer(options);
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => {});
    onStream(stream, headers, stream.session as ServerHttp2Session); // it has just begun
  });
  return listening(server);
}
/** A ferrywire server. */
async function echoing(handlers: PeerHandlers = { onMessage: (peer, data) => void peer.send(data) }): Promise<Served> {
  const server = createServer();
  const attached = attach(server, { handlers, policy: { subprotocols: ['chat'] } });
  cleanups.push(() => attached.close({ deadline: 0 }));
  return listening(server);
}
function sessionOf(port: number): ClientHttp2Session {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  cleanups.push(() => session.destroy());
  return session;
}
/** A frame of HTTP/2 (RFC 9113 section 4.1). */
function h2Frame(type: number, flags: number, stream: number, payload: readonly number[] | Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, Buffer.from(payload)]);
}
function receiver(): { readonly handlers: PeerHandlers; next(): Promise<string | Uint8Array>; readonly ended: Promise<EndInfo> } {
  const messages: (string | Uint8Array)[] = [];
  let wake = (): void => {};
  const ended = deferred<EndInfo>();
  return {
    handlers: {
      onMessage(_peer, data) {
        messages.push(data);
        wake();
      },
      onEnd: (_peer, info) => ended.resolve(info),
    },
    async next() {
      while (messages.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return messages.shift() as string | Uint8Array; // one is there
    },
    ended: ended.promise,
  };
}
async function refusalOf(attempt: Promise<unknown>): Promise<EndpointError> {
  const error = await failureOf(attempt);
  expect(error).toBeInstanceOf(EndpointError);
  return error as EndpointError;
}
const stayed = (peer: Peer): ClientHttp2Session => (transportOf(peer).socket as unknown as { session: ClientHttp2Session }).session;

describe('a session of its own', () => {
  it('asks as RFC 8441 section 5 has it, and ends with the WebSocket', async () => {
    const heads: IncomingHttpHeaders[] = [];
    const { port, sessions } = await scripted((stream, headers) => {
      heads.push(headers);
      stream.respond({ ':status': 200, 'sec-websocket-protocol': 'chat' });
      const parser = new FrameParser();
      stream.on('data', (chunk: Buffer) => {
        for (const { header, payload } of parser.push(chunk)) {
          stream.write(serializeFrame({ opcode: header.opcode, payload }));
          if (header.opcode === 8) stream.end();
        }
      });
    });
    const { handlers, next, ended } = receiver();
    const peer = await connect(`ws://127.0.0.1:${port}/room?x=1`, {
      http2: true,
      handlers,
      subprotocols: ['chat'],
      origin: 'https://example.com',
      headers: [
        ['Cookie', 'a=1'],
        ['X-Twice', '1'],
        ['X-Twice', '2'],
      ],
    });
    expect(heads[0]).toMatchObject({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'http',
      ':path': '/room?x=1',
      ':authority': `127.0.0.1:${port}`,
      'sec-websocket-version': '13',
      'sec-websocket-protocol': 'chat',
      origin: 'https://example.com',
      cookie: 'a=1',
      'x-twice': '1, 2',
    });
    expect(heads[0]?.['sec-websocket-key']).toBeUndefined();
    expect(heads[0]?.upgrade).toBeUndefined();
    expect(peer.connection.subprotocol).toBe('chat');
    peer.send('hello');
    expect(await next()).toBe('hello');
    const closed = once(sessions[0] as ServerHttp2Session, 'close'); // the one that the stream came in
    peer.close(1000, 'bye');
    expect(await ended).toMatchObject({ clean: true, code: 1000, reason: 'bye', initiator: 'local' });
    await closed;
  });

  it('sends fields by whatever name, and those of a refusal', async () => {
    const fields = [
      ['constructor', 'a'],
      ['__proto__', 'b'],
      ['constructor', 'c'],
    ] as const;
    const got: unknown[] = [];
    const server = await listen({
      http2: true,
      handlers: {
        onRequest(pending) {
          got.push(...pending.request.headers);
          pending.reject(403, '', fields);
        },
      },
    });
    cleanups.push(() => server.close({ deadline: 0 }));
    const error = await failureOf(connect(server.url, { http2: true, headers: fields }));
    const { response } = error as EndpointError;
    const answered = [...((response?.headers ?? []) as Iterable<unknown>)];
    for (const field of fields) for (const list of [got, answered]) expect(list).toContainEqual(field);
    for (const list of [got, answered]) expect(list).not.toContainEqual(['constructor', expect.stringContaining('native')]);
  });

  it('shows the response in onOpen', async () => {
    const { port } = await scripted((stream) => {
      stream.additionalHeaders({ ':status': 103, link: '</a>' });
      stream.respond({ ':status': 200, 'x-twice': ['1', '2'] });
    });
    const opened = deferred<unknown>();
    const peer = await connect(`ws://127.0.0.1:${port}/`, {
      http2: true,
      handlers: { onOpen: (_peer, { response }) => opened.resolve(response) },
    });
    expect(await opened.promise).toMatchObject({
      status: 200,
      httpVersion: '2',
      headers: expect.arrayContaining([
        ['x-twice', '1'],
        ['x-twice', '2'],
      ]),
    });
    peer.abort();
  });

  it('is open though onOpen throws, which is thrown outside and ends it with 1011, over both versions', async () => {
    const { port } = await echoing();
    const plain = await listen();
    cleanups.push(() => plain.close({ deadline: 0 }));
    const ways = [
      [`ws://127.0.0.1:${port}/`, true],
      [plain.url, false],
    ] as const;
    for (const [url, http2] of ways) {
      const ended = deferred<EndInfo>();
      const thrown = await uncaughtDuring(async () => {
        const handlers: PeerHandlers = {
          onOpen() {
            throw new Error('from the application');
          },
          onEnd: (_, info) => ended.resolve(info),
        };
        const peer = await connect(url, { http2, handlers });
        const { sent } = await ended.promise;
        expect([peer.connection.state, sent?.code]).toEqual(['closed', 1011]);
      });
      expect(thrown).toEqual(['Error: from the application']);
    }
  });
  it('takes a message that came with the answer', async () => {
    const { port } = await scripted((stream) => {
      stream.respond({ ':status': 200 });
      stream.write(serializeFrame({ opcode: 1, payload: Buffer.from('early') }));
    });
    const { handlers, next } = receiver();
    const peer = await connect(`ws://127.0.0.1:${port}/`, { http2: true, handlers });
    expect(await next()).toBe('early');
    peer.abort();
  });

  it('goes over TLS, with the certificate checked and HTTP/2 agreed on', async () => {
    const { cert, key } = await certificate();
    const server = createSecureServer({ cert, key, allowHTTP1: true });
    attach(server, { handlers: { onMessage: (peer, data) => void peer.send(data) } });
    const { port } = await listening(server);
    const { handlers, next, ended } = receiver();
    const peer = await connect(`wss://localhost:${port}/`, { http2: true, handlers, tls: { ca: cert } });
    expect(transportOf(peer)).toMatchObject({ encrypted: true, remotePort: port });
    expect(stayed(peer).alpnProtocol).toBe('h2');
    peer.send('sealed');
    expect(await next()).toBe('sealed');
    peer.close();
    await ended;
    const untrusted = await refusalOf(connect(`wss://localhost:${port}/`, { http2: true }));
    expect(untrusted.code).toBe('WS_CONNECT_TLS');
  });

  it('goes over a stream that the hook supplies', async () => {
    const { port } = await echoing();
    const { handlers, next } = receiver();
    const peer = await connect('ws://example.invalid/', {
      http2: true,
      handlers,
      connect: () => connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true }),
    });
    peer.send('through a tunnel');
    expect(await next()).toBe('through a tunnel');
    peer.abort();
  });

  it('tells a reset by the server', async () => {
    const { port } = await scripted((stream) => {
      stream.respond({ ':status': 200 });
      setImmediate(() => stream.close(8));
    });
    const { handlers, ended } = receiver();
    await connect(`ws://127.0.0.1:${port}/`, { http2: true, handlers });
    expect(await ended).toMatchObject({ clean: false, code: 1006, cause: { code: 'WS_TRANSPORT' } });
  });

  it('tells an end behind which the server wants no more as an end (RFC 9113 section 8.1)', async () => {
    const last = Buffer.from(serializeFrame({ opcode: 1, payload: Buffer.from('last') }));
    const server = createTcpServer((socket) => {
      cleanups.push(() => socket.destroy());
      socket.on('error', () => {}).write(h2Frame(4, 0, 0, [0, 8, 0, 0, 0, 1])); // SETTINGS_ENABLE_CONNECT_PROTOCOL
      let input = Buffer.alloc(0);
      let start = 24; // behind the client's preface
      socket.on('data', (chunk: Buffer) => {
        input = Buffer.concat([input, chunk]);
        while (input.length >= start + 9 && input.length >= start + 9 + input.readUIntBE(start, 3)) {
          const [type, flags] = [input[start + 3], input[start + 4]];
          // The answer to a PING says that the settings have come; DATA says that the client is open.
          if (type === 6 && flags === 0) socket.write(h2Frame(6, 1, 0, input.subarray(start + 9, start + 17)));
          if (type === 1) socket.write(h2Frame(1, 4, 1, [0x88]));
          if (type === 0) socket.write(Buffer.concat(answers.splice(0)));
          start += 9 + input.readUIntBE(start, 3);
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => new Promise((resolve) => server.close(resolve)));
    const { port } = server.address() as AddressInfo;

    const noError = h2Frame(3, 0, 1, [0, 0, 0, 0]);
    const answers: Buffer[] = [];
    const causeOf = async (...frames: readonly Buffer[]): Promise<unknown> => {
      const { handlers, next, ended } = receiver();
      const peer = await connect(`ws://127.0.0.1:${port}/`, { http2: true, handlers });
      answers.push(...frames);
      peer.send('now');
      expect(await next()).toBe('last');
      const { clean, code, cause } = await ended;
      expect([clean, code]).toEqual([false, 1006]);
      return cause?.code;
    };
    expect(await causeOf(h2Frame(0, 1, 1, last), noError)).toBe('WS_EOF');
    expect(await causeOf(h2Frame(0, 0, 1, last), h2Frame(0, 1, 1, []), noError)).toBe('WS_EOF');
    // A stream that is not ended by anything but the reset, and one that is reset for a reason.
    expect(await causeOf(h2Frame(0, 0, 1, last), noError)).toBe('WS_TRANSPORT');
    expect(await causeOf(h2Frame(0, 1, 1, last), h2Frame(3, 0, 1, [0, 0, 0, 8]))).toBe('WS_TRANSPORT');
    // A server that breaks the rules, with a WINDOW_UPDATE of nothing: what its session says is nobody's exception either.
    const { handlers, ended } = receiver();
    const peer = await connect(`ws://127.0.0.1:${port}/`, { http2: true, handlers });
    answers.push(h2Frame(8, 0, 0, [0, 0, 0, 0]));
    peer.send('now');
    expect((await ended).cause?.code).toBe('WS_TRANSPORT');
  });

  it('tells a connection that broke', async () => {
    const { port, sessions } = await echoing();
    const { handlers, ended } = receiver();
    await connect(`ws://127.0.0.1:${port}/`, { http2: true, handlers });
    for (const session of sessions) session.destroy();
    expect(await ended).toMatchObject({ clean: false, code: 1006 });
  });

  it('resets with CANCEL when it is aborted', async () => {
    const reset = deferred<number | undefined>();
    const { port } = await scripted((stream) => {
      stream.respond({ ':status': 200 });
      stream.resume().once('close', () => reset.resolve(stream.rstCode));
    });
    const peer = await connect(`ws://127.0.0.1:${port}/`, { http2: true });
    peer.abort();
    expect(await reset.promise).toBe(8);
  });

  it('holds back a server whose messages nobody takes', async () => {
    let written = false;
    const { port } = await scripted((stream) => {
      stream.respond({ ':status': 200 });
      stream.write(serializeFrame({ opcode: 2, payload: new Uint8Array(900_000) }), () => {
        written = true;
      });
    });
    const { handlers, next } = receiver();
    const paused = { ...handlers, onOpen: (peer: Peer) => peer.pause() };
    const peer = await connect(`ws://127.0.0.1:${port}/`, { http2: true, handlers: paused });
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
    expect(written).toBe(false);
    peer.resume();
    expect(await next()).toHaveLength(900_000);
    peer.abort();
  });
});

describe('a server that reads nothing', () => {
  it('is let go by abort(), and so is the socket of a session of its own', async () => {
    const settings = { enableConnectProtocol: true, initialWindowSize: WIDE };
    const { port } = await scripted(
      (stream, _headers, session) => {
        session.setLocalWindowSize(WIDE);
        stream.respond({ ':status': 200 });
        stream.resume();
      },
      { settings },
    );
    const relay = await relayTo(port);
    const socket = connectTcp({ port: relay.port, host: '127.0.0.1' });
    const { handlers, ended } = receiver();
    const peer = await connect('ws://example.com/', { http2: true, connect: () => socket, handlers });
    relay.stop();
    peer.send(new Uint8Array(FLOOD));
    peer.driver.pump();
    const closed = once(socket, 'close');
    peer.abort();
    expect(await ended).toMatchObject({ clean: false, cause: { code: 'WS_ABORTED' } });
    await closed;
    expect(peer.driver.isClosed).toBe(true);
  });
});

describe('an existing session', () => {
  it('carries many, asked for before its settings came, and stays open', async () => {
    const { port, sessions } = await echoing();
    const session = sessionOf(port);
    const clients = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const client = receiver();
        return { ...client, peer: await connect(`ws://example.com/${index}`, { http2: session, handlers: client.handlers }) };
      }),
    );
    expect(sessions).toHaveLength(1);
    for (const [index, { peer }] of clients.entries()) peer.send(`number ${index}`);
    for (const [index, { next }] of clients.entries()) expect(await next()).toBe(`number ${index}`);
    for (const { peer } of clients) peer.close(1000);
    for (const { ended } of clients) expect(await ended).toMatchObject({ clean: true });
    expect([session.closed, session.destroyed]).toEqual([false, false]);
    const late = receiver();
    const peer = await connect('ws://example.com/late', { http2: session, handlers: late.handlers });
    peer.send('again');
    expect(await late.next()).toBe('again');
    peer.abort();
  });

  it('is refused once the server has said GOAWAY; what is open goes on', async () => {
    const { port, sessions } = await echoing();
    const session = sessionOf(port);
    const { handlers, next } = receiver();
    const peer = await connect('ws://example.com/', { http2: session, handlers });
    for (const served of sessions) served.close();
    await once(session, 'goaway');
    expect(await refusalOf(connect('ws://example.com/', { http2: session }))).toMatchObject({ code: 'WS_CONNECT_REFUSED' });
    peer.send('still here');
    expect(await next()).toBe('still here');
    peer.abort();
  });

  it('is refused when it was destroyed', async () => {
    const { port } = await echoing();
    const session = sessionOf(port);
    session.destroy();
    expect(await refusalOf(connect('ws://example.com/', { http2: session }))).toMatchObject({ code: 'WS_CONNECT_REFUSED' });
  });

  it('may be dialled to nobody', async () => {
    const probe = createTcpServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    await new Promise((resolve) => probe.close(resolve));
    const session = sessionOf(port);
    session.on('error', () => {});
    expect((await refusalOf(connect('ws://example.com/', { http2: session }))).code).toBe('WS_CONNECT_REFUSED');
  });

  it('is left as it was found: no listener stays', async () => {
    const { port } = await echoing();
    for (const isKnown of [true, false]) {
      const session = sessionOf(port);
      // Else its settings are waited for.
      if (isKnown) await once(session, 'remoteSettings');
      const count = (): number[] => ['error', 'close', 'remoteSettings', 'goaway'].map((name) => session.listenerCount(name));
      const before = count();
      const { handlers, ended } = receiver();
      const peer = await connect('ws://example.com/', { http2: session, handlers });
      expect(count()).toEqual(before);
      peer.close();
      await ended;
      expect(count()).toEqual(before);
    }
  });
});

describe('refusals', () => {
  it('a server that does not allow extended CONNECT', async () => {
    for (const settings of [{}, { enableConnectProtocol: false }]) {
      const { port } = await scripted((stream) => stream.respond({ ':status': 200 }), { settings });
      // Of one that has its settings already no more come.
      const session = sessionOf(port);
      await once(session, 'remoteSettings');
      for (const http2 of [true, session]) {
        const error = await refusalOf(connect(`ws://127.0.0.1:${port}/`, { http2, timeouts: { opening: 0 } }));
        expect(error).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', handshake: 'WS_HS_UPGRADE', response: null });
        expect(error.message).toContain('RFC 8441');
      }
    }
  });

  it('a status, with its body up to the limit', async () => {
    const { port } = await scripted((stream) => {
      stream.respond({ ':status': 403, 'x-why': 'because' });
      // More may come, or never.
      stream.write('no entry '.repeat(1000));
    });
    const limits = { http: { maxBodySize: 18 }, timeouts: { opening: 0 } };
    const error = await refusalOf(connect(`ws://127.0.0.1:${port}/`, { http2: true, ...limits }));
    expect(error).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', handshake: 'WS_HS_STATUS', response: { status: 403, httpVersion: '2' } });
    expect(error.response?.headers).toContainEqual(['x-why', 'because']);
    expect(Buffer.from(error.body ?? []).toString()).toBe('no entry no entry ');
  });

  it('a way that ends before the settings have come', async () => {
    for (const isEnded of [true, false]) {
      const way = (): Duplex => {
        const [near, far] = duplexPair();
        if (isEnded) far.end();
        else far.once('data', () => far.end()).on('end', () => {});
        return near;
      };
      const error = await refusalOf(connect('ws://example.com/', { http2: true, connect: way, timeouts: { opening: 0 } }));
      expect(error.code).toBe('WS_CONNECT_REFUSED');
    }
  });

  it('a status, with the part of its body that has come by the deadline', async () => {
    const { port } = await scripted((stream) => {
      stream.respond({ ':status': 401, 'content-length': '100' });
      stream.write('who are');
    });
    const error = await refusalOf(connect(`ws://127.0.0.1:${port}/`, { http2: true, timeouts: { opening: 1000 } }));
    expect(error).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', handshake: 'WS_HS_STATUS', response: { status: 401 } });
    expect(Buffer.from(error.body ?? []).toString()).toBe('who are');
  });

  it('a status, without waiting for a body of which nothing is kept', async () => {
    const { port } = await scripted((stream) => stream.respond({ ':status': 401, 'content-length': '100' }));
    const error = await refusalOf(connect(`ws://127.0.0.1:${port}/`, { http2: true, http: { maxBodySize: 0 }, timeouts: { opening: 0 } }));
    expect(error).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', handshake: 'WS_HS_STATUS', response: { status: 401 } });
  });

  it('an abort amid the body of a refusal', async () => {
    const controller = new AbortController();
    const reset = deferred<number | undefined>();
    const { port } = await scripted((stream) => {
      stream.respond({ ':status': 401 });
      stream.write('who are', () => setImmediate(() => controller.abort()));
      stream.once('close', () => reset.resolve(stream.rstCode));
    });
    const error = await refusalOf(connect('ws://example.com/', { http2: sessionOf(port), signal: controller.signal }));
    expect(error.code).toBe('WS_CONNECT_ABORTED');
    expect(await reset.promise).toBe(8);
  });

  it('a status and a reset that come at once', async () => {
    const { port } = await scripted((stream) => {
      stream.respond({ ':status': 401 });
      stream.close(8);
    });
    const error = await refusalOf(connect(`ws://127.0.0.1:${port}/`, { http2: true }));
    expect(error).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', handshake: 'WS_HS_STATUS', response: { status: 401 } });
  });

  it('a server that never has a stream free, by deadline and by signal', async () => {
    const { port, sessions } = await scripted(() => {}, { settings: { enableConnectProtocol: true, maxConcurrentStreams: 0 } });
    const url = `ws://127.0.0.1:${port}/`;
    expect((await refusalOf(connect(url, { http2: true, timeouts: { opening: 60 } }))).code).toBe('WS_CONNECT_TIMEOUT');
    const controller = new AbortController();
    const attempt = connect(url, {
      http2: true,
      signal: controller.signal,
      connect: () => connectTcp({ port, host: '127.0.0.1' }).once('ready', () => setImmediate(() => controller.abort())),
    });
    expect((await refusalOf(attempt)).code).toBe('WS_CONNECT_ABORTED');
    await Promise.all(sessions.filter(({ destroyed }) => !destroyed).map((session) => once(session, 'close')));
  });

  it('a session that has no stream free: nothing of the attempt stays in it', async () => {
    const server = createServer({ settings: { maxConcurrentStreams: 1 } });
    const opened: Peer[] = [];
    attach(server, { handlers: { onOpen: (peer) => void opened.push(peer) } });
    const session = sessionOf((await listening(server)).port);
    const peer = await connect('ws://example.com/', { http2: session });
    for (let attempt = 0; attempt < 3; attempt++) {
      const error = await refusalOf(connect('ws://example.com/', { http2: session, timeouts: { opening: 30 } }));
      expect(error.code).toBe('WS_CONNECT_TIMEOUT');
    }
    const free = once(transportOf(opened[0] as Peer).socket, 'close'); // the only one
    peer.abort();
    await free;
    const next = await connect('ws://example.com/', { http2: session });
    expect(opened).toHaveLength(2);
    const closed = once(session, 'close');
    next.abort();
    session.close();
    await closed;
  });

  const answers: readonly (readonly [what: string, fields: Record<string, string>, handshake: string])[] = [
    ['a subprotocol that was not offered', { 'sec-websocket-protocol': 'other' }, 'WS_HS_SUBPROTOCOL'],
    ['an extension that was not offered', { 'sec-websocket-extensions': 'x-unknown' }, 'WS_HS_EXTENSIONS'],
  ];
  for (const [what, fields, handshake] of answers) {
    it(`${what}, and the stream is reset`, async () => {
      const reset = deferred<number | undefined>();
      const { port } = await scripted((stream) => {
        stream.respond({ ':status': 200, ...fields });
        stream.resume().once('close', () => reset.resolve(stream.rstCode));
      });
      const session = sessionOf(port);
      // At once: no body is waited for, which would be an answer that is none.
      const error = await refusalOf(connect('ws://example.com/', { http2: session, subprotocols: ['chat'], timeouts: { opening: 0 } }));
      expect(error).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', handshake });
      expect(await reset.promise).toBe(8);
      expect(session.destroyed).toBe(false);
    });
  }

  for (const code of [7, 1, 0]) {
    it(`a stream reset with code ${code} before an answer`, async () => {
      const { port } = await scripted((stream) => stream.close(code));
      expect(await refusalOf(connect(`ws://127.0.0.1:${port}/`, { http2: true }))).toMatchObject({ code: 'WS_CONNECT_REFUSED' });
    });
  }

  it('a session that dies before an answer', async () => {
    const { port } = await scripted((_stream, _headers, session) => session.destroy());
    expect((await refusalOf(connect(`ws://127.0.0.1:${port}/`, { http2: true }))).code).toBe('WS_CONNECT_REFUSED');
  });

  it('no answer at all within the opening deadline', async () => {
    const silent = createTcpServer((socket) => socket.resume()).listen(0, '127.0.0.1');
    cleanups.push(() => new Promise((resolve) => silent.close(resolve)));
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const options = { http2: true, timeouts: { opening: 60 } };
    expect((await refusalOf(connect(`ws://127.0.0.1:${port}/`, options))).code).toBe('WS_CONNECT_TIMEOUT');
    const reset = deferred<number | undefined>();
    const answerless = await scripted((stream) => stream.resume().once('close', () => reset.resolve(stream.rstCode)));
    const session = sessionOf(answerless.port);
    expect((await refusalOf(connect('ws://example.com/', { ...options, http2: session }))).code).toBe('WS_CONNECT_TIMEOUT');
    expect(await reset.promise).toBe(8);
    expect(session.destroyed).toBe(false);
  });

  it('an abort, before and while it waits', async () => {
    const asked = deferred();
    const { port } = await scripted(() => asked.resolve());
    const controller = new AbortController();
    const attempt = connect(`ws://127.0.0.1:${port}/`, { http2: true, signal: controller.signal });
    await asked.promise;
    controller.abort(new Error('changed my mind'));
    const error = await refusalOf(attempt);
    expect([error.code, (error.cause as Error).message]).toEqual(['WS_CONNECT_ABORTED', 'changed my mind']);
    expect((await refusalOf(connect(`ws://127.0.0.1:${port}/`, { http2: true, signal: controller.signal }))).code).toBe(
      'WS_CONNECT_ABORTED',
    );
  });

  it('an abort in the turn of the answer, which leaves nothing of what was negotiated', async () => {
    let reset = deferred<number | undefined>();
    const { port } = await scripted((stream) => {
      stream.respond({ ':status': 200, 'sec-websocket-extensions': 'counted' });
      stream.resume().once('close', () => reset.resolve(stream.rstCode));
    });
    for (const when of ['before', 'behind'] as const) {
      const controller = new AbortController();
      const session = sessionOf(port);
      const request = session.request.bind(session);
      session.request = (...args) => {
        const stream = request(...args);
        if (when === 'before') stream.once('response', () => controller.abort());
        return stream;
      };
      let disposed = 0;
      const counted: ClientExtension = {
        name: 'counted',
        offers: () => [[]],
        confirm() {
          if (when === 'behind') queueMicrotask(() => controller.abort());
          return {
            name: 'counted',
            rsv: 4,
            inbound: () => ({
              begin: () => false,
              push: (_input, start, end) => ({ consumed: end - start, status: 'need' }),
              finish: () => 'need',
            }),
            outbound: () => ({ begin: () => 0, push: (_input, start, end) => ({ consumed: end - start, status: 'need' }), cacheKey: null }),
            dispose() {
              disposed += 1;
            },
          };
        },
      };
      const attempt = connect('ws://example.com/', { http2: session, signal: controller.signal, extensions: [counted] });
      expect((await refusalOf(attempt)).code).toBe('WS_CONNECT_ABORTED');
      expect([when, disposed]).toEqual([when, 1]);
      expect(await reset.promise).toBe(8);
      reset = deferred();
    }
  });

  it('a server that speaks HTTP/1.1 only', async () => {
    const server = createTcpServer((socket) =>
      socket
        .on('error', () => {})
        .resume()
        .end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'),
    );
    server.listen(0, '127.0.0.1');
    cleanups.push(() => new Promise((resolve) => server.close(resolve)));
    await once(server, 'listening');
    const error = await refusalOf(connect(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`, { http2: true }));
    expect(error).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', handshake: 'WS_HS_HTTP_VERSION' });
  });

  it('a TLS server that does not agree on HTTP/2', async () => {
    const { cert, key } = await certificate();
    const server = createTlsServer({ cert, key }, (socket) => void socket.on('error', () => {}).resume()).on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    cleanups.push(() => new Promise((resolve) => server.close(resolve)));
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const error = await refusalOf(connect(`wss://localhost:${port}/`, { http2: true, tls: { ca: cert } }));
    expect(error).toMatchObject({ code: 'WS_CONNECT_TLS' });
    expect(error.message).toContain('HTTP/2');
  });
});

describe('mistakes', () => {
  const mistakes: readonly (readonly [name: string, options: () => object])[] = [
    ['options.http2', () => ({ http2: 'yes' })],
    ['options.http2', () => ({ http2: null })],
    ['options.tls', () => ({ http2: fake, tls: {} })],
    ['options.servername', () => ({ http2: fake, servername: 'a' })],
    ['options.socketPath', () => ({ http2: fake, socketPath: '/a' })],
    ['options.connect', () => ({ http2: fake, connect: () => undefined })],
    ['options.headers', () => ({ http2: fake, headers: [['TE', 'trailers']] })],
  ];
  const fake = { request: () => {} };
  for (const [name, options] of mistakes) {
    it(`${JSON.stringify(options())} is named`, async () => {
      const error = await failureOf(connect('ws://127.0.0.1:1/', options()));
      expect(error).toBeInstanceOf(TypeError);
      expect((error as Error).message).toContain(name);
    });
  }
});
