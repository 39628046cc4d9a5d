// @ts-nocheck: three runtimes' globals in one program
/**
 * The WebSockets that runtimes bring along, as echo peers: a program for Node, Bun and Deno.
 *
 *   native-websocket.mjs client URL   connects, sends back every message, ends with the connection
 *   native-websocket.mjs server       Bun and Deno: listens, prints the port, sends back every message, ends with its standard input
 */
const [kind, url] = globalThis.Deno === undefined ? process.argv.slice(2) : Deno.args;

/** @param {WebSocket} socket */
function echo(socket) {
  socket.binaryType = 'arraybuffer';
  socket.onmessage = ({ data }) => socket.send(data);
}

if (kind === 'client') {
  echo(new WebSocket(url ?? ''));
} else if (globalThis.Bun !== undefined) {
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request, host) => (host.upgrade(request) ? undefined : new Response(null, { status: 400 })),
    websocket: {
      perMessageDeflate: true,
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
