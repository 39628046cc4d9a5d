// Echo server on websocket-driver. Arguments: port, and `deflate` for permessage-deflate.
import { createServer } from 'node:http';
import deflate from 'permessage-deflate';
import driver from 'websocket-driver';

const [port, mode] = process.argv.slice(2);
const server = createServer();
server.on('upgrade', (request, socket, head) => {
  if (!driver.isWebSocket(request)) return socket.destroy();
  const peer = driver.http(request, { maxLength: 64 * 1024 * 1024 });
  if (mode === 'deflate') peer.addExtension(deflate);
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  peer.io.write(head);
  socket.pipe(peer.io).pipe(socket);
  peer.messages.on('data', (message) => {
    if (typeof message === 'string') peer.text(message);
    else peer.binary(message);
  });
  peer.on('error', () => {});
  peer.on('close', () => socket.end());
  peer.start();
});
server.listen(Number(port), '127.0.0.1');
