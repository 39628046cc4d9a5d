/**
 * Mutants of the core, each loaded as a fresh copy of its built modules with one condition changed. A case that names the clause must catch
 * each of them, in one role at least; the copy without a change must pass all of those cases.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type CaseResult, cases, collect, extraCases, inProcess, isSpotless, runCases } from '@ferrywire/conformance';
import type * as Core from '@ferrywire/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ferrywire } from '../dist/targets/ferrywire.js';
import { type Mutant, mutants } from './mutants.ts';

const built = fileURLToPath(new URL('../../packages/core/dist/', import.meta.url));
const everyCase = [...cases, ...extraCases];
let folder = '';
let copies = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mutants-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The core with one change, or with none. */
async function load(mutant: Mutant | null): Promise<typeof Core> {
  copies += 1;
  const copy = join(folder, String(copies));
  cpSync(built, copy, { recursive: true, filter: (source) => !source.endsWith('.map') });
  writeFileSync(join(copy, 'package.json'), '{"type":"module"}');
  if (mutant !== null) {
    const file = join(copy, mutant.file);
    writeFileSync(
      file,
      readFileSync(file, 'utf8').replace(mutant.find, () => mutant.replace),
    );
  }
  const loaded: typeof Core = await import(/* @vite-ignore */ pathToFileURL(join(copy, 'index.js')).href);
  return loaded;
}

async function run(core: typeof Core, include: readonly string[]): Promise<CaseResult[]> {
  const target = ferrywire((options) => new core.Connection(options));
  const results: CaseResult[] = [];
  for (const role of ['server', 'client'] as const) {
    results.push(...(await collect(runCases(inProcess(target, { role }), { cases: everyCase, include, messages: 2 }))));
  }
  return results;
}

describe('mutants', () => {
  it('are at least sixty, each a change of its own that fits the source in one place', () => {
    expect(mutants.length).toBeGreaterThanOrEqual(60);
    expect(new Set(mutants.map(({ file, find, replace }) => `${file} ${find} ${replace}`)).size).toBe(mutants.length);
    for (const { file, find, replace } of mutants) {
      const text = readFileSync(join(built, file), 'utf8');
      expect(text.split(find).length - 1, `${file}: ${find}`).toBe(1);
      expect(replace).not.toBe(find);
    }
  });

  it('have an original that passes every case they are caught by', async () => {
    const results = await run(await load(null), [...new Set(mutants.flatMap(({ cases: patterns }) => patterns))]);
    expect(results.filter((result) => !isSpotless(result))).toEqual([]);
  });

  it.each(
    mutants.map(
      (mutant) => [`${mutant.file}: ${mutant.find.replace(/\s+/g, ' ')} -> ${mutant.replace.replace(/\s+/g, ' ')}`, mutant] as const,
    ),
  )('%s', async (_, mutant) => {
    const results = await run(await load(mutant), mutant.cases);
    const caught = results.filter((result) => !isSpotless(result) && result.sections.includes(mutant.clause));
    expect(caught.map(({ id }) => id)).not.toEqual([]);
    expect(caught[0]?.reason).toMatch(/\w/);
  });
});
