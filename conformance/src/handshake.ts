/**
 * The harness's own opening handshake (RFC 6455 section 4), both sides, apart from `@ferrywire/handshake`: enough to get to the frames and to
 * negotiate permessage-deflate (RFC 7692 section 7.1) by the book, and strict about what the peer answers.
 */
import { createHash } from 'node:crypto';
import type { DeflateParameters, DeflatePolicy } from './case.ts';
import type { DeflateAgreement } from './deflate.ts';

const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** Bytes of a head, at most. */
export const largestHead = 65_536;

export interface Head {
  readonly startLine: string;
  /** Names in lower case; lines of the same name joined with commas. */
  readonly fields: ReadonlyMap<string, string>;
}

export function acceptKeyFor(key: string): string {
  return createHash('sha1')
    .update(key + guid)
    .digest('base64');
}

/** Start line and fields, or null for what is no HTTP/1.1 head. */
export function parseHead(text: string): Head | null {
  const [startLine, ...lines] = text.split('\r\n');
  const fields = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon <= 0 || /\s/.test(line.slice(0, colon))) return null;
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return startLine === undefined ? null : { startLine, fields };
}

function hasToken(value: string | undefined, token: string): boolean {
  return (value ?? '').split(',').some((item) => item.trim().toLowerCase() === token);
}

/* ---- permessage-deflate ---- */

export interface ParsedOffer {
  readonly name: string;
  readonly params: ReadonlyMap<string, string | true>;
  /** Whether a parameter is there twice: such an element is to be declined, or not to be accepted (RFC 7692 section 7.1). */
  readonly doubled: boolean;
}

/** The elements of Sec-WebSocket-Extensions. */
export function parseExtensionList(value: string | undefined): ParsedOffer[] {
  const offers: ParsedOffer[] = [];
  for (const element of (value ?? '').split(',')) {
    if (element.trim() === '') continue;
    const [name = '', ...rest] = element.split(';').map((part) => part.trim());
    const params = new Map<string, string | true>();
    let doubled = false;
    for (const param of rest) {
      const equals = param.indexOf('=');
      const key = equals === -1 ? param : param.slice(0, equals).trim();
      doubled ||= params.has(key);
      const text = equals === -1 ? true : param.slice(equals + 1).trim();
      params.set(key, typeof text === 'string' ? text.replace(/^"(.*)"$/, '$1') : true);
    }
    offers.push({ name, params, doubled });
  }
  return offers;
}

const known = ['server_no_context_takeover', 'client_no_context_takeover', 'server_max_window_bits', 'client_max_window_bits'] as const;

function bitsOf(value: string | true | undefined): number | null {
  return typeof value === 'string' && /^([89]|1[0-5])$/.test(value) ? Number(value) : null;
}

/** As a client: what the server's answer means, null when it declined, or what is wrong with it. */
export function readDeflateAnswer(value: string | undefined, offered: DeflateParameters | null): DeflateAgreement | null | string {
  const answers = parseExtensionList(value);
  if (answers.some(({ doubled }) => doubled)) return 'an extension parameter is doubled';
  const [answer, second] = answers;
  if (answer === undefined) return null;
  if (second !== undefined || answer.name !== 'permessage-deflate' || offered === null)
    return `extension ${answer.name} was not offered so`;
  const { params } = answer;
  for (const name of params.keys()) if (!known.includes(name as (typeof known)[number])) return `unknown parameter ${name}`;
  for (const name of ['server_no_context_takeover', 'client_no_context_takeover']) {
    if (params.has(name) && params.get(name) !== true) return `${name} has a value`;
  }
  const server = params.has('server_max_window_bits') ? bitsOf(params.get('server_max_window_bits')) : 15;
  const client = params.has('client_max_window_bits') ? bitsOf(params.get('client_max_window_bits')) : 15;
  if (server === null || client === null) return 'window bits out of range';
  if (!offered.offers.some((offer) => answersOffer(params, server, client, offer))) return 'the answer fits no offer (RFC 7692 7.1)';
  return {
    server: { noContextTakeover: params.has('server_no_context_takeover'), windowBits: server },
    client: { noContextTakeover: params.has('client_no_context_takeover'), windowBits: client },
  };
}

function answersOffer(answer: ReadonlyMap<string, string | true>, serverBits: number, clientBits: number, text: string): boolean {
  const offer = parseExtensionList(text)[0]?.params ?? new Map<string, string | true>();
  if (offer.has('server_no_context_takeover') && !answer.has('server_no_context_takeover')) return false;
  const asked = bitsOf(offer.get('server_max_window_bits'));
  // 15 is what leaving the parameter out means, and some servers leave it out.
  if (asked !== null && ((!answer.has('server_max_window_bits') && asked < 15) || serverBits > asked)) return false;
  if (!answer.has('client_max_window_bits')) return true;
  // RFC 7692 section 7.1.2.2: the offered size or a smaller one; without a size any.
  return offer.has('client_max_window_bits') && clientBits <= (bitsOf(offer.get('client_max_window_bits')) ?? 15);
}

/** As a server: the answer to a client's offers under the case's policies, or null when none fits. */
export function answerDeflate(
  value: string | undefined,
  wanted: DeflateParameters | null,
): { header: string; agreement: DeflateAgreement } | null {
  const offers = parseExtensionList(value).filter((offer) => offer.name === 'permessage-deflate');
  if (wanted === null) return null;
  for (const policy of wanted.policies) {
    for (const offer of offers) {
      const answer = answerOffer(offer, policy);
      if (answer !== null) return answer;
    }
  }
  return null;
}

/** An offer with anything else has to be declined (RFC 7692 section 7.1). */
function isRightOffer({ params, doubled }: ParsedOffer): boolean {
  if (doubled) return false;
  return [...params].every(([name, value]) => {
    if (name === 'server_no_context_takeover' || name === 'client_no_context_takeover') return value === true;
    if (name === 'client_max_window_bits' && value === true) return true;
    return (name === 'client_max_window_bits' || name === 'server_max_window_bits') && bitsOf(value) !== null;
  });
}

function answerOffer(offer: ParsedOffer, policy: DeflatePolicy): { header: string; agreement: DeflateAgreement } | null {
  if (!isRightOffer(offer)) return null;
  const { params } = offer;
  const bits = bitsOf(params.get('server_max_window_bits')) ?? 15;
  const clientLimit = params.get('client_max_window_bits');
  if (policy.clientMaxWindowBits !== null && clientLimit === undefined) return null;
  const clientBits = Math.min(policy.clientMaxWindowBits ?? 15, bitsOf(clientLimit) ?? 15);
  const serverNoTakeover = params.has('server_no_context_takeover');
  const parts = ['permessage-deflate'];
  if (serverNoTakeover) parts.push('server_no_context_takeover');
  if (params.has('server_max_window_bits')) parts.push(`server_max_window_bits=${bits}`);
  if (policy.clientNoContextTakeover) parts.push('client_no_context_takeover');
  if (policy.clientMaxWindowBits !== null) parts.push(`client_max_window_bits=${clientBits}`);
  return {
    header: parts.join('; '),
    agreement: {
      server: { noContextTakeover: serverNoTakeover, windowBits: bits },
      client: { noContextTakeover: policy.clientNoContextTakeover, windowBits: policy.clientMaxWindowBits === null ? 15 : clientBits },
    },
  };
}

/* ---- the client's side ---- */

/** The lines of an ordinary request; `{host}`, `{path}` and `{key}` are still to be filled in. */
export function requestFor(deflate: DeflateParameters | null): string[] {
  const lines = [
    'GET {path} HTTP/1.1',
    'Host: {host}',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Key: {key}',
    'Sec-WebSocket-Version: 13',
    'User-Agent: ferrywire-conformance',
  ];
  if (deflate !== null) lines.push(`Sec-WebSocket-Extensions: ${deflate.offers.join(', ')}`);
  return lines;
}

/** Null, or what is wrong with the response (RFC 6455 section 4.1). */
export function checkResponse(head: Head, key: string, asked: readonly string[]): string | null {
  const status = /^HTTP\/1\.1 (\d{3})( |$)/.exec(head.startLine)?.[1];
  if (status !== '101') return `the server answered '${head.startLine.slice(0, 80)}'`;
  if (head.fields.get('upgrade')?.toLowerCase() !== 'websocket') return 'Upgrade is not websocket';
  if (!hasToken(head.fields.get('connection'), 'upgrade')) return 'Connection lacks Upgrade';
  if (head.fields.get('sec-websocket-accept') !== acceptKeyFor(key)) return 'Sec-WebSocket-Accept is wrong';
  return checkSubprotocol(head.fields.get('sec-websocket-protocol'), asked);
}

/** The server may answer with one of those that it was asked for, or with none (RFC 6455 section 4.1, 6). */
export function checkSubprotocol(value: string | undefined, asked: readonly string[]): string | null {
  if (value !== undefined && !asked.includes(value)) return `subprotocol '${value.slice(0, 80)}' was not asked for`;
  return null;
}

/* ---- the server's side ---- */

export interface UpgradeRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly key: string;
  readonly extensions: string | undefined;
  /** What the client asks for, in its order. */
  readonly subprotocols: readonly string[];
}

/** The elements of Sec-WebSocket-Protocol. */
export function listOf(value: string | undefined): string[] {
  return (value ?? '').split(',').flatMap((item) => (item.trim() === '' ? [] : [item.trim()]));
}

/** The request, or what is wrong with it (RFC 6455 section 4.2.1). */
export function readRequest(head: Head): UpgradeRequest | string {
  const target = /^GET (\S+) HTTP\/1\.1$/.exec(head.startLine)?.[1];
  if (target === undefined) return 'not a GET of HTTP/1.1';
  const { fields } = head;
  if (!fields.has('host')) return 'Host is missing';
  if (!hasToken(fields.get('upgrade'), 'websocket')) return 'Upgrade lacks websocket';
  if (!hasToken(fields.get('connection'), 'upgrade')) return 'Connection lacks Upgrade';
  if (fields.get('sec-websocket-version') !== '13') return 'Sec-WebSocket-Version is not 13';
  const key = fields.get('sec-websocket-key') ?? '';
  if (!/^[A-Za-z0-9+/]{22}==$/.test(key)) return 'Sec-WebSocket-Key is not 16 bytes of base64';
  let url: URL;
  try {
    url = new URL(target, 'http://harness');
  } catch {
    return 'the request target is no path';
  }
  const subprotocols = listOf(fields.get('sec-websocket-protocol'));
  return { path: url.pathname, query: url.searchParams, key, extensions: fields.get('sec-websocket-extensions'), subprotocols };
}

/** The lines of an ordinary response; `{accept}` is still to be filled in. */
export function responseFor(extensions: string | null): string[] {
  const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Accept: {accept}'];
  if (extensions !== null) lines.push(`Sec-WebSocket-Extensions: ${extensions}`);
  return lines;
}

export function refusalFor(status: string, text: string): string {
  return `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`;
}
