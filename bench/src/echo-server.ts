/**
 * One server of the end-to-end measurements: `node echo-server.js VARIANT PORT`. Echoes binary messages with the defaults of the library
 * under test, and reports its own CPU and memory as the operating system counts them.
 */

import { createHash } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import type { Peer } from '@ferrywire/driver';
import { answer, collectGarbage, cpuMicros } from './answer.ts';
import { bunNative, bunRaw, denoNative, denoRaw, type Start } from './native-servers.ts';
import { loadWebsocketDriver, loadWsServer } from './peers.ts';

const host = '127.0.0.1';

/** The adapter of the runtime at hand. */
const listenHere = async (port: number, onBinary: (peer: Peer, data: Uint8Array) => void): Promise<void> => {
  const { bun, deno } = process.versions;
  const { listen } = await (bun !== undefined
    ? import('@ferrywire/bun')
    : deno !== undefined
      ? import('@ferrywire/deno')
      : import('@ferrywire/node'));
  await listen({ host, port, handlers: { onBinary } });
};
const ferrywire: Start = (port) => listenHere(port, echoBack);
/** The memory of each message is given back, to be used again once the echo was written. */
const ferrywireGivenBack: Start = (port) =>
  listenHere(port, (peer, data) => {
    peer.send(data);
    peer.connection.recycleInput(data);
  });
/** The Node adapter on any runtime. */
const ferrywireNode: Start = async (port) => {
  const { listen } = await import('@ferrywire/node');
  await listen({ host, port, handlers: { onBinary: echoBack } });
};
function echoBack(peer: Peer, data: Uint8Array): void {
  peer.send(data);
}

/** On the `upgrade` of an HTTP server: the Node adapter, on any runtime. */
const ferrywireAttach: Start = async (port) => {
  const { attach } = await import('@ferrywire/node');
  const server = createHttpServer();
  attach(server, { handlers: { onBinary: echoBack } });
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject).listen(port, host, resolve);
  });
};

const ws: Start = (port) =>
  new Promise((resolve, reject) => {
    const WsServer = loadWsServer();
    new WsServer({ host, port })
      .on('error', reject)
      .on('listening', resolve)
      .on('connection', (socket) => {
        socket.on('error', () => {});
        socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
      });
  });

const websocketDriver: Start = (port) =>
  new Promise((resolve, reject) => {
    const library = loadWebsocketDriver();
    createServer({ noDelay: true }, (socket) => {
      const driver = library.server();
      driver.on('connect', () => void driver.start());
      driver.on('error', () => {});
      driver.messages.on('data', (data) => void driver.binary(typeof data === 'string' ? Buffer.from(data) : data));
      driver.io.on('data', (chunk) => void socket.write(chunk));
      socket.on('data', (chunk) => void (typeof chunk !== 'string' && driver.parse(chunk)));
      socket.on('error', () => {});
    })
      .on('error', reject)
      .listen(port, host, resolve);
  });

/** The limit: the same bytes through the runtime's sockets, without a protocol. */
const raw: Start = (port) =>
  new Promise((resolve, reject) => {
    createServer({ noDelay: true }, (socket) => {
      socket.on('data', (chunk) => void socket.write(chunk));
      socket.on('error', () => {});
    })
      .on('error', reject)
      .listen(port, host, resolve);
  });

/** For memory: a socket that was upgraded and is kept, and nothing else. */
const bareUpgrade: Start = (port) =>
  new Promise((resolve, reject) => {
    createHttpServer()
      .on('upgrade', (request, socket) => {
        const key = createHash('sha1')
          .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
          .digest('base64');
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n\r\n`,
        );
        socket.on('data', ignore);
        socket.on('error', ignore);
      })
      .on('error', reject)
      .listen(port, host, resolve);
  });
function ignore(): void {}

const variants: Readonly<Record<string, Start>> = {
  ferrywire,
  'ferrywire given back': ferrywireGivenBack,
  'ferrywire node': ferrywireNode,
  'ferrywire attach': ferrywireAttach,
  'ws+bufferutil': ws,
  ws,
  'websocket-driver': websocketDriver,
  raw,
  'bare upgrade': bareUpgrade,
  'bun native': bunNative,
  'bun raw': bunRaw,
  'deno native': denoNative,
  'deno raw': denoRaw,
};

const [variant = '', port = ''] = process.argv.slice(2);
const start = variants[variant];
if (start === undefined) throw new Error(`no server ${variant}`);
await start(Number(port));

answer(async (question) => {
  switch (question.do) {
    case 'ready':
      return { ready: true };
    case 'cpu':
      return { micros: cpuMicros() };
    case 'memory': {
      for (let turn = 0; turn < 4; turn++) {
        collectGarbage();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
      return { rss, heap: heapUsed + external, arrayBuffers };
    }
    default:
      throw new Error(`no such question: ${String(question.do)}`);
  }
});
