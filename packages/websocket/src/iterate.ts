/**
 * `messages()`: a socket's messages as an async iterator with back pressure.
 */
import type { AbortSignalLike } from './dom-types.ts';
import type { Message, MessageReader } from './reader.ts';

export interface MessagesOptions {
  /**
   * Messages held ready while the loop's body runs; the connection is paused while so many wait. An integer, 0 or more; default 16. Beware: a close
   * frame behind them is answered when it is read, and nothing can be sent after that. With 0 none is read before its turn.
   */
  readonly highWaterMark?: number;
  /** Ends the iteration, not the socket: the waiting or next `next()` rejects with its reason. */
  readonly signal?: AbortSignalLike;
}

const defaultHighWaterMark = 16;

export function iterateMessages(
  options: MessagesOptions,
  claim: (ahead: number) => { readonly reader: MessageReader; release(): void },
): AsyncIterableIterator<Message> {
  const { highWaterMark = defaultHighWaterMark, signal } = options;
  if (!Number.isInteger(highWaterMark) || highWaterMark < 0) {
    throw new RangeError(`highWaterMark must be an integer, 0 or more, not ${String(highWaterMark)}`);
  }
  const { reader, release } = claim(highWaterMark);
  let over = false;
  let aborted: { readonly reason: unknown } | null = null;

  function finish(): void {
    if (over) return;
    over = true;
    signal?.removeEventListener('abort', onAbort);
    release();
  }
  function onAbort(): void {
    if (over || signal === undefined) return;
    aborted = { reason: signal.reason };
    reader.interrupt(aborted);
    finish();
  }
  if (signal?.aborted === true) onAbort();
  else signal?.addEventListener('abort', onAbort, { once: true });

  return {
    async next(): Promise<IteratorResult<Message, undefined>> {
      if (aborted !== null) {
        const { reason } = aborted;
        aborted = null;
        throw reason;
      }
      if (over) return { done: true, value: undefined };
      try {
        const value = await reader.read();
        if (value !== undefined) return { done: false, value };
      } catch (error) {
        aborted = null;
        finish();
        throw error;
      }
      finish();
      return { done: true, value: undefined };
    },
    async return(): Promise<IteratorResult<Message, undefined>> {
      finish();
      reader.interrupt();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
      return this;
    },
  };
}
