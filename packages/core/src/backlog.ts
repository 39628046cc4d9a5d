/**
 * Messages on their way through the extensions' transforms into frames (RFC 6455 section 9, RFC 7692 section 6.1).
 *
 * A message that is transformed becomes one frame. Transforms work in steps: what a step budget or an asynchronous codec leaves undone waits
 * here with everything queued behind it, the close frame too.
 */
import type { MessageMemory } from './assembly.ts';
import { Assembly } from './assembly.ts';
import type { MessageKind, WorkHost } from './common.ts';
import type { TransformOutput } from './extension.ts';
import { serializeFrame } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import { REFERENCE_FROM } from './frame-writer.ts';
import { lend, settle } from './loans.ts';
import { giveScratch, SCRATCH_SIZE, takeScratch, zeroed } from './memory.ts';
import type { OutboundPipeline } from './pipeline.ts';
import { Piece } from './pipeline.ts';
import { textEncoder } from './platform.ts';
import type { Prepared } from './prepared.ts';
import { encodeUtf8 } from './utf8.ts';

const FIN = 0x80;
const CLOSE = 0x88;
/** Bytes in and out of transforms per turn, unless its time is up before; then other connections get their turn. */
const TURN = 1 << 18;
const ROOM = 65536;
const MOST_IDLE_STEPS = 64;
/** The least that a transformed message counts for, in bytes: a short one costs about as much. */
const LEAST_COST = 256;
/** In a longer queue `Array.prototype.shift` may move all jobs that are left, each time. */
const FEW_JOBS = 256;
/** Length of a payload that fits scratch for certain: text takes up to three bytes for each UTF-16 unit. */
const MOST_AT_ONCE = Math.floor(SCRATCH_SIZE / 3);

/** What the queue needs of the sender. */
export interface BacklogHost {
  /** The close frame's turn has come. */
  closeNow(payload: Uint8Array): void;
  /** Payload that waits by reference has gone with its buffer, or changed its length with it. */
  lost(): void;
}

/** A frame to be made: a close frame, or a data frame through the transforms. */
interface Job {
  readonly first: number;
  readonly payload: Uint8Array;
  /** Of the payload, in bytes: what waits by reference may lose its buffer, or be resized with it. */
  readonly size: number;
  readonly kind: MessageKind;
  readonly compress: boolean | undefined;
  /** May `payload` be masked in place? */
  readonly own: boolean;
  /** Is it memory of ours, which nobody writes to? */
  readonly ours: boolean;
  /** Does `payload` wait by reference, so that its memory must not come back before the job is done? */
  readonly lent: boolean;
  readonly prepared: Prepared | null;
}

interface SendWish {
  readonly compress: boolean | undefined;
  readonly transfer: boolean;
}

/** A job that can wait. What is large waits by reference, like any large payload; what is small is copied, like any small one. */
function waiting(job: Job): Job {
  if (job.ours) return job;
  if (job.size < (job.own ? REFERENCE_FROM : ROOM)) return { ...job, payload: new Uint8Array(job.payload), own: true, ours: true };
  lend(job.payload);
  return { ...job, lent: true };
}

/** `scratch` itself where the writer copies it. */
function lasting(scratch: Uint8Array): Uint8Array {
  return scratch.length < REFERENCE_FROM ? scratch : new Uint8Array(scratch);
}

const fresh: MessageMemory = { memory: zeroed };

class Gather implements TransformOutput {
  readonly assembly: Assembly = new Assembly(fresh);
  room = ROOM;

  write(bytes: Uint8Array, start: number, end: number): void {
    if (end - start > this.room) throw new RangeError('out.write: a transform wrote more than out.room');
    this.room -= end - start;
    this.assembly.append(bytes, start, end);
  }
}

export class Backlog {
  /** Is work left for the next turn? */
  waits = false;
  /** Of payload that waits. */
  bytes = 0;
  /** Grows with each byte that a transform takes or gives, and with each job that is done. */
  moved = 0;
  readonly #writer: FrameWriter;
  readonly #pipeline: OutboundPipeline;
  readonly #host: BacklogHost;
  #jobs: (Job | null)[] | null = null;
  /** So many of them are done, which are null. */
  #jobsDone = 0;
  /** Of the first job: what came out so far, and how much of its payload went in. Null: not begun. */
  #gather: Gather | null = null;
  #consumed = 0;
  /** RSV bits of the message being sent; 0: no transform has it. */
  #rsv = 0;
  #budget = TURN;
  #working = false;
  #woken = false;

  constructor(writer: FrameWriter, pipeline: OutboundPipeline, host: BacklogHost) {
    this.#writer = writer;
    this.#pipeline = pipeline;
    this.#host = host;
  }
  get empty(): boolean {
    return this.#jobs === null;
  }

  /** A data frame. Returns the size of its payload in bytes. */
  data(first: number, kind: MessageKind, content: string | Uint8Array, wish: SendWish): number {
    if (this.#jobs === null && this.#budget > 0 && content.length <= MOST_AT_ONCE) return this.#atOnce(first, kind, content, wish);
    const text = typeof content === 'string';
    const payload = text ? encodeUtf8(content) : content;
    const own = text || wish.transfer;
    this.submit({ first, payload, size: payload.length, kind, compress: wish.compress, own, ours: text, lent: false, prepared: null });
    return payload.length;
  }
  /** The close frame, behind what waits. */
  close(payload: Uint8Array): void {
    const size = payload.length;
    this.submit({ first: CLOSE, payload, size, kind: 'binary', compress: undefined, own: true, ours: true, lent: false, prepared: null });
  }

  /** What is small is mostly done in one step, from scratch to scratch (bench: `deflate`, 100 B). What is not becomes a job that has begun. */
  #atOnce(first: number, kind: MessageKind, content: string | Uint8Array, wish: SendWish): number {
    const pipeline = this.#pipeline;
    const text = typeof content === 'string' ? takeScratch() : null;
    const size = text === null ? content.length : textEncoder.encodeInto(content as string, text).written;
    const input = text === null ? (content as Uint8Array) : new Uint8Array(text.buffer, 0, size);
    const fin = first >= FIN;
    const opcode = first & 15;
    if (opcode !== 0) this.#rsv = pipeline.begin(kind, fin ? size : null, wish.compress);
    if (this.#rsv === 0) {
      if (text === null) this.#writer.bytes(first, input, wish.transfer);
      else this.#writer.bytes(first, lasting(input), true);
    } else
      this.#oneStep(
        { first, payload: input, size, kind, compress: wish.compress, own: true, ours: false, lent: false, prepared: null },
        fin,
      );
    if (text !== null) giveScratch(text);
    return size;
  }
  #oneStep(job: Job, fin: boolean): void {
    const pipeline = this.#pipeline;
    const { first, payload } = job;
    const size = payload.length;
    const scratch = takeScratch();
    const out = new Piece(scratch, SCRATCH_SIZE);
    if (this.#budget === TURN) pipeline.time.start(true);
    this.#working = true;
    this.#woken = false;
    try {
      const { consumed, status } = pipeline.push(payload, 0, size, fin, out);
      this.#budget = pipeline.time.isUp(Math.max(consumed, LEAST_COST)) ? 0 : this.#budget - consumed - out.used;
      if (status === 'need' && consumed === size) {
        this.#writer.bytes(first | ((first & 15) === 0 ? 0 : this.#rsv << 4), lasting(new Uint8Array(scratch.buffer, 0, out.used)), true);
      } else {
        this.#gather = new Gather();
        this.#gather.assembly.append(scratch, 0, out.used);
        this.#consumed = consumed;
        this.#jobs = [{ ...job, payload: new Uint8Array(payload), ours: true }];
        this.bytes += size;
      }
      giveScratch(scratch);
      if (this.#jobs === null || (status === 'pending' && !this.#woken)) return;
    } finally {
      this.#working = false;
    }
    this.#work();
  }
  /** Takes its turn behind what waits. */
  submit(job: Job): void {
    this.bytes += job.size;
    if (this.#jobs !== null) {
      this.#jobs.push(waiting(job));
      return;
    }
    this.#jobs = [job];
    if (this.#budget === TURN) this.#pipeline.time.start(true);
    this.#work();
    // Mostly it is done by now, and needs no copy.
    if (this.#first === job) this.#replaceFirst(waiting(job));
  }
  /** A new turn. */
  refill(): void {
    this.#budget = TURN;
    this.#pipeline.time.start(false);
    this.#work();
  }
  workFor(host: WorkHost): void {
    this.#pipeline.host.worker = host;
  }
  wake(): void {
    this.#woken = true;
    this.#pipeline.time.start(false);
    this.#work();
  }
  #work(): void {
    if (this.#working) return;
    this.#working = true;
    this.waits = false;
    try {
      for (let job = this.#first; job !== null; job = this.#first) {
        this.#woken = false;
        // A transform may be ready before it has said 'pending'.
        if (!this.#done(job) && !this.#woken) break;
      }
    } finally {
      this.#working = false;
    }
  }
  /** True: the job has been done, and is no more in the queue. */
  #done(job: Job): boolean {
    let isDone = true;
    try {
      isDone = this.#run(job);
      return isDone;
    } catch (error) {
      // Not of a transform, since then nothing would wait: what comes behind the job has a turn of its own.
      this.waits = this.#jobs !== null && this.#jobs.length - this.#jobsDone > 1;
      throw error;
    } finally {
      if (isDone && this.#first === job) this.#shift(job);
    }
  }
  get #first(): Job | null {
    return this.#jobs?.[this.#jobsDone] ?? null;
  }
  #replaceFirst(job: Job): void {
    if (this.#jobs !== null) this.#jobs[this.#jobsDone] = job;
  }
  /** The first, which is done. */
  #shift(job: Job): void {
    const jobs = this.#jobs ?? [];
    this.bytes -= job.size;
    if (job.lent) settle(job.payload);
    this.moved++;
    jobs[this.#jobsDone++] = null;
    const left = jobs.length - this.#jobsDone;
    if (left > 0 && (this.#jobsDone < FEW_JOBS || this.#jobsDone < left)) return;
    this.#jobs = left === 0 ? null : jobs.slice(this.#jobsDone);
    this.#jobsDone = 0;
  }

  /** False: the job is not done. */
  #run(job: Job): boolean {
    if (job.payload.length !== job.size) {
      this.#host.lost();
      return false;
    }
    if (job.first === CLOSE) {
      this.#host.closeNow(job.payload);
      return true;
    }
    const opcode = job.first & 15;
    const pipeline = this.#pipeline;
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
    if (!this.#transform(job, fin, gather)) return false;
    this.#gather = null;
    this.#emit(job, job.first | (opcode === 0 ? 0 : this.#rsv << 4), gather.assembly.join(), true);
    return true;
  }
  #emit(job: Job, first: number, payload: Uint8Array, own: boolean): void {
    const key = job.prepared === null ? null : this.#pipeline.cacheKey;
    if (job.prepared === null || key === null) {
      this.#writer.bytes(first, payload, own);
      return;
    }
    const frame = serializeFrame({ opcode: first & 15, rsv: (first >> 4) & 7, payload });
    job.prepared.frames.set(key, frame);
    this.#writer.raw(frame, first, frame.length - payload.length);
  }
  #transform(job: Job, fin: boolean, gather: Gather): boolean {
    const pipeline = this.#pipeline;
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
      const given = gather.assembly.size - before;
      const count = consumed + given;
      this.#consumed += consumed;
      this.moved += count;
      this.#budget = pipeline.time.isUp(Math.max(consumed, LEAST_COST)) ? 0 : this.#budget - count;
      if (status === 'pending') return false;
      if (status === 'need' && last && this.#consumed === end) return true;
      idle = count > 0 ? 0 : idle + 1;
    }
    throw pipeline.broken(new Error('an extension asked for more steps without using or giving anything'));
  }

  /** Output was taken, at the end of a turn: what comes after it has a turn of its own. */
  turned(): void {
    if (this.#jobs === null) this.#budget = TURN;
  }

  /** What was not made into frames is dropped, but for a close frame. */
  drop(): void {
    const jobs = this.#jobs ?? [];
    for (const job of jobs) if (job?.lent) settle(job.payload);
    const last = jobs.at(-1) ?? null;
    this.#jobs = null;
    this.#jobsDone = 0;
    this.bytes = 0;
    this.#gather = null;
    this.waits = false;
    if (last?.first === CLOSE) this.#host.closeNow(last.payload);
  }
}

function headerSizeOf(frame: Uint8Array): number {
  const short = frame[1] as number;
  return short < 126 ? 2 : short === 126 ? 4 : 10;
}
