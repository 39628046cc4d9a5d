/**
 * All deadlines of a connection (RFC 6455 sections 5.5.2, 7.1.1 and 7.2.1): closing, keepalive, pong, idle. Pure bookkeeping on numbers:
 * the clock is read by the connection and passed in.
 *
 * Beware of blame: pong and idle count silence, and they stand still while we do not read or could not speak, so that a peer never pays
 * for bytes that we left unread. Silence that passed while the clocks stood still is taken out again.
 */
import type { Millis } from './common.ts';
import { describe } from './misuse.ts';
import type { Timeouts } from './options.ts';

const NEVER = Number.POSITIVE_INFINITY;
export type Deadline = 'closing' | 'keepalive' | 'pong' | 'idle';

export const timeoutDefaults: { readonly closing: Millis; readonly keepalive: Millis; readonly pong: Millis; readonly idle: Millis } = {
  closing: 10_000,
  keepalive: 20_000,
  pong: 20_000,
  idle: 0,
};

function period(value: number | undefined, fallback: number, name: string): number {
  const ms = value === undefined ? fallback : value;
  if (typeof ms !== 'number') throw new TypeError(`options.timeouts.${name} must be a number of milliseconds, not ${describe(ms)}`);
  if (!(ms >= 0)) throw new RangeError(`options.timeouts.${name} must be >= 0 milliseconds, not ${ms}`);
  return ms === 0 ? NEVER : ms;
}

/** `Timeouts` with defaults; Infinity where it is switched off. */
export interface Periods {
  readonly closing: Millis;
  readonly keepalive: Millis;
  readonly pong: Millis;
  readonly idle: Millis;
}

/** Throws TypeError or RangeError naming the option. */
export function periodsOf(timeouts: Timeouts | undefined): Periods {
  period(timeouts?.opening, 0, 'opening');
  return {
    closing: period(timeouts?.closing, timeoutDefaults.closing, 'closing'),
    keepalive: period(timeouts?.keepalive, timeoutDefaults.keepalive, 'keepalive'),
    pong: period(timeouts?.pong, timeoutDefaults.pong, 'pong'),
    idle: period(timeouts?.idle, timeoutDefaults.idle, 'idle'),
  };
}

/** Times that mostly are not there are null: a number with a fraction takes 16 bytes besides its field (bench: `memory`). */
export class Timers {
  #periods: Periods;
  #closingAt: Millis | null = null;
  /** The last byte received, or the last keepalive ping. In whole milliseconds: those take no box of their own. */
  #quietSince: Millis;
  /** Null where nobody asks. */
  #idleSince: Millis | null;
  #pongAt: Millis | null = null;
  /** Since when pong and idle stand still; null while they run. */
  #stillSince: Millis | null = null;

  constructor(periods: Periods, now: Millis) {
    this.#periods = periods;
    this.#quietSince = Math.floor(now);
    this.#idleSince = periods.idle === NEVER ? null : now;
  }

  /** A time that has passed: what `nextTimeout` answers for work that is already due. */
  get past(): Millis {
    return this.#quietSince;
  }
  /** Is the time of received bytes of interest? */
  get listens(): boolean {
    return this.#periods.keepalive !== NEVER || this.#idleSince !== null;
  }
  /** Does a clock run that can stand still? */
  get counts(): boolean {
    return this.#pongAt !== null || this.#idleSince !== null;
  }

  /** Bytes came. */
  heard(now: Millis): void {
    this.#quietSince = Math.floor(now);
    if (this.#idleSince !== null) this.#idleSince = now;
    this.#pongAt = null;
    if (this.#stillSince !== null) this.#stillSince = now;
  }
  /** Our keepalive ping was queued. */
  pinged(now: Millis): void {
    this.#quietSince = Math.floor(now);
  }
  /** Our keepalive ping was taken. */
  pingTaken(now: Millis): void {
    this.#quietSince = Math.floor(now);
    if (this.#periods.pong !== NEVER) this.#pongAt = now + this.#periods.pong;
    if (this.#stillSince === null) return;
    // The pong clock starts now; idle has stood still until now.
    if (this.#idleSince !== null) this.#idleSince += now - this.#stillSince;
    this.#stillSince = now;
  }
  /** Starts or stops the clocks that count silence. */
  still(stands: boolean, now: Millis): void {
    const since = this.#stillSince;
    if (stands === (since !== null)) return;
    if (since === null) {
      this.#stillSince = now;
      return;
    }
    const stood = now - since;
    this.#stillSince = null;
    if (this.#idleSince !== null) this.#idleSince += stood;
    if (this.#pongAt !== null) this.#pongAt += stood;
  }
  /** (Re)starts the closing deadline. */
  closing(now: Millis): void {
    this.#closingAt = now + this.#periods.closing;
  }
  get closes(): boolean {
    return this.#closingAt !== null;
  }
  /** From the first close frame on only the closing deadline counts. */
  stopLiveness(): void {
    this.#periods = { closing: this.#periods.closing, keepalive: NEVER, pong: NEVER, idle: NEVER };
    this.#pongAt = null;
  }

  private dueAt(deadline: Deadline): Millis {
    if (deadline === 'closing') return this.#closingAt ?? NEVER;
    if (deadline === 'keepalive') return this.#pongAt === null ? this.#quietSince + this.#periods.keepalive : NEVER;
    if (this.#stillSince !== null) return NEVER;
    if (deadline === 'pong') return this.#pongAt ?? NEVER;
    return this.#idleSince === null ? NEVER : this.#idleSince + this.#periods.idle;
  }

  next(): Millis | null {
    const due = Math.min(this.dueAt('closing'), this.dueAt('keepalive'), this.dueAt('pong'), this.dueAt('idle'));
    return due === NEVER ? null : due;
  }

  /** Is nothing due before `due`, while no clock runs but that of keepalive? */
  steadyUntil(due: Millis): boolean {
    return !this.counts && this.#quietSince + this.#periods.keepalive >= due;
  }

  /** The first deadline that is due, in order of weight, or null. */
  due(now: Millis): Deadline | null {
    if (this.dueAt('closing') <= now) return 'closing';
    if (this.dueAt('pong') <= now) return 'pong';
    if (this.dueAt('idle') <= now) return 'idle';
    if (this.dueAt('keepalive') <= now) return 'keepalive';
    return null;
  }
}
