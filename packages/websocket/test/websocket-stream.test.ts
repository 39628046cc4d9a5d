/** WebSocketStream (explainer; whatwg/websockets pull request 48): promises, streams, back pressure both ways. */

import { getEventListeners } from 'node:events';
import type { ConnectionOptions } from '@ferrywire/core';
import type { FakeTransportOptions } from '@ferrywire/driver/testing';
import { WebSocketError } from '@ferrywire/websocket';
import { describe, expect, it } from 'vitest';
import { type Bench, bench, closePayload, hex, nameOf, settle } from './helpers.ts';

async function opened(options: Partial<ConnectionOptions> = {}, transport: FakeTransportOptions = {}) {
  const made: Bench = bench(transport);
  const socket = new made.WebSocketStream('ws://h.example/', { protocols: ['chat'] });
  await made.accept({ subprotocol: 'chat', ...options });
  const info = await socket.opened;
  return { made, socket, ...info };
}
const outcome = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => error,
  );
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(
    () => {
      settled = true;
    },
    () => {
      settled = true;
    },
  );
  await settle();
  return settled;
}

describe('opening', () => {
  it('WEBSOCKETSTREAM-explainer-1: takes url and {protocols, signal}, judged as for WebSocket', () => {
    const made = bench();
    const socket = new made.WebSocketStream('https://h.example/a', { protocols: ['a'] });
    expect([socket.url, made.requests[0]?.subprotocols]).toEqual(['wss://h.example/a', ['a']]);
    expect(nameOf(() => new made.WebSocketStream('ftp://h/'))).toBe('SyntaxError');
    expect(nameOf(() => new made.WebSocketStream('ws://h/#'))).toBe('SyntaxError');
    expect(nameOf(() => new made.WebSocketStream('ws://h/', { protocols: ['a', 'a'] }))).toBe('SyntaxError');
  });
  it('takes protocols as a sequence: a string is none, nor is an array a dictionary with protocols', () => {
    const made = bench();
    const Stream = made.WebSocketStream;
    for (const protocols of ['a', null, 5, {}] as unknown as string[][]) {
      expect(() => new Stream('ws://h/', { protocols })).toThrow(TypeError);
      expect(() => new Stream('ws://h/', { protocols })).toThrow('protocols must be an array or another iterable object');
    }
    // Converted first, judged then.
    expect(() => new Stream('ftp://h/', { protocols: 'a' as unknown as string[] })).toThrow(TypeError);
    expect(made.requests).toEqual([]);
    new Stream('ws://h/', { protocols: new Set(['a', 'b']) as unknown as string[] });
    new Stream('ws://h/', ['a'] as unknown as object);
    new Stream('ws://h/', { protocols: undefined } as unknown as object);
    expect(made.requests.map(({ subprotocols }) => subprotocols)).toEqual([['a', 'b'], [], []]);
  });
  it('WEBSOCKETSTREAM-explainer-2: opened resolves with readable, writable, protocol, extensions', async () => {
    const { protocol, extensions, readable, writable } = await opened();
    expect([protocol, extensions]).toEqual(['chat', '']);
    expect(readable).toBeInstanceOf(ReadableStream);
    expect(writable).toBeInstanceOf(WritableStream);
  });
  it('WEBSOCKETSTREAM-explainer-2: a refusal rejects both promises with WebSocketError', async () => {
    const made = bench();
    const socket = new made.WebSocketStream('ws://h/');
    await made.refuse(new Error('status 404'));
    for (const promise of [socket.opened, socket.closed]) {
      const error = await outcome(promise);
      expect(error).toBeInstanceOf(WebSocketError);
      expect(error).toBeInstanceOf(DOMException);
      expect((error as WebSocketError).closeCode).toBe(1006);
    }
  });
  it('WEBSOCKETSTREAM-explainer-6: the signal aborts the opening only', async () => {
    const controller = new AbortController();
    const made = bench();
    const socket = new made.WebSocketStream('ws://h/', { signal: controller.signal });
    controller.abort();
    expect(made.requests[0]?.signal.aborted).toBe(true);
    await expect(socket.opened).rejects.toMatchObject({ name: 'AbortError' });
    await expect(socket.closed).rejects.toMatchObject({ name: 'AbortError' });
    await made.accept();
    expect(made.transport.aborted).toBe(true);

    const before = bench();
    const aborted = new before.WebSocketStream('ws://h/', { signal: AbortSignal.abort(new Error('no')) });
    expect(before.requests).toEqual([]);
    await expect(aborted.opened).rejects.toThrow('no');
    await expect(aborted.closed).rejects.toThrow('no');

    const late = new AbortController();
    const other = bench();
    const open = new other.WebSocketStream('ws://h/', { signal: late.signal });
    await other.accept();
    await open.opened;
    late.abort();
    expect(await isSettled(open.closed)).toBe(false);
    expect(other.connection.state).toBe('open');
  });
  it('leaves no listener on the signal, opened or not', async () => {
    for (const how of ['accept', 'refuse'] as const) {
      const { signal } = new AbortController();
      const made = bench();
      const socket = new made.WebSocketStream('ws://h/', { signal });
      expect(getEventListeners(signal, 'abort')).toHaveLength(1);
      await made[how]();
      await outcome(socket.opened);
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    }
  });
  it('close() before it is open fails it', async () => {
    const made = bench();
    const socket = new made.WebSocketStream('ws://h/');
    socket.close();
    expect(made.requests[0]?.signal.aborted).toBe(true);
    await expect(socket.opened).rejects.toBeInstanceOf(WebSocketError);
    await expect(socket.closed).rejects.toMatchObject({ closeCode: 1006 });
  });
});

describe('closing', () => {
  it('WEBSOCKETSTREAM-explainer-3: closed resolves with closeCode and reason after a clean close', async () => {
    const { made, socket, readable, writable } = await opened();
    made.feed(8, closePayload(4000, 'x'));
    made.transport.feedEof();
    expect(await socket.closed).toEqual({ closeCode: 4000, reason: 'x' });
    expect(await readable.getReader().read()).toEqual({ done: true, value: undefined });
    // No failure, so it is not told as one: who writes on has not looked.
    const writer = writable.getWriter();
    const late = await outcome(writer.write('late'));
    expect(late).toBeInstanceOf(DOMException);
    expect(late).toMatchObject({ name: 'InvalidStateError' });
    expect(await outcome(writer.closed)).toBe(late);
  });
  it('WEBSOCKETSTREAM-explainer-3: closed and both streams fail when the connection does', async () => {
    const { made, socket, readable, writable } = await opened();
    const reading = outcome(readable.getReader().read());
    made.transport.reset();
    const failure = await outcome(socket.closed);
    expect(failure).toMatchObject({ name: 'WebSocketError', closeCode: 1006, reason: '' });
    // All with the same object: which of them a program looks at first does not matter.
    expect(await reading).toBe(failure);
    expect(await outcome(writable.getWriter().closed)).toBe(failure);
  });
  it('a close behind what the transport did not take is not clean when the transport breaks, though its code is known', async () => {
    for (const ending of ['reset', 'close'] as const) {
      const { made, socket, writable } = await opened({}, { room: 0 });
      const writer = writable.getWriter();
      const write = outcome(writer.write('never taken'));
      await settle();
      made.feed(8, closePayload(4567, 'r'));
      made.transport[ending]();
      const failure = await outcome(socket.closed);
      expect(failure).toMatchObject({ name: 'WebSocketError', closeCode: 4567, reason: 'r' });
      expect(await write).toMatchObject({ name: 'WebSocketError' });
      expect(await outcome(writer.closed)).toBe(failure);
    }
  });
  it('WEBSOCKETSTREAM-explainer-6: close() validates like WebSocket.close, and a reason alone implies 1000', async () => {
    const { made, socket } = await opened();
    expect(nameOf(() => socket.close({ closeCode: 1001 }))).toBe('InvalidAccessError');
    expect(nameOf(() => socket.close({ reason: 'x'.repeat(124) }))).toBe('SyntaxError');
    socket.close({ reason: 'why' });
    socket.close({ closeCode: 4000 });
    expect(made.sent().map(({ payload }) => hex(payload))).toEqual(['03e8776879']);
  });
  it('close() resolves closed with what the peer answered', async () => {
    const { made, socket } = await opened();
    socket.close({ closeCode: 3001, reason: 'mine' });
    made.feed(8, closePayload(3001, 'theirs'));
    made.transport.feedEof();
    expect(await socket.closed).toEqual({ closeCode: 3001, reason: 'theirs' });
  });
  it('closed is not held up by what nobody read, once close() was called', async () => {
    const { made, socket } = await opened();
    for (let index = 0; index < 10; index += 1) made.feed(1, 'unread');
    await settle();
    socket.close();
    made.feed(8);
    made.transport.feedEof();
    expect(await socket.closed).toEqual({ closeCode: 1005, reason: '' });
  });
  it('what comes behind close() can be read, with what waited before it', async () => {
    const { made, socket, readable } = await opened();
    // The stream holds the first, and nobody has read the second.
    for (const text of ['first', 'second']) made.feed(1, text);
    await made.tasks.run();
    expect(made.connection.paused).toBe(true);
    socket.close({ closeCode: 1000 });
    made.feed(1, 'third');
    made.feed(8, closePayload(1000));
    made.transport.feedEof();
    const reader = readable.getReader();
    const read: unknown[] = [];
    for (let result = await reader.read(); !result.done; result = await reader.read()) read.push(result.value);
    expect(read).toEqual(['first', 'second', 'third']);
  });
  it('cancelling the readable closes, with the code of a WebSocketError', async () => {
    for (const [cause, frame] of [
      [undefined, ''],
      [new Error('any'), ''],
      [new WebSocketError('', { closeCode: 4001, reason: 'r' }), '0fa172'],
    ] as const) {
      const { made, socket, readable } = await opened();
      await readable.cancel(cause);
      expect(made.sent().map(({ payload }) => hex(payload))).toEqual([frame]);
      made.feed(1, 'of no interest');
      made.feed(8);
      made.transport.feedEof();
      expect(await outcome(socket.closed)).toEqual({ value: { closeCode: 1005, reason: '' } });
    }
  });
  it('aborting the writable closes, with the code of a WebSocketError', async () => {
    const { made, socket, writable } = await opened();
    await writable.abort(new WebSocketError('', { closeCode: 4002 }));
    expect(made.sent().map(({ payload }) => hex(payload))).toEqual(['0fa2']);
    made.feed(8, closePayload(4002));
    made.transport.feedEof();
    expect(await socket.closed).toEqual({ closeCode: 4002, reason: '' });
  });
  it('closes without a code where that of the error is one that nobody may send, as when a socket fails that was piped into another', async () => {
    const from = await opened();
    const to = await opened();
    const piped = outcome(from.readable.pipeTo(to.writable));
    from.made.transport.reset();
    expect(await piped).toMatchObject({ name: 'WebSocketError', closeCode: 1006 });
    expect(to.made.connection.closeSent).toMatchObject({ code: 1005 });
    const { made, readable } = await opened();
    await readable.cancel(await outcome(from.socket.closed));
    expect(made.connection.closeSent).toMatchObject({ code: 1005 });
    made.feed(8);
    made.transport.feedEof();
    expect(made.connection.state).toBe('closed');
  });
  it('closing the writable closes and settles when the connection has ended', async () => {
    const { made, socket, writable } = await opened();
    const writer = writable.getWriter();
    const closing = writer.close();
    expect(await isSettled(closing)).toBe(false);
    expect(made.sent().map(({ opcode, payload }) => [opcode, hex(payload)])).toEqual([[8, '']]);
    made.feed(8);
    made.transport.feedEof();
    await closing;
    expect(await socket.closed).toEqual({ closeCode: 1005, reason: '' });

    const failing = await opened();
    const rejected = outcome(failing.writable.close());
    await settle();
    failing.made.transport.reset();
    expect(await rejected).toMatchObject({ name: 'WebSocketError' });
  });
});

describe('messages', () => {
  it('WEBSOCKETSTREAM-explainer-4: one chunk per message, none before the final fragment', async () => {
    const { made, readable } = await opened();
    const reader = readable.getReader();
    const first = reader.read();
    made.feed(1, 'spl', false);
    expect(await isSettled(first)).toBe(false);
    made.feed(0, 'it');
    expect(await first).toEqual({ done: false, value: 'split' });
    made.feed(2, Uint8Array.of(1, 2));
    expect(await reader.read()).toEqual({ done: false, value: Uint8Array.of(1, 2) });
  });
  it('writes strings as text, buffers and views as binary, and refuses the rest', async () => {
    const { made, writable } = await opened();
    const writer = writable.getWriter();
    await writer.write('text');
    await writer.write(Uint8Array.of(1, 2, 3).subarray(1));
    await writer.write(Uint8Array.of(4).buffer as unknown as Uint8Array);
    expect(made.sent().map(({ opcode, payload }) => [opcode, hex(payload)])).toEqual([
      [1, '74657874'],
      [2, '0203'],
      [2, '04'],
    ]);
    await expect(writer.write(7 as unknown as string)).rejects.toThrow(TypeError);
  });
  it('a chunk that was transferred while it waited is an error, and not an empty message', async () => {
    const { made, writable } = await opened({}, { room: 0 });
    const writer = writable.getWriter();
    const chunk = Uint8Array.of(1, 2);
    const first = outcome(writer.write('fills what room there is'));
    const second = outcome(writer.write(chunk));
    structuredClone(null, { transfer: [chunk.buffer] });
    made.transport.grant();
    expect(await first).toEqual({ value: undefined });
    expect(await second).toEqual(new TypeError('write(chunk): the buffer of chunk has been transferred'));
  });
  it('a write while closing fails', async () => {
    const { socket, writable } = await opened();
    socket.close();
    await expect(writable.getWriter().write('late')).rejects.toMatchObject({ name: 'InvalidStateError' });
  });
});

describe('back pressure', () => {
  it('WEBSOCKETSTREAM-explainer-5: not reading stops the transport within a bounded amount', async () => {
    const { made, readable } = await opened();
    const message = Uint8Array.of(0x82, 126, 4, 0, ...new Uint8Array(1024));
    for (let index = 0; index < 1000; index += 1) {
      made.transport.feed(message);
      if (index % 100 === 0) await settle();
    }
    expect(made.transport.reading).toBe(false);
    expect(made.connection.stats.bytesIn).toBeLessThanOrEqual(8 * message.length);
    const reader = readable.getReader();
    for (let index = 0; index < 1000; index += 1) expect((await reader.read()).value).toHaveLength(1024);
    await settle();
    expect(made.transport.reading).toBe(true);
  });
  it('WEBSOCKETSTREAM-explainer-5: write() settles when the transport has room (nodejs/undici#5503)', async () => {
    const { made, writable } = await opened({}, { room: 0 });
    const writer = writable.getWriter();
    const first = writer.write('x'.repeat(1000));
    expect(await isSettled(first)).toBe(false);
    const second = writer.write('y'.repeat(1000));
    expect(writer.desiredSize).toBeLessThanOrEqual(0);
    made.transport.grant(500);
    expect(await isSettled(first)).toBe(false);
    // Room for both and their headers: 8 bytes each.
    made.transport.grant();
    await first;
    await second;
    expect(made.sent().map(({ payload }) => payload.length)).toEqual([1000, 1000]);
  });
  it('a fast writer to a peer that reads nothing holds a bounded amount', async () => {
    const { made, writable } = await opened({}, { room: 0, highWaterMark: 10_000 });
    const writer = writable.getWriter();
    let written = 0;
    const work = (async () => {
      for (let index = 0; index < 1000; index += 1) {
        await writer.write(new Uint8Array(1000));
        written += 1;
      }
    })();
    await settle();
    expect(written).toBeLessThanOrEqual(11);
    expect(made.driver.bufferedAmount).toBeLessThanOrEqual(12_000);
    made.transport.grant();
    await work;
    expect(written).toBe(1000);
  });
  it('a write that waits fails with the connection', async () => {
    const { made, writable } = await opened({}, { room: 0 });
    const write = outcome(writable.getWriter().write('x'));
    await settle();
    made.transport.reset();
    expect(await write).toMatchObject({ name: 'WebSocketError', closeCode: 1006 });
  });
  it('abort() of the writable closes the socket at once, and ends with it, though a write waits for a peer that reads nothing', async () => {
    const { made, socket, writable } = await opened({}, { room: 0 });
    const writer = writable.getWriter();
    const writes = [outcome(writer.write('x')), outcome(writer.write('y'))];
    await settle();
    const aborted = writer.abort(new WebSocketError('', { closeCode: 4000, reason: 'enough' }));
    expect(made.connection.closeSent).toEqual({ code: 4000, reason: 'enough' });
    expect(await isSettled(aborted)).toBe(false);
    made.clock.advance(10_000);
    await aborted;
    for (const write of writes) expect(await write).toMatchObject({ name: 'WebSocketError' });
    await expect(socket.closed).rejects.toMatchObject({ closeCode: 1006 });
    expect(made.transport.aborted).toBe(true);
  });
  it('a write fails once the transport has broken, though the end stands behind messages that nobody has read', async () => {
    for (const waits of [false, true]) {
      const { made, readable, writable } = await opened({}, waits ? { room: 0 } : {});
      for (let index = 0; index < 3; index += 1) made.feed(2, new Uint8Array(40_000));
      await settle();
      const writer = writable.getWriter();
      const early = outcome(writer.write(new Uint8Array(1000)));
      await settle();
      made.transport.reset();
      await settle();
      if (waits) expect(await early).toMatchObject({ name: 'WebSocketError', closeCode: 1006 });
      const late = outcome(writer.write(new Uint8Array(1000)));
      expect(await late).toMatchObject({ name: 'WebSocketError', closeCode: 1006 });
      expect(made.driver.bufferedAmount).toBe(0);
      const reader = readable.getReader();
      expect((await reader.read()).value).toHaveLength(40_000);
      // A stream that fails drops what it holds ready, so it is not said how many of the others come.
      const rest = [await outcome(reader.read()), await outcome(reader.read()), await outcome(reader.read())];
      expect(rest.at(-1)).toMatchObject({ name: 'WebSocketError', closeCode: 1006 });
    }
  });
  it('pipes through, both ways', async () => {
    const { made, readable, writable } = await opened();
    const piped = readable
      .pipeThrough(
        new TransformStream<string | Uint8Array, string>({
          transform: (chunk, controller) => controller.enqueue(`${String(chunk)}!`),
        }),
      )
      .pipeTo(writable as WritableStream<string>);
    for (const text of ['a', 'b', 'c']) made.feed(1, text);
    for (let turn = 0; turn < 10; turn += 1) await settle();
    expect(made.sent().map(({ text }) => text)).toEqual(['a!', 'b!', 'c!']);
    made.feed(8, closePayload(1000));
    made.transport.feedEof();
    await piped.catch(() => {});
  });
});

it('unhandled rejections come from neither promise', async () => {
  const seen: unknown[] = [];
  const listener = (reason: unknown): void => void seen.push(reason);
  process.on('unhandledRejection', listener);
  try {
    const made = bench();
    new made.WebSocketStream('ws://h/');
    await made.refuse();
    const { made: other } = await opened();
    other.transport.reset();
    for (let turn = 0; turn < 5; turn += 1) await settle();
  } finally {
    process.off('unhandledRejection', listener);
  }
  expect(seen).toEqual([]);
});
