/**
 * What the entry points of every adapter share: the protocol's options with the runtime's clock, timers and kernels, and checks that name
 * the option.
 *
 * Beware: a protocol checks its options when it is made, which is when a peer is there. A listener must find a mistake before that, and a
 * client before it dials, hence the trial objects.
 */
import { type Clock, Connection, type ConnectionOptions, type Kernels, type Role } from '@ferrywire/core';
import { createUpgrade, resolveLimits, ServerProtocol, type WebSocketUri } from '@ferrywire/handshake';
import type { EndpointHostOptions } from '../endpoint.ts';
import { EndpointError } from '../errors.ts';
import type { ClientSettings, ConnectionSettings, ServerSettings } from '../host.ts';
import { checkEndpoints } from '../parts.ts';
import type { PeerHandlers } from '../peer.ts';
import type { TimerHost } from '../types.ts';

/** A runtime, as far as the protocol needs one. */
export interface Runtime {
  readonly clock: Clock;
  readonly timers: TimerHost;
  readonly kernels?: Kernels;
}

/** Who owns a chunk that the transport has delivered. */
export type InputOwnership = NonNullable<ConnectionOptions['input']>;

/** Of all entry points alike. */
export interface SharedOptions {
  /** What to do with each connection. One object serves all of them. */
  readonly handlers?: PeerHandlers;
  /** Bytes waiting for a stalled peer beyond which nothing more is read from it. Default: 262 144 for servers, none for clients. */
  readonly highWaterMark?: number;
  /** Pull mode: events are taken with `peer.connection.nextEvent()`, told by `peer.driver.onEvents`. Default false. */
  readonly pull?: boolean;
}

/** The protocol's options for a server. Who owns what the transport delivers is the adapter's to say, so `input` is no option. */
export type ServerOptions = SharedOptions & Omit<ServerSettings, 'input'>;
export type ClientOptions = SharedOptions & Omit<ClientSettings, 'input' | 'url'>;

/** The options of an `EndpointHost`, checked: throws a TypeError or RangeError that names the option. */
export function hostOptions(runtime: Runtime, options: SharedOptions & Pick<ConnectionSettings, 'timeouts'>): EndpointHostOptions {
  const { handlers = {}, highWaterMark, pull } = options;
  const closing = options.timeouts?.closing;
  checkEndpoints({ handlers, highWaterMark, pull });
  const { clock, timers } = runtime;
  return {
    clock,
    timers,
    handlers,
    ...(highWaterMark === undefined ? null : { highWaterMark }),
    // What is no time is for the connection's own check to name, which follows.
    ...(typeof closing === 'number' && closing >= 0 ? { closing } : null),
    ...(pull === undefined ? null : { pull }),
  };
}

/** The protocol's part of the options. Throws what the protocol throws for them, before anybody has connected. */
export function serverSettings(runtime: Runtime, options: ServerOptions, input: InputOwnership): ServerSettings {
  const { handlers: _handlers, highWaterMark: _highWaterMark, pull: _pull, ...protocol } = options;
  const settings: ServerSettings = { ...kernelsOf(runtime), ...protocol, input };
  new ServerProtocol({ ...settings, clock: runtime.clock }).abort();
  return settings;
}

/** To be spread into a connection's options: no key where there is none. */
export function kernelsOf({ kernels }: Runtime): { readonly kernels?: Kernels } {
  return kernels === undefined ? {} : { kernels };
}

/** What is the connection's among the options of a client, before anything is dialled. Extensions are not yet those of a connection. */
export function checkConnection(settings: ConnectionSettings, role: Role): void {
  new Connection({ ...settings, extensions: [], subprotocol: null, role, clock: () => 0 });
}

/** All that a client's request and connection are made of, before anything is dialled. */
export function checkClient(settings: Omit<ClientSettings, 'url'>, url: WebSocketUri): void {
  checkConnection(settings, 'client');
  resolveLimits(settings.http);
  // The key is never sent, so the application's source is not asked for it.
  createUpgrade({ ...settings, url, random: () => {} });
}

/** Throws a TypeError. No zero byte either: the system would take a path or a name to end there. */
export function checkText(value: unknown, name: string): void {
  if (typeof value !== 'string' || value === '' || value.includes('\0')) throw new TypeError(`${name} must be a string that is not empty`);
}

/** An IPv6 address in brackets is one in a URL, and no address to listen on. */
export function checkHost(value: string): void {
  checkText(value, 'options.host');
  if (value.startsWith('[')) throw new EndpointError('WS_LISTEN_HOST', 'options.host must be an IPv6 address without brackets');
}

/** What is not a port is an error with a code, since ports come from users of a program more often than from its author. */
export function checkPort(value: unknown, name: string): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65_535) return;
  throw new EndpointError('WS_LISTEN_PORT', `${name} must be an integer from 0 to 65535`);
}
