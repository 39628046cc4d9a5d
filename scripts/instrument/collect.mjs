/** A setup file of vitest: properties take the same inputs every time, and at the end of each test file its counts are written down. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll } from 'vitest';

fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: 1 });

afterAll(() => {
  const { __branches: branches = {} } = /** @type {{ __branches?: Record<string, Uint32Array> }} */ (globalThis);
  const counts = Object.fromEntries(Object.entries(branches).map(([file, counters]) => [file, [...counters]]));
  writeFileSync(join(process.env.COVERAGE_FOLDER ?? '.', `${process.pid}-${Date.now()}.json`), JSON.stringify(counts));
});
