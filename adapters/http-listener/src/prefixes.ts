/**
 * URL prefixes as HttpListener and the HTTP Server API document them ("UrlPrefix Strings"): `scheme://host:port/path/`.
 *
 * A request goes to the strong wildcard `+` first, then to prefixes with its host, then to the weak wildcard `*`; within the first of these
 * that matches at all, to the longest path. Host and path are compared without regard to case. Beware: `http://+:80/a/` therefore wins over
 * `http://h:80/a/b/` for `/a/b/`.
 */
import { isIP } from 'node:net';
import { ArgumentException, ArgumentNullException } from './errors.ts';

export interface UrlPrefix {
  /** As it was given. */
  readonly text: string;
  readonly secure: boolean;
  /** In lower case; '+' and '*' are the wildcards; an IPv6 address has its brackets. */
  readonly host: string;
  readonly port: number;
  /** In lower case, with a slash at both ends. */
  readonly path: string;
  /** Equal for prefixes that register the same part of the namespace. */
  readonly key: string;
}

const prefixForm = /^(https?):\/\/([^/]*)(\/.*)$/i;
const authorityForm = /^(\[[^\]]*\]|[^:]*)(?::([0-9]*))?$/;
const hostForm = /^[\p{L}\p{N}]([\p{L}\p{N}._-]*[\p{L}\p{N}.])?$/u;

/** Throws ArgumentException for what is no prefix, naming the rule. */
export function parsePrefix(uriPrefix: string): UrlPrefix {
  if (uriPrefix === null || uriPrefix === undefined) throw new ArgumentNullException('uriPrefix');
  const text = String(uriPrefix);
  const wrong = (message: string): ArgumentException => new ArgumentException(message, 'uriPrefix');
  if (!/^https?:\/\//i.test(text)) throw wrong("only prefixes that start with 'http://' or 'https://' are supported");
  if (!text.endsWith('/')) throw wrong("a prefix must end with '/'");
  const [, scheme = '', authority = '', path = ''] = prefixForm.exec(text) ?? [];
  const [matched, host = '', portText] = authorityForm.exec(authority) ?? [];
  const secure = scheme.toLowerCase() === 'https';
  if (matched === undefined || !isHost(host))
    throw wrong('the host of a prefix must be a name, an address, or one of the wildcards + and *');
  const port = portText === undefined ? (secure ? 443 : 80) : Number(portText);
  // Port 0 is beyond .NET: the system chooses one, which `HttpListener.endPoints` tells.
  if (portText === '' || port > 65_535) throw wrong('the port of a prefix must be a number from 0 to 65535');
  if (/[?#\\]/.test(path) || /%(?![0-9a-f]{2})/i.test(path)) throw wrong('the path of a prefix must be a path');
  const parsed = { text, secure, host: foldHost(host), port, path: foldPath(path) };
  return { ...parsed, key: prefixKey(parsed) };
}

export function prefixKey({ secure, host, port, path }: Omit<UrlPrefix, 'text' | 'key'>): string {
  return `${secure ? 'https' : 'http'}://${host}:${port}${path}`;
}

function isHost(host: string): boolean {
  if (host === '+' || host === '*') return true;
  if (host.startsWith('[')) return isIP(host.slice(1, -1)) === 6;
  return hostForm.test(host);
}

/**
 * Host and port alone: with anything else in a Host field (RFC 9112 section 3.2) a URL made of it would have another path, or another host, than
 * the request.
 */
export function isAuthority(host: string): boolean {
  return /^(\[[\da-f:.]+(%[^\s/?#\\@\]]*)?\]|[^\s/?#\\@:[\]]+)(:\d*)?$/i.test(host);
}

/** An address has many spellings; the URL parser knows the canonical one. */
function foldHost(host: string): string {
  if (host === '+' || host === '*' || !isAuthority(host)) return host.toLowerCase();
  try {
    return new URL(`http://${host}/`).hostname;
  } catch {
    return host.toLowerCase();
  }
}

/**
 * As the URL has it that the application decides by, so without dot segments, which would lead out of the prefix; percent-decoded where that is
 * possible, in lower case.
 */
function foldPath(path: string): string {
  const resolved = path.startsWith('/') ? new URL(`http://host${path}`).pathname : path;
  try {
    return decodeURIComponent(resolved).toLowerCase();
  } catch {
    return resolved.toLowerCase();
  }
}

export interface RoutedRequest {
  readonly secure: boolean;
  /** From the Host field, without port; '' when there is none. */
  readonly host: string;
  /** Where it came in. */
  readonly port: number;
  /** Path of the target, still encoded. */
  readonly path: string;
}

/** The prefix that gets the request, or null. */
export function matchPrefix<Prefix extends UrlPrefix>(prefixes: Iterable<Prefix>, request: RoutedRequest): Prefix | null {
  const host = request.host === '' ? '' : foldHost(request.host);
  // `/ws` is within `/ws/`.
  const path = `${foldPath(request.path)}/`;
  const best: { strong: Prefix | null; explicit: Prefix | null; weak: Prefix | null } = { strong: null, explicit: null, weak: null };
  for (const prefix of prefixes) {
    if (prefix.secure !== request.secure || prefix.port !== request.port || !path.startsWith(prefix.path)) continue;
    const category = prefix.host === '+' ? 'strong' : prefix.host === '*' ? 'weak' : 'explicit';
    if (category === 'explicit' && prefix.host !== host) continue;
    const before = best[category];
    if (before === null || prefix.path.length > before.path.length) best[category] = prefix;
  }
  return best.strong ?? best.explicit ?? best.weak;
}

/**
 * Path, still encoded, and host of a target. An absolute form is legal (RFC 9112 section 3.2.2); the host in it wins over the Host field. `rest` is
 * the path and what follows it.
 */
export function splitTarget(target: string): { readonly authority?: string; readonly path: string; readonly rest: string } {
  const [, authority, rest = target] = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)(.*)$/i.exec(target) ?? [];
  return { ...(authority === undefined ? null : { authority }), path: rest.replace(/[?#].*$/s, '') || '/', rest };
}
