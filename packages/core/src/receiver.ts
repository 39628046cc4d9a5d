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
import type { FrameInProgress } from './frame-in-progress.ts';
import { giveFrame, takeFrame } from './frame-in-progress.ts';
import type { Outlet } from './outlet.ts';
import { PayloadReader } from './payload.ts';
import type { InboundPipeline } from './pipeline.ts';
import { isWorthScanning, scanFrames } from './scan.ts';
import type { Settings } from './settings.ts';
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

/** What the next byte belongs to: a header, a data frame's payload or a control frame's. `FINISH`: none, the message's end is to be told. */
const HEADER = 0;
const PAYLOAD = 1;
const CONTROL = 2;
const FINISH = 3;

/** Of the frame being judged: shared by all connections, since nothing happens between filling it in and reading it. */
const header: FrameHeader = createFrameHeader();
const context = { role: 'server' as Role, allowedRsv: 0, messageOpen: false, maxFrameSize: 0, lenient: {} as LenientFlags };
const MOST_SHORT_LENGTH = 125;
const EMPTY = new Uint8Array(0);

export class Receiver extends PayloadReader {
  /** Index in the bytes given to `run` up to which they have been used. */
  position = 0;
  /** A copy of the bytes behind it, if they lie in memory that the application may transfer. */
  unread: Uint8Array | null = null;
  /** Set from outside, or after an event in pull mode: `run` returns as soon as it sees it. */
  stop = false;
  frames = 0;
  readonly #host: ReceiverHost;
  #phase = HEADER;
  #state: FragmentationState = 'idle';
  /** Null between frames, and while frames are of the common kind. */
  #frame: FrameInProgress | null = null;

  constructor(settings: Settings, pipeline: InboundPipeline | null, host: ReceiverHost, outlet: Outlet) {
    super(settings, pipeline, outlet);
    this.#host = host;
  }

  /** Would more input lead to anything? False while something is left to do without any. */
  get hungry(): boolean {
    if (this.#phase === FINISH || this.unfinished) return false;
    const frame = this.#frame;
    return frame === null || this.#phase !== PAYLOAD || frame.offset !== frame.size;
  }

  /** Uses `bytes[start, end)` until they are used up or `stop` is set. `own`: they may be written to. */
  run(bytes: Uint8Array, start: number, end: number, own: boolean): void {
    this.position = start;
    this.unread = null;
    while (!this.stop && this.advance(bytes, end, own));
    const frame = this.#frame;
    if (frame === null || this.#phase !== HEADER || frame.stashed > 0) return;
    this.#frame = null;
    giveFrame(frame);
  }

  /** Up to the end of a phase. False: it needs more input, or is waiting, or was refused. */
  private advance(bytes: Uint8Array, end: number, own: boolean): boolean {
    if (this.#phase === HEADER) {
      if (this.plain && this.#state === 'idle' && (this.#frame === null || this.#frame.stashed === 0)) {
        if (this.settings.tracer === null) this.wholeFrames(bytes, end, own);
        if (this.stop) return false;
      }
      return this.position < end && this.header(bytes, end);
    }
    if (this.#phase === PAYLOAD) return this.data(bytes, end, own);
    return this.#phase === CONTROL ? this.controlPayload(bytes, end) : this.finish();
  }
  /** The frame under way. */
  private get current(): FrameInProgress {
    this.#frame ??= takeFrame();
    return this.#frame;
  }

  /**
   * The common case in one loop: unfragmented messages that lie whole in the input, no extension, delivery 'message'. Everything unusual is
   * left to the general path (bench: `parse`).
   */
  private wholeFrames(bytes: Uint8Array, end: number, own: boolean): void {
    // not covered: said by a table that only a test changes.
    if (fragmentation.idle.whole !== 'idle') return;
    const { maskBit, maxWhole: max } = this.settings;
    const headerSize = maskBit === 0 ? 2 : 6;
    const scanner = maskBit === 0 ? null : this.scanner;
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
      if (scanner !== null && isWorthScanning(scanner, size, at, to, end)) {
        if (!scanFrames(scanner, this, bytes, end, max, own)) this.fail(violations.WS_INVALID_UTF8);
        if (this.stop) return;
        if (this.position > at) {
          at = this.position;
          continue;
        }
      }
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
        if (!this.wholeText(bytes, from, to, key, own)) this.fail(violations.WS_INVALID_UTF8);
      } else this.wholeBinary(bytes, from, to, key, own);
      if (this.told) this.stop = true;
      if (this.stop) return;
    }
  }

  private fail(violation: Violation): void {
    this.stop = true;
    this.#host.onViolation(violation);
  }

  /** One header. False: it needs more input, or was refused. */
  private header(bytes: Uint8Array, end: number): boolean {
    const frame = this.current;
    let size: number;
    if (frame.stashed === 0) {
      const at = this.position;
      size = decodeFrameHeader(bytes, at, end, header);
      if (size === 0) {
        frame.stash ??= new Uint8Array(MAX_HEADER_SIZE);
        for (let i = at; i < end; i++) frame.stash[i - at] = bytes[i] as number;
        frame.stashed = end - at;
        this.position = end;
      } else this.position = at + size;
    } else {
      const stash = frame.stash as Uint8Array;
      size = 0;
      while (size === 0 && this.position < end) {
        stash[frame.stashed++] = bytes[this.position++] as number;
        size = decodeFrameHeader(stash, 0, frame.stashed, header);
        if (size === 0 && this.judge() !== null) break;
      }
      if (size > 0) frame.stashed = 0;
    }
    const violation = this.judge();
    if (violation !== null) {
      const { tracer } = this.settings;
      if (tracer !== null) traceHeader(tracer, violation);
      this.fail(violation);
      return false;
    }
    return size > 0 && this.beginFrame(frame);
  }

  /**
   * The first rule that the header breaks, as far as it is known. Whether a data frame may come now is what the table says: `messageOpen`
   * is set so that `checkFrameHeader` puts that verdict in its place among the others.
   */
  private judge(): Violation | null {
    const opcode = header.opcode;
    const data = opcode >= 0 && opcode <= Opcode.Binary;
    let next: FragmentationState | ViolationCode = 'idle';
    if (data) next = fragmentation[this.#state][frameClass(opcode, header.fin)];
    const refused = next !== 'idle' && next !== 'message';
    const message = this.message;
    const { role, rsv, lenient } = this.settings;
    context.role = role;
    context.allowedRsv = rsv;
    context.messageOpen = opcode === Opcode.Continuation ? !refused : refused;
    context.maxFrameSize = this.maxFrameSize(opcode === Opcode.Continuation ? message : null, header.rsv !== 0);
    context.lenient = lenient;
    const violation = checkFrameHeader(header, context);
    // A close frame has no payload or at least a code (section 5.5.1): its length alone shows the fault.
    if (violation === null) return opcode === Opcode.Close && header.payloadLength === 1 ? violations.WS_CLOSE_PAYLOAD : null;
    const order = violation.code === 'WS_UNEXPECTED_CONTINUATION' || violation.code === 'WS_EXPECTED_CONTINUATION';
    return order ? violations[next as ViolationCode] : violation;
  }

  /** The header is complete and legal. */
  private beginFrame(frame: FrameInProgress): boolean {
    const opcode = header.opcode;
    this.frames++;
    frame.opcode = opcode;
    frame.fin = header.fin;
    frame.key = header.maskKey | 0;
    frame.size = header.payloadLength;
    frame.offset = 0;
    const rsv = header.rsv;
    if (this.settings.tracer !== null) startTrace(frame);
    if (opcode > Opcode.Binary) {
      this.#phase = CONTROL;
      frame.control = new Uint8Array(frame.size);
      return true;
    }
    this.#state = fragmentation[this.#state][frameClass(opcode, frame.fin)] as FragmentationState;
    this.#phase = PAYLOAD;
    const first = opcode !== Opcode.Continuation;
    const message = first || this.message === null ? this.beginMessage(opcode === Opcode.Text ? 'text' : 'binary', rsv) : this.message;
    message.frames++;
    const tooMany = message.frames > this.settings.maxFragments;
    if (tooMany || (!message.transformed && frame.size > this.maxFrameSize(message, false))) {
      this.fail(tooMany ? violations.WS_TOO_MANY_FRAGMENTS : violations.WS_MESSAGE_TOO_BIG);
      return false;
    }
    // In pull mode a start is told with the first piece, so parsing goes on.
    if (first) this.start(message.kind);
    return true;
  }

  /** Payload of a data frame. False: it needs more input, or is waiting, or was refused. */
  private data(bytes: Uint8Array, end: number, own: boolean): boolean {
    const frame = this.current;
    const left = frame.size - frame.offset;
    const start = this.position;
    const available = end - start < left ? end - start : left;
    if (available === 0 && left > 0 && !this.unfinished) return false;
    if (frame.trace !== null) this.tracePayload(frame, bytes, start, start + available);
    // The whole rest is used unless `step` says otherwise; set first, since it calls back.
    const last = frame.fin && available === left;
    const offset = frame.offset;
    frame.offset += available;
    this.position = start + available;
    if (frame.offset === frame.size) this.#phase = frame.fin ? FINISH : HEADER;
    if (offset === 0 && last && this.wholeHere) {
      this.#phase = HEADER;
      this.endTrace(frame);
      if (!this.whole(bytes, start, start + available, frame.key, own)) {
        this.fail(violations.WS_INVALID_UTF8);
        return false;
      }
      if (this.told) this.stop = true;
      return true;
    }
    const rest = frame.fin ? left : Number.POSITIVE_INFINITY;
    const violation = this.step(bytes, start, start + available, frame.key, offset & 3, own, last, rest);
    if (violation !== null) {
      this.fail(violation);
      return false;
    }
    if (frame.offset === frame.size) this.endTrace(frame);
    if (this.told) this.stop = true;
    return !this.waits;
  }

  /** Only the first `used` of the bytes that `step` was given are used. Called before anything is delivered. */
  override rewind(given: number, used: number): void {
    const frame = this.current;
    frame.offset -= given - used;
    this.position -= given - used;
    if (frame.offset < frame.size || this.unfinished) this.#phase = PAYLOAD;
    else this.#phase = frame.fin ? FINISH : HEADER;
  }

  private finish(): boolean {
    this.#phase = HEADER;
    const violation = this.endMessage();
    if (violation !== null) {
      this.fail(violation);
      return false;
    }
    if (this.told) this.stop = true;
    return true;
  }

  private controlPayload(bytes: Uint8Array, end: number): boolean {
    const frame = this.current;
    const { control, offset } = frame;
    const start = this.position;
    const count = Math.min(frame.size - offset, end - start);
    this.content.copy(bytes, start, start + count, control, offset, frame.key, offset & 3);
    frame.offset = offset + count;
    this.position = start + count;
    const complete = frame.offset === frame.size;
    if (frame.opcode === Opcode.Close) return this.closePayload(frame, complete, count);
    if (!complete) return false;
    this.endControl(frame);
    if (frame.opcode === Opcode.Ping) this.#host.onPing(control);
    else this.#host.onPong(control);
    if (this.told) this.stop = true;
    return true;
  }

  /** A close frame's payload is judged byte by byte too (RFC 6455 section 5.5.1). */
  private closePayload(frame: FrameInProgress, complete: boolean, count: number): boolean {
    const { control } = frame;
    const { lenient } = this.settings;
    if (!complete) {
      const violation = count === 0 ? null : checkPartialClosePayload(control, frame.offset, lenient);
      if (violation !== null) this.fail(violation);
      return false;
    }
    this.endControl(frame);
    const info = parseClosePayload(control, lenient);
    if (isViolation(info)) {
      this.fail(info);
      return false;
    }
    // Nothing after it is read (section 5.5.1).
    this.stop = true;
    this.#host.onClose(info);
    return false;
  }

  private endControl(frame: FrameInProgress): void {
    this.#phase = HEADER;
    if (frame.trace === null) return;
    frame.trace.preview = frame.control;
    this.endTrace(frame);
  }

  /* The wire log. Off the hot path: nobody traces without asking for it. */

  private tracePayload(frame: FrameInProgress, bytes: Uint8Array, start: number, end: number): void {
    const { trace, previewed } = frame;
    if (trace === null || frame.offset !== previewed) return;
    const count = Math.min(end - start, trace.preview.length - previewed);
    if (count <= 0) return;
    this.content.copy(bytes, start, start + count, trace.preview, previewed, frame.key, previewed & 3);
    frame.previewed += count;
  }
  private endTrace(frame: FrameInProgress): void {
    const { trace } = frame;
    if (trace === null) return;
    frame.trace = null;
    this.settings.tracer?.frame('in', trace);
  }
}

function startTrace(frame: FrameInProgress): void {
  const { fin, rsv, opcode, masked, maskKey, payloadLength, lengthBytes } = header;
  const preview = new Uint8Array(opcode > Opcode.Binary ? 0 : Math.min(payloadLength, PREVIEW_SIZE));
  frame.trace = { fin, rsv, opcode, masked, maskKey, length: payloadLength, lengthBytes, preview };
  frame.previewed = 0;
}
function traceHeader(tracer: Tracer, violation: Violation): void {
  const { fin, rsv, opcode, masked, maskKey, payloadLength, lengthBytes } = header;
  tracer.frame('in', { fin, rsv, opcode, masked, maskKey, length: payloadLength, lengthBytes, preview: EMPTY }, violation.message);
}
