/**
 * How a socket gets a connection: the package knows no platform, an adapter supplies a connector.
 *
 * The connection must be in pull mode (no sink) with delivery 'message': this package pulls its events, and not pulling is its back pressure.
 */
import type { ClientExtension, Connection } from '@ferrywire/core';
import { clientDeflate } from '@ferrywire/deflate';
import type { Driver, PeerHandlers } from '@ferrywire/driver';
import { getHeader } from '@ferrywire/handshake';
import type { CheckedArguments } from './arguments.ts';
import type { AbortSignalValue } from './dom-types.ts';
import type { AbortControllerLike } from './platform.ts';
import type { TaskScheduler } from './task-queue.ts';

export interface ConnectRequest {
  /** Serialised, `ws:` or `wss:`, without fragment; may hold user info. */
  readonly url: string;
  readonly subprotocols: readonly string[];
  /** Fail when subprotocols were offered and none was chosen (WHATWG WebSockets, "establish a WebSocket connection", step 11). */
  readonly requireSubprotocol: boolean;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** What to offer: permessage-deflate, as browsers do, unless `deflate` was false. */
  readonly extensions: readonly ClientExtension[];
  /** Aborted when the socket is closed before it is open. */
  readonly signal: AbortSignalValue;
}
export interface Connected {
  readonly connection: Connection;
  readonly host: Driver;
  /** The response's Sec-WebSocket-Extensions. Default: the names of the negotiated extensions. */
  readonly extensions?: string;
}
export interface Connector {
  /** Rejects for any reason: a page never learns which. What it throws at once leaves the constructor (misuse). */
  connect(request: ConnectRequest): PromiseLike<Connected>;
  /** Default: setImmediate, a message channel or a timer, whichever exists. */
  readonly schedule?: TaskScheduler;
  /** What relative URLs are resolved against. Default: `location.href` where there is one. */
  readonly baseUrl?: string;
}

/** What an adapter's `connect` looks like from here. Resolves to a peer in pull mode; `handlers.onOpen` gets the server's answer before that. */
export type PeerConnect = (
  url: string,
  options: Omit<ConnectRequest, 'url'> & {
    readonly pull: true;
    readonly handlers: PeerHandlers;
    readonly http: { readonly maxBodySize: number };
  },
) => PromiseLike<{ readonly connection: Connection; readonly driver: Driver }>;

/** No page is told why it was refused, so no body of a refusal is waited for: one without an end would hold back the error until the deadline. */
const NO_BODY = { maxBodySize: 0 };

/** The connector of an adapter. */
export function connectorOver(connect: PeerConnect): Connector {
  return {
    async connect({ url, ...options }: ConnectRequest): Promise<Connected> {
      const inUse: { extensions?: string } = {};
      const handlers: PeerHandlers = {
        onOpen(_peer, { response }) {
          // RFC 6455 section 4.1, "Extensions In Use": the value of the field, so with the parameters.
          if (response !== null) inUse.extensions = getHeader(response.headers, 'sec-websocket-extensions') ?? '';
        },
      };
      const { connection, driver } = await connect(url, { ...options, pull: true, handlers, http: NO_BODY });
      return { connection, host: driver, ...inUse };
    },
  };
}

let offered: readonly ClientExtension[] | null = null;

export function connectRequest(checked: CheckedArguments, opening: AbortControllerLike): ConnectRequest {
  // One configuration serves any number of connections; made at first use, since making it probes the codec.
  if (checked.deflate) offered ??= [clientDeflate()];
  return {
    url: checked.url,
    subprotocols: checked.protocols,
    requireSubprotocol: checked.protocols.length > 0,
    headers: checked.headers,
    extensions: checked.deflate ? (offered ?? []) : [],
    signal: opening.signal,
  };
}

/** The value of the `extensions` attribute. */
export function extensionsOf(connected: Connected): string {
  return connected.extensions ?? connected.connection.extensions.map((extension) => extension.name).join(', ');
}
