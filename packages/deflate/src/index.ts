/**
 * permessage-deflate (RFC 7692) for runtimes with node:zlib: Node, Bun, Deno. Chosen by the export map; elsewhere portable.ts is.
 */
import type { ClientExtension, ServerExtension } from '@ferrywire/core';
import type { DeflateCodec } from './codec.ts';
import { createClientDeflate, createServerDeflate } from './factories.ts';
import type { DeflateOptions } from './options.ts';
import { pakoCodec } from './pako.ts';
import { chooseCodec } from './probe.ts';
import { zlibCodec } from './zlib.ts';

export type { DeflateCodec, RawDeflate, RawInflate, Step } from './codec.ts';
export type { DeflateOptions } from './options.ts';
export { probeCodec } from './probe.ts';

/** node:zlib, or pako when the probe of node:zlib has failed. */
export const defaultCodec: DeflateCodec = chooseCodec(zlibCodec, pakoCodec);

/**
 * The client's half: one configuration for any number of connections. Without options it offers
 * `permessage-deflate; client_max_window_bits`; with options it offers what they say and nothing else.
 *
 * @throws {TypeError | RangeError} naming the option that is not what it may be.
 */
export function clientDeflate(options?: DeflateOptions): ClientExtension {
  return createClientDeflate(options, defaultCodec);
}

/**
 * The server's half. Without options neither side keeps context: no memory per connection, and nothing for an attacker to compare
 * secrets with across messages (RFC 7692 section 8).
 *
 * @throws {TypeError | RangeError} naming the option that is not what it may be.
 */
export function serverDeflate(options?: DeflateOptions): ServerExtension {
  return createServerDeflate(options, defaultCodec);
}
