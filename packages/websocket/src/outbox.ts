/**
 * What `send()` promises (WHATWG WebSockets): call order across types, Blobs read asynchronously included; the caller's buffer is as it was at
 * the call; `bufferedAmount` counts payload only and changes between tasks only.
 *
 * Beware: the core holds large payloads by reference until they are written, so they are copied here, and masked in place in the copy.
 */
import type { Connection } from '@ferrywire/core';
import type { Driver } from '@ferrywire/driver';
import type { BlobLike } from './dom-types.ts';
import { Fifo } from './fifo.ts';
import { utf8Length } from './utf8-length.ts';

/** From this size on the core keeps a reference instead of copying (`Connection.send`). */
const heldByReference = 16_384;
/** Messages that `bufferedAmount` follows one by one. */
const maxInFlight = 1024;
const owned = { transfer: true } as const;

export type Outgoing = string | Uint8Array;
type Entry = Outgoing | BlobLike | Closing;

/** A close that waits for its turn. */
class Closing {
  readonly run: () => void;
  constructor(run: () => void) {
    this.run = run;
  }
}

export class Outbox {
  /** Payload bytes given to `send()` and not yet known to have left, plus what was discarded after the end. */
  amount = 0;
  /** Called after output was made: the owner decides when to pump. */
  onOutput: () => void = () => {};
  /** Called once with what reading a Blob failed with. */
  onUnreadable: (error: unknown) => void = () => {};
  readonly #connection: Connection;
  readonly #host: Driver;
  /** Waits behind a Blob that is being read; empty otherwise. The Blob is its head. */
  readonly #backlog = new Fifo<Entry>();
  /** Messages handed to the connection, oldest first: payload bytes and the bytes they took there. */
  readonly #inFlight = new Fifo<{ payload: number; wire: number }>();
  #wire = 0;

  constructor(connection: Connection, host: Driver) {
    this.#connection = connection;
    this.#host = host;
  }

  /** True while sent payload may still be on its way. */
  get isBusy(): boolean {
    return this.#inFlight.length > 0;
  }

  send(data: Outgoing | BlobLike, size: number): void {
    this.amount += size;
    if (this.#backlog.length > 0) {
      this.#backlog.push(data instanceof Uint8Array ? data.slice() : data);
    } else if (typeof data === 'string' || data instanceof Uint8Array) {
      this.#transmit(data, size, false);
    } else {
      this.#backlog.push(data);
      this.#readBlob(data);
    }
  }

  /** Runs `close` after everything sent before it. */
  closeAfter(close: () => void): void {
    if (this.#backlog.length > 0) this.#backlog.push(new Closing(close));
    else close();
  }

  /** Drops what waits; `amount` keeps it, as the standard wants. */
  stop(): void {
    this.#backlog.clear();
    this.#inFlight.clear();
  }

  /** Takes off `amount` what has left. Not in the task of the `send()` itself. */
  settle(): void {
    const remaining = this.#host.bufferedAmount;
    let first = this.#inFlight.peek();
    while (first !== undefined && remaining <= this.#wire - first.wire) {
      this.#wire -= first.wire;
      this.amount -= first.payload;
      this.#inFlight.shift();
      first = this.#inFlight.peek();
    }
  }

  #transmit(data: Outgoing, size: number, ours: boolean): void {
    const connection = this.#connection;
    const before = connection.bufferedAmount;
    let sent: boolean;
    if (typeof data === 'string') sent = connection.sendText(data);
    else if (data.byteLength < heldByReference) sent = connection.sendBinary(data);
    else sent = connection.sendBinary(ours ? data : data.slice(), owned);
    // Not open any more: a race with the peer's close, so the bytes count as discarded.
    if (!sent) return;
    const wire = Math.max(0, connection.bufferedAmount - before);
    const newest = this.#inFlight.last();
    // So many are told apart; beyond that they leave together.
    if (newest !== undefined && this.#inFlight.length >= maxInFlight) {
      newest.payload += size;
      newest.wire += wire;
    } else this.#inFlight.push({ payload: size, wire });
    this.#wire += wire;
    this.onOutput();
  }

  #readBlob(blob: BlobLike): void {
    blob.arrayBuffer().then(
      (buffer) => {
        if (this.#backlog.peek() !== blob) return;
        this.#backlog.shift();
        this.#transmit(new Uint8Array(buffer), buffer.byteLength, true);
        this.#continue();
      },
      (error: unknown) => {
        if (this.#backlog.peek() === blob) this.onUnreadable(error);
      },
    );
  }

  #continue(): void {
    for (let entry = this.#backlog.peek(); entry !== undefined; entry = this.#backlog.peek()) {
      if (typeof entry === 'string') {
        this.#backlog.shift();
        this.#transmit(entry, utf8Length(entry), true);
      } else if (entry instanceof Uint8Array) {
        this.#backlog.shift();
        this.#transmit(entry, entry.byteLength, true);
      } else if (entry instanceof Closing) {
        this.#backlog.shift();
        entry.run();
      } else {
        this.#readBlob(entry);
        return;
      }
    }
  }
}
