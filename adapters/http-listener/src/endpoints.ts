/**
 * The listening sockets, shared by all listeners of the process as HTTP.sys shares them: several prefixes, of several listeners, on one port.
 *
 * Beware: a port is bound once per address. A wildcard binds every address, so it cannot be added to a port that has prefixes with a host
 * of their own bound already, unless both start together.
 */
import { lookup } from 'node:dns/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions, TLSSocket, TlsOptions } from 'node:tls';
import { afterEarlierResponses, checkListen } from '@ferrywire/node';
import { Connections } from './connections.ts';
import { HttpListenerErrorCode, HttpListenerException, InvalidOperationException } from './errors.ts';
import { isUpgrade, ListenerMessage } from './incoming-message.ts';
import { endAnswer } from './last-answer.ts';
import { isAuthority, matchPrefix, prefixKey, splitTarget, type UrlPrefix } from './prefixes.ts';

/** A request with what it is answered on; an upgrade that is refused is let go of behind the answer. */
export type Incoming =
  | { readonly request: IncomingMessage; readonly response: ServerResponse }
  | { readonly request: IncomingMessage; readonly socket: Duplex; readonly head: Uint8Array; readonly letGo: () => void };
export type Receiver = (incoming: Incoming) => void;
export type TlsSettings = SecureContextOptions & TlsOptions;

/** A prefix that is being served. Its port and key are those that were bound, where the prefix said 0. */
export interface Registration extends UrlPrefix {
  readonly prefix: UrlPrefix;
  readonly receive: Receiver;
  readonly endPoint: EndPoint;
}
export interface ListenEndPoint {
  readonly address: string;
  readonly port: number;
}

/** Keys of all prefixes that are served in this process, or about to be. */
const registered = new Set<string>();
const endPoints = new Map<string, EndPoint>();

class EndPoint {
  readonly server: Server;
  readonly registrations: Set<Registration> = new Set();
  /** The port that was bound. */
  readonly ready: Promise<number>;
  readonly #connections: Connections;
  #key: string;
  #isBound = false;

  constructor(key: string, host: string | undefined, port: number, tls: TlsSettings | null) {
    this.#key = key;
    const secure = tls !== null;
    const options = { IncomingMessage: ListenerMessage, shouldUpgradeCallback: isUpgrade };
    this.server = secure ? createSecureServer({ ...tls, ...options }) : createServer(options);
    // Beyond 1000 fields Node leaves out the rest without a word, Host perhaps. How long all of them may be is bounded besides.
    this.server.maxHeadersCount = 0;
    // Deno lets in without a certificate who resumes a session of another listener in the process, which asks for none.
    if (tls?.requestCert === true && tls.rejectUnauthorized !== false) this.server.prependListener('secureConnection', dropUnknown);
    this.#connections = new Connections(this.server, secure);
    const route = (request: IncomingMessage): Registration | 400 | 404 | 501 | 505 => {
      // RFC 9110 section 15.6.6. Node's parser takes 0.9 and 2.0 in a request line as well, Bun's does not.
      if (!/^1\.[01]$/.test(request.httpVersion)) return 505;
      const refusal = judgeCoding(request.headers['transfer-encoding']);
      if (refusal !== null) return refusal;
      // RFC 9112 section 3.2. Node takes the first of two; a proxy may have taken the other. That there is one Node asks of no upgrade.
      const hosts = countOf('host', request.rawHeaders);
      const { host = '' } = request.headers;
      if (hosts > 1 || (hosts === 0 && request.httpVersion === '1.1') || (host !== '' && !isAuthority(host))) return 400;
      const { authority, path } = splitTarget(request.url ?? '');
      // RFC 9110 sections 4.2.1 and 4.2.4: an empty host, and a user's name, are errors too.
      if (authority !== undefined && !isAuthority(authority)) return 400;
      // A connection may outlive its server: HTTP.sys gives its requests to who listens now.
      const found = matchPrefix((endPoints.get(this.#key) ?? this).registrations, {
        secure,
        host: (authority ?? host).replace(/:[0-9]*$/, ''),
        port: request.socket.localPort ?? 0,
        path,
      });
      return found ?? 404;
    };
    /** Connections whose last request has come. */
    const over = new WeakSet<Duplex>();
    this.server.on('request', (request: ListenerMessage, response) => {
      // What comes behind a malformed request may be its body. Node gives it out although that answer was the last.
      if (over.has(request.socket)) return;
      if (request.isLast) {
        over.add(request.socket);
        response.shouldKeepAlive = false;
      }
      const registration = route(request);
      if (typeof registration !== 'number') {
        registration.receive({ request, response });
        return;
      }
      const connection = registration === 404 ? null : 'close';
      if (connection !== null) over.add(request.socket);
      const fields = { 'Content-Length': '0', ...(connection === null ? null : { Connection: connection }) };
      endAnswer(request, response.writeHead(registration, fields), undefined, connection);
    });
    this.server.on('upgrade', (request, socket, head) => {
      watch(socket);
      const letGo = (): void => {
        unwatch(socket);
        this.#connections.letGo(socket);
      };
      afterEarlierResponses(request, () => {
        const registration = route(request);
        if (typeof registration === 'number') {
          socket.write(`HTTP/1.1 ${registration} ${STATUS_CODES[registration]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
          letGo();
        } else registration.receive({ request, socket, head, letGo });
      });
    });
    this.ready = this.#listen(host, port).then(
      (bound) => {
        // Known by the port it got, so that it can be shared.
        this.#forget();
        this.#key = endPointKey(secure, host, bound);
        endPoints.set(this.#key, this);
        this.#isBound = true;
        if (this.registrations.size === 0) this.#close(true);
        return bound;
      },
      (cause: unknown) => {
        this.#forget();
        throw listenError(cause, `${host ?? '*'}:${port}`);
      },
    );
  }

  async #listen(host: string | undefined, port: number): Promise<number> {
    // A wildcard is tried as '::' first.
    await checkListen({ host: host ?? '::', port }, `${host ?? '*'}:${port}`);
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen({ port, ...(host === undefined ? null : { host }) }, () => {
        // A connection that cannot be accepted, for want of memory say: without a listener it would end the process.
        this.server.off('error', reject).on('error', (error) => process.emitWarning(error));
        resolve((this.server.address() as AddressInfo).port);
      });
    });
  }

  /** Stops listening when nothing is served here any more. `atOnce`: connections without a request in progress are dropped. */
  release(registration: Registration, atOnce: boolean): void {
    if (!this.registrations.delete(registration) || this.registrations.size > 0) return;
    // Closed earlier, a server of Node would be bound nevertheless.
    if (this.#isBound) this.#close(atOnce);
  }
  #close(atOnce: boolean): void {
    this.#forget();
    // Node takes a connection for idle as soon as its answer was ended, and cuts off what is not sent of it; Deno does where the request still comes.
    // They are dropped in time as it is.
    if (this.#connections.isAnswering) this.server.closeIdleConnections = () => {};
    this.server.close();
    this.server.closeIdleConnections();
    this.#connections.end(atOnce);
  }
  #forget(): void {
    if (endPoints.get(this.#key) === this) endPoints.delete(this.#key);
  }
}

/**
 * RFC 9112 sections 6.1 and 6.3: a body that does not end with chunks has no end, and one in another coding would be taken for what it is not. Node
 * gives out the first, and then answers in our place; Bun takes its bytes for the next request.
 */
function judgeCoding(field: string | undefined): 400 | 501 | null {
  if (field === undefined) return null;
  const codings = field.toLowerCase().split(',');
  if (codings.at(-1)?.trim() !== 'chunked') return 400;
  return codings.length === 1 ? null : 501;
}

function dropUnknown(socket: TLSSocket): void {
  if (!socket.authorized) socket.destroy();
}

/** Names and values in turn, as they came. */
function countOf(name: string, fields: readonly string[]): number {
  return fields.filter((field, index) => index % 2 === 0 && field.toLowerCase() === name).length;
}

function listenError(cause: unknown, where: string): HttpListenerException {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') {
    return new HttpListenerException(HttpListenerErrorCode.SharingViolation, `cannot listen on ${where}: it is in use`, { cause });
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'ERR_ACCESS_DENIED' || code === 'WS_PERMISSION') {
    return new HttpListenerException(HttpListenerErrorCode.AccessDenied, `cannot listen on ${where}: access is denied`, { cause });
  }
  return new HttpListenerException(HttpListenerErrorCode.InvalidNetName, `cannot listen on ${where}: ${message}`, { cause });
}

/**
 * Until it is answered or accepted, nobody reads from the socket of an upgrade; but a reset or an end is only seen by reading. Node buffers
 * what comes meanwhile, up to its high-water mark.
 */
function watch(socket: Duplex): void {
  socket.on('error', () => socket.destroy());
  socket.on('readable', look);
}
function look(this: Duplex): void {
  // Nothing is taken: with nothing buffered this only lets an end through.
  if (this.readableLength === 0) this.read();
}
/** The socket is somebody's. */
export function unwatch(socket: Duplex): void {
  socket.removeListener('readable', look);
}

export function alreadyRegistered(prefix: UrlPrefix): HttpListenerException {
  return new HttpListenerException(HttpListenerErrorCode.AlreadyExists, `the prefix '${prefix.text}' is registered already`);
}

function isWildcard(host: string): boolean {
  return host === '+' || host === '*';
}

/** What to bind: every address for a wildcard, else the one that the host is or resolves to. */
async function addressOf({ host, text }: UrlPrefix): Promise<string | undefined> {
  if (isWildcard(host)) return undefined;
  const plain = host.replace(/^\[|\]$/g, '');
  if (isIP(plain) !== 0) return plain;
  try {
    return (await lookup(plain)).address;
  } catch (cause) {
    throw listenError(cause, text);
  }
}

/**
 * Prefixes of one listener, from the moment they are asked for until they are released: all of them are served or, when one cannot be, none.
 * Throws HttpListenerException 183 for one that is registered already, InvalidOperationException for one that needs a certificate.
 */
export class Binding {
  /** Settles once all that are still wanted can be reached. */
  readonly ready: Promise<void>;
  /** Those that are wanted, each with what serves it as soon as its address is known. */
  readonly #wanted = new Map<UrlPrefix, Registration | null>();
  readonly #receive: Receiver;
  readonly #tls: TlsSettings | null;

  constructor(prefixes: readonly UrlPrefix[], receive: Receiver, tls: TlsSettings | null) {
    for (const prefix of prefixes) {
      if (registered.has(prefix.key)) throw alreadyRegistered(prefix);
      if (prefix.secure && tls === null) {
        throw new InvalidOperationException(`'${prefix.text}' needs a certificate: new HttpListener({ tls: { key, cert } })`);
      }
    }
    this.#receive = receive;
    this.#tls = tls;
    // Reserved before anything is awaited, so that two listeners cannot both take a prefix.
    for (const prefix of prefixes) {
      this.#wanted.set(prefix, null);
      if (prefix.port !== 0) registered.add(prefix.key);
    }
    const wildcardPorts = new Set(prefixes.filter(({ host }) => isWildcard(host)).map(({ port }) => port));
    this.ready = Promise.all(prefixes.map((prefix) => this.#bind(prefix, wildcardPorts.has(prefix.port)))).then(
      () => {},
      (error: unknown) => {
        this.release();
        throw error;
      },
    );
  }

  /** The servers. */
  get servers(): readonly Server[] {
    return [...this.#wanted.values()].flatMap((registration) => (registration === null ? [] : [registration.endPoint.server]));
  }

  /** Gives one prefix free, or all of them, be they bound or about to be. `atOnce` is for the connections, see `EndPoint`. */
  release(prefix?: UrlPrefix, atOnce = false): void {
    for (const one of prefix === undefined ? [...this.#wanted.keys()] : [prefix]) {
      const registration = this.#wanted.get(one);
      if (registration === undefined) continue;
      this.#wanted.delete(one);
      registered.delete(registration?.key ?? one.key);
      registration?.endPoint.release(registration, atOnce);
    }
  }

  async #bind(prefix: UrlPrefix, isBesideWildcard: boolean): Promise<void> {
    try {
      const own = await addressOf(prefix);
      // One that was released while it was being bound holds its port until it is, and is closed then.
      for (let left = released(); left !== undefined; left = released()) await left.ready.catch(() => {});
      if (!this.#wanted.has(prefix)) return;
      const { port, secure } = prefix;
      const isShared = isBesideWildcard || endPoints.has(endPointKey(secure, undefined, port));
      const address = isShared ? undefined : own;
      const key = endPointKey(secure, address, port);
      let endPoint = endPoints.get(key);
      if (endPoint === undefined) {
        endPoint = new EndPoint(key, address, port, secure ? this.#tls : null);
        endPoints.set(key, endPoint);
      }
      const registration: Registration = { ...prefix, prefix, receive: this.#receive, endPoint };
      endPoint.registrations.add(registration);
      this.#wanted.set(prefix, registration);
      const boundPort = await endPoint.ready;
      if (registration.port === 0 && this.#wanted.has(prefix)) bound(registration, boundPort);
    } catch (error) {
      // When it was released meanwhile nobody asks any more.
      if (this.#wanted.has(prefix)) throw error;
    }
  }
}

function bound(registration: { -readonly [Key in keyof Registration]: Registration[Key] }, port: number): void {
  registration.port = port;
  registration.key = prefixKey(registration);
  registered.add(registration.key);
}

function released(): EndPoint | undefined {
  return [...endPoints.values()].find(({ registrations }) => registrations.size === 0);
}

function endPointKey(secure: boolean, address: string | undefined, port: number): string {
  return `${secure ? 'https' : 'http'} ${address ?? '*'} ${port}`;
}

export type { EndPoint };
