/**
 * Reports as JUnit's XML, which the pages of CI services read: one suite a run, one test a case.
 */
import { marked } from './markup.ts';
import type { Report } from './report.ts';
import type { CaseResult } from './result.ts';
import type { Standing } from './standing.ts';

/** A run with what it means (`standingOf`). */
export interface JudgedReport {
  readonly report: Report;
  readonly standing: (result: CaseResult) => Standing;
  /** Chosen and not run. */
  readonly missing: readonly { readonly id: string; readonly title: string }[];
}

/**
 * Failed results are failures, and cases that did not run are errors, as is a target that was gone before the end. Skipped are those that are as
 * bad as in the baseline, and what the subject does not implement. The reason of others that are not OK is their output.
 */
export function junitXml(runs: readonly JudgedReport[]): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${runs.map(suite).join('')}</testsuites>\n`;
}

function suite({ report, standing, missing }: JudgedReport): string {
  const { target, role, duration, results, gone } = report;
  const lost =
    gone === undefined ? [] : [testcase(`conformance.${role}`, 'there until the end', '0.000', `<error message="${marked(gone)}"/>`)];
  const tests = results.map((result) => ({ result, inside: inside(result, standing(result)) }));
  const count = (tag: string): number => tests.filter(({ inside }) => inside.startsWith(`<${tag} `)).length;
  const attributes = [
    `name="${marked(`${target} (${role})`)}"`,
    `tests="${results.length + missing.length + lost.length}"`,
    `failures="${count('failure')}"`,
    `errors="${missing.length + lost.length}"`,
    `skipped="${count('skipped')}"`,
    `time="${seconds(duration)}"`,
  ];
  const lines = [
    ...tests.map(({ result, inside }) => test(result, role, seconds(result.duration), inside)),
    ...missing.map((one) => test(one, role, '0.000', '<error message="did not run"/>')),
    ...lost,
  ];
  return `  <testsuite ${attributes.join(' ')}>\n${lines.join('')}  </testsuite>\n`;
}

function test({ id, title }: { readonly id: string; readonly title: string }, role: string, time: string, inside: string): string {
  // Viewers take what stands before the last dot for a folder.
  return testcase(`conformance.${role}.${id.split('.')[0]}`, `${id} ${title}`, time, inside);
}

function testcase(folder: string, name: string, time: string, inside: string): string {
  const start = `    <testcase classname="${folder}" name="${marked(name)}" time="${time}"`;
  return inside === '' ? `${start}/>\n` : `${start}>${inside}</testcase>\n`;
}

function inside({ verdict, reason, sections }: CaseResult, standing: Standing): string {
  const why = `${verdict}${reason === null ? '' : `: ${reason}`}`;
  const where = `[${sections.join(', ')}]`;
  if (standing === 'failed') return `<failure type="${verdict}" message="${marked(why)}">${marked(`${why} ${where}`, 1000)}</failure>`;
  if (standing === 'known') return `<skipped message="${marked(`as in the baseline: ${why}`)}"/>`;
  if (verdict === 'UNIMPLEMENTED') return `<skipped message="${marked(why)}"/>`;
  return verdict === 'OK' ? '' : `<system-out>${marked(`${why} ${where}`, 1000)}</system-out>`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}
