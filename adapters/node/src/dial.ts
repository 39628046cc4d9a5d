/**
 * From a URL to a byte stream: name resolution, TCP or a unix socket, TLS.
 *
 * Beware: what a `connect` hook was shown is what is dialled. The addresses are resolved once, the hook sees all of them, and `net` is given
 * exactly these, so that a name that resolves differently the second time passes no filter. TLS starts on the socket that won the race
 * between addresses, before anything is written.
 */
import { lookup } from 'node:dns';
import { connect as connectNet, isIP, type LookupFunction, type NetConnectOpts, type OnReadOpts, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, createSecureContext, TLSSocket, type ConnectionOptions as TlsConnectionOptions } from 'node:tls';
import { EndpointError } from '@ferrywire/driver';
import { serverNameOf } from '@ferrywire/driver/adapter';
import { connectError, orTlsError } from './errors.ts';

export interface Address {
  readonly address: string;
  readonly family: 4 | 6;
}

/** What is about to be connected to. */
export interface ConnectTarget {
  /** The URL's host, in lower case; an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  /** TLS follows, unless what the hook returns is a `TLSSocket` already. */
  readonly secure: boolean;
  readonly socketPath: string | null;
  /** What the host resolves to, in the order in which it is tried; the host itself where it is an address. Empty for a name that does not resolve and for a unix socket. */
  readonly addresses: readonly Address[];
  /** Aborted when the call of `connect` is, or its time is over. */
  readonly signal: AbortSignal;
}

/**
 * Called before anything is dialled. To refuse a target (an address inside your network, say) throw; to go another way (a proxy, a pipe)
 * return a connected stream of bytes (no `setEncoding`); to go on return nothing.
 */
export type ConnectHook = (target: ConnectTarget) => Duplex | undefined | Promise<Duplex | undefined>;

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  readonly socketPath?: string;
  readonly servername?: string;
  readonly tls?: TlsConnectionOptions;
  readonly connect?: ConnectHook;
  readonly signal: AbortSignal;
  readonly onread: OnReadOpts | null;
}

/** For messages. */
export function whereOf({ host, port, socketPath }: Pick<DialOptions, 'host' | 'port' | 'socketPath'>): string {
  return socketPath ?? (isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`);
}

/**
 * Connected, and with TLS where it is asked for. Rejects with an `EndpointError`, or with the signal's reason; with a TypeError for options of TLS
 * that cannot be used, before anything is dialled, and for a stream of the hook that gives strings.
 */
export async function dial(options: DialOptions): Promise<{ readonly socket: Duplex; readonly onread: boolean }> {
  const { host, port, secure, socketPath, tls, connect, signal, onread } = options;
  const where = whereOf(options);
  const context = secure && tls !== undefined ? orTlsError(() => tls.secureContext ?? createSecureContext(tls)) : null;
  let pinned: readonly Address[] | null = null;
  let supplied: Duplex | undefined;
  if (connect !== undefined) {
    const { addresses, failure } = await resolve(host, socketPath, signal);
    const target: ConnectTarget = { host, port, secure, socketPath: socketPath ?? null, addresses, signal };
    try {
      supplied = await untilAborted(Promise.resolve(connect(target)), signal, (late) => late?.destroy());
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      throw new EndpointError('WS_CONNECT_REFUSED', `options.connect refused ${where}`, { cause });
    }
    if (supplied === undefined && failure !== null) throw connectError(failure, where, false);
    if (supplied !== undefined) checkStream(supplied, where);
    // What a hook returns that does not wait for it. Else why it fails would be lost: no answer is all that the handshake sees.
    if (supplied instanceof Socket && supplied.connecting) {
      await whenConnected(supplied, 'connect', signal, (cause) => connectError(cause, where, false));
    }
    pinned = socketPath === undefined ? addresses : null;
  }
  const plain = supplied ?? (await connectPlain(options, pinned, secure ? null : onread, where));
  if (!secure || plain instanceof TLSSocket) return { socket: plain, onread: supplied === undefined && onread !== null && !secure };
  const named = context === null ? options : { ...options, tls: { ...tls, secureContext: context } };
  return { socket: await startTls(plain, named, where), onread: false };
}

/** Here, since TLS and HTTP/2 over such a stream fail in ways of their own, on some runtimes outside, or not at all. */
function checkStream(stream: Duplex, where: string): void {
  const isStream = (['on', 'pause', 'write', 'destroy'] as const).every((name) => typeof stream?.[name] === 'function');
  // Streams of other libraries need not have the property.
  if (isStream && typeof stream.readableEncoding !== 'string') {
    if (!stream.destroyed && !stream.readableEnded && !stream.writableEnded) return;
    stream.on('error', () => {}).destroy();
    throw new EndpointError('WS_CONNECT_REFUSED', `cannot connect to ${where}: the stream of options.connect has ended`);
  }
  if (typeof stream?.on === 'function' && typeof stream.destroy === 'function') stream.on('error', () => {}).destroy();
  throw new TypeError(
    isStream
      ? 'options.connect: the stream must give bytes, and setEncoding has made it give strings'
      : 'options.connect must return a stream that can be read and written, or undefined',
  );
}

async function resolve(
  host: string,
  socketPath: string | undefined,
  signal: AbortSignal,
): Promise<{ readonly addresses: readonly Address[]; readonly failure: unknown }> {
  if (socketPath !== undefined) return { addresses: [], failure: null };
  const family = isIP(host);
  if (family !== 0) return { addresses: [{ address: host, family: family === 6 ? 6 : 4 }], failure: null };
  const found = new Promise<{ addresses: Address[]; failure: unknown }>((done) => {
    lookup(host, { all: true }, (failure, entries) => {
      const addresses = failure === null ? entries.map(({ address, family }): Address => ({ address, family: family === 6 ? 6 : 4 })) : [];
      done({ addresses, failure });
    });
  });
  return untilAborted(found, signal, () => {});
}

/** The promise's outcome or the signal's reason, whichever is first. `late` gets what comes after that. */
export function untilAborted<Value>(promise: Promise<Value>, signal: AbortSignal, late: (value: Value) => void): Promise<Value> {
  return new Promise((done, fail) => {
    const onAbort = (): void => {
      fail(signal.reason);
      promise.then(late, () => {});
    };
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(done, fail).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** `net` tries the addresses in turn (RFC 8305) and takes the first that answers. */
function connectPlain(options: DialOptions, pinned: readonly Address[] | null, onread: OnReadOpts | null, where: string): Promise<Socket> {
  const { host, port, socketPath, signal } = options;
  const read = onread === null ? {} : { onread };
  let target: NetConnectOpts;
  if (socketPath !== undefined) target = { path: socketPath, ...read };
  else if (pinned === null || isIP(host) !== 0) target = { host, port, noDelay: true, ...read };
  else target = { host, port, noDelay: true, lookup: lookupAmong(pinned), ...read };
  const failure = (cause: unknown): EndpointError => connectError(cause, where, false);
  let socket: Socket;
  try {
    socket = connectNet({ ...target, allowHalfOpen: true });
  } catch (cause) {
    // Deno, of a unix socket that it may not use.
    throw failure(cause);
  }
  return whenConnected(socket, 'connect', signal, failure);
}

function lookupAmong(addresses: readonly Address[]): LookupFunction {
  return (_host, { all }, done) => {
    const first = addresses[0];
    if (all === true) done(null, [...addresses]);
    else if (first === undefined) done(new Error('no address'), '', 4);
    else done(null, first.address, first.family);
  };
}

async function startTls(plain: Duplex, options: DialOptions, where: string): Promise<TLSSocket> {
  const { host, servername, tls, signal } = options;
  let socket: TLSSocket;
  try {
    socket = orTlsError(() =>
      connectTls({
        // Offered so that a server that also speaks HTTP/2 does not choose it (RFC 7301).
        ALPNProtocols: ['http/1.1'],
        ...tls,
        // The identity to check, and the name to ask for.
        host,
        servername: servername ?? tls?.servername ?? serverNameOf(host),
        socket: plain,
      }),
    );
  } catch (mistake) {
    plain.destroy();
    throw mistake;
  }
  socket.allowHalfOpen = true;
  return whenConnected(socket, 'secureConnect', signal, (cause) => connectError(cause, where, true));
}

interface Agreeing {
  /** Not among Node's types. */
  readonly secureConnecting?: boolean;
}

/**
 * Whether TLS has not been agreed on: on a socket of `tls.connect` whose 'secureConnect' is to come, or that never will. Beware: of a `TLSSocket`
 * that was made by hand Node says for ever that it is connecting.
 */
export function isAgreeing(socket: TLSSocket): boolean {
  return (socket as Agreeing).secureConnecting === true && (socket.alpnProtocol === null || Boolean(socket.authorizationError));
}

/** A hook may return what it got from `tls.connect`. HTTP/2 has to know what was agreed on; over HTTP/1.1 the handshake just follows. */
export async function untilSecure(socket: Duplex, options: Omit<DialOptions, 'onread'>): Promise<void> {
  if (!(socket instanceof TLSSocket) || !isAgreeing(socket)) return;
  await whenConnected(socket, 'secureConnect', options.signal, (cause) => connectError(cause, whereOf(options), true));
}

/** Resolves at `event`; destroys the socket when it fails or the signal fires first. */
function whenConnected<Connecting extends Socket>(
  socket: Connecting,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
  failure: (cause: unknown) => EndpointError,
): Promise<Connecting> {
  return new Promise((done, fail) => {
    const settle = (): void => {
      socket.removeListener(event, onConnected).removeListener('error', onFailed).removeListener('close', onClosed);
      signal.removeEventListener('abort', onAbort);
    };
    const onConnected = (): void => {
      settle();
      done(socket);
    };
    const onFailed = (cause: unknown): void => {
      settle();
      // It may report more than one failure; the first counts.
      socket.on('error', () => {}).destroy();
      fail(failure(cause));
    };
    const onClosed = (): void => onFailed(new Error('closed before the connection was made'));
    const onAbort = (): void => {
      settle();
      socket.on('error', () => {}).destroy();
      fail(signal.reason);
    };
    socket.once(event, onConnected).once('error', onFailed).once('close', onClosed);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}
