/**
 * The state machines are tables that everything goes through (`state.ts`): the scenarios hold on the core as it is, and a change of any one
 * cell, made while loading, makes one of them fail.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Connection } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { allMutants } from './state-mutants.mjs';
import { firstFailure, scenarios, states } from './state-scenarios.mjs';

const dist = dirname(fileURLToPath(import.meta.resolve('@ferrywire/core')));
const tables = await import(/* @vite-ignore */ pathToFileURL(join(dist, 'state.js')).href);
type Mutant = ReturnType<typeof allMutants>[number];

describe('the state tables as behaviour', () => {
  const core = { Connection, advance: tables.advance };
  it.each([...scenarios])('%s', (_name, run) => {
    run(core);
  });
});

describe('the tables', () => {
  it('have every pair of state and input', () => {
    expect(Object.keys(tables.lifecycle)).toEqual(states);
    for (const row of Object.values(tables.lifecycle) as object[]) {
      expect(Object.keys(row)).toEqual(['sendClose', 'receiveClose', 'fail', 'eof', 'abort']);
    }
    expect(Object.keys(tables.meaning)).toEqual(states);
    for (const row of Object.values(tables.fragmentation) as object[])
      expect(Object.keys(row)).toEqual(['whole', 'first', 'middle', 'last']);
  });
});

/** A mutant that takes longer than this runs for ever. */
const PATIENCE = 20_000;

/** For each mutant the scenario that failed, or null. */
async function judgeAll(mutants: readonly Mutant[], folder: string): Promise<(string | null)[]> {
  const verdicts: (string | null)[] = [];
  while (verdicts.length < mutants.length) {
    const worker = new Worker(new URL('state-mutants.mjs', import.meta.url), {
      workerData: { dist, folder, mutants, from: verdicts.length },
    });
    await new Promise<void>((resolve, reject) => {
      let timer = setTimeout(stuck, PATIENCE);
      function stuck(): void {
        verdicts.push('does not come to an end');
        resolve();
      }
      worker.on('message', ({ failure }: { failure: string | null }) => {
        verdicts.push(failure);
        clearTimeout(timer);
        if (verdicts.length === mutants.length) resolve();
        else timer = setTimeout(stuck, PATIENCE);
      });
      worker.on('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
    });
    await worker.terminate();
  }
  return verdicts;
}

describe('every cell is covered', () => {
  it('whichever cell is changed while loading, to whatever it may say, a scenario fails', { timeout: 300_000 }, async () => {
    const mutants = allMutants(tables);
    const folder = mkdtempSync(join(tmpdir(), 'ferrywire-states-'));
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    try {
      // The copy itself is sound.
      const [sound, ...verdicts] = await judgeAll([null as never, ...mutants], folder);
      expect(sound).toBe(null);
      const survivors = mutants
        .filter((_mutant, at) => verdicts[at] === null)
        .map(({ table, row, column, value }) => `${table}.${row}.${column} = ${String(value)}`);
      expect(survivors).toEqual([]);
      const cells = new Set(mutants.map(({ table, row, column }) => `${table}.${row}.${column}`));
      console.log(
        `state-tables: ${mutants.length} mutants of ${cells.size} cells, ${verdicts.filter((verdict) => verdict !== null).length} found by a scenario`,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

it('firstFailure tells nothing about a sound core', () => {
  expect(firstFailure({ Connection, advance: tables.advance })).toBe(null);
});
