/**
 * What `connect` does on every runtime: the URL, the options, one deadline over name resolution, TCP, TLS and the handshake together
 * (RFC 6455 section 4.1), and the signal that gives up. The adapter dials.
 *
 * Beware: one timer at a time. Ours is for dialling; in the handshake what is left of the deadline is the protocol's, which alone knows
 * whether the server has answered by then.
 */
import { parseUri, type WebSocketUri } from '@ferrywire/handshake';
import { EndpointError } from '../errors.ts';
import { type ClientSettings, EndpointHost } from '../host.ts';
import { checkNumber, checkObject } from '../parts.ts';
import type { Peer } from '../peer.ts';
import { MAX_DELAY } from '../platform.ts';
import type { DriverHandle, Transport } from '../types.ts';
import { type ClientOptions, checkClient, checkText, hostOptions, type InputOwnership, kernelsOf, type Runtime } from './options.ts';
import { checkTls } from './tls.ts';

const OPENING = 10_000;

/** As much of an `AbortSignal` as is used. */
export interface Signal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

export type DialOptions = ClientOptions & {
  /** Gives up until the connection is open; afterwards it does nothing. */
  readonly signal?: Signal;
};

/** Where and as whom to dial: the same options on every runtime with sockets. */
export interface DialPlace {
  /** The name in TLS (SNI) and in the certificate. Default: the URL's host. */
  readonly servername?: string;
  /** A unix socket to connect to; the URL still says what to ask for. */
  readonly socketPath?: string;
}

/** Throws a TypeError that names the option. */
export function checkDialPlace({ tls, servername, socketPath }: DialPlace & { readonly tls?: unknown }): void {
  if (tls !== undefined) checkTls(tls, 'client');
  if (servername !== undefined) checkText(servername, 'options.servername');
  if (socketPath !== undefined) checkText(socketPath, 'options.socketPath');
}

export interface DialTarget {
  readonly uri: WebSocketUri;
  /** The URL's host, an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  /** Host and port, for messages. */
  readonly where: string;
  /** The promise's outcome, or a rejection when the time is over or the signal fires first; `late` gets what comes after that. */
  race<Value>(promise: Promise<Value>, late: (value: Value) => void): Promise<Value>;
  /** The time is over or the signal has fired: whatever fails now is a consequence. */
  isOver(): boolean;
}

/** A transport that is connected, TLS included, and that nobody reads from yet. */
export interface Dialled {
  readonly transport: Transport;
  readonly input: InputOwnership;
  /** From here on events go to the driver. The request has been written. */
  start(driver: DriverHandle): void;
}

/** Raised inside `race` only: the caller's signal and the deadline are told apart where it is caught. */
class GivenUp extends Error {}

class Attempt {
  /** Called once, when the time is over or the signal fires. */
  onGiveUp: (() => void) | null = null;
  over = false;

  giveUp(): void {
    if (this.over) return;
    this.over = true;
    this.onGiveUp?.();
  }
  race<Value>(promise: Promise<Value>, late: (value: Value) => void): Promise<Value> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        reject(new GivenUp());
        promise.then(late, () => {});
      };
      if (this.over) {
        giveUp();
        return;
      }
      this.onGiveUp = giveUp;
      promise.then(resolve, reject).finally(() => {
        if (this.onGiveUp === giveUp) this.onGiveUp = null;
      });
    });
  }
}

/**
 * Connects, and resolves once the WebSocket is open. Rejects with an `EndpointError`, or with a TypeError, RangeError or SyntaxError that names the option.
 *
 * @param dial rejects with an `EndpointError`, or with what its `race` rejected with
 */
export async function openClient(
  runtime: Runtime,
  url: unknown,
  options: DialOptions & { readonly input?: InputOwnership },
  dial: (target: DialTarget) => Promise<Dialled>,
): Promise<Peer> {
  const { signal, handlers: _handlers, highWaterMark: _highWaterMark, pull: _pull, ...protocol } = options;
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') throw new TypeError('options.signal must be an AbortSignal');
  if (protocol.timeouts !== undefined) checkObject(protocol.timeouts, 'options.timeouts');
  const opening = protocol.timeouts?.opening ?? OPENING;
  checkNumber(opening, 'options.timeouts.opening', 0, Number.POSITIVE_INFINITY);
  const uri = parse(url);
  checkClient(protocol, uri);
  const endpoints = new EndpointHost(hostOptions(runtime, options));
  if (signal !== undefined && isAborted(signal)) throw aborted(signal);

  const { clock, timers } = runtime;
  const began = clock();
  const attempt = new Attempt();
  const giveUp = (): void => attempt.giveUp();
  signal?.addEventListener('abort', giveUp, { once: true });
  // A longer deadline is the protocol's alone.
  const timer = opening > 0 && opening < MAX_DELAY ? timers.set(giveUp, opening) : null;
  try {
    const host = uri.host.startsWith('[') ? uri.host.slice(1, -1) : uri.host;
    const { port, secure } = uri;
    const dialled = await dial({
      uri,
      host,
      port,
      secure,
      where: `${uri.host}:${port}`,
      isOver: () => attempt.over,
      race: (promise, late) => attempt.race(promise, late),
    });
    if (timer !== null) timers.clear(timer);
    const left = opening === 0 ? 0 : Math.max(1, opening - (clock() - began));
    const settings: ClientSettings = {
      ...kernelsOf(runtime),
      ...protocol,
      url: uri,
      timeouts: { ...protocol.timeouts, opening: left },
      input: dialled.input,
    };
    let handshake: ReturnType<EndpointHost['dial']>;
    try {
      handshake = endpoints.dial(dialled.transport, settings);
    } catch (mistake) {
      dialled.transport.abort();
      throw mistake;
    }
    attempt.onGiveUp = () => handshake.abort();
    if (attempt.over) handshake.abort();
    dialled.start(handshake.driver);
    return await handshake.opened;
  } catch (error) {
    if (signal !== undefined && isAborted(signal)) throw aborted(signal);
    if (attempt.over) throw new EndpointError('WS_CONNECT_TIMEOUT', 'no connection within timeouts.opening');
    throw error;
  } finally {
    attempt.onGiveUp = null;
    signal?.removeEventListener('abort', giveUp);
    if (timer !== null) timers.clear(timer);
  }
}

function parse(url: unknown): WebSocketUri {
  try {
    return parseUri(String(url));
  } catch (cause) {
    throw new EndpointError('WS_URL', cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** A call, since the compiler takes a property for constant between two looks. */
function isAborted(signal: Signal): boolean {
  return signal.aborted;
}

function aborted(signal: Signal): EndpointError {
  return new EndpointError('WS_CONNECT_ABORTED', 'options.signal was aborted', { cause: signal.reason });
}
