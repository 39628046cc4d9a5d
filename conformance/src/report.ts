/**
 * Results for people and for programs: a line per result, a summary, JSON.
 */
import type { Role } from '@ferrywire/core';
import type { Verdict } from './case.ts';
import { escaped } from './escape.ts';
import type { CaseResult } from './result.ts';
import { compareIds } from './run.ts';

export type Counts = Readonly<Record<Verdict, number>>;

export interface Report {
  readonly target: string;
  readonly role: Role;
  readonly seed: number;
  /** Milliseconds of real time. */
  readonly duration: number;
  readonly counts: Counts;
  /** In the order of the ids. */
  readonly results: readonly CaseResult[];
}

export function countVerdicts(results: readonly CaseResult[]): Counts {
  const counts = { OK: 0, 'NON-STRICT': 0, INFORMATIONAL: 0, UNIMPLEMENTED: 0, FAILED: 0 };
  for (const { verdict } of results) counts[verdict] += 1;
  return counts;
}

export function makeReport(target: string, role: Role, seed: number, duration: number, results: readonly CaseResult[]): Report {
  const sorted = [...results].sort((a, b) => compareIds(a.id, b.id));
  return { target, role, seed, duration: Math.round(duration), counts: countVerdicts(sorted), results: sorted };
}

/** One line, safe for a terminal. */
export function resultLine(result: CaseResult): string {
  const reason = result.reason === null ? '' : `: ${escaped(result.reason)}`;
  return `${result.verdict.padEnd(13)} ${result.id.padEnd(8)} ${result.title}${reason} [${result.sections.join(', ')}]`;
}

/** One line, safe for a terminal. */
export function summaryLine(report: Report): string {
  const counts = Object.entries(report.counts)
    .filter(([verdict, count]) => count > 0 || verdict === 'OK' || verdict === 'FAILED')
    .map(([verdict, count]) => `${count} ${verdict}`);
  return `${escaped(report.target)}: ${report.results.length} cases in ${(report.duration / 1000).toFixed(2)} s: ${counts.join(', ')}`;
}

/** The whole report, or several, as JSON text. */
export function reportJson(reports: readonly Report[]): string {
  const ids = (report: Report): Record<string, Omit<CaseResult, 'id'>> =>
    Object.fromEntries(report.results.map(({ id, ...rest }) => [id, rest]));
  const runs = reports.map((report) => ({ ...report, results: ids(report) }));
  return `${JSON.stringify({ format: 'ferrywire-conformance/1', runs }, null, 2)}\n`;
}
