/**
 * The listening sockets, shared by all listeners of the process as HTTP.sys shares them: several prefixes, of several listeners, on one port.
 *
 * Beware: a port is bound once per address. A wildcard binds every address, so it cannot be added to a port that has prefixes with a host
 * of their own bound already, unless both start together.
 */
import { lookup } from 'node:dns/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions, TlsOptions } from 'node:tls';
import { HttpListenerErrorCode, HttpListenerException, InvalidOperationException } from './errors.ts';
import { matchPrefix, prefixKey, type UrlPrefix } from './prefixes.ts';

/** A request with what it is answered on. */
export type Incoming =
  | { readonly request: IncomingMessage; readonly response: ServerResponse }
  | { readonly request: IncomingMessage; readonly socket: Duplex; readonly head: Uint8Array };
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
  #key: string;

  constructor(key: string, host: string | undefined, port: number, tls: TlsSettings | null) {
    this.#key = key;
    const secure = tls !== null;
    this.server = secure ? createSecureServer(tls) : createServer();
    const route = (request: IncomingMessage): Registration | null => {
      const authority = request.headers.host ?? '';
      const target = request.url ?? '';
      return matchPrefix(this.registrations, {
        secure,
        host: authority.replace(/:[0-9]*$/, ''),
        port: request.socket.localPort ?? 0,
        path: pathOf(target),
      });
    };
    this.server.on('request', (request, response) => {
      const registration = route(request);
      if (registration === null) response.writeHead(404, { 'Content-Length': '0' }).end();
      else registration.receive({ request, response });
    });
    this.server.on('upgrade', (request, socket, head) => {
      watch(socket);
      const registration = route(request);
      if (registration === null) socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      else registration.receive({ request, socket, head });
    });
    this.ready = new Promise((resolve, reject) => {
      this.server.once('error', (cause) => reject(listenError(cause, `${host ?? '*'}:${port}`)));
      this.server.listen({ port, ...(host === undefined ? null : { host }) }, () => {
        const { port: bound } = this.server.address() as AddressInfo;
        // Known by the port it got, so that it can be shared.
        endPoints.delete(this.#key);
        this.#key = endPointKey(secure, host, bound);
        if (this.registrations.size > 0) endPoints.set(this.#key, this);
        resolve(bound);
      });
    });
  }

  /** Stops listening when nothing is served here any more. */
  release(registration: Registration): void {
    if (!this.registrations.delete(registration) || this.registrations.size > 0) return;
    if (endPoints.get(this.#key) === this) endPoints.delete(this.#key);
    this.server.close();
    this.server.closeIdleConnections();
  }
}

function pathOf(target: string): string {
  // An absolute form is legal (RFC 9112 section 3.2.2), and has the host in it as well.
  const path = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*(.*)$/i.exec(target)?.[1] ?? target;
  return path.replace(/[?#].*$/s, '') || '/';
}

function listenError(cause: Error, where: string): HttpListenerException {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') {
    return new HttpListenerException(HttpListenerErrorCode.SharingViolation, `cannot listen on ${where}: it is in use`, { cause });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new HttpListenerException(HttpListenerErrorCode.AccessDenied, `cannot listen on ${where}: access is denied`, { cause });
  }
  return new HttpListenerException(HttpListenerErrorCode.InvalidNetName, `cannot listen on ${where}: ${cause.message}`, { cause });
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

/** Throws when the prefix is served already, by any listener. */
export function checkFree(prefix: UrlPrefix): void {
  if (registered.has(prefix.key)) throw alreadyRegistered(prefix);
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
    throw listenError(cause as Error, text);
  }
}

/** Serves the prefixes: all of them or, when one cannot be, none. */
export async function register(
  prefixes: readonly UrlPrefix[],
  receive: Receiver,
  tls: TlsSettings | null,
): Promise<readonly Registration[]> {
  for (const prefix of prefixes) {
    checkFree(prefix);
    if (prefix.secure && tls === null) {
      throw new InvalidOperationException(`'${prefix.text}' needs a certificate: new HttpListener({ tls: { key, cert } })`);
    }
  }
  // Reserved before anything is awaited, so that two listeners cannot both take a prefix.
  const reserved = prefixes.filter(({ port }) => port !== 0);
  for (const { key } of reserved) registered.add(key);
  const wildcardPorts = new Set(prefixes.filter(({ host }) => isWildcard(host)).map(({ port }) => port));
  const made: Registration[] = [];
  try {
    const addresses = await Promise.all(prefixes.map(addressOf));
    for (const [index, prefix] of prefixes.entries()) {
      const { port, secure } = prefix;
      const any = wildcardPorts.has(port) || endPoints.has(endPointKey(secure, undefined, port));
      const address = any ? undefined : addresses[index];
      const key = endPointKey(secure, address, port);
      let endPoint = endPoints.get(key);
      if (endPoint === undefined) {
        endPoint = new EndPoint(key, address, port, secure ? tls : null);
        endPoints.set(key, endPoint);
      }
      const registration: Registration = { ...prefix, prefix, receive, endPoint };
      endPoint.registrations.add(registration);
      made.push(registration);
    }
    for (const registration of made) {
      const port = await registration.endPoint.ready;
      if (registration.port === 0) bound(registration, port);
    }
    return made;
  } catch (error) {
    for (const { key } of reserved) registered.delete(key);
    unregister(made);
    throw error;
  }
}

function bound(registration: { -readonly [Key in keyof Registration]: Registration[Key] }, port: number): void {
  registration.port = port;
  registration.key = prefixKey(registration);
  registered.add(registration.key);
}

function endPointKey(secure: boolean, address: string | undefined, port: number): string {
  return `${secure ? 'https' : 'http'} ${address ?? '*'} ${port}`;
}

export function unregister(registrations: Iterable<Registration>): void {
  for (const registration of registrations) {
    registered.delete(registration.key);
    registration.endPoint.release(registration);
  }
}
export type { EndPoint };
