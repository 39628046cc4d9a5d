/**
 * A transport that does what the test says and records what the driver does.
 *
 * Incoming bytes are cut as `split` says and wait while the driver has paused reading, as in a kernel's buffer; with `latency` they come
 * by a timer of the virtual clock, without it inside `feed`. Outgoing bytes are taken at once as long as there is `room`, and after that
 * wait until `grant`. Two of these joined make `pair()`.
 *
 * Beware: what is recorded is a copy made at the time of `write`, so memory that the driver recycles does not change the record.
 */
import type { Millis } from '@ferrywire/core';
import type { Transport, TransportEvents } from '../types.ts';
import { type VirtualClock, virtualClock } from './clock.ts';
import { joinBytes, pieceSizes, type Split } from './split.ts';

export interface FakeTransportOptions {
  /** Default: one of its own, which matters only with `latency`. */
  readonly clock?: VirtualClock;
  /** How incoming bytes are cut into chunks. Default: as fed. */
  readonly split?: Split;
  /** Milliseconds from `feed` to the event; a function is asked once for each piece. Order is kept. Default: inside `feed`. */
  readonly latency?: Millis | (() => Millis);
  /** Bytes that are taken before they start to wait. Default: no limit. */
  readonly room?: number;
  /** `write()` returns false when more than so many bytes wait. Default 0. */
  readonly highWaterMark?: number;
  /** Give each chunk in the same buffer, overwritten afterwards, as a host that reads into its own memory does. Default false. */
  readonly reuseInput?: boolean;
  /** Report `taken` when nothing waits, so that the driver recycles its output. Overwrites it, as the next user would. Default false. */
  readonly recycles?: boolean;
  /** False: `end()` closes the transport after the flush, as on a host that cannot half-close. Default true. */
  readonly halfClose?: boolean;
}

export interface FakeTransport extends Transport {
  readonly clock: VirtualClock;
  /** Whom events go to: the driver. */
  attach(events: TransportEvents): void;

  /* what the peer does */
  feed(bytes: Uint8Array): void;
  /** The peer ends its side, after what was fed. */
  feedEof(): void;
  /** The peer resets: what was fed and not delivered is lost; `error`, then `closed`. */
  reset(error?: unknown): void;
  /** The host closes, without EOF and without an error. */
  close(): void;
  /** The network goes away: nothing arrives and nothing leaves from here on, and nobody is told. */
  cut(): void;
  /** Takes up to so many more bytes (default: all that come); `drain` when nothing waits any longer. */
  grant(bytes?: number): void;

  /* what the driver did */
  /** One line per call: `write 12`, `end`, `abort`, `pause`, `resume`. */
  readonly calls: readonly string[];
  /** The bytes of each `write` call. */
  readonly writes: readonly Uint8Array[];
  /** All of them as one. */
  readonly written: Uint8Array;
  readonly reading: boolean;
  readonly ended: boolean;
  readonly aborted: boolean;
  /** `closed` was delivered. */
  readonly isClosed: boolean;
  /** Something is on its way that a timer will deliver: bytes, an end, a drain. */
  readonly active: boolean;
}

/** Where outgoing bytes go in a `pair()`. */
export interface Link {
  /** How many bytes the other side has room for. */
  room(): number;
  push(bytes: Uint8Array): void;
  end(): void;
  reset(): void;
}

type Incoming =
  | { readonly kind: 'data'; readonly at: Millis; readonly bytes: Uint8Array }
  | { readonly kind: 'eof'; readonly at: Millis }
  | { readonly kind: 'drain'; readonly at: Millis }
  | { readonly kind: 'error'; readonly at: Millis; readonly error: unknown }
  | { readonly kind: 'closed'; readonly at: Millis };

export class Fake implements FakeTransport {
  readonly clock: VirtualClock;
  readonly calls: string[] = [];
  readonly writes: Uint8Array[] = [];
  reading = true;
  ended = false;
  aborted = false;
  isClosed = false;
  link: Link | null = null;
  /** Called when bytes have left the incoming queue. */
  onConsumed: (() => void) | null = null;

  readonly #options: FakeTransportOptions;
  readonly #size: (remaining: number) => number;
  #events: TransportEvents | null = null;
  #incoming: Incoming[] = [];
  #incomingBytes = 0;
  /** Events that do not wait for reading: drain, error, closed. */
  #urgent: Incoming[] = [];
  #outgoing: Uint8Array[] = [];
  #outgoingBytes = 0;
  #room: number;
  #stalled = false;
  #endSent = false;
  #eofSeen = false;
  #dead = false;
  #lastAt: Millis = Number.NEGATIVE_INFINITY;
  #timer: unknown = null;
  #timerAt: Millis = 0;
  #delivering = false;
  readonly #reused: Uint8Array | null;

  constructor(options: FakeTransportOptions) {
    this.#options = options;
    this.clock = options.clock ?? virtualClock();
    this.#size = pieceSizes(options.split);
    this.#room = options.room ?? Number.POSITIVE_INFINITY;
    this.#reused = options.reuseInput === true ? new Uint8Array(65_536) : null;
  }

  /* ---- Transport ---- */

  get bufferedAmount(): number {
    return this.#outgoingBytes;
  }
  get taken(): boolean {
    return this.#options.recycles === true && this.#outgoingBytes === 0;
  }
  write(chunks: readonly Uint8Array[]): boolean {
    const bytes = joinBytes(chunks);
    if (this.ended || this.aborted) throw new Error('fakeTransport: write after end or abort');
    if (this.#stalled) throw new Error('fakeTransport: write after write() === false and before drain()');
    this.calls.push(`write ${bytes.length}`);
    this.writes.push(bytes);
    this.#outgoing.push(bytes);
    this.#outgoingBytes += bytes.length;
    this.transmit();
    if (this.taken) for (const chunk of chunks) if (chunk.length < 16_384) chunk.fill(0xee);
    this.#stalled = this.#outgoingBytes > (this.#options.highWaterMark ?? 0);
    return !this.#stalled;
  }
  end(): void {
    this.calls.push('end');
    if (this.ended) throw new Error('fakeTransport: end called twice');
    this.ended = true;
    this.transmit();
  }
  abort(): void {
    this.calls.push('abort');
    if (this.aborted) throw new Error('fakeTransport: abort called twice');
    this.aborted = true;
    this.#drop();
    if (!this.#dead) this.link?.reset();
    this.#soon({ kind: 'closed', at: this.clock.now() });
  }
  pauseReading(): void {
    this.calls.push('pause');
    if (!this.reading) throw new Error('fakeTransport: pauseReading while paused');
    this.reading = false;
  }
  resumeReading(): void {
    this.calls.push('resume');
    if (this.reading) throw new Error('fakeTransport: resumeReading while reading');
    this.reading = true;
    this.#deliver();
  }

  /* ---- the peer ---- */

  attach(events: TransportEvents): void {
    this.#events = events;
    this.#deliver();
  }
  feed(bytes: Uint8Array): void {
    if (this.#dead || this.isClosed) return;
    for (let start = 0; start < bytes.length; ) {
      const end = start + this.#size(bytes.length - start);
      this.#incoming.push({ kind: 'data', at: this.#arrival(), bytes: new Uint8Array(bytes.subarray(start, end)) });
      start = end;
    }
    this.#incomingBytes += bytes.length;
    this.#deliver();
  }
  feedEof(): void {
    if (this.#dead || this.isClosed) return;
    this.#incoming.push({ kind: 'eof', at: this.#arrival() });
    this.#deliver();
  }
  reset(error: unknown = new Error('ECONNRESET')): void {
    if (this.#dead || this.isClosed || this.aborted) return;
    this.#drop();
    const at = this.#arrival();
    this.#soon({ kind: 'error', at, error });
    this.#soon({ kind: 'closed', at });
  }
  close(): void {
    if (this.isClosed) return;
    this.#drop();
    this.#soon({ kind: 'closed', at: this.clock.now() });
  }
  cut(): void {
    this.#dead = true;
    this.#incoming = [];
    this.#incomingBytes = 0;
    this.#room = 0;
  }
  grant(bytes: number = Number.POSITIVE_INFINITY): void {
    this.#room += bytes;
    this.transmit();
  }

  /* ---- the record ---- */

  get written(): Uint8Array {
    return joinBytes(this.writes);
  }
  get active(): boolean {
    return !this.isClosed && this.#next() !== undefined;
  }

  /* ---- inside, and for pair() ---- */

  /** Bytes that wait to be read here. */
  get incomingBytes(): number {
    return this.#incomingBytes;
  }

  /** Moves outgoing bytes as far as there is room. */
  transmit(): void {
    while (this.#outgoingBytes > 0) {
      const room = this.#dead ? 0 : (this.link?.room() ?? this.#room);
      const first = this.#outgoing[0];
      if (room <= 0 || first === undefined) break;
      const count = Math.min(room, first.length);
      if (count === first.length) this.#outgoing.shift();
      else this.#outgoing[0] = first.subarray(count);
      this.#outgoingBytes -= count;
      if (this.link === null) this.#room -= count;
      else this.link.push(first.subarray(0, count));
    }
    if (this.#outgoingBytes > 0) return;
    this.#outgoing = [];
    if (this.#stalled) {
      this.#stalled = false;
      this.#soon({ kind: 'drain', at: this.clock.now() });
    }
    if (this.ended && !this.#endSent && !this.#dead) {
      this.#endSent = true;
      this.link?.end();
      this.#maybeClose();
    }
  }

  #drop(): void {
    this.#incoming = [];
    this.#incomingBytes = 0;
    this.#outgoing = [];
    this.#outgoingBytes = 0;
  }
  #arrival(): Millis {
    const latency = this.#options.latency ?? 0;
    const delay = typeof latency === 'function' ? latency() : latency;
    this.#lastAt = Math.max(this.#lastAt, this.clock.now() + delay);
    return this.#lastAt;
  }
  #soon(event: Incoming): void {
    this.#urgent.push(event);
    this.#deliver();
  }
  #maybeClose(): void {
    if (this.#endSent && (this.#eofSeen || this.#options.halfClose === false) && !this.isClosed) {
      this.#soon({ kind: 'closed', at: this.clock.now() });
    }
  }

  /** Delivers what is due. Without latency that is everything; with it, one event per timer, so that each is a turn of its own. */
  #deliver(): void {
    if (this.#delivering || this.#events === null) return;
    if (this.#options.latency !== undefined) {
      this.#schedule();
      return;
    }
    this.#delivering = true;
    try {
      while (this.active && !this.isClosed) this.#one();
    } finally {
      this.#delivering = false;
    }
  }
  #schedule(): void {
    if (this.isClosed) return;
    const at = this.#next()?.at;
    if (at === undefined) return;
    if (this.#timer !== null) {
      if (at >= this.#timerAt) return;
      this.clock.clear(this.#timer);
    }
    this.#timerAt = at;
    this.#timer = this.clock.set(
      () => {
        this.#timer = null;
        const next = this.#next();
        try {
          if (next !== undefined && next.at <= this.clock.now()) this.#one();
        } finally {
          this.#schedule();
        }
      },
      Math.max(0, at - this.clock.now()),
    );
  }
  #next(): Incoming | undefined {
    return this.#urgent[0] ?? (this.reading ? this.#incoming[0] : undefined);
  }
  #one(): void {
    const events = this.#events;
    const event = this.#urgent.shift() ?? (this.reading ? this.#incoming.shift() : undefined);
    if (events === null || event === undefined || this.isClosed) return;
    if (event.kind === 'data') {
      this.#incomingBytes -= event.bytes.length;
      this.#hand(events, event.bytes);
      this.onConsumed?.();
    } else if (event.kind === 'eof') {
      this.#eofSeen = true;
      events.eof();
      this.#maybeClose();
    } else if (event.kind === 'drain') events.drain();
    else if (event.kind === 'error') events.error(event.error);
    else {
      this.isClosed = true;
      this.#urgent = [];
      this.#drop();
      if (this.#timer !== null) this.clock.clear(this.#timer);
      this.#timer = null;
      events.closed();
    }
  }
  #hand(events: TransportEvents, bytes: Uint8Array): void {
    const reused = this.#reused;
    if (reused === null || bytes.length > reused.length) {
      events.data(bytes);
      return;
    }
    reused.set(bytes);
    try {
      events.data(reused.subarray(0, bytes.length));
    } finally {
      reused.fill(0xdd, 0, bytes.length);
    }
  }
}

/** @see FakeTransportOptions */
export function fakeTransport(options: FakeTransportOptions = {}): FakeTransport {
  return new Fake(options);
}
