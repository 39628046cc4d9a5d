/**
 * Time that stands still until nothing else is left to do, then jumps to the next timer. A case with a deadline of 1000 s takes none.
 */
import type { Scheduler } from './channel.ts';

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** A clock for subjects in process: it jumps to the next timer when nothing else is left to do. */
export class VirtualTime implements Scheduler {
  #now = 1000;
  readonly #timers = new Set<Timer>();
  #turns: (() => void)[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): unknown {
    const timer: Timer = { at: this.#now + ms, run };
    this.#timers.add(timer);
    return timer;
  }

  cancel(timer: unknown): void {
    this.#timers.delete(timer as Timer); // made by `after`
  }

  turn(run: () => void): void {
    this.#turns.push(run);
  }

  /** Runs what waits for a turn; false when nothing does. */
  runTurns(): boolean {
    if (this.#turns.length === 0) return false;
    const turns = this.#turns;
    this.#turns = [];
    for (const run of turns) run();
    return true;
  }

  /** When the next timer is due, or null. */
  nextTimer(): number | null {
    let next: number | null = null;
    for (const { at } of this.#timers) if (next === null || at < next) next = at;
    return next;
  }

  /** Jumps to a moment, never back, and runs the timers that are due by then. */
  jumpTo(moment: number): void {
    this.#now = Math.max(this.#now, moment);
    for (const timer of [...this.#timers].sort((a, b) => a.at - b.at)) {
      if (timer.at <= this.#now && this.#timers.delete(timer)) timer.run();
    }
  }
}
