/**
 * Compressors and decompressors for connections that keep no context: borrowed from the begin to the end of one message, so that messages of
 * interleaved connections cannot mix, and given back empty.
 *
 * One pool per thread, codec and setting. A few idle ones are kept; the rest is freed.
 */
import type { DeflateCodec } from './codec.ts';

/** Messages rarely overlap, since a whole one is done in one call; each idle compressor holds up to a quarter of a megabyte. */
const MAX_IDLE = 4;

interface Reusable {
  reset(): void;
  close(): void;
}

export class Pool<Raw extends Reusable> {
  readonly #create: () => Raw;
  readonly #idle: Raw[] = [];

  constructor(create: () => Raw) {
    this.#create = create;
  }

  borrow(): Raw {
    return this.#idle.pop() ?? this.#create();
  }

  /** `raw` must not be used by the borrower any more. */
  giveBack(raw: Raw): void {
    if (this.#idle.length === MAX_IDLE) {
      raw.close();
    } else {
      raw.reset();
      this.#idle.push(raw);
    }
  }
}

const pools = new WeakMap<DeflateCodec, Map<string, Pool<Reusable>>>();

/** The pool of that codec and setting; `create` must depend on them alone. */
export function poolOf<Raw extends Reusable>(codec: DeflateCodec, setting: string, create: () => Raw): Pool<Raw> {
  let ofCodec = pools.get(codec);
  if (ofCodec === undefined) {
    ofCodec = new Map();
    pools.set(codec, ofCodec);
  }
  let pool = ofCodec.get(setting);
  if (pool === undefined) {
    pool = new Pool<Reusable>(create);
    ofCodec.set(setting, pool);
  }
  return pool as Pool<Raw>; // `setting` says which kind: see the two callers
}

let lastCodecId = 0;
const codecIds = new WeakMap<DeflateCodec, number>();

/** A number for a codec: different codecs give different bytes for the same message. */
export function codecId(codec: DeflateCodec): number {
  let id = codecIds.get(codec);
  if (id === undefined) {
    id = ++lastCodecId;
    codecIds.set(codec, id);
  }
  return id;
}
