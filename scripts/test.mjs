/**
 * `npm test`: every suite on every runtime it names, then one closing line `N passed, N failed`.
 *
 * Exits 1 when anything failed, did not load, ran out of time, or when nothing ran. Arguments narrow the run to suites whose name
 * contains one of them (`vitest` names the vitest suites): `node scripts/test.mjs contract`.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { helpIfAsked, wrongUse } from './arguments.mjs';
import { parseCounts, vitestCounts } from './counts.mjs';
import { outliveReader } from './output.mjs';
import { inParallel, run } from './process.mjs';
import { faultOf } from './runtime-faults.mjs';
import { probe, root, runtimes } from './runtimes.mjs';

outliveReader();
helpIfAsked(`use: npm test -- [WORD ...]

Every suite on every runtime it names, or those with one of the words in their name; 'vitest' stands for the tests that run on Node only.`);

// Another list, for the tests of this script.
const list = process.env.FERRYWIRE_SUITES;
/** @typedef {import('./suites.mjs').RuntimeName} RuntimeName */
/** @typedef {import('./suites.mjs').Suite} Suite */
/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */

/** @type {{ suites: readonly Suite[] }} */
const { suites } = await import(list === undefined ? './suites.mjs' : pathToFileURL(list).href);

const VITEST_SECONDS = 660;
const SUITE_SECONDS = 120;
/** What uvu prints besides what the tests say. */
const RUNNER_LINE = /^\s*$|^.*[•✘] .*\(\d+ \/ \d+\)\s*$|^\s*(Total|Passed|Skipped|Duration):\s/;

const wanted = process.argv.slice(2);
const option = wanted.find((word) => word.startsWith('-'));
if (option !== undefined) wrongUse(`Unknown option '${option}'`);
/** @param {string} name */
const isWanted = (name) => wanted.length === 0 || wanted.some((word) => name.includes(word));
/** @type {NodeJS.ProcessEnv} */
const env = { ...process.env, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1' };
delete env.FORCE_COLOR;

const total = { passed: 0, failed: 0 };

/**
 * @param {string} name
 * @param {string} where
 * @param {Counts} counts
 * @param {number} seconds
 * @param {readonly string[]} remarks
 */
function report(name, where, counts, seconds, remarks) {
  total.passed += counts.passed;
  total.failed += counts.failed;
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
  const verdict = counts.failed > 0 ? 'FAILED' : 'ok';
  console.log(
    `${verdict.padEnd(6)} ${name} [${where}]: ${counts.passed} of ${counts.passed + counts.failed}${skipped} (${seconds.toFixed(1)} s)`,
  );
  for (const remark of remarks) console.log(`       ${remark}`);
}

/** @param {string} version */
async function runVitest(version) {
  const folder = mkdtempSync(join(tmpdir(), 'ferrywire-'));
  const file = join(folder, 'report.json');
  try {
    const args = [
      join(root, 'node_modules/vitest/vitest.mjs'),
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${file}`,
    ];
    const result = await run(process.execPath, args, { cwd: root, env, timeout: VITEST_SECONDS, echo: true });
    let counts = { passed: 0, failed: 0, skipped: 0 };
    /** @type {string[]} */
    const remarks = [];
    if (existsSync(file)) {
      const { notLoaded, ...found } = vitestCounts(JSON.parse(readFileSync(file, 'utf8')));
      counts = found;
      for (const name of notLoaded) remarks.push(`did not load: ${relative(root, name)}`);
    } else {
      remarks.push('wrote no report');
    }
    if (result.timedOut) remarks.push(`stopped after ${VITEST_SECONDS} s`);
    // An error outside any test (an unhandled rejection) shows in the exit code only.
    if (result.code !== 0 && counts.failed === 0) {
      counts.failed = 1;
      remarks.push(`exit code ${result.code} without a failed test: an error outside the tests`);
    }
    report('vitest', `node ${version}`, counts, result.seconds, remarks);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * @param {Suite} suite
 * @param {RuntimeName} runtime
 * @param {string} version
 */
async function runSuite(suite, runtime, version) {
  const { command, args } = runtimes[runtime];
  const timeout = suite.timeout ?? SUITE_SECONDS;
  const start = () => run(command, [...args, resolve(root, suite.file), ...(suite.args ?? [])], { cwd: root, env, timeout });
  /** @type {string[]} */
  const remarks = [];
  let result = await start();
  let counts = parseCounts(result.output);
  const fault = counts === null ? faultOf(suite.name, runtime, result) : null;
  if (fault !== null) {
    remarks.push(`run once more, since a fault of the runtime ended it: ${fault}`);
    result = await start();
    counts = parseCounts(result.output);
  }
  if (counts === null) {
    counts = { passed: 0, failed: 1, skipped: 0 };
    remarks.push('printed no figures');
  } else if (counts.passed + counts.failed === 0) {
    counts.failed = 1;
    remarks.push('ran nothing');
  }
  if (result.error !== null) remarks.push(result.error);
  if (result.timedOut) remarks.push(`stopped after ${timeout} s`);
  if (result.code !== 0 && counts.failed === 0) {
    counts.failed = 1;
    remarks.push(`exit code ${result.code} although no test failed`);
  }
  const where = `${runtime.replace(/\d+$/, '')} ${version}`;
  // The output in one piece, so that suites that ran side by side do not mix; of a green suite, without the runner's own lines.
  const lines = result.output.trimEnd().split('\n');
  const shown = counts.failed > 0 ? lines : lines.filter((line) => !RUNNER_LINE.test(line));
  for (const line of shown) console.log(`       | ${line}`);
  report(suite.name, where, counts, result.seconds, remarks);
}

const all = /** @type {readonly RuntimeName[]} */ (Object.keys(runtimes));
const used = new Set(['node', ...suites.flatMap((suite) => suite.runtimes ?? all)]);
/** @type {Map<RuntimeName, string>} */
const versions = new Map();
for (const name of all) {
  if (!used.has(name)) continue;
  const { version, reason } = await probe(name);
  if (version === null) console.log(`skipped ${name}: ${reason}`);
  else versions.set(name, version);
}
console.log(`runtimes: ${[...versions].map(([name, version]) => `${name} ${version}`).join(', ')}`);

if (isWanted('vitest')) await runVitest(versions.get('node') ?? process.version);

/** @type {{ alone: (() => Promise<void>)[], shared: (() => Promise<void>)[] }} */
const jobs = { alone: [], shared: [] };
for (const suite of suites) {
  if (!isWanted(suite.name)) continue;
  for (const runtime of suite.runtimes ?? all) {
    const version = versions.get(runtime);
    if (version === undefined) console.log(`skipped ${suite.name} [${runtime}]: the runtime is not there`);
    else (suite.alone === true ? jobs.alone : jobs.shared).push(() => runSuite(suite, runtime, version));
  }
}
await inParallel(jobs.shared, Math.min(4, availableParallelism()));
await inParallel(jobs.alone, 1);

if (total.passed + total.failed === 0) console.log('nothing ran');
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
console.log(`${total.passed} passed, ${total.failed} failed`);
