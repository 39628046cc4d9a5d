/**
 * What each command does. Nothing here ends the process but a second interruption: the exit code is returned.
 */
import type { Case } from '../case.ts';
import { cases, extraCases } from '../cases/index.ts';
import { explainCase } from '../describe.ts';
import { escaped } from '../escape.ts';
import { summaryLine } from '../report.ts';
import type { CaseResult } from '../result.ts';
import { selectCases, unmatchedPatterns } from '../select.ts';
import { type Standing, standingOf } from '../standing.ts';
import { type Target, TargetUnavailable } from '../target.ts';
import { clientCommand, serverCommand } from '../targets/child-process.ts';
import { clientListener } from '../targets/client-listener.ts';
import { http2Server } from '../targets/http2-server.ts';
import { serverUrl } from '../targets/server-url.ts';
import { checkWritable, readCertificates, readReportFile, writeReports } from './files.ts';
import { type Options, readOptions, UsageError, usage } from './options.ts';
import { allFine, nothingRan, type Output } from './output.ts';
import { runAll } from './run-all.ts';

const takesWords: readonly string[] = ['server', 'explain', 'report', 'parity'];

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
  if (!takesWords.includes(command) && words.length > 0) {
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
      return run(selfTargets(options), { ...options, strict: true }, output);
    }
    case 'server':
      return run([serverTarget(options)], options, output);
    case 'client':
      return run([clientTarget(options, forLines(options, output))], options, output);
    case 'report':
      return mergeReports(options, output);
    case 'parity': {
      const { runParity } = await import('./parity.ts');
      return runParity(options, output);
    }
    case '':
      throw new UsageError('a command is needed: self, server, client, report, parity, list or explain; see --help');
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

function run(targets: readonly Target[], options: Options, output: Output): Promise<number> {
  const lines = forLines(options, output);
  return runAll(targets, selected(options, lines), options, lines, output);
}

/** A report that is asked for on the standard output is alone there. */
function forLines({ json }: Options, output: Output): Output {
  return json === '-' ? { ...output, out: output.err } : output;
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

function serverTarget({ words, child, ca, insecure, http2, path, headers, subprotocols }: Options): Target {
  const [url, ...more] = words;
  if (more.length > 0 || (url === undefined) === (child === undefined))
    throw new UsageError("server takes a URL, or --command 'CMD {port}'");
  if (!/^wss:/i.test(url ?? '') && (ca !== undefined || insecure)) throw new UsageError('--ca and --insecure are for a wss: URL');
  if (child === undefined && path !== undefined) throw new UsageError('--path is for --command; a URL has its own');
  try {
    const asked = { headers, subprotocols };
    if (child !== undefined) return serverCommand(withPlace(child, '{port}'), { http2, ...asked, ...(path === undefined ? {} : { path }) });
    const target = http2 ? http2Server : serverUrl;
    return target(url ?? '', { ...asked, rejectUnauthorized: !insecure, ...(ca === undefined ? {} : { ca: readCertificates(ca) }) });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function clientTarget({ listen, child, host, keep, idle, http2, subprotocols }: Options, output: Output): Target {
  if ((listen === undefined) === (child === undefined)) throw new UsageError("client takes --listen PORT, or --command 'CMD {url}'");
  const common = { http2, subprotocols, ...(host === undefined ? {} : { host }), ...(idle === undefined ? {} : { idle: idle * 1000 }) };
  if (child !== undefined && keep) throw new UsageError('--keep is for --listen');
  try {
    if (child !== undefined) return clientCommand(withPlace(child, '{url}'), common);
    return clientListener({ port: listen ?? 0, keep, ...common, onListening: (url) => output.out(`listening on ${url}`) });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** A command that is not told where to go would be waited for in vain. */
function withPlace(template: string, usual: '{port}' | '{url}'): string {
  if (!/\{(port|url)\}/.test(template)) throw new UsageError(`--command needs ${usual}`);
  return template;
}

/** Several reports as one. */
function mergeReports(options: Options, output: Output): number {
  const { words, json, junit, html, strict } = options;
  if (words.length === 0) throw new UsageError('report takes the files that --json has written');
  if (json === undefined && junit === undefined && html === undefined) throw new UsageError('report needs --html, --junit or --json');
  const runs = words.flatMap(readReportFile).map((report) => {
    const standing = (result: CaseResult): Standing => standingOf(result, null, strict);
    return { report, standing, missing: [] };
  });
  checkWritable(options);
  if (json !== '-') for (const { report } of runs) output.out(summaryLine(report));
  writeReports(options, runs, output);
  return allFine;
}
