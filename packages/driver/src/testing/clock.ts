/** Time that moves only when the test says so: a `Clock` and a `TimerHost` in one. */
import type { Clock, Millis } from '@ferrywire/core';
import type { TimerHost } from '../types.ts';

export interface VirtualClock extends TimerHost {
  /** The clock: pass it as `clock: time.now`. */
  readonly now: Clock;
  /** Timers that are set. */
  readonly pending: number;
  /** How many times `set` was called. */
  readonly armed: number;
  /** How many timers were cleared before they fired. */
  readonly cleared: number;
  /** When the next timer is due; null when none is set. */
  readonly next: Millis | null;
  /** Moves time on by `ms`, firing what falls due on the way, in order. Returns how many timers fired. */
  advance(ms: Millis): number;
  /** Moves time to the next timer and fires that one. False when none is set. */
  step(): boolean;
  /** Fires timers until none is set. Throws a RangeError after `limit` of them (default 100 000). Returns how many fired. */
  runUntilIdle(limit?: number): number;
}

interface Timer {
  readonly at: Millis;
  readonly callback: () => void;
}

class Virtual implements VirtualClock {
  readonly now: Clock = () => this.#now;
  armed = 0;
  cleared = 0;
  #now: Millis;
  /** Sorted by time; equal times in the order they were set. */
  readonly #timers: Timer[] = [];

  constructor(start: Millis) {
    this.#now = start;
  }

  get pending(): number {
    return this.#timers.length;
  }
  get next(): Millis | null {
    return this.#timers[0]?.at ?? null;
  }
  set(callback: () => void, delay: Millis): unknown {
    if (!(delay >= 0)) throw new RangeError(`virtualClock.set: delay must not be negative, got ${delay}`);
    const timer: Timer = { at: this.#now + delay, callback };
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#timers[middle]?.at ?? 0) <= timer.at) low = middle + 1;
      else high = middle;
    }
    this.#timers.splice(low, 0, timer);
    this.armed++;
    return timer;
  }
  clear(handle: unknown): void {
    const index = this.#timers.indexOf(handle as Timer);
    if (index === -1) return;
    this.#timers.splice(index, 1);
    this.cleared++;
  }
  advance(ms: Millis): number {
    if (!(ms >= 0)) throw new RangeError(`virtualClock.advance: ms must not be negative, got ${ms}`);
    const end = this.#now + ms;
    let fired = 0;
    while (this.#timers.length > 0 && (this.next ?? 0) <= end) {
      this.step();
      if (++fired > 1_000_000) throw new RangeError('virtualClock.advance: a million timers fired and more are due');
    }
    if (end > this.#now) this.#now = end;
    return fired;
  }
  step(): boolean {
    const timer = this.#timers.shift();
    if (timer === undefined) return false;
    if (timer.at > this.#now) this.#now = timer.at;
    timer.callback();
    return true;
  }
  runUntilIdle(limit = 100_000): number {
    let fired = 0;
    while (this.step()) {
      if (++fired > limit) throw new RangeError(`virtualClock.runUntilIdle: not idle after ${limit} timers`);
    }
    return fired;
  }
}

/** A clock that starts at `start` (default 1000, so that code that mistakes 0 for "unset" shows). */
export function virtualClock(start: Millis = 1000): VirtualClock {
  return new Virtual(start);
}
