// @ts-nocheck: three runtimes' globals in one program
/**
 * The WebSockets that runtimes bring along, as echo peers: a program for Node, Bun and Deno.
 *
 *   native-websocket.mjs clients            connects to each URL, a line each, of its standard input, sends back every message, ends with it
 *   native-websocket.mjs server             Bun and Deno: listens, prints the port, sends back every message, ends with its standard input
 *   native-websocket.mjs server-dedicated   Bun: the same, with compression contexts that live as long as the connection
 */
import process from 'node:process';
import { createInterface } from 'node:readline';

const [kind] = globalThis.Deno === undefined ? process.argv.slice(2) : Deno.args;

/** @param {WebSocket} socket */
function echo(socket) {
  socket.binaryType = 'arraybuffer';
  socket.onmessage = ({ data }) => socket.send(data);
}

if (kind === 'clients') {
  for await (const line of createInterface({ input: process.stdin })) {
    const socket = new WebSocket(line);
    socket.onerror = () => {};
    echo(socket);
  }
  process.exit(0);
} else if (globalThis.Bun !== undefined) {
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request, host) => (host.upgrade(request) ? undefined : new Response(null, { status: 400 })),
    websocket: {
      perMessageDeflate: kind === 'server-dedicated' ? { compress: 'dedicated', decompress: 'dedicated' } : true,
      message: (socket, message) => {
        socket.send(message, true);
      },
    },
  });
  console.log(server.port);
  process.stdin.on('end', () => process.exit(0)).resume();
} else if (globalThis.Deno !== undefined) {
  const server = Deno.serve({ port: 0, hostname: '127.0.0.1', onListen: ({ port }) => console.log(port) }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    echo(socket);
    return response;
  });
  for await (const _ of Deno.stdin.readable);
  await server.shutdown();
}
