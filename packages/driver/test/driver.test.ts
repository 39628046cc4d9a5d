import { Connection, type EndInfo, type Millis } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';
import { drive, type Transport } from '@ferrywire/driver';
import { fakeTransport, joinBytes, virtualClock } from '@ferrywire/driver/testing';
import { ServerProtocol } from '@ferrywire/handshake';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { uncaughtDuring } from '../../../test/uncaught.ts';
import { answering, EchoProtocol, ScriptedProtocol } from './helpers.ts';

function setup(options: Parameters<typeof fakeTransport>[0] = {}) {
  const clock = virtualClock();
  const protocol = new ScriptedProtocol();
  const transport = fakeTransport({ clock, ...options });
  const driver = drive(protocol, transport, { clock: clock.now, timers: clock });
  transport.attach(driver);
  return { clock, protocol, transport, driver };
}
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

describe('output', () => {
  it('writes what the protocol has to say when it starts', () => {
    const protocol = new ScriptedProtocol();
    protocol.say(1, 2);
    const transport = fakeTransport();
    drive(protocol, transport, { clock: transport.clock.now, timers: transport.clock });
    expect(transport.calls).toEqual(['write 2']);
  });

  it('makes one write of all that one chunk caused', () => {
    const { protocol, transport } = setup();
    protocol.onData = (chunk) => {
      for (const value of chunk) protocol.say(value);
    };
    transport.feed(bytes(1, 2, 3, 4, 5));
    expect(transport.calls).toEqual(['write 5']);
    expect([...transport.written]).toEqual([1, 2, 3, 4, 5]);
  });

  it('takes output once per event and none while stalled', () => {
    const { protocol, transport, driver } = setup({ room: 0 });
    protocol.onData = () => protocol.say(7);
    transport.feed(bytes(1));
    expect(driver.stalled).toBe(true);
    expect(protocol.takes).toBe(2);
    const takes = protocol.takes;
    for (let i = 0; i < 10; i++) transport.feed(bytes(1));
    driver.pump();
    expect(protocol.takes).toBe(takes);
    expect(driver.bufferedAmount).toBe(11);
    transport.grant();
    expect(driver.stalled).toBe(false);
    expect(protocol.calls.filter((call) => call === 'drained')).toHaveLength(1);
    expect(transport.calls).toEqual(['write 1', 'write 10']);
    expect(driver.bufferedAmount).toBe(0);
  });

  it('recycles what the transport says it has taken, and only then', () => {
    const taken = setup({ recycles: true });
    taken.protocol.say(1, 2, 3);
    taken.protocol.say(4);
    taken.driver.pump();
    expect(taken.protocol.recycled).toHaveLength(2);
    expect([...taken.transport.written]).toEqual([1, 2, 3, 4]);
    const silent = setup();
    silent.protocol.say(1);
    silent.driver.pump();
    expect(silent.protocol.recycled).toHaveLength(0);
    const slow = setup({ recycles: true, room: 1, highWaterMark: 100 });
    slow.protocol.say(1, 2);
    slow.driver.pump();
    expect(slow.protocol.recycled).toHaveLength(0);
  });

  it('recycles what stalled the transport once that has drained and says that it has taken it', () => {
    for (const recycles of [true, false]) {
      const { protocol, transport, driver } = setup({ recycles, room: 0 });
      for (let turn = 1; turn <= 3; turn++) {
        protocol.say(1, 2);
        protocol.say(3);
        driver.pump();
        expect(driver.stalled).toBe(true);
        protocol.say(4);
        driver.pump();
        expect(protocol.recycled).toHaveLength(recycles ? 3 * (turn - 1) : 0);
        transport.grant(3);
        // What was said meanwhile stalls it again.
        expect([driver.stalled, [...transport.written]]).toEqual([true, Array(turn).fill([1, 2, 3, 4]).flat()]);
        expect(protocol.recycled).toHaveLength(recycles ? 3 * turn - 1 : 0);
        transport.grant(1);
        expect(protocol.recycled).toHaveLength(recycles ? 3 * turn : 0);
      }
    }
  });

  it('recycles nothing of a transport that is gone, or that drains and has not taken all', () => {
    const lost = setup({ recycles: true, room: 0 });
    lost.protocol.say(1);
    lost.driver.pump();
    lost.transport.reset();
    lost.driver.drain();
    expect(lost.protocol.recycled).toHaveLength(0);
    const holding = setup({ recycles: true, room: 0 });
    holding.protocol.say(1);
    holding.driver.pump();
    holding.driver.drain();
    expect(holding.protocol.recycled).toHaveLength(0);
    holding.transport.grant();
    expect(holding.protocol.recycled).toHaveLength(0);
  });

  it('gathers sends of one microtask in one write', async () => {
    const { protocol, transport, driver } = setup();
    protocol.say(1);
    driver.pumpSoon();
    protocol.say(2);
    driver.pumpSoon();
    expect(transport.calls).toEqual([]);
    await Promise.resolve();
    expect(transport.calls).toEqual(['write 2']);
    await Promise.resolve();
    expect(protocol.takes).toBe(2);
  });

  it('flushes the other drivers when one of them throws', async () => {
    const first = setup();
    const second = setup();
    const failing = answering(() => {
      throw new Error('the host is broken');
    });
    const broken = new ScriptedProtocol();
    const clock = virtualClock();
    const driver = drive(broken, failing, { clock: clock.now, timers: clock });
    broken.say(1);
    first.protocol.say(1);
    second.protocol.say(2);
    first.driver.pumpSoon();
    driver.pumpSoon();
    second.driver.pumpSoon();
    const thrown = await uncaughtDuring(() => new Promise((resolve) => setImmediate(resolve)));
    expect(thrown).toEqual(['Error: the host is broken']);
    expect(first.transport.calls).toEqual(['write 1']);
    expect(second.transport.calls).toEqual(['write 1']);
  });
});

describe('directive', () => {
  it('end: after the flush, once', () => {
    const { protocol, transport, driver } = setup({ room: 0 });
    protocol.onData = () => {
      protocol.say(1, 2);
      protocol.transport = 'end';
    };
    transport.feed(bytes(0));
    expect(transport.calls).toEqual(['write 2']);
    driver.pump();
    transport.grant();
    driver.pump();
    driver.pump();
    expect(transport.calls).toEqual(['write 2', 'end']);
  });

  it('keeps reading after end, and closes when the peer has ended too', () => {
    const { protocol, transport, driver } = setup();
    protocol.transport = 'end';
    driver.pump();
    transport.feed(bytes(1, 2));
    expect(protocol.received).toEqual([1, 2]);
    transport.feedEof();
    expect(transport.isClosed).toBe(true);
    expect(protocol.calls).toEqual(['data 2', 'eof']);
  });

  it('done: flush, then end', () => {
    const { protocol, transport } = setup();
    protocol.onEof = () => {
      protocol.say(9);
      protocol.transport = 'done';
    };
    transport.feedEof();
    expect(transport.calls).toEqual(['write 1', 'end']);
    expect(transport.isClosed).toBe(true);
  });

  it('done after end calls nothing a second time', () => {
    const { protocol, transport, driver } = setup();
    protocol.onEof = () => {
      protocol.transport = 'done';
    };
    protocol.transport = 'end';
    driver.pump();
    transport.feedEof();
    expect(transport.calls).toEqual(['end']);
  });

  it('abort: at once, unflushed, even while stalled', () => {
    const { protocol, transport, driver } = setup({ room: 0 });
    protocol.say(1);
    driver.pump();
    protocol.say(2);
    protocol.transport = 'abort';
    driver.pump();
    driver.pump();
    expect(transport.calls).toEqual(['write 1', 'abort']);
    expect(transport.isClosed).toBe(true);
  });

  it('lets go of a transport that broke, unflushed', () => {
    const { protocol, transport, driver } = setup({ room: 0 });
    protocol.say(1);
    driver.pump();
    protocol.transport = 'end';
    driver.pump();
    driver.error('EPIPE');
    expect(transport.calls).toEqual(['write 1', 'abort']);
    expect(protocol.calls).toEqual(['error EPIPE']);
  });
});

describe('reading', () => {
  it('tells the transport of changes only', () => {
    const { protocol, transport, driver } = setup();
    protocol.wantsRead = false;
    driver.pump();
    driver.pump();
    transport.feed(bytes(1));
    expect(protocol.received).toEqual([]);
    protocol.wantsRead = true;
    driver.pump();
    driver.pump();
    expect(transport.calls).toEqual(['pause', 'resume']);
    expect(protocol.received).toEqual([1]);
  });

  it('leaves a transport alone that has nothing more to read', () => {
    const { protocol, transport, driver } = setup();
    transport.feedEof();
    protocol.wantsRead = false;
    driver.pump();
    expect(transport.calls).toEqual([]);
  });
});

describe('timer', () => {
  it('is armed for the first deadline and calls handleTimeout', () => {
    const { clock, protocol, driver } = setup();
    protocol.due = clock.now() + 50;
    protocol.onTimeout = (now) => {
      expect(now).toBe(1050);
      protocol.due = null;
    };
    driver.pump();
    clock.advance(49);
    expect(protocol.calls).toEqual([]);
    clock.advance(1);
    expect(protocol.calls).toEqual(['timeout']);
    expect(clock.pending).toBe(0);
  });

  it('is not re-armed for a deadline that moved later', () => {
    const { clock, protocol, transport } = setup();
    protocol.onData = () => {
      protocol.due = clock.now() + 100;
    };
    protocol.onTimeout = () => {
      protocol.due = null;
    };
    for (let i = 0; i < 1000; i++) {
      transport.feed(bytes(1));
      clock.advance(1);
    }
    // 1000 deadlines over 1000 ms: the timer fires every 100 ms, finds the deadline moved, and is armed for the rest.
    expect(clock.armed).toBeLessThanOrEqual(12);
    expect(clock.cleared).toBe(0);
    expect(protocol.calls.filter((call) => call === 'timeout')).toHaveLength(0);
    clock.advance(100);
    expect(protocol.calls.filter((call) => call === 'timeout')).toHaveLength(1);
  });

  it('is re-armed for a deadline that moved earlier, and cleared when there is none', () => {
    const { clock, protocol, driver } = setup();
    protocol.due = clock.now() + 100;
    driver.pump();
    protocol.due = clock.now() + 10;
    driver.pump();
    expect(clock.next).toBe(1010);
    expect(clock.pending).toBe(1);
    driver.pump();
    expect(clock.armed).toBe(2);
    protocol.due = null;
    driver.pump();
    expect(clock.pending).toBe(0);
  });

  it('yields to the host between steps of work that is already due', () => {
    const { clock, protocol, driver } = setup();
    let steps = 0;
    protocol.due = clock.now() - 1;
    protocol.onTimeout = () => {
      protocol.say(steps);
      if (++steps === 5) protocol.due = null;
    };
    driver.pump();
    expect(steps).toBe(0);
    expect(clock.advance(0)).toBe(5);
    expect(steps).toBe(5);
  });

  it('takes deadlines further away than a host can count', () => {
    const { clock, protocol, driver } = setup();
    const delays: Millis[] = [];
    const far = drive(protocol, fakeTransport(), {
      clock: clock.now,
      timers: { set: (_callback, delay) => delays.push(delay), clear: () => {} },
    });
    protocol.due = clock.now() + 1e12;
    protocol.onTimeout = () => {
      protocol.due = null;
    };
    far.pump();
    driver.pump();
    expect(delays).toEqual([2_147_483_647]);
    clock.advance(1e12 - 1);
    expect(protocol.calls).toEqual([]);
    clock.advance(1);
    expect(protocol.calls).toEqual(['timeout']);
  });

  it('may fire early', () => {
    const { clock, protocol } = setup();
    let fire: (() => void) | null = null;
    let set = 0;
    const driver = drive(protocol, fakeTransport(), {
      clock: clock.now,
      timers: {
        set: (callback) => {
          fire = callback;
          return ++set;
        },
        clear: () => {},
      },
    });
    protocol.due = clock.now() + 0.4;
    driver.pump();
    (fire as (() => void) | null)?.();
    expect(protocol.calls).toEqual([]);
    expect(set).toBe(2);
  });
});

describe('the end', () => {
  it('closed gives the protocol EOF when nothing else came before', () => {
    const { protocol, transport } = setup();
    transport.close();
    expect(protocol.calls).toEqual(['eof']);
  });

  it('closed after error or eof gives nothing more', () => {
    const reset = setup();
    reset.transport.reset('ECONNRESET');
    expect(reset.protocol.calls).toEqual(['error ECONNRESET']);
    const ended = setup();
    ended.transport.feedEof();
    ended.transport.close();
    expect(ended.protocol.calls).toEqual(['eof']);
  });

  it('does nothing after the transport is gone, and holds no timer', () => {
    const { clock, protocol, transport, driver } = setup();
    protocol.due = clock.now() + 10;
    driver.pump();
    transport.close();
    expect(clock.pending).toBe(0);
    const calls = protocol.calls.length;
    protocol.say(1);
    driver.pump();
    protocol.transport = 'abort';
    driver.data(bytes(1));
    driver.eof();
    driver.error('late');
    driver.drain();
    driver.closed();
    driver.pump();
    expect(protocol.calls).toHaveLength(calls);
    expect(transport.calls).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('still does the work that a step budget had stopped', () => {
    const { clock, protocol, transport } = setup();
    let steps = 0;
    protocol.onEof = () => {
      protocol.due = clock.now();
    };
    protocol.onTimeout = () => {
      if (++steps === 3) protocol.due = null;
    };
    transport.close();
    clock.runUntilIdle();
    expect(steps).toBe(3);
    expect(clock.pending).toBe(0);
  });

  it('does nothing after an abort', () => {
    const { clock, protocol, transport, driver } = setup();
    protocol.due = clock.now() + 10;
    protocol.transport = 'abort';
    driver.pump();
    driver.data(bytes(1));
    driver.eof();
    driver.error('late');
    expect(protocol.calls).toEqual([]);
    expect(transport.calls).toEqual(['abort']);
    expect(clock.pending).toBe(0);
  });
});

describe('callbacks', () => {
  it('are usable detached, and are the same function each time', () => {
    const { protocol, transport, driver } = setup();
    const { data, eof, error, drain, closed, pump } = driver;
    expect(driver.data).toBe(data);
    data(bytes(1));
    drain();
    eof();
    error('x');
    closed();
    pump();
    expect(protocol.calls).toEqual(['data 1', 'eof']);
    expect(transport.calls).toEqual([]);
  });

  it('onEvents comes after input and before output is taken, onDrain when there is room', () => {
    const clock = virtualClock();
    const protocol = new ScriptedProtocol();
    const transport = fakeTransport({ clock, room: 1 });
    const order: string[] = [];
    const driver = drive(protocol, transport, {
      clock: clock.now,
      timers: clock,
      onEvents: () => {
        order.push(`events ${protocol.calls.at(-1)}`);
        protocol.say(1, 2);
      },
    });
    transport.attach(driver);
    driver.onDrain = () => order.push(`drain ${String(driver.stalled)}`);
    transport.feed(bytes(5));
    expect(transport.calls).toEqual(['write 2']);
    transport.grant();
    transport.feedEof();
    expect(order).toEqual(['events data 1', 'drain false', 'events eof']);
    driver.onEvents = null;
    protocol.due = clock.now();
    protocol.onTimeout = () => {
      protocol.due = null;
    };
    driver.pump();
    clock.advance(1);
    expect(order).toHaveLength(3);
  });

  it('onEvents comes with a pump too while reading is paused: what was received before may be pulled again', () => {
    const { protocol, transport, driver } = setup();
    let told = 0;
    driver.onEvents = () => {
      told++;
      driver.pump();
    };
    driver.pump();
    expect(told).toBe(0);
    protocol.wantsRead = false;
    driver.pump();
    expect([told, transport.reading]).toEqual([0, false]);
    protocol.wantsRead = true;
    driver.pump();
    expect([told, transport.reading]).toEqual([1, true]);
    driver.pump();
    expect(told).toBe(1);
  });

  it('what a callback throws leaves the event after the turn was finished', () => {
    const { protocol, transport, driver } = setup();
    protocol.onData = () => {
      protocol.say(1);
      throw new Error('application');
    };
    expect(() => driver.data(bytes(1))).toThrow('application');
    expect(transport.calls).toEqual(['write 1']);
    protocol.onData = () => protocol.say(2);
    driver.data(bytes(1));
    expect(transport.calls).toEqual(['write 1', 'write 1']);
  });

  it('a throwing callback loses none of the events that waited behind it', () => {
    const { clock, protocol, transport, driver } = setup();
    let first = true;
    protocol.onData = () => {
      if (!first) throw new Error('second');
      first = false;
      driver.data(bytes(2));
      driver.data(bytes(3));
      driver.eof();
    };
    expect(() => driver.data(bytes(1))).toThrow('second');
    expect(() => clock.runUntilIdle()).toThrow('second');
    clock.runUntilIdle();
    expect(protocol.calls).toEqual(['data 1', 'data 1', 'data 1', 'eof']);
    expect(protocol.received).toEqual([1, 2, 3]);
    expect(transport.calls).toEqual([]);
  });

  it('pump inside a callback waits for the end of the event', () => {
    const { protocol, transport, driver } = setup();
    protocol.onData = () => {
      protocol.say(1);
      driver.pump();
      driver.pumpSoon();
      expect(transport.calls).toEqual([]);
      protocol.say(2);
    };
    transport.feed(bytes(1));
    expect(transport.calls).toEqual(['write 2']);
  });

  it('keeps the order of events raised from inside the transport, and copies what waits', () => {
    const clock = virtualClock();
    const protocol = new ScriptedProtocol();
    const shared = new Uint8Array(1);
    let echo = 3;
    const transport = answering(() => {
      if (echo-- > 0) {
        shared[0] = echo;
        driver.data(shared);
        shared[0] = 99;
      }
      return true;
    });
    const driver = drive(protocol, transport, { clock: clock.now, timers: clock });
    protocol.onData = () => protocol.say(1);
    driver.data(bytes(7));
    expect(protocol.received).toEqual([7, 2, 1, 0]);
  });

  it('a loopback that answers inside write for ever leaves the host its turn', () => {
    const clock = virtualClock();
    const protocol = new ScriptedProtocol();
    let writes = 0;
    const transport = answering(() => {
      writes++;
      if (writes < 1000) driver.data(bytes(1));
      return true;
    });
    const driver = drive(protocol, transport, { clock: clock.now, timers: clock });
    protocol.onData = () => protocol.say(1);
    driver.data(bytes(1));
    expect(writes).toBeLessThan(100);
    expect(clock.next).toBe(clock.now());
    clock.runUntilIdle();
    expect(writes).toBe(1000);
    expect(protocol.received).toHaveLength(1000);
  });

  it('events raised from inside abort, end and write reach the protocol after the turn', () => {
    const clock = virtualClock();
    const protocol = new ScriptedProtocol();
    const calls: string[] = [];
    const transport: Transport = {
      write: () => {
        calls.push('write');
        driver.error('EPIPE');
        driver.closed();
        return true;
      },
      end: () => calls.push('end'),
      abort: () => calls.push('abort'),
      pauseReading() {},
      resumeReading() {},
      bufferedAmount: 0,
    };
    const driver = drive(protocol, transport, { clock: clock.now, timers: clock });
    protocol.onData = () => {
      protocol.say(1);
      protocol.transport = 'end';
    };
    driver.data(bytes(1));
    expect(calls).toEqual(['write']);
    expect(protocol.calls).toEqual(['data 1', 'error EPIPE']);
    expect(driver.isClosed).toBe(true);
  });
});

/** A transport that only records: what it is told has no consequence until the test says so. */
function inert(onWrite: () => void = () => {}): Transport & { readonly calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    write() {
      calls.push('write');
      onWrite();
      return true;
    },
    end: () => void calls.push('end'),
    abort: () => void calls.push('abort'),
    pauseReading: () => void calls.push('pause'),
    resumeReading: () => void calls.push('resume'),
    bufferedAmount: 0,
  };
}

describe('states between two events', () => {
  function driven(onWrite?: () => void) {
    const clock = virtualClock();
    const protocol = new ScriptedProtocol();
    const transport = inert(onWrite);
    const driver = drive(protocol, transport, { clock: clock.now, timers: clock });
    return { clock, protocol, transport, driver };
  }
  const everything = (driver: ReturnType<typeof drive>): void => {
    driver.onDrain = () => expect.unreachable();
    driver.data(bytes(1));
    driver.eof();
    driver.error('late');
    driver.drain();
    driver.pump();
  };

  it('after abort and before closed nothing happens any more', () => {
    const { clock, protocol, transport, driver } = driven();
    protocol.due = clock.now() + 10;
    driver.pump();
    protocol.transport = 'abort';
    driver.pump();
    protocol.say(1);
    protocol.wantsRead = false;
    expect([driver.isLost, driver.isClosed]).toEqual([true, false]);
    everything(driver);
    clock.advance(100);
    driver.closed();
    driver.closed();
    expect(transport.calls).toEqual(['abort']);
    expect(protocol.calls).toEqual([]);
    expect(clock.pending).toBe(0);
    expect([driver.isLost, driver.isClosed]).toEqual([true, true]);
  });

  it('what is said to a transport that is lost is taken and thrown away', () => {
    const losses: ((made: ReturnType<typeof driven>) => void)[] = [
      ({ driver }) => driver.error('broken'),
      ({ driver }) => driver.closed(),
      ({ protocol, driver }) => {
        protocol.transport = 'abort';
        driver.pump();
      },
    ];
    for (const lose of losses) {
      const made = driven();
      const { protocol, transport, driver } = made;
      expect(driver.isLost).toBe(false);
      lose(made);
      expect(driver.isLost).toBe(true);
      // The protocol does not know: its end waits behind input that nobody reads.
      protocol.transport = 'open';
      for (let round = 0; round < 3; round++) {
        protocol.say(1, 2, 3);
        driver.pump();
        expect([driver.bufferedAmount, protocol.recycled.length]).toEqual([0, round + 1]);
      }
      expect(transport.calls.filter((call) => call.startsWith('write'))).toEqual([]);
    }
  });

  it.each([undefined, 500] as const)('a transport that both sides have ended is to be gone in time (closing: %s)', (closing) => {
    const within = closing ?? 10_000;
    for (const stalls of [false, true]) {
      for (const gone of [false, true]) {
        const clock = virtualClock();
        const protocol = new ScriptedProtocol();
        const calls: string[] = [];
        const transport: Transport = {
          ...inert(),
          write: () => !stalls,
          end: () => void calls.push('end'),
          abort: () => void calls.push('abort'),
        };
        const time = { clock: clock.now, timers: clock };
        const driver = drive(protocol, transport, closing === undefined ? time : { ...time, closing });
        protocol.say(1);
        driver.pump();
        protocol.onEof = () => {
          protocol.transport = 'done';
        };
        driver.eof();
        const ended = stalls ? [] : ['end'];
        expect(calls).toEqual(ended);
        clock.advance(within - 1);
        driver.pump();
        expect(calls).toEqual(ended);
        if (gone) driver.closed();
        clock.advance(1);
        expect(calls).toEqual(gone ? ended : [...ended, 'abort']);
        clock.advance(10 * within);
        expect([calls.length, clock.pending]).toEqual([ended.length + (gone ? 0 : 1), 0]);
      }
    }
  });

  it('a transport that both sides have ended has as long again whenever it drains', () => {
    const clock = virtualClock();
    const protocol = new ScriptedProtocol();
    const calls: string[] = [];
    const transport: Transport = {
      ...inert(),
      write: () => false,
      end: () => void calls.push('end'),
      abort: () => void calls.push('abort'),
    };
    const driver = drive(protocol, transport, { clock: clock.now, timers: clock, closing: 500 });
    protocol.say(1);
    driver.pump();
    protocol.transport = 'done';
    driver.eof();
    for (let count = 0; count < 3; count++) {
      clock.advance(400);
      protocol.say(1);
      driver.drain();
    }
    clock.advance(400);
    expect(calls).toEqual([]);
    driver.drain();
    expect(calls).toEqual(['end']);
    clock.advance(400);
    // It was not stalled, so this is no sign of progress.
    driver.drain();
    clock.advance(99);
    expect(calls).toEqual(['end']);
    clock.advance(1);
    expect([calls, clock.pending]).toEqual([['end', 'abort'], 0]);
  });

  it('with closing: 0 it may take as long as it likes', () => {
    const clock = virtualClock();
    const protocol = new ScriptedProtocol();
    const transport = inert();
    const driver = drive(protocol, transport, { clock: clock.now, timers: clock, closing: 0 });
    protocol.transport = 'done';
    driver.eof();
    expect([transport.calls, clock.pending]).toEqual([['end'], 0]);
  });

  it('an abort inside an event drops what waited behind it', () => {
    const { protocol, transport, driver } = driven();
    protocol.onData = () => {
      driver.data(bytes(2));
      driver.eof();
      protocol.transport = 'abort';
    };
    driver.data(bytes(1));
    expect(protocol.calls).toEqual(['data 1']);
    expect(transport.calls).toEqual(['abort']);
  });

  it('after an error nothing is written, and a second one says nothing new', () => {
    const { protocol, transport, driver } = driven();
    driver.error('first');
    protocol.say(1);
    protocol.wantsRead = false;
    everything(driver);
    expect(protocol.calls).toEqual(['error first']);
    expect(transport.calls).toEqual([]);
    protocol.transport = 'done';
    driver.pump();
    expect(transport.calls).toEqual(['abort']);
  });

  it('an error after EOF lets go of the transport', () => {
    const { protocol, transport, driver } = driven();
    protocol.onEof = () => {
      protocol.transport = 'done';
    };
    driver.eof();
    driver.error('EPIPE');
    expect(protocol.calls).toEqual(['eof']);
    expect(transport.calls).toEqual(['end', 'abort']);
  });

  it('after end nothing is taken', () => {
    const { protocol, transport, driver } = driven();
    protocol.transport = 'end';
    driver.pump();
    const takes = protocol.takes;
    protocol.say(1);
    driver.data(bytes(1));
    driver.pump();
    expect(protocol.takes).toBe(takes);
    expect(transport.calls).toEqual(['end']);
  });

  it('a drain that nobody waited for is passed on, and is no news to the protocol', () => {
    const { protocol, driver } = driven();
    let drains = 0;
    driver.onDrain = () => drains++;
    driver.drain();
    expect([drains, protocol.calls.length]).toEqual([1, 0]);
  });

  it('hands over the chunk itself, not a copy', () => {
    const { protocol, driver } = driven();
    const chunk = bytes(1, 2);
    let given: Uint8Array | null = null;
    protocol.onData = (data) => {
      given = data;
    };
    driver.data(chunk);
    expect(given).toBe(chunk);
  });

  it('what write() makes the application send goes out in the same event', () => {
    for (const how of ['pump', 'pumpSoon'] as const) {
      let more = 2;
      const made = driven(() => {
        if (more-- > 0) {
          made.protocol.say(9);
          made.driver[how]();
        }
      });
      made.protocol.say(1);
      made.driver.pump();
      expect([how, ...made.transport.calls]).toEqual([how, 'write', 'write', 'write']);
    }
  });

  it('a transport whose writes always make more leaves the host its turn', () => {
    let writes = 0;
    const made = driven(() => {
      if (++writes < 1000) {
        made.protocol.say(9);
        made.driver.pump();
      }
    });
    made.protocol.say(1);
    made.driver.pump();
    expect(writes).toBe(64);
    made.clock.runUntilIdle();
    expect(writes).toBe(1000);
  });

  it('pumpSoon inside an event costs no pump of its own', async () => {
    const { protocol, driver } = driven();
    protocol.onData = () => driver.pumpSoon();
    driver.data(bytes(1));
    const takes = protocol.takes;
    await Promise.resolve();
    expect(protocol.takes).toBe(takes);
  });

  it('a timer that was cleared is armed anew for the next deadline', () => {
    const { clock, protocol, driver } = driven();
    protocol.onTimeout = () => {
      protocol.due = null;
    };
    protocol.due = clock.now() + 10;
    driver.pump();
    protocol.due = null;
    driver.pump();
    protocol.due = clock.now() + 20;
    driver.pump();
    clock.advance(20);
    expect(protocol.calls).toEqual(['timeout']);
  });

  it('a deadline is an event like the others', () => {
    const { clock, protocol, transport, driver } = driven();
    const order: string[] = [];
    driver.onEvents = () => order.push(`events after ${protocol.calls.at(-1)}`);
    protocol.due = clock.now() + 10;
    protocol.onTimeout = () => {
      protocol.due = null;
      protocol.say(1);
      driver.data(bytes(5));
      driver.pump();
      order.push('timeout');
    };
    driver.pump();
    clock.advance(10);
    expect(order).toEqual(['timeout', 'events after timeout', 'events after data 1']);
    expect(transport.calls).toEqual(['write']);
  });

  it('a host that runs timers inside an event loses no deadline', () => {
    const { clock, protocol, driver } = driven();
    protocol.due = clock.now() + 10;
    protocol.onTimeout = () => {
      protocol.due = null;
    };
    driver.pump();
    protocol.onData = () => {
      clock.advance(10);
      expect(protocol.calls).toEqual(['data 1']);
    };
    driver.data(bytes(1));
    clock.advance(0);
    expect(protocol.calls).toEqual(['data 1', 'timeout']);
  });
});

const message = fc.uint8Array({ minLength: 1, maxLength: 20 });

describe('any split', () => {
  it('gives the same events and the same output', () => {
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 0, max: 64 }),
        fc.boolean(),
        (messages, split, room, reuseInput) => {
          const input = joinBytes([...messages.map((body) => Uint8Array.from([body.length, ...body])), bytes(0)]);
          const whole = run(input, {});
          const pieces = run(input, { split, room, reuseInput, highWaterMark: room >> 2 });
          expect(pieces).toEqual(whole);
          expect(whole.messages).toHaveLength(messages.length);
        },
      ),
    );
  });

  function run(input: Uint8Array, options: Parameters<typeof fakeTransport>[0]) {
    const clock = virtualClock();
    const protocol = new EchoProtocol();
    const transport = fakeTransport({ clock, ...options });
    const driver = drive(protocol, transport, { clock: clock.now, timers: clock });
    transport.attach(driver);
    transport.feed(input);
    for (let i = 0; i < 500; i++) transport.grant(3);
    transport.feedEof();
    return { messages: protocol.messages, written: [...transport.written], ended: protocol.ended, closed: transport.isClosed };
  }
});

describe('a peer that closes and ends its side while it takes nothing', () => {
  const request = [
    'GET / HTTP/1.1',
    'Host: localhost',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    '\r\n',
  ].join('\r\n');
  const ends: EndInfo[] = [];
  const sink = { onEnd: (info: EndInfo) => void ends.push(info) };
  const kinds = {
    connection: (clock: () => Millis) => new Connection({ role: 'server', clock, sink }),
    'whole life': (clock: () => Millis) => {
      const life: ServerProtocol = new ServerProtocol({ clock, sink: { ...sink, onRequest: () => void life.accept() } });
      return life;
    },
  };

  it.each(['connection', 'whole life'] as const)('has all of it and a clean end when it reads on (%s)', (kind) => {
    ends.length = 0;
    const clock = virtualClock();
    const protocol = kinds[kind](clock.now);
    const transport = fakeTransport({ clock, room: 1000, highWaterMark: 100 });
    const driver = drive(protocol, transport, { clock: clock.now, timers: clock });
    transport.attach(driver);
    if (kind === 'whole life') transport.feed(new TextEncoder().encode(request));
    protocol.send(new Uint8Array(5000));
    driver.pump();
    transport.feed(serializeFrame({ opcode: 8, payload: bytes(0x03, 0xe8), maskKey: 1 }));
    transport.feedEof();
    expect([ends, driver.stalled]).toEqual([[], true]);
    transport.grant();
    expect(ends).toMatchObject([{ clean: true, code: 1000, cause: null }]);
    expect([[...transport.written.slice(-4)], transport.ended]).toEqual([[0x88, 2, 0x03, 0xe8], true]);
    transport.close();
    expect([driver.isClosed, clock.pending, ends.length]).toEqual([true, 0, 1]);
  });

  it.each(['answers late', 'is gone', 'breaks', 'never answers', 'is dropped'])('leaves time to whoever closes by hand, who %s', (how) => {
    ends.length = 0;
    const clock = virtualClock();
    const protocol = new Connection({ role: 'server', clock: clock.now, sink, autoClose: false });
    const transport = fakeTransport({ clock });
    const driver = drive(protocol, transport, { clock: clock.now, timers: clock });
    transport.attach(driver);
    transport.feed(serializeFrame({ opcode: 8, payload: bytes(0x03, 0xe8), maskKey: 1 }));
    transport.feedEof();
    clock.advance(9999);
    expect([ends, transport.calls]).toEqual([[], []]);
    if (how === 'answers late') {
      protocol.sendText('a');
      protocol.close(1001);
    } else if (how === 'is dropped') protocol.abort();
    else if (how === 'is gone') transport.close();
    else if (how === 'breaks') transport.reset();
    else clock.advance(1);
    driver.pump();
    const causes: Readonly<Record<string, string>> = {
      'is gone': 'WS_EOF',
      breaks: 'WS_TRANSPORT',
      'never answers': 'WS_TIMEOUT_CLOSING',
      'is dropped': 'WS_ABORTED',
    };
    if (how === 'answers late') expect([...transport.written]).toEqual([0x81, 1, 97, 0x88, 2, 0x03, 0xe9]);
    const cause = how === 'answers late' ? null : { code: causes[how] };
    expect(ends).toMatchObject([{ clean: how === 'answers late', code: 1000, cause }]);
    if (how === 'answers late') transport.close();
    expect([driver.isClosed, clock.pending, ends.length]).toEqual([true, 0, 1]);
  });

  /** Unread until it is pulled or resumed, as much as the host gave at a time: it tells of the end all the same. */
  function unread(isPulled: boolean, chunk: Uint8Array) {
    ends.length = 0;
    const seen: string[] = [];
    const clock = virtualClock();
    const role = { role: 'server', clock: clock.now, autoClose: false } as const;
    const onText = (text: string): void => {
      seen.push(text);
      protocol.pause();
    };
    const onClose = (code: number): void => void seen.push(`close ${code}`);
    const protocol = new Connection(isPulled ? role : { ...role, sink: { ...sink, onText, onClose } });
    const transport = fakeTransport({ clock });
    const driver = drive(protocol, transport, { clock: clock.now, timers: clock });
    transport.attach(driver);
    driver.data(chunk);
    driver.eof();
    clock.advance(30_000);
    const read = (): void => {
      if (isPulled) {
        for (const event of protocol.events()) {
          if (event.type === 'message') seen.push(String(event.data));
          else if (event.type === 'close') seen.push(`close ${event.code}`);
          else if (event.type === 'end') ends.push(event);
        }
      } else protocol.resume();
      driver.pump();
    };
    return { clock, driver, protocol, transport, seen, read };
  }
  const text = serializeFrame({ opcode: 1, payload: bytes(0x61), maskKey: 1 });
  const close = serializeFrame({ opcode: 8, payload: bytes(0x03, 0xe8), maskKey: 1 });

  it.each([true, false])('leaves that time where the close frame is read behind the end (pulled: %s)', (isPulled) => {
    const { clock, driver, protocol, transport, seen, read } = unread(isPulled, joinBytes([text, close]));
    read();
    expect([seen, ends]).toEqual([['a', 'close 1000'], []]);
    clock.advance(9999);
    expect([protocol.sendText('b'), protocol.close(1000)]).toEqual([true, true]);
    driver.pump();
    read();
    expect([...transport.written.slice(-7)]).toEqual([0x81, 1, 98, 0x88, 2, 0x03, 0xe8]);
    expect(ends).toMatchObject([{ clean: true, code: 1000, cause: null }]);
    expect(transport.ended).toBe(true);
    transport.close();
    expect([driver.isClosed, clock.pending, ends.length]).toEqual([true, 0, 1]);
  });

  it.each([true, false])('and none where what was unread brings no close frame, or the transport is gone (pulled: %s)', (isPulled) => {
    for (const what of ['nothing', 'gone', 'broken'] as const) {
      const { clock, driver, transport, seen, read } = unread(
        isPulled,
        what === 'nothing' ? joinBytes([text, text]) : joinBytes([text, close]),
      );
      if (what === 'gone') transport.close();
      else if (what === 'broken') transport.reset();
      expect(ends).toEqual([]);
      for (let round = 0; round < 3; round++) read();
      const isClosed = what !== 'nothing';
      expect(seen).toEqual(['a', isClosed ? 'close 1000' : 'a']);
      expect(ends).toMatchObject([
        { clean: false, code: isClosed ? 1000 : 1006, cause: { code: what === 'broken' ? 'WS_TRANSPORT' : 'WS_EOF' } },
      ]);
      transport.close();
      expect([driver.isClosed, clock.pending, ends.length]).toEqual([true, 0, 1]);
    }
  });

  it('leaves that time where all of it came before the request was accepted', () => {
    ends.length = 0;
    const clock = virtualClock();
    const life: ServerProtocol = new ServerProtocol({ clock: clock.now, autoClose: false });
    const transport = fakeTransport({ clock });
    const driver = drive(life, transport, { clock: clock.now, timers: clock });
    transport.attach(driver);
    driver.data(joinBytes([new TextEncoder().encode(request), text, close]));
    driver.eof();
    expect(life.nextEvent()?.type).toBe('request');
    clock.advance(5000);
    life.accept();
    driver.pump();
    expect([...life.events()].map(({ type }) => type)).toEqual(['open', 'message', 'close']);
    driver.pump();
    expect(life.close(1000)).toBe(true);
    driver.pump();
    expect([...life.events()]).toMatchObject([{ type: 'end', clean: true, code: 1000 }]);
    expect([[...transport.written.slice(-4)], transport.ended]).toEqual([[0x88, 2, 0x03, 0xe8], true]);
  });
});
