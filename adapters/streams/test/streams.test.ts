/** Servers, clients and adopted connections over stream pairs: contents, any split, back pressure in both directions, ends and errors. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { runInNewContext } from 'node:vm';
import { createUpgrade, decideUpgrade } from '@ferrywire/handshake';
import { adopt, attach, capabilities, connect, EndpointError, type StreamPair, StreamServer, WebSocket } from '@ferrywire/streams';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Heard, turns, twoEnds } from './helpers.ts';

const echo = { onMessage: (peer: { send(data: string | Uint8Array): boolean }, data: string | Uint8Array) => void peer.send(data) };

async function joined(client = new Heard(), server = new Heard(echo), cut?: () => number) {
  const { left, right } = twoEnds(cut);
  const serving = attach(right, { handlers: server.handlers });
  const peer = await connect('ws://pair/chat', left, { handlers: client.handlers });
  return { client, server, peer, serving: await serving };
}

describe('a pair', () => {
  it('carries messages, and ends in order', async () => {
    const { client, server, peer, serving } = await joined();
    expect(serving).toBe(server.peer);
    const large = new Uint8Array(700_000).map((_, index) => index);
    peer.send('hello');
    peer.send(large);
    await client.count(2);
    expect(client.messages[0]).toBe('hello');
    expect(Buffer.compare(client.messages[1] as Uint8Array, large)).toBe(0);
    peer.close(4000, 'enough');
    expect(await client.end).toMatchObject({ clean: true, code: 4000, initiator: 'local' });
    expect(await server.end).toMatchObject({ clean: true, code: 4000, reason: 'enough', initiator: 'remote' });
  });

  it('shows no handler the async context of another connection, when a deadline calls it', async () => {
    const contexts = new AsyncLocalStorage<string>();
    const seen: [own: string, shown: string | undefined][] = [];
    let over = (): void => {};
    const all = new Promise<void>((resolve) => {
      over = resolve;
    });
    // The first sets the timer that they share.
    for (const name of ['first', 'second', 'third']) {
      const { left, right } = twoEnds();
      void attach(right, { handlers: { onOpen: (peer) => peer.pause() }, timeouts: { keepalive: 0 } });
      const onEnd = (): void => {
        if (seen.push([name, contexts.getStore()]) === 3) over();
      };
      await contexts.run(name, () =>
        connect('ws://pair/', left, { timeouts: { keepalive: 30, pong: 30, closing: 30 }, handlers: { onEnd } }),
      );
    }
    await all;
    expect(seen.filter(([own, shown]) => shown !== undefined && shown !== own)).toEqual([]);
  });

  it('carries the same however its bytes are cut', async () => {
    const message = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 40 }), fc.uint8Array({ maxLength: 300 }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(message, { maxLength: 6 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 400 })),
        async (messages, sizes) => {
          const { client, peer } = await joined(new Heard(), new Heard(echo), () => sizes.next().value);
          for (const data of messages) peer.send(data);
          peer.close(1000);
          expect(await client.end).toMatchObject({ clean: true, code: 1000 });
          expect(client.messages.map((data) => (typeof data === 'string' ? data : [...data]))).toEqual(
            messages.map((data) => (typeof data === 'string' ? data : [...data])),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('takes chunks of any kind of bytes', async () => {
    const { left, right } = twoEnds();
    const kinds = [
      (bytes: Uint8Array) => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
      (bytes: Uint8Array) => new DataView(Uint8Array.of(0, 0, 0, ...bytes, 0).buffer, 3, bytes.length),
      (bytes: Uint8Array) => new Uint8ClampedArray(bytes),
    ];
    let next = 0;
    const readable = (left.readable as ReadableStream<Uint8Array>).pipeThrough(
      new TransformStream({ transform: (chunk, controller) => controller.enqueue(kinds[next++ % kinds.length]?.(chunk)) }),
    );
    const client = new Heard();
    void attach(right, { handlers: new Heard(echo).handlers });
    const peer = await connect('ws://pair/', { readable, writable: left.writable }, { handlers: client.handlers });
    for (const text of ['a', 'b', 'c', 'd']) {
      peer.send(text);
      await client.count(client.messages.length + 1);
    }
    expect(client.messages).toEqual(['a', 'b', 'c', 'd']);
    peer.abort();
  });

  it('never writes to the chunks it is given, unless they are given away', async () => {
    for (const input of ['shared', 'transferred'] as const) {
      const { left, right } = twoEnds();
      const seen: { readonly chunk: Uint8Array; readonly copy: Uint8Array }[] = [];
      const readable = (right.readable as ReadableStream<Uint8Array>).pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({
          transform(chunk, controller) {
            seen.push({ chunk, copy: chunk.slice() });
            controller.enqueue(chunk);
          },
        }),
      );
      const server = new Heard(echo);
      void attach({ readable, writable: right.writable }, { handlers: server.handlers, input });
      const client = new Heard();
      const peer = await connect('ws://pair/', left, { handlers: client.handlers });
      peer.send(new Uint8Array(5000).fill(1));
      await client.count(1);
      const changed = seen.some(({ chunk, copy }) => Buffer.compare(chunk, copy) !== 0);
      expect([input, changed]).toEqual([input, input === 'transferred']);
      peer.abort();
    }
  });

  it('serves a WHATWG WebSocket in pull mode', async () => {
    const { left, right } = twoEnds();
    void attach(right, { handlers: new Heard(echo).handlers });
    const peer = await connect('ws://pair/', left, { pull: true });
    const socket = WebSocket.from(peer.connection, peer.driver);
    const answer = new Promise((resolve) => {
      socket.onmessage = ({ data }) => resolve(data);
    });
    socket.send('over streams');
    expect(await answer).toBe('over streams');
    const closed = new Promise<number>((resolve) => {
      socket.onclose = ({ code }) => resolve(code);
    });
    socket.close(1000);
    expect(await closed).toBe(1000);
  });
});

describe('back pressure', () => {
  it('stops pulling the source while the connection is paused', async () => {
    const { left, right } = twoEnds();
    let pulled = 0;
    const source = (left.readable as ReadableStream<Uint8Array>).getReader();
    const readable = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { done, value } = await source.read();
          if (done) controller.close();
          else {
            pulled += value.length;
            controller.enqueue(value);
          }
        },
      },
      { highWaterMark: 0 },
    );
    const server = new Heard();
    void attach(right, { handlers: server.handlers });
    const client = new Heard();
    const peer = await connect('ws://pair/', { readable, writable: left.writable }, { handlers: client.handlers });
    peer.pause();
    await turns(5);
    const before = pulled;
    let sent = 0;
    while (server.peer?.writable === true && sent < 1000) {
      server.peer.send(new Uint8Array(10_000));
      server.peer.driver.pump();
      sent++;
      await turns(1);
    }
    await turns(20);
    // One read was on its way when the pause came; the sender stalls with what it has queued.
    expect(pulled - before).toBeLessThan(200_000);
    expect(sent).toBeLessThan(100);
    expect(client.messages).toEqual([]);
    peer.resume();
    await client.count(sent);
    await turns(5);
    expect(server.peer?.writable).toBe(true);
    peer.abort();
  });

  it('waits for the sink: nothing more is written while a write is under way', async () => {
    const { left, right } = twoEnds();
    const sink = (left.writable as WritableStream<Uint8Array>).getWriter();
    let release: (() => void) | null = null;
    let held = false;
    let writes = 0;
    const writable = new WritableStream<Uint8Array>({
      async write(chunk) {
        writes++;
        if (held) {
          await new Promise<void>((resolve) => {
            release = resolve;
          });
        }
        await sink.write(chunk);
      },
      close: () => sink.close(),
      abort: (reason) => sink.abort(reason),
    });
    const server = new Heard();
    void attach(right, { handlers: server.handlers });
    let drains = 0;
    const client = new Heard({ onDrain: () => void drains++ });
    const peer = await connect('ws://pair/', { readable: left.readable, writable }, { handlers: client.handlers });
    held = true;
    writes = 0;
    for (let index = 0; index < 20; index++) {
      peer.send(new Uint8Array(20_000));
      peer.driver.pump();
      await turns(1);
    }
    expect(writes).toBe(1);
    expect(peer.writable).toBe(false);
    expect(peer.bufferedAmount).toBeGreaterThan(350_000);
    held = false;
    (release as (() => void) | null)?.();
    await server.count(20);
    // The last write settles after its bytes have arrived.
    await turns(5);
    expect(peer.bufferedAmount).toBe(0);
    expect(peer.writable).toBe(true);
    expect(drains).toBeGreaterThan(0);
    // Small writes that waited went out together.
    expect(writes).toBeLessThan(12);
    peer.abort();
  });
});

describe('ends', () => {
  it('lets go of both streams when it aborts', async () => {
    const { left, right } = twoEnds();
    const source = (left.readable as ReadableStream<Uint8Array>).getReader();
    const sink = (left.writable as WritableStream<Uint8Array>).getWriter();
    const told: string[] = [];
    const both = new Promise<void>((resolve) => {
      const tell = (what: string): void => {
        if (told.push(what) === 2) resolve();
      };
      const readable = new ReadableStream<Uint8Array>({
        async pull(controller) {
          const { value } = await source.read();
          if (value !== undefined) controller.enqueue(value);
        },
        cancel: () => tell('cancelled'),
      });
      const writable = new WritableStream<Uint8Array>({ write: (chunk) => sink.write(chunk), abort: () => tell('aborted') });
      void attach(right, { handlers: new Heard(echo).handlers });
      void connect('ws://pair/', { readable, writable }, { handlers: new Heard().handlers }).then((peer) => peer.abort());
    });
    await both;
    expect(told.sort()).toEqual(['aborted', 'cancelled']);
    await Promise.all([source.cancel(), sink.abort()]);
  });

  it('half-closes: the server ends its side first, the client waits for it', async () => {
    const { left, right } = twoEnds();
    const order: string[] = [];
    const noting = (writable: StreamPair['writable'], who: string): StreamPair['writable'] => {
      const writer = (writable as WritableStream<Uint8Array>).getWriter();
      return new WritableStream<Uint8Array>({
        write: (chunk) => writer.write(chunk),
        close() {
          order.push(who);
          return writer.close();
        },
      });
    };
    const server = new Heard();
    void attach({ readable: right.readable, writable: noting(right.writable, 'server') }, { handlers: server.handlers });
    const client = new Heard();
    const peer = await connect(
      'ws://pair/',
      { readable: left.readable, writable: noting(left.writable, 'client') },
      { handlers: client.handlers },
    );
    peer.close(1000);
    expect(await client.end).toMatchObject({ clean: true });
    await server.end;
    expect(order).toEqual(['server', 'client']);
  });

  it('tells a stream that breaks from one that ends', async () => {
    const broken = twoEnds();
    const first = new Heard();
    void attach(broken.right, { handlers: first.handlers });
    const abort = new AbortController();
    const readable = (broken.left.readable as ReadableStream<Uint8Array>).pipeThrough(new TransformStream(), { signal: abort.signal });
    const client = new Heard();
    await connect('ws://pair/', { readable, writable: broken.left.writable }, { handlers: client.handlers });
    abort.abort(new Error('the network is gone'));
    expect(await client.end).toMatchObject({ clean: false, code: 1006, cause: { code: 'WS_TRANSPORT' } });
    // The other side is let go too.
    expect(await first.end).toMatchObject({ clean: false, code: 1006 });

    const ended = twoEnds();
    const second = new Heard();
    const serving = attach(ended.right, { handlers: second.handlers });
    const upgrade = createUpgrade({ url: 'ws://pair/' });
    const { method, target, headers } = upgrade.request;
    const writer = (ended.left.writable as WritableStream<Uint8Array>).getWriter();
    const head = `${method} ${target} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
    await Promise.all([
      writer.write(new TextEncoder().encode(head)),
      (ended.left.readable as ReadableStream<Uint8Array>).getReader().read(),
    ]);
    expect(await serving).not.toBeNull();
    await writer.close();
    expect(await second.end).toMatchObject({ clean: false, code: 1006, cause: { code: 'WS_EOF' } });
  });

  it('notices a sink that breaks while nothing is written', async () => {
    const { left, right } = twoEnds();
    void attach(right, { handlers: new Heard().handlers });
    let controller: WritableStreamDefaultController | null = null;
    const sink = (left.writable as WritableStream<Uint8Array>).getWriter();
    const writable = new WritableStream<Uint8Array>({
      start(own) {
        controller = own;
      },
      write: (chunk) => sink.write(chunk),
    });
    const client = new Heard();
    await connect('ws://pair/', { readable: left.readable, writable }, { handlers: client.handlers });
    (controller as WritableStreamDefaultController | null)?.error(new Error('stopped'));
    expect(await client.end).toMatchObject({ clean: false, cause: { code: 'WS_TRANSPORT' } });
  });

  it('closes all pairs of a server, and aborts those that do not answer', async () => {
    const handlers = new Heard().handlers;
    const server = new StreamServer({ handlers });
    const clients = await Promise.all(
      [1, 2, 3].map(async () => {
        const { left, right } = twoEnds();
        void server.attach(right);
        const client = new Heard();
        await connect('ws://pair/', left, { handlers: client.handlers });
        return client;
      }),
    );
    const silent = twoEnds();
    const never = server.attach(silent.right);
    expect(server.peers.size).toBe(3);
    await server.close({ code: 1001, deadline: 500 });
    for (const client of clients) expect(await client.end).toMatchObject({ clean: true, code: 1001 });
    expect(await never).toBeNull();
    expect(server.peers.size).toBe(0);
  });
});

describe('errors', () => {
  const failure = async (promise: Promise<unknown>): Promise<unknown> => {
    try {
      await promise;
    } catch (error) {
      return error;
    }
    throw new Error('it did not reject');
  };

  it('names what is no pair, and one that is in use', async () => {
    await expect(attach({} as StreamPair)).rejects.toThrow(new TypeError('pair.readable must be a ReadableStream'));
    const { left } = twoEnds();
    await expect(connect('ws://pair/', { readable: left.readable } as StreamPair)).rejects.toThrow(
      'pair.writable must be a WritableStream',
    );
    const used = twoEnds();
    (used.left.writable as WritableStream<Uint8Array>).getWriter();
    await expect(connect('ws://pair/', used.left)).rejects.toThrow(TypeError);
    expect((used.left.readable as ReadableStream).locked).toBe(false);
    const read = twoEnds();
    (read.left.readable as ReadableStream<Uint8Array>).getReader();
    await expect(attach(read.left)).rejects.toThrow(TypeError);
    expect((read.left.writable as WritableStream).locked).toBe(false);
    await expect(attach(twoEnds().left, { handlers: 1 as never })).rejects.toThrow('options.handlers');
    expect(() => adopt(twoEnds().left, null as never)).toThrow('negotiated must be an object');
  });

  it('finds mistakes before it locks the streams', async () => {
    const wrong: readonly (readonly [string, object])[] = [
      ['options.input', { input: 'mine' }],
      ['options.autoPong', { autoPong: 'no' }],
      ['options.onTrace', { onTrace: {} }],
      ['options.kernels.isUtf8', { kernels: { isUtf8: true } }],
    ];
    const negotiated = { role: 'client', subprotocol: null, extensions: [] } as const;
    for (const [name, options] of wrong) {
      const { left, right } = twoEnds();
      expect(() => new StreamServer(options), name).toThrow(TypeError);
      for (const error of [
        await failure(attach(right, options)),
        await failure(connect('ws://pair/', left, options)),
        await failure((async () => adopt(left, negotiated, options))()),
      ]) {
        expect(error).toBeInstanceOf(TypeError);
        expect((error as Error).message).toContain(name);
      }
      for (const { readable, writable } of [left, right]) {
        expect([(readable as ReadableStream).locked, (writable as WritableStream).locked]).toEqual([false, false]);
      }
    }
    const { left } = twoEnds();
    expect(await failure(connect('ws://pair/', left, { headers: [['Host', 'x']] }))).toBeInstanceOf(TypeError);
    expect((left.readable as ReadableStream).locked).toBe(false);
  });

  it('has a code for each failure of connect', async () => {
    expect(await failure(connect('http://pair/', twoEnds().left))).toMatchObject({ code: 'WS_URL' });
    const silent = twoEnds();
    expect(await failure(connect('ws://pair/', silent.left, { timeouts: { opening: 20 } }))).toMatchObject({ code: 'WS_CONNECT_TIMEOUT' });
    const controller = new AbortController();
    const aborted = connect('ws://pair/', twoEnds().left, { signal: controller.signal });
    controller.abort();
    expect(await failure(aborted)).toMatchObject({ code: 'WS_CONNECT_ABORTED' });
    const gone = twoEnds();
    await (gone.right.writable as WritableStream<Uint8Array>).getWriter().close();
    expect(await failure(connect('ws://pair/', gone.left))).toBeInstanceOf(EndpointError);
    const refusing = twoEnds();
    const refused = attach(refusing.right, { policy: { path: '/elsewhere' } });
    expect(await failure(connect('ws://pair/', refusing.left))).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', response: { status: 404 } });
    expect(await refused).toBeNull();
  });

  it('takes an ArrayBuffer of any realm for a chunk', async () => {
    const { left, right } = twoEnds();
    void attach(right, { handlers: new Heard(echo).handlers });
    const foreign = runInNewContext('ArrayBuffer') as ArrayBufferConstructor;
    const readable = (left.readable as ReadableStream<Uint8Array>).pipeThrough(
      new TransformStream<Uint8Array, unknown>({
        transform(chunk, own) {
          const buffer = new foreign(chunk.length);
          new Uint8Array(buffer).set(chunk);
          own.enqueue(buffer);
        },
      }),
    );
    const pair = { readable: readable as ReadableStream<Uint8Array>, writable: left.writable };
    const client = new Heard();
    const peer = await connect('ws://pair/', pair, { handlers: client.handlers });
    peer.send('x');
    await client.count(1);
    expect(client.messages).toEqual(['x']);
    peer.close();
    await client.end;
  });

  it('fails on a chunk that is no bytes', async () => {
    const { left, right } = twoEnds();
    void attach(right, { handlers: new Heard(echo).handlers });
    let spoil = false;
    const readable = (left.readable as ReadableStream<Uint8Array>).pipeThrough(
      new TransformStream<Uint8Array, unknown>({ transform: (chunk, own) => own.enqueue(spoil ? 'text' : chunk) }),
    );
    const client = new Heard();
    const peer = await connect(
      'ws://pair/',
      { readable: readable as ReadableStream<Uint8Array>, writable: left.writable },
      { handlers: client.handlers },
    );
    spoil = true;
    peer.send('x');
    expect(await client.end).toMatchObject({ clean: false, cause: { code: 'WS_TRANSPORT' } });
  });
});

describe('adopt', () => {
  it('carries frames where the handshake was done elsewhere', async () => {
    const upgrade = createUpgrade({ url: 'wss://h2/', httpVersion: '2', subprotocols: ['chat'] });
    const { request } = upgrade;
    const decision = decideUpgrade({ ...request, httpVersion: '2' }, { subprotocols: ['chat'] });
    if (!decision.ok) throw new Error(decision.error);
    const verified = upgrade.verify({ status: 200, httpVersion: '2', headers: decision.headers });
    if (!verified.ok) throw new Error(verified.message);
    const { left, right } = twoEnds();
    const server = new Heard(echo);
    const client = new Heard();
    adopt(right, decision.negotiated, { handlers: server.handlers });
    const peer = adopt(left, verified.negotiated, { handlers: client.handlers });
    expect([peer.connection.subprotocol, server.peer?.connection.subprotocol]).toEqual(['chat', 'chat']);
    peer.send('over an HTTP/2 stream');
    await client.count(1);
    expect(client.messages).toEqual(['over an HTTP/2 stream']);
    peer.close(1000);
    expect(await client.end).toMatchObject({ clean: true });
    expect(await server.end).toMatchObject({ clean: true });
  });

  it('ends a connection whose onOpen throws, and says so to the caller', async () => {
    const { left, right } = twoEnds();
    const client = new Heard();
    const server = new Heard({
      onOpen() {
        throw new Error('mistake');
      },
    });
    adopt(left, { role: 'client', subprotocol: null, extensions: [] }, { handlers: client.handlers });
    expect(() => adopt(right, { role: 'server', subprotocol: null, extensions: [] }, { handlers: server.handlers })).toThrow('mistake');
    expect(await client.end).toMatchObject({ clean: true, code: 1011 });
    expect(await server.end).toMatchObject({ cause: { code: 'WS_FAILED_LOCALLY' } });
    await turns(5);
    expect(server.peer?.driver.isClosed).toBe(true);
  });
});

it('says what it can do', () => {
  expect(capabilities).toMatchObject({ halfClose: true, server: false, client: false, synchronousWrite: false });
});
