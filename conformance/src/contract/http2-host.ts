/**
 * `@ferrywire/node` over HTTP/2, as a host of its own. Listeners speak both versions on one port, since the contract's clients made of bytes
 * speak HTTP/1.1; connections to them, and to a harness that says so, are streams.
 */
import { capabilities, connect, listen } from '@ferrywire/node';
import type { AdapterUnderTest } from './adapter.ts';

/** Other servers of the contract are made of bytes too. */
const ports = new Set<string>();

export const nodeOverHttp2: AdapterUnderTest = {
  name: '@ferrywire/node over HTTP/2',
  // A stream's bytes pass through the session, so that they are never gone when write() returns.
  capabilities: { ...capabilities, synchronousWrite: false },
  http2: true,
  listen: async (options) => {
    const listening = await listen({ ...options, http2: true });
    ports.add(String(listening.port));
    return listening;
  },
  connect: (url, { http2, ...options }) => {
    const known = URL.canParse(url) && ports.has(new URL(url).port);
    return connect(url, { ...options, http2: http2 ?? known });
  },
};
