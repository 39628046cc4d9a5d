/** send() and bufferedAmount (WHATWG WebSockets): types, order, ownership, counting. */

import { fakeTransport, virtualClock } from '@ferrywire/driver/testing';
import { WebSocket } from '@ferrywire/websocket';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { bench, closePayload, connect, framesOf, hex, logOf, manualTasks, nameOf, opened, settle, utf8 } from './helpers.ts';

describe('state', () => {
  it('WHATWG-WEBSOCKETS-send-1 RFC6455-6.1-1: in CONNECTING throws InvalidStateError', () => {
    const ws = new (bench().WebSocket)('ws://h/');
    expect(nameOf(() => ws.send('x'))).toBe('InvalidStateError');
    expect(ws.bufferedAmount).toBe(0);
  });
  it('RFC6455-6.1-1: in CLOSING and CLOSED nothing is written', async () => {
    const { ws, feed, transport, tasks, sent } = await opened();
    ws.close();
    ws.send('late');
    feed(8);
    transport.feedEof();
    await tasks.run();
    ws.send('later');
    expect(sent().map(({ opcode }) => opcode)).toEqual([8]);
  });
  it('needs an argument', async () => {
    const { ws, sent } = await opened();
    expect(() => Reflect.apply(ws.send, ws, [])).toThrow(TypeError);
    ws.send(undefined as unknown as string);
    ws.send(7 as unknown as string);
    expect(sent().map(({ opcode, text }) => [opcode, text])).toEqual([
      [1, 'undefined'],
      [1, '7'],
    ]);
  });
});

describe('data', () => {
  it('WHATWG-WEBSOCKETS-send-2: strings as text, lone surrogates as U+FFFD; views only with their section', async () => {
    const { ws, transport, sent, tasks } = await opened();
    const buffer = Uint8Array.of(0, 1, 2, 3, 4, 5, 6).buffer;
    ws.send('\ud800');
    ws.send('a\udc00b\ud83d\ude00');
    ws.send(new Uint8Array(buffer, 2, 3));
    ws.send(new DataView(buffer, 5));
    ws.send(new Uint16Array(buffer.slice(0, 4), 2, 1));
    ws.send(buffer);
    ws.send(new Blob([Uint8Array.of(9, 8)]));
    await settle();
    await tasks.run();
    expect(sent().map(({ opcode, payload }) => [opcode, hex(payload)])).toEqual([
      [1, 'efbfbd'],
      [1, '61efbfbd62f09f9880'],
      [2, '020304'],
      [2, '0506'],
      [2, '0203'],
      [2, '00010203040506'],
      [2, '0908'],
    ]);
    expect(transport.written[1]).toBe(0x80 | 3);
  });
  it('a Blob without the brand, which a test environment has put in the place of the host’s, is bytes all the same', async () => {
    const { ws, tasks, sent } = await opened();
    class Unbranded {
      readonly size = 2;
      readonly arrayBuffer = async (): Promise<ArrayBuffer> => Uint8Array.of(9, 8).buffer;
    }
    vi.stubGlobal('Blob', Unbranded);
    try {
      ws.send(new Unbranded() as unknown as Blob);
    } finally {
      vi.unstubAllGlobals();
    }
    await settle();
    await tasks.run();
    expect(sent().map(({ opcode, payload }) => [opcode, hex(payload)])).toEqual([[2, '0908']]);
  });
  it('a Blob that cannot be read, as jsdom’s was, is refused, and holds up nothing', async () => {
    const { ws, tasks, sent } = await opened();
    class Unread {
      readonly size = 2;
    }
    vi.stubGlobal('Blob', Unread);
    try {
      expect(() => ws.send(new Unread() as unknown as Blob)).toThrow(/^send\(data\): this Blob has no arrayBuffer/);
    } finally {
      vi.unstubAllGlobals();
    }
    expect(ws.bufferedAmount).toBe(0);
    ws.send('behind');
    await tasks.run();
    expect(sent().map(({ text }) => text)).toEqual(['behind']);
  });
  it('Web IDL, bytes held by a buffer source: one that was transferred holds none', async () => {
    const { ws, tasks, sent } = await opened();
    const buffer = Uint8Array.of(1, 2, 3, 4).buffer;
    const views = [new Uint8Array(buffer, 1), new Uint16Array(buffer), new DataView(buffer, 1, 2)];
    structuredClone(null, { transfer: [buffer] });
    for (const data of [buffer, ...views]) {
      ws.send(data);
      expect(ws.bufferedAmount).toBe(0);
    }
    ws.send(new Blob(['first']));
    ws.send(buffer);
    await settle();
    await tasks.run();
    expect(sent().map(({ opcode, text }) => [opcode, text])).toEqual([...Array(4).fill([2, '']), [2, 'first'], [2, '']]);
    ws.close();
    ws.send(new DataView(new ArrayBuffer(3)));
    for (const data of [buffer, ...views]) ws.send(data);
    expect(ws.bufferedAmount).toBe(3);
  });
  it('refuses shared memory', async () => {
    const { ws } = await opened();
    expect(() => ws.send(new Uint8Array(new SharedArrayBuffer(4)))).toThrow(TypeError);
  });
  it('RFC6455-5.3-4: the buffer of the caller is never written to, whatever its size', async () => {
    const { ws, tasks, sent } = await opened();
    for (const size of [0, 1, 125, 16_383, 16_384, 200_000]) {
      const data = new Uint8Array(size).fill(7);
      ws.send(data);
      expect(data.every((byte) => byte === 7)).toBe(true);
      await tasks.run();
      expect(data.every((byte) => byte === 7)).toBe(true);
    }
    expect(sent().map(({ payload }) => payload.length)).toEqual([0, 1, 125, 16_383, 16_384, 200_000]);
  });
  it.each(['Blob', 'File'])('takes a %s of another realm, by its brand, and as text what only has the brand', async (brand) => {
    const { ws, tasks, sent } = await opened();
    const foreign = { [Symbol.toStringTag]: brand, size: 2, type: '', arrayBuffer: async () => Uint8Array.of(7, 8).buffer };
    ws.send(foreign);
    ws.send({ [Symbol.toStringTag]: brand } as unknown as string);
    await settle();
    await tasks.run();
    expect(sent().map(({ opcode, payload, text }) => (opcode === 2 ? [...payload] : text))).toEqual([[7, 8], `[object ${brand}]`]);
  });
  it('the caller may change the buffer right after the call, on clients and servers, with a slow transport and behind a Blob', async () => {
    for (const role of ['client', 'server'] as const) {
      const clock = virtualClock();
      const transport = fakeTransport({ clock, room: 0 });
      const { connection, driver } = connect(clock, transport, role);
      const ws = WebSocket.from(connection, driver);
      const big = new Uint8Array(40_000).fill(1);
      const small = new Uint8Array(10).fill(1);
      // The smallest that the connection holds by reference.
      const limit = new Uint8Array(16_384).fill(1);
      ws.send('first, which stalls');
      ws.send(big);
      ws.send(small);
      ws.send(limit);
      ws.send(new Blob(['blob']));
      ws.send(big);
      ws.send(small);
      big.fill(2);
      small.fill(2);
      limit.fill(2);
      await settle();
      transport.grant();
      await settle();
      const binary = framesOf(transport.written).filter(({ opcode, text }) => opcode === 2 && text !== 'blob');
      expect(binary.map(({ payload }) => payload.length)).toEqual([40_000, 10, 16_384, 40_000, 10]);
      expect(binary.every(({ payload }) => payload.every((byte) => byte === 1))).toBe(true);
    }
  });
});

describe('order', () => {
  it('WHATWG-WEBSOCKETS-send-4: is kept across types, Blobs read asynchronously included', async () => {
    const { ws, sent, tasks } = await opened();
    ws.send('1');
    ws.send(new Blob(['2']));
    ws.send('3');
    ws.send(utf8('4'));
    ws.send(new Blob(['5']));
    ws.send(new Blob(['6']));
    ws.send('7');
    await settle();
    await tasks.run();
    expect(sent().map(({ text }) => text)).toEqual(['1', '2', '3', '4', '5', '6', '7']);
  });
  it('RFC6455-6.1-5: 1000 messages of mixed size and type leave in call order', async () => {
    const { ws, sent, tasks } = await opened();
    for (let index = 0; index < 1000; index += 1) {
      const text = `${index} ${'x'.repeat((index * 37) % 700)}`;
      if (index % 3 === 0) ws.send(text);
      else if (index % 3 === 1) ws.send(utf8(text));
      else ws.send(new Blob([text]));
    }
    for (let turn = 0; turn < 1000 && sent().length < 1000; turn += 1) await settle();
    await tasks.run();
    expect(sent().map(({ text }) => Number(text.split(' ', 1)[0]))).toEqual(Array.from({ length: 1000 }, (_, index) => index));
  });
  it('so do those behind a Blob, however many', async () => {
    const { ws, sent, tasks } = await opened();
    ws.send(new Blob(['0']));
    for (let index = 1; index < 5000; index += 1) ws.send(String(index));
    ws.close(1000);
    await settle();
    await tasks.run();
    const frames = sent();
    expect(frames.slice(0, -1).map(({ text }) => Number(text))).toEqual(Array.from({ length: 5000 }, (_, index) => index));
    expect(frames.at(-1)?.opcode).toBe(8);
  });
  it('a close waits for a Blob that is being read', async () => {
    const { ws, sent, tasks, feed, transport, log } = await opened();
    ws.send(new Blob(['blob']));
    ws.close(4000, 'after');
    ws.send('dropped');
    expect([ws.readyState, sent()]).toEqual([2, []]);
    await settle();
    expect(sent().map(({ opcode }) => opcode)).toEqual([2, 8]);
    feed(8, closePayload(4000, 'after'));
    transport.feedEof();
    await tasks.run();
    expect(log).toEqual(['close 3 true 4000 "after"']);
  });
  it('a Blob whose bytes never come holds back the close alone, neither that of the peer nor a deadline', async () => {
    const never = (): Blob => Object.defineProperty(new Blob(['x']), 'arrayBuffer', { value: () => new Promise(() => {}) });
    for (const end of ['close', 'silence'] as const) {
      const { ws, sent, tasks, feed, transport, log, clock } = await opened({ timeouts: { keepalive: 1000, pong: 1000, closing: 1000 } });
      ws.send(never());
      ws.send('behind it');
      ws.close(4000);
      await tasks.run();
      expect([ws.readyState, sent()]).toEqual([2, []]);
      if (end === 'close') {
        feed(8, closePayload(4001));
        transport.feedEof();
      }
      for (let time = 0; time < 5; time++) {
        clock.advance(1000);
        await tasks.run();
      }
      const unclean = ['error 3', 'close 3 false 1006 ""'];
      expect(log).toEqual(end === 'close' ? ['close 3 true 4001 ""'] : unclean);
      expect(sent().map(({ opcode }) => opcode)).toEqual(end === 'close' ? [8] : [9, 8]);
    }
  });
  it('a Blob that cannot be read fails the connection', async () => {
    const { ws, tasks, transport, log, sent } = await opened();
    const blob = new Blob(['x']);
    Object.defineProperty(blob, 'arrayBuffer', { value: () => Promise.reject(new Error('gone')) });
    ws.send(blob);
    ws.send('behind it');
    await settle();
    // Without waiting for anything else to come.
    expect(sent().map(({ opcode }) => opcode)).toEqual([8]);
    transport.feedEof();
    await tasks.run();
    expect(log).toEqual(['error 3', 'close 3 false 1006 ""']);
    expect(sent()).toHaveLength(1);
  });
});

describe('bufferedAmount', () => {
  it('WHATWG-WEBSOCKETS-bufferedAmount-1: counts payload, no framing, and changes between tasks', async () => {
    const { ws, tasks } = await opened();
    ws.send('é');
    expect(ws.bufferedAmount).toBe(2);
    ws.send(new ArrayBuffer(10));
    expect(ws.bufferedAmount).toBe(12);
    ws.send(new Blob(['abc']));
    expect(ws.bufferedAmount).toBe(15);
    ws.send('\ud800');
    ws.send('😀');
    ws.send('✓');
    expect(ws.bufferedAmount).toBe(25);
    await settle();
    await tasks.run();
    expect(ws.bufferedAmount).toBe(0);
  });
  it('WHATWG-WEBSOCKETS-bufferedAmount-1: counts each character as long as it is in UTF-8, a lone surrogate as U+FFFD', async () => {
    const { ws } = await opened({}, { room: 0 });
    const units = [0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000, 0xffff];
    for (const first of units) {
      for (const second of units) {
        const text = String.fromCharCode(first, second);
        const before = ws.bufferedAmount;
        ws.send(text);
        expect([first, second, ws.bufferedAmount - before]).toEqual([first, second, Buffer.byteLength(text)]);
      }
    }
  });
  it('WHATWG-WEBSOCKETS-bufferedAmount-1: falls as the transport takes, message by message', async () => {
    const { ws, tasks, transport } = await opened({}, { room: 0, highWaterMark: 100_000 });
    ws.send('a'.repeat(100));
    ws.send('b'.repeat(50));
    await tasks.run();
    expect(ws.bufferedAmount).toBe(150);
    // The first message and its header of 6 bytes.
    transport.grant(106);
    expect(ws.bufferedAmount).toBe(150);
    await tasks.run();
    expect(ws.bufferedAmount).toBe(50);
    transport.grant();
    expect(ws.bufferedAmount).toBe(50);
    await tasks.run();
    expect(ws.bufferedAmount).toBe(0);
  });
  it('is right again behind more messages than are followed one by one', async () => {
    const { ws, tasks, transport } = await opened({}, { room: 0, highWaterMark: 100_000 });
    for (let count = 0; count < 1200; count++) ws.send('ab');
    await tasks.run();
    expect(ws.bufferedAmount).toBe(2400);
    // Each with its header of 6 bytes.
    transport.grant(1200 * 8);
    expect(ws.bufferedAmount).toBe(2400);
    await tasks.run();
    expect(ws.bufferedAmount).toBe(0);
    ws.send('a'.repeat(100));
    await tasks.run();
    expect(ws.bufferedAmount).toBe(100);
  });
  it('falls after a drain', async () => {
    const { ws, tasks, transport } = await opened({}, { room: 0 });
    ws.send('a'.repeat(100));
    ws.send('b'.repeat(100));
    await tasks.run();
    expect(ws.bufferedAmount).toBe(200);
    transport.grant();
    await tasks.run();
    expect(ws.bufferedAmount).toBe(0);
  });
  it('WHATWG-WEBSOCKETS-bufferedAmount-2: after closing it only grows, and is never reset', async () => {
    const { ws, feed, tasks, transport } = await opened();
    ws.close();
    ws.send('abc');
    expect(ws.bufferedAmount).toBe(3);
    feed(8);
    transport.feedEof();
    await tasks.run();
    expect([ws.readyState, ws.bufferedAmount]).toEqual([3, 3]);
    ws.send(new Uint8Array(4));
    await tasks.run();
    expect(ws.bufferedAmount).toBe(7);
  });
  it('WHATWG-WEBSOCKETS-bufferedAmount-2: what a failed connection had not sent stays counted', async () => {
    const { ws, tasks, transport, log } = await opened({}, { room: 0 });
    ws.send('x'.repeat(1000));
    transport.reset();
    await tasks.run();
    expect([ws.bufferedAmount, log]).toEqual([1000, ['error 3', 'close 3 false 1006 ""']]);
    ws.send('y');
    await tasks.run();
    expect(ws.bufferedAmount).toBe(1001);
  });
  it('WHATWG-WEBSOCKETS-bufferedAmount-2: nor is it counted as sent while its end stands behind unread messages', async () => {
    const { ws, tasks, driver, transport } = await opened({}, { room: 0 });
    const amounts: number[] = [];
    ws.addEventListener('message', () => void amounts.push(ws.bufferedAmount));
    ws.addEventListener('close', () => void amounts.push(ws.bufferedAmount));
    // The first one waits in the transport, the second in the connection.
    ws.send('x'.repeat(1000));
    ws.send('y'.repeat(2000));
    await tasks.run();
    // Is looked at in a task of its own, which comes before those of the messages.
    expect(ws.bufferedAmount).toBe(3000);
    transport.feed(Buffer.from('810161'.repeat(3), 'hex'));
    // The transport is not gone yet.
    driver.error(new Error('reset'));
    await tasks.run();
    expect([amounts, ws.bufferedAmount]).toEqual([[3000, 3000, 3000, 3000], 3000]);
  });
  it('counts what is dropped when closed before it was open', () => {
    const ws = new (bench().WebSocket)('ws://h/');
    ws.close();
    ws.send('abc');
    expect(ws.bufferedAmount).toBe(3);
  });
  it('WHATWG-WEBSOCKETS-send-3: a full bounded buffer closes the socket with an error', async () => {
    const { ws, tasks, transport, log } = await opened({}, { room: 0 }, { maxBufferedAmount: 100 });
    ws.send('x'.repeat(60));
    ws.send('x'.repeat(40));
    expect(ws.readyState).toBe(1);
    ws.send('x');
    expect([ws.readyState, ws.bufferedAmount, transport.aborted]).toEqual([2, 101, true]);
    await tasks.run();
    expect(log).toEqual(['error 3', 'close 3 false 1006 ""']);
    expect(ws.bufferedAmount).toBe(101);
  });
  it('and no message that waited is dispatched behind that', async () => {
    const { ws, tasks, transport, log } = await opened({}, { room: 0 }, { maxBufferedAmount: 100 });
    transport.feed(Uint8Array.of(0x81, 1, 0x61));
    expect(tasks.pending).toBe(1);
    ws.send('x'.repeat(101));
    await tasks.run();
    expect(log).toEqual(['error 3', 'close 3 false 1006 ""']);
  });
  it('is the UTF-8 length of any string, as TextEncoder has it', async () => {
    const { ws, tasks } = await opened();
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'binary' }),
        fc.array(fc.integer({ min: 0xd800, max: 0xdfff }), { maxLength: 3 }),
        async (text, units) => {
          const data = text + String.fromCharCode(...units);
          ws.send(data);
          expect(ws.bufferedAmount).toBe(new TextEncoder().encode(data).length);
          await tasks.run();
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('writes', () => {
  it('what handlers of one burst send leaves in few writes', async () => {
    const { ws, transport, tasks, sent } = await opened();
    ws.onmessage = (event) => ws.send(event.data as string);
    const chunk: number[] = [];
    for (let index = 0; index < 64; index += 1) chunk.push(0x81, 1, 0x61);
    const before = transport.writes.length;
    transport.feed(Uint8Array.from(chunk));
    await tasks.run();
    expect(sent()).toHaveLength(64);
    expect(transport.writes.length - before).toBeLessThanOrEqual(4);
  });
  it('and does not wait until the burst is over', async () => {
    const { ws, transport, tasks, sent } = await opened();
    let messages = 0;
    ws.onmessage = () => {
      messages += 1;
      ws.send('answer');
    };
    // In one piece: each piece that comes later is a turn of the host, in which output leaves.
    transport.feed(Uint8Array.from(Array.from({ length: 200 }, () => [0x81, 1, 0x61]).flat()));
    for (let turn = 0; turn < 1000 && messages < 100; turn += 1) await tasks.step();
    expect(sent().length).toBeGreaterThan(30);
    await tasks.run();
    expect(sent()).toHaveLength(200);
  });
  it('outside of events a send is written at once', async () => {
    const { ws, sent } = await opened();
    ws.send('now');
    expect(sent().map(({ text }) => text)).toEqual(['now']);
  });
  it('an answer is not held back behind a slow reader of messages()', async () => {
    const { ws, feed, sent, tasks } = await opened();
    const iterator = ws.messages({ highWaterMark: 8 });
    feed(1, 'a');
    feed(1, 'b');
    feed(1, 'c');
    expect((await iterator.next()).value).toBe('a');
    for (const answer of ['one', 'two']) {
      ws.send(answer);
      await tasks.run();
      expect(sent().at(-1)?.text).toBe(answer);
    }
  });
});

it('two sockets joined: what one sends the other receives', async () => {
  const tasks = manualTasks();
  const clock = virtualClock();
  const left = fakeTransport({ clock });
  const { connection, driver } = connect(clock, left, 'client');
  class Scheduled extends WebSocket {
    static override readonly connector = { schedule: tasks.schedule, connect: () => Promise.reject(new Error('not used')) };
  }
  const client = Scheduled.from(connection, driver);
  const right = fakeTransport({ clock });
  const peer = connect(clock, right, 'server');
  const server = Scheduled.from(peer.connection, peer.driver);
  const log = logOf(server);
  client.send('hello');
  client.close(4321, 'bye');
  right.feed(left.written);
  await tasks.run();
  left.feed(right.written);
  left.feedEof();
  right.feedEof();
  await tasks.run();
  expect(log).toEqual(['message 1 hello', 'close 3 true 4321 "bye"']);
  expect(client.readyState).toBe(3);
});

it('a hundred thousand messages that wait are counted, and leave in order, in linear time', async () => {
  const { ws, transport, tasks, sent } = await opened({}, { room: 0 });
  for (let index = 0; index < 100_000; index += 1) ws.send(String(index % 10));
  expect(ws.bufferedAmount).toBe(100_000);
  transport.grant();
  await tasks.run();
  expect(ws.bufferedAmount).toBe(0);
  const texts = sent().map(({ text }) => text);
  expect(texts).toHaveLength(100_000);
  expect(texts.every((text, index) => text === String(index % 10))).toBe(true);
});
