// Ends by itself although a listener and both sides of a connection are open, with deadlines pending: nothing of it keeps a process alive.
import { connect, listen, transportOf } from '@ferrywire/node';

/** @type {import('@ferrywire/node').Peer[]} */
const opened = [];
const handlers = {
  /** @param {import('@ferrywire/node').Peer} peer */
  onOpen(peer) {
    opened.push(peer);
  },
};
const listening = await listen({ handlers });
await connect(listening.url, { handlers });
for (const peer of opened) transportOf(peer).unref();
listening.unref();
console.log(`${opened.length} open`);
