/**
 * The payload of data frames into what the application asked for (RFC 6455 sections 5.4, 5.6, 8.1; RFC 7692 section 6.2): whole messages,
 * decoded pieces or raw spans, through the transforms of extensions where a message has them.
 *
 * One call of `step` makes at most one delivery and says first how much of the input it used, so a callback may pause or throw and nothing
 * is lost or told twice. Text is checked as it comes; what precedes the bad byte is delivered, then the connection fails.
 */
import type { MessageKind } from './common.ts';
import type { Content } from './content.ts';
import { giveScratch, SCRATCH_SIZE, takeScratch } from './memory.ts';
import { AssemblyOutput, InboundMessage } from './message.ts';
import type { Outlet } from './outlet.ts';
import type { InboundPipeline } from './pipeline.ts';
import { Piece } from './pipeline.ts';
import type { Settings } from './settings.ts';
import { TextCheck } from './text-check.ts';
import { incompleteTail } from './utf8.ts';
import type { Violation } from './violations.ts';
import { isViolation, violations } from './violations.ts';

/** What is read of the input. `Receiver` is the only one. */
export interface Cursor {
  /** Of `given` bytes only the first `used` were. To be called before anything is delivered. */
  rewind(given: number, used: number): void;
}

/** Bytes of compressed input per step. */
const SLICE = 16384;
/** Room for decoded output per delivery. */
const PIECE = 16384;
/** Decoded bytes per turn, unless its time is up before; then other connections get theirs. */
const TURN = 2 << 20;
/** A transform that says 'more' this many times without using or giving anything is broken. */
const MOST_IDLE_STEPS = 64;
/** From this many bytes on a piece of transferred input is kept by reference, when it fills half of its memory. */
const REFERENCE_FROM = 16384;
const assemblyOutput: AssemblyOutput = new AssemblyOutput();

/** The transforms of a connection that has any, and the work that is left of them. */
class Work {
  readonly pipeline: InboundPipeline;
  /** Is work left that needs no input? */
  unfinished = false;
  /** Is that work to go on only after `wake` or in the next turn? */
  waits = false;
  budget = TURN;
  idle = 0;
  /** Follows what has been delivered. */
  broken: Violation | null = null;

  constructor(pipeline: InboundPipeline) {
    this.pipeline = pipeline;
  }
}

/** What becomes of data once the application has called `close()`. */
interface Restriction {
  /** Bytes that may wait in the outlet. */
  readonly bound: number;
  /** Is data thrown away and counted instead of delivered? */
  discarding: boolean;
}

export class PayloadReader {
  message: InboundMessage | null = null;
  /** Unfragmented messages need nothing of this class but `wholeText` and `wholeBinary`. */
  plain: boolean;
  messages = 0;
  discarded = 0;
  bytes = 0;
  readonly #settings: Settings;
  readonly #outlet: Outlet;
  readonly #work: Work | null;
  #restriction: Restriction | null = null;
  /** `endOfMessage` has been told. */
  #told = false;

  constructor(settings: Settings, pipeline: InboundPipeline | null, outlet: Outlet) {
    this.#settings = settings;
    this.#outlet = outlet;
    this.#work = pipeline === null ? null : new Work(pipeline);
    this.plain = settings.delivery === 'message' && pipeline === null;
  }

  get content(): Content {
    return this.#settings.content;
  }
  /** Is work left that needs no input? */
  get unfinished(): boolean {
    return this.#work?.unfinished === true;
  }
  /** Is that work to go on only after `wake` or in the next turn? */
  get waits(): boolean {
    return this.#work?.waits === true;
  }

  /** Does parsing stop after each event, and is there one? */
  get told(): boolean {
    const outlet = this.#outlet;
    return outlet.lazy && (outlet.waiting || outlet.filled !== null);
  }

  /** The most that the next data frame may declare. `message`: the one that it would continue. */
  maxFrameSize(message: InboundMessage | null, reserved: boolean): number {
    const { maxMessageSize, maxFrameSize } = this.#settings;
    if (message === null ? reserved : message.transformed) return maxFrameSize ?? maxMessageSize + Math.ceil(maxMessageSize / 8) + 64;
    const left = message === null ? maxMessageSize : maxMessageSize - message.size;
    return maxFrameSize === null || maxFrameSize > left ? left : maxFrameSize;
  }

  /** From now on at most `bound` bytes of data wait in the outlet (null: none), and the rest is discarded and counted. */
  restrict(bound: number | null): void {
    this.#restriction = { bound: bound ?? 0, discarding: bound === null };
    this.plain = false;
  }
  /** A new turn: step budgets start again. `fresh`: for new input; else for work that is left. */
  refill(fresh: boolean): void {
    const work = this.#work;
    if (work === null) return;
    work.budget = TURN;
    work.waits = false;
    work.pipeline.time.start(fresh);
  }
  /** Has this turn's share of work been done? */
  get exhausted(): boolean {
    return this.#work?.waits === true && this.#work.budget <= 0;
  }
  #keeps(size: number): boolean {
    const restriction = this.#restriction;
    if (restriction === null) return true;
    if (this.#outlet.bytes + size > restriction.bound) restriction.discarding = true;
    return !restriction.discarding;
  }

  /* Messages that lie whole in the input. */

  wholeText(bytes: Uint8Array, start: number, end: number, key: number, own: boolean): boolean {
    const text = this.content.text(bytes, start, end, key, own);
    if (text === null) return false;
    this.messages++;
    this.bytes += end - start;
    this.#outlet.text(text);
    return true;
  }
  wholeBinary(bytes: Uint8Array, start: number, end: number, key: number, own: boolean): void {
    const data = this.content.binary(bytes, start, end, key, own);
    this.messages++;
    this.bytes += end - start;
    this.#outlet.binary(data);
  }
  get wholeHere(): boolean {
    const message = this.message;
    return this.#settings.delivery === 'message' && message !== null && message.frames === 1 && !message.transformed;
  }
  /** The message under way, which has one frame. False: text that is not UTF-8. */
  whole(bytes: Uint8Array, start: number, end: number, key: number, own: boolean): boolean {
    const text = this.message?.kind === 'text';
    this.message = null;
    if (this.#keeps(end - start)) {
      if (text) return this.wholeText(bytes, start, end, key, own);
      this.wholeBinary(bytes, start, end, key, own);
      return true;
    }
    if (text && this.content.text(bytes, start, end, key, own) === null) return false;
    this.#count(end - start);
    return true;
  }
  #count(size: number): void {
    this.messages++;
    this.bytes += size;
    if (this.#restriction?.discarding === true) this.discarded++;
  }

  /* Messages in pieces. */

  begin(kind: MessageKind, rsv: number): InboundMessage {
    const transformed = this.#work?.pipeline.begin(kind, rsv) ?? false;
    const check = kind === 'text' ? new TextCheck(this.content.isUtf8) : null;
    this.#told = false;
    this.message = new InboundMessage(
      kind,
      transformed,
      check,
      this.#settings.delivery === 'chunk' && kind === 'text',
      this.content,
    );
    return this.message;
  }
  start(kind: MessageKind): void {
    if (this.#settings.delivery !== 'message' && this.#keeps(0)) this.#outlet.start(kind);
  }

  /**
   * Takes payload of the current frame, masked with `key` from `phase` on. `last`: it ends the message. `left`: bytes that the
   * message still brings, these included; Infinity while that is not known.
   */
  step(
    bytes: Uint8Array,
    start: number,
    end: number,
    key: number,
    phase: number,
    own: boolean,
    last: boolean,
    left: number,
    cursor: Cursor,
  ): Violation | null {
    const message = this.message as InboundMessage;
    if (message.transformed) return this.#transform(this.#work as Work, message, bytes, start, end, key, phase, last, cursor);
    if (start === end) return null;
    if (this.#settings.delivery === 'message') return this.#assemble(message, bytes, start, end, key, phase, own, left);
    if (message.carry !== null) return this.#text(message, message.carry, bytes, start, end, key, phase, last, cursor);
    const { target } = this.#outlet;
    if (target === null && (key === 0 || own)) {
      this.content.unmask(bytes, start, end, key, phase);
      return this.#deliver(message, bytes, start, end, last, cursor);
    }
    const memory = target ?? takeScratch();
    const used = Math.min(end - start, memory.length);
    if (used < end - start) cursor.rewind(end - start, used);
    this.content.copy(bytes, start, start + used, memory, 0, key, phase);
    const violation = this.#deliver(message, memory, 0, used, last && used === end - start, cursor);
    if (target === null) giveScratch(memory);
    return violation;
  }

  #assemble(
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
    if (own && end - start >= REFERENCE_FROM && (end - start) * 2 >= bytes.buffer.byteLength) {
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
  #deliver(message: InboundMessage, bytes: Uint8Array, start: number, end: number, last: boolean, cursor: Cursor): Violation | null {
    const bad = message.check === null ? -1 : message.check.push(bytes, start, end);
    let to = end;
    if (bad !== -1) {
      if (bad === start) return violations.WS_INVALID_UTF8;
      // The bad byte comes up again, as the first of the next step.
      cursor.rewind(end - start, bad - start);
      to = bad;
    }
    this.#piece(message, bytes, start, to, last && bad === -1);
    return null;
  }
  #piece(message: InboundMessage, bytes: Uint8Array, start: number, end: number, last: boolean): void {
    const complete = last && (message.check === null || message.check.end());
    message.size += end - start;
    if (this.#outlet.target !== null) {
      this.#told = complete;
      this.#outlet.filled = { type: 'data', kind: message.kind, count: end - start, endOfMessage: complete };
    } else if (this.#keeps(end - start)) this.#outlet.piece(message.kind, bytes, start, end, complete);
  }

  /** Whole code points, delivery 'chunk'. */
  #text(
    message: InboundMessage,
    carry: Uint8Array,
    bytes: Uint8Array,
    start: number,
    end: number,
    key: number,
    phase: number,
    last: boolean,
    cursor: Cursor,
  ): Violation | null {
    const scratch = takeScratch();
    const carried = message.carried;
    const used = Math.min(end - start, SCRATCH_SIZE - carried);
    for (let i = 0; i < carried; i++) scratch[i] = carry[i] as number;
    this.content.copy(bytes, start, start + used, scratch, carried, key, phase);
    const bad = (message.check as TextCheck).push(scratch, carried, carried + used);
    const taken = bad === -1 ? used : bad - carried;
    if (taken < end - start) cursor.rewind(end - start, taken);
    message.size += taken;
    const text = this.#codePoints(message, carry, scratch, carried + taken);
    giveScratch(scratch);
    if (bad !== -1 && text === '') return violations.WS_INVALID_UTF8;
    this.#textPiece(text, last && taken === end - start && message.carried === 0);
    return null;
  }
  /** The text of `scratch[0, size)`, of which up to three bytes are carried over. */
  #codePoints(message: InboundMessage, carry: Uint8Array, scratch: Uint8Array, size: number): string {
    const tail = incompleteTail(scratch, 0, size);
    for (let i = 0; i < tail; i++) carry[i] = scratch[size - tail + i] as number;
    message.carried = tail;
    // not covered: the bytes were checked, so decoding them cannot fail.
    return this.content.decode(scratch, 0, size - tail) ?? '';
  }
  #textPiece(text: string, last: boolean): void {
    if (this.#keeps(text.length)) this.#outlet.textPiece(text, last);
  }

  /* Messages that extensions decode. */

  #transform(
    work: Work,
    message: InboundMessage,
    bytes: Uint8Array,
    start: number,
    end: number,
    key: number,
    phase: number,
    last: boolean,
    cursor: Cursor,
  ): Violation | null {
    if (work.broken !== null) return work.broken;
    if (work.budget <= 0) {
      work.unfinished = true;
      work.waits = true;
      cursor.rewind(end - start, 0);
      return null;
    }
    const given = end - start;
    const slice = given < SLICE ? given : SLICE;
    // Never in place: a transform may leave input unused, which must not be unmasked twice.
    const masked = key !== 0 && slice > 0;
    const input = masked ? takeScratch() : bytes;
    const from = masked ? 0 : start;
    if (masked) this.content.copy(bytes, start, start + slice, input, 0, key, phase);
    const violation = this.#decode(work, message, input, from, from + slice, given, last && slice === given, cursor);
    if (masked) giveScratch(input);
    return violation;
  }

  #decode(
    work: Work,
    message: InboundMessage,
    input: Uint8Array,
    start: number,
    end: number,
    given: number,
    ending: boolean,
    cursor: Cursor,
  ): Violation | null {
    const room = this.#settings.maxMessageSize - message.size + 1;
    if (this.#settings.delivery === 'message') {
      assemblyOutput.open(message, Math.min(room, work.budget));
      const problem = this.#push(work, input, start, end, given, ending, assemblyOutput, 0, cursor);
      // What has to wait for the peer keeps no scratch; and which fault comes first is for the check to say.
      if (problem !== null || message.size > this.#settings.maxMessageSize || work.waits || (!work.unfinished && !ending))
        assemblyOutput.spill();
      const { invalid } = assemblyOutput;
      assemblyOutput.close();
      if (invalid) return violations.WS_INVALID_UTF8;
      if (message.size > this.#settings.maxMessageSize) return violations.WS_MESSAGE_TOO_BIG;
      return problem;
    }
    const memory = this.#outlet.target ?? takeScratch();
    const piece = new Piece(memory, Math.min(room, this.#outlet.target?.length ?? PIECE) + message.carried);
    for (let i = 0; i < message.carried; i++) memory[i] = (message.carry as Uint8Array)[i] as number;
    piece.used = message.carried;
    const problem = this.#push(work, input, start, end, given, ending, piece, message.carried, cursor);
    const over = piece.used - message.carried === room;
    const violation = this.#deliverPiece(
      work,
      message,
      memory,
      over ? piece.used - 1 : piece.used,
      over ? violations.WS_MESSAGE_TOO_BIG : problem,
      cursor,
    );
    if (this.#outlet.target === null) giveScratch(memory);
    return violation;
  }

  /** One step of the transforms, with `used` bytes in `out` before. Returns what they found wrong. */
  #push(
    work: Work,
    input: Uint8Array,
    start: number,
    end: number,
    given: number,
    ending: boolean,
    out: Piece | AssemblyOutput,
    used: number,
    cursor: Cursor,
  ): Violation | null {
    const { pipeline } = work;
    const result = pipeline.push(input, start, end, ending, out);
    if (isViolation(result)) return result;
    const { consumed, status } = result;
    const count = out.used - used;
    work.budget = pipeline.time.isUp(count > 0 ? count : consumed) ? 0 : work.budget - count;
    const whole = consumed === end - start;
    work.waits = status === 'pending';
    work.unfinished = status !== 'need' || !whole || (ending && !pipeline.finished);
    work.idle = consumed > 0 || count > 0 || work.waits ? 0 : work.idle + 1;
    if (work.unfinished && work.idle > MOST_IDLE_STEPS)
      throw new Error('an extension asked for more steps without using or giving anything');
    cursor.rewind(given, consumed);
    return null;
  }

  #deliverPiece(
    work: Work,
    message: InboundMessage,
    memory: Uint8Array,
    used: number,
    problem: Violation | null,
    cursor: Cursor,
  ): Violation | null {
    const start = message.carried;
    const bad = message.check === null ? -1 : message.check.push(memory, start, used);
    const to = bad === -1 ? used : bad;
    const broken = bad === -1 ? problem : violations.WS_INVALID_UTF8;
    const last = broken === null && ended(work);
    if (message.carry !== null) {
      message.size += to - start;
      const text = this.#codePoints(message, message.carry, memory, to);
      if (text === '' && broken !== null) return broken;
      breakOff(work, broken, cursor);
      if (text !== '' || last) this.#textPiece(text, last && message.carried === 0);
      return null;
    }
    if (to === start && broken !== null) return broken;
    breakOff(work, broken, cursor);
    if (to > start) this.#piece(message, memory, start, to, last);
    return null;
  }
  /** The end of the message. */
  finish(): Violation | null {
    const message = this.message as InboundMessage;
    if (message.check !== null && !message.check.end()) return violations.WS_INVALID_UTF8;
    this.message = null;
    const { kind, size } = message;
    if (this.#settings.delivery !== 'message') {
      this.#count(size);
      if (this.#outlet.target !== null) {
        if (!this.#told) this.#outlet.filled = { type: 'data', kind, count: 0, endOfMessage: true };
      } else if (this.#keeps(0)) this.#outlet.finish(kind);
      return null;
    }
    const keeps = this.#keeps(size);
    const { short } = message;
    const data = short ?? message.assembly.join();
    // What was assembled has been checked.
    const text = kind === 'text' && (keeps || short !== null) ? this.content.decode(data, 0, size) : '';
    const own = kind === 'text' || short === null || !keeps ? data : this.content.binary(short, 0, size, 0, false);
    if (short !== null) giveScratch(short);
    if (text === null) return violations.WS_INVALID_UTF8;
    this.#count(size);
    if (!keeps) return null;
    if (kind === 'text') this.#outlet.text(text);
    else this.#outlet.binary(own);
    return null;
  }

  /** The connection is over: nothing is kept. */
  drop(): void {
    this.message = null;
    const work = this.#work;
    if (work === null) return;
    work.unfinished = false;
    work.waits = false;
    work.broken = null;
  }
}

/** What was decoded before the fault is delivered first; the next step fails. */
function breakOff(work: Work, violation: Violation | null, cursor: Cursor): void {
  work.broken = violation;
  if (violation === null) return;
  work.unfinished = true;
  // The frame is not done with, though its input may be.
  cursor.rewind(0, 0);
}
function ended(work: Work): boolean {
  return !work.unfinished && work.pipeline.finished;
}
