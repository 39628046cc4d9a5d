/** messageStreams(): one message as a stream, with back pressure in the middle of a frame. */
import type { ConnectionOptions } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';
import { type FakeTransportOptions, fakeTransport, virtualClock } from '@ferrywire/driver/testing';
import { type MessageStream, messageStreams, WebSocketError } from '@ferrywire/websocket';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { closePayload, connect, settle, utf8 } from './helpers.ts';

function streams(options: Partial<ConnectionOptions> = {}, network: FakeTransportOptions = {}) {
  const clock = virtualClock();
  const transport = fakeTransport({ clock, ...network });
  const { connection, driver } = connect(clock, transport, 'client', { delivery: 'chunk', ...options });
  const messages = messageStreams(connection, driver);
  const feed = (opcode: number, payload: string | Uint8Array = '', fin = true): void =>
    transport.feed(serializeFrame({ opcode, fin, payload: typeof payload === 'string' ? utf8(payload) : payload }));
  return { clock, transport, connection, driver, messages, feed };
}
async function read(body: MessageStream['body']): Promise<(string | Uint8Array)[]> {
  const pieces: (string | Uint8Array)[] = [];
  for await (const piece of body) pieces.push(piece);
  return pieces;
}
const textOf = async (body: MessageStream['body']): Promise<string> => (await read(body)).join('');
async function next(messages: AsyncIterator<MessageStream>): Promise<MessageStream> {
  const { value, done } = await messages.next();
  if (done === true) throw new Error('ended');
  return value;
}

describe('messageStreams()', () => {
  it('yields messages with their kind and body, and ends after a clean close', async () => {
    const { messages, feed, transport } = streams();
    feed(1, 'one');
    feed(2, Uint8Array.of(1, 2, 3));
    feed(1, '', true);
    feed(1, 'fr', false);
    feed(9, 'ping');
    feed(0, 'ag');
    feed(8, closePayload(1000));
    transport.feedEof();
    const seen: unknown[] = [];
    for await (const { kind, body } of messages) {
      const pieces = await read(body);
      seen.push([kind, kind === 'text' ? pieces.join('') : pieces.flatMap((piece) => [...(piece as Uint8Array)])]);
    }
    expect(seen).toEqual([
      ['text', 'one'],
      ['binary', [1, 2, 3]],
      ['text', ''],
      ['text', 'frag'],
    ]);
  });
  it('one after the other: those of a loop that was left have nothing to do with a drain any more', async () => {
    const { messages, feed, connection, driver, transport } = streams({}, { room: 1000, highWaterMark: 1000 });
    let drains = 0;
    const given = driver.onDrain;
    feed(1, 'o', false);
    const { body } = await next(messages);
    await messages.return?.();
    // The body may still be read.
    expect(driver.onDrain).toBe(given);
    feed(0, 'ne');
    expect(await textOf(body)).toBe('one');
    expect(driver.onDrain).toBe(null);
    driver.onDrain = () => drains++;
    const before = driver.onDrain;
    for (const left of [true, false]) {
      connection.resume();
      const others = messageStreams(connection, driver);
      const reading = next(others);
      connection.sendBinary(new Uint8Array(5000));
      driver.pump();
      expect(driver.stalled).toBe(true);
      transport.grant(5100);
      feed(1, 'more');
      expect(await textOf((await reading).body)).toBe('more');
      if (!left) continue;
      await others.return?.();
      expect(driver.onDrain).toBe(before);
    }
    expect(drains).toBe(2);
    // Nobody has left this one, but another reads.
    connection.resume();
    const last = next(messageStreams(connection, driver));
    connection.sendBinary(new Uint8Array(5000));
    driver.pump();
    transport.grant();
    feed(1, 'last');
    expect(await textOf((await last).body)).toBe('last');
    expect(drains).toBe(3);
  });
  it('return() ends a next() that waits, and those that follow', async () => {
    const { messages, feed, connection } = streams();
    const waiting = messages.next();
    expect(await messages.return?.()).toEqual({ done: true, value: undefined });
    expect(await waiting).toEqual({ done: true, value: undefined });
    feed(1, 'unread');
    expect(await messages.next()).toEqual({ done: true, value: undefined });
    expect(connection.state).toBe('open');
    // Also where none waited.
    const unread = streams();
    await unread.messages.return?.();
    unread.feed(1, 'unread');
    expect(await unread.messages.next()).toEqual({ done: true, value: undefined });
  });
  it('gives the first piece before the message is complete, and takes one piece per read', async () => {
    const { messages, connection, transport } = streams();
    // A frame of 1 MiB, of which 10 bytes have come.
    transport.feed(Uint8Array.of(0x82, 127, 0, 0, 0, 0, 0, 16, 0, 0, ...new Uint8Array(10).fill(7)));
    const { body } = await next(messages);
    const reader = body.getReader();
    expect(((await reader.read()).value as Uint8Array).length).toBe(10);
    for (let index = 0; index < 50; index += 1) transport.feed(new Uint8Array(1000));
    await settle();
    expect([transport.reading, connection.paused]).toEqual([false, true]);
    expect(connection.stats.bytesIn).toBeLessThan(5000);
    expect(((await reader.read()).value as Uint8Array).length).toBeGreaterThan(0);
    const taken = connection.stats.bytesIn;
    for (let index = 0; index < 50; index += 1) transport.feed(new Uint8Array(1000));
    await settle();
    expect([transport.reading, connection.paused, connection.stats.bytesIn - taken < 5000]).toEqual([false, true, true]);
  });
  it('nothing is taken before it is asked for', async () => {
    const { messages, feed, connection } = streams();
    feed(1, 'a');
    await settle();
    expect(connection.stats.framesIn).toBe(0);
    expect(await textOf((await next(messages)).body)).toBe('a');
  });
  it('nor the next piece of a body', async () => {
    const { messages, feed, connection } = streams();
    feed(1, 'a', false);
    const reader = (await next(messages)).body.getReader();
    expect((await reader.read()).value).toBe('a');
    feed(0, 'b');
    await settle();
    expect(connection.stats.framesIn).toBe(1);
    expect((await reader.read()).value).toBe('b');
    expect(connection.stats.framesIn).toBe(2);
  });
  it('gives no empty piece', async () => {
    const { messages, feed } = streams();
    feed(2);
    feed(2, '', false);
    feed(0, 'a', false);
    feed(0);
    expect([await read((await next(messages)).body), await read((await next(messages)).body)]).toEqual([[], [utf8('a')]]);
  });
  it.each([false, true])('holds back what is read until the host has drained, unless somebody else takes onDrain (%s)', async (isElse) => {
    const { messages, feed, driver } = streams();
    let isFull = true;
    Object.defineProperty(driver, 'holdsInput', { get: () => isFull });
    const drained = driver.onDrain;
    if (isElse) driver.onDrain = () => {};
    feed(1, 'a');
    let isTaken = false;
    const first = next(messages).then(({ body }) => {
      isTaken = true;
      return textOf(body);
    });
    await settle();
    expect(isTaken).toBe(isElse);
    isFull = false;
    drained?.();
    driver.pump();
    expect(await first).toBe('a');
  });
  it('and leaves him what he has taken', async () => {
    const { messages, driver } = streams();
    const own = (): void => {};
    driver.onDrain = own;
    await messages.return?.();
    expect(driver.onDrain).toBe(own);
  });
  it('next() waits for the end of a body that is being read', async () => {
    const { messages, feed } = streams();
    feed(1, 'a', false);
    const first = await next(messages);
    const text = textOf(first.body);
    const second = next(messages);
    feed(0, 'b');
    feed(1, 'c');
    expect(await text).toBe('ab');
    expect(await textOf((await second).body)).toBe('c');
  });
  it('a cancelled body is skipped to its end', async () => {
    const { messages, feed } = streams();
    feed(1, 'a', false);
    const first = await next(messages);
    await first.body.cancel();
    feed(0, 'rest', false);
    feed(0, 'of it');
    feed(1, 'c');
    expect(await textOf((await next(messages)).body)).toBe('c');
  });
  it('a body nobody reads is skipped when the next message is asked for, and says so later', async () => {
    const { messages, feed } = streams();
    feed(1, 'a', false);
    const first = await next(messages);
    const second = next(messages);
    feed(0, 'rest');
    feed(1, 'c');
    expect(await textOf((await second).body)).toBe('c');
    await expect(first.body.getReader().read()).rejects.toMatchObject({ name: 'InvalidStateError' });
  });
  it('a body that has come whole can be read later', async () => {
    const { messages, feed } = streams();
    feed(1, 'a');
    feed(1, 'b');
    const first = await next(messages);
    const second = await next(messages);
    expect([await textOf(first.body), await textOf(second.body)]).toEqual(['a', 'b']);
  });
  it('and cancelled later, which is nothing to the one behind it', async () => {
    const { messages, feed } = streams();
    feed(1, 'a');
    feed(1, 'b', false);
    const first = await next(messages);
    const second = await next(messages);
    await first.body.cancel();
    feed(0, 'c');
    expect(await textOf(second.body)).toBe('bc');
  });
  it('a failure is told once, to the first of those that wait', async () => {
    const { messages, transport } = streams();
    const waiting = [messages.next(), messages.next()];
    transport.reset();
    const told = await Promise.allSettled(waiting);
    expect(told).toMatchObject([
      { status: 'rejected', reason: { name: 'WebSocketError', closeCode: 1006 } },
      { status: 'fulfilled', value: { done: true } },
    ]);
  });
  it('a failure reaches the body and the iterator', async () => {
    const { messages, feed, transport } = streams();
    feed(1, 'a', false);
    const { body } = await next(messages);
    const reader = body.getReader();
    await reader.read();
    const reading = reader.read().catch((error: unknown) => error);
    transport.reset();
    expect(await reading).toBeInstanceOf(WebSocketError);
    await expect(messages.next()).rejects.toMatchObject({ name: 'WebSocketError', closeCode: 1006 });
    expect(await messages.next()).toEqual({ done: true, value: undefined });
  });
  it('a message cut short by a clean close fails', async () => {
    const { messages, feed, transport } = streams();
    feed(1, 'a', false);
    const { body } = await next(messages);
    const reader = body.getReader();
    await reader.read();
    const reading = reader.read().catch((error: unknown) => error);
    feed(8, closePayload(1001));
    transport.feedEof();
    expect(await reading).toMatchObject({ name: 'WebSocketError', closeCode: 1001 });
    expect(await messages.next()).toEqual({ done: true, value: undefined });
  });
  it('leaving the loop keeps the connection open and paused, and a body readable', async () => {
    const { messages, feed, connection, driver, transport } = streams();
    feed(1, 'a', false);
    let body: MessageStream['body'] | null = null;
    for await (const message of messages) {
      body = message.body;
      break;
    }
    feed(0, 'b');
    feed(1, 'c');
    expect(connection.state).toBe('open');
    expect(body === null ? '' : await textOf(body)).toBe('ab');
    expect(transport.reading).toBe(false);
    connection.close(1000);
    driver.pump();
    expect(connection.closeSent?.code).toBe(1000);
  });
  it('takes whole messages of delivery message as well', async () => {
    const { messages, feed } = streams({ delivery: 'message' });
    feed(1, 'whole');
    const { kind, body } = await next(messages);
    expect([kind, await textOf(body)]).toEqual(['text', 'whole']);
  });
  it('any split of the input gives the same messages', async () => {
    const frames = [
      serializeFrame({ opcode: 1, payload: utf8('grüße '), fin: false }),
      serializeFrame({ opcode: 9, payload: utf8('p') }),
      serializeFrame({ opcode: 0, payload: utf8('✓😀') }),
      serializeFrame({ opcode: 2, payload: new Uint8Array(300).map((_, index) => index) }),
      serializeFrame({ opcode: 2 }),
      serializeFrame({ opcode: 8, payload: closePayload(1000) }),
    ];
    const input = Uint8Array.from(frames.flatMap((frame) => [...frame]));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 40 }), async (sizes) => {
        const { messages, transport } = streams();
        const seen: unknown[] = [];
        const reading = (async () => {
          for await (const { kind, body } of messages) {
            const pieces = await read(body);
            seen.push(kind === 'text' ? pieces.join('') : pieces.reduce<number>((total, piece) => total + piece.length, 0));
          }
        })();
        let at = 0;
        for (const size of sizes) {
          transport.feed(input.subarray(at, at + size));
          at = Math.min(input.length, at + size);
          await Promise.resolve();
        }
        transport.feed(input.subarray(at));
        transport.feedEof();
        await reading;
        expect(seen).toEqual(['grüße ✓😀', 300, 0]);
      }),
      { numRuns: 40 },
    );
  });
});
