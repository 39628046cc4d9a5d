/** The tests of the core and the handshake with counted branches: see `scripts/coverage.mjs`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { countBranches } from './branches.mjs';

const here = (/** @type {string} */ file) => fileURLToPath(new URL(file, import.meta.url));
const packages = (process.env.COVERAGE_PACKAGES ?? '').split(',');

/** The counters of a file are `globalThis.__branches['core/frame.js']`. @type {import('vitest/config').ViteUserConfig['plugins']} */
const plugins = [
  {
    name: 'count-branches',
    enforce: 'pre',
    load(id) {
      const [, name = '', file = ''] = /\/packages\/(\w+)\/dist\/([\w-]+\.js)(?:\?.*)?$/.exec(id) ?? [];
      if (!packages.includes(name)) return null;
      const code = readFileSync(join(process.env.COVERAGE_FOLDER ?? '', 'packages', name, 'dist', file), 'utf8');
      const { next } = countBranches(file, code, 0);
      const counters = `((globalThis.__branches??={})[${JSON.stringify(`${name}/${file}`)}]??=new Uint32Array(${next}))`;
      return { code: countBranches(file, code, 0, counters).code, map: null };
    },
  },
];

export default defineConfig({
  plugins,
  root: here('../../'),
  test: {
    include: ['packages/{core,handshake}/test/**/*.test.ts', 'test/fuzz.test.ts'],
    // Memory and time are not what they are without counters.
    exclude: ['**/*memory*', '**/security.test.ts'],
    pool: 'forks',
    execArgv: ['--expose-gc'],
    setupFiles: [here('./collect.mjs')],
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
