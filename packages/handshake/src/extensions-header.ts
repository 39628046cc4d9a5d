/**
 * The grammar of Sec-WebSocket-Extensions (RFC 6455 section 9.1): one left-to-right pass, no backtracking.
 *
 * Beware: a quoted value counts after unescaping and must then be a token; white space may stand between any two tokens (the RFC uses the
 * ABNF of RFC 2616 with its implied LWS); empty list elements are ignored, a list of nothing else is an error.
 */
import type { ExtensionOffer, ExtensionParam } from '@ferrywire/core';
import { CHARS, isOws, isToken, TOKEN } from './tokens.ts';

const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * The extensions named by one field value, in order.
 *
 * @returns Null when the value breaks the grammar: a server then answers 400, a client fails the connection.
 */
export function parseExtensions(value: string): readonly ExtensionOffer[] | null {
  const offers: ExtensionOffer[] = [];
  const cursor = new Cursor(value);
  for (;;) {
    cursor.skipOws();
    if (cursor.atEnd()) break;
    if (cursor.take(COMMA)) continue;
    const name = cursor.token();
    if (name === null) return null;
    const params: ExtensionParam[] = [];
    for (;;) {
      cursor.skipOws();
      if (!cursor.take(SEMICOLON)) break;
      cursor.skipOws();
      const param = cursor.token();
      if (param === null) return null;
      cursor.skipOws();
      if (!cursor.take(EQUALS)) {
        params.push([param, true]);
        continue;
      }
      cursor.skipOws();
      const content = cursor.at(QUOTE) ? cursor.quoted() : cursor.token();
      if (content === null) return null;
      params.push([param, content]);
    }
    offers.push({ name, params });
    if (!cursor.atEnd() && !cursor.take(COMMA)) return null;
  }
  return offers.length === 0 ? null : offers;
}

class Cursor {
  private position = 0;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  atEnd(): boolean {
    return this.position >= this.text.length;
  }

  at(code: number): boolean {
    return this.text.charCodeAt(this.position) === code;
  }

  take(code: number): boolean {
    if (!this.at(code)) return false;
    this.position++;
    return true;
  }

  skipOws(): void {
    while (isOws(this.text.charCodeAt(this.position))) this.position++;
  }

  token(): string | null {
    const start = this.position;
    for (; this.position < this.text.length; this.position++) {
      const code = this.text.charCodeAt(this.position);
      if (code > 255 || ((CHARS[code] ?? 0) & TOKEN) === 0) break;
    }
    return this.position === start ? null : this.text.slice(start, this.position);
  }

  /** quoted-string (RFC 9110 section 5.6.4) whose content is a token. */
  quoted(): string | null {
    let content = '';
    for (let i = this.position + 1; i < this.text.length; i++) {
      let code = this.text.charCodeAt(i);
      if (code === QUOTE) {
        this.position = i + 1;
        return content === '' ? null : content;
      }
      if (code === BACKSLASH) code = this.text.charCodeAt(++i);
      if (!(code <= 255) || ((CHARS[code] ?? 0) & TOKEN) === 0) return null;
      content += String.fromCharCode(code);
    }
    return null;
  }
}

/**
 * The field value that offers or accepts `offers`, in order. The empty string for an empty list: leave the field out then.
 *
 * @throws {TypeError} for a name or value that is no token.
 */
export function formatExtensions(offers: readonly ExtensionOffer[]): string {
  return offers.map(({ name, params }) => [checkName(name), ...params.map(formatParam)].join('; ')).join(', ');
}

function formatParam([name, value]: ExtensionParam): string {
  if (value === true) return checkName(name);
  if (!isToken(value)) throw new TypeError('extensions: a parameter value must be a token (RFC 6455 section 9.1)');
  return `${checkName(name)}=${value}`;
}

function checkName(name: string): string {
  if (!isToken(name)) throw new TypeError('extensions: a name must be a token (RFC 6455 section 9.1)');
  return name;
}
