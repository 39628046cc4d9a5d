/**
 * What all attachments of one HTTP/2 server share: one listener that gives each extended CONNECT to the first that serves it.
 *
 * Beware: a server with a listener for 'request' answers every CONNECT with 405 by itself, and before it looks at anything else, unless
 * there is a listener for 'connect'. So the hub has one; it answers those CONNECTs that are nobody's as Node would.
 */
import type {
  Http2SecureServer,
  Http2Server,
  Http2ServerRequest,
  Http2ServerResponse,
  IncomingHttpHeaders,
  ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import type { ServerRequest } from '@ferrywire/driver';
import { fieldsOf, requestOf } from './http2-heads.ts';
import { timers } from './timers.ts';

export type AnyHttp2Server = Http2Server | Http2SecureServer;

export interface HubMember {
  /** Whether it is the one to answer. */
  serves(request: ServerRequest): boolean;
  take(stream: ServerHttp2Stream, request: ServerRequest): void;
  /** How long other listeners have for a request that no member serves; 0 for ever. */
  readonly opening: number;
}

const hubs = new WeakMap<AnyHttp2Server, Hub>();

export function isHttp2Server(server: unknown): server is AnyHttp2Server {
  return typeof (server as Partial<AnyHttp2Server> | null)?.updateSettings === 'function';
}

/** Returns what takes the member out again. */
export function joinHub(server: AnyHttp2Server, member: HubMember): () => void {
  let hub = hubs.get(server);
  if (hub === undefined) {
    hub = new Hub(server);
    hubs.set(server, hub);
  }
  const joined = hub;
  joined.add(member);
  return () => {
    if (joined.remove(member)) hubs.delete(server);
  };
}

class Hub {
  readonly #server: AnyHttp2Server;
  readonly #members = new Set<HubMember>();
  readonly #onStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, raw?: string[]): void => {
    // Anything else is the server's own.
    if (headers[':method'] === 'CONNECT' && headers[':protocol'] !== undefined) this.#ask(stream, requestOf(fieldsOf(raw, headers)));
  };
  readonly #onConnect = (request: Http2ServerRequest, response: Http2ServerResponse | Duplex): void => {
    if (this.#server.listenerCount('connect') > 1 || request.headers[':protocol'] !== undefined) return;
    // HTTP/1.1 on the same port: Node drops it where nobody listens.
    if ('destroy' in response && request.httpVersionMajor === 1) response.destroy();
    else if ('writeHead' in response) response.writeHead(405).end();
  };

  constructor(server: AnyHttp2Server) {
    this.#server = server;
    // RFC 8441 section 3. Sessions that are open already have been told otherwise.
    server.updateSettings({ enableConnectProtocol: true });
    server.on('stream', this.#onStream);
    server.on('connect', this.#onConnect);
  }

  add(member: HubMember): void {
    this.#members.add(member);
  }
  /** Whether nobody is left. */
  remove(member: HubMember): boolean {
    this.#members.delete(member);
    if (this.#members.size > 0) return false;
    this.#server.removeListener('stream', this.#onStream);
    this.#server.removeListener('connect', this.#onConnect);
    return true;
  }

  #ask(stream: ServerHttp2Stream, request: ServerRequest): void {
    // Somebody before us has answered, with a refusal say: who was refused must not be opened behind his back.
    if (isAnswered(stream)) return;
    let first: HubMember | null = null;
    for (const member of this.#members) {
      first ??= member;
      if (!member.serves(request)) continue;
      member.take(stream, request);
      return;
    }
    if (first === null) return;
    if (!this.#hasOthers()) {
      first.take(stream, request);
      return;
    }
    // Nobody may ever look after it, and a client can reset it with an error, which would end the process.
    stream.on('error', ignore);
    const last = first;
    if (last.opening === 0) return;
    const timer = timers.set(() => {
      if (!isAnswered(stream)) last.take(stream, request);
    }, last.opening);
    stream.once('close', () => timers.clear(timer));
  }

  /** Somebody who may answer a CONNECT: not we, nor Node's own listener that makes 'request' of streams. */
  #hasOthers(): boolean {
    const server = this.#server;
    const own = server.listenerCount('request') > 0 ? 2 : 1;
    return server.listenerCount('stream') > own || server.listenerCount('connect') > 1;
  }
}

const ignore = (): void => {};

function isAnswered(stream: ServerHttp2Stream): boolean {
  return stream.headersSent || stream.closed || stream.destroyed;
}
