/**
 * Child processes for the scripts: run to the end within a time, output collected, the whole process group killed at the end.
 */
import { spawn } from 'node:child_process';

/** @type {Set<number>} */
const live = new Set();

/** @param {number} pid */
function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    for (const pid of live) killGroup(pid);
    process.exit(signal === 'SIGINT' ? 130 : 143);
  });
}
process.once('exit', () => {
  for (const pid of live) killGroup(pid);
});

/**
 * Runs one command. Never rejects: what went wrong is in the result.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, timeout?: number, echo?: boolean }} [options] `timeout` in seconds; `echo` passes
 *   the output through as it comes.
 * @returns {Promise<{ code: number | null, timedOut: boolean, output: string, seconds: number, error: string | null }>}
 */
export function run(command, args, options = {}) {
  const { cwd, env = process.env, timeout = 120, echo = false } = options;
  const start = performance.now();
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let output = '';
    let timedOut = false;
    /** @type {string | null} */
    let error = null;
    const { pid } = child;
    if (pid !== undefined) live.add(pid);
    const timer = setTimeout(() => {
      timedOut = true;
      if (pid !== undefined) killGroup(pid);
    }, timeout * 1000);
    /** @param {string} chunk */
    const collect = (chunk) => {
      output += chunk;
      if (echo) process.stdout.write(chunk);
    };
    child.stdout.setEncoding('utf8').on('data', collect);
    child.stderr.setEncoding('utf8').on('data', collect);
    /** @param {number | null} code */
    const finish = (code) => {
      clearTimeout(timer);
      if (pid !== undefined) {
        // A grandchild may outlive the child and hold the pipes.
        killGroup(pid);
        live.delete(pid);
      }
      resolve({ code, timedOut, output, seconds: (performance.now() - start) / 1000, error });
    };
    child.once('error', (cause) => {
      error = cause.message;
      finish(null);
    });
    child.once('exit', (code) => {
      // The output may still be in the pipe: 'close' follows once it is read, unless a grandchild holds it.
      if (pid !== undefined) killGroup(pid);
      const late = setTimeout(() => finish(code), 2000);
      child.once('close', () => {
        clearTimeout(late);
        finish(code);
      });
    });
  });
}

/**
 * Runs jobs, at most `width` at a time, and returns their results in order.
 *
 * @template T
 * @param {readonly (() => Promise<T>)[]} jobs
 * @param {number} width
 * @returns {Promise<T[]>}
 */
export async function inParallel(jobs, width) {
  const results = new Array(jobs.length);
  const queue = jobs.entries();
  const worker = async () => {
    for (const [index, job] of queue) results[index] = await job();
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(width, jobs.length)) }, worker));
  return results;
}
