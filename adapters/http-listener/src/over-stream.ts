/**
 * A connection over any Node stream on which the opening handshake has been done.
 */
import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { Connection, type ConnectionOptions, type Negotiated } from '@ferrywire/core';
import { type DriverHandle, drive } from '@ferrywire/driver';
import { clock, kernels, SocketTransport, timers } from '@ferrywire/node';
import { ArgumentException, ArgumentNullException } from './errors.ts';
import { checkKeepAliveInterval, checkSubProtocol, defaultKeepAliveInterval } from './websocket-checks.ts';

export interface WebSocketCreationOptions {
  readonly isServer: boolean;
  /** What the handshake agreed on. Default: none. */
  readonly subProtocol?: string | null;
  /** Milliseconds of silence after which a ping is sent; 0 and -1: never. Default 30 000. */
  readonly keepAliveInterval?: number;
  /** Milliseconds to wait for an answer to that ping; 0 and -1: for ever, which is the default. */
  readonly keepAliveTimeout?: number;
}

/** What every connection of this package is made with. Messages go into the caller's memory, so none is too long. */
export function connectionSettings(
  keepAlive: number,
  timeout: number,
): Required<Pick<ConnectionOptions, 'delivery' | 'autoClose' | 'kernels' | 'limits' | 'timeouts'>> {
  const limits = { maxMessageSize: Number.MAX_SAFE_INTEGER };
  return { delivery: 'span', autoClose: false, kernels, limits, timeouts: { keepalive: keepAlive, pong: timeout } };
}

/** `head`: bytes that came behind the handshake. */
export function connectionOver(
  stream: Duplex,
  negotiated: Negotiated,
  keepAlive: number,
  timeout: number,
  head?: Uint8Array,
): { readonly connection: Connection; readonly driver: DriverHandle } {
  // What a socket gives is nobody else's. Any other stream may pass on the very memory that its writer still has.
  const input = stream instanceof Socket ? 'transferred' : 'shared';
  const connection = new Connection({ ...connectionSettings(keepAlive, timeout), ...negotiated, clock, input });
  stream.allowHalfOpen = true;
  const transport = new SocketTransport(stream);
  const driver = drive(connection, transport, { clock, timers });
  transport.join(driver);
  if (head !== undefined && head.length > 0) driver.receive(head);
  transport.startReading();
  return { connection, driver };
}

export function overStream(
  stream: Duplex,
  options: WebSocketCreationOptions,
): { readonly connection: Connection; readonly driver: DriverHandle } {
  if (stream === null || stream === undefined) throw new ArgumentNullException('stream');
  if (options === null || options === undefined) throw new ArgumentNullException('options');
  if (!(stream instanceof Duplex)) throw new ArgumentException('must be a stream that can be read and written', 'stream');
  if (!stream.readable) throw new ArgumentException('the stream cannot be read', 'stream');
  if (!stream.writable) throw new ArgumentException('the stream cannot be written', 'stream');
  const { isServer, subProtocol = null } = options;
  if (typeof isServer !== 'boolean') throw new ArgumentException('isServer must be true or false', 'options');
  if (subProtocol !== null) checkSubProtocol(subProtocol, 'options');
  const keepAlive = checkKeepAliveInterval(options.keepAliveInterval ?? defaultKeepAliveInterval);
  const timeout = checkKeepAliveInterval(options.keepAliveTimeout ?? 0, 'keepAliveTimeout');
  return connectionOver(stream, { role: isServer ? 'server' : 'client', subprotocol: subProtocol, extensions: [] }, keepAlive, timeout);
}
