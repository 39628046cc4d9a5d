/**
 * Results for people and for programs: a line per result, a summary, JSON and back. JUnit's XML and pages are in `report-junit.ts` and
 * `report-html.ts`.
 */
import type { Role } from '@ferrywire/core';
import type { CloseVerdict, Verdict } from './case.ts';
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
  /** Why the target was not there until the end of the run, where it was not: its last cases have results, and may be why. */
  readonly gone?: string;
}

/** How often each verdict was given; all five are there. */
export function countVerdicts(results: readonly CaseResult[]): Counts {
  const counts = { OK: 0, 'NON-STRICT': 0, INFORMATIONAL: 0, UNIMPLEMENTED: 0, FAILED: 0 };
  for (const { verdict } of results) counts[verdict] += 1;
  return counts;
}

/** Results put in the order of their ids and counted. `duration` in milliseconds. */
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

const format = 'ferrywire-conformance/1';

/** The whole report, or several, as JSON text. */
export function reportJson(reports: readonly Report[]): string {
  const ids = (report: Report): Record<string, Omit<CaseResult, 'id'>> =>
    Object.fromEntries(report.results.map(({ id, ...rest }) => [id, rest]));
  const runs = reports.map((report) => ({ ...report, results: ids(report) }));
  return `${JSON.stringify({ format, runs }, null, 2)}\n`;
}

/** The reports that `reportJson` has written. Throws TypeError for anything else. */
export function readReports(text: string): Report[] {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    throw new TypeError('not JSON');
  }
  if (!isRecord(file) || file.format !== format || !Array.isArray(file.runs)) throw new TypeError(`not a report (format ${format})`);
  return file.runs.map(readReport);
}

function readReport(run: unknown): Report {
  if (!isRecord(run) || !isRecord(run.results)) throw new TypeError('a run without results');
  const { target, role, seed, duration, gone } = run;
  if (typeof target !== 'string' || (role !== 'server' && role !== 'client')) throw new TypeError('a run without a target or a role');
  if (typeof seed !== 'number' || typeof duration !== 'number') throw new TypeError(`the run of ${target} has no seed or no duration`);
  if (gone !== undefined && typeof gone !== 'string') throw new TypeError(`the run of ${target} does not say why it ended`);
  const results = Object.entries(run.results).map(([id, result]) => readResult(id, result));
  const report = makeReport(target, role, seed, duration, results);
  return gone === undefined ? report : { ...report, gone };
}

const verdicts: readonly unknown[] = ['OK', 'NON-STRICT', 'INFORMATIONAL', 'UNIMPLEMENTED', 'FAILED'] satisfies Verdict[];
const closeVerdicts: readonly unknown[] = [
  'OK',
  'FAILED',
  'UNCLEAN',
  'WRONG CODE',
  'FAILED BY CLIENT',
  'INFORMATIONAL',
] satisfies CloseVerdict[];
const isText = (value: unknown): boolean => typeof value === 'string';
const isNumber = (value: unknown): boolean => typeof value === 'number';
const isFlag = (value: unknown): boolean => typeof value === 'boolean';

/** What each member of a result has to be. */
const members: Readonly<Record<keyof Omit<CaseResult, 'id'>, (value: unknown) => boolean>> = {
  title: isText,
  sections: (value) => Array.isArray(value) && value.every(isText),
  role: (value) => value === 'server' || value === 'client',
  verdict: (value) => verdicts.includes(value),
  behavior: (value) => verdicts.includes(value),
  behaviorClose: (value) => closeVerdicts.includes(value),
  remoteCloseCode: (value) => value === null || isNumber(value),
  reason: (value) => value === null || isText(value),
  duration: isNumber,
  timed: isFlag,
  silent: isFlag,
};

function readResult(id: string, result: unknown): CaseResult {
  if (!isRecord(result)) throw new TypeError(`case ${id} has no result`);
  for (const [name, fits] of Object.entries(members)) {
    if (!fits(result[name])) throw new TypeError(`the result of case ${id} has no right ${name}`);
  }
  return { id, ...(result as unknown as Omit<CaseResult, 'id'>) };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
