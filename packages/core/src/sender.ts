/**
 * What the application sends into frames (RFC 6455 sections 5.4 and 6.1), in order.
 *
 * The table in `state.ts` decides which data frame may follow which; here a refusal is misuse and throws. Messages that an extension
 * transforms become one frame each. Transforms work in steps: what a step budget or an asynchronous codec leaves undone waits in a backlog
 * with everything queued behind it, the close frame too. Automatic pongs wait apart and go first: they may stand between any two frames
 * (section 5.5.3) and are bounded in number.
 */
import { Assembly } from './assembly.ts';
import type { MessageKind } from './common.ts';
import type { TransformOutput } from './extension.ts';
import { frameHeaderSize, serializeFrame } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import { REFERENCE_FROM } from './frame-writer.ts';
import { giveScratch, SCRATCH_SIZE, takeScratch, zeroed } from './memory.ts';
import type { MessageWriter } from './message-writer.ts';
import { Writer } from './message-writer.ts';
import { checkData, misuse } from './misuse.ts';
import type { OutboundPipeline } from './pipeline.ts';
import { Piece } from './pipeline.ts';
import { textEncoder } from './platform.ts';
import type { Prepared } from './prepared.ts';
import type { FragmentationState, FrameClass } from './state.ts';
import { fragmentation } from './state.ts';
import { encodeUtf8, utf8Length } from './utf8.ts';

const FIN = 0x80;
const PING = 0x89;
const PONG = 0x8a;
const CLOSE = 0x88;
/** Bytes in and out of transforms per turn, unless its time is up before; then other connections get theirs. */
const TURN = 1 << 18;
const ROOM = 65536;
const MOST_IDLE_STEPS = 64;
/** Units of text or bytes: as UTF-8 they fit scratch. */
const MOST_AT_ONCE = Math.floor(SCRATCH_SIZE / 3);

export interface SenderHost {
  /** A `MessageWriter` has queued something. */
  onSent(): void;
}

/** A frame to be made: a close frame, or a data frame through the transforms. */
interface Job {
  readonly first: number;
  readonly payload: Uint8Array;
  readonly kind: MessageKind;
  readonly compress: boolean | undefined;
  /** May `payload` be masked in place? */
  readonly own: boolean;
  readonly prepared: Prepared | null;
}

interface SendWish {
  readonly compress: boolean | undefined;
  readonly transfer: boolean;
}

/** `scratch` itself where the writer copies it. */
function lasting(scratch: Uint8Array): Uint8Array {
  return scratch.length < REFERENCE_FROM ? scratch : new Uint8Array(scratch);
}

class Gather implements TransformOutput {
  readonly assembly: Assembly = new Assembly(zeroed);
  room = ROOM;

  write(bytes: Uint8Array, start: number, end: number): void {
    if (end - start > this.room) throw new RangeError('out.write: a transform wrote more than out.room');
    this.room -= end - start;
    this.assembly.append(bytes, start, end);
  }
}

export class Sender {
  readonly #writer: FrameWriter;
  readonly #pipeline: OutboundPipeline | null;
  readonly #maxPongs: number;
  readonly #host: SenderHost;
  /** May frames still be sent? The connection sets it from the state table. */
  open = true;
  /** Work is left for the next turn, or until `wake`. */
  waits = false;
  /** Is the close frame, or a keepalive ping, in the output and not taken? */
  closeQueued = false;
  pingQueued = false;
  messages = 0;
  bytes = 0;
  #state: FragmentationState = 'idle';
  /** Of the open fragmented message. */
  #kind: MessageKind = 'text';
  #current: Writer | null = null;
  /** The first half of a surrogate pair that ended a fragment. */
  #half = '';
  #pongs: Uint8Array[] | null = null;
  #pongBytes = 0;
  #jobs: Job[] | null = null;
  #jobBytes = 0;
  /** Of the first job: what came out so far, and how much of its payload went in. Null: not begun. */
  #gather: Gather | null = null;
  #consumed = 0;
  /** RSV bits of the message being sent; 0: no transform has it. */
  #rsv = 0;
  #budget = TURN;
  #working = false;
  #woken = false;

  constructor(writer: FrameWriter, pipeline: OutboundPipeline | null, maxPongs: number, host: SenderHost) {
    this.#writer = writer;
    this.#pipeline = pipeline;
    this.#maxPongs = maxPongs;
    this.#host = host;
  }

  get bufferedAmount(): number {
    return this.#writer.queue.size + this.#pongBytes + this.#jobBytes;
  }
  get backlog(): boolean {
    return this.#jobs !== null;
  }

  /* Data. */

  /** A whole message, or with `fin` false the first frame of one. */
  message(kind: MessageKind, data: string | Uint8Array, fin: boolean, compress: boolean | undefined, transfer: boolean): void {
    this.#checkNoWriter();
    this.#enter(fin ? 'whole' : 'first');
    this.#kind = kind;
    this.#frame(kind === 'text' ? 1 : 2, kind, data, fin, compress, transfer);
  }
  continuation(data: string | Uint8Array, fin: boolean): void {
    this.#checkNoWriter();
    this.#checkKind(this.#state === 'idle' ? 'text' : this.#kind, data);
    this.#enter(fin ? 'last' : 'middle');
    this.#frame(0, this.#kind, data, fin, undefined, false);
  }
  prepared(message: Prepared): void {
    this.#checkNoWriter();
    this.#enter('whole');
    this.messages++;
    this.bytes += message.size;
    const first = FIN | (message.kind === 'text' ? 1 : 2);
    if (this.#pipeline === null) {
      if (this.#writer.masked) this.#writer.bytes(first, message.payload, false);
      else this.#cached(message, '', first);
      return;
    }
    this.#submit({
      first,
      payload: message.payload,
      kind: message.kind,
      compress: undefined,
      own: false,
      prepared: this.#writer.masked ? null : message,
    });
  }
  start(kind: MessageKind, compress: boolean | undefined, transfer: boolean): MessageWriter {
    if (this.open) {
      this.#checkNoWriter();
      this.#refuse(fragmentation[this.#state].first);
    }
    const writer = new Writer(this, kind, compress, transfer);
    if (this.open) this.#current = writer;
    return writer;
  }
  /** For `Writer` only. */
  fragment(writer: Writer, data: string | Uint8Array, fin: boolean): boolean {
    this.#checkKind(writer.kind, data);
    if (!this.open || this.#current !== writer) return false;
    const first = !writer.begun;
    this.#enter(first ? (fin ? 'whole' : 'first') : fin ? 'last' : 'middle');
    writer.begun = true;
    if (fin) this.#current = null;
    this.#frame(first ? (writer.kind === 'text' ? 1 : 2) : 0, writer.kind, data, fin, writer.compress, writer.transfer);
    this.#host.onSent();
    return true;
  }

  #checkNoWriter(): void {
    if (this.#current !== null) throw misuse('WS_MISUSE_MESSAGE_OPEN', 'a MessageWriter is open: end it before another message is sent');
  }
  #checkKind(kind: MessageKind, data: string | Uint8Array): void {
    checkData(data, 'data');
    if (kind === 'binary' && typeof data === 'string') throw new TypeError('data must be a Uint8Array: the message is binary');
  }
  #enter(frame: FrameClass): void {
    this.#state = this.#refuse(fragmentation[this.#state][frame]);
  }
  #refuse(verdict: (typeof fragmentation)['idle']['whole']): FragmentationState {
    if (verdict === 'idle' || verdict === 'message') return verdict;
    if (verdict === 'WS_EXPECTED_CONTINUATION') {
      throw misuse('WS_MISUSE_MESSAGE_OPEN', 'a fragmented message is open: end it with sendContinuation(data, true) before another one');
    }
    throw misuse('WS_MISUSE_NO_MESSAGE', 'sendContinuation() needs a message that was begun with { fin: false }');
  }

  #frame(
    opcode: number,
    kind: MessageKind,
    data: string | Uint8Array,
    fin: boolean,
    compress: boolean | undefined,
    transfer: boolean,
  ): void {
    if (fin) this.messages++;
    const whole = fin && opcode !== 0;
    const content = kind === 'text' && !whole ? this.#join(data, fin) : data;
    const first = (fin ? FIN : 0) | opcode;
    if (this.#pipeline === null) {
      if (typeof content === 'string') this.bytes += this.#writer.text(first, content);
      else {
        this.bytes += content.length;
        this.#writer.bytes(first, content, transfer);
      }
      return;
    }
    if (this.#jobs === null && this.#budget > 0 && content.length <= MOST_AT_ONCE) {
      this.#atOnce(this.#pipeline, first, kind, content, { compress, transfer });
      return;
    }
    const payload = typeof content === 'string' ? encodeUtf8(content) : content;
    this.bytes += payload.length;
    this.#submit({ first, payload, kind, compress, own: transfer || payload !== data, prepared: null });
  }

  /** A fragment behind the half pair that the one before left (the two halves make one code point of four bytes). */
  #join(data: string | Uint8Array, fin: boolean): string | Uint8Array {
    const half = this.#half;
    this.#half = '';
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
    this.#half = text.slice(-1);
    return text.slice(0, -1);
  }

  #cached(message: Prepared, key: string, first: number): void {
    let frame = message.frames.get(key);
    if (frame === undefined) {
      frame = serializeFrame({ opcode: first & 15, payload: message.payload });
      message.frames.set(key, frame);
    }
    this.#writer.raw(frame, first, frameHeaderSize(message.size, false));
  }

  /* Transforms. */

  /** What is small is mostly done in one step, from scratch to scratch (bench: `deflate`, 100 B). What is not becomes a job that has begun. */
  #atOnce(pipeline: OutboundPipeline, first: number, kind: MessageKind, content: string | Uint8Array, options: SendWish): void {
    const text = typeof content === 'string' ? takeScratch() : null;
    const size = text === null ? content.length : textEncoder.encodeInto(content as string, text).written;
    const input = text === null ? (content as Uint8Array) : new Uint8Array(text.buffer, 0, size);
    this.bytes += size;
    const fin = first >= FIN;
    const opcode = first & 15;
    if (opcode !== 0) this.#rsv = pipeline.begin(kind, fin ? size : null, options.compress);
    if (this.#rsv === 0) {
      if (text === null) this.#writer.bytes(first, input, options.transfer);
      else this.#writer.bytes(first, lasting(input), true);
    } else this.#oneStep(pipeline, { first, payload: input, kind, compress: options.compress, own: true, prepared: null }, fin);
    if (text !== null) giveScratch(text);
  }
  #oneStep(pipeline: OutboundPipeline, job: Job, fin: boolean): void {
    const { first, payload } = job;
    const size = payload.length;
    const scratch = takeScratch();
    const out = new Piece(scratch, SCRATCH_SIZE);
    if (this.#budget === TURN) pipeline.time.start(true);
    this.#working = true;
    this.#woken = false;
    try {
      const { consumed, status } = pipeline.push(payload, 0, size, fin, out);
      this.#budget = pipeline.time.isUp(consumed) ? 0 : this.#budget - consumed - out.used;
      if (status === 'need' && consumed === size) {
        this.#writer.bytes(first | ((first & 15) === 0 ? 0 : this.#rsv << 4), lasting(new Uint8Array(scratch.buffer, 0, out.used)), true);
      } else {
        this.#gather = new Gather();
        this.#gather.assembly.append(scratch, 0, out.used);
        this.#consumed = consumed;
        this.#jobs = [{ ...job, payload: new Uint8Array(payload) }];
        this.#jobBytes += size;
      }
      giveScratch(scratch);
      if (this.#jobs === null || (status === 'pending' && !this.#woken)) return;
    } finally {
      this.#working = false;
    }
    this.#work();
  }
  #submit(job: Job): void {
    const before = this.#jobs;
    // What is large waits by reference, like any large payload; what is small is copied, like any small one.
    const kept =
      before !== null && !job.own && job.payload.length < ROOM ? { ...job, payload: new Uint8Array(job.payload), own: true } : job;
    if (before === null) this.#jobs = [kept];
    else before.push(kept);
    this.#jobBytes += job.payload.length;
    if (before !== null) return;
    if (this.#budget === TURN) this.#pipeline?.time.start(true);
    this.#work();
  }
  /** A new turn. */
  refill(): void {
    this.#budget = TURN;
    this.#pipeline?.time.start(false);
    this.#work();
  }
  wake(): void {
    this.#woken = true;
    this.#pipeline?.time.start(false);
    if (this.#jobs !== null) this.#work();
  }
  #work(): void {
    if (this.#working) return;
    this.#working = true;
    this.waits = false;
    try {
      for (let job = this.#jobs?.[0]; job !== undefined; job = this.#jobs?.[0]) {
        this.#woken = false;
        // A transform may be ready before it has said 'pending'.
        if (!this.#run(job) && !this.#woken) break;
        if (this.#gather !== null || this.#jobs === null) continue;
        this.#jobBytes -= job.payload.length;
        if (this.#jobs.length === 1) this.#jobs = null;
        else this.#jobs.shift();
      }
    } finally {
      this.#working = false;
    }
  }

  /** False: the job is not done. */
  #run(job: Job): boolean {
    const opcode = job.first & 15;
    if (opcode === CLOSE - FIN) {
      this.#writer.bytes(job.first, job.payload, true);
      this.closeQueued = true;
      return true;
    }
    const pipeline = this.#pipeline as OutboundPipeline;
    const fin = job.first >= FIN;
    if (this.#gather === null) {
      const key = job.prepared === null ? null : pipeline.cacheKey;
      const cached = key === null ? undefined : job.prepared?.frames.get(key);
      if (cached !== undefined) {
        this.#writer.raw(cached, cached[0] as number, headerSizeOf(cached));
        return true;
      }
      if (opcode !== 0) this.#rsv = pipeline.begin(job.kind, fin ? job.payload.length : null, job.compress);
      if (this.#rsv !== 0) this.#gather = new Gather();
      this.#consumed = 0;
    }
    const gather = this.#gather;
    if (gather === null) {
      this.#emit(job, job.first, job.payload, job.own);
      return true;
    }
    if (!this.#transform(pipeline, job, fin, gather)) return false;
    this.#gather = null;
    this.#emit(job, job.first | (opcode === 0 ? 0 : this.#rsv << 4), gather.assembly.join(), true);
    return true;
  }
  #emit(job: Job, first: number, payload: Uint8Array, own: boolean): void {
    const key = job.prepared === null ? null : (this.#pipeline as OutboundPipeline).cacheKey;
    if (job.prepared === null || key === null) {
      this.#writer.bytes(first, payload, own);
      return;
    }
    const frame = serializeFrame({ opcode: first & 15, rsv: (first >> 4) & 7, payload });
    job.prepared.frames.set(key, frame);
    this.#writer.raw(frame, first, frame.length - payload.length);
  }
  #transform(pipeline: OutboundPipeline, job: Job, fin: boolean, gather: Gather): boolean {
    for (let idle = 0; idle <= MOST_IDLE_STEPS; ) {
      if (this.#budget <= 0) {
        this.waits = true;
        return false;
      }
      const before = gather.assembly.size;
      gather.room = ROOM;
      const end = Math.min(job.payload.length, this.#consumed + ROOM);
      const last = end === job.payload.length;
      const { consumed, status } = pipeline.push(job.payload, this.#consumed, end, fin && last, gather);
      const count = consumed + gather.assembly.size - before;
      this.#consumed += consumed;
      this.#budget = pipeline.time.isUp(consumed) ? 0 : this.#budget - count;
      if (status === 'pending') return false;
      if (status === 'need' && last && this.#consumed === end) return true;
      idle = count > 0 ? 0 : idle + 1;
    }
    throw new Error('an extension asked for more steps without using or giving anything');
  }

  /* Control frames. */

  ping(payload: Uint8Array): void {
    this.#writer.bytes(PING, payload, false);
  }
  pong(payload: Uint8Array): void {
    this.#writer.bytes(PONG, payload, false);
  }
  /** An automatic pong. Beyond the limit the newest takes the place of the last (RFC 6455 section 5.5.3 lets us answer only that). */
  autoPong(payload: Uint8Array): void {
    this.#pongs ??= [];
    const pongs = this.#pongs;
    if (pongs.length >= this.#maxPongs) this.#pongBytes -= this.#pongSize(pongs.pop() as Uint8Array);
    // A copy: the application may change what it was shown.
    pongs.push(new Uint8Array(payload));
    this.#pongBytes += this.#pongSize(payload);
  }
  #pongSize(payload: Uint8Array): number {
    return frameHeaderSize(payload.length, this.#writer.masked) + payload.length;
  }
  close(payload: Uint8Array): void {
    this.#current = null;
    this.#half = '';
    if (this.#jobs !== null) {
      this.#submit({ first: CLOSE, payload, kind: 'binary', compress: undefined, own: true, prepared: null });
      return;
    }
    this.#writer.bytes(CLOSE, payload, true);
    this.closeQueued = true;
  }

  /** Messages that were not made into frames are dropped: after a failure only the close frame goes out, if one stood behind them. */
  dropBacklog(): void {
    const last = this.#jobs?.at(-1);
    this.#jobs = null;
    this.#jobBytes = 0;
    this.#gather = null;
    this.waits = false;
    if (last === undefined || last.first !== CLOSE) return;
    this.#writer.bytes(CLOSE, last.payload, true);
    this.closeQueued = true;
  }
  /** Nothing goes out any more. */
  drop(): void {
    this.dropBacklog();
    this.#current = null;
    this.#pongs = null;
    this.#pongBytes = 0;
    this.#writer.queue.clear();
    this.closeQueued = false;
    this.pingQueued = false;
  }

  take(): Uint8Array[] {
    // Output is taken at the end of a turn: what comes after it has a turn of its own.
    if (this.#jobs === null) this.#budget = TURN;
    const queue = this.#writer.queue;
    const pongs = this.#pongs;
    if (pongs === null) return queue.take();
    this.#pongs = null;
    this.#pongBytes = 0;
    const chunks = queue.size === 0 ? null : queue.take();
    for (const payload of pongs) this.#writer.bytes(PONG, payload, true);
    return chunks === null ? queue.take() : queue.take().concat(chunks);
  }
}

function headerSizeOf(frame: Uint8Array): number {
  const short = frame[1] as number;
  return short < 126 ? 2 : short === 126 ? 4 : 10;
}
