/**
 * Loads the core's tests and runs them against whichever mutant it is told. Messages, each answered by one:
 *
 * - `load`: all test files. Answer: their tests, and which mutants are decided while the core is loaded.
 * - `baseline`: one test without a mutant. Answer: what was wrong, how long it took, how many steps, and which mutants it reaches.
 * - `kill`: tests, in order, until one fails.
 * - `fresh`: the same, loading test files one after the other: for a mutant that was switched on before this process began.
 */
import { pathToFileURL } from 'node:url';

const { activate, takeHits, allow } = /** @type {any} */ (globalThis).__mutants;
/** Steps that a test may take with a mutant: those it takes without one, so many times, and some more. */
const TIMES = 8;
const MORE = 300_000;
const MANY = 1e12;
/** A test that takes more without a mutant is too slow to be asked thousands of times. */
const MOST = 4e6;
const LONGEST_WAIT_MS = 3000;
/** Properties whose test is about how many runs do what need them all. */
const FULL_RUNS = 1000;
const FEW_RUNS = 30;

/** The core first, then what the files share: loaded in the middle of one, two of them can wait for each other. */
async function begin() {
  await import('@ferrywire/core');
  await import('@ferrywire/core/frame');
  const loaded = takeHits();
  await import('vitest');
  await import('fast-check');
  return loaded;
}
/** @returns {import('./vitest-shim.mjs').Test[]} */
const tests = () => /** @type {any} */ (globalThis).__tests ?? [];

/** What waits for something that never comes takes no steps. @param {Promise<unknown>} done */
async function inTime(done) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('did not end in time')), LONGEST_WAIT_MS);
  });
  try {
    await Promise.race([done, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @param {number} index
 * @param {{ steps: number, isFull: boolean }} limits
 * @returns {Promise<{ wrong: string | null, steps: number }>} What was wrong, and how many steps it took.
 */
async function run(index, { steps, isFull }) {
  const test = tests()[index];
  if (test === undefined) return { wrong: 'no such test', steps: 0 };
  Object.assign(globalThis, { __mostRuns: isFull ? FULL_RUNS : FEW_RUNS });
  let wrong = null;
  allow(steps);
  try {
    for (const before of test.before) await before();
    const done = test.body();
    if (done instanceof Promise) await inTime(done);
  } catch (error) {
    wrong = error instanceof Error ? error.message : String(error);
  }
  const left = allow(MANY);
  for (const after of test.after) await after();
  // A test may catch everything, this too.
  return { wrong: left < 0 ? 'did not end' : wrong, steps: steps - left };
}
/** Of this process, in milliseconds: what else the machine does makes no difference. */
const cpuTime = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const numbers = (/** @type {Uint8Array} */ hits) => [...hits.keys()].filter((id) => hits[id] === 1);

/** @typedef {{ index: number, steps: number, isFull: boolean }} Chosen */
/** @param {Chosen} chosen */
const fails = async ({ index, steps, isFull }) => (await run(index, { steps: steps * TIMES + MORE, isFull })).wrong !== null;

/** @type {Record<string, (message: any) => Promise<object>>} */
const answers = {
  async load({ files }) {
    const loaded = numbers(await begin());
    /** @type {{ file: string, name: string, local: number }[]} */
    const found = [];
    for (const file of files) {
      const from = tests().length;
      await import(pathToFileURL(file).href);
      for (const [local, { name }] of tests().slice(from).entries()) found.push({ file, name, local });
    }
    takeHits();
    return { tests: found, loaded };
  },
  async baseline({ index }) {
    let isFull = false;
    for (;;) {
      takeHits();
      const started = cpuTime();
      const { wrong, steps } = await run(index, { steps: MOST, isFull });
      const ms = cpuTime() - started;
      const isSlow = steps > MOST;
      if (wrong === null || isSlow || isFull) return { wrong, ms, steps, isSlow, isFull, hits: numbers(takeHits()) };
      isFull = true;
    }
  },
  async kill({ id, chosen }) {
    activate(id);
    let killer = -1;
    let isSpoiled = false;
    for (const [at, test] of chosen.entries()) {
      if (!(await fails(test))) continue;
      killer = at;
      break;
    }
    activate(0);
    // A mutant may have spoiled what the process keeps (pooled memory): then the verdict is not worth anything.
    if (killer >= 0) isSpoiled = await fails(chosen[killer]);
    return { killer, isSpoiled };
  },
  async fresh({ files }) {
    try {
      await begin();
      for (const { file, chosen } of files) {
        const from = tests().length;
        await import(pathToFileURL(file).href);
        for (const test of chosen) if (await fails({ ...test, index: from + test.index })) return { killer: 0 };
      }
      return { killer: -1 };
    } catch {
      return { killer: 0 };
    }
  },
};

process.on('unhandledRejection', () => {});
process.on('message', async (/** @type {any} */ message) => {
  process.send?.((await answers[message.do]?.(message)) ?? {});
});
process.on('disconnect', () => process.exit(0));
