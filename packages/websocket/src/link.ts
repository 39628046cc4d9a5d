/**
 * An open connection and its host as the classes here use them: what comes in, what goes out, and when the host is pumped.
 *
 * Beware: outside the host's events nothing moves until it is pumped, and a pump per message is a write per message. So while more messages
 * are waiting, output is left to a pump in a later task; without any, it leaves at once.
 */
import type { Connection, EndInfo } from '@ferrywire/core';
import type { Driver } from '@ferrywire/driver';
import { domError } from './errors.ts';
import { Inbox } from './inbox.ts';
import { Outbox } from './outbox.ts';
import type { TaskQueue } from './task-queue.ts';
import { closedError, type WebSocketError } from './websocket-error.ts';

/** Events in a row whose output may leave in one write. */
const eventsPerWrite = 32;

/** What the driver of `@ferrywire/driver` says besides; another host may not. */
export interface MaybeHandle {
  readonly stalled?: boolean;
  readonly holdsInput?: boolean;
  readonly isClosed?: boolean;
  readonly isLost?: boolean;
}

/** How a connection ends whose transport broke. */
const LOST = { clean: false, code: 1006, reason: '' };

export class Link {
  readonly connection: Connection;
  readonly host: Driver;
  readonly tasks: TaskQueue;
  readonly inbox: Inbox;
  readonly outbox: Outbox;
  /** Set when the terminal event was taken. */
  ended: EndInfo | null = null;
  /** Called when there may be events to pull. */
  onInput: () => void = () => {};
  /** Called once, when `ended` was set. */
  onEnded: () => void = () => {};
  #inEvent = false;
  #pumpQueued = false;
  #held = 0;
  #settleQueued = false;
  #failure: WebSocketError | null = null;
  #tooLate: Error | null = null;
  readonly #waitingForRoom: { resolve(): void; reject(error: Error): void }[] = [];

  constructor(connection: Connection, host: Driver, tasks: TaskQueue) {
    this.connection = connection;
    this.host = host;
    this.tasks = tasks;
    // A kilobyte that was received may be a megabyte to be answered: what was sent goes first.
    this.inbox = new Inbox(connection, () => (host as MaybeHandle).holdsInput === true);
    this.outbox = new Outbox(connection, host);
    this.outbox.onOutput = () => {
      this.settleSoon();
      this.touch();
    };
    this.outbox.onUnreadable = () => {
      this.outbox.stop();
      connection.fail(1011);
      this.pump();
    };
    host.onEvents = () => {
      this.#roomMayBe();
      this.onInput();
    };
    host.onDrain = () => {
      this.outbox.settle();
      this.#roomMayBe();
      // A drained host takes what the connection held back, and may then have room for nothing more.
      this.onInput();
    };
  }

  /** Do an event's listeners run? */
  get isInEvent(): boolean {
    return this.#inEvent;
  }

  /** Runs one event's listeners; what they send is held back until the next call of `eventDone`. */
  inEvent(dispatch: () => void): void {
    this.#inEvent = true;
    try {
      dispatch();
    } finally {
      this.#inEvent = false;
    }
  }

  /** `more`: another event follows in a task of its own. */
  eventDone(more: boolean): void {
    this.#held += 1;
    if (!more || this.#held >= eventsPerWrite) this.pump();
  }

  /** After anything that may have made output or changed what is wanted. */
  touch(): void {
    if (this.#inEvent) return;
    if (this.inbox.length === 0) {
      this.pump();
    } else if (!this.#pumpQueued) {
      this.#pumpQueued = true;
      this.tasks.queue(() => {
        this.#pumpQueued = false;
        this.pump();
      });
    }
  }

  pump(): void {
    this.#held = 0;
    this.host.pump();
    this.#roomMayBe();
  }

  /** bufferedAmount changes between tasks: asked for after a send, and whenever it was read. */
  settleSoon(): void {
    if (this.#settleQueued || !this.outbox.isBusy) return;
    this.#settleQueued = true;
    this.tasks.queue(() => {
      this.#settleQueued = false;
      // A transport that is gone holds nothing any more, and that is not the same as having sent it.
      const gone =
        this.isLost ||
        this.connection.state === 'closed' ||
        this.connection.transport === 'abort' ||
        (this.host as MaybeHandle).isClosed === true;
      if (!gone) this.outbox.settle();
    });
  }

  /** Can nothing be written any more, though the end may still stand behind input that nobody has read? */
  get isLost(): boolean {
    return (this.host as MaybeHandle).isLost === true;
  }
  get hasRoom(): boolean {
    const { stalled } = this.host as MaybeHandle;
    return !(stalled ?? this.connection.bufferedAmount > 0);
  }

  /** Settles when the transport accepts more; rejects when the connection ends first. */
  room(): Promise<void> {
    this.pump();
    if (this.hasRoom && !this.isLost) return Promise.resolve();
    if (this.ended !== null || this.isLost) return Promise.reject(this.writeError);
    return new Promise((resolve, reject) => this.#waitingForRoom.push({ resolve, reject }));
  }

  /** Takes the terminal event. Idempotent. */
  end(info: EndInfo): void {
    if (this.ended !== null) return;
    // After a clean end what was sent before the close frame has arrived; after a failure nobody knows, and the count stays.
    if (info.clean) this.outbox.settle();
    this.ended = info;
    this.outbox.stop();
    this.#noRoom();
    this.onEnded();
  }

  /** What reading and waiting for the end fail with: one object, as the standard has it, and so is the one below. */
  get failure(): WebSocketError {
    if (this.ended === null) return endError(LOST);
    this.#failure ??= endError(this.ended);
    return this.#failure;
  }
  /** What writing fails with: a clean end is no failure, and who writes on has not looked. */
  get writeError(): Error {
    if (this.ended?.clean !== true) return this.failure;
    this.#tooLate ??= domError('InvalidStateError', 'the WebSocket is closed: nothing can be written any more');
    return this.#tooLate;
  }

  #roomMayBe(): void {
    if (this.#waitingForRoom.length === 0) return;
    if (this.isLost) this.#noRoom();
    else if (this.hasRoom) for (const { resolve } of this.#waitingForRoom.splice(0)) resolve();
  }
  #noRoom(): void {
    for (const { reject } of this.#waitingForRoom.splice(0)) reject(this.writeError);
  }
}

type EndsLike = Pick<EndInfo, 'clean' | 'code' | 'reason'>;

/** What streams and iterators fail with when a connection ended. */
export function endError(info: EndsLike): WebSocketError {
  const how = info.clean ? 'the WebSocket is closed' : 'the WebSocket connection failed';
  return closedError(`${how} (${info.code})`, info.code, info.reason);
}
