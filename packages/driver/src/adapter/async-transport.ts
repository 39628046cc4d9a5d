/**
 * A byte stream whose operations are promises (Deno's connections, web streams) as the driver's transport.
 *
 * One read and one write are under way at a time. A settled write is what says that there is room again.
 *
 * Beware: what an application's handler throws must not be taken for a failure of the stream, nor be lost: it is thrown again, outside.
 */
import { queueMicrotask } from '../platform.ts';
import type { DriverHandle, Transport } from '../types.ts';

/** More than so many bytes waiting is "slow down". */
const HIGH_WATER = 65_536;
/** Chunks that wait are written as one up to this size: a copy costs less than another round of promises. */
const JOIN = 131_072;

export interface AsyncBytes {
  /** The next bytes, null at the end. Whether they stay valid after the next call is what the protocol's `input` option says. */
  read(): Promise<Uint8Array | null>;
  /** Settles with the count that was taken, once there is room for more. The bytes are left alone until then. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends the write side. */
  end(): Promise<void>;
  /** Lets both sides go, now. Called once; what is under way may reject. Must not throw. */
  close(): void;
}

export class AsyncTransport<Bytes extends AsyncBytes = AsyncBytes> implements Transport {
  readonly bytes: Bytes;
  #driver: DriverHandle | null = null;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #writing = false;
  #stalled = false;
  #ending = false;
  #ended = false;
  #reading = false;
  #paused = false;
  #eof = false;
  #closed = false;

  constructor(bytes: Bytes) {
    this.bytes = bytes;
  }

  /** From here on events go to the driver. */
  join(driver: DriverHandle): void {
    this.#driver = driver;
    if (this.#closed) driver.gone();
    else this.#startReading();
  }
  get closed(): boolean {
    return this.#closed;
  }

  write(chunks: readonly Uint8Array[]): boolean {
    for (let index = 0; index < chunks.length; index++) {
      const chunk = chunks[index] as Uint8Array; // index < chunks.length
      this.#waiting.push(chunk);
      this.#waitingBytes += chunk.length;
    }
    this.#startWriting();
    this.#stalled = this.#waitingBytes > HIGH_WATER;
    return !this.#stalled;
  }
  end(): void {
    this.#ending = true;
    this.#startWriting();
  }
  abort(): void {
    this.#close();
  }
  pauseReading(): void {
    this.#paused = true;
  }
  resumeReading(): void {
    this.#paused = false;
    this.#startReading();
  }
  get bufferedAmount(): number {
    return this.#waitingBytes;
  }

  #startReading(): void {
    if (!this.#reading && !this.#paused && !this.#eof && !this.#closed) void this.#readOn();
  }
  async #readOn(): Promise<void> {
    this.#reading = true;
    try {
      while (!this.#paused && !this.#closed) {
        const chunk = await this.bytes.read();
        if (this.#closed) break;
        if (chunk === null) {
          this.#eof = true;
          this.#tell((driver) => driver.receiveEof());
          if (this.#ended) this.#close();
          break;
        }
        try {
          this.#driver?.receive(chunk);
        } catch (thrown) {
          throwOutside(thrown);
        }
      }
    } catch (error) {
      this.fail(error);
    }
    this.#reading = false;
  }

  #startWriting(): void {
    if (!this.#writing && !this.#closed) void this.#writeOn();
  }
  async #writeOn(): Promise<void> {
    this.#writing = true;
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#nextBatch();
        for (let at = 0; at < batch.length && !this.#closed; ) {
          const count = await this.bytes.write(at === 0 ? batch : batch.subarray(at));
          at += count;
          this.#waitingBytes -= count;
        }
        if (this.#closed) return;
        if (this.#stalled && this.#waiting.length === 0) {
          this.#stalled = false;
          this.#tell((driver) => driver.drained());
        }
      }
      if (this.#ending) {
        await this.bytes.end();
        this.#ended = true;
        if (this.#eof) this.#close();
      } else this.#writing = false;
    } catch (error) {
      this.fail(error);
    }
  }

  /** The next chunk, or as many small ones as are joined. Called when something waits. */
  #nextBatch(): Uint8Array {
    const waiting = this.#waiting;
    let count = 0;
    let size = 0;
    for (const chunk of waiting) {
      if (count > 0 && size + chunk.length > JOIN) break;
      size += chunk.length;
      count++;
    }
    const [first, ...rest] = waiting.splice(0, count);
    if (first === undefined || rest.length === 0) return first ?? new Uint8Array(0);
    const batch = new Uint8Array(size);
    batch.set(first);
    let at = first.length;
    for (const chunk of rest) {
      batch.set(chunk, at);
      at += chunk.length;
    }
    return batch;
  }

  /** The stream broke while nothing was under way. */
  fail(error: unknown): void {
    if (this.#closed) return;
    this.#tell((driver) => driver.receiveError(error));
    this.#close();
  }
  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.bytes.close();
    this.#tell((driver) => driver.gone());
  }
  #tell(event: (driver: DriverHandle) => void): void {
    if (this.#driver === null) return;
    try {
      event(this.#driver);
    } catch (thrown) {
      throwOutside(thrown);
    }
  }
}

/** As an uncaught exception, which is what it is on every runtime. */
export function throwOutside(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
