/**
 * Two connections joined back to back, compressed in both directions: context takeover, windows, splits, an asynchronous codec, broken
 * streams, memory. What is on the wire is checked with node:zlib's public functions, which share no code with the transforms.
 */
import { constants, inflateRawSync } from 'node:zlib';
import { Connection, type ConnectionOptions, type Extension, type InboundTransform, prepareMessage } from '@ferrywire/core';
import { FrameParser, type ParsedFrame, serializeFrame } from '@ferrywire/core/frame';
import { clientDeflate, type DeflateCodec, type DeflateOptions, serverDeflate } from '@ferrywire/deflate';
import { pakoCodec } from '@ferrywire/deflate/pako';
import { zlibCodec } from '@ferrywire/deflate/zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, deflateMessage, mixture, random, TAIL } from '../dist/suite/harness.js';

const QUIET = { keepalive: 0, pong: 0, idle: 0 } as const;
const MIB = 1 << 20;

function agree(options: DeflateOptions): { server: Extension; client: Extension } {
  const factory = clientDeflate({ threshold: 0, clientMaxWindowBits: true, ...options });
  const accepted = serverDeflate({ threshold: 0, ...options }).accept(factory.offers()[0] ?? [], []);
  const client = accepted === null ? null : factory.confirm(accepted.params, []);
  if (accepted === null || client === null) throw new Error('not agreed');
  return { server: accepted.extension, client };
}

class End {
  readonly received: (string | Uint8Array)[] = [];
  readonly wire: Uint8Array[] = [];
  readonly connection: Connection;

  constructor(role: 'server' | 'client', extension: Extension, options: Partial<ConnectionOptions> = {}) {
    const take = (data: string | Uint8Array): void => void this.received.push(data);
    const sink = { onText: take, onBinary: take };
    this.connection = new Connection({ role, clock: () => 0, extensions: [extension], timeouts: QUIET, sink, ...options });
  }
  /** Everything that there is to send, in pieces as `split` says. */
  pump(to: End, split: (bytes: Uint8Array) => Uint8Array[] = (bytes) => [bytes]): void {
    for (let turns = 0; turns < 10_000; turns++) {
      const bytes = concat(this.connection.takeOutput());
      this.wire.push(bytes);
      for (const piece of split(bytes)) to.connection.receiveData(piece);
      const due = [this.connection, to.connection].filter((one) => (one.nextTimeout() ?? 1) <= 0);
      if (bytes.length === 0 && due.length === 0) return;
      for (const one of due) one.handleTimeout(0);
    }
    throw new Error('no end');
  }
  frames(): ParsedFrame[] {
    return [...new FrameParser().push(concat(this.wire))];
  }
}

/** Inflates the messages of one direction with a fresh raw stream of node:zlib: all of them at once where context is kept. */
function oracle(frames: readonly ParsedFrame[], takeover: boolean, windowBits: number): string[] {
  const inflate = (bytes: Uint8Array) => inflateRawSync(bytes, { windowBits, finishFlush: constants.Z_SYNC_FLUSH });
  const payloads = frames.map(({ payload }) => concat([payload, TAIL]));
  if (!takeover) return payloads.map((bytes) => inflate(bytes).toString('latin1'));
  let before = 0;
  return payloads.map((_, index) => {
    const all = inflate(concat(payloads.slice(0, index + 1)));
    const own = all.subarray(before);
    before = all.length;
    return own.toString('latin1');
  });
}

describe.each<[string, DeflateCodec]>([
  ['zlib', zlibCodec],
  ['pako', pakoCodec],
])('%s', (_name, codec) => {
  const windows = [9, 10, 11, 12, 13, 14, 15];
  it.each(windows.flatMap((bits) => [true, false].map((takeover) => [bits, takeover] as const)))(
    'both directions, window %d, takeover %s: node:zlib reads what is on the wire, at any split',
    (bits, takeover) => {
      const next = random(bits + (takeover ? 100 : 0));
      const { server, client } = agree({
        codec,
        serverNoContextTakeover: !takeover,
        clientNoContextTakeover: !takeover,
        serverMaxWindowBits: bits,
        clientMaxWindowBits: bits,
      });
      const left = new End('server', server);
      const right = new End('client', client);
      const sent = Array.from({ length: 8 }, () => mixture(next, Math.floor(next() ** 2 * 30_000)));
      const split = (bytes: Uint8Array): Uint8Array[] => {
        const pieces: Uint8Array[] = [];
        for (let at = 0; at < bytes.length; ) {
          const end = Math.min(bytes.length, at + 1 + Math.floor(next() ** 4 * 9000));
          pieces.push(bytes.slice(at, end));
          at = end;
        }
        return pieces;
      };
      for (const message of sent) {
        left.connection.sendBinary(message);
        left.pump(right, split);
        right.connection.sendBinary(message);
        right.pump(left, split);
      }
      for (const end of [left, right]) {
        expect(end.received).toEqual(sent);
        const frames = end.frames();
        expect(frames.every(({ header }) => header.rsv === 4)).toBe(true);
        expect(oracle(frames, takeover, bits)).toEqual(sent.map((message) => Buffer.from(message).toString('latin1')));
        end.connection.abort();
      }
    },
  );

  it('a prepared message is compressed once for any number of connections without context', () => {
    let created = 0;
    let pushed = 0;
    const counting: DeflateCodec = {
      ...codec,
      createDeflate(...args) {
        created++;
        const raw = codec.createDeflate(...args);
        return {
          push: (...step) => {
            pushed++;
            return raw.push(...step);
          },
          reset: () => raw.reset(),
          close: () => raw.close(),
        };
      },
    };
    const message = prepareMessage('prepared '.repeat(50));
    for (let index = 0; index < 20; index++) {
      const { server, client } = agree({ codec: counting, serverNoContextTakeover: true });
      const left = new End('server', server);
      const right = new End('client', client);
      left.connection.sendPrepared(message);
      left.pump(right);
      expect(right.received).toEqual(['prepared '.repeat(50)]);
      left.connection.abort();
      right.connection.abort();
    }
    expect([created, pushed]).toEqual([1, 1]);
  });

  it('fuzz: mutated compressed frames never throw or hang, and no more than the limit comes out', () => {
    const raw = codec.createDeflate(15, 6, 8);
    const payload = deflateMessage(raw, [mixture(random(7), 3000)]);
    raw.close();
    let failed = 0;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(payload.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.nat(payload.length),
        fc.constantFrom('message', 'chunk', 'span'),
        (mutations, cutAt, delivery) => {
          const bytes = payload.slice();
          for (const [at, byte] of mutations) bytes[at] = byte;
          const frames = concat([
            serializeFrame({ opcode: 2, fin: false, rsv: 4, payload: bytes.subarray(0, cutAt), maskKey: 1 }),
            serializeFrame({ opcode: 0, payload: bytes.subarray(cutAt), maskKey: 2 }),
          ]);
          const results = [frames.length, 1, 17].map((size) => {
            let count = 0;
            const add = (size: number): void => {
              count += size;
            };
            const server = new End('server', agree({ codec }).server, {
              limits: { maxMessageSize: 4000 },
              delivery,
              sink: {
                onBinary: (data) => add(data.length),
                onSpan: (_buffer, start, end) => add(end - start),
              },
            });
            for (let at = 0; at < frames.length; at += size) server.connection.receiveData(frames.slice(at, at + size));
            const { closeSent, stats } = server.connection;
            server.connection.abort();
            expect(count).toBeLessThanOrEqual(4000);
            return [closeSent?.code ?? null, delivery === 'message' ? count : 0, stats.messagesIn];
          });
          expect(results[1]).toEqual(results[0]);
          expect(results[2]).toEqual(results[0]);
          const code = results[0]?.[0] ?? null;
          expect([null, 1007, 1009]).toContain(code);
          if (code !== null) failed++;
        },
      ),
      { numRuns: 150 },
    );
    expect(failed).toBeGreaterThan(20);
  });
});

describe('an asynchronous codec', () => {
  /** The transforms of `inner`, each step of which is let through only after `release`. */
  function asynchronous(inner: Extension): { extension: Extension; release: () => void } {
    let gate = false;
    const waiting: (() => void)[] = [];
    const pass = (ready: () => void): boolean => {
      if (gate) {
        gate = false;
        return true;
      }
      waiting.push(ready);
      return false;
    };
    const extension: Extension = {
      name: inner.name,
      rsv: inner.rsv,
      dispose: () => inner.dispose?.(),
      inbound(role, ready) {
        const transform = inner.inbound(role, ready);
        const gated: InboundTransform = {
          begin: (kind, rsv) => transform.begin(kind, rsv),
          push: (input, start, end, out) => (pass(ready) ? transform.push(input, start, end, out) : { consumed: 0, status: 'pending' }),
          finish: (out) => (pass(ready) ? transform.finish(out) : 'pending'),
        };
        return gated;
      },
      outbound(role, ready) {
        const transform = inner.outbound(role, ready);
        return {
          cacheKey: transform.cacheKey,
          begin: (kind, size, compress) => transform.begin(kind, size, compress),
          push: (input, start, end, fin, out) =>
            pass(ready) ? transform.push(input, start, end, fin, out) : { consumed: 0, status: 'pending' },
        };
      },
    };
    return {
      extension,
      release() {
        gate = true;
        for (const ready of waiting.splice(0)) ready();
      },
    };
  }

  it('waits for wake() in both directions, and keeps the order of everything', () => {
    const { server, client } = agree({ serverNoContextTakeover: false, clientNoContextTakeover: false });
    const slow = asynchronous(server);
    const left = new End('server', slow.extension);
    const right = new End('client', client);
    const payload = new Uint8Array(100).fill(7);
    left.connection.sendText('first first first');
    left.connection.sendBinary(payload);
    payload.fill(9); // small payloads are copied, also while they wait
    left.connection.sendText('plain', { compress: false });
    right.connection.sendText('and back');
    right.connection.sendText('again');
    const settle = (): void => {
      for (const piece of right.connection.takeOutput()) left.connection.receiveData(piece.slice());
      for (const piece of left.connection.takeOutput()) right.connection.receiveData(piece.slice());
    };
    settle();
    expect([left.received, right.received]).toEqual([[], []]);
    expect(left.connection.wantsRead).toBe(false);
    for (let steps = 0; steps < 100 && (left.received.length < 2 || right.received.length < 3); steps++) {
      slow.release();
      left.connection.wake();
      settle();
    }
    expect(left.received).toEqual(['and back', 'again']);
    expect(right.received).toEqual(['first first first', new Uint8Array(100).fill(7), 'plain']);
    left.connection.abort();
    slow.release(); // ready after the end: nothing happens
    left.connection.wake();
    right.connection.abort();
  });

  it('S23: close while a step is in flight frees the contexts once, and what becomes ready later is ignored', () => {
    for (const how of ['abort', 'eof', 'fail'] as const) {
      const { server, client } = agree({ serverNoContextTakeover: false, clientNoContextTakeover: false });
      const slow = asynchronous(server);
      let disposed = 0;
      const left = new End('server', { ...slow.extension, dispose: () => void disposed++ });
      const right = new End('client', client);
      right.connection.sendText('hello');
      left.connection.sendText('hello');
      for (const piece of right.connection.takeOutput()) left.connection.receiveData(piece.slice());
      if (how === 'abort') left.connection.abort();
      else if (how === 'fail') left.connection.fail(1011);
      left.connection.receiveEof();
      for (let steps = 0; steps < 10; steps++) {
        slow.release();
        left.connection.wake();
      }
      expect([how, disposed]).toEqual([how, 1]);
      right.connection.abort();
    }
  });
});

describe('memory', () => {
  it('after 10 000 closed connections with context it is within 20 MiB of that after the first 1000', () => {
    const churn = (count: number): void => {
      for (let at = 0; at < count; at++) {
        const { server, client } = agree({ serverNoContextTakeover: false, clientNoContextTakeover: false });
        const left = new End('server', server);
        const right = new End('client', client);
        left.connection.sendText('a message with some context '.repeat(4));
        left.pump(right);
        right.connection.sendText('a message with some context '.repeat(4));
        right.pump(left);
        left.connection.close(1000);
        left.pump(right);
        right.pump(left);
        left.connection.receiveEof();
        right.connection.receiveEof();
        expect(left.connection.state).toBe('closed');
      }
    };
    const resident = (): number => {
      globalThis.gc?.();
      globalThis.gc?.();
      return process.memoryUsage().rss;
    };
    churn(500); // two ends each
    let growth = 0;
    // The engine's heap settles at some tens of MiB, later on a busy machine; connections that were kept would come every time, with 300 KiB each.
    for (let round = 0; round < 6; round++) {
      const before = resident();
      churn(4500);
      growth = resident() - before;
      console.log(`9000 closed connections more: ${(growth / MIB).toFixed(1)} MiB more`);
      if (growth < 20 * MIB || growth > 500 * MIB) break;
    }
    expect(growth).toBeLessThan(20 * MIB);
  }, 90_000);
});
