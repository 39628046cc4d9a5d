/**
 * The two halves of an adapter's contract: what it supplies (`Transport`, `TimerHost`) and what it calls (`TransportEvents`, `Driver`).
 *
 * Beware: a transport may call any event from inside any of its own methods; the driver copes. It must not call one after `closed()`.
 */
import type { Clock, Millis } from '@ferrywire/core';

/** What an adapter supplies: about six methods over a byte stream (TCP, TLS, an HTTP/2 stream, a pipe). None of them may throw. */
export interface Transport {
  /**
   * Takes all of it, whatever it returns. False when the peer is slow: nothing more is written before `drain()`. The chunks stay as they are until
   * their bytes are sent, to be read only: their memory may be the application's, or go to other connections too, so that a transport copies what
   * it would write to or transfer (`postMessage`). The array is valid during the call only.
   */
  write(chunks: readonly Uint8Array[]): boolean;
  /** Write side only, after what was written. Where the host cannot half-close, close after the flush. Called at most once. */
  end(): void;
  /** Drops the connection now, unflushed (a reset where the host can send one). Called at most once. */
  abort(): void;
  /** Called only when reading; at most one chunk that was already on its way may still be delivered. */
  pauseReading(): void;
  /** Called only when paused. */
  resumeReading(): void;
  /** Bytes written and not yet taken by the operating system (or whatever lies below). */
  readonly bufferedAmount: number;
  /**
   * Optional, read right after `write()`, and once more at the `drain()` that follows one which returned false: true when every byte that was
   * written has been taken and no chunk is referenced any longer, so that their memory may be reused (`Protocol.recycleOutput`). On a Node
   * socket: `writableLength === 0`. Left out, nothing is assumed and each batch of output is fresh memory.
   */
  readonly taken?: boolean;
}

/** What an adapter calls. All five may be passed around as detached callbacks: `socket.on('data', driver.data)`. */
export interface TransportEvents {
  /** Bytes have arrived. Who owns `chunk` afterwards is what the protocol's `input` option says. */
  data(chunk: Uint8Array): void;
  /** The peer has ended its side in order (FIN). A transport that has seen this and whose `end()` has flushed closes by itself. */
  eof(): void;
  /** The transport broke (reset, TLS failure). `closed()` still follows. */
  error(error: unknown): void;
  /** There is room again after a `write()` that returned false. */
  drain(): void;
  /** The transport is gone, whatever came before. */
  closed(): void;
}

/** Timers are the host's: fake ones in tests. A delay of 0 asks for the next turn of the event loop (`setImmediate` where there is one). */
export interface TimerHost {
  /** Calls back once, after at least `delay` milliseconds (0 to 2 147 483 647), never from inside `set`. */
  set(callback: () => void, delay: Millis): unknown;
  clear(handle: unknown): void;
  /** Optional, both: the same for an object that is its own timer, with a delay above 0. Saves a closure and a handle per connection. */
  add?(timed: Timed, delay: Millis): void;
  /** Of no effect when it was not added, or has fired. */
  remove?(timed: Timed): void;
}

/** An object that is its own timer. Both fields are the timers' to write; to begin with `index` is -1. */
export interface Timed {
  due: Millis;
  index: number;
  /** Called back once, no longer added. */
  fired(): void;
}

export interface Driver extends TransportEvents {
  /** What the protocol and the transport hold together, in bytes. */
  readonly bufferedAmount: number;
  /**
   * For layers on top (the WHATWG class, streams): called after input was given to the protocol and before its output is taken, and when the
   * transport is gone. While reading is paused or over also by `pump()` and after `onDrain`, since a `resume()` may have made earlier input
   * available again.
   */
  onEvents: (() => void) | null;
  /** For layers on top: there is room again, since the transport has drained or what was sent has been compressed. */
  onDrain: (() => void) | null;
  /**
   * After any call on the protocol made outside an event: moves output, directive, timer and reading. No `takeOutput` between
   * `write() === false` and `drain()`. A timer is not re-armed for a deadline that moved later. Inside an event it does nothing: the
   * driver does the same at the end of the event.
   */
  pump(): void;
}

/**
 * What `drive` returns: the driver, and what adapters with many connections want besides. The unbound methods are the same five events
 * without a closure per connection; call them on the driver (`driver.receive(chunk)`).
 */
export interface DriverHandle extends Driver {
  /** `data`, unbound. */
  receive(chunk: Uint8Array): void;
  /** `eof`, unbound. */
  receiveEof(): void;
  /** `error`, unbound. */
  receiveError(error: unknown): void;
  /** `drain`, unbound. */
  drained(): void;
  /** `closed`, unbound. */
  gone(): void;
  /** `pump()` once the present microtask has run, so that any number of sends makes one write. Inside an event: at its end. */
  pumpSoon(): void;
  /** True between a `write()` that returned false and the next `drain()`, and while more than 64 KiB wait to be compressed. */
  readonly stalled: boolean;
  /**
   * True while `highWaterMark` keeps input from being read: the transport or the protocol is that far behind with output. A layer that pulls events
   * should wait for `onDrain`, since input that was already received may decompress to much more. Always false of `drive`.
   */
  readonly holdsInput: boolean;
  /** True once the transport has reported `closed()`. */
  readonly isClosed: boolean;
  /** True once nothing can be written any more: the transport broke, was aborted or is closed. What is sent from here on is discarded. */
  readonly isLost: boolean;
}

export interface DriveOptions {
  /** The protocol's clock, or one on the same scale. */
  readonly clock: Clock;
  readonly timers: TimerHost;
  /**
   * Milliseconds for the transport to drain and be gone, once the protocol is done and both sides have ended; then it is aborted. 0: no limit.
   * Default 10 000. Up to that point the protocol's own `timeouts.closing` counts.
   */
  readonly closing?: Millis;
  /** The first value of `Driver.onEvents`. */
  readonly onEvents?: () => void;
}
