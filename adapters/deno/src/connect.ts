/**
 * `connect`: a client over `Deno.connect` and Deno's TLS, or a unix socket (RFC 6455 section 4.1).
 */
import type { Peer } from '@ferrywire/driver';
import * as kit from '@ferrywire/driver/adapter';
import { type DenoConn, requireDeno, runtime } from './runtime.ts';
import { checkReadable, keysOf, type TlsOptions, trustOf } from './tls.ts';
import { ConnTransport } from './transport.ts';

export type ConnectOptions = kit.DialOptions &
  kit.DialPlace & {
    /** `ca`, and `cert` with `key` where the server asks for a certificate (not together with `servername` or `socketPath`). Needs a `wss:` URL. */
    readonly tls?: TlsOptions;
  };

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
  requireDeno();
  const { tls, servername, socketPath, ...rest } = options;
  if (tls?.cert !== undefined && (servername ?? socketPath) !== undefined) {
    throw new TypeError('options.tls.cert: Deno sends no certificate together with options.servername or options.socketPath');
  }
  checkReadable(tls);
  return kit.openClient(runtime, url, rest, (target) => dial(target, options));
}

/** What failed may have closed it already. */
function drop(conn: DenoConn): void {
  try {
    conn.close();
  } catch {
    // BadResource: it is closed.
  }
}

async function dial(target: kit.DialTarget, { tls = {}, servername, socketPath }: ConnectOptions): Promise<kit.Dialled> {
  const deno = requireDeno();
  const { host: hostname, port, secure } = target;
  const where = socketPath ?? target.where;
  const step = async (promise: Promise<DenoConn>, inTls: boolean): Promise<DenoConn> => {
    try {
      return await target.race(promise, drop);
    } catch (cause) {
      throw target.isOver() ? cause : kit.connectError(cause, where, inTls);
    }
  };
  const place = socketPath === undefined ? { hostname, port } : ({ transport: 'unix', path: socketPath } as const);
  let conn: DenoConn;
  if (secure && tls.cert !== undefined) conn = await step(deno.connectTls({ hostname, port, ...keysOf(tls), ...trustOf(tls) }), false);
  else conn = await step(deno.connect(place), false);
  if (secure) {
    try {
      if (tls.cert === undefined) conn = await step(deno.startTls(conn, { hostname: servername ?? hostname, ...trustOf(tls) }), true);
      const agreeing = conn;
      const agreed = async (): Promise<DenoConn> => {
        await agreeing.handshake?.();
        return agreeing;
      };
      conn = await step(agreed(), true);
    } catch (error) {
      // Of a name that can be none, `startTls` leaves the connection open.
      drop(conn);
      throw error;
    }
  }
  const transport = new ConnTransport(conn, secure);
  return { transport, input: 'reused', start: (driver) => transport.join(driver) };
}
