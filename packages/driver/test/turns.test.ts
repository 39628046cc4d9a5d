/** Turns of an event loop as Deno's: it looks at its sockets when it waits for a timer, and at no other time. */
import { Entry, turnsThatLook } from '@ferrywire/driver/adapter';
import { describe, expect, it } from 'vitest';

class Loop {
  now = 1000;
  /** When the sockets were looked at. */
  readonly looks: number[] = [];
  #turns: (() => void)[] = [];
  #timers: (() => void)[] = [];
  readonly next = turnsThatLook(
    {
      setTimeout: (callback) => this.#timers.push(callback),
      setImmediate: (callback, entry) => this.#turns.push(() => callback(entry)),
    },
    () => this.now,
  );

  get idle(): boolean {
    return this.#turns.length + this.#timers.length === 0;
  }
  round(): void {
    if (this.#turns.length === 0 && this.#timers.length > 0) {
      this.now += 2;
      this.looks.push(this.now);
    }
    for (const callback of [...this.#timers.splice(0), ...this.#turns.splice(0)]) callback();
  }
  /** Work of so many turns of 6 ms each. */
  work(turns: number): void {
    const entry = new Entry(() => {
      this.now += 6;
      if (--turns > 0) this.next((same) => same.fired(), entry);
    }, 0);
    this.next((same) => same.fired(), entry);
  }
  finish(): void {
    for (let round = 0; !this.idle && round < 10_000; round++) this.round();
    expect(this.idle).toBe(true);
  }
}

function longestWait(looks: readonly number[]): number {
  return Math.max(...looks.slice(1).map((at, index) => at - (looks[index] ?? 0)));
}

describe('turns that look', () => {
  it('takes no timer for work that is soon done', () => {
    const loop = new Loop();
    for (let times = 0; times < 5; times++) {
      loop.work(3);
      loop.finish();
    }
    expect(loop.looks).toEqual([]);
  });
  it('has the sockets looked at in the midst of long work, and not at every turn', () => {
    const loop = new Loop();
    loop.work(100);
    loop.finish();
    expect(longestWait(loop.looks)).toBeLessThanOrEqual(30);
    expect(loop.looks.length).toBeLessThanOrEqual(26);
    expect(loop.looks.length).toBeGreaterThan(20);
  });
  it('does so however many are at work', () => {
    const loop = new Loop();
    for (let connection = 0; connection < 10; connection++) loop.work(100);
    loop.finish();
    // Each of them has a turn before all wait for a timer, and one after.
    expect(longestWait(loop.looks)).toBeLessThanOrEqual(20 + 2 * 60 + 2);
    expect(loop.looks.length).toBeGreaterThan(40);
  });
  it('counts a turn as over that throws', () => {
    const loop = new Loop();
    const entry = new Entry(() => {
      throw new Error('from the application');
    }, 0);
    loop.next((same) => same.fired(), entry);
    expect(() => loop.round()).toThrow('from the application');
    loop.now += 1000;
    loop.work(3);
    loop.finish();
    expect(loop.looks).toEqual([]);
  });
});
