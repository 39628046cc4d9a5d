/**
 * `attach`: WebSockets on the 'upgrade' of an HTTP server that is somebody else's, and on the extended CONNECTs of an HTTP/2 server (RFC 8441),
 * on one port where it speaks both.
 *
 * Node has parsed the request; its head is written down again and given to the same protocol object that `listen` uses, so that both judge
 * alike and answer alike, down to a refusal's last byte (RFC 6455 section 4.2).
 *
 * Beware: Node calls every listener of 'upgrade' with the same socket, and closes it for none of them. A request that is not for us (another
 * path, another protocol) is left alone when there are other listeners; it is answered when each of them is one of ours and has declined,
 * or when nobody has touched the socket within the opening deadline.
 */
import type { Server as HttpServer, IncomingMessage } from 'node:http';
import type { Http2SecureServer, Http2Server, ServerHttp2Stream } from 'node:http2';
import type { Server as HttpsServer } from 'node:https';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type CloseAllOptions, EndpointHost, type Peer, type ServerRequest, type ServerSettings } from '@ferrywire/driver';
import { type CloseAll, closeOnce } from '@ferrywire/driver/adapter';
import { decideUpgrade, isWebSocketRequest, type RequestHead } from '@ferrywire/handshake';
import { type HubMember, isHttp2Server, joinHub } from './http2-hub.ts';
import { Http2Requests } from './http2-request.ts';
import { checkObject, hostOptions, type ServerOptions, serverSettings, withInput } from './options.ts';
import { shareBuffer } from './shared-buffer.ts';
import { ownsChunks, UpgradedTransport } from './transport.ts';
import { isBegun, isHeard, isTaken, keepForOthers, listenersOf, takeInTurn, watchUpgrades } from './upgrade-socket.ts';

const OPENING = 10_000;

export type AttachOptions = ServerOptions;
export type AttachableServer = HttpServer | HttpsServer | Http2Server | Http2SecureServer;

/** What `attach` returns. */
export interface Attached {
  /** From `onOpen` until the transport is gone. */
  readonly peers: ReadonlySet<Peer>;
  /** Takes no more upgrades; the connections go on. Idempotent. */
  detach(): void;
  /**
   * `detach()`, then closes every connection. Resolves when all are gone. The HTTP server is not closed. Idempotent. Rejects with a TypeError or
   * RangeError that names the option for what no program should ask for, and then stays attached.
   */
  close(options?: CloseAllOptions): Promise<void>;
  /** `close()`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** How many of our listeners have declined a socket. */
const declines = new WeakMap<Duplex, number>();

/** Our listeners of 'upgrade'. */
const listeners = new WeakSet<object>();
const isListenerOfOurs = (listener: unknown): boolean => listeners.has(listener as object);

class Attachment implements Attached, HubMember {
  readonly #server: AttachableServer;
  readonly #endpoints: EndpointHost;
  readonly #settings: ServerSettings;
  readonly #requests: Http2Requests;
  readonly #leaveHub: () => void;
  readonly #close: CloseAll = closeOnce((how) => {
    this.detach();
    this.#requests.close();
    return this.#endpoints.close(how);
  });
  readonly #listener = (incoming: IncomingMessage, socket: Duplex, head: Uint8Array): void => this.#upgrade(incoming, socket, head);

  constructor(server: AttachableServer, options: AttachOptions) {
    const { handlers: _handlers, highWaterMark: _highWaterMark, pull: _pull, ...protocol } = options;
    this.#server = server;
    this.#endpoints = new EndpointHost(hostOptions(options));
    this.#settings = serverSettings(protocol);
    this.#requests = new Http2Requests(this.#endpoints, this.#settings);
    // An HTTP/2 server raises it for HTTP/1.1 on the same port.
    (server as HttpServer).on('upgrade', this.#listener);
    listeners.add(this.#listener);
    watchUpgrades(server as HttpServer, isListenerOfOurs);
    this.#leaveHub = isHttp2Server(server) ? joinHub(server, this) : () => {};
  }

  get peers(): ReadonlySet<Peer> {
    return this.#endpoints.peers;
  }
  detach(): void {
    (this.#server as HttpServer).removeListener('upgrade', this.#listener);
    watchUpgrades(this.#server as HttpServer, isListenerOfOurs);
    this.#leaveHub();
  }
  close(options?: CloseAllOptions): Promise<void> {
    return this.#close(options);
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /* ---- HTTP/2 ---- */

  get opening(): number {
    return this.#settings.timeouts?.opening ?? OPENING;
  }
  serves(request: ServerRequest): boolean {
    return this.#isOurs(request);
  }
  take(stream: ServerHttp2Stream, request: ServerRequest): void {
    // The session is the server's.
    this.#requests.take(stream, request, null);
  }

  /* ---- HTTP/1.1 ---- */

  #upgrade(incoming: IncomingMessage, socket: Duplex, head: Uint8Array): void {
    // Alone or not: who listened once is not counted any more.
    if (isTaken(socket)) return;
    const others = this.#listeners > 1;
    if (!socket.writable || isBegun(incoming) || (others && !this.#isOurs(requestHead(incoming)))) this.#decline(incoming, socket, head);
    else this.#take(incoming, socket, head);
  }

  /** Those that may answer, ours among them. */
  get #listeners(): number {
    return listenersOf(this.#server as HttpServer);
  }

  /** Asked only where there is somebody else to leave it to. What else is wrong with a request that is ours is ours to say. */
  #isOurs(request: RequestHead): boolean {
    if (!isWebSocketRequest(request)) return false;
    const path = this.#settings.policy?.path;
    if (path === undefined) return true;
    // A request with nothing but the target: the answer is about the path or about what comes after it.
    const bare: RequestHead = { method: 'GET', target: request.target, httpVersion: '1.1', headers: [['Host', 'path']] };
    try {
      const decision = decideUpgrade(bare, { path });
      return !decision.ok && decision.error === 'WS_HS_UPGRADE';
    } catch {
      // A predicate that throws. It is asked again by who takes the request, and answers for it.
      return true;
    }
  }

  #decline(incoming: IncomingMessage, socket: Duplex, head: Uint8Array): void {
    const count = (declines.get(socket) ?? 0) + 1;
    declines.set(socket, count);
    // Whoever has ended it before us, or written to it, answers, with a refusal say, be it that he listens no more: who was refused must not be
    // opened behind his back.
    if (socket.writable && !isBegun(incoming) && count >= this.#listeners) {
      this.#take(incoming, socket, head);
      return;
    }
    if (count === 1) keepForOthers(incoming, socket, this.opening, () => this.#take(incoming, socket, head));
  }

  #take(incoming: IncomingMessage, socket: Duplex, head: Uint8Array): void {
    takeUpgrade(this.#endpoints, this.#settings, incoming, socket, head);
  }
}

/** Answers an upgrade, whatever it asks for, when it is its turn. The socket is nobody else's any more. */
export function takeUpgrade(
  endpoints: EndpointHost,
  settings: ServerSettings,
  incoming: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
): void {
  const delay = settings.timeouts?.opening ?? OPENING;
  takeInTurn(incoming, socket, delay, () => serveUpgrade(endpoints, settings, incoming, socket, head));
}

/** From here on the socket is the protocol's. */
function serveUpgrade(
  endpoints: EndpointHost,
  settings: ServerSettings,
  incoming: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
): void {
  // Node's HTTP servers set both by their own options; a WebSocket has deadlines of its own.
  if (socket instanceof Socket) {
    // A timeout that there is none of would be one property more, for which there is no room in the object (bench: `memory`, 40 bytes).
    if ((socket.timeout ?? 0) > 0) socket.setTimeout(0);
    socket.setNoDelay(true);
  }
  socket.allowHalfOpen = true;
  const transport = new UpgradedTransport(socket, incoming);
  // Whoever listens too goes on being told what comes, and finds it as it came.
  const shared = isHeard(socket) || !ownsChunks(socket);
  const shares = !shared && shareBuffer(socket);
  const input = shared ? withInput(settings, 'shared') : shares ? withInput(settings, 'reused') : settings;
  transport.join(endpoints.serve(transport, input));
  transport.received(headBytes(incoming));
  if (head.length > 0) transport.received(head);
  // The application may have paused it in `onOpen`.
  if (!shares) transport.startReading();
  else if (!socket.isPaused()) socket.resume();
}

function requestHead(incoming: IncomingMessage): RequestHead {
  return {
    method: incoming.method ?? '',
    target: incoming.url ?? '',
    httpVersion: incoming.httpVersion === '1.1' ? '1.1' : '1.0',
    headers: incoming.rawHeaders,
  };
}

/** The request as it came, but for white space around field values. Node's parser gives bytes as Latin-1. */
function headBytes(incoming: IncomingMessage): Uint8Array {
  const { method = '', url = '', httpVersion, rawHeaders } = incoming;
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) text += `${rawHeaders[index]}: ${rawHeaders[index + 1]}\r\n`;
  return Buffer.from(`${text}\r\n`, 'latin1');
}

/**
 * Serves WebSockets on the upgrades of `server`, an `http` or `https` server that listens or will. Its timeouts do not apply to them.
 *
 * An `http2` server (`createServer`, or `createSecureServer`, with `allowHTTP1` for both versions on one port) has its setting
 * `enableConnectProtocol` turned on, for sessions that begin from now on.
 *
 * @throws {TypeError}, RangeError or SyntaxError naming the option.
 */
export function attach(server: AttachableServer, options: AttachOptions = {}): Attached {
  if (typeof server?.on !== 'function' || typeof server.listenerCount !== 'function') {
    throw new TypeError('server must be a server of node:http, node:https or node:http2');
  }
  checkObject(options, 'options');
  return new Attachment(server, options);
}
