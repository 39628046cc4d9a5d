/** `connect`: every way it can fail has its code, and every option does what it says. */

import { AsyncLocalStorage } from 'node:async_hooks';
import dns from 'node:dns';
import { getEventListeners } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect as connectNet, createServer, type Server, type Socket } from 'node:net';
import { Duplex, PassThrough, Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import {
  connect as connectTls,
  createSecureContext,
  createServer as createTlsServer,
  type TLSSocket,
  type ConnectionOptions as TlsConnectionOptions,
  type Server as TlsServer,
} from 'node:tls';
import type { EndInfo } from '@ferrywire/core';
import { FrameParser, serializeFrame } from '@ferrywire/core/frame';
import { acceptKey } from '@ferrywire/handshake';
import { attach, type ConnectOptions, type ConnectTarget, connect, EndpointError, listen, type Peer, transportOf } from '@ferrywire/node';
import { afterEach, describe, expect, it } from 'vitest';
import { uncaughtDuring } from '../../../test/uncaught.ts';
import { certificate } from './certificate.ts';
import { deferred, failureOf, socketPath } from './helpers.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function listenOn(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}
/** A server that reads one request head and answers as the function says. */
function scripted(answer: (head: string, socket: Socket) => void): Promise<number> {
  return listenOn(
    createServer((socket) => {
      let head = '';
      socket.setEncoding('latin1').on('data', (chunk) => {
        const before = head.includes('\r\n\r\n');
        head += chunk;
        if (!before && head.includes('\r\n\r\n')) answer(head, socket);
      });
    }),
  );
}
function accepted(head: string, fields = ''): string {
  const key = /^sec-websocket-key: (.*)$/im.exec(head)?.[1] ?? '';
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(key)}\r\n${fields}\r\n`;
}
async function dial(url: string, options: ConnectOptions = {}): Promise<Peer> {
  const peer = await connect(url, options);
  cleanups.push(() => peer.abort());
  return peer;
}
async function echoServer(): Promise<{ readonly url: string; readonly port: number }> {
  const listening = await listen({ handlers: { onMessage: (peer, data) => void peer.send(data) } });
  cleanups.push(() => listening.close({ deadline: 0 }));
  return listening;
}

describe('a connection', () => {
  it('sends, receives, and closes cleanly', async () => {
    const { url } = await echoServer();
    const answers: unknown[] = [];
    const done = deferred();
    const ended = deferred<EndInfo>();
    const peer = await dial(url, {
      handlers: {
        onMessage(_peer, data) {
          answers.push(data);
          if (answers.length === 3) done.resolve();
        },
        onEnd: (_peer, info) => ended.resolve(info),
      },
    });
    peer.send('text');
    peer.send(Uint8Array.of(1, 2, 3));
    peer.send('x'.repeat(300_000));
    await done.promise;
    expect(answers).toEqual(['text', Uint8Array.of(1, 2, 3), 'x'.repeat(300_000)]);
    peer.close(1000, 'done');
    expect(await ended.promise).toMatchObject({ clean: true, code: 1000, initiator: 'local' });
  });

  it('writes the request the RFC asks for, with the fields given', async () => {
    const asked = deferred<string>();
    const port = await scripted((head, socket) => {
      asked.resolve(head);
      socket.write(accepted(head, 'Sec-WebSocket-Protocol: b\r\n'));
    });
    const peer = await dial(`ws://127.0.0.1:${port}/path?query=1`, {
      subprotocols: ['a', 'b'],
      origin: 'https://example.com',
      headers: [['Authorization', 'Bearer x']],
    });
    const head = await asked.promise;
    expect(head).toMatch(/^GET \/path\?query=1 HTTP\/1\.1\r\n/);
    for (const field of [
      `Host: 127.0.0.1:${port}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Version: 13',
      'Authorization: Bearer x',
    ]) {
      expect(head.toLowerCase()).toContain(`\r\n${field.toLowerCase()}\r\n`);
    }
    expect(peer.connection.subprotocol).toBe('b');
  });

  it('takes frames that came in one packet with the answer', async () => {
    const port = await scripted((head, socket) => {
      socket.write(Buffer.concat([Buffer.from(accepted(head)), serializeFrame({ opcode: 1, payload: Buffer.from('glued') })]));
    });
    const got = deferred<unknown>();
    await dial(`ws://127.0.0.1:${port}/`, { handlers: { onMessage: (_peer, data) => got.resolve(data) } });
    expect(await got.promise).toBe('glued');
  });

  it('keeps the contents of many messages apart although reads share a buffer', async () => {
    const { url } = await echoServer();
    const count = 300;
    const kept: Uint8Array[] = [];
    const done = deferred();
    const connections = await Promise.all(
      [1, 2, 3].map((id) =>
        dial(url, {
          handlers: {
            onBinary(peer, data) {
              kept.push(data);
              if (kept.length % 7 === 0) {
                peer.pause();
                setImmediate(() => peer.resume());
              }
              if (kept.length === 3 * count) done.resolve();
            },
          },
        }).then((peer) => ({ peer, id })),
      ),
    );
    for (const { peer, id } of connections)
      for (let index = 0; index < count; index++) peer.send(new Uint8Array(1 + index * 37).fill(id * 70 + (index % 50)));
    await done.promise;
    const wrong = kept.filter((data) => data.some((byte) => byte !== data[0]));
    expect(wrong).toEqual([]);
    expect(kept.reduce((sum, data) => sum + data.length, 0)).toBe(3 * (count + (37 * count * (count - 1)) / 2));
  });

  it('pauses at any byte and goes on', async () => {
    const { url } = await echoServer();
    const got: unknown[] = [];
    const done = deferred();
    const peer = await dial(url, {
      handlers: {
        onMessage(_peer, data) {
          got.push(data);
          if (got.length === 3) done.resolve();
        },
      },
    });
    peer.pause();
    for (const size of [10, 100_000, 10]) peer.send('y'.repeat(size));
    await new Promise((resolve) => setImmediate(resolve));
    expect(got).toEqual([]);
    peer.resume();
    await done.promise;
    expect(got.map((data) => String(data).length)).toEqual([10, 100_000, 10]);
  });
});

describe('unix sockets, hooks and TLS', () => {
  it('shows no handler the async context of another connection, when a deadline calls it', async () => {
    const listening = await listen({ handlers: { onOpen: (peer) => peer.pause() } });
    cleanups.push(() => listening.close({ deadline: 0 }));
    const contexts = new AsyncLocalStorage<string>();
    const seen: [own: string, shown: string | undefined][] = [];
    const over = deferred();
    // The first sets the timer that they share.
    for (const name of ['first', 'second', 'third']) {
      const onEnd = (): void => {
        if (seen.push([name, contexts.getStore()]) === 3) over.resolve();
      };
      await contexts.run(name, () => dial(listening.url, { timeouts: { keepalive: 30, pong: 30, closing: 30 }, handlers: { onEnd } }));
    }
    await over.promise;
    expect(seen.filter(([own, shown]) => shown !== undefined && shown !== own)).toEqual([]);
  });

  it('connects by path', async () => {
    const { path, remove } = socketPath();
    cleanups.push(remove);
    expect(await failureOf(connect('ws://localhost/', { socketPath: path }))).toMatchObject({ code: 'WS_CONNECT_REFUSED' });
    const opened = deferred<string>();
    const listening = await listen({
      socketPath: path,
      handlers: { onOpen: (_peer, { request }) => opened.resolve(request?.target ?? '') },
    });
    cleanups.push(() => listening.close({ deadline: 0 }));
    await dial('ws://localhost/over/a/file', { socketPath: path });
    expect(await opened.promise).toBe('/over/a/file');
  });

  it('shows the hook the addresses it is about to dial, and dials them', async () => {
    const { port } = await echoServer();
    const targets: ConnectTarget[] = [];
    const look = (target: ConnectTarget): undefined => void targets.push(target);
    await dial(`ws://127.0.0.1:${port}/`, { connect: look });
    await dial(`ws://localhost:${port}/`, { connect: look });
    expect(targets[0]).toMatchObject({
      host: '127.0.0.1',
      port,
      secure: false,
      socketPath: null,
      addresses: [{ address: '127.0.0.1', family: 4 }],
    });
    expect(targets[1]?.host).toBe('localhost');
    expect(targets[1]?.addresses.map(({ address }) => address)).toContain('127.0.0.1');
  });

  it('shows the hook no addresses for a path, whatever the URL names', async () => {
    const { path, remove } = socketPath();
    cleanups.push(remove);
    const listening = await listen({ socketPath: path });
    cleanups.push(() => listening.close({ deadline: 0 }));
    const targets: ConnectTarget[] = [];
    await dial('ws://nowhere.invalid/', { socketPath: path, connect: (target) => void targets.push(target) });
    expect(targets).toMatchObject([{ host: 'nowhere.invalid', socketPath: path, addresses: [] }]);
  });

  it('holds no message back for the answer to the one before, on either side (TCP_NODELAY)', async () => {
    /** Node shows it nowhere else. */
    const isUndelayed = (socket: object | undefined): unknown => {
      const known = Object.getOwnPropertySymbols(socket ?? {}).find(({ description }) => description === 'kSetNoDelay');
      return known === undefined ? null : Reflect.get(socket ?? {}, known);
    };
    const served: Peer[] = [];
    const handlers = { onOpen: (peer: Peer) => void served.push(peer) };
    const listening = await listen({ handlers });
    cleanups.push(() => listening.close({ deadline: 0 }));
    const server = createHttpServer({ noDelay: false });
    const attached = attach(server, { handlers });
    const port = await listenOn(server);
    cleanups.push(() => attached.close({ deadline: 0 }));
    for (const to of [listening.port, port]) {
      await dial(`ws://127.0.0.1:${to}/`, { handlers });
      await dial(`ws://localhost:${to}/`, { handlers, connect: () => undefined });
    }
    expect(served.map((peer) => isUndelayed(transportOf(peer).socket))).toEqual(new Array(8).fill(true));
  });

  it('connects to nothing when the hook refuses', async () => {
    let connections = 0;
    const port = await listenOn(createServer(() => connections++));
    const reason = new Error('inside our network');
    const refuse = (target: ConnectTarget): undefined => {
      if (target.addresses.some(({ address }) => address.startsWith('127.'))) throw reason;
    };
    expect(await failureOf(connect(`ws://localhost:${port}/`, { connect: refuse }))).toMatchObject({
      code: 'WS_CONNECT_REFUSED',
      cause: reason,
    });
    expect(connections).toBe(0);
  });

  it('dials what the hook was shown, whatever the name resolves to next', async () => {
    const { port } = await echoServer();
    const { lookup } = dns;
    let again = 0;
    const counted = (...args: unknown[]): unknown => {
      again += 1;
      return Reflect.apply(lookup, dns, args);
    };
    try {
      await dial(`ws://localhost:${port}/`, { connect: () => void Object.assign(dns, { lookup: counted }) });
    } finally {
      Object.assign(dns, { lookup });
    }
    expect(again).toBe(0);
  });

  it('shows the hook an IPv6 address without its brackets, and has them where it speaks of it', async () => {
    const shown: ConnectTarget[] = [];
    const refuse = (target: ConnectTarget): undefined => {
      shown.push(target);
      throw new Error('not there');
    };
    const error = await failureOf(connect('ws://[::1]:9/', { connect: refuse }));
    expect(shown).toMatchObject([{ host: '::1', port: 9, addresses: [{ address: '::1', family: 6 }] }]);
    expect((error as Error).message).toContain('[::1]:9');
  });

  it('lets no rejection outside of a hook that gives up when it is told to', async () => {
    const controller = new AbortController();
    const givesUp = ({ signal }: ConnectTarget): Promise<undefined> =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('gave up')));
        setImmediate(() => controller.abort());
      });
    const unhandled: unknown[] = [];
    const others = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', (reason) => void unhandled.push(reason));
    try {
      const error = await failureOf(connect('ws://127.0.0.1:9/', { signal: controller.signal, connect: givesUp }));
      expect(error).toMatchObject({ code: 'WS_CONNECT_ABORTED' });
      await new Promise(setImmediate);
    } finally {
      process.removeAllListeners('unhandledRejection');
      for (const listener of others) process.on('unhandledRejection', listener);
    }
    expect(unhandled).toEqual([]);
  });

  it('takes a stream from the hook, for names that do not resolve too', async () => {
    const { port } = await echoServer();
    const peer = await dial('ws://no.such.host.invalid/', {
      connect: async () => connectNet({ port, host: '127.0.0.1', allowHalfOpen: true }),
    });
    const ended = deferred();
    expect(transportOf(peer).socket).toBeInstanceOf(Duplex);
    peer.connection.ping();
    peer.driver.onEvents = () => {
      if (peer.connection.state === 'closed') ended.resolve();
    };
    peer.close(1000);
    await ended.promise;
  });

  it('takes a stream from the hook that is paused, as who has read the answer of a proxy leaves it', async () => {
    const { port, url } = await echoServer();
    const echoed = deferred<string | Uint8Array>();
    const peer = await dial(url, {
      async connect() {
        const socket = connectNet({ port, host: '127.0.0.1' });
        await new Promise((resolve) => socket.once('connect', resolve));
        return socket.pause();
      },
      timeouts: { opening: 3000 },
      handlers: { onMessage: (_, data) => echoed.resolve(data) },
    });
    peer.send('through it');
    expect(await echoed.promise).toBe('through it');
  });

  it.each([
    ['ws', false],
    ['ws', true],
    ['wss', false],
  ] as const)('says why a socket from the hook did not connect (%s, http2: %s)', async (scheme, http2) => {
    const unused = createServer();
    const port = await listenOn(unused);
    await new Promise((resolve) => unused.close(resolve));
    const connectTo = (): Socket => connectNet({ port, host: '127.0.0.1' });
    const error = await failureOf(connect(`${scheme}://127.0.0.1:${port}/`, { http2, connect: connectTo }));
    expect(error).toMatchObject({ code: 'WS_CONNECT_REFUSED', cause: { code: 'ECONNREFUSED' } });
  });

  it('says so when a socket from the hook closes before it is connected', async () => {
    const error = await failureOf(
      connect('ws://localhost/', {
        timeouts: { opening: 0 },
        connect() {
          // It goes on connecting for as long as nobody knows the address.
          const socket = connectNet({ host: 'localhost', port: 1, lookup: () => {} });
          setImmediate(() => socket.destroy());
          return socket;
        },
      }),
    );
    expect(error).toMatchObject({ code: 'WS_TRANSPORT', message: expect.stringContaining('closed before the connection was made') });
  });

  it('lets go of a socket from the hook that is still connecting when it is aborted', async () => {
    const sockets: Socket[] = [];
    const controller = new AbortController();
    const connectTo = (): Socket => {
      const socket = connectNet({ port: 9, host: 'never.resolved.invalid', lookup: () => {} });
      sockets.push(socket);
      setImmediate(() => controller.abort());
      return socket;
    };
    const error = await failureOf(connect('ws://127.0.0.1:9/', { signal: controller.signal, connect: connectTo }));
    expect(error).toMatchObject({ code: 'WS_CONNECT_ABORTED' });
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true]);
  });

  it('gives no memory away that a stream from the hook may have from who wrote it', async () => {
    const stream: Duplex = new Duplex({
      read() {},
      write(chunk: Uint8Array, _encoding, done) {
        stream.push(accepted(Buffer.from(chunk).toString('latin1')));
        done();
      },
    });
    const received = deferred<Uint8Array>();
    await dial('ws://127.0.0.1:1/', { connect: () => stream, handlers: { onBinary: (_peer, data) => received.resolve(data) } });
    const frame = serializeFrame({ opcode: 2, payload: new Uint8Array(8000).fill(1) });
    stream.push(frame);
    // A message is the application's.
    (await received.promise).fill(2);
    expect(frame.at(-1)).toBe(1);
  });

  it('writes no byte again that a stream from the hook has taken and may still hold', async () => {
    const held: Uint8Array[] = [];
    const stream: Duplex = new Duplex({
      read() {},
      // As a PassThrough does: its reader gets the very chunk, whenever it likes.
      write(chunk: Uint8Array, _encoding, done) {
        if (held.length === 0) stream.push(accepted(Buffer.from(chunk).toString('latin1')));
        held.push(chunk);
        done();
      },
    });
    const peer = await dial('ws://127.0.0.1:1/', { connect: () => stream });
    const texts = Array.from({ length: 10 }, (_, index) => `message ${index}`);
    for (const text of texts) {
      peer.send(text);
      peer.driver.pump();
    }
    const frames = [...new FrameParser().push(Buffer.concat(held.slice(1)))];
    expect(frames.map(({ payload }) => Buffer.from(payload).toString())).toEqual(texts);
  });

  it('names what a stream from the hook gives instead of bytes, whatever is to go over it', async () => {
    const { port } = await echoServer();
    for (const scheme of ['ws', 'wss']) {
      for (const http2 of [false, true]) {
        const streams = [connectNet({ port, host: '127.0.0.1' }), new PassThrough()];
        for (const stream of streams) {
          const closed = deferred();
          stream.setEncoding('utf8').on('close', () => closed.resolve());
          const error = await failureOf(connect(`${scheme}://127.0.0.1:1/`, { http2, connect: () => stream }));
          expect(error).toBeInstanceOf(TypeError);
          expect((error as Error).message).toBe('options.connect: the stream must give bytes, and setEncoding has made it give strings');
          await closed.promise;
        }
      }
    }
  });

  it.each([false, true])('takes from the hook no stream of one direction, nor what is none or has closed (http2: %s)', async (http2) => {
    const oneWay = [new Readable({ read() {} }), new Writable()];
    const closed = new PassThrough().destroy();
    const thrown = await uncaughtDuring(async () => {
      for (const url of ['ws://127.0.0.1:1/', 'wss://127.0.0.1:1/']) {
        const options = { http2, timeouts: { opening: 0 } };
        for (const none of [null, 5, {}, ...oneWay]) {
          const error = await failureOf(connect(url, { ...options, connect: () => none as unknown as Duplex }));
          expect(error).toBeInstanceOf(TypeError);
          expect((error as Error).message).toBe('options.connect must return a stream that can be read and written, or undefined');
        }
        expect(await failureOf(connect(url, { ...options, connect: () => closed }))).toMatchObject({ code: 'WS_CONNECT_REFUSED' });
      }
    });
    expect(oneWay.map(({ destroyed }) => destroyed)).toEqual([true, true]);
    expect(thrown).toEqual([]);
  });

  it.each([false, true])('takes from the hook no stream of which one side has ended (http2: %s)', async (http2) => {
    for (const url of ['ws://127.0.0.1:1/', 'wss://127.0.0.1:1/']) {
      for (const side of ['read', 'write'] as const) {
        const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
        if (side === 'read') {
          stream.push(null);
          await finished(stream.resume(), { writable: false });
        } else await finished(stream.end(), { readable: false });
        const error = await failureOf(connect(url, { http2, timeouts: { opening: 0 }, connect: () => stream }));
        expect(error, `${url} ${side}`).toMatchObject({ code: 'WS_CONNECT_REFUSED' });
        expect(stream.destroyed).toBe(true);
      }
    }
  });

  it('checks the certificate and the name before it writes', async () => {
    const { key, cert } = await certificate();
    let written = 0;
    const server = createTlsServer({ key, cert }, (socket) => socket.on('data', () => written++));
    server.on('tlsClientError', () => {});
    const port = await listenOn(server);
    const untrusted = await failureOf(connect(`wss://localhost:${port}/`));
    expect(untrusted).toMatchObject({ code: 'WS_CONNECT_TLS', cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' } });
    const named = await failureOf(connect(`wss://127.0.0.1:${port}/`, { tls: { ca: cert } }));
    expect(named).toMatchObject({ code: 'WS_CONNECT_TLS', cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' } });
    const wrong = await failureOf(connect(`wss://localhost:${port}/`, { tls: { ca: cert }, servername: 'example.com' }));
    expect(wrong).toMatchObject({ code: 'WS_CONNECT_TLS' });
    expect(written).toBe(0);
  });

  it('offers HTTP/1.1, asks for the name that it is told, and takes a context that is made', async () => {
    const { key, cert } = await certificate();
    const listening = await listen({ tls: { key, cert }, http2: true });
    cleanups.push(() => listening.close({ deadline: 0 }));
    const agreed: unknown[] = [];
    (listening.server as TlsServer).on('secureConnection', ({ alpnProtocol, servername }: TLSSocket) =>
      agreed.push([alpnProtocol, servername]),
    );
    const url = `wss://127.0.0.1:${listening.port}/`;
    await dial(url, { tls: { ca: cert, servername: 'localhost' } });
    await dial(url, { tls: { ca: cert, servername: 'example.com' }, servername: 'localhost' });
    await dial(url, { tls: { secureContext: createSecureContext({ ca: cert }) }, servername: 'localhost' });
    expect(agreed).toEqual([
      ['http/1.1', 'localhost'],
      ['http/1.1', 'localhost'],
      ['http/1.1', 'localhost'],
    ]);
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('says so when the server refuses the client for its certificate (%s)', async (maxVersion) => {
    const { key, cert } = await certificate();
    for (const http2 of [false, true]) {
      const server = createTlsServer({ key, cert, ca: cert, requestCert: true, ALPNProtocols: ['h2', 'http/1.1'], maxVersion });
      server.on('tlsClientError', () => {});
      const port = await listenOn(server);
      const refused = await failureOf(connect(`wss://localhost:${port}/`, { http2, tls: { ca: cert }, timeouts: { opening: 0 } }));
      expect(refused).toMatchObject({ code: 'WS_CONNECT_TLS', cause: { code: expect.stringMatching(/^ERR_SSL_.*ALERT/) } });
    }
  });

  it('finds what TLS cannot use before it dials, and lets go of what was dialled where it is found late', async () => {
    for (const tls of [{ ciphers: 'nonsense' }, { pfx: 'nonsense' }, { minVersion: 'TLSv9' }]) {
      const error = await failureOf(connect('wss://127.0.0.1:1/', { tls } as ConnectOptions));
      expect(error).toBeInstanceOf(TypeError);
      expect((error as Error).message).toMatch(/^options\.tls cannot be used: /);
    }
    const left = deferred();
    const port = await listenOn(createServer((socket) => socket.on('close', () => left.resolve()).resume()));
    const late = await failureOf(connect(`wss://127.0.0.1:${port}/`, { tls: { minDHSize: 'x' } } as unknown as ConnectOptions));
    expect((late as Error).message).toMatch(/^options\.tls cannot be used: /);
    await left.promise;
  });

  it('speaks TLS over a stream from the hook', async () => {
    const { key, cert } = await certificate();
    const listening = await listen({ tls: { key, cert }, handlers: { onMessage: (peer, data) => void peer.send(data) } });
    cleanups.push(() => listening.close({ deadline: 0 }));
    const got = deferred<unknown>();
    const peer = await dial('wss://localhost/', {
      tls: { ca: cert },
      connect: () => connectNet({ port: listening.port, host: '127.0.0.1' }),
      handlers: { onMessage: (_peer, data) => got.resolve(data) },
    });
    peer.send('z'.repeat(100_000));
    expect(await got.promise).toBe('z'.repeat(100_000));
    expect(transportOf(peer).encrypted).toBe(true);
  });

  it.each([false, true])(
    'takes a socket from the hook that tls.connect has only begun, and says why it failed (http2: %s)',
    async (http2) => {
      const { key, cert } = await certificate();
      const listening = await listen({ tls: { key, cert }, http2: true });
      cleanups.push(() => listening.close({ deadline: 0 }));
      const noTls = await listenOn(createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
      const unused = createServer();
      const nobody = await listenOn(unused);
      await new Promise((resolve) => unused.close(resolve));

      const ALPNProtocols = http2 ? ['h2'] : ['http/1.1'];
      const over = (tls: TlsConnectionOptions): Promise<unknown> => {
        const connectTo = (): Socket => connectTls({ host: '127.0.0.1', servername: 'localhost', ALPNProtocols, ca: cert, ...tls });
        return connect('wss://localhost/', { http2, connect: connectTo }).then(
          (peer) => peer.abort(),
          (error: unknown) => error,
        );
      };
      const { port } = listening;
      expect(await over({ port })).toBeUndefined();
      expect(await over({ port, ca: [] })).toMatchObject({ code: 'WS_CONNECT_TLS', cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' } });
      const wrong = { code: 'WS_CONNECT_TLS', cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' } };
      expect(await over({ port, servername: 'example.com' })).toMatchObject(wrong);
      expect(await over({ socket: connectNet(port, '127.0.0.1'), servername: 'example.com' })).toMatchObject(wrong);
      expect(await over({ port: noTls })).toMatchObject({ code: 'WS_CONNECT_TLS' });
      expect(await over({ port: nobody })).toMatchObject({ code: 'WS_CONNECT_REFUSED', cause: { code: 'ECONNREFUSED' } });
    },
  );

  it('a server that does not speak TLS', async () => {
    const port = await listenOn(createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
    expect(await failureOf(connect(`wss://127.0.0.1:${port}/`))).toMatchObject({ code: 'WS_CONNECT_TLS' });
  });
});

describe('failures', () => {
  it.each(['', 'http://localhost/', 'ws://localhost/#fragment', 'ws://a b/', 'chat'])('the URL %j', async (url) => {
    const error = await failureOf(connect(url));
    expect(error).toBeInstanceOf(EndpointError);
    expect(error).toMatchObject({ code: 'WS_URL' });
  });

  it('a port where nobody listens', async () => {
    const listening = await listen();
    await listening.close();
    const error = await failureOf(connect(listening.url));
    expect(error).toMatchObject({ code: 'WS_CONNECT_REFUSED', cause: { code: 'ECONNREFUSED' } });
    expect((error as Error).message).toContain(`127.0.0.1:${listening.port}`);
  });

  it('a name that does not resolve', async () => {
    expect(await failureOf(connect('ws://no.such.host.invalid/'))).toMatchObject({ code: 'WS_CONNECT_HOST' });
    expect(await failureOf(connect('ws://no.such.host.invalid/', { connect: () => undefined }))).toMatchObject({ code: 'WS_CONNECT_HOST' });
  });

  it('a refusal, with status, fields and body', async () => {
    const port = await scripted((_head, socket) => {
      socket.end('HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 6\r\n\r\nnot so');
    });
    const error = await failureOf(connect(`ws://127.0.0.1:${port}/`));
    expect(error).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', handshake: 'WS_HS_STATUS', response: { status: 401 } });
    expect(Buffer.from((error as EndpointError).body ?? []).toString()).toBe('not so');
  });

  it('a refusal whose body is not complete in time', async () => {
    const answer = 'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 100\r\n\r\nnot so';
    // Answers inside the write of the request, so that the answer is there before the deadline on the slowest machine.
    const answering = (): Duplex => {
      const stream: Duplex = new Duplex({
        read() {},
        write(_chunk, _encoding, done) {
          stream.push(answer);
          done();
        },
      });
      return stream;
    };
    for (const opening of [20, 21, 22]) {
      const error = await failureOf(connect('ws://127.0.0.1:1/', { timeouts: { opening }, connect: answering }));
      expect(error).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', handshake: 'WS_HS_STATUS', response: { status: 401 } });
      expect(Buffer.from((error as EndpointError).body ?? []).toString()).toBe('not so');
    }
  });

  it('a wrong Sec-WebSocket-Accept', async () => {
    const port = await scripted(
      (head, socket) => void socket.write(accepted(head).replace(/Accept: .*/, 'Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=')),
    );
    expect(await failureOf(connect(`ws://127.0.0.1:${port}/`))).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', handshake: 'WS_HS_ACCEPT' });
  });

  it.each(['end', 'resetAndDestroy'] as const)('a server that ends with %s instead of an answer', async (how) => {
    const port = await scripted((_head, socket) => void socket[how]());
    expect(await failureOf(connect(`ws://127.0.0.1:${port}/`))).toBeInstanceOf(EndpointError);
  });

  it('a server that does not answer, in TCP and in TLS', async () => {
    const port = await listenOn(createServer(() => {}));
    const timeouts = { opening: 40 };
    expect(await failureOf(connect(`ws://127.0.0.1:${port}/`, { timeouts }))).toMatchObject({ code: 'WS_CONNECT_TIMEOUT' });
    expect(await failureOf(connect(`wss://127.0.0.1:${port}/`, { timeouts }))).toMatchObject({ code: 'WS_CONNECT_TIMEOUT' });
  });

  it('one that does not answer in what dialling has left of the time', async () => {
    const url = `ws://127.0.0.1:${await listenOn(createServer(() => {}))}/`;
    const order: string[] = [];
    const silent = async (name: string, opening: number, hook = (): unknown => undefined): Promise<void> => {
      const error = await failureOf(connect(url, { timeouts: { opening }, connect: hook as () => undefined }));
      order.push(`${name} ${(error as EndpointError).code}`);
    };
    const later = silent('later', 900);
    // The hook takes as long as somebody who gives up sooner.
    await silent('slow', 600, () => silent('hook', 400));
    await later;
    expect(order).toEqual(['hook WS_CONNECT_TIMEOUT', 'slow WS_CONNECT_TIMEOUT', 'later WS_CONNECT_TIMEOUT']);
  });

  it('a hook that does not answer', async () => {
    const never = (): Promise<undefined> => new Promise(() => {});
    // Nothing else keeps the process alive while a stream of one's own is waited for.
    const error = await failureOf(connect('ws://127.0.0.1:1/', { timeouts: { opening: 30 }, connect: never }));
    expect(error).toMatchObject({ code: 'WS_CONNECT_TIMEOUT' });
  });
});

describe('the signal', () => {
  const reason = new Error('changed my mind');
  it('aborted before', async () => {
    expect(await failureOf(connect('ws://127.0.0.1:1/', { signal: AbortSignal.abort(reason) }))).toMatchObject({
      code: 'WS_CONNECT_ABORTED',
      cause: reason,
    });
  });
  it('aborted in the hook, and a stream that comes too late is destroyed', async () => {
    const controller = new AbortController();
    const late = deferred<Duplex>();
    const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    const result = failureOf(
      connect('ws://127.0.0.1:1/', {
        signal: controller.signal,
        connect() {
          controller.abort(reason);
          return late.promise;
        },
      }),
    );
    expect(await result).toMatchObject({ code: 'WS_CONNECT_ABORTED', cause: reason });
    late.resolve(stream);
    await new Promise((resolve) => stream.once('close', resolve));
  });
  it('aborted in the handshake: the socket goes', async () => {
    const controller = new AbortController();
    const gone = deferred();
    const port = await scripted((_head, socket) => {
      socket.on('close', () => gone.resolve());
      controller.abort(reason);
    });
    expect(await failureOf(connect(`ws://127.0.0.1:${port}/`, { signal: controller.signal }))).toMatchObject({
      code: 'WS_CONNECT_ABORTED',
      cause: reason,
    });
    await gone.promise;
  });
  it('aborted between the connection and the handshake, at any step', async () => {
    const { url, port } = await echoServer();
    for (let steps = 0; steps < 20; steps++) {
      const controller = new AbortController();
      const connecting = connect(url, {
        signal: controller.signal,
        connect: () =>
          new Promise((resolve) => {
            const socket = connectNet({ port, host: '127.0.0.1', allowHalfOpen: true }, () => {
              resolve(socket);
              let after = Promise.resolve();
              for (let step = 0; step < steps; step++) after = after.then(() => {});
              void after.then(() => controller.abort(reason));
            });
            cleanups.push(() => socket.destroy());
          }),
      });
      expect(await failureOf(connecting)).toMatchObject({ code: 'WS_CONNECT_ABORTED', cause: reason });
    }
  });
  it('aborted once open: nothing happens', async () => {
    const controller = new AbortController();
    const { url } = await echoServer();
    const got = deferred<unknown>();
    const peer = await dial(url, { signal: controller.signal, handlers: { onMessage: (_peer, data) => got.resolve(data) } });
    // A signal that lives as long as the process would keep every connection.
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    controller.abort();
    peer.send('still here');
    expect(await got.promise).toBe('still here');
  });
});

describe('mistakes in options, by name', () => {
  it.each([
    ['options.signal', { signal: {} }],
    ['options.tls', { tls: 1 }],
    ['options.tls.key', { tls: { cert: 'x' } }],
    ['options.servername', { servername: 1 }],
    ['options.servername', { servername: '' }],
    ['options.socketPath', { socketPath: '' }],
    ['options.connect', { connect: true }],
    ['options.timeouts.opening', { timeouts: { opening: -1 } }],
    ['options.handlers', { handlers: null }],
    ['maxMessageSize', { limits: { maxMessageSize: -1 } }],
    ['options.kernels.applyMask', { kernels: { applyMask: 3 } }],
    ['headers', { headers: [['X', 'a\r\nb']] }],
    ['subprotocols', { subprotocols: ['a b'] }],
  ])('%s', async (name, options) => {
    // Before anybody is dialled: there is nobody.
    const error = await failureOf(connect('ws://127.0.0.1:1/', options as ConnectOptions));
    expect(error).not.toBeInstanceOf(EndpointError);
    expect((error as Error).message).toContain(name);
  });
});
