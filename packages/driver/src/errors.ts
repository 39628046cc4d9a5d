/**
 * What goes wrong before there is a connection, the same on every runtime: each adapter maps its host's errors to these codes.
 */
import type { HandshakeErrorCode, ResponseHead } from '@ferrywire/handshake';

export type EndpointErrorCode =
  /** The URL is not a ws: or wss: URL (RFC 6455 section 3). */
  | 'WS_URL'
  /** Nobody listens there, or the connection was reset before the handshake. */
  | 'WS_CONNECT_REFUSED'
  /** The host name does not resolve, or the host cannot be reached. */
  | 'WS_CONNECT_HOST'
  /** TLS failed: an untrusted certificate, a wrong name, or a peer that does not speak it. */
  | 'WS_CONNECT_TLS'
  /** No answer within `timeouts.opening`. */
  | 'WS_CONNECT_TIMEOUT'
  /** The `AbortSignal` fired. */
  | 'WS_CONNECT_ABORTED'
  /** The server's answer was no acceptable upgrade (RFC 6455 section 4.1), or did not come (`WS_HS_EOF`, and `cause`): see `handshake`, `response`, `body`. */
  | 'WS_CONNECT_HANDSHAKE'
  /** The port is taken (EADDRINUSE). */
  | 'WS_LISTEN_IN_USE'
  /** The address is not one of this machine's (EADDRNOTAVAIL), or does not resolve, or the directory of a unix socket does not exist. */
  | 'WS_LISTEN_HOST'
  /** Not a port: an integer from 0 to 65535. */
  | 'WS_LISTEN_PORT'
  /** The runtime or the system does not allow it (EACCES, Deno without --allow-net). */
  | 'WS_PERMISSION'
  /** The runtime is too old for what was asked of it. */
  | 'WS_RUNTIME'
  /** The listener or the transport failed in another way: see `cause`. */
  | 'WS_TRANSPORT';

export interface EndpointErrorDetails {
  readonly cause?: unknown;
  /** With 'WS_CONNECT_HANDSHAKE': what was wrong with the response. */
  readonly handshake?: HandshakeErrorCode;
  readonly response?: ResponseHead | null;
  /** The body of the refusal, up to `http.maxBodySize` bytes. */
  readonly body?: Uint8Array;
}

/** What `connect` and `listen` reject with. Tell them apart by `code`; a fault of a peer that is connected is in `onEnd` instead. */
export class EndpointError extends Error {
  override readonly name = 'EndpointError';
  readonly code: EndpointErrorCode;
  readonly handshake: HandshakeErrorCode | null;
  readonly response: ResponseHead | null;
  readonly body: Uint8Array | null;

  constructor(code: EndpointErrorCode, message: string, details: EndpointErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.handshake = details.handshake ?? null;
    this.response = details.response ?? null;
    this.body = details.body ?? null;
  }
}
