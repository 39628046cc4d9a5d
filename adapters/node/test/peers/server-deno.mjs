// Deno's own WebSocket server: echoes, and closes when it is told to.
const { serve, upgradeWebSocket } = Reflect.get(globalThis, 'Deno');
serve(
  {
    port: 0,
    hostname: '127.0.0.1',
    /** @param {{ port: number }} address */
    onListen({ port }) {
      console.log(`listening ${port}`);
    },
  },
  /** @param {Request} request */
  (request) => {
    if (request.headers.get('upgrade') !== 'websocket') return new Response('WebSockets only', { status: 426 });
    const { socket, response } = upgradeWebSocket(request);
    socket.binaryType = 'arraybuffer';
    /** @param {MessageEvent} event */
    socket.onmessage = ({ data }) => {
      if (data === 'command: close') socket.close(4321, 'server is done');
      else socket.send(data);
    };
    socket.onerror = () => {};
    return response;
  },
);
