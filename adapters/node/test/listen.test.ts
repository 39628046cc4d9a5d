/** `listen` against raw sockets: the handshake on the wire, refusals, options, TLS, unix sockets, and closing everything. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import type { EndInfo } from '@ferrywire/core';
import type { Transport } from '@ferrywire/driver';
import { EndpointError, type ListenOptions, listen, type NodeListening, type Peer, type PeerHandlers, transportOf } from '@ferrywire/node';
import { afterEach, describe, expect, it } from 'vitest';
import { certificate } from './certificate.ts';
import { ACCEPT, closeFrame, deferred, failureOf, masked, RawClient, requestFor, socketPath, text } from './helpers.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const echo: PeerHandlers = { onMessage: (peer, data) => void peer.send(data) };

async function start(options: ListenOptions = {}): Promise<NodeListening> {
  const listening = await listen({ handlers: echo, ...options });
  cleanups.push(() => listening.close({ deadline: 0 }));
  return listening;
}
async function upgrade(...args: Parameters<typeof RawClient.upgrade>): Promise<RawClient> {
  const client = await RawClient.upgrade(...args);
  cleanups.push(() => client.socket.destroy());
  return client;
}

describe('the wire', () => {
  it('answers the handshake of RFC 6455 section 1.3 and echoes', async () => {
    const { port, url } = await start();
    expect(url).toBe(`ws://127.0.0.1:${port}/`);
    const client = await RawClient.open(port);
    cleanups.push(() => client.socket.destroy());
    client.write(requestFor('/chat'));
    const head = await client.head();
    expect(head).toMatch(/^HTTP\/1\.1 101 /);
    expect(head).toContain(`Sec-WebSocket-Accept: ${ACCEPT}`);
    client.write(text('hello'));
    expect(await client.text()).toBe('hello');
    client.write(masked({ opcode: 2, payload: Uint8Array.of(0, 255) }));
    expect((await client.frame())?.payload).toEqual(Uint8Array.of(0, 255));
  });

  it('takes frames that came in one packet with the head', async () => {
    const { port } = await start();
    const client = await upgrade(port, { glued: Buffer.concat([text('one'), text('two')]) });
    expect([await client.text(), await client.text()]).toEqual(['one', 'two']);
  });

  it('answers many messages of one read in order, and a ping between fragments', async () => {
    const { port } = await start();
    const client = await upgrade(port);
    client.write(Buffer.concat(Array.from({ length: 200 }, (_, index) => text(`message ${index}`))));
    for (let index = 0; index < 200; index++) expect(await client.text()).toBe(`message ${index}`);
    client.write(
      Buffer.concat([
        masked({ opcode: 1, payload: Buffer.from('a'), fin: false }),
        masked({ opcode: 9, payload: Buffer.from('now') }),
        masked({ opcode: 0, payload: Buffer.from('b') }),
      ]),
    );
    const pong = await client.frame();
    expect([pong?.header.opcode, Buffer.from(pong?.payload ?? []).toString()]).toEqual([10, 'now']);
    expect(await client.text()).toBe('ab');
  });

  it('closes with the same code and ends TCP first', async () => {
    const ended = deferred<EndInfo>();
    const { port } = await start({ handlers: { onEnd: (_peer, info) => ended.resolve(info) } });
    const client = await upgrade(port);
    client.write(closeFrame(3001, 'bye'));
    expect(await client.closeCode()).toBe(3001);
    expect(await client.frame()).toBeNull();
    client.socket.end();
    expect(await client.closed).toBeNull();
    expect(await ended.promise).toMatchObject({ clean: true, code: 3001, reason: 'bye', initiator: 'remote', cause: null });
  });

  it('fails an unmasked frame with 1002 and a message over the limit with 1009', async () => {
    const { port } = await start({ limits: { maxMessageSize: 100 } });
    const unmasked = await upgrade(port);
    unmasked.write(Uint8Array.of(0x81, 1, 0x61));
    expect(await unmasked.closeCode()).toBe(1002);
    const large = await upgrade(port);
    large.write(masked({ opcode: 2, payload: new Uint8Array(101) }).subarray(0, 8));
    expect(await large.closeCode()).toBe(1009);
  });

  it('answers plain HTTP by itself, or as onRequest says', async () => {
    const plain = 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
    const { port } = await start();
    const client = await RawClient.open(port);
    client.write(plain);
    expect(await client.head()).toMatch(/^HTTP\/1\.1 426 .*Connection: [^\r]*close/is);
    client.socket.end();
    const page = await start({
      handlers: {
        onRequest(pending) {
          if (pending.isWebSocket) pending.accept();
          else pending.reject(200, 'a page', [['Content-Type', 'text/plain']]);
        },
      },
    });
    const reader = await RawClient.open(page.port);
    reader.write(plain);
    expect(await reader.head()).toMatch(/^HTTP\/1\.1 200 /);
    expect(await reader.rest()).toBe('a page');
    reader.socket.end();
    await upgrade(page.port);
  });

  it('lets onRequest decide later', async () => {
    const asked = deferred<() => void>();
    const { port } = await start({ handlers: { ...echo, onRequest: (pending) => asked.resolve(() => void pending.accept()) } });
    const opening = RawClient.upgrade(port, { glued: text('early') });
    (await asked.promise)();
    const client = await opening;
    cleanups.push(() => client.socket.destroy());
    expect(await client.text()).toBe('early');
  });

  it('gives up on a client that does not finish its request', async () => {
    const { port } = await start({ timeouts: { opening: 30 } });
    const client = await RawClient.open(port);
    client.write('GET / HTTP/1.1\r\n');
    await client.rest();
    client.socket.end();
    await client.closed;
  });

  it('pings a silent client and drops it when no pong comes', async () => {
    const ended = deferred<EndInfo>();
    const { port } = await start({ timeouts: { keepalive: 20, pong: 20 }, handlers: { onEnd: (_peer, info) => ended.resolve(info) } });
    const client = await upgrade(port);
    expect((await client.frame())?.header.opcode).toBe(9);
    expect((await ended.promise).cause?.code).toBe('WS_TIMEOUT_PONG');
  });
});

describe('the peer', () => {
  it('knows its address, and its data stays with it', async () => {
    const opened = deferred<Peer>();
    const { port, peers } = await start({ handlers: { onOpen: (peer) => opened.resolve(peer) } });
    const client = await upgrade(port);
    const peer = await opened.promise;
    expect(peers.has(peer)).toBe(true);
    const transport = transportOf(peer);
    expect([transport.remoteAddress, transport.remotePort, transport.encrypted]).toEqual(['127.0.0.1', client.socket.localPort, false]);
    transport.unref();
    transport.ref();
    expect(() => transportOf({ transport: {} as Transport })).toThrow(TypeError);
  });

  it('stalls when its client reads nothing, drains when it does, and loses nothing', async () => {
    const opened = deferred<Peer>();
    const drained = deferred();
    const { port } = await start({ handlers: { onOpen: (peer) => opened.resolve(peer), onDrain: () => drained.resolve() } });
    const client = await upgrade(port);
    client.socket.pause();
    const peer = await opened.promise;
    const block = new Uint8Array(256 * 1024).fill(7);
    let sent = 0;
    while (peer.writable && sent < 400) {
      peer.send(block);
      peer.driver.pump();
      sent++;
    }
    expect(sent).toBeLessThan(400);
    expect(peer.bufferedAmount).toBeGreaterThan(0);
    client.socket.resume();
    await drained.promise;
    expect(peer.writable).toBe(true);
    let received = 0;
    for (; received < sent; received++) expect((await client.frame())?.payload.length).toBe(block.length);
    expect(received).toBe(sent);
  });

  it('aborts with a reset', async () => {
    const opened = deferred<Peer>();
    const { port } = await start({ handlers: { onOpen: (peer) => opened.resolve(peer) } });
    const client = await upgrade(port);
    (await opened.promise).abort();
    expect(await client.closed).toBe('ECONNRESET');
  });
});

describe('close', () => {
  it('closes every client with the code, stops listening, and resolves when all are gone', async () => {
    const listening = await start();
    const clients = await Promise.all(Array.from({ length: 20 }, () => upgrade(listening.port)));
    expect(listening.peers.size).toBe(20);
    const done = listening.close({ code: 1012, reason: 'restart', deadline: 10_000 });
    expect(listening.close()).toBe(done);
    for (const client of clients) {
      expect(await client.closeCode()).toBe(1012);
      client.write(closeFrame(1012));
      await client.rest();
      client.socket.end();
    }
    await done;
    expect(listening.peers.size).toBe(0);
    expect(await failureOf(RawClient.open(listening.port))).toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('aborts what is left at the deadline: silent clients, half-open requests', async () => {
    const listening = await start({ timeouts: { opening: 0 } });
    const silent = await upgrade(listening.port);
    const asking = await RawClient.open(listening.port);
    asking.write('GET / HTTP/1.1\r\n');
    await upgrade(listening.port);
    await listening.close({ deadline: 20 });
    expect(await silent.closeCode()).toBe(1001);
    await Promise.all([silent.closed, asking.closed]);
  });

  it('is what await using calls', async () => {
    const listening = await start();
    await listening[Symbol.asyncDispose]();
    expect(listening.server.listening).toBe(false);
  });
});

describe('TLS', () => {
  it('serves wss, and does not wait for a client that is stuck in the handshake', async () => {
    const { key, cert } = await certificate();
    // Not until a deadline of its own, which there is none of.
    const listening = await start({ tls: { key, cert }, host: '127.0.0.1', timeouts: { opening: 0 } });
    expect(listening.url).toBe(`wss://127.0.0.1:${listening.port}/`);
    const client = new RawClient(connectTls({ port: listening.port, host: '127.0.0.1', servername: 'localhost', ca: cert }));
    client.socket.once('secureConnect', () => client.write(requestFor()));
    expect(await client.head()).toMatch(/^HTTP\/1\.1 101 /);
    const large = new Uint8Array(200_000).fill(3);
    client.write(masked({ opcode: 2, payload: large }));
    expect((await client.frame())?.payload).toEqual(large);
    expect(transportOf([...listening.peers][0] as Peer).encrypted).toBe(true);
    const stuck = await RawClient.open(listening.port);
    const done = listening.close({ deadline: 10_000 });
    expect(await client.closeCode()).toBe(1001);
    client.write(closeFrame(1001));
    await client.rest();
    client.socket.end();
    await Promise.all([done, client.closed, stuck.closed]);
  });

  it.each(['http/1.1', 'h2'])('sends nothing to a client that agrees on TLS after close() (%s)', async (version) => {
    const { key, cert } = await certificate();
    const listening = await start({ tls: { key, cert }, http2: true, timeouts: { opening: 0 } });
    const secure = { host: '127.0.0.1', servername: 'localhost', ca: cert };
    const open = new RawClient(connectTls({ ...secure, port: listening.port }));
    open.socket.once('secureConnect', () => open.write(requestFor()));
    expect(await open.head()).toMatch(/^HTTP\/1\.1 101 /);
    const accepted = once(listening.server, 'connection');
    const socket = connect(listening.port, '127.0.0.1');
    cleanups.push(() => socket.destroy());
    await accepted;
    const done = listening.close({ deadline: 10_000 });
    const agreeing = connectTls({ ...secure, socket, ALPNProtocols: [version] });
    const late = new RawClient(agreeing);
    agreeing.once('secureConnect', () => late.write(requestFor()));
    expect(await late.rest()).toBe('');
    expect(agreeing.alpnProtocol).toBe(version);
    expect(await open.closeCode()).toBe(1001);
    open.write(closeFrame(1001));
    await open.rest();
    open.socket.end();
    await done;
  });

  it.each([undefined, true])('keeps no socket of a client that does not finish the handshake (http2: %s)', async (http2) => {
    const { key, cert } = await certificate();
    const { port, server } = await start({ tls: { key, cert }, timeouts: { opening: 50 }, ...(http2 === undefined ? {} : { http2 }) });
    const silent = await RawClient.open({ port, host: '127.0.0.1', allowHalfOpen: true });
    cleanups.push(() => silent.socket.destroy());
    const half = await RawClient.open({ port, host: '127.0.0.1', allowHalfOpen: true });
    cleanups.push(() => half.socket.destroy());
    half.write(Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0));
    expect(await Promise.all([silent.rest(), half.rest()])).toEqual(['', '']);
    const held = deferred<number>();
    server.getConnections((_error, count) => held.resolve(count));
    expect(await held.promise).toBe(0);
  });

  it.each([false, true])('keeps no socket of a client that leaves before TLS is agreed on (http2: %s)', async (http2) => {
    const { key, cert } = await certificate();
    const { port, server } = await start({ tls: { key, cert }, timeouts: { opening: 0 }, http2 });
    const dropped = (): Promise<void> => {
      const gone = deferred<void>();
      server.once('connection', (socket: Socket) => socket.once('close', () => gone.resolve()));
      return gone.promise;
    };
    const ended = dropped();
    const silent = await RawClient.open(port);
    silent.socket.end();
    await ended;
    const aborted = dropped();
    const hasty = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca: cert });
    cleanups.push(() => hasty.destroy());
    hasty.once('secureConnect', () => hasty.destroy());
    await aborted;
  });

  it('keeps no socket that is closed', async () => {
    const collect = (globalThis as { gc?: () => void }).gc;
    expect(collect, 'run with --expose-gc').toBeTypeOf('function');
    const { port, server } = await start({ http2: true });
    const sockets: WeakRef<Socket>[] = [];
    server.on('connection', (socket: Socket) => sockets.push(new WeakRef(socket)));
    for (let count = 0; count < 10; count += 1) {
      const client = await upgrade(port);
      client.socket.resetAndDestroy();
    }
    const left = (): number => sockets.filter((socket) => socket.deref() !== undefined).length;
    for (let turn = 0; turn < 200 && left() > 2; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      collect?.();
    }
    // Node may know the last.
    expect(sockets).toHaveLength(10);
    expect(left()).toBeLessThanOrEqual(2);
  });

  it('takes a certificate from wherever Node does', async () => {
    const { key, cert } = await certificate();
    const context = createSecureContext({ key, cert });
    for (const tls of [
      { SNICallback: (_: string, done: (error: null, found: typeof context) => void) => done(null, context) },
      { key: [key], cert: [cert] },
    ]) {
      const { port } = await start({ tls });
      const client = new RawClient(connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca: cert }));
      cleanups.push(() => client.socket.destroy());
      client.socket.once('secureConnect', () => client.write(requestFor()));
      expect(await client.head()).toMatch(/^HTTP\/1\.1 101 /);
    }
  });

  it('waits for the handshake as long as it is told to, without end too', async () => {
    const { key, cert } = await certificate();
    for (const opening of [0, 2_147_483_648, Number.POSITIVE_INFINITY]) {
      const listening = await start({ tls: { key, cert }, timeouts: { opening } });
      const client = new RawClient(connectTls({ port: listening.port, host: '127.0.0.1', servername: 'localhost', ca: cert }));
      cleanups.push(() => client.socket.destroy());
      client.socket.once('secureConnect', () => client.write(requestFor()));
      expect(await client.head()).toMatch(/^HTTP\/1\.1 101 /);
    }
  });
});

describe('a unix socket', () => {
  it('is listened on by path', async () => {
    const { path, remove } = socketPath();
    cleanups.push(remove);
    const listening = await start({ socketPath: path });
    expect([listening.port, listening.host, listening.url]).toEqual([0, path, `ws+unix:${path}`]);
    const client = await upgrade({ path }, { glued: text('over a file') });
    expect(await client.text()).toBe('over a file');
    const [peer] = listening.peers;
    expect(peer === undefined ? undefined : transportOf(peer).remoteAddress).toBeNull();
    peer?.abort();
    await client.closed;
  });
});

describe('what cannot be listened on', () => {
  const taken = async (): Promise<number> => {
    const server: Server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => new Promise((resolve) => server.close(resolve)));
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  };
  it('a port in use', async () => {
    const port = await taken();
    const error = await failureOf(listen({ port }));
    expect(error).toBeInstanceOf(EndpointError);
    expect(error).toMatchObject({ code: 'WS_LISTEN_IN_USE', message: `cannot listen on 127.0.0.1:${port}: the address is in use` });
  });
  it('a host of another machine', async () => {
    expect(await failureOf(listen({ host: '192.0.2.1' }))).toMatchObject({ code: 'WS_LISTEN_HOST' });
  });
  it.each([-1, 65_536, 1.5, Number.NaN])('port %s', async (port) => {
    expect(await failureOf(listen({ port }))).toMatchObject({ code: 'WS_LISTEN_PORT' });
  });
});

describe('mistakes in options are found before anybody connects, by name', () => {
  const wrong: readonly (readonly [string, unknown])[] = [
    ['options.host', { host: '' }],
    ['options.handlers', { handlers: 1 }],
    ['options.tls', { tls: true }],
    ['options.tls', { tls: { SNICallback: 7 } }],
    ['options.tls', { tls: { pfx: 'x' } }],
    ['options.tls.handshakeTimeout', { tls: { SNICallback: () => {}, handshakeTimeout: Number.POSITIVE_INFINITY } }],
    ['options.tls.handshakeTimeout', { tls: { SNICallback: () => {}, handshakeTimeout: '1' } }],
    ['options.socketPath', { socketPath: 7 }],
    ['options.highWaterMark', { highWaterMark: -1 }],
    ['options.pull', { pull: 'yes' }],
    ['options.backlog', { backlog: 0 }],
    ['options.maxConnections', { maxConnections: 0 }],
    ['options.onListenerError', { onListenerError: true }],
    ['maxMessageSize', { limits: { maxMessageSize: -1 } }],
    ['keepalive', { timeouts: { keepalive: -1 } }],
    ['options.delivery', { delivery: 'whole' }],
    ['options.autoPong', { autoPong: 1 }],
    ['options.kernels.applyMask', { kernels: { applyMask: 3 } }],
    ['options.onTrace', { onTrace: {} }],
    ['options.lenient.nope', { lenient: { nope: true } }],
    ['policy.path', { policy: { path: 'chat' } }],
    ['policy.path', { policy: { path: async () => false } }],
    ['policy.origins', { policy: { origins: 'null' } }],
  ];
  it.each(wrong)('%s', async (name, options) => {
    const error = await failureOf(listen(options as ListenOptions));
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(EndpointError);
    expect((error as Error).message).toContain(name);
  });
});

describe('maxConnections', () => {
  it("drops what is above it, and Node's event tells", async () => {
    const { port, server } = await start({ maxConnections: 1 });
    await upgrade(port);
    const dropped = deferred();
    server.once('drop', () => dropped.resolve());
    const client = await RawClient.open(port);
    await dropped.promise;
    await client.closed;
  });
});
