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
/** Bytes between two looks at the clock, which costs as much as a short message. */
const LOOK_EVERY = 4096;
/** Bytes that are done before the first look: what is no longer than that is done at once, on a busy machine too. */
const AT_ONCE = 65_536;

export class TurnTime {
  readonly #clock: Clock;
  #until: Millis = 0;
  #unseen = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }
  /** `fresh`: something new begins; else work goes on that an earlier turn has left. */
  start(fresh: boolean): void {
    this.#until = this.#clock() + TURN;
    this.#unseen = fresh ? LOOK_EVERY - AT_ONCE : 0;
  }
  /**
   * A step has done so many bytes of the message, as it is without the transforms; of what gives less than it takes, so many of that. `ended`: by
   * itself, with input and room left, so it was work, however few they are. Is time up?
   */
  isUp(bytes: number, ended = false): boolean {
    this.#unseen += ended && bytes < LOOK_EVERY ? LOOK_EVERY : bytes;
    if (this.#unseen <= LOOK_EVERY) return false;
    this.#unseen = 0;
    return this.#clock() >= this.#until;
  }
}
