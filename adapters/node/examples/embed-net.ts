/**
 * An echo server on plain TCP without the driver: the whole contract between a protocol object and a socket in one function.
 * The order inside `turn` is that of every host: input, events, output, reading, directive, timer.
 */
import net from 'node:net';
import { ServerProtocol } from '@ferrywire/handshake';

const clock = (): number => performance.now();

export const server: net.Server = net.createServer({ allowHalfOpen: true }, (socket) => {
  const ws = new ServerProtocol({ clock });
  let timer: NodeJS.Timeout | undefined;
  const turn = (input: () => void): void => {
    input();
    for (const event of ws.events()) {
      if (event.type === 'request') ws.accept();
      else if (event.type === 'message') ws.send(event.data);
    }
    const output = ws.takeOutput();
    if (output.length > 0 && !socket.write(Buffer.concat(output))) ws.pause();
    if (ws.wantsRead) socket.resume();
    else socket.pause();
    if (ws.transport === 'abort') socket.destroy();
    else if (ws.transport !== 'open') socket.end();
    clearTimeout(timer);
    const due = ws.nextTimeout();
    if (due !== null && !socket.destroyed) timer = setTimeout(turn, due - clock(), () => ws.handleTimeout());
  };
  socket.on('data', (chunk: Uint8Array) => turn(() => ws.receiveData(chunk)));
  socket.on('end', () => turn(() => ws.receiveEof()));
  socket.on('error', (error) => turn(() => ws.receiveError(error)));
  socket.on('drain', () => turn(() => ws.resume()));
  socket.on('close', () => clearTimeout(timer));
  turn(() => {});
});
server.listen(Number(process.env.PORT ?? 8080), '127.0.0.1');
