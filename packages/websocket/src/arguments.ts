/**
 * The constructors' arguments (WHATWG WebSockets, `new WebSocket(url, protocols)`): URL, subprotocols and what is beyond the standard.
 *
 * Everything that can be judged before connecting is judged here and thrown: SyntaxError as the standard says, TypeError for headers that
 * could inject others (RFC 9110 section 5.5).
 */
import { resolveWebSocketUrl } from '@ferrywire/handshake';
import type { AbortSignalLike, UrlLike } from './dom-types.ts';
import { domError } from './errors.ts';
import { platform } from './platform.ts';
import { isObject, toText, toTexts } from './web-idl.ts';

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

function checkHeaders(headers: readonly (readonly [string, string])[]): readonly (readonly [string, string])[] {
  return Array.from(headers, ([name, value]) => {
    if (!token.test(name)) throw new TypeError(`headers: '${name}' is not a field name`);
    if (!fieldValue.test(value)) throw new TypeError(`headers: the value of '${name}' has a character that a field value must not have`);
    return [name, value] as const;
  });
}

export interface CheckedArguments extends ResolvedUrl {
  readonly protocols: readonly string[];
  readonly headers: readonly (readonly [string, string])[];
  readonly signal: AbortSignalLike | null;
  readonly deflate: boolean;
  readonly maxBufferedAmount: number;
}

export function checkArguments(
  url: string | UrlLike,
  second: string | readonly string[] | WebSocketInit | undefined,
  base: string | undefined,
): CheckedArguments {
  // Web IDL: everything is converted before anything is judged.
  const location = toText(url, 'url');
  const init: WebSocketInit = isObject(second) && !(Symbol.iterator in second) ? (second as WebSocketInit) : {};
  const asked = init === second ? init.protocols : second;
  const protocols = asked === undefined || asked === null ? [] : toTexts(asked, 'protocols');
  const resolved = resolveUrl(location, base ?? platform.location?.href);
  const { maxBufferedAmount = Infinity } = init;
  if (typeof maxBufferedAmount !== 'number' || !(maxBufferedAmount >= 0)) {
    throw new RangeError(`maxBufferedAmount must be a number of bytes, 0 or more, not ${String(maxBufferedAmount)}`);
  }
  return {
    ...resolved,
    protocols: checkSubprotocols(protocols),
    headers: checkHeaders(init.headers ?? []),
    signal: init.signal ?? null,
    deflate: init.deflate ?? true,
    maxBufferedAmount,
  };
}
