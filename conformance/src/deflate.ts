/**
 * The harness's own permessage-deflate (RFC 7692 section 7.2), over the one-shot functions of node:zlib. What a persistent stream would keep
 * as its window is given to the next message: as a preset dictionary where data is compressed (Deno ignores it, which is legal: it then
 * refers to nothing), and as a stored block in front where it is decompressed.
 */
import { Buffer } from 'node:buffer';
import { constants, deflateRawSync, inflateRawSync, type ZlibOptions } from 'node:zlib';

/** What was agreed, seen from one sender. */
export interface SenderParameters {
  readonly noContextTakeover: boolean;
  /** 8..15 */
  readonly windowBits: number;
}

export interface DeflateAgreement {
  readonly client: SenderParameters;
  readonly server: SenderParameters;
}

/** What `inflateRawSync` returns with `info`. */
interface Informed {
  readonly buffer: Uint8Array;
  readonly engine: { readonly bytesWritten: number };
}

const tail = Buffer.from([0x00, 0x00, 0xff, 0xff]);
/** The four bytes, and a last block of one byte: a message that has not ended behind a block makes something else of it. */
const ending = Buffer.from([...tail, 0x01, 0x01, 0x00, 0xfe, 0xff, 0x55]);
/** Bytes that are given to zlib for one message, those behind each block with BFINAL=1 again: nothing but such blocks would take for ever. */
const mostWork = 1 << 28;

/** The last `size` bytes of what went before and what came now. */
function slide(window: Uint8Array, data: Uint8Array, size: number): Uint8Array {
  if (data.length >= size) return data.slice(data.length - size);
  const kept = window.subarray(Math.max(0, window.length + data.length - size));
  return Buffer.concat([kept, data]);
}

/** At most 65 535 bytes as they are (RFC 1951 section 3.2.4); nothing for nothing. */
function storedBlock(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return bytes;
  const block = Buffer.alloc(5 + bytes.length);
  block.writeUInt16LE(bytes.length, 1);
  block.writeUInt16LE(0xffff - bytes.length, 3);
  block.set(bytes, 5);
  return block;
}

export class Deflater {
  readonly #parameters: SenderParameters;
  #window: Uint8Array = new Uint8Array(0);

  constructor(parameters: SenderParameters) {
    this.#parameters = parameters;
  }

  /** One message, its last four bytes taken off. */
  message(data: Uint8Array): Uint8Array {
    const { windowBits, noContextTakeover } = this.#parameters;
    // zlib writes no raw stream with a window of 256 bytes, so that such an agreement is served by the dictionary's size alone.
    const bits = Math.max(windowBits, 9);
    const dictionary = noContextTakeover || windowBits === 8 || this.#window.length === 0 ? {} : { dictionary: this.#window };
    // The fastest level: any legal data will do, and this is most of what a run costs.
    const packed = deflateRawSync(data, { windowBits: bits, level: 1, finishFlush: constants.Z_SYNC_FLUSH, memLevel: 8, ...dictionary });
    if (!noContextTakeover) this.#window = slide(this.#window, data, 1 << bits);
    return packed.subarray(-4).equals(tail) ? packed.subarray(0, -4) : packed;
  }
}

export class Inflater {
  readonly #parameters: SenderParameters;
  #window: Uint8Array = new Uint8Array(0);

  constructor(parameters: SenderParameters) {
    this.#parameters = parameters;
  }

  /**
   * One message, or null when it is no deflate data, ends anywhere but behind a block, grows beyond `limit`, or reaches back beyond the window
   * that was agreed (noticed from twice the window on: output is made in pieces of a window's size).
   */
  message(data: Uint8Array, limit: number): Uint8Array | null {
    const { windowBits, noContextTakeover } = this.#parameters;
    const chunkSize = windowBits < 15 ? 1 << windowBits : Math.min(Math.max(data.length * 4, 1 << 14), 1 << 18);
    const parts: Uint8Array[] = [];
    let rest: Uint8Array = Buffer.concat([data, ending]);
    let window = this.#window;
    let room = limit;
    let work = 0;
    do {
      const before = storedBlock(window);
      work += before.length + rest.length;
      if (work > mostWork) return null;
      const inflated = inflate(Buffer.concat([before, rest]), { windowBits, maxOutputLength: window.length + room + 1, chunkSize });
      if (inflated === null) return null;
      rest = rest.subarray(inflated.taken - before.length);
      const part = inflated.plain.subarray(window.length, rest.length > 0 ? undefined : -1);
      if (part.length > room) return null;
      parts.push(part);
      room -= part.length;
      window = slide(window, part, 1 << windowBits);
      // Nothing else is left behind a block with BFINAL=1 that nothing follows.
    } while (rest.length > 0 && rest.length !== ending.length);
    if (!noContextTakeover) this.#window = window;
    return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts); // one per round of the loop
  }
}

/** Up to the first block with BFINAL=1, and how many bytes that took; null when there is none, or more comes out than allowed. */
function inflate(data: Uint8Array, options: ZlibOptions): { readonly plain: Uint8Array; readonly taken: number } | null {
  try {
    // The types know nothing of `info`.
    const { buffer, engine } = inflateRawSync(data, { ...options, info: true }) as unknown as Informed;
    return { plain: buffer, taken: engine.bytesWritten };
  } catch {
    return null;
  }
}
