/**
 * .NET's `System.Net.WebSockets.WebSocket` over a ferrywire connection: bytes are received into the caller's buffer, messages may be sent in
 * pieces, and the two halves of the closing handshake are separate operations (RFC 6455 section 7.1).
 *
 * The connection is in pull mode with delivery 'span' and without `autoClose`: nothing is read that no `receive` asks for, and a received
 * close is answered by `close` or `closeOutput` only. Beware: the core gives the application its closing deadline to answer.
 */
import type { Duplex } from 'node:stream';
import type { Connection } from '@ferrywire/core';
import type { DriverHandle } from '@ferrywire/driver';
import {
  ArgumentException,
  InvalidOperationException,
  ObjectDisposedException,
  OperationCanceledException,
  WebSocketException,
} from './errors.ts';
import { overStream, type WebSocketCreationOptions } from './over-stream.ts';
import { checkBuffer, checkCloseStatus, checkSignal } from './websocket-checks.ts';
import type { WebSocketMessageType, WebSocketReceiveResult, WebSocketState } from './websocket-types.ts';

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}
interface Receiving extends Waiter<WebSocketReceiveResult> {
  readonly buffer: Uint8Array;
}
type Arrived = NonNullable<ReturnType<Connection['readInto']>>;
/** The first event that nobody has asked for yet, and what is left of its payload. */
interface Ahead {
  readonly event: Arrived;
  readonly bytes: Uint8Array;
}

/** The core keeps payloads from this size on by reference; a caller may use its buffer again as soon as `send` has settled. */
const heldByReference = 16_384;
/** What the core closes with when no pong comes (1011). Without extensions and an idle deadline, nothing else makes it say so. */
const silent = 1011;
/** Bytes that are looked ahead. */
const lookedAhead = 1024;
/** Where data goes that `close` discards. */
const scratch = new Uint8Array(16_384);

/** Gives a socket its connection, and the stream below it; for this package. */
export let openWebSocket: (socket: WebSocket, connection: Connection, driver: DriverHandle, stream: Duplex) => void;
/** For `ClientWebSocket`, before there is a connection. */
export let setConnecting: (socket: WebSocket, state: 'Connecting' | 'Closed') => void;

/** .NET's `WebSocket`: `receive` into your own memory, `send` in pieces, and a close frame of the peer that waits for `close` or `closeOutput`. */
export class WebSocket {
  #connection: Connection | null = null;
  #driver: DriverHandle | null = null;
  #stream: Duplex | null = null;
  #early: 'None' | 'Connecting' | 'Closed' = 'None';
  #aborted = false;
  #disposed = false;
  #closeSent = false;
  #closeReceived = false;
  #closeStatus: number | null = null;
  #closeStatusDescription: string | null = null;
  #receiving: Receiving | null = null;
  #ahead: Ahead | null = null;
  /** Is the stream made to wait for the next `receive`? */
  #isHeld = false;
  #closing: Waiter<void>[] = [];
  #waitingForRoom: Waiter<void>[] = [];
  /** The type of the message that is being sent in pieces. */
  #unfinished: 'Text' | 'Binary' | null = null;

  /**
   * Wraps a stream on which the opening handshake has been done. Throws ArgumentNullException or ArgumentException for what is no duplex
   * stream, ArgumentException for a bad sub-protocol, ArgumentOutOfRangeException for a bad interval.
   */
  static createFromStream(stream: Duplex, options: WebSocketCreationOptions): WebSocket {
    const { connection, driver } = overStream(stream, options);
    const socket = new WebSocket();
    openWebSocket(socket, connection, driver, stream);
    return socket;
  }

  get state(): WebSocketState {
    if (this.#aborted) return 'Aborted';
    if (this.#connection === null) return this.#early;
    if (this.#closeSent) return this.#closeReceived ? 'Closed' : 'CloseSent';
    return this.#closeReceived ? 'CloseReceived' : 'Open';
  }
  get subProtocol(): string | null {
    return this.#connection?.subprotocol ?? null;
  }
  /** What the peer's close frame said, 1005 (Empty) for none; null before it was received. */
  get closeStatus(): number | null {
    return this.#closeStatus;
  }
  get closeStatusDescription(): string | null {
    return this.#closeStatusDescription;
  }

  /**
   * Receives the next piece of a message, or the peer's close frame, into `buffer`, which must not be used until this has settled. States:
   * Open, CloseSent.
   *
   * Rejects with InvalidOperationException while another receive is outstanding; with ArgumentException for a buffer without room, and when
   * something comes and the buffer has been transferred meanwhile; with WebSocketException InvalidState in another state,
   * ConnectionClosedPrematurely when the connection ended without a close frame, Faulted when the peer broke the protocol. A signal that
   * fires aborts the socket, as in .NET, and rejects with its reason.
   */
  async receive(buffer: ArrayBufferView | ArrayBuffer, signal?: AbortSignal): Promise<WebSocketReceiveResult> {
    const target = checkBuffer(buffer, 'buffer');
    const stop = checkSignal(signal);
    const connection = this.#open('receive', ['Open', 'CloseSent']);
    if (target.length === 0) throw new ArgumentException('must have room for at least one byte', 'buffer');
    if (this.#receiving !== null) throw new InvalidOperationException('there is already one outstanding receive on this WebSocket');
    return this.#cancellable(
      stop,
      new Promise((resolve, reject) => {
        this.#receiving = { buffer: target, resolve, reject };
        this.#advance(connection);
      }),
    );
  }

  /**
   * Sends a message, or with `endOfMessage` false the next piece of one, all of the first piece's type; a string is sent as UTF-8, and bytes
   * of a text are not looked at. Settles when the transport has room. States: Open, CloseReceived.
   * Rejects with ArgumentException for message type Close, and with WebSocketException: InvalidState in another state,
   * ConnectionClosedPrematurely when the transport is gone. What the peer sent before can still be received then.
   */
  async send(
    data: string | ArrayBufferView | ArrayBuffer,
    messageType: WebSocketMessageType,
    endOfMessage = true,
    signal?: AbortSignal,
  ): Promise<void> {
    const payload = typeof data === 'string' ? data : checkBuffer(data, 'buffer');
    if (messageType !== 'Text' && messageType !== 'Binary') {
      throw new ArgumentException(
        `the message type must be Text or Binary, not ${String(messageType)}; use close() to close`,
        'messageType',
      );
    }
    const stop = checkSignal(signal);
    const connection = this.#open('send', ['Open', 'CloseReceived']);
    stop?.throwIfAborted();
    if (this.#driver?.isClosed === true) throw transportGone();
    if (!this.#transmit(connection, payload, messageType, endOfMessage)) throw this.#lost();
    await this.#cancellable(stop, this.#room());
  }

  /**
   * Sends a close frame unless one was sent, and waits for the peer's; data that arrives meanwhile goes to an outstanding receive or is
   * discarded. States: Open, CloseReceived, CloseSent. Rejects with ArgumentException for a status that must not be sent or a description
   * above 123 bytes of UTF-8, with WebSocketException when the connection ends first.
   */
  async close(closeStatus: number, statusDescription: string | null = null, signal?: AbortSignal): Promise<void> {
    const { code, reason } = checkCloseStatus(closeStatus, statusDescription);
    const stop = checkSignal(signal);
    const connection = this.#open('close', ['Open', 'CloseReceived', 'CloseSent']);
    stop?.throwIfAborted();
    if (!this.#closeSent) this.#sendClose(connection, code, reason);
    if (this.#closeReceived) {
      await this.#cancellable(stop, this.#room());
      return;
    }
    await this.#cancellable(
      stop,
      new Promise<void>((resolve, reject) => {
        this.#closing.push({ resolve, reject });
        this.#advance(connection);
      }),
    );
  }

  /** Sends a close frame and does not wait for the peer's. States: Open, CloseReceived. Arguments as for `close`; rejects as `send` does. */
  async closeOutput(closeStatus: number, statusDescription: string | null = null, signal?: AbortSignal): Promise<void> {
    const { code, reason } = checkCloseStatus(closeStatus, statusDescription);
    const stop = checkSignal(signal);
    const connection = this.#open('closeOutput', ['Open', 'CloseReceived']);
    stop?.throwIfAborted();
    // A peer that has left behind its own close frame waits for no answer.
    if (!this.#closeReceived && this.#driver?.isClosed === true) throw transportGone();
    this.#sendClose(connection, code, reason);
    await this.#cancellable(stop, this.#room());
  }

  /** Drops the connection without a close frame. What is outstanding rejects with OperationCanceledException. */
  abort(): void {
    this.#abort(new OperationCanceledException('the WebSocket was aborted'));
  }

  /** Aborts what is not closed; every operation after it rejects with ObjectDisposedException. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.abort();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }

  #open(operation: string, states: readonly WebSocketState[]): Connection {
    if (this.#disposed) throw new ObjectDisposedException('WebSocket');
    const connection = this.#connection;
    if (connection === null && !this.#aborted) throw new InvalidOperationException('the WebSocket is not connected');
    const { state } = this;
    if (connection === null || !states.includes(state)) {
      throw new WebSocketException(
        'InvalidState',
        `the WebSocket is in state ${state}, in which ${operation}() is not possible; it is in ${states.join(', ')}`,
      );
    }
    return connection;
  }

  #transmit(connection: Connection, payload: string | Uint8Array, messageType: 'Text' | 'Binary', fin: boolean): boolean {
    // The first piece decides, whatever the others say.
    const begun = this.#unfinished;
    const type = begun ?? messageType;
    const bytes = typeof payload === 'string' && type === 'Binary' ? Buffer.from(payload) : payload;
    const copied = typeof bytes !== 'string' && bytes.length >= heldByReference;
    // Not slice(): a Buffer's is a view.
    const data = copied ? new Uint8Array(bytes) : bytes;
    this.#unfinished = fin ? null : type;
    if (begun !== null) return connection.sendContinuation(data, fin);
    const options = { fin, transfer: copied };
    return typeof data === 'string' || type === 'Text' ? connection.sendText(data, options) : connection.sendBinary(data, options);
  }

  #sendClose(connection: Connection, code: number | undefined, reason: string): void {
    try {
      if (code === undefined) connection.close();
      else connection.close(code, reason);
    } catch (cause) {
      // What is assigned, and to which side, is for the core to say.
      throw new ArgumentException((cause as Error).message, 'closeStatus');
    }
    this.#closeSent = true;
    this.#driver?.pump();
    this.#holdBack(connection);
  }

  /** Gives what has arrived to whoever waits for it. */
  #advance(connection: Connection): void {
    for (;;) {
      const receiving = this.#receiving;
      if (receiving === null && this.#closing.length === 0) break;
      if (receiving !== null && receiving.buffer.length === 0) {
        // It had room, so its memory has been transferred. .NET's memory stays where it is; what came waits for the next receive.
        this.#receiving = null;
        receiving.reject(new ArgumentException('was transferred while the receive was outstanding', 'buffer'));
        continue;
      }
      const event = this.#next(connection, receiving?.buffer ?? scratch);
      if (event === null) {
        this.#failedByCore(connection);
        break;
      }
      if (event.type === 'data') {
        if (receiving === null) continue;
        this.#receiving = null;
        const messageType = event.kind === 'text' ? 'Text' : 'Binary';
        receiving.resolve({
          count: event.count,
          messageType,
          endOfMessage: event.endOfMessage,
          closeStatus: null,
          closeStatusDescription: null,
        });
      } else if (event.type === 'close') {
        this.#peerClosed(event.code, event.reason);
      } else if (event.type === 'end') {
        this.#ended(event.clean, event.cause);
        break;
      }
    }
    this.#holdBack(connection);
    this.#driver?.pump();
  }

  /** As `readInto`, behind what was looked ahead. */
  #next(connection: Connection, target: Uint8Array): Arrived | null {
    const ahead = this.#ahead;
    if (ahead === null) return connection.readInto(target);
    this.#ahead = null;
    const { event, bytes } = ahead;
    if (event.type !== 'data') return event;
    const count = Math.min(bytes.length, target.length);
    target.set(bytes.subarray(0, count));
    if (count === bytes.length) return { ...event, count };
    this.#ahead = { event, bytes: bytes.subarray(count) };
    return { ...event, count, endOfMessage: false };
  }

  /**
   * Behind our close frame the core reads on by itself, up to the peer's, and keeps what nobody takes. Data that nobody has asked for makes the
   * stream wait here, as it does before: what is kept is no more than the stream gives at a time.
   */
  #holdBack(connection: Connection): void {
    if (!this.#closeSent || this.#aborted) return;
    const isIdle = this.#receiving === null && this.#closing.length === 0 && !this.#closeReceived;
    while (isIdle && this.#ahead === null) {
      const memory = new Uint8Array(lookedAhead);
      const event = connection.readInto(memory);
      if (event === null) break;
      if (event.type === 'ping' || event.type === 'pong') continue;
      this.#ahead = { event, bytes: event.type === 'data' ? memory.subarray(0, event.count) : memory };
    }
    const isHeld = isIdle && this.#ahead?.event.type === 'data';
    if (isHeld === this.#isHeld) return;
    this.#isHeld = isHeld;
    if (isHeld) this.#stream?.pause();
    else this.#stream?.resume();
  }

  #peerClosed(code: number, reason: string): void {
    this.#closeReceived = true;
    this.#closeStatus = code;
    this.#closeStatusDescription = reason;
    const receiving = this.#receiving;
    this.#receiving = null;
    receiving?.resolve({ count: 0, messageType: 'Close', endOfMessage: true, closeStatus: code, closeStatusDescription: reason });
    for (const { resolve } of this.#closing.splice(0)) resolve();
  }

  /** The core has failed the connection: its close frame is on its way, and the terminal event waits for the peer's end. */
  #failedByCore(connection: Connection): void {
    const { closeSent } = connection;
    if (this.#closeSent || closeSent === null) return;
    const what = closeSent.code === silent ? 'did not answer a ping within keepAliveTimeout' : 'broke the protocol';
    this.#reject(new WebSocketException('Faulted', `the remote party ${what}; it was told so with close code ${closeSent.code}`));
  }

  #ended(clean: boolean, cause: { readonly code: string; readonly message: string } | null): void {
    if (clean) {
      // Both close frames have been seen, so nothing waits any more.
      for (const { resolve } of this.#waitingForRoom.splice(0)) resolve();
      return;
    }
    const lost = cause === null || cause.code === 'WS_EOF' || cause.code === 'WS_TRANSPORT' || cause.code.startsWith('WS_TIMEOUT');
    this.#abort(
      lost
        ? new WebSocketException('ConnectionClosedPrematurely', 'the remote party closed the connection without the closing handshake')
        : new WebSocketException('Faulted', `the remote party broke the protocol: ${cause.message}`, { cause }),
    );
  }

  #abort(error: Error): void {
    if (this.#aborted) return;
    if (this.state === 'Closed') {
      this.#abandon(error);
      return;
    }
    this.#connection?.abort();
    this.#reject(error);
  }

  /** A closed socket stays closed, and what it has sent may still arrive; unless an operation waits for a peer that takes nothing. */
  #abandon(error: Error): void {
    const waiting = this.#waitingForRoom.splice(0);
    if (waiting.length === 0) return;
    this.#connection?.abort();
    this.#driver?.pump();
    for (const { reject } of waiting) reject(error);
  }

  /** Aborted from here on, as far as the application is concerned. */
  #reject(error: Error): void {
    this.#aborted = true;
    this.#driver?.pump();
    const receiving = this.#receiving;
    this.#receiving = null;
    receiving?.reject(error);
    for (const { reject } of [...this.#closing.splice(0), ...this.#waitingForRoom.splice(0)]) reject(error);
  }

  #lost(): Error {
    this.#abort(new OperationCanceledException('the connection was lost'));
    return transportGone();
  }

  /** Settles when the transport accepts more, or is gone. */
  #room(): Promise<void> {
    const driver = this.#driver;
    driver?.pump();
    if (driver?.stalled !== true) return Promise.resolve();
    if (driver.isClosed) return Promise.reject(transportGone());
    return new Promise((resolve, reject) => this.#waitingForRoom.push({ resolve, reject }));
  }

  /**
   * The connection's end lies behind input that nobody may ask for, so what waits for room is told by the transport. As in .NET the state
   * stays as it was: a failed send changes none, and the next receive gives what came before the end, then the end.
   */
  #transportClosed(): void {
    for (const { reject } of this.#waitingForRoom.splice(0)) reject(transportGone());
  }

  /** A signal aborts the socket: half an operation cannot be taken back. */
  async #cancellable<T>(signal: AbortSignal | null, operation: Promise<T>): Promise<T> {
    if (signal === null) return operation;
    const onAbort = (): void => this.#abort(new OperationCanceledException('the operation was cancelled'));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await operation;
    } catch (error) {
      if (signal.aborted && error instanceof OperationCanceledException) throw signal.reason;
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  static {
    openWebSocket = (socket, connection, driver, stream) => {
      socket.#connection = connection;
      socket.#driver = driver;
      socket.#stream = stream;
      driver.onEvents = () => socket.#advance(connection);
      driver.onDrain = () => {
        for (const { resolve } of socket.#waitingForRoom.splice(0)) resolve();
      };
      // Behind the transport's own listener, so the driver knows.
      stream.once('close', () => socket.#transportClosed());
    };
    setConnecting = (socket, state) => {
      socket.#early = state;
    };
  }
}

/** What .NET's SendAsync makes of a failed write. */
function transportGone(): WebSocketException {
  return new WebSocketException('ConnectionClosedPrematurely', 'the connection is no longer open');
}
