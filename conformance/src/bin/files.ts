/**
 * The files of the command: reports that are written, those of earlier runs, and certificates.
 */
import type { Buffer } from 'node:buffer';
import { closeSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Report, readReports, reportJson } from '../report.ts';
import { reportHtml } from '../report-html.ts';
import { type JudgedReport, junitXml } from '../report-junit.ts';
import { type Options, UsageError } from './options.ts';
import type { Output } from './output.ts';

type Files = Pick<Options, 'json' | 'junit' | 'html'>;

const kinds = ['json', 'junit', 'html'] as const;

/** Now, and not after the run. Throws UsageError. */
export function checkWritable(files: Files): void {
  const taken = new Map<string, string>();
  for (const kind of kinds) {
    const file = fileOf(files, kind);
    if (file === undefined) continue;
    const other = taken.get(resolve(file));
    if (other !== undefined) throw new UsageError(`--${other} and --${kind} name the same file`);
    taken.set(resolve(file), kind);
  }
  for (const kind of kinds) {
    const file = fileOf(files, kind);
    if (file === undefined) continue;
    orUsage(`--${kind}`, () => {
      // A named pipe has its reader until it is closed for the first time.
      if (statSync(file, { throwIfNoEntry: false })?.isFIFO() !== true) closeSync(openSync(file, 'a'));
    });
  }
}

/** All that can be written, though another can't: a run may have taken an hour. Throws UsageError for those that can't. */
export function writeReports(files: Files, runs: readonly JudgedReport[], output: Output): void {
  const reports = runs.map(({ report }) => report);
  const text = { json: () => reportJson(reports), junit: () => junitXml(runs), html: () => reportHtml(reports) };
  if (files.json === '-') output.out(text.json().trimEnd());
  const failures: string[] = [];
  for (const kind of kinds) {
    const file = fileOf(files, kind);
    if (file === undefined) continue;
    try {
      orUsage(`--${kind}`, () => writeFileSync(file, text[kind]()));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      failures.push(error.message);
    }
  }
  if (failures.length > 0) throw new UsageError(failures.join('; '));
}

/** Throws UsageError, for what is no report too. */
export function readReportFile(file: string): Report[] {
  return orUsage(file, () => readReports(readFileSync(file, 'utf8')));
}

/** Node takes any file, and trusts nobody when it finds nothing in it: the server would be blamed. Throws UsageError. */
export function readCertificates(file: string): Buffer {
  const pem = orUsage('--ca', () => readFileSync(file));
  if (!/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/.test(pem.toString('latin1')))
    throw new UsageError(`--ca: no certificate in ${file}`);
  return pem;
}

function fileOf(files: Files, kind: (typeof kinds)[number]): string | undefined {
  const file = files[kind];
  return kind === 'json' && file === '-' ? undefined : file;
}

function orUsage<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new UsageError(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
