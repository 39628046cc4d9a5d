/**
 * Runtimes that can withhold the network from a program, for the tests that ask for it. Undefined where there is none, with the reason printed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root: string = fileURLToPath(new URL('../', import.meta.url));

/** The system's own Node, or else the optional dependency, which has no build for some platforms. */
export const node: string | undefined = [process.execPath, `${root}node_modules/node26/bin/node`].find(
  (path) => spawnSync(path, ['--permission', '--allow-net', '-e', '0'], { timeout: 20_000 }).status === 0,
);
if (node === undefined) console.warn('skipped: no Node here knows --allow-net (25 or later)');

const installed = `${root}node_modules/.bin/deno`;
export const deno: string | undefined = existsSync(installed) ? installed : undefined;
if (deno === undefined) console.warn('skipped: Deno has no build for this platform');

/** A program on its standard input. `manual`: packages come from node_modules as npm left them. */
export const denoArguments: readonly string[] = [
  'run',
  '--no-prompt',
  '--no-lock',
  '--cached-only',
  '--node-modules-dir=manual',
  '--quiet',
  '--allow-read',
];
