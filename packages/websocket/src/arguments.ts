/**
 * The constructors' arguments (WHATWG WebSockets, `new WebSocket(url, protocols)`): URL, subprotocols and what is beyond the standard.
 *
 * Everything that can be judged before connecting is judged here and thrown: SyntaxError as the standard says, TypeError for headers that
 * could inject others (RFC 9110 section 5.5).
 */
import { createUpgrade, resolveWebSocketUrl } from '@ferrywire/handshake';
import type { AbortSignalLike, UrlLike } from './dom-types.ts';
import { domError } from './errors.ts';
import { platform } from './platform.ts';
import { isObject, toSequence, toText, toTexts } from './web-idl.ts';

/** Beyond the standard, as the second argument of both constructors. */
export interface WebSocketInit {
  readonly protocols?: readonly string[];
  /** Request headers besides those of the handshake. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** Aborts the opening only; after it nothing. */
  readonly signal?: AbortSignalLike;
  /** Offer permessage-deflate. Default true. */
  readonly deflate?: boolean;
  /** Payload bytes that may wait to be sent; one send more and the socket counts as full and is closed with an error. Default Infinity. */
  readonly maxBufferedAmount?: number;
}

/** RFC 9110 section 5.6.2, which RFC 6455 section 4.1 asks of subprotocols too. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** No control character but tab: CR, LF and NUL end or forge fields. */
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;

export interface ResolvedUrl {
  /** Serialised. */
  readonly url: string;
  readonly origin: string;
}

/** Steps 1 to 7: parse, http to ws, nothing but ws and wss, no fragment, not even an empty one. */
function resolveUrl(input: string, base: string | undefined): ResolvedUrl {
  try {
    const { url, uri } = resolveWebSocketUrl(input, base);
    const port = uri.port === (uri.secure ? 443 : 80) ? '' : `:${uri.port}`;
    return { url, origin: `${uri.secure ? 'wss' : 'ws'}://${uri.host}${port}` };
  } catch (error) {
    if (error instanceof SyntaxError) throw domError('SyntaxError', error.message);
    throw error;
  }
}

/** Steps 8 and 9. Unique without regard to case, as the web platform tests want it. */
function checkSubprotocols(protocols: readonly string[]): readonly string[] {
  const seen = new Set<string>();
  for (const protocol of protocols) {
    if (!token.test(protocol)) throw domError('SyntaxError', `protocols: '${protocol}' is not a token`);
    const folded = protocol.toLowerCase();
    if (seen.has(folded)) throw domError('SyntaxError', `protocols: '${protocol}' is there twice`);
    seen.add(folded);
  }
  return protocols;
}

/** A record is refused: it cannot be iterated, and what it says would be left out without a word. */
function checkHeaders(headers: unknown, url: string): readonly (readonly [string, string])[] {
  const fields = Array.from(toSequence(headers, 'headers'), (field) => {
    const [name, value] = Array.isArray(field) && field.length === 2 ? (field as unknown[]) : [];
    if (typeof name !== 'string' || typeof value !== 'string') throw new TypeError('headers must hold pairs of strings, [name, value]');
    if (!token.test(name)) throw new TypeError(`headers: '${name}' is not a field name`);
    if (!fieldValue.test(value)) throw new TypeError(`headers: the value of '${name}' has a character that a field value must not have`);
    return [name, value] as const;
  });
  // What the handshake sets itself. Found out later it would look like a server that does not answer.
  if (fields.length > 0) createUpgrade({ url, headers: fields });
  return fields;
}

/** One that cannot be listened to would be found out when a connection is under way that nobody has. */
function checkSignal(signal: WebSocketInit['signal'] | null): AbortSignalLike | null {
  if (signal === undefined || signal === null) return null;
  if (typeof signal.addEventListener !== 'function' || typeof signal.removeEventListener !== 'function') {
    throw new TypeError('signal must be an AbortSignal');
  }
  return signal;
}

export interface CheckedArguments extends ResolvedUrl {
  readonly protocols: readonly string[];
  readonly headers: readonly (readonly [string, string])[];
  readonly signal: AbortSignalLike | null;
  readonly deflate: boolean;
  readonly maxBufferedAmount: number;
}

/** Of `new WebSocket(url, protocolsOrOptions)`: there a string is a list of one, in the options too. */
export function checkArguments(
  url: string | UrlLike,
  second: string | readonly string[] | WebSocketInit | undefined,
  base: string | undefined,
): CheckedArguments {
  const location = toText(url, 'url');
  const init: WebSocketInit = isObject(second) && !(Symbol.iterator in second) ? (second as WebSocketInit) : {};
  const asked = init === second ? init.protocols : second;
  return judged(location, asked === undefined || asked === null ? [] : toTexts(asked, 'protocols'), init, base);
}

/** Of `new WebSocketStream(url, options)`: `protocols` is a `sequence<DOMString>`, and an array is a dictionary without members. */
export function checkStreamArguments(url: string | UrlLike, options: WebSocketInit, base: string | undefined): CheckedArguments {
  const location = toText(url, 'url');
  const { protocols } = options;
  const asked = protocols === undefined ? [] : toSequence(protocols, 'protocols');
  return judged(
    location,
    Array.from(asked, (protocol) => toText(protocol, 'protocols')),
    options,
    base,
  );
}

/** Web IDL: everything has been converted before anything is judged. */
function judged(location: string, protocols: readonly string[], init: WebSocketInit, base: string | undefined): CheckedArguments {
  const resolved = resolveUrl(location, base ?? platform.location?.href);
  const { maxBufferedAmount = Infinity } = init;
  if (typeof maxBufferedAmount !== 'number' || !(maxBufferedAmount >= 0)) {
    throw new RangeError(`maxBufferedAmount must be a number of bytes, 0 or more, not ${String(maxBufferedAmount)}`);
  }
  return {
    ...resolved,
    protocols: checkSubprotocols(protocols),
    headers: checkHeaders(init.headers ?? [], resolved.url),
    signal: checkSignal(init.signal),
    deflate: init.deflate ?? true,
    maxBufferedAmount,
  };
}
