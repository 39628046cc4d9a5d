/**
 * Received bytes into frames (RFC 6455 sections 5.2 to 5.5), and frames into what `payload.ts` makes of them.
 *
 * All that is known between two calls is a phase, the current frame in five numbers and the message under way, so input may stop and go
 * on at any byte. `position` is written before every callback: a callback that throws leaves everything after its event unread.
 * Beware: the verdict may not depend on how input is split. What can be seen at a byte is judged at that byte, and rules are judged in the
 * order of the bytes that show them (`checkFrameHeader`).
 */
import type { CloseInfo } from './close.ts';
import { checkPartialClosePayload, parseClosePayload } from './close.ts';
import type { Role } from './common.ts';
import type { FrameHeader, LenientFlags } from './frame.ts';
import { checkFrameHeader, createFrameHeader, decodeFrameHeader, MAX_HEADER_SIZE, Opcode } from './frame.ts';
import type { Outlet } from './outlet.ts';
import type { PayloadConfig } from './payload.ts';
import { PayloadReader } from './payload.ts';
import type { FragmentationState } from './state.ts';
import { fragmentation, frameClass } from './state.ts';
import type { Tracer } from './trace.ts';
import { PREVIEW_SIZE } from './trace.ts';
import type { Violation, ViolationCode } from './violations.ts';
import { isViolation, violations } from './violations.ts';

/** What the receiver tells the connection. Data goes to the outlet directly. */
export interface ReceiverHost {
  onViolation(violation: Violation): void;
  onPing(payload: Uint8Array): void;
  onPong(payload: Uint8Array): void;
  onClose(info: CloseInfo): void;
}

export interface ReceiverConfig extends PayloadConfig {
  readonly role: Role;
  readonly maxFragments: number;
  readonly lenient: LenientFlags | undefined;
  /** The RSV bits of all extensions. */
  readonly rsv: number;
  readonly tracer: Tracer | null;
}

/** The next byte is one of a header, of a data frame's payload, of a control frame's; or the message's end is to be told. */
const HEADER = 0;
const PAYLOAD = 1;
const CONTROL = 2;
const FINISH = 3;

/** Of the frame being judged: shared by all connections, since nothing happens between filling it in and reading it. */
const header: FrameHeader = createFrameHeader();
const NO_LENIENCY: LenientFlags = {};
const context = { role: 'server' as Role, allowedRsv: 0, messageOpen: false, maxFrameSize: 0, lenient: NO_LENIENCY };
const MOST_SHORT_LENGTH = 125;
const EMPTY = new Uint8Array(0);

export class Receiver {
  /** Index in the bytes given to `run` up to which they have been used. */
  position = 0;
  /** Set from outside, or after an event in pull mode: `run` returns as soon as it sees it. */
  stop = false;
  frames = 0;
  readonly payload: PayloadReader;
  readonly #host: ReceiverHost;
  readonly #role: Role;
  readonly #maskBit: 0 | 0x80;
  readonly #maxFragments: number;
  readonly #lenient: LenientFlags;
  readonly #rsv: number;
  readonly #tracer: Tracer | null;
  #phase = HEADER;
  #state: FragmentationState = 'idle';
  /** The bytes of a header that is not complete. */
  #stash: Uint8Array | null = null;
  #stashed = 0;
  #opcode = 0;
  #fin = false;
  #key = 0;
  #size = 0;
  /** Bytes of the frame's payload that have been used. */
  #offset = 0;
  #control: Uint8Array = EMPTY;

  constructor(config: ReceiverConfig, host: ReceiverHost, outlet: Outlet) {
    this.#host = host;
    this.#role = config.role;
    this.#maskBit = config.role === 'server' ? 0x80 : 0;
    this.#maxFragments = config.maxFragments;
    this.#lenient = config.lenient ?? NO_LENIENCY;
    this.#rsv = config.rsv;
    this.#tracer = config.tracer;
    this.payload = new PayloadReader(config, outlet);
  }

  /** Would more input lead to anything? False while something is left to do without any. */
  get hungry(): boolean {
    return this.#phase !== FINISH && !this.payload.unfinished && !(this.#phase === PAYLOAD && this.#offset === this.#size);
  }

  /** Uses `bytes[start, end)` until they are used up or `stop` is set. `own`: they may be written to. */
  run(bytes: Uint8Array, start: number, end: number, own: boolean): void {
    this.position = start;
    while (!this.stop) {
      switch (this.#phase) {
        case HEADER:
          if (this.#stashed === 0 && this.payload.plain && this.#state === 'idle' && this.#tracer === null) {
            this.#wholeFrames(bytes, end, own);
            if (this.stop) return;
          }
          if (this.position === end || !this.#header(bytes, end)) return;
          break;
        case PAYLOAD:
          if (!this.#data(bytes, end, own)) return;
          break;
        case CONTROL:
          if (!this.#controlPayload(bytes, end)) return;
          break;
        default:
          if (!this.#finish()) return;
      }
    }
  }

  /**
   * The common case in one loop: unfragmented messages that lie whole in the input, no extension, delivery 'message'. Everything unusual is
   * left to the general path (bench: `parse`).
   */
  #wholeFrames(bytes: Uint8Array, end: number, own: boolean): void {
    // not covered: said by a table that only a test changes.
    if (fragmentation.idle.whole !== 'idle') return;
    const payload = this.payload;
    const maskBit = this.#maskBit;
    const headerSize = maskBit === 0 ? 2 : 6;
    const max = payload.maxWhole;
    let at = this.position;
    while (end - at >= headerSize) {
      const first = bytes[at] as number;
      if (first !== 0x81 && first !== 0x82) return;
      const second = bytes[at + 1] as number;
      if ((second & 0x80) !== maskBit) return;
      let size = second & 0x7f;
      let from = at + headerSize;
      if (size > MOST_SHORT_LENGTH) {
        if (size === 127 || end - at < headerSize + 2) return;
        size = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
        if (size <= MOST_SHORT_LENGTH) return;
        from += 2;
      }
      const to = from + size;
      if (to > end || size > max) return;
      let key = 0;
      if (maskBit !== 0) {
        key =
          ((bytes[from - 4] as number) << 24) |
          ((bytes[from - 3] as number) << 16) |
          ((bytes[from - 2] as number) << 8) |
          (bytes[from - 1] as number);
      }
      this.frames++;
      this.position = at = to;
      if (first === 0x81) {
        if (!payload.wholeText(bytes, from, to, key, own)) this.#fail(violations.WS_INVALID_UTF8);
      } else payload.wholeBinary(bytes, from, to, key, own);
      if (payload.told) this.stop = true;
      if (this.stop) return;
    }
  }

  #fail(violation: Violation): void {
    this.stop = true;
    this.#host.onViolation(violation);
  }

  /** One header. False: it needs more input, or was refused. */
  #header(bytes: Uint8Array, end: number): boolean {
    let size: number;
    if (this.#stashed === 0) {
      const at = this.position;
      size = decodeFrameHeader(bytes, at, end, header);
      if (size === 0) {
        const stash = new Uint8Array(MAX_HEADER_SIZE);
        for (let i = at; i < end; i++) stash[i - at] = bytes[i] as number;
        this.#stash = stash;
        this.#stashed = end - at;
        this.position = end;
      } else this.position = at + size;
    } else {
      const stash = this.#stash as Uint8Array;
      size = 0;
      while (size === 0 && this.position < end) {
        stash[this.#stashed++] = bytes[this.position++] as number;
        size = decodeFrameHeader(stash, 0, this.#stashed, header);
        if (size === 0 && this.#judge() !== null) break;
      }
      if (size > 0) {
        this.#stash = null;
        this.#stashed = 0;
      }
    }
    const violation = this.#judge();
    if (violation !== null) {
      if (this.#tracer !== null) this.#traceHeader(this.#tracer, violation);
      this.#fail(violation);
      return false;
    }
    return size > 0 && this.#begin();
  }

  /**
   * The first rule that the header breaks, as far as it is known. Whether a data frame may come now is what the table says: `messageOpen`
   * is set so that `checkFrameHeader` puts that verdict in its place among the others.
   */
  #judge(): Violation | null {
    const opcode = header.opcode;
    const data = opcode >= 0 && opcode <= Opcode.Binary;
    let next: FragmentationState | ViolationCode = 'idle';
    if (data) next = fragmentation[this.#state][frameClass(opcode, header.fin)];
    const refused = next !== 'idle' && next !== 'message';
    const message = this.payload.message;
    context.role = this.#role;
    context.allowedRsv = this.#rsv;
    context.messageOpen = opcode === Opcode.Continuation ? !refused : refused;
    context.maxFrameSize = this.payload.maxFrameSize(opcode === Opcode.Continuation ? message : null, header.rsv !== 0);
    context.lenient = this.#lenient;
    const violation = checkFrameHeader(header, context);
    // A close frame has no payload or at least a code (section 5.5.1): its length alone shows the fault.
    if (violation === null) return opcode === Opcode.Close && header.payloadLength === 1 ? violations.WS_CLOSE_PAYLOAD : null;
    const order = violation.code === 'WS_UNEXPECTED_CONTINUATION' || violation.code === 'WS_EXPECTED_CONTINUATION';
    return order ? violations[next as ViolationCode] : violation;
  }

  /** The header is complete and legal. */
  #begin(): boolean {
    const opcode = header.opcode;
    this.frames++;
    this.#opcode = opcode;
    this.#fin = header.fin;
    this.#key = header.maskKey | 0;
    this.#size = header.payloadLength;
    this.#offset = 0;
    const rsv = header.rsv;
    if (this.#tracer !== null) this.#startTrace();
    if (opcode > Opcode.Binary) {
      this.#phase = CONTROL;
      this.#control = new Uint8Array(this.#size);
      return true;
    }
    this.#state = fragmentation[this.#state][frameClass(opcode, this.#fin)] as FragmentationState;
    this.#phase = PAYLOAD;
    const payload = this.payload;
    const first = opcode !== Opcode.Continuation;
    const message = first || payload.message === null ? payload.begin(opcode === Opcode.Text ? 'text' : 'binary', rsv) : payload.message;
    message.frames++;
    if (message.frames > this.#maxFragments || (!message.transformed && this.#size > payload.maxFrameSize(message, false))) {
      this.#fail(message.frames > this.#maxFragments ? violations.WS_TOO_MANY_FRAGMENTS : violations.WS_MESSAGE_TOO_BIG);
      return false;
    }
    if (first) payload.start(message.kind);
    return true;
  }

  /** Payload of a data frame. False: it needs more input, or is waiting, or was refused. */
  #data(bytes: Uint8Array, end: number, own: boolean): boolean {
    const payload = this.payload;
    const left = this.#size - this.#offset;
    const start = this.position;
    const available = end - start < left ? end - start : left;
    if (available === 0 && left > 0 && !payload.unfinished) return false;
    if (this.#tracer !== null) this.#tracePayload(bytes, start, start + available);
    // The whole rest is used unless `step` says otherwise; set first, since it calls back.
    const last = this.#fin && available === left;
    this.#offset += available;
    this.position = start + available;
    if (this.#offset === this.#size) this.#phase = this.#fin ? FINISH : HEADER;
    const offset = this.#offset - available;
    if (offset === 0 && last && payload.wholeHere) {
      this.#phase = HEADER;
      this.#endTrace();
      if (!payload.whole(bytes, start, start + available, this.#key, own)) {
        this.#fail(violations.WS_INVALID_UTF8);
        return false;
      }
      if (payload.told) this.stop = true;
      return true;
    }
    const violation = payload.step(bytes, start, start + available, this.#key, offset & 3, own, last, left, this);
    if (violation !== null) {
      this.#fail(violation);
      return false;
    }
    if (this.#offset === this.#size) this.#endTrace();
    if (payload.told) this.stop = true;
    return !payload.waits;
  }

  /** `PayloadReader` uses only the first `used` of the bytes that it was given. Called before it calls back. */
  rewind(given: number, used: number): void {
    this.#offset -= given - used;
    this.position -= given - used;
    if (this.#offset < this.#size || this.payload.unfinished) this.#phase = PAYLOAD;
    else this.#phase = this.#fin ? FINISH : HEADER;
  }

  #finish(): boolean {
    this.#phase = HEADER;
    const violation = this.payload.finish();
    if (violation !== null) {
      this.#fail(violation);
      return false;
    }
    if (this.payload.told) this.stop = true;
    return true;
  }

  #controlPayload(bytes: Uint8Array, end: number): boolean {
    const control = this.#control;
    const start = this.position;
    const count = Math.min(this.#size - this.#offset, end - start);
    const content = this.payload.content;
    content.copy(bytes, start, start + count, control, this.#offset, this.#key, this.#offset & 3);
    this.#offset += count;
    this.position = start + count;
    const complete = this.#offset === this.#size;
    if (this.#opcode === Opcode.Close) return this.#closePayload(complete, count);
    if (!complete) return false;
    this.#endControl();
    if (this.#opcode === Opcode.Ping) this.#host.onPing(control);
    else this.#host.onPong(control);
    if (this.payload.told) this.stop = true;
    return true;
  }

  /** A close frame's payload is judged byte by byte too (RFC 6455 section 5.5.1). */
  #closePayload(complete: boolean, count: number): boolean {
    const control = this.#control;
    if (!complete) {
      const violation = count === 0 ? null : checkPartialClosePayload(control, this.#offset, this.#lenient);
      if (violation !== null) this.#fail(violation);
      return false;
    }
    this.#endControl();
    const info = parseClosePayload(control, this.#lenient);
    if (isViolation(info)) {
      this.#fail(info);
      return false;
    }
    // Nothing after it is read (section 5.5.1).
    this.stop = true;
    this.#host.onClose(info);
    return false;
  }

  #endControl(): void {
    this.#phase = HEADER;
    const control = this.#control;
    this.#control = EMPTY;
    if (this.#trace === null) return;
    this.#trace.preview = control;
    this.#endTrace();
  }

  /* The wire log. Off the hot path: nobody traces without asking for it. */

  #trace: {
    fin: boolean;
    rsv: number;
    opcode: number;
    masked: boolean;
    maskKey: number;
    length: number;
    lengthBytes: 0 | 2 | 8;
    preview: Uint8Array;
  } | null = null;
  #previewed = 0;

  #startTrace(): void {
    const { fin, rsv, opcode, masked, maskKey, payloadLength, lengthBytes } = header;
    const preview = new Uint8Array(opcode > Opcode.Binary ? 0 : Math.min(payloadLength, PREVIEW_SIZE));
    this.#trace = { fin, rsv, opcode, masked, maskKey, length: payloadLength, lengthBytes, preview };
    this.#previewed = 0;
  }
  #tracePayload(bytes: Uint8Array, start: number, end: number): void {
    const trace = this.#trace;
    if (trace === null || this.#offset !== this.#previewed) return;
    const count = Math.min(end - start, trace.preview.length - this.#previewed);
    if (count <= 0) return;
    this.payload.content.copy(bytes, start, start + count, trace.preview, this.#previewed, this.#key, this.#previewed & 3);
    this.#previewed += count;
  }
  #endTrace(): void {
    const trace = this.#trace;
    if (trace === null) return;
    this.#trace = null;
    this.#tracer?.frame('in', trace);
  }
  #traceHeader(tracer: Tracer, violation: Violation): void {
    const { fin, rsv, opcode, masked, maskKey, payloadLength, lengthBytes } = header;
    tracer.frame('in', { fin, rsv, opcode, masked, maskKey, length: payloadLength, lengthBytes, preview: EMPTY }, violation.message);
  }
}
