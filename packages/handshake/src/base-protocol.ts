/**
 * What both sides of a whole life share: an HTTP head first, then a `Connection`, in one object.
 *
 * The head is parsed as it arrives, bounded, whoever looks; its outcome waits as an event. What follows the head is held until the
 * connection exists and the application knows of it ('open'), then handed over; from there every call goes straight to the connection, with
 * one branch. EOF and errors take effect after input that is still held.
 */
import {
  type Clock,
  Connection,
  type ConnectionEvent,
  type ConnectionOptions,
  type Millis,
  type Negotiated,
  type Protocol,
  type Timeouts,
  type TransportDirective,
} from '@ferrywire/core';
import { type HttpLimits, resolveLimits } from './limits.ts';

/** Everything a `Connection` takes, but what the handshake finds out. */
export type SharedOptions = Omit<ConnectionOptions, 'role' | 'extensions' | 'subprotocol' | 'clock' | 'sink'> & {
  readonly clock: Clock;
  readonly timeouts?: Timeouts;
  /** Bounds on the heads and bodies of HTTP. */
  readonly http?: HttpLimits;
};

/**
 * - `head`: the peer's head is awaited
 * - `deciding`: the application has the request (servers)
 * - `responding`: a refusal is being written, piece by piece (servers)
 * - `reading`: the body of a refusal is being read (clients)
 * - `open`: there is a connection
 * - `refused`: all is said; input is discarded until the peer ends
 * - `over`: the transport has ended or is to be dropped
 */
export type Phase = 'head' | 'deciding' | 'responding' | 'reading' | 'open' | 'refused' | 'over';

/** What an open connection keeps of its queues. */
const NOTHING: never[] = Object.freeze([]) as unknown as never[];
const NEVER = Number.POSITIVE_INFINITY;
const DEFAULT_TIMEOUT = 10_000;

function period(value: Millis | undefined, name: string): Millis {
  const ms = value ?? DEFAULT_TIMEOUT;
  if (typeof ms !== 'number' || !(ms >= 0)) throw new RangeError(`options.timeouts.${name} must be a number of milliseconds of at least 0`);
  return ms === 0 ? NEVER : ms;
}

export abstract class BaseProtocol<Event extends { readonly type: string }> implements Protocol {
  protected readonly clock: Clock;
  protected readonly limits: Required<HttpLimits>;
  protected phase: Phase = 'head';
  /** What the transport said besides bytes. */
  protected ended: 'no' | 'eof' | 'error' = 'no';
  protected directive: TransportDirective = 'open';
  private readonly shared: SharedOptions;
  private readonly pushMode: boolean;
  private readonly closing: Millis;
  private endError: unknown = null;
  private deadline: Millis;
  private isPaused = false;
  private isPumping = false;
  private events_: Event[] = [];
  private held: Uint8Array[] = [];
  private output: Uint8Array[] | null = null;
  private outputSize = 0;
  private opened: Connection | null = null;
  /** The connection once nothing is held any more: where every call goes. */
  private live: Connection | null = null;

  protected constructor(options: SharedOptions, pushMode: boolean) {
    if (typeof options.clock !== 'function') throw new TypeError('options.clock must be a function');
    this.shared = options;
    this.pushMode = pushMode;
    this.clock = options.clock;
    this.limits = resolveLimits(options.http);
    this.closing = period(options.timeouts?.closing, 'closing');
    this.deadline = options.clock() + period(options.timeouts?.opening, 'opening');
  }

  /* ---- what the sides do differently ---- */

  /** Bytes of the head, or of what follows it before there is a connection. Returns the position behind what was taken. */
  protected abstract feed(chunk: Uint8Array): number;
  /** The transport ended (or broke) and nothing is held: what that means in the present phase. */
  protected abstract inputEnded(): void;
  /** The deadline of the handshake has passed. */
  protected abstract expired(): void;
  /** Ends a handshake under way for the application's own reasons. */
  protected abstract cancel(politely: boolean): void;
  /** Push mode. */
  protected abstract dispatch(event: Event): void;

  /* ---- input ---- */

  receiveData(chunk: Uint8Array): void {
    const { live } = this;
    if (live === null) this.receiveEarly(chunk);
    else live.receiveData(chunk);
  }

  receiveEof(): void {
    if (this.live !== null) this.live.receiveEof();
    else this.end('eof', null);
  }

  receiveError(error: unknown): void {
    if (this.live !== null) this.live.receiveError(error);
    else this.end('error', error);
  }

  handleTimeout(now?: Millis): void {
    if (this.opened !== null) {
      this.opened.handleTimeout(now);
      return;
    }
    if ((now ?? this.clock()) < this.deadline) return;
    this.deadline = NEVER;
    if (this.phase === 'refused') {
      this.phase = 'over';
      this.directive = 'abort';
    } else this.expired();
    this.pump();
  }

  private receiveEarly(chunk: Uint8Array): void {
    if (chunk.length === 0 || this.ended !== 'no' || this.phase === 'refused' || this.phase === 'over') return;
    let from = 0;
    if (this.phase !== 'deciding' && this.phase !== 'open') from = this.feed(chunk);
    if (from < chunk.length && (this.phase === 'deciding' || this.phase === 'open')) {
      const rest = from === 0 ? chunk : chunk.subarray(from);
      // Not slice(): a Buffer's is a view.
      this.held.push(this.shared.input === 'reused' ? new Uint8Array(rest) : rest);
    }
    this.pump();
  }

  private end(how: 'eof' | 'error', error: unknown): void {
    if (this.ended === 'error' || this.ended === how) return;
    this.ended = how;
    this.endError = error;
    if (this.phase === 'refused') {
      this.phase = 'over';
      this.directive = how === 'eof' ? 'done' : 'abort';
      this.deadline = NEVER;
    }
    this.endEarly();
    this.pump();
  }

  /** Lets the end of the transport take effect unless something is still to be seen before it. */
  private endEarly(): void {
    if (this.ended === 'no' || this.opened !== null || this.phase === 'over' || this.phase === 'refused') return;
    if (this.events_.length === 0 && this.held.length === 0) this.inputEnded();
  }

  /* ---- output ---- */

  takeOutput(): Uint8Array[] {
    const own = this.output;
    if (own === null) return this.opened === null ? [] : this.opened.takeOutput();
    this.output = null;
    this.outputSize = 0;
    this.stirred();
    if (this.opened !== null) for (const chunk of this.opened.takeOutput()) own.push(chunk);
    return own;
  }

  recycleOutput(chunk: Uint8Array): void {
    this.opened?.recycleOutput(chunk);
  }

  get bufferedAmount(): number {
    return this.opened === null ? this.outputSize : this.outputSize + this.opened.bufferedAmount;
  }

  outputStalled(): void {
    (this.opened as Protocol | null)?.outputStalled?.();
  }
  outputDrained(): void {
    if (this.opened === null) this.stirred();
    else (this.opened as Protocol).outputDrained?.();
  }

  get transport(): TransportDirective {
    return this.opened === null ? this.directive : this.opened.transport;
  }

  get wantsRead(): boolean {
    if (this.live !== null) return this.live.wantsRead;
    return !this.isPaused && this.held.length === 0;
  }

  nextTimeout(): Millis | null {
    if (this.opened !== null) return this.opened.nextTimeout();
    return this.deadline === NEVER ? null : this.deadline;
  }
  steadyUntil(due: Millis): boolean {
    return this.live?.steadyUntil(due) === true && this.output === null;
  }

  protected write(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    if (this.output === null) this.output = [chunk];
    else this.output.push(chunk);
    this.outputSize += chunk.length;
  }

  /** While a refusal goes out, its deadline counts from the last sign of progress. */
  private stirred(): void {
    if (this.phase === 'refused' || this.phase === 'responding') this.startClosing();
  }

  protected startClosing(): void {
    this.deadline = this.clock() + this.closing;
  }

  /* ---- events ---- */

  /** The next event, or null. Pull mode only: throws TypeError with a sink. */
  nextEvent(): Event | ConnectionEvent | null {
    if (this.pushMode) throw new TypeError('nextEvent: with options.sink, events go to the sink');
    if (this.events_.length === 0) {
      if (this.live !== null) return this.live.nextEvent();
      this.endEarly();
    }
    const event = this.events_.shift() ?? null;
    if (this.live !== null && this.events_.length === 0) this.events_ = NOTHING;
    return event;
  }

  /** The events there are now. Iterating is what parses: not doing it is back pressure. */
  events(): IterableIterator<Event | ConnectionEvent> {
    if (this.pushMode) throw new TypeError('events: with options.sink, events go to the sink');
    return this.iterate();
  }

  private *iterate(): IterableIterator<Event | ConnectionEvent> {
    for (let event = this.nextEvent(); event !== null; event = this.nextEvent()) yield event;
  }

  protected emit(event: Event): void {
    this.events_.push(event);
  }

  /** Moves events to the sink and held input to the connection, until there is nothing to move. An exception of a callback leaves the rest. */
  protected pump(): void {
    if (this.isPumping) return;
    this.isPumping = true;
    try {
      while (this.moveOne());
    } finally {
      this.isPumping = false;
    }
  }

  private moveOne(): boolean {
    if (this.pushMode) {
      if (this.isPaused) return false;
      const event = this.events_.shift();
      if (event !== undefined) {
        this.dispatch(event);
        return true;
      }
      this.endEarly();
      if (this.events_.length > 0) return true;
    }
    const connection = this.opened;
    if (connection === null || this.live !== null) return false;
    const chunk = this.held.shift();
    if (chunk !== undefined) {
      connection.receiveData(chunk);
      return true;
    }
    this.live = connection;
    this.held = NOTHING;
    if (this.events_.length === 0) this.events_ = NOTHING;
    if (this.ended === 'eof') connection.receiveEof();
    else if (this.ended === 'error') connection.receiveError(this.endError);
    return false;
  }

  /* ---- outcomes ---- */

  protected open(negotiated: Negotiated): Connection {
    const connection = new Connection({ ...this.shared, ...negotiated });
    this.phase = 'open';
    this.opened = connection;
    this.deadline = NEVER;
    if (this.isPaused) connection.pause();
    return connection;
  }

  /** The handshake has failed. `drop` leaves the transport at once; else our side is ended and the peer's end is awaited, for a time. */
  protected finish(drop: boolean): void {
    this.held = [];
    if (drop || this.ended === 'error') {
      this.phase = 'over';
      this.directive = 'abort';
      this.deadline = NEVER;
    } else if (this.ended === 'eof') {
      this.phase = 'over';
      this.directive = 'done';
      this.deadline = NEVER;
    } else {
      this.phase = 'refused';
      this.directive = 'end';
      this.startClosing();
    }
  }

  protected trace(direction: 'in' | 'out', startLine: string): void {
    this.shared.onTrace?.({ direction, text: `${direction === 'in' ? '<' : '>'} ${startLine}`, at: this.clock() });
  }

  /* ---- the application ---- */

  /** Drops the transport: no close frame, no response. */
  abort(): void {
    if (this.opened !== null) this.opened.abort();
    else if (this.phase !== 'over') {
      if (this.phase === 'refused') this.finish(true);
      else this.cancel(false);
      this.pump();
    }
  }

  /** Stops at any byte. Before 'open' it holds back events in push mode. */
  pause(): void {
    this.isPaused = true;
    this.opened?.pause();
  }

  resume(): void {
    this.isPaused = false;
    if (this.live !== null) {
      this.live.resume();
      return;
    }
    this.opened?.resume();
    this.pump();
  }

  /** Null before 'open'. */
  get connection(): Connection | null {
    return this.opened;
  }

  /** The connection, once nothing of the handshake is held, queued or to be written: a host may go on with it alone and let this object go. */
  get remains(): Connection | null {
    return this.output === null && this.events_.length === 0 ? this.live : null;
  }

  /** False before 'open' and when the connection is no longer open. */
  send(data: string | Uint8Array): boolean {
    return this.opened === null ? false : this.opened.send(data);
  }

  /**
   * Starts the closing handshake. Before 'open' it gives the handshake up: a server answers 503, a client drops the transport.
   *
   * @returns False when there is nothing left to close, or a refusal is already under way.
   * @throws {RangeError} for a code that may not be sent, once open.
   */
  close(code?: number, reason?: string): boolean {
    if (this.opened !== null) return this.opened.close(code, reason);
    if (this.phase === 'refused' || this.phase === 'over' || this.phase === 'responding') return false;
    this.cancel(true);
    this.pump();
    return true;
  }
}
