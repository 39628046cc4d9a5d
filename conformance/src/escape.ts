/**
 * What a peer says is shown, never obeyed: control characters, escape sequences and direction marks of a terminal become visible (security
 * note S27), and so do code points that are no characters, two of which no XML may have.
 */

/** Printable text on one line. At most `limit` characters of it. */
export function escaped(text: string, limit = 400): string {
  let shown = '';
  for (const char of text) {
    if (shown.length >= limit) return `${shown}...`;
    shown += /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{NChar}\u2028\u2029\\]/u.test(char) ? escapeOf(char) : char;
  }
  return shown;
}

function escapeOf(char: string): string {
  if (char === '\\') return '\\\\';
  const code = char.codePointAt(0) ?? 0;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}
