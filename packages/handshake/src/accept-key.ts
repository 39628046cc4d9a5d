/**
 * Sec-WebSocket-Key and Sec-WebSocket-Accept (RFC 6455 sections 1.3, 4.1 and 4.2.2).
 *
 * SHA-1 proves here that the peer read this request; it protects no secret (RFC 6455 section 10.8).
 */

import type { RandomSource } from '@ferrywire/core';
import { sha1 } from '@noble/hashes/legacy.js';
import { checkString } from './kinds.ts';
import { encodeUtf8, toBase64 } from './platform.ts';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** The accept value for a key, computed from the key's text as it stands (RFC 6455 section 4.2.2, item 5.4). */
export function acceptKey(key: string): string {
  return toBase64(sha1(encodeUtf8(key + GUID)));
}

/** A new nonce: 16 bytes from `random`, in base64. */
export function createKey(random: RandomSource): string {
  const nonce = new Uint8Array(16);
  random(nonce);
  return toBase64(nonce);
}

/**
 * Whether two strings are equal, in time that depends on their lengths only. For tokens and passwords in an authorisation hook.
 *
 * @throws {TypeError} for what is no string: a number has no length, so that a token from a configuration would be equal to an absent field.
 */
export function constantTimeEqual(a: string, b: string): boolean {
  checkString(a, 'a');
  checkString(b, 'b');
  const length = Math.max(a.length, b.length);
  let difference = a.length ^ b.length;
  for (let i = 0; i < length; i++) {
    // charCodeAt past the end is NaN, which `|` turns into 0.
    difference |= (a.charCodeAt(i) | 0) ^ (b.charCodeAt(i) | 0);
  }
  return difference === 0;
}
