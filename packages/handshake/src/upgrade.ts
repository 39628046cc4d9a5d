/**
 * The client's request and its verdict on the response: RFC 6455 section 4.1, and RFC 8441 / RFC 9220 over HTTP/2 and 3.
 *
 * Pure but for the nonce. Beware: whatever the caller supplies goes on the wire, so all of it is checked before anything is built.
 */
import type { ClientExtension, Negotiated, RandomSource } from '@ferrywire/core';
import { acceptKey, constantTimeEqual, createKey } from './accept-key.ts';
import { type HandshakeErrorCode, handshakeErrors } from './errors.ts';
import { checkFields, type FieldIndex, fieldValues, type HeaderList, hasConnectionFields, indexFields } from './headers.ts';
import { isModern, type ResponseHead } from './heads.ts';
import { checkString, kindOf } from './kinds.ts';
import { checkSubprotocols, confirmExtensions, offerExtensions, parseExtensionFields } from './negotiate.ts';
import { encodeUtf8, platformRandom, toBase64 } from './platform.ts';
import { isFieldValue, parseTokenList } from './tokens.ts';
import { checkUri, hostHeader, parseUri, type WebSocketUri } from './uri.ts';

export interface ClientUpgradeOptions {
  /** An absolute `ws:` or `wss:` URI, or its parts. User info in it is sent as Basic credentials unless `headers` has an Authorization. */
  readonly url: string | WebSocketUri;
  /** Default '1.1'. */
  readonly httpVersion?: '1.1' | '2' | '3';
  /** Offered in this order. */
  readonly subprotocols?: readonly string[];
  /** Fail when subprotocols were offered and none was chosen, as WHATWG demands. Default false. */
  readonly requireSubprotocol?: boolean;
  /** Offered in this order. */
  readonly extensions?: readonly ClientExtension[];
  /** The Origin field. Default: none, as for every client that is no browser. */
  readonly origin?: string;
  /** Further fields. What the protocol sets itself is refused with a TypeError. */
  readonly headers?: HeaderList;
  /** Source of the key. Default: `globalThis.crypto.getRandomValues`. */
  readonly random?: RandomSource;
}

export type UpgradeVerdict =
  | { readonly ok: true; readonly negotiated: Negotiated }
  | { readonly ok: false; readonly error: HandshakeErrorCode; readonly message: string };

export interface ClientUpgrade {
  readonly request: {
    readonly method: 'GET' | 'CONNECT';
    readonly target: string;
    readonly protocol?: 'websocket';
    readonly authority?: string;
    readonly scheme?: string;
    readonly headers: HeaderList;
  };
  /** Judges the final response (not an interim 1xx one). Never throws for anything the peer sent; TypeError for what is no head of a response. */
  verify(response: ResponseHead): UpgradeVerdict;
}

const reserved: ReadonlySet<string> = new Set(['host', 'upgrade', 'connection', 'content-length', 'transfer-encoding', 'trailer']);
const reservedModern: ReadonlySet<string> = new Set(['keep-alive', 'proxy-connection', 'te']);

/**
 * Builds the request of an opening handshake.
 *
 * @throws {SyntaxError} for a `url` that is no WebSocket URI, and for `subprotocols` that are no tokens or repeated (as the WHATWG constructor does).
 * @throws {TypeError} naming the option, for everything else that must not go on the wire.
 */
export function createUpgrade(options: ClientUpgradeOptions): ClientUpgrade {
  const uri = typeof options.url === 'string' ? parseUri(options.url) : checkUri(options.url, 'options.url');
  const version = options.httpVersion ?? '1.1';
  if (version !== '1.1' && version !== '2' && version !== '3') throw new TypeError("options.httpVersion must be '1.1', '2' or '3'");
  const modern = isModern(version);
  if (options.requireSubprotocol !== undefined && typeof options.requireSubprotocol !== 'boolean') {
    throw new TypeError('options.requireSubprotocol must be a boolean');
  }
  const subprotocols = checkSubprotocols(options.subprotocols ?? [], 'options.subprotocols');
  const available = options.extensions ?? [];
  const extra = options.headers ?? [];
  checkFields(extra, 'options.headers', (name) => {
    return (
      reserved.has(name) ||
      name.startsWith('sec-websocket-') ||
      (modern && reservedModern.has(name)) ||
      (options.origin !== undefined && name === 'origin')
    );
  });
  if (options.origin !== undefined) checkString(options.origin, 'options.origin');
  if (options.origin !== undefined && !(isFieldValue(options.origin) && options.origin.trim() !== '')) {
    throw new TypeError('options.origin must be a field value (RFC 9110 section 5.5)');
  }
  if (options.random !== undefined && typeof options.random !== 'function') throw new TypeError('options.random must be a function');

  const key = modern ? null : createKey(options.random ?? platformRandom);
  const fields: [string, string][] = [];
  if (key !== null) {
    fields.push(['Host', hostHeader(uri)], ['Upgrade', 'websocket'], ['Connection', 'Upgrade'], ['Sec-WebSocket-Key', key]);
  }
  fields.push(['Sec-WebSocket-Version', '13']);
  if (options.origin !== undefined) fields.push(['Origin', options.origin]);
  if (subprotocols.length > 0) fields.push(['Sec-WebSocket-Protocol', subprotocols.join(', ')]);
  const offers = offerExtensions(available);
  if (offers !== '') fields.push(['Sec-WebSocket-Extensions', offers]);
  if (uri.userInfo !== null && !extra.some(([name]) => name.toLowerCase() === 'authorization')) {
    fields.push(['Authorization', `Basic ${toBase64(encodeUtf8(uri.userInfo.join(':')))}`]);
  }
  for (const [name, value] of extra) fields.push([name, value]);
  const headers = modern ? fields.map(([name, value]) => [name.toLowerCase(), value] as const) : fields;
  const expected = key === null ? null : acceptKey(key);

  return {
    request: modern
      ? {
          method: 'CONNECT',
          target: uri.resource,
          protocol: 'websocket',
          authority: hostHeader(uri),
          scheme: uri.secure ? 'https' : 'http',
          headers,
        }
      : { method: 'GET', target: uri.resource, headers },
    verify(response) {
      if (typeof response !== 'object' || response === null) throw new TypeError(`response must be an object, not ${kindOf(response)}`);
      if (typeof response.status !== 'number') throw new TypeError(`response.status must be a number, not ${kindOf(response.status)}`);
      const index = indexFields(response.headers);
      const error = expected === null ? judgeConnect(response, index) : judgeSwitch(response, index, expected);
      if (error !== null) return fail(error);
      return verifyNegotiated(index, subprotocols, available, options.requireSubprotocol === true);
    },
  };
}

function fail(error: HandshakeErrorCode): UpgradeVerdict {
  const { message, section } = handshakeErrors[error];
  return { ok: false, error, message: `${message} (${section})` };
}

/** RFC 8441 section 5: success is any 2xx. */
function judgeConnect(response: ResponseHead, fields: FieldIndex): HandshakeErrorCode | null {
  if (!(response.status >= 200 && response.status <= 299)) return 'WS_HS_STATUS';
  return hasConnectionFields(fields) ? 'WS_HS_SYNTAX' : null;
}

/** RFC 6455 section 4.1, the numbered list on the response. */
function judgeSwitch(response: ResponseHead, fields: FieldIndex, expected: string): HandshakeErrorCode | null {
  if (response.status !== 101) return 'WS_HS_STATUS';
  if (response.httpVersion !== undefined && response.httpVersion !== '1.1') return 'WS_HS_HTTP_VERSION';
  const upgrades = fieldValues(fields, 'upgrade');
  if (upgrades.length !== 1 || upgrades[0]?.toLowerCase() !== 'websocket') return 'WS_HS_UPGRADE';
  const options = parseTokenList(fieldValues(fields, 'connection'));
  if (options === null || !options.some((option) => option.toLowerCase() === 'upgrade')) return 'WS_HS_CONNECTION';
  const accepts = fieldValues(fields, 'sec-websocket-accept');
  if (accepts.length !== 1 || !constantTimeEqual(accepts[0] ?? '', expected)) return 'WS_HS_ACCEPT';
  // RFC 9112 section 6.3 gives a 101 no body. One that announces it all the same could be read in two ways.
  const lengths = fieldValues(fields, 'content-length');
  if (fields.has('transfer-encoding') || lengths.some((length) => length !== '0')) return 'WS_HS_BODY';
  return null;
}

function verifyNegotiated(
  fields: FieldIndex,
  offered: readonly string[],
  available: readonly ClientExtension[],
  required: boolean,
): UpgradeVerdict {
  const chosen = fieldValues(fields, 'sec-websocket-protocol');
  const subprotocol = chosen[0] ?? null;
  if (chosen.length > 1 || (subprotocol !== null && !offered.includes(subprotocol))) return fail('WS_HS_SUBPROTOCOL');
  if (subprotocol === null && required && offered.length > 0) return fail('WS_HS_SUBPROTOCOL');
  const answers = parseExtensionFields(fieldValues(fields, 'sec-websocket-extensions'));
  const extensions = answers === null ? null : confirmExtensions(answers, available);
  if (extensions === null) return fail('WS_HS_EXTENSIONS');
  return { ok: true, negotiated: { role: 'client', subprotocol, extensions } };
}
