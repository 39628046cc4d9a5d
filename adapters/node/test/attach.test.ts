/** `attach`: upgrades of somebody else's HTTP server, alone and beside other listeners. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect as connectTo, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type Attached, type AttachOptions, attach, connect, type Peer, type PeerHandlers, timers, transportOf } from '@ferrywire/node';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { uncaughtDuring } from '../../../test/uncaught.ts';
import { certificate } from './certificate.ts';
import { closeFrame, deferred, failureOf, RawClient, requestFor, text } from './helpers.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const echo: PeerHandlers = { onMessage: (peer, data) => void peer.send(data) };

async function serve(
  server: Server = createServer((_request, response) => response.end('over http')),
): Promise<{ server: Server; port: number }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { server, port: (server.address() as AddressInfo).port };
}
function attachTo(server: Server, options: AttachOptions = {}): Attached {
  const attached = attach(server, { handlers: echo, ...options });
  cleanups.push(() => attached.close({ deadline: 0 }));
  return attached;
}
async function ask(port: number, request: string): Promise<{ readonly client: RawClient; readonly head: string }> {
  const client = await RawClient.open(port);
  cleanups.push(() => client.socket.destroy());
  client.write(request);
  return { client, head: await client.head() };
}

/** Ten connections to /b that are over leave nothing behind. */
async function expectForgotten(server: Server, port: number): Promise<void> {
  const collect = (globalThis as { gc?: () => void }).gc;
  expect(collect, 'run with --expose-gc').toBeTypeOf('function');
  const sockets: WeakRef<Socket>[] = [];
  server.on('connection', (socket) => sockets.push(new WeakRef(socket)));
  for (let count = 0; count < 10; count += 1) {
    const client = await RawClient.open(port);
    client.write(requestFor('/b'));
    await client.head();
    client.socket.resetAndDestroy();
  }
  const left = (): number => sockets.filter((socket) => socket.deref() !== undefined).length;
  for (let turn = 0; turn < 50 && left() > 2; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    collect?.();
  }
  // Node's server and its parsers may know the last.
  expect(sockets).toHaveLength(10);
  expect(left()).toBeLessThanOrEqual(2);
}

describe('alone on a server', () => {
  it('upgrades, takes glued frames, and leaves plain requests to the server', async () => {
    const { server, port } = await serve();
    attachTo(server);
    const client = await RawClient.upgrade(port, { glued: text('glued') });
    cleanups.push(() => client.socket.destroy());
    expect(await client.text()).toBe('glued');
    const answer = await fetch(`http://127.0.0.1:${port}/`);
    expect(await answer.text()).toBe('over http');
  });

  it('leaves what a stream that is no socket gives as it is: it may be memory of who wrote it', async () => {
    const server = createServer();
    const received: string[] = [];
    const all = deferred<void>();
    const onText = (_peer: Peer, data: string): void => {
      if (received.push(data) === 3) all.resolve();
    };
    attachTo(server, { handlers: { onText, onEnd: () => all.resolve() } });
    const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    cleanups.push(() => stream.destroy());
    server.emit('connection', stream);
    const upgraded = once(server, 'upgrade');
    stream.push(requestFor('/'));
    await upgraded;
    const frame = text('the same frame, again and again');
    for (let count = 0; count < 3; count++) stream.push(frame);
    await all.promise;
    expect(received).toEqual(Array(3).fill('the same frame, again and again'));
  });

  it('upgrades after plain requests on the same connection', async () => {
    const { server, port } = await serve();
    attachTo(server);
    const { client, head } = await ask(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(head).toContain('200 OK');
    client.write(requestFor());
    expect(await client.head()).toContain(' 101 ');
    client.write(text('later'));
    expect(await client.text()).toBe('later');
  });

  it("takes the server's timeout off the socket, and leaves a socket without one as it is", async () => {
    for (const timeout of [0, 60_000]) {
      const { server, port } = await serve();
      server.timeout = timeout;
      const opened = deferred<Duplex>();
      attachTo(server, { handlers: { onOpen: (peer) => opened.resolve(transportOf(peer).socket) } });
      const client = await RawClient.upgrade(port);
      cleanups.push(() => client.socket.destroy());
      const socket = (await opened.promise) as Socket;
      expect(socket.timeout).toBe(timeout === 0 ? undefined : 0);
    }
  });

  it.each(['http', 'https'])('reads nothing while the application has paused it in onOpen, over %s', async (scheme) => {
    const { key, cert } = await certificate();
    const { server, port } = await serve(scheme === 'http' ? undefined : (createHttpsServer({ key, cert }) as Server));
    const opened = deferred<Peer>();
    const received = deferred<number>();
    attachTo(server, {
      limits: { maxMessageSize: 100_000_000 },
      handlers: {
        onOpen(peer) {
          peer.pause();
          opened.resolve(peer);
        },
        onBinary: (_, data) => received.resolve(data.length),
      },
    });
    const tls = { rejectUnauthorized: false };
    const client = await connect(`${scheme.replace('http', 'ws')}://127.0.0.1:${port}/`, scheme === 'http' ? {} : { tls });
    cleanups.push(() => client.abort());
    client.send(new Uint8Array(50_000_000));
    const peer = await opened.promise;
    const socket = transportOf(peer).socket as Socket;
    for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(socket.bytesRead).toBeLessThan(1_000_000);
    peer.resume();
    expect(await received.promise).toBe(50_000_000);
  });

  it("keeps others' listeners of the socket's end", async () => {
    const { server, port } = await serve();
    const ended = deferred<string>();
    server.on('connection', (socket) => socket.on('end', () => ended.resolve('told')));
    const over = deferred<boolean>();
    attachTo(server, { handlers: { onEnd: (_, { clean }) => over.resolve(clean) } });
    const client = await RawClient.upgrade(port);
    client.socket.end();
    expect([await ended.promise, await over.promise]).toEqual(['told', false]);
  });

  it("keeps the request's fields as they came", async () => {
    const { server, port } = await serve();
    const asked = deferred<readonly (readonly [string, string])[]>();
    attachTo(server, {
      handlers: {
        onRequest(pending) {
          asked.resolve([...pending.request.headers]);
          pending.accept();
        },
      },
    });
    await RawClient.upgrade(port, { path: '/a?b=%20', extra: 'X-Twice: 1\r\nx-twice:   2 \r\nX-Latin: \xe9\r\n' }).then(({ socket }) =>
      socket.destroy(),
    );
    expect(await asked.promise).toEqual(
      expect.arrayContaining([
        ['X-Twice', '1'],
        ['x-twice', '2'],
      ]),
    );
  });

  it('shows the incoming request until the connection is open', async () => {
    const { server, port } = await serve();
    const seen: (string | undefined)[] = [];
    const opened = deferred<() => IncomingMessage | null>();
    attachTo(server, {
      handlers: {
        onRequest(pending) {
          seen.push(transportOf(pending).incoming?.url);
          pending.accept();
        },
        onOpen(peer) {
          seen.push(transportOf(peer).incoming?.url);
          opened.resolve(() => transportOf(peer).incoming);
        },
      },
    });
    const client = await RawClient.upgrade(port, { path: '/path' });
    cleanups.push(() => client.socket.destroy());
    expect(seen).toEqual(['/path', '/path']);
    expect((await opened.promise)()).toBeNull();
  });

  it('answers and closes what it declines', async () => {
    const { server, port } = await serve();
    attachTo(server, { policy: { path: '/chat' } });
    for (const [request, status] of [
      [requestFor('/other'), 404],
      [requestFor('/chat').replace('Upgrade: websocket', 'Upgrade: h2c'), 426],
      [requestFor('/chat').replace('Version: 13', 'Version: 12'), 426],
      [requestFor('/chat', 'Content-Length: 3\r\n'), 400],
    ] as const) {
      const { client, head } = await ask(port, request);
      expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} .*connection: [^\\r]*close`, 'is'));
      await client.rest();
      client.socket.end();
      await client.closed;
    }
  });

  it('keeps nothing of a connection whose handlers throw', async () => {
    const { server, port } = await serve();
    const sockets: Socket[] = [];
    server.on('connection', (socket) => void sockets.push(socket));
    const attached = attachTo(server, {
      handlers: {
        onOpen(peer, { request }) {
          if (request?.target === '/open') throw new Error('at open');
          peer.send('hello');
        },
        onEnd() {
          throw new Error('at the end');
        },
      },
    });
    const thrown = await uncaughtDuring(async () => {
      const opening = await RawClient.upgrade(port, { path: '/open' });
      expect(await opening.closeCode()).toBe(1011);
      opening.socket.end(closeFrame(1011));
      await opening.closed;
      const ending = await RawClient.upgrade(port);
      expect(await ending.text()).toBe('hello');
      ending.socket.end(closeFrame(1000));
      await ending.closed;
      await Promise.all(sockets.filter(({ closed }) => !closed).map((socket) => once(socket, 'close')));
      // One that says it is closed may still have to tell of it.
      await new Promise((resolve) => setImmediate(resolve));
    });
    expect(thrown).toEqual(['Error: at open', 'Error: at the end', 'Error: at the end']);
    expect([sockets.length, attached.peers.size]).toEqual([2, 0]);
  });

  it('works on https', async () => {
    const { key, cert } = await certificate();
    const { server, port } = await serve(createHttpsServer({ key, cert }));
    attachTo(server);
    const answered = deferred<unknown>();
    const peer = await connect(`wss://127.0.0.1:${port}/`, {
      tls: { ca: cert },
      servername: 'localhost',
      handlers: { onMessage: (_peer, data) => answered.resolve(data) },
    });
    peer.send('secret');
    expect(await answered.promise).toBe('secret');
    peer.abort();
  });
});

describe('beside other listeners', () => {
  /** Somebody else's upgrade handler: answers on one path, ignores the rest. */
  function other(path: string): (request: IncomingMessage, socket: Duplex) => void {
    return (request, socket) => {
      if (request.url === path) socket.on('error', () => {}).end('HTTP/1.1 200 OK\r\nServer: other\r\nConnection: close\r\n\r\n');
    };
  }

  it.each(['before', 'after'])('leaves another path to a listener that came %s', async (order) => {
    const { server, port } = await serve();
    if (order === 'before') server.on('upgrade', other('/other'));
    attachTo(server, { policy: { path: '/chat' } });
    if (order === 'after') server.on('upgrade', other('/other'));
    expect((await ask(port, requestFor('/other'))).head).toContain('Server: other');
    expect((await ask(port, requestFor('/chat?x'))).head).toContain(' 101 ');
  });

  it('leaves another protocol to it', async () => {
    const { server, port } = await serve();
    attachTo(server);
    server.on('upgrade', (request, socket) => {
      if (request.headers.upgrade === 'custom')
        socket.on('error', () => {}).end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: custom\r\nConnection: Upgrade\r\n\r\n');
    });
    expect((await ask(port, requestFor('/').replace('Upgrade: websocket', 'Upgrade: custom'))).head).toContain('Upgrade: custom');
  });

  it('two attached to one server share its paths, and what neither serves is answered once', async () => {
    const { server, port } = await serve();
    const a = attachTo(server, { policy: { path: '/a' } });
    const b = attachTo(server, { policy: { path: (path) => path.startsWith('/b') } });
    expect((await ask(port, requestFor('/a'))).head).toContain(' 101 ');
    expect((await ask(port, requestFor('/b/c'))).head).toContain(' 101 ');
    expect([a.peers.size, b.peers.size]).toEqual([1, 1]);
    const { client, head } = await ask(port, requestFor('/c'));
    expect(head).toContain(' 404 ');
    expect(await client.rest()).not.toContain('HTTP/1.1');
  });

  it('two copies of the package share a server: each stays in front of who may answer, and neither of the other', async () => {
    const { server, port } = await serve();
    let moves = 0;
    server.on('newListener', (event) => {
      // Else two that overtake each other would go on for ever.
      if (event === 'upgrade' && ++moves > 50) server.removeAllListeners('newListener');
    });
    vi.resetModules();
    const copy = await import('@ferrywire/node');
    expect(copy.attach).not.toBe(attach);
    attachTo(server, { policy: { path: '/a' } });
    const copied = copy.attach(server, { policy: { path: '/b' }, handlers: echo });
    cleanups.push(() => copied.close({ deadline: 0 }));
    server.prependOnceListener('upgrade', (_request, socket) => {
      socket.write('HTTP/1.1 401 Unauthorized\r\n\r\n', () => socket.destroy());
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(moves).toBeLessThan(10);
    expect((await ask(port, requestFor('/b'))).head).toContain(' 401 ');
    for (const path of ['/a', '/b']) expect((await ask(port, requestFor(path))).head, path).toContain(' 101 ');
  });

  it('keeps nothing of connections that one declined and another took, once they are over', async () => {
    const { server, port } = await serve();
    attachTo(server, { policy: { path: '/a' } });
    attachTo(server, { policy: { path: '/b' } });
    await expectForgotten(server, port);
  });

  it('nor while they are open', async () => {
    const { server, port } = await serve();
    const opened: Peer[] = [];
    for (const path of ['/a', '/b']) attachTo(server, { policy: { path }, handlers: { onOpen: (peer) => void opened.push(peer) } });
    for (const path of ['/a', '/b']) {
      const client = await RawClient.upgrade(port, { path });
      cleanups.push(() => client.socket.destroy());
    }
    // The second has been declined once.
    const [first = [], second] = opened.map((peer) => {
      const { socket } = transportOf(peer);
      return ['error', 'close', 'newListener'].map((name) => socket.listenerCount(name));
    });
    expect(first).toHaveLength(3);
    expect(second).toEqual(first);
  });

  it('keeps nothing of connections that somebody took who asks for errors before bytes, once they are over', async () => {
    const { server, port } = await serve();
    attachTo(server, { policy: { path: '/a' } });
    server.on('upgrade', (_request, socket) => {
      socket.on('error', () => {}).on('data', () => {});
      socket.end('HTTP/1.1 200 OK\r\nServer: other\r\n\r\n');
    });
    await expectForgotten(server, port);
  });

  it('what one cannot judge, since its policy throws, it answers', async () => {
    const { server, port } = await serve();
    attachTo(server, { policy: { path: (path) => decodeURIComponent(path) === '/a' } });
    attachTo(server, { policy: { path: '/b' } });
    const thrown = await uncaughtDuring(async () => {
      expect((await ask(port, requestFor('/%zz'))).head).toContain(' 500 ');
      expect((await ask(port, requestFor('/b'))).head).toContain(' 101 ');
    });
    expect(thrown).toEqual(['URIError: URI malformed']);
  });

  it('two attached without a path: the first takes it', async () => {
    const { server, port } = await serve();
    const a = attachTo(server);
    const b = attachTo(server);
    const { client } = await ask(port, requestFor());
    client.write(text('once'));
    expect(await client.text()).toBe('once');
    expect([a.peers.size, b.peers.size]).toEqual([1, 0]);
  });

  it('what nobody takes is answered when the time for it is over', async () => {
    const { server, port } = await serve();
    server.on('upgrade', other('/other'));
    attachTo(server, { policy: { path: '/chat' }, timeouts: { opening: 30 } });
    expect((await ask(port, requestFor('/nobody'))).head).toContain(' 404 ');
  });

  it.each<['on' | 'once', number]>([
    ['on', 1],
    ['once', 1],
    ['once', 2],
  ])(
    'what a listener (%s) before it has answered and ended is never opened, and is let go of in time (by %i)',
    async (listens, attachments) => {
      const { server, port } = await serve();
      const gone = deferred();
      server[listens]('upgrade', (_request, socket) => {
        socket.on('close', () => gone.resolve());
        socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n');
      });
      const seen: unknown[] = [];
      const handlers: PeerHandlers = { onOpen: () => void seen.push('open'), onMessage: (_peer, data) => void seen.push(data) };
      for (let count = 0; count < attachments; count++) attachTo(server, { handlers, timeouts: { opening: 30 } });
      const client = await RawClient.open({ port, host: '127.0.0.1', allowHalfOpen: true });
      cleanups.push(() => client.socket.destroy());
      client.write(Buffer.concat([Buffer.from(requestFor()), text('let in all the same')]));
      expect(await client.head()).toContain(' 401 ');
      await gone.promise;
      expect(seen).toEqual([]);
      expect(await client.rest()).toBe('');
    },
  );

  it.each(['resets', 'takes', 'takes, and sends much itself, all of'] as const)(
    'what a listener has ended is sent on when the time for it is over, to a client that %s it',
    async (how) => {
      const { server, port } = await serve();
      const size = 16 << 20;
      const gone = deferred();
      const over = deferred();
      server.once('upgrade', (_request, socket) => {
        socket.on('close', () => gone.resolve());
        // Of the same timers, and due behind that of the upgrade.
        timers.set(() => over.resolve(), 60);
        socket.end(Buffer.concat([Buffer.from('HTTP/1.1 401 Unauthorized\r\n\r\n'), Buffer.alloc(size)]));
      });
      attachTo(server, { timeouts: { opening: 30 } });
      const client = connectTo({ port, host: '127.0.0.1', allowHalfOpen: true }).pause();
      cleanups.push(() => client.destroy());
      let bytes = 0;
      client.on('data', (chunk) => {
        bytes += chunk.length;
      });
      client.write(requestFor());
      const errors = await uncaughtDuring(async () => {
        await over.promise;
        if (how === 'resets') client.resetAndDestroy();
        else {
          // What nobody reads would turn the end into a reset, of what is still under way to a client that is slow.
          if (how !== 'takes') {
            await new Promise((sent) => client.write(Buffer.alloc(300_000), sent));
            client.on('data', () => {
              client.pause();
              setImmediate(() => client.resume());
            });
          }
          await once(client.resume(), 'end');
        }
        await gone.promise;
      });
      expect(errors).toEqual([]);
      if (how !== 'resets') expect(bytes).toBeGreaterThan(size);
    },
  );

  it('what a listener has ended, and the kernel has, is not reset when the time for it is over: what the client still sends is read', async () => {
    const { server, port } = await serve();
    const gone = deferred();
    server.once('upgrade', (_request, socket) => {
      socket.on('close', () => gone.resolve());
      socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n');
    });
    attachTo(server, { timeouts: { opening: 300 } });
    const client = connectTo({ port, host: '127.0.0.1', allowHalfOpen: true }).resume();
    cleanups.push(() => client.destroy());
    const failed: Error[] = [];
    client.on('error', (error) => failed.push(error));
    // More than is read of a socket that nobody reads.
    client.write(requestFor());
    client.end(Buffer.alloc(8 << 20));
    await Promise.all([gone.promise, once(client, 'close')]);
    expect(failed).toEqual([]);
  });

  it('what nobody has taken yet may be reset', async () => {
    const { server, port } = await serve();
    attachTo(server, { policy: { path: '/chat' } });
    const closed = deferred<boolean>();
    const shown = deferred();
    server.on('upgrade', (_request, socket) => {
      socket.on('close', closed.resolve);
      shown.resolve();
    });
    const client = await RawClient.open(port);
    client.write(requestFor('/nobody'));
    await shown.promise;
    client.socket.resetAndDestroy();
    expect(await closed.promise).toBe(true);
  });

  it.each(['error', 'data', 'readable'])("whoever takes it has it alone from his first listener of '%s' on", async (event) => {
    const { server, port } = await serve();
    // Who has asked for errors only may leave it to time, which ends with it.
    const names = ['error', 'data', 'readable', 'end', ...(event === 'error' ? [] : ['close']), 'drain', 'newListener'];
    const shown = deferred<{ readonly socket: Duplex; readonly before: number[] }>();
    const counts = (socket: Duplex): number[] => names.map((name) => socket.listenerCount(name));
    server.on('upgrade', (_request, socket) => shown.resolve({ socket, before: counts(socket) }));
    attachTo(server, { policy: { path: '/chat' } });
    const client = await RawClient.open(port);
    cleanups.push(() => client.socket.destroy());
    client.write(requestFor('/other'));
    const { socket, before } = await shown.promise;
    const listener = (): void => {};
    socket.on(event, listener).removeListener(event, listener);
    cleanups.push(() => socket.destroy());
    expect(counts(socket)).toEqual(before);
  });

  it('does not disturb whoever took it, even without an answer yet', async () => {
    const { server, port } = await serve();
    const taken = deferred<Duplex>();
    server.on('upgrade', (request, socket) => {
      if (request.url === '/slow') taken.resolve(socket.on('data', () => {}).on('error', () => {}));
    });
    attachTo(server, { policy: { path: '/chat' }, timeouts: { opening: 20 } });
    const answer = ask(port, requestFor('/slow'));
    const socket = await taken.promise;
    // Longer than the opening deadline, which is the thing that must not strike: a connection of our own that times out marks it.
    const mark = await RawClient.open(port);
    mark.write(requestFor('/nobody'));
    await mark.head();
    mark.socket.destroy();
    socket.end('HTTP/1.1 200 OK\r\nServer: slow\r\n\r\n');
    expect((await answer).head).toContain('Server: slow');
  });
});

describe('detach and close', () => {
  it('detach leaves the connections, close ends them, and the server goes on', async () => {
    const { server, port } = await serve();
    const attached = attachTo(server);
    const client = await RawClient.upgrade(port);
    attached.detach();
    expect(server.listenerCount('upgrade')).toBe(0);
    client.write(text('still there'));
    expect(await client.text()).toBe('still there');
    const done = attached.close({ code: 1001, deadline: 10_000 });
    expect(await client.closeCode()).toBe(1001);
    client.write(closeFrame(1001));
    await client.rest();
    client.socket.end();
    await done;
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('over http');
  });

  it('stays attached when the options of close make no sense', async () => {
    const { server, port } = await serve();
    const attached = attachTo(server);
    expect(await failureOf(attached.close({ code: 1006 }))).toBeInstanceOf(RangeError);
    const client = await RawClient.upgrade(port);
    cleanups.push(() => client.socket.destroy());
    client.write(text('still here'));
    expect(await client.text()).toBe('still here');
    await attached.close({ code: 1012, deadline: 0 });
    expect(await client.closeCode()).toBe(1012);
  });

  it('says what is wrong with its arguments', () => {
    expect(() => attach({} as Server)).toThrow(/^server /);
    expect(() => attach(createServer(), { limits: { maxMessageSize: Number.NaN } })).toThrow(/maxMessageSize/);
    expect(() => attach(createServer(), { autoClose: 0 as unknown as boolean })).toThrow(/options\.autoClose/);
  });
});
