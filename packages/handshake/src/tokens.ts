/**
 * Characters of HTTP (RFC 9110 section 5.6, RFC 3986 sections 2 and 3.2.2) as one table, and the predicates built on it.
 *
 * Every function is one pass over its input: there is no regular expression here, so nothing can backtrack. Strings are binary strings
 * (one character per byte); a character above U+00FF is in no class. White space is SP and HTAB only: `String.prototype.trim` would also
 * take U+00A0, which is data.
 */
import { parseUrl } from './platform.ts';

/** tchar: RFC 9110 section 5.6.2. */
export const TOKEN = 1;
/** HTAB, SP, VCHAR, obs-text: RFC 9110 section 5.5. */
export const FIELD = 2;
/** VCHAR without '#': what a request target is made of here (RFC 9112 section 3.2). */
export const TARGET = 4;
/** The standard alphabet without padding: RFC 4648 section 4. */
const BASE64 = 8;
/** reg-name without '%' and ',': RFC 3986 section 3.2.2. A comma is a sub-delimiter there, but in Host it shows two joined fields. */
const HOST = 16;
const DIGIT = 32;
const HEX = 64;
/** Hexadecimal digits, ':' and '.': an IPv6 address. */
const ADDRESS = 128;

function charTable(): Uint8Array {
  const table = new Uint8Array(256);
  const mark = (characters: string, bit: number): void => {
    for (let i = 0; i < characters.length; i++) {
      const code = characters.charCodeAt(i);
      table[code] = (table[code] ?? 0) | bit;
    }
  };
  const digits = '0123456789';
  const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
  mark(`${digits}${letters}!#$%&'*+-.^_\`|~`, TOKEN);
  mark(`${digits}${letters}+/`, BASE64);
  mark(`${digits}${letters}-._~!$&'()*+;=`, HOST);
  mark(digits, DIGIT);
  mark(`${digits}abcdefABCDEF`, HEX);
  mark(`${digits}abcdefABCDEF:.`, ADDRESS);
  for (let code = 0; code < 256; code++) {
    const visible = code > 0x20 && code < 0x7f;
    if (visible || code === 0x20 || code === 0x09 || code > 0x7f) table[code] = (table[code] ?? 0) | FIELD;
    if (visible && code !== 0x23) table[code] = (table[code] ?? 0) | TARGET;
  }
  return table;
}

/** Classes by character code. Index with a byte. */
export const CHARS: Uint8Array = charTable();

function all(text: string, start: number, end: number, bit: number): boolean {
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code > 255 || ((CHARS[code] ?? 0) & bit) === 0) return false;
  }
  return true;
}

export function isToken(text: string): boolean {
  return text.length > 0 && all(text, 0, text.length, TOKEN);
}

/** A field value that may go on the wire: no CR, LF, NUL or other control character, nothing above U+00FF. */
export function isFieldValue(text: string): boolean {
  return all(text, 0, text.length, FIELD);
}

/** A request target that may go on the wire: visible ASCII without '#'. */
export function isTarget(text: string): boolean {
  return text.length > 0 && all(text, 0, text.length, TARGET);
}

export function isDigits(text: string): boolean {
  return text.length > 0 && all(text, 0, text.length, DIGIT);
}

/** Sixteen bytes in base64: 22 characters and two pads (RFC 6455 section 4.2.1). Pad bits that are not zero are let through: the key is
 * used as text (erratum 3150). */
export function isKey(text: string): boolean {
  return text.length === 24 && text.endsWith('==') && all(text, 0, 22, BASE64);
}

/** Without the OWS around it (RFC 9110 section 5.6.3). */
export function trimOws(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isOws(text.charCodeAt(start))) start++;
  while (end > start && isOws(text.charCodeAt(end - 1))) end--;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

export function isOws(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/**
 * The elements of a comma list of tokens spread over any number of fields, in order; empty elements are ignored (RFC 9110 section
 * 5.6.1.2). Null when an element is no token, so that a quoted string with a comma in it can't be taken apart.
 */
export function parseTokenList(values: readonly string[]): string[] | null {
  const tokens: string[] = [];
  for (const value of values) {
    for (const part of value.split(',')) {
      const token = trimOws(part);
      if (token === '') continue;
      if (!isToken(token)) return null;
      tokens.push(token);
    }
  }
  return tokens;
}

/** As `parseTokenList`, for Upgrade: an element may be `name/version` (RFC 9110 section 7.8). */
export function parseProtocolList(values: readonly string[]): string[] | null {
  const protocols: string[] = [];
  for (const value of values) {
    for (const part of value.split(',')) {
      const protocol = trimOws(part);
      if (protocol === '') continue;
      const slash = protocol.indexOf('/');
      const sound = slash < 0 ? isToken(protocol) : isToken(protocol.slice(0, slash)) && isToken(protocol.slice(slash + 1));
      if (!sound) return null;
      protocols.push(protocol);
    }
  }
  return protocols;
}

export interface Authority {
  /** In lower case, brackets included. */
  readonly host: string;
  /** As written; '' when there is none. */
  readonly port: string;
}

/** uri-host with an optional port (RFC 9110 section 7.2). Null for anything else: user info, a list, an empty host. */
export function parseAuthority(text: string): Authority | null {
  let hostEnd: number;
  if (text.startsWith('[')) {
    hostEnd = text.indexOf(']') + 1;
    // The bracket form is rare, so the platform's own parser judges the address; it must not see what it would skip or decode.
    if (hostEnd < 4 || !all(text, 1, hostEnd - 1, ADDRESS) || parseUrl(`http://${text.slice(0, hostEnd)}/`) === null) return null;
  } else {
    const colon = text.indexOf(':');
    hostEnd = colon < 0 ? text.length : colon;
    if (hostEnd === 0 || !isRegisteredName(text, hostEnd)) return null;
  }
  const host = text.slice(0, hostEnd).toLowerCase();
  if (hostEnd === text.length) return { host, port: '' };
  if (text.charCodeAt(hostEnd) !== 0x3a) return null;
  const port = text.slice(hostEnd + 1);
  if (port !== '' && (!isDigits(port) || port.length > 5 || Number(port) > 65_535)) return null;
  return { host, port };
}

function isRegisteredName(text: string, end: number): boolean {
  for (let i = 0; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x25) {
      if (i + 2 >= end || !all(text, i + 1, i + 3, HEX)) return false;
      i += 2;
    } else if (code > 255 || ((CHARS[code] ?? 0) & HOST) === 0) return false;
  }
  return true;
}
