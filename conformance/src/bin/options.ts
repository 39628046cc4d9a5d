/**
 * The command's arguments: read once, checked at once, wrong ones named in one line.
 */
import { parseArgs } from 'node:util';
import { parsePatterns } from '../select.ts';

/** Wrong use: its message is for the user. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}

export const usage = `usage: ferrywire-conformance COMMAND [options]

  self [--runtime node|bun|deno]       ferrywire itself: in process, over TCP and over HTTP/2
  server URL                           a server at a ws: or wss: URL
  server --command 'CMD {port}'        a server that is started for the run, without a shell
  client --listen PORT                 clients that connect to PORT, as to an Autobahn fuzzing server
  client --command 'CMD {url}'         a client that is started for the run
  report FILE...                       what runs have written (--json), side by side: --html, --junit or --json
  parity [NAME...]                     known implementations against their recorded verdicts
  list                                 the ids, one a line
  explain ID...                        what a case does and expects

  --cases PATTERNS     ids or patterns, separated by commas: 1.*,7.9.* (F.* are cases beyond the 517)
  --exclude PATTERNS   the same, left out
  --full               1000 messages in each case of 12.* and 13.*
  --messages N         N messages in each case of 12.* and 13.* (default 20)
  --parallel N         connections at a time (default 6)
  --seed N             for masks and splits (default 1)
  --time-scale X       multiplies every time limit
  --strict             NON-STRICT and UNIMPLEMENTED fail too
  --verbose            a line for every result, not only for those that are not OK
  --baseline FILE      an earlier --json: only what has become worse fails
  --json FILE          writes the results; - is the standard output (and the lines go to the standard error)
  --junit FILE         the same for CI services, as JUnit's XML
  --html FILE          the same as a page
  --only WHERE         for self: in-process, tcp or http2
  --split bytes        for self: single bytes in process
  --role ROLE          for self: server or client only
  --host ADDRESS       for client: where to listen (default 127.0.0.1)
  --keep               for client: stay after /updateReports
  --idle SECONDS       for client: give up without a connection (default 60; 0: never)
  --http2              for server and client: over HTTP/2
  --header 'NAME: VALUE'   for server: in every request, as often as needed
  --subprotocol NAMES  for server: asks for these; for client: chooses one of these that is asked for
  --path PATH          for server --command: path and query of the URL (default /)
  --ca FILE, --insecure   for wss: servers

exit codes: 0 all as expected, 1 something failed, 2 wrong use or nothing ran`;

export interface Options {
  readonly command: string;
  readonly words: readonly string[];
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly full: boolean;
  readonly messages: number | undefined;
  readonly parallel: number | undefined;
  readonly seed: number;
  readonly timeScale: number;
  readonly strict: boolean;
  readonly verbose: boolean;
  readonly baseline: string | undefined;
  readonly json: string | undefined;
  readonly junit: string | undefined;
  readonly html: string | undefined;
  readonly runtime: 'node' | 'bun' | 'deno';
  readonly only: 'in-process' | 'tcp' | 'http2' | undefined;
  readonly split: 'whole' | 'bytes';
  readonly role: 'server' | 'client' | undefined;
  readonly listen: number | undefined;
  readonly child: string | undefined;
  readonly host: string | undefined;
  readonly keep: boolean;
  readonly idle: number | undefined;
  readonly ca: string | undefined;
  readonly insecure: boolean;
  readonly http2: boolean;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly subprotocols: readonly string[];
  readonly path: string | undefined;
}

const spec = {
  cases: { type: 'string', multiple: true },
  exclude: { type: 'string', multiple: true },
  full: { type: 'boolean', default: false },
  messages: { type: 'string' },
  parallel: { type: 'string' },
  seed: { type: 'string', default: '1' },
  'time-scale': { type: 'string', default: '1' },
  strict: { type: 'boolean', default: false },
  verbose: { type: 'boolean', default: false },
  baseline: { type: 'string' },
  json: { type: 'string' },
  junit: { type: 'string' },
  html: { type: 'string' },
  runtime: { type: 'string', default: 'node' },
  only: { type: 'string' },
  split: { type: 'string', default: 'whole' },
  role: { type: 'string' },
  listen: { type: 'string' },
  command: { type: 'string' },
  host: { type: 'string' },
  keep: { type: 'boolean', default: false },
  idle: { type: 'string' },
  ca: { type: 'string' },
  insecure: { type: 'boolean', default: false },
  http2: { type: 'boolean', default: false },
  header: { type: 'string', multiple: true },
  subprotocol: { type: 'string', multiple: true },
  path: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

type OptionName = keyof typeof spec;

const choice: readonly OptionName[] = ['cases', 'exclude'];
const written: readonly OptionName[] = ['json', 'junit', 'html'];
const limits: readonly OptionName[] = ['full', 'messages', 'parallel', 'seed', 'time-scale'];
const running: readonly OptionName[] = [...choice, ...limits, 'strict', 'baseline', 'verbose', ...written];

/** What each command takes; an option that would do nothing is wrong use. */
const taken: Readonly<Record<string, readonly OptionName[]>> = {
  self: [...running, 'runtime', 'only', 'split', 'role'],
  server: [...running, 'command', 'path', 'ca', 'insecure', 'http2', 'header', 'subprotocol'],
  client: [...running, 'command', 'listen', 'host', 'keep', 'idle', 'http2', 'subprotocol'],
  report: written,
  parity: [...choice, 'seed', 'time-scale'],
  list: choice,
  explain: [],
};

function whole(name: string, text: string, least: number, most: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : -1;
  if (value < least || value > most) throw new UsageError(`--${name} takes a whole number from ${least} to ${most}, not '${text}'`);
  return value;
}

function oneOf<T extends string>(name: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((value) => value === text);
  if (found === undefined) throw new UsageError(`--${name} takes ${allowed.join(' or ')}, not '${text}'`);
  return found;
}

function fieldOf(text: string): readonly [name: string, value: string] {
  const colon = text.indexOf(':');
  if (colon < 1) throw new UsageError(`--header takes 'NAME: VALUE', not '${text}'`);
  return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
}

function optional<T>(text: string | undefined, read: (text: string) => T): T | undefined {
  return text === undefined ? undefined : read(text);
}

/** Throws UsageError. The command is 'help' where help was asked for. */
export function readOptions(args: readonly string[]): Options {
  const { values, positionals, tokens } = parse(args);
  const [command = '', ...words] = positionals;
  const allowed = taken[command];
  for (const token of tokens) {
    if (token.kind !== 'option' || token.name === 'help' || allowed === undefined) continue;
    if (!allowed.some((name) => name === token.name)) throw new UsageError(`--${token.name} is not for ${command}; see --help`);
  }
  const scale = Number(values['time-scale']);
  if (!(scale > 0 && scale <= 1000)) throw new UsageError(`--time-scale takes a number above 0, up to 1000, not '${values['time-scale']}'`);
  for (const name of ['cases', 'exclude'] as const) {
    if (values[name]?.some((text) => parsePatterns(text).length === 0)) throw new UsageError(`--${name} names no pattern`);
  }
  for (const name of ['junit', 'html'] as const) {
    if (values[name] === '-') throw new UsageError(`--${name} takes a file; - is for --json`);
  }
  // Node takes it for every address of the machine.
  if (values.host === '') throw new UsageError('--host names no address');
  if (values.full && values.messages !== undefined) throw new UsageError('--full and --messages exclude each other');
  return {
    command: values.help ? 'help' : command,
    words,
    include: (values.cases ?? []).flatMap(parsePatterns),
    exclude: (values.exclude ?? []).flatMap(parsePatterns),
    full: values.full,
    messages: optional(values.messages, (text) => whole('messages', text, 1, 1_000_000)),
    parallel: optional(values.parallel, (text) => whole('parallel', text, 1, 256)),
    seed: whole('seed', values.seed, 0, 999_999_999),
    timeScale: scale,
    strict: values.strict,
    verbose: values.verbose,
    baseline: values.baseline,
    json: values.json,
    junit: values.junit,
    html: values.html,
    runtime: oneOf('runtime', values.runtime, ['node', 'bun', 'deno']),
    only: optional(values.only, (text) => oneOf('only', text, ['in-process', 'tcp', 'http2'])),
    split: oneOf('split', values.split, ['whole', 'bytes']),
    role: optional(values.role, (text) => oneOf('role', text, ['server', 'client'])),
    listen: optional(values.listen, (text) => whole('listen', text, 0, 65_535)),
    child: values.command,
    host: values.host,
    keep: values.keep,
    idle: optional(values.idle, (text) => whole('idle', text, 0, 86_400)),
    ca: values.ca,
    insecure: values.insecure,
    http2: values.http2,
    headers: (values.header ?? []).map(fieldOf),
    subprotocols: (values.subprotocol ?? []).flatMap(parsePatterns),
    path: values.path,
  };
}

function parse(args: readonly string[]): ReturnType<typeof parseArgs<{ options: typeof spec; allowPositionals: true; tokens: true }>> {
  try {
    return parseArgs({ args: [...args], options: spec, allowPositionals: true, tokens: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? lineOf(error) : String(error));
  }
}

/** Of a value that looks like an option, the last sentence says how it is given; elsewhere the rest is advice on escaping. */
function lineOf({ code, message }: NodeJS.ErrnoException): string {
  return code === 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE' ? message.replace(/\s+/g, ' ') : (message.split(/\.\s/)[0] ?? message);
}
