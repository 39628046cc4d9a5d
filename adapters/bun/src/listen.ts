/**
 * `listen`: WebSockets on a listener of `Bun.listen`. The whole HTTP exchange is the protocol's (RFC 6455 section 4.2).
 */
import { EndpointHost } from '@ferrywire/driver';
import * as kit from '@ferrywire/driver/adapter';
import { requireBun, runtime } from './runtime.ts';
import { bunTls, type TlsOptions } from './tls.ts';
import { BunTransport, type Socket, socketHandlers } from './transport.ts';

export interface ListenOptions extends kit.ServerOptions, kit.PlaceOptions {
  /** Present = TLS. */
  readonly tls?: TlsOptions;
}

/**
 * Listens, and resolves once connections can come in.
 *
 * Rejects with an `EndpointError`: `WS_LISTEN_IN_USE`, `WS_LISTEN_HOST`, `WS_LISTEN_PORT`, `WS_PERMISSION`, `WS_RUNTIME`, `WS_TRANSPORT`;
 * with a TypeError, RangeError or SyntaxError that names the option.
 */
export async function listen(options: ListenOptions = {}): Promise<kit.RefListening> {
  kit.checkObject(options, 'options');
  requireBun();
  const { port: _port, host: _host, socketPath: _socketPath, tls, ...rest } = options;
  const { port, host, socketPath, where } = kit.placeOf(options);
  const endpoints = new EndpointHost(kit.hostOptions(runtime, rest));
  const settings = kit.serverSettings(runtime, rest, 'transferred');
  const secure = tls !== undefined;
  let stopped = false;
  const socket = {
    ...socketHandlers,
    // Before TLS is agreed on, so that the opening deadline covers it.
    open(accepted: Socket): void {
      if (stopped) return void accepted.terminate();
      accepted.setNoDelay(true);
      const transport = new BunTransport(accepted, secure);
      transport.join(endpoints.serve(transport, settings));
    },
    // Without this handler 'open' waits for TLS. A failed handshake is followed by 'close'.
    handshake(): void {},
  };
  const shared = { socket, allowHalfOpen: true, ...(tls === undefined ? null : { tls: bunTls(tls) as Bun.TLSOptions }) };
  let listener: Bun.TCPSocketListener<BunTransport | undefined> | Bun.UnixSocketListener<BunTransport | undefined>;
  try {
    listener = socketPath === undefined ? Bun.listen({ ...shared, hostname: host, port }) : Bun.listen({ ...shared, unix: socketPath });
  } catch (cause) {
    throw (secure ? kit.keyError(cause) : null) ?? kit.listenError(cause, where);
  }
  return kit.listening({
    // On a unix socket the property is there and undefined.
    port: socketPath === undefined && 'port' in listener ? listener.port : 0,
    host: socketPath ?? host,
    secure,
    endpoints,
    stop() {
      stopped = true;
      listener.stop();
    },
    ref: () => listener.ref(),
    unref: () => listener.unref(),
  });
}
