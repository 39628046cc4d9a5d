/**
 * What may be given as close code and reason (WHATWG WebSockets, `close(code, reason)`, steps 1 and 2), for sockets, streams and errors.
 */
import { domError } from './errors.ts';
import { utf8Length } from './utf8-length.ts';
import { toClampedUint16, toDictionary, toEnforcedUint16, toScalarText } from './web-idl.ts';

/** RFC 6455 section 5.5: a control frame carries 125 bytes, two of them are the code. */
const maxReasonBytes = 123;

export interface CloseArguments {
  readonly code: number | undefined;
  readonly reason: string;
}

/**
 * Throws InvalidAccessError for a code that is neither 1000 nor 3000 to 4999, SyntaxError for a reason above 123 bytes of UTF-8 (a lone
 * surrogate counts 3, as the U+FFFD it is sent as).
 */
export function closeArguments(code: unknown, reason: unknown): CloseArguments {
  const clamped = code === undefined ? undefined : toClampedUint16(code, 'code');
  return checked(clamped, reason === undefined ? '' : toScalarText(reason, 'reason'));
}

/** The same of a `WebSocketCloseInfo`, as streams and errors have it: there a code is not clamped, and one that does not fit throws TypeError. */
export function closeInfoArguments(info: { readonly closeCode?: unknown; readonly reason?: unknown } | null | undefined): CloseArguments {
  const { closeCode, reason } = toDictionary(info, 'info');
  const code = closeCode === undefined ? undefined : toEnforcedUint16(closeCode, 'closeCode');
  return checked(code, reason === undefined ? '' : toScalarText(reason, 'reason'));
}

/** May an application send it? What a connection has ended with may be another one: 1001 of the peer's, 1006 of nobody's. */
export function isCloseCode(code: number): boolean {
  return code === 1000 || (code >= 3000 && code <= 4999);
}

function checked(code: number | undefined, reason: string): CloseArguments {
  if (code !== undefined && !isCloseCode(code)) {
    throw domError('InvalidAccessError', `code must be 1000 or in the range 3000 to 4999, not ${code}`);
  }
  const size = utf8Length(reason);
  if (size > maxReasonBytes) throw domError('SyntaxError', `reason must be at most ${maxReasonBytes} bytes of UTF-8, not ${size}`);
  // "If reason is not empty but code is null, set code to 1000": a reason cannot be sent without a code.
  return { code: code ?? (reason === '' ? undefined : 1000), reason };
}
