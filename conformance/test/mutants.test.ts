/**
 * Mutants of the core, each loaded as a fresh copy of its built modules with one condition changed. A case that names the clause must catch
 * each of them: in one role at least, with the input whole or in single bytes. The copy without a change must pass all of those cases.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CaseResult, cases, collect, extraCases, inProcess, isSpotless, runCases, singleBytes, whole } from '@ferrywire/conformance';
import type * as Core from '@ferrywire/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ferrywire } from '../dist/targets/ferrywire.js';
import type { Mutant } from './mutant.ts';
import { frameMutants } from './mutants-frames.ts';
import { inputMutants } from './mutants-input.ts';
import { stateMutants } from './mutants-states.ts';

const mutants: readonly Mutant[] = [...frameMutants, ...stateMutants, ...inputMutants];
const load = createRequire(import.meta.url);
const built = fileURLToPath(new URL('../../packages/core/dist/', import.meta.url));
const everyCase = [...cases, ...extraCases];
const modules = readdirSync(built).filter((name) => name.endsWith('.js'));
let folder = '';
let copies = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mutants-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The core with one change, or with none. */
function mutated(mutant: Mutant | null): typeof Core {
  copies += 1;
  const copy = join(folder, String(copies));
  mkdirSync(copy);
  writeFileSync(join(copy, 'package.json'), '{"type":"module"}');
  for (const file of modules) {
    const text = readFileSync(join(built, file), 'utf8').replace(/^\/\/# sourceMappingURL=.*$/m, '');
    writeFileSync(join(copy, file), file === mutant?.file ? text.replace(mutant.find, () => mutant.replace) : text);
  }
  // By Node's own loader: the runner's would transform every file of every copy.
  const loaded: typeof Core = load(join(copy, 'index.js'));
  return loaded;
}

const ways = [
  [whole, 'pull'],
  [singleBytes(), 'push'],
] as const;

/** Stops after the first way and role in which `enough` is found. */
async function run(core: typeof Core, include: readonly string[], enough: (results: CaseResult[]) => boolean): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const [split, mode] of ways) {
    const target = ferrywire((options) => new core.Connection(options), mode);
    for (const role of ['server', 'client'] as const) {
      results.push(...(await collect(runCases(inProcess(target, { role, split }), { cases: everyCase, include, messages: 2 }))));
      if (enough(results)) return results;
    }
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
    const results = await run(mutated(null), [...new Set(mutants.flatMap(({ cases: patterns }) => patterns))], () => false);
    expect(results.filter((result) => !isSpotless(result))).toEqual([]);
  });

  it.each(
    mutants.map(
      (mutant) => [`${mutant.file}: ${mutant.find.replace(/\s+/g, ' ')} -> ${mutant.replace.replace(/\s+/g, ' ')}`, mutant] as const,
    ),
  )('%s', async (_, mutant) => {
    const namesClause = ({ sections, reason }: CaseResult): boolean =>
      sections.includes(mutant.clause) || reason?.includes(mutant.clause) === true;
    const caughtIn = (results: readonly CaseResult[]): CaseResult[] =>
      results.filter((result) => !isSpotless(result) && namesClause(result));
    const caught = caughtIn(await run(mutated(mutant), mutant.cases, (results) => caughtIn(results).length > 0));
    expect(caught.map(({ id }) => id)).not.toEqual([]);
    expect(caught[0]?.reason).toMatch(/\w/);
  });
});
