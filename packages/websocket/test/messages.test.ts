/** messages(), stream(): reading on demand, with back pressure down to the transport. */

import { getEventListeners } from 'node:events';
import { fakeTransport, virtualClock } from '@ferrywire/driver/testing';
import { WebSocket, WebSocketError } from '@ferrywire/websocket';
import { describe, expect, it } from 'vitest';
import { bench, closePayload, connect, logOf, nameOf, opened, settle, utf8 } from './helpers.ts';

describe('messages()', () => {
  it('yields strings and bytes in order, and ends after a clean close', async () => {
    const { ws, feed, transport, tasks, log } = await opened();
    const messages = ws.messages();
    feed(1, 'a');
    feed(2, Uint8Array.of(1, 2));
    feed(1, 'c');
    feed(8, closePayload(1000));
    transport.feedEof();
    const seen: unknown[] = [];
    for await (const message of messages) seen.push(message);
    expect(seen).toEqual(['a', Uint8Array.of(1, 2), 'c']);
    await tasks.run();
    expect(log).toEqual(['close 3 true 1000 ""']);
  });
  it('reads a close frame ahead of the messages in front of it, which can be answered where nothing is read ahead', async () => {
    for (const [highWaterMark, answers] of [
      [0, ['re a', 're b']],
      [1, ['re a']],
      [3, []],
    ] as const) {
      const { ws, feed, transport, sent } = await opened();
      const messages = ws.messages({ highWaterMark });
      feed(1, 'a');
      feed(1, 'b');
      feed(8, closePayload(1000));
      transport.feedEof();
      for await (const message of messages) ws.send(`re ${message}`);
      expect(sent().map(({ opcode, text }) => (opcode === 1 ? text : opcode))).toEqual([...answers, 8]);
      expect(transport.ended).toBe(true);
    }
  });
  it('dispatches no message event any more, and loses no message', async () => {
    const { ws, feed, tasks, log } = await opened();
    feed(1, 'event');
    await tasks.run();
    feed(1, 'a');
    const messages = ws.messages();
    feed(1, 'b');
    await tasks.run();
    expect([(await messages.next()).value, (await messages.next()).value]).toEqual(['a', 'b']);
    expect(log).toEqual(['message 1 event']);
  });
  it('throws WebSocketError when the connection fails, after what had arrived', async () => {
    const { ws, transport, tasks, log } = await opened();
    const messages = ws.messages();
    transport.feed(Uint8Array.of(0x81, 1, 0x61, 0x83, 0));
    transport.feedEof();
    expect((await messages.next()).value).toBe('a');
    const error = await messages.next().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(WebSocketError);
    expect([(error as WebSocketError).closeCode, (error as WebSocketError).reason]).toEqual([1006, '']);
    expect(await messages.next()).toEqual({ done: true, value: undefined });
    await tasks.run();
    expect(log).toEqual(['error 3', 'close 3 false 1006 ""']);
  });
  it('throws WebSocketError of a socket that could not be opened, asked before or after', async () => {
    for (const isLate of [false, true]) {
      const made = bench();
      const ws = new made.WebSocket('ws://h/');
      const early = isLate ? null : ws.messages();
      await made.refuse();
      const messages = early ?? ws.messages();
      await expect(messages.next()).rejects.toMatchObject({ name: 'WebSocketError', closeCode: 1006 });
      expect(await messages.next()).toEqual({ done: true, value: undefined });
    }
  });
  it('pauses the connection while highWaterMark messages wait, and resumes it by reading', async () => {
    const { ws, connection, transport } = await opened();
    const messages = ws.messages({ highWaterMark: 2 });
    for (let index = 0; index < 20; index += 1) transport.feed(Uint8Array.of(0x81, 1, 0x61 + index));
    await settle();
    expect([connection.paused, connection.wantsRead, transport.reading]).toEqual([true, false, false]);
    const delivered = connection.stats.messagesIn;
    expect(delivered).toBeLessThanOrEqual(3);
    for (let index = 0; index < 20; index += 1) expect((await messages.next()).value).toBe(String.fromCharCode(0x61 + index));
    await settle();
    expect([connection.paused, transport.reading]).toEqual([false, true]);
  });
  it('with highWaterMark 0 nothing is taken ahead of a read', async () => {
    const { ws, connection, feed } = await opened();
    const messages = ws.messages({ highWaterMark: 0 });
    feed(1, 'a');
    feed(1, 'b');
    expect(connection.stats.messagesIn).toBe(0);
    expect((await messages.next()).value).toBe('a');
    expect(connection.stats.messagesIn).toBe(1);
  });
  it('a peer that floods an idle reader is held by its own transport', async () => {
    const { ws, connection, transport } = await opened();
    ws.messages({ highWaterMark: 4 });
    const message = Uint8Array.of(0x82, 126, 4, 0, ...new Uint8Array(1024));
    for (let index = 0; index < 1000; index += 1) transport.feed(message);
    expect(transport.reading).toBe(false);
    expect(connection.stats.bytesIn).toBeLessThan(16 * message.length);
  });
  it('leaves a pause of the application alone', async () => {
    const { ws, connection, driver, feed } = await opened();
    const messages = ws.messages();
    connection.pause();
    const next = messages.next();
    feed(1, 'a');
    await settle();
    expect(connection.paused).toBe(true);
    connection.resume();
    driver.pump();
    feed(1, 'b');
    expect((await next).value).toBe('a');
  });
  it('goes on with what had arrived in that pause', async () => {
    for (const how of ['messages', 'events'] as const) {
      const { ws, connection, driver, feed, tasks, log } = await opened();
      const next = how === 'messages' ? ws.messages().next() : null;
      connection.pause();
      feed(1, 'a');
      await tasks.run();
      connection.resume();
      driver.pump();
      await tasks.run();
      if (next === null) expect(log).toEqual(['message 1 a']);
      else expect((await next).value).toBe('a');
    }
  });
  it('also after one of its own', async () => {
    const { ws, connection, driver, feed } = await opened();
    const messages = ws.messages({ highWaterMark: 1 });
    feed(1, 'a');
    expect(connection.paused).toBe(true);
    expect((await messages.next()).value).toBe('a');
    const next = messages.next();
    expect(connection.paused).toBe(false);
    connection.pause();
    driver.pump();
    const more = messages.next();
    expect(connection.paused).toBe(true);
    feed(1, 'b');
    feed(1, 'c');
    connection.resume();
    driver.pump();
    expect([(await next).value, (await more).value]).toEqual(['b', 'c']);
  });
  it('several next() at once are served in order', async () => {
    const { ws, feed } = await opened();
    const messages = ws.messages({ highWaterMark: 0 });
    const three = Promise.all([messages.next(), messages.next(), messages.next()]);
    feed(1, 'a');
    feed(1, 'b');
    feed(1, 'c');
    expect((await three).map(({ value }) => value)).toEqual(['a', 'b', 'c']);
  });
  it('leaving the loop keeps the socket open and the rest for the next reader', async () => {
    const { ws, feed, tasks, log } = await opened();
    for (const text of ['a', 'b', 'c', 'd']) feed(1, text);
    for await (const message of ws.messages()) if (message === 'a') break;
    expect(ws.readyState).toBe(1);
    feed(1, 'e');
    const rest: unknown[] = [];
    for await (const message of ws.messages({ highWaterMark: 1 })) {
      rest.push(message);
      if (message === 'e') break;
    }
    await tasks.run();
    expect([rest, log]).toEqual([['b', 'c', 'd', 'e'], []]);
  });
  it('return() ends a waiting next()', async () => {
    const { ws } = await opened();
    const messages = ws.messages();
    const waiting = messages.next();
    await messages.return?.();
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(await messages.next()).toEqual({ done: true, value: undefined });
  });
  it('a signal ends the iteration with its reason, and not the socket', async () => {
    const { ws, feed } = await opened();
    const controller = new AbortController();
    const messages = ws.messages({ signal: controller.signal });
    const waiting = messages.next().catch((error: unknown) => error);
    controller.abort(new Error('enough'));
    expect(await waiting).toEqual(new Error('enough'));
    expect(await messages.next()).toEqual({ done: true, value: undefined });
    feed(1, 'kept');
    expect((await ws.messages().next()).value).toBe('kept');

    const idle = (await opened()).ws;
    const later = new AbortController();
    const iterator = idle.messages({ signal: later.signal });
    later.abort();
    await expect(iterator.next()).rejects.toMatchObject({ name: 'AbortError' });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    await expect(idle.messages({ signal: AbortSignal.abort() }).next()).rejects.toMatchObject({ name: 'AbortError' });
    expect(idle.messages()).toBeDefined();
  });
  it('leaves its signal and its place when it is over, whatever ended it', async () => {
    const { signal } = new AbortController();
    const listeners = (): number => getEventListeners(signal, 'abort').length;
    for (const how of ['return', 'close', 'failure'] as const) {
      const { ws, feed, transport } = await opened();
      const messages = ws.messages({ signal });
      expect(listeners()).toBe(1);
      if (how === 'return') await messages.return?.();
      else if (how === 'close') feed(8, closePayload(1000));
      transport.feedEof();
      const last = messages.next().then(
        ({ done }) => done,
        () => 'failed',
      );
      expect([await last, listeners()]).toEqual([how === 'failure' ? 'failed' : true, 0]);
      expect(nameOf(() => ws.messages())).toBe('nothing');
    }
  });
  it('one reader at a time', async () => {
    const { ws } = await opened();
    ws.messages();
    expect(nameOf(() => ws.messages())).toBe('InvalidStateError');
    expect(nameOf(() => ws.stream())).toBe('InvalidStateError');
  });
  it('names a wrong highWaterMark', async () => {
    const { ws } = await opened();
    for (const highWaterMark of [-1, 1.5, Number.NaN, Infinity, '2' as unknown as number]) {
      expect(() => ws.messages({ highWaterMark })).toThrow(/highWaterMark/);
    }
    expect(ws.messages()).toBeDefined();
  });
  it('can be asked for before the socket is open', async () => {
    const made = bench();
    const ws = new made.WebSocket('ws://h/');
    const log = logOf(ws);
    const first = ws.messages().next();
    made.feed(1, 'hi');
    await made.accept();
    await made.tasks.run();
    expect((await first).value).toBe('hi');
    expect(log).toEqual(['open 1']);

    const refused = bench();
    const failing = expect(new refused.WebSocket('ws://h/').messages().next()).rejects.toMatchObject({ closeCode: 1006 });
    await refused.refuse();
    await failing;
    // Whoever asks later is told too.
    const later = bench();
    const messages = new later.WebSocket('ws://h/').messages();
    await later.refuse();
    await expect(messages.next()).rejects.toMatchObject({ closeCode: 1006 });
  });
  it('after close() what is still in flight is yielded', async () => {
    const { ws, feed, transport, tasks } = await opened();
    const messages = ws.messages({ highWaterMark: 1 });
    for (const text of ['a', 'b', 'c']) feed(1, text);
    ws.close(1000);
    feed(1, 'd');
    feed(8, closePayload(1000));
    transport.feedEof();
    await tasks.run();
    const seen: unknown[] = [];
    for await (const message of messages) seen.push(message);
    expect(seen).toEqual(['a', 'b', 'c', 'd']);
  });
  it('an unread socket learns of its end when nothing is in front of it', async () => {
    const { ws, feed, transport, tasks, log } = await opened();
    ws.messages();
    feed(8, closePayload(4000, 'x'));
    transport.feedEof();
    await tasks.run();
    expect(log).toEqual(['close 3 true 4000 "x"']);
    expect(ws.readyState).toBe(3);
  });
});

describe('stream()', () => {
  it('needs an open socket', async () => {
    const made = bench();
    const ws = new made.WebSocket('ws://h/');
    expect(nameOf(() => ws.stream())).toBe('InvalidStateError');
    const { ws: closing } = await opened();
    closing.close();
    expect(nameOf(() => closing.stream())).toBe('InvalidStateError');
  });
  it('is a pair of streams, and the socket still tells of its end', async () => {
    const { ws, feed, transport, tasks, log, sent } = await opened({ subprotocol: 'chat' });
    const { readable, writable, protocol, extensions } = ws.stream();
    expect([protocol, extensions]).toEqual(['chat', '']);
    const writer = writable.getWriter();
    await writer.write('out');
    await writer.write(Uint8Array.of(1));
    feed(1, 'in');
    feed(8, closePayload(1000));
    transport.feedEof();
    const seen: unknown[] = [];
    for await (const message of readable) seen.push(message);
    await tasks.run();
    expect(seen).toEqual(['in']);
    expect(sent().map(({ opcode }) => opcode)).toEqual([1, 2, 8]);
    expect(log).toEqual(['close 3 true 1000 ""']);
    await expect(writer.closed).rejects.toMatchObject({ name: 'InvalidStateError' });
  });
});

it('a server socket gives messages() of what had arrived before it was made', async () => {
  const clock = virtualClock();
  const transport = fakeTransport({ clock });
  const { connection, driver } = connect(clock, transport, 'client');
  transport.feed(Uint8Array.of(0x81, 2, ...utf8('hi')));
  const ws = WebSocket.from(connection, driver);
  expect((await ws.messages().next()).value).toBe('hi');
});
