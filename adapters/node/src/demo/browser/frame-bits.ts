/** A frame's header spelled out: its bytes again, and what each bit says (RFC 6455 section 5.2). */
import type { FrameView } from './messages.ts';

const OPCODES: { readonly [opcode: number]: string } = { 0: 'continuation', 1: 'text', 2: 'binary', 8: 'close', 9: 'ping', 10: 'pong' };

/** At most so many bytes stand beside a line. */
const SHOWN = 24;

function keyBytes(frame: FrameView): number[] {
  return [24, 16, 8, 0].map((shift) => (frame.maskKey >>> shift) & 0xff);
}

/** The 7 bits of the length. */
function shortLength(frame: FrameView): number {
  return frame.lengthBytes === 0 ? frame.length : frame.lengthBytes === 2 ? 126 : 127;
}

/** Was the frame refused before its masking key was read? */
function endsEarly(frame: FrameView): boolean {
  return frame.length < 0 || (frame.masked && frame.maskKey === 0 && frame.preview === '' && frame.length > 0);
}

/** The header as it was on the wire, as far as it was read. */
export function headerBytes(frame: FrameView): number[] {
  if (frame.opcode < 0) return [];
  const bytes = [(frame.fin ? 0x80 : 0) | (frame.rsv << 4) | frame.opcode];
  if (shortLength(frame) < 0) return bytes;
  bytes.push((frame.masked ? 0x80 : 0) | shortLength(frame));
  if (frame.length < 0) return bytes;
  for (let at = frame.lengthBytes - 1; at >= 0; at--) bytes.push(Math.floor(frame.length / 256 ** at) % 256);
  return frame.masked && !endsEarly(frame) ? [...bytes, ...keyBytes(frame)] : bytes;
}

function payloadBytes(frame: FrameView): number[] {
  return (frame.preview.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
}

function hexOf(bytes: readonly number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

function asSent(frame: FrameView): number[] {
  const key = keyBytes(frame);
  return payloadBytes(frame).map((byte, index) => (frame.masked ? byte ^ (key[index & 3] ?? 0) : byte));
}

/** The frame's first bytes as they were on the wire, masked where it was masked. */
export function wireHex(frame: FrameView): string {
  const bytes = [...headerBytes(frame), ...asSent(frame)];
  const cut = bytes.length > SHOWN || frame.preview.length / 2 < frame.length;
  return `${hexOf(bytes.slice(0, SHOWN))}${cut ? ' …' : ''}`;
}

export interface BitField {
  readonly name: string;
  readonly bits: string;
  readonly meaning: string;
}

function lengthFields(frame: FrameView): BitField[] {
  const short = shortLength(frame);
  if (short < 0) return [];
  const meaning = frame.lengthBytes === 0 ? `${frame.length} bytes` : `${short}: the length is in the next ${frame.lengthBytes} bytes`;
  const fields = [{ name: 'Payload length', bits: short.toString(2).padStart(7, '0'), meaning }];
  if (frame.lengthBytes > 0 && frame.length >= 0) {
    const bytes = headerBytes(frame).slice(2, 2 + frame.lengthBytes);
    fields.push({ name: 'Extended length', bits: hexOf(bytes), meaning: `${frame.length} bytes` });
  }
  return fields;
}

/** One row for each field of the header as far as it was read, then the payload. */
export function bitFields(frame: FrameView): BitField[] {
  const kind = OPCODES[frame.opcode] ?? 'reserved';
  const fields: BitField[] = [
    { name: 'FIN', bits: frame.fin ? '1' : '0', meaning: frame.fin ? 'the last frame of its message' : 'more frames follow' },
    {
      name: 'RSV1–3',
      bits: frame.rsv.toString(2).padStart(3, '0'),
      meaning: frame.rsv === 0 ? 'no extension' : 'used by an extension, or illegal',
    },
    { name: 'Opcode', bits: frame.opcode.toString(2).padStart(4, '0'), meaning: `${frame.opcode}: ${kind}` },
  ];
  if (shortLength(frame) < 0) return [...fields, { name: 'The rest', bits: '', meaning: 'not read: the first byte is illegal' }];
  fields.push({
    name: 'MASK',
    bits: frame.masked ? '1' : '0',
    meaning: frame.masked ? 'masked, as clients must' : 'not masked, as servers must',
  });
  fields.push(...lengthFields(frame));
  if (endsEarly(frame)) return [...fields, { name: 'The rest', bits: '', meaning: 'not read: these bytes are illegal' }];
  if (frame.masked) fields.push({ name: 'Masking key', bits: hexOf(keyBytes(frame)), meaning: 'XORed over the payload' });
  const payload = payloadBytes(frame);
  if (payload.length > 0) {
    const rest = frame.length > payload.length ? ` … of ${frame.length}` : '';
    if (frame.masked) fields.push({ name: 'Payload, masked', bits: hexOf(asSent(frame)), meaning: `as on the wire${rest}` });
    fields.push({ name: 'Payload', bits: hexOf(payload), meaning: `${payload.length} bytes${rest}` });
  }
  return fields;
}
