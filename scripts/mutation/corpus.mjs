/** More tests for mutants: the fuzzer's corpus, many short lives of connections, and the scenarios of the state tables. */
import { readdirSync, readFileSync } from 'node:fs';
import * as core from '@ferrywire/core';
import { it } from 'vitest';
import { scenarios } from '../../packages/core/test/state-scenarios.mjs';
import { targets } from '../fuzz/targets.mjs';

for (const name of ['frames', 'life', 'split']) {
  const folder = new URL(`../fuzz/corpus/${name}/`, import.meta.url);
  it(`corpus of ${name}`, () => {
    for (const file of readdirSync(folder)) targets[name]?.(new Uint8Array(readFileSync(new URL(file, folder))));
  });
}
const { advance } = await import(new URL('state.js', import.meta.resolve('@ferrywire/core')).href);
for (const [name, run] of scenarios) it(`state: ${name}`, () => run({ Connection: core.Connection, advance }));
