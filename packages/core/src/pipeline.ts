/**
 * The transforms of a connection's extensions as one (RFC 6455 section 9.1: extensions apply in the order of the response when sending,
 * in reverse when receiving). One transform is called directly; between several stands a small buffer each, so the budget of the last one
 * holds back the first.
 */
import type { Clock, MessageKind, Role, WorkHost } from './common.ts';
import type { Extension, InboundTransform, OutboundTransform, TransformOutput, TransformStatus } from './extension.ts';
import { TurnTime } from './turn-time.ts';
import type { Violation } from './violations.ts';
import { isViolation } from './violations.ts';

/** A bounded piece of memory to write to. */
export class Piece implements TransformOutput {
  readonly bytes: Uint8Array;
  used = 0;
  limit: number;

  constructor(bytes: Uint8Array, limit: number) {
    this.bytes = bytes;
    this.limit = limit;
  }
  get room(): number {
    return this.limit - this.used;
  }
  write(bytes: Uint8Array, start: number, end: number): void {
    const size = end - start;
    if (size > this.limit - this.used) throw new RangeError('out.write: a transform wrote more than out.room');
    this.bytes.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), this.used);
    this.used += size;
  }
}

const BETWEEN = 4096;

export interface Step {
  consumed: number;
  status: TransformStatus;
}

/** Whether a stage has anything to do with the current message, and what stands between it and the next. */
interface Stage<T> {
  readonly transform: T;
  readonly rsv: number;
  active: boolean;
  /** What the stage before has written and this one has not read. Null for the first. */
  before: Piece | null;
  read: number;
  /** Inbound: `finish` said 'need'. Outbound: everything up to the end was pushed. */
  done: boolean;
  /** Inbound: `push` has taken input that it has not given out yet, so it is to be called again even without more. */
  owes: boolean;
}

function stagesOf<T>(transforms: readonly { transform: T; rsv: number }[]): Stage<T>[] {
  return transforms.map(({ transform, rsv }) => ({ transform, rsv, active: false, before: null, read: 0, done: false, owes: false }));
}

const NONE: never[] = [];

function restart<T>(stages: Stage<T>[]): Stage<T>[] {
  const only = stages[0];
  if (stages.length === 1 && only !== undefined) {
    // Nearly always there is one, and each message comes by here.
    only.done = false;
    return only.active ? stages : NONE;
  }
  const active = stages.filter((stage) => stage.active);
  for (const [index, stage] of active.entries()) {
    stage.done = false;
    stage.before = index === 0 ? null : new Piece(new Uint8Array(BETWEEN), BETWEEN);
  }
  return active;
}

/** What a pipeline tells the connection. */
export interface PipelineHost {
  /** Who wakes the connection when it is ready; null: it does that itself. */
  worker: WorkHost | null;
  /** A transform has finished what it called 'pending'. */
  ready(): void;
  /** A transform threw. What it makes of more bytes can't be trusted, so it is not asked again and the connection ends. */
  broken(): void;
}

/** What both directions share. */
class Pipeline {
  readonly time: TurnTime;
  /** The same for both directions. */
  readonly host: PipelineHost;

  constructor(host: PipelineHost, clock: Clock) {
    this.time = new TurnTime(clock);
    this.host = host;
  }
  /** A transform has failed with `error`, which goes on to the caller. */
  broken(error: unknown): unknown {
    this.host.broken();
    return error;
  }
}

export class InboundPipeline extends Pipeline {
  readonly #stages: Stage<InboundTransform>[];
  #active: Stage<InboundTransform>[] = [];
  readonly #step: Step = { consumed: 0, status: 'need' };

  constructor(extensions: readonly Extension[], role: Role, host: PipelineHost, clock: Clock) {
    super(host, clock);
    const { ready } = host;
    this.#stages = stagesOf(extensions.map((e) => ({ transform: e.inbound(role, ready), rsv: e.rsv })).reverse());
  }

  begin(kind: MessageKind, rsv: number): boolean {
    try {
      for (const stage of this.#stages) stage.active = stage.transform.begin(kind, rsv & stage.rsv);
    } catch (error) {
      throw this.broken(error);
    }
    this.#active = restart(this.#stages);
    return this.#active.length > 0;
  }

  /** One step. `ending`: the message's last frame has been given whole; goes on to `finish` when all is consumed. */
  push(input: Uint8Array, start: number, end: number, ending: boolean, out: TransformOutput): Step | Violation {
    try {
      return this.#push(input, start, end, ending, out);
    } catch (error) {
      throw this.broken(error);
    }
  }

  #push(input: Uint8Array, start: number, end: number, ending: boolean, out: TransformOutput): Step | Violation {
    const step = this.#step;
    step.consumed = 0;
    const active = this.#active;
    const last = active.length - 1;
    let status: TransformStatus = 'need';
    for (let i = 0; i <= last; i++) {
      const stage = active[i] as Stage<InboundTransform>;
      const next = i === last ? out : ((active[i + 1] as Stage<InboundTransform>).before as Piece);
      const result = this.#feed(stage, input, start, end, ending && (i === 0 || (active[i - 1] as Stage<InboundTransform>).done), next);
      if (typeof result !== 'string') return result;
      if (result !== 'need') status = result;
    }
    step.status = status;
    return step;
  }

  #feed(
    stage: Stage<InboundTransform>,
    input: Uint8Array,
    start: number,
    end: number,
    ending: boolean,
    out: TransformOutput,
  ): TransformStatus | Violation {
    const before = stage.before;
    const from = before === null ? start : stage.read;
    const to = before === null ? end : before.used;
    const bytes = before === null ? input : before.bytes;
    let status: TransformStatus = 'need';
    let at = from;
    if (from < to || stage.owes) {
      const result = stage.transform.push(bytes, from, to, out);
      if (isViolation(result)) return result;
      at += result.consumed;
      status = result.status;
      stage.owes = status !== 'need';
      if (before === null) this.#step.consumed = result.consumed;
      else if (at === to) {
        before.used = 0;
        stage.read = 0;
      } else stage.read = at;
    }
    if (status !== 'need' || at < to) return status === 'pending' ? status : 'more';
    if (!ending || stage.done) return 'need';
    const result = stage.transform.finish(out);
    stage.done = result === 'need';
    return result;
  }

  /** Has the end of the message come out? No stage is done before the one in front of it is, and has been read to its end. */
  get finished(): boolean {
    const active = this.#active;
    return active[active.length - 1]?.done !== false;
  }
}

export class OutboundPipeline extends Pipeline {
  readonly #stages: Stage<OutboundTransform>[];
  #active: Stage<OutboundTransform>[] = [];
  readonly #step: Step = { consumed: 0, status: 'need' };

  constructor(extensions: readonly Extension[], role: Role, host: PipelineHost, clock: Clock) {
    super(host, clock);
    const { ready } = host;
    this.#stages = stagesOf(extensions.map((e) => ({ transform: e.outbound(role, ready), rsv: e.rsv })));
  }

  /** The RSV bits of the first frame; 0 leaves the message as it is. */
  begin(kind: MessageKind, size: number | null, compress: boolean | undefined): number {
    let rsv = 0;
    try {
      for (const stage of this.#stages) {
        const bits = stage.transform.begin(kind, size, compress);
        stage.active = bits !== 0;
        rsv |= bits;
      }
    } catch (error) {
      throw this.broken(error);
    }
    this.#active = restart(this.#stages);
    return rsv;
  }

  push(input: Uint8Array, start: number, end: number, fin: boolean, out: TransformOutput): Step {
    try {
      return this.#push(input, start, end, fin, out);
    } catch (error) {
      throw this.broken(error);
    }
  }

  #push(input: Uint8Array, start: number, end: number, fin: boolean, out: TransformOutput): Step {
    const step = this.#step;
    step.consumed = 0;
    step.status = 'need';
    const active = this.#active;
    const last = active.length - 1;
    for (let i = 0; i <= last; i++) {
      const stage = active[i] as Stage<OutboundTransform>;
      const next = i === last ? out : ((active[i + 1] as Stage<OutboundTransform>).before as Piece);
      const before = stage.before;
      const from = before === null ? start : stage.read;
      const to = before === null ? end : before.used;
      const ending = fin && (i === 0 || (active[i - 1] as Stage<OutboundTransform>).done);
      if (stage.done || (from === to && !ending && before !== null)) continue;
      const result = stage.transform.push(before === null ? input : before.bytes, from, to, ending, next);
      if (before === null) step.consumed = result.consumed;
      else if (from + result.consumed === to) {
        before.used = 0;
        stage.read = 0;
      } else stage.read = from + result.consumed;
      const whole = result.status === 'need' && from + result.consumed === to;
      if (whole && ending) stage.done = true;
      if (!whole) step.status = result.status === 'pending' ? 'pending' : 'more';
    }
    return step;
  }

  /** Of all transforms together, or null while one keeps context. */
  get cacheKey(): string | null {
    let key = '';
    try {
      for (const stage of this.#stages) {
        const own = stage.transform.cacheKey;
        if (own === null) return null;
        key += `${own};`;
      }
    } catch (error) {
      throw this.broken(error);
    }
    return key;
  }
}
