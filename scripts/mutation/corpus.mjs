/** The fuzzer's corpus as tests for mutants: many short lives of connections. */
import { readdirSync, readFileSync } from 'node:fs';
import { it } from 'vitest';
import { targets } from '../fuzz/targets.mjs';

for (const name of ['frames', 'life', 'split']) {
  const folder = new URL(`../fuzz/corpus/${name}/`, import.meta.url);
  it(`corpus of ${name}`, () => {
    for (const file of readdirSync(folder)) targets[name]?.(new Uint8Array(readFileSync(new URL(file, folder))));
  });
}
