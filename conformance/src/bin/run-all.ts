/**
 * Targets one after the other: a line for each result as it comes, a summary, the reports at the end, and an exit code for all.
 */
import type { Case } from '../case.ts';
import { escaped } from '../escape.ts';
import { makeReport, type Report, resultLine, summaryLine } from '../report.ts';
import type { JudgedReport } from '../report-junit.ts';
import { type CaseResult, isSpotless } from '../result.ts';
import { casesFor, type RunOptions, runCases } from '../run.ts';
import { type Baseline, baselineFor, isBetter, type Standing, standingOf } from '../standing.ts';
import { type Target, TargetUnavailable } from '../target.ts';
import { checkWritable, readReportFile, writeReports } from './files.ts';
import { onInterrupt } from './interrupt.ts';
import { type Options, UsageError } from './options.ts';
import { allFine, nothingRan, type Output, somethingFailed } from './output.ts';

/**
 * Returns the exit code. Throws UsageError for what is wrong before anything has run.
 * @param output where the lines go; a report on the standard output goes to `standardOutput`
 */
export async function runAll(
  targets: readonly Target[],
  chosen: readonly Case[],
  options: Options,
  output: Output,
  standardOutput: Output,
): Promise<number> {
  // Some extra cases are for some places only.
  const concerned = targets.filter((target) => casesFor(target, chosen).length > 0);
  if (concerned.length === 0) throw new UsageError('none of these cases can run here');
  const known = options.baseline === undefined ? null : readReportFile(options.baseline);
  const judges = new Map(concerned.map((target) => [target, new Judge(options, baselineOf(target, known))]));
  checkWritable(options);
  const interruption = onInterrupt(somethingFailed, (name) => output.err(`interrupted by ${name}`));
  const runs: JudgedReport[] = [];
  let code = allFine;
  try {
    for (const [target, judge] of judges) {
      if (interruption.signal.aborted) {
        output.out(`${escaped(target.name)}: did not run`);
        const report = makeReport(target.name, target.role, options.seed, 0, []);
        runs.push({ report, standing: judge.standing, missing: casesFor(target, chosen) });
        code = Math.max(code, somethingFailed);
        continue;
      }
      const report = await runOne(target, chosen, options, judge, interruption.signal, output);
      const run = { report, standing: judge.standing, missing: missingOf(report, casesFor(target, chosen)) };
      runs.push(run);
      code = Math.max(code, codeFor(run, output));
    }
  } finally {
    interruption.off();
    if (runs.length > 0) writeReports(options, runs, standardOutput);
  }
  return code;
}

function baselineOf(target: Target, known: readonly Report[] | null): Baseline | null {
  if (known === null) return null;
  const found = baselineFor(known, target.name, target.role);
  if (found === null) throw new UsageError(`--baseline: no run of ${target.name} (${target.role}), nor just one of a ${target.role}`);
  return found;
}

/** What a run's results are worth under the options. */
class Judge {
  readonly #options: Options;
  readonly #baseline: Baseline | null;

  constructor(options: Options, baseline: Baseline | null) {
    this.#options = options;
    this.#baseline = baseline;
  }
  readonly standing = (result: CaseResult): Standing => standingOf(result, this.#baseline?.get(result.id) ?? null, this.#options.strict);

  /** A line for what is not OK, or is not as it was. */
  shows(result: CaseResult): boolean {
    const before = this.#baseline?.get(result.id);
    return this.#options.verbose || (!isSpotless(result) && result.verdict !== before);
  }
  summary({ results }: Report): string[] {
    const baseline = this.#baseline;
    if (baseline === null) return [];
    const better = results.filter(({ id, verdict }) => isBetter(verdict, baseline.get(id) ?? verdict)).map(({ id }) => id);
    const count = (standing: Standing): number => results.filter((result) => this.standing(result) === standing).length;
    const ids = better.length === 0 ? '' : ` (${better.slice(0, 20).join(', ')}${better.length > 20 ? ', …' : ''})`;
    return [`against the baseline: ${count('failed')} worse, ${count('known')} known, ${better.length} better${ids}`];
  }
}

async function runOne(
  target: Target,
  chosen: readonly Case[],
  options: Options,
  judge: Judge,
  signal: AbortSignal,
  output: Output,
): Promise<Report> {
  const results = new Map<string, CaseResult>();
  const started = performance.now();
  let gone: string | undefined;
  try {
    for await (const result of runCases(target, runOptions(options, chosen, signal))) {
      // Clients may come one after the other: the worst of them counts.
      const before = results.get(result.id);
      if (before === undefined || isBetter(before.verdict, result.verdict)) results.set(result.id, result);
      if (judge.shows(result)) output.out(resultLine(result));
    }
  } catch (error) {
    // What was there for some cases has a report, of these.
    if (!(error instanceof TargetUnavailable) || results.size === 0) throw error;
    output.err(escaped(error.message));
    gone = error.message;
  }
  const found = makeReport(target.name, target.role, options.seed, performance.now() - started, [...results.values()]);
  const report = gone === undefined ? found : { ...found, gone };
  output.out(summaryLine(report));
  for (const line of judge.summary(report)) output.out(line);
  return report;
}

function missingOf({ results }: Report, chosen: readonly Case[]): Case[] {
  const done = new Set(results.map(({ id }) => id));
  return chosen.filter(({ id }) => !done.has(id));
}

function codeFor({ report: { results, gone }, standing, missing }: JudgedReport, output: Output): number {
  if (results.length === 0) {
    output.err('no case ran');
    return nothingRan;
  }
  if (missing.length > 0) output.out(`${missing.length} of ${results.length + missing.length} cases did not run`);
  const isWhole = missing.length === 0 && gone === undefined;
  return isWhole && !results.some((result) => standing(result) === 'failed') ? allFine : somethingFailed;
}

function runOptions(options: Options, chosen: readonly Case[], signal: AbortSignal): RunOptions {
  const { full, messages, parallel, seed, timeScale } = options;
  return {
    cases: chosen,
    full,
    seed,
    timeScale,
    signal,
    ...(messages === undefined ? {} : { messages }),
    ...(parallel === undefined ? {} : { parallel }),
  };
}
