/**
 * What this adapter can do on the runtime at hand.
 */
import { defaultCodec } from '@ferrywire/deflate';
import { zlibCodec } from '@ferrywire/deflate/zlib';
import type { Capabilities } from '@ferrywire/driver';

const onBun = process.versions.bun !== undefined;

export const capabilities: Capabilities = Object.freeze({
  compression: defaultCodec === zlibCodec ? 'zlib' : 'pako',
  halfClose: true,
  http2: false,
  tls: true,
  unixSockets: true,
  refUnref: true,
  // Bun's sockets show a reset as an end.
  resetVisible: !onBun,
  resetSent: true,
  synchronousWrite: true,
  server: true,
  client: true,
});
