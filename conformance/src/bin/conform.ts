#!/usr/bin/env node
/**
 * The command `ferrywire-conformance`. Exit codes: 0 all as expected, 1 something failed, 2 wrong use, nothing ran, or no way to go on.
 */
import { escaped } from '../escape.ts';
import { runCommand } from './commands.ts';

/** Whatever goes on; a child under test is ended with this process. */
function giveUp(why: string): never {
  process.stderr.write(`${escaped(why)}\n`);
  process.exit(2);
}

/** Whoever reads may stop early, as `head` does, or a terminal that is closed; the exit code and the report still say how the run ended. */
function isLeft(stream: NodeJS.WriteStream, { code }: NodeJS.ErrnoException): boolean {
  return code === 'EPIPE' || (code === 'EIO' && stream.isTTY);
}

process.stdout.on('error', (error) => {
  if (!isLeft(process.stdout, error)) giveUp(`can't write to the standard output: ${error.message}`);
});
process.stderr.on('error', (error) => {
  if (!isLeft(process.stderr, error)) process.exit(2);
});
// A fault of the harness says nothing about the subject, which is what exit code 1 would mean.
process.on('uncaughtException', (error: unknown) => {
  const place = error instanceof Error ? (/^ +(at .*)$/m.exec(error.stack ?? '')?.[1] ?? '') : '';
  giveUp(`a fault of the harness: ${String(error)} ${place}`);
});

process.exitCode = await runCommand(process.argv.slice(2), {
  out: (line) => {
    process.stdout.write(`${line}\n`);
  },
  err: (line) => {
    process.stderr.write(`${line}\n`);
  },
});
