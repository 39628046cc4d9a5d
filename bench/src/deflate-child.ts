/**
 * One variant of the `deflate` measurement: `node deflate-child.js VARIANT DIRECTION SIZE`. Context takeover, level 6, window 15, memory
 * level 8 on every side; messages one after another, as on one connection.
 *
 * The messages form a cycle longer than the window. Compressed a second time round, each refers to a window that recurs in every later
 * round, so the second round can be decompressed any number of times.
 */
import { constants, createDeflateRaw, createInflateRaw } from 'node:zlib';
import { Connection, type ConnectionSink, type Extension, type TransformOutput } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';
import { kernels } from '@ferrywire/node';
import { answer, collectGarbage, cpuMicros } from './answer.ts';
import { type JsonMessages, jsonMessages } from './json-messages.ts';
import { loadWsDeflate, type WsDeflate } from './peers.ts';

/** One message through the library; the bytes that came out. */
type Step = (message: Buffer) => number | Promise<number>;
interface Variant {
  readonly inflate: () => Promise<Step> | Step;
  readonly deflate: () => Promise<Step> | Step;
}

/** Takes what a transform writes, as the core does: one copy into memory of its own. */
class Collector implements TransformOutput {
  room: number;
  used = 0;
  readonly #target: Uint8Array;
  constructor(size: number) {
    this.#target = new Uint8Array(size);
    this.room = size;
  }
  write(bytes: Uint8Array, start: number, end: number): void {
    if (end - start < 64) for (let index = start; index < end; index++) this.#target[this.used++] = bytes[index] ?? 0;
    else {
      this.#target.set(new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start), this.used);
      this.used += end - start;
    }
    this.room -= end - start;
  }
  clear(): void {
    this.room += this.used;
    this.used = 0;
  }
}

async function ferrywireExtension(): Promise<Extension> {
  const { serverDeflate } = await import('@ferrywire/deflate');
  const accepted = serverDeflate({ serverNoContextTakeover: false, clientNoContextTakeover: false, threshold: 0 }).accept([], []);
  if (accepted === null) throw new Error('the offer was declined');
  return accepted.extension;
}

const ferrywire: Variant = {
  inflate: async () => {
    const inbound = (await ferrywireExtension()).inbound('server', () => {});
    const out = new Collector(256 * 1024);
    return (message) => {
      out.clear();
      inbound.begin('text', 4);
      for (let at = 0; at < message.length; ) {
        const step = inbound.push(message, at, message.length, out);
        if (!('consumed' in step)) throw new Error(step.message);
        at += step.consumed;
      }
      for (let status = inbound.finish(out); status !== 'need'; status = inbound.finish(out))
        if (typeof status !== 'string') throw new Error(status.message);
      return out.used;
    };
  },
  deflate: async () => {
    const outbound = (await ferrywireExtension()).outbound('server', () => {});
    const out = new Collector(256 * 1024);
    return (message) => {
      out.clear();
      outbound.begin('text', message.length, true);
      for (let at = 0, more = true; more; ) {
        const step = outbound.push(message, at, message.length, true, out);
        at += step.consumed;
        more = step.status === 'more';
      }
      return out.used;
    };
  },
};

/** The transforms where they work: a server's connection, text as from a client and to one. */
async function connectionWith(sink: ConnectionSink): Promise<Connection> {
  const extensions = [await ferrywireExtension()];
  return new Connection({ role: 'server', clock: () => performance.now(), extensions, kernels, sink });
}
const connection: Variant = {
  inflate: async () => {
    let length = 0;
    const server = await connectionWith({
      onText(text) {
        length = text.length;
      },
    });
    const frames = new Map<Buffer, Uint8Array>();
    return (message) => {
      let frame = frames.get(message);
      if (frame === undefined) {
        frame = serializeFrame({ opcode: 1, rsv: 4, payload: message, maskKey: 0x37fa213d });
        frames.set(message, frame);
      }
      server.receiveData(frame);
      return length;
    };
  },
  deflate: async () => {
    const server = await connectionWith({});
    return (message) => {
      server.sendText(message);
      let size = 0;
      for (const chunk of server.takeOutput()) {
        size += chunk.length;
        server.recycleOutput(chunk);
      }
      return size;
    };
  },
};

function wsExtension(): WsDeflate {
  const WsPerMessageDeflate = loadWsDeflate();
  const extension = new WsPerMessageDeflate({ isServer: true, threshold: 0, maxPayload: 100 * 1024 * 1024 });
  extension.accept([{}]);
  return extension;
}
const ws: Variant = {
  inflate: () => {
    const extension = wsExtension();
    return (message) =>
      new Promise((resolve, reject) =>
        extension.decompress(message, true, (error, data) => (error ? reject(error) : resolve(data.length))),
      );
  },
  deflate: () => {
    const extension = wsExtension();
    return (message) =>
      new Promise((resolve, reject) => extension.compress(message, true, (error, data) => (error ? reject(error) : resolve(data.length))));
  },
};

/** What is under every zlib stream; the least it can cost. */
interface RawHandle {
  readonly _handle: {
    writeSync(flush: number, input: Buffer, inputAt: number, inputSize: number, output: Buffer, outputAt: number, outputSize: number): void;
  };
  readonly _writeState: Uint32Array;
}
const TAIL = Buffer.from([0, 0, 255, 255]);
const zlib: Variant = {
  inflate: () => {
    const { _handle, _writeState } = createInflateRaw() as unknown as RawHandle;
    const output = Buffer.alloc(256 * 1024);
    const step = (input: Buffer, at: number): number => {
      _handle.writeSync(constants.Z_SYNC_FLUSH, input, 0, input.length, output, at, output.length - at);
      return output.length - (_writeState[0] ?? 0);
    };
    return (message) => step(TAIL, step(message, 0));
  },
  deflate: () => {
    const { _handle, _writeState } = createDeflateRaw() as unknown as RawHandle;
    const output = Buffer.alloc(256 * 1024);
    return (message) => {
      _handle.writeSync(constants.Z_SYNC_FLUSH, message, 0, message.length, output, 0, output.length);
      return output.length - (_writeState[0] ?? 0) - TAIL.length;
    };
  },
};

const variants: Readonly<Record<string, Variant>> = { ferrywire, ws, zlib, connection };

/** The cycle compressed twice with one context; each message without its last four bytes. */
function compressCycle({ messages }: JsonMessages): { first: Buffer[]; again: Buffer[] } {
  const { _handle, _writeState } = createDeflateRaw() as unknown as RawHandle;
  const output = Buffer.alloc(256 * 1024);
  const round = (): Buffer[] =>
    messages.map((message) => {
      _handle.writeSync(constants.Z_SYNC_FLUSH, message, 0, message.length, output, 0, output.length);
      return Buffer.from(output.subarray(0, output.length - (_writeState[0] ?? 0) - TAIL.length));
    });
  return { first: round(), again: round() };
}

const [name = '', direction = '', sizeArgument = ''] = process.argv.slice(2);
const variant = variants[name];
if (variant === undefined) throw new Error(`no variant ${name}`);
const plain = jsonMessages(Number(sizeArgument));
const inflating = direction === 'inflate';
const compressed = compressCycle(plain);
const step = await (inflating ? variant.inflate() : variant.deflate());
const cycle = inflating ? compressed.again : plain.messages;

let total = 0;
for (const message of inflating ? compressed.first : plain.messages) total += await step(message);
const size = plain.messages.reduce((sum, message) => sum + message.length, 0);
// Everything must come out, and compression must compress about as zlib does.
const wanted = inflating ? size : compressed.first.reduce((sum, message) => sum + message.length, 0);
if (inflating ? total !== wanted : total < 0.9 * wanted || total > 1.1 * wanted + 5 * cycle.length) {
  throw new Error(`${name} ${direction}: ${total} bytes came out where ${wanted} were expected`);
}

let next = 0;
answer(async (question) => {
  collectGarbage();
  const micros = Number(question.micros);
  const start = cpuMicros();
  let count = 0;
  let used = 0;
  do {
    for (let index = 0; index < 32; index++) {
      const done = step(cycle[next] ?? TAIL);
      // Awaited only where the library is asynchronous.
      if (typeof done !== 'number') await done;
      next = (next + 1) % cycle.length;
      count++;
    }
    used = cpuMicros() - start;
  } while (used < micros);
  return { messages: count, micros: used };
});
