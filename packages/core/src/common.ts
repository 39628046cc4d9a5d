/**
 * Vocabulary shared by every layer: time, randomness, roles, and the contract between a protocol object and whatever moves its bytes.
 *
 * Nothing here does anything; `Protocol` is what a driver or an adapter programs against.
 */
import type { CloseInfo } from './close.ts';

/** Milliseconds on any monotonic scale. Only differences are used. */
export type Millis = number;
/** The core's only source of time. Called by inputs that start or hit a deadline; never by getters. */
export type Clock = () => Millis;
/** Fills `target` with unpredictable bytes. Used by clients only: mask keys (RFC 6455 section 5.3) and Sec-WebSocket-Key (section 4.1). */
export type RandomSource = (target: Uint8Array) => void;
export type Role = 'client' | 'server';
export type MessageKind = 'text' | 'binary';

/**
 * What the host must do with the transport *after* writing the output. A level, not an edge: reading it twice gives the same answer, so a
 * host cannot miss it.
 *
 * - `open`: keep reading and writing
 * - `end`: flush, then half-close the write side (FIN, END_STREAM); keep reading until EOF
 * - `done`: flush, then close both sides: the peer has already ended
 * - `abort`: drop the transport now, unflushed (a deadline passed, or the application aborted)
 */
export type TransportDirective = 'open' | 'end' | 'abort' | 'done';

/** The whole contract between a protocol object and whatever moves its bytes. None of the inputs throws for anything the peer does. */
export interface Protocol {
  /** Bytes from the transport. Ownership of `chunk` is what the `input` option says. */
  receiveData(chunk: Uint8Array): void;
  /** The peer has ended its side in order (FIN, END_STREAM). Takes effect after input that is still held. */
  receiveEof(): void;
  /** The transport broke (reset, TLS failure). Takes effect after input that is still held. */
  receiveError(error: unknown): void;
  /** Call when `nextTimeout()` is due. Spurious and early calls are harmless. */
  handleTimeout(now?: Millis): void;
  /** Bytes to write, in order, as a vector for writev or cork. Empties the queue. */
  takeOutput(): Uint8Array[];
  /** The transport has taken these bytes synchronously: their memory may be reused. Optional to call. */
  recycleOutput(chunk: Uint8Array): void;
  readonly transport: TransportDirective;
  /** False while paused or while unread input is held: stop reading from the transport. */
  readonly wantsRead: boolean;
  /** Bytes accepted from the application and not yet taken, framing included. */
  readonly bufferedAmount: number;
  /**
   * Optional: the transport has stopped accepting (`write()` returned false, or it is gone). The closing deadline of a close frame that is still
   * queued starts here. What `takeOutput` returns before `outputDrained()` counts as thrown away.
   */
  outputStalled?(): void;
  /** Optional: the transport accepts output again. Restarts deadlines that stood still. */
  outputDrained?(): void;
  /**
   * Optional: our close frame and the peer's, null before. After a FIN behind the peer's close frame, a host reports the EOF only once our close
   * frame and all before it is taken, or can't be any more: a peer that has ended its side may still read. While input is `unread`, the close frame
   * may be in it.
   */
  readonly closeSent?: CloseInfo | null;
  readonly closeReceived?: CloseInfo | null;
  /** Optional: is input held, or work left of it? The end of the transport takes effect behind that. */
  readonly unread?: boolean;
  /**
   * When `handleTimeout` is next due, on the clock's scale; null when nothing is pending. Already due while a step budget (large
   * compressed messages) has stopped work that `handleTimeout` will go on with.
   */
  nextTimeout(): Millis | null;
  /**
   * Optional, asked at the end of a turn before `takeOutput`: true when taking the output is all that is left to do. Then `transport` is 'open',
   * `wantsRead` true and `nextTimeout()` not before `due`, now and after the output was taken, so a host need not ask. False promises nothing.
   */
  steadyUntil?(due: Millis): boolean;
  /** Optional: `host` is told when an asynchronous extension is ready, and then calls `wake`. Without a host the protocol goes on by itself. */
  workFor?(host: WorkHost): void;
  /** Optional: an asynchronous extension has finished what it called 'pending'. An input like any other: a turn follows. Harmless when spurious. */
  wake?(): void;
  /**
   * Optional: while held, input that a step budget has stopped stays stopped, since nobody takes the answers to it; `nextTimeout` does not
   * count it as due.
   */
  holdWork?(isHeld: boolean): void;
}

/** What moves the bytes of a protocol, as the protocol sees it. */
export interface WorkHost {
  /** Call `wake()` soon, but not from inside this, which may run in the middle of a call. */
  onWork(): void;
}
