/**
 * The same program on another runtime, as a child process that gets our signals and whose exit code is ours.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exitWith, UsageError } from './cli.ts';

export type RuntimeName = 'node' | 'bun' | 'deno';

/** Set for the child: what it is part of ends with its standard input. */
const CHILD = 'FERRYWIRE_CHILD';

const before: { readonly [name in Exclude<RuntimeName, 'node'>]: readonly string[] } = {
  bun: [],
  // Packages come from node_modules as npm left them; nothing is fetched or written.
  deno: ['run', '--allow-all', '--quiet', '--no-lock', '--cached-only', '--node-modules-dir=manual'],
};

/** Installed beside this package, or on the PATH. */
function find(name: string): string | null {
  const file = process.platform === 'win32' ? `${name}.exe` : name;
  const folders: string[] = [];
  for (let folder = dirname(fileURLToPath(import.meta.url)); dirname(folder) !== folder; folder = dirname(folder)) {
    folders.push(join(folder, 'node_modules', '.bin'));
  }
  folders.push(...(process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== ''));
  return folders.map((folder) => join(folder, file)).find((path) => existsSync(path)) ?? null;
}

/** Drops `--runtime NAME` and `--runtime=NAME`: the child runs on itself. */
function withoutRuntime(args: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? '';
    if (arg === '--runtime') index++;
    else if (!arg.startsWith('--runtime=')) kept.push(arg);
  }
  return kept;
}

/** Runs `script` on `runtime` and ends this process as the child ends. */
export function runOn(runtime: Exclude<RuntimeName, 'node'>, script: string, args: readonly string[]): Promise<never> {
  const command = find(runtime);
  if (command === null) throw new UsageError(`--runtime ${runtime}: ${runtime} is not installed`);
  // A process group of its own: what npm installs may be a launcher, and a signal must reach what it has launched.
  const child = spawn(command, [...before[runtime], fileURLToPath(script), ...withoutRuntime(args)], {
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { ...process.env, [CHILD]: '1', DENO_NO_UPDATE_CHECK: '1' },
    detached: true,
  });
  // Its standard input is ours to hold: it ends as we do.
  endWithParent(() => Promise.resolve());
  const { pid } = child;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      try {
        if (pid !== undefined) process.kill(process.platform === 'win32' ? pid : -pid, signal);
      } catch {
        // It has just ended.
      }
    });
  }
  return new Promise<never>(() => {
    child.once('error', (error) => exitWith(new Error(`--runtime ${runtime}: ${error.message}`), 2));
    child.once('exit', (code, signal) => process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

/** In a child of `runOn`, or of whoever says as much in the environment: when the parent is gone, however it went, `stop` and exit. */
export function endWithParent(stop: () => Promise<void>): void {
  if (process.env[CHILD] !== '1') return;
  const end = (): void => void stop().finally(() => process.exit(1));
  process.stdin.once('end', end).once('error', end).resume();
}
