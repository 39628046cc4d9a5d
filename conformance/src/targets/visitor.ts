/**
 * A connection that a client under test has opened: its request has been read and waits for an answer. Over TCP the head is ours to write, down
 * to the byte; over HTTP/2 it is a stream with a status.
 */
import { Buffer } from 'node:buffer';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Channel, ChannelEvents } from '../channel.ts';
import { acceptKeyFor, refusalFor, responseFor, type UpgradeRequest } from '../handshake.ts';
import { headOf } from './opening.ts';
import { connectSocket, socketChannel } from './socket.ts';
import { connectStream, streamChannel } from './stream.ts';

export interface Visitor {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly extensions: string | undefined;
  readonly channel: Channel;
  accept(extensions: string | null): void;
  refuse(status: 400 | 404, text: string): void;
  /** Answers with these lines and with these bytes behind them; false where heads are not ours. */
  answerWith(lines: readonly string[], behind: Uint8Array): boolean;
  /** What came behind the request, and everything after it. Once. */
  connect(events: ChannelEvents): void;
  onceClosed(callback: () => void): void;
}

const reasons = { 400: '400 Bad Request', 404: '404 Not Found' } as const;

export class SocketVisitor implements Visitor {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly extensions: string | undefined;
  readonly channel: Channel;
  readonly #socket: Socket;
  readonly #key: string;
  readonly #rest: Uint8Array;

  constructor(socket: Socket, rest: Uint8Array, request: UpgradeRequest) {
    this.path = request.path;
    this.query = request.query;
    this.extensions = request.extensions;
    this.channel = socketChannel(socket);
    this.#socket = socket;
    this.#key = request.key;
    this.#rest = rest;
  }
  accept(extensions: string | null): void {
    this.#socket.write(responseFor(this.#key, extensions));
  }
  refuse(status: 400 | 404, text: string): void {
    this.#socket.end(refusalFor(reasons[status], text));
  }
  answerWith(lines: readonly string[], behind: Uint8Array): boolean {
    this.#socket.write(Buffer.concat([headOf(lines, { accept: acceptKeyFor(this.#key) }), behind]));
    return true;
  }
  connect(events: ChannelEvents): void {
    connectSocket(this.#socket, this.#rest, events);
  }
  onceClosed(callback: () => void): void {
    this.#socket.once('close', callback);
  }
}

export class StreamVisitor implements Visitor {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly extensions: string | undefined;
  readonly channel: Channel;
  readonly #stream: ServerHttp2Stream;

  private constructor(stream: ServerHttp2Stream, target: URL, extensions: string | undefined) {
    this.path = target.pathname;
    this.query = target.searchParams;
    this.extensions = extensions;
    this.channel = streamChannel(stream);
    this.#stream = stream;
  }
  /** Or null, when the request is none for a WebSocket; it has been refused then (RFC 8441 section 4). */
  static read(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): StreamVisitor | null {
    // A reset is told by 'close'.
    stream.on('error', () => {});
    const target = URL.canParse(headers[':path'] ?? '', 'http://harness') ? new URL(headers[':path'] ?? '', 'http://harness') : null;
    const right = headers[':method'] === 'CONNECT' && headers[':protocol'] === 'websocket' && headers['sec-websocket-version'] === '13';
    if (right && target !== null) {
      const extensions = headers['sec-websocket-extensions'];
      return new StreamVisitor(stream, target, extensions === undefined ? undefined : String(extensions));
    }
    stream.respond({ ':status': 400 }, { endStream: true });
    return null;
  }
  accept(extensions: string | null): void {
    if (!this.#stream.destroyed) {
      this.#stream.respond({ ':status': 200, ...(extensions === null ? null : { 'sec-websocket-extensions': extensions }) });
    }
  }
  refuse(status: 400 | 404, text: string): void {
    if (this.#stream.destroyed) return;
    this.#stream.respond({ ':status': status, 'content-type': 'text/plain; charset=utf-8' });
    this.#stream.resume().end(text);
  }
  answerWith(): boolean {
    return false;
  }
  connect(events: ChannelEvents): void {
    connectStream(this.#stream, events);
  }
  onceClosed(callback: () => void): void {
    this.#stream.once('close', callback);
  }
}
