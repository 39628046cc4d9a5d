/**
 * What the contract suite needs of an adapter: its own `listen` and `connect`, and what it says it can do. An entry file fills this in
 * and is run as a program on the runtimes the adapter is for.
 */
import type { ClientExtension, Limits, Timeouts } from '@ferrywire/core';
import type { Capabilities, Listening, Peer, PeerHandlers } from '@ferrywire/driver';
import type { SocketInfo } from '@ferrywire/driver/adapter';
import type { ServerPolicy } from '@ferrywire/handshake';

export interface ContractListen {
  readonly host: string;
  readonly port: number;
  readonly handlers: PeerHandlers;
  readonly limits?: Limits;
  readonly timeouts?: Timeouts;
  readonly highWaterMark?: number;
  readonly policy?: ServerPolicy;
  readonly socketPath?: string;
  /** PEM; present = TLS. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

export interface ContractConnect {
  readonly handlers: PeerHandlers;
  readonly limits?: Limits;
  readonly timeouts?: Timeouts;
  readonly signal?: AbortSignal;
  readonly extensions?: readonly ClientExtension[];
  readonly subprotocols?: readonly string[];
  /** The authority to trust, PEM. */
  readonly tls?: { readonly ca: string };
  readonly servername?: string;
  /** Only where the adapter says `http2`. */
  readonly http2?: boolean;
  readonly socketPath?: string;
}

export interface AdapterUnderTest {
  readonly name: string;
  readonly capabilities: Capabilities;
  /** Present = connections are streams of HTTP/2. */
  readonly http2?: true;
  /** Rejects with an `EndpointError`. */
  listen(options: ContractListen): Promise<Listening>;
  /** Resolves when the connection is open; rejects with an `EndpointError`. */
  connect(url: string, options: ContractConnect): Promise<Peer>;
  /** Where connections are sockets. */
  transportOf?(peer: Peer): Pick<SocketInfo, 'remoteAddress' | 'remotePort' | 'encrypted'>;
}
