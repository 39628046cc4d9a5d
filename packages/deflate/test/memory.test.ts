/**
 * Memory of contexts: created at first use, freed when the connection ends.
 */
import { type DeflateCodec, serverDeflate } from '@ferrywire/deflate';
import { pakoCodec } from '@ferrywire/deflate/pako';
import { zlibCodec } from '@ferrywire/deflate/zlib';
import { describe, expect, it } from 'vitest';
import { ascii, concat, mixture, Output, random, receive, send } from '../dist/suite/harness.js';

const MIB = 1 << 20;

function resident(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().rss;
}

/** Both contexts, used for one message and kept in `idle`; returns what they were given. */
function useOnce(codec: DeflateCodec, idle: unknown[]): readonly WeakRef<Uint8Array>[] {
  const [deflate, inflate] = [codec.createDeflate(15, 6, 8), codec.createInflate(15)];
  idle.push(deflate, inflate);
  const plain = new Uint8Array(100_000);
  const compressed = Uint8Array.of(0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00);
  const out = { room: 200_000, write: () => {} };
  for (let at = 0; at < plain.length; ) at += deflate.push(plain, at, plain.length, true, out).consumed;
  expect(inflate.push(compressed, 0, compressed.length, out)).toEqual({ consumed: compressed.length, status: 'need' });
  return [new WeakRef(plain), new WeakRef(compressed)];
}

describe('memory', () => {
  const server = serverDeflate({ serverNoContextTakeover: false, clientNoContextTakeover: false, threshold: 0 });
  const message = mixture(random(1), 20_000);

  function connection(use: boolean) {
    const accepted = server.accept([], []);
    if (accepted === null) throw new Error('declined');
    const out = accepted.extension.outbound('server', () => {});
    const into = accepted.extension.inbound('server', () => {});
    if (use) expect(receive(into, send(out, [message]) ?? [])).toHaveLength(message.length);
    return accepted.extension;
  }

  it('after 10 000 connections with context it is within 20 MiB of that after the first 1000', () => {
    const churn = (count: number) => {
      for (let at = 0; at < count; at += 50) {
        const some = Array.from({ length: 50 }, () => connection(true));
        for (const extension of some) extension.dispose?.();
      }
    };
    churn(1000);
    let growth = Number.POSITIVE_INFINITY;
    // On a busy machine the collector's threads are late now and then, and the allocator's heap keeps the size that it had by then. A leak grows
    // each time.
    for (let round = 0; round < 3 && growth >= 20 * MIB; round++) {
      const before = resident();
      churn(9000);
      growth = resident() - before;
      console.log(`9000 connections more: ${(growth / MIB).toFixed(1)} MiB more`);
    }
    expect(growth).toBeLessThan(20 * MIB);
  }, 120_000);

  it.each([
    ['zlib', zlibCodec],
    ['pako', pakoCodec],
  ] as const)('an idle context of %s keeps neither what it has compressed nor what it was given to inflate', async (_name, codec) => {
    const idle: unknown[] = [];
    const used = useOnce(codec, idle);
    // What a WeakRef was made of lives to the end of the turn.
    for (let turn = 0; turn < 10 && used.some((reference) => reference.deref() !== undefined); turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      globalThis.gc?.();
    }
    expect(used.map((reference) => reference.deref() === undefined)).toEqual([true, true]);
    expect(idle).toHaveLength(2);
  });

  it('of the contexts that many messages at once have needed, a few are kept and the rest freed', () => {
    const live = { deflate: 0, inflate: 0 };
    const made = { deflate: 0, inflate: 0 };
    const counted = <Raw extends { close(): void }>(kind: 'deflate' | 'inflate', raw: Raw): Raw => {
      live[kind]++;
      made[kind]++;
      const close = raw.close.bind(raw);
      raw.close = () => {
        live[kind]--;
        close();
      };
      return raw;
    };
    const codec: DeflateCodec = {
      ...pakoCodec,
      createDeflate: (...args) => counted('deflate', pakoCodec.createDeflate(...args)),
      createInflate: (...args) => counted('inflate', pakoCodec.createInflate(...args)),
    };
    const fresh = serverDeflate({ codec, threshold: 0 });
    const half = ascii('half of a message');
    const ends = Array.from({ length: 20 }, () => {
      const accepted = fresh.accept([], []);
      if (accepted === null) throw new Error('declined');
      const out = accepted.extension.outbound('server', () => {});
      const into = accepted.extension.inbound('server', () => {});
      out.begin('text', null, true);
      into.begin('text', 4);
      const wire = new Output();
      wire.room = 1000;
      out.push(half, 0, half.length, false, wire);
      const back = new Output();
      back.room = 1000;
      into.push(wire.bytes, 0, wire.total, back);
      expect(back.bytes).toEqual(half);
      return { out, into, back };
    });
    expect([made, live]).toEqual([
      { deflate: 20, inflate: 20 },
      { deflate: 20, inflate: 20 },
    ]);
    for (const { out, into, back } of ends) {
      const wire = new Output();
      wire.room = 1000;
      out.push(half, 0, half.length, true, wire);
      into.push(wire.bytes, 0, wire.total, back);
      expect(into.finish(back)).toBe('need');
      expect(back.bytes).toEqual(concat([half, half]));
    }
    for (const kind of ['deflate', 'inflate'] as const) {
      expect(live[kind]).toBeGreaterThan(0);
      expect(live[kind]).toBeLessThan(10);
    }
    for (const { out, into } of ends) expect(receive(into, send(out, [half]) ?? [])).toEqual(half);
    expect(made).toEqual({ deflate: 20, inflate: 20 });
  });

  it('a connection that has not sent or received anything compressed holds no context', () => {
    const before = resident();
    const idle = Array.from({ length: 2000 }, () => connection(false));
    expect(resident() - before).toBeLessThan(10 * MIB); // one context each would be 500 MiB
    for (const extension of idle) extension.dispose?.();
  });
});
