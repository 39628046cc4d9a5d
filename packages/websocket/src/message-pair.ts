/**
 * A socket as a readable and a writable stream of messages (WebSocketStream explainer).
 *
 * One chunk is one message. The stream holds one message ready; a full queue pauses the connection, a pull resumes it. A write settles when the
 * transport has room (nodejs/undici#5503 is what happens otherwise). Beware: back pressure delays the end as well, which is behind the messages
 * nobody has read.
 */
import { isCloseCode } from './close-arguments.ts';
import type { ReadableStreamLike, WritableStreamLike } from './dom-types.ts';
import { domError } from './errors.ts';
import type { Link } from './link.ts';
import { isArrayBuffer, platform, type WritableController } from './platform.ts';
import type { Message, MessageReader } from './reader.ts';
import { utf8Length } from './utf8-length.ts';
import { bytesOf, isTransferred } from './views.ts';
import { WebSocketError } from './websocket-error.ts';

export interface WebSocketStreamPair {
  /** Pulls resume the connection; a full queue pauses it. Cancelling closes the socket. */
  readonly readable: ReadableStreamLike<string | Uint8Array>;
  /** `write()` settles when the transport has room. Closing or aborting closes the socket. */
  readonly writable: WritableStreamLike<string | Uint8Array>;
}
export interface WebSocketStreamInfo extends WebSocketStreamPair {
  readonly protocol: string;
  readonly extensions: string;
}

export function streamsOf(
  link: Link,
  reader: MessageReader,
  close: (code: number | undefined, reason: string) => void,
): WebSocketStreamPair {
  /** The code and reason of a WebSocketError, or none: one that another socket has failed with, and was piped from, is not to be sent. */
  function closeBecause(cause: unknown): void {
    if (cause instanceof WebSocketError && cause.closeCode !== null && isCloseCode(cause.closeCode)) close(cause.closeCode, cause.reason);
    else close(undefined, '');
  }

  const readable = new platform.ReadableStream<Message>(
    {
      async pull(controller) {
        const message = await reader.read();
        if (message === undefined) controller.close();
        else controller.enqueue(message);
      },
      cancel(cause) {
        closeBecause(cause);
        reader.discard();
      },
    },
    { highWaterMark: 1 },
  );

  let controller: WritableController | null = null;
  let closing: { resolve(): void; reject(error: Error): void } | null = null;
  const writable = new platform.WritableStream<Message>({
    start(given) {
      controller = given;
      const { signal } = given;
      // At once: a write that waits for room may do so for ever, and `abort` below is called behind it.
      signal.addEventListener('abort', () => closeBecause(signal.reason), { once: true });
    },
    write(chunk) {
      const data = outgoing(chunk);
      if (link.ended !== null) throw link.writeError;
      if (link.connection.state !== 'open') throw domError('InvalidStateError', 'write(): the socket is closing');
      if (link.isLost) return link.room();
      link.outbox.send(data, typeof data === 'string' ? utf8Length(data) : data.byteLength);
      return link.room();
    },
    close() {
      close(undefined, '');
      if (link.ended !== null) return;
      return new Promise<void>((resolve, reject) => {
        closing = { resolve, reject };
      });
    },
  });

  link.onEnded = () => {
    const { ended } = link;
    if (ended === null) return;
    if (closing === null) controller?.error(link.writeError);
    else if (ended.clean) closing.resolve();
    else closing.reject(link.failure);
  };
  return { readable, writable };
}

function outgoing(chunk: unknown): Message {
  if (typeof chunk === 'string') return chunk;
  if (ArrayBuffer.isView(chunk) || isArrayBuffer(chunk)) {
    const bytes = bytesOf(chunk);
    // It may have waited in the stream's queue, and an empty message would take the place of what was written.
    if (bytes.byteLength === 0 && isTransferred(chunk)) throw new TypeError('write(chunk): the buffer of chunk has been transferred');
    return bytes;
  }
  throw new TypeError('write(chunk): chunk must be a string, an ArrayBuffer or a view of one');
}
