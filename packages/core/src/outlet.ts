/**
 * Where events go: to the application's sink (push mode), or into a queue that it pulls from.
 *
 * The receiver sees only this. Pull mode parses one event ahead of the application and no more, except while closing, when parsing goes on
 * by itself and the queue is bounded in bytes and in events.
 */
import type { CloseInfo } from './close.ts';
import type { MessageKind, Millis } from './common.ts';
import type { ConnectionEvent, ConnectionSink, EndInfo } from './events.ts';

export interface Outlet {
  /** Does parsing stop after each event? */
  readonly lazy: boolean;
  /** Is there an event that the application has not pulled? */
  readonly waiting: boolean;
  /** Of message data that waits to be pulled: bytes, or units of text. */
  readonly bytes: number;
  /** Is there no room for one more event, however small it is? */
  readonly full: boolean;
  /** Where `readInto` wants payload, and what it got. */
  readonly target: Uint8Array | null;
  filled: Filled | null;
  text(text: string): void;
  binary(data: Uint8Array): void;
  start(kind: MessageKind): void;
  /** `last`: the message ends with this piece. */
  textPiece(text: string, last: boolean): void;
  /** Never empty. Valid until the call returns. */
  piece(kind: MessageKind, bytes: Uint8Array, start: number, end: number, last: boolean): void;
  finish(kind: MessageKind): void;
  ping(payload: Uint8Array): void;
  pong(payload: Uint8Array, latency: Millis | null): void;
  close(info: CloseInfo): void;
  end(info: EndInfo): void;
}

export class PushOutlet implements Outlet {
  readonly #sink: ConnectionSink;

  constructor(sink: ConnectionSink) {
    this.#sink = sink;
  }
  get lazy(): false {
    return false;
  }
  // not covered: asked of a lazy outlet only.
  get waiting(): false {
    return false;
  }
  get bytes(): 0 {
    return 0;
  }
  get full(): false {
    return false;
  }
  get target(): null {
    return null;
  }
  // not covered: asked of a lazy outlet only.
  get filled(): null {
    return null;
  }
  text(text: string): void {
    this.#sink.onText?.(text);
  }
  binary(data: Uint8Array): void {
    this.#sink.onBinary?.(data);
  }
  start(kind: MessageKind): void {
    this.#sink.onMessageStart?.(kind);
  }
  textPiece(text: string): void {
    if (text !== '') this.#sink.onTextChunk?.(text);
  }
  piece(_kind: MessageKind, bytes: Uint8Array, start: number, end: number): void {
    this.#sink.onSpan?.(bytes, start, end);
  }
  finish(kind: MessageKind): void {
    this.#sink.onMessageEnd?.(kind);
  }
  ping(payload: Uint8Array): void {
    this.#sink.onPing?.(payload);
  }
  pong(payload: Uint8Array, latency: Millis | null): void {
    this.#sink.onPong?.(payload, latency);
  }
  close(info: CloseInfo): void {
    this.#sink.onClose?.(info.code, info.reason);
  }
  end(info: EndInfo): void {
    this.#sink.onEnd?.(info);
  }
}

/** What `readInto` answers for payload. */
export interface Filled {
  readonly type: 'data';
  readonly kind: MessageKind;
  readonly count: number;
  readonly endOfMessage: boolean;
}

/** A piece of a message that arrived while no `readInto` was under way, as after `close()`. */
export interface KeptPiece {
  readonly type: 'piece';
  readonly kind: MessageKind;
  readonly data: Uint8Array;
  readonly last: boolean;
}
export type QueuedEvent = ConnectionEvent | KeptPiece;

/**
 * Events that wait to be pulled. Each takes up to 250 bytes besides its data, and a frame of two bytes is enough to make one. A read of 64 KiB
 * brings no more, unless its frames are nearly empty.
 */
const MOST_EVENTS = 16_384;
/** In a longer queue `Array.prototype.shift` may move all events that are left, each time. */
const FEW_EVENTS = 256;

export class PullOutlet implements Outlet {
  /** False from `close()` on: parsing goes on by itself. */
  lazy = true;
  readonly #span: boolean;
  #queue: (QueuedEvent | undefined)[] = [];
  /** Events at the front of a long queue that were pulled already. */
  #read = 0;
  target: Uint8Array | null = null;
  filled: Filled | null = null;
  #first = true;
  #ended = false;
  /** Bytes of message data in the queue. */
  bytes = 0;

  constructor(span: boolean) {
    this.#span = span;
  }
  get waiting(): boolean {
    return this.#queue.length > this.#read;
  }
  get full(): boolean {
    return this.#queue.length - this.#read >= MOST_EVENTS;
  }
  shift(): QueuedEvent | null {
    const event = this.#queue.length > FEW_EVENTS ? this.#next() : this.#queue.shift();
    if (event === undefined) return null;
    if (event.type === 'message' || event.type === 'chunk' || event.type === 'piece') this.bytes -= event.data.length;
    return event;
  }
  /** Of a long queue. */
  #next(): QueuedEvent | undefined {
    const event = this.#queue[this.#read];
    this.#queue[this.#read++] = undefined;
    const left = this.#queue.length - this.#read;
    if (left <= FEW_EVENTS || left < this.#read) {
      this.#queue = this.#queue.slice(this.#read);
      this.#read = 0;
    }
    return event;
  }
  /** As much of a piece, which was shifted, as fits; the rest stays in front. */
  copy(piece: KeptPiece, target: Uint8Array): Filled {
    const count = Math.min(piece.data.length, target.length);
    target.set(piece.data.subarray(0, count));
    const rest = piece.data.subarray(count);
    const whole = rest.length === 0;
    if (!whole) {
      const left: KeptPiece = { ...piece, data: rest };
      if (this.#read > 0) this.#queue[--this.#read] = left;
      else this.#queue.unshift(left);
      this.bytes += rest.length;
    }
    return { type: 'data', kind: piece.kind, count, endOfMessage: piece.last && whole };
  }
  #push(event: QueuedEvent): void {
    this.#queue.push(event);
  }
  text(text: string): void {
    this.bytes += text.length;
    this.#push({ type: 'message', kind: 'text', data: text });
  }
  binary(data: Uint8Array): void {
    this.bytes += data.length;
    this.#push({ type: 'message', kind: 'binary', data });
  }
  start(): void {
    this.#first = true;
    this.#ended = false;
  }
  textPiece(text: string, last: boolean): void {
    if (text === '' && !last) return;
    this.bytes += text.length;
    this.#push({ type: 'chunk', kind: 'text', data: text, first: this.#first, last });
    this.#first = false;
    this.#ended = last;
  }
  piece(kind: MessageKind, bytes: Uint8Array, start: number, end: number, last: boolean): void {
    const data = bytes.slice(start, end);
    // A Buffer's slice is a view: make sure that it is a copy.
    const copy = data.buffer === bytes.buffer ? new Uint8Array(data) : data;
    this.bytes += copy.length;
    if (this.#span) this.#push({ type: 'piece', kind, data: copy, last });
    else this.#push({ type: 'chunk', kind: 'binary', data: copy, first: this.#first, last });
    this.#first = false;
    this.#ended = last;
  }
  finish(kind: MessageKind): void {
    if (this.#ended) return;
    if (this.#span || kind === 'binary') this.piece(kind, EMPTY, 0, 0, true);
    else this.textPiece('', true);
  }
  /** Dropped where there is no room: nothing answers a ping any more, and `latency` is known without the pong. */
  ping(payload: Uint8Array): void {
    if (!this.full) this.#push({ type: 'ping', data: payload });
  }
  pong(payload: Uint8Array, latency: Millis | null): void {
    if (!this.full) this.#push({ type: 'pong', data: payload, latency });
  }
  close(info: CloseInfo): void {
    this.#push({ type: 'close', code: info.code, reason: info.reason });
  }
  end(info: EndInfo): void {
    this.#push({ type: 'end', ...info });
  }
}

const EMPTY = new Uint8Array(0);
