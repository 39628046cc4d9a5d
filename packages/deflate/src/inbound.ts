/**
 * Decompresses messages as they arrive (RFC 7692 sections 6.2 and 7.2.2), one bounded step at a time.
 *
 * Whether RSV1 may be set on a frame is the core's business: it is told which bits the extension owns and allows them on the first frame of
 * a message only (section 6.1).
 */
import type { InboundTransform, MessageKind, TransformOutput, TransformStatus, Violation } from '@ferrywire/core';
import { violations } from '@ferrywire/core/frame';
import type { DeflateCodec, RawInflate, Step } from './codec.ts';
import { RSV1 } from './params.ts';
import { type Pool, poolOf } from './pool.ts';

const TAIL = Uint8Array.of(0x00, 0x00, 0xff, 0xff);

export class DeflateInbound implements InboundTransform {
  readonly #codec: DeflateCodec;
  readonly #windowBits: number;
  /** Null where the context lives as long as the connection. */
  readonly #pool: Pool<RawInflate> | null;
  #raw: RawInflate | null = null;
  /** Payload was seen in this message. */
  #fed = false;
  /** Bytes of the tail fed so far, for codecs that leave it to us. */
  #tailAt = 0;
  #disposed = false;

  constructor(codec: DeflateCodec, takeover: boolean, windowBits: number) {
    this.#codec = codec;
    this.#windowBits = windowBits;
    this.#pool = takeover ? null : poolOf(codec, `inflate ${windowBits}`, () => codec.createInflate(windowBits));
  }

  begin(_kind: MessageKind, rsv: number): boolean {
    this.#fed = false;
    this.#tailAt = 0;
    return (rsv & RSV1) !== 0;
  }

  push(input: Uint8Array, start: number, end: number, out: TransformOutput): Step | Violation {
    if (start === end && !this.#fed) return { consumed: 0, status: 'need' };
    if (this.#disposed) return violations.WS_EXTENSION_DATA;
    this.#fed = true;
    this.#raw ??= this.#pool === null ? this.#codec.createInflate(this.#windowBits) : this.#pool.borrow();
    return this.#raw.push(input, start, end, out) ?? this.#fail();
  }

  finish(out: TransformOutput): TransformStatus | Violation {
    // No payload at all is not DEFLATE, but leaves no doubt: the message is empty. The inflater does not see it, as the tail alone would
    // be taken for the begin of a block.
    if (!this.#fed) return 'need';
    const raw = this.#raw;
    if (raw === null) return violations.WS_EXTENSION_DATA;
    const status = raw.finish === undefined ? this.#feedTail(raw, out) : raw.finish(out);
    if (status === null) return this.#fail();
    if (status === 'need' && this.#pool !== null) {
      this.#raw = null;
      this.#pool.giveBack(raw);
    }
    return status;
  }

  dispose(): void {
    this.#disposed = true;
    this.#raw?.close();
    this.#raw = null;
  }

  #feedTail(raw: RawInflate, out: TransformOutput): TransformStatus | null {
    const step = raw.push(TAIL, this.#tailAt, TAIL.length, out);
    if (step === null) return null;
    this.#tailAt += step.consumed;
    return step.status === 'need' && this.#tailAt < TAIL.length ? 'more' : step.status;
  }

  /** After bad data the connection fails: nothing will be decompressed again. */
  #fail(): Violation {
    this.dispose();
    return violations.WS_EXTENSION_DATA;
  }
}
