/**
 * `npm run mutation [-- --file NAME --tests NAME --sample N --seed S --again FILE --explained --out FILE --document]`: how many small changes
 * of the core's compiled sources its tests notice. `--tests`: only those in files with NAME in their name. `--again`: what a run before has
 * found killed, or alive for a reason, is not tried again; with `--explained` the latter is.
 *
 * All mutants are in one copy of the sources, switched on one at a time in a process that has loaded the tests; each is run against tests that
 * reach it, the likeliest first, until one fails or takes eight times the steps it should. What kills a mutant must pass without it right after.
 * Survivors are compared with `scripts/mutation/reasons.mjs`. Ends with `N passed, N failed`: killed mutants and those with a reason passed.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readOptions, wrongUse } from './arguments.mjs';
import { documentOf, groupBy } from './mutation/document.mjs';
import { mutate } from './mutation/mutants.mjs';
import { reasonFor } from './mutation/reasons.mjs';
import { outliveReader } from './output.mjs';
import { root } from './runtimes.mjs';
import { randomFrom } from './soak/random.mjs';

outliveReader();

const usage = `use: npm run mutation -- [options]

  --file NAME     only mutants of NAME.ts, as often as needed
  --tests NAME    only tests in files with NAME in their name
  --sample N      only N of the mutants
  --seed S        which ones (default 1)
  --out FILE      writes the verdicts there as they come
  --again FILE    leaves out what such a file says was killed, or is alive for a reason, and gives the rest more time
  --explained     with --again: tries what is alive for a reason, too
  --document      writes docs/mutation.md`;
const values = readOptions(usage, {
  sample: { type: 'string' },
  seed: { type: 'string', default: '1' },
  file: { type: 'string', multiple: true },
  tests: { type: 'string' },
  again: { type: 'string' },
  explained: { type: 'boolean', default: false },
  out: { type: 'string' },
  document: { type: 'boolean', default: false },
});
const core = join(root, 'packages/core');
const seed = Number(values.seed);
const sample = values.sample === undefined ? null : Number(values.sample);
if (!Number.isInteger(seed) || !(sample === null || (Number.isInteger(sample) && sample > 0))) {
  wrongUse('--sample must be a positive whole number, --seed an integer');
}
for (const name of values.file ?? []) {
  if (!existsSync(join(core, 'src', `${name}.ts`))) wrongUse(`--file ${name}: the core has no ${name}.ts`);
}
/** @type {Result[]} */
const earlier = values.again === undefined ? [] : orWrongUse('--again', () => JSON.parse(readFileSync(String(values.again), 'utf8')));
if (values.out !== undefined) orWrongUse('--out', () => closeSync(openSync(String(values.out), 'a')));

/** @template T @param {string} name @param {() => T} act @returns {T} */
function orWrongUse(name, act) {
  try {
    return act();
  } catch (error) {
    return wrongUse(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Type stripping and synchronous hooks. */
const node = join(root, 'node_modules/node24/bin/node');
if (!existsSync(node)) wrongUse('mutation testing needs Node 24, which has no build for this platform');
/** Tests that measure memory or time, start processes, or load the core anew, say nothing about a mutant that the others do not say sooner. */
const LEFT_OUT = /memory|security|state-tables|platform/;
/** CPU time that the tests of one mutant take without it, at most; one that survived before gets more. */
const TIME_MS = 2000;
const MORE_TIME_MS = 4000;
/** A slower test is never asked. */
const SLOWEST_MS = 1000;
const PATIENCE_MS = 20_000;

const folder = join(core, 'test');
const chosenFiles = readdirSync(folder).filter(
  (file) => file.endsWith('.test.ts') && !LEFT_OUT.test(file) && file.includes(values.tests ?? ''),
);
if (chosenFiles.length === 0) wrongUse(`--tests ${values.tests}: no test of the core is in such a file`);
const files = [...chosenFiles.map((file) => join(folder, file)), fileURLToPath(new URL('./mutation/corpus.mjs', import.meta.url))];
mkdirSync(join(root, 'tmp'), { recursive: true });
const dist = mkdtempSync(join(root, 'tmp/mutation-'));
process.once('exit', () => rmSync(dist, { recursive: true, force: true }));
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.once(signal, () => process.exit(130));

/** @typedef {{ file: string, line: number, where: string, what: string, nth: number }} Place `nth`: of the same changes in the same function. */
/** The place of mutant `id` is at `id - 1`. @type {Place[]} */
const places = [];
for (const file of readdirSync(join(core, 'dist')).filter((entry) => entry.endsWith('.js'))) {
  const text = readFileSync(join(core, 'dist', file), 'utf8');
  const { code, mutants } = mutate(file, text, places.length + 1);
  /** @type {Map<string, number>} */
  const seen = new Map();
  for (const { at, what: change, where } of mutants) {
    const what = change.replace(/\s+/g, ' ').slice(0, 160);
    const nth = seen.get(where + what) ?? 0;
    seen.set(where + what, nth + 1);
    places.push({ file, line: text.slice(0, at).split('\n').length, where, what, nth });
  }
  writeFileSync(join(dist, file), code);
}
const hooks = new URL('./mutation/hooks.mjs', import.meta.url).href;

class Runner {
  /** @param {number} mutant Switched on while the sources are loaded; 0 for none. */
  constructor(mutant) {
    this.child = fork(fileURLToPath(new URL('./mutation/worker.mjs', import.meta.url)), {
      execPath: node,
      execArgv: ['--expose-gc', '--no-warnings', '--import', hooks],
      env: { ...process.env, MUTANT: String(mutant), CORE_DIST: dist, NODE_COMPILE_CACHE: join(dist, 'compiled') },
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.child.on('error', () => this.stop());
  }
  /** @type {import('node:child_process').ChildProcess | null} */
  child = null;

  /** The answer; null when there is none in time, or the process dies. @param {object} message @param {number} ms @returns {Promise<any>} */
  async ask(message, ms) {
    const { child } = this;
    if (child === null) return null;
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), ms);
    try {
      const said = once(child, 'message', { signal: patience.signal }).then(([answer]) => answer);
      const died = once(child, 'exit', { signal: patience.signal }).then(() => null);
      child.send(message);
      return await Promise.race([said, died]);
    } catch {
      return null;
    } finally {
      clearTimeout(timer);
      patience.abort();
    }
  }
  stop() {
    this.child?.kill('SIGKILL');
    this.child = null;
  }
}
/** @returns {Promise<{ runner: Runner, hello: any }>} */
async function start() {
  const runner = new Runner(0);
  const hello = await runner.ask({ do: 'load', files }, 120_000);
  if (hello === null) throw new Error('the tests cannot be loaded');
  return { runner, hello };
}

console.log('mutation: finding out which test reaches what');
/** @typedef {{ index: number, file: string, local: number, ms: number, steps: number, isFull: boolean, hits: Set<number> }} Test */
/** @type {Test[]} */
const tests = [];
let { runner, hello } = await start();
process.once('exit', () => runner.stop());
for (const [index, { file, name, local }] of hello.tests.entries()) {
  const result = await runner.ask({ do: 'baseline', index }, 60_000);
  if (result === null) {
    runner.stop();
    ({ runner, hello } = await start());
  }
  if (result?.isSlow === true) continue;
  if (result === null || result.wrong !== null)
    console.log(`left out, it fails without a mutant: ${name}: ${result?.wrong ?? 'no answer'}`);
  else if (result.ms < SLOWEST_MS) tests.push({ index, file, local, ...result, hits: new Set(result.hits) });
}
const isStatic = new Set(/** @type {number[]} */ (hello.loaded));

const random = randomFrom(seed);
let wanted = Array.from(places.keys(), (index) => index + 1);
const placeOf = (/** @type {number} */ id) => /** @type {Place} */ (places[id - 1]);
if (values.file !== undefined) wanted = wanted.filter((id) => values.file?.some((name) => placeOf(id).file === `${name}.js`));
/** @typedef {'killed' | 'without end' | 'survived' | 'unreached'} Outcome */
/** @typedef {Place & { outcome: Outcome }} Result */
const isAlive = (/** @type {{ outcome: Outcome }} */ { outcome }) => outcome === 'survived' || outcome === 'unreached';
/** What a run before found: who was killed stays so, and who lives for a reason. @type {Map<string, Result>} */
const before = new Map();
const keyOf = (/** @type {Place} */ { file, where, what, nth }) => JSON.stringify([file, where, what, nth]);
for (const result of earlier) before.set(keyOf(result), result);
if (sample !== null) {
  const keyed = wanted.map((id) => ({ id, key: random.next() })).sort((a, b) => a.key - b.key);
  wanted = keyed.slice(0, sample).map(({ id }) => id);
}

/** Which tests have killed what: what killed a mutant kills its neighbours. @type {Map<string, Map<Test, number>>} */
const kills = new Map();
const killsIn = (/** @type {string} */ area) => kills.get(area) ?? kills.set(area, new Map()).get(area) ?? new Map();
/** @param {number} id */
const areasOf = (id) => [killsIn(''), killsIn(placeOf(id).file), killsIn(`${placeOf(id).file} ${placeOf(id).where}`)];
/** @param {number} id @param {Test} test */
function credit(id, test) {
  for (const area of areasOf(id)) area.set(test, (area.get(test) ?? 0) + 1);
}
/**
 * Tests that reach a mutant, as many as there is time for: by turns the cheapest, the one that has killed most near it for its time, and the
 * one that reaches least else, which is likely to be about it. Most tests take less than a millisecond, so nearly all of those are asked.
 *
 * @param {number} id
 * @param {number} time
 * @returns {readonly Test[]} Those that are likeliest to kill it first.
 */
function testsFor(id, time) {
  const reaching = isStatic.has(id) ? tests : tests.filter(({ hits }) => hits.has(id));
  const [anywhere, inFile, inFunction] = areasOf(id);
  /** @type {Map<Test, number>} */
  const merits = new Map();
  for (const test of reaching) {
    const found = (anywhere?.get(test) ?? 0) / 20 + (inFile?.get(test) ?? 0) / 4 + (inFunction?.get(test) ?? 0);
    merits.set(test, (found + 0.05) / (0.2 + test.ms));
  }
  const merit = (/** @type {Test} */ test) => merits.get(test) ?? 0;
  const orders = [
    [...reaching].sort((a, b) => a.ms - b.ms || a.index - b.index),
    [...reaching].sort((a, b) => merit(b) - merit(a) || a.index - b.index),
    [...reaching].sort((a, b) => a.hits.size - b.hits.size || a.index - b.index),
  ];
  /** @type {Set<Test>} */
  const chosen = new Set();
  for (const order of orders) {
    let left = time / orders.length;
    for (const test of order) {
      if (chosen.has(test)) continue;
      left -= test.ms;
      if (left < 0) break;
      chosen.add(test);
    }
  }
  return [...chosen].sort((a, b) => merit(b) - merit(a) || a.index - b.index);
}
const chosenOf = (/** @type {Test} */ { index, steps, isFull }) => ({ index, steps, isFull });

/** @param {number} id @param {readonly Test[]} list @returns {Promise<Outcome>} */
async function judgeFresh(id, list) {
  const byFile = groupBy(list, ({ file }) => file);
  const fresh = new Runner(id);
  const message = [...byFile].map(([file, own]) => ({ file, chosen: own.map((test) => ({ ...chosenOf(test), index: test.local })) }));
  const answer = await fresh.ask({ do: 'fresh', files: message }, 4 * PATIENCE_MS);
  fresh.stop();
  return answer === null ? 'without end' : answer.killer >= 0 ? 'killed' : 'survived';
}
/** @param {number} id @param {readonly Test[]} list @returns {Promise<Outcome>} */
async function judge(id, list) {
  const ask = (/** @type {readonly Test[]} */ own) =>
    runner.ask({ do: 'kill', id, chosen: own.map(chosenOf) }, PATIENCE_MS + 4 * MORE_TIME_MS);
  let answer = await ask(list);
  const killer = list[answer?.killer ?? -1];
  if (answer !== null && !answer.isSpoiled) {
    if (killer !== undefined) credit(id, killer);
    return killer === undefined ? 'survived' : 'killed';
  }
  runner.stop();
  ({ runner } = await start());
  if (answer === null || killer === undefined) return 'without end';
  // In a new process nothing was spoiled before: what fails there fails because of the mutant.
  answer = await ask([killer]);
  if (answer !== null && !answer.isSpoiled) return answer.killer >= 0 ? 'killed' : 'survived';
  runner.stop();
  ({ runner } = await start());
  return 'killed';
}

console.log(`mutation: ${wanted.length} of ${places.length} mutants, ${tests.length} tests`);
/** @type {Result[]} */
const results = [];
/** Written down as they come: a run takes long. */
function survivors() {
  if (values.out !== undefined) writeFileSync(values.out, JSON.stringify(results, null, 1));
  return results.filter(isAlive).map((result) => ({ ...result, reason: reasonFor(result) }));
}
let judged = 0;
/** @param {number} id @param {number} time */
async function judgeOne(id, time) {
  const list = testsFor(id, time);
  const outcome = list.length === 0 ? 'unreached' : await (isStatic.has(id) ? judgeFresh : judge)(id, list);
  results.push({ ...placeOf(id), outcome });
  if (++judged % 100 === 0) console.log(`${results.length} of ${wanted.length}: ${results.length - survivors().length} killed`);
}
/** With `--explained` those that live for a reason are tried again too: tests may have come that see them. */
const isSettled = (/** @type {Result} */ result) => !values.explained && reasonFor(result) !== null;
/** @type {number[]} */
const anew = [];
for (const id of wanted) {
  const known = before.get(keyOf(placeOf(id)));
  if (known === undefined) anew.push(id);
  else if (!isAlive(known) || isSettled(known)) results.push({ ...placeOf(id), outcome: known.outcome });
}
for (const id of anew) await judgeOne(id, TIME_MS);
for (const id of wanted) {
  const known = before.get(keyOf(placeOf(id)));
  if (known !== undefined && isAlive(known) && !isSettled(known)) await judgeOne(id, MORE_TIME_MS);
}
runner.stop();

const alive = survivors();
for (const { file, line, where, what, outcome, reason } of alive) {
  if (reason === null) console.log(`${outcome}: ${file}:${line} ${where}: ${what}`);
}
const killed = results.length - alive.length;
const explained = alive.filter(({ reason }) => reason !== null).length;
if (values.document) writeFileSync(join(root, 'docs/mutation.md'), documentOf(results, reasonFor, places.length));
const share = ((100 * killed) / results.length).toFixed(1);
console.log(`${killed} of ${results.length} mutants killed (${share} %), ${explained} survive with a reason`);
console.log(`${killed + explained} passed, ${alive.length - explained} failed`);
process.exitCode = killed / results.length >= 0.9 && explained === alive.length ? 0 : 1;
