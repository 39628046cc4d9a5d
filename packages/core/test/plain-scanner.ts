/** A frame scanner in plain JavaScript over the frame codec: what a kernel must do, said once more, and how often it was asked. */
import type { FrameScanner } from '@ferrywire/core';
import { applyMask, createFrameHeader, decodeFrameHeader } from '@ferrywire/core/frame';

export interface CountedScanner extends FrameScanner {
  calls: number;
  found: number;
}

const WINDOW = 16_384;

/** `room`: for how many bytes; more than a window is for input that is looked at whole. */
export function plainScanner(room: number = WINDOW, slicesFrom: number | null = null, slicesUpTo = 512): CountedScanner {
  const bytes = new Uint8Array(room);
  const frames = new Int32Array(3 * Math.ceil(room / 6));
  const header = createFrameHeader();
  const scanner: CountedScanner = {
    bytes,
    frames,
    slicesFrom,
    slicesUpTo,
    calls: 0,
    found: 0,
    scan(input, start, end, maxSize) {
      const size = end - start;
      const most = size === input.length ? room : WINDOW;
      if (size > most) throw new RangeError(`a window of ${size} bytes`);
      if (maxSize > 2048) throw new RangeError(`frames of up to ${maxSize} bytes`);
      bytes.set(input.subarray(start, end));
      let count = 0;
      for (let at = 0; at < size; ) {
        const headerSize = decodeFrameHeader(bytes, at, size, header);
        const from = at + headerSize;
        const to = from + header.payloadLength;
        const common = headerSize > 0 && header.fin && header.rsv === 0 && header.masked && header.lengthBytes < 8;
        const minimal = header.lengthBytes === 0 || header.payloadLength > 125;
        if (!common || !minimal || (header.opcode !== 1 && header.opcode !== 2) || header.payloadLength > maxSize || to > size) break;
        applyMask(bytes, from, to, header.maskKey, 0);
        const isAscii = bytes.subarray(from, to).every((byte) => byte < 0x80);
        frames.set([from, to, (header.opcode === 2 ? 1 : 0) + (isAscii ? 0 : 2)], 3 * count++);
        at = to;
      }
      scanner.calls++;
      scanner.found += count;
      return count;
    },
  };
  return scanner;
}
