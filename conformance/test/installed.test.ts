/**
 * The command where npm puts it, in the `node_modules` of a project: other runtimes are found there too, or said to be missing.
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { cleanUps } from './servers.ts';

const own = fileURLToPath(new URL('..', import.meta.url));
const modules = fileURLToPath(new URL('../../node_modules/', import.meta.url));
const bun = join(modules, '.bin/bun');

/** A project with a copy of this package; returns its `node_modules`. */
function install(): string {
  const project = mkdtempSync(join(tmpdir(), 'conform-'));
  cleanUps.push(() => rmSync(project, { recursive: true }));
  const scope = join(project, 'node_modules/@ferrywire');
  mkdirSync(scope, { recursive: true });
  for (const name of ['dist', 'data', 'peers', 'package.json']) {
    cpSync(join(own, name), join(scope, 'conformance', name), { recursive: true });
  }
  for (const name of readdirSync(join(modules, '@ferrywire'))) {
    if (name !== 'conformance') symlinkSync(realpathSync(join(modules, '@ferrywire', name)), join(scope, name));
  }
  return join(project, 'node_modules');
}

/** Without a PATH, on which the other runtimes may be as well. */
function parity(place: string): Promise<{ readonly code: unknown; readonly text: string }> {
  const args = [join(place, '@ferrywire/conformance/dist/bin/conform.js'), 'parity', 'server-bun', '--cases', '1.1.1'];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { env: { PATH: '' }, timeout: 20_000 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : error.code, text: `${out}${err}` });
    });
  });
}

describe('installed in a project', () => {
  it('says which runtime is missing', { timeout: 30_000 }, async () => {
    expect(await parity(install())).toEqual({ code: 2, text: 'bun is not installed\n' });
  });

  it('finds a runtime that is installed there', { timeout: 30_000 }, async () => {
    const place = install();
    mkdirSync(join(place, '.bin'));
    symlinkSync(realpathSync(bun), join(place, '.bin/bun'));
    const { code, text } = await parity(place);
    expect(text).toContain('server-bun: 1 of 1 verdicts are the same');
    expect(code).toBe(0);
  });
});
