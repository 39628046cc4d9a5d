/** An engine without the web's globals is told which of them is missing, as the package is imported. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { root } from './repository.ts';

const needed = {
  core: ['TextDecoder', 'TextEncoder'],
  handshake: ['URL', 'btoa'],
  driver: ['queueMicrotask'],
  websocket: ['Event', 'EventTarget', 'MessageEvent', 'DOMException', 'AbortController', 'Blob'],
};
const pairs = Object.entries(needed).flatMap(([name, globals]) => globals.map((missing) => [name, missing] as const));

it.each(pairs)('@ferrywire/%s without %s', async (name, missing) => {
  const program = `globalThis.${missing} = undefined; import('@ferrywire/${name}').catch((error) => console.log(String(error)))`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: root,
    timeout: 60_000,
  });
  expect(stdout).toBe(`TypeError: @ferrywire/${name} needs globalThis.${missing}, which this runtime does not have\n`);
});
