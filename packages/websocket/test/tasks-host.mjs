/**
 * A program of its own: the scheduler is chosen once. Two sockets on a host that lacks the globals named on the command line. Prints what their
 * handlers saw, with the promise callbacks in between.
 */
import { joinedSocket } from './joined.mjs';

for (const name of process.argv.slice(2)) Reflect.deleteProperty(globalThis, name);

/** @type {string[]} */
const seen = [];
let open = 2;
for (const name of ['a', 'b']) {
  const { socket, transport } = await joinedSocket();
  socket.onmessage = (event) => {
    seen.push(`${name}${event.data}`);
    queueMicrotask(() => seen.push('-'));
  };
  socket.onclose = () => {
    if (--open > 0) return;
    process.stdout.write(seen.join(''));
    process.exit(0);
  };
  // Texts '1' and '2', then a close frame.
  transport.feed(Uint8Array.of(0x81, 1, 0x31, 0x81, 1, 0x32, 0x88, 0));
  transport.feedEof();
}
