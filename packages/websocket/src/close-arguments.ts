/**
 * What may be given as close code and reason (WHATWG WebSockets, `close(code, reason)`, steps 1 and 2), for sockets, streams and errors.
 */
import { domError } from './errors.ts';
import { utf8Length } from './utf8-length.ts';

/** RFC 6455 section 5.5: a control frame carries 125 bytes, two of them are the code. */
const maxReasonBytes = 123;

/** Web IDL [Clamp] unsigned short: NaN is 0, the rest is clamped to 0..65535 and rounded, halves to even. */
function clampToUint16(value: number): number {
  if (Number.isNaN(value)) return 0;
  const clamped = Math.min(Math.max(value, 0), 65535);
  const floor = Math.floor(clamped);
  const rest = clamped - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * Throws InvalidAccessError for a code that is neither 1000 nor 3000 to 4999, SyntaxError for a reason above 123 bytes of UTF-8 (a lone
 * surrogate counts 3, as the U+FFFD it is sent as).
 */
export function closeArguments(code: unknown, reason: unknown): { readonly code: number | undefined; readonly reason: string } {
  const text = reason === undefined ? '' : String(reason);
  let clamped: number | undefined;
  if (code !== undefined) {
    clamped = clampToUint16(Number(code));
    if (clamped !== 1000 && (clamped < 3000 || clamped > 4999)) {
      throw domError('InvalidAccessError', `code must be 1000 or in the range 3000 to 4999, not ${clamped}`);
    }
  }
  const size = utf8Length(text);
  if (size > maxReasonBytes) throw domError('SyntaxError', `reason must be at most ${maxReasonBytes} bytes of UTF-8, not ${size}`);
  // "If reason is not empty but code is null, set code to 1000": a reason cannot be sent without a code.
  if (clamped === undefined && text !== '') clamped = 1000;
  return { code: clamped, reason: text };
}
