/**
 * .NET's `HttpListenerRequest`, read from Node's.
 */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Incoming, ListenEndPoint } from './endpoints.ts';
import { isUpgrade } from './incoming-message.ts';
import { isAuthority, splitTarget } from './prefixes.ts';
import { RequestBody } from './request-body.ts';

/** .NET's `HttpListenerRequest`, of a context. */
export class HttpListenerRequest {
  readonly httpMethod: string;
  /** The target as it came. */
  readonly rawUrl: string;
  /** Scheme and host as the client has them. */
  readonly url: URL;
  readonly headers: Headers;
  readonly protocolVersion: string;
  /** GET (RFC 6455 section 4.1) with Upgrade and Connection fields that ask for a WebSocket; the rest is judged by `acceptWebSocket`. */
  readonly isWebSocketRequest: boolean;
  readonly isSecureConnection: boolean;
  /** The client is on this machine. */
  readonly isLocal: boolean;
  readonly isAuthenticated: boolean = false;
  readonly remoteEndPoint: ListenEndPoint;
  readonly localEndPoint: ListenEndPoint;
  readonly #message: IncomingMessage;
  #body: Readable | null = null;

  /** @internal */
  constructor(incoming: Incoming) {
    const message = incoming.request;
    const { method = '', url = '', httpVersion, rawHeaders, socket } = message;
    this.#message = message;
    this.httpMethod = method;
    this.rawUrl = url;
    this.protocolVersion = httpVersion;
    this.headers = new Headers();
    for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
      // Node's parser lets bytes through that Headers refuses; they are of no use to an application.
      try {
        this.headers.append(rawHeaders[index] ?? '', rawHeaders[index + 1] ?? '');
      } catch {}
    }
    this.isWebSocketRequest = 'socket' in incoming && isUpgrade(message);
    // Bun's is no `TLSSocket`, but says so as well.
    this.isSecureConnection = (socket as Partial<TLSSocket>).encrypted === true;
    this.remoteEndPoint = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
    this.localEndPoint = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 };
    this.isLocal = this.remoteEndPoint.address === this.localEndPoint.address || isLoopback(this.remoteEndPoint.address);
    const { host } = message.headers;
    const scheme = this.isSecureConnection ? 'https' : 'http';
    const own = `${scheme}://${hostOf(this.localEndPoint)}`;
    const { authority, rest } = splitTarget(url);
    const isNamed = authority !== undefined && isAuthority(authority);
    const named = isNamed ? authority : host;
    const given = named !== undefined && isAuthority(named) ? `${scheme}://${named}` : own;
    // Whatever is wrong with the host, the path is that of the request, and the one that it was routed by: it is what applications decide by. A URL
    // of a scheme that is nothing to us has other paths: for `foo:` a backslash is no slash, for `file:` no `..` leads out of `C:`.
    const target = isNamed && /^(http|ws)s?:/i.test(url) ? url : rest;
    // A socket that is closed by now has no address.
    this.url = parse(target, given) ?? parse(target, own) ?? parse(rest, own) ?? parse(rest, given) ?? new URL(`${scheme}://localhost/`);
  }

  get queryString(): URLSearchParams {
    return this.url.searchParams;
  }
  get contentType(): string | null {
    return this.headers.get('content-type');
  }
  /** Bytes of the body, 0 for none; -1 when they are not known before its end, since it comes in chunks. */
  get contentLength64(): number {
    if (this.headers.has('transfer-encoding')) return -1;
    const length = this.headers.get('content-length');
    // RFC 9112 section 6.3: a request that says nothing has no body.
    return length !== null && /^[0-9]+$/.test(length) ? Number(length) : 0;
  }
  get hasEntityBody(): boolean {
    return !this.isWebSocketRequest && (this.contentLength64 > 0 || this.headers.has('transfer-encoding'));
  }
  /**
   * The body. Empty for a request that asks for a WebSocket. It need not be read to its end: what is left is read over, and the request can be
   * answered all the same. When the client leaves before the end, it is destroyed with an HttpListenerException 995; without a listener of
   * 'error' nothing is thrown.
   */
  get inputStream(): Readable {
    this.#body ??= this.isWebSocketRequest ? Readable.from([]) : new RequestBody(this.#message);
    return this.#body;
  }
  get keepAlive(): boolean {
    const connection = this.headers.get('connection')?.toLowerCase() ?? '';
    return this.protocolVersion === '1.0' ? connection.includes('keep-alive') : !connection.includes('close');
  }
  get userAgent(): string | null {
    return this.headers.get('user-agent');
  }
  /** The Host field. */
  get userHostName(): string {
    return this.#message.headers.host ?? '';
  }
  /** Where the request came in, as `address:port`. */
  get userHostAddress(): string {
    return hostOf(this.localEndPoint);
  }
  get cookies(): ReadonlyMap<string, string> {
    const cookies = new Map<string, string>();
    // Not `headers`: on Deno those join two fields with a comma, which would be part of a value.
    for (const pair of (this.#message.headers.cookie ?? '').split(/; ?/)) {
      const at = pair.indexOf('=');
      if (at > 0) cookies.set(pair.slice(0, at).trim(), pair.slice(at + 1).trim());
    }
    return cookies;
  }
}

function parse(target: string, base: string): URL | null {
  try {
    // A target that starts with two slashes is a path, not an authority.
    return target.startsWith('/') ? new URL(base + target) : new URL(target, base);
  } catch {
    return null;
  }
}

function hostOf({ address, port }: ListenEndPoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address);
}
