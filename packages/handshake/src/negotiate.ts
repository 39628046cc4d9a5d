/**
 * Subprotocols and extensions, both sides (RFC 6455 sections 4.1, 4.2.2, 9.1 and 11.3).
 *
 * A field that breaks its grammar refuses the handshake; an offer that merely does not suit is declined and the next one is tried.
 */
import type { ClientExtension, Extension, ExtensionOffer, ServerExtension } from '@ferrywire/core';
import { formatExtensions, parseExtensions } from './extensions-header.ts';
import type { RequestHead } from './heads.ts';
import { kindOf } from './kinds.ts';
import { isToken, parseTokenList } from './tokens.ts';

export type SubprotocolPolicy = readonly string[] | ((offered: readonly string[], request: RequestHead) => string | null);

/** The subprotocols a request offers, in its order of preference. Null: malformed, empty or repeated (RFC 6455 section 4.1, item 10). */
export function parseSubprotocols(values: readonly string[]): readonly string[] | null {
  if (values.length === 0) return [];
  const names = parseTokenList(values);
  return names === null || names.length === 0 || new Set(names).size !== names.length ? null : names;
}

/** The server's choice among `offered`; the client's preference decides (RFC 6455 section 4.2.2). */
export function chooseSubprotocol(offered: readonly string[], policy: SubprotocolPolicy | undefined, request: RequestHead): string | null {
  if (policy === undefined) return null;
  if (typeof policy !== 'function') return offered.find((name) => policy.includes(name)) ?? null;
  const chosen = policy(offered, request);
  if (chosen === null || chosen === undefined) return null;
  if (typeof chosen !== 'string') throw new TypeError(`policy.subprotocols must return a string or null, not ${kindOf(chosen)}`);
  if (!offered.includes(chosen))
    throw new TypeError('policy.subprotocols returned a subprotocol that the client did not offer (RFC 6455 section 4.2.2)');
  return chosen;
}

/** @throws {SyntaxError} for a name that is no token or is repeated: what the WHATWG constructor throws. */
export function checkSubprotocols(names: readonly string[], option: string): readonly string[] {
  if (!Array.isArray(names)) throw new TypeError(`${option} must be a list of names`);
  for (const name of names as readonly unknown[]) {
    if (typeof name !== 'string' || !isToken(name)) throw new SyntaxError(`${option}: each name must be a token (RFC 6455 section 4.1)`);
  }
  if (new Set(names).size !== names.length) throw new SyntaxError(`${option}: a name is repeated (RFC 6455 section 4.1)`);
  return names;
}

/** `half` is what the side of the connection calls of each. @throws {TypeError} naming the option. */
export function checkExtensions(list: readonly unknown[], half: 'offers' | 'accept', option: string): void {
  const isOne = (entry: { readonly name?: unknown; readonly offers?: unknown; readonly accept?: unknown } | null): boolean =>
    typeof entry?.name === 'string' && typeof entry[half] === 'function';
  if (!Array.isArray(list) || !list.every(isOne)) throw new TypeError(`${option} must be a list of extensions with a name and ${half}()`);
}

/** All values of Sec-WebSocket-Extensions as one list, in order. Null: at least one breaks the grammar. */
export function parseExtensionFields(values: readonly string[]): readonly ExtensionOffer[] | null {
  const all: ExtensionOffer[] = [];
  for (const value of values) {
    const offers = parseExtensions(value);
    if (offers === null) return null;
    for (const offer of offers) all.push(offer);
  }
  return all;
}

export interface AcceptedExtensions {
  readonly extensions: readonly Extension[];
  /** The field value of the response; '' when nothing was accepted. */
  readonly field: string;
}

/** Goes through the offers in order; each extension is accepted once at most, and no two may own the same RSV bit. */
export function acceptExtensions(offers: readonly ExtensionOffer[], available: readonly ServerExtension[]): AcceptedExtensions {
  const extensions: Extension[] = [];
  if (available.length === 0) return { extensions, field: '' };
  return orDispose(extensions, () => ({ extensions, field: formatExtensions(acceptInto(extensions, offers, available)) }));
}

/** Returns what is to be answered. */
function acceptInto(
  extensions: Extension[],
  offers: readonly ExtensionOffer[],
  available: readonly ServerExtension[],
): readonly ExtensionOffer[] {
  const answers: ExtensionOffer[] = [];
  let bits = 0;
  for (const offer of offers) {
    if (answers.some(({ name }) => name === offer.name)) continue;
    const candidate = available.find(({ name }) => name === offer.name);
    const accepted = candidate?.accept(offer.params, extensions) ?? null;
    if (accepted === null) continue;
    if ((accepted.extension.rsv & bits) !== 0) {
      accepted.extension.dispose?.();
      continue;
    }
    bits |= accepted.extension.rsv;
    extensions.push(accepted.extension);
    answers.push({ name: offer.name, params: accepted.params });
    if (answers.length === available.length) break;
  }
  return answers;
}

/** What a client offers: every parameter list of every extension, in order of preference. */
export function offerExtensions(available: readonly ClientExtension[]): string {
  checkExtensions(available, 'offers', 'options.extensions');
  const names = new Set(available.map(({ name }) => name));
  if (names.size !== available.length)
    throw new TypeError('options.extensions: an extension is listed twice; give it several offers instead');
  return formatExtensions(available.flatMap((extension) => extension.offers().map((params) => ({ name: extension.name, params }))));
}

/**
 * The extensions a response puts in force, in its order, which is the order of the operations on data (RFC 6455 section 9.1). Null: it names one
 * that was not offered, one twice, or with parameters the extension does not take.
 */
export function confirmExtensions(answers: readonly ExtensionOffer[], available: readonly ClientExtension[]): readonly Extension[] | null {
  const extensions: Extension[] = [];
  const confirmed = orDispose(extensions, () => confirmInto(extensions, answers, available));
  if (!confirmed) disposeAll(extensions);
  return confirmed ? extensions : null;
}

function confirmInto(extensions: Extension[], answers: readonly ExtensionOffer[], available: readonly ClientExtension[]): boolean {
  const named = new Set<string>();
  let bits = 0;
  for (const { name, params } of answers) {
    const extension = named.has(name)
      ? null
      : (available.find((candidate) => candidate.name === name)?.confirm(params, extensions) ?? null);
    if (extension === null || (extension.rsv & bits) !== 0) {
      extension?.dispose?.();
      return false;
    }
    named.add(name);
    bits |= extension.rsv;
    extensions.push(extension);
  }
  return true;
}

/** Lets all of them go, whatever one of them throws; then throws that. */
function disposeAll(extensions: readonly Extension[]): void {
  const failures: unknown[] = [];
  for (const extension of extensions) {
    try {
      extension.dispose?.();
    } catch (failure) {
      failures.push(failure);
    }
  }
  if (failures.length > 0) throw failures[0];
}

/** What `make` makes with these extensions. When it throws there will be no connection to let them go at its end, so they go now. */
export function orDispose<Result>(extensions: readonly Extension[], make: () => Result): Result {
  try {
    return make();
  } catch (mistake) {
    try {
      disposeAll(extensions);
    } catch {
      // What went wrong first is what the caller is to hear.
    }
    throw mistake;
  }
}
