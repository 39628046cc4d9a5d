/**
 * The declarations of what knows no platform, as a consumer sees them who has none either: the library of ES2022 and no types.
 *
 * Each entry point is compiled alone, since a declaration of one would help the others.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../scripts/process.mjs';
import { root } from './repository.ts';

const neutral = [
  ...['core', 'core/frame', 'handshake', 'deflate', 'deflate/pako', 'driver', 'driver/testing', 'driver/adapter'],
  ...['websocket', 'streams'],
];

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ferrywire-declarations-'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the compiler says, declarations included. */
async function compile(name: string, source: string, options: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const place = join(folder, name.replaceAll('/', '-'));
  mkdirSync(place);
  writeFileSync(join(place, 'consumer.ts'), source);
  const compilerOptions = {
    ...{ target: 'ES2022', lib: ['ES2022'], types: [], module: 'NodeNext' },
    ...{ strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true },
    ...options,
  };
  writeFileSync(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['consumer.ts'] }));
  const { output, error } = await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', place], {
    cwd: place,
    timeout: 60,
  });
  return (error ?? output).trim();
}

describe('a consumer without any types compiles', () => {
  it.each(neutral)('@ferrywire/%s', { timeout: 70_000 }, async (name) => {
    expect(await compile(name, `import * as all from '@ferrywire/${name}';\nvoid all;\n`)).toBe('');
  });

  it('and the test can fail', { timeout: 70_000 }, async () => {
    expect(await compile('broken', "import * as all from '@ferrywire/node';\nvoid all;\n")).toContain('node:');
  });
});

describe('what a package takes and gives can be named in the declarations of who hands it on', () => {
  const handedOn: Readonly<Record<string, readonly string[]>> = {
    core: ['(of: all.Connection) => of.readInto(new Uint8Array(1))', '(of: all.TraceEntry) => of.frame'],
    handshake: ['(of: all.ServerPolicy) => of.subprotocols'],
    driver: ['(of: all.TimerHost) => of.add'],
    'driver/testing': ['(of: all.VirtualClock) => of.add'],
    'driver/adapter': ['(of: all.SharedTimers) => of.add'],
    conformance: ['(of: all.DeflateParameters) => of.policies', '(of: all.DeflateAgreement) => of.client'],
  };
  it.each(Object.entries(handedOn))('@ferrywire/%s', { timeout: 70_000 }, async (name, functions) => {
    const lines = functions.map((text, index) => `export const handOn${index} = ${text};\n`);
    const options = { declaration: true, types: name === 'conformance' ? ['node'] : [] };
    expect(await compile(`named-${name}`, `import * as all from '@ferrywire/${name}';\n${lines.join('')}`, options)).toBe('');
  });
});
