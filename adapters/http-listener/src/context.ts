/**
 * .NET's `HttpListenerContext`: a request, its response, and the way from them to a WebSocket (RFC 6455 section 4.2).
 */
import { Socket } from 'node:net';
import { decideUpgrade, type HandshakeErrorCode, type HeaderList, type RequestHead, type ServerPolicy } from '@ferrywire/handshake';
import { type Incoming, unwatch } from './endpoints.ts';
import { InvalidOperationException, type WebSocketErrorCode, WebSocketException } from './errors.ts';
import { versionOf } from './incoming-message.ts';
import { connectionOver } from './over-stream.ts';
import { HttpListenerRequest } from './request.ts';
import { HttpListenerResponse } from './response.ts';
import { openWebSocket, WebSocket } from './websocket.ts';
import {
  checkKeepAliveInterval,
  checkReceiveBufferSize,
  checkSubProtocol,
  defaultKeepAliveInterval,
  defaultReceiveBufferSize,
} from './websocket-checks.ts';

export interface AcceptWebSocketOptions {
  /** Bytes, 16 to 65 536. A hint in .NET; checked here and of no effect, since pieces are received into the caller's buffer. Default 16 384. */
  readonly receiveBufferSize?: number;
  /** Milliseconds of silence after which a ping is sent; 0 and -1: never. Default 30 000. */
  readonly keepAliveInterval?: number;
}

/** What the handshake said, and the socket. */
export class HttpListenerWebSocketContext {
  readonly webSocket: WebSocket;
  readonly requestUri: URL;
  readonly headers: Headers;
  readonly cookieCollection: ReadonlyMap<string, string>;
  /** The Origin field; null when there is none, as from most clients that are no browsers. */
  readonly origin: string | null;
  readonly isLocal: boolean;
  readonly isSecureConnection: boolean;
  readonly isAuthenticated: boolean = false;
  readonly user: null = null;
  readonly secWebSocketKey: string;
  readonly secWebSocketVersion: string;
  /** What the client offered, in its order. */
  readonly secWebSocketProtocols: readonly string[];

  /** @internal */
  constructor(webSocket: WebSocket, request: HttpListenerRequest) {
    const { headers } = request;
    this.webSocket = webSocket;
    this.requestUri = request.url;
    this.headers = headers;
    this.cookieCollection = request.cookies;
    this.origin = headers.get('origin');
    this.isLocal = request.isLocal;
    this.isSecureConnection = request.isSecureConnection;
    this.secWebSocketKey = headers.get('sec-websocket-key') ?? '';
    this.secWebSocketVersion = headers.get('sec-websocket-version') ?? '';
    this.secWebSocketProtocols = splitList(headers.get('sec-websocket-protocol'));
  }
}

function splitList(value: string | null): readonly string[] {
  return (value ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** What was wrong with the request, in .NET's words. */
const refusals: ReadonlyMap<HandshakeErrorCode, WebSocketErrorCode> = new Map([
  ['WS_HS_METHOD', 'NotAWebSocket'],
  ['WS_HS_HTTP_VERSION', 'NotAWebSocket'],
  ['WS_HS_UPGRADE', 'NotAWebSocket'],
  ['WS_HS_CONNECTION', 'NotAWebSocket'],
  ['WS_HS_VERSION', 'UnsupportedVersion'],
  ['WS_HS_SUBPROTOCOL', 'UnsupportedProtocol'],
]);

/** The fields of the 101, those that the application has added among them. The request has been judged. */
function withHeaders(head: RequestHead, policy: ServerPolicy, headers: HeaderList): HeaderList {
  try {
    return decideUpgrade(head, { ...policy, headers }).headers;
  } catch (cause) {
    throw new InvalidOperationException(`the response has a header that a WebSocket cannot be accepted with: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** A request, its response, and `acceptWebSocket()` for what asks for one. */
export class HttpListenerContext {
  readonly request: HttpListenerRequest;
  readonly response: HttpListenerResponse;
  /** Authentication is the application's. */
  readonly user: null = null;
  readonly #incoming: Incoming;
  readonly #done: () => void;
  #accepted = false;

  /** @internal `done`: answered, accepted or gone. */
  constructor(incoming: Incoming, done: (context: HttpListenerContext) => void) {
    this.#incoming = incoming;
    this.#done = () => done(this);
    this.request = new HttpListenerRequest(incoming);
    this.response = new HttpListenerResponse(incoming, this.#done);
    ('socket' in incoming ? incoming.socket : incoming.response).once('close', () => {
      this.response.disconnected();
      this.#done();
    });
  }

  /** Beyond .NET: the client has left, or has ended its side without having been answered. */
  get isClientGone(): boolean {
    const { socket } = 'socket' in this.#incoming ? this.#incoming : this.#incoming.request;
    return socket.destroyed || !socket.writable || socket.readableEnded;
  }

  /** @internal Nobody will ask for it: 503. */
  refuse(): void {
    this.response.statusCode = 503;
    this.response.close();
  }

  /**
   * Answers 101, with the headers that the response was given, and gives the socket. When it rejects, the request is still to be answered.
   *
   * Rejects with ArgumentException for a sub-protocol that is empty or has illegal characters, with ArgumentOutOfRangeException for a buffer
   * size or an interval out of range, with InvalidOperationException when the request was answered or accepted before, and when the response
   * has a header that the handshake sets or that a 101 cannot have (`keepAlive`, `contentLength64`), with WebSocketException when it is no
   * WebSocket request (NotAWebSocket), of another version (UnsupportedVersion), malformed (HeaderError), or does not offer the sub-protocol
   * (UnsupportedProtocol).
   */
  async acceptWebSocket(subProtocol: string | null = null, options: AcceptWebSocketOptions = {}): Promise<HttpListenerWebSocketContext> {
    if (subProtocol !== null) checkSubProtocol(subProtocol);
    checkReceiveBufferSize(options.receiveBufferSize ?? defaultReceiveBufferSize);
    const keepAlive = checkKeepAliveInterval(options.keepAliveInterval ?? defaultKeepAliveInterval);
    if (this.#accepted) throw new InvalidOperationException('this request has been accepted as a WebSocket already');
    if (this.response.isAnswered) throw new InvalidOperationException('this request has been answered already');
    const incoming = this.#incoming;
    const { method = '', url = '', httpVersion, rawHeaders } = incoming.request;
    const head: RequestHead = { method, target: url, httpVersion: versionOf(httpVersion), headers: rawHeaders };
    const policy: ServerPolicy =
      subProtocol === null
        ? {}
        : { subprotocols: (offered) => (offered.includes(subProtocol) ? subProtocol : null), requireSubprotocol: true };
    const decision = decideUpgrade(head, policy);
    if (!decision.ok || !('socket' in incoming)) {
      const error = decision.ok ? 'WS_HS_UPGRADE' : decision.error;
      throw new WebSocketException(refusals.get(error) ?? 'HeaderError', `the request cannot be accepted as a WebSocket: ${error}`);
    }
    const { socket } = incoming;
    if (this.isClientGone) throw new WebSocketException('ConnectionClosedPrematurely', 'the client has gone');
    const headers = withHeaders(head, policy, [...this.response.headers]);
    this.#accepted = true;
    this.response.handOver(headers);
    const fields = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    unwatch(socket);
    // Deadlines of Node's HTTP server do not apply any more.
    if (socket instanceof Socket) socket.setTimeout(0).setNoDelay(true);
    socket.write(Buffer.from(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n`, 'latin1'));
    const { connection, driver } = connectionOver(socket, decision.negotiated, keepAlive, 0, incoming.head);
    const webSocket = new WebSocket();
    openWebSocket(webSocket, connection, driver, socket);
    this.#done();
    return new HttpListenerWebSocketContext(webSocket, this.request);
  }
}
