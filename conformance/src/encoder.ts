/**
 * What the harness sends, as bytes. Headers come from the core's unchecked encoder, which can write illegal ones; masks are the harness's
 * own. Large messages in many frames go into one buffer, since a view per frame would cost more than the bytes.
 */
import { encodeFrameHeader, type FrameInit, frameHeaderSize } from '@ferrywire/core/frame';
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
const aligned = 16;

export class Encoder {
  readonly #masked: boolean;
  readonly #numbers: Uint32Source;

  /** @param masked whether frames carry masks: those of clients do */
  constructor(masked: boolean, numbers: Uint32Source) {
    this.#masked = masked;
    this.#numbers = numbers;
  }

  frame(frame: FrameToSend, masked: boolean = this.#masked): Uint8Array {
    // The payload begins on a word, so that it can be masked in words.
    const bytes = new Uint8Array(aligned + frame.payload.length);
    const { length } = frame.payload;
    const lengthBytes = frame.lengthBytes ?? (length < 126 ? 0 : length < 65_536 ? 2 : 8);
    const start = frame.claim === undefined ? aligned - 2 - lengthBytes - (masked ? 4 : 0) : 0;
    return bytes.subarray(start, this.#write(frame, masked, bytes, start));
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
      at = this.#piece(first ? opcode : 0, first ? rsv : 0, i === frames - 1, piece, bytes, at);
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
    const { opcode, fin, rsv, payload, claim = payload.length, lengthBytes } = frame;
    const form = lengthBytes === undefined ? {} : { lengthBytes };
    const key = masked ? this.#numbers() : 0;
    const init = masked ? { opcode, fin, rsv, maskKey: key, ...form } : { opcode, fin, rsv, ...form };
    return this.#finish(init, claim, payload, key, target, offset);
  }

  /** A frame without peculiarities, of which there may be very many. */
  #piece(opcode: number, rsv: number, fin: boolean, payload: Uint8Array, target: Uint8Array, offset: number): number {
    const key = this.#masked ? this.#numbers() : 0;
    const init = this.#masked ? { opcode, fin, rsv, maskKey: key } : { opcode, fin, rsv };
    return this.#finish(init, payload.length, payload, key, target, offset);
  }

  #finish(init: FrameInit, claim: number | bigint, payload: Uint8Array, key: number, target: Uint8Array, offset: number): number {
    const at = offset + encodeFrameHeader(init, claim, target, offset);
    if (init.maskKey === undefined) target.set(payload, at);
    else maskInto(payload, target, at, key);
    return at + payload.length;
  }
}
