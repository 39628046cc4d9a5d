/**
 * One message under way (RFC 6455 section 5.4). Replaced for the next message, never reset: nothing of one message can leak into another.
 */
import { Assembly } from './assembly.ts';
import type { MessageKind } from './common.ts';
import type { TransformOutput } from './extension.ts';
import type { Allocate } from './memory.ts';
import type { TextCheck } from './text-check.ts';

export class InboundMessage {
  readonly kind: MessageKind;
  /** Do extensions decode it? Then its size is known only as it comes out. */
  readonly transformed: boolean;
  readonly check: TextCheck | null;
  /** Delivery 'message' only. */
  readonly assembly: Assembly;
  /** Bytes of payload so far, decoded. */
  size = 0;
  frames = 0;
  /** Delivery 'chunk': up to three bytes of a code point whose rest has not come. */
  readonly carry: Uint8Array | null;
  carried = 0;

  constructor(kind: MessageKind, transformed: boolean, check: TextCheck | null, carries: boolean, allocate: Allocate) {
    this.assembly = new Assembly(allocate);
    this.kind = kind;
    this.transformed = transformed;
    this.check = check;
    this.carry = carries ? new Uint8Array(3) : null;
  }
}

/** Lets a transform write straight into the assembly. `room` ends one byte behind the limit, which is how an excess is seen. */
export class AssemblyOutput implements TransformOutput {
  #message: InboundMessage | null = null;
  room = 0;
  /** Did text stop being UTF-8? */
  invalid = false;

  open(message: InboundMessage, room: number): void {
    this.#message = message;
    this.room = room;
    this.invalid = false;
  }
  write(bytes: Uint8Array, start: number, end: number): void {
    const size = end - start;
    if (size > this.room) throw new RangeError('out.write: a transform wrote more than out.room');
    const message = this.#message;
    if (message === null || this.invalid) return;
    this.room -= size;
    message.size += size;
    if (message.check !== null && message.check.push(bytes, start, end) !== -1) this.invalid = true;
    else message.assembly.append(bytes, start, end);
  }
  close(): void {
    this.#message = null;
  }
}
