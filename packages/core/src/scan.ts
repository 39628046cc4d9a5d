/**
 * Short messages, many at a time (RFC 6455 sections 5.2 and 5.3): a kernel copies a window of the input into memory of its own, finds the frames
 * that lie whole in it and unmasks them, all in one call. The binary messages of a window share memory: the input itself if it is ours and there is
 * nothing else in it (bench: `echo --runtime bun`, 1 KiB: new memory for messages costs more than all else that is done for them), or a copy of the
 * window. Or they are slices of it where those are cheaper.
 *
 * The receiver's loop over single frames finds the same and is the oracle of the tests. A kernel judges nothing: it stops before whatever
 * is not of the commonest kind (bench: `parse`, 125 B and 1 KiB). Beware: its memory is overwritten by the next call, and a callback may
 * feed another connection, whose frames are then found one by one.
 */
import { fills } from './content.ts';
import { applyMask } from './mask.ts';
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
  unread: Uint8Array | null;
  readonly stop: boolean;
}

/** `window[at, size)` as it came: what the kernel has unmasked, masked again. `frames[from, to)` are the entries of what lies there. */
function asItCame({ bytes: window, frames }: FrameScanner, at: number, size: number, from: number, to: number): Uint8Array {
  const came = window.slice(at, size);
  for (let entry = from; entry < to; entry += 3) {
    const start = (frames[entry] as number) - at;
    const key = new DataView(came.buffer).getUint32(start - 4);
    applyMask(came, start, (frames[entry + 1] as number) - at, key, 0);
  }
  return came;
}

/** Delivers the messages of one window, from `receiver.position` on. False: the last one is text that is not UTF-8. */
export function scanFrames(
  scanner: FrameScanner,
  receiver: PayloadReader & Progress,
  bytes: Uint8Array,
  end: number,
  maxSize: number,
  own: boolean,
): boolean {
  const start = receiver.position;
  const most = maxSize < FROM_SLAB ? maxSize : FROM_SLAB;
  const whole = start === 0 && end === bytes.length && end <= scanner.bytes.length;
  const { frames, bytes: copy, slicesFrom, slicesUpTo } = scanner;
  /** Memory of several messages, and where in it the input or its copy begins. Not as one array (bench: `parse`, 125 B: a view from it costs half as much again). */
  let shared: ArrayBufferLike | null = null;
  let offset = bytes.byteOffset;
  /** May that be the input? Null: nobody asked, since JavaScriptCore makes a buffer for an array when it is looked at (bench: `echo --runtime bun`, 125 B). */
  let lends: boolean | null = null;
  let entries = 0;
  let at = 0;
  busy = true;
  try {
    entries = 3 * scanner.scan(bytes, start, whole || end - start < WINDOW ? end : start + WINDOW, most);
    for (; at < entries; at += 3) {
      // Written by the kernel.
      const from = frames[at] as number;
      const to = frames[at + 1] as number;
      const flags = frames[at + 2] as number;
      receiver.frames++;
      receiver.position = start + to;
      const isLong = slicesFrom !== null && to - from > slicesUpTo;
      if (isLong && lends === null) {
        lends = own && whole && entries >= 3 * LEAST_FRAMES && frames[entries - 2] === end && fills(bytes, 0, end);
      }
      if ((flags & BINARY) === 0) {
        if (!receiver.plainText(copy, from, to, (flags & NOT_ASCII) === 0)) return false;
      } else if (slicesFrom !== null && (!isLong || lends === false)) receiver.plainBinary(copy.slice(from, to));
      else if (to - from <= ON_HEAP) receiver.wholeBinary(copy, from, to, 0, false);
      else {
        if (shared === null && lends === true) {
          bytes.set(copy.subarray(0, end));
          shared = bytes.buffer;
        } else if (shared === null || shared.byteLength === 0) {
          // For the second time, if a callback has transferred the first.
          shared = receiver.content.window(copy, frames[entries - 2] as number);
          offset = 0;
        }
        receiver.plainBinary(new Uint8Array(shared, offset + from, to - from));
      }
      if (receiver.stop) break;
    }
  } finally {
    busy = false;
    // The messages may go away, with what is left in the same memory.
    if (lends === true && receiver.position < end) receiver.unread = asItCame(scanner, receiver.position, end, at + 3, entries);
  }
  return true;
}
