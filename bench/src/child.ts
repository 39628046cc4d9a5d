/**
 * A measured process and the line protocol spoken with it: one JSON value per line each way, answers in the order of the questions.
 *
 * Each variant runs in a process of its own: variants that share one share type feedback, which ranks them wrongly by up to 2x.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { commandOf, type RuntimeName } from './runtimes.ts';

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export interface ChildOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Of the runtime. */
  readonly flags?: readonly string[];
}

const ANSWER_SECONDS = 120;
const live = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of live) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

export class Child {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #waiting: { resolve: (value: Json) => void; reject: (error: Error) => void }[] = [];
  #failure: Error | null = null;

  constructor(runtime: RuntimeName, program: string, options: ChildOptions = {}) {
    const { command, args } = commandOf(runtime);
    const file = fileURLToPath(new URL(program, import.meta.url));
    const child = spawn(command, [...args, ...(options.flags ?? []), file, ...(options.args ?? [])], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...options.env },
    });
    this.#child = child;
    this.pid = child.pid ?? -1;
    live.add(child);
    const fail = (error: Error): void => {
      this.#failure ??= error;
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    };
    child.once('error', fail);
    child.once('exit', (code, signal) => {
      live.delete(child);
      fail(new Error(`${program} ${(options.args ?? []).join(' ')} ended with ${signal ?? code}`));
    });
    // A child that has died breaks the pipe; 'exit' reports it.
    child.stdin.on('error', () => {});
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{') || line.startsWith('[')) this.#waiting.shift()?.resolve(JSON.parse(line) as Json);
      else console.log(line);
    });
  }

  ask<T extends Json>(question: Json): Promise<T> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`no answer within ${ANSWER_SECONDS} s to ${JSON.stringify(question)}`));
        this.#child.kill('SIGKILL');
      }, ANSWER_SECONDS * 1000);
      this.#waiting.push({
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value as T);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.#child.stdin?.write(`${JSON.stringify(question)}\n`);
    });
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGKILL');
    await gone;
  }
}
