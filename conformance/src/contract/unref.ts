// Ends by itself although a listener and both sides of a connection are open, with deadlines pending: nothing of it keeps a process alive.
import type { Peer, PeerHandlers } from '@ferrywire/driver';

const loaders = {
  node: () => import('@ferrywire/node'),
  bun: () => import('@ferrywire/bun'),
  deno: () => import('@ferrywire/deno'),
};
const [host = ''] = process.argv.slice(2);
const http2 = host === 'node-http2';
const { listen, connect, transportOf } = await loaders[(http2 ? 'node' : host) as keyof typeof loaders]();

const opened: Peer[] = [];
const handlers: PeerHandlers = { onOpen: (peer) => void opened.push(peer) };
const listening = await listen(http2 ? { handlers, http2 } : { handlers });
await connect(listening.url, http2 ? { handlers, http2 } : { handlers });
for (const peer of opened) transportOf(peer).unref();
listening.unref();
console.log(`${opened.length} open`);
