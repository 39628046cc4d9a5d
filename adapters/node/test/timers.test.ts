/** The shared timer against what was asked of it, on timers that are moved by hand. */

import buffer from 'node:buffer';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import threads from 'node:worker_threads';
import { runtimeOf } from '@ferrywire/driver/adapter';
import { connect, listen } from '@ferrywire/node';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type NativeTimers, SharedTimers } from '../dist/timers.js';
import { RawClient } from './helpers.ts';

/** What `setTimeout` can count to. */
const LONGEST = 2_147_483_647;

let now = 0;
let turns: (() => void)[] = [];
let alarms: { readonly due: number; readonly callback: () => void }[] = [];
const time = (): number => now;
const native: NativeTimers = {
  after(callback, delay) {
    // What Node, Bun and Deno do: a delay that does not fit becomes 1.
    if (delay > LONGEST) throw new RangeError(`${delay} fires at once`);
    const alarm = { due: now + delay, callback };
    alarms.push(alarm);
    return alarm;
  },
  cancel(handle) {
    alarms = alarms.filter((alarm) => alarm !== handle);
  },
  nextTurn(callback, entry) {
    turns.push(() => callback(entry));
  },
};

function runTurns(): void {
  for (const turn of turns.splice(0)) turn();
}

/** A millisecond at a time. */
function advance(by: number): void {
  for (let step = 0; step < by; step++) {
    now += 1;
    const due = alarms.filter((alarm) => alarm.due <= now);
    alarms = alarms.filter((alarm) => alarm.due > now);
    for (const { callback } of due) callback();
  }
}

beforeEach(() => {
  now = 1000.25;
  turns = [];
  alarms = [];
});

describe('SharedTimers', () => {
  it('calls back once, not before its time and at most two milliseconds after it', () => {
    const timers = new SharedTimers(time, native);
    const fired: number[] = [];
    timers.set(() => fired.push(now), 50);
    advance(49);
    expect(fired).toEqual([]);
    advance(3);
    expect(fired).toHaveLength(1);
    advance(100);
    expect(fired).toHaveLength(1);
    expect(timers.size).toBe(0);
  });
  it('keeps one timer of Node for any number of deadlines', () => {
    const timers = new SharedTimers(time, native);
    for (let index = 0; index < 1000; index++) timers.set(() => {}, 20_000 + index);
    expect(timers.size).toBe(1000);
    expect(alarms).toHaveLength(1);
  });
  it('a delay of 0 is the next turn, and can be cleared', () => {
    const timers = new SharedTimers(time, native);
    const fired: string[] = [];
    timers.set(() => fired.push('kept'), 0);
    timers.clear(timers.set(() => fired.push('cleared'), 0));
    expect(fired).toEqual([]);
    runTurns();
    expect(fired).toEqual(['kept']);
  });
  it('keeps deadlines further away than a timer of Node can be, and for ever', () => {
    const timers = new SharedTimers(time, native);
    const fired: string[] = [];
    const pass = (): void => {
      const [alarm] = alarms.splice(0);
      now = alarm?.due ?? now;
      alarm?.callback();
    };
    const never = timers.set(() => fired.push('never'), Number.POSITIVE_INFINITY);
    timers.set(() => fired.push('far'), LONGEST + 10);
    const timed = { due: 0, index: -1, fired: () => void fired.push('farther') };
    timers.add(timed, 2 * LONGEST + 10);
    const start = now;
    pass();
    expect([fired, now - start]).toEqual([[], LONGEST]);
    pass();
    expect(fired).toEqual(['far']);
    expect(now - start).toBeLessThan(LONGEST + 12);
    pass();
    expect(fired).toEqual(['far', 'farther']);
    expect(now - start).toBeLessThan(2 * LONGEST + 12);
    pass();
    expect([fired, alarms.length]).toEqual([['far', 'farther'], 1]);
    timers.clear(never);
    expect(alarms).toEqual([]);
  });
  it('leaves no timer behind when the last deadline is cleared', () => {
    const timers = new SharedTimers(time, native);
    const handles = [30, 10, 20].map((delay) => timers.set(() => {}, delay));
    for (const handle of handles) timers.clear(handle);
    expect(timers.size).toBe(0);
    expect(alarms).toHaveLength(0);
    // Clearing what is not there is harmless.
    timers.clear(handles[0]);
    timers.clear(undefined);
  });
  it('a callback that throws does not take the others with it', () => {
    const timers = new SharedTimers(time, native);
    const fired: string[] = [];
    timers.set(() => {
      throw new Error('from the application');
    }, 10);
    timers.set(() => fired.push('second'), 10);
    expect(() => advance(12)).toThrow('from the application');
    advance(3);
    expect(fired).toEqual(['second']);
  });
  it('callbacks may set and clear', () => {
    const timers = new SharedTimers(time, native);
    const fired: string[] = [];
    const other = timers.set(() => fired.push('never'), 11);
    timers.set(() => {
      timers.clear(other);
      timers.set(() => fired.push('later'), 5);
    }, 10);
    advance(30);
    expect(fired).toEqual(['later']);
  });

  it('fires late only when it has waited as long and the event loop has gone round: a thread that was held up has not read yet', () => {
    const timers = new SharedTimers(time, native);
    const fired: string[] = [];
    for (const [name, delay] of [
      ['one', 10],
      ['cleared', 11],
      ['two', 12],
      ['later', 100],
    ] as const) {
      const timer = timers.set(() => fired.push(name), delay);
      if (name === 'cleared') timers.set(() => timers.clear(timer), 0);
    }
    // Held up for 40 milliseconds, so 30 too late.
    now += 40;
    advance(1);
    expect(fired).toEqual([]);
    // What is set and cleared meanwhile waits too, or is not there.
    timers.set(() => fired.push('new'), 1);
    timers.clear(timers.set(() => fired.push('never'), 1));
    runTurns();
    advance(30);
    expect([fired, turns.length]).toEqual([[], 0]);
    advance(1);
    expect([fired, turns.length]).toEqual([[], 1]);
    runTurns();
    expect(fired).toEqual(['one', 'two', 'new']);
    advance(35);
    expect([fired, timers.size, alarms, turns]).toEqual([['one', 'two', 'new', 'later'], 0, [], []]);
  });
  it('waits no longer than a second for what peers owe, and again when it was held up meanwhile', () => {
    const timers = new SharedTimers(time, native);
    const fired: number[] = [];
    timers.set(() => fired.push(now), 10);
    // The sleep of a machine, twice.
    now += 3_600_000;
    advance(1);
    advance(500);
    now += 3_600_000;
    advance(1);
    expect([fired, turns.length]).toEqual([[], 0]);
    advance(999);
    expect(turns.length).toBe(0);
    advance(1);
    runTurns();
    expect(fired).toEqual([now]);
  });
  it('fires in the end on a thread that is held up all the time', () => {
    const timers = new SharedTimers(time, native);
    const fired: number[] = [];
    timers.set(() => fired.push(now), 10);
    for (let held = 0; held < 5; held++) {
      expect(fired).toEqual([]);
      now += 5000;
      advance(1);
      runTurns();
    }
    expect(fired).toEqual([now]);
    timers.set(() => fired.push(now), 10);
    advance(12);
    expect(fired).toHaveLength(2);
  });
  it('forgets what was cleared while it waited for that, and goes on', () => {
    const timers = new SharedTimers(time, native);
    const fired: string[] = [];
    const timer = timers.set(() => fired.push('cleared'), 10);
    now += 40;
    advance(1);
    timers.clear(timer);
    advance(31);
    runTurns();
    expect([fired, timers.size, alarms, turns]).toEqual([[], 0, [], []]);
    timers.set(() => fired.push('next'), 10);
    advance(12);
    expect(fired).toEqual(['next']);
  });

  it('an object may be its own timer: added again it moves, removed it does not fire', () => {
    const timers = new SharedTimers(time, native);
    const fired: number[] = [];
    const timed = { due: 0, index: -1, fired: () => void fired.push(now) };
    timers.add(timed, 10);
    timers.add(timed, 40);
    expect(timers.size).toBe(1);
    advance(39);
    expect(fired).toEqual([]);
    advance(3);
    expect(fired).toHaveLength(1);
    expect(timed.index).toBe(-1);
    timers.add(timed, 10);
    timers.remove(timed);
    timers.remove(timed);
    advance(20);
    expect(fired).toHaveLength(1);
    expect(alarms).toHaveLength(0);
  });

  it('any sequence of set, add, clear and time: every deadline fires once, in its time, unless it was cleared', () => {
    const command = fc.oneof(
      fc.record({ kind: fc.constant('set' as const), delay: fc.double({ min: 0.001, max: 60, noNaN: true }), own: fc.boolean() }),
      fc.record({ kind: fc.constant('clear' as const), which: fc.nat() }),
      fc.record({ kind: fc.constant('wait' as const), by: fc.integer({ min: 1, max: 20 }) }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 80 }), (commands) => {
        const timers = new SharedTimers(time, native);
        const set: { clear(): void; readonly due: number; fired: number; firedAt: number; cleared: boolean }[] = [];
        for (const step of commands) {
          if (step.kind === 'wait') advance(step.by);
          else if (step.kind === 'set') {
            const entry = { clear: () => {}, due: now + step.delay, fired: 0, firedAt: 0, cleared: false };
            const callback = (): void => {
              entry.fired += 1;
              entry.firedAt = now;
            };
            if (step.own) {
              const timed = { due: 0, index: -1, fired: callback };
              timers.add(timed, step.delay);
              entry.clear = () => timers.remove(timed);
            } else {
              const handle = timers.set(callback, step.delay);
              entry.clear = () => timers.clear(handle);
            }
            set.push(entry);
          } else {
            const entry = set[step.which % Math.max(1, set.length)];
            if (entry === undefined) continue;
            entry.clear();
            if (entry.fired === 0) entry.cleared = true;
          }
        }
        advance(70);
        for (const { due, fired, firedAt, cleared } of set) {
          expect(fired).toBe(cleared ? 0 : 1);
          if (cleared) continue;
          expect(firedAt).toBeGreaterThanOrEqual(due);
          expect(firedAt).toBeLessThanOrEqual(due + 3);
        }
        expect(timers.size).toBe(0);
        expect(alarms).toHaveLength(0);
      }),
      { numRuns: 200 },
    );
  });
});

describe('timers of the runtime that are numbers, as those of a DOM', () => {
  it('are set and cleared', () => {
    const set: number[] = [];
    const numbers = {
      setTimeout: (_callback: () => void, delay: number) => set.push(delay) as unknown as { unref?(): unknown },
      clearTimeout: () => void set.pop(),
      setImmediate,
    };
    const made = runtimeOf(buffer, numbers, threads, { small: true, asciiFrom: 0 }).timers;
    const handle = made.set(() => {}, 50);
    expect(set).toHaveLength(1);
    made.clear(handle);
    expect(set).toEqual([]);
  });
});

describe("a test runner's fake timers", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('hold up no deadline: the clock is none that they replace', async () => {
    const listening = await listen();
    // Never answers a close frame.
    const silent = await RawClient.upgrade(listening.port);
    const mute = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
    await once(mute, 'listening');
    vi.useFakeTimers();
    const { port } = mute.address() as AddressInfo;
    await expect(connect(`ws://127.0.0.1:${port}/`, { timeouts: { opening: 20 } })).rejects.toMatchObject({ code: 'WS_CONNECT_TIMEOUT' });
    await listening.close({ deadline: 20 });
    silent.socket.destroy();
    mute.close();
  });
});
