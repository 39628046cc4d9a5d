/**
 * What the application sends into frames (RFC 6455 sections 5.4 and 6.1), in order.
 *
 * The table in `state.ts` decides which data frame may follow which; here a refusal is misuse and throws. What extensions transform goes
 * through `backlog.ts`. Automatic pongs wait apart and go first: they may stand between any two frames (section 5.5.3) and are bounded in
 * number.
 */
import { Backlog } from './backlog.ts';
import type { MessageKind, WorkHost } from './common.ts';
import { frameHeaderSize, serializeFrame } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { MessageWriter } from './message-writer.ts';
import { Writer } from './message-writer.ts';
import { checkData, misuse } from './misuse.ts';
import type { OutboundPipeline } from './pipeline.ts';
import type { Prepared } from './prepared.ts';
import type { FragmentationState, FrameClass } from './state.ts';
import { fragmentation } from './state.ts';
import { encodeUtf8, utf8Length } from './utf8.ts';

const FIN = 0x80;
const PING = 0x89;
const PONG = 0x8a;
const CLOSE = 0x88;
/** The close frame. */
export const CLOSE_QUEUED = 1;
/** A keepalive ping. */
export const PING_QUEUED = 2;
const NOTHING: readonly Uint8Array[] = [];

export interface SenderHost {
  /** A `MessageWriter` has queued something. */
  onSent(): void;
  /** What was accepted can't be sent any more. */
  lost(): void;
}

/** A message that is sent in fragments, from its first frame or its writer on. */
interface Fragmented {
  readonly kind: MessageKind;
  readonly writer: Writer | null;
  /** The first half of a surrogate pair that ended a fragment. */
  half: string;
}

/** Automatic pongs. They become frames when output is taken, so that none waits behind data. */
interface PendingPongs {
  readonly payloads: Uint8Array[];
  /** As frames. */
  bytes: number;
}

export class Sender {
  readonly #writer: FrameWriter;
  /** Null without extensions. */
  readonly #backlog: Backlog | null;
  readonly #host: SenderHost;
  /** May frames still be sent? The connection sets it from the state table. */
  open = false;
  /** `CLOSE_QUEUED`, `PING_QUEUED`: what is in the output and not taken, whose deadline starts when it is. */
  queued = 0;
  messages = 0;
  bytes = 0;
  #state: FragmentationState = 'idle';
  #fragmented: Fragmented | null = null;
  #pongs: PendingPongs | null = null;

  constructor(writer: FrameWriter, pipeline: OutboundPipeline | null, host: SenderHost) {
    this.#writer = writer;
    this.#backlog = pipeline === null ? null : new Backlog(writer, pipeline, this);
    this.#host = host;
  }

  get bufferedAmount(): number {
    const pongs = this.#pongs === null ? 0 : this.#pongs.bytes;
    return this.#writer.size + pongs + (this.#backlog === null ? 0 : this.#backlog.bytes);
  }
  get frames(): number {
    return this.#writer.frames;
  }
  /** Does something wait for a transform? */
  get backlog(): boolean {
    return this.#backlog !== null && !this.#backlog.empty;
  }
  /** Does output consist of the application's frames alone, in memory of ours? Then taking it has no other effect. */
  get plain(): boolean {
    return this.#pongs === null && this.queued === 0 && !this.#writer.borrows && !this.backlog;
  }
  /** Is work left for the next turn? */
  get waits(): boolean {
    return this.#backlog?.waits === true;
  }
  /** A new turn of transforms. True: they have gone on. */
  refill(): boolean {
    const backlog = this.#backlog;
    // not covered: asked only while something waits for a transform.
    if (backlog === null) return false;
    const { moved } = backlog;
    backlog.refill();
    return backlog.moved !== moved;
  }
  workFor(host: WorkHost): void {
    this.#backlog?.workFor(host);
  }
  /** As `refill`, since one of them may be ready. */
  wake(): boolean {
    const backlog = this.#backlog;
    if (backlog === null) return false;
    const { moved } = backlog;
    backlog.wake();
    return backlog.moved !== moved;
  }

  /* Data. */

  /** A whole message, or with `fin` false the first frame of one. */
  message(kind: MessageKind, data: string | Uint8Array, fin: boolean, compress: boolean | undefined, transfer: boolean): void {
    const opcode = kind === 'text' ? 1 : 2;
    // Most messages are whole and come between two others, so the state stays what it is (bench: `echo --runtime bun`, 16 B).
    const isUsual = fin && this.#state === 'idle' && fragmentation.idle.whole === 'idle' && this.#fragmented === null;
    if (isUsual && this.#backlog === null) {
      this.messages++;
      this.asItIs(FIN | opcode, data, transfer);
      return;
    }
    this.checkNoWriter();
    this.enter(fin ? 'whole' : 'first');
    if (!fin) this.#fragmented = { kind, writer: null, half: '' };
    this.frame(opcode, kind, data, fin, compress, transfer);
  }
  continuation(data: string | Uint8Array, fin: boolean): void {
    this.checkNoWriter();
    const kind = this.#fragmented?.kind ?? 'text';
    this.checkKind(kind, data);
    this.enter(fin ? 'last' : 'middle');
    this.frame(0, kind, data, fin, undefined, false);
  }
  prepared(message: Prepared): void {
    this.checkNoWriter();
    this.enter('whole');
    this.messages++;
    this.bytes += message.size;
    const first = FIN | (message.kind === 'text' ? 1 : 2);
    const backlog = this.#backlog;
    if (backlog === null) {
      if (this.#writer.masked) this.#writer.bytes(first, message.payload, false);
      else this.cached(message, '', first);
      return;
    }
    backlog.submit({
      first,
      payload: message.payload,
      size: message.size,
      kind: message.kind,
      compress: undefined,
      own: false,
      ours: true,
      lent: false,
      prepared: this.#writer.masked ? null : message,
    });
  }
  start(kind: MessageKind, compress: boolean | undefined, transfer: boolean): MessageWriter {
    if (this.open) {
      this.checkNoWriter();
      this.refuse(fragmentation[this.#state].first);
    }
    const writer = new Writer(this, kind, compress, transfer);
    this.#fragmented = { kind, writer, half: '' };
    return writer;
  }
  /** For `Writer` only. */
  fragment(writer: Writer, data: string | Uint8Array, fin: boolean): boolean {
    this.checkKind(writer.kind, data);
    if (!this.open || this.#fragmented?.writer !== writer) return false;
    const first = !writer.begun;
    this.enter(first ? (fin ? 'whole' : 'first') : fin ? 'last' : 'middle');
    writer.begun = true;
    this.frame(first ? (writer.kind === 'text' ? 1 : 2) : 0, writer.kind, data, fin, writer.compress, writer.transfer);
    this.#host.onSent();
    return true;
  }

  private checkNoWriter(): void {
    if (this.#fragmented !== null && this.#fragmented.writer !== null)
      throw misuse('WS_MISUSE_MESSAGE_OPEN', 'a MessageWriter is open: end it before another message is sent');
  }
  private checkKind(kind: MessageKind, data: string | Uint8Array): void {
    checkData(data, 'data');
    if (kind === 'binary' && typeof data === 'string') throw new TypeError('data must be a Uint8Array: the message is binary');
  }
  private enter(frame: FrameClass): void {
    this.#state = this.refuse(fragmentation[this.#state][frame]);
  }
  private refuse(verdict: (typeof fragmentation)['idle']['whole']): FragmentationState {
    if (verdict === 'idle' || verdict === 'message') return verdict;
    if (verdict === 'WS_EXPECTED_CONTINUATION') {
      throw misuse('WS_MISUSE_MESSAGE_OPEN', 'a fragmented message is open: end it with sendContinuation(data, true) before another one');
    }
    throw misuse('WS_MISUSE_NO_MESSAGE', 'sendContinuation() needs a message that was begun with { fin: false }');
  }

  private frame(
    opcode: number,
    kind: MessageKind,
    data: string | Uint8Array,
    fin: boolean,
    compress: boolean | undefined,
    transfer: boolean,
  ): void {
    if (fin) this.messages++;
    const message = this.#fragmented;
    // Before the frame is traced: the trace may call back and send.
    if (fin) this.#fragmented = null;
    const content = kind === 'text' && message !== null ? join(message, data, fin) : data;
    const first = (fin ? FIN : 0) | opcode;
    if (this.#backlog === null) this.asItIs(first, content, transfer);
    else this.bytes += this.#backlog.data(first, kind, content, { compress, transfer: transfer || content !== data });
  }
  /** A data frame that no extension gets to see. */
  private asItIs(first: number, content: string | Uint8Array, transfer: boolean): void {
    if (typeof content === 'string') this.bytes += this.#writer.text(first, content);
    else {
      this.bytes += content.length;
      this.#writer.bytes(first, content, transfer);
    }
  }

  private cached(message: Prepared, key: string, first: number): void {
    let frame = message.frames.get(key);
    if (frame === undefined) {
      frame = serializeFrame({ opcode: first & 15, payload: message.payload });
      message.frames.set(key, frame);
    }
    this.#writer.raw(frame, first, frameHeaderSize(message.size, false));
  }

  /* Control frames. */

  ping(payload: Uint8Array): void {
    this.#writer.bytes(PING, payload, false);
  }
  pong(payload: Uint8Array): void {
    this.#writer.bytes(PONG, payload, false);
  }
  /** An automatic pong. Beyond the limit the newest takes the place of the last (RFC 6455 section 5.5.3 lets us answer only that). */
  autoPong(payload: Uint8Array, limit: number): void {
    this.#pongs ??= { payloads: [], bytes: 0 };
    const pongs = this.#pongs;
    if (pongs.payloads.length >= limit) pongs.bytes -= this.pongSize(pongs.payloads.pop() as Uint8Array);
    // A copy: the application may change what it was shown.
    pongs.payloads.push(new Uint8Array(payload));
    pongs.bytes += this.pongSize(payload);
  }
  private pongSize(payload: Uint8Array): number {
    return frameHeaderSize(payload.length, this.#writer.masked) + payload.length;
  }
  close(payload: Uint8Array): void {
    if (this.#backlog !== null && !this.#backlog.empty) this.#backlog.close(payload);
    else this.closeNow(payload);
  }
  /** For `Backlog`: the close frame's turn has come. */
  closeNow(payload: Uint8Array): void {
    this.#writer.bytes(CLOSE, payload, true);
    this.queued |= CLOSE_QUEUED;
  }

  /** For `Backlog`. */
  lost(): void {
    this.#host.lost();
  }

  /** Messages that were not made into frames are dropped: after a failure only the close frame goes out, if one stood behind them. */
  dropBacklog(): void {
    this.#backlog?.drop();
  }
  /** Nothing goes out any more. */
  drop(): void {
    this.dropBacklog();
    this.#pongs = null;
    this.#writer.clear();
  }

  /** Null: a queued payload of the application was transferred or resized. */
  take(): Uint8Array[] | null {
    this.#backlog?.turned();
    const writer = this.#writer;
    const pongs = this.#pongs;
    if (pongs === null) return writer.take();
    const chunks = writer.size === 0 ? NOTHING : writer.take();
    if (chunks === null) return null;
    this.#pongs = null;
    for (const payload of pongs.payloads) writer.bytes(PONG, payload, true);
    // not covered: pongs are in memory of ours, so there is always something to take.
    return (writer.take() ?? NOTHING).concat(chunks);
  }
}

/** Text of a fragment, behind the half surrogate pair that the one before left; a half at its own end is held back. */
function join(message: Fragmented, data: string | Uint8Array, fin: boolean): string | Uint8Array {
  const { half } = message;
  message.half = '';
  if (typeof data !== 'string') {
    if (half === '') return data;
    const joined = new Uint8Array(utf8Length(half) + data.length);
    joined.set(encodeUtf8(half));
    joined.set(data, joined.length - data.length);
    return joined;
  }
  const text = half + data;
  const last = text.charCodeAt(text.length - 1);
  if (fin || (last & 0xfc00) !== 0xd800) return text;
  message.half = text.slice(-1);
  return text.slice(0, -1);
}
