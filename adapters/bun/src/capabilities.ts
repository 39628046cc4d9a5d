/** What this adapter can do on Bun. */
import { defaultCodec } from '@ferrywire/deflate';
import { zlibCodec } from '@ferrywire/deflate/zlib';
import type { Capabilities } from '@ferrywire/driver';

/** What this adapter can do, on the runtime at hand. */
export const capabilities: Capabilities = Object.freeze({
  compression: defaultCodec === zlibCodec ? 'zlib' : 'pako',
  halfClose: true,
  http2: false,
  tls: true,
  unixSockets: true,
  refUnref: true,
  resetVisible: true,
  resetSent: true,
  synchronousWrite: true,
  server: true,
  client: true,
});
