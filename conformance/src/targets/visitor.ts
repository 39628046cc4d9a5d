/**
 * A connection that a client under test has opened: its request has been read and waits for an answer. Over TCP the head is ours to write, down
 * to the byte; over HTTP/2 it is a stream with a status.
 */
import { Buffer } from 'node:buffer';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Channel, ChannelEvents } from '../channel.ts';
import { acceptKeyFor, listOf, refusalFor, responseFor, type UpgradeRequest } from '../handshake.ts';
import { filledIn, headOf } from './opening.ts';
import { connectSocket, socketChannel } from './socket.ts';
import { connectStream, streamChannel } from './stream.ts';

export interface Visitor {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly extensions: string | undefined;
  /** Its key was that of an earlier connection too. */
  readonly hasOldKey: boolean;
  readonly channel: Channel;
  /** With the first of `subprotocols` that was asked for. */
  accept(extensions: string | null): void;
  refuse(status: 400 | 404, text: string): void;
  /** Answers with these lines and with these bytes behind them; false where heads are not ours. */
  answerWith(lines: readonly string[], behind: Uint8Array): boolean;
  /** What came behind the request, and everything after it. Once. */
  connect(events: ChannelEvents): void;
  onceClosed(callback: () => void): void;
}

const reasons = { 400: '400 Bad Request', 404: '404 Not Found' } as const;

/** The first of ours that the client asks for. */
function chosenOf(asked: readonly string[], ours: readonly string[]): string | null {
  return ours.find((name) => asked.includes(name)) ?? null;
}

export class SocketVisitor implements Visitor {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly extensions: string | undefined;
  readonly hasOldKey: boolean;
  readonly channel: Channel;
  readonly #socket: Socket;
  readonly #key: string;
  readonly #rest: Uint8Array;
  readonly #subprotocol: readonly string[];

  constructor(socket: Socket, rest: Uint8Array, request: UpgradeRequest, subprotocols: readonly string[], hasOldKey: boolean) {
    this.path = request.path;
    this.query = request.query;
    this.extensions = request.extensions;
    this.hasOldKey = hasOldKey;
    this.channel = socketChannel(socket);
    this.#socket = socket;
    this.#key = request.key;
    this.#rest = rest;
    const chosen = chosenOf(request.subprotocols, subprotocols);
    this.#subprotocol = chosen === null ? [] : [`Sec-WebSocket-Protocol: ${chosen}`];
  }
  accept(extensions: string | null): void {
    this.answerWith(responseFor(extensions), new Uint8Array(0));
  }
  refuse(status: 400 | 404, text: string): void {
    this.#socket.end(refusalFor(reasons[status], text));
  }
  answerWith(lines: readonly string[], behind: Uint8Array): boolean {
    const own = filledIn(lines, { accept: acceptKeyFor(this.#key) });
    this.#socket.write(Buffer.concat([headOf([...own, ...this.#subprotocol]), behind]));
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
  /** There are none over HTTP/2. */
  readonly hasOldKey: boolean = false;
  readonly channel: Channel;
  readonly #stream: ServerHttp2Stream;
  readonly #subprotocol: string | null;

  private constructor(stream: ServerHttp2Stream, target: URL, extensions: string | undefined, subprotocol: string | null) {
    this.path = target.pathname;
    this.query = target.searchParams;
    this.extensions = extensions;
    this.channel = streamChannel(stream);
    this.#stream = stream;
    this.#subprotocol = subprotocol;
  }
  /** Or null, when the request is none for a WebSocket; it has been refused then (RFC 8441 section 4). */
  static read(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, subprotocols: readonly string[]): StreamVisitor | null {
    // A reset is told by 'close'.
    stream.on('error', () => {});
    const target = URL.canParse(headers[':path'] ?? '', 'http://harness') ? new URL(headers[':path'] ?? '', 'http://harness') : null;
    const right = headers[':method'] === 'CONNECT' && headers[':protocol'] === 'websocket' && headers['sec-websocket-version'] === '13';
    if (right && target !== null) {
      const extensions = headers['sec-websocket-extensions'];
      const asked = listOf(headers['sec-websocket-protocol']?.toString());
      return new StreamVisitor(stream, target, extensions === undefined ? undefined : String(extensions), chosenOf(asked, subprotocols));
    }
    stream.respond({ ':status': 400 }, { endStream: true });
    return null;
  }
  accept(extensions: string | null): void {
    if (this.#stream.destroyed) return;
    const agreed = extensions === null ? null : { 'sec-websocket-extensions': extensions };
    const chosen = this.#subprotocol === null ? null : { 'sec-websocket-protocol': this.#subprotocol };
    this.#stream.respond({ ':status': 200, ...agreed, ...chosen });
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
