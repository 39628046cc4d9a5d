/**
 * Runs a frame case against a `Connection` in virtual time and judges what it did.
 *
 * The endpoint's output is read with `FrameParser`, the peer's bytes are written by `PartWriter`: neither uses the code under test.
 */
import { Connection, type ConnectionEvent, type ConnectionOptions, type EndInfo, type Extension } from '@ferrywire/core';
import { FrameParser, type ParsedFrame } from '@ferrywire/core/frame';
import {
  describeBinary,
  describeExpected,
  describeText,
  type FrameCase,
  type Outcome,
  PartWriter,
  peerFrame,
  type Step,
} from './frame-case-data.ts';

/** How the endpoint under test is used. */
export interface Use {
  readonly mode: 'pull' | 'push';
  readonly delivery: 'message' | 'chunk' | 'span';
  readonly input: 'shared' | 'reused' | 'transferred';
  /** Bytes per `receiveData`; null: as the case writes them. */
  readonly chop: number | null;
}

/** What was seen, with nothing judged yet. */
interface Observation {
  readonly frames: readonly ParsedFrame[];
  readonly messages: readonly string[];
  readonly ends: readonly EndInfo[];
  /** After the steps, before the peer ended its side. */
  readonly directive: string;
  readonly finally: string;
  /** The step after which a failure was visible, or null. */
  readonly failedBy: number | null;
  readonly probeAnswered: boolean;
  readonly framesAfterEnd: number;
  readonly complaints: readonly string[];
}

const PROBE = 'probe';
/** A step that would go on for longer than this many deadlines is a defect of the endpoint. */
const MAX_DEADLINES = 10_000;

class Endpoint {
  readonly connection: Connection;
  readonly frames: ParsedFrame[] = [];
  readonly messages: string[] = [];
  readonly ends: EndInfo[] = [];
  readonly complaints: string[] = [];
  reading = true;
  readonly #use: Use;
  readonly #parser = new FrameParser();
  readonly #scratch = new Uint8Array(1024);
  readonly #reused = new Uint8Array(65_536);
  #now = 1000;
  #pieces: Uint8Array[] = [];

  constructor(testCase: FrameCase, extensions: readonly Extension[], use: Use) {
    this.#use = use;
    let seed = 1;
    const options: ConnectionOptions = {
      role: testCase.role,
      extensions,
      clock: () => this.#now,
      random: (target) => {
        for (let index = 0; index < target.length; index++) {
          seed = (seed * 48_271) % 0x7fffffff;
          target[index] = seed;
        }
      },
      limits: { maxMessageSize: testCase.limit ?? Number.POSITIVE_INFINITY },
      delivery: use.delivery,
      input: use.input,
    };
    this.connection = new Connection(use.mode === 'pull' ? options : { ...options, sink: this.#sink() });
  }

  get over(): boolean {
    return this.connection.transport === 'abort' || this.connection.transport === 'done';
  }

  receive(bytes: Uint8Array, chop: number | null): void {
    const step = chop ?? Math.max(1, bytes.length);
    for (let at = 0; at < bytes.length && !this.over; at += step) {
      const end = Math.min(bytes.length, at + step);
      if (this.#use.input === 'reused' && end - at <= this.#reused.length) {
        this.#reused.set(bytes.subarray(at, end));
        this.connection.receiveData(this.#reused.subarray(0, end - at));
        this.#reused.fill(0xee, 0, end - at);
      } else {
        // Memory of its own, so that writing where nothing may be written shows.
        const chunk = Uint8Array.from(bytes.subarray(at, end));
        this.connection.receiveData(chunk);
        if (this.#use.input === 'shared' && Buffer.compare(chunk, bytes.subarray(at, end)) !== 0)
          this.complaints.push('wrote to a shared chunk');
      }
      this.pump();
    }
  }

  advance(ms: number): void {
    const until = this.#now + ms;
    for (let fired = 0; ; fired++) {
      const due = this.connection.nextTimeout();
      if (due === null || due > until || this.over) break;
      if (fired > MAX_DEADLINES) throw new Error('deadlines without end');
      this.#now = Math.max(this.#now, due);
      this.connection.handleTimeout();
      this.pump();
    }
    this.#now = until;
  }

  pump(): void {
    if (this.#use.mode === 'pull') this.#pull();
    if (!this.reading) return;
    for (const chunk of this.connection.takeOutput()) {
      for (const frame of this.#parser.push(chunk)) {
        if (frame.header.masked !== (this.connection.role === 'client')) this.complaints.push('a frame with the wrong kind of mask');
        this.frames.push(frame);
      }
      this.connection.recycleOutput(chunk);
    }
    if (this.#use.mode === 'pull') this.#pull();
  }

  /** At the end of everything. */
  finish(): void {
    if (this.#parser.incomplete) this.complaints.push('half a frame was written');
    if (this.#parser.violation !== null) this.complaints.push('an impossible frame was written');
  }

  #pull(): void {
    for (;;) {
      if (this.#use.delivery !== 'span') {
        const event = this.connection.nextEvent();
        if (event === null) return;
        this.#take(event);
        continue;
      }
      const got = this.connection.readInto(this.#scratch);
      if (got === null) return;
      if (got.type !== 'data') {
        this.#take(got);
        continue;
      }
      this.#pieces.push(this.#scratch.slice(0, got.count));
      if (got.endOfMessage) this.#messageEnd(got.kind);
    }
  }

  #take(event: ConnectionEvent): void {
    if (event.type === 'end') this.ends.push(event);
    if (event.type === 'message') this.messages.push(event.kind === 'text' ? describeText(event.data) : describeBinary(event.data));
    if (event.type !== 'chunk') return;
    if (event.first !== (this.#pieces.length === 0)) this.complaints.push('first is not the first');
    this.#pieces.push(event.kind === 'text' ? Buffer.from(event.data) : Uint8Array.from(event.data));
    if (event.last) this.#messageEnd(event.kind);
  }

  #messageEnd(kind: 'text' | 'binary'): void {
    const data = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.messages.push(kind === 'text' ? describeText(data.toString()) : describeBinary(data));
  }

  #sink(): NonNullable<ConnectionOptions['sink']> {
    return {
      onText: (text) => this.messages.push(describeText(text)),
      onBinary: (data) => this.messages.push(describeBinary(data)),
      onMessageStart: () => {
        if (this.#pieces.length > 0) this.complaints.push('a message within a message');
      },
      onTextChunk: (text) => this.#pieces.push(Buffer.from(text)),
      onSpan: (buffer, start, end) => this.#pieces.push(buffer.slice(start, end)),
      onMessageEnd: (kind) => this.#messageEnd(kind),
      onEnd: (info) => this.ends.push(info),
    };
  }
}

function closeFrames(frames: readonly ParsedFrame[]): (number | null)[] {
  return frames
    .filter(({ header }) => header.opcode === 8)
    .map(({ payload }) => (payload.length === 0 ? null : ((payload[0] as number) << 8) | (payload[1] as number)));
}

function perform(endpoint: Endpoint, step: Step, writer: PartWriter, chop: number | null): void {
  const { connection } = endpoint;
  if ('write' in step) {
    const bytes = writer.write(step.write);
    for (let time = 0; time < (step.times ?? 1); time++) endpoint.receive(bytes, chop ?? step.chop ?? null);
  } else if ('wait' in step) endpoint.advance(step.wait);
  else if ('end' in step) connection.receiveEof();
  else if ('reading' in step) endpoint.reading = step.reading;
  else if ('call' in step) {
    if (step.call === 'close') connection.close(...(step.with as [number?, string?]));
    else connection.send(step.with[0] as string);
  } else if ('untilClose' in step) {
    endpoint.pump();
    if (closeFrames(endpoint.frames).at(-1) !== step.untilClose) endpoint.complaints.push(`no close frame with ${step.untilClose}`);
  } else endpoint.advance(step.untilEnded);
  endpoint.pump();
}

function observe(testCase: FrameCase, extensions: readonly Extension[], use: Use): Observation {
  const endpoint = new Endpoint(testCase, extensions, use);
  const { connection, frames } = endpoint;
  const writer = new PartWriter(testCase.role);
  let failedBy: number | null = null;
  for (const [index, step] of testCase.steps.entries()) {
    perform(endpoint, step, writer, use.chop);
    if (failedBy === null && connection.transport !== 'open' && closeFrames(frames).length > 0) failedBy = index;
  }
  const directive = connection.transport;
  const seen = [...frames];
  const messages = [...endpoint.messages];
  const probing = connection.state === 'open' && testCase.outcomes.some(({ state }) => state === 'open');
  const ending = connection.state !== 'open';
  // Still usable, or deaf: whatever comes after a failure is not even looked at.
  if (probing || ending) endpoint.receive(peerFrame(testCase.role, 9, Buffer.from(PROBE)), use.chop);
  const after = frames.slice(seen.length);
  if (ending && connection.transport !== 'abort') {
    connection.receiveEof();
    endpoint.pump();
  }
  endpoint.finish();
  return {
    frames: seen,
    messages,
    ends: endpoint.ends,
    directive,
    finally: connection.transport,
    failedBy,
    probeAnswered: after.some(({ header, payload }) => header.opcode === 10 && Buffer.from(payload).toString() === PROBE),
    framesAfterEnd: ending ? frames.length - seen.length : 0,
    complaints: endpoint.complaints,
  };
}

function judgePongs(seen: Observation, outcome: Outcome): boolean {
  const got = seen.frames.filter(({ header }) => header.opcode === 10).map(({ payload }) => Buffer.from(payload).toString('hex'));
  const wanted = outcome.pongs ?? [];
  switch (outcome.pongRule) {
    case 'any':
      return true;
    case 'last-only':
      return got.at(-1) === wanted.at(-1);
    case 'coalesce-ok': {
      let at = 0;
      for (const pong of wanted) if (pong === got[at]) at++;
      return at === got.length && got.at(-1) === wanted.at(-1);
    }
    default:
      return got.join() === wanted.join();
  }
}

/** What is wrong with the outcome, empty when nothing is. */
function judge(testCase: FrameCase, seen: Observation, outcome: Outcome): string[] {
  const wrong: string[] = [...seen.complaints];
  const must = (holds: boolean, what: string) => {
    if (!holds) wrong.push(what);
  };
  const closes = closeFrames(seen.frames);
  const end = seen.ends[0];
  must(seen.ends.length <= 1, 'more than one end event');
  must(!seen.frames.some(({ header }) => header.opcode < 8), 'a data frame was written');
  if (outcome.messages !== 'any') {
    const wanted = (outcome.messages ?? []).map(describeExpected);
    must(seen.messages.join() === wanted.join(), `messages are [${seen.messages.join()}], not [${wanted.join()}]`);
  }
  must(judgePongs(seen, outcome), 'pongs');
  if (outcome.state === 'open' || outcome.state === 'waiting') {
    must(
      closes.length === 0 && seen.directive === 'open' && end === undefined,
      `not open: ${seen.directive}, closed with ${closes.join()}`,
    );
    if (outcome.state === 'open') must(seen.probeAnswered, 'the ping was not answered');
    return wrong;
  }
  must(end !== undefined, 'no end event');
  must(seen.finally === 'done' || seen.finally === 'abort', `transport is ${seen.finally} in the end`);
  must(seen.framesAfterEnd === 0, 'frames after the end');
  if (outcome.state === 'closed') {
    must(closes.length === 1, `${closes.length} close frames`);
    const { reply } = outcome;
    if (reply !== null && reply !== undefined) must(reply.includes(closes[0] ?? null), `close frame with ${closes[0]}`);
    const { reports } = outcome;
    must(end?.clean === true && end.cause === null, `not clean: ${end?.cause?.code}`);
    must(
      reports === undefined || (end?.code === reports.code && end.reason === (reports.reason ?? '')),
      `reported ${end?.code} ${end?.reason}`,
    );
    if (testCase.role === 'server') must(seen.directive === 'end' || seen.directive === 'done', `server's transport is ${seen.directive}`);
    return wrong;
  }
  must(end?.clean === false && end.code === 1006 && end.cause !== null, `reported ${end?.clean} ${end?.code}`);
  if (outcome.state === 'lost') return wrong;
  must(
    closes.length === 1 && outcome.codes?.includes(closes[0] ?? -1) === true,
    `close frames ${closes.join()}, not one of ${outcome.codes?.join()}`,
  );
  must(end?.cause?.closeCode === closes[0], `the cause says ${end?.cause?.closeCode}`);
  must(seen.directive !== 'open', 'the transport stays open');
  if (outcome.by !== undefined)
    must(seen.failedBy !== null && seen.failedBy <= outcome.by, `failed after step ${seen.failedBy}, not ${outcome.by}`);
  return wrong;
}

/** Null: it did one of the things it may do. Else why each does not fit. */
export function runFrameCase(testCase: FrameCase, extensions: readonly Extension[], use: Use): string | null {
  const seen = observe(testCase, extensions, use);
  const reasons: string[] = [];
  for (const outcome of testCase.outcomes) {
    const wrong = judge(testCase, seen, outcome);
    if (wrong.length === 0) return null;
    reasons.push(`${outcome.state}: ${wrong.join('; ')}`);
  }
  return reasons.join(' | ');
}
