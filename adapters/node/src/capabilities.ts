/**
 * What this adapter can do on the runtime at hand.
 */
import { defaultCodec } from '@ferrywire/deflate';
import { zlibCodec } from '@ferrywire/deflate/zlib';
import type { Capabilities } from '@ferrywire/driver';

/** What this adapter can do, on the runtime at hand. */
export const capabilities: Capabilities = Object.freeze({
  compression: defaultCodec === zlibCodec ? 'zlib' : 'pako',
  halfClose: true,
  http2: true,
  tls: true,
  unixSockets: true,
  refUnref: true,
  // Not always: Bun shows a reset as an end, and Node does so when data came right before it.
  resetVisible: false,
  resetSent: true,
  synchronousWrite: true,
  server: true,
  client: true,
});
