/**
 * Memory of the compression contexts of many connections: `node deflate-memory.js VARIANT`. Each has compressed and decompressed one
 * message, as a connection that has been used and is now idle.
 */
import { constants, deflateRawSync } from 'node:zlib';
import type { TransformOutput } from '@ferrywire/core';
import { serverDeflate } from '@ferrywire/deflate';
import { answer, collectGarbage } from './answer.ts';
import { jsonMessages } from './json-messages.ts';
import { loadWsDeflate } from './peers.ts';

const message = jsonMessages(1024).messages[0] ?? Buffer.alloc(1024);
const compressed = deflateRawSync(message, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);

const sink: TransformOutput = { room: 1024 * 1024, write: () => {} };

function ferrywire(takeover: boolean): object {
  const accepted = serverDeflate({ serverNoContextTakeover: !takeover, clientNoContextTakeover: !takeover, threshold: 0 }).accept([], []);
  if (accepted === null) throw new Error('the offer was declined');
  const inbound = accepted.extension.inbound('server', () => {});
  const outbound = accepted.extension.outbound('server', () => {});
  inbound.begin('text', 4);
  for (let at = 0; at < compressed.length; ) {
    const step = inbound.push(compressed, at, compressed.length, sink);
    if (!('consumed' in step)) throw new Error(step.message);
    at += step.consumed;
  }
  while (inbound.finish(sink) === 'more');
  outbound.begin('text', message.length, true);
  for (let at = 0, more = true; more; ) {
    const step = outbound.push(message, at, message.length, true, sink);
    at += step.consumed;
    more = step.status === 'more';
  }
  return { inbound, outbound, extension: accepted.extension };
}

async function ws(takeover: boolean): Promise<object> {
  const WsPerMessageDeflate = loadWsDeflate();
  const extension = new WsPerMessageDeflate({
    isServer: true,
    threshold: 0,
    maxPayload: 1024 * 1024,
    serverNoContextTakeover: !takeover,
    clientNoContextTakeover: !takeover,
  });
  extension.accept([{}]);
  await new Promise((resolve, reject) => extension.decompress(compressed, true, (error, data) => (error ? reject(error) : resolve(data))));
  await new Promise((resolve, reject) => extension.compress(message, true, (error, data) => (error ? reject(error) : resolve(data))));
  return extension;
}

const variants: Readonly<Record<string, () => object | Promise<object>>> = {
  ferrywire: () => ferrywire(false),
  'ferrywire takeover': () => ferrywire(true),
  ws: () => ws(false),
  'ws takeover': () => ws(true),
};
const create = variants[process.argv[2] ?? ''];
if (create === undefined) throw new Error(`no variant ${process.argv[2]}`);

const kept: object[] = [];
async function resident(): Promise<number> {
  for (let turn = 0; turn < 3; turn++) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  return process.memoryUsage().rss;
}

answer(async (question) => {
  const connections = Number(question.connections);
  for (let index = 0; index < 30; index++) kept.push(await create());
  const before = await resident();
  for (let index = 0; index < connections; index++) kept.push(await create());
  const after = await resident();
  return { kib: (after - before) / connections / 1024, kept: kept.length };
});
