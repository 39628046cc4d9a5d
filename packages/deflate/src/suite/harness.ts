/**
 * What the suites and tests of this package share: outputs with a bound that is enforced, drivers for codecs and transforms, data from a seed.
 */
import type { InboundTransform, OutboundTransform, TransformOutput, TransformStatus } from '@ferrywire/core';
import type { RawDeflate, RawInflate } from '../codec.ts';

export const TAIL: Uint8Array = Uint8Array.of(0x00, 0x00, 0xff, 0xff);
/** Calls without progress in a row that count as a hang. */
const MAX_IDLE_CALLS = 3;

export function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/[0-9a-f]{2}/g) ?? [], (byte) => Number.parseInt(byte, 16));
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Collects, and throws when more is written than there was room for. */
export class Output implements TransformOutput {
  room = 0;
  total = 0;
  #bytes: Uint8Array = new Uint8Array(256);

  write(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (length < 1) throw new Error('an empty write');
    if (length > this.room) throw new Error(`wrote ${length} bytes into a room of ${this.room}`);
    if (this.total + length > this.#bytes.length) {
      const larger = new Uint8Array((this.total + length) * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(bytes.subarray(start, end), this.total);
    this.total += length;
    this.room -= length;
  }

  get bytes(): Uint8Array {
    return this.#bytes.slice(0, this.total);
  }
}

/** Room for one call. Must be above 0 again and again. */
export type Rooms = () => number;
export const ample: Rooms = () => 1 << 20;

type Call = (start: number) => { readonly consumed: number; readonly status: TransformStatus } | null;

/** Calls until 'need', and checks what every caller relies on. False: the callee returned null. */
function exhaust(call: Call, start: number, end: number, out: Output, rooms: Rooms): boolean {
  let at = start;
  let idle = 0;
  let mustProgress = false;
  for (;;) {
    out.room = mustProgress ? Math.max(1, rooms()) : rooms();
    const room = out.room;
    const before = out.total;
    const step = call(at);
    if (step === null) return false;
    at += step.consumed;
    if (at > end) throw new Error('consumed more than there was');
    const progress = step.consumed > 0 || out.total > before;
    if (step.status === 'need') {
      if (at !== end) throw new Error('needs input with input left');
      return true;
    }
    if (step.status !== 'more') throw new Error(`unexpected status ${step.status}`);
    // 'more' with no room left is a promise: the next call with room makes progress.
    if (mustProgress && !progress) throw new Error('said more, and there was nothing');
    mustProgress = room > 0 && out.room === 0;
    idle = progress ? 0 : idle + 1;
    if (idle > MAX_IDLE_CALLS && room > 0) throw new Error('no progress');
  }
}

/** Pushes all of `input`. Null when the codec refuses. */
export function inflatePush(raw: RawInflate, input: Uint8Array, out: Output, rooms: Rooms = ample): Output | null {
  return exhaust((at) => raw.push(input, at, input.length, out), 0, input.length, out, rooms) ? out : null;
}

/** One message whose tail was left out, in the given pieces. Null when the codec refuses. */
export function inflateMessage(raw: RawInflate, pieces: readonly Uint8Array[], rooms: Rooms = ample): Uint8Array | null {
  const out = new Output();
  for (const piece of pieces) if (inflatePush(raw, piece, out, rooms) === null) return null;
  const done = exhaust(
    () => {
      const status = raw.finish?.(out) ?? null;
      return status === null ? null : { consumed: 0, status };
    },
    0,
    0,
    out,
    rooms,
  );
  return done ? out.bytes : null;
}

/** Compresses the pieces, flushes after the last one, returns all bytes including 00 00 ff ff. */
export function deflateAll(raw: RawDeflate, pieces: readonly Uint8Array[], rooms: Rooms = ample): Uint8Array {
  const out = new Output();
  pieces.forEach((piece, index) => {
    const flush = index === pieces.length - 1;
    exhaust((at) => raw.push(piece, at, piece.length, flush, out), 0, piece.length, out, rooms);
  });
  return out.bytes;
}

/** As `deflateAll`, without the tail, which is checked to be there. */
export function deflateMessage(raw: RawDeflate, pieces: readonly Uint8Array[], rooms: Rooms = ample): Uint8Array {
  const bytes = deflateAll(raw, pieces, rooms);
  if (toHex(bytes.slice(-4)) !== toHex(TAIL)) throw new Error('no tail');
  return bytes.slice(0, -4);
}

/** A message through an inbound transform. The close code when it fails. */
export function receive(transform: InboundTransform, pieces: readonly Uint8Array[], rooms: Rooms = ample): Uint8Array | number {
  const out = new Output();
  let closeCode = 0;
  if (!transform.begin('binary', 4)) throw new Error('not taken as compressed');
  for (const piece of pieces) {
    const ok = exhaust(
      (at) => {
        const step = transform.push(piece, at, piece.length, out);
        if ('consumed' in step) return step;
        closeCode = step.closeCode;
        return null;
      },
      0,
      piece.length,
      out,
      rooms,
    );
    if (!ok) return closeCode;
  }
  const ok = exhaust(
    () => {
      const status = transform.finish(out);
      if (typeof status === 'string') return { consumed: 0, status };
      closeCode = status.closeCode;
      return null;
    },
    0,
    0,
    out,
    rooms,
  );
  return ok ? out.bytes : closeCode;
}

/** A message through an outbound transform, one payload per piece. Null when it is left uncompressed. */
export function send(
  transform: OutboundTransform,
  pieces: readonly Uint8Array[],
  compress?: boolean,
  rooms: Rooms = ample,
): Uint8Array[] | null {
  const size = pieces.length === 1 ? (pieces[0]?.length ?? 0) : null;
  if (transform.begin('binary', size, compress) === 0) return null;
  return pieces.map((piece, index) => {
    const out = new Output();
    exhaust((at) => transform.push(piece, at, piece.length, index === pieces.length - 1, out), 0, piece.length, out, rooms);
    return out.bytes;
  });
}

/** Numbers from 0 to below 1, the same for the same seed. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Bytes with repetitions near and far, so that all window sizes matter. */
export function mixture(next: () => number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  while (at < length) {
    const run = 1 + Math.floor(next() * 300);
    const kind = next();
    const distance = kind < 0.5 && at > 0 ? 1 + Math.floor(next() ** 3 * Math.min(at, 40_000)) : 0;
    const alphabet = kind < 0.75 ? 4 : 256;
    for (let end = Math.min(length, at + run); at < end; at++) {
      bytes[at] = distance > 0 ? (bytes[at - distance] ?? 0) : Math.floor(next() * alphabet);
    }
  }
  return bytes;
}

/** Cuts at random places, empty pieces included. */
export function cut(next: () => number, bytes: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const largest = next() < 0.5 ? 8 : bytes.length + 1;
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + Math.floor(next() * largest));
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces.length > 0 ? pieces : [bytes];
}
