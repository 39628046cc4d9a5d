/**
 * WebSocketError (WebSocketStream explainer): the DOMException that streams and iterators of an ended socket fail with.
 *
 * Beware: what a page may learn about a failed connection is the close code and reason, 1006 and '' for a failure (WHATWG WebSockets,
 * "feedback from the protocol"), so no cause of the core's goes into it.
 */
import { closeInfoArguments } from './close-arguments.ts';
import { type DomExceptionLike, platform } from './platform.ts';
import { defineInterface } from './web-idl.ts';

const DomExceptionBase: { new (message?: string, name?: string): DomExceptionLike; readonly prototype: DomExceptionLike } =
  platform.DOMException;

/** Code and reason of a connection that is over, which `close()` would refuse: assigned below, known to this package only. */
export let closedError: (message: string, closeCode: number, reason: string) => WebSocketError;

/** The DOMException of a stream or an iterator whose socket has failed: the close code (null for none) and the reason, never a cause. */
export class WebSocketError extends DomExceptionBase {
  #closeCode: number | null;
  #reason: string;

  /**
   * Throws like `WebSocket.close`: InvalidAccessError for a code that is neither 1000 nor 3000 to 4999, SyntaxError for a reason above 123
   * bytes of UTF-8. A reason alone implies 1000.
   */
  constructor(message = '', info: { readonly closeCode?: number; readonly reason?: string } = {}) {
    super(message, 'WebSocketError');
    const { code, reason } = closeInfoArguments(info);
    this.#closeCode = code ?? null;
    this.#reason = reason;
  }

  /** Null when it was made without one. */
  get closeCode(): number | null {
    return this.#closeCode;
  }
  get reason(): string {
    return this.#reason;
  }

  static {
    defineInterface(WebSocketError, 'WebSocketError', ['closeCode', 'reason']);
    closedError = (message, closeCode, reason) => {
      const error = new WebSocketError(message);
      error.#closeCode = closeCode;
      error.#reason = reason;
      return error;
    };
  }
}
