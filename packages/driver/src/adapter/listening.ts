/**
 * A listener as every adapter hands it out, around whatever the runtime has for one.
 */
import { closeOnce } from '../closing.ts';
import type { EndpointHost } from '../host.ts';
import type { Listening, Peer } from '../peer.ts';
import { checkHost, checkPort, checkText } from './options.ts';
import { checkTls } from './tls.ts';

declare global {
  /** For consumers whose library has no such symbol; it merges with `lib="esnext.disposable"`. */
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol;
  }
}

/** Where to listen: the same options on every runtime. */
export interface PlaceOptions {
  /** 0 to 65535; default 0, which lets the system choose. */
  readonly port?: number;
  /** Default '127.0.0.1': reached from this machine only. '::' is every address. */
  readonly host?: string;
  /** A unix socket instead of a port. */
  readonly socketPath?: string;
}

/** The place, checked; `where` is for messages. */
export function placeOf(options: PlaceOptions & { readonly tls?: unknown }): {
  readonly port: number;
  readonly host: string;
  readonly socketPath: string | undefined;
  readonly where: string;
} {
  const { port = 0, host = '127.0.0.1', socketPath, tls } = options;
  checkPort(port, 'options.port');
  checkHost(host);
  if (socketPath !== undefined) checkText(socketPath, 'options.socketPath');
  if (tls !== undefined) checkTls(tls, 'server');
  return { port, host, socketPath, where: socketPath ?? `${host}:${port}` };
}

/** What an adapter says about its listener. */
export interface ListenerParts {
  /** 0 on a unix socket. */
  readonly port: number;
  /** An address, a name, or the path of a unix socket. */
  readonly host: string;
  readonly secure: boolean;
  /** The connections. */
  readonly endpoints: Pick<EndpointHost, 'peers' | 'close'>;
  /** Stops accepting. Connections go on. */
  stop(): void;
  ref(): void;
  unref(): void;
}

/** A listener that says what keeps the process alive. */
export interface RefListening extends Listening {
  /** Whether the listener keeps the process alive (default: it does). Connections have their own: `transportOf(peer).unref()`. */
  ref(): void;
  unref(): void;
  /** `close()`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What `listen` returns, from an adapter's parts. */
export function listening(parts: ListenerParts): RefListening {
  const { port, host, secure, endpoints } = parts;
  const scheme = secure ? 'wss' : 'ws';
  const close = closeOnce(async (how) => {
    parts.stop();
    await endpoints.close(how);
  });
  return {
    port,
    host,
    url: port === 0 ? `${scheme}+unix:${host}` : `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}/`,
    get peers(): ReadonlySet<Peer> {
      return endpoints.peers;
    },
    close,
    ref: () => parts.ref(),
    unref: () => parts.unref(),
    [Symbol.asyncDispose]: () => close(),
  };
}

/** What adapters on sockets tell about a connection: `peer.transport`, see their `transportOf`. */
export interface SocketInfo {
  /** Null on a unix socket, and on some runtimes after the socket has closed. */
  readonly remoteAddress: string | null;
  readonly remotePort: number | null;
  /** TLS. */
  readonly encrypted: boolean;
  /** Whether an open connection keeps the process alive (default: it does). */
  ref(): void;
  unref(): void;
}

/** `peer.transport` as what the adapter has put there. Throws TypeError for a peer of another adapter. */
export function transportIn<Kind>(peer: Pick<Peer, 'transport'>, kind: abstract new (...args: never[]) => Kind): Kind {
  if (peer.transport instanceof kind) return peer.transport;
  throw new TypeError('peer: is not one of this adapter');
}
