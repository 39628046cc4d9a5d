/** Loads the core's tests once and runs them against whichever mutant it is told. */
import { pathToFileURL } from 'node:url';

const { activate, takeHits } = /** @type {any} */ (globalThis).__mutants;
// The core first: what is asked for while it is loaded is decided then and cannot be switched later. In a fixed order, so that numbers are
// the same in every process.
await import('@ferrywire/core');
await import('@ferrywire/core/frame');
const loaded = takeHits();
// Both before any test file: loaded in the middle of one, they can wait for each other.
await import('vitest');
await import('fast-check');
for (const file of process.argv.slice(2)) await import(pathToFileURL(file).href);
/** @type {import('./vitest-shim.mjs').Test[]} */
const tests = /** @type {any} */ (globalThis).__tests ?? [];
takeHits();

/** @param {number} index @returns {Promise<string | null>} */
async function run(index) {
  const test = tests[index];
  if (test === undefined) return 'no such test';
  try {
    for (const before of test.before) await before();
    await test.body();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    for (const after of test.after) await after();
  }
}
const numbers = (/** @type {Uint8Array} */ hits) => [...hits.keys()].filter((id) => hits[id] === 1);

process.on('unhandledRejection', () => {});
process.on('message', async (/** @type {any} */ message) => {
  if (message.do === 'baseline') {
    const started = performance.now();
    const wrong = await run(message.test);
    process.send?.({ wrong, ms: performance.now() - started, hits: numbers(takeHits()) });
  } else if (message.do === 'kill') {
    activate(message.id);
    let killer = -1;
    for (const index of message.tests) {
      if ((await run(index)) === null) continue;
      killer = index;
      break;
    }
    activate(0);
    // A mutant may have spoiled what the process keeps (pooled memory): then the verdict is not worth anything.
    const isSpoiled = killer >= 0 && message.id !== 0 && (await run(killer)) !== null;
    process.send?.({ killer, isSpoiled });
  }
});
process.on('disconnect', () => process.exit(0));
process.send?.({ names: tests.map(({ name }) => name), loaded: numbers(loaded) });
