/**
 * What is known of a frame that has not arrived whole, or is not of the common kind (RFC 6455 section 5.2): most connections, most of the time,
 * have none. A connection takes one when it needs it and gives it back between frames (bench: `memory`).
 */
import type { TraceFrame } from './trace.ts';

const EMPTY = new Uint8Array(0);
const MOST_FREE = 8;

export class FrameInProgress {
  /** The bytes of a header that is not complete. */
  stash: Uint8Array | null = null;
  stashed = 0;
  opcode = 0;
  fin = false;
  key = 0;
  size = 0;
  /** Bytes of the payload that have been used. */
  offset = 0;
  /** The payload of a control frame. */
  control: Uint8Array = EMPTY;
  /** Its line in the wire log. */
  trace: { -readonly [Field in keyof TraceFrame]: TraceFrame[Field] } | null = null;
  /** Bytes in the preview of that line. */
  previewed = 0;
}

const free: FrameInProgress[] = [];

export function takeFrame(): FrameInProgress {
  return free.pop() ?? new FrameInProgress();
}
/** Between two frames: nothing of the last one is of use any more. */
export function giveFrame(frame: FrameInProgress): void {
  frame.control = EMPTY;
  if (free.length < MOST_FREE) free.push(frame);
}
