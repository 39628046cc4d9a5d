/**
 * `npm run bench -- parse echo memory deflate [--runtime node|node24|node26|bun|deno] [--rounds N] [--quick] [--only WORD]`.
 *
 * Prints ratios, each beside the goal it is held to. Exits 0 whether goals are met or not, 1 when a measurement fails, 2 on wrong use. Ends
 * when nobody reads on: what it prints is all it is for.
 */
import { parseArgs } from 'node:util';
import { deflate } from './deflate.ts';
import { echo } from './echo.ts';
import { memory } from './memory.ts';
import { type MeasureOptions, parse } from './parse.ts';
import { goalsLine, rowsShown } from './report.ts';
import { commandOf, type RuntimeName, runtimeNames } from './runtimes.ts';

const measurements: Readonly<Record<string, (options: MeasureOptions) => Promise<void>>> = { parse, echo, memory, deflate };

const usage = `use: npm run bench -- [${Object.keys(measurements).join('] [')}] [options]

  --runtime NAME   ${runtimeNames.join(', ')} (default node)
  --rounds N       how often each is measured (default 11, with --quick 5)
  --quick          less in each round
  --only WORD      only rows with WORD in their name, as often as needed`;

function wrongUse(message: string): never {
  console.error(`${message}; see --help`);
  process.exit(2);
}

/** Of a value that looks like an option, the last sentence says how it is given; elsewhere the rest is advice on escaping. */
function lineOf({ code, message }: NodeJS.ErrnoException): string {
  return code === 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE'
    ? message.replace(/\s+/g, ' ').replace(/\.$/, '')
    : (message.split(/\.\s/)[0] ?? '');
}

function readArguments(): { names: readonly string[]; options: MeasureOptions } {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        runtime: { type: 'string', default: 'node' },
        rounds: { type: 'string' },
        quick: { type: 'boolean', default: false },
        only: { type: 'string', multiple: true, default: [] },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    const runtime = runtimeNames.find((name) => name === values.runtime);
    if (runtime === undefined) wrongUse(`--runtime ${values.runtime}: one of ${runtimeNames.join(', ')}`);
    const rounds = Number(values.rounds ?? (values.quick ? 5 : 11));
    if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1000) wrongUse(`--rounds ${values.rounds}: a whole number from 1 to 1000`);
    for (const name of positionals) if (!Object.hasOwn(measurements, name)) wrongUse(`no measurement ${name}`);
    const isNarrowed = values.only.length > 0;
    // Its rows are differences to the first of them: it is all of them or none.
    if (isNarrowed && positionals.includes('memory')) wrongUse('--only is not for memory');
    const all = Object.keys(measurements).filter((name) => !isNarrowed || name !== 'memory');
    const names = positionals.length > 0 ? positionals : all;
    return { names, options: { runtime: runtime satisfies RuntimeName, rounds, quick: values.quick, only: values.only } };
  } catch (error) {
    return wrongUse(error instanceof Error ? lineOf(error) : String(error));
  }
}

// A reader may stop early, as `head` does, or close the terminal; children end with this process.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', ({ code }: NodeJS.ErrnoException) => {
    process.exit(code === 'EPIPE' || (code === 'EIO' && stream.isTTY) ? process.exitCode : 1);
  });
}
const { names, options } = readArguments();
try {
  commandOf(options.runtime);
  for (const name of names) await measurements[name]?.(options);
  if (rowsShown() === 0) wrongUse(`--only ${options.only.join(' --only ')}: no row of ${names.join(', ')} has such a name`);
  console.log(`\n${goalsLine()}`);
} catch (error) {
  console.error(`bench failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
