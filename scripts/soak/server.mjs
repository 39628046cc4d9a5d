/**
 * The soak's server, a process of its own so that its memory is nobody else's: an echo with short deadlines and compression, and the books of
 * every socket and connection. Commands come as IPC messages; `report` answers after a garbage collection.
 */
import { serverDeflate } from '@ferrywire/deflate';
import { listen } from '@ferrywire/node';

const books = { sockets: 0, socketsClosed: 0, opened: 0, ended: 0, clean: 0, refused: 0, messages: 0, unexpected: 0 };
/** @type {Record<string, number>} */
const causes = {};
/** Peers that have ended: nothing may be heard of them again. @type {WeakSet<object>} */
const over = new WeakSet();

/** @param {object} peer */
const alive = (peer) => {
  if (over.has(peer)) books.unexpected++;
};

const server = await listen({
  timeouts: { opening: 4000, closing: 4000, keepalive: 3000, pong: 3000 },
  limits: { maxMessageSize: 262_144 },
  policy: { extensions: [serverDeflate()] },
  highWaterMark: 65_536,
  handlers: {
    onOpen: () => void books.opened++,
    onMessage(peer, data) {
      alive(peer);
      books.messages++;
      peer.send(data);
    },
    onPing: alive,
    onPong: alive,
    onClose: alive,
    onEnd(peer, { clean, cause }) {
      alive(peer);
      over.add(peer);
      books.ended++;
      if (clean) books.clean++;
      else causes[cause?.code ?? 'none'] = (causes[cause?.code ?? 'none'] ?? 0) + 1;
    },
    onRefused: () => void books.refused++,
  },
});
server.server.on('connection', (socket) => {
  books.sockets++;
  socket.once('close', () => void books.socketsClosed++);
});

process.on('message', (command) => {
  if (command === 'report') {
    for (let times = 0; times < 3; times++) globalThis.gc?.();
    const { heapUsed, external, rss } = process.memoryUsage();
    process.send?.({ books: { ...books, peers: server.peers.size }, causes, heap: heapUsed + external, rss });
  } else if (command === 'stop') server.close({ deadline: 1000 }).then(() => process.exit(0));
});
process.on('disconnect', () => process.exit(1));
process.send?.({ port: server.port });
