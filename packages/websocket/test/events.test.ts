/** Events: which, in which order, in which state, one per task (WHATWG WebSockets, "feedback from the protocol"). */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Connection } from '@ferrywire/core';
import { drive } from '@ferrywire/driver';
import { fakeTransport, virtualClock } from '@ferrywire/driver/testing';
import { type EventLike, type MessageEventLike, makeDisappear, WebSocket } from '@ferrywire/websocket';
import { describe, expect, it } from 'vitest';
import { uncaughtDuring } from '../../../test/uncaught.ts';
import { bench, closePayload, connect, hex, logOf, manualTasks, opened, settle, utf8 } from './helpers.ts';

describe('open', () => {
  it('WHATWG-WEBSOCKETS-events-1: state, extensions and protocol are set before the event', async () => {
    const made = bench();
    const ws = new made.WebSocket('ws://h/', 'chat');
    const seen: unknown[] = [];
    ws.onopen = () => seen.push([ws.readyState, ws.protocol, ws.extensions, ws.connection]);
    await made.accept({ subprotocol: 'chat' }, { extensions: 'permessage-deflate; client_max_window_bits=10' });
    expect(ws.readyState).toBe(0);
    await made.tasks.run();
    expect(seen).toEqual([[1, 'chat', 'permessage-deflate; client_max_window_bits=10', made.connection]]);
  });
  it('comes before messages that arrived with the handshake', async () => {
    const made = bench();
    const ws = new made.WebSocket('ws://h/');
    const log = logOf(ws);
    made.feed(1, 'early');
    await made.accept();
    made.feed(1, 'later');
    await made.tasks.run();
    expect(log).toEqual(['open 1', 'message 1 early', 'message 1 later']);
  });
  it.each(['a protocol error', 'a reset'])(
    'WHATWG-WEBSOCKETS-events-1: is dispatched in OPEN, also when %s came with the handshake',
    async (what) => {
      const made = bench();
      const ws = new made.WebSocket('ws://h/');
      const log = logOf(ws);
      await made.accept();
      if (what === 'a reset') made.transport.reset();
      else made.feed(3);
      await made.tasks.run();
      expect(made.connection.state).not.toBe('open');
      made.transport.feedEof();
      await made.tasks.run();
      expect(log).toEqual(['open 1', 'error 3', 'close 3 false 1006 ""']);
    },
  );
  it('is not dispatched by a socket made from an open connection', async () => {
    const { tasks, ws, log, transport } = server();
    expect(ws.readyState).toBe(1);
    transport.feed(Uint8Array.of(0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69));
    await tasks.run();
    expect(log).toEqual(['message 1 hi']);
    expect([ws.url, ws.protocol]).toEqual(['', 'chat']);
  });
  it.each([
    ['half a message', Uint8Array.of(0x82, 0x83, 0, 0, 0, 0, 1), Uint8Array.of(2, 3), ['message 1 [object Blob]'], ''],
    ['a ping', Uint8Array.of(0x89, 0x81, 0, 0, 0, 0, 0x70), Uint8Array.of(0x81, 0x81, 0, 0, 0, 0, 0x61), ['message 1 a'], '8a0170'],
  ])('a socket made after %s has come reads on, without an event from the transport', async (_, first, rest, events, answer) => {
    const { tasks, log, transport } = server(first);
    expect(transport.reading).toBe(true);
    expect(hex(transport.written)).toBe(answer);
    transport.feed(rest);
    await tasks.run();
    expect(log).toEqual(events);
  });
});

/** A server's socket made with `from`, after `early` has come. */
function server(early?: Uint8Array) {
  const clock = virtualClock();
  const tasks = manualTasks();
  const transport = fakeTransport({ clock });
  const { connection, driver } = connect(clock, transport, 'server', { subprotocol: 'chat' });
  if (early !== undefined) transport.feed(early);
  class Scheduled extends WebSocket {
    static override readonly connector = { schedule: tasks.schedule, connect: () => Promise.reject(new Error('not used')) };
  }
  const ws = Scheduled.from(connection, driver);
  return { clock, tasks, transport, connection, driver, ws, log: logOf(ws) };
}

describe('message', () => {
  it.each([
    ['wss://h.example/', 'wss://h.example'],
    ['https://h.example:443/chat', 'wss://h.example'],
    ['ws://h.example:443/', 'ws://h.example:443'],
    ['http://[::1]:80/', 'ws://[::1]'],
  ])('WHATWG-WEBSOCKETS-events-2: the origin of %s is %s', async (url, origin) => {
    const made = bench();
    const ws = new made.WebSocket(url);
    const origins: string[] = [];
    ws.onmessage = (event) => origins.push(event.origin);
    await made.accept();
    await made.tasks.run();
    made.feed(1, 'a');
    await made.tasks.run();
    expect(origins).toEqual([origin]);
  });
  it('WHATWG-WEBSOCKETS-events-2: has the data and the origin of the URL', async () => {
    const { ws, feed, tasks } = await opened();
    const events: MessageEventLike[] = [];
    ws.onmessage = (event) => events.push(event);
    feed(1, 'text ✓');
    feed(2, Uint8Array.of(1, 2, 3));
    await tasks.run();
    ws.binaryType = 'arraybuffer';
    feed(2, Uint8Array.of(4, 5));
    feed(2);
    await tasks.run();
    expect(events.map(({ origin, type }) => [origin, type])).toEqual(Array(4).fill(['ws://h.example:8080', 'message']));
    expect(events[0]).toBeInstanceOf(MessageEvent);
    expect(events[0]?.data).toBe('text ✓');
    const blob = events[1]?.data;
    expect(blob).toBeInstanceOf(Blob);
    expect(new Uint8Array(await (blob as Blob).arrayBuffer())).toEqual(Uint8Array.of(1, 2, 3));
    expect(events[2]?.data).toStrictEqual(Uint8Array.of(4, 5).buffer);
    expect(events[3]?.data).toStrictEqual(new ArrayBuffer(0));
  });
  it('WHATWG-WEBSOCKETS-events-2: is an ArrayBuffer of the message alone where its memory is cut from a larger one', async () => {
    const slab = new ArrayBuffer(1000);
    const { ws, feed, tasks } = await opened({ kernels: { allocate: (size) => new Uint8Array(slab, 100, size) } });
    const seen: unknown[] = [];
    ws.binaryType = 'arraybuffer';
    ws.onmessage = (event) => seen.push(event.data);
    feed(2, Uint8Array.of(1, 2, 3));
    await tasks.run();
    expect(seen).toStrictEqual([Uint8Array.of(1, 2, 3).buffer]);
  });
  it.each(['', 'setImmediate', 'setImmediate MessageChannel'])(
    'has a task of its own on a host without [%s], in the order of all sockets',
    (lacks) => {
      const script = fileURLToPath(new URL('tasks-host.mjs', import.meta.url));
      const { stdout, stderr, status } = spawnSync(process.execPath, [script, ...lacks.split(' ')], { encoding: 'utf8', timeout: 60_000 });
      expect([stdout, stderr, status]).toEqual(['a1-b1-a2-b2-', '', 0]);
    },
  );
  it('WHATWG-WEBSOCKETS-events-2: comes in OPEN only: nothing after close() was called', async () => {
    const { ws, feed, tasks, log } = await opened();
    feed(1, 'a');
    ws.close();
    feed(1, 'b');
    await tasks.run();
    expect(log).toEqual([]);
    feed(8, closePayload(1000));
    await tasks.run();
    expect(log).toEqual([]);
  });
  it('ROBUSTNESS-reentrancy-1: close() in a handler while more frames are in the same chunk: no further message, one close frame', async () => {
    const { ws, transport, tasks, sent } = await opened();
    const seen: unknown[] = [];
    ws.onmessage = (event) => {
      seen.push(event.data);
      ws.close(1000);
      ws.close(4000);
    };
    transport.feed(Uint8Array.of(0x81, 1, 0x61, 0x81, 1, 0x62, 0x81, 1, 0x63, 0x88, 0));
    await tasks.run();
    expect(seen).toEqual(['a']);
    expect(sent().map(({ opcode, payload }) => [opcode, hex(payload)])).toEqual([[8, '03e8']]);
  });
  it('an answer sent in the handler goes out before the answer to a close in the same chunk', async () => {
    const { ws, transport, tasks, sent } = await opened();
    ws.onmessage = (event) => ws.send(`echo ${String(event.data)}`);
    transport.feed(Uint8Array.of(0x81, 1, 0x61, 0x81, 1, 0x62, 0x88, 2, 0x0f, 0xa0));
    await tasks.run();
    expect(sent().map(({ opcode, text }) => (opcode === 1 ? text : opcode))).toEqual(['echo a', 'echo b', 8]);
  });
  it('WHATWG-WEBSOCKETS-binaryType-1: only the two values are kept', async () => {
    const { ws } = await opened();
    ws.binaryType = 'x' as 'blob';
    expect(ws.binaryType).toBe('blob');
    ws.binaryType = 'arraybuffer';
    ws.binaryType = undefined as unknown as 'blob';
    expect(ws.binaryType).toBe('arraybuffer');
  });
  it('WHATWG-WEBSOCKETS-binaryType-2: the value at the time of the event decides', async () => {
    const { ws, feed, tasks, log } = await opened();
    feed(2, 'x');
    ws.binaryType = 'arraybuffer';
    await tasks.run();
    expect(log).toEqual(['message 1 [object ArrayBuffer]']);
  });
  it('one ArrayBuffer per message, shared with nothing', async () => {
    const { ws, transport, tasks } = await opened();
    ws.binaryType = 'arraybuffer';
    const buffers: ArrayBuffer[] = [];
    ws.onmessage = (event) => buffers.push(event.data as ArrayBuffer);
    transport.feed(Uint8Array.of(0x82, 2, 1, 2, 0x82, 2, 3, 4));
    await tasks.run();
    expect(buffers.map((buffer) => [buffer.byteLength, ...new Uint8Array(buffer)])).toEqual([
      [2, 1, 2],
      [2, 3, 4],
    ]);
    expect(buffers[0]).not.toBe(buffers[1]);
  });
});

describe('one event per task', () => {
  it('promise callbacks run between two events of one chunk, and every event has a task of its own', async () => {
    const { ws, transport, tasks } = await opened();
    const order: string[] = [];
    ws.onmessage = (event) => {
      order.push(String(event.data));
      void Promise.resolve()
        .then(() => {})
        .then(() => order.push(`after ${String(event.data)}`));
    };
    ws.onclose = () => order.push('close');
    transport.feed(Uint8Array.of(0x81, 1, 0x61, 0x81, 1, 0x62, 0x88, 2, 3, 0xe8));
    transport.feedEof();
    expect(order).toEqual([]);
    await tasks.step();
    expect(order).toEqual(['a', 'after a']);
    await tasks.step();
    expect(order).toEqual(['a', 'after a', 'b', 'after b']);
    await tasks.run();
    expect(order).toEqual(['a', 'after a', 'b', 'after b', 'close']);
  });
  it('holds with the platform scheduler too', async () => {
    const clock = virtualClock();
    const transport = fakeTransport({ clock });
    const { connection, driver } = connect(clock, transport, 'client');
    const ws = WebSocket.from(connection, driver);
    const order: string[] = [];
    const closed = new Promise<void>((resolve) => {
      ws.onclose = () => {
        order.push('close');
        resolve();
      };
    });
    ws.onmessage = (event) => {
      order.push(String(event.data));
      queueMicrotask(() => order.push('micro'));
    };
    transport.feed(Uint8Array.of(0x81, 1, 0x61, 0x81, 1, 0x62, 0x88, 2, 3, 0xe8));
    transport.feedEof();
    await closed;
    expect(order).toEqual(['a', 'micro', 'b', 'micro', 'close']);
  });
  it('keeps 3000 messages of one chunk in order', async () => {
    const { ws, transport, tasks } = await opened();
    const seen: string[] = [];
    ws.onmessage = (event) => seen.push(String(event.data));
    const chunk: number[] = [];
    for (let index = 0; index < 300; index += 1) chunk.push(0x81, 4, ...utf8(String(1000 + index)));
    transport.feed(Uint8Array.from(chunk));
    await tasks.run();
    expect(seen).toEqual(Array.from({ length: 300 }, (_, index) => String(1000 + index)));
  });
});

describe('close and error', () => {
  it('WHATWG-WEBSOCKETS-events-3: a received close frame moves to CLOSING before close is dispatched', async () => {
    const { ws, feed, transport, tasks, log } = await opened();
    feed(8, closePayload(4001, 'bye'));
    await tasks.run();
    expect([ws.readyState, log]).toEqual([2, []]);
    transport.feedEof();
    await tasks.run();
    expect(log).toEqual(['close 3 true 4001 "bye"']);
  });
  it('WHATWG-WEBSOCKETS-events-4: a protocol error gives error and close, both in CLOSED', async () => {
    const { transport, tasks, log } = await opened();
    transport.feed(Uint8Array.of(0x83, 0));
    transport.feedEof();
    await tasks.run();
    expect(log).toEqual(['error 3', 'close 3 false 1006 ""']);
  });
  it('WHATWG-WEBSOCKETS-events-4: a clean close gives close only, and nothing ever comes after it', async () => {
    const { ws, feed, transport, tasks, log, clock } = await opened();
    ws.close(3000, 'done');
    feed(8, closePayload(3000, 'done'));
    transport.feedEof();
    await tasks.run();
    expect(log).toEqual(['close 3 true 3000 "done"']);
    transport.reset();
    ws.close();
    clock.advance(600_000);
    await tasks.run();
    expect(log).toHaveLength(1);
  });
  it('WHATWG-WEBSOCKETS-events-5: close has wasClean, code and reason, and the reason keeps its byte order mark', async () => {
    const { feed, transport, tasks, ws } = await opened();
    let reason = '';
    ws.onclose = (event) => {
      reason = event.reason;
    };
    feed(8, closePayload(1000, Uint8Array.of(0xef, 0xbb, 0xbf, 0x78)));
    transport.feedEof();
    await tasks.run();
    expect(reason).toBe('\ufeffx');
  });
  it('a close frame without a code is 1005', async () => {
    const { feed, transport, tasks, log } = await opened();
    feed(8);
    transport.feedEof();
    await tasks.run();
    expect(log).toEqual(['close 3 true 1005 ""']);
  });
  it('WHATWG-WEBSOCKETS-events-6: failures cannot be told apart', async () => {
    const shapes: unknown[] = [];
    const record = (ws: WebSocket): void => {
      const shape: unknown[] = [];
      shapes.push(shape);
      const keep = (event: EventLike): void => {
        const own = Object.keys(event).filter((key) => key !== 'isTrusted');
        shape.push([event.type, own, (event as { code?: number }).code, (event as { reason?: string }).reason]);
      };
      ws.onerror = keep;
      ws.onclose = keep;
    };
    for (const error of [
      new Error('ENOTFOUND'),
      new Error('ECONNREFUSED'),
      new Error('certificate'),
      new Error('WS_HS_ACCEPT'),
      undefined,
    ]) {
      const made = bench();
      record(new made.WebSocket('ws://h/'));
      await made.refuse(error);
      await made.tasks.run();
    }
    for (const end of ['reset', 'feedEof'] as const) {
      const { ws, transport, tasks } = await opened();
      record(ws);
      transport[end]();
      await tasks.run();
    }
    expect(shapes).toHaveLength(7);
    for (const shape of shapes) expect(shape).toEqual(shapes[0]);
    expect(shapes[0]).toEqual([
      ['error', [], undefined, undefined],
      ['close', [], 1006, ''],
    ]);
  });
  it('WHATWG-WEBSOCKETS-websocket-protocol-3: a refused handshake gives error and close 1006', async () => {
    const made = bench();
    const log = logOf(new made.WebSocket('ws://h/'));
    await made.refuse(new Error('status 302'));
    await made.tasks.run();
    expect(log).toEqual(['error 3', 'close 3 false 1006 ""']);
  });
  it('a reset in OPEN gives error and close 1006', async () => {
    const { transport, tasks, log } = await opened();
    transport.reset();
    await tasks.run();
    expect(log).toEqual(['error 3', 'close 3 false 1006 ""']);
  });
});

describe('a CloseEvent that a program has put in the place of the host’s', () => {
  const script = fileURLToPath(new URL('close-event.mjs', import.meta.url));
  it.each(['no Event', 'fields', 'accessors'])('does no harm, and is the base where it can be: %s', (kind) => {
    const { stdout, stderr, status } = spawnSync(process.execPath, [script, kind], { encoding: 'utf8', timeout: 60_000 });
    expect([stderr, status]).toEqual(['', 0]);
    expect(JSON.parse(stdout)).toEqual([4001, 'why', true, kind === 'accessors']);
  });
});

describe('handlers', () => {
  it('WHATWG-WEBSOCKETS-events-7: attributes and listeners fire in the order of registration', async () => {
    const { ws, feed, tasks } = await opened();
    const order: string[] = [];
    ws.addEventListener('message', () => order.push('first'));
    ws.onmessage = () => order.push('replaced');
    ws.addEventListener('message', () => order.push('third'));
    ws.onmessage = () => order.push('attribute');
    feed(1, 'x');
    await tasks.run();
    expect(order).toEqual(['first', 'attribute', 'third']);
    ws.onmessage = null;
    ws.onmessage = () => order.push('last');
    order.length = 0;
    feed(1, 'x');
    await tasks.run();
    expect(order).toEqual(['first', 'third', 'last']);
  });
  it('attributes are called once where the host calls them too', () => {
    const script = fileURLToPath(new URL('calling-host.mjs', import.meta.url));
    const { stdout, stderr, status } = spawnSync(process.execPath, [script], { encoding: 'utf8', timeout: 60_000 });
    expect([stderr, status]).toEqual(['', 0]);
    expect(JSON.parse(stdout)).toEqual(['a', 'listener a', 1006, true, null]);
  });
  it('attributes take functions; anything else is null, an object that cannot be called does nothing', async () => {
    const { ws, feed, tasks, log } = await opened();
    const handler = (): void => {};
    ws.onmessage = handler;
    expect(ws.onmessage).toBe(handler);
    ws.onmessage = 3 as unknown as null;
    expect(ws.onmessage).toBeNull();
    const object = { handleEvent: () => log.push('called') } as unknown as () => void;
    ws.onmessage = object;
    expect(ws.onmessage).toBe(object);
    feed(1, 'x');
    await tasks.run();
    expect(log).toEqual(['message 1 x']);
  });
  it('are called with the socket as this', async () => {
    const { ws, feed, tasks } = await opened();
    const seen: unknown[] = [];
    ws.onmessage = function (this: unknown, event) {
      seen.push(this === ws, event.target === ws);
    };
    feed(1, 'x');
    await tasks.run();
    expect(seen).toEqual([true, true]);
  });
  it('WHATWG-WEBSOCKETS-events-7: a handler that throws does not break the connection', async () => {
    const { ws, transport, tasks } = await opened();
    const seen: unknown[] = [];
    ws.onmessage = (event) => {
      seen.push(event.data);
      throw new Error('from a handler');
    };
    const reported = await uncaughtDuring(async () => {
      transport.feed(Uint8Array.of(0x81, 1, 0x61, 0x81, 1, 0x62));
      await tasks.run();
      await settle();
    });
    expect(seen).toEqual(['a', 'b']);
    expect(reported).toEqual(['Error: from a handler', 'Error: from a handler']);
    expect(ws.readyState).toBe(1);
  });
});

describe('what is not an event', () => {
  it('WHATWG-WEBSOCKETS-ping-1: a ping is answered without any event', async () => {
    const { feed, sent, tasks, log } = await opened();
    feed(9, 'p');
    feed(10, 'q');
    await tasks.run();
    expect(sent().map(({ opcode, text }) => [opcode, text])).toEqual([[10, 'p']]);
    expect(log).toEqual([]);
  });
});

describe('life of the object', () => {
  it('leaves a connection that pushes as it was: it throws', () => {
    const clock = virtualClock();
    const transport = fakeTransport({ clock });
    const texts: string[] = [];
    let asked = 0;
    const connection = new Connection({ role: 'client', clock: clock.now, sink: { onText: (text) => void texts.push(text) } });
    const driver = drive(connection, transport, { clock: clock.now, timers: clock, onEvents: () => void asked++ });
    transport.attach(driver);
    expect(() => WebSocket.from(connection, driver)).toThrow(TypeError);
    transport.feed(Uint8Array.of(0x81, 1, 0x61));
    expect([texts, asked, driver.onDrain]).toEqual([['a'], 1, null]);
  });
  it('WHATWG-WEBSOCKETS-gc-1: a socket with listeners is kept alive by its transport', async () => {
    const collect = (globalThis as { gc?: () => void }).gc;
    expect(collect, 'run with --expose-gc').toBeTypeOf('function');
    const seen: unknown[] = [];
    const made = bench();
    const weak = await (async () => {
      const ws = new made.WebSocket('ws://h/');
      ws.onmessage = (event) => seen.push(event.data);
      await made.accept();
      await made.tasks.run();
      return new WeakRef(ws);
    })();
    for (let turn = 0; turn < 5; turn += 1) {
      await settle();
      collect?.();
    }
    expect(weak.deref()).toBeDefined();
    made.feed(1, 'still here');
    await made.tasks.run();
    expect(seen).toEqual(['still here']);
  });
  it('WHATWG-WEBSOCKETS-make-disappear-1: fails while connecting, else closes with 1001', async () => {
    const connecting = bench();
    const early = new connecting.WebSocket('ws://h/');
    const log = logOf(early);
    makeDisappear(early);
    expect(early.readyState).toBe(2);
    await connecting.tasks.run();
    expect(log).toEqual(['error 3', 'close 3 false 1006 ""']);

    const { ws, sent } = await opened();
    makeDisappear(ws);
    expect(sent().map(({ opcode, payload }) => [opcode, hex(payload)])).toEqual([[8, '03e9']]);
    const { ws: accepted, transport } = server();
    makeDisappear(accepted);
    expect(hex(transport.written)).toBe('880203e9');
  });
});
