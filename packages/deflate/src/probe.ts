/**
 * Finds out at start whether a codec does what the transforms rely on, with vectors of RFC 7692 section 7.2.3: the codec on node:zlib uses
 * undocumented parts that a new release may change.
 *
 * Takes well under a millisecond. Anything unexpected, a throw included, is a no.
 */
import type { TransformOutput } from '@ferrywire/core';
import type { DeflateCodec, RawDeflate, RawInflate } from './codec.ts';

const HELLO = Uint8Array.of(0x48, 0x65, 0x6c, 0x6c, 0x6f);
const TAIL = Uint8Array.of(0x00, 0x00, 0xff, 0xff);
/** 7.2.3.1, 7.2.3.2 (refers to the first), 7.2.3.4 (BFINAL=1), 7.2.3.2 again (refers across the restart). */
const STREAM = [
  Uint8Array.of(0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00),
  Uint8Array.of(0xf2, 0x00, 0x11, 0x00, 0x00),
  Uint8Array.of(0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00),
  Uint8Array.of(0xf2, 0x00, 0x11, 0x00, 0x00),
];
const RESERVED_BLOCK_TYPE = Uint8Array.of(0x07);
const CUT = Uint8Array.of(0xf2, 0x48, 0xcd);
const STEPS = 64;

class Collector implements TransformOutput {
  room = 0;
  readonly bytes: number[] = [];
  write(bytes: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end; at++) this.bytes.push(bytes[at] ?? 0);
    this.room -= end - start;
  }
}

function equal(bytes: readonly number[], expected: Uint8Array): boolean {
  return bytes.length === expected.length && bytes.every((byte, at) => byte === expected[at]);
}

/** Feeds `input`, giving room for three bytes at a time. Null when the codec refuses it or does not come to an end. */
function inflate(raw: RawInflate, input: Uint8Array, out: Collector): true | null {
  let at = 0;
  for (let steps = 0; steps < STEPS; steps++) {
    out.room = 3;
    const step = raw.push(input, at, input.length, out);
    if (step === null || out.room < 0) return null;
    at += step.consumed;
    if (step.status === 'need') return at === input.length ? true : null;
  }
  return null;
}

function finish(raw: RawInflate, out: Collector): true | null {
  if (raw.finish === undefined) return inflate(raw, TAIL, out);
  for (let steps = 0; steps < STEPS; steps++) {
    out.room = 3;
    const status = raw.finish(out);
    if (status === null) return null;
    if (status === 'need') return true;
  }
  return null;
}

function inflates(raw: RawInflate): boolean {
  for (const message of STREAM) {
    const out = new Collector();
    if (inflate(raw, message, out) === null || finish(raw, out) === null || !equal(out.bytes, HELLO)) return false;
  }
  const out = new Collector();
  if (inflate(raw, RESERVED_BLOCK_TYPE, out) !== null) return false;
  raw.reset();
  if (raw.finish !== undefined && (inflate(raw, CUT, out) === null || finish(raw, out) !== null)) return false;
  raw.reset();
  const second = STREAM[1];
  return second !== undefined && inflate(raw, second, new Collector()) === null; // the window is gone
}

function deflate(raw: RawDeflate): Collector | null {
  const out = new Collector();
  let at = 0;
  for (let steps = 0; steps < STEPS; steps++) {
    out.room = 3;
    const step = raw.push(HELLO, at, HELLO.length, true, out);
    if (out.room < 0) return null;
    at += step.consumed;
    if (step.status === 'need') return at === HELLO.length && equal(out.bytes.slice(-TAIL.length), TAIL) ? out : null;
  }
  return null;
}

function deflates(raw: RawDeflate, check: RawInflate, takeover: boolean): boolean {
  const first = deflate(raw);
  const second = deflate(raw);
  if (first === null || second === null) return false;
  const out = new Collector();
  for (const { bytes } of [first, second]) {
    if (inflate(check, Uint8Array.from(bytes), out) === null) return false;
  }
  if (!equal(out.bytes, Uint8Array.of(...HELLO, ...HELLO))) return false;
  if (takeover && second.bytes.length >= first.bytes.length) return false;
  raw.reset();
  const again = deflate(raw);
  return again !== null && equal(again.bytes, Uint8Array.from(first.bytes));
}

/** Whether `codec` passes the known vectors. Never throws. */
export function probeCodec(codec: DeflateCodec): boolean {
  const open: { close(): void }[] = [];
  try {
    const check = codec.createInflate(15);
    open.push(check);
    if (!inflates(check)) return false;
    check.reset();
    const raw = codec.createDeflate(15, 6, 8);
    open.push(raw);
    return deflates(raw, check, codec.contextTakeover);
  } catch {
    return false;
  } finally {
    for (const raw of open) {
      try {
        raw.close();
      } catch {
        // It failed before, or it works but for this; the answer stands.
      }
    }
  }
}

/** The first of the two that works: `fallback` is taken unprobed. */
export function chooseCodec(preferred: DeflateCodec, fallback: DeflateCodec): DeflateCodec {
  return probeCodec(preferred) ? preferred : fallback;
}
