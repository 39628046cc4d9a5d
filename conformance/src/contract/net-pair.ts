/**
 * `@ferrywire/streams` with a listener and a dialler, for the suites: its pairs are sockets of `node:net` and `node:tls` as web streams.
 *
 * Written out instead of `Duplex.toWeb`, which differs between runtimes in half-close and back pressure; it shows what a pair has to do.
 */
import { connect as connectNet, createServer, isIPv6, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { EndpointError } from '@ferrywire/driver';
import { checkPort, connectError, listenError, listening } from '@ferrywire/driver/adapter';
import { parseUri } from '@ferrywire/handshake';
import { capabilities, connect, type StreamPair, StreamServer } from '@ferrywire/streams';
import type { AdapterUnderTest, ContractConnect } from './adapter.ts';

/** The socket must allow half-open connections. */
export function pairOver(socket: Socket): StreamPair {
  socket.setNoDelay(true).pause();
  let over = false;
  const readable = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const finish = (end: () => void): void => {
          if (!over) end();
          over = true;
        };
        socket.on('data', (chunk: Uint8Array) => {
          if (over) return;
          controller.enqueue(chunk);
          // What is in the queue has not been asked for.
          if ((controller.desiredSize ?? 0) <= 0) socket.pause();
        });
        socket.on('end', () => finish(() => controller.close()));
        socket.on('error', (error) => finish(() => controller.error(error)));
        socket.on('close', () => finish(() => controller.error(new Error('the socket closed'))));
      },
      pull: () => void socket.resume(),
      cancel() {
        over = true;
        socket.destroy();
      },
    },
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<Uint8Array>({
    start(controller) {
      socket.on('error', (error) => controller.error(error));
      socket.on('close', () => controller.error(new Error('the socket closed')));
    },
    write: (chunk) =>
      new Promise((resolve, reject) => {
        socket.write(chunk, (error) => (error ? reject(error) : resolve()));
      }),
    close: () =>
      new Promise((resolve) => {
        socket.end(resolve);
      }),
    abort: () => void socket.destroy(),
  });
  return { readable, writable };
}

async function dial(url: string, { tls, servername, signal }: ContractConnect): Promise<Socket> {
  const { host: bracketed, port, secure } = parseTarget(url);
  const host = bracketed.replace(/^\[(.*)\]$/, '$1');
  if (signal?.aborted === true) throw new EndpointError('WS_CONNECT_ABORTED', 'options.signal was aborted');
  return new Promise((resolve, reject) => {
    const socket: Socket = secure
      ? connectTls({ host, port, servername: servername ?? (/^[\d.]+$|:/.test(host) ? '' : host), ALPNProtocols: ['http/1.1'], ...tls })
      : connectNet({ host, port, allowHalfOpen: true });
    socket.allowHalfOpen = true;
    socket.once('error', (cause) => reject(connectError(cause, `${host}:${port}`, secure)));
    socket.once(secure ? 'secureConnect' : 'connect', () => resolve(socket));
  });
}

function parseTarget(url: string): ReturnType<typeof parseUri> {
  try {
    return parseUri(url);
  } catch (cause) {
    throw new EndpointError('WS_URL', String(cause), { cause });
  }
}

export const streamsOverNet: AdapterUnderTest = {
  name: '@ferrywire/streams',
  capabilities,
  async listen({ host, port, tls, ...options }) {
    checkPort(port, 'port');
    const streams = new StreamServer({ ...options, input: 'transferred' });
    const accept = (socket: Socket): void => {
      void streams.attach(pairOver(socket));
    };
    const server: Server =
      tls === undefined
        ? createServer({ allowHalfOpen: true, pauseOnConnect: true }, accept)
        : createTlsServer({ ...tls, allowHalfOpen: true }, accept);
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => reject(listenError(cause, `${host}:${port}`)));
      server.listen(port, host, resolve);
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP listener without a port');
    return listening({
      port: address.port,
      host: isIPv6(host) ? `[${host}]` : host,
      secure: tls !== undefined,
      endpoints: streams,
      stop: () => void server.close(),
      ref: () => void server.ref(),
      unref: () => void server.unref(),
    });
  },
  async connect(url, { tls, servername, ...options }) {
    const socket = await dial(url, {
      ...options,
      ...(tls === undefined ? {} : { tls }),
      ...(servername === undefined ? {} : { servername }),
    });
    return connect(url, pairOver(socket), { ...options, input: 'transferred' });
  },
};
