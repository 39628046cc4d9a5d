/**
 * A message that is sent in fragments of any number and size (RFC 6455 section 5.4).
 */
import type { MessageKind } from './common.ts';
import { misuse } from './misuse.ts';
import type { Sender } from './sender.ts';

const EMPTY = new Uint8Array(0);

/** Control frames may go between writes; other messages may not. */
export interface MessageWriter {
  /**
   * Queues a fragment. False when the connection is no longer open. Throws TypeError for data of the wrong kind (bytes may be UTF-8 of a text
   * message), Error `WS_MISUSE_WRITER_ENDED` after `end`. Half a surrogate pair at the end is held back until the next write.
   */
  write(data: string | Uint8Array): boolean;
  /** Queues the last fragment. */
  end(data?: string | Uint8Array): boolean;
  readonly kind: MessageKind;
}

export class Writer implements MessageWriter {
  readonly kind: MessageKind;
  readonly compress: boolean | undefined;
  readonly transfer: boolean;
  begun = false;
  readonly #sender: Sender;
  #ended = false;

  constructor(sender: Sender, kind: MessageKind, compress: boolean | undefined, transfer: boolean) {
    this.#sender = sender;
    this.kind = kind;
    this.compress = compress;
    this.transfer = transfer;
  }
  write(data: string | Uint8Array): boolean {
    this.#check();
    return this.#sender.fragment(this, data, false);
  }
  end(data: string | Uint8Array = EMPTY): boolean {
    this.#check();
    const sent = this.#sender.fragment(this, data, true);
    this.#ended = true;
    return sent;
  }
  #check(): void {
    if (this.#ended) throw misuse('WS_MISUSE_WRITER_ENDED', 'write() and end() may not follow end()');
  }
}
