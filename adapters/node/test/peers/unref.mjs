// Ends by itself although a listener and both sides of its connections are open, over both versions of HTTP, with deadlines pending: nothing of
// it keeps a process alive.
import { connect, listen, transportOf } from '@ferrywire/node';

/** @type {import('@ferrywire/node').Peer[]} */
const opened = [];
const handlers = {
  /** @param {import('@ferrywire/node').Peer} peer */
  onOpen(peer) {
    opened.push(peer);
  },
};
const listening = await listen({ handlers, http2: true });
await connect(listening.url, { handlers });
await connect(listening.url, { handlers, http2: true });
for (const peer of opened) transportOf(peer).unref();
listening.unref();
console.log(`${opened.length} open`);
