/**
 * An application that transfers the buffer of a message (to a worker, with `structuredClone`) loses what it has given away and nothing that is
 * still to come: neither on this connection nor on another one, wherever the bytes lay.
 */
import { Connection, type ConnectionOptions, type Kernels, type Role } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, digest, pattern, peerOf, split } from './connection-helpers.ts';
import { plainScanner } from './plain-scanner.ts';

const roles: readonly Role[] = ['server', 'client'];
const inputs = ['shared', 'reused', 'transferred'] as const;
const SIZES = [0, 1, 40, 64, 65, 100, 300, 384, 385, 1000, 2048, 2049, 4096, 9000, 20_000, 40_000, 70_000];

interface Receiving {
  readonly connection: Connection;
  readonly seen: string[];
}

/** Gives every message away as soon as it has been looked at. */
function giver(role: Role, options: Partial<ConnectionOptions> = {}): Receiving {
  const seen: string[] = [];
  const connection = new Connection({
    role,
    clock: () => 0,
    ...options,
    sink: {
      onBinary(data) {
        seen.push(digest(data));
        structuredClone(data, { transfer: [data.buffer as ArrayBuffer] });
      },
    },
  });
  return { connection, seen };
}

describe.each(roles)('%s', (role) => {
  const peer = peerOf(role);
  const messages = [...SIZES, ...SIZES.slice().reverse(), ...SIZES].map((size, at) => pattern(size, at));
  const whole = concat(...messages.map((data) => peer.binary(data)));
  /** The first part of each ends at the end of a chunk, or does not. */
  const fragmented = concat(...messages.map((data) => concat(peer.binary(data, false), peer.continuation(new Uint8Array(0), true))));
  const expected = messages.map(digest);

  it.each(inputs)('messages of every size, cut anywhere, input %s', (input) => {
    for (const kernels of [{}, { scanner: plainScanner() }, { scanner: plainScanner(32_768, 48) }] as const) {
      for (const wire of [whole, fragmented]) {
        for (const size of [333, 4096, 16_384, 30_000, 65_536, wire.length]) {
          const { connection, seen } = giver(role, { input, kernels });
          for (const chunk of split(wire, size)) connection.receiveData(chunk);
          expect(seen).toEqual(expected);
          expect(connection.state).toBe('open');
        }
      }
    }
  });

  it('the only piece of a message is shown where it stands, unless there is input behind it', () => {
    const [data, end] = [pattern(20_000, 1), peer.continuation(new Uint8Array(0), true)];
    for (const behind of [false, true]) {
      const seen: Uint8Array[] = [];
      const connection = new Connection({
        role,
        clock: () => 0,
        input: 'transferred',
        sink: { onBinary: (bytes) => void seen.push(bytes) },
      });
      const chunk = behind ? concat(peer.binary(data, false), end) : Uint8Array.from(peer.binary(data, false));
      connection.receiveData(chunk);
      if (!behind) connection.receiveData(Uint8Array.from(end));
      expect(seen.map((bytes) => [digest(bytes), bytes.buffer === chunk.buffer])).toEqual([[digest(data), !behind]]);
    }
  });
  it('the second of two equal messages in one chunk is shown there: its frame is half of it', () => {
    for (const [size, behind, inPlace] of [
      [65_536, 65_536, true],
      [5000, 5000, true],
      [5040, 5000, false],
      [4000, 4000, false],
    ] as const) {
      const seen: Uint8Array[] = [];
      const connection = new Connection({ role, clock: () => 0, input: 'transferred', sink: { onBinary: (data) => void seen.push(data) } });
      const chunk = concat(peer.binary(pattern(size)), peer.binary(pattern(behind, 1)));
      connection.receiveData(chunk);
      expect(seen.map((data) => [digest(data), data.buffer === chunk.buffer])).toEqual([
        [digest(pattern(size)), false],
        [digest(pattern(behind, 1)), inPlace],
      ]);
    }
  });
  it('a message that is less than half of its chunk stands elsewhere, behind others too', () => {
    const seen: Uint8Array[] = [];
    const connection = new Connection({ role, clock: () => 0, input: 'transferred', sink: { onBinary: (data) => void seen.push(data) } });
    const chunk = concat(peer.binary(pattern(40_000)), peer.binary(pattern(20_000, 1)));
    connection.receiveData(chunk);
    expect(seen.map((data) => [digest(data), data.buffer === chunk.buffer])).toEqual([
      [digest(pattern(40_000)), false],
      [digest(pattern(20_000, 1)), false],
    ]);
  });
  it.each(inputs)('the next message of another connection, input %s', (input) => {
    for (const size of SIZES) {
      const [one, other] = [giver(role, { input }), giver(role, { input })];
      for (let turn = 0; turn < 3; turn++) {
        for (const { connection } of [one, other]) connection.receiveData(Uint8Array.from(peer.binary(pattern(size, turn))));
      }
      for (const { seen } of [one, other]) expect(seen).toEqual([0, 1, 2].map((turn) => digest(pattern(size, turn))));
    }
  });
});

describe('markShared', () => {
  function received(kernels: Kernels, wire: Uint8Array): Uint8Array[] {
    const got: Uint8Array[] = [];
    const connection = new Connection({ role: 'server', clock: () => 0, kernels, sink: { onBinary: (data) => void got.push(data) } });
    connection.receiveData(wire);
    return got;
  }
  const peer = peerOf('server');
  const sizes = [64, 65, 100, 500, 2048, 2049, 20_000];
  const wire = concat(...sizes.map((size) => peer.binary(pattern(size))));

  it('is told of every buffer that messages of several connections are cut from, once, and of no other', () => {
    const marked: ArrayBuffer[] = [];
    const kernels: Kernels = { markShared: (buffer) => void marked.push(buffer) };
    // Enough for several such buffers, of which the first may be another test's.
    const all = Array.from({ length: 40 }, () => received(kernels, wire)).slice(10);
    expect(new Set(marked).size).toBe(marked.length);
    expect(marked.length).toBeGreaterThan(3);
    for (const messages of all) {
      for (const { buffer, byteLength } of messages) {
        expect(marked.includes(buffer as ArrayBuffer), `a message of ${byteLength} bytes`).toBe(byteLength > 64 && byteLength <= 2048);
      }
    }
  });
  it('belongs to the kernels, as what shares settings must know', () => {
    const marks: string[] = [];
    const marking = (name: string): Kernels => ({ markShared: () => void marks.push(name) });
    for (const kernels of [marking('a'), marking('b')]) for (let turn = 0; turn < 20; turn++) received(kernels, wire);
    expect(new Set(marks)).toEqual(new Set(['a', 'b']));
  });
});
