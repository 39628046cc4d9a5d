/**
 * The heads that go in and out of a handshake, as the host or our own parser sees them.
 */
import type { HeaderInput, HeaderList } from './headers.ts';
import { checkString, kindOf } from './kinds.ts';

export type HttpVersion = '1.0' | '1.1' | '2' | '3';

export interface RequestHead {
  readonly method: string;
  readonly target: string;
  readonly httpVersion: HttpVersion;
  /** :authority and :scheme of HTTP/2 and 3. */
  readonly authority?: string;
  readonly scheme?: string;
  /** A doubled Host is only visible in a raw list: give rawHeaders where the host has them. */
  readonly headers: HeaderInput;
  /** :protocol, for extended CONNECT (RFC 8441, RFC 9220). */
  readonly protocol?: string;
}

export interface ResponseHead {
  readonly status: number;
  readonly httpVersion?: HttpVersion;
  readonly headers: HeaderInput;
}

/** A head our own parser read: the fields as a list, in order, names as they came. */
export type ParsedRequestHead = RequestHead & { readonly headers: HeaderList };
export type ParsedResponseHead = ResponseHead & { readonly headers: HeaderList };

/** HTTP/2 and 3. Hosts also write '2.0' (Node's http2 compatibility API). */
export function isModern(version: HttpVersion | undefined): boolean {
  return version !== undefined && (version.startsWith('2') || version.startsWith('3'));
}

/** Says whether it is HTTP/2 or 3. A version that the host has left out would be blamed on the peer. @throws {TypeError} naming it. */
export function checkVersion(request: RequestHead): boolean {
  if (typeof request !== 'object' || request === null) throw new TypeError(`request must be an object, not ${kindOf(request)}`);
  checkString(request.httpVersion, 'request.httpVersion');
  return isModern(request.httpVersion);
}
