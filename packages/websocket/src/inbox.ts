/**
 * A connection's events, pulled while somebody wants them: the only file that calls `nextEvent`.
 *
 * Not pulling is back pressure by itself (the core holds unread input and stops wanting more); `pauses` stops at once instead of one chunk
 * later. Beware: closing wins over pausing. A pause of ours is lifted before `close()`, because the core drops messages that arrive after
 * `close()` on a connection its application had paused.
 */
import type { Connection, ConnectionEvent } from '@ferrywire/core';

/** What a consumer sees; pings and pongs have been answered by the core and are of no interest above. */
export type InboxItem = Exclude<ConnectionEvent, { type: 'ping' | 'pong' }>;

export type ControlItem = Extract<InboxItem, { type: 'close' | 'end' }>;

export class Inbox {
  /** How many items to hold ready. 0 pulls nothing. */
  capacity = 1;
  /** Pause the connection while `capacity` is reached. */
  pauses = false;
  readonly #connection: Connection;
  #items: InboxItem[] = [];
  #pausedHere = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get length(): number {
    return this.#items.length;
  }

  /** Pulls up to `capacity`. The caller pumps the host afterwards, unless it runs inside one of the host's events. */
  refill(): void {
    const connection = this.#connection;
    for (;;) {
      // What is left at the end is bounded by the core, and the terminal event is behind it.
      if (this.#items.length >= this.capacity && connection.state !== 'closed') break;
      this.release();
      const event = connection.nextEvent();
      if (event === null) return;
      if (event.type !== 'ping' && event.type !== 'pong') this.#items.push(event);
      if (event.type === 'end') return;
    }
    if (this.pauses && connection.state === 'open' && !connection.paused) {
      connection.pause();
      this.#pausedHere = true;
    }
  }

  peek(): InboxItem | undefined {
    return this.#items[0];
  }

  take(): InboxItem | undefined {
    return this.#items.shift();
  }

  /** Takes the control items out, whatever is in front of them: who reads on demand learns of the end before the last messages are read. */
  takeControls(): ControlItem[] {
    const last = this.#items.at(-1);
    if (last === undefined || (last.type !== 'close' && last.type !== 'end')) return [];
    const controls: ControlItem[] = [];
    const messages: InboxItem[] = [];
    for (const item of this.#items) {
      if (item.type === 'close' || item.type === 'end') controls.push(item);
      else messages.push(item);
    }
    this.#items = messages;
    return controls;
  }

  /** Lifts a pause made here, never one the application made. */
  release(): void {
    if (!this.#pausedHere) return;
    this.#pausedHere = false;
    this.#connection.resume();
  }
}
