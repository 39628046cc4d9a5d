/**
 * What both sides of a whole life share: an HTTP head first, then a `Connection`, in one object.
 *
 * The head is parsed as it arrives, bounded, whoever looks; its outcome waits as an event. What follows the head is held until the
 * connection exists and the application knows of it ('open'), then handed over; from there every call goes straight to the connection, with
 * one branch. EOF and errors take effect after input that is still held.
 */
import {
  type Clock,
  type CloseInfo,
  Connection,
  type ConnectionEvent,
  type ConnectionOptions,
  type ConnectionSink,
  type Millis,
  type Negotiated,
  type Protocol,
  type Role,
  type Timeouts,
  type TransportDirective,
  type WorkHost,
} from '@ferrywire/core';
import { judge } from './judge.ts';
import { checkBytes, kindOf } from './kinds.ts';
import { type HttpLimits, resolveLimits } from './limits.ts';
import { orDispose } from './negotiate.ts';

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

/** Output that waits. What the application gave may be transferred or resized before it is taken. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly size: number;
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
  private output: Piece[] | null = null;
  /** Has the transport stopped accepting output? Followed until there is a connection, which is told then. */
  private isStalled = false;
  private outputSize = 0;
  /** What was thrown and not told yet; the first, where there are several. */
  private late: { readonly error: unknown } | null = null;
  private opened: Connection | null = null;
  /** Whom the connection tells of work. */
  private worker: WorkHost | null = null;
  /** The connection once nothing is held any more: where every call goes. */
  private live: Connection | null = null;

  protected constructor(options: SharedOptions & { readonly sink?: ConnectionSink }, role: Role) {
    if (typeof options !== 'object' || options === null) throw new TypeError(`options must be an object, not ${kindOf(options)}`);
    this.limits = resolveLimits(options.http);
    this.closing = period(options.timeouts?.closing, 'closing');
    const opening = period(options.timeouts?.opening, 'opening');
    judge(options, role);
    this.shared = options;
    this.pushMode = options.sink !== undefined;
    this.clock = options.clock;
    this.deadline = options.clock() + opening;
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

  /** Never throws for what the bytes say. Throws TypeError for anything but a Uint8Array, and whatever a callback throws. */
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
      this.pump();
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

  /** For the connection to come. `drive` does this. */
  workFor(host: WorkHost): void {
    this.worker = host;
    this.opened?.workFor(host);
  }

  /** As that of the connection; before there is one it does nothing. */
  wake(): void {
    const { opened } = this;
    if (opened === null) return;
    try {
      this.pump();
    } finally {
      opened.wake();
    }
  }

  /** As that of the connection; before there is one nothing is left of a step. */
  holdWork(isHeld: boolean): void {
    this.opened?.holdWork(isHeld);
  }

  private receiveEarly(chunk: Uint8Array): void {
    checkBytes(chunk, 'chunk');
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
    if (this.phase === 'responding' || (this.events_.length === 0 && this.held.length === 0)) this.inputEnded();
  }

  /* ---- output ---- */

  takeOutput(): Uint8Array[] {
    const own = this.output;
    if (own === null) return this.opened === null ? [] : this.opened.takeOutput();
    this.output = null;
    this.outputSize = 0;
    const chunks: Uint8Array[] = [];
    for (const { bytes, size } of own) {
      if (bytes.length !== size) return this.lost();
      chunks.push(bytes);
    }
    this.stirred();
    if (this.opened !== null) for (const chunk of this.opened.takeOutput()) chunks.push(chunk);
    return chunks;
  }

  /** The application has transferred or resized the buffer of a body: other bytes have been announced, so no more can be sent. */
  private lost(): Uint8Array[] {
    this.abort();
    return [];
  }

  recycleOutput(chunk: Uint8Array): void {
    this.opened?.recycleOutput(chunk);
  }

  get bufferedAmount(): number {
    return this.opened === null ? this.outputSize : this.outputSize + this.opened.bufferedAmount;
  }

  outputStalled(): void {
    if (this.opened === null) this.isStalled = true;
    else this.opened.outputStalled();
  }
  outputDrained(): void {
    this.isStalled = false;
    if (this.opened === null) this.stirred();
    else this.opened.outputDrained();
  }
  /** Has the transport taken all that was written? */
  protected get isAllTaken(): boolean {
    return this.output === null && !this.isStalled;
  }

  get transport(): TransportDirective {
    return this.opened === null ? this.directive : this.opened.transport;
  }

  /** As those of the connection. */
  get closeSent(): CloseInfo | null {
    return this.opened === null ? null : this.opened.closeSent;
  }
  get closeReceived(): CloseInfo | null {
    return this.opened === null ? null : this.opened.closeReceived;
  }
  /** As that of the connection; before, whether something is held for it. */
  get unread(): boolean {
    return this.live === null ? this.held.length > 0 : this.live.unread;
  }

  get wantsRead(): boolean {
    if (this.live !== null) return this.live.wantsRead;
    return !this.isHeldBack && this.held.length === 0;
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
    this.output ??= [];
    this.output.push({ bytes: chunk, size: chunk.length });
    this.outputSize += chunk.length;
  }

  /** While a refusal goes out, its deadline counts from the last sign of progress. */
  private stirred(): void {
    if (this.phase === 'refused' || this.phase === 'responding') this.startClosing();
  }

  /**
   * A refusal has been begun: what came behind the head is no frames, and nobody reads it. An end that waited behind it takes effect. What a trace
   * has thrown waits for the next call, since this one has a writer to return.
   */
  protected startResponding(): void {
    this.phase = 'responding';
    this.held = [];
    this.startClosing();
    this.endEarly();
    if (!this.isPumping) this.move();
  }

  protected startClosing(): void {
    this.deadline = this.clock() + this.closing;
  }

  /* ---- events ---- */

  /**
   * The next event, or null. Pull mode only: throws TypeError with a sink. In delivery 'span' it is for the events up to 'open'; behind that it throws
   * TypeError, as that of the connection (`readInto`).
   */
  nextEvent(): Event | ConnectionEvent | null {
    this.pulls('nextEvent');
    if (this.past !== null) return this.past.nextEvent();
    return this.early();
  }

  /** The events there are now, in delivery 'span' up to 'open'. Iterating is what parses: not doing it is back pressure. */
  events(): IterableIterator<Event | ConnectionEvent> {
    this.pulls('events');
    // Which throws in delivery 'span', before anything is iterated.
    return this.past === null ? this.iterate() : this.past.events();
  }

  private *iterate(): IterableIterator<Event | ConnectionEvent> {
    for (let event = this.nextEvent(); event !== null; event = this.nextEvent()) {
      yield event;
      if (event.type === 'open' && this.shared.delivery === 'span') return;
    }
  }

  /**
   * Delivery 'span', pull mode, for the whole life: the events of the handshake, then what `Connection.readInto` answers. Throws RangeError for a
   * target without room, TypeError with a sink or in another delivery.
   */
  readInto(target: Uint8Array): Event | ReturnType<Connection['readInto']> {
    this.pulls('readInto');
    if (this.shared.delivery !== 'span') throw new TypeError("readInto: only for delivery 'span': use nextEvent()");
    checkBytes(target, 'target');
    if (target.length === 0) throw new RangeError('target must have room for at least one byte');
    return this.past === null ? this.early() : this.past.readInto(target);
  }

  private pulls(name: string): void {
    if (this.pushMode) throw new TypeError(`${name}: with options.sink, events go to the sink`);
  }

  /** The connection, once all events of the handshake have been pulled. */
  private get past(): Connection | null {
    return this.events_.length === 0 ? this.live : null;
  }

  /** The next event of the handshake. */
  private early(): Event | null {
    if (this.events_.length === 0) this.endEarly();
    const event = this.events_.shift() ?? null;
    if (this.live !== null && this.events_.length === 0) this.events_ = NOTHING;
    return event;
  }

  protected emit(event: Event): void {
    this.events_.push(event);
  }

  /** Moves events to the sink and held input to the connection, until there is nothing to move. An exception of a callback leaves the rest. */
  private move(): void {
    if (this.live !== null) return;
    this.isPumping = true;
    try {
      while (this.moveOne());
    } finally {
      this.isPumping = false;
    }
  }

  /** The end of nearly every call. Inside a callback it is left to the call that the callback came of. */
  protected pump(): void {
    if (this.isPumping) return;
    this.move();
    this.throwLate();
  }

  /** Keeps what the application has thrown in the middle of a step: the step is finished first. */
  protected thrown(error: unknown): void {
    this.late ??= { error };
  }

  protected throwLate(): void {
    const { late } = this;
    if (late === null) return;
    this.late = null;
    throw late.error;
  }

  private moveOne(): boolean {
    if (this.pushMode) {
      if (this.events_.length > 0) return !this.isHeldBack && this.tell();
      this.endEarly();
      if (this.events_.length > 0) return true;
    }
    // Paused or not: what a connection may not show yet it holds by itself.
    const connection = this.opened;
    if (connection === null) return false;
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

  /** Push mode: the next event to the sink. */
  private tell(): boolean {
    const event = this.events_.shift();
    // not covered: there is one.
    if (event === undefined) return false;
    this.dispatch(event);
    return true;
  }

  /** Do events wait for `resume()`? Once there is a connection its own pause counts, and that ends with closing, whoever closes it. */
  private get isHeldBack(): boolean {
    const { opened } = this;
    return opened === null ? this.isPaused : opened.paused && opened.state === 'open';
  }

  /* ---- outcomes ---- */

  protected open(negotiated: Negotiated): Connection {
    const connection = orDispose(negotiated.extensions, () => new Connection({ ...this.shared, ...negotiated }));
    this.phase = 'open';
    this.opened = connection;
    this.deadline = NEVER;
    if (this.isPaused) connection.pause();
    // Otherwise a close frame that nobody takes would have no deadline.
    if (this.isStalled) connection.outputStalled();
    if (this.worker !== null) connection.workFor(this.worker);
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

  /** A trace that throws must not stop what it tells of. */
  protected trace(direction: 'in' | 'out', startLine: string): void {
    const { onTrace } = this.shared;
    if (onTrace === undefined) return;
    try {
      onTrace({ direction, text: `${direction === 'in' ? '<' : '>'} ${startLine}`, at: this.clock() });
    } catch (error) {
      this.thrown(error);
    }
  }

  /* ---- the application ---- */

  /** Drops the transport: no close frame, no response. */
  abort(): void {
    this.isPaused = false;
    if (this.opened !== null) this.drop(this.opened);
    else if (this.phase !== 'over') {
      if (this.phase === 'refused') this.finish(true);
      else this.cancel(false);
    }
    this.pump();
  }

  /** The sink hears of the end during this, so it is told first of what comes before it, inside a callback too. */
  private drop(connection: Connection): void {
    try {
      while (this.pushMode && this.events_.length > 0) this.tell();
    } finally {
      connection.abort();
    }
  }

  /** Stops at any byte. Before 'open' it holds back events in push mode. Ends with `close()` and `abort()`. */
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

  /** What the transport failed with during the handshake: the cause behind `WS_HS_EOF`. Undefined where it did not. */
  get transportError(): unknown {
    return this.ended === 'error' ? this.endError : undefined;
  }

  /** False before 'open' and when the connection is no longer open. */
  send(data: string | Uint8Array): boolean {
    return this.opened === null ? false : this.opened.send(data);
  }

  /**
   * Starts the closing handshake. Before 'open' it gives the handshake up: a server answers 503, a client drops the transport. From here a pause
   * no longer holds, as for `Connection.close`.
   *
   * @returns False when there is nothing left to close, or a refusal is already under way.
   * @throws {RangeError} for a code that may not be sent, once open.
   */
  close(code?: number, reason?: string): boolean {
    const closes = this.opened === null ? this.giveUp() : this.opened.close(code, reason);
    this.pump();
    return closes;
  }

  private giveUp(): boolean {
    if (this.phase === 'refused' || this.phase === 'over' || this.phase === 'responding') return false;
    this.isPaused = false;
    this.cancel(true);
    return true;
  }
}
