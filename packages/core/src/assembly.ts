/**
 * The memory of one message under assembly. It grows with what arrived and never with a length that was only declared
 * (RFC 6455 section 10.4; faye/websocket-driver-node#26). At most twice the payload is held.
 */

import type { Allocate } from './memory.ts';

const FIRST_SEGMENT = 512;
const LARGEST_SEGMENT = 1 << 20;

export class Assembly {
  readonly #allocate: Allocate;
  #segments: Uint8Array[] = [];
  #current: Uint8Array | null = null;
  #used = 0;
  /** Bytes held. */
  size = 0;

  constructor(allocate: Allocate) {
    this.#allocate = allocate;
  }

  /**
   * Room for up to `wanted` bytes, at least one: write to `target` from `offset` on, then `commit`. `expected` is what the message is still
   * to bring, Infinity when that is not known. Once half of it is there, memory for the whole is made, so that nothing is joined at the
   * end; before that memory follows what arrived.
   */
  reserve(wanted: number, expected: number): number {
    const current = this.#current;
    if (current !== null && this.#used < current.length) return Math.min(wanted, current.length - this.#used);
    const whole = this.size + expected;
    if ((this.size + wanted) * 2 >= whole) {
      const all = this.#allocate(whole);
      this.#joinInto(all);
      this.#segments = [];
      this.#current = all;
      this.#used = this.size;
      return wanted;
    }
    if (current !== null) this.#segments.push(current);
    this.#current = new Uint8Array(Math.max(wanted, Math.min(LARGEST_SEGMENT, Math.max(FIRST_SEGMENT, this.size))));
    this.#used = 0;
    return wanted;
  }

  #joinInto(target: Uint8Array): void {
    let at = 0;
    for (const segment of this.#segments) {
      target.set(segment, at);
      at += segment.length;
    }
    // Full, or there would have been room.
    if (this.#current !== null) target.set(this.#current, at);
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
    const current = this.#current;
    const segments = this.#segments;
    if (current !== null) segments.push(this.#used === current.length ? current : current.subarray(0, this.#used));
    const only = segments.length === 1 ? segments[0] : undefined;
    if (only !== undefined && only.length * 2 >= only.buffer.byteLength) return only;
    const joined = this.#allocate(this.size);
    let at = 0;
    for (const segment of segments) {
      joined.set(segment, at);
      at += segment.length;
    }
    return joined;
  }
}
