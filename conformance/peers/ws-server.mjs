// Echo server on ws. Arguments: port, and `deflate` for permessage-deflate.
import { WebSocketServer } from 'ws';

const [port, mode] = process.argv.slice(2);
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(port),
  maxPayload: 64 * 1024 * 1024,
  perMessageDeflate: mode === 'deflate',
});
server.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on('error', () => {});
});
