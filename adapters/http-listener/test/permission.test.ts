/**
 * A runtime that withholds the network: what .NET has as "access denied", and never an exception that nobody can catch.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));
/** The system's own Node, if it can withhold the network, or else the optional dependency, which has no build for some platforms. */
const node = [process.execPath, `${root}node_modules/node26/bin/node`].find(
  (path) => spawnSync(path, ['--permission', '--allow-net', '-e', '0'], { timeout: 20_000 }).status === 0,
);
if (node === undefined) console.warn('skipped: no Node here knows --allow-net (25 or later)');
const deno = `${root}node_modules/.bin/deno`;

/** Each prefix by itself; then once more, since what has failed may leave nothing behind; then one that is added while it listens. */
const program = `
import { HttpListener } from '@ferrywire/http-listener';
const told = (error) => error.name + ' ' + error.errorCode;
const prefixes = ['http://127.0.0.1:0/', 'http://localhost:0/', 'http://+:0/'];
const found = [];
for (const prefix of [...prefixes, ...prefixes]) {
  const listener = new HttpListener();
  listener.prefixes.add(prefix);
  found.push(await listener.start().then(() => 'listens', told));
  listener.close();
}
const listener = new HttpListener();
await listener.start();
listener.prefixes.add(prefixes[0]);
found.push(await listener.start().then(() => 'listens', told));
listener.close();
console.log(JSON.stringify(found));
`;

/** What the program prints, or else how it ended. */
function run(command: string, args: readonly string[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, timeout: 20_000, env: { ...process.env, NO_COLOR: '1' } });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    child.on('error', reject);
    child.on('close', () => resolve(out === '' ? err : JSON.parse(out)));
    child.stdin.on('error', () => {});
    child.stdin.end(program);
  });
}
const denied = new Array(7).fill('HttpListenerException 5');
const listens = new Array(7).fill('listens');

describe.skipIf(node === undefined)('Node with --permission', () => {
  const start = (...flags: string[]) =>
    run(node ?? '', ['--permission', ...flags, '--allow-fs-read=*', '--no-warnings', '--input-type=module', '-']);

  it('and without --allow-net: access is denied', { timeout: 30_000 }, async () => {
    expect(await start()).toEqual(denied);
  });
  it('and with --allow-net it listens', { timeout: 30_000 }, async () => {
    expect(await start('--allow-net')).toEqual(listens);
  });
});

describe.skipIf(!existsSync(deno))('Deno', () => {
  const start = (...flags: string[]) =>
    run(deno, ['run', '--no-prompt', '--no-lock', '--cached-only', '--node-modules-dir=manual', '--quiet', '--allow-read', ...flags, '-']);

  it('without --allow-net: access is denied', { timeout: 30_000 }, async () => {
    expect(await start()).toEqual(denied);
  });
  it('with --allow-net it listens', { timeout: 30_000 }, async () => {
    expect(await start('--allow-net')).toEqual(listens);
  });
});
