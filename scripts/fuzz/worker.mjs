/**
 * One target, fuzzed in a thread of its own: inputs that reach a new branch, or an old one a new number of times, are kept and mutated further.
 * The input under test lies in shared memory, so that the parent can save it when this thread hangs or dies.
 */
import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { randomFrom } from '../soak/random.mjs';
import { mutate } from './mutate.mjs';

/** @type {{ target: string, module: string, points: number, seed: number, corpus: readonly Uint8Array[], shared: SharedArrayBuffer, until: number }} */
const { target, module, points, seed, corpus: seeds, shared, until } = workerData;
const state = new Int32Array(shared, 0, 2);
const current = new Uint8Array(shared, 8);
const coverage = new Uint8Array(points);
Object.assign(globalThis, { __coverage: coverage });
const { targets } = await import(module);
/** @type {(bytes: Uint8Array) => void} */
const run = targets[target];
const random = randomFrom(seed);

/** Counts as powers of two, a bit each. */
const bucket = Uint8Array.from({ length: 256 }, (_, count) => (count === 0 ? 0 : 1 << Math.min(7, Math.floor(Math.log2(count)))));
const known = new Uint8Array(points);
/** @type {{ bytes: Uint8Array, size: number }[]} */
const corpus = [];
/** @type {Set<string>} */
const reported = new Set();
let runs = 0;

/** Whether this input did something new. @param {Uint8Array} bytes */
function attempt(bytes) {
  coverage.fill(0);
  current.set(bytes);
  state[1] = bytes.length;
  Atomics.add(state, 0, 1);
  runs++;
  try {
    run(bytes);
  } catch (error) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    // One finding for each place.
    const place = stack
      .replace(/:\d+:\d+/g, '')
      .split('\n')
      .slice(0, 3)
      .join('\n')
      .replace(/bytes [0-9a-f]+|\d+/g, '');
    if (!reported.has(place)) {
      reported.add(place);
      const name = createHash('sha256').update(bytes).digest('hex').slice(0, 12);
      parentPort?.postMessage({ kind: 'finding', bytes, name, stack });
    }
    return false;
  }
  let isNew = false;
  for (let point = 0; point < points; point++) {
    const bits = bucket[coverage[point] ?? 0] ?? 0;
    if (bits !== 0 && ((known[point] ?? 0) | bits) !== known[point]) {
      known[point] = (known[point] ?? 0) | bits;
      isNew = true;
    }
  }
  return isNew;
}
const reached = () => known.reduce((sum, bits) => sum + (bits === 0 ? 0 : 1), 0);

for (const bytes of [new Uint8Array(0), ...seeds]) {
  if (attempt(bytes) || corpus.length === 0) corpus.push({ bytes, size: bytes.length });
}

/** The fewest inputs, small ones first, that together reach every branch that was reached: what is worth keeping in the repository. */
function smallest() {
  known.fill(0);
  const kept = [];
  for (const { bytes } of [...corpus].sort((a, b) => a.size - b.size)) {
    coverage.fill(0);
    Atomics.add(state, 0, 1);
    run(bytes);
    let isNew = false;
    for (let point = 0; point < points; point++) {
      if ((coverage[point] ?? 0) === 0 || known[point] === 1) continue;
      known[point] = 1;
      isNew = true;
    }
    if (isNew) kept.push(bytes);
  }
  return kept;
}
/** @param {boolean} isLast */
const tell = (isLast) =>
  parentPort?.postMessage({
    kind: isLast ? 'done' : 'progress',
    runs,
    reached: reached(),
    corpus: corpus.length,
    ...(isLast && { kept: smallest() }),
  });
for (let last = Date.now(); Date.now() < until; ) {
  for (let batch = 0; batch < 100; batch++) {
    // The newest are the likeliest to lead on.
    const from = random.chance(0.5)
      ? random.integer(Math.max(0, corpus.length - 20), corpus.length - 1)
      : random.integer(0, corpus.length - 1);
    const bytes = mutate(corpus[from]?.bytes ?? new Uint8Array(0), random.pick(corpus).bytes, random);
    if (attempt(bytes)) corpus.push({ bytes, size: bytes.length });
  }
  if (Date.now() - last > 10_000) {
    tell(false);
    last = Date.now();
  }
}
tell(true);
