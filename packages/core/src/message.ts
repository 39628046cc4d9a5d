/**
 * One message under way (RFC 6455 section 5.4). Replaced for the next message, never reset: nothing of one message can leak into another.
 */
import { Assembly } from './assembly.ts';
import type { MessageKind } from './common.ts';
import type { Content } from './content.ts';
import type { TransformOutput } from './extension.ts';
import { giveScratch, SCRATCH_SIZE, takeScratch } from './memory.ts';
import type { TextCheck } from './text-check.ts';

export class InboundMessage {
  readonly kind: MessageKind;
  /** Do extensions decode it? Then its size is known only as it comes out. */
  readonly transformed: boolean;
  readonly check: TextCheck | null;
  /** Delivery 'message' only. */
  readonly assembly: Assembly;
  /** Decoded by extensions, and so far in scratch, unchecked: most messages end there, and need neither assembly nor a second look. */
  short: Uint8Array | null = null;
  /** Bytes of payload so far, decoded. */
  size = 0;
  frames = 0;
  /** Delivery 'chunk': up to three bytes of a code point whose rest has not come. */
  readonly carry: Uint8Array | null;
  carried = 0;
  /** Pull mode, deliveries 'chunk' and 'span': its end was told with its last piece. */
  told = false;

  constructor(kind: MessageKind, transformed: boolean, check: TextCheck | null, carries: boolean, content: Content) {
    this.assembly = new Assembly(content);
    this.kind = kind;
    this.transformed = transformed;
    this.check = check;
    this.carry = carries ? new Uint8Array(3) : null;
  }
}

/**
 * Lets a transform write into the message: into scratch while it fits, then into the assembly. `room` ends one byte behind the limit, which
 * is how an excess is seen.
 */
export class AssemblyOutput implements TransformOutput {
  #message: InboundMessage | null = null;
  room = 0;
  /** Written since `open`. */
  used = 0;
  /** Did text stop being UTF-8? */
  invalid = false;

  open(message: InboundMessage, room: number): void {
    this.#message = message;
    this.room = room;
    this.used = 0;
    this.invalid = false;
    if (message.size === 0) message.short ??= takeScratch();
  }
  write(bytes: Uint8Array, start: number, end: number): void {
    const size = end - start;
    if (size > this.room) throw new RangeError('out.write: a transform wrote more than out.room');
    const message = this.#message;
    if (message === null || this.invalid) return;
    this.room -= size;
    this.used += size;
    const short = message.short;
    if (short !== null) {
      if (message.size + size <= SCRATCH_SIZE) {
        copy(bytes, start, end, short, message.size);
        message.size += size;
        return;
      }
      this.spill();
    }
    message.size += size;
    this.#append(message, bytes, start, end);
  }
  /** From scratch into the assembly. */
  spill(): void {
    const message = this.#message;
    const short = message?.short;
    if (message === null || short === undefined || short === null) return;
    message.short = null;
    this.#append(message, short, 0, message.size);
    giveScratch(short);
  }
  close(): void {
    this.#message = null;
  }

  #append(message: InboundMessage, bytes: Uint8Array, start: number, end: number): void {
    if (this.invalid) return;
    if (message.check !== null && message.check.push(bytes, start, end) !== -1) this.invalid = true;
    else message.assembly.append(bytes, start, end);
  }
}

/** Up to here a loop costs less than a view and a native copy (bench: `deflate`, 100 B). */
const LOOP_UP_TO = 48;

function copy(bytes: Uint8Array, start: number, end: number, target: Uint8Array, offset: number): void {
  if (end - start > LOOP_UP_TO) target.set(new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start), offset);
  else for (let at = start; at < end; at++) target[offset++] = bytes[at] as number;
}
