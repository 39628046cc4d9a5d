/**
 * A runtime that withholds the network: what .NET has as "access denied", and never an exception that nobody can catch.
 */
import { spawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { deno, denoArguments, node, root } from '../../../test/withheld.ts';

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

describe.skipIf(deno === undefined)('Deno', () => {
  const start = (...flags: string[]) => run(deno ?? '', [...denoArguments, ...flags, '-']);

  it('without --allow-net: access is denied', { timeout: 30_000 }, async () => {
    expect(await start()).toEqual(denied);
  });
  it('with --allow-net it listens', { timeout: 30_000 }, async () => {
    expect(await start('--allow-net')).toEqual(listens);
  });
});
