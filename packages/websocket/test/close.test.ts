/** close(): validation, the four states, what goes on the wire (WHATWG WebSockets, `close(code, reason)`). */
import { serializeFrame } from '@ferrywire/core/frame';
import { type CloseEventLike, WebSocketError } from '@ferrywire/websocket';
import { describe, expect, it } from 'vitest';
import { bench, closePayload, hex, logOf, nameOf, opened, settle, utf8 } from './helpers.ts';

describe('arguments', () => {
  it('WHATWG-WEBSOCKETS-close-1: a code other than 1000 or 3000 to 4999 throws InvalidAccessError, after [Clamp]', () => {
    const close = (code: unknown): string => {
      const ws = new (bench().WebSocket)('ws://h/');
      const name = nameOf(() => ws.close(code as number));
      expect(ws.readyState).toBe(name === 'nothing' ? 2 : 0);
      return name;
    };
    for (const code of [0, 999, 1001, 1005, 1006, 1015, 2999, 5000, 65_536 + 1000, Number.NaN, -1, Infinity, null, 'abc', 999.4, 4999.5]) {
      expect(close(code), String(code)).toBe('InvalidAccessError');
    }
    for (const code of [1000, 3000, 4999, undefined, 1000.4, 999.5, 2999.6, '3000']) expect(close(code), String(code)).toBe('nothing');
  });
  it('WHATWG-WEBSOCKETS-close-1: a code is rounded, halves to the even one', async () => {
    for (const [code, rounded] of [
      [2999.5, 3000],
      [3000.4, 3000],
      [3000.5, 3000],
      [3000.6, 3001],
      [3001.5, 3002],
    ] as const) {
      const { ws, sent } = await opened();
      ws.close(code);
      expect(sent().map(({ payload }) => [...payload])).toEqual([[...closePayload(rounded)]]);
    }
  });
  it('WHATWG-WEBSOCKETS-close-2: a reason above 123 bytes of UTF-8 throws SyntaxError', () => {
    const close = (reason: string): string => nameOf(() => new (bench().WebSocket)('ws://h/').close(1000, reason));
    expect(close('é'.repeat(62))).toBe('SyntaxError');
    expect(close(`${'é'.repeat(61)}a`)).toBe('nothing');
    expect(close('\ud800'.repeat(41))).toBe('nothing');
    expect(close('\ud800'.repeat(42))).toBe('SyntaxError');
    expect(close('x'.repeat(123))).toBe('nothing');
    expect(close('x'.repeat(124))).toBe('SyntaxError');
    expect(() => new (bench().WebSocket)('ws://h/').close(1000, 'x'.repeat(124))).toThrow(DOMException);
  });
});

describe('states', () => {
  it('WHATWG-WEBSOCKETS-close-3: in CLOSING and CLOSED nothing happens, after validation', async () => {
    const { ws, sent, feed, transport, tasks, log } = await opened();
    ws.close(1000);
    ws.close(4000);
    ws.close();
    expect(nameOf(() => ws.close(1))).toBe('InvalidAccessError');
    feed(8, closePayload(1000));
    transport.feedEof();
    await tasks.run();
    ws.close(4000);
    expect(nameOf(() => ws.close(1))).toBe('InvalidAccessError');
    expect(ws.readyState).toBe(3);
    expect(sent().map(({ payload }) => hex(payload))).toEqual(['03e8']);
    expect(log).toEqual(['close 3 true 1000 ""']);
  });
  it('tells the end that came before the task of a message that close() has dropped', async () => {
    for (const lost of [true, false]) {
      const { ws, feed, transport, tasks, log } = await opened();
      feed(1, 'dropped');
      expect(tasks.pending).toBe(1);
      ws.close(1000);
      // All of it before the task that was asked for when the message came.
      if (lost) transport.reset();
      else {
        feed(8, closePayload(1000));
        transport.feedEof();
        transport.close();
      }
      await tasks.run();
      expect(log).toEqual(lost ? ['error 3', 'close 3 false 1006 ""'] : ['close 3 true 1000 ""']);
    }
  });
  it('WHATWG-WEBSOCKETS-close-4: before it is open, fails: CLOSING at once, then error and close 1006, never open', async () => {
    for (const answer of ['accept', 'refuse'] as const) {
      const made = bench();
      const ws = new made.WebSocket('ws://h/');
      const log = logOf(ws);
      ws.close(4000, 'reason');
      expect([ws.readyState, log]).toEqual([2, []]);
      expect(made.requests[0]?.signal.aborted).toBe(true);
      await made[answer]();
      await made.tasks.run();
      expect(log).toEqual(['error 3', 'close 3 false 1006 ""']);
      if (answer === 'accept') expect(made.transport.aborted).toBe(true);
    }
  });
  it('WHATWG-WEBSOCKETS-close-4: also between the handshake and the open event', async () => {
    const made = bench();
    const ws = new made.WebSocket('ws://h/');
    const log = logOf(ws);
    await made.accept();
    ws.close();
    await made.tasks.run();
    expect(log).toEqual(['error 3', 'close 3 false 1006 ""']);
    expect(made.transport.aborted).toBe(true);
  });
  it('RFC6455-7.1.3-1: a failure sends a close frame, so it enters CLOSING, behind the messages before it', async () => {
    for (const fails of ['protocol', 'pong'] as const) {
      const { ws, sent, feed, transport, tasks, log, clock } = await opened({ timeouts: { keepalive: 10, pong: 10 } });
      feed(1, 'before');
      if (fails === 'protocol') feed(3);
      expect(ws.readyState).toBe(1);
      await tasks.run();
      if (fails === 'pong') {
        expect(ws.readyState).toBe(1);
        clock.advance(20);
      }
      expect([fails, ws.readyState, sent().at(-1)?.opcode, log]).toEqual([fails, 2, 8, ['message 1 before']]);
      ws.send('late');
      await tasks.run();
      expect([ws.bufferedAmount, sent().at(-1)?.opcode]).toEqual([4, 8]);
      transport.feedEof();
      await tasks.run();
      expect([ws.readyState, log]).toEqual([3, ['message 1 before', 'error 3', 'close 3 false 1006 ""']]);
    }
  });
  it('RFC6455-7.1.3-1: so it does behind a message that waits for its task', async () => {
    const { ws, connection, feed, tasks, log, clock } = await opened({ timeouts: { keepalive: 10, pong: 10 } });
    feed(1, 'before');
    clock.advance(20);
    expect([connection.state, ws.readyState]).toEqual(['closing', 1]);
    await tasks.run();
    expect([ws.readyState, log]).toEqual([2, ['message 1 before']]);
  });
  it('RFC6455-7.1.3-1: so it does while messages are read on demand', async () => {
    const { ws, feed, tasks } = await opened();
    const messages = ws.messages();
    const first = messages.next();
    feed(1, 'before');
    feed(3);
    await tasks.run();
    expect([await first, ws.readyState]).toEqual([{ value: 'before', done: false }, 2]);
  });
  it('an abort signal fails the opening, and does nothing later', async () => {
    const controller = new AbortController();
    const made = bench();
    const ws = new made.WebSocket('ws://h/', { signal: controller.signal });
    const log = logOf(ws);
    controller.abort();
    expect(made.requests[0]?.signal.aborted).toBe(true);
    await made.tasks.run();
    expect(log).toEqual(['error 3', 'close 3 false 1006 ""']);

    const late = new AbortController();
    const { ws: open, tasks } = await opened({}, {}, { signal: late.signal });
    late.abort();
    await tasks.run();
    expect(open.readyState).toBe(1);

    const before = bench();
    const aborted = logOf(new before.WebSocket('ws://h/', { signal: AbortSignal.abort() }));
    await before.tasks.run();
    expect(aborted).toEqual(['error 3', 'close 3 false 1006 ""']);
  });
});

describe('on the wire', () => {
  it('WHATWG-WEBSOCKETS-close-5: without code and reason the close frame has no body', async () => {
    const { ws, transport } = await opened();
    ws.close();
    expect(hex(transport.written)).toBe('88805a5a5a5a');
  });
  it('WHATWG-WEBSOCKETS-close-6: with code and reason the body is the code and the reason in UTF-8', async () => {
    const { ws, sent } = await opened();
    ws.close(4000, 'é');
    expect(sent().map(({ payload }) => hex(payload))).toEqual(['0fa0c3a9']);
  });
  it('a reason alone implies 1000', async () => {
    const { ws, sent } = await opened();
    ws.close(undefined, 'why');
    expect(sent().map(({ payload }) => hex(payload))).toEqual(['03e8776879']);
  });
  it('a lone surrogate in the reason goes out as U+FFFD', async () => {
    const { ws, sent } = await opened();
    ws.close(1000, '\ud800');
    expect(sent().map(({ payload }) => hex(payload))).toEqual(['03e8efbfbd']);
  });
  it('WHATWG-WEBSOCKETS-close-7: queued messages are sent before the close frame', async () => {
    const { ws, sent, transport, tasks } = await opened({}, { room: 0 });
    for (let index = 0; index < 100; index += 1) ws.send(String(index));
    ws.close(1000);
    transport.grant();
    await tasks.run();
    const frames = sent();
    expect(frames.map(({ opcode }) => opcode)).toEqual([...Array(100).fill(1), 8]);
    expect(frames.slice(0, 100).map(({ text }) => text)).toEqual(Array.from({ length: 100 }, (_, index) => String(index)));
  });
  it('what was answered last leaves, and our side ends, when the end came before the tasks of the messages', async () => {
    for (const last of [[], [serializeFrame({ opcode: 8, payload: closePayload(1000) })]]) {
      const { ws, driver, transport, tasks, sent, log } = await opened();
      ws.addEventListener('message', ({ data }) => ws.send(`re ${data}`));
      const frames = [serializeFrame({ opcode: 1, payload: utf8('a') }), serializeFrame({ opcode: 9 }), ...last];
      transport.feed(Buffer.concat(frames));
      // Some hosts tell of it while reading is paused.
      driver.eof();
      await tasks.run();
      const isClean = last.length > 0;
      expect(sent().map(({ opcode, text }) => (opcode === 1 ? text : opcode))).toEqual([10, 're a', ...(isClean ? [8] : [])]);
      expect(transport.ended).toBe(true);
      expect(log.slice(1)).toEqual(isClean ? ['close 3 true 1000 ""'] : ['error 3', 'close 3 false 1006 ""']);
    }
  });
  it('an end that waits for its task when close() is called is told all the same', async () => {
    for (const how of ['reset', 'close'] as const) {
      const { ws, feed, transport, tasks, log } = await opened();
      if (how === 'reset') transport.reset();
      else {
        feed(8, closePayload(4001));
        transport.feedEof();
      }
      ws.close(1000);
      await tasks.run();
      expect([how, ...log]).toEqual(how === 'reset' ? [how, 'error 3', 'close 3 false 1006 ""'] : [how, 'close 3 true 4001 ""']);
    }
  });
  it('the peer that never answers is dropped after the closing deadline', async () => {
    const { ws, clock, tasks, log } = await opened({ timeouts: { closing: 5000 } });
    ws.close(1000);
    clock.advance(4999);
    await tasks.run();
    expect(log).toEqual([]);
    clock.advance(2);
    await tasks.run();
    expect(log).toEqual(['error 3', 'close 3 false 1006 ""']);
  });
});

describe('disposal', () => {
  it('closes and waits for the close event', async () => {
    const { ws, feed, transport, tasks, log } = await opened();
    let disposed = false;
    const done = ws[Symbol.asyncDispose]().then(() => {
      disposed = true;
    });
    await settle();
    expect([ws.readyState, disposed]).toEqual([2, false]);
    feed(8);
    transport.feedEof();
    await tasks.run();
    await done;
    expect(log).toEqual(['close 3 true 1005 ""']);
    await ws[Symbol.asyncDispose]();
  });
  it('gives up what is still connecting', async () => {
    const made = bench();
    const ws = new made.WebSocket('ws://h/');
    const done = ws[Symbol.asyncDispose]();
    await made.tasks.run();
    await done;
    expect(ws.readyState).toBe(3);
  });
  it('does not wait for messages nobody reads', async () => {
    const { ws, feed, transport, tasks } = await opened();
    ws.messages({ highWaterMark: 1 });
    for (let index = 0; index < 10; index += 1) feed(1, 'unread');
    const done = ws[Symbol.asyncDispose]();
    feed(8);
    transport.feedEof();
    await tasks.run();
    await done;
    expect(ws.readyState).toBe(3);
  });
});

describe('WebSocketError', () => {
  it('is a DOMException with a close code and a reason', () => {
    const error = new WebSocketError('m', { closeCode: 4000, reason: 'r' });
    expect(error).toBeInstanceOf(DOMException);
    expect(error).toBeInstanceOf(Error);
    expect([error.name, error.message, error.closeCode, error.reason, error.code]).toEqual(['WebSocketError', 'm', 4000, 'r', 0]);
    expect([new WebSocketError().closeCode, new WebSocketError().reason]).toEqual([null, '']);
    expect(new WebSocketError('', { reason: 'x' }).closeCode).toBe(1000);
    expect(nameOf(() => new WebSocketError('', { closeCode: 1001 }))).toBe('InvalidAccessError');
    expect(nameOf(() => new WebSocketError('', { reason: 'x'.repeat(124) }))).toBe('SyntaxError');
  });
});

it('a close event is told once to each listener', async () => {
  const { ws, feed, transport, tasks } = await opened();
  const seen: CloseEventLike[] = [];
  ws.addEventListener('close', (event) => seen.push(event), { once: true });
  ws.addEventListener('close', { handleEvent: (event) => seen.push(event) });
  feed(8, closePayload(1000));
  transport.feedEof();
  await tasks.run();
  expect(seen).toHaveLength(2);
  expect(seen[0]).toBe(seen[1]);
});
