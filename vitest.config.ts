/**
 * The vitest suites: unit, property and repository tests, on the system's Node. They import the packages by name, so they test the built
 * `dist`; suites that run on every runtime are listed in `scripts/suites.mjs` instead.
 */
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    setupFiles: ['test/equality.ts'],
    include: ['test/**/*.test.ts', '{packages,adapters}/*/test/**/*.test.ts', '{conformance,bench}/test/**/*.test.ts'],
    // Forks, so that memory and CPU time of one file are its own; `--expose-gc` for the tests that bound memory.
    pool: 'forks',
    execArgv: ['--expose-gc'],
    // Without this a machine of two cores gets one worker.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 60_000,
    hookTimeout: 60_000,
    passWithNoTests: false,
    coverage: { provider: 'v8', reporter: ['text-summary', 'json-summary'], include: ['packages/*/src/**/*.ts'] },
  },
});
