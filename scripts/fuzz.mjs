/**
 * `npm run fuzz -- --minutes N [--target NAME] [--seed S] [--save]`: coverage-guided fuzzing of frames, handshake and whole life.
 *
 * The packages are copied with a counter at every branch, each target runs in a thread of its own, and what throws, hangs or runs out of
 * memory is a finding, saved below `tmp/`. `--save` replaces the corpus by the fewest inputs that reach
 * every branch that was reached. Ends with
 * `N passed, N failed`, one for each target.
 */

import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { readOptions, wrongUse } from './arguments.mjs';
import { countBranches } from './instrument/branches.mjs';
import { outliveReader } from './output.mjs';
import { root } from './runtimes.mjs';

outliveReader();

const TARGETS = ['frames', 'handshake', 'life', 'split'];
const PACKAGES = ['core', 'handshake', 'deflate'];
/** Generous: a machine with other work may leave a thread alone for seconds. */
const HANG_MS = 60_000;
const HEAP_MB = 512;
const corpusFolder = join(root, 'scripts/fuzz/corpus');

const usage = `use: npm run fuzz -- [options]

  --minutes N     how long (default 1)
  --target NAME   one of ${TARGETS.join(', ')}, as often as needed (default: all)
  --seed S        an integer, of an earlier run (default: another one each time)
  --save          replaces the corpus by the fewest inputs that reach every branch that was reached`;
const values = readOptions(usage, {
  minutes: { type: 'string', default: '1' },
  target: { type: 'string', multiple: true },
  seed: { type: 'string' },
  save: { type: 'boolean' },
});
const minutes = Number(values.minutes);
const seed = values.seed === undefined ? Date.now() >>> 0 : Number(values.seed);
const wanted = values.target ?? TARGETS;
const unknown = wanted.find((name) => !TARGETS.includes(name));
if (!(minutes > 0) || !Number.isInteger(seed) || unknown !== undefined) {
  wrongUse(
    unknown === undefined ? '--minutes must be a positive number, --seed an integer' : `--target must be one of ${TARGETS.join(', ')}`,
  );
}

/** A copy of the packages that counts. Returns the module of the targets and the number of counters. */
function instrument() {
  mkdirSync(join(root, 'tmp'), { recursive: true });
  const folder = mkdtempSync(join(root, 'tmp/fuzz-'));
  let points = 0;
  for (const name of PACKAGES) {
    const from = join(root, 'packages', name);
    const to = join(folder, 'node_modules/@ferrywire', name);
    mkdirSync(to, { recursive: true });
    cpSync(join(from, 'package.json'), join(to, 'package.json'));
    for (const file of readdirSync(join(from, 'dist'), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.js') || file.startsWith('suite')) continue;
      const { code, next } = countBranches(file, readFileSync(join(from, 'dist', file), 'utf8'), points);
      points = next;
      mkdirSync(join(to, 'dist', file, '..'), { recursive: true });
      writeFileSync(join(to, 'dist', file), code);
    }
  }
  for (const file of ['targets.mjs', 'input.mjs']) cpSync(join(root, 'scripts/fuzz', file), join(folder, file));
  return { folder, module: pathToFileURL(join(folder, 'targets.mjs')).href, points };
}

/** @param {string} target */
function corpusOf(target) {
  const folder = join(corpusFolder, target);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith('.bin'))
    .map((file) => new Uint8Array(readFileSync(join(folder, file))));
}

/** @param {string} target @param {string} name @param {Uint8Array} bytes @param {string} what */
function save(target, name, bytes, what) {
  const folder = join(root, 'tmp/fuzz-findings', target);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name}.bin`);
  writeFileSync(file, bytes);
  console.log(`FINDING ${target}: ${relative(root, file)}\n${what}`);
}

/**
 * @param {string} target
 * @param {{ module: string, points: number }} copy
 * @param {number} until
 * @returns {Promise<boolean>} Whether nothing was found.
 */
function fuzz(target, { module, points }, until) {
  const shared = new SharedArrayBuffer(8 + 65_536);
  const state = new Int32Array(shared, 0, 2);
  const current = new Uint8Array(shared, 8);
  const worker = new Worker(new URL('./fuzz/worker.mjs', import.meta.url), {
    workerData: { target, module, points, seed, corpus: corpusOf(target), shared, until },
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  });
  let findings = 0;
  let counted = -1;
  let isDone = false;
  return new Promise((resolve) => {
    const watch = setInterval(() => {
      const now = Atomics.load(state, 0);
      if (now === counted && now > 0 && !isDone) {
        findings++;
        save(target, 'hang', current.slice(0, state[1]), `no end after ${HANG_MS} ms`);
        worker.terminate();
      }
      counted = now;
    }, HANG_MS);
    worker.on('message', (message) => {
      if (message.kind === 'finding') {
        findings++;
        save(target, message.name, message.bytes, message.stack);
        return;
      }
      console.log(
        `${target}: ${message.runs} runs, ${message.reached} of ${points} branches, ${message.corpus} inputs, ${findings} findings`,
      );
      if (message.kind !== 'done') return;
      isDone = true;
      if (values.save === true) {
        rmSync(join(corpusFolder, target), { recursive: true, force: true });
        mkdirSync(join(corpusFolder, target), { recursive: true });
        for (const bytes of message.kept) {
          const name = createHash('sha256').update(bytes).digest('hex').slice(0, 12);
          writeFileSync(join(corpusFolder, target, `${name}.bin`), bytes);
        }
      }
    });
    worker.on('error', (error) => {
      findings++;
      save(target, 'death', current.slice(0, state[1]), String(error));
    });
    worker.on('exit', () => {
      clearInterval(watch);
      resolve(findings === 0 && isDone);
    });
  });
}

const copy = instrument();
console.log(`fuzz: ${wanted.join(', ')} for ${minutes} min, seed ${seed}, ${copy.points} branches`);
let passed = 0;
try {
  const until = Date.now() + minutes * 60_000;
  const results = await Promise.all(wanted.map((target) => fuzz(target, copy, until)));
  passed = results.filter((isClean) => isClean).length;
} finally {
  rmSync(copy.folder, { recursive: true, force: true });
}
console.log(`${passed} passed, ${wanted.length - passed} failed`);
process.exitCode = passed === wanted.length ? 0 : 1;
