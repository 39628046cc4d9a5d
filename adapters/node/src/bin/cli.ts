/**
 * What the commands share: help for who asks, arguments that are wrong are one line on stderr, a signal ends a program in order, and
 * one that nobody reads goes on.
 */
import { type ParseArgsConfig, parseArgs } from 'node:util';

/** A mistake of whoever called the program. Its message is the line. */
export class UsageError extends Error {}

/** Control characters would let a message from elsewhere move the cursor of a terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ');
}

/** Ends the program with one line on stderr. */
export function exitWith(error: unknown, code: number): never {
  process.stderr.write(`${printable(error instanceof Error ? error.message : String(error))}\n`);
  process.exit(code);
}

/** Whoever reads what a program prints may stop early, as `head` does, or close the terminal: that is no reason to end it. */
export function outliveReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (code !== 'EPIPE' && !(code === 'EIO' && stream.isTTY)) process.exit(1);
    });
  }
}

/** Ends the program with the usage when help is asked for. */
export function readArgs<Config extends ParseArgsConfig>(usage: string, config: Config): ReturnType<typeof parseArgs<Config>> {
  const args = config.args ?? process.argv.slice(2);
  if (args.some((word) => word === '--help' || word === '-h')) {
    process.stdout.write(`${usage}\n`);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    throw new UsageError(error instanceof Error ? lineOf(error) : String(error), { cause: error });
  }
}

/** Of a value that looks like an option, the last sentence says how it is given; elsewhere the rest is advice on escaping. */
function lineOf({ code, message }: NodeJS.ErrnoException): string {
  return code === 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE' ? message : (message.split(/[.\n] /)[0] ?? message);
}

export function readPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw new UsageError(`--port must be a number from 0 to 65535, not '${text}'`);
  return port;
}

export function readHost(text: string): string {
  if (!/^[\w.:%-]+$/.test(text)) throw new UsageError(`--host must be a name or an address, not '${text}'`);
  return text;
}

/** Runs `stop` at the first SIGINT or SIGTERM; the second one ends the program at once. */
export function onStop(stop: () => Promise<void>): void {
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(signal === 'SIGINT' ? 130 : 143);
    stopping = true;
    stop().then(
      () => process.exit(0),
      (error: unknown) => exitWith(error, 1),
    );
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
}
