/**
 * What a connection can be told: limits, timeouts, delivery, ownership of input, kernels. Each default is stated where it is declared and
 * argued in `docs/defaults.md`.
 */
import type { Clock, Millis, RandomSource, Role } from './common.ts';
import type { ConnectionSink } from './events.ts';
import type { Extension } from './extension.ts';
import type { LenientFlags } from './frame.ts';
import type { TraceEntry } from './trace.ts';

/** Bounds on everything a peer controls, checked before memory is allocated (RFC 6455 section 10.4). */
export interface Limits {
  /** Bytes, after decompression. Default 1 MiB; Infinity in 'chunk' and 'span' delivery. */
  readonly maxMessageSize?: number;
  /** Bytes on the wire, per frame. Default: maxMessageSize, plus 1/8 + 64 bytes for a compressed frame (incompressible data grows). */
  readonly maxFrameSize?: number;
  /** Automatic pongs not yet taken, kept in arrival order; beyond it the newest replaces the last. Default 64. */
  readonly maxPendingPongs?: number;
  /** Frames in one message: a last resort, since memory follows bytes and not fragments. Default 1 048 576. */
  readonly maxFragments?: number;
}

/** All in milliseconds; 0 turns one off. */
export interface Timeouts {
  /** From the first byte expected to the end of the handshake. Default 10 000. Used by the handshake, not by `Connection`. */
  readonly opening?: Millis;
  /**
   * From the moment our close frame is taken (or the failure) to the peer's EOF; restarted by `outputDrained()`. Default 10 000. A close frame
   * that waits behind an extension has as long from `close()`, and from each step of the extension on.
   */
  readonly closing?: Millis;
  /** Silence after which a ping is sent. Default 20 000. */
  readonly keepalive?: Millis;
  /**
   * Silence (no byte received) after that ping was taken. Default 20 000. Stands still while `wantsRead` is false or output is
   * stalled: a peer is not blamed for what we have not read or it could not be told. Any byte counts: a peer in the middle of a huge
   * frame can't pong.
   */
  readonly pong?: Millis;
  /** Silence after which the connection fails, pings or not; stands still as `pong` does. Default 0. */
  readonly idle?: Millis;
}

/** What a handshake yields; spread it into the connection's options. */
export interface Negotiated {
  readonly role: Role;
  readonly subprotocol: string | null;
  readonly extensions: readonly Extension[];
}

/** Faster versions of pure functions, supplied by an adapter for its runtime. The plain ones are the default and the oracle. */
export interface FrameScanner {
  /** The input of the last call, in which the payload of the frames found is unmasked. Overwritten by the next call. */
  readonly bytes: Uint8Array;
  /** Three numbers for each of them: where in `bytes` its payload begins, where it ends, and the sum of 1 if it is binary and 2 if it is not ASCII. */
  readonly frames: Int32Array;
  /**
   * From this many bytes on, `bytes.slice()` is the cheapest way to make a message's memory, even for one that comes alone; null where it never
   * is. On JavaScriptCore a view costs more than finding a frame and copying it.
   */
  readonly slicesFrom: number | null;
  /** Up to this many bytes it is the cheapest way even where the messages could be shown in the input. Only with `slicesFrom`. */
  readonly slicesUpTo: number;
  /**
   * Copies `bytes[start, end)`, at most 16384 bytes, or all of `bytes` if it is no longer than `this.bytes`, and returns with how many frames
   * it begins that are whole, unfragmented messages (RFC 6455 section 5.2) without reserved bits, masked, with the shortest form of length
   * and at most `maxSize` bytes (0 to 2048) of payload. Does not write to the input.
   */
  scan(bytes: Uint8Array, start: number, end: number, maxSize: number): number;
}

export interface Kernels {
  /** The text of valid UTF-8, or null. Keeps a BOM. */
  readonly decodeUtf8?: (bytes: Uint8Array, start: number, end: number) => string | null;
  /** The same for bytes that are known to be ASCII, so nothing is left to check. Default: `decodeUtf8`. */
  readonly decodeAscii?: (bytes: Uint8Array, start: number, end: number) => string | null;
  readonly isUtf8?: (bytes: Uint8Array, start: number, end: number) => boolean;
  /** As `applyMask` in `@ferrywire/core/frame`. */
  readonly applyMask?: (bytes: Uint8Array, start: number, end: number, maskKey: number, phase: number) => number;
  /**
   * Memory of its own, `size` bytes, that need not be zero: every byte is written before anybody sees it. Used for messages, and for
   * the slabs that those of 65 to 2048 bytes are cut from. What it returns for up to 64 bytes may be a cut of something larger itself.
   */
  readonly allocate?: (size: number) => Uint8Array<ArrayBuffer>;
  /**
   * Told of each buffer of which messages of several connections will be cut, so that a host can forbid to transfer it
   * (`markAsUntransferable` of `node:worker_threads`): with it, messages that others hold would lose their bytes.
   */
  readonly markShared?: (buffer: ArrayBuffer) => void;
  /** Finds and unmasks short messages many at a time; without it they are found one by one. */
  readonly scanner?: FrameScanner;
  /** As `copyMasked` in `@ferrywire/core/frame`. */
  readonly copyMasked?: (
    source: Uint8Array,
    start: number,
    end: number,
    target: Uint8Array,
    offset: number,
    maskKey: number,
    phase: number,
  ) => number;
}

/**
 * How payload reaches the application.
 * - `message`: assembled, one event per message, bounded by `maxMessageSize`
 * - `chunk`: decoded pieces as they arrive; nothing is assembled
 * - `span`: raw validated bytes as ranges (push mode) or into the caller's memory (`readInto`)
 */
export type Delivery = 'message' | 'chunk' | 'span';

export interface ConnectionOptions extends Partial<Negotiated> {
  readonly role: Role;
  readonly clock: Clock;
  /** Default: `globalThis.crypto.getRandomValues`. */
  readonly random?: RandomSource;
  readonly limits?: Limits;
  readonly timeouts?: Timeouts;
  readonly lenient?: LenientFlags;
  /** How payload reaches you. Default 'message'. */
  readonly delivery?: Delivery;
  /**
   * - `shared` (default): may be kept by reference until parsed, never written; do not change it afterwards
   * - `reused`: you will overwrite the buffer after the call: what must be kept is copied
   * - `transferred`: no longer yours: may be unmasked in place and shown in events without a copy. A message whose frame is smaller than half its
   *   chunk, or has unread input behind it, is copied, so that keeping one message pins no large chunk and transferring one takes no unread input
   *   along. With a kernel whose `slicesFrom` is set, short messages may show a chunk of up to 32 KiB that has nothing else in it
   */
  readonly input?: 'shared' | 'reused' | 'transferred';
  /** Present = push mode: events go here during `receiveData`. Absent = pull mode: use `events()`. */
  readonly sink?: ConnectionSink;
  /** Answer pings (RFC 6455 section 5.5.3). Default true. */
  readonly autoPong?: boolean;
  /** Default true. False: you answer the peer's close with `close()`; sends still work until then; the closing deadline runs. */
  readonly autoClose?: boolean;
  /** If it throws, the call still does its work and then throws that; `takeOutput` leaves it to the next call. */
  readonly onTrace?: (entry: TraceEntry) => void;
  readonly kernels?: Kernels;
}
