// Echo server of Deno. Argument: port.
const [port] = Deno.args;
Deno.serve({ hostname: '127.0.0.1', port: Number(port), onListen() {} }, (request) => {
  // As an Upgrade header may be spelled in any case.
  if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket') return new Response('a WebSocket is needed', { status: 400 });
  const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
  socket.binaryType = 'arraybuffer';
  socket.onmessage = (event) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(event.data);
  };
  socket.onerror = () => {};
  return response;
});
