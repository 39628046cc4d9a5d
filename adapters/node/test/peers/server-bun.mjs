// Bun's own WebSocket server: echoes, and closes when it is told to.
const { serve } = Reflect.get(globalThis, 'Bun');
const server = serve({
  port: 0,
  hostname: '127.0.0.1',
  /**
   * @param {Request} request
   * @param {{ upgrade(request: Request): boolean }} self
   */
  fetch(request, self) {
    return self.upgrade(request) ? undefined : new Response('WebSockets only', { status: 426 });
  },
  websocket: {
    maxPayloadLength: 16 * 1024 * 1024,
    /**
     * @param {{ send(data: unknown): void, close(code: number, reason: string): void }} socket
     * @param {unknown} data
     */
    message(socket, data) {
      if (data === 'command: close') socket.close(4321, 'server is done');
      else socket.send(data);
    },
  },
});
console.log(`listening ${server.port}`);
