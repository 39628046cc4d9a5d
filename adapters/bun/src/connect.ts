/**
 * `connect`: a client over `Bun.connect`, on TCP, TLS or a unix socket (RFC 6455 section 4.1).
 */
import type { Peer } from '@ferrywire/driver';
import * as kit from '@ferrywire/driver/adapter';
import { requireBun, runtime } from './runtime.ts';
import { bunTls, type TlsOptions } from './tls.ts';
import { BunTransport, type Socket, socketHandlers } from './transport.ts';

export interface ConnectOptions extends kit.DialOptions, kit.DialPlace {
  /** `ca`, `cert`, `key`, `rejectUnauthorized`. Needs a `wss:` URL. */
  readonly tls?: TlsOptions;
}

/**
 * Connects, and resolves once the WebSocket is open. Messages that came right behind the server's answer reach `options.handlers` first.
 *
 * Rejects with an `EndpointError`: `WS_URL`, `WS_CONNECT_REFUSED`, `WS_CONNECT_HOST`, `WS_CONNECT_TLS`, `WS_CONNECT_TIMEOUT`,
 * `WS_CONNECT_ABORTED`, `WS_CONNECT_HANDSHAKE` (with `handshake`, `response` and `body`), `WS_PERMISSION`, `WS_RUNTIME`, `WS_TRANSPORT`; with
 * a TypeError, RangeError or SyntaxError that names the option for what no program should ask for. Redirects and 401s are yours to follow.
 */
export async function connect(url: string | URL, options: ConnectOptions = {}): Promise<Peer> {
  kit.checkObject(options, 'options');
  kit.checkDialPlace(options);
  requireBun();
  const { tls: _tls, servername: _servername, socketPath: _socketPath, ...rest } = options;
  return kit.openClient(runtime, url, rest, (target) => dial(target, options));
}

async function dial(target: kit.DialTarget, { tls = {}, servername, socketPath }: ConnectOptions): Promise<kit.Dialled> {
  const { host, port, secure } = target;
  const where = socketPath ?? target.where;
  const { promise: agreed, resolve: settle } = Promise.withResolvers<Error | null>();
  const socket = {
    ...socketHandlers,
    // A certificate with another name is no success to Bun, whatever `rejectUnauthorized` says.
    handshake: (_: Socket, success: boolean, error: Error | null): void =>
      settle(success || (tls.rejectUnauthorized === false && kit.isVerdict(error)) ? null : (error ?? new Error('TLS failed'))),
    close(closing: Socket, error?: Error): void {
      settle(error ?? new Error('closed before TLS was agreed on'));
      socketHandlers.close(closing, error);
    },
    connectError(): void {}, // the promise of Bun.connect says the same
  };
  // Without a name Bun checks the certificate against `hostname`, which a unix socket has not.
  const name = socketPath === undefined ? kit.serverNameOf(host) : kit.serverNameOf(host) || host;
  const secured = secure ? { tls: bunTls(tls, { serverName: servername ?? name }) as Bun.TLSOptions } : {};
  const shared = { socket, data: undefined, allowHalfOpen: true, ...secured };
  // It throws at once where it cannot read what is in `tls`.
  const connecting = async (): Promise<Socket> =>
    socketPath === undefined ? Bun.connect({ ...shared, hostname: host, port }) : Bun.connect({ ...shared, unix: socketPath });
  const connected = await target
    .race<Socket>(connecting(), (late) => late.terminate())
    .catch((cause) => {
      throw target.isOver() ? cause : ((secure ? kit.keyError(cause) : null) ?? kit.connectError(cause, where, false));
    });
  if (secure) {
    try {
      const failure = await target.race(agreed, () => {});
      if (failure !== null) throw kit.connectError(failure, where, true);
    } catch (failed) {
      connected.terminate();
      throw failed;
    }
  }
  if (socketPath === undefined) connected.setNoDelay(true);
  const transport = new BunTransport(connected, secure);
  return { transport, input: 'transferred', start: (driver) => transport.join(driver) };
}
