/**
 * Memory of contexts: created at first use, freed when the connection ends.
 */
import { serverDeflate } from '@ferrywire/deflate';
import { describe, expect, it } from 'vitest';
import { mixture, random, receive, send } from '../dist/suite/harness.js';

const MIB = 1 << 20;

function resident(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().rss;
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
    const before = resident();
    churn(9000);
    const growth = resident() - before;
    console.log(`9000 connections more: ${(growth / MIB).toFixed(1)} MiB more`);
    expect(growth).toBeLessThan(20 * MIB);
  }, 120_000);

  it('a connection that has not sent or received anything compressed holds no context', () => {
    const before = resident();
    const idle = Array.from({ length: 2000 }, () => connection(false));
    expect(resident() - before).toBeLessThan(10 * MIB); // one context each would be 500 MiB
    for (const extension of idle) extension.dispose?.();
  });
});
