/** An extension that grows what it decodes, and messages for it: what a compressed bomb is to a connection, without a codec. */
import type { Extension, TransformOutput } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';

/** What a byte of input becomes. */
export const GROWTH = 4096;
const PIECE = new Uint8Array(GROWTH);
/** Of one message, decoded, and of what a turn decodes at most (`message-decoder.ts`), with what the receiver has begun before it is told. */
export const MESSAGE = 64 * GROWTH;
export const TURN = (2 << 20) + MESSAGE;
export const HIGH_WATER = 262_144;
export const MOST_TURNS = 10_000;

/** Grows what it decodes as a bomb does, and takes as long as any other to give a little of what it encodes. */
export function growing(compresses = true): Extension {
  return {
    name: 'x-growing',
    rsv: 4,
    inbound: () => ({
      begin: (_kind, rsv) => rsv !== 0,
      push(_input, start, end, out) {
        let at = start;
        for (; at < end && out.room >= GROWTH; at++) out.write(PIECE, 0, GROWTH);
        return { consumed: at - start, status: at < end ? 'more' : 'need' };
      },
      finish: () => 'need',
    }),
    outbound: () => ({
      cacheKey: null,
      begin: (_kind, _size, compress) => (compress === false || !compresses ? 0 : 4),
      push(input, start, end, fin, out: TransformOutput) {
        if (fin && out.room > 0) out.write(input, start, start + 1);
        return { consumed: end - start, status: 'need' };
      },
    }),
  };
}

/** So many messages of `MESSAGE` bytes. */
export function bombs(count: number): Uint8Array {
  const frame = serializeFrame({ opcode: 2, rsv: 4, payload: new Uint8Array(MESSAGE / GROWTH), maskKey: 1 });
  const all = new Uint8Array(count * frame.length);
  for (let i = 0; i < count; i++) all.set(frame, i * frame.length);
  return all;
}
