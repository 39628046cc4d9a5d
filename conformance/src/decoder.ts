/**
 * The harness's own frame decoder and judge of what a subject sends (RFC 6455 sections 5, 7.4 and 8.1; RFC 7692 sections 6 and 7). It shares
 * no code with the core. Everything a subject may not send is a breach with the section it breaks.
 */
import { Buffer } from 'node:buffer';
import type { MessageKind, Role } from '@ferrywire/core';
import { type DeflateAgreement, Inflater } from './deflate.ts';
import { maskInto } from './mask.ts';
import { firstInvalidUtf8 } from './utf8.ts';

/** A rule of the protocol that the subject broke. */
export interface Breach {
  readonly section: string;
  readonly message: string;
}

export interface DecoderEvents {
  message(kind: MessageKind, data: Uint8Array): void;
  ping(data: Uint8Array): void;
  pong(data: Uint8Array): void;
  /** `code` is null for a close frame without one. */
  close(code: number | null, reason: Uint8Array): void;
  breach(breach: Breach): void;
}

/** Larger than any case, small enough to survive a subject that claims nonsense, or never ends a message. */
const largestMessage = 128 * 1024 * 1024;
/** So many fragments are joined, since each costs more than its bytes when they are few. */
const mostPieces = 4096;
/** Fragments of a message that bring nothing. */
const mostEmpty = 100_000;

/** A message under way. */
interface Open {
  readonly kind: MessageKind;
  readonly compressed: boolean;
  readonly joined: Uint8Array[];
  pieces: Uint8Array[];
  size: number;
  empty: number;
}

interface Header {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  readonly masked: boolean;
  readonly key: number;
  readonly length: number;
  readonly lengthSize: number;
  readonly size: number;
}

/** The header at the start of `bytes`, or null while some of it is missing. */
export function readHeader(bytes: Uint8Array): Header | null {
  const [first, second] = bytes;
  if (first === undefined || second === undefined) return null;
  const short = second & 0x7f;
  const lengthSize = short === 127 ? 8 : short === 126 ? 2 : 0;
  const masked = second >= 0x80;
  const size = 2 + lengthSize + (masked ? 4 : 0);
  if (bytes.length < size) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, size);
  const length = lengthSize === 0 ? short : lengthSize === 2 ? view.getUint16(2) : Number(view.getBigUint64(2));
  const key = masked ? view.getUint32(2 + lengthSize) : 0;
  return { fin: first >= 0x80, rsv: (first >> 4) & 7, opcode: first & 15, masked, key, length, lengthSize, size };
}

export class Decoder {
  readonly #from: Role;
  readonly #events: DecoderEvents;
  readonly #inflater: Inflater | null;
  #head: Uint8Array = new Uint8Array(0);
  #header: Header | null = null;
  #pieces: Uint8Array[] = [];
  #missing = 0;
  #message: Open | null = null;
  #closed = false;
  #broken = false;
  readonly #freshMasks: boolean;
  /** Of the last frame. */
  #key: number | null = null;

  /**
   * @param from the role of the one whose bytes these are
   * @param freshMasks two frames in a row with the same mask are a breach: once in four thousand million times by chance
   */
  constructor(from: Role, deflate: DeflateAgreement | null, events: DecoderEvents, freshMasks = false) {
    this.#from = from;
    this.#freshMasks = freshMasks;
    this.#events = events;
    this.#inflater = deflate === null ? null : new Inflater(from === 'client' ? deflate.client : deflate.server);
  }

  /** The bytes are kept until their frame is complete: they must not change. */
  push(bytes: Uint8Array): void {
    let rest = bytes;
    while (!this.#broken) {
      if (this.#header === null) {
        if (rest.length === 0) return;
        const input = this.#head.length === 0 ? rest : Buffer.concat([this.#head, rest]);
        const header = readHeader(input);
        if (header === null) {
          this.#head = input.slice();
          return;
        }
        this.#head = new Uint8Array(0);
        rest = input.subarray(header.size);
        const breach = this.#judge(header);
        if (breach !== null) {
          this.#fail(...breach);
          return;
        }
        this.#header = header;
        this.#missing = header.length;
        this.#pieces = [];
      }
      const piece = rest.subarray(0, this.#missing);
      if (piece.length > 0) this.#pieces.push(piece);
      this.#missing -= piece.length;
      rest = rest.subarray(piece.length);
      if (this.#missing > 0) return;
      const header = this.#header;
      this.#header = null;
      this.#finish(header, this.#payload(header));
    }
  }

  /** What is left half-way when the transport ends, or null. */
  unfinished(): string | null {
    if (this.#header !== null || this.#head.length > 0) return 'a frame';
    return this.#message === null ? null : 'a message';
  }

  #judge(header: Header): [section: string, message: string] | null {
    const { opcode, fin, rsv, masked, length, lengthSize } = header;
    if (masked && this.#from === 'server') return ['RFC 6455 5.1', 'a server masked a frame'];
    if (!masked && this.#from === 'client') return ['RFC 6455 5.1', 'a client sent a frame without a mask'];
    if (this.#freshMasks && masked && header.key === this.#key) return ['RFC 6455 5.3', 'two frames in a row with the same mask'];
    this.#key = header.key;
    if ((opcode > 2 && opcode < 8) || opcode > 10) return ['RFC 6455 5.2', `reserved opcode ${opcode}`];
    if (rsv !== 0 && !(rsv === 4 && this.#inflater !== null && (opcode === 1 || opcode === 2)))
      return ['RFC 6455 5.2', `reserved bits ${rsv}`];
    const needed = length < 126 ? 0 : length < 65_536 ? 2 : 8;
    if (lengthSize !== needed) return ['RFC 6455 5.2', `length ${length} written in ${lengthSize} extra bytes`];
    if (length > largestMessage) return ['RFC 6455 5.2', `frame of ${length} bytes`];
    if (opcode >= 8 && !fin) return ['RFC 6455 5.5', 'fragmented control frame'];
    if (opcode >= 8 && length > 125) return ['RFC 6455 5.5', `control frame of ${length} bytes`];
    if (this.#closed) return ['RFC 6455 5.5.1', 'a frame after the close frame'];
    if (opcode === 0 && this.#message === null) return ['RFC 6455 5.4', 'continuation without a message'];
    if ((opcode === 1 || opcode === 2) && this.#message !== null) return ['RFC 6455 5.4', 'new message inside an open one'];
    return null;
  }

  #payload(header: Header): Uint8Array {
    const pieces = this.#pieces;
    this.#pieces = [];
    const joined = pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces);
    if (!header.masked || joined.length === 0) return joined;
    const plain = new Uint8Array(joined.length);
    maskInto(joined, plain, 0, header.key);
    return plain;
  }

  #finish(header: Header, payload: Uint8Array): void {
    if (header.opcode === 8) this.#close(payload);
    else if (header.opcode === 9) this.#events.ping(payload);
    else if (header.opcode === 10) this.#events.pong(payload);
    else this.#fragment(header, payload);
  }

  #fragment(header: Header, payload: Uint8Array): void {
    const message = this.#message ?? {
      kind: header.opcode === 1 ? 'text' : 'binary',
      compressed: header.rsv === 4,
      joined: [],
      pieces: [],
      size: 0,
      empty: 0,
    };
    this.#message = header.fin ? null : message;
    message.size += payload.length;
    if (payload.length > 0) message.pieces.push(payload);
    else message.empty += 1;
    if (message.size > largestMessage || message.empty > mostEmpty) {
      const what = message.empty > mostEmpty ? `${mostEmpty} empty fragments` : `${largestMessage} bytes`;
      this.#fail('RFC 6455 10.4', `message of more than ${what}`);
      return;
    }
    if (message.pieces.length >= mostPieces) {
      message.joined.push(Buffer.concat(message.pieces));
      message.pieces = [];
    }
    if (!header.fin) return;
    const whole = message.size === payload.length ? payload : Buffer.concat([...message.joined, ...message.pieces]);
    const data = message.compressed && this.#inflater !== null ? this.#inflater.message(whole, largestMessage) : whole;
    const bad = data !== null && message.kind === 'text' ? firstInvalidUtf8(data) : -1;
    if (data === null) this.#fail('RFC 7692 7.2.2', 'compressed data that does not inflate under the agreed parameters');
    else if (bad !== -1) this.#fail('RFC 6455 8.1', `text that is not UTF-8 at byte ${bad}`);
    else this.#events.message(message.kind, data);
  }

  #close(payload: Uint8Array): void {
    this.#closed = true;
    const reason = payload.subarray(2);
    const code = payload.length < 2 ? null : ((payload[0] as number) << 8) | (payload[1] as number);
    if (payload.length === 1) this.#fail('RFC 6455 5.5.1', 'close frame with a payload of one byte');
    else if (firstInvalidUtf8(reason) !== -1) this.#fail('RFC 6455 5.5.1', 'close reason that is not UTF-8');
    else this.#events.close(code, reason);
  }

  #fail(section: string, message: string): void {
    this.#broken = true;
    this.#events.breach({ section, message });
  }
}
