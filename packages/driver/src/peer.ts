/**
 * The handle that every adapter hands out, and the handlers it calls: one shape for Node, Bun, Deno, streams and HTTP/2.
 *
 * One handlers object serves any number of connections, so an idle connection holds no closure of the application. Every handler gets
 * the peer first. Handlers run inside the driver's event: what they send leaves in one write at its end.
 */
import type { Connection, EndInfo, MessageKind, Millis, PreparedMessage, SendOptions } from '@ferrywire/core';
import type { HandshakeErrorCode, HeaderList, RequestHead, ResponseHead, ServerPolicy } from '@ferrywire/handshake';
import type { DriverHandle, Transport } from './types.ts';

/** The head of a request as a server saw it: the header list in order, repetitions kept. */
export type ServerRequest = RequestHead & { readonly headers: HeaderList };

/** The heads of the opening handshake. Not kept by the peer: an idle connection holds no headers, so take from it what you need. */
export interface Opening {
  /** What arrived (servers); null on clients. */
  readonly request: ServerRequest | null;
  /** What was answered (clients); null on servers. */
  readonly response: ResponseHead | null;
}

/** One WebSocket connection, open or past it. */
export interface Peer {
  /** For everything not repeated here. After a call on it outside a handler call `driver.pump()`. */
  readonly connection: Connection;
  readonly driver: DriverHandle;
  /** The application's own; starts undefined. */
  data: unknown;
  /** The adapter's own, with what it knows besides, for instance the remote address: its `transportOf(peer)` gives the type. */
  readonly transport: Transport;
  /** The protocol's and the transport's bytes together. */
  readonly bufferedAmount: number;
  /**
   * False from a write that the transport answered with "slow down", or while much waits to be compressed, until `onDrain`: a sender that heeds it
   * holds a bounded amount.
   */
  readonly writable: boolean;
  /** A text or binary message. False = no longer open (a race, not a mistake). Leaves with all sends of this microtask in one write. */
  send(data: string | Uint8Array, options?: SendOptions): boolean;
  sendPrepared(message: PreparedMessage): boolean;
  ping(payload?: Uint8Array): boolean;
  /** Starts or answers the closing handshake (RFC 6455 section 7.1.2). Throws RangeError for a code that may not be sent. */
  close(code?: number, reason?: string): boolean;
  /** Drops the transport without a close frame. */
  abort(): void;
  /** Stops delivery and reading, at any byte; `resume()` goes on from there. */
  pause(): void;
  resume(): void;
}

/** A request that waits for an answer (`PeerHandlers.onRequest`). Answer in your own time; the opening deadline keeps running. */
export interface PendingRequest {
  readonly request: ServerRequest;
  /** False for a plain HTTP request: answer it with `reject(200, …)`, or 404, or leave it to `accept()`, which says 426. */
  readonly isWebSocket: boolean;
  /** As `Peer.transport`. */
  readonly transport: Transport;
  /** Runs the policy (this one instead of the configured one, if given). False when the request was refused by it. */
  accept(policy?: ServerPolicy): boolean;
  reject(status: number, body?: string | Uint8Array, headers?: HeaderList): void;
  startRejection(status: number, headers?: HeaderList): { write(chunk: Uint8Array): boolean; end(): void };
}

export interface PeerHandlers {
  /**
   * Servers: decide about each request. Left out, every request is put to the policy. When it throws, or the promise of an async function
   * rejects, or the policy throws, a request that nobody has answered gets a 500; the error goes on.
   */
  onRequest?(pending: PendingRequest): void;
  onOpen?(peer: Peer, opening: Opening): void;
  onText?(peer: Peer, text: string): void;
  /**
   * `data` is yours to keep; `peer.connection.recycleInput(data)` gives its memory back, also right after `send(data)`. Its `buffer` may hold
   * other messages too: copy what you transfer to a worker (`data.slice().buffer`). Memory with messages of other connections refuses to be
   * transferred, save in browsers.
   */
  onBinary?(peer: Peer, data: Uint8Array): void;
  /** Both kinds; each is called only where the specific handler is missing. */
  onMessage?(peer: Peer, data: string | Uint8Array): void;
  /** Delivery 'chunk' and 'span'. */
  onMessageStart?(peer: Peer, kind: MessageKind): void;
  onTextChunk?(peer: Peer, text: string): void;
  /** Valid until the call returns. */
  onSpan?(peer: Peer, buffer: Uint8Array, start: number, end: number): void;
  onMessageEnd?(peer: Peer, kind: MessageKind): void;
  onPing?(peer: Peer, payload: Uint8Array): void;
  onPong?(peer: Peer, payload: Uint8Array, latency: Millis | null): void;
  /** The peer's close frame; already answered unless `autoClose` is off. */
  onClose?(peer: Peer, code: number, reason: string): void;
  /** Exactly once for every peer that was given to `onOpen`, last. */
  onEnd?(peer: Peer, info: EndInfo): void;
  /** There is room again: `peer.writable` is true. */
  onDrain?(peer: Peer): void;
  /** Servers: a request was refused, by the policy, by `reject()` or because it was not HTTP. No peer came of it. */
  onRefused?(status: number, error: HandshakeErrorCode): void;
  /**
   * A handler threw. The event counts as consumed and the connection goes on. Without this handler the connection fails with 1011 and
   * the exception leaves the driver's event, so it is never lost: adapters throw it again outside, as an uncaught exception. Of an async
   * handler that rejects this is not told: its promise is not waited for, and is an unhandled rejection.
   */
  onError?(peer: Peer, error: unknown): void;
}

/** What `listen` of every adapter resolves to. */
export interface Listening {
  /** The port that was bound; 0 on a unix socket. */
  readonly port: number;
  readonly host: string;
  /** `ws://127.0.0.1:9001/`. */
  readonly url: string;
  /** The connections, from `onOpen` until their transport is gone. */
  readonly peers: ReadonlySet<Peer>;
  /**
   * Stops listening and closes every connection. Resolves when all transports are gone. Idempotent. Rejects with a TypeError or RangeError that
   * names the option for what no program should ask for, and then goes on listening.
   */
  close(options?: CloseAllOptions): Promise<void>;
}

export interface CloseAllOptions {
  /** Default 1001 (going away). Any that a server may send. */
  readonly code?: number;
  /** At most 123 bytes of UTF-8. */
  readonly reason?: string;
  /** After so many milliseconds what is left is aborted. Default 5000; 0 aborts at once, Infinity never. */
  readonly deadline?: Millis;
}

/** What an adapter can do: the table in the README and the contract suite read it. */
export interface Capabilities {
  /** permessage-deflate: the codec it runs on, or false. */
  readonly compression: 'zlib' | 'pako' | false;
  /** Can end the write side and go on reading. */
  readonly halfClose: boolean;
  readonly http2: boolean;
  readonly tls: boolean;
  readonly unixSockets: boolean;
  /** A connection can be told not to keep the process alive. */
  readonly refUnref: boolean;
  /** A peer's reset is told from its orderly end. */
  readonly resetVisible: boolean;
  /** `abort()` sends a reset; otherwise it closes. */
  readonly resetSent: boolean;
  /** The host takes bytes inside `write()`, so output memory is reused. */
  readonly synchronousWrite: boolean;
  /** Has a listener of its own. */
  readonly server: boolean;
  /** Can dial out. */
  readonly client: boolean;
}
