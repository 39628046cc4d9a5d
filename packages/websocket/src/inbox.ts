/**
 * A connection's events, pulled while somebody wants them: the only file that calls `nextEvent`.
 *
 * Not pulling is back pressure by itself (the core holds unread input and stops wanting more); `pauses` stops at once instead of one chunk
 * later. Beware: closing wins over pausing. A pause of ours is lifted before `close()`, because the core drops messages that arrive after
 * `close()` on a connection its application had paused.
 */
import type { Connection, ConnectionEvent } from '@ferrywire/core';
import { Fifo } from './fifo.ts';

/** What a consumer sees; pings and pongs have been answered by the core and are of no interest above. */
export type InboxItem = Exclude<ConnectionEvent, { type: 'ping' | 'pong' }>;

export type ControlItem = Extract<InboxItem, { type: 'close' | 'end' }>;

export class Inbox {
  /** How many items to hold ready. 0 pulls nothing. */
  capacity = 1;
  /** Pause the connection while `capacity` is reached. */
  pauses = false;
  #discards = false;
  readonly #connection: Connection;
  readonly #items = new Fifo<InboxItem>();
  readonly #isHeld: () => boolean;
  #pausedHere = false;

  /** @param isHeld Whether an open connection has too much to send for more to be asked of it. */
  constructor(connection: Connection, isHeld: () => boolean = () => false) {
    this.#connection = connection;
    this.#isHeld = isHeld;
  }

  get discards(): boolean {
    return this.#discards;
  }
  get length(): number {
    return this.#items.length;
  }

  /** Pulls up to `capacity`. The caller pumps the host afterwards, unless it runs inside one of the host's events. */
  refill(): void {
    const connection = this.#connection;
    for (;;) {
      if (connection.state === 'open' && this.#isHeld()) return;
      // What is left at the end is bounded by the core, and the terminal event is behind it.
      if (this.#items.length >= this.capacity && connection.state !== 'closed') break;
      this.release();
      const event = connection.nextEvent();
      if (event === null) return;
      if (event.type === 'ping' || event.type === 'pong') continue;
      if (this.#discards && 'data' in event) continue;
      this.#items.push(event);
      if (event.type === 'end') return;
    }
    if (this.pauses && connection.state === 'open' && !connection.paused) {
      connection.pause();
      this.#pausedHere = true;
    }
  }

  peek(): InboxItem | undefined {
    return this.#items.peek();
  }

  take(): InboxItem | undefined {
    return this.#items.shift();
  }

  /** Takes the control items from behind the messages: who reads on demand learns of the end before the last messages are read. */
  takeControls(): ControlItem[] {
    const controls: ControlItem[] = [];
    for (let last = this.#items.last(); last?.type === 'close' || last?.type === 'end'; last = this.#items.last()) {
      controls.unshift(last);
      this.#items.pop();
    }
    return controls;
  }

  /** From here on messages are dropped, those that wait included. */
  discard(): void {
    this.#discards = true;
    const controls = this.takeControls();
    this.#items.clear();
    for (const control of controls) this.#items.push(control);
  }

  /** Lifts a pause made here, never one the application made. */
  release(): void {
    if (!this.#pausedHere) return;
    this.#pausedHere = false;
    this.#connection.resume();
  }
}
