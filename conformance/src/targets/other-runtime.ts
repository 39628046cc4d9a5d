/**
 * Ferrywire in process on another runtime: this command again, as a child of it, whose JSON is read.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Role } from '@ferrywire/core';
import type { CaseResult } from '../result.ts';
import { type PassiveTarget, TargetUnavailable } from '../target.ts';
import { endWithThisProcess } from './child-process.ts';
import { findCommand } from './installed.ts';

const before: Readonly<Record<'bun' | 'deno', readonly string[]>> = {
  bun: [],
  deno: ['run', '--allow-all', '--quiet', '--no-lock', '--cached-only', '--node-modules-dir=manual'],
};

/** Characters of the child's standard error that are kept. */
const mostErrors = 4096;

interface ChildReport {
  readonly runs: readonly { readonly results: Readonly<Record<string, Omit<CaseResult, 'id'>>> }[];
}

/** @param args for `self`, for instance `--split bytes` */
export function otherRuntime(runtime: 'bun' | 'deno', role: Role, name: string, args: readonly string[]): PassiveTarget {
  return {
    kind: 'passive',
    name,
    role,
    virtual: true,
    serve: async (cases, settings, onResult, signal) => {
      const script = fileURLToPath(new URL('../bin/conform.js', import.meta.url));
      const length =
        settings.messages === 'full' ? ['--full'] : settings.messages === null ? [] : ['--messages', String(settings.messages)];
      const ids = cases.map(({ id }) => id).join(',');
      const own = ['self', '--only', 'in-process', '--role', role, '--json', '-', '--seed', String(settings.seed), '--cases', ids];
      const output = await childOutput(findCommand(runtime), [...before[runtime], script, ...own, ...length, ...args], signal);
      const report: ChildReport = JSON.parse(output);
      for (const { results } of report.runs) for (const [id, rest] of Object.entries(results)) onResult({ id, ...rest });
    },
  };
}

function childOutput(command: string, args: readonly string[], signal: AbortSignal | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, DENO_NO_UPDATE_CHECK: '1' };
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env, ...(signal === undefined ? {} : { signal }) });
    endWithThisProcess(child);
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    // Its lines about single cases are in the report too; what counts is the last, where there is no report.
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-mostErrors);
    });
    child.once('error', (error) => reject(new TargetUnavailable(`${command}: ${error.message}`)));
    child.once('close', () => {
      if (output !== '') resolve(output);
      else reject(new TargetUnavailable(`${command}: ${errors.trim().split('\n').at(-1) || 'no report'}`));
    });
  });
}
