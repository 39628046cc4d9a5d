/**
 * Close codes and the payload of close frames (RFC 6455 sections 5.5.1 and 7.4, and the IANA registry for 1012 to 1014).
 *
 * Beware: 1005, 1006 and 1015 are what an application is told, never what is on the wire. 1010 is sent by clients only, which is not
 * checked here, since a payload knows no role: `Connection.close()` does.
 */
import type { LenientFlags } from './frame.ts';
import { MAX_CONTROL_PAYLOAD } from './frame.ts';
import { decodeUtf8, encodeUtf8, Utf8Validator, utf8Length } from './utf8.ts';
import type { Violation } from './violations.ts';
import { violations } from './violations.ts';

/** What a close frame says. */
export interface CloseInfo {
  /** 1005 when the frame was empty (RFC 6455 section 7.1.5). */
  readonly code: number;
  readonly reason: string;
}

/** Bytes of UTF-8 that fit behind the code. */
export const MAX_REASON_SIZE: number = MAX_CONTROL_PAYLOAD - 2;

/** Whether `code` may be in a close frame: 1000 to 1003, 1007 to 1014 (1010 from clients only), 3000 to 4999. */
export function isSendableCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/**
 * Reads the payload of a close frame, unmasked. Empty gives code 1005. Violations: `WS_CLOSE_PAYLOAD` for a single byte, `WS_CLOSE_CODE` for
 * a code that must not be sent, `WS_INVALID_UTF8` for the reason. `isViolation` tells the results apart. Keeps no reference to `payload`.
 */
export function parseClosePayload(payload: Uint8Array, lenient?: LenientFlags): CloseInfo | Violation {
  if (payload.length === 0) return { code: 1005, reason: '' };
  if (payload.length === 1) return violations.WS_CLOSE_PAYLOAD;
  const code = ((payload[0] as number) << 8) | (payload[1] as number);
  const lenientCode = lenient?.reservedCloseCodes === true && code >= 1000 && code <= 2999;
  if (!isSendableCloseCode(code) && !lenientCode) return violations.WS_CLOSE_CODE;
  const reason = decodeUtf8(payload, 2, payload.length);
  return reason === null ? violations.WS_INVALID_UTF8 : { code, reason };
}

/**
 * Judges the payload of a close frame of which only the first bytes are there. Null: nothing wrong so far. What it returns is what
 * `parseClosePayload` would return for the whole.
 */
export function checkPartialClosePayload(payload: Uint8Array, size: number, lenient?: LenientFlags): Violation | null {
  if (size < 2) return null;
  const code = ((payload[0] as number) << 8) | (payload[1] as number);
  const lenientCode = lenient?.reservedCloseCodes === true && code >= 1000 && code <= 2999;
  if (!isSendableCloseCode(code) && !lenientCode) return violations.WS_CLOSE_CODE;
  return new Utf8Validator().push(payload, 2, size) === -1 ? null : violations.WS_INVALID_UTF8;
}

/**
 * The payload of a close frame. No code: empty. Throws RangeError for a code that must not be sent (1004, 1005, 1006, 1015, unassigned), for
 * a reason without a code, and for a reason of more than 123 bytes; TypeError for a reason that is not a string. Lone surrogates in the
 * reason become U+FFFD.
 */
export function serializeClosePayload(code?: number, reason?: string): Uint8Array {
  if (reason !== undefined && typeof reason !== 'string') throw new TypeError('reason must be a string');
  if (code === undefined) {
    if (reason !== undefined && reason !== '')
      throw new RangeError('reason needs a code: a close frame can carry a code alone but not a reason');
    return new Uint8Array(0);
  }
  if (!isSendableCloseCode(code)) {
    throw new RangeError(`code must be 1000 to 1003, 1007 to 1014 or 3000 to 4999, not ${String(code)}`);
  }
  const text = reason === undefined || reason === '' ? null : encodeUtf8(reason);
  const size = text === null ? 0 : text.length;
  if (size > MAX_REASON_SIZE)
    throw new RangeError(`reason must be at most ${MAX_REASON_SIZE} bytes of UTF-8, not ${size} (see truncateReason)`);
  const payload = new Uint8Array(2 + size);
  payload[0] = code >> 8;
  payload[1] = code;
  if (text !== null) payload.set(text, 2);
  return payload;
}

/** The longest prefix of whole code points that fits a close frame: at most 123 bytes of UTF-8. */
export function truncateReason(reason: string): string {
  if (reason.length * 3 <= MAX_REASON_SIZE || (reason.length <= MAX_REASON_SIZE && utf8Length(reason) <= MAX_REASON_SIZE)) return reason;
  let size = 0;
  let at = 0;
  for (const point of reason) {
    size += utf8Length(point);
    if (size > MAX_REASON_SIZE) break;
    at += point.length;
  }
  return reason.slice(0, at);
}
