/**
 * What each command does. Nothing here ends the process but a second interruption: the exit code is returned.
 */
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import type { Case } from '../case.ts';
import { cases, extraCases } from '../cases/index.ts';
import { explainCase } from '../describe.ts';
import { escaped } from '../escape.ts';
import { makeReport, type Report, reportJson, resultLine, summaryLine } from '../report.ts';
import { type CaseResult, isFailure, isSpotless } from '../result.ts';
import { casesFor, type RunOptions, runCases } from '../run.ts';
import { selectCases, unmatchedPatterns } from '../select.ts';
import { type Target, TargetUnavailable } from '../target.ts';
import { clientCommand, serverCommand } from '../targets/child-process.ts';
import { clientListener } from '../targets/client-listener.ts';
import { http2Server } from '../targets/http2-server.ts';
import { serverUrl } from '../targets/server-url.ts';
import { onInterrupt } from './interrupt.ts';
import { type Options, readOptions, UsageError, usage } from './options.ts';

export interface Output {
  /** One line, safe for a terminal. */
  out(line: string): void;
  err(line: string): void;
}

const allFine = 0;
const somethingFailed = 1;
const nothingRan = 2;

/** Returns the exit code: 0, 1 or 2. */
export async function runCommand(args: readonly string[], output: Output): Promise<number> {
  try {
    const options = readOptions(args);
    return await dispatch(options, output);
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof TargetUnavailable)) throw error;
    output.err(escaped(error.message));
    return nothingRan;
  }
}

async function dispatch(options: Options, output: Output): Promise<number> {
  const { command, words } = options;
  if (command === 'help') {
    output.out(usage);
    return allFine;
  }
  if (command !== 'server' && command !== 'explain' && command !== 'parity' && words.length > 0) {
    throw new UsageError(`${command} takes no '${words[0]}'; see --help`);
  }
  switch (command) {
    case 'list':
      for (const { id } of selected(options, output)) output.out(id);
      return allFine;
    case 'explain':
      return explain(words, output);
    case 'self': {
      // Loaded here only: a fault in ferrywire must not keep others from being tested.
      const { selfTargets } = await import('./self.ts');
      return runAll(selfTargets(options), { ...options, strict: true }, output);
    }
    case 'server':
      return runAll([serverTarget(options)], options, output);
    case 'client':
      return runAll([clientTarget(options, output)], options, output);
    case 'parity': {
      const { runParity } = await import('./parity.ts');
      return runParity(options, output);
    }
    case '':
      throw new UsageError('a command is needed: self, server, client, parity, list or explain; see --help');
    default:
      throw new UsageError(`no command '${command}'; see --help`);
  }
}

/** The cases that are asked for; patterns of none are named. Throws UsageError when there are none at all. */
function selected({ include, exclude }: Options, output: Output): Case[] {
  // The extra cases are asked for by their letter; `*` alone means the suite.
  const all = [...cases, ...(include.some((pattern) => /^f/i.test(pattern)) ? extraCases : [])];
  const wanted = selectCases(all, include, exclude);
  const chosen =
    include.some((pattern) => !/^f/i.test(pattern)) || include.length === 0 ? wanted : wanted.filter(({ id }) => id.startsWith('F'));
  const unknown = unmatchedPatterns(all, include);
  if (chosen.length === 0) throw new UsageError(unknown.length > 0 ? `no case matches ${unknown.join(', ')}` : 'every case is excluded');
  const useless = [...unknown, ...unmatchedPatterns([...cases, ...extraCases], exclude)];
  if (useless.length > 0) output.err(escaped(`no case matches ${useless.join(', ')}`));
  return chosen;
}

function explain(ids: readonly string[], output: Output): number {
  if (ids.length === 0) throw new UsageError('explain takes the id of a case');
  const chosen = ids.flatMap((id) => {
    const found = selectCases([...cases, ...extraCases], [id]);
    if (found.length === 0) throw new UsageError(`no case ${id}`);
    return found;
  });
  chosen.forEach((test, index) => {
    if (index > 0) output.out('');
    for (const line of explainCase(test)) output.out(line);
  });
  return allFine;
}

function serverTarget({ words, child, ca, insecure, http2 }: Options): Target {
  const [url, ...more] = words;
  if (more.length > 0 || (url === undefined) === (child === undefined))
    throw new UsageError("server takes a URL, or --command 'CMD {port}'");
  if (!url?.startsWith('wss:') && (ca !== undefined || insecure)) throw new UsageError('--ca and --insecure are for a wss: URL');
  if (child !== undefined) return serverCommand(withPlace(child, '{port}'), { http2 });
  try {
    const target = http2 ? http2Server : serverUrl;
    return target(url ?? '', { rejectUnauthorized: !insecure, ...(ca === undefined ? {} : { ca: readFileSync(ca) }) });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function clientTarget({ listen, child, host, keep, idle, http2 }: Options, output: Output): Target {
  if ((listen === undefined) === (child === undefined)) throw new UsageError("client takes --listen PORT, or --command 'CMD {url}'");
  const common = { http2, ...(host === undefined ? {} : { host }), ...(idle === undefined ? {} : { idle: idle * 1000 }) };
  if (child !== undefined && keep) throw new UsageError('--keep is for --listen');
  if (child !== undefined) return clientCommand(withPlace(child, '{url}'), common);
  return clientListener({ port: listen ?? 0, keep, ...common, onListening: (url) => output.out(`listening on ${url}`) });
}

/** A command that is not told where to go would be waited for in vain. */
function withPlace(template: string, usual: '{port}' | '{url}'): string {
  if (!/\{(port|url)\}/.test(template)) throw new UsageError(`--command needs ${usual}`);
  return template;
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

async function runAll(targets: readonly Target[], options: Options, standardOutput: Output): Promise<number> {
  // A report that is asked for on the standard output is alone there.
  const output = options.json === '-' ? { ...standardOutput, out: standardOutput.err } : standardOutput;
  const chosen = selected(options, output);
  checkWritable(options.json);
  // Some extra cases are for some places only.
  const concerned = targets.filter((target) => casesFor(target, chosen).length > 0);
  if (concerned.length === 0) throw new UsageError('none of these cases can run here');
  const interruption = onInterrupt(somethingFailed, (name) => output.err(`interrupted by ${name}`));
  const reports: Report[] = [];
  let code = allFine;
  try {
    for (const target of concerned) {
      if (interruption.signal.aborted) {
        output.out(`${escaped(target.name)}: did not run`);
        code = Math.max(code, somethingFailed);
        continue;
      }
      const report = await runOne(target, chosen, options, interruption.signal, output);
      reports.push(report);
      code = Math.max(code, codeFor(report, casesFor(target, chosen), options, output));
    }
  } finally {
    interruption.off();
    if (reports.length > 0) writeJson(options.json, reports, standardOutput);
  }
  return code;
}

async function runOne(target: Target, chosen: readonly Case[], options: Options, signal: AbortSignal, output: Output): Promise<Report> {
  const results = new Map<string, CaseResult>();
  const started = performance.now();
  try {
    for await (const result of runCases(target, runOptions(options, chosen, signal))) {
      // Clients may come one after the other: what went wrong once stays.
      const before = results.get(result.id);
      if (before === undefined || isSpotless(before)) results.set(result.id, result);
      if (options.verbose || !isSpotless(result)) output.out(resultLine(result));
    }
  } catch (error) {
    // What was there for some cases has a report, of these.
    if (!(error instanceof TargetUnavailable) || results.size === 0) throw error;
    output.err(escaped(error.message));
  }
  const report = makeReport(target.name, target.role, options.seed, performance.now() - started, [...results.values()]);
  output.out(summaryLine(report));
  return report;
}

function codeFor(report: Report, chosen: readonly Case[], { strict }: Options, output: Output): number {
  const { results } = report;
  if (results.length === 0) {
    output.err('no case ran');
    return nothingRan;
  }
  const missing = chosen.length - results.length;
  if (missing > 0) output.out(`${missing} of ${chosen.length} cases did not run`);
  const bad = results.some((result) => isFailure(result) || (strict && !isSpotless(result)));
  return bad || missing > 0 ? somethingFailed : allFine;
}

/** Now, and not after the run. */
function checkWritable(file: string | undefined): void {
  if (file === undefined || file === '-') return;
  try {
    closeSync(openSync(file, 'a'));
  } catch (error) {
    throw new UsageError(`--json: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function writeJson(file: string | undefined, reports: readonly Report[], output: Output): void {
  if (file === undefined) return;
  const text = reportJson(reports);
  if (file === '-') output.out(text.trimEnd());
  else {
    try {
      writeFileSync(file, text);
    } catch (error) {
      throw new UsageError(`--json: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
