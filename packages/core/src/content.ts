/**
 * The content of a message that lies whole in one piece of input: unmasked and decoded in one pass where possible
 * (RFC 6455 sections 5.3 and 5.6). One object serves all connections with the same kernels.
 *
 * Input is written to only if it is ours. What is returned never shows memory of which its frame is less than half, so a kept message cannot
 * pin a large chunk of input, but for short messages, which share up to 16 KiB (`memory.ts`) or a small chunk (`scan.ts`).
 *
 * Beware: the application may transfer the buffer of any message, and all that lies in it is gone then. What is still to be read never does.
 */
import { applyMask, copyMasked } from './mask.ts';
import type { Allocate } from './memory.ts';
import {
  copiedText,
  copyForText,
  copyToSlab,
  cutFromSlab,
  FROM_SLAB,
  giveScratch,
  ON_HEAP,
  SCRATCH_SIZE,
  takeScratch,
  zeroed,
} from './memory.ts';
import type { FrameScanner, Kernels } from './options.ts';
import { type Spares, sparesOf } from './spares.ts';
import { decodeUtf8 } from './utf8.ts';

/** Up to here text is put together by code unit, which costs less than calling a decoder (bench: `parse`, 16 B text). */
const SHORT_TEXT = 24;
/** Below this many bytes a kernel costs more to call than it saves. */
const KERNEL_FROM = 384;
/** Smaller messages are copied even where they could be shown in place: a view costs as much as the copy, and pins more. */
const IN_PLACE_FROM = 4096;
/**
 * What a frame has before its payload, at most. With it the second of two equal messages that came as one chunk is half of that, and shown in
 * place (bench: `echo --runtime bun`, 64 KiB).
 */
const HEADER = 14;

export class Content {
  readonly #decode: (bytes: Uint8Array, start: number, end: number) => string | null;
  readonly #decodeAscii: (bytes: Uint8Array, start: number, end: number) => string | null;
  readonly #mask: Kernels['applyMask'];
  readonly #copy: Kernels['copyMasked'];
  readonly isUtf8: Kernels['isUtf8'];
  readonly allocate: Allocate;
  readonly #markShared: Kernels['markShared'];
  /** As `allocate`, for what several connections share. */
  readonly #allocateShared: Allocate;
  readonly scanner: FrameScanner | null;
  readonly #spares: Spares;

  constructor(kernels: Kernels | undefined) {
    this.#decode = kernels?.decodeUtf8 ?? decodeUtf8;
    this.#decodeAscii = kernels?.decodeAscii ?? this.#decode;
    this.#mask = kernels?.applyMask;
    this.#copy = kernels?.copyMasked;
    this.isUtf8 = kernels?.isUtf8;
    const allocate = kernels?.allocate ?? zeroed;
    const markShared = kernels?.markShared;
    this.allocate = allocate;
    this.#spares = sparesOf(allocate);
    this.#markShared = markShared;
    this.#allocateShared = markShared === undefined ? allocate : marking(allocate, markShared);
    this.scanner = kernels?.scanner ?? null;
  }
  isMadeOf(kernels: Kernels | undefined): boolean {
    const decode = kernels?.decodeUtf8 ?? decodeUtf8;
    const text = this.#decode === decode && this.#decodeAscii === (kernels?.decodeAscii ?? decode) && this.isUtf8 === kernels?.isUtf8;
    return (
      text &&
      this.scanner === (kernels?.scanner ?? null) &&
      this.#markShared === kernels?.markShared &&
      this.#mask === kernels?.applyMask &&
      this.#copy === kernels?.copyMasked &&
      this.allocate === (kernels?.allocate ?? zeroed)
    );
  }

  /** As `copyMasked`. */
  copy(from: Uint8Array, start: number, end: number, target: Uint8Array, offset: number, key: number, phase: number): void {
    if (this.#copy === undefined || key === 0 || end - start < KERNEL_FROM) copyMasked(from, start, end, target, offset, key, phase);
    else this.#copy(from, start, end, target, offset, key, phase);
  }
  /** As `applyMask`. */
  unmask(bytes: Uint8Array, start: number, end: number, key: number, phase: number): void {
    if (key === 0) return;
    if (this.#mask === undefined || end - start < KERNEL_FROM) applyMask(bytes, start, end, key, phase);
    else this.#mask(bytes, start, end, key, phase);
  }
  decode(bytes: Uint8Array, start: number, end: number): string | null {
    return this.#decode(bytes, start, end);
  }

  /** Null: not UTF-8. */
  text(bytes: Uint8Array, start: number, end: number, key: number, own: boolean): string | null {
    const size = end - start;
    if (size <= SHORT_TEXT) {
      const text = shortText(bytes, start, end, key);
      if (text !== null) return text;
    }
    if (key === 0) return this.#decode(bytes, start, end);
    if (own) {
      this.unmask(bytes, start, end, key, 0);
      return this.#decode(bytes, start, end);
    }
    if (copyForText(bytes, start, end, key)) {
      const { bytes: copied, start: at, isAscii } = copiedText;
      return isAscii ? this.#decodeAscii(copied, at, at + size) : this.#decode(copied, at, at + size);
    }
    const isLarge = size > SCRATCH_SIZE;
    const memory = isLarge ? this.memory(size) : takeScratch();
    this.copy(bytes, start, end, memory, 0, key, 0);
    const text = this.#decode(memory, 0, size);
    if (!isLarge) giveScratch(memory);
    return text;
  }

  /** As `text`, of bytes that are not masked and of which it is known whether they are ASCII. */
  plainText(bytes: Uint8Array, start: number, end: number, isAscii: boolean): string | null {
    if (!isAscii) return this.#decode(bytes, start, end);
    return (end - start <= SHORT_TEXT ? shortText(bytes, start, end, 0) : null) ?? this.#decodeAscii(bytes, start, end);
  }

  /** A copy of `bytes[0, size)`, for messages to be shown in place. */
  window(bytes: Uint8Array, size: number): ArrayBuffer {
    const memory = this.allocate(size);
    memory.set(size === bytes.length ? bytes : bytes.subarray(0, size));
    return memory.buffer;
  }

  binary(bytes: Uint8Array, start: number, end: number, key: number, own: boolean): Uint8Array {
    const size = end - start;
    if (size <= ON_HEAP) {
      const memory = this.allocate(size);
      copyMasked(bytes, start, end, memory, 0, key, 0);
      return memory;
    }
    if (own && size >= IN_PLACE_FROM && fills(bytes, start - HEADER, end)) {
      this.unmask(bytes, start, end, key, 0);
      return new Uint8Array(bytes.buffer, bytes.byteOffset + start, size);
    }
    const cut = copyToSlab(bytes, start, end, key, this.#allocateShared);
    if (cut !== null) return cut;
    const memory = size <= FROM_SLAB ? cutFromSlab(size, this.#allocateShared) : this.memory(size);
    this.copy(bytes, start, end, memory, 0, key, 0);
    return memory;
  }

  /** Memory for `size` bytes that is at most twice as large: what came back, if it fits. */
  memory(size: number): Uint8Array {
    return this.#spares.memory(size);
  }
  /** Memory that the application does not use any more, for a later message. */
  recycle(data: Uint8Array): void {
    this.#spares.recycle(data);
  }
}

const marking =
  (allocate: Allocate, markShared: (buffer: ArrayBuffer) => void): Allocate =>
  (size) => {
    const memory = allocate(size);
    markShared(memory.buffer);
    return memory;
  };

/**
 * May a range of input that is ours be shown as it stands? Not where it would keep more than its size alive besides, and not where unread input
 * stands behind it, which would be gone if the application transferred the buffer.
 */
export function fills(bytes: Uint8Array, start: number, end: number): boolean {
  return end === bytes.length && (end - start) * 2 >= bytes.buffer.byteLength;
}

/** Unmasks and decodes ASCII in one pass; null if there is anything else. */
function shortText(bytes: Uint8Array, start: number, end: number, key: number): string | null {
  const k0 = key >>> 24;
  const k1 = (key >>> 16) & 0xff;
  const k2 = (key >>> 8) & 0xff;
  const k3 = key & 0xff;
  let text = '';
  let at = start;
  // In bounds: `at < end`. The compiler can't know, hence the casts.
  for (const last = end - 8; at <= last; at += 8) {
    const a = (bytes[at] as number) ^ k0;
    const b = (bytes[at + 1] as number) ^ k1;
    const c = (bytes[at + 2] as number) ^ k2;
    const d = (bytes[at + 3] as number) ^ k3;
    const e = (bytes[at + 4] as number) ^ k0;
    const f = (bytes[at + 5] as number) ^ k1;
    const g = (bytes[at + 6] as number) ^ k2;
    const h = (bytes[at + 7] as number) ^ k3;
    if ((a | b | c | d | e | f | g | h) >= 0x80) return null;
    text += String.fromCharCode(a, b, c, d, e, f, g, h);
  }
  for (let shift = 24; at < end; at++) {
    const unit = (bytes[at] as number) ^ ((key >>> shift) & 0xff);
    if (unit >= 0x80) return null;
    text += String.fromCharCode(unit);
    shift = shift === 0 ? 24 : shift - 8;
  }
  return text;
}
