/**
 * The demo: an echo endpoint and the page that talks to it, on one port of one HTTP server.
 */
import { createServer } from 'node:http';
import { type AddressInfo, isIPv6 } from 'node:net';
import type { Peer } from '@ferrywire/driver';
import { attach } from '../attach.ts';
import { listenError } from '../errors.ts';
import { page } from './page.ts';

/** While clients are told that the server goes away. */
const STOP_DEADLINE = 2000;

export interface Demo {
  /** `ws://127.0.0.1:9001/`. */
  readonly url: string;
  close(): Promise<void>;
}

/** Rejects with an `EndpointError` when it cannot listen there. */
export async function startDemo(options: { readonly port: number; readonly host: string }): Promise<Demo> {
  const { port, host } = options;
  const server = createServer((request, response) => {
    const { status, headers, body } = page(request.method ?? '', request.url ?? '');
    response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body);
  });
  const sockets = attach(server, { handlers: { onMessage: (peer: Peer, data) => void peer.send(data) } });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(listenError(cause, isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`)));
    server.listen(port, host, resolve);
  });
  const bound = (server.address() as AddressInfo).port;
  return {
    url: `ws://${isIPv6(host) ? `[${host}]` : host}:${bound}/`,
    async close(): Promise<void> {
      const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
      await sockets.close({ code: 1001, reason: 'the server is stopping', deadline: STOP_DEADLINE });
      server.closeAllConnections();
      await stopped;
    },
  };
}
