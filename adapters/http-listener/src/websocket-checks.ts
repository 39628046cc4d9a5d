/**
 * What .NET's `WebSocketValidate` refuses, with the exceptions it documents.
 */
import { types } from 'node:util';
import { ArgumentException, ArgumentNullException, ArgumentOutOfRangeException } from './errors.ts';
import { WebSocketCloseStatus } from './websocket-types.ts';

/** RFC 6455 section 5.5: 125 bytes less the code. */
const maxDescriptionBytes = 123;
const separators = '()<>@,;:\\"/[]?={} ';
const minReceiveBuffer = 16;
const maxReceiveBuffer = 65_536;
/** .NET's Timeout.InfiniteTimeSpan. */
const infinite = -1;
export const defaultKeepAliveInterval = 30_000;
export const defaultReceiveBufferSize = 16_384;

/** RFC 6455 section 4.1: a token. */
export function checkSubProtocol(subProtocol: unknown, paramName = 'subProtocol'): string {
  if (subProtocol === null || subProtocol === undefined) throw new ArgumentNullException(paramName);
  if (typeof subProtocol !== 'string') throw new ArgumentException('the sub-protocol must be a string', paramName);
  if (subProtocol.trim() === '') throw new ArgumentException('the sub-protocol must not be empty', paramName);
  for (const character of subProtocol) {
    if (character <= ' ' || character > '~' || separators.includes(character)) {
      throw new ArgumentException(`the sub-protocol '${subProtocol}' has a character that is not allowed in it`, paramName);
    }
  }
  return subProtocol;
}

export function checkReceiveBufferSize(size: unknown): number {
  if (typeof size !== 'number' || !Number.isInteger(size) || size < minReceiveBuffer || size > maxReceiveBuffer) {
    throw new ArgumentOutOfRangeException('receiveBufferSize', size, `must be an integer from ${minReceiveBuffer} to ${maxReceiveBuffer}`);
  }
  return size;
}

/** Milliseconds; 0 and -1 (infinite) turn it off. Returns what the core's timeouts take. */
export function checkKeepAliveInterval(interval: unknown, paramName = 'keepAliveInterval'): number {
  if (typeof interval !== 'number' || Number.isNaN(interval) || (interval < 0 && interval !== infinite)) {
    throw new ArgumentOutOfRangeException(paramName, interval, 'must be 0 or more milliseconds, or -1 for never');
  }
  return interval === infinite || interval === Infinity ? 0 : interval;
}

/** Null for none. Before anything has begun: found later, what was begun would be outstanding for ever. */
export function checkSignal(signal: unknown): AbortSignal | null {
  if (signal === undefined || signal === null) return null;
  const { aborted, addEventListener } = signal as Partial<AbortSignal>;
  if (typeof aborted !== 'boolean' || typeof addEventListener !== 'function')
    throw new ArgumentException('must be an AbortSignal', 'signal');
  return signal as AbortSignal;
}

export function checkCloseStatus(
  closeStatus: unknown,
  statusDescription: unknown,
): { readonly code: number | undefined; readonly reason: string } {
  const reason = statusDescription === null || statusDescription === undefined ? '' : String(statusDescription);
  if (typeof closeStatus !== 'number' || !Number.isInteger(closeStatus)) {
    throw new ArgumentException('the close status must be an integer', 'closeStatus');
  }
  if (closeStatus === WebSocketCloseStatus.Empty) {
    if (reason !== '') throw new ArgumentException('a description needs a close status other than Empty', 'statusDescription');
    return { code: undefined, reason: '' };
  }
  if (closeStatus < 1000 || closeStatus > 4999 || closeStatus === 1004 || closeStatus === 1006 || closeStatus === 1015) {
    throw new ArgumentException(`the close status ${closeStatus} is reserved`, 'closeStatus');
  }
  const size = Buffer.byteLength(reason);
  if (size > maxDescriptionBytes) {
    throw new ArgumentException(`the description has ${size} bytes of UTF-8, and ${maxDescriptionBytes} are the most`, 'statusDescription');
  }
  return { code: closeStatus, reason };
}

/** Bytes for an operation on them: a view or an ArrayBuffer. */
export function checkBuffer(buffer: unknown, paramName: string): Uint8Array {
  if (buffer === null || buffer === undefined) throw new ArgumentNullException(paramName);
  if (buffer instanceof Uint8Array) return buffer;
  if (ArrayBuffer.isView(buffer)) return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  // Of any realm: what Node's own modules make is not of a sandbox's, such as those of test runners.
  if (types.isArrayBuffer(buffer)) return new Uint8Array(buffer);
  throw new ArgumentException('must be a Uint8Array, another view, or an ArrayBuffer', paramName);
}
