/**
 * Payload of messages that extensions decode (RFC 6455 section 9, RFC 7692 section 6.2), step by step and within a budget, so that a callback
 * may pause amid a message that grows a thousandfold, and the limit on a message's size holds before memory is taken.
 *
 * Beware: a step may leave input unused, and work may be left when there is no input any more; `unfinished` says so.
 */
import type { MessageKind } from './common.ts';
import { giveScratch, takeScratch } from './memory.ts';
import type { InboundMessage } from './message.ts';
import { AssemblyOutput } from './message.ts';
import type { Outlet } from './outlet.ts';
import type { InboundPipeline } from './pipeline.ts';
import { Piece } from './pipeline.ts';
import type { Settings } from './settings.ts';
import type { Violation } from './violations.ts';
import { isViolation, violations } from './violations.ts';

/** What reads the input, and where decoded bytes go. `PayloadReader` is the only one. */
export interface DecoderHost {
  /** Of `given` bytes only the first `used` were. To be called before anything is delivered. */
  rewind(given: number, used: number): void;
  /** Raw bytes, checked if they are text. `last`: the message ends with them. */
  piece(message: InboundMessage, bytes: Uint8Array, start: number, end: number, last: boolean): void;
  /** The text of `bytes[0, size)`, of which up to three bytes go to `carry`. */
  codePoints(message: InboundMessage, carry: Uint8Array, bytes: Uint8Array, size: number): string;
  textPiece(message: InboundMessage, text: string, last: boolean): void;
}

/** Bytes of compressed input per step. */
const SLICE = 16384;
/** Room for decoded output per delivery. */
const PIECE = 16384;
/** Decoded bytes per turn, unless its time is up before; then other connections get theirs. */
const TURN = 2 << 20;
/** A transform that says 'more' this many times without using or giving anything is broken. */
const MOST_IDLE_STEPS = 64;
const assemblyOutput: AssemblyOutput = new AssemblyOutput();

export class MessageDecoder {
  /** Is work left that needs no input? */
  unfinished = false;
  /** Is that work to go on only after `wake` or in the next turn? */
  waits = false;
  readonly #settings: Settings;
  readonly #outlet: Outlet;
  readonly #pipeline: InboundPipeline;
  readonly #host: DecoderHost;
  #budget = TURN;
  #idle = 0;
  /** Since the step began. */
  #woken = false;
  /** Follows what has been delivered. */
  #broken: Violation | null = null;

  constructor(settings: Settings, outlet: Outlet, pipeline: InboundPipeline, host: DecoderHost) {
    this.#settings = settings;
    this.#outlet = outlet;
    this.#pipeline = pipeline;
    this.#host = host;
  }

  /** Is the message that begins to be decoded at all? */
  begin(kind: MessageKind, rsv: number): boolean {
    return this.#pipeline.begin(kind, rsv);
  }
  /** A new turn: step budgets start again. `fresh`: for new input; else for work that is left. */
  refill(fresh: boolean): void {
    this.#budget = TURN;
    this.waits = false;
    this.#woken = true;
    this.#pipeline.time.start(fresh);
  }
  /** Has this turn's share of work been done? */
  get exhausted(): boolean {
    return this.waits && this.#budget <= 0;
  }

  /** As `PayloadReader.step`. */
  step(
    message: InboundMessage,
    bytes: Uint8Array,
    start: number,
    end: number,
    key: number,
    phase: number,
    last: boolean,
  ): Violation | null {
    if (this.#broken !== null) return this.#broken;
    if (this.#budget <= 0) {
      this.unfinished = true;
      this.waits = true;
      this.#host.rewind(end - start, 0);
      return null;
    }
    const given = end - start;
    const slice = given < SLICE ? given : SLICE;
    // Never in place: a transform may leave input unused, which must not be unmasked twice.
    const masked = key !== 0 && slice > 0;
    const input = masked ? takeScratch() : bytes;
    const from = masked ? 0 : start;
    if (masked) this.#settings.content.copy(bytes, start, start + slice, input, 0, key, phase);
    const violation = this.#decode(message, input, from, from + slice, given, last && slice === given);
    if (masked) giveScratch(input);
    return violation;
  }

  #decode(message: InboundMessage, input: Uint8Array, start: number, end: number, given: number, ending: boolean): Violation | null {
    const room = this.#settings.maxMessageSize - message.size + 1;
    if (this.#settings.delivery === 'message') {
      assemblyOutput.open(message, Math.min(room, this.#budget));
      const problem = this.#push(input, start, end, given, ending, assemblyOutput, 0);
      // What has to wait for the peer keeps no scratch; and which fault comes first is for the check to say.
      if (problem !== null || message.size > this.#settings.maxMessageSize || this.waits || (!this.unfinished && !ending))
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
    const problem = this.#push(input, start, end, given, ending, piece, message.carried);
    const over = piece.used - message.carried === room;
    const violation = this.#deliverPiece(
      message,
      memory,
      over ? piece.used - 1 : piece.used,
      over ? violations.WS_MESSAGE_TOO_BIG : problem,
    );
    if (this.#outlet.target === null) giveScratch(memory);
    return violation;
  }

  /** One step of the transforms, with `used` bytes in `out` before. Returns what they found wrong. */
  #push(
    input: Uint8Array,
    start: number,
    end: number,
    given: number,
    ending: boolean,
    out: Piece | AssemblyOutput,
    used: number,
  ): Violation | null {
    const pipeline = this.#pipeline;
    const budget = this.#budget;
    this.#woken = false;
    const result = pipeline.push(input, start, end, ending, out);
    if (isViolation(result)) return result;
    const { consumed, status } = result;
    const count = out.used - used;
    const whole = consumed === end - start;
    const ended = status === 'more' && !whole && out.room > 0;
    // The turn is the same for one that was ready meanwhile.
    this.#budget = pipeline.time.isUp(count > consumed ? count : consumed, ended) ? 0 : budget - count;
    // A transform may be ready before it has said 'pending'.
    this.waits = status === 'pending' && !this.#woken;
    this.unfinished = status !== 'need' || !whole || (ending && !pipeline.finished);
    this.#idle = consumed > 0 || count > 0 || this.waits ? 0 : this.#idle + 1;
    if (this.unfinished && this.#idle > MOST_IDLE_STEPS)
      throw pipeline.broken(new Error('an extension asked for more steps without using or giving anything'));
    this.#host.rewind(given, consumed);
    return null;
  }

  #deliverPiece(message: InboundMessage, memory: Uint8Array, used: number, problem: Violation | null): Violation | null {
    const start = message.carried;
    const bad = message.check === null ? -1 : message.check.push(memory, start, used);
    const to = bad === -1 ? used : bad;
    const broken = bad === -1 ? problem : violations.WS_INVALID_UTF8;
    const last = broken === null && !this.unfinished && this.#pipeline.finished;
    if (message.carry !== null) {
      message.size += to - start;
      const text = this.#host.codePoints(message, message.carry, memory, to);
      if (text === '' && broken !== null) return broken;
      this.#breakOff(broken);
      if (text !== '' || last) this.#host.textPiece(message, text, last && message.carried === 0);
      return null;
    }
    if (to === start && broken !== null) return broken;
    this.#breakOff(broken);
    if (to > start) this.#host.piece(message, memory, start, to, last);
    return null;
  }

  /** What was decoded before the fault is delivered first; the next step fails. */
  #breakOff(violation: Violation | null): void {
    this.#broken = violation;
    if (violation === null) return;
    this.unfinished = true;
    // The frame is not done with, though its input may be.
    this.#host.rewind(0, 0);
  }
}
