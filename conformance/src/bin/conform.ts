#!/usr/bin/env node
/**
 * The command `ferrywire-conformance`. Exit codes: 0 all as expected, 1 something failed, 2 wrong use or nothing ran.
 */
import { runCommand } from './commands.ts';

// Whoever reads may stop early, as `head` does; the exit code still says how the run ended.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

process.exitCode = await runCommand(process.argv.slice(2), {
  out: (line) => {
    process.stdout.write(`${line}\n`);
  },
  err: (line) => {
    process.stderr.write(`${line}\n`);
  },
});
