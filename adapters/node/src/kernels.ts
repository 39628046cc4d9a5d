/**
 * UTF-8 by what Node's `Buffer` can do natively (RFC 6455 section 8.1).
 */
import * as buffer from 'node:buffer';
import type { Kernels } from '@ferrywire/core';
import { textKernels } from '@ferrywire/driver/adapter';
import { runtime } from './timers.ts';

const never = Number.POSITIVE_INFINITY;

/** Every variant, for the tests: which one runs is chosen once, at load, for the runtime at hand. */
export const decoders: { readonly [name: string]: (bytes: Uint8Array, start: number, end: number) => string | null } = {
  v8: textKernels(buffer, { small: true, asciiFrom: never }).decodeUtf8,
  'v8 ascii first': textKernels(buffer, { small: true, asciiFrom: 64 }).decodeUtf8,
  jsc: textKernels(buffer, { small: false, asciiFrom: never }).decodeUtf8,
};

/** The option `kernels` for a connection of your own on Node: what this adapter gives to its own. */
export const kernels: Kernels = runtime.kernels ?? {};
