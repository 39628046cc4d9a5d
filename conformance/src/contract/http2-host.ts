/**
 * `@ferrywire/node` over HTTP/2, as a host of its own. Listeners speak both versions on one port, since the contract's clients made of bytes
 * speak HTTP/1.1; connections to them, and to a harness that says so, are streams.
 */
import { capabilities, connect, listen, type NodeListening, transportOf } from '@ferrywire/node';
import type { AdapterUnderTest } from './adapter.ts';

/** Other servers of the contract are made of bytes too, and may get a port that one of these has given back. */
const listeners = new Set<NodeListening>();
function isOurs(port: string): boolean {
  for (const listening of listeners) {
    if (!listening.server.listening) listeners.delete(listening);
    else if (String(listening.port) === port) return true;
  }
  return false;
}

export const nodeOverHttp2: AdapterUnderTest = {
  name: '@ferrywire/node over HTTP/2',
  // A stream's bytes pass through the session, so that they are never gone when write() returns.
  capabilities: { ...capabilities, synchronousWrite: false },
  http2: true,
  transportOf,
  listen: async (options) => {
    const listening = await listen({ ...options, http2: true });
    listeners.add(listening);
    return listening;
  },
  connect: (url, { http2, ...options }) => {
    const known = URL.canParse(url) && isOurs(new URL(url).port);
    return connect(url, { ...options, http2: http2 ?? known });
  },
};
