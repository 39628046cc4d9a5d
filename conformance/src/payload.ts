/**
 * Payloads as small descriptions: a unit and a size say 16 MiB in a line, and the bytes exist only while a case runs.
 */
import { Buffer } from 'node:buffer';

/** `size` bytes made by repeating `unit`; the unit is cut where the size ends. */
export interface Payload {
  readonly unit: Uint8Array;
  readonly size: number;
}

/** The one made last: it is asked for when it is sent and again when its echo is compared, and neighbours often share it. */
let last: { readonly unit: Uint8Array; readonly bytes: Uint8Array } | null = null;

/** The bytes; do not write to them. */
export function bytesOf({ unit, size }: Payload): Uint8Array {
  if (size === unit.length) return unit;
  if (unit.length === 0) return new Uint8Array(size);
  if (last !== null && last.bytes.length === size && Buffer.compare(last.unit, unit) === 0) return last.bytes;
  const bytes = Buffer.alloc(size, unit);
  last = { unit, bytes };
  return bytes;
}

export const empty: Payload = { unit: new Uint8Array(0), size: 0 };

export function utf8(text: string): Payload {
  const unit = Buffer.from(text, 'utf8');
  return { unit, size: unit.length };
}

export function hex(digits: string): Payload {
  const unit = Buffer.from(digits, 'hex');
  if (unit.length * 2 !== digits.length) throw new RangeError(`hex: not whole bytes: ${digits}`);
  return { unit, size: unit.length };
}

export function repeated(unit: Payload | number, size: number): Payload {
  if (typeof unit === 'number') return size === 0 ? empty : { unit: Uint8Array.of(unit), size };
  return size === 0 ? empty : { unit: unit.unit, size };
}

/** At most `limit` bytes of it, for people: text where it is printable, else hexadecimal. */
export function previewOf(bytes: Uint8Array, limit = 24): string {
  const head = bytes.subarray(0, limit);
  const printable = head.every((byte) => byte >= 0x20 && byte < 0x7f);
  const body = printable ? `'${Buffer.from(head).toString('latin1')}'` : `0x${Buffer.from(head).toString('hex')}`;
  return bytes.length > limit ? `${body}... [${bytes.length} bytes]` : `${body} [${bytes.length} bytes]`;
}

export function describePayload(payload: Payload): string {
  if (payload.size === 0) return 'empty';
  if (payload.unit.length === payload.size) return previewOf(payload.unit, 40);
  return `${payload.size} bytes of ${previewOf(payload.unit).replace(/ \[.*$/, '')} repeated`;
}
