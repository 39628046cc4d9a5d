/**
 * Measures what a connection keeps and burns while it receives, in a process of its own (`node --expose-gc receive-memory-child.mjs`).
 * Runs from the published `dist`. Prints one line of JSON; `receive-memory.test.ts` judges it.
 */
import { Connection } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';

/** @typedef {import('@ferrywire/core').ConnectionOptions} ConnectionOptions */
/** @typedef {'server' | 'client'} Role */

const { gc } = globalThis;
if (gc === undefined) throw new Error('needs --expose-gc');

const KEY = 0x37fa213d;
const CHUNK = 65_536;

/** Bytes that are reachable. */
function retained() {
  gc?.();
  gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** @param {Role} role @param {import('@ferrywire/core/frame').FrameInit} init */
function frame(role, init) {
  return serializeFrame(role === 'server' ? { ...init, maskKey: KEY } : init);
}

/** The header of a large frame, made without its payload. @param {Role} role @param {1 | 2} opcode @param {number} size */
function headerOf(role, opcode, size) {
  const header = frame(role, { opcode, lengthBytes: 8 });
  new DataView(header.buffer).setBigUint64(2, BigInt(size));
  return header;
}

/** As many copies of `bytes` as fit a chunk. @param {Uint8Array} bytes */
function repeat(bytes) {
  const times = Math.floor(CHUNK / bytes.length);
  const chunk = new Uint8Array(times * bytes.length);
  for (let at = 0; at < chunk.length; at += bytes.length) chunk.set(bytes, at);
  return { chunk, times };
}

/** @param {ConnectionOptions} options */
function receiver(options, push = true) {
  let size = 0;
  /** @param {string | Uint8Array} data */
  const take = (data) => {
    size += data.length;
  };
  const connection = new Connection(push ? { ...options, sink: { onText: take, onBinary: take } } : options);
  /** @param {Uint8Array} chunk */
  const receive = (chunk) => {
    connection.receiveData(chunk);
    if (push) return;
    for (let event = connection.nextEvent(); event !== null; event = connection.nextEvent()) if (event.type === 'message') take(event.data);
  };
  return { connection, receive, size: () => size };
}

/**
 * One message of `count` fragments of `size` bytes.
 * @param {{ role: Role, opcode: 1 | 2, count: number, size: 0 | 1, single: boolean, push: boolean }} scenario
 */
function fragments({ role, opcode, count, size, single, push }) {
  const limits = { maxMessageSize: 1 << 24, maxFragments: 1 << 24 };
  const payload = new Uint8Array(size).fill(0x61);
  const middle = frame(role, { opcode: 0, fin: false, payload });
  const { chunk, times } = repeat(middle);
  const last = frame(role, { opcode: 0, payload });
  const { receive, size: received } = receiver({ role, clock: () => 0, limits }, push);
  const first = frame(role, { opcode, fin: false, payload });
  const before = retained();
  const start = process.cpuUsage();
  receive(first);
  let left = count - 2;
  if (single) for (; left > 0; left--) receive(middle);
  for (; left >= times; left -= times) receive(chunk);
  for (; left > 0; left--) receive(middle);
  const used = process.cpuUsage(start);
  const kept = retained() - before;
  receive(last);
  if (received() !== count * size) throw new Error(`received ${received()}`);
  return { cpu: used.user + used.system, kept, after: retained() - before, payload: count * size };
}

/**
 * One frame of `count` bytes, read one byte at a time.
 * @param {{ role: Role, opcode: 1 | 2, count: number, push: boolean }} scenario
 */
function bytewise({ role, opcode, count, push }) {
  const { receive, size: received } = receiver({ role, clock: () => 0, limits: { maxMessageSize: 1 << 28 } }, push);
  const header = headerOf(role, opcode, count);
  const masks = Array.from(frame(role, { opcode, payload: new Uint8Array(4).fill(0x61) }).slice(-4), (byte) => Uint8Array.of(byte));
  const before = retained();
  const start = process.cpuUsage();
  receive(header);
  for (let at = 0; at < count - 1; at++) receive(/** @type {Uint8Array} */ (masks[at & 3]));
  const used = process.cpuUsage(start);
  const kept = retained() - before;
  receive(/** @type {Uint8Array} */ (masks[(count - 1) & 3]));
  if (received() !== count) throw new Error(`received ${received()}`);
  return { cpu: used.user + used.system, kept, after: retained() - before, payload: count };
}

/**
 * One frame of 1 GiB in delivery 'span'.
 * @param {{ role: Role, opcode: 1 | 2, push: boolean }} scenario
 */
function gigabyte({ role, opcode, push }) {
  const size = 2 ** 30;
  const body = frame(role, { opcode: 2, payload: new Uint8Array(CHUNK).fill(0x61) }).slice(-CHUNK);
  const header = headerOf(role, opcode, size);
  const first = new Uint8Array(header.length + CHUNK);
  first.set(header);
  first.set(body, header.length);
  let got = 0;
  let ends = 0;
  let wrong = 0;
  const target = new Uint8Array(CHUNK);
  /** @param {Uint8Array} buffer @param {number} start @param {number} end */
  const onSpan = (buffer, start, end) => {
    got += end - start;
    if (buffer[start] !== 0x61 || buffer[end - 1] !== 0x61) wrong++;
  };
  const options = /** @type {ConnectionOptions} */ ({ role, clock: () => 0, delivery: 'span' });
  const connection = new Connection(push ? { ...options, sink: { onSpan, onMessageEnd: () => void ends++ } } : options);
  const pull = () => {
    for (let event = connection.readInto(target); event !== null; event = connection.readInto(target)) {
      if (event.type !== 'data') continue;
      if (event.count > 0) onSpan(target, 0, event.count);
      if (event.endOfMessage) ends++;
    }
  };
  const before = retained();
  const buffersBefore = process.memoryUsage().arrayBuffers;
  connection.receiveData(first);
  if (!push) pull();
  const firstSpan = got;
  let kept = 0;
  let buffers = 0;
  for (let round = 1; round < size / CHUNK; round++) {
    connection.receiveData(body);
    if (!push) pull();
    if (round % 256 === 0) buffers = Math.max(buffers, process.memoryUsage().arrayBuffers - buffersBefore);
    if (round % 2048 === 0) kept = Math.max(kept, retained() - before);
  }
  if (got !== size || ends !== 1 || wrong !== 0) throw new Error(`got ${got}, ${ends} ends, ${wrong} wrong`);
  return { firstSpan, kept, buffers };
}

/** Others use this machine too: the least of several is what it costs. */
const MOST_ROUNDS = 8;

/** @param {typeof fragments | typeof bytewise} run @param {any} scenario */
function compare(run, scenario) {
  const half = { ...scenario, count: scenario.count >> 1 };
  run({ ...scenario, count: scenario.count >> 3 });
  const first = run(half);
  const second = run(scenario);
  const best = { payload: second.payload, kept: second.kept, after: second.after, half: first.cpu, whole: second.cpu };
  for (let round = 1; round < MOST_ROUNDS; round++) {
    if (round > 1 && best.whole <= 2.2 * best.half && best.kept <= 2 * best.payload + 65_536 && best.after <= 65_536) break;
    best.half = Math.min(best.half, run(half).cpu);
    const { cpu, kept, after } = run(scenario);
    best.whole = Math.min(best.whole, cpu);
    // Compiled code is memory too, and none of the connection's: it is there from the second round on.
    best.kept = Math.min(best.kept, kept);
    best.after = Math.min(best.after, after);
  }
  return best;
}

/**
 * One connection after the other, each gone and collected before the next comes.
 * @param {{ role: Role, opcode: 1 | 2, count: number, push: boolean }} scenario
 */
function generations(scenario) {
  const cpu = [];
  for (let generation = 0; generation < 12; generation++) cpu.push(bytewise(scenario).cpu);
  return { early: Math.min(...cpu.slice(1, 4)), late: Math.min(...cpu.slice(9)) };
}

const scenario = JSON.parse(process.argv[2] ?? '{}');
/** @type {Record<string, () => object>} */
const kinds = {
  fragments: () => compare(fragments, scenario),
  bytewise: () => compare(bytewise, scenario),
  gigabyte: () => gigabyte(scenario),
  generations: () => generations(scenario),
};
console.log(JSON.stringify(kinds[scenario.kind]?.()));
