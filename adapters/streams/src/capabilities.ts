/**
 * What this adapter can do; what depends on the pair counts as no.
 */
import { defaultCodec } from '@ferrywire/deflate';
import { pakoCodec } from '@ferrywire/deflate/pako';
import type { Capabilities } from '@ferrywire/driver';

/** What this adapter can do, on the runtime at hand. */
export const capabilities: Capabilities = Object.freeze({
  compression: defaultCodec === pakoCodec ? 'pako' : 'zlib',
  halfClose: true,
  http2: false,
  tls: false,
  unixSockets: false,
  refUnref: false,
  resetVisible: false,
  resetSent: false,
  synchronousWrite: false,
  server: false,
  client: false,
});
