/**
 * `npm run coverage`: which branches of the core and the handshake no test reaches. A branch that none can reach says so at its line, or on the
 * line above: `// not covered: why`. The right side of `list[index] ?? 0` needs none. Ends with `N passed, N failed`, one for each branch.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { join, resolve } from 'node:path';
import { readOptions } from './arguments.mjs';
import { countBranches } from './instrument/branches.mjs';
import { outliveReader } from './output.mjs';
import { run } from './process.mjs';
import { root } from './runtimes.mjs';

outliveReader();

const PACKAGES = ['core', 'handshake'];
const MARK = /not covered:/;
/** `list[index] ?? 0`: there for the compiler, which does not know that the index is in the list. */
const FOR_THE_COMPILER = /\] \?\? $/;
const usage = `use: npm run coverage -- [options]

  --keep FOLDER   keeps the counts there, and judges them again when they are there already`;
const values = readOptions(usage, { keep: { type: 'string' } });
/** Counts of an earlier run, kept there: judged again without running the tests. */
const isKept = values.keep !== undefined && existsSync(join(values.keep, 'packages'));

mkdirSync(join(root, 'tmp'), { recursive: true });
const folder = values.keep === undefined ? mkdtempSync(join(root, 'tmp/coverage-')) : resolve(values.keep);
mkdirSync(folder, { recursive: true });
/** A copy of what is counted, so that a build in the meantime makes no difference. */
const copy = join(folder, 'packages');
if (!isKept) {
  for (const name of PACKAGES) {
    for (const part of ['dist', 'src']) cpSync(join(root, 'packages', name, part), join(copy, name, part), { recursive: true });
  }
  const { code, output } = await run(
    process.execPath,
    [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--config', 'scripts/instrument/vitest.config.mjs'],
    { cwd: root, env: { ...process.env, COVERAGE_FOLDER: folder, COVERAGE_PACKAGES: PACKAGES.join(',') }, timeout: 1800 },
  );
  if (code !== 0) console.log(output.trimEnd());
}

/** @type {Map<string, number[]>} */
const counts = new Map();
for (const name of readdirSync(folder).filter((entry) => entry.endsWith('.json'))) {
  /** @type {Record<string, number[]>} */
  const found = JSON.parse(readFileSync(join(folder, name), 'utf8'));
  for (const [file, counters] of Object.entries(found)) {
    const sums = counts.get(file) ?? counters.map(() => 0);
    counts.set(
      file,
      sums.map((sum, index) => sum + (counters[index] ?? 0)),
    );
  }
}

/** What a counter counts, by the text that it stands at. @param {string} source @param {number} at */
function whatOf(source, at) {
  const text = source.slice(at, source.indexOf('\n', at));
  return text.startsWith('if ') ? 'never false' : text.startsWith('{') ? 'block' : text.slice(0, 40);
}

let passed = 0;
let explained = 0;
/** @type {string[]} */
const missing = [];
for (const name of PACKAGES) {
  const dist = join(copy, name, 'dist');
  for (const file of readdirSync(dist).filter((entry) => entry.endsWith('.js'))) {
    const source = readFileSync(join(dist, file), 'utf8');
    const { places } = countBranches(file, source, 0);
    if (places.length === 0) continue;
    const map = new SourceMap(JSON.parse(readFileSync(join(dist, `${file}.map`), 'utf8')));
    const lines = readFileSync(join(copy, name, 'src', file.replace(/js$/, 'ts')), 'utf8').split('\n');
    const counters = counts.get(`${name}/${file}`);
    for (const [index, at] of places.entries()) {
      if ((counters?.[index] ?? 0) > 0) {
        passed++;
        continue;
      }
      const before = source.slice(0, at).split('\n');
      const entry = map.findEntry(before.length - 1, before.at(-1)?.length ?? 0);
      const line = 'originalLine' in entry ? entry.originalLine : 0;
      if (FOR_THE_COMPILER.test(source.slice(Math.max(0, at - 6), at))) explained++;
      else if (MARK.test(lines[line] ?? '') || MARK.test(lines[line - 1] ?? '')) explained++;
      else
        missing.push(`packages/${name}/src/${file.replace(/js$/, 'ts')}:${line + 1}: ${whatOf(source, at)}: ${(lines[line] ?? '').trim()}`);
    }
  }
}
if (values.keep === undefined) rmSync(folder, { recursive: true, force: true });
for (const text of missing) console.log(`not reached: ${text}`);
console.log(`${passed} branches reached, ${explained} with a reason why not`);
console.log(`${passed + explained} passed, ${missing.length} failed`);
process.exitCode = missing.length === 0 && passed > 0 ? 0 : 1;
