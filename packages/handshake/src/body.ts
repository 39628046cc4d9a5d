/**
 * The body of a response that did not switch protocols (RFC 9112 sections 6 and 7), kept up to a limit.
 *
 * Beware: the length is the peer's word. What is kept grows with what arrived, and framing of the chunked coding (extensions, trailers) counts
 * against a limit of its own, so a body that never ends stops the reader, not the process.
 */
import { fieldValues, indexFields } from './headers.ts';
import type { ParsedResponseHead } from './heads.ts';
import { isDigits, trimOws } from './tokens.ts';

const CR = 0x0d;
const LF = 0x0a;

const NOTHING = new Uint8Array(0);
const LEAST = 1024;

/* States of the chunked coding. */
const SIZE = 0;
const EXTENSION = 1;
const SIZE_LF = 2;
const DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const TRAILER_START = 6;
const TRAILER = 7;
const TRAILER_LF = 8;
const LAST_LF = 9;

/** - `more`: not at the end · `complete`: at the end · `stopped`: over the limit, or malformed: what is there is all there will be */
export type BodyStatus = 'more' | 'complete' | 'stopped';

export class BodyReader {
  status: BodyStatus = 'more';
  /** The body's bytes at its start, then room: memory follows bytes and not reads, of which there may be one for each byte. */
  private kept: Uint8Array = NOTHING;
  private size = 0;
  private room: number;
  private overhead: number;
  private readonly chunked: boolean;
  /** Bytes of the body, or of the chunk, still to come. */
  private remaining: number;
  private state = SIZE;
  private sizeDigits = 0;

  /** `maxOverhead` bounds the framing of the chunked coding, in bytes. */
  constructor(head: ParsedResponseHead, maxBody: number, maxOverhead: number) {
    this.room = maxBody;
    this.overhead = maxOverhead;
    const index = indexFields(head.headers);
    const codings = elements(fieldValues(index, 'transfer-encoding'));
    // One length may be said several times, as when fields were joined on the way.
    const lengths = elements(fieldValues(index, 'content-length'));
    const length = lengths[0] ?? '';
    this.chunked = codings.at(-1)?.toLowerCase() === 'chunked';
    const sized = codings.length === 0 && lengths.length > 0;
    // Neither: to the end of the stream (RFC 9112 section 6.3, items 4 and 8).
    this.remaining = this.chunked ? 0 : sized ? Number(length) : Number.POSITIVE_INFINITY;
    // Lengths that disagree or are none: there is no knowing what is body (item 5).
    const broken = sized && !(isDigits(length) && lengths.every((other) => other === length));
    const none = head.status === 204 || head.status === 304 || (sized && !broken && this.remaining === 0);
    if (none) this.status = 'complete';
    // Nor is anything worth waiting for where none of it is to be kept.
    else if (broken || maxBody === 0) this.status = 'stopped';
  }

  /** What arrived of it, as one array. */
  take(): Uint8Array {
    return this.kept.length === this.size ? this.kept : this.kept.slice(0, this.size);
  }

  /** Consumes `bytes` from `start`. Keeps no reference to them. */
  push(bytes: Uint8Array, start: number): void {
    if (this.chunked) this.pushChunked(bytes, start);
    else if (this.status === 'more') {
      this.keep(bytes, start, bytes.length);
      if (this.status === 'more' && this.remaining === 0) this.status = 'complete';
    }
  }

  /** Keeps what belongs to the body and fits. Returns the position behind it. */
  private keep(bytes: Uint8Array, start: number, end: number): number {
    const count = Math.min(end - start, this.remaining);
    const kept = Math.min(count, this.room);
    if (kept > 0) this.append(bytes.subarray(start, start + kept));
    this.remaining -= count;
    this.room -= kept;
    if (kept < count) this.status = 'stopped';
    return start + count;
  }

  private append(bytes: Uint8Array): void {
    const size = this.size + bytes.length;
    if (size > this.kept.length) {
      // Never more than the limit lets in.
      const grown = new Uint8Array(Math.max(size, Math.min(this.size + this.room, Math.max(LEAST, this.size * 2))));
      grown.set(this.kept.subarray(0, this.size));
      this.kept = grown;
    }
    this.kept.set(bytes, this.size);
    this.size = size;
  }

  private pushChunked(bytes: Uint8Array, start: number): void {
    let i = start;
    while (i < bytes.length && this.status === 'more') {
      if (this.state === DATA) {
        i = this.keep(bytes, i, bytes.length);
        if (this.remaining === 0) this.state = DATA_CR;
        continue;
      }
      const byte = bytes[i++] ?? 0;
      if (--this.overhead < 0 || !this.frame(byte)) this.status = 'stopped';
    }
  }

  /** One byte of framing (RFC 9112 section 7.1). False when it can't be there. */
  private frame(byte: number): boolean {
    switch (this.state) {
      case SIZE: {
        const digit = hexDigit(byte);
        if (digit >= 0) {
          this.remaining = this.remaining * 16 + digit;
          // Thirteen digits stay below 2^53.
          return ++this.sizeDigits <= 13;
        }
        if (this.sizeDigits === 0) return false;
        if (byte === CR) this.state = SIZE_LF;
        else if (byte === 0x3b || byte === 0x20 || byte === 0x09) this.state = EXTENSION;
        else return false;
        return true;
      }
      case EXTENSION:
        if (byte === CR) this.state = SIZE_LF;
        return byte !== LF;
      case SIZE_LF:
        this.sizeDigits = 0;
        this.state = this.remaining === 0 ? TRAILER_START : DATA;
        return byte === LF;
      case DATA_CR:
        this.state = DATA_LF;
        return byte === CR;
      case DATA_LF:
        this.state = SIZE;
        return byte === LF;
      case TRAILER_START:
      case TRAILER:
        if (byte === CR) this.state = this.state === TRAILER_START ? LAST_LF : TRAILER_LF;
        else this.state = TRAILER;
        return byte !== LF;
      case TRAILER_LF:
        this.state = TRAILER_START;
        return byte === LF;
      default:
        if (byte !== LF) return false;
        this.status = 'complete';
        return true;
    }
  }
}

/** Of a comma list over any number of fields. Empty ones are kept, so that `1,` is no length. */
function elements(values: readonly string[]): readonly string[] {
  return values.flatMap((value) => value.split(',').map(trimOws));
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
