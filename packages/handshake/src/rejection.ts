/**
 * The head of a response the application chose itself (RFC 9110 section 15, RFC 9112 section 6): what it may say, and what we add.
 */
import { checkFields, type HeaderList } from './headers.ts';
import { checkBytes } from './kinds.ts';
import { encodeUtf8 } from './platform.ts';
import { isDigits, trimOws } from './tokens.ts';

/** Writes the body of a streamed rejection. */
export interface RejectionWriter {
  /**
   * @param chunk Held by reference until taken; if its buffer is transferred or resized before, the transport is dropped.
   * @returns False when the peer has gone: nothing more will be sent.
   * @throws {TypeError} for anything else. {@link RangeError} beyond the Content-Length that `headers` gave.
   */
  write(chunk: Uint8Array): boolean;
  /** @throws {RangeError} short of the Content-Length that `headers` gave. */
  end(): void;
}

export interface BodyFraming {
  readonly chunked: boolean;
  /** Bytes the body must have; Infinity when nothing says so. */
  readonly remaining: number;
}

/** Known as a whole, or written in pieces. */
export type BodyPlan =
  | { readonly kind: 'whole'; readonly size: number; readonly text: boolean }
  | { readonly kind: 'streamed'; readonly chunked: boolean };

/** Set by us, whatever the application wants; a `Connection: close` of its own is let through, since it says the same. */
const reserved: ReadonlySet<string> = new Set(['transfer-encoding', 'trailer', 'sec-websocket-accept']);

/** @throws {TypeError} or {@link RangeError} naming the argument. */
export function checkRejection(status: number, headers: HeaderList): void {
  if (!Number.isInteger(status) || status < 200 || status > 599) throw new RangeError('status must be an integer from 200 to 599');
  checkFields(headers, 'headers', (name) => reserved.has(name));
  for (const [name, value] of headers) {
    const lower = name.toLowerCase();
    if (lower === 'connection' && trimOws(value).toLowerCase() !== 'close') {
      throw new TypeError('headers: Connection is set by the protocol: the transport closes after a refusal');
    }
    if (lower === 'content-length' && !isDigits(trimOws(value))) throw new TypeError('headers: Content-Length must be a number of bytes');
  }
  if (headers.filter(([name]) => name.toLowerCase() === 'content-length').length > 1)
    throw new TypeError('headers: Content-Length is repeated');
}

/**
 * The bytes of a body. Text becomes UTF-8.
 *
 * @throws {TypeError} naming the argument for anything else, and for bytes whose buffer has been transferred: they look like none.
 */
export function bytesOfBody(body: string | Uint8Array): Uint8Array {
  if (typeof body === 'string') return encodeUtf8(body);
  checkHeld(body, 'body', 'a string or a Uint8Array');
  return body;
}
/** @throws {TypeError} as `bytesOfBody`, for a piece of one. */
export function checkPiece(chunk: Uint8Array): void {
  checkHeld(chunk, 'chunk');
}
function checkHeld(value: unknown, name: string, expected?: string): void {
  checkBytes(value, name, expected);
  try {
    new Uint8Array(value.buffer);
  } catch {
    throw new TypeError(`the buffer of ${name} has been transferred`);
  }
}

/**
 * The fields of a rejection in order: the application's, then ours. For hosts that write the response themselves; over HTTP/2 `Connection` is
 * to be left out.
 *
 * @throws {TypeError} or {@link RangeError} naming the argument.
 */
export function rejectionHead(
  status: number,
  headers: HeaderList,
  plan: BodyPlan,
): { readonly fields: HeaderList; readonly framing: BodyFraming } {
  checkRejection(status, headers);
  const has = (name: string): boolean => headers.some(([field]) => field.toLowerCase() === name);
  const stated = headers.find(([name]) => name.toLowerCase() === 'content-length')?.[1];
  const fields: (readonly [string, string])[] = [...headers];
  const bodyless = status === 204 || status === 304;
  let chunked = false;
  let remaining = stated === undefined ? Number.POSITIVE_INFINITY : Number(trimOws(stated));
  if (plan.kind === 'whole') {
    if (bodyless && plan.size > 0) throw new TypeError(`body: a response with status ${status} has none (RFC 9110 section 6.4.1)`);
    if (stated !== undefined && remaining !== plan.size) throw new TypeError('headers: Content-Length is not the length of body');
    if (plan.text && !has('content-type')) fields.push(['Content-Type', 'text/plain; charset=utf-8']);
    if (stated === undefined && !bodyless) fields.push(['Content-Length', String(plan.size)]);
  } else if (bodyless) remaining = 0;
  else if (stated === undefined && plan.chunked) {
    chunked = true;
    fields.push(['Transfer-Encoding', 'chunked']);
  }
  if (!has('connection')) fields.push(['Connection', 'close']);
  return { fields, framing: { chunked, remaining } };
}
