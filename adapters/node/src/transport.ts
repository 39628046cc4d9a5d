/**
 * A `net.Socket`, a `tls.TLSSocket` or any other duplex byte stream as the driver's transport.
 *
 * One object and no closure per connection: the five listeners are functions of this file, and the socket leads to its transport.
 *
 * Beware: the socket must allow half-open connections. A peer that has sent its FIN may still read, and RFC 6455 section 7.1.1 has the
 * server end first. And no listener may throw: Node closes a socket, and lets go of its file descriptor, after 'end' has returned.
 */
import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { DriverHandle, Peer, Transport } from '@ferrywire/driver';
import { deliver, tell } from '@ferrywire/driver/adapter';
import { Http2Transport } from './http2-transport.ts';

const owner: unique symbol = Symbol('ferrywire transport');
type Owned = Duplex & { [owner]?: SocketTransport };

/** What the adapter knows about a connection: `peer.transport`, see `transportOf`. */
export interface NodeTransport {
  /** Yours to look at. Writing to it or reading from it breaks the WebSocket. Over HTTP/2 the stream, which leads to its session. */
  readonly socket: Duplex;
  /** Null where there is none (a unix socket, a stream of your own), and after the socket has closed. */
  readonly remoteAddress: string | null;
  readonly remotePort: number | null;
  /** TLS. */
  readonly encrypted: boolean;
  /** `attach` over HTTP/1.1 only, in `onRequest` and `onOpen`: the request as Node's HTTP server knows it. Let go afterwards: it is larger than a connection. */
  readonly incoming: IncomingMessage | null;
  /** Whether an open connection keeps the process alive (default: it does). Of no effect on a stream of a session that is not ours; of ours, the last stream decides. */
  ref(): void;
  unref(): void;
}

/** A transport over a socket or any duplex stream, which must allow half-open connections. For `drive` or an `EndpointHost` of your own. */
export class SocketTransport implements Transport, NodeTransport {
  readonly socket: Duplex;
  #driver: DriverHandle | null = null;

  constructor(socket: Duplex) {
    this.socket = socket;
  }

  get incoming(): IncomingMessage | null {
    return null;
  }
  /** From here on the socket's events go to the driver. */
  join(driver: DriverHandle): void {
    this.#driver = driver;
    const socket: Owned = this.socket;
    socket[owner] = this;
    socket.on('error', onError).on('close', onClose).on('drain', onDrain).on('end', onEnd);
    // As whoever hands over a socket that he has read from leaves it.
    if (socket.isPaused()) socket.resume();
    // What happened before this was called raises no event any more.
    if (socket.closed) tell(driver, (to) => to.gone());
    else if (socket.readableEnded) tell(driver, (to) => to.receiveEof());
  }
  /** Reads by 'data' events. Not for a socket that reads into the shared buffer. */
  startReading(): void {
    this.socket.on('data', onData);
  }
  received(chunk: Uint8Array): void {
    deliver(this.#driver, chunk);
  }

  write(chunks: readonly Uint8Array[]): boolean {
    const socket = this.socket;
    const count = chunks.length;
    if (count === 1) socket.write(chunks[0]);
    else {
      socket.cork();
      for (let index = 0; index < count; index++) socket.write(chunks[index]);
      socket.uncork();
    }
    // Not what write() said: that was before the kernel took the bytes. While this is false 'drain' is sure to come.
    return socket.writableLength < socket.writableHighWaterMark;
  }
  get taken(): boolean {
    return this.socket.writableLength === 0 && ownsChunks(this.socket);
  }
  end(): void {
    this.socket.end();
  }
  abort(): void {
    const { socket } = this;
    // A reset tells the peer that this was no orderly end, and leaves nothing behind in the kernel. TLS and unix sockets have none.
    const canReset = socket instanceof Socket && !isSecure(socket) && !socket.connecting && socket.remoteFamily !== undefined;
    if (canReset && !isShutting(socket)) socket.resetAndDestroy();
    else socket.destroy();
  }
  pauseReading(): void {
    this.socket.pause();
  }
  resumeReading(): void {
    this.socket.resume();
  }
  get bufferedAmount(): number {
    return this.socket.writableLength;
  }

  get remoteAddress(): string | null {
    return (this.socket instanceof Socket ? this.socket.remoteAddress : undefined) ?? null;
  }
  get remotePort(): number | null {
    return (this.socket instanceof Socket ? this.socket.remotePort : undefined) ?? null;
  }
  get encrypted(): boolean {
    return this.socket instanceof Socket && isSecure(this.socket);
  }
  ref(): void {
    if (this.socket instanceof Socket) this.socket.ref();
  }
  unref(): void {
    if (this.socket instanceof Socket) this.socket.unref();
  }

  /** The one that has joined the socket. */
  static of(socket: Owned): SocketTransport | null {
    return socket[owner] ?? null;
  }
  /** For the listeners below. */
  static driverOf(socket: Owned): DriverHandle | null {
    const transport = socket[owner];
    return transport === undefined ? null : transport.#driver;
  }
}

/** Of a socket that Node's HTTP server has read a request from. */
export class UpgradedTransport extends SocketTransport {
  #incoming: IncomingMessage | null;

  constructor(socket: Duplex, incoming: IncomingMessage) {
    super(socket);
    this.#incoming = incoming;
  }
  override get incoming(): IncomingMessage | null {
    return this.#incoming;
  }
  override write(chunks: readonly Uint8Array[]): boolean {
    // What is written first is the answer to it.
    this.#incoming = null;
    return super.write(chunks);
  }
}

/**
 * A socket copies what it is given, and what it gives is nobody else's. Any other stream may pass the very memory on, and hold it for longer
 * than it says: a PassThrough has taken a chunk before anybody has read it.
 */
export function ownsChunks(stream: Duplex): boolean {
  return stream instanceof Socket;
}

/** TLS. That of Bun's `node:https` servers is no `TLSSocket`, but says what it is as one does. */
function isSecure(socket: Socket): boolean {
  return (socket as Partial<TLSSocket>).encrypted === true;
}

/** While its FIN is on the way to the kernel libuv resets no socket: Node tells of it as an error, and never closes the handle. */
function isShutting(socket: Socket): boolean {
  return socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
}

function onData(this: Duplex, chunk: Uint8Array): void {
  deliver(SocketTransport.driverOf(this), chunk);
}
function onEnd(this: Duplex): void {
  tell(SocketTransport.driverOf(this), (driver) => driver.receiveEof());
}
function onError(this: Duplex, error: unknown): void {
  tell(SocketTransport.driverOf(this), (driver) => driver.receiveError(error));
}
function onDrain(this: Duplex): void {
  tell(SocketTransport.driverOf(this), (driver) => driver.drained());
}
function onClose(this: Duplex): void {
  tell(SocketTransport.driverOf(this), (driver) => driver.gone());
}

/** What the adapter knows about a peer's connection. Throws TypeError for a peer of another adapter. */
export function transportOf(peer: Pick<Peer, 'transport'>): NodeTransport {
  const { transport } = peer;
  if (transport instanceof SocketTransport || transport instanceof Http2Transport) return transport;
  throw new TypeError('peer: is not one of this adapter');
}
