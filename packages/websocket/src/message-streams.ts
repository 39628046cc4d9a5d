/**
 * One message as a stream, for messages larger than memory (delivery 'chunk'; RFC 6455 section 5.4).
 *
 * Nothing is assembled: a piece is pulled from the connection when the message's reader asks for it, and the connection is paused in between.
 * While too much of what was sent waits nothing is pulled: a kilobyte that was received may be a megabyte to be answered.
 * Where a piece ends means nothing: pieces need not mirror frames.
 */
import type { Connection, EndInfo, MessageKind } from '@ferrywire/core';
import type { Driver } from '@ferrywire/driver';
import type { ReadableStreamLike } from './dom-types.ts';
import { domError } from './errors.ts';
import { Inbox, type InboxItem } from './inbox.ts';
import { checkJoined } from './joined.ts';
import { endError, type MaybeHandle } from './link.ts';
import { platform, type ReadableController } from './platform.ts';

export interface MessageStream {
  readonly kind: MessageKind;
  /** Strings of whole code points, or bytes. Fails with WebSocketError when the connection ends before the message does. */
  readonly body: ReadableStreamLike<string | Uint8Array>;
}

type Data = string | Uint8Array;
type Piece = Extract<InboxItem, { type: 'message' | 'chunk' }>;
type Result = IteratorResult<MessageStream, undefined>;

/** The message that is being read. */
class Body {
  readonly stream: ReadableStreamLike<Data>;
  /** A read waits for a piece. */
  wanted = false;
  // Assigned by `start`, which the stream's constructor calls.
  #controller: ReadableController<Data> | null = null;
  #pulled: (() => void) | null = null;

  constructor(changed: (body: Body, cancelled: boolean) => void) {
    this.stream = new platform.ReadableStream<Data>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () =>
          new Promise<void>((resolve) => {
            this.wanted = true;
            this.#pulled = resolve;
            changed(this, false);
          }),
        cancel: () => changed(this, true),
      },
      // Nothing is pulled ahead of a read.
      { highWaterMark: 0 },
    );
  }

  give(data: Data): void {
    this.#controller?.enqueue(data);
    this.#answered();
  }
  close(): void {
    this.#controller?.close();
    this.#answered();
  }
  fail(error: Error): void {
    this.#controller?.error(error);
    this.#answered();
  }
  #answered(): void {
    this.wanted = false;
    this.#pulled?.();
    this.#pulled = null;
  }
}

class MessageStreams implements AsyncIterableIterator<MessageStream> {
  readonly #host: Driver;
  readonly #inbox: Inbox;
  #waiters: { resolve(result: Result): void; reject(error: unknown): void }[] = [];
  #body: Body | null = null;
  /** The rest of the present message is of no interest. */
  #skipping = false;
  #over = false;
  /** Kept until somebody asks: a failure is not lost. */
  #ended: EndInfo | null = null;
  /** Gives `onDrain` back. */
  readonly #leave: () => void;

  constructor(connection: Connection, host: Driver) {
    this.#host = host;
    const { onDrain } = host;
    const advance = (): void => this.#advance();
    const drained = (): void => {
      onDrain?.();
      // Not once somebody else reads: to find that nobody waits here would pause the connection.
      if (host.onEvents === advance) advance();
    };
    this.#leave = () => {
      if (host.onDrain === drained) host.onDrain = onDrain;
    };
    // Who takes `onDrain` for himself heeds room himself, and nobody else would tell when to go on.
    this.#inbox = new Inbox(connection, () => (host as MaybeHandle).holdsInput === true && host.onDrain === drained);
    this.#inbox.capacity = 0;
    this.#inbox.pauses = true;
    host.onEvents = advance;
    host.onDrain = drained;
    this.#go();
  }

  next(): Promise<Result> {
    if (this.#over) return Promise.resolve({ done: true, value: undefined });
    const body = this.#body;
    if (body !== null && !body.stream.locked) {
      // Nobody reads it, so waiting for its end could last for ever. Whoever reads it later is told.
      this.#body = null;
      this.#skipping = true;
      body.fail(domError('InvalidStateError', 'the rest of this message was skipped: the next one was asked for before it was read'));
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#go();
    });
  }

  /** Leaves the connection open and paused; a body that is being read can be read to its end. */
  return(): Promise<Result> {
    this.#over = true;
    this.#finish();
    if (this.#body === null) this.#leave();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #go(): void {
    this.#advance();
    this.#host.pump();
  }

  /** Pulls while a read or a `next()` waits for it. */
  #advance(): void {
    const inbox = this.#inbox;
    for (;;) {
      const wanted = this.#skipping || (this.#body === null ? this.#waiters.length > 0 : this.#body.wanted);
      inbox.capacity = wanted ? 1 : 0;
      inbox.refill();
      const item = wanted ? inbox.take() : undefined;
      if (item === undefined) break;
      if (item.type === 'end') this.#end(item);
      else if (item.type !== 'close') this.#piece(item);
    }
    if (this.#ended !== null && this.#body === null) this.#finish();
    if (this.#over && this.#body === null) this.#leave();
  }

  #piece(item: Piece): void {
    const last = item.type === 'message' || item.last;
    if (this.#skipping) {
      this.#skipping = !last;
      return;
    }
    let body = this.#body;
    if (body === null) {
      body = new Body((changed, cancelled) => {
        if (cancelled && changed === this.#body) {
          this.#body = null;
          this.#skipping = true;
        }
        this.#go();
      });
      this.#body = body;
      this.#waiters.shift()?.resolve({ done: false, value: { kind: item.kind, body: body.stream } });
    }
    if (item.data.length > 0) body.give(item.data);
    if (last) {
      this.#body = null;
      body.close();
    }
  }

  #end(info: EndInfo): void {
    this.#ended = info;
    this.#skipping = false;
    const body = this.#body;
    this.#body = null;
    // Cut short even by a clean close: the rest of the message will not come.
    body?.fail(endError(info));
  }

  #finish(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (!this.#over && this.#ended !== null && !this.#ended.clean) waiter.reject(endError(this.#ended));
      else waiter.resolve({ done: true, value: undefined });
      this.#over = true;
    }
  }
}

/**
 * The messages of a connection as streams, in order. Needs a connection in pull mode, delivery 'chunk' (whole messages are accepted too), and
 * takes over `host.onEvents` and `host.onDrain`; what was `onDrain` before is called first, and has its place again when the loop was left.
 *
 * The next message begins when the body of the one before was read or cancelled; asking for it while nobody reads that body skips what is
 * left of it. Ends after a clean close, throws WebSocketError when the connection failed. Throws TypeError for what is no connection or no driver.
 */
export function messageStreams(connection: Connection, host: Driver): AsyncIterableIterator<MessageStream> {
  checkJoined(connection, host);
  return new MessageStreams(connection, host);
}
