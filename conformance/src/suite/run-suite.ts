/**
 * What the two suites share: every case of some targets must be OK (or ungraded), figures at the end as `N passed, N failed`. They are
 * programs of their own, since they run unchanged on every runtime.
 */
import { cases, extraCases } from '../cases/index.ts';
import { resultLine } from '../report.ts';
import { isSpotless } from '../result.ts';
import { casesFor, type RunOptions, runCases } from '../run.ts';
import type { Target } from '../target.ts';

/** Groups 12 and 13 in their usual length on one runtime, and shorter on the others: the codecs have their own suite everywhere. */
export function messagesHere(): number {
  return process.release.name === 'node' && process.versions.bun === undefined && /^v24\./.test(process.version) ? 20 : 2;
}

export interface SuiteRun {
  readonly target: Target;
  readonly options?: RunOptions;
}

/** Runs one after the other; sets the exit code. */
export async function runSuite(runs: readonly SuiteRun[]): Promise<void> {
  let passed = 0;
  let failed = 0;
  for (const { target, options = {} } of runs) {
    const started = performance.now();
    const settings: RunOptions = { cases: [...cases, ...extraCases], messages: messagesHere(), ...options };
    const seen = new Set<string>();
    try {
      for await (const result of runCases(target, settings)) {
        seen.add(result.id);
        if (isSpotless(result)) passed += 1;
        else {
          failed += 1;
          console.log(`${target.name}: ${resultLine(result)}`);
        }
      }
    } catch (error) {
      console.log(`${target.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    const missing = casesFor(target, settings.cases ?? []).filter(({ id }) => !seen.has(id)).length;
    if (missing > 0 && settings.include === undefined) {
      failed += missing;
      console.log(`${target.name}: ${missing} cases did not run`);
    }
    console.log(`${target.name}: ${seen.size} cases in ${((performance.now() - started) / 1000).toFixed(2)} s`);
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}
