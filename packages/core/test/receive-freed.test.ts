/**
 * `Kernels.discard`: input that large messages were put together from is given back by whoever read it, and nothing that is still to be read or
 * that the application holds goes with it.
 */
import { Connection, type ConnectionOptions, type Role } from '@ferrywire/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, digest, pattern, peerOf, split } from './connection-helpers.ts';
import { plainScanner } from './plain-scanner.ts';

const roles: readonly Role[] = ['server', 'client'];

interface Reader {
  readonly connection: Connection;
  /** As the application got them, kept. */
  readonly messages: (string | Uint8Array)[];
  readonly discarded: ArrayBufferLike[];
}

/** A host that frees what it is told of, as `transfer(0)` does. */
function reader(options: Partial<ConnectionOptions>, onMessage: (connection: Connection) => void = () => {}): Reader {
  const messages: (string | Uint8Array)[] = [];
  const discarded: ArrayBufferLike[] = [];
  const keep = (data: string | Uint8Array): void => {
    messages.push(data);
    onMessage(connection);
  };
  const connection: Connection = new Connection({
    role: 'server',
    clock: () => 0,
    input: 'transferred',
    ...options,
    kernels: {
      ...options.kernels,
      discard(buffer) {
        discarded.push(buffer);
        structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
      },
    },
    sink: { onBinary: keep, onText: keep },
  });
  return { connection, messages, discarded };
}
const told = (messages: readonly (string | Uint8Array)[]): string[] =>
  messages.map((data) => (typeof data === 'string' ? data : digest(data)));

describe.each(roles)('%s', (role) => {
  const peer = peerOf(role);

  it('is told of the chunks of a message, once each, when they have been copied', () => {
    const payload = pattern(100_000);
    const { connection, messages, discarded } = reader({ role });
    const chunks = split(peer.binary(payload), 30_000).map((chunk) => Uint8Array.from(chunk));
    const buffers = chunks.map(({ buffer }) => buffer);
    for (const chunk of chunks) connection.receiveData(chunk);
    expect(told(messages)).toEqual([digest(payload)]);
    // Those from the second half on are copied as they come, and the last one is too small to be worth anything.
    expect(discarded).toEqual(buffers.slice(0, discarded.length));
    expect(discarded.length).toBeGreaterThan(0);
    expect(discarded.every(({ byteLength }) => byteLength === 0)).toBe(true);
  });

  it('is not told of a message that is shown where it stands, nor of input that is not ours', () => {
    const wire = concat(peer.binary(pattern(40_000), false), peer.continuation(pattern(40_000, 1), true));
    for (const [input, chunks] of [
      ['transferred', [peer.binary(pattern(70_000))]],
      ['transferred', [peer.binary(pattern(20_000), false), peer.continuation(new Uint8Array(0), true)]],
      ['shared', split(wire, 20_000)],
      ['reused', split(wire, 20_000)],
    ] as const) {
      const { connection, messages, discarded } = reader({ role, input });
      for (const chunk of chunks) connection.receiveData(Uint8Array.from(chunk));
      expect([messages.length, discarded]).toEqual([1, []]);
    }
  });

  it('leaves every message as it was, however the input is cut and held back', () => {
    const kinds = fc.constantFrom('binary', 'text', 'fragments');
    const shape = fc.record({ kind: kinds, size: fc.constantFrom(0, 10, 125, 1000, 4096, 16_384, 17_000, 33_000, 70_000) });
    fc.assert(
      fc.property(
        fc.array(shape, { minLength: 1, maxLength: 6 }),
        fc.constantFrom(16_384, 17_000, 32_768, 65_536, 1_000_000),
        fc.boolean(),
        fc.boolean(),
        (shapes, cut, pauses, scans) => {
          const contents = shapes.map(({ kind, size }, at) => (kind === 'text' ? 'x'.repeat(size) : pattern(size, at)));
          const wire = concat(
            ...contents.map((content, at) => {
              if (typeof content === 'string') return peer.text(content);
              if (shapes[at]?.kind === 'binary') return peer.binary(content);
              const middle = content.length >> 1;
              return concat(peer.binary(content.slice(0, middle), false), peer.continuation(content.slice(middle), true));
            }),
          );
          const kernels = scans ? { scanner: plainScanner() } : {};
          const { connection, messages, discarded } = reader({ role, kernels }, (own) => {
            if (pauses) own.pause();
          });
          for (const chunk of split(wire, cut)) {
            connection.receiveData(Uint8Array.from(chunk));
            for (let turn = 0; connection.paused && turn < 20; turn++) connection.resume();
          }
          expect(told(messages)).toEqual(told(contents));
          expect(new Set(discarded).size).toBe(discarded.length);
          for (const message of messages) if (typeof message !== 'string') expect(discarded).not.toContain(message.buffer);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('may be pulled', () => {
    const contents = [pattern(50_000), pattern(100, 1), pattern(60_000, 2)];
    const discarded: ArrayBufferLike[] = [];
    const connection = new Connection({
      role,
      clock: () => 0,
      input: 'transferred',
      kernels: {
        discard(buffer) {
          discarded.push(buffer);
          structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
        },
      },
    });
    const seen: string[] = [];
    for (const chunk of split(concat(...contents.map((content) => peer.binary(content))), 20_000)) {
      connection.receiveData(Uint8Array.from(chunk));
      for (const event of connection.events()) if (event.type === 'message') seen.push(digest(event.data as Uint8Array));
    }
    expect(seen).toEqual(contents.map(digest));
    expect(discarded.length).toBeGreaterThan(0);
  });
});
