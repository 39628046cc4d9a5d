/**
 * A program of its own, since it measures memory: a peer that reads nothing is offered 256 MiB, in messages of many sizes, by a sender that
 * waits while `bufferedAmount` is over its mark; meanwhile the peer sends pings. Prints one line of JSON.
 */
import { Connection } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';

const OFFER = 256 * 1024 * 1024;
const MARK = 1024 * 1024;
const role = process.argv[2] === 'client' ? 'client' : 'server';

/** Bytes in use, after a collection. */
function memory() {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const connection = new Connection({ role, clock: () => 0, sink: {} });
const ping = serializeFrame({ opcode: 9, payload: new Uint8Array(125), ...(role === 'server' && { maskKey: 1 }) });
const sizes = [65_536, 100, 16_384, 1000, 16_383, 262_144, 0];
const letters = 'x'.repeat(1000);

let offered = 0;
let accepted = 0;
let pings = 0;
let most = 0;
const before = memory();
const rssBefore = process.memoryUsage().rss;
while (offered < OFFER) {
  for (const size of sizes) {
    offered += size;
    if (connection.bufferedAmount <= MARK && connection.sendBinary(new Uint8Array(size))) accepted += size;
  }
  offered += letters.length;
  if (connection.bufferedAmount <= MARK && connection.sendText(letters)) accepted += letters.length;
  for (let i = 0; i < 20; i++) {
    connection.receiveData(ping);
    pings++;
  }
  most = Math.max(most, connection.bufferedAmount);
}
const growth = memory() - before;
if (most > 2 * MARK) throw new Error(`bufferedAmount reached ${most}`);
if (connection.wantsRead !== true) throw new Error('stopped reading');
console.log(JSON.stringify({ offered, accepted, growth, pings, rss: process.memoryUsage().rss - rssBefore }));
