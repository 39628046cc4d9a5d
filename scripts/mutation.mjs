/**
 * `npm run mutation [-- --sample N --seed S --file NAME]`: how many small changes of the core's compiled sources its tests notice.
 *
 * All mutants are in one copy of the sources, switched on one at a time in processes that have loaded the tests; each mutant is run against
 * the tests that reach it, the quickest first, until one fails. Survivors are compared with `scripts/mutation/survivors.json`, where each
 * has its reason. Ends with `N passed, N failed`: killed mutants and those with a reason passed.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mutate } from './mutation/mutants.mjs';
import { root } from './runtimes.mjs';
import { randomFrom } from './soak/random.mjs';

const { values } = parseArgs({
  options: { sample: { type: 'string' }, seed: { type: 'string', default: '1' }, file: { type: 'string' }, out: { type: 'string' } },
});
/** Type stripping and synchronous hooks. */
const node = join(root, 'node_modules/node24/bin/node');
if (!existsSync(node)) {
  console.error('mutation testing needs Node 24, which has no build for this platform');
  process.exit(2);
}
/** Tests that measure memory or time, or start processes, say nothing about a mutant that the others do not say sooner. */
const LEFT_OUT = /memory|security|state-tables/;
/** Slower tests are asked only where no others reach a mutant. */
const QUICK_MS = 1500;
const SLOWEST_MS = 8000;
const TESTS_PER_MUTANT = 60;
const MOST_PATIENCE = 30_000;

const folder = join(root, 'packages/core/test');
const files = [
  ...readdirSync(folder)
    .filter((file) => file.endsWith('.test.ts') && !LEFT_OUT.test(file))
    .map((file) => join(folder, file)),
  fileURLToPath(new URL('./mutation/corpus.mjs', import.meta.url)),
];
mkdirSync(join(root, 'tmp'), { recursive: true });
const dist = mkdtempSync(join(root, 'tmp/mutation-'));
process.once('exit', () => rmSync(dist, { recursive: true, force: true }));
/** @type {import('./mutation/mutants.mjs').Mutant[]} */
const mutants = [];
/** @type {{ file: string, first: number, count: number, text: string }[]} */
const sources = [];
for (const file of readdirSync(join(root, 'packages/core/dist')).filter((entry) => entry.endsWith('.js'))) {
  const text = readFileSync(join(root, 'packages/core/dist', file), 'utf8');
  const { code, mutants: found } = mutate(file, text, mutants.length + 1);
  sources.push({ file, first: mutants.length + 1, count: found.length, text });
  mutants.push(...found);
  writeFileSync(join(dist, file), code);
}
const hooks = new URL('./mutation/hooks.mjs', import.meta.url).href;

class Runner {
  /** @param {number} [mutant] Switched on while the sources are loaded. */
  static async start(mutant = 0) {
    const runner = new Runner();
    runner.child = fork(fileURLToPath(new URL('./mutation/worker.mjs', import.meta.url)), files, {
      execPath: node,
      execArgv: ['--expose-gc', '--no-warnings', '--import', hooks],
      env: { ...process.env, MUTANT: String(mutant), CORE_DIST: dist },
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    runner.hello = await runner.answer(120_000);
    return runner;
  }
  /** @type {import('node:child_process').ChildProcess | null} */
  child = null;
  /** @type {any} */
  hello = null;

  /** What it says next; null when it says nothing in time, or dies. @param {number} ms @returns {Promise<any>} */
  async answer(ms) {
    const { child } = this;
    if (child === null) return null;
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), ms);
    try {
      const said = once(child, 'message', { signal: patience.signal }).then(([message]) => message);
      const died = once(child, 'exit', { signal: patience.signal }).then(() => null);
      return await Promise.race([said, died]);
    } catch {
      return null;
    } finally {
      clearTimeout(timer);
      patience.abort();
    }
  }
  /** @param {object} message @param {number} ms */
  ask(message, ms) {
    const answer = this.answer(ms);
    this.child?.send(message);
    return answer;
  }
  stop() {
    this.child?.kill('SIGKILL');
    this.child = null;
  }
}

console.log('mutation: finding out which test reaches what');
let runner = await Runner.start();
const { names, loaded } = runner.hello;
/** @type {{ ms: number, hits: Set<number> }[]} */
const tests = [];
for (let index = 0; index < names.length; index++) {
  if (index % 200 === 199) console.log(`${index + 1} of ${names.length} tests`);
  const result = await runner.ask({ do: 'baseline', test: index }, 30_000);
  if (result === null) {
    runner.stop();
    runner = await Runner.start();
  } else if (result.wrong !== null)
    console.log(`left out, it fails without a mutant: ${names[index]}: ${String(result.wrong).split('\n')[0]}`);
  const usable = result !== null && result.wrong === null && result.ms < SLOWEST_MS;
  tests.push({ ms: usable ? result.ms : Number.POSITIVE_INFINITY, hits: new Set(usable ? result.hits : []) });
}
runner.stop();

/** @param {number} id */
const placeOf = (id) => {
  const source = sources.find(({ first, count }) => id >= first && id < first + count);
  const { at, what } = mutants[id - 1] ?? { at: 0, what: '?' };
  const line = (source?.text ?? '').slice(0, at).split('\n').length;
  return { file: source?.file ?? '?', line, what: what.replace(/\s+/g, ' ').slice(0, 160) };
};

const isStatic = new Set(loaded);
const random = randomFrom(Number(values.seed));
let wanted = Array.from({ length: mutants.length }, (_, index) => index + 1);
if (values.file !== undefined) wanted = wanted.filter((id) => placeOf(id).file === `${values.file}.js`);
if (values.sample !== undefined) {
  const keyed = wanted.map((id) => ({ id, key: random.next() })).sort((a, b) => a.key - b.key);
  wanted = keyed.slice(0, Number(values.sample)).map(({ id }) => id);
}
const usable = [...tests.keys()].filter((index) => (tests[index]?.ms ?? Number.POSITIVE_INFINITY) < Number.POSITIVE_INFINITY);
const byTime = usable.sort((a, b) => (tests[a]?.ms ?? 0) - (tests[b]?.ms ?? 0));
/** Killers so far: what killed one mutant kills its neighbours. @type {Map<number, number>} */
const kills = new Map();
/** @param {number} id */
function testsFor(id) {
  const reaching = isStatic.has(id) ? byTime : byTime.filter((index) => tests[index]?.hits.has(id));
  const ordered = [...reaching].sort(
    (a, b) => (kills.get(b) ?? 0) / (1 + (tests[b]?.ms ?? 0)) - (kills.get(a) ?? 0) / (1 + (tests[a]?.ms ?? 0)),
  );
  const quick = ordered.filter((index) => (tests[index]?.ms ?? 0) < QUICK_MS);
  return [
    ...quick.slice(0, isStatic.has(id) ? 2 * TESTS_PER_MUTANT : TESTS_PER_MUTANT),
    ...ordered.filter((index) => !quick.includes(index)).slice(0, 4),
  ];
}

console.log(`mutation: ${wanted.length} of ${mutants.length} mutants, ${usable.length} tests`);
/** @type {{ id: number, outcome: 'killed' | 'timeout' | 'survived' | 'unreached' }[]} */
const results = [];
const queue = wanted.values();
async function work() {
  /** @type {Runner | null} */
  let own = null;
  for (const id of queue) {
    const list = testsFor(id);
    if (list.length === 0) {
      results.push({ id, outcome: 'unreached' });
      continue;
    }
    // A test that waits for what never comes stops the whole run, so this ends it: such a mutant is noticed.
    const patience = Math.min(MOST_PATIENCE, 3000 + 4 * list.reduce((sum, index) => sum + (tests[index]?.ms ?? 0), 0));
    if (isStatic.has(id)) {
      const fresh = await Runner.start(id);
      const answer = fresh.hello === null ? { killer: 0 } : await fresh.ask({ do: 'kill', id, tests: list }, patience);
      fresh.stop();
      results.push({ id, outcome: answer === null ? 'timeout' : answer.killer >= 0 ? 'killed' : 'survived' });
    } else {
      own ??= await Runner.start();
      let answer = await own.ask({ do: 'kill', id, tests: list }, patience);
      if (answer === null || answer.isSpoiled) {
        own.stop();
        own = null;
      }
      if (answer?.isSpoiled) {
        own = await Runner.start();
        answer = await own.ask({ do: 'kill', id, tests: list }, patience);
        own.stop();
        own = null;
      }
      if (answer !== null && answer.killer >= 0) kills.set(answer.killer, (kills.get(answer.killer) ?? 0) + 1);
      results.push({ id, outcome: answer === null ? 'timeout' : answer.killer >= 0 ? 'killed' : 'survived' });
    }
    if (results.length % 100 === 0) {
      const dead = results.filter(({ outcome }) => outcome === 'killed' || outcome === 'timeout').length;
      console.log(`${results.length} of ${wanted.length}: ${dead} killed`);
    }
  }
  own?.stop();
}
await Promise.all(Array.from({ length: Math.max(1, availableParallelism()) }, work));

const reasonsFile = join(root, 'scripts/mutation/survivors.json');
/** @type {{ file: string, what: string, reason: string }[]} */
const reasons = existsSync(reasonsFile) ? JSON.parse(readFileSync(reasonsFile, 'utf8')) : [];
const alive = results
  .filter(({ outcome }) => outcome === 'survived' || outcome === 'unreached')
  .map(({ id, outcome }) => ({ ...placeOf(id), outcome }));
const explained = alive.filter(({ file, what }) => reasons.some((entry) => entry.file === file && entry.what === what));
for (const { file, line, what, outcome } of alive) {
  const reason = reasons.find((entry) => entry.file === file && entry.what === what)?.reason;
  console.log(`${outcome} ${file}:${line}: ${what}${reason === undefined ? '' : ` (${reason})`}`);
}
if (values.out !== undefined) writeFileSync(values.out, JSON.stringify(alive, null, 1));
const killed = results.length - alive.length;
console.log(
  `${killed} of ${results.length} mutants killed (${((100 * killed) / results.length).toFixed(1)} %), ${explained.length} survive with a reason`,
);
console.log(`${killed + explained.length} passed, ${alive.length - explained.length} failed`);
process.exitCode = killed / results.length >= 0.9 ? 0 : 1;
