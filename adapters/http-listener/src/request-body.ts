/**
 * The body of a request as a stream of its own.
 *
 * Beware: a message of Node's takes its connection along when it is destroyed before its end, and whoever leaves a `for await` over it early
 * destroys it. The answer would be lost, be it the 413 that the loop was left for. .NET's stream may be left and disposed as one likes: what is
 * unread then is read over, since the next request of the connection lies behind it.
 */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { HttpListenerErrorCode, HttpListenerException } from './errors.ts';

const bodies = new WeakMap<IncomingMessage, RequestBody>();

export class RequestBody extends Readable {
  readonly #message: IncomingMessage;
  readonly #give = (chunk: Uint8Array): void => {
    if (!this.push(chunk)) this.#message.pause();
  };
  #isWhole = false;

  constructor(message: IncomingMessage) {
    super();
    this.#message = message;
    bodies.set(message, this);
    if (message.readableEnded || message.readableFlowing === true) {
      // Read over behind the answer: what is left of it would be taken for all of it.
      this.push(null);
      return;
    }
    if (message.destroyed) {
      this.#lose();
      return;
    }
    // Nothing is taken that nobody has asked for.
    message.pause();
    message.on('data', this.#give);
    message.once('end', () => {
      this.#isWhole = true;
      this.push(null);
    });
    message.on('error', (cause) => this.#lose(cause));
    message.once('close', () => this.#lose());
  }

  override _read(): void {
    this.#message.resume();
  }
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#message.off('data', this.#give);
    this.#message.resume();
    done(error);
  }

  /** The client has left. An 'error' that nobody listens to would end the process. */
  #lose(cause?: Error): void {
    if (this.#isWhole || this.destroyed) return;
    const error = new HttpListenerException(HttpListenerErrorCode.OperationAborted, 'the client left before the end of the body', {
      cause,
    });
    this.on('error', () => {}).destroy(error);
  }
}

/** The request has been answered: a body that nobody reads is read over, which not every runtime does. */
export function readOver(message: IncomingMessage): void {
  const body = bodies.get(message);
  if (body === undefined) message.resume();
  else if (body.listenerCount('data') + body.listenerCount('readable') === 0) body.destroy();
}
