/**
 * Bytes for the measurements: masked client frames as a client would send them, cut as a socket would deliver them.
 *
 * Mask key and text are seven-bit, so a receiver that unmasks in place leaves valid text again each time it meets the same chunk, and
 * chunks can be fed any number of times without a copy inside the measured loop.
 */

export type PayloadKind = 'binary' | 'text';

const MASK = [0x37, 0x5a, 0x21, 0x6d] as const;

function payloadOf(kind: PayloadKind, size: number, seed: number): Buffer {
  const payload = Buffer.allocUnsafeSlow(size);
  // Marsaglia's xorshift: the same bytes in every process.
  let state = seed * 2654435761 + 1;
  for (let index = 0; index < size; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    payload[index] = kind === 'binary' ? state & 0xff : 0x20 + ((state >>> 8) % 0x5f);
  }
  return payload;
}

/** One masked, unfragmented frame. */
export function clientFrame(kind: PayloadKind, size: number, seed = 1): Buffer {
  const extra = size < 126 ? 0 : size < 65536 ? 2 : 8;
  const frame = Buffer.allocUnsafeSlow(2 + extra + 4 + size);
  frame[0] = kind === 'binary' ? 0x82 : 0x81;
  frame[1] = 0x80 | (extra === 0 ? size : extra === 2 ? 126 : 127);
  if (extra === 2) frame.writeUInt16BE(size, 2);
  else if (extra === 8) frame.writeBigUInt64BE(BigInt(size), 2);
  frame.set(MASK, 2 + extra);
  const payload = payloadOf(kind, size, seed);
  const start = 2 + extra + 4;
  for (let index = 0; index < size; index++) frame[start + index] = (payload[index] ?? 0) ^ (MASK[(index & 3) as 0 | 1 | 2 | 3] ?? 0);
  return frame;
}

/** Size of the unmasked frame that answers. */
export function serverFrameSize(size: number): number {
  return 2 + (size < 126 ? 0 : size < 65536 ? 2 : 8) + size;
}

/** What one pass delivers: reads of at most `readSize` bytes, as a socket gives them, holding `messages` whole messages. */
export interface Stream {
  readonly chunks: readonly Buffer[];
  readonly messages: number;
  readonly payloadBytes: number;
}

/** At least `bytes` of frames, cut into reads that take no account of where frames end. */
export function clientStream(kind: PayloadKind, size: number, bytes: number, readSize: number): Stream {
  const frameSize = clientFrame(kind, size).length;
  const messages = Math.max(1, Math.ceil(bytes / frameSize));
  const whole = Buffer.allocUnsafeSlow(messages * frameSize);
  // A few different frames; making thousands of large ones would take longer than the measurement.
  const distinct = Array.from({ length: Math.min(messages, 7) }, (_, index) => clientFrame(kind, size, index + 1));
  for (let index = 0; index < messages; index++) whole.set(distinct[index % distinct.length] ?? distinct[0] ?? [], index * frameSize);
  const chunks: Buffer[] = [];
  for (let start = 0; start < whole.length; start += readSize) {
    const end = Math.min(whole.length, start + readSize);
    // Memory of its own for each read, as from a socket.
    const chunk = Buffer.allocUnsafeSlow(end - start);
    whole.copy(chunk, 0, start, end);
    chunks.push(chunk);
  }
  return { chunks, messages, payloadBytes: messages * size };
}
