/**
 * WebSocket URIs (RFC 6455 section 3) by the rules of the WHATWG URL standard, which is what browsers and peers use.
 *
 * Beware: an empty query keeps its '?' in the serialisation but has none in the resource name; an empty fragment is a fragment.
 */
import { parseUrl } from './platform.ts';
import { isTarget, parseAuthority } from './tokens.ts';

export interface WebSocketUri {
  /** True for `wss:`. */
  readonly secure: boolean;
  /** In lower case, ASCII (IDNA applied); an IPv6 address keeps its brackets. */
  readonly host: string;
  /** 0 to 65535; 80 or 443 when the URI names none. */
  readonly port: number;
  /** Path and query: what goes into the request line. */
  readonly resource: string;
  /** User and password, percent-decoded; null when the URI has none. */
  readonly userInfo: readonly [string, string] | null;
}

/**
 * Parses an absolute `ws:` or `wss:` URI (RFC 6455 section 3, WHATWG URL).
 *
 * @throws {SyntaxError} for anything else, and for a fragment, even an empty one.
 */
export function parseUri(uri: string): WebSocketUri {
  return resolve(uri, undefined, false).uri;
}

/**
 * What the `WebSocket` constructor does with its first argument (WHATWG WebSockets, section 3.1): resolves it against `base`, turns `http:` and
 * `https:` into `ws:` and `wss:`.
 *
 * @returns The serialised URL for the `url` attribute, and its parts.
 * @throws {SyntaxError} for an input that does not parse, another scheme, or a fragment.
 */
export function resolveWebSocketUrl(input: string, base?: string): { readonly url: string; readonly uri: WebSocketUri } {
  return resolve(input, base, true);
}

function resolve(input: string, base: string | undefined, mapHttp: boolean): { readonly url: string; readonly uri: WebSocketUri } {
  let url = parseUrl(String(input), base);
  // Parsing again instead of setting `protocol`: the setter's handling of default ports differs between runtimes.
  if (url !== null && mapHttp && (url.protocol === 'http:' || url.protocol === 'https:')) url = parseUrl(`ws${url.href.slice(4)}`);
  if (url === null) throw new SyntaxError('url: not a valid URL');
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') {
    throw new SyntaxError(`url: the scheme must be ${mapHttp ? 'ws, wss, http or https' : 'ws or wss'} (RFC 6455 section 3)`);
  }
  // A serialised URL holds '#' only in front of its fragment.
  if (url.href.includes('#')) throw new SyntaxError('url: a WebSocket URI has no fragment (RFC 6455 section 3)');
  const secure = url.protocol === 'wss:';
  return {
    url: url.href,
    uri: {
      secure,
      host: url.hostname,
      port: url.port === '' ? defaultPort(secure) : Number(url.port),
      resource: url.pathname + url.search,
      userInfo: url.username === '' && url.password === '' ? null : [decodePercent(url.username), decodePercent(url.password)],
    },
  };
}

function defaultPort(secure: boolean): number {
  return secure ? 443 : 80;
}

/** Run by run: what is not UTF-8, or no escape at all, stays as it is and leaves the rest alone. */
function decodePercent(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => {
    try {
      return decodeURIComponent(escapes);
    } catch {
      return escapes;
    }
  });
}

/** The value of Host and `:authority`: the port only when it is not the scheme's own (RFC 6455 section 4.1). */
export function hostHeader(uri: WebSocketUri): string {
  return uri.port === defaultPort(uri.secure) ? uri.host : `${uri.host}:${uri.port}`;
}

/** A `WebSocketUri` made by the caller goes on the wire as it is, so it is checked like any other input. */
export function checkUri(uri: WebSocketUri, option: string): WebSocketUri {
  if (typeof uri !== 'object' || uri === null) throw new TypeError(`${option} must be a string, or the parts of a WebSocket URI`);
  if (typeof uri.secure !== 'boolean') throw new TypeError(`${option}.secure must be a boolean`);
  const authority = typeof uri.host === 'string' ? parseAuthority(uri.host) : null;
  if (authority === null || authority.host.length !== uri.host.length) {
    throw new TypeError(`${option}.host must be a host name or an address (an IPv6 address in brackets)`);
  }
  if (!Number.isInteger(uri.port) || uri.port < 0 || uri.port > 65_535)
    throw new TypeError(`${option}.port must be an integer from 0 to 65535`);
  if (typeof uri.resource !== 'string' || !uri.resource.startsWith('/') || !isTarget(uri.resource)) {
    throw new TypeError(`${option}.resource must start with "/" and hold visible ASCII characters only`);
  }
  return uri;
}
