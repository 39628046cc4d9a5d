/**
 * An incremental parser for the head of an HTTP/1.1 request or response (RFC 9112 sections 2 to 5).
 *
 * One state per byte, each byte seen once: time is linear and the result is the same at every split. A head fails at its first wrong byte, so
 * that a peer that speaks no HTTP is answered without waiting for a line end. What it is strict about, where others are loose: a line ends with
 * CR LF and nothing else; no control characters, no white space before a colon, no obs-fold in a request (in a response a user agent turns it into
 * SP, RFC 9112 section 5.2). An empty line in front of the start line is skipped (RFC 9112 section 2.2).
 */
import type { HandshakeErrorCode } from './errors.ts';
import type { HttpVersion, ParsedRequestHead, ParsedResponseHead } from './heads.ts';
import type { HttpLimits } from './limits.ts';
import { CHARS, FIELD, TARGET, TOKEN, trimOws } from './tokens.ts';

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const HTAB = 0x09;
const COLON = 0x3a;

/* States. A name says what the next byte belongs to. */
const START = 0;
const START_LF = 1;
const METHOD = 2;
const TARGET_PART = 3;
const VERSION = 4;
const STATUS = 5;
const REASON = 6;
const LINE_LF = 7;
const FIELD_START = 8;
const NAME = 9;
const VALUE = 10;
const VALUE_LF = 11;
const HEAD_LF = 12;
const DONE = 13;
const FAILED = 14;

const VERSION_PREFIX = 'HTTP/';
const NOTHING = new Uint8Array(0);
const LEAST = 64;

export interface HeadFault {
  readonly error: HandshakeErrorCode;
  /** Of the refusal, where it is not the table's. */
  readonly status?: number;
}

/**
 * Feed it with `push` until it is `done` or has a `fault`; then read `request()` or `response()`. It keeps no reference to a chunk.
 */
export class HeadParser {
  /** What was wrong, or null. */
  fault: HeadFault | null = null;
  private state = START;
  /**
   * The part of the current element that earlier chunks held, at the start of memory that grows. Not a string: one that is put together from single
   * bytes takes 32 for each.
   */
  private kept: Uint8Array = NOTHING;
  private keptSize = 0;
  private lineLength = 0;
  /** Length of the field line before this one: a fold goes on counting from it. */
  private lastLength = 0;
  private size = 0;
  private method = '';
  private target = '';
  private version: HttpVersion = '1.1';
  private status = 0;
  private name = '';
  /** What a folded value goes on from. */
  private folded = '';
  private fields: [string, string][] = [];
  private readonly isRequest: boolean;
  private readonly limits: Required<HttpLimits>;

  constructor(kind: 'request' | 'response', limits: Required<HttpLimits>) {
    this.isRequest = kind === 'request';
    this.limits = limits;
  }

  get done(): boolean {
    return this.state === DONE;
  }

  /** Whether a byte of it has arrived. */
  get started(): boolean {
    return this.size > 0;
  }

  /** Valid when done. */
  request(): ParsedRequestHead {
    return { method: this.method, target: this.target, httpVersion: this.version, headers: this.fields };
  }

  /** Valid when done. */
  response(): ParsedResponseHead {
    return { status: this.status, httpVersion: this.version, headers: this.fields };
  }

  /** Goes on to the head behind an interim response; the size limit goes on counting. */
  next(): void {
    this.state = START;
    this.fields = [];
    this.lineLength = 0;
  }

  /** Consumes bytes from `start` up to the end of the head. Returns the position behind what it took; all of it after a fault. */
  push(bytes: Uint8Array, start: number): number {
    /** Where the element under way begins in this chunk. */
    let from = start;
    let i = start;
    for (; i < bytes.length && this.state < DONE; i++) {
      const byte = bytes[i] ?? 0;
      if (++this.size > this.limits.maxHeadSize) return this.tooLarge(bytes);
      if (byte !== CR && byte !== LF && ++this.lineLength > this.limits.maxLineLength) return this.tooLarge(bytes);
      const chars = CHARS[byte] ?? 0;
      switch (this.state) {
        case START:
          if (byte === CR) {
            this.state = START_LF;
            break;
          }
          if (this.isRequest) {
            if ((chars & TOKEN) === 0) return this.wrong(bytes);
            this.state = METHOD;
          } else {
            if (byte !== VERSION_PREFIX.charCodeAt(0)) return this.wrong(bytes);
            this.state = VERSION;
          }
          from = i;
          break;
        case START_LF:
          if (byte !== LF) return this.wrong(bytes);
          this.state = START;
          break;
        case METHOD:
          if ((chars & TOKEN) !== 0) break;
          if (byte !== SP) return this.wrong(bytes);
          this.method = this.take(bytes, from, i);
          this.state = TARGET_PART;
          from = i + 1;
          break;
        case TARGET_PART:
          if ((chars & TARGET) !== 0) break;
          if (byte !== SP) return this.wrong(bytes);
          this.target = this.take(bytes, from, i);
          if (this.target === '') return this.wrong(bytes);
          this.state = VERSION;
          from = i + 1;
          break;
        case VERSION:
          if (this.isRequest ? byte === CR : byte === SP) {
            if (!this.setVersion(this.take(bytes, from, i))) return this.wrong(bytes);
            if (this.fault !== null) return this.stop(bytes);
            this.state = this.isRequest ? LINE_LF : STATUS;
            from = i + 1;
          } else if (!fitsVersion(this.keptSize + (i - from), byte)) return this.wrong(bytes);
          break;
        case STATUS:
          if (byte === SP || byte === CR) {
            const digits = this.take(bytes, from, i);
            this.status = Number(digits);
            if (digits.length !== 3 || this.status < 100) return this.wrong(bytes);
            this.state = byte === CR ? LINE_LF : REASON;
            from = i + 1;
          } else if (byte < 0x30 || byte > 0x39) return this.wrong(bytes);
          break;
        case REASON:
          // The phrase is read over: RFC 9112 section 4 gives it no meaning.
          from = i + 1;
          if (byte === CR) this.state = LINE_LF;
          else if ((chars & FIELD) === 0) return this.wrong(bytes);
          break;
        case LINE_LF:
        case VALUE_LF:
          if (byte !== LF) return this.wrong(bytes);
          this.state = FIELD_START;
          this.lastLength = this.lineLength;
          this.lineLength = 0;
          break;
        case FIELD_START:
          if (byte === CR) {
            this.state = HEAD_LF;
            break;
          }
          if (byte === SP || byte === HTAB) {
            if (!this.unfold()) return this.wrong(bytes);
            if (this.lineLength > this.limits.maxLineLength) return this.tooLarge(bytes);
            this.state = VALUE;
            from = i + 1;
            break;
          }
          if ((chars & TOKEN) === 0) return this.wrong(bytes);
          if (this.fields.length >= this.limits.maxHeaderCount) return this.tooLarge(bytes);
          this.state = NAME;
          from = i;
          break;
        case NAME:
          if ((chars & TOKEN) !== 0) break;
          if (byte !== COLON) return this.wrong(bytes);
          this.name = this.take(bytes, from, i);
          this.state = VALUE;
          from = i + 1;
          break;
        case VALUE:
          if ((chars & FIELD) !== 0) break;
          if (byte !== CR) return this.wrong(bytes);
          this.fields.push([this.name, this.value(trimOws(this.take(bytes, from, i)))]);
          this.state = VALUE_LF;
          break;
        default:
          if (byte !== LF) return this.wrong(bytes);
          this.state = DONE;
      }
    }
    if (
      this.state === METHOD ||
      this.state === TARGET_PART ||
      this.state === VERSION ||
      this.state === STATUS ||
      this.state === NAME ||
      this.state === VALUE
    ) {
      this.keep(bytes, from, i);
    }
    return i;
  }

  /** A folded line of a response goes on with the value of the field before it. */
  private unfold(): boolean {
    const last = this.isRequest ? undefined : this.fields.pop();
    if (last === undefined) return false;
    this.name = last[0];
    this.folded = last[1];
    this.lineLength += this.lastLength;
    return true;
  }

  /** A fold with the white space around it is one SP (RFC 9112 section 5.2). */
  private value(line: string): string {
    const { folded } = this;
    if (folded === '') return line;
    this.folded = '';
    return line === '' ? folded : `${folded} ${line}`;
  }

  private take(bytes: Uint8Array, from: number, to: number): string {
    if (this.keptSize === 0) return decode(bytes, from, to);
    this.keep(bytes, from, to);
    const whole = decode(this.kept, 0, this.keptSize);
    this.keptSize = 0;
    return whole;
  }

  private keep(bytes: Uint8Array, from: number, to: number): void {
    const size = this.keptSize + to - from;
    if (size > this.kept.length) {
      const grown = new Uint8Array(Math.max(LEAST, size, this.kept.length * 2));
      grown.set(this.kept.subarray(0, this.keptSize));
      this.kept = grown;
    }
    for (let i = from; i < to; i++) this.kept[this.keptSize++] = bytes[i] ?? 0;
  }

  /** False for what is no version at all. RFC 9110 section 2.5: a higher minor version is read as the highest one known. */
  private setVersion(text: string): boolean {
    if (text.length !== 8) return false;
    if (text[5] !== '1') this.fault = { error: 'WS_HS_HTTP_VERSION' };
    this.version = text[7] === '0' ? '1.0' : '1.1';
    return true;
  }

  private wrong(bytes: Uint8Array): number {
    this.fault = { error: 'WS_HS_SYNTAX' };
    return this.stop(bytes);
  }

  private tooLarge(bytes: Uint8Array): number {
    const inRequestLine = this.isRequest && this.state < LINE_LF;
    this.fault = inRequestLine ? { error: 'WS_HS_TOO_LARGE', status: 414 } : { error: 'WS_HS_TOO_LARGE' };
    return this.stop(bytes);
  }

  private stop(bytes: Uint8Array): number {
    this.state = FAILED;
    this.kept = NOTHING;
    this.keptSize = 0;
    this.fields = [];
    return bytes.length;
  }
}

/** Whether `byte` may stand at `index` of "HTTP/D.D". */
function fitsVersion(index: number, byte: number): boolean {
  if (index < VERSION_PREFIX.length) return byte === VERSION_PREFIX.charCodeAt(index);
  if (index === 6) return byte === 0x2e;
  return index <= 7 && byte >= 0x30 && byte <= 0x39;
}

/** Bytes as a binary string. In slices: a call takes a bounded number of arguments. */
function decode(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let i = from; i < to; i += 4096) text += String.fromCharCode(...bytes.subarray(i, Math.min(to, i + 4096)));
  return text;
}
