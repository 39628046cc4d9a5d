/**
 * Bounds on what an HTTP peer controls before a connection is open (RFC 9110 section 5.4, RFC 6455 section 10.4).
 */

import { checkNames } from './kinds.ts';

/** Defaults: line 8 192 bytes (a longer request line is 414, a longer field 431), 100 fields, head 32 768 bytes (431), body of a refusal 65 536 bytes. */
export interface HttpLimits {
  /** Bytes of one line, without its line end. */
  readonly maxLineLength?: number;
  readonly maxHeaderCount?: number;
  /** Bytes of the whole head, line ends included. A client counts interim (1xx) responses in. */
  readonly maxHeadSize?: number;
  /** Bytes of a refusal's body that a client keeps. */
  readonly maxBodySize?: number;
}

const defaults: Required<HttpLimits> = Object.freeze({
  maxLineLength: 8192,
  maxHeaderCount: 100,
  maxHeadSize: 32_768,
  maxBodySize: 65_536,
});

/** @throws {TypeError} or {@link RangeError} naming the option. */
export function resolveLimits(limits?: HttpLimits): Required<HttpLimits> {
  if (limits === undefined) return defaults;
  if (typeof limits !== 'object' || limits === null) throw new TypeError('options.http must be an object');
  checkNames(limits, defaults, 'options.http', 'limit');
  const resolved = {
    maxLineLength: limits.maxLineLength ?? defaults.maxLineLength,
    maxHeaderCount: limits.maxHeaderCount ?? defaults.maxHeaderCount,
    maxHeadSize: limits.maxHeadSize ?? defaults.maxHeadSize,
    maxBodySize: limits.maxBodySize ?? defaults.maxBodySize,
  };
  for (const [name, value] of Object.entries(resolved)) {
    if (!(value >= 0) || (value !== Number.POSITIVE_INFINITY && !Number.isInteger(value))) {
      throw new RangeError(`options.http.${name} must be an integer of at least 0, or Infinity`);
    }
  }
  return resolved;
}
