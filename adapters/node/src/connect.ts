/**
 * `connect`: a client over TCP, TLS, a unix socket or a stream of your own (RFC 6455 section 4.1), or over a stream of an HTTP/2 session
 * (RFC 8441).
 *
 * One deadline, `timeouts.opening`, covers name resolution, TCP, TLS and the handshake together. Beware: one timer at a time. Ours is for
 * dialling; in the handshake over HTTP/1.1 what is left of the deadline is the protocol's, which alone knows whether the server has answered
 * by then.
 */
import type { ClientHttp2Session } from 'node:http2';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket, type ConnectionOptions as TlsConnectionOptions } from 'node:tls';
import { type ClientSettings, EndpointError, EndpointHost, type Peer } from '@ferrywire/driver';
import { throwOutside } from '@ferrywire/driver/adapter';
import { createUpgrade, parseUri, resolveLimits, type WebSocketUri } from '@ferrywire/handshake';
import { type ConnectHook, type DialOptions, dial, isAgreeing, untilSecure, whereOf } from './dial.ts';
import { connectError } from './errors.ts';
import { type OwnSession, openStream, sessionOver } from './http2-client.ts';
import { CANCEL, disposeOf, dropSession, endSession, reset } from './http2-ends.ts';
import { Http2Transport, SessionRefs } from './http2-transport.ts';
import { kernels } from './kernels.ts';
import { type ClientOptions, checkClient, checkNumber, checkObject, checkText, hostOptions } from './options.ts';
import { canShare, SharedRead } from './shared-buffer.ts';
import { clock, timers } from './timers.ts';
import { checkClientTls } from './tls.ts';
import { ownsChunks, SocketTransport } from './transport.ts';

const OPENING = 10_000;

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
  /**
   * A stream of an HTTP/2 session instead of a connection of its own (RFC 8441). An existing session stays open and may carry any number
   * of WebSockets, besides whatever else; the URL then only says what to ask for. True makes a session for this one (without TLS, by prior
   * knowledge), which ends with it. Default false: HTTP/1.1.
   */
  readonly http2?: boolean | ClientHttp2Session;
};

/**
 * Connects, and resolves once the WebSocket is open. Messages that came right behind the server's answer reach `options.handlers` first.
 *
 * Rejects with an `EndpointError`: `WS_URL`, `WS_CONNECT_REFUSED`, `WS_CONNECT_HOST`, `WS_CONNECT_TLS`, `WS_CONNECT_TIMEOUT`,
 * `WS_CONNECT_ABORTED`, `WS_CONNECT_HANDSHAKE` (with `handshake`, `response` and `body`), `WS_PERMISSION`, `WS_TRANSPORT`; with a TypeError,
 * RangeError or SyntaxError that names the option for what no program should ask for. Redirects and 401s are yours to follow.
 */
export async function connect(url: string | URL, options: ConnectOptions = {}): Promise<Peer> {
  checkObject(options, 'options');
  const { signal, tls, servername, socketPath, connect: hook, http2 = false, ...rest } = options;
  const { handlers: _handlers, highWaterMark: _highWaterMark, pull: _pull, ...protocol } = rest;
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') throw new TypeError('options.signal must be an AbortSignal');
  if (tls !== undefined) checkClientTls(tls);
  if (servername !== undefined) checkText(servername, 'options.servername');
  if (socketPath !== undefined) checkText(socketPath, 'options.socketPath');
  if (hook !== undefined && typeof hook !== 'function') throw new TypeError('options.connect must be a function');
  checkHttp2(http2, { tls, servername, socketPath, connect: hook });
  const opening = protocol.timeouts?.opening ?? OPENING;
  checkNumber(opening, 'options.timeouts.opening', 0, Number.POSITIVE_INFINITY);
  const uri = parse(url);
  checkClient(protocol, uri);
  const endpoints = new EndpointHost(hostOptions(options));
  if (signal !== undefined && isAborted(signal)) throw aborted(signal);

  const began = clock();
  const controller = new AbortController();
  const onAbort = (): void => controller.abort();
  signal?.addEventListener('abort', onAbort, { once: true });
  const timer = opening > 0 && opening < 2_147_483_647 ? timers.set(onAbort, opening) : null;
  const target: Omit<DialOptions, 'onread'> = {
    host: uri.host.startsWith('[') ? uri.host.slice(1, -1) : uri.host,
    port: uri.port,
    secure: uri.secure,
    signal: controller.signal,
    ...(socketPath === undefined ? null : { socketPath }),
    ...(servername === undefined ? null : { servername }),
    ...(tls === undefined ? null : { tls }),
    ...(hook === undefined ? null : { connect: hook }),
  };
  try {
    if (http2 !== false) {
      const settings: ClientSettings = { kernels, ...protocol, url: uri, input: 'transferred' };
      return await openHttp2(endpoints, http2 === true ? target : http2, settings, uri, controller.signal);
    }
    const handOver = (): number => {
      if (timer !== null) timers.clear(timer);
      return opening === 0 ? 0 : Math.max(1, opening - (clock() - began));
    };
    return await openHttp1(endpoints, target, { kernels, ...protocol, url: uri }, handOver);
  } catch (error) {
    if (signal !== undefined && isAborted(signal)) throw aborted(signal);
    if (controller.signal.aborted && error === controller.signal.reason)
      throw new EndpointError('WS_CONNECT_TIMEOUT', 'no connection within timeouts.opening');
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    if (timer !== null) timers.clear(timer);
  }
}

/** @param handOver Called once there is a socket: leaves the deadline to the protocol, and says what is left of it. */
async function openHttp1(
  endpoints: EndpointHost,
  target: Omit<DialOptions, 'onread'>,
  options: ClientSettings,
  handOver: () => number,
): Promise<Peer> {
  const buffered = canShare ? new SharedRead() : null;
  const { socket, onread } = await dial({ ...target, onread: buffered });
  const settings: ClientSettings = {
    ...options,
    timeouts: { ...options.timeouts, opening: handOver() },
    input: onread ? 'reused' : ownsChunks(socket) ? 'transferred' : 'shared',
  };
  const transport = new SocketTransport(socket);
  const dialled = orDestroy(socket, () => endpoints.dial(transport, settings));
  transport.join(dialled.driver);
  if (onread && buffered !== null) buffered.transport = transport;
  else transport.startReading();
  if (target.signal.aborted) dialled.abort();
  else target.signal.addEventListener('abort', () => dialled.abort(), { once: true });
  return await (socket instanceof TLSSocket ? orAlert(socket, dialled.opened, whereOf(target)) : dialled.opened);
}

/**
 * In TLS 1.3 a server looks at the client's certificate when the client has done its part: what it refuses it with comes where an answer should.
 * So does all that goes wrong in TLS on a socket that a hook has returned before it was agreed on.
 */
async function orAlert(socket: TLSSocket, opened: Promise<Peer>, where: string): Promise<Peer> {
  let cause: unknown = null;
  let agreeing = false;
  const onError = (error: unknown): void => {
    if (cause !== null) return;
    cause = error;
    agreeing = isAgreeing(socket);
  };
  socket.on('error', onError);
  try {
    return await opened;
  } catch (error) {
    const failure = connectError(cause, where, agreeing);
    throw failure.code === 'WS_CONNECT_TLS' && error instanceof EndpointError && error.handshake === 'WS_HS_EOF' ? failure : error;
  } finally {
    socket.off('error', onError);
  }
}

/** What `make` throws is a mistake in the options, found late. */
function orDestroy<Result>(socket: Duplex, make: () => Result): Result {
  try {
    return make();
  } catch (mistake) {
    socket.destroy();
    throw mistake;
  }
}

/** @param over Where to make a session, or the session. */
async function openHttp2(
  endpoints: EndpointHost,
  over: Omit<DialOptions, 'onread'> | ClientHttp2Session,
  settings: ClientSettings,
  uri: WebSocketUri,
  signal: AbortSignal,
): Promise<Peer> {
  const upgrade = createUpgrade({ ...settings, httpVersion: '2' });
  const { authority = '', scheme = '' } = upgrade.request;
  const { maxBodySize } = resolveLimits(settings.http);
  const made = 'request' in over ? null : await newSession(over, `${scheme}://${authority}`);
  const session = made?.session ?? (over as ClientHttp2Session); // not made, so it was given
  try {
    const { stream, response, negotiated } = await openStream(session, upgrade, maxBodySize, `${uri.host}:${uri.port}`, signal);
    // It may have been aborted in the turn of the answer.
    if (signal.aborted) {
      reset(stream, CANCEL);
      disposeOf(negotiated.extensions);
      throw signal.reason;
    }
    // A stream that is no socket keeps no process alive, and on Deno a session over one has no ref().
    const refs = made?.socket instanceof Socket ? new SessionRefs(made.session) : null;
    const transport = new Http2Transport(stream, refs);
    if (made !== null) stream.once('close', () => endSession(made.session, made.socket));
    const { url: _url, http: _http, ...connection } = settings;
    const heads = { request: null, response };
    try {
      transport.peer = endpoints.adopt(transport, negotiated, connection, heads, (driver) => transport.join(driver));
    } catch (thrown) {
      const [opened] = endpoints.peers;
      if (opened === undefined) throw thrown;
      // By `onOpen`, after which it is open all the same: goes outside, as over HTTP/1.1.
      throwOutside(thrown);
      transport.peer = opened;
    } finally {
      transport.startReading();
    }
    return transport.peer;
  } catch (error) {
    if (made !== null) dropSession(made.session, made.socket);
    throw error;
  }
}

async function newSession(target: Omit<DialOptions, 'onread'>, authority: string): Promise<OwnSession> {
  const tls = { ALPNProtocols: ['h2'], ...target.tls };
  const { socket } = await dial({ ...target, tls, onread: null });
  await untilSecure(socket, target);
  return sessionOver(socket, authority);
}

/** An existing session has been dialled already. */
function checkHttp2(http2: boolean | ClientHttp2Session, others: Readonly<Record<string, unknown>>): void {
  if (typeof http2 === 'boolean') return;
  if (typeof http2?.request !== 'function') throw new TypeError('options.http2 must be a boolean or a ClientHttp2Session');
  for (const [name, value] of Object.entries(others)) {
    if (value !== undefined) throw new TypeError(`options.${name} does not go with a session in options.http2`);
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
