/**
 * `connect`: a client over TCP, TLS, a unix socket or a stream of your own (RFC 6455 section 4.1).
 *
 * One deadline, `timeouts.opening`, covers name resolution, TCP, TLS and the handshake together.
 */
import type { OnReadOpts } from 'node:net';
import type { ConnectionOptions as TlsConnectionOptions } from 'node:tls';
import { type ClientSettings, EndpointError, EndpointHost, type Peer } from '@ferrywire/driver';
import { parseUri, type WebSocketUri } from '@ferrywire/handshake';
import { type ConnectHook, dial } from './dial.ts';
import { kernels } from './kernels.ts';
import { type ClientOptions, checkConnection, checkNumber, checkObject, checkText, hostOptions } from './options.ts';
import { clock, timers } from './timers.ts';
import { SocketTransport } from './transport.ts';

const OPENING = 10_000;
const READ_SIZE = 65_536;

export type ConnectOptions = ClientOptions & {
  /** Gives up until the connection is open; afterwards it does nothing. */
  readonly signal?: AbortSignal;
  /** What `tls.connect` takes: `ca`, `cert`, `key`, `rejectUnauthorized` and the like. Needs a `wss:` URL. */
  readonly tls?: TlsConnectionOptions;
  /** The name in TLS (SNI) and in the certificate. Default: the URL's host. */
  readonly servername?: string;
  /** A unix socket (or a named pipe on Windows) to connect to; the URL still says what to ask for. */
  readonly socketPath?: string;
  /** Sees what is about to be dialled; may refuse it, or supply a stream instead. */
  readonly connect?: ConnectHook;
};

/**
 * Connects, and resolves once the WebSocket is open. Messages that came right behind the server's answer reach `options.handlers` first.
 *
 * Rejects with an `EndpointError`: `WS_URL`, `WS_CONNECT_REFUSED`, `WS_CONNECT_HOST`, `WS_CONNECT_TLS`, `WS_CONNECT_TIMEOUT`,
 * `WS_CONNECT_ABORTED`, `WS_CONNECT_HANDSHAKE` (with `handshake`, `response` and `body`), `WS_PERMISSION`, `WS_TRANSPORT`; with a TypeError
 * or RangeError that names the option for what no program should ask for. Redirects and 401s are yours to follow.
 */
export async function connect(url: string | URL, options: ConnectOptions = {}): Promise<Peer> {
  checkObject(options, 'options');
  const { signal, tls, servername, socketPath, connect: hook, ...rest } = options;
  const { handlers: _handlers, highWaterMark: _highWaterMark, pull: _pull, ...protocol } = rest;
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') throw new TypeError('options.signal must be an AbortSignal');
  if (tls !== undefined) checkObject(tls, 'options.tls');
  if (servername !== undefined && typeof servername !== 'string') throw new TypeError('options.servername must be a string');
  if (socketPath !== undefined) checkText(socketPath, 'options.socketPath');
  if (hook !== undefined && typeof hook !== 'function') throw new TypeError('options.connect must be a function');
  const opening = protocol.timeouts?.opening ?? OPENING;
  checkNumber(opening, 'options.timeouts.opening', 0, Number.POSITIVE_INFINITY);
  const uri = parse(url);
  checkConnection(protocol, 'client');
  const endpoints = new EndpointHost(hostOptions(options));
  if (signal !== undefined && isAborted(signal)) throw aborted(signal);

  const began = clock();
  const controller = new AbortController();
  const onAbort = (): void => controller.abort();
  signal?.addEventListener('abort', onAbort, { once: true });
  const timer = opening > 0 && opening < 2_147_483_647 ? timers.set(onAbort, opening) : null;
  const buffered = canReadInto() ? new ReadInto() : null;
  try {
    const { socket, onread } = await dial({
      host: uri.host.startsWith('[') ? uri.host.slice(1, -1) : uri.host,
      port: uri.port,
      secure: uri.secure,
      signal: controller.signal,
      onread: buffered,
      ...(socketPath === undefined ? null : { socketPath }),
      ...(servername === undefined ? null : { servername }),
      ...(tls === undefined ? null : { tls }),
      ...(hook === undefined ? null : { connect: hook }),
    });
    const left = opening === 0 ? 0 : Math.max(1, opening - (clock() - began));
    const settings: ClientSettings = {
      kernels,
      ...protocol,
      url: uri,
      timeouts: { ...protocol.timeouts, opening: left },
      input: onread ? 'reused' : 'transferred',
    };
    const transport = new SocketTransport(socket);
    let dialled: ReturnType<EndpointHost['dial']>;
    try {
      dialled = endpoints.dial(transport, settings, transport);
    } catch (mistake) {
      socket.destroy();
      throw mistake;
    }
    controller.signal.addEventListener('abort', () => dialled.abort(), { once: true });
    transport.join(dialled.driver);
    if (onread && buffered !== null) buffered.transport = transport;
    else transport.startReading();
    return await dialled.opened;
  } catch (error) {
    if (signal !== undefined && isAborted(signal)) throw aborted(signal);
    if (controller.signal.aborted) throw new EndpointError('WS_CONNECT_TIMEOUT', 'no connection within timeouts.opening');
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    if (timer !== null) timers.clear(timer);
  }
}

function parse(url: string | URL): WebSocketUri {
  try {
    return parseUri(String(url));
  } catch (cause) {
    throw new EndpointError('WS_URL', cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** A call, since the compiler takes a property for constant between two looks. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

function aborted(signal: AbortSignal): EndpointError {
  return new EndpointError('WS_CONNECT_ABORTED', 'options.signal was aborted', { cause: signal.reason });
}

/** Node only: Bun and Deno have no `onread`. On Windows the system holds the buffer while nothing arrives, so it cannot be shared. */
function canReadInto(): boolean {
  return process.versions.bun === undefined && process.versions.deno === undefined && process.platform !== 'win32';
}

let shared: Uint8Array | null = null;

/**
 * `onread` of `net.connect`: all connections read into one buffer, instead of 64 KiB of fresh memory for every read. The read and the
 * callback are one step of the event loop, and what must be kept is copied by the core (`input: 'reused'`).
 */
class ReadInto implements OnReadOpts {
  transport: SocketTransport | null = null;

  readonly buffer = (): Uint8Array => {
    shared ??= new Uint8Array(READ_SIZE);
    return shared;
  };
  readonly callback = (count: number, buffer: Uint8Array): boolean => {
    this.transport?.received(count === buffer.length ? buffer : new Uint8Array(buffer.buffer, buffer.byteOffset, count));
    return true;
  };
}
