/**
 * `connect`: a client over `Bun.connect`, on TCP, TLS or a unix socket (RFC 6455 section 4.1).
 */
import type { Peer } from '@ferrywire/driver';
import {
  checkObject,
  checkText,
  connectError,
  type Dialled,
  type DialOptions,
  type DialTarget,
  openClient,
} from '@ferrywire/driver/adapter';
import { requireBun, runtime } from './runtime.ts';
import { bunTls, type TlsOptions } from './tls.ts';
import { BunTransport, type Socket, socketHandlers } from './transport.ts';

export type ConnectOptions = DialOptions & {
  /** `ca`, `cert`, `key`, `rejectUnauthorized`. Needs a `wss:` URL. */
  readonly tls?: TlsOptions;
  /** The name in TLS (SNI) and in the certificate. Default: the URL's host. */
  readonly servername?: string;
  /** A unix socket to connect to; the URL still says what to ask for. */
  readonly socketPath?: string;
};

/**
 * Connects, and resolves once the WebSocket is open. Messages that came right behind the server's answer reach `options.handlers` first.
 *
 * Rejects with an `EndpointError`: `WS_URL`, `WS_CONNECT_REFUSED`, `WS_CONNECT_HOST`, `WS_CONNECT_TLS`, `WS_CONNECT_TIMEOUT`,
 * `WS_CONNECT_ABORTED`, `WS_CONNECT_HANDSHAKE` (with `handshake`, `response` and `body`), `WS_PERMISSION`, `WS_RUNTIME`, `WS_TRANSPORT`; with
 * a TypeError or RangeError that names the option for what no program should ask for. Redirects and 401s are yours to follow.
 */
export async function connect(url: string | URL, options: ConnectOptions = {}): Promise<Peer> {
  checkObject(options, 'options');
  requireBun();
  const { tls = {}, servername, socketPath, ...rest } = options;
  checkObject(tls, 'options.tls');
  if (servername !== undefined) checkText(servername, 'options.servername');
  if (socketPath !== undefined) checkText(socketPath, 'options.socketPath');
  return openClient(runtime, url, rest, (target) => dial(target, tls, servername, socketPath));
}

async function dial(target: DialTarget, tls: TlsOptions, servername: string | undefined, socketPath: string | undefined): Promise<Dialled> {
  const { host, port, secure } = target;
  const where = socketPath ?? target.where;
  let settle: (failure: Error | null) => void = () => {};
  const agreed = new Promise<Error | null>((resolve) => {
    settle = resolve;
  });
  const socket = {
    ...socketHandlers,
    handshake(_: Socket, success: boolean, error: Error | null): void {
      settle(success ? null : (error ?? new Error('the TLS handshake failed')));
    },
    close(closing: Socket, error?: Error): void {
      settle(error ?? new Error('closed before TLS was agreed on'));
      socketHandlers.close(closing, error);
    },
    // The promise of Bun.connect says the same.
    connectError(): void {},
  };
  const name = servername ?? host;
  const shared = {
    socket,
    data: undefined,
    allowHalfOpen: true,
    ...(secure ? { tls: bunTls(tls, { serverName: name }) as Bun.TLSOptions } : null),
  };
  const drop = (late: Socket): void => late.terminate();
  const connecting =
    socketPath === undefined ? Bun.connect({ ...shared, hostname: host, port }) : Bun.connect({ ...shared, unix: socketPath });
  let connected: Socket;
  try {
    connected = await target.race(connecting, drop);
  } catch (cause) {
    throw target.isOver() ? cause : connectError(cause, where, false);
  }
  if (secure) {
    let failure: Error | null;
    try {
      failure = await target.race(agreed, () => {});
    } catch (givenUp) {
      connected.terminate();
      throw givenUp;
    }
    if (failure !== null) {
      connected.terminate();
      throw connectError(failure, where, true);
    }
  }
  if (socketPath === undefined) connected.setNoDelay(true);
  const transport = new BunTransport(connected, secure);
  return { transport, input: 'transferred', start: (driver) => transport.join(driver) };
}
