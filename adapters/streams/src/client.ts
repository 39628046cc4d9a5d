/**
 * Clients over stream pairs, and connections whose handshake was done elsewhere.
 */
import type { Negotiated } from '@ferrywire/core';
import { type ConnectionSettings, EndpointHost, type Peer } from '@ferrywire/driver';
import { checkConnection, checkObject, type DialOptions, hostOptions, openClient, type SharedOptions } from '@ferrywire/driver/adapter';
import type { UrlLike } from '@ferrywire/websocket';
import type { StreamPair } from './pair.ts';
import { runtime } from './runtime.ts';
import type { InputOptions } from './server.ts';
import { type StreamTransport, transportOver } from './transport.ts';

export type ConnectOptions = DialOptions & InputOptions;

/**
 * Asks the other end of the pair for a WebSocket, and resolves once it is open. The URL says what to ask for; where the pair leads, and
 * whether over TLS, is yours. Messages that came right behind the server's answer reach `options.handlers` first.
 *
 * Rejects with an `EndpointError`: `WS_URL`, `WS_CONNECT_TIMEOUT`, `WS_CONNECT_ABORTED`, `WS_CONNECT_HANDSHAKE` (with `handshake`, `response` and
 * `body`; where the streams ended, `handshake` is `WS_HS_EOF` and `cause` what they failed with); with a TypeError, RangeError or SyntaxError that
 * names the option for what no program should ask for.
 */
export async function connect(url: string | UrlLike, pair: StreamPair, options: ConnectOptions = {}): Promise<Peer> {
  checkObject(options, 'options');
  const { input = 'shared' } = options;
  return openClient(runtime, url, options, async () => {
    const transport: StreamTransport = transportOver(pair);
    return { transport, input, start: (driver) => transport.join(driver) };
  });
}

export type AdoptOptions = SharedOptions & Omit<ConnectionSettings, 'input'> & InputOptions;

/**
 * Frames from the first byte on, in either role: the handshake was done elsewhere, by `decideUpgrade` on an HTTP/2 stream's head or
 * `createUpgrade().verify()`, or there is none because both ends know. `onOpen` is called before this returns.
 *
 * @throws {TypeError} or RangeError naming the option.
 */
export function adopt(pair: StreamPair, negotiated: Negotiated, options: AdoptOptions = {}): Peer {
  checkObject(options, 'options');
  checkObject(negotiated, 'negotiated');
  const { handlers: _handlers, highWaterMark: _highWaterMark, pull: _pull, ...protocol } = options;
  const endpoints = new EndpointHost(hostOptions(runtime, options));
  checkConnection(protocol, negotiated.role);
  const transport = transportOver(pair);
  const heads = { request: null, response: null };
  // Before `onOpen`, which may throw: the streams are read all the same.
  return endpoints.adopt(transport, negotiated, protocol, heads, (driver) => transport.join(driver));
}
