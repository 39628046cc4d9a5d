/**
 * `npm run test:soak -- --minutes N [--seed S] [--connections C]`: thousands of connections with random behaviour against one server, in rounds.
 *
 * After every round the server's books must balance (each socket closed, each connection ended exactly once) and its memory is measured
 * after a garbage collection; at the end the memory of the last rounds may not exceed that of the first ones after the warm-up. Ends with
 * `N passed, N failed`, one for each connection and each check.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readOptions, wrongUse } from './arguments.mjs';
import { outliveReader } from './output.mjs';
import { behaviours, live } from './soak/client.mjs';
import { randomFrom } from './soak/random.mjs';

outliveReader();
const usage = `use: npm run test:soak -- [options]

  --minutes N        how long (default 5)
  --connections C    in each round (default 1000)
  --seed S           an integer, of an earlier run (default: another one each time)`;
const values = readOptions(usage, {
  minutes: { type: 'string', default: '5' },
  seed: { type: 'string' },
  connections: { type: 'string', default: '1000' },
});
const minutes = Number(values.minutes);
const perRound = Number(values.connections);
const seed = values.seed === undefined ? Date.now() >>> 0 : Number(values.seed);
if (!(minutes > 0 && perRound > 0 && Number.isInteger(seed))) {
  wrongUse('--minutes and --connections must be positive numbers, --seed an integer');
}

/** Connections at a time. */
const WIDTH = 200;
/** Rounds that fill pools and compile code. */
const WARM_UP = 3;
const TOLERANCE = 2 * 1_048_576;

/** @typedef {{ books: Record<string, number>, causes: Record<string, number>, heap: number, rss: number }} Report */

const server = fork(fileURLToPath(new URL('./soak/server.mjs', import.meta.url)), { execArgv: ['--expose-gc'] });
const [{ port }] = /** @type {[{ port: number }]} */ (await once(server, 'message'));
let isDead = false;
server.once('exit', () => {
  isDead = true;
});

/** @returns {Promise<Report>} */
async function report() {
  const answer = once(server, 'message');
  server.send('report');
  return /** @type {[Report]} */ (await answer)[0];
}

/** Until no socket is left, or for 20 s. */
async function settled() {
  for (let tries = 0; tries < 200; tries++) {
    const now = await report();
    const { sockets = 0, socketsClosed = 0, peers = 0 } = now.books;
    if (sockets === socketsClosed && peers === 0) return now;
    await sleep(100);
  }
  return report();
}

let passed = 0;
let failed = 0;
/** @param {string | null} wrong @param {string} what */
function judge(wrong, what) {
  if (wrong === null) passed++;
  else {
    failed++;
    if (failed <= 20) console.log(`FAILED ${what}: ${wrong}`);
  }
}

const random = randomFrom(seed);
const names = Object.keys(behaviours);
console.log(`soak: ${minutes} min, rounds of ${perRound} connections, seed ${seed}`);
const deadline = performance.now() + minutes * 60_000;
/** @type {number[]} */
const heaps = [];
let made = 0;
for (let round = 1; !isDead && (round <= WARM_UP + 2 || performance.now() < deadline); round++) {
  const jobs = Array.from({ length: perRound }, () => ({ name: random.pick(names), seed: random.integer(1, 0xffff_fffe) }));
  const queue = jobs.values();
  const worker = async () => {
    for (const job of queue) judge(await live(port, job.name, randomFrom(job.seed)), `${job.name} (seed ${job.seed})`);
  };
  await Promise.all(Array.from({ length: WIDTH }, worker));
  made += perRound;
  if (isDead) break;
  const { books, causes, heap, rss } = await settled();
  judge(books.sockets === made ? null : `${books.sockets} of ${made} sockets were seen`, `round ${round}`);
  judge(books.sockets === books.socketsClosed ? null : `${books.sockets} sockets, ${books.socketsClosed} closed`, `round ${round}`);
  judge(books.opened === books.ended ? null : `${books.opened} opened, ${books.ended} ended`, `round ${round}`);
  judge(books.peers === 0 ? null : `${books.peers} peers are left`, `round ${round}`);
  judge(books.unexpected === 0 ? null : `${books.unexpected} events after the end`, `round ${round}`);
  heaps.push(heap);
  const figures = Object.entries(causes).map(([code, count]) => `${code} ${count}`);
  console.log(
    `round ${round}: ${books.opened} opened, ${books.clean} clean, ${books.refused} refused, ${books.messages} messages; heap ${(heap / 1e6).toFixed(1)} MB, rss ${(rss / 1e6).toFixed(0)} MB; ${figures.join(', ')}`,
  );
}
judge(isDead ? 'the server died' : null, 'server');

/** @param {readonly number[]} list */
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
const counted = heaps.slice(WARM_UP);
const third = Math.max(1, Math.floor(counted.length / 3));
const [early, late] = [median(counted.slice(0, third)), median(counted.slice(-third))];
judge(late <= early + TOLERANCE ? null : `grew from ${early} to ${late} bytes`, 'memory');
console.log(`memory: ${(early / 1e6).toFixed(2)} MB after the warm-up, ${(late / 1e6).toFixed(2)} MB at the end, ${made} connections`);
if (!isDead) {
  const gone = once(server, 'exit');
  server.send('stop');
  await gone;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
