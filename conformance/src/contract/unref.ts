// Ends by itself although a listener and both sides of a connection are open, with deadlines pending: nothing of it keeps a process alive.
import type { Peer, PeerHandlers } from '@ferrywire/driver';

const loaders = {
  node: () => import('@ferrywire/node'),
  bun: () => import('@ferrywire/bun'),
  deno: () => import('@ferrywire/deno'),
};
const { listen, connect, transportOf } = await loaders[process.argv[2] as keyof typeof loaders]();

const opened: Peer[] = [];
const handlers: PeerHandlers = { onOpen: (peer) => void opened.push(peer) };
const listening = await listen({ handlers });
await connect(listening.url, { handlers });
for (const peer of opened) transportOf(peer).unref();
listening.unref();
console.log(`${opened.length} open`);
