/**
 * What a server demands of a request beyond the RFC: origin, host, path, subprotocols, extensions (RFC 6455 sections 4.2.2 and 10.2).
 */
import type { ServerExtension } from '@ferrywire/core';
import { checkFields, type HeaderList } from './headers.ts';
import { checkNames, kindOf } from './kinds.ts';
import type { SubprotocolPolicy } from './negotiate.ts';
import { checkExtensions, checkSubprotocols } from './negotiate.ts';
import { parseAuthority } from './tokens.ts';

export interface ServerPolicy {
  /**
   * Names this server speaks; the client's order decides. Or a function that chooses one of `offered`, or null for none. A function that returns
   * anything else, a promise for instance, makes the handshake throw a TypeError.
   */
  readonly subprotocols?: SubprotocolPolicy;
  /** Refuse with 400 when no subprotocol was agreed on. Default false. */
  readonly requireSubprotocol?: boolean;
  readonly extensions?: readonly ServerExtension[];
  /**
   * Accepted Origin values; others are 403. A string is compared whole, letters in any case; anchor a RegExp at both ends. `null` accepts a
   * request without Origin, which is then no browser's (RFC 6455 section 4.2.1). Default: every origin, or none.
   */
  readonly origins?: readonly (string | RegExp | null)[];
  /**
   * Accepted Host / :authority values: the defence against DNS rebinding; others are 403. An entry without a port accepts any port. A
   * RegExp sees the value as sent. Default: any well-formed one.
   */
  readonly hosts?: readonly (string | RegExp)[];
  /** Answer a Sec-WebSocket-Key over HTTP/2 with an accept, against RFC 8441 section 5, for older undici. Default false. */
  readonly h2Accept?: boolean;
  /**
   * Which targets are served; others are 404. Judged on the path: without the query, escapes left as they are. A function that returns anything
   * but a boolean, a promise for instance, makes the handshake throw a TypeError. Default: all.
   */
  readonly path?: string | RegExp | ((path: string) => boolean);
  /** Further fields of the 101 (or 200). What the protocol sets itself is refused with a TypeError. */
  readonly headers?: HeaderList;
}

const reserved: ReadonlySet<string> = new Set(['upgrade', 'connection', 'content-length', 'transfer-encoding', 'trailer']);

export function isReservedInResponse(name: string): boolean {
  return reserved.has(name) || name.startsWith('sec-websocket-');
}

const rules: Readonly<Record<keyof ServerPolicy, true>> = {
  subprotocols: true,
  requireSubprotocol: true,
  extensions: true,
  origins: true,
  hosts: true,
  h2Accept: true,
  path: true,
  headers: true,
};

/**
 * Not remembered per object: lists may have changed since.
 *
 * @throws {TypeError} or {@link SyntaxError} naming the option.
 */
export function checkPolicy(policy: ServerPolicy): void {
  if (typeof policy !== 'object' || policy === null) throw new TypeError('policy must be an object');
  checkNames(policy, rules, 'policy', 'rule');
  const { headers, subprotocols, requireSubprotocol, extensions, origins, hosts, h2Accept, path } = policy;
  if (headers !== undefined) checkFields(headers, 'policy.headers', isReservedInResponse);
  if (typeof subprotocols === 'function') checkPredicate(subprotocols, 'policy.subprotocols');
  else if (subprotocols !== undefined) checkSubprotocols(subprotocols, 'policy.subprotocols');
  if (extensions !== undefined) checkExtensions(extensions, 'accept', 'policy.extensions');
  if (origins !== undefined)
    checkList(origins, (entry) => entry === null || isPattern(entry), 'policy.origins', 'strings, expressions and null');
  if (hosts !== undefined) checkList(hosts, isPattern, 'policy.hosts', 'strings and expressions');
  for (const host of hosts ?? []) {
    if (typeof host === 'string' && parseAuthority(host) === null)
      throw new TypeError('policy.hosts: each entry must be a host with an optional port');
  }
  if (typeof path === 'function') checkPredicate(path, 'policy.path');
  else if (path !== undefined && !isPattern(path)) throw new TypeError('policy.path must be a string, an expression or a function');
  if (typeof path === 'string' && !path.startsWith('/')) throw new TypeError('policy.path must start with "/"');
  checkFlag(requireSubprotocol, 'policy.requireSubprotocol');
  checkFlag(h2Accept, 'policy.h2Accept');
}

function checkFlag(value: unknown, option: string): void {
  if (value !== undefined && typeof value !== 'boolean') throw new TypeError(`${option} must be a boolean`);
}

/** A string has `includes` too, and would let in whatever it contains. */
function checkList(value: unknown, isEntry: (entry: unknown) => boolean, option: string, entries: string): void {
  if (!Array.isArray(value) || !value.every(isEntry)) throw new TypeError(`${option} must be a list of ${entries}`);
}

/** A RegExp of another realm too. */
function isPattern(value: unknown): boolean {
  return typeof value === 'string' || tagOf(value) === '[object RegExp]';
}

/** Found here where the function shows it; a promise that comes as a surprise is found when it is returned. */
function checkPredicate(predicate: unknown, option: string): void {
  if (tagOf(predicate) === '[object AsyncFunction]')
    throw new TypeError(`${option} must not be async: the request waits for accept(), so decide before you call it`);
}

function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value);
}

/** `test` without the state that a RegExp with the flag `g` or `y` keeps between calls. */
function matches(expression: RegExp, text: string): boolean {
  expression.lastIndex = 0;
  return expression.test(text);
}

/** `origins` holds the values of all Origin fields. More than one is a forgery (RFC 6454 section 7.3). */
export function isOriginAllowed(policy: ServerPolicy, origins: readonly string[]): boolean {
  if (policy.origins === undefined) return true;
  if (origins.length === 0) return policy.origins.includes(null);
  const origin = origins[0];
  if (origins.length > 1 || origin === undefined) return false;
  const lower = origin.toLowerCase();
  return policy.origins.some(
    (entry) => entry !== null && (typeof entry === 'string' ? entry.toLowerCase() === lower : matches(entry, origin)),
  );
}

/** `authority` is well-formed. */
export function isHostAllowed(policy: ServerPolicy, authority: string): boolean {
  if (policy.hosts === undefined) return true;
  const sent = parseAuthority(authority);
  return policy.hosts.some((entry) => {
    if (typeof entry !== 'string') return matches(entry, authority);
    const wanted = parseAuthority(entry);
    return sent !== null && wanted !== null && sent.host === wanted.host && (wanted.port === '' || wanted.port === sent.port);
  });
}

export function isPathServed(policy: ServerPolicy, path: string): boolean {
  const { path: rule } = policy;
  if (rule === undefined) return true;
  if (typeof rule === 'string') return rule === path;
  if (typeof rule !== 'function') return matches(rule, path);
  const served: unknown = rule(path);
  // Whatever else it is could be taken for true: a promise of false is.
  if (typeof served !== 'boolean') throw new TypeError(`policy.path must return a boolean, not ${kindOf(served)}`);
  return served;
}
