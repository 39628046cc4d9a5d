/**
 * Text within XML and HTML. What a peer says may hold anything: control characters and others that no XML may have become visible first.
 */
import { escaped } from './escape.ts';

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** For content and for values in quotes. At most `limit` characters of the text. */
export function marked(text: string, limit = 400): string {
  return escaped(text, limit).replace(/[&<>"']/g, (char) => entities[char] ?? char);
}
