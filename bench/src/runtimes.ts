/**
 * The runtimes a measurement can run on, and how each is started. Bun and Deno come as development dependencies of the repository.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export type RuntimeName = 'node' | 'node24' | 'node26' | 'bun' | 'deno';

interface Command {
  readonly command: string;
  readonly args: readonly string[];
}

const inModules = (path: string): string => fileURLToPath(new URL(`../../node_modules/${path}`, import.meta.url));

const commands: Readonly<Record<RuntimeName, Command>> = {
  node: { command: process.execPath, args: ['--expose-gc'] },
  node24: { command: inModules('node24/bin/node'), args: ['--expose-gc'] },
  node26: { command: inModules('node26/bin/node'), args: ['--expose-gc'] },
  bun: { command: inModules('.bin/bun'), args: ['--expose-gc'] },
  deno: {
    command: inModules('.bin/deno'),
    args: ['run', '--allow-all', '--no-lock', '--cached-only', '--node-modules-dir=manual', '--v8-flags=--expose-gc', '--quiet'],
  },
};

export const runtimeNames: readonly RuntimeName[] = ['node', 'node24', 'node26', 'bun', 'deno'];

export function commandOf(name: RuntimeName): Command {
  const found = commands[name];
  if (!existsSync(found.command)) throw new Error(`${name} is not installed on this platform`);
  return found;
}

/** Load comes from the newest Node there is: it spends the least on a read into a static buffer. */
export function loadRuntime(): RuntimeName {
  return (['node26', 'node24'] as const).find((name) => existsSync(commands[name].command)) ?? 'node';
}
