/**
 * `listen`: WebSockets on a listener of `Deno.listen` or `Deno.listenTls`. The whole HTTP exchange is the protocol's (RFC 6455 section 4.2).
 */
import process from 'node:process';
import { EndpointHost } from '@ferrywire/driver';
import * as kit from '@ferrywire/driver/adapter';
import { type DenoListener, requireDeno, runtime } from './runtime.ts';
import { checkReadable, keysOf, type TlsOptions } from './tls.ts';
import { ConnTransport } from './transport.ts';

export type ListenOptions = kit.ServerOptions &
  kit.PlaceOptions & {
    /** Present = TLS; needs `key` and `cert`, and a port. */
    readonly tls?: TlsOptions;
    /** Failures of the listener after it has started, such as a lack of file descriptors. Left out, they are process warnings. */
    readonly onListenerError?: (error: Error) => void;
  };

/** Milliseconds until the next try after a failed accept: what there is too little of may be back then. */
const RETRY = 100;

/**
 * Listens, and resolves once connections can come in.
 *
 * Rejects with an `EndpointError`: `WS_LISTEN_IN_USE`, `WS_LISTEN_HOST`, `WS_LISTEN_PORT`, `WS_PERMISSION`, `WS_RUNTIME`, `WS_TRANSPORT`;
 * with a TypeError, RangeError or SyntaxError that names the option.
 */
export async function listen(options: ListenOptions = {}): Promise<kit.RefListening> {
  kit.checkObject(options, 'options');
  const deno = requireDeno();
  const { port: _port, host: _host, socketPath: _socketPath, tls, onListenerError, ...rest } = options;
  const { port, host, socketPath, where } = kit.placeOf(options);
  if (tls !== undefined && socketPath !== undefined) throw new TypeError('options.tls: Deno has no TLS on unix sockets');
  if (onListenerError !== undefined && typeof onListenerError !== 'function')
    throw new TypeError('options.onListenerError must be a function');
  checkReadable(tls);
  const endpoints = new EndpointHost(kit.hostOptions(runtime, rest));
  const settings = kit.serverSettings(runtime, rest, 'reused');
  const secure = tls !== undefined;
  let listener: DenoListener;
  try {
    if (tls !== undefined) listener = deno.listenTls({ hostname: host, port, ...keysOf(tls) });
    else listener = deno.listen(socketPath === undefined ? { hostname: host, port } : { transport: 'unix', path: socketPath });
  } catch (cause) {
    throw (secure ? kit.keyError(cause) : null) ?? kit.listenError(cause, where);
  }
  let stopped = false;
  const accept = async (): Promise<void> => {
    const conn = await listener.accept();
    const transport = new ConnTransport(conn, secure);
    transport.join(endpoints.serve(transport, settings));
  };
  const acceptOn = async (): Promise<void> => {
    while (!stopped) {
      try {
        await accept();
      } catch (error) {
        if (stopped) return;
        const failure = error instanceof Error ? error : new Error(String(error));
        if (onListenerError === undefined) process.emitWarning(failure);
        else kit.apart(() => onListenerError(failure));
        await new Promise<void>((resolve) => runtime.timers.set(resolve, RETRY));
      }
    }
  };
  acceptOn().catch(kit.throwOutside);
  return kit.listening({
    port: listener.addr.port ?? 0,
    host: socketPath ?? host,
    secure,
    endpoints,
    stop() {
      stopped = true;
      listener.close();
    },
    ref: () => listener.ref(),
    unref: () => listener.unref(),
  });
}
