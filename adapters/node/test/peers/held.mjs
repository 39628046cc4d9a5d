// Two connections of one HTTP/2 session, the first of them let go of, twice: the second keeps the process alive, and nothing else does, nor
// what was refused.
import { listen, transportOf } from '@ferrywire/node';

/** @type {import('@ferrywire/node').Peer[]} */
const opened = [];
const listening = await listen({
  http2: true,
  policy: { path: '/' },
  handlers: {
    onOpen(peer) {
      opened.push(peer);
      const [first, second] = opened;
      if (first === undefined || second === undefined) return;
      transportOf(first).unref();
      transportOf(first).unref();
      listening.unref();
    },
    onMessage: (peer, data) => void peer.send(data),
  },
});
console.log(listening.port);
