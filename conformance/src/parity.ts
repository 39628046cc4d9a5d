/**
 * Parity with the Autobahn suite: known implementations are run against the cases, and the verdicts compared with those that the original
 * gave to the same implementations. Differences that are known and meant are listed here and explained in `docs/parity.md`.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cases } from './cases/index.ts';
import type { CaseResult } from './result.ts';
import { collect, type RunOptions, runCases, selectedCases } from './run.ts';
import type { Target } from './target.ts';
import { clientCommand, serverCommand } from './targets/child-process.ts';
import { findCommand, findFile } from './targets/installed.ts';

/** What the original said of one case. */
export interface RecordedVerdict {
  readonly behavior: string;
  readonly behaviorClose: string;
  /** Null for none. */
  readonly closeCode: number | null;
}

interface RecordedRun {
  readonly ids: readonly string[];
  readonly other: Readonly<Record<string, readonly string[]>>;
  readonly closeCodes: Readonly<Record<string, readonly string[]>>;
}

export interface Difference {
  /** The name of the recorded run. */
  readonly run: string;
  readonly id: string;
  readonly recorded: RecordedVerdict;
  readonly result: CaseResult | null;
}

/** Run, then cases. Each is explained in docs/parity.md. */
export const explained: Readonly<Record<string, readonly string[]>> = {
  'server-deno': ['7.3.6'],
  'client-deno': ['7.3.6'],
};

const installed = (name: string): string => JSON.stringify(findCommand(name));
const peer = (name: string): string => JSON.stringify(fileURLToPath(new URL(`../peers/${name}.mjs`, import.meta.url)));
const node = JSON.stringify(process.execPath);

/** The names of the recorded runs, each with what to run. */
export const parityTargets: Readonly<Record<string, () => Target>> = {
  'server-ws-plain': () => serverCommand(`${node} ${peer('ws-server')} {port}`),
  'server-ws-deflate': () => serverCommand(`${node} ${peer('ws-server')} {port} deflate`),
  'server-driver-deflate': () => serverCommand(`${node} ${peer('websocket-driver-server')} {port} deflate`),
  'server-bun': () => serverCommand(`${installed('bun')} ${peer('bun-server')} {port}`),
  'server-deno': () => serverCommand(`${installed('deno')} run -A ${peer('deno-server')} {port}`),
  'client-ws': () => clientCommand(`${node} ${peer('client')} {url} ws ws`),
  'client-undici': () => clientCommand(`${JSON.stringify(findFile('node24', 'bin/node'))} ${peer('client')} {url} undici`),
  'client-bun': () => clientCommand(`${installed('bun')} ${peer('client')} {url} bun`),
  'client-deno': () => clientCommand(`${installed('deno')} run -A ${peer('client')} {url} deno`),
};

/** The verdicts of one recorded run, by id. Throws RangeError for a name that is not recorded. */
export function recordedVerdicts(name: string): ReadonlyMap<string, RecordedVerdict> {
  const file: { readonly runs: Readonly<Record<string, RecordedRun>> } = JSON.parse(
    readFileSync(new URL('../data/verdicts.json', import.meta.url), 'utf8'),
  );
  const run = file.runs[name];
  if (run === undefined) throw new RangeError(`no recorded run '${name}'`);
  const ids = run.ids.flatMap((id) => (id === 'core' ? coreIds() : [id]));
  const verdictOf = invert(run.other);
  const codeOf = invert(run.closeCodes);
  return new Map(
    ids.map((id) => {
      const [behavior = '', behaviorClose = ''] = (verdictOf.get(id) ?? 'OK / OK').split(' / ');
      const code = codeOf.get(id) ?? '1000';
      return [id, { behavior, behaviorClose, closeCode: code === 'none' ? null : Number(code) }];
    }),
  );
}

/** All of groups 1 to 10. */
function coreIds(): string[] {
  return cases.filter((test) => test.deflate === null).map(({ id }) => id);
}

function invert(table: Readonly<Record<string, readonly string[]>>): Map<string, string> {
  return new Map(Object.entries(table).flatMap(([key, ids]) => ids.map((id) => [id, key] as const)));
}

const schedulingOnly = new Set(cases.filter((test) => test.schedulingOnly).map(({ id }) => id));

function sameVerdict(recorded: RecordedVerdict, result: CaseResult): boolean {
  // Whether an echo overtakes a failure is chance: either grade is the same there.
  const behaviour = (verdict: string): string => (schedulingOnly.has(result.id) && verdict === 'NON-STRICT' ? 'OK' : verdict);
  return (
    behaviour(recorded.behavior) === behaviour(result.behavior) &&
    recorded.behaviorClose === result.behaviorClose &&
    recorded.closeCode === result.remoteCloseCode
  );
}

/** Every recorded case must have run, with the same behaviour, the same close and the same close code. */
export function differences(run: string, recorded: ReadonlyMap<string, RecordedVerdict>, results: readonly CaseResult[]): Difference[] {
  const byId = new Map(results.map((result) => [result.id, result]));
  return [...recorded].flatMap(([id, verdict]) => {
    const result = byId.get(id) ?? null;
    return result !== null && sameVerdict(verdict, result) ? [] : [{ run, id, recorded: verdict, result }];
  });
}

export function isExplained({ run, id }: Difference): boolean {
  return explained[run]?.includes(id) === true;
}

export interface Comparison {
  readonly name: string;
  /** Verdicts compared. */
  readonly count: number;
  readonly found: readonly Difference[];
  readonly seconds: number;
}

/** Runs that go on at a time: most of them wait. */
const atATime = 2;

/**
 * Runs the implementations of some recorded runs, two at a time, and yields each when it is done; what the signal ends is not compared, and
 * not yielded. Throws RangeError for a name that is not recorded; rejects with TargetUnavailable when an implementation is not installed.
 */
export async function* compareAll(
  names: readonly string[],
  options: RunOptions,
  targets: typeof parityTargets = parityTargets,
): AsyncGenerator<Comparison, void, undefined> {
  // The longest first, so that it does not run alone at the end.
  const waiting = [...names].reverse();
  const running = new Map<string, Promise<{ readonly name: string; readonly comparison: Comparison | null }>>();
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  try {
    while (waiting.length > 0 || running.size > 0) {
      for (let name = waiting[0]; name !== undefined && running.size < atATime; name = waiting[0]) {
        waiting.shift();
        const asked = name;
        running.set(
          asked,
          compare(asked, { ...options, signal }, targets).then((comparison) => ({ name: asked, comparison })),
        );
      }
      const { name, comparison } = await Promise.race(running.values());
      running.delete(name);
      if (comparison !== null) yield comparison;
    }
  } finally {
    // One has failed, or nobody reads on: the others end, with their children.
    stop.abort();
    await Promise.allSettled(running.values());
  }
}

/** Null when the signal came first: cases that did not run are no differences. */
async function compare(name: string, options: RunOptions, targets: typeof parityTargets): Promise<Comparison | null> {
  const started = performance.now();
  const all = recordedVerdicts(name);
  const chosen = selectedCases(options).filter(({ id }) => all.has(id));
  const ids = new Set(chosen.map(({ id }) => id));
  const recorded = new Map([...all].filter(([id]) => ids.has(id)));
  const target = targets[name]?.();
  if (target === undefined) throw new RangeError(`no recorded run '${name}'`);
  const results = chosen.length === 0 ? [] : await collect(runCases(target, { ...options, cases: chosen }));
  let found = differences(name, recorded, results);
  if (found.some((difference) => !isExplained(difference))) {
    // A reset overtakes a close frame now and then: what differs by chance does not differ twice.
    const doubtful = chosen.filter(({ id }) => found.some((difference) => difference.id === id));
    const again = await collect(runCases(target, { ...options, cases: doubtful }));
    found = differences(name, new Map([...recorded].filter(([id]) => doubtful.some((test) => test.id === id))), again);
  }
  if (options.signal?.aborted === true) return null;
  return { name, count: recorded.size, found, seconds: (performance.now() - started) / 1000 };
}
