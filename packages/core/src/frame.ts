/**
 * Frames (RFC 6455 section 5.2): a total decoder, a judge, and an unchecked writer, kept apart on purpose.
 *
 * The decoder only reads and the writer only writes, so that a conformance harness can put illegal frames on the wire with the same codec
 * and a fuzzer needs no catch. Every rule about what a peer may send is in `checkFrameHeader`. Beware: its rules stand in the order of
 * the bytes that break them. That order makes the verdict independent of how the input was split; adding a rule in the wrong place would
 * break it.
 */
import { copyMasked } from './mask.ts';
import type { Violation } from './violations.ts';
import { violations } from './violations.ts';

/** RFC 6455 section 5.2. All other values are reserved. */
export const Opcode: {
  readonly Continuation: 0;
  readonly Text: 1;
  readonly Binary: 2;
  readonly Close: 8;
  readonly Ping: 9;
  readonly Pong: 10;
} = Object.freeze({ Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 });
export type Opcode = (typeof Opcode)[keyof typeof Opcode];

/** The longest header: two bytes, a 64-bit length, a mask key. */
export const MAX_HEADER_SIZE = 14;
/** The longest payload of a control frame (RFC 6455 section 5.5). */
export const MAX_CONTROL_PAYLOAD = 125;

/** Mutable on purpose: one instance is reused for every frame of a connection. */
export interface FrameHeader {
  fin: boolean;
  /** RSV1 = 4, RSV2 = 2, RSV3 = 1. */
  rsv: number;
  /** 0..15, not yet checked. -1 before the first byte. */
  opcode: number;
  masked: boolean;
  /** Big-endian uint32: its most significant byte masks the first payload byte. 0 when not masked. */
  maskKey: number;
  /**
   * Bytes. Exact up to 2^53 - 1, Infinity above. -1 until the bytes of the length are there; with `lengthBytes` 0 that means that the
   * second byte is not there either, and `masked` and `lengthBytes` are not known.
   */
  payloadLength: number;
  /** How the length was written: 0, 2 or 8 extra bytes. Lets the check see non-minimal lengths. */
  lengthBytes: 0 | 2 | 8;
  /**
   * Present and true when the most significant bit of a 64-bit length is set (2^63 and above), which is known from the length's first
   * byte on. Means nothing unless `lengthBytes` is 8.
   */
  lengthMsb?: boolean;
}

/** What a frame is judged against. */
export interface FrameContext {
  /** Of the endpoint that received the frame. */
  readonly role: 'client' | 'server';
  /** RSV bits owned by negotiated extensions. They are allowed on the first frame of a message only. */
  readonly allowedRsv: number;
  /** True between the first frame of a fragmented message and its last. */
  readonly messageOpen: boolean;
  /** Bytes of payload, for data frames: a control frame's own limit of 125 is smaller than any useful one. */
  readonly maxFrameSize: number;
  readonly lenient?: LenientFlags;
}

/** Every departure from the RFC has a name and is off unless asked for. */
export interface LenientFlags {
  /** A server takes frames without a mask (against RFC 6455 section 5.1). */
  readonly unmaskedClientFrames?: boolean;
  /** A client takes frames with a mask (against RFC 6455 section 5.1). */
  readonly maskedServerFrames?: boolean;
  /** Lengths written in more bytes than needed (against RFC 6455 section 5.2). A set most significant bit is refused all the same. */
  readonly nonMinimalLength?: boolean;
  /** Close codes 1000 to 2999 that must not be on the wire, 1005 for instance (against RFC 6455 section 7.4). */
  readonly reservedCloseCodes?: boolean;
}

/** A frame to write. Nothing here is checked against the RFC, only against what the bits can hold. */
export interface FrameInit {
  /** 0..15. */
  readonly opcode: number;
  /** Never written to. Default: empty. */
  readonly payload?: Uint8Array;
  /** Default true. */
  readonly fin?: boolean;
  /** RSV1 = 4, RSV2 = 2, RSV3 = 1. Default 0. */
  readonly rsv?: number;
  /** Present = masked with this key, a big-endian uint32. */
  readonly maskKey?: number;
  /** Force a length form, valid or not (test harnesses need this). Of a length too large for its form the low bits are written. */
  readonly lengthBytes?: 0 | 2 | 8;
}

/** A header to decode into. */
export function createFrameHeader(): FrameHeader {
  return { fin: false, rsv: 0, opcode: 0, masked: false, maskKey: 0, payloadLength: 0, lengthBytes: 0 };
}

/**
 * Reads the header at `input[start, end)` into `into`. Total: never throws, never judges. Returns the header's size in bytes (2 to 14), or
 * 0 if more input is needed.
 *
 * When it returns 0, what is known is already filled in. From 1 byte: `fin`, `rsv`, `opcode`. From 2 bytes: `masked`, `lengthBytes`. Once
 * its bytes are there: `payloadLength`, which is -1 until then. From the first byte of a 64-bit length: `lengthMsb`. `checkFrameHeader`
 * may judge such a header at once, and need not see it again unless more bytes have arrived.
 */
export function decodeFrameHeader(input: Uint8Array, start: number, end: number, into: FrameHeader): number {
  const available = end - start;
  into.maskKey = 0;
  if (available < 2) return decodeFirstByte(input, start, available, into);
  const first = input[start] as number;
  const second = input[start + 1] as number;
  into.fin = first >= 0x80;
  into.rsv = (first >> 4) & 7;
  into.opcode = first & 15;
  const masked = second >= 0x80;
  into.masked = masked;
  const short = second & 0x7f;
  let size = 2;
  if (short < 126) {
    into.lengthBytes = 0;
    into.payloadLength = short;
  } else if (short === 126) {
    into.lengthBytes = 2;
    size = 4;
    if (available < 4) {
      into.payloadLength = -1;
      return 0;
    }
    into.payloadLength = ((input[start + 2] as number) << 8) | (input[start + 3] as number);
  } else {
    into.lengthBytes = 8;
    size = 10;
    if (!decodeLongLength(input, start + 2, available - 2, into)) return 0;
  }
  if (!masked) return size;
  if (available < size + 4) return 0;
  into.maskKey = readUint32(input, start + size);
  return size + 4;
}

function decodeFirstByte(input: Uint8Array, start: number, available: number, into: FrameHeader): 0 {
  const first = available === 1 ? (input[start] as number) : -1;
  into.fin = first >= 0x80;
  into.rsv = first < 0 ? 0 : (first >> 4) & 7;
  into.opcode = first < 0 ? -1 : first & 15;
  into.masked = false;
  into.payloadLength = -1;
  into.lengthBytes = 0;
  return 0;
}

function decodeLongLength(input: Uint8Array, start: number, available: number, into: FrameHeader): boolean {
  into.payloadLength = -1;
  const msb = available > 0 && (input[start] as number) >= 0x80;
  // Written only to change it: the property exists on no header that never saw such a length.
  if (msb || into.lengthMsb === true) into.lengthMsb = msb;
  if (available < 8) return false;
  const high = readUint32(input, start);
  into.payloadLength = high > 0x1fffff ? Number.POSITIVE_INFINITY : high * 0x1_0000_0000 + readUint32(input, start + 4);
  return true;
}

function readUint32(input: Uint8Array, at: number): number {
  return (
    (((input[at] as number) << 24) | ((input[at + 1] as number) << 16) | ((input[at + 2] as number) << 8) | (input[at + 3] as number)) >>> 0
  );
}

/**
 * Judges a header, whole or as far as `decodeFrameHeader` got. Returns the first rule broken, or null. A header that passed incomplete must
 * be judged again when it is complete. Any split of the input leads to the same verdict.
 *
 * `WS_LENGTH_TOO_LARGE` for 2^63 and above (RFC 6455 section 5.2); other lengths from 2^53 on are `WS_MESSAGE_TOO_BIG` whatever
 * `maxFrameSize` is, since they can't be counted exactly.
 */
export function checkFrameHeader(header: FrameHeader, context: FrameContext): Violation | null {
  // Rules of the first byte.
  const opcode = header.opcode;
  if (opcode < 0) return null;
  const control = opcode >= 8;
  if (opcode > 10 || (opcode > 2 && !control)) return violations.WS_INVALID_OPCODE;
  const rsv = header.rsv;
  // Control frames and continuations carry no bit of any extension we know of (RFC 7692 section 6.1 forbids it).
  if (rsv !== 0 && (control || opcode === Opcode.Continuation || (rsv & ~context.allowedRsv) !== 0)) return violations.WS_RESERVED_BITS;
  if (control) {
    if (!header.fin) return violations.WS_CONTROL_FRAGMENTED;
  } else if (opcode === Opcode.Continuation) {
    if (!context.messageOpen) return violations.WS_UNEXPECTED_CONTINUATION;
  } else if (context.messageOpen) {
    return violations.WS_EXPECTED_CONTINUATION;
  }

  // Rules of the second byte.
  const length = header.payloadLength;
  const lengthBytes = header.lengthBytes;
  if (length < 0 && lengthBytes === 0) return null;
  const lenient = context.lenient;
  if (context.role === 'server') {
    if (!header.masked && lenient?.unmaskedClientFrames !== true) return violations.WS_MASK_REQUIRED;
  } else if (header.masked && lenient?.maskedServerFrames !== true) {
    return violations.WS_MASK_FORBIDDEN;
  }
  if (lengthBytes === 0) {
    if (length > (control ? MAX_CONTROL_PAYLOAD : context.maxFrameSize)) {
      // not covered: seven bits hold no length over 125, so a control frame can't get here.
      return control ? violations.WS_CONTROL_TOO_LONG : violations.WS_MESSAGE_TOO_BIG;
    }
    return null;
  }
  return checkLongLength(header, context, control);
}

function checkLongLength(header: FrameHeader, context: FrameContext, control: boolean): Violation | null {
  const length = header.payloadLength;
  const lengthBytes = header.lengthBytes;
  const minimalOnly = context.lenient?.nonMinimalLength !== true;
  // Either the length is over 125 or it is not minimal: the second byte alone shows that the frame is illegal.
  if (control && minimalOnly) return violations.WS_CONTROL_TOO_LONG;

  // Rule of the third byte.
  if (lengthBytes === 8 && header.lengthMsb === true) return violations.WS_LENGTH_TOO_LARGE;

  // Rules of the last byte of the length.
  if (length < 0) return null;
  if (minimalOnly && length <= (lengthBytes === 2 ? 125 : 0xffff)) return violations.WS_LENGTH_NOT_MINIMAL;
  if (control) return length > MAX_CONTROL_PAYLOAD ? violations.WS_CONTROL_TOO_LONG : null;
  if (length > context.maxFrameSize || length > Number.MAX_SAFE_INTEGER) return violations.WS_MESSAGE_TOO_BIG;
  return null;
}

/** The size in bytes, 2 to 14, of a header with the shortest form of `payloadLength`. */
export function frameHeaderSize(payloadLength: number, masked: boolean): number {
  return (payloadLength < 126 ? 2 : payloadLength < 65536 ? 4 : 10) + (masked ? 4 : 0);
}

/**
 * Writes a header to `target` at `offset` and returns its size in bytes (2 to 14). `frame.payload` is not looked at. Unchecked: it writes
 * illegal frames too, so a conformance harness can use it, and `payloadLength` (0..2^64-1) may lie.
 *
 * Throws RangeError, naming the argument, for what the bits can't hold and for a `target` that is too small.
 */
export function encodeFrameHeader(frame: FrameInit, payloadLength: number | bigint, target: Uint8Array, offset: number): number {
  const { opcode, maskKey } = frame;
  const rsv = frame.rsv ?? 0;
  if ((opcode & 15) !== opcode) throw new RangeError(`frame.opcode must be 0..15, not ${opcode}`);
  if ((rsv & 7) !== rsv) throw new RangeError(`frame.rsv must be 0..7, not ${rsv}`);
  const form = frame.lengthBytes ?? (payloadLength < 126 ? 0 : payloadLength < 65536 ? 2 : 8);
  const masked = maskKey !== undefined;
  const size = 2 + form + (masked ? 4 : 0);
  if (!(offset >= 0 && offset + size <= target.length)) {
    throw new RangeError(`target has no room for ${size} bytes at offset ${offset}`);
  }
  const maskBit = masked ? 0x80 : 0;
  if (typeof payloadLength === 'bigint' || form === 8 || (payloadLength & 0xffff) !== payloadLength) {
    encodeLength(payloadLength, form, target, offset, maskBit);
  } else if (form === 0) {
    target[offset + 1] = maskBit | (payloadLength & 0x7f);
  } else {
    target[offset + 1] = maskBit | 126;
    target[offset + 2] = payloadLength >> 8;
    target[offset + 3] = payloadLength;
  }
  // After the length, which may have thrown.
  target[offset] = (frame.fin === false ? 0 : 0x80) | (rsv << 4) | opcode;
  if (masked) writeUint32(target, offset + size - 4, maskKey);
  return size;
}

/** The general case: any length in any form. */
function encodeLength(payloadLength: number | bigint, form: 0 | 2 | 8, target: Uint8Array, offset: number, maskBit: number): void {
  let high: number;
  let low: number;
  if (typeof payloadLength === 'bigint') {
    high = Number(payloadLength >> 32n);
    low = Number(payloadLength & 0xffff_ffffn);
  } else {
    high = Math.floor(payloadLength / 0x1_0000_0000);
    low = payloadLength - high * 0x1_0000_0000;
  }
  if (!(high >= 0 && high <= 0xffff_ffff) || !Number.isInteger(low)) {
    throw new RangeError(`payloadLength must be an integer in 0..2^64-1, not ${payloadLength}`);
  }
  if (form === 0) {
    target[offset + 1] = maskBit | (low & 0x7f);
  } else if (form === 2) {
    target[offset + 1] = maskBit | 126;
    target[offset + 2] = low >>> 8;
    target[offset + 3] = low;
  } else {
    target[offset + 1] = maskBit | 127;
    writeUint32(target, offset + 2, high);
    writeUint32(target, offset + 6, low);
  }
}

function writeUint32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}

const empty = new Uint8Array(0);

/** One frame in new memory, payload copied and masked if there is a key. As unchecked as `encodeFrameHeader`. */
export function serializeFrame(frame: FrameInit): Uint8Array {
  const payload = frame.payload ?? empty;
  const form = frame.lengthBytes ?? (payload.length < 126 ? 0 : payload.length < 65536 ? 2 : 8);
  const header = 2 + form + (frame.maskKey === undefined ? 0 : 4);
  const bytes = new Uint8Array(header + payload.length);
  encodeFrameHeader(frame, payload.length, bytes, 0);
  if (frame.maskKey === undefined) bytes.set(payload, header);
  else copyMasked(payload, 0, payload.length, bytes, header, frame.maskKey, 0);
  return bytes;
}
