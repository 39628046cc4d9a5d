/**
 * The pump: the only place where bytes, timer and reading meet.
 *
 * Every event from the transport is one turn: input → events → takeOutput → write → directive → reading → nextTimeout. Output is taken
 * once per turn, so a read batch makes one write. Events that the transport raises from inside a turn (a loopback that answers inside
 * `write`, a stream that delivers inside `resumeReading`) wait in a queue, since a protocol may not be given input from inside its own
 * callbacks. Whatever a callback of the application throws leaves the event after the turn was finished.
 *
 * Beware: the turn's state is one number of flags and no closure is made before it is needed, because an idle server holds one of these
 * per connection.
 */
import type { Millis, Protocol, WorkHost } from '@ferrywire/core';
import { checkParts, checkTime } from './parts.ts';
import { MAX_DELAY } from './platform.ts';
import { type Flushable, flushSoon } from './soon.ts';
import type { DriveOptions, DriverHandle, Timed, Transport, TransportEvents } from './types.ts';

/** Inside a turn. */
const BUSY = 1;
/** Something called `pump()` inside the turn: look again. */
const AGAIN = 2;
/** `write()` returned false; waits for `drain()`. */
const STALLED = 4;
/** Reading is paused. */
const PAUSED = 8;
/** EOF, error or closed: no more input from the transport. */
const INPUT_OVER = 16;
/** The transport broke: nothing more is written. */
const BROKEN = 32;
const END_CALLED = 64;
const ABORT_CALLED = 128;
const GONE = 256;
/** In the list of `flushSoon`. */
const SOON = 512;
/** A timer is set. */
const ARMED = 1024;
/** The protocol is one that may give way to another. */
const CHANGES = 2048;
/** Events wait for the turn to end: `Rare.deferred`. */
const DEFERRED = 4096;
/** The protocol has work outside any event: `flush` is to wake it. */
const WORK = 8192;
/** Output was taken before the turn's end: `Rare.relieved`. */
const RELIEVED = 16_384;
/** There is room again: at least one read takes place before reading is paused for output anew. */
const OWES_READ = 32_768;
/** Output waits in the protocol for a later turn, as large messages that are compressed do. */
const BEHIND = 65_536;
/** `holdWork(true)` was called. */
const HOLDS = 131_072;
/** The peer has ended its side after its close frame, perhaps unread, and our answer is still to leave: the protocol is not told yet. */
const END_WAITS = 262_144;
/** No event of the transport follows by which the layers on top would look for events. After EOF only the protocol can be paused. */
const QUIET = PAUSED | INPUT_OVER;
/** There is no room for more output. */
const FULL = STALLED | BEHIND;
/** Nothing can be written any more. */
const LOST = BROKEN | ABORT_CALLED | GONE;
/** The flags of a turn in which nothing is out of the ordinary. */
const ORDINARY = BUSY | ARMED;

/** Turns of queued work in one event; the rest waits for a timer of 0, so that other connections get their share. */
const ROUNDS = 64;
const CLOSING = 10_000;
/** Bytes that a sender who asks `hasRoom` may have queued ahead of the turn's end, or of the protocol's next step. */
const AHEAD = 65_536;

/** What the endpoints of this package want to know, without closures. */
export interface DriverHooks {
  /** True to leave bytes unread while the transport is stalled, or the protocol is behind with what was sent. Asked only then. */
  holdsReading(isStalled: boolean): boolean;
  /** There is room again. */
  onDrained(): void;
  /** The transport is gone and the protocol knows. */
  onReleased(): void;
  /** The protocol to go on with, or null: not yet. Asked after every turn until it answers. */
  successor(): Protocol | null;
}

type Deferred =
  | { readonly kind: 'data'; readonly chunk: Uint8Array }
  | { readonly kind: 'error'; readonly error: unknown }
  | { readonly kind: 'eof' }
  | { readonly kind: 'drain' }
  | { readonly kind: 'room' }
  | { readonly kind: 'work' }
  | { readonly kind: 'closed' };

/** What a driver needs of its options for as long as it lives. */
type TimeHost = Pick<DriveOptions, 'clock' | 'timers' | 'closing'>;

/** The events as detached callbacks, made when they are first asked for. */
type Bound = TransportEvents & { readonly pump: () => void };

/** What few drivers need, apart, so that an idle connection does not pay for it. */
interface Rare {
  bound: Bound | null;
  readonly deferred: Deferred[];
  onEvents: (() => void) | null;
  onDrain: (() => void) | null;
  /** Where the timers' own `add` is not there, or the delay is none. */
  timer: unknown;
  /** When a transport that both sides have ended is to be gone. */
  goneBy: Millis | null;
  /** What the write that stalled the transport brought, if it was not taken at once. */
  waiting: readonly Uint8Array[] | null;
  /** How often output was taken before the turn's end. */
  relieved: number;
}

export class Pump implements DriverHandle, Flushable, Timed, WorkHost {
  #protocol: Protocol;
  readonly #transport: Transport;
  readonly #host: TimeHost;
  readonly #hooks: DriverHooks | null;
  #flags = 0;
  /** The deadline the timer was set for, in whole milliseconds: those are stored in the object, fractions in a box of their own. */
  #timerDue: Millis = 0;
  /** The timers' own. */
  due: Millis = 0;
  index = -1;
  #rare: Rare | null = null;

  constructor(protocol: Protocol, transport: Transport, options: DriveOptions, hooks: DriverHooks | null) {
    this.#protocol = protocol;
    this.#transport = transport;
    this.#host = options;
    this.#hooks = hooks;
    if (hooks !== null) this.#flags = CHANGES;
    if (options.onEvents !== undefined) this.onEvents = options.onEvents;
    protocol.workFor?.(this);
  }

  get onEvents(): (() => void) | null {
    return this.#rare === null ? null : this.#rare.onEvents;
  }
  set onEvents(callback: (() => void) | null) {
    this.rare().onEvents = callback;
  }
  get onDrain(): (() => void) | null {
    return this.#rare === null ? null : this.#rare.onDrain;
  }
  set onDrain(callback: (() => void) | null) {
    this.rare().onDrain = callback;
  }
  private rare(): Rare {
    this.#rare ??= { bound: null, deferred: [], onEvents: null, onDrain: null, timer: null, goneBy: null, waiting: null, relieved: 0 };
    return this.#rare;
  }

  get data(): Bound['data'] {
    return this.callbacks().data;
  }
  get eof(): Bound['eof'] {
    return this.callbacks().eof;
  }
  get error(): Bound['error'] {
    return this.callbacks().error;
  }
  get drain(): Bound['drain'] {
    return this.callbacks().drain;
  }
  get closed(): Bound['closed'] {
    return this.callbacks().closed;
  }
  get pump(): Bound['pump'] {
    return this.callbacks().pump;
  }

  get bufferedAmount(): number {
    return this.#protocol.bufferedAmount + this.#transport.bufferedAmount;
  }
  get transport(): Transport {
    return this.#transport;
  }
  get stalled(): boolean {
    return (this.#flags & FULL) !== 0;
  }
  /**
   * Whether a sender may go on. If it has queued much in this turn, that is written first: a loop that asks after each message would never see a
   * full transport otherwise, and fill the memory.
   */
  get hasRoom(): boolean {
    if ((this.#flags & (FULL | LOST | END_CALLED)) === 0 && this.#protocol.bufferedAmount > AHEAD) this.relieve();
    return (this.#flags & (FULL | LOST)) === 0;
  }
  get holdsInput(): boolean {
    // By `hasRoom`, which writes the answers of this turn first.
    return this.#hooks !== null && !this.hasRoom && (this.#flags & LOST) === 0 && this.isTooMuch();
  }
  get isClosed(): boolean {
    return (this.#flags & GONE) !== 0;
  }
  get isLost(): boolean {
    return (this.#flags & LOST) !== 0;
  }

  receive(chunk: Uint8Array): void {
    if ((this.#flags & (INPUT_OVER | ABORT_CALLED)) !== 0) return;
    if ((this.#flags & (BUSY | DEFERRED | OWES_READ)) !== 0) {
      this.#flags &= ~OWES_READ;
      if ((this.#flags & (BUSY | DEFERRED)) !== 0) {
        // A copy: a host that reuses its buffer will not wait for the turn to end.
        this.turn({ kind: 'data', chunk: new Uint8Array(chunk) });
        return;
      }
    }
    this.#flags |= BUSY;
    try {
      this.#protocol.receiveData(chunk);
      this.onEvents?.();
    } finally {
      this.settle();
    }
  }

  receiveEof(): void {
    if ((this.#flags & (INPUT_OVER | ABORT_CALLED)) !== 0) return;
    this.#flags |= INPUT_OVER;
    this.turn({ kind: 'eof' });
  }

  receiveError(error: unknown): void {
    if ((this.#flags & (BROKEN | ABORT_CALLED | GONE)) !== 0) return;
    const known = (this.#flags & (INPUT_OVER | END_WAITS)) === INPUT_OVER;
    this.#flags = (this.#flags & ~END_WAITS) | BROKEN | INPUT_OVER;
    // Input that is still to be read may hold a close frame, and our answer to it will not leave: that end is not clean.
    this.#protocol.outputStalled?.();
    // After EOF the protocol has its end; the transport is still to be let go.
    if (known) this.flush();
    else this.turn({ kind: 'error', error });
  }

  drained(): void {
    if ((this.#flags & (BROKEN | ABORT_CALLED | GONE)) === 0) this.turn({ kind: 'drain' });
  }

  gone(): void {
    if ((this.#flags & GONE) !== 0) return;
    const known = (this.#flags & (INPUT_OVER | ABORT_CALLED)) !== 0 && (this.#flags & END_WAITS) === 0;
    this.#flags = (this.#flags & ~END_WAITS) | GONE | INPUT_OVER;
    this.#protocol.outputStalled?.();
    if (this.#rare !== null) this.#rare.waiting = null;
    if (!known) this.defer({ kind: 'eof' });
    this.turn({ kind: 'closed' });
  }

  /** An extension is ready, from its own callback or inside a call of the protocol: a turn, once this microtask has run. */
  onWork(): void {
    this.#flags |= WORK;
    if ((this.#flags & SOON) !== 0) return;
    this.#flags |= SOON;
    flushSoon(this);
  }

  pumpSoon(): void {
    if ((this.#flags & BUSY) !== 0) this.#flags |= AGAIN;
    else if ((this.#flags & SOON) === 0) {
      this.#flags |= SOON;
      flushSoon(this);
    }
  }

  /** The second half of a turn, without an event. */
  flush(): void {
    this.#flags &= ~SOON;
    if ((this.#flags & WORK) !== 0) {
      this.#flags &= ~WORK;
      this.turn({ kind: 'work' });
      return;
    }
    if ((this.#flags & BUSY) !== 0) {
      this.#flags |= AGAIN;
      return;
    }
    this.#flags |= BUSY;
    this.settle();
  }

  /**
   * `pump()` of the application, unbound. It may have called `resume()`: the layers on top are told here, since the transport delivers nothing
   * before they have read what was received earlier.
   */
  lookAgain(): void {
    if ((this.#flags & BUSY) !== 0 || (this.#flags & QUIET) === 0) {
      this.flush();
      return;
    }
    this.#flags |= BUSY;
    try {
      this.lookForEvents();
    } finally {
      this.#flags &= ~BUSY;
      this.flush();
    }
  }

  /** Drops the transport, even if the protocol is done and would not ask for it. Once. */
  drop(): void {
    this.flush();
    if ((this.#flags & (ABORT_CALLED | GONE)) === 0) this.abort();
  }
  private abort(): void {
    this.#flags |= ABORT_CALLED;
    this.#transport.abort();
  }

  private callbacks(): Bound {
    const rare = this.rare();
    rare.bound ??= {
      data: (chunk) => this.receive(chunk),
      eof: () => this.receiveEof(),
      error: (error) => this.receiveError(error),
      drain: () => this.drained(),
      closed: () => this.gone(),
      pump: () => this.lookAgain(),
    };
    return rare.bound;
  }

  private defer(event: Deferred): void {
    this.rare().deferred.push(event);
    this.#flags |= DEFERRED;
  }

  /** One event as a turn of its own, or behind those that wait for the present turn to end. */
  private turn(event: Deferred): void {
    this.defer(event);
    if ((this.#flags & BUSY) !== 0) return;
    this.#flags |= BUSY;
    try {
      this.next();
    } finally {
      this.settle();
    }
  }

  /** Takes the first deferred event. */
  private next(): void {
    const { deferred } = this.rare();
    const event = deferred.shift();
    if (deferred.length === 0) this.#flags &= ~DEFERRED;
    if (event === undefined) return;
    if (event.kind === 'closed') {
      try {
        this.#hooks?.onReleased();
      } finally {
        this.onEvents?.();
      }
      return;
    }
    if (event.kind === 'work') {
      // Even after the transport's end: input that was received earlier may wait for it.
      this.#protocol.wake?.();
      this.onEvents?.();
      return;
    }
    if ((this.#flags & ABORT_CALLED) !== 0) return;
    if (event.kind === 'room') {
      // Unless it was taken again; then another event tells.
      if ((this.#flags & FULL) === 0) this.tellRoom();
      return;
    }
    if (event.kind === 'drain') {
      const stalled = (this.#flags & STALLED) !== 0;
      this.#flags &= ~STALLED;
      // Some hosts say so without having said "slow down" before.
      if (stalled) {
        this.takenLate();
        // A peer that takes output gets the whole time anew, as with the protocol's own closing deadline.
        if (this.#rare !== null) this.#rare.goneBy = null;
        this.#protocol.outputDrained?.();
        // Else `lookBehind` tells, once the protocol has caught up.
        if ((this.#flags & BEHIND) === 0) this.tellRoom();
      } else {
        this.onDrain?.();
        this.lookForEvents();
      }
      return;
    }
    if (event.kind === 'eof' && this.answerWaits()) {
      this.#flags |= END_WAITS;
      return;
    }
    if (event.kind === 'data') this.#protocol.receiveData(event.chunk);
    else if (event.kind === 'eof') this.#protocol.receiveEof();
    else this.#protocol.receiveError(event.error);
    this.onEvents?.();
  }

  private tellRoom(): void {
    // A handler that fills the transport whenever it is told of room would leave no time to read: no ping, no close frame.
    if ((this.#flags & (PAUSED | HOLDS)) !== 0) this.#flags |= OWES_READ;
    this.#hooks?.onDrained();
    this.onDrain?.();
    this.lookForEvents();
  }
  /** What was just called may have resumed a paused connection: then there are events to pull, and no input that would tell of them. */
  private lookForEvents(): void {
    if ((this.#flags & QUIET) !== 0) this.onEvents?.();
  }

  /** The second half of every turn. Leaves `BUSY` cleared, whatever is thrown. */
  private settle(): void {
    let isSettled = false;
    try {
      isSettled = this.onlyWrote();
      if (!isSettled) this.moveAll();
    } finally {
      this.#flags &= ~BUSY;
      if (!isSettled) {
        if ((this.#flags & CHANGES) !== 0) this.change();
        this.arm();
      }
    }
  }

  /**
   * The end of an ordinary turn, with one question to the protocol instead of four (bench: `echo --runtime bun`, 16 B unbatched). False: `moveAll`
   * is to finish the turn, also if the write came first and stalled.
   */
  private onlyWrote(): boolean {
    if ((this.#flags & ~AGAIN) !== ORDINARY || this.#protocol.steadyUntil?.(this.#timerDue) !== true) return false;
    this.#flags = ORDINARY;
    this.write();
    return this.#flags === ORDINARY;
  }

  private moveAll(): void {
    this.move();
    if ((this.#flags & RELIEVED) !== 0) {
      this.#flags &= ~RELIEVED;
      this.rare().relieved = 0;
    }
    this.lookAtEnd();
    for (let round = 0; (this.#flags & DEFERRED) !== 0 && round < ROUNDS; round++) {
      try {
        this.next();
      } finally {
        this.move();
        this.lookAtEnd();
      }
    }
  }

  /**
   * The peer has closed and ended its side, and may still read: our close frame and all before it can still leave, also when the application has
   * yet to answer. The protocol's closing deadline bounds it. The close frame may be in unread input: hosts report an EOF while reading is paused.
   */
  private answerWaits(): boolean {
    const { closeSent = null, closeReceived = null, unread, transport, bufferedAmount } = this.#protocol;
    if ((this.#flags & LOST) !== 0) return false;
    if (closeReceived === null) return unread === true;
    return closeSent === null ? transport === 'open' : bufferedAmount > 0;
  }
  private lookAtEnd(): void {
    if ((this.#flags & END_WAITS) === 0 || this.answerWaits()) return;
    this.#flags &= ~END_WAITS;
    this.defer({ kind: 'eof' });
  }

  private change(): void {
    const next = this.#hooks?.successor() ?? null;
    if (next === null) return;
    this.#flags &= ~CHANGES;
    this.#protocol = next;
    // Memory of the old protocol, which the next one may not reuse.
    if (this.#rare !== null) this.#rare.waiting = null;
  }

  /** Output, directive and reading, until nothing asks for another look. */
  private move(): void {
    for (let round = 0; round < ROUNDS; round++) {
      this.#flags &= ~AGAIN;
      if ((this.#flags & LOST) !== 0) this.discard();
      if ((this.#flags & (ABORT_CALLED | GONE)) !== 0) {
        this.hold(false);
        return;
      }
      this.output();
      this.reading();
      if ((this.#flags & AGAIN) === 0) return;
    }
  }

  /** Hands the transport what the protocol has for it. */
  private write(): void {
    const protocol = this.#protocol;
    const transport = this.#transport;
    const chunks = protocol.takeOutput();
    const count = chunks.length;
    if (count === 0) return;
    if (!transport.write(chunks)) {
      this.#flags |= STALLED;
      protocol.outputStalled?.();
    }
    const { taken } = transport;
    if (taken !== true) {
      // With `taken` undefined the transport will not tell at the drain either.
      if (taken === false && (this.#flags & STALLED) !== 0) this.rare().waiting = chunks.slice();
      return;
    }
    for (let index = 0; index < count; index++) {
      const chunk = chunks[index];
      if (chunk !== undefined) protocol.recycleOutput(chunk);
    }
  }
  /** Writes what waits, inside a turn or outside. After ROUNDS times the sender waits for the next turn: a fast peer would keep it here for good. */
  private relieve(): void {
    if (this.#protocol.transport === 'abort') return;
    const outside = (this.#flags & BUSY) === 0;
    this.#flags |= BUSY | RELIEVED;
    try {
      this.write();
    } finally {
      if (outside) this.#flags &= ~BUSY;
      this.pumpSoon();
    }
    this.lookBehind();
    const rare = this.rare();
    if (++rare.relieved < ROUNDS || (this.#flags & FULL) !== 0) return;
    this.#flags |= STALLED;
    this.#protocol.outputStalled?.();
    this.defer({ kind: 'drain' });
  }
  /** Output was just taken. What is left is held by the protocol, and a sender that still had room could get any amount ahead of it. */
  private lookBehind(): void {
    if ((this.#flags & STALLED) !== 0) return;
    if (this.#protocol.bufferedAmount > AHEAD) this.#flags |= BEHIND;
    else if ((this.#flags & BEHIND) !== 0) {
      this.#flags &= ~BEHIND;
      this.defer({ kind: 'room' });
    }
  }
  /** Nothing is written to a stalled transport, so the chunks of the stalling write are the last ones. */
  private takenLate(): void {
    const rare = this.#rare;
    if (rare === null || rare.waiting === null) return;
    const chunks = rare.waiting;
    rare.waiting = null;
    if (this.#transport.taken === true) for (const chunk of chunks) this.#protocol.recycleOutput(chunk);
  }

  /** Output for a lost transport. The protocol may learn of the loss much later, behind input that the application does not read. */
  private discard(): void {
    const protocol = this.#protocol;
    for (const chunk of protocol.takeOutput()) protocol.recycleOutput(chunk);
  }

  private output(): void {
    const protocol = this.#protocol;
    const transport = this.#transport;
    if (protocol.transport !== 'abort' && (this.#flags & (STALLED | BROKEN | END_CALLED)) === 0) {
      this.write();
      this.lookBehind();
    }
    // Asked after the output was taken: taking it moves the protocol on.
    const directive = protocol.transport;
    if (directive === 'open' || (this.#flags & (ABORT_CALLED | GONE)) !== 0) return;
    if (directive === 'abort' || (this.#flags & BROKEN) !== 0) this.abort();
    else if ((this.#flags & (STALLED | END_CALLED)) === 0) {
      this.#flags |= END_CALLED;
      transport.end();
    }
  }

  /** A level: the transport is told only of changes. */
  private reading(): void {
    const isFull = (this.#flags & FULL) !== 0 && (this.#flags & (OWES_READ | LOST)) === 0;
    const full = isFull && this.isTooMuch();
    // After the peer's end as well, which some hosts report while reading is paused.
    this.hold(full);
    if ((this.#flags & (INPUT_OVER | ABORT_CALLED)) !== 0) return;
    const paused = !this.#protocol.wantsRead || full;
    if (paused === ((this.#flags & PAUSED) !== 0)) return;
    this.#flags ^= PAUSED;
    if (paused) this.#transport.pauseReading();
    else this.#transport.resumeReading();
  }

  private isTooMuch(): boolean {
    return this.#hooks?.holdsReading((this.#flags & STALLED) !== 0) === true;
  }

  private hold(isHeld: boolean): void {
    if (isHeld === ((this.#flags & HOLDS) !== 0)) return;
    this.#flags ^= HOLDS;
    this.#protocol.holdWork?.(isHeld);
  }

  /** When the timer should fire, null for never, `-Infinity` for the next turn of the event loop. */
  private dueTime(): Millis | null {
    if ((this.#flags & (DEFERRED | AGAIN)) !== 0) return Number.NEGATIVE_INFINITY;
    if ((this.#flags & ABORT_CALLED) !== 0) return null;
    const due = this.#protocol.nextTimeout();
    if (due === null) return this.goneBy();
    // Without a transport no deadline matters, but work that a step budget stopped still has to be done.
    if ((this.#flags & GONE) !== 0 && due > this.#host.clock()) return null;
    return due;
  }

  /** The deadline of a transport whose protocol is done, and so has no deadline, while the peer does not take the last bytes. */
  private goneBy(): Millis | null {
    const isEnding = (this.#flags & (END_CALLED | STALLED)) !== 0 && (this.#flags & (ABORT_CALLED | GONE)) === 0;
    if (!isEnding || this.#protocol.transport !== 'done') return null;
    const { closing = CLOSING, clock } = this.#host;
    if (closing === 0) return null;
    const rare = this.rare();
    rare.goneBy ??= clock() + closing;
    return rare.goneBy;
  }

  private arm(): void {
    const due = this.dueTime();
    if ((this.#flags & ARMED) !== 0) {
      // A deadline that moved later is looked at when the timer fires.
      if (due !== null && due >= this.#timerDue) return;
      this.disarm();
    }
    if (due === null) return;
    this.set(due);
  }

  private set(due: Millis): void {
    const { clock, timers } = this.#host;
    // A later deadline is looked at again when this one fires.
    const delay = Math.min(Math.ceil(due - clock()), MAX_DELAY);
    this.#flags |= ARMED;
    if (timers.add !== undefined && delay > 0) timers.add(this, delay);
    else this.rare().timer = timers.set(() => this.fired(), Math.max(delay, 0));
    this.#timerDue = due === Number.NEGATIVE_INFINITY ? 0 : Math.floor(due);
  }

  private disarm(): void {
    const { timers } = this.#host;
    this.#flags &= ~ARMED;
    const rare = this.#rare;
    if (rare === null || rare.timer === null) timers.remove?.(this);
    else {
      timers.clear(rare.timer);
      rare.timer = null;
    }
  }

  fired(): void {
    this.#flags &= ~ARMED;
    if (this.#rare !== null) this.#rare.timer = null;
    // A host that runs timers from inside a turn: its end arms the timer again.
    if ((this.#flags & BUSY) !== 0) return;
    this.#flags |= BUSY;
    try {
      const due = (this.#flags & ABORT_CALLED) !== 0 ? null : this.#protocol.nextTimeout();
      const now = this.#host.clock();
      const goneBy = this.#rare === null ? null : this.#rare.goneBy;
      if (due !== null) {
        if (due <= now) {
          this.#protocol.handleTimeout(now);
          // Work that went on counts as the read that is owed.
          if (!this.#protocol.wantsRead) this.#flags &= ~OWES_READ;
          this.onEvents?.();
        }
      } else if (goneBy !== null && goneBy <= now && (this.#flags & (ABORT_CALLED | GONE)) === 0) this.abort();
    } finally {
      this.settle();
    }
  }
}

/**
 * Joins a protocol and a transport. The driver starts at once: what the protocol has to say (a client's request) is written before this
 * returns, and its first deadline is armed.
 *
 * None of the driver's methods throws, unless a callback of the application does. Throws TypeError for a protocol, a transport, a clock or timers
 * that are none, and TypeError or RangeError naming another option.
 */
export function drive(protocol: Protocol, transport: Transport, options: DriveOptions): DriverHandle {
  checkParts(protocol, transport);
  checkTime(options);
  const { onEvents } = options;
  if (onEvents !== undefined && typeof onEvents !== 'function') throw new TypeError('options.onEvents must be a function');
  const driver = new Pump(protocol, transport, options, null);
  driver.flush();
  return driver;
}
