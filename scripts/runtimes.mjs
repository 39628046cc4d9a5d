/**
 * The runtimes of the test matrix: how each is started and which version answers.
 *
 * Node 24 and 26 come as optional dependencies (`node24`, `node26`), Bun and Deno as development dependencies. What is not installed is
 * skipped by the caller, with the reason. `process.execPath` is the system's Node: npm scripts start these scripts through
 * `$npm_node_execpath`, because `node_modules/.bin/node` is another one.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './process.mjs';

export const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');

/** @type {Readonly<Record<import('./suites.mjs').RuntimeName, { command: string, args: readonly string[] }>>} */
export const runtimes = {
  node: { command: process.execPath, args: ['--expose-gc'] },
  node24: { command: join(modules, 'node24/bin/node'), args: ['--expose-gc'] },
  node26: { command: join(modules, 'node26/bin/node'), args: ['--expose-gc'] },
  bun: { command: join(modules, '.bin/bun'), args: ['--expose-gc'] },
  // `manual`: packages come from node_modules as npm left them. `--no-lock`, `--cached-only`: nothing is written or fetched.
  deno: {
    command: join(modules, '.bin/deno'),
    args: ['run', '--allow-all', '--no-lock', '--cached-only', '--node-modules-dir=manual', '--v8-flags=--expose-gc', '--quiet'],
  },
};

/**
 * The version a runtime reports, or null with the reason why it cannot be used here.
 *
 * @param {import('./suites.mjs').RuntimeName} name
 * @returns {Promise<{ version: string | null, reason: string }>}
 */
export async function probe(name) {
  const { command } = runtimes[name];
  if (!existsSync(command)) return { version: null, reason: 'not installed on this platform' };
  const { code, output, error } = await run(command, ['--version'], { timeout: 30 });
  if (code !== 0) return { version: null, reason: `does not start: ${(error ?? output).trim().split('\n')[0]}` };
  const version = /\d+\.\d+\.\d+\S*/.exec(output)?.[0];
  return version === undefined ? { version: null, reason: 'reports no version' } : { version, reason: '' };
}
