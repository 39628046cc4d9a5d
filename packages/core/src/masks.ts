/**
 * Mask keys of clients (RFC 6455 sections 5.3 and 10.3): unpredictable, each used once.
 *
 * Random bytes are drawn a block at a time, since a call of the source costs more than a small frame. The block is private and never leaves
 * this file (nodejs/undici#3357 was a pool that others could read).
 */
import type { RandomSource } from './common.ts';
import { platformRandom } from './platform.ts';

const SHARED_BLOCK = 8192;
const OWN_BLOCK = 256;

export class MaskSource {
  readonly #random: RandomSource;
  readonly #block: Uint8Array;
  #at: number;

  constructor(random: RandomSource, size: number) {
    this.#random = random;
    this.#block = new Uint8Array(size);
    this.#at = size;
  }

  next(): number {
    const block = this.#block;
    if (this.#at === block.length) {
      this.#random(block);
      this.#at = 0;
    }
    const at = this.#at;
    const key =
      ((block[at] as number) << 24) | ((block[at + 1] as number) << 16) | ((block[at + 2] as number) << 8) | (block[at + 3] as number);
    block.fill(0, at, at + 4);
    this.#at = at + 4;
    return key >>> 0;
  }
}

let shared: MaskSource | null = null;

/** The platform's source is shared by all connections; an injected one stays with its own. */
export function maskSource(random: RandomSource | undefined): MaskSource {
  if (random !== undefined) return new MaskSource(random, OWN_BLOCK);
  shared ??= new MaskSource(platformRandom(), SHARED_BLOCK);
  return shared;
}
