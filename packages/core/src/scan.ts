/**
 * Short messages, many at a time (RFC 6455 sections 5.2 and 5.3): a kernel copies a window of the input into memory of its own, finds the frames
 * that lie whole in it and unmasks them, all in one call. The binary messages of a window share one copy of it, or are slices of it where those
 * are cheaper.
 *
 * The receiver's loop over single frames finds the same and is the oracle of the tests. A kernel judges nothing: it stops before whatever
 * is not of the commonest kind (bench: `parse`, 125 B and 1 KiB). Beware: its memory is overwritten by the next call, and a callback may
 * feed another connection, whose frames are then found one by one.
 */
import { FROM_SLAB, ON_HEAP, SLAB } from './memory.ts';
import type { FrameScanner } from './options.ts';
import type { PayloadReader } from './payload.ts';

/** With fewer bytes at hand the loop over single frames costs less. */
const SCAN_FROM = 1024;
/** As much as a slab, so that a kept message keeps no more alive. */
const WINDOW = SLAB;
const BINARY = 1;
const NOT_ASCII = 2;

let busy = false;

/** Nor with fewer frames, which would share memory made for them. */
const LEAST_FRAMES = 4;

/** May frames of `bytes[at, end)`, the first of which ends at `to` and has `size` bytes of payload, be looked for with a kernel? */
export function isWorthScanning(scanner: FrameScanner, size: number, at: number, to: number, end: number): boolean {
  if (size > FROM_SLAB || busy) return false;
  if (scanner.slicesFrom !== null) return size >= scanner.slicesFrom;
  return end - at >= SCAN_FROM && (to - at) * LEAST_FRAMES <= end - at;
}

/** How far the receiver is; it stops when it is told to. */
interface Progress {
  position: number;
  frames: number;
  readonly stop: boolean;
}

/** Delivers the messages of one window, from `receiver.position` on. False: the last one is text that is not UTF-8. */
export function scanFrames(
  scanner: FrameScanner,
  receiver: PayloadReader & Progress,
  bytes: Uint8Array,
  end: number,
  maxSize: number,
): boolean {
  const start = receiver.position;
  const most = maxSize < FROM_SLAB ? maxSize : FROM_SLAB;
  const whole = start === 0 && end === bytes.length && end <= scanner.bytes.length;
  busy = true;
  try {
    const count = scanner.scan(bytes, start, whole || end - start < WINDOW ? end : start + WINDOW, most);
    const { frames, bytes: copy, slicesFrom } = scanner;
    let shared: ArrayBuffer | null = null;
    for (let at = 0; at < count * 3; at += 3) {
      // Written by the kernel.
      const from = frames[at] as number;
      const to = frames[at + 1] as number;
      const flags = frames[at + 2] as number;
      receiver.frames++;
      receiver.position = start + to;
      if ((flags & BINARY) === 0) {
        if (!receiver.plainText(copy, from, to, (flags & NOT_ASCII) === 0)) return false;
      } else if (slicesFrom !== null) receiver.plainBinary(copy.slice(from, to));
      else if (to - from <= ON_HEAP) receiver.wholeBinary(copy, from, to, 0, false);
      else {
        // Again, if a callback has transferred it.
        if (shared === null || shared.byteLength === 0) shared = receiver.content.window(copy, frames[count * 3 - 2] as number);
        receiver.plainBinary(new Uint8Array(shared, from, to - from));
      }
      if (receiver.stop) break;
    }
  } finally {
    busy = false;
  }
  return true;
}
