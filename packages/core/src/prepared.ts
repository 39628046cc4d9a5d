/**
 * A message that is encoded once and sent to many (`prepareMessage`, `Connection.sendPrepared`).
 *
 * A server's frames carry no mask, so the whole frame is kept, once for each set of transforms that gives the same bytes. Clients mask every
 * frame with a key of its own (RFC 6455 section 5.3) and keep nothing but the payload.
 */
import type { MessageKind } from './common.ts';
import { checkData } from './misuse.ts';
import { encodeUtf8 } from './utf8.ts';

/** One message encoded once, for many server connections with equal outbound transforms. */
export interface PreparedMessage {
  readonly kind: MessageKind;
  /** Bytes of payload, uncompressed. */
  readonly size: number;
}

export class Prepared implements PreparedMessage {
  readonly kind: MessageKind;
  readonly payload: Uint8Array;
  /** Whole frames of servers by the `cacheKey` of their transforms. */
  readonly frames: Map<string, Uint8Array> = new Map();

  constructor(kind: MessageKind, payload: Uint8Array) {
    this.kind = kind;
    this.payload = payload;
  }
  get size(): number {
    return this.payload.length;
  }
}

/** `data` is copied. A string is a text message, bytes are a binary one. Throws TypeError for anything else. */
export function prepareMessage(data: string | Uint8Array): PreparedMessage {
  checkData(data, 'data');
  if (typeof data === 'string') return new Prepared('text', encodeUtf8(data));
  return new Prepared('binary', new Uint8Array(data));
}

export function preparedOf(message: PreparedMessage): Prepared {
  if (!(message instanceof Prepared)) throw new TypeError('message must come from prepareMessage()');
  return message;
}
