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

export class Timers {
  readonly #closing: number;
  readonly #keepalive: number;
  readonly #pong: number;
  readonly #idle: number;
  #closingAt = NEVER;
  /** The last byte received, or the last keepalive ping. */
  #quietSince: Millis;
  #idleSince: Millis;
  #pongAt = NEVER;
  /** Since when pong and idle stand still; NEVER while they run. */
  #stillSince = NEVER;
  #off = false;
  /** The last time the clock was read: what `nextTimeout` answers for work that is already due. */
  now: Millis;

  constructor(timeouts: Timeouts | undefined, now: Millis) {
    this.#closing = period(timeouts?.closing, timeoutDefaults.closing, 'closing');
    this.#keepalive = period(timeouts?.keepalive, timeoutDefaults.keepalive, 'keepalive');
    this.#pong = period(timeouts?.pong, timeoutDefaults.pong, 'pong');
    this.#idle = period(timeouts?.idle, timeoutDefaults.idle, 'idle');
    period(timeouts?.opening, 0, 'opening');
    this.#quietSince = now;
    this.#idleSince = now;
    this.now = now;
  }

  /** Is the time of received bytes of interest? */
  get listens(): boolean {
    return !this.#off && (this.#keepalive !== NEVER || this.#idle !== NEVER);
  }
  /** Does a clock run that can stand still? */
  get counts(): boolean {
    return !this.#off && (this.#pongAt !== NEVER || this.#idle !== NEVER);
  }

  /** Bytes came. */
  heard(now: Millis): void {
    this.now = now;
    this.#quietSince = now;
    this.#idleSince = now;
    this.#pongAt = NEVER;
    if (this.#stillSince !== NEVER) this.#stillSince = now;
  }
  /** Our keepalive ping was queued. */
  pinged(now: Millis): void {
    this.#quietSince = now;
  }
  /** Our keepalive ping was taken. */
  pingTaken(now: Millis): void {
    this.now = now;
    if (this.#off) return;
    this.#quietSince = now;
    this.#pongAt = now + this.#pong;
    if (this.#stillSince === NEVER) return;
    // The pong clock starts now; idle has stood still until now.
    this.#idleSince += now - this.#stillSince;
    this.#stillSince = now;
  }
  /** Starts or stops the clocks that count silence. */
  still(stands: boolean, now: Millis): void {
    this.now = now;
    if (stands === (this.#stillSince !== NEVER)) return;
    if (stands) {
      this.#stillSince = now;
      return;
    }
    const stood = now - this.#stillSince;
    this.#stillSince = NEVER;
    this.#idleSince += stood;
    if (this.#pongAt !== NEVER) this.#pongAt += stood;
  }
  /** (Re)starts the closing deadline. */
  closing(now: Millis): void {
    this.now = now;
    this.#closingAt = now + this.#closing;
  }
  get closes(): boolean {
    return this.#closingAt !== NEVER;
  }
  /** From the first close frame on only the closing deadline counts. */
  stopLiveness(): void {
    this.#off = true;
    this.#pongAt = NEVER;
  }
  stop(): void {
    this.#off = true;
    this.#pongAt = NEVER;
    this.#closingAt = NEVER;
  }

  #dueAt(deadline: Deadline): Millis {
    if (deadline === 'closing') return this.#closingAt;
    if (this.#off) return NEVER;
    if (deadline === 'keepalive') return this.#pongAt === NEVER ? this.#quietSince + this.#keepalive : NEVER;
    if (this.#stillSince !== NEVER) return NEVER;
    return deadline === 'pong' ? this.#pongAt : this.#idleSince + this.#idle;
  }

  next(): Millis | null {
    let due = this.#closingAt;
    if (!this.#off) {
      due = Math.min(due, this.#dueAt('keepalive'), this.#dueAt('pong'), this.#dueAt('idle'));
    }
    return due === NEVER ? null : due;
  }

  /** The first deadline that is due, in order of weight, or null. */
  due(now: Millis): Deadline | null {
    this.now = now;
    if (this.#dueAt('closing') <= now) return 'closing';
    if (this.#dueAt('pong') <= now) return 'pong';
    if (this.#dueAt('idle') <= now) return 'idle';
    if (this.#dueAt('keepalive') <= now) return 'keepalive';
    return null;
  }
}
