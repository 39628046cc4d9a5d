/**
 * How long the transforms of a connection may work before others get their turn (RFC 7692 has nothing on it; a large message would hold up
 * every other connection of the thread).
 *
 * Bytes alone do not tell: the same number costs fifty times as much by one codec, level and content as by another. Beware: a clock that
 * stands still never says that time is up, so there are step budgets in bytes besides.
 */
import type { Clock, Millis } from './common.ts';

/** Milliseconds. With the step that ends it a turn takes about 10. */
const TURN: Millis = 6;
/** Bytes in and out between two looks at the clock, which costs as much as a short message. */
const LOOK_EVERY = 8192;

export class TurnTime {
  readonly #clock: Clock;
  #until: Millis = 0;
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }
  start(): void {
    this.#until = this.#clock() + TURN;
    this.#bytes = 0;
  }
  /** A step has taken and given `bytes`. Is time up? */
  isUp(bytes: number): boolean {
    this.#bytes += bytes;
    if (this.#bytes < LOOK_EVERY) return false;
    this.#bytes = 0;
    return this.#clock() >= this.#until;
  }
}
