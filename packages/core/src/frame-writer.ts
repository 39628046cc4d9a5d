/**
 * Frames into the output (RFC 6455 sections 5.2, 5.3 and 5.6): the shortest header, a fresh mask for a client, text encoded in place.
 *
 * Small frames are merged in a slab, so that one read batch makes one write. From `REFERENCE_FROM` on a payload stays where it is and is
 * written by reference; a client's is copied and masked in one pass, or masked in place where the application gave it away.
 */

import { lend } from './loans.ts';
import { applyMask, copyMasked } from './mask.ts';
import type { MaskSource } from './masks.ts';
import { OutputQueue } from './output.ts';
import { textEncoder } from './platform.ts';
import type { Settings } from './settings.ts';
import { PREVIEW_SIZE } from './trace.ts';

export const REFERENCE_FROM = 16384;
/** Up to here a string is encoded by code unit, which costs less than a call of the encoder (bench: `parse`, string to wire). */
const SHORT_TEXT = 64;
/** Units of text whose bytes, at three each, fit a slab. */
const SLAB_TEXT = 16384;
const MOST_HEADER = 14;
/** Frames with less payload than this that are neither masked nor traced have a way of their own (bench: `echo --runtime bun`, 16 B). */
const SHORT = 48;

export class FrameWriter extends OutputQueue {
  readonly #settings: Settings;
  readonly #masks: MaskSource | null;
  frames = 0;

  /** `masks`: null for servers. */
  constructor(settings: Settings, masks: MaskSource | null) {
    super();
    this.#settings = settings;
    this.#masks = masks;
  }
  get masked(): boolean {
    return this.#masks !== null;
  }

  /** `first`: FIN, RSV and opcode. `own`: the payload may be masked in place. */
  bytes(first: number, payload: Uint8Array, own: boolean): void {
    const size = payload.length;
    this.frames++;
    if (size < SHORT && this.#masks === null && this.#settings.tracer === null) {
      this.short(first, payload, size);
      return;
    }
    const key = this.#masks === null ? 0 : this.#masks.next();
    const preview = this.preview(payload, 0, size);
    const at = this.reserve(size < REFERENCE_FROM ? MOST_HEADER + size : MOST_HEADER);
    const target = this.target;
    const from = this.header(target, at, first, size, key);
    if (size < REFERENCE_FROM) {
      copyMasked(payload, 0, size, target, from, key, 0);
      this.commit(from - at + size);
      this.trace(first, key, size, preview);
      return;
    }
    this.commit(from - at);
    let chunk = payload;
    if (this.#masks !== null) {
      if (!own) {
        chunk = new Uint8Array(size);
        this.#settings.content.copy(payload, 0, size, chunk, 0, key, 0);
      } else this.#settings.content.unmask(payload, 0, size, key, 0);
    }
    // What is ours (a copy, a prepared frame, encoded text) nobody can give back.
    if (chunk === payload) lend(chunk);
    this.append(chunk, size);
    this.trace(first, key, size, preview);
  }

  private short(first: number, payload: Uint8Array, size: number): void {
    const at = this.reserve(2 + size);
    const target = this.target;
    target[at] = first;
    target[at + 1] = size;
    copyShort(payload, size, target, at + 2);
    this.commit(2 + size);
  }

  /** A whole frame that was made before. */
  raw(frame: Uint8Array, first: number, headerSize: number): void {
    this.frames++;
    if (frame.length >= REFERENCE_FROM) this.append(frame, frame.length);
    else {
      const at = this.reserve(frame.length);
      this.target.set(frame, at);
      this.commit(frame.length);
    }
    const size = frame.length - headerSize;
    this.trace(first, 0, size, this.preview(frame, headerSize, size));
  }

  /** Returns the size of the text in bytes. Lone surrogates become U+FFFD. */
  text(first: number, text: string): number {
    const units = text.length;
    if (units <= SHORT_TEXT) {
      const size = this.shortText(first, text, units);
      if (size >= 0) return size;
    }
    if (units > SLAB_TEXT) return this.longText(first, text);
    this.frames++;
    const at = this.reserve(MOST_HEADER + units * 3);
    const target = this.target;
    const key = this.#masks === null ? 0 : this.#masks.next();
    // Most text is ASCII: its header is as long as that of `units` bytes. If not, the text moves by two bytes.
    const maskSize = this.#masks === null ? 0 : 4;
    const guess = at + (units < 126 ? 2 : 4) + maskSize;
    const { written } = textEncoder.encodeInto(text, new Uint8Array(target.buffer, target.byteOffset + guess, units * 3));
    // not covered: text that comes here is shorter than 64 KiB however it is encoded.
    const from = at + (written < 126 ? 2 : written < 65536 ? 4 : 10) + maskSize;
    if (from !== guess) target.copyWithin(from, guess, guess + written);
    this.header(target, at, first, written, key);
    const preview = this.preview(target, from, written);
    if (key !== 0) applyMask(target, from, from + written, key, 0);
    this.commit(from - at + written);
    this.trace(first, key, written, preview);
    return written;
  }

  /** -1: not ASCII, nothing written. */
  private shortText(first: number, text: string, units: number): number {
    const at = this.reserve(MOST_HEADER + SHORT_TEXT);
    const target = this.target;
    const masks = this.#masks;
    const from = at + (masks === null ? 2 : 6);
    for (let i = 0; i < units; i++) {
      const unit = text.charCodeAt(i);
      if (unit >= 0x80) return -1;
      target[from + i] = unit;
    }
    const key = masks === null ? 0 : masks.next();
    this.frames++;
    this.header(target, at, first, units, key);
    const preview = this.preview(target, from, units);
    if (key !== 0) applyMask(target, from, from + units, key, 0);
    this.commit(from - at + units);
    this.trace(first, key, units, preview);
    return units;
  }

  /** Encoded in segments that are written by reference: no byte is copied twice, and memory follows what the text needs. */
  private longText(first: number, text: string): number {
    const segments: Uint8Array[] = [];
    let rest = text;
    let size = 0;
    // The first segment fits ASCII, the second whatever is left.
    for (let room = text.length; rest !== ''; room = rest.length * 3) {
      const segment = new Uint8Array(room);
      const { read, written } = textEncoder.encodeInto(rest, segment);
      segments.push(written === room ? segment : segment.subarray(0, written));
      size += written;
      rest = rest.slice(read);
    }
    this.frames++;
    const key = this.#masks === null ? 0 : this.#masks.next();
    const preview = this.preview(segments[0] as Uint8Array, 0, size);
    const at = this.reserve(MOST_HEADER);
    this.commit(this.header(this.target, at, first, size, key) - at);
    let phase = 0;
    for (const segment of segments) {
      this.#settings.content.unmask(segment, 0, segment.length, key, phase);
      phase = (phase + segment.length) & 3;
      this.append(segment, segment.length);
    }
    this.trace(first, key, size, preview);
    return size;
  }

  /** Returns where the payload begins. */
  private header(target: Uint8Array, at: number, first: number, size: number, key: number): number {
    const mask = this.#masks === null ? 0 : 0x80;
    target[at] = first;
    let next = at + 2;
    if (size < 126) target[at + 1] = mask | size;
    else if (size < 65536) {
      target[at + 1] = mask | 126;
      target[at + 2] = size >> 8;
      target[at + 3] = size;
      next = at + 4;
    } else {
      target[at + 1] = mask | 127;
      writeUint32(target, at + 2, Math.floor(size / 0x1_0000_0000));
      writeUint32(target, at + 6, size);
      next = at + 10;
    }
    if (mask === 0) return next;
    writeUint32(target, next, key);
    return next + 4;
  }

  /** Taken before masking. Null when nobody looks. */
  private preview(payload: Uint8Array, start: number, size: number): Uint8Array | null {
    // Not slice(): a Buffer's is a view, and what it shows may be masked in place.
    return this.#settings.tracer === null ? null : new Uint8Array(payload.subarray(start, start + Math.min(size, PREVIEW_SIZE)));
  }
  /** Last of all: the callback may send. */
  private trace(first: number, key: number, length: number, preview: Uint8Array | null): void {
    if (preview === null) return;
    this.#settings.tracer?.frame('out', {
      fin: first >= 0x80,
      rsv: (first >> 4) & 7,
      opcode: first & 15,
      masked: this.#masks !== null,
      maskKey: key,
      length,
      lengthBytes: length < 126 ? 0 : length < 65536 ? 2 : 8,
      preview,
    });
  }
}

/** As `copyMasked` without a key, and small enough to be compiled into its caller. */
function copyShort(source: Uint8Array, size: number, target: Uint8Array, offset: number): void {
  let at = 0;
  // In bounds: `at < size`. The compiler can't know, hence the casts.
  for (const last = size - 4; at <= last; at += 4) {
    target[offset + at] = source[at] as number;
    target[offset + at + 1] = source[at + 1] as number;
    target[offset + at + 2] = source[at + 2] as number;
    target[offset + at + 3] = source[at + 3] as number;
  }
  for (; at < size; at++) target[offset + at] = source[at] as number;
}

function writeUint32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}
