/**
 * A socket of `Bun.listen` or `Bun.connect` as the driver's transport.
 *
 * `write` of Bun is one system call that takes what the kernel takes; the rest waits here until 'drain'. What it was given is free again
 * as soon as it returns, so output memory is always reused once nothing waits.
 *
 * Beware: `end()` of Bun closes both sides even of a socket that allows half-open connections; `shutdown()` ends the write side. After the
 * peer's FIN and our `shutdown()` Bun closes the socket by itself, in whichever order they come, if it is not paused, as it may be over TLS.
 */
import type { DriverHandle, Peer, Transport } from '@ferrywire/driver';
import { bufferGone, deliver, type SocketInfo, tell, transportIn } from '@ferrywire/driver/adapter';

/** A `Bun.Socket`, as far as used: its own type would need Bun's types wherever this package is imported. */
export interface Socket {
  data: BunTransport | undefined;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** 1 while it is open, whichever side may have ended. */
  readonly readyState: number;
  /** The count that the kernel took; below 0 when the socket is closed. */
  write(bytes: Uint8Array, byteOffset?: number, byteLength?: number): number;
  shutdown(): void;
  terminate(): void;
  pause(): void;
  resume(): void;
  ref(): void;
  unref(): void;
  setNoDelay(on: boolean): boolean;
}

/** Up to so many bytes, chunks are written as one: a copy costs less than another system call (bench: `echo --runtime bun`, 16 and 64 KiB). */
const JOIN = 147_456;
/**
 * Large messages lie at the start of a page, and with headers of a few bytes before them they would be copied to a few bytes behind the start
 * of one. Bun's copy is 20 times slower then, since each load waits for the stores just before it; half a page away it is not.
 */
const START = 2048;
const joined = new Uint8Array(START + JOIN);
const noChunks: Uint8Array[] = [];

export class BunTransport implements Transport, SocketInfo {
  readonly encrypted: boolean;
  readonly #socket: Socket;
  #driver: DriverHandle | null = null;
  /** Not yet taken by the kernel, in order. */
  #waiting: Uint8Array[] = noChunks;
  #waitingBytes = 0;
  #ending = false;

  constructor(socket: Socket, encrypted: boolean) {
    this.#socket = socket;
    this.encrypted = encrypted;
    socket.data = this;
  }

  /** From here on the socket's events go to the driver. */
  join(driver: DriverHandle): void {
    this.#driver = driver;
    // What happened before this was called raises no event any more.
    if (this.#socket.readyState < 1) this.closed(undefined);
  }

  write(chunks: readonly Uint8Array[]): boolean {
    const first = chunks[0];
    if (chunks.length === 1 && first !== undefined) this.#send(first);
    else if (this.#waitingBytes > 0) for (const chunk of chunks) this.#send(chunk);
    else this.#sendJoined(chunks);
    return this.#waitingBytes === 0;
  }
  get taken(): boolean {
    return this.#waitingBytes === 0;
  }
  end(): void {
    if (this.#waitingBytes === 0) this.#socket.shutdown();
    else this.#ending = true;
  }
  abort(): void {
    this.#drop();
    this.#socket.terminate();
  }
  pauseReading(): void {
    this.#socket.pause();
  }
  resumeReading(): void {
    this.#socket.resume();
  }
  get bufferedAmount(): number {
    return this.#waitingBytes;
  }

  get remoteAddress(): string | null {
    return this.#socket.remoteAddress ?? null;
  }
  get remotePort(): number | null {
    return this.#socket.remotePort ?? null;
  }
  ref(): void {
    this.#socket.ref();
  }
  unref(): void {
    this.#socket.unref();
  }

  #sendJoined(chunks: readonly Uint8Array[]): void {
    let size = 0;
    for (let index = 0; index < chunks.length; index++) {
      const chunk = chunks[index] as Uint8Array; // index < chunks.length
      if (size + chunk.length > JOIN) {
        this.#sendFirst(size);
        size = 0;
      }
      if (chunk.length > JOIN) this.#send(chunk);
      else {
        joined.set(chunk, START + size);
        size += chunk.length;
      }
    }
    this.#sendFirst(size);
  }
  /** The first `size` bytes of `joined`, which the next connection will overwrite. */
  #sendFirst(size: number): void {
    if (size === 0) return;
    const taken = this.#waitingBytes > 0 ? 0 : this.#socket.write(joined, START, size);
    if (taken >= 0 && taken < size) this.#wait(joined.slice(START + taken, START + size));
  }
  #send(chunk: Uint8Array): void {
    if (chunk.length === 0) return void this.tell((driver) => driver.receiveError(bufferGone()));
    const taken = this.#waitingBytes > 0 ? 0 : this.#socket.write(chunk);
    // Below 0 the socket has closed, which 'close' says.
    if (taken >= 0 && taken < chunk.length) this.#wait(taken === 0 ? chunk : chunk.subarray(taken));
  }

  #wait(chunk: Uint8Array): void {
    if (this.#waiting === noChunks) this.#waiting = [];
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
  }
  #drop(): void {
    this.#waiting = noChunks;
    this.#waitingBytes = 0;
    this.#ending = false;
  }

  /* The socket's events, called by the handlers that all sockets share. */

  received(chunk: Uint8Array): void {
    deliver(this.#driver, chunk);
  }
  drained(): void {
    if (this.#waitingBytes === 0) return;
    const waiting = this.#waiting;
    this.#waiting = noChunks;
    this.#waitingBytes = 0;
    for (const chunk of waiting) this.#send(chunk);
    if (this.#waitingBytes > 0) return;
    if (this.#ending) this.#socket.shutdown();
    else this.tell((driver) => driver.drained());
  }
  ended(): void {
    this.#socket.resume(); // or it would not close
    this.tell((driver) => driver.receiveEof());
  }
  closed(error: Error | undefined): void {
    this.#drop();
    if (error !== undefined) this.tell((driver) => driver.receiveError(error));
    this.tell((driver) => driver.gone());
  }
  /** What a handler of the application throws would reach Bun's 'error', as if the socket had failed. */
  tell(event: (driver: DriverHandle) => void): void {
    tell(this.#driver, event);
  }
}

/** The handlers of every socket, on both sides; what differs is what happens before there is a transport. */
export const socketHandlers = {
  binaryType: 'uint8array',
  data: (socket: Socket, chunk: Uint8Array): void => socket.data?.received(chunk),
  drain: (socket: Socket): void => socket.data?.drained(),
  end: (socket: Socket): void => socket.data?.ended(),
  error: (socket: Socket, error: Error): void => socket.data?.tell((driver) => driver.receiveError(error)),
  close: (socket: Socket, error?: Error): void => socket.data?.closed(error),
} as const;

/** What the adapter knows about a peer's connection. Throws TypeError for a peer of another adapter. */
export const transportOf = (peer: Pick<Peer, 'transport'>): SocketInfo => transportIn(peer, BunTransport);
