/** Servers for the tests, closed after each, and the command. */
import { createHash } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';
import { WebSocketServer } from 'ws';
import { runCommand } from '../dist/bin/commands.js';

export const peers = fileURLToPath(new URL('../peers/', import.meta.url));
export const node = JSON.stringify(process.execPath);

/** Run after each test, the last one first. */
export const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

export function portOf(server: Server | WebSocketServer): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** A ws server that echoes; returns its URL. */
export async function echoServer(options: { deflate?: boolean; onConnection?: () => void } = {}): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: options.deflate ?? false });
  server.on('connection', (socket) => {
    options.onConnection?.();
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on('error', () => {});
  });
  await new Promise((resolve) => server.once('listening', resolve));
  cleanUps.push(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return `ws://127.0.0.1:${portOf(server)}`;
}

/** A TCP server of whatever kind; returns its URL. */
export async function tcpServer(onSocket: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUps.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `ws://127.0.0.1:${portOf(server)}`;
}

/** Accepts every handshake, with `more` lines, and leaves what follows to `then`; returns its URL. */
export function greetingServer(then: (socket: Socket) => void, more = ''): Promise<string> {
  return tcpServer((socket) => {
    socket.resume();
    socket.once('data', (head) => {
      const key = /^Sec-WebSocket-Key: (.+)\r$/m.exec(head.toString('latin1'))?.[1];
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${more}\r\n`,
      );
      then(socket);
    });
  });
}

/** Accepts every handshake, and says nothing more; returns its URL. */
export function silentServer(): Promise<string> {
  return greetingServer(() => {});
}

/** Runs the command in this process. */
export async function command(...args: string[]): Promise<{ code: number; out: string[]; err: string[] }> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommand(args, { out: (line) => out.push(line), err: (line) => err.push(line) });
  return { code, out, err };
}
