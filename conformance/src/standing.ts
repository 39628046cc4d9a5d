/**
 * What a result means for whoever runs the cases: whether it is to fail the run, on its own or against an earlier run whose results are known
 * (the baseline). With a baseline only what has become worse fails, which keeps the faults that one has today from hiding the next one.
 */
import type { Role } from '@ferrywire/core';
import type { Verdict } from './case.ts';
import type { Report } from './report.ts';
import { type CaseResult, isFailure, isSpotless } from './result.ts';

/** Known: as bad as it was, so that it does not count. */
export type Standing = 'passed' | 'known' | 'failed';

/** Higher is better. What is not graded can't be better or worse than what is right. */
const rank: Readonly<Record<Verdict, number>> = { OK: 3, INFORMATIONAL: 3, 'NON-STRICT': 2, UNIMPLEMENTED: 1, FAILED: 0 };

export function isBetter(now: Verdict, before: Verdict): boolean {
  return rank[now] > rank[before];
}

/**
 * @param before the verdict of the baseline; null where it has none
 * @param strict NON-STRICT and UNIMPLEMENTED fail too
 */
export function standingOf(result: CaseResult, before: Verdict | null, strict: boolean): Standing {
  const bad = isFailure(result) || (strict && !isSpotless(result));
  if (before === null) return bad ? 'failed' : 'passed';
  if (isBetter(before, result.verdict)) return 'failed';
  return bad ? 'known' : 'passed';
}

/** The verdicts of one earlier run, by id. */
export type Baseline = ReadonlyMap<string, Verdict>;

/**
 * The run among `reports` that one of this target is compared with: that of the same name, or else the only one of its role, since an URL may
 * have another port today. Null when there is none.
 */
export function baselineFor(reports: readonly Report[], target: string, role: Role): Baseline | null {
  const ofRole = reports.filter((report) => report.role === role);
  const found = ofRole.find((report) => report.target === target) ?? (ofRole.length === 1 ? ofRole[0] : undefined);
  return found === undefined ? null : new Map(found.results.map(({ id, verdict }) => [id, verdict]));
}
