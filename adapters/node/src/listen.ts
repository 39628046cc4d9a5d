/**
 * `listen`: WebSockets on a TCP, TLS or unix listener of their own. The whole HTTP/1.1 exchange is the protocol's (RFC 6455 section 4.2);
 * HTTP/2 beside it, on the same port, is Node's (RFC 8441).
 */
import type { ServerOptions as Http2Options } from 'node:http2';
import { type AddressInfo, createServer, isIPv6, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, TLSSocket, type TlsOptions } from 'node:tls';
import type { Millis } from '@ferrywire/core';
import { type CloseAllOptions, EndpointHost, type Listening, type Peer } from '@ferrywire/driver';
import { type CloseAll, type Closing, closeOnce } from '@ferrywire/driver/adapter';
import { checkListen, listenError, orTlsError } from './errors.ts';
import { Http2Requests } from './http2-request.ts';
import { Http2Sessions } from './http2-sessions.ts';
import {
  checkHost,
  checkNumber,
  checkObject,
  checkPort,
  checkText,
  hostOptions,
  type ServerOptions,
  serverSettings,
  withInput,
} from './options.ts';
import { shareBuffer } from './shared-buffer.ts';
import { checkServerTls, LONGEST } from './tls.ts';
import { SocketTransport } from './transport.ts';

const OPENING = 10_000;

export type ListenOptions = ServerOptions & {
  /** 0 to 65535; default 0, which lets the system choose. */
  readonly port?: number;
  /** Default '127.0.0.1': reached from this machine only. '::' is every address. */
  readonly host?: string;
  /** A unix socket (or a named pipe on Windows) instead of a port. */
  readonly socketPath?: string;
  /** Present = TLS. What `tls.createServer` takes; `handshakeTimeout` defaults to `timeouts.opening`. */
  readonly tls?: TlsOptions;
  /**
   * HTTP/2 on the same port: agreed on in TLS (ALPN), told by the first bytes without. True, or what `http2.createServer` takes; a client
   * may have 100 streams open in a session unless `settings.maxConcurrentStreams` says otherwise. Default false.
   */
  readonly http2?: boolean | Http2Options;
  /** Connections beyond so many are dropped unanswered by Node; the event 'drop' of `server` tells. Default: no limit. */
  readonly maxConnections?: number;
  /** Connections that the system holds until they are accepted. Default 511, as Node has it. */
  readonly backlog?: number;
  /** Failures of the listener after it has started, such as a lack of file descriptors. Left out, they are process warnings. */
  readonly onListenerError?: (error: Error) => void;
};

/** A listener, and the connections it has accepted. */
export interface NodeListening extends Listening {
  /** `net.Server`, or `tls.Server`. */
  readonly server: Server;
  /** Whether the listener keeps the process alive (default: it does). Connections have their own: `transportOf(peer).unref()`. */
  ref(): void;
  unref(): void;
  /** `close()`. */
  [Symbol.asyncDispose](): Promise<void>;
}

class Listener implements NodeListening {
  readonly server: Server;
  readonly port: number;
  readonly host: string;
  readonly url: string;
  readonly #endpoints: EndpointHost;
  /** TLS and HTTP/2 only: all that were accepted. Those that have not said what they are for are known to nobody else. */
  readonly #accepted: ReadonlySet<Socket>;
  readonly #http2: Http2Sessions | null;
  readonly #requests: Http2Requests;
  readonly #close: CloseAll = closeOnce((how) => this.#closeAll(how));

  constructor(server: Server, serving: Serving, host: string, secure: boolean) {
    this.server = server;
    this.#endpoints = serving.endpoints;
    this.#accepted = serving.accepted;
    this.#http2 = serving.http2;
    this.#requests = serving.requests;
    const address = server.address();
    const scheme = secure ? 'wss' : 'ws';
    if (address === null || typeof address === 'string') {
      this.port = 0;
      this.host = address ?? host;
      this.url = `${scheme}+unix:${this.host}`;
    } else {
      this.port = (address as AddressInfo).port;
      this.host = host;
      this.url = `${scheme}://${isIPv6(host) ? `[${host}]` : host}:${this.port}/`;
    }
  }

  get peers(): ReadonlySet<Peer> {
    return this.#endpoints.peers;
  }
  ref(): void {
    this.server.ref();
  }
  unref(): void {
    this.server.unref();
  }
  close(options?: CloseAllOptions): Promise<void> {
    return this.#close(options);
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #closeAll(how: Closing): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      // The only failure is that it was not listening any more.
      this.server.close(() => resolve());
    });
    this.#requests.close();
    this.#http2?.close();
    await this.#endpoints.close(how);
    await this.#http2?.destroy();
    for (const socket of this.#accepted) socket.destroy();
    await stopped;
  }
}

/** What a listener serves with. */
interface Serving {
  readonly endpoints: EndpointHost;
  readonly accepted: Set<Socket>;
  readonly requests: Http2Requests;
  readonly http2: Http2Sessions | null;
}

/**
 * Listens, and resolves once connections can come in.
 *
 * Rejects with an `EndpointError`: `WS_LISTEN_IN_USE`, `WS_LISTEN_HOST`, `WS_LISTEN_PORT`, `WS_PERMISSION`, `WS_TRANSPORT`; with a
 * TypeError, RangeError or SyntaxError that names the option for what no program should ask for.
 */
export async function listen(options: ListenOptions = {}): Promise<NodeListening> {
  checkObject(options, 'options');
  const { port = 0, host = '127.0.0.1', socketPath, tls, http2 = false, maxConnections, backlog, onListenerError, ...rest } = options;
  const { handlers: _handlers, highWaterMark: _highWaterMark, pull: _pull, ...protocol } = rest;
  checkPort(port, 'options.port');
  checkHost(host);
  if (socketPath !== undefined) checkText(socketPath, 'options.socketPath');
  if (tls !== undefined) checkServerTls(tls);
  if (typeof http2 !== 'boolean') checkObject(http2, 'options.http2');
  if (maxConnections !== undefined) checkNumber(maxConnections, 'options.maxConnections', 1, Number.POSITIVE_INFINITY);
  if (backlog !== undefined) checkNumber(backlog, 'options.backlog', 1, LONGEST);
  if (onListenerError !== undefined && typeof onListenerError !== 'function') {
    throw new TypeError('options.onListenerError must be a function');
  }
  const endpoints = new EndpointHost(hostOptions(options));
  const settings = serverSettings(protocol);

  const requests = new Http2Requests(endpoints, settings);
  const sessions = http2 === false ? null : await Http2Sessions.create(requests, http2 === true ? {} : http2);
  const serving: Serving = { endpoints, accepted: new Set(), requests, http2: sessions };

  /** @param left Of `timeouts.opening`, where some of it has passed. */
  const serve = (socket: Socket, early: Uint8Array | null, left?: Millis): void => {
    const transport = new SocketTransport(socket);
    const shares = shareBuffer(socket);
    const own = shares ? withInput(settings, 'reused') : settings;
    transport.join(endpoints.serve(transport, left === undefined ? own : { ...own, timeouts: { ...own.timeouts, opening: left } }));
    if (early !== null) transport.received(early);
    if (!shares) transport.startReading();
  };
  const accept = (socket: Socket): void => {
    // A peer that has sent its FIN may still be owed data and a close frame.
    socket.allowHalfOpen = true;
    // TLS was agreed on after close().
    if (!server.listening) socket.destroy();
    else if (sessions === null) serve(socket, null);
    else if (!(socket instanceof TLSSocket)) sessions.tell(socket, (early, left) => serve(socket, early, left));
    else if (socket.alpnProtocol === 'h2') sessions.accept(socket);
    else serve(socket, null);
  };
  const server: Server = createListener(tls, settings.timeouts?.opening ?? OPENING, accept, serving);
  if (maxConnections !== undefined) server.maxConnections = maxConnections;

  const where = socketPath ?? `${host}:${port}`;
  await checkListen(socketPath === undefined ? { host, port } : null, where);
  await new Promise<void>((resolve, reject) => {
    const failed = (cause: unknown): void => reject(listenError(cause, where, socketPath));
    server.once('error', failed);
    const size = backlog === undefined ? {} : { backlog };
    try {
      server.listen(socketPath === undefined ? { port, host, ...size } : { path: socketPath, ...size }, () => {
        server.removeListener('error', failed);
        resolve();
      });
    } catch (cause) {
      // Deno, of a unix socket that it may not use.
      failed(cause);
    }
  });
  server.on('error', onListenerError ?? ((error: Error) => process.emitWarning(error)));
  return new Listener(server, serving, host, tls !== undefined);
}

function createListener(
  tls: TlsOptions | undefined,
  opening: number,
  accept: (socket: Socket) => void,
  { accepted, http2 }: Serving,
): Server {
  const keep = (socket: Socket): void => {
    accepted.add(socket);
    socket.once('close', () => accepted.delete(socket));
  };
  if (tls === undefined) {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, accept);
    return http2 === null ? server : server.prependListener('connection', keep);
  }
  const handshakeTimeout = opening === undefined ? OPENING : opening === 0 ? LONGEST : Math.min(opening, LONGEST);
  // Node takes a list or a callback. Who has the latter chooses.
  const protocols = http2 === null || tls.ALPNCallback !== undefined ? null : { ALPNProtocols: ['h2', 'http/1.1'] };
  // Deno lets in without a certificate who resumes a session of another listener in the process, which asks for none.
  const isStrict = tls.requestCert === true && tls.rejectUnauthorized !== false;
  const acceptKnown = (socket: TLSSocket): void => (isStrict && !socket.authorized ? void socket.destroy() : accept(socket));
  // Not half-open before TLS is agreed on: a client that leaves then would keep its socket until `handshakeTimeout`.
  const server = orTlsError(() =>
    createTlsServer({ handshakeTimeout, noDelay: true, ...protocols, ...tls, allowHalfOpen: false }, acceptKnown),
  );
  server.on('connection', keep);
  // Node only tells: a client that does not finish TLS in time would keep its socket for ever.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  return server;
}
