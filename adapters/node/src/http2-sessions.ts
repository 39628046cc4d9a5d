/**
 * HTTP/2 on the listener of `listen`: sessions on sockets that speak it, beside HTTP/1.1 on the same port. TLS settles that by ALPN
 * (RFC 9113 section 3.2); without TLS the first bytes tell (section 3.3), since no other method begins like the preface.
 */
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream, ServerOptions } from 'node:http2';
import type { Socket } from 'node:net';
import type { Millis } from '@ferrywire/core';
import { endSession } from './http2-ends.ts';
import { fieldsOf, requestOf } from './http2-heads.ts';
import type { Http2Requests } from './http2-request.ts';
import { SessionRefs } from './http2-transport.ts';
import { clock, timers } from './timers.ts';

const DEFAULT_OPENING = 10_000;
/** Streams that a client may have open in one session, unless the options say otherwise. */
const MAX_STREAMS = 100;
const PREFACE = Buffer.from('PRI');
const MEBIBYTE = 1_048_576;
/** MB that a session may hold before Node refuses it new streams: above what its connections hold by their own limits. */
const SESSION_MEMORY = 64;
const MOST_SESSION_MEMORY = 4096;

export class Http2Sessions {
  readonly #server: Http2Server;
  readonly #requests: Http2Requests;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #opening: Millis;

  private constructor(server: Http2Server, requests: Http2Requests) {
    const { opening = DEFAULT_OPENING } = requests.settings.timeouts ?? {};
    this.#server = server;
    this.#opening = opening;
    this.#requests = requests;
    // A session that its peer broke takes its streams with it, and each of them says so.
    server.on('sessionError', () => {});
  }

  static async create(requests: Http2Requests, options: ServerOptions): Promise<Http2Sessions> {
    const { createServer } = await import('node:http2');
    const settings = { maxConcurrentStreams: MAX_STREAMS, ...options.settings, enableConnectProtocol: true };
    const maxSessionMemory = sessionMemory(requests.settings.limits?.maxMessageSize);
    return new Http2Sessions(createServer({ maxSessionMemory, ...options, settings }), requests);
  }

  /**
   * The socket speaks HTTP/2. Nothing has been read from it, or it has been put back.
   *
   * @param left Of `timeouts.opening`.
   */
  accept(socket: Socket, left: Millis = this.#opening): void {
    // A session has no half: without this it would outlive its peer's FIN.
    socket.allowHalfOpen = false;
    const add = (session: ServerHttp2Session): void => this.#add(session, socket, left);
    // 'session' is raised inside.
    this.#server.once('session', add).emit('connection', socket);
    this.#server.off('session', add);
  }

  /**
   * Reads until it is clear what the socket speaks; `plain` gets what was read, and what is left of `timeouts.opening`: the deadline is one,
   * whatever the socket speaks.
   */
  tell(socket: Socket, plain: (bytes: Uint8Array, left: Millis) => void): void {
    const began = clock();
    const left = (): Millis => (this.#opening === 0 ? 0 : Math.max(1, this.#opening - (clock() - began)));
    let seen = Buffer.alloc(0);
    const timer = this.#opening > 0 ? timers.set(() => socket.destroy(), this.#opening) : null;
    const leave = (): void => {
      if (timer !== null) timers.clear(timer);
      socket.off('readable', read).off('end', drop).off('close', leave).off('error', drop);
    };
    const drop = (): void => {
      leave();
      socket.on('error', () => {}).destroy();
    };
    const read = (): void => {
      for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) seen = Buffer.concat([seen, chunk]);
      const size = Math.min(seen.length, PREFACE.length);
      const alike = seen.subarray(0, size).equals(PREFACE.subarray(0, size));
      if (alike && size < PREFACE.length) return;
      leave();
      if (!alike) {
        plain(seen, left());
        return;
      }
      socket.unshift(seen);
      this.accept(socket, left());
    };
    socket.on('readable', read).on('end', drop).on('close', leave).on('error', drop);
  }

  /** GOAWAY to everybody: streams that are open go on. */
  close(): void {
    for (const session of this.#sessions) session.close();
  }
  /** The end of all. What streams have just been reset with is written in the turn that this waits for. */
  async destroy(): Promise<void> {
    if (this.#sessions.size > 0) await new Promise((resolve) => setImmediate(resolve));
    for (const session of this.#sessions) session.destroy();
  }

  /** A session that nobody uses is closed after `timeouts.opening`. */
  #add(session: ServerHttp2Session, socket: Socket, left: Millis): void {
    let streams = 0;
    let timer: unknown = null;
    const idle = (period: Millis): void => {
      if (period > 0) timer = timers.set(() => endSession(session, socket), period);
    };
    const refs = new SessionRefs(session);
    this.#sessions.add(session);
    session.once('close', () => {
      timers.clear(timer);
      this.#sessions.delete(session);
    });
    session.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, raw?: string[]) => {
      streams++;
      timers.clear(timer);
      stream.once('close', () => {
        if (--streams === 0 && !session.destroyed) idle(this.#opening);
      });
      this.#requests.take(stream, requestOf(fieldsOf(raw, headers)), refs);
    });
    idle(left);
  }
}

/** Node counts what waits to be sent: of each stream the answers to one read, and whatever the application sends of its own accord. */
function sessionMemory(maxMessageSize = MEBIBYTE): number {
  return Math.min(Math.max(SESSION_MEMORY, Math.ceil((4 * maxMessageSize) / MEBIBYTE)), MOST_SESSION_MEMORY);
}
