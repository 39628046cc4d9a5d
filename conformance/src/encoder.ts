/**
 * What the harness sends, as bytes. Headers come from the core's unchecked encoder, which can write illegal ones; masks are the harness's
 * own. Large messages in many frames go into one buffer, since a view per frame would cost more than the bytes.
 */
import { encodeFrameHeader, frameHeaderSize } from '@ferrywire/core/frame';
import { maskInto } from './mask.ts';
import type { Uint32Source } from './random.ts';

export interface FrameToSend {
  readonly opcode: number;
  readonly fin: boolean;
  readonly rsv: number;
  readonly payload: Uint8Array;
  /** The length that the header claims; default the payload's. */
  readonly claim?: number | bigint | undefined;
  readonly lengthBytes?: 0 | 2 | 8 | undefined;
}

/** The longest header: 2 bytes, 8 of length, 4 of mask. */
const longestHeader = 14;

export class Encoder {
  readonly #masked: boolean;
  readonly #numbers: Uint32Source;

  /** @param masked whether frames carry masks: those of clients do */
  constructor(masked: boolean, numbers: Uint32Source) {
    this.#masked = masked;
    this.#numbers = numbers;
  }

  frame(frame: FrameToSend, masked: boolean = this.#masked): Uint8Array {
    const bytes = new Uint8Array(longestHeader + frame.payload.length);
    return bytes.subarray(0, this.#write(frame, masked, bytes, 0));
  }

  /**
   * One message as frames of at most `fragment` bytes; `rsv` goes on the first. Where the last frame would be full, an empty one ends the
   * message, as in the original suite: 16384 full frames are 16385, which is what finds a limit.
   */
  message(opcode: number, rsv: number, payload: Uint8Array, fragment: number | null): Uint8Array {
    const size = fragment === null ? Math.max(payload.length, 1) : fragment;
    const frames = fragment === null ? 1 : Math.floor(payload.length / size) + 1;
    const header = frameHeaderSize(Math.min(size, payload.length), this.#masked);
    const bytes = new Uint8Array(payload.length + frames * header);
    let at = 0;
    for (let i = 0; i < frames; i += 1) {
      const piece = payload.subarray(i * size, (i + 1) * size);
      const first = i === 0;
      at = this.#write(
        { opcode: first ? opcode : 0, rsv: first ? rsv : 0, fin: i === frames - 1, payload: piece },
        this.#masked,
        bytes,
        at,
      );
    }
    return bytes.subarray(0, at);
  }

  /** A header whose payload follows in pieces; each piece is masked where the last one left off. */
  open(opcode: number, fin: boolean, size: number): { readonly header: Uint8Array; readonly data: (piece: Uint8Array) => Uint8Array } {
    const key = this.#masked ? this.#numbers() : 0;
    const header = new Uint8Array(longestHeader);
    const length = encodeFrameHeader({ opcode, fin, ...(this.#masked ? { maskKey: key } : {}) }, size, header, 0);
    let phase = 0;
    const data = (piece: Uint8Array): Uint8Array => {
      if (!this.#masked) return piece;
      const shift = 8 * (phase & 3);
      const rotated = shift === 0 ? key : ((key << shift) | (key >>> (32 - shift))) >>> 0;
      phase += piece.length;
      const masked = new Uint8Array(piece.length);
      maskInto(piece, masked, 0, rotated);
      return masked;
    };
    return { header: header.subarray(0, length), data };
  }

  #write(frame: FrameToSend, masked: boolean, target: Uint8Array, offset: number): number {
    const { payload, claim = payload.length, lengthBytes, ...head } = frame;
    const key = masked ? this.#numbers() : undefined;
    const init = { ...head, ...(key === undefined ? {} : { maskKey: key }), ...(lengthBytes === undefined ? {} : { lengthBytes }) };
    const at = offset + encodeFrameHeader(init, claim, target, offset);
    if (key === undefined) target.set(payload, at);
    else maskInto(payload, target, at, key);
    return at + payload.length;
  }
}
