/**
 * Messages on demand: what `messages()`, `stream()` and WebSocketStream read from. A full queue pauses the connection, a read resumes it.
 *
 * The end is told as soon as it is known, which may be before the last messages are read; but what is not pulled, because nobody reads, may
 * be in front of it.
 */
import { Fifo } from './fifo.ts';
import type { ControlItem } from './inbox.ts';
import type { Link } from './link.ts';

export type Message = string | Uint8Array;
/** `undefined` = the connection has ended cleanly and everything was read. */
type Waiter = { resolve(message: Message | undefined): void; reject(error: unknown): void };

export class MessageReader {
  readonly #ahead: number;
  /** Must hand the terminal event to `Link.end`. */
  readonly #onControl: (item: ControlItem) => void;
  #link: Link | null = null;
  readonly #waiters = new Fifo<Waiter>();
  #failure: unknown = null;

  /** `ahead`: messages to hold ready while nobody reads. */
  constructor(ahead: number, onControl: (item: ControlItem) => void) {
    this.#ahead = ahead;
    this.#onControl = onControl;
  }

  attach(link: Link): void {
    this.#link = link;
    link.inbox.pauses = true;
    link.onInput = () => this.#serve();
    this.#serve();
    link.touch();
  }

  /** Ends reading before there is a connection. */
  fail(error: unknown): void {
    this.#failure = error;
    for (let waiter = this.#waiters.shift(); waiter !== undefined; waiter = this.#waiters.shift()) waiter.reject(error);
  }

  /** Rejects when the connection failed; resolves to undefined after a clean end. Reads are served in order. */
  read(): Promise<Message | undefined> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#serve();
      this.#link?.touch();
    });
  }

  /** Ends the reads that wait, with `error` if one is given; what is queued stays for whoever reads next. */
  interrupt(error?: { readonly reason: unknown }): void {
    for (let waiter = this.#waiters.shift(); waiter !== undefined; waiter = this.#waiters.shift()) {
      if (error === undefined) waiter.resolve(undefined);
      else waiter.reject(error.reason);
    }
  }

  /** From here messages are of no interest, the end still is. */
  discard(): void {
    this.#link?.inbox.discard();
    this.#serve();
    this.#link?.touch();
  }

  #serve(): void {
    const link = this.#link;
    if (link === null) return;
    const { inbox } = link;
    for (;;) {
      inbox.capacity = Math.max(inbox.discards ? 1 : this.#ahead, this.#waiters.length);
      inbox.refill();
      for (const control of inbox.takeControls()) this.#onControl(control);
      if (inbox.length === 0 || this.#waiters.length === 0) break;
      const item = inbox.take();
      if (item !== undefined && 'data' in item) this.#waiters.shift()?.resolve(item.data);
    }
    const { ended } = link;
    if (ended === null || inbox.length > 0) return;
    for (let waiter = this.#waiters.shift(); waiter !== undefined; waiter = this.#waiters.shift()) {
      if (ended.clean) waiter.resolve(undefined);
      else waiter.reject(link.failure);
    }
  }
}
