/**
 * Extensions (RFC 6455 section 9): the interfaces a transform implements. The core knows no extension by name.
 *
 * Negotiation and connection are different objects, so that one configured list serves any number of connections. Transforms are
 * step-wise, like zlib's next_in and avail_out: the room they are given is the size limit and the pause in one number, so a
 * decompression bomb is stopped before memory is allocated for it.
 *
 * What an extension throws leaves the call of the connection and ends it: close code 1011, cause `WS_FAILED_LOCALLY`. Nothing of the message it
 * was working on is sent or delivered. A fault of the peer is not thrown but returned, as a `Violation`.
 */
import type { MessageKind, Role } from './common.ts';
import type { Violation } from './violations.ts';

export type ExtensionParam = readonly [name: string, value: string | true];
export interface ExtensionOffer {
  readonly name: string;
  readonly params: readonly ExtensionParam[];
}

/** Negotiation half of a client: a factory, so that one configuration serves many connections. */
export interface ClientExtension {
  readonly name: string;
  /** One parameter list per offer, in order of preference. */
  offers(): readonly (readonly ExtensionParam[])[];
  /** Null refuses the server's parameters: the handshake fails. */
  confirm(params: readonly ExtensionParam[], accepted: readonly Extension[]): Extension | null;
}
/** Negotiation half of a server. */
export interface ServerExtension {
  readonly name: string;
  /** Null declines this offer; the next offer of the same name is tried. */
  accept(
    params: readonly ExtensionParam[],
    accepted: readonly Extension[],
  ): { params: readonly ExtensionParam[]; extension: Extension } | null;
}

/** Connection half: one per connection. */
export interface Extension {
  readonly name: string;
  /** The RSV bits it owns (RSV1 = 4, RSV2 = 2, RSV3 = 1). Two extensions may not own the same bit. */
  readonly rsv: number;
  /**
   * `ready` is called by an asynchronous transform when work it called 'pending' is done. With a host (`Connection.workFor`; `drive` is one) the
   * connection goes on later, in a turn of its own; without, inside `ready`.
   */
  inbound(role: Role, ready: () => void): InboundTransform;
  outbound(role: Role, ready: () => void): OutboundTransform;
  /** Frees native memory. Called once, at the connection's end, even if another extension's throws. */
  dispose?(): void;
}

/** Where a transform writes. `room` is the budget: size limit and pause in one number. */
export interface TransformOutput {
  /** Bytes that may still be written. Writing more is a defect of the transform and throws. */
  readonly room: number;
  /** Copies `bytes[start, end)`; the buffer stays the transform's. */
  write(bytes: Uint8Array, start: number, end: number): void;
}
/**
 * - `more`: call again with the rest of the input once there is room
 * - `need`: all input is consumed and nothing is held back
 * - `pending`: work is in flight outside (an asynchronous codec); the host calls `Connection.wake()` when it is ready
 */
export type TransformStatus = 'more' | 'need' | 'pending';

export interface InboundTransform {
  /** At the first frame of a message, with its RSV bits. False: this message is not transformed. */
  begin(kind: MessageKind, rsv: number): boolean;
  push(input: Uint8Array, start: number, end: number, out: TransformOutput): { consumed: number; status: TransformStatus } | Violation;
  /** At the end of the message's last frame. Called again while it says 'more'. */
  finish(out: TransformOutput): TransformStatus | Violation;
}
export interface OutboundTransform {
  /** The RSV bits for the first frame; 0 leaves this message as it is. `size` is null for a message of unknown length. */
  begin(kind: MessageKind, size: number | null, compress: boolean | undefined): number;
  push(input: Uint8Array, start: number, end: number, fin: boolean, out: TransformOutput): { consumed: number; status: TransformStatus };
  /** Equal keys give equal bytes for equal messages, so a prepared message is transformed once. Null while context is kept. */
  readonly cacheKey: string | null;
}

/** Disposes each, even if another one throws; then throws the first error. */
export function disposeAll(extensions: readonly Extension[]): void {
  const errors: unknown[] = [];
  for (const extension of extensions) {
    try {
      extension.dispose?.();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
