/**
 * The memory of one message under assembly. It grows with what arrived and never with a length that was only declared
 * (RFC 6455 section 10.4; faye/websocket-driver-node#26). At most twice the payload and 64 KiB are held.
 *
 * Once half of a message is there, memory for the whole is made and the rest goes where it stays; what came before waits in segments. Large
 * segments are scratch, used again and again: memory that was never touched costs more than copying out of it (bench: `parse`, 1 MiB).
 */
import { giveScratch, SCRATCH_SIZE, takeScratch } from './memory.ts';

const FIRST_SEGMENT = 512;

/** Where memory for a whole message comes from. `Content` is one. */
export interface MessageMemory {
  /** At least `size` bytes shown as exactly that many, which the caller fills. */
  memory(size: number): Uint8Array;
}

export class Assembly {
  readonly #source: MessageMemory;
  /** Full, or ended by bytes kept by reference. */
  #segments: Uint8Array[] = [];
  /** What goes back when it has been copied. Never what was kept by reference: input that is not read yet may stand behind it. */
  #scratch: Uint8Array[] | null = null;
  #current: Uint8Array | null = null;
  #used = 0;
  /** Bytes held. */
  size = 0;

  constructor(source: MessageMemory) {
    this.#source = source;
  }

  /**
   * Room for up to `wanted` bytes, at least one: write to `target` from `offset` on, then `commit`. `expected` is what the message is still
   * to bring, Infinity when that is not known.
   */
  reserve(wanted: number, expected: number): number {
    const current = this.#current;
    if (current !== null && this.#used < current.length) return Math.min(wanted, current.length - this.#used);
    const whole = this.size + expected;
    if ((this.size + wanted) * 2 >= whole) {
      const all = this.#source.memory(whole);
      this.#joinInto(all);
      this.#current = all;
      this.#used = this.size;
      return wanted;
    }
    if (current !== null) this.#segments.push(current);
    // Scratch only where what arrived fills half of it.
    const next = Math.max(wanted, FIRST_SEGMENT, this.size);
    const segment = next * 2 >= SCRATCH_SIZE ? takeScratch() : new Uint8Array(next);
    if (segment.length === SCRATCH_SIZE) {
      this.#scratch ??= [];
      this.#scratch.push(segment);
    }
    this.#current = segment;
    this.#used = 0;
    return Math.min(wanted, segment.length);
  }

  /** All bytes so far, into memory that has room for them. */
  #joinInto(target: Uint8Array): void {
    let at = 0;
    for (const segment of this.#segments) {
      target.set(segment, at);
      at += segment.length;
    }
    const current = this.#current;
    if (current !== null) target.set(this.#used === current.length ? current : current.subarray(0, this.#used), at);
    if (this.#scratch !== null) for (const scratch of this.#scratch) giveScratch(scratch);
    this.#scratch = null;
    this.#segments = [];
    this.#current = null;
  }

  /** Where reserved room is. Only valid after `reserve`. */
  get target(): Uint8Array {
    return this.#current as Uint8Array;
  }
  get offset(): number {
    return this.#used;
  }

  commit(count: number): void {
    this.#used += count;
    this.size += count;
  }

  append(bytes: Uint8Array, start: number, end: number): void {
    while (start < end) {
      const room = this.reserve(end - start, Number.POSITIVE_INFINITY);
      this.target.set(bytes.subarray(start, start + room), this.#used);
      this.commit(room);
      start += room;
    }
  }

  /** Takes a range of memory that is ours by reference. Beware: all of that memory is kept. */
  adopt(bytes: Uint8Array, start: number, end: number): void {
    const size = end - start;
    if (this.#current !== null) this.#segments.push(this.#current.subarray(0, this.#used));
    this.#current = null;
    this.#segments.push(new Uint8Array(bytes.buffer, bytes.byteOffset + start, size));
    this.size += size;
  }

  /** All bytes, in memory of which they are at least half. The last call. */
  join(): Uint8Array {
    const only = this.#only;
    if (only !== null && only.length * 2 >= only.buffer.byteLength) return only;
    const joined = this.#source.memory(this.size);
    this.#joinInto(joined);
    return joined;
  }
  /** All bytes, if they are in one piece. */
  get #only(): Uint8Array | null {
    const current = this.#current;
    if (this.#segments.length === 0) return current === null || this.#used === current.length ? current : current.subarray(0, this.#used);
    return this.#segments.length === 1 && current === null ? (this.#segments[0] as Uint8Array) : null;
  }
}
