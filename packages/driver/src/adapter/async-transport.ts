/**
 * A byte stream whose operations are promises (Deno's connections, web streams) as the driver's transport.
 *
 * One read and one write are under way at a time. A settled write is what says that there is room again.
 *
 * Beware: what an application's handler throws must not be taken for a failure of the stream, nor be lost: it is thrown again, outside.
 */
import { deliver, tell } from '../outside.ts';
import type { DriverHandle, Transport } from '../types.ts';
import { bufferGone } from './errors.ts';

/** More than so many bytes waiting is "slow down". */
const HIGH_WATER = 65_536;
/** Chunks that wait are written as one up to this size: a copy costs less than another round of promises. */
const JOIN = 131_072;

export interface AsyncBytes<Read = unknown> {
  read(): Promise<Read>;
  /** What `read` came to: the bytes, or null at the end. Whether they stay valid after the next `read` is what `input` says. */
  chunkOf(read: Read): Uint8Array | null;
  /** Failures of `read` that are an end as any other. Default: none. */
  isEnd?(error: unknown): boolean;
  /** Settles with the count that was taken, once there is room for more. The bytes are left alone until then. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends the write side. */
  end(): Promise<void>;
  /** Lets both sides go, now. Called once; what is under way may reject. Must not throw. */
  close(): void;
  /**
   * True when a settled write has copied what it was given and nobody refers to it any longer (a socket; not a stream, whose reader may get
   * the very chunk). Writes then go through buffers of this module, so that the memory of the output is free again at once.
   */
  readonly copies?: boolean;
}

/**
 * Buffers that writes go through, by size; shared by all transports. A message of 16 or 64 KiB fits one with its header, and so do two of
 * 64 KiB: a write costs more than their copy (bench: `echo --runtime deno`, 64 KiB).
 */
const SIZES = [4096, 20_480, 69_632, 147_456] as const;
const LARGEST = 147_456;
/** Larger chunks are written as they are. */
const COPIED = 69_632;
const spare: Uint8Array[][] = SIZES.map(() => []);
/** Bytes of each size that are kept. */
const KEPT = 2_097_152;

/** A buffer with bytes to be written at its start. */
class Filled {
  readonly buffer: Uint8Array;
  readonly #list: Uint8Array[];
  used = 0;

  /** `room` is at most `LARGEST`. */
  constructor(room: number) {
    const level = SIZES.findIndex((size) => size >= room);
    this.#list = spare[level] ?? [];
    this.buffer = this.#list.pop() ?? new Uint8Array(SIZES[level] ?? room);
  }
  add(chunk: Uint8Array): void {
    this.buffer.set(chunk, this.used);
    this.used += chunk.length;
  }
  release(): void {
    if (this.#list.length * this.buffer.length < KEPT) this.#list.push(this.buffer);
  }
}

/** A transport over reads and writes that are promises. Give it the operations, then `join` the driver: it begins to read. */
export class AsyncTransport<Bytes extends AsyncBytes = AsyncBytes> implements Transport {
  readonly bytes: Bytes;
  #driver: DriverHandle | null = null;
  #waiting: (Uint8Array | Filled)[] = [];
  #waitingBytes = 0;
  /** The last of those that wait, while there is room in it. */
  #filling: Filled | null = null;
  /** Of the last write: its chunks were copied. */
  #taken = false;
  #writing = false;
  /** What is under way: the bytes that are not taken yet, and the buffer they lie in if it is one of ours. */
  #rest: Uint8Array | null = null;
  #restBytes = 0;
  #source: Filled | null = null;
  #onWritten: ((count: number) => void) | null = null;
  #onFailed: ((error: unknown) => void) | null = null;
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
    if (this.#closed) tell(driver, (to) => to.gone());
    else this.#startReading();
  }
  get closed(): boolean {
    return this.#closed;
  }

  write(chunks: readonly Uint8Array[]): boolean {
    let size = 0;
    let copied = 0;
    for (let index = 0; index < chunks.length; index++) {
      const { length } = chunks[index] as Uint8Array; // index < chunks.length, here and below
      size += length;
      if (length <= COPIED) copied += length;
    }
    const copies = this.bytes.copies === true;
    this.#taken = copies;
    for (let index = 0; index < chunks.length; index++) {
      const chunk = chunks[index] as Uint8Array;
      if (chunk.length === 0) continue;
      if (copies && chunk.length <= COPIED) this.#copy(chunk, copied);
      else {
        this.#waiting.push(chunk);
        this.#filling = null;
        this.#taken = false;
      }
    }
    this.#waitingBytes += size;
    this.#startWriting();
    this.#stalled = this.#waitingBytes > HIGH_WATER;
    return !this.#stalled;
  }
  get taken(): boolean {
    return this.#taken;
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
        const chunk = this.bytes.chunkOf(await this.bytes.read());
        if (this.#closed) break;
        if (chunk === null) {
          this.#endOfInput();
          break;
        }
        deliver(this.#driver, chunk);
      }
    } catch (error) {
      if (this.bytes.isEnd?.(error) === true) this.#endOfInput();
      else this.fail(error);
    }
    this.#reading = false;
  }
  #endOfInput(): void {
    if (this.#closed) return;
    this.#eof = true;
    tell(this.#driver, (driver) => driver.receiveEof());
    if (this.#ended) this.#close();
  }

  /** `size` is what the whole write needs: the header of a message that is written as it is waits in no large buffer. */
  #copy(chunk: Uint8Array, size: number): void {
    if (this.#filling === null || this.#filling.buffer.length - this.#filling.used < chunk.length) {
      this.#filling = new Filled(size < LARGEST ? size : LARGEST);
      this.#waiting.push(this.#filling);
    }
    this.#filling.add(chunk);
  }

  #startWriting(): void {
    if (this.#writing || this.#closed) return;
    this.#writing = true;
    this.#writeNext();
  }
  /** Callbacks, not an async function: most of what it costs to write a small message is promises. */
  #writeNext(): void {
    const [first] = this.#waiting;
    if (first === undefined) {
      this.#writtenAll();
      return;
    }
    if (first instanceof Filled) {
      this.#waiting.shift();
      if (this.#filling === first) this.#filling = null;
      this.#source = first;
      this.#rest = first.buffer.subarray(0, first.used);
    } else this.#rest = this.#nextBatch();
    this.#writeRest(this.#rest);
  }
  #writeRest(rest: Uint8Array): void {
    if (rest.length === 0) {
      this.fail(bufferGone());
      return;
    }
    this.#restBytes = rest.length;
    this.#onWritten ??= (count) => this.#written(count);
    this.#onFailed ??= (error) => this.fail(error);
    this.bytes.write(rest).then(this.#onWritten, this.#onFailed);
  }
  #written(count: number): void {
    const rest = this.#rest;
    if (this.#closed || rest === null) {
      this.#source?.release();
      return;
    }
    this.#waitingBytes -= count;
    if (count < this.#restBytes) {
      // None is left of one that was transferred meanwhile.
      this.#rest = rest.length === 0 ? rest : rest.subarray(count);
      this.#writeRest(this.#rest);
      return;
    }
    this.#rest = null;
    this.#source?.release();
    this.#source = null;
    if (this.#stalled && this.#waiting.length === 0) {
      this.#stalled = false;
      this.#taken = this.bytes.copies === true;
      tell(this.#driver, (driver) => driver.drained());
      if (this.#closed) return;
    }
    this.#writeNext();
  }
  #writtenAll(): void {
    if (!this.#ending) {
      this.#writing = false;
      return;
    }
    // Nothing is written after this: `#writing` stays.
    this.bytes.end().then(
      () => {
        this.#ended = true;
        if (this.#eof) this.#close();
      },
      (error: unknown) => this.fail(error),
    );
  }

  /** The next chunk, or as many small ones as are joined. Called when a chunk waits. Empty: that chunk was transferred. */
  #nextBatch(): Uint8Array {
    const waiting = this.#waiting;
    const batch: Uint8Array[] = [];
    let size = 0;
    for (const chunk of waiting) {
      if (chunk instanceof Filled || (batch.length > 0 && (chunk.length === 0 || size + chunk.length > JOIN))) break;
      size += chunk.length;
      batch.push(chunk);
      if (size === 0) break;
    }
    waiting.splice(0, batch.length);
    const [first] = batch;
    if (first !== undefined && batch.length === 1) return first;
    const joined = new Uint8Array(size);
    let at = 0;
    for (const chunk of batch) {
      joined.set(chunk, at);
      at += chunk.length;
    }
    return joined;
  }

  /** The stream broke while nothing was under way. */
  fail(error: unknown): void {
    if (this.#closed) return;
    tell(this.#driver, (driver) => driver.receiveError(error));
    this.#close();
  }
  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting = [];
    this.#filling = null;
    this.#waitingBytes = 0;
    this.bytes.close();
    tell(this.#driver, (driver) => driver.gone());
  }
}
