/**
 * Runs many cases against a target and streams the results as they come. Connections run in parallel over the wire; in process they take
 * turns. A result that only a time limit or a wait decided is asked for once more with longer ones, so that a busy machine is not taken for a
 * fault; a target that keeps failing so is taken at its word.
 */
import { setMaxListeners } from 'node:events';
import type { Case } from './case.ts';
import { cases as allCases } from './cases/index.ts';
import { realTime } from './channel.ts';
import { checkCases, checkFactor, checkPatterns, checkSignal, checkWhole } from './options.ts';
import { type CaseResult, isSpotless } from './result.ts';
import { selectCases } from './select.ts';
import { SilenceGuard } from './silence.ts';
import type { ActiveTarget, PassiveTarget, Target, TargetSettings } from './target.ts';

export interface RunOptions {
  /** Default: the 517 cases. */
  readonly cases?: readonly Case[];
  /** Patterns such as '1.*'; default all. */
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  /** 1000 messages in every case of groups 12 and 13. */
  readonly full?: boolean;
  /** Messages in each case of groups 12 and 13, instead of 20. */
  readonly messages?: number;
  /** Connections at a time, over the wire. Default 6. */
  readonly parallel?: number;
  /** For masks and splits. Default 1. */
  readonly seed?: number;
  /** Multiplies every time limit. Default 1. */
  readonly timeScale?: number;
  /** Ends the run; cases that are not done have no result. */
  readonly signal?: AbortSignal;
}

/** Pauses that a subject may use up are this short at first, over the wire. */
const shortPause = 0.15;
/** Passive targets can't be asked twice. */
const passivePause = 0.5;
/** How much longer the second try waits. */
const patience = 4;
/** Milliseconds: a limit of so many is not reached because a machine is busy. */
const generous = 10_000;
/** After so many second tries that changed nothing, there are no more. */
const mostRetries = 6;

/** The cases that `include` and `exclude` choose, for whatever target. */
export function selectedCases(options: RunOptions): Case[] {
  return selectCases(options.cases ?? allCases, options.include ?? [], options.exclude ?? []);
}

/** Those that make sense for it: a server masks nothing, a URL has no methods, and in process and over HTTP/2 there is no head of HTTP/1.1. */
export function casesFor(target: Target, selected: readonly Case[]): Case[] {
  const virtual = target.virtual === true;
  const openings = !virtual && target.openings !== false;
  return selected.filter(
    (test) => (test.onlyFor ?? target.role) === target.role && (openings || test.opening === null) && (virtual || !test.inProcessOnly),
  );
}

/**
 * Throws RangeError or TypeError for options that make no sense. Rejects with TargetUnavailable when there is nothing to test, or nothing any
 * more. Closes the target at the end, or when nobody reads on. A pattern that names no case gives no result: `unmatchedPatterns` finds it.
 */
export function runCases(target: Target, options: RunOptions = {}): AsyncGenerator<CaseResult, void, undefined> {
  checkCases('cases', options.cases);
  checkPatterns('include', options.include);
  checkPatterns('exclude', options.exclude);
  checkWhole('messages', options.messages, 1, Number.MAX_SAFE_INTEGER);
  checkWhole('parallel', options.parallel, 1, Number.MAX_SAFE_INTEGER);
  checkWhole('seed', options.seed, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  checkFactor('timeScale', options.timeScale);
  checkSignal('signal', options.signal);
  return resultsOf(target, options);
}

async function* resultsOf(target: Target, options: RunOptions): AsyncGenerator<CaseResult, void, undefined> {
  const selected = casesFor(target, selectedCases(options));
  const queue = new ResultQueue();
  const stop = new AbortController();
  const { signal } = stop;
  // Every connection listens.
  setMaxListeners(0, signal);
  const onAbort = (): void => stop.abort();
  options.signal?.addEventListener('abort', onAbort, { once: true });
  if (options.signal?.aborted === true) stop.abort();
  const run =
    target.kind === 'active' ? runActive(target, selected, options, queue, signal) : runPassive(target, selected, options, queue, signal);
  const work = run.then(
    () => queue.end(),
    (error: unknown) => (signal.aborted ? queue.end() : queue.fail(error)),
  );
  try {
    yield* queue;
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
    stop.abort();
    await work;
  }
}

/** The results of a whole run, in the order of the cases. */
export async function collect(results: AsyncIterable<CaseResult>, onResult?: (result: CaseResult) => void): Promise<CaseResult[]> {
  const all: CaseResult[] = [];
  for await (const result of results) {
    onResult?.(result);
    all.push(result);
  }
  return all.sort((a, b) => compareIds(a.id, b.id));
}

/** By number in every part, so that 9.10 comes after 9.9. */
export function compareIds(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

function settingsFor(options: RunOptions, pauseScale: number): TargetSettings {
  const { seed = 1, timeScale = 1, full = false, messages = null } = options;
  return { seed, timeScale, pauseScale: pauseScale * timeScale, longest: null, messages: full ? 'full' : messages };
}

async function runActive(
  target: ActiveTarget,
  selected: readonly Case[],
  options: RunOptions,
  queue: ResultQueue,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  const aborted = new Promise<null>((resolve) => {
    signal.addEventListener('abort', () => resolve(null), { once: true });
  });
  // What does not heed the signal is not waited for.
  const unlessStopped = <T>(work: Promise<T>): Promise<T | null> => Promise.race([work, aborted]);
  let opened = false;
  try {
    await unlessStopped(target.open(signal));
    opened = true;
    const first = settingsFor(options, target.virtual ? 1 : shortPause);
    const second: TargetSettings = { ...first, timeScale: first.timeScale * patience, pauseScale: first.timeScale };
    const guard = new SilenceGuard();
    let retries = mostRetries;
    let next = 0;
    // The first ends the run, when the cases that go on are done: one of them may be why.
    const faults: unknown[] = [];
    const worker = async (): Promise<void> => {
      for (;;) {
        const test = selected[next];
        if (test === undefined || signal.aborted || faults.length > 0) return;
        next += 1;
        // Nothing else lets a signal in where no waiting takes time.
        if (target.virtual) await new Promise<void>((resolve) => realTime.turn(resolve));
        let result = await unlessStopped(target.run(test, guard.limit(first), signal));
        if (result === null || signal.aborted) return;
        const decided = result;
        const decidedByTime = result.timed && !isSpotless(result) && !target.virtual;
        if (decidedByTime && !tookItsTime(test, result, first) && retries > 0 && !guard.impatient) {
          const again = await unlessStopped(target.run(test, second, signal)).catch((error: unknown) => {
            queue.push(decided);
            throw error;
          });
          if (again === null || signal.aborted) return;
          // Only now: many first tries may be under way, and who is too slow for them has not been silent.
          if (again.silent) guard.note(result);
          if (again.verdict === result.verdict) retries -= 1;
          result = again;
        }
        guard.note(result);
        queue.push(result);
      }
    };
    const count = target.virtual ? 1 : Math.min(options.parallel ?? 6, selected.length);
    await Promise.all(Array.from({ length: count }, () => worker().catch((error: unknown) => faults.push(error))));
    if (faults.length > 0) throw faults[0];
  } finally {
    if (opened || signal.aborted) await target.close();
  }
}

/** A long limit was used up. */
function tookItsTime({ limit }: Case, { duration }: CaseResult, { timeScale }: TargetSettings): boolean {
  return limit.ms >= generous && duration >= limit.ms * timeScale;
}

async function runPassive(
  target: PassiveTarget,
  selected: readonly Case[],
  options: RunOptions,
  queue: ResultQueue,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  const onResult = (result: CaseResult): void => {
    // Later ones are of connections that ended with the run.
    if (!signal.aborted) queue.push(result);
  };
  await target.serve(selected, settingsFor(options, passivePause), onResult, signal);
}

/** From callbacks to an async iterator. */
class ResultQueue implements AsyncIterable<CaseResult> {
  readonly #waiting: CaseResult[] = [];
  #wake: (() => void) | null = null;
  #ended = false;
  #error: unknown = null;

  push(result: CaseResult): void {
    this.#waiting.push(result);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#error = error;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<CaseResult, void, undefined> {
    for (;;) {
      const result = this.#waiting.shift();
      if (result !== undefined) yield result;
      else if (this.#ended) break;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = null;
      }
    }
    if (this.#error !== null) throw this.#error;
  }
}
