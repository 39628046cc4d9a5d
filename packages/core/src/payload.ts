/**
 * The payload of data frames into what the application asked for (RFC 6455 sections 5.4, 5.6, 8.1): whole messages, decoded pieces or raw
 * spans. Messages that extensions decode take the way through `message-decoder.ts`.
 *
 * One call of `step` makes at most one delivery and says first how much of the input it used, so a callback may pause or throw and nothing
 * is lost or told twice. Text is checked as it comes; what precedes the bad byte is delivered, then the connection fails.
 */
import type { MessageKind } from './common.ts';
import { type Content, fills } from './content.ts';
import { giveScratch, SCRATCH_SIZE, takeScratch } from './memory.ts';
import { InboundMessage } from './message.ts';
import type { DecoderHost } from './message-decoder.ts';
import { MessageDecoder } from './message-decoder.ts';
import type { FrameScanner } from './options.ts';
import type { Outlet } from './outlet.ts';
import type { InboundPipeline } from './pipeline.ts';
import type { Settings } from './settings.ts';
import { TextCheck } from './text-check.ts';
import { incompleteTail } from './utf8.ts';
import type { Violation } from './violations.ts';
import { violations } from './violations.ts';

/** From this many bytes on a piece of transferred input is kept by reference, when it fills half of its memory. */
const REFERENCE_FROM = 16384;

/** What becomes of data once the application has called `close()`. */
interface Restriction {
  /** Bytes that may wait in the outlet. */
  readonly bound: number;
  /** Is data thrown away and counted instead of delivered? */
  discarding: boolean;
  /** Messages that were thrown away. */
  discarded: number;
}

export abstract class PayloadReader implements DecoderHost {
  protected message: InboundMessage | null = null;
  messages = 0;
  bytes = 0;
  protected readonly settings: Settings;
  readonly #outlet: Outlet;
  readonly #decoder: MessageDecoder | null;
  #restriction: Restriction | null = null;

  constructor(settings: Settings, pipeline: InboundPipeline | null, outlet: Outlet) {
    this.settings = settings;
    this.#outlet = outlet;
    this.#decoder = pipeline === null ? null : new MessageDecoder(settings, outlet, pipeline, this);
  }

  abstract rewind(given: number, used: number): void;

  get content(): Content {
    return this.settings.content;
  }
  /** Do unfragmented messages need nothing of this class but `wholeText` and `wholeBinary`? */
  protected get plain(): boolean {
    return this.#decoder === null && this.#restriction === null && this.settings.delivery === 'message';
  }
  /** Is work left that needs no input? */
  protected get unfinished(): boolean {
    return this.#decoder?.unfinished === true;
  }
  /** Is that work to go on only after `wake` or in the next turn? */
  protected get waits(): boolean {
    return this.#decoder?.waits === true;
  }

  /** Does parsing stop after each event, and is there one? */
  get told(): boolean {
    const outlet = this.#outlet;
    return outlet.lazy && (outlet.waiting || outlet.filled !== null);
  }

  /** The most that the next data frame may declare. `message`: the one that it would continue. */
  protected maxFrameSize(message: InboundMessage | null, reserved: boolean): number {
    const { maxMessageSize, maxFrameSize } = this.settings;
    if (message === null ? reserved : message.transformed) return maxFrameSize ?? maxMessageSize + Math.ceil(maxMessageSize / 8) + 64;
    const left = message === null ? maxMessageSize : maxMessageSize - message.size;
    return maxFrameSize === null || maxFrameSize > left ? left : maxFrameSize;
  }

  /** From now on at most `bound` bytes of data wait in the outlet (null: none), while it has room for events; the rest is discarded and counted. */
  restrict(bound: number | null): void {
    this.#restriction = { bound: bound ?? 0, discarding: bound === null, discarded: 0 };
  }
  /** Messages that were discarded. */
  get discarded(): number {
    return this.#restriction === null ? 0 : this.#restriction.discarded;
  }
  /** A new turn: step budgets start again. `fresh`: for new input; else for work that is left. */
  refill(fresh: boolean): void {
    this.#decoder?.refill(fresh);
  }
  /** Has this turn's share of work been done? */
  get exhausted(): boolean {
    return this.#decoder?.exhausted === true;
  }
  private keeps(size: number): boolean {
    const restriction = this.#restriction;
    if (restriction === null) return true;
    if (this.#outlet.bytes + size > restriction.bound || this.#outlet.full) restriction.discarding = true;
    return !restriction.discarding;
  }
  private get discards(): boolean {
    return this.#restriction?.discarding === true;
  }

  /* Messages that lie whole in the input. */

  protected wholeText(bytes: Uint8Array, start: number, end: number, key: number, own: boolean): boolean {
    return this.textAtOnce(this.content.text(bytes, start, end, key, own), end - start);
  }
  private textAtOnce(text: string | null, size: number): boolean {
    if (text === null) return false;
    this.messages++;
    this.bytes += size;
    this.#outlet.text(text);
    return true;
  }
  wholeBinary(bytes: Uint8Array, start: number, end: number, key: number, own: boolean): void {
    this.plainBinary(this.content.binary(bytes, start, end, key, own));
  }
  /** As `wholeText`, of bytes that are not masked and of which it is known whether they are ASCII. */
  plainText(bytes: Uint8Array, start: number, end: number, isAscii: boolean): boolean {
    return this.textAtOnce(this.content.plainText(bytes, start, end, isAscii), end - start);
  }
  plainBinary(data: Uint8Array): void {
    this.messages++;
    this.bytes += data.length;
    this.#outlet.binary(data);
  }
  /** Finds short frames many at a time. Null where parsing stops after each event. */
  protected get scanner(): FrameScanner | null {
    return this.#outlet.lazy ? null : this.content.scanner;
  }
  protected get wholeHere(): boolean {
    const message = this.message;
    return this.settings.delivery === 'message' && message !== null && message.frames === 1 && !message.transformed;
  }
  /** The message under way, which has one frame. False: text that is not UTF-8. */
  protected whole(bytes: Uint8Array, start: number, end: number, key: number, own: boolean): boolean {
    const text = this.message?.kind === 'text';
    this.message = null;
    if (this.keeps(end - start)) {
      if (text) return this.wholeText(bytes, start, end, key, own);
      this.wholeBinary(bytes, start, end, key, own);
      return true;
    }
    if (text && this.content.text(bytes, start, end, key, own) === null) return false;
    this.count(end - start);
    return true;
  }
  private count(size: number): void {
    this.messages++;
    this.bytes += size;
    if (this.#restriction?.discarding === true) this.#restriction.discarded++;
  }

  /* Messages in pieces. */

  protected beginMessage(kind: MessageKind, rsv: number): InboundMessage {
    const transformed = this.#decoder?.begin(kind, rsv) ?? false;
    const check = kind === 'text' ? new TextCheck(this.content.isUtf8) : null;
    this.message = new InboundMessage(kind, transformed, check, this.settings.delivery === 'chunk' && kind === 'text', this.content);
    return this.message;
  }
  protected start(kind: MessageKind): void {
    if (this.settings.delivery !== 'message' && this.keeps(0)) this.#outlet.start(kind);
  }

  /**
   * Takes payload of the current frame, masked with `key` from `phase` on. `last`: it ends the message. `left`: bytes that the
   * message still brings, these included; Infinity while that is not known.
   */
  protected step(
    bytes: Uint8Array,
    start: number,
    end: number,
    key: number,
    phase: number,
    own: boolean,
    last: boolean,
    left: number,
  ): Violation | null {
    const message = this.message as InboundMessage;
    if (message.transformed) return (this.#decoder as MessageDecoder).step(message, bytes, start, end, key, phase, last);
    if (start === end) return null;
    if (this.settings.delivery === 'message') return this.assemble(message, bytes, start, end, key, phase, own, left);
    if (message.carry !== null) return this.text(message, message.carry, bytes, start, end, key, phase, last);
    const { target } = this.#outlet;
    if (target === null && (key === 0 || own)) {
      this.content.unmask(bytes, start, end, key, phase);
      return this.deliver(message, bytes, start, end, last);
    }
    const memory = target ?? takeScratch();
    const used = Math.min(end - start, memory.length);
    if (used < end - start) this.rewind(end - start, used);
    this.content.copy(bytes, start, start + used, memory, 0, key, phase);
    const violation = this.deliver(message, memory, 0, used, last && used === end - start);
    if (target === null) giveScratch(memory);
    return violation;
  }

  private assemble(
    message: InboundMessage,
    bytes: Uint8Array,
    start: number,
    end: number,
    key: number,
    phase: number,
    own: boolean,
    expected: number,
  ): Violation | null {
    const { assembly, check } = message;
    message.size += end - start;
    if (own && end - start >= REFERENCE_FROM && fills(bytes, start, end)) {
      this.content.unmask(bytes, start, end, key, phase);
      if (check !== null && check.push(bytes, start, end) !== -1) return violations.WS_INVALID_UTF8;
      assembly.adopt(bytes, start, end);
      return null;
    }
    let at = start;
    while (at < end) {
      const room = assembly.reserve(end - at, expected - (at - start));
      const { target, offset } = assembly;
      this.content.copy(bytes, at, at + room, target, offset, key, (phase + at - start) & 3);
      if (check !== null && check.push(target, offset, offset + room) !== -1) return violations.WS_INVALID_UTF8;
      assembly.commit(room);
      at += room;
    }
    return null;
  }

  /** Raw bytes, to the outlet or to who called `readInto`. */
  private deliver(message: InboundMessage, bytes: Uint8Array, start: number, end: number, last: boolean): Violation | null {
    const bad = message.check === null ? -1 : message.check.push(bytes, start, end);
    let to = end;
    if (bad !== -1) {
      if (bad === start) return violations.WS_INVALID_UTF8;
      // The bad byte comes up again, as the first of the next step.
      this.rewind(end - start, bad - start);
      to = bad;
    }
    this.piece(message, bytes, start, to, last && bad === -1);
    return null;
  }
  piece(message: InboundMessage, bytes: Uint8Array, start: number, end: number, last: boolean): void {
    const complete = last && (message.check === null || message.check.end());
    message.size += end - start;
    if (this.#outlet.target !== null) {
      message.told = complete;
      this.#outlet.filled = { type: 'data', kind: message.kind, count: end - start, endOfMessage: complete };
    } else if (this.keeps(end - start)) {
      message.told = complete && this.#outlet.lazy;
      this.#outlet.piece(message.kind, bytes, start, end, complete);
    }
  }

  /** Whole code points, delivery 'chunk'. */
  private text(
    message: InboundMessage,
    carry: Uint8Array,
    bytes: Uint8Array,
    start: number,
    end: number,
    key: number,
    phase: number,
    last: boolean,
  ): Violation | null {
    const scratch = takeScratch();
    const carried = message.carried;
    const used = Math.min(end - start, SCRATCH_SIZE - carried);
    for (let i = 0; i < carried; i++) scratch[i] = carry[i] as number;
    this.content.copy(bytes, start, start + used, scratch, carried, key, phase);
    const bad = (message.check as TextCheck).push(scratch, carried, carried + used);
    const taken = bad === -1 ? used : bad - carried;
    if (taken < end - start) this.rewind(end - start, taken);
    message.size += taken;
    const text = this.codePoints(message, carry, scratch, carried + taken);
    giveScratch(scratch);
    if (bad !== -1 && text === '') return violations.WS_INVALID_UTF8;
    this.textPiece(message, text, last && taken === end - start && message.carried === 0);
    return null;
  }
  /** The text of `scratch[0, size)`, of which up to three bytes are carried over. */
  codePoints(message: InboundMessage, carry: Uint8Array, scratch: Uint8Array, size: number): string {
    const tail = incompleteTail(scratch, 0, size);
    for (let i = 0; i < tail; i++) carry[i] = scratch[size - tail + i] as number;
    message.carried = tail;
    // not covered: the bytes were checked, so decoding them cannot fail.
    return this.content.decode(scratch, 0, size - tail) ?? '';
  }
  textPiece(message: InboundMessage, text: string, last: boolean): void {
    if (!this.keeps(text.length)) return;
    message.told = last && this.#outlet.lazy;
    this.#outlet.textPiece(text, last);
  }

  /** The end of the message. */
  protected endMessage(): Violation | null {
    const message = this.message as InboundMessage;
    if (message.check !== null && !message.check.end()) return violations.WS_INVALID_UTF8;
    this.message = null;
    const { kind, size } = message;
    if (message.told) {
      // Its reader has all of it, and may have called `close()` since, after which ends are queued or discarded.
      this.messages++;
      this.bytes += size;
      return null;
    }
    if (this.settings.delivery !== 'message') {
      this.count(size);
      if (this.#outlet.target !== null) this.#outlet.filled = { type: 'data', kind, count: 0, endOfMessage: true };
      else if (!this.discards) this.#outlet.finish(kind);
      return null;
    }
    const keeps = this.keeps(size);
    const { short } = message;
    const data = short ?? message.assembly.join();
    // What was assembled has been checked.
    const text = kind === 'text' && (keeps || short !== null) ? this.content.decode(data, 0, size) : '';
    const own = kind === 'text' || short === null || !keeps ? data : this.content.binary(short, 0, size, 0, false);
    if (short !== null) giveScratch(short);
    if (text === null) return violations.WS_INVALID_UTF8;
    this.count(size);
    if (!keeps) return null;
    if (kind === 'text') this.#outlet.text(text);
    else this.#outlet.binary(own);
    return null;
  }

  /** The connection is over: nothing is kept. */
  drop(): void {
    this.message = null;
  }
}
