/**
 * Compresses messages as they are sent (RFC 7692 sections 6.1 and 7.2.1), one bounded step at a time.
 *
 * Each fragment ends with a flush, so that a peer has what was sent when it was sent, and not when the message ends. The 00 00 ff ff of the
 * last flush is held back in case it ends the message, where it must be left out.
 */
import type { MessageKind, OutboundTransform, TransformOutput } from '@ferrywire/core';
import type { DeflateCodec, RawDeflate, Step } from './codec.ts';
import { RSV1 } from './params.ts';
import { codecId, type Pool, poolOf } from './pool.ts';

const TAIL_LENGTH = 4;
/** Section 7.2.3.6. */
const EMPTY_MESSAGE = Uint8Array.of(0x00);

export interface OutboundSettings {
  readonly codec: DeflateCodec;
  readonly threshold: number;
  readonly level: number;
  readonly memLevel: number;
}

/** Passes on all but the last four bytes written to it. */
class TailHolder implements TransformOutput {
  target: TransformOutput | null = null;
  readonly #last: Uint8Array = new Uint8Array(TAIL_LENGTH);
  #count = 0;

  get room(): number {
    return this.target === null ? 0 : this.target.room + TAIL_LENGTH - this.#count;
  }

  write(bytes: Uint8Array, start: number, end: number): void {
    const last = this.#last;
    const target = this.target;
    if (target === null) return;
    const surplus = this.#count + end - start - TAIL_LENGTH;
    if (surplus > 0) {
      const fromLast = surplus > this.#count ? this.#count : surplus;
      if (fromLast > 0) {
        target.write(last, 0, fromLast);
        last.copyWithin(0, fromLast, this.#count);
        this.#count -= fromLast;
      }
      const passed = surplus - fromLast;
      if (passed > 0) target.write(bytes, start, start + passed);
      start += passed;
    }
    for (; start < end; start++) last[this.#count++] = bytes[start] ?? 0;
  }

  get holdsTail(): boolean {
    const last = this.#last;
    return this.#count === TAIL_LENGTH && last[0] === 0x00 && last[1] === 0x00 && last[2] === 0xff && last[3] === 0xff;
  }

  clear(): void {
    this.#count = 0;
  }
}

export class DeflateOutbound implements OutboundTransform {
  readonly cacheKey: string | null;
  readonly #create: () => RawDeflate;
  readonly #threshold: number;
  /** Null where the context lives as long as the connection. */
  readonly #pool: Pool<RawDeflate> | null;
  #raw: RawDeflate | null = null;
  readonly #tail: TailHolder = new TailHolder();
  /** Input was compressed in this message. */
  #fed = false;
  /** The last push said 'more'. */
  #unfinished = false;
  #disposed = false;

  constructor(settings: OutboundSettings, takeover: boolean, windowBits: number) {
    const { codec, level, memLevel, threshold } = settings;
    this.#threshold = threshold;
    this.#create = () => codec.createDeflate(windowBits, level, memLevel);
    this.#pool = takeover ? null : poolOf(codec, `deflate ${windowBits} ${level} ${memLevel}`, this.#create);
    this.cacheKey = takeover ? null : `permessage-deflate ${codecId(codec)} ${windowBits} ${level} ${memLevel} ${threshold}`;
  }

  begin(_kind: MessageKind, size: number | null, compress: boolean | undefined): number {
    if (this.#disposed || compress === false) return 0;
    if (compress !== true && size !== null && size < this.#threshold) return 0;
    this.#fed = false;
    this.#unfinished = false;
    this.#tail.clear();
    return RSV1;
  }

  push(input: Uint8Array, start: number, end: number, fin: boolean, out: TransformOutput): Step {
    if (this.#disposed) return { consumed: end - start, status: 'need' };
    if (start === end && !this.#unfinished) {
      if (!fin) return { consumed: 0, status: 'need' };
      if (!this.#fed) return this.#emptyMessage(out);
      if (this.#tail.holdsTail) {
        this.#endMessage(); // the fragment before this empty one was the end
        return { consumed: 0, status: 'need' };
      }
    }
    this.#fed = true;
    this.#raw ??= this.#pool === null ? this.#create() : this.#pool.borrow();
    this.#tail.target = out;
    const step = this.#raw.push(input, start, end, true, this.#tail);
    this.#tail.target = null;
    this.#unfinished = step.status !== 'need';
    if (fin && step.status === 'need') {
      if (!this.#tail.holdsTail) throw new Error('the codec did not end a flush with an empty stored block');
      this.#endMessage();
    }
    return step;
  }

  dispose(): void {
    this.#disposed = true;
    this.#raw?.close();
    this.#raw = null;
  }

  #emptyMessage(out: TransformOutput): Step {
    if (out.room === 0) {
      this.#unfinished = false;
      return { consumed: 0, status: 'more' };
    }
    out.write(EMPTY_MESSAGE, 0, EMPTY_MESSAGE.length);
    return { consumed: 0, status: 'need' };
  }

  #endMessage(): void {
    this.#tail.clear();
    if (this.#pool === null || this.#raw === null) return;
    const raw = this.#raw;
    this.#raw = null;
    this.#pool.giveBack(raw);
  }
}
