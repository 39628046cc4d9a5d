/**
 * What a connection tells the application: events (pull mode) and the sink (push mode).
 *
 * Events are plain frozen-shape objects with a string `type`, so a `switch` is checked for exhaustiveness. Pieces need not mirror wire
 * frames (RFC 6455 section 5.4 lets intermediaries change them), so no rule of an application may rest on where a piece ends.
 */

import type { CloseInfo } from './close.ts';
import type { MessageKind, Millis } from './common.ts';
import type { Violation } from './violations.ts';

export type MessageEvent =
  | { readonly type: 'message'; readonly kind: 'text'; readonly data: string }
  | { readonly type: 'message'; readonly kind: 'binary'; readonly data: Uint8Array };
export type ChunkEvent =
  | { readonly type: 'chunk'; readonly kind: 'text'; readonly data: string; readonly first: boolean; readonly last: boolean }
  | { readonly type: 'chunk'; readonly kind: 'binary'; readonly data: Uint8Array; readonly first: boolean; readonly last: boolean };
export type ConnectionEvent =
  | MessageEvent
  | ChunkEvent
  | { readonly type: 'ping'; readonly data: Uint8Array }
  /** `latency` is null for a pong that answers none of our keepalive pings. */
  | { readonly type: 'pong'; readonly data: Uint8Array; readonly latency: Millis | null }
  /** The peer's close frame (RFC 6455 section 5.5.1). It has been answered already, if it had to be. */
  | { readonly type: 'close'; readonly code: number; readonly reason: string }
  /** Exactly once, last. */
  | ({ readonly type: 'end' } & EndInfo);

export interface EndInfo {
  /**
   * Both close frames were exchanged without a failure, however the transport then ended (EOF, reset, our deadline). Ours counts from the moment
   * it leaves: not while it waits behind a message that is being compressed, or for a transport that has stopped accepting output.
   */
  readonly clean: boolean;
  /** What the application should see: the peer's code, or 1005, or 1006 (RFC 6455 section 7.1.5). */
  readonly code: number;
  readonly reason: string;
  /** The close frame we put into the output, if any. */
  readonly sent: CloseInfo | null;
  /** The close frame the peer sent, if any. */
  readonly received: CloseInfo | null;
  /** Who started: the side whose close frame came first, or that failed the connection. Null when the transport just ended. */
  readonly initiator: 'local' | 'remote' | null;
  /** Why it failed; null for a clean end. */
  readonly cause: Violation | null;
}

/**
 * Push mode: no object and no view is made for you. Events arrive during `receiveData` (and `resume`, `receiveEof`, `handleTimeout`).
 * Inside a callback every method is allowed except `receiveData`. When a callback throws, its event counts as consumed, the rest stays
 * unread, the exception leaves `receiveData`, and `resume()` goes on.
 */
export interface ConnectionSink {
  /** Delivery 'message'. */
  onText?(text: string): void;
  /**
   * Delivery 'message'. Yours to keep. Hand it back with `recycleInput()` when done, and its memory is reused. Its `buffer` may hold other
   * messages too, up to 2048 bytes those of other connections: copy what you transfer (`data.slice().buffer`).
   */
  onBinary?(data: Uint8Array): void;
  /** Delivery 'chunk' and 'span'. */
  onMessageStart?(kind: MessageKind): void;
  /** Delivery 'chunk': text arrives as whole code points. */
  onTextChunk?(text: string): void;
  /** Delivery 'span' (and binary 'chunk'): valid until the call returns; already unmasked, inflated, validated. */
  onSpan?(buffer: Uint8Array, start: number, end: number): void;
  onMessageEnd?(kind: MessageKind): void;
  /** `payload` is yours to keep. */
  onPing?(payload: Uint8Array): void;
  onPong?(payload: Uint8Array, latency: Millis | null): void;
  onClose?(code: number, reason: string): void;
  /** Exactly once, last. */
  onEnd?(info: EndInfo): void;
}
