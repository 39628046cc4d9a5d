/**
 * The contract of `@ferrywire/node` over HTTP/2, for Node, Bun and Deno alike: `node dist/contract/node-http2.js [part of a case's name]`.
 * Listeners speak both versions, since the contract's clients made of bytes speak HTTP/1.1; connections to them are streams.
 */
import { capabilities, connect, listen } from '@ferrywire/node';
import type { AdapterUnderTest } from './adapter.ts';
import { contractSuite } from './suite.ts';

/** Other servers of the contract are made of bytes too. */
const modern = new Set<string>();

const adapter: AdapterUnderTest = {
  name: '@ferrywire/node over HTTP/2',
  // A stream's bytes pass through the session, so that they are never gone when write() returns.
  capabilities: { ...capabilities, synchronousWrite: false },
  listen: async (options) => {
    const listening = await listen({ ...options, http2: true });
    modern.add(listening.url);
    return listening;
  },
  connect: (url, options) => connect(url, { ...options, http2: [...modern].some((base) => url.startsWith(base)) }),
};

contractSuite(adapter, process.argv[2]);
