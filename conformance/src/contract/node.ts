/** The contract of `@ferrywire/node`, for Node, Bun and Deno alike: `node dist/contract/node.js [part of a case's name]`. */
import type { Capabilities } from '@ferrywire/driver';
import { connect, listen } from '@ferrywire/node';
import { contractSuite } from './suite.ts';

const capabilities: Capabilities = {
  compression: 'zlib',
  halfClose: true,
  http2: true,
  tls: true,
  unixSockets: true,
  refUnref: true,
  // Bun shows a reset as an end.
  resetVisible: process.versions.bun === undefined,
  resetSent: true,
  synchronousWrite: true,
  server: true,
  client: true,
};

contractSuite({ name: '@ferrywire/node', capabilities, listen, connect }, process.argv[2]);
