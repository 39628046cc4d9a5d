import type { Millis } from '@ferrywire/core';
import type { TransportEvents } from '@ferrywire/driver';
import { fakeTransport, joinBytes, pair, splitBytes, virtualClock } from '@ferrywire/driver/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EchoProtocol, ScriptedProtocol } from './helpers.ts';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

describe('virtualClock', () => {
  it('fires timers in the order of their time, equal times in the order they were set', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { maxLength: 40 }), (delays) => {
        const clock = virtualClock(0);
        const fired: [Millis, number][] = [];
        delays.forEach((delay, index) => {
          clock.set(() => fired.push([clock.now(), index]), delay);
        });
        expect(clock.pending).toBe(delays.length);
        expect(clock.runUntilIdle()).toBe(delays.length);
        const expected = delays.map((delay, index): [Millis, number] => [delay, index]).sort((x, y) => x[0] - y[0] || x[1] - y[1]);
        expect(fired).toEqual(expected);
      }),
    );
  });

  it('advances exactly as far as told, through timers set on the way', () => {
    const clock = virtualClock();
    const at: Millis[] = [];
    const again = (): void => {
      at.push(clock.now());
      clock.set(again, 10);
    };
    clock.set(again, 10);
    expect(clock.advance(35)).toBe(3);
    expect(at).toEqual([1010, 1020, 1030]);
    expect(clock.now()).toBe(1035);
    expect(clock.next).toBe(1040);
  });

  it('clears, counts and is bounded', () => {
    const clock = virtualClock();
    const timer = clock.set(() => expect.unreachable(), 5);
    clock.clear(timer);
    clock.clear(timer);
    clock.clear(null);
    expect([clock.armed, clock.cleared, clock.pending, clock.next, clock.step()]).toEqual([1, 1, 0, null, false]);
    const forever = (): void => {
      clock.set(forever, 0);
    };
    forever();
    expect(() => clock.runUntilIdle(50)).toThrow(RangeError);
    expect(() => clock.advance(0)).toThrow(RangeError);
    expect(() => clock.advance(-1)).toThrow('ms must not be negative');
    expect(() => clock.set(() => {}, Number.NaN)).toThrow('delay must not be negative');
  });
});

describe('splitBytes', () => {
  it('keeps every byte and its order, in pieces of 1 byte and more', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.oneof(
          fc.integer({ min: -2, max: 50 }),
          fc.array(fc.integer({ min: -2, max: 50 })),
          fc.constant(() => 7),
        ),
        (input, split) => {
          const pieces = splitBytes(input, split);
          expect([...joinBytes(pieces)]).toEqual([...input]);
          for (const piece of pieces) expect(piece.length).toBeGreaterThan(0);
        },
      ),
    );
    expect(splitBytes(bytes(1, 2, 3, 4, 5), [2, 1]).map((piece) => piece.length)).toEqual([2, 1, 2]);
    expect(splitBytes(bytes(1, 2, 3)).map((piece) => piece.length)).toEqual([3]);
  });
});

class Recorder implements TransportEvents {
  readonly seen: string[] = [];
  data(chunk: Uint8Array): void {
    this.seen.push(`data ${[...chunk].join(',')}`);
  }
  eof(): void {
    this.seen.push('eof');
  }
  error(error: unknown): void {
    this.seen.push(String(error));
  }
  drain(): void {
    this.seen.push('drain');
  }
  closed(): void {
    this.seen.push('closed');
  }
}

describe('fakeTransport', () => {
  it('cuts, delays, keeps the order and waits while reading is paused', () => {
    const clock = virtualClock();
    const delays = [30, 10, 0, 0];
    const transport = fakeTransport({ clock, split: 2, latency: () => delays.shift() ?? 0 });
    const events = new Recorder();
    transport.attach(events);
    transport.feed(bytes(1, 2, 3, 4, 5));
    transport.feedEof();
    expect(events.seen).toEqual([]);
    expect(transport.active).toBe(true);
    clock.advance(29);
    expect(events.seen).toEqual([]);
    transport.pauseReading();
    clock.advance(100);
    expect(events.seen).toEqual([]);
    expect(transport.active).toBe(false);
    transport.resumeReading();
    clock.runUntilIdle();
    expect(events.seen).toEqual(['data 1,2', 'data 3,4', 'data 5', 'eof']);
  });

  it('takes what there is room for and drains when nothing waits', () => {
    const transport = fakeTransport({ room: 3, highWaterMark: 1 });
    const events = new Recorder();
    transport.attach(events);
    expect(transport.write([bytes(1, 2), bytes(3)])).toBe(true);
    expect(transport.write([bytes(4)])).toBe(true);
    expect(transport.write([bytes(5)])).toBe(false);
    expect(transport.bufferedAmount).toBe(2);
    expect(() => transport.write([bytes(6)])).toThrow('before drain()');
    transport.grant(1);
    expect(events.seen).toEqual([]);
    transport.grant(1);
    expect(events.seen).toEqual(['drain']);
    expect([...transport.written]).toEqual([1, 2, 3, 4, 5]);
  });

  it('loses what was not delivered when the peer resets', () => {
    const transport = fakeTransport();
    const events = new Recorder();
    transport.attach(events);
    transport.pauseReading();
    transport.feed(bytes(1));
    transport.reset();
    transport.feed(bytes(2));
    expect(events.seen).toEqual(['Error: ECONNRESET', 'closed']);
    expect(transport.isClosed).toBe(true);
  });

  it('half-closes: closed comes when both sides have ended', () => {
    const transport = fakeTransport();
    const events = new Recorder();
    transport.attach(events);
    transport.end();
    expect(events.seen).toEqual([]);
    transport.feed(bytes(1));
    transport.feedEof();
    expect(events.seen).toEqual(['data 1', 'eof', 'closed']);
    const whole = fakeTransport({ halfClose: false });
    whole.attach(events);
    whole.end();
    expect(whole.isClosed).toBe(true);
  });

  it('overwrites its buffer after each chunk where it reuses one', () => {
    const transport = fakeTransport({ reuseInput: true });
    const kept: Uint8Array[] = [];
    transport.attach({ data: (chunk) => kept.push(chunk), eof() {}, error() {}, drain() {}, closed() {} });
    transport.feed(bytes(1, 2));
    expect(kept.map((chunk) => [...chunk])).toEqual([[0xdd, 0xdd]]);
  });

  it('says nothing once it is cut', () => {
    const transport = fakeTransport();
    const events = new Recorder();
    transport.attach(events);
    transport.cut();
    transport.feed(bytes(1));
    transport.feedEof();
    transport.reset();
    expect(transport.write([bytes(1)])).toBe(false);
    expect(events.seen).toEqual([]);
    transport.abort();
    expect(events.seen).toEqual(['closed']);
  });

  it('names what a driver must not do', () => {
    const transport = fakeTransport();
    transport.attach(new Recorder());
    expect(() => transport.resumeReading()).toThrow('while reading');
    transport.pauseReading();
    expect(() => transport.pauseReading()).toThrow('while paused');
    transport.end();
    expect(() => transport.end()).toThrow('twice');
    expect(() => transport.write([])).toThrow('after end');
    transport.abort();
    expect(() => transport.abort()).toThrow('twice');
  });
});

describe('pair', () => {
  it('carries bytes both ways, whatever the split, the latency and the window', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 30 }), { maxLength: 20 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 64 }),
        fc.integer({ min: 0, max: 64 }),
        fc.array(fc.nat(50), { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        (messages, split, window, highWaterMark, delays, reuseInput) => {
          let turn = 0;
          const client = new ScriptedProtocol();
          const latency = (): Millis => delays[turn++ % delays.length] ?? 0;
          const joined = pair(client, new EchoProtocol(), { split, window, highWaterMark, latency, transport: { reuseInput } });
          for (const body of messages) client.say(body.length, ...body);
          client.say(0);
          joined.a.driver.pump();
          joined.flow();
          client.transport = 'end';
          joined.a.driver.pump();
          joined.flow();
          expect(joined.b.protocol.messages).toEqual(messages.map((body) => body.join(',')));
          expect(client.received).toEqual([...messages.flatMap((body) => [body.length, ...body]), 0]);
          expect(client.calls.filter((call) => call === 'eof')).toHaveLength(1);
          expect([joined.a.transport.isClosed, joined.b.transport.isClosed]).toEqual([true, true]);
          expect(joined.clock.pending).toBe(0);
        },
      ),
    );
  });

  it('stalls the writer while the reader does not read', () => {
    const client = new ScriptedProtocol();
    const server = new ScriptedProtocol();
    const joined = pair(client, server, { window: 100, highWaterMark: 50 });
    server.wantsRead = false;
    joined.b.driver.pump();
    const hundred = Array.from({ length: 100 }, (_, index) => index);
    for (let i = 0; i < 10; i++) {
      client.say(...hundred);
      joined.a.driver.pump();
      joined.flow();
    }
    expect(joined.a.driver.stalled).toBe(true);
    expect(joined.a.driver.bufferedAmount).toBe(900);
    expect(joined.a.transport.writes).toHaveLength(2);
    server.wantsRead = true;
    joined.b.driver.pump();
    joined.flow();
    expect(server.received).toHaveLength(1000);
    expect(joined.a.driver.bufferedAmount).toBe(0);
  });

  it('an abort on one side is a reset on the other', () => {
    const client = new ScriptedProtocol();
    const server = new ScriptedProtocol();
    const joined = pair(client, server, { latency: 5 });
    client.transport = 'abort';
    joined.a.driver.pump();
    joined.flow();
    expect(server.calls).toEqual(['error Error: ECONNRESET']);
    expect([joined.a.transport.isClosed, joined.b.transport.isClosed]).toEqual([true, true]);
    expect(joined.clock.pending).toBe(0);
  });

  it('a cut is seen by nobody', () => {
    const client = new ScriptedProtocol();
    const server = new ScriptedProtocol();
    const joined = pair(client, server);
    joined.cut();
    client.say(1);
    joined.a.driver.pump();
    joined.flow();
    expect(server.calls).toEqual([]);
    expect(joined.a.transport.bufferedAmount).toBe(1);
  });

  it('flow is bounded', () => {
    const client = new ScriptedProtocol();
    const server = new ScriptedProtocol();
    client.onData = () => client.say(1);
    server.onData = () => server.say(1);
    const joined = pair(client, server);
    client.say(1);
    joined.a.driver.pump();
    expect(() => joined.flow(100)).toThrow(RangeError);
  });
});
