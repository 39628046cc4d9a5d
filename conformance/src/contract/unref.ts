// Ends by itself although a listener and both sides of a connection are open, with deadlines pending: nothing of it keeps a process alive. With a
// second argument, 'listener' or 'connection', that one is told to keep it again, which a timer that does not keep it either then sees.
import type { Peer, PeerHandlers } from '@ferrywire/driver';

const loaders = {
  node: () => import('@ferrywire/node'),
  bun: () => import('@ferrywire/bun'),
  deno: () => import('@ferrywire/deno'),
};
const [host = '', kept] = process.argv.slice(2);
const http2 = host === 'node-http2';
const { listen, connect, transportOf } = await loaders[(http2 ? 'node' : host) as keyof typeof loaders]();

const opened: Peer[] = [];
const handlers: PeerHandlers = { onOpen: (peer) => void opened.push(peer) };
const listening = await listen(http2 ? { handlers, http2 } : { handlers });
const client = await connect(listening.url, http2 ? { handlers, http2 } : { handlers });
for (const peer of opened) transportOf(peer).unref();
listening.unref();
console.log(`${opened.length} open`);
if (kept !== undefined) {
  if (kept === 'listener') listening.ref();
  else transportOf(client).ref();
  setTimeout(() => {
    console.log(`kept by the ${kept}`);
    process.exit();
  }, 50).unref();
}
