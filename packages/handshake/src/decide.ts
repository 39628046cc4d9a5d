/**
 * The server's decision on a request head: RFC 6455 section 4.2 over HTTP/1.1, RFC 8441 and RFC 9220 (extended CONNECT) over HTTP/2 and 3.
 *
 * Pure: a head and a policy in, a value out. Beware: the first fault found decides the status, so the order of the checks is part of the
 * behaviour: what makes it no such request at all, then HTTP, then RFC 6455, then the policy.
 */
import type { Negotiated } from '@ferrywire/core';
import { acceptKey } from './accept-key.ts';
import { type HandshakeErrorCode, handshakeErrors } from './errors.ts';
import { type FieldIndex, fieldValues, type HeaderList, hasConnectionFields, indexFields } from './headers.ts';
import { checkVersion, isModern, type RequestHead } from './heads.ts';
import { checkString } from './kinds.ts';
import { acceptExtensions, chooseSubprotocol, parseExtensionFields, parseSubprotocols } from './negotiate.ts';
import { checkPolicy, isHostAllowed, isOriginAllowed, isPathServed, type ServerPolicy } from './policy.ts';
import { isDigits, isKey, isTarget, parseAuthority, parseProtocolList, parseTokenList } from './tokens.ts';

export type UpgradeDecision =
  | {
      readonly ok: true;
      /** 101 over HTTP/1.1, 200 over HTTP/2 and 3. */
      readonly status: 101 | 200;
      readonly headers: HeaderList;
      /** Spread it into the options of a `Connection`. */
      readonly negotiated: Negotiated;
    }
  | {
      readonly ok: false;
      readonly status: number;
      readonly headers: HeaderList;
      readonly body: string;
      readonly error: HandshakeErrorCode;
    };

type Refusal = UpgradeDecision & { readonly ok: false };

const noPolicy: ServerPolicy = Object.freeze({});

/**
 * Whether a request asks for a WebSocket: GET with `Upgrade: websocket` over HTTP/1.1, or CONNECT with `:protocol` websocket over HTTP/2 and 3. It
 * may still be refused by `decideUpgrade`.
 */
export function isWebSocketRequest(request: RequestHead): boolean {
  if (checkVersion(request)) return request.method === 'CONNECT' && protocolOf(request)?.toLowerCase() === 'websocket';
  return request.httpVersion === '1.1' && request.method === 'GET' && namesWebSocket(indexFields(request.headers));
}

/**
 * Judges a request by the RFCs and by `policy`. Never throws for anything the peer sent.
 *
 * @returns The whole response: over HTTP/1.1 a refusal carries Content-Length and `Connection: close`.
 * @throws {TypeError} for a mistake in `policy`: a field that would split the response, a subprotocol that was not offered. And naming what is
 *   missing of `request`.
 */
export function decideUpgrade(request: RequestHead, policy: ServerPolicy = noPolicy): UpgradeDecision {
  checkPolicy(policy);
  const modern = checkVersion(request);
  checkString(request.method, 'request.method');
  const fields = indexFields(request.headers);
  return modern ? decideConnect(request, fields, policy) : decideGet(request, fields, policy);
}

function namesWebSocket(fields: FieldIndex): boolean {
  return parseProtocolList(fieldValues(fields, 'upgrade'))?.some((name) => name.toLowerCase() === 'websocket') ?? false;
}

/** One value, or null when the field is absent or repeated. */
function single(fields: FieldIndex, name: string): string | null {
  const values = fieldValues(fields, name);
  return values.length === 1 ? (values[0] ?? null) : null;
}

/* ---- HTTP/1.1 ---- */

function decideGet(request: RequestHead, fields: FieldIndex, policy: ServerPolicy): UpgradeDecision {
  checkString(request.target, 'request.target');
  // RFC 9110 section 7.8: Upgrade in a request of HTTP/1.0 is ignored.
  if (request.httpVersion !== '1.1') return refuse(request, 'WS_HS_HTTP_VERSION');
  if (request.method !== 'GET') return refuse(request, 'WS_HS_METHOD', { headers: [['Allow', 'GET']] });
  const host = single(fields, 'host');
  if (host === null || parseAuthority(host) === null) return refuse(request, 'WS_HS_HOST');
  const target = splitTarget(request.target);
  if (target === null)
    return refuse(request, 'WS_HS_SYNTAX', { message: 'the request target must be a path or an http URI (RFC 9112 3.2)' });
  const framing = refuseBody(request, fields);
  if (framing !== null) return framing;
  // RFC 9112 section 3.2.2: the host of an absolute target wins over Host.
  const early = refuseByPolicy(request, policy, target.authority ?? host, target.path);
  if (early !== null) return early;
  if (!namesWebSocket(fields)) return refuse(request, 'WS_HS_UPGRADE');
  if (!listsUpgrade(fields)) return refuse(request, 'WS_HS_CONNECTION');
  const version = refuseVersion(request, fields);
  if (version !== null) return version;
  const key = single(fields, 'sec-websocket-key');
  if (key === null || !isKey(key)) return refuse(request, 'WS_HS_KEY');
  return negotiate(request, fields, policy, 101, [
    ['Upgrade', 'websocket'],
    ['Connection', 'Upgrade'],
    ['Sec-WebSocket-Accept', acceptKey(key)],
  ]);
}

function listsUpgrade(fields: FieldIndex): boolean {
  return parseTokenList(fieldValues(fields, 'connection'))?.some((option) => option.toLowerCase() === 'upgrade') ?? false;
}

/** Path and authority of an origin-form or absolute-form target (RFC 9112 section 3.2); null for every other form. */
function splitTarget(target: string): { readonly path: string; readonly authority: string | null } | null {
  if (!isTarget(target)) return null;
  let authority: string | null = null;
  let rest = target;
  if (!target.startsWith('/')) {
    const scheme = target.slice(0, target.indexOf('://') + 3).toLowerCase();
    if (scheme !== 'http://' && scheme !== 'https://' && scheme !== 'ws://' && scheme !== 'wss://') return null;
    rest = target.slice(scheme.length);
    let end = rest.search(/[/?]/);
    if (end < 0) end = rest.length;
    authority = rest.slice(0, end);
    if (parseAuthority(authority) === null) return null;
    rest = rest.slice(end);
  }
  const query = rest.indexOf('?');
  const path = query < 0 ? rest : rest.slice(0, query);
  return { path: path === '' ? '/' : path, authority };
}

/* ---- HTTP/2 and 3 ---- */

function protocolOf({ protocol }: RequestHead): string | undefined {
  if (protocol !== undefined) checkString(protocol, 'request.protocol');
  return protocol;
}

function decideConnect(request: RequestHead, fields: FieldIndex, policy: ServerPolicy): UpgradeDecision {
  const protocol = protocolOf(request);
  if (request.method !== 'CONNECT') {
    // RFC 8441 section 4: :protocol on another method is malformed.
    if (protocol !== undefined) return refuse(request, 'WS_HS_METHOD', { status: 400 });
    return refuse(request, 'WS_HS_METHOD', { headers: [['allow', 'CONNECT']] });
  }
  // Without it there is no :path either.
  if (protocol === undefined) return refuse(request, 'WS_HS_UPGRADE', { message: ':protocol must be websocket (RFC 8441 5)' });
  checkString(request.target, 'request.target');
  if (protocol.toLowerCase() !== 'websocket') {
    return refuse(request, 'WS_HS_UPGRADE', { status: 501, message: 'this :protocol is not supported (RFC 9220 3)' });
  }
  if (hasConnectionFields(fields)) {
    return refuse(request, 'WS_HS_SYNTAX', { message: 'a field of HTTP/1.1 connections is not allowed here (RFC 9113 8.2.2)' });
  }
  const scheme = request.scheme?.toLowerCase();
  if ((scheme !== undefined && scheme !== 'https' && scheme !== 'http') || !request.target.startsWith('/') || !isTarget(request.target)) {
    return refuse(request, 'WS_HS_SYNTAX', { message: ':scheme must be http or https, and :path a path (RFC 8441 4)' });
  }
  const authority = request.authority ?? single(fields, 'host');
  if (authority === null || parseAuthority(authority) === null)
    return refuse(request, 'WS_HS_HOST', { message: ':authority must be a host with an optional port (RFC 8441 4)' });
  if (!fieldValues(fields, 'host').every((host) => isSameAuthority(host, authority, scheme)))
    return refuse(request, 'WS_HS_HOST', { message: 'Host must be what :authority is, where there are both (RFC 9113 8.3.1)' });
  const framing = refuseBody(request, fields);
  if (framing !== null) return framing;
  const query = request.target.indexOf('?');
  const early = refuseByPolicy(request, policy, authority, query < 0 ? request.target : request.target.slice(0, query));
  if (early !== null) return early;
  const version = refuseVersion(request, fields);
  if (version !== null) return version;
  const headers: [string, string][] = [];
  // RFC 8441 section 5: no key is sent and no accept answered. h2Accept is for a client that got this wrong.
  const key = policy.h2Accept === true ? single(fields, 'sec-websocket-key') : null;
  if (key !== null && isKey(key)) headers.push(['sec-websocket-accept', acceptKey(key)]);
  return negotiate(request, fields, policy, 200, headers);
}

/** A port that is the scheme's own counts as none. */
function isSameAuthority(one: string, other: string, scheme: string | undefined): boolean {
  const known = (text: string): string | null => {
    const parts = parseAuthority(text);
    if (parts === null) return null;
    const port = Number(parts.port);
    const isUsual = (scheme !== 'https' && port === 80) || (scheme !== 'http' && port === 443);
    return isUsual || parts.port === '' ? parts.host : `${parts.host}:${port}`;
  };
  const first = known(one);
  return first !== null && first === known(other);
}

/* ---- both ---- */

/** RFC 9112 section 6: anything that could be read both as a body and as frames. `Content-Length: 0` is no body. */
function refuseBody(request: RequestHead, fields: FieldIndex): Refusal | null {
  if (fields.has('transfer-encoding')) return refuse(request, 'WS_HS_BODY');
  const lengths = fieldValues(fields, 'content-length');
  if (lengths.length === 0) return null;
  const length = lengths[0] ?? '';
  return lengths.length === 1 && isDigits(length) && Number(length) === 0 ? null : refuse(request, 'WS_HS_BODY');
}

function refuseByPolicy(request: RequestHead, policy: ServerPolicy, authority: string, path: string): Refusal | null {
  if (!isHostAllowed(policy, authority))
    return refuse(request, 'WS_HS_HOST', { status: 403, message: 'this host is not served here (RFC 6455 10.2)' });
  return isPathServed(policy, path) ? null : refuse(request, 'WS_HS_PATH');
}

/** RFC 6455 sections 4.2.1 and 4.4. A value that is no version number at all is a malformed field, not an unknown version. */
function refuseVersion(request: RequestHead, fields: FieldIndex): Refusal | null {
  const version = single(fields, 'sec-websocket-version');
  if (version === '13') return null;
  const known =
    version !== null && isDigits(version) && version.length <= 3 && Number(version) <= 255 && (version === '0' || !version.startsWith('0'));
  return refuse(request, 'WS_HS_VERSION', known ? {} : { status: 400 });
}

function negotiate(
  request: RequestHead,
  fields: FieldIndex,
  policy: ServerPolicy,
  status: 101 | 200,
  headers: [string, string][],
): UpgradeDecision {
  if (!isOriginAllowed(policy, fieldValues(fields, 'origin'))) return refuse(request, 'WS_HS_ORIGIN');
  const offered = parseSubprotocols(fieldValues(fields, 'sec-websocket-protocol'));
  if (offered === null) return refuse(request, 'WS_HS_SUBPROTOCOL');
  const offers = parseExtensionFields(fieldValues(fields, 'sec-websocket-extensions'));
  if (offers === null) return refuse(request, 'WS_HS_EXTENSIONS');
  const subprotocol = chooseSubprotocol(offered, policy.subprotocols, request);
  if (subprotocol === null && policy.requireSubprotocol === true) return refuse(request, 'WS_HS_SUBPROTOCOL');
  const { extensions, field } = acceptExtensions(offers, policy.extensions ?? []);
  const lower = status === 200;
  if (subprotocol !== null) headers.push([lower ? 'sec-websocket-protocol' : 'Sec-WebSocket-Protocol', subprotocol]);
  if (field !== '') headers.push([lower ? 'sec-websocket-extensions' : 'Sec-WebSocket-Extensions', field]);
  for (const [name, value] of policy.headers ?? []) headers.push([lower ? name.toLowerCase() : name, value]);
  return { ok: true, status, headers, negotiated: { role: 'server', subprotocol, extensions } };
}

/** The answer to a fault, with every field its status needs. `change` gives what differs from the table. */
export function refuse(
  request: Pick<RequestHead, 'httpVersion'>,
  error: HandshakeErrorCode,
  change: { readonly status?: number; readonly message?: string; readonly headers?: HeaderList } = {},
): Refusal {
  const { status: usual, section, message } = handshakeErrors[error];
  const modern = isModern(request.httpVersion);
  let status = change.status ?? usual;
  // There is no 426 over HTTP/2 and 3, which have no Upgrade (RFC 8441 section 5, RFC 9113 section 8.6).
  if (modern && status === 426) status = 400;
  const body = `${change.message ?? `${message} (${section})`}\n`;
  const headers: [string, string][] = [
    ['Content-Type', 'text/plain; charset=utf-8'],
    ['Content-Length', String(body.length)],
  ];
  if (status === 426) headers.push(['Connection', 'Upgrade, close'], ['Upgrade', 'websocket']);
  else if (!modern) headers.push(['Connection', 'close']);
  if (status === 426 || error === 'WS_HS_VERSION') headers.push(['Sec-WebSocket-Version', '13']);
  for (const [name, value] of change.headers ?? []) headers.push([name, value]);
  return {
    ok: false,
    status,
    headers: modern ? headers.map(([name, value]) => [name.toLowerCase(), value] as const) : headers,
    body,
    error,
  };
}
