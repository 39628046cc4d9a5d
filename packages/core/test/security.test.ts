/**
 * Classes of bugs that other implementations of the protocol had: S1 to S3, S6 to S8, S13, S20, S21, S24, S25 and S27. S6, S8, S24 and S25 have
 * further tests in frame.test.ts and close.test.ts.
 */
import { Connection, type ConnectionOptions, prepareMessage, type Role } from '@ferrywire/core';
import { applyMask, FrameParser, serializeFrame } from '@ferrywire/core/frame';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, describeFrame, hex, joined, open, pattern, peerOf, type Seen, toHex, utf8 } from './connection-helpers.ts';

const roles = ['server', 'client'] as const;
const MIB = 1_048_576;
const SPARE = 65_536;

/** Bytes in use, after a collection. */
function inUse(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
/** The least of several: V8 gives back the memory of buffers on other threads, after the collection. */
async function leastInUse(): Promise<number> {
  let least = inUse();
  for (let attempt = 0; attempt < 4; attempt++) {
    await new Promise((resolve) => setImmediate(resolve));
    least = Math.min(least, inUse());
  }
  return least;
}
function cpu(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}
/**
 * What the larger of two runs costs beside the smaller: the least of up to ten tries, since a busy machine only adds to either. Work that
 * grows with the square gives 4 in every one of them.
 */
function growth(larger: () => void, smaller: () => void, limit: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 10 && least >= limit; attempt++) least = Math.min(least, cpu(larger) / cpu(smaller));
  return least;
}

/** A connection in push mode that keeps the newest message only, so that what is measured is its own. */
function quiet(options: Partial<ConnectionOptions> & { readonly role: Role }): {
  readonly connection: Connection;
  messages: number;
  last: unknown;
  failed: boolean;
} {
  const state = { connection: null as unknown as Connection, messages: 0, last: null as unknown, failed: false };
  const take = (data: unknown): void => {
    state.messages++;
    state.last = data;
  };
  state.connection = new Connection({
    ...options,
    clock: () => 0,
    sink: {
      onText: take,
      onBinary: take,
      onEnd({ cause }) {
        state.failed = cause !== null;
      },
    },
  });
  return state;
}

/** One fragmented message of `count` continuations of `size` bytes each, `batch` frames in a chunk; without its end, unless `fin`. */
function sendFragments(connection: Connection, count: number, size: number, fin: boolean): void {
  const peer = peerOf(connection.role);
  const payload = new Uint8Array(size).fill(0x61);
  const batch = 1000;
  const part = concat(...Array.from({ length: batch }, () => peer.continuation(payload, false)));
  connection.receiveData(peer.binary(payload, false));
  for (let sent = 0; sent < count; sent += batch) connection.receiveData(part);
  if (fin) connection.receiveData(peer.continuation(payload, true));
}

describe('S1 memory follows bytes and not fragments', () => {
  const limits = { maxFragments: Number.POSITIVE_INFINITY, maxMessageSize: 4 * MIB };
  // Memory grows to a power of two, and what the runtime compiles on the way takes some: together a quarter of a byte for each fragment.
  const constant = 262_144;
  for (const role of roles) {
    for (const size of [1, 0]) {
      it(`${role}: one million fragments of ${size} bytes, before and after the end of the message`, { timeout: 120_000 }, async () => {
        const count = 1_000_000;
        // What a first run compiles and caches is not the connection's.
        sendFragments(quiet({ role, limits }).connection, 10_000, size, true);
        const before = await leastInUse();
        const state = quiet({ role, limits });
        sendFragments(state.connection, count, size, false);
        expect((await leastInUse()) - before).toBeLessThanOrEqual(2 * count * size + constant);
        expect([state.failed, state.connection.state]).toEqual([false, 'open']);
        state.connection.receiveData(peerOf(role).continuation('', true));
        expect((state.last as Uint8Array).length).toBe((count + 1) * size);
        expect((await leastInUse()) - before).toBeLessThanOrEqual(2 * count * size + constant);
      });
    }
  }

  it('twice as many fragments take at most 2.2 times the CPU', { timeout: 120_000 }, () => {
    const run = (count: number) => () => sendFragments(quiet({ role: 'server', limits }).connection, count, 1, true);
    run(100_000)();
    expect(growth(run(800_000), run(400_000), 2.2)).toBeLessThan(2.2);
  });
});

describe('S2 honest peers are let alone', () => {
  for (const role of roles) {
    it(`${role}: 100 000 fragments with the defaults, and again in the next message`, { timeout: 60_000 }, () => {
      const state = quiet({ role });
      for (let message = 1; message <= 12; message++) {
        sendFragments(state.connection, 100_000, message === 1 ? 1 : 0, true);
        expect([state.messages, state.failed]).toEqual([message, false]);
      }
    });

    it(`${role}: one million messages on one connection`, { timeout: 60_000 }, () => {
      const state = quiet({ role });
      const peer = peerOf(role);
      const part = concat(...Array.from({ length: 1000 }, () => peer.text('x')));
      for (let sent = 0; sent < 1000; sent++) state.connection.receiveData(part);
      expect([state.messages, state.failed]).toEqual([1_000_000, false]);
    });
  }
});

describe('S3 memory and time follow bytes and not chunks', () => {
  const limits = { maxMessageSize: 32 * MIB };
  /** A message of `size` bytes, one byte at a time. */
  function drip(role: Role, size: number, wire: Uint8Array): ReturnType<typeof quiet> {
    const state = quiet({ role, limits });
    for (let at = 0; at < wire.length; at++) state.connection.receiveData(wire.subarray(at, at + 1));
    expect((state.last as Uint8Array).length).toBe(size);
    return state;
  }

  it('10 MB of one frame in single bytes: retained heap at most twice the payload', { timeout: 120_000 }, () => {
    const size = 10_000_000;
    const wire = peerOf('server').binary(new Uint8Array(size));
    drip('server', 1000, peerOf('server').binary(new Uint8Array(1000)));
    const before = inUse();
    const state = quiet({ role: 'server', limits });
    // Memory of its own for each byte, as a socket gives it.
    for (let at = 0; at < wire.length - 1; at++) state.connection.receiveData(Uint8Array.of(wire[at] as number));
    expect(inUse() - before).toBeLessThanOrEqual(2 * size + SPARE);
    state.connection.receiveData(wire.subarray(-1));
    expect((state.last as Uint8Array).length).toBe(size);
  });

  it('so it is when nobody reads: pull mode that is not pulled', { timeout: 120_000 }, () => {
    const size = 2_000_000;
    const wire = peerOf('server').binary(new Uint8Array(size));
    const before = inUse();
    const connection = new Connection({ role: 'server', clock: () => 0, limits });
    for (let at = 0; at < wire.length; at++) connection.receiveData(Uint8Array.of(wire[at] as number));
    expect(connection.wantsRead).toBe(false);
    expect(inUse() - before).toBeLessThanOrEqual(2 * size + SPARE);
    const event = connection.nextEvent();
    expect(event?.type === 'message' && event.data.length).toBe(size);
  });

  it('twice the bytes take at most 2.2 times the CPU', { timeout: 120_000 }, () => {
    const wires = [1_000_000, 2_000_000].map((size) => peerOf('server').binary(new Uint8Array(size)));
    const run = (index: number) => () => void drip('server', index === 0 ? 1_000_000 : 2_000_000, wires[index] as Uint8Array);
    run(0)();
    expect(growth(run(1), run(0), 2.2)).toBeLessThan(2.2);
  });
});

describe('S3 for what is sent', () => {
  /** So many messages behind one whose transform waits, then all of them. */
  const behind = (count: number) => () => {
    let isReady = false;
    const { connection } = quiet({
      role: 'server',
      timeouts: { keepalive: 0 },
      extensions: [
        {
          name: 'x-waits',
          rsv: 4,
          inbound: () => ({
            begin: () => false,
            push: (_, start, end) => ({ consumed: end - start, status: 'need' }),
            finish: () => 'need',
          }),
          outbound: () => ({
            cacheKey: null,
            begin: (_kind, size) => (size === 1 ? 0 : 4),
            push: (_, start, end) => (isReady ? { consumed: end - start, status: 'need' } : { consumed: 0, status: 'pending' }),
          }),
        },
      ],
    });
    connection.sendText('first');
    for (let i = 0; i < count; i++) connection.sendText('a');
    isReady = true;
    connection.wake();
    expect(connection.takeOutput().reduce((sum, chunk) => sum + chunk.length, 0)).toBe(2 + count * 3);
  };

  it('three times the messages that wait behind one take at most 5 times the CPU', { timeout: 120_000 }, () => {
    expect(growth(behind(150_000), behind(50_000), 5)).toBeLessThan(5);
  });
});

describe('S6 lengths at the edges of numbers', () => {
  const edges: readonly (readonly [bigint, number])[] = [
    [2n ** 31n - 1n, 1009],
    [2n ** 31n, 1009],
    [2n ** 31n + 1n, 1009],
    [2n ** 32n - 1n, 1009],
    [2n ** 32n, 1009],
    [2n ** 32n + 1n, 1009],
    [2n ** 53n - 1n, 1009],
    [2n ** 53n, 1009],
    [2n ** 53n + 1n, 1009],
    [2n ** 63n - 1n, 1009],
    [2n ** 63n, 1002],
    [2n ** 64n - 1n, 1002],
  ];
  for (const role of roles) {
    it(`${role}: refused from the header alone, with nothing allocated`, () => {
      for (const limits of [{}, { maxMessageSize: MIB }, { maxMessageSize: Number.MAX_SAFE_INTEGER, maxFrameSize: 1000 }]) {
        for (const [size, code] of edges) {
          const harness = open({ role, limits });
          harness.receive(harness.peer.header(2, size, { lengthBytes: 8 }));
          expect([size, harness.sent().map((line) => line.slice(0, 10))]).toEqual([size, [`CLOSE ${code}`]]);
          expect(harness.connection.transport).toBe('end');
        }
      }
    });
  }

  it('in a fragment, the sum counts', () => {
    for (const [size] of edges) {
      const harness = open({ role: 'server' });
      harness.receive(harness.peer.text('a', false), harness.peer.header(0, size, { lengthBytes: 8, fin: true }));
      expect(harness.sent()).toHaveLength(1);
      expect(harness.connection.transport).toBe('end');
    }
  });
});

describe('S7 control frames between fragments do not reset a limit', () => {
  for (const role of roles) {
    for (const delivery of ['message', 'chunk', 'span'] as const) {
      it(`${role}, delivery ${delivery}`, () => {
        const limits = { maxMessageSize: 100, maxFrameSize: 100, maxFragments: 5 };
        const harness = open({ role, delivery, limits });
        const { peer } = harness;
        harness.receive(peer.text('a'.repeat(99), false), peer.ping('between'), peer.pong(), peer.continuation('bb', true));
        expect(harness.sent()[1]).toMatch(/^CLOSE 1009/);
        const counted = open({ role, delivery, limits });
        counted.receive(counted.peer.text('', false));
        for (let sent = 1; sent < 5; sent++) counted.receive(counted.peer.ping(), counted.peer.continuation('', false));
        expect(counted.connection.state).toBe('open');
        counted.receive(counted.peer.ping(), counted.peer.continuation('', false));
        expect(counted.sent().at(-1)).toMatch(/^CLOSE 1008/);
      });
    }
  }
});

describe('S8 no memory goes out that was not handed in', () => {
  const wrong: readonly unknown[] = [
    1,
    1000,
    -1,
    1e9,
    true,
    null,
    {},
    { length: 9 },
    [1, 2],
    [],
    () => {},
    new ArrayBuffer(8),
    new Float64Array(2),
    Symbol('x'),
  ];
  const noText: readonly unknown[] = [...wrong, new Uint8Array(8)];
  for (const role of roles) {
    it(`${role}: what is neither text nor bytes throws and sends nothing`, () => {
      const harness = open({ role });
      const connection = harness.connection as unknown as Record<string, (...values: readonly unknown[]) => unknown>;
      const calls: readonly (readonly [string, (value: unknown) => unknown, readonly unknown[]])[] = [
        ['send', (value) => connection.send?.(value), wrong],
        ['sendText', (value) => connection.sendText?.(value), wrong],
        ['sendBinary', (value) => connection.sendBinary?.(value), [...wrong, 'text']],
        ['ping', (value) => connection.ping?.(value), [...wrong, 'text']],
        ['pong', (value) => connection.pong?.(value), [...wrong, 'text']],
        ['close reason', (value) => connection.close?.(1000, value), noText],
        ['close code', (value) => connection.close?.(value), ['1000', true, null, {}, [1000], new Uint8Array(2)]],
        ['prepareMessage', (value) => prepareMessage(value as string), wrong],
      ];
      for (const [name, call, values] of calls) {
        for (const value of values) {
          expect(() => call(value), `${name} ${String(value)}`).toThrow(
            expect.toSatisfy((error) => error instanceof TypeError || error instanceof RangeError),
          );
        }
      }
      expect([harness.output().length, harness.connection.state, harness.connection.closeSent]).toEqual([0, 'open', null]);
    });

    it(`${role}: of a view only its own bytes`, () => {
      const memory = new Uint8Array(4096).fill(0x5e);
      const view = memory.subarray(1000, 1003);
      view.set([1, 2, 3]);
      const harness = open({ role });
      harness.connection.sendBinary(view);
      harness.connection.ping(view);
      harness.connection.sendBinary(new Uint8Array(0));
      harness.connection.sendBinary(memory.subarray(0, 20_000));
      const payloads = harness.frames().map(({ payload }) => payload.length);
      expect(payloads).toEqual([3, 3, 0, 4096]);
    });
  }
});

describe('S13 limits hold by default', () => {
  for (const role of roles) {
    it(`${role}: message, fragments and pongs`, { timeout: 60_000 }, () => {
      const large = open({ role });
      large.receive(large.peer.header(2, MIB + 1));
      expect(large.sent()[0]).toMatch(/^CLOSE 1009/);
      const exact = open({ role });
      exact.receive(exact.peer.binary(new Uint8Array(MIB)));
      expect(exact.of('binary')[0]?.data.length).toBe(MIB);
      const state = quiet({ role });
      sendFragments(state.connection, 1_048_000, 0, false);
      expect(state.connection.state).toBe('open');
      sendFragmentsOn(state.connection, 1000);
      expect(state.connection.state).not.toBe('open');
      const flooded = open({ role });
      for (let sent = 0; sent < 1000; sent++) flooded.receive(flooded.peer.ping(String(sent)));
      expect(flooded.sent()).toHaveLength(64);
    });
  }
  function sendFragmentsOn(connection: Connection, count: number): void {
    const peer = peerOf(connection.role);
    for (let sent = 0; sent < count; sent++) connection.receiveData(peer.continuation('', false));
  }
});

describe('S20 a flood of pings at a peer that reads nothing', () => {
  for (const role of roles) {
    it(`${role}: one million pings leave 64 pongs, the last of them the newest`, { timeout: 60_000 }, () => {
      const peer = peerOf(role);
      const state = quiet({ role });
      const payload = (index: number): string => `${index}`.padStart(125, '.');
      const parts = Array.from({ length: 1000 }, (_, batch) => batch).map((batch) => ({ batch }));
      // The first hundred are told apart, the rest are alike but for the very last.
      for (let index = 0; index < 100; index++) state.connection.receiveData(peer.ping(payload(index)));
      const part = concat(...Array.from({ length: 1000 }, () => peer.ping(payload(999))));
      const before = inUse();
      for (const _ of parts) state.connection.receiveData(part);
      state.connection.receiveData(peer.ping(payload(1_000_000)));
      expect(inUse() - before).toBeLessThan(SPARE);
      expect(state.connection.bufferedAmount).toBeLessThanOrEqual(64 * 131);
      const parser = new FrameParser();
      const pongs = state.connection.takeOutput().flatMap((chunk) => [...parser.push(chunk)]);
      expect(pongs).toHaveLength(64);
      expect(pongs.slice(0, 63).map(describeFrame)).toEqual(Array.from({ length: 63 }, (_, index) => `PONG '${payload(index)}'`));
      expect(describeFrame(pongs[63] as (typeof pongs)[number])).toBe(`PONG '${payload(1_000_000)}'`);
    });
  }
});

describe('S21 after the end nothing comes', () => {
  /** What a hostile peer may put on the wire: legal frames, illegal ones, noise. */
  function wire(role: Role): fc.Arbitrary<Uint8Array> {
    const peer = peerOf(role);
    return fc.oneof(
      { weight: 3, arbitrary: fc.string({ maxLength: 20 }).map((text) => peer.text(text)) },
      fc.uint8Array({ maxLength: 20 }).map((data) => peer.binary(data, false)),
      fc.uint8Array({ maxLength: 20 }).map((data) => peer.continuation(data, true)),
      fc.constant(peer.ping('p')),
      fc.constant(peer.close(1000, 'bye')),
      fc.constant(peer.close()),
      fc.uint8Array({ maxLength: 30 }),
    );
  }
  const finales: readonly (readonly [string, (connection: Connection) => void])[] = [
    ['eof', (connection) => connection.receiveEof()],
    ['error', (connection) => connection.receiveError(new Error('reset'))],
    ['abort', (connection) => connection.abort()],
  ];

  for (const role of roles) {
    for (const [name, finish] of finales) {
      it(`${role}: after ${name} there is one end event and then no event, no output, no deadline`, () => {
        fc.assert(
          fc.property(
            fc.array(wire(role), { maxLength: 8 }),
            fc.array(wire(role), { maxLength: 8 }),
            fc.boolean(),
            (before, after, push) => {
              const harness = open({ role, mode: push ? 'push' : 'pull' });
              harness.receive(...before);
              finish(harness.connection);
              if (!push) harness.pull();
              expect(harness.seen.filter(({ type }) => type === 'end')).toHaveLength(1);
              expect(harness.seen.at(-1)?.type).toBe('end');
              harness.output();
              const count = harness.seen.length;
              harness.receive(...after);
              harness.connection.receiveEof();
              harness.connection.receiveError(new Error('again'));
              harness.connection.handleTimeout(1e12);
              harness.connection.resume();
              if (!push) harness.pull();
              expect([harness.connection.send('late'), harness.connection.ping(), harness.connection.close(1000)]).toEqual([
                false,
                false,
                false,
              ]);
              harness.connection.fail(1011);
              harness.connection.abort();
              expect([harness.seen.length, harness.output().length, harness.connection.nextTimeout()]).toEqual([count, 0, null]);
            },
          ),
          { numRuns: 150 },
        );
      });
    }

    it(`${role}: after a violation, and after the peer’s close frame, nothing is parsed`, () => {
      fc.assert(
        fc.property(fc.array(wire(role), { maxLength: 8 }), fc.boolean(), (after, violation) => {
          const harness = open({ role });
          harness.receive(violation ? hex('83 80 00000000') : harness.peer.close(1000));
          const told = harness.seen.length;
          const sent = harness.sent().length;
          harness.receive(...after);
          expect([harness.seen.length, harness.sent().length, sent]).toEqual([told, 0, 1]);
          harness.connection.receiveEof();
          expect(harness.seen).toHaveLength(told + 1);
          expect(harness.end.clean).toBe(!violation);
        }),
        { numRuns: 150 },
      );
    });
  }

  it('a second close frame, ours or theirs, changes nothing', () => {
    const harness = open({ role: 'server' });
    expect(harness.connection.close(1000, 'first')).toBe(true);
    expect(harness.connection.close(4000, 'second')).toBe(false);
    harness.receive(harness.peer.close(1000), harness.peer.close(4001, 'again'));
    harness.connection.receiveEof();
    expect(harness.sent()).toEqual(["CLOSE 1000 'first'"]);
    expect(harness.of('close')).toHaveLength(1);
    expect([harness.end.code, harness.end.clean, harness.end.initiator]).toEqual([1000, true, 'local']);
  });
});

describe('S24 masks', () => {
  it('of a client come from the cryptographic source, are fresh for each frame, and spread evenly', () => {
    const connection = new Connection({ role: 'client', clock: () => 0 });
    const parser = new FrameParser();
    const keys: number[] = [];
    for (let sent = 0; sent < 20_000; sent++) connection.sendBinary(Uint8Array.of(1));
    for (const chunk of connection.takeOutput()) for (const { header } of parser.push(chunk)) keys.push(header.maskKey);
    expect(keys).toHaveLength(20_000);
    // A birthday or two among 20 000 of 2^32 may be; a pattern may not.
    expect(new Set(keys).size).toBeGreaterThan(19_990);
    for (let bit = 0; bit < 32; bit++) {
      const set = keys.filter((key) => ((key >>> bit) & 1) === 1).length;
      expect(Math.abs(set - 10_000), `bit ${bit}`).toBeLessThan(450);
    }
    const steps = new Set(keys.slice(1).map((key, index) => (key - (keys[index] ?? 0)) >>> 0));
    expect(steps.size).toBeGreaterThan(19_980);
  });

  it('never touch a buffer of the caller, of any size, unless it was handed over', () => {
    for (const size of [1, 3, 125, 126, 1000, 16_383, 16_384, 70_000]) {
      const data = pattern(size);
      const before = toHex(data);
      const harness = open({ role: 'client' });
      harness.connection.sendBinary(data);
      harness.connection.sendText(data.map((byte) => byte & 0x7f));
      harness.connection.sendPrepared(prepareMessage(data));
      if (size <= 125) harness.connection.ping(data);
      const writer = harness.connection.startMessage('binary');
      writer.write(data);
      writer.end(data);
      const frames = harness.frames();
      expect(toHex(data)).toBe(before);
      expect(toHex(frames[0]?.payload ?? new Uint8Array())).toBe(before);
    }
  });

  it('a server fails for a frame without one, at its second byte; a client for a frame with one', () => {
    for (const role of roles) {
      const harness = open({ role });
      const wire = role === 'server' ? hex('81 00') : hex('81 80');
      harness.receive(wire.subarray(0, 1));
      expect(harness.connection.state).toBe('open');
      harness.receive(wire.subarray(1));
      expect(harness.sent()[0]).toMatch(/^CLOSE 1002/);
    }
  });

  it('input that is shared is not unmasked in place', () => {
    const harness = open({ role: 'server', input: 'shared' });
    const wire = concat(harness.peer.binary(pattern(100_000)), harness.peer.text('ä'.repeat(1000)));
    const before = toHex(wire);
    harness.receive(wire);
    expect(toHex(wire)).toBe(before);
    expect(toHex(harness.of('binary')[0]?.data ?? new Uint8Array())).toBe(toHex(pattern(100_000)));
  });
});

describe('S25 reserved bits, opcodes and FIN in every state', () => {
  const CONTROL = [8, 9, 10];
  /** What RFC 6455 sections 5.2, 5.4 and 5.5 say of a frame with an empty payload, where no extension was negotiated. */
  function isLegal(opcode: number, rsv: number, fin: boolean, inMessage: boolean): boolean {
    if (rsv !== 0) return false;
    if (CONTROL.includes(opcode)) return fin;
    if (opcode === 0) return inMessage;
    return (opcode === 1 || opcode === 2) && !inMessage;
  }
  for (const role of roles) {
    it(`${role}: 16 opcodes × 8 RSV × FIN, at rest, inside a message, and while closing`, () => {
      for (const place of ['rest', 'message', 'closing'] as const) {
        for (let first = 0; first < 256; first++) {
          const harness = open({ role });
          if (place === 'message') harness.receive(harness.peer.text('a', false));
          if (place === 'closing') harness.connection.close(1000);
          harness.sent();
          const [opcode, rsv, fin] = [first & 15, (first >> 4) & 7, first >= 128];
          harness.receive(harness.peer.frame({ opcode, rsv, fin }));
          const legal = isLegal(opcode, rsv, fin, place === 'message');
          const failed = harness.connection.transport === 'end' && harness.connection.closeReceived === null;
          expect([place, opcode, rsv, fin, failed]).toEqual([place, opcode, rsv, fin, !legal]);
          if (!legal && place !== 'closing') expect(harness.sent()[0]).toMatch(/^CLOSE 1002/);
        }
      }
    });
  }
});

describe('S27 what is logged of a peer moves no cursor', () => {
  it('control characters, separators and bidirectional marks are escaped in every line of the trace', () => {
    const nasty = '\u001b]0;owned\u0007\u001b[2J\r\n\u0085\u2028\u202e\u0000\ufeff';
    for (const role of roles) {
      const harness = open({ role, tracing: true });
      const { peer } = harness;
      harness.receive(
        peer.text(nasty),
        peer.binary(utf8(nasty)),
        peer.ping(nasty),
        peer.pong(nasty),
        peer.text(nasty, false),
        peer.continuation(nasty, true),
      );
      harness.connection.sendText(nasty);
      harness.connection.ping(utf8(nasty));
      harness.receive(peer.close(4000, nasty));
      harness.output();
      const lines = harness.trace.map(({ text }) => text);
      expect(lines.length).toBeGreaterThan(8);
      for (const line of lines) expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      expect(lines.some((line) => line.includes('owned'))).toBe(true);
    }
  });

  it('a line is short however long the message is', () => {
    const harness = open({ role: 'server', tracing: true });
    harness.receive(harness.peer.text('x'.repeat(500_000)));
    for (const { text } of harness.trace) expect(text.length).toBeLessThan(300);
  });
});

describe('the helpers of these tests', () => {
  it('see what is wrong', () => {
    const seen: Seen[] = [{ type: 'text', data: 'a' }];
    expect(joined(seen)).toEqual(seen);
    const bytes = serializeFrame({ opcode: 1, payload: utf8('hi'), maskKey: 0x01020304 });
    applyMask(bytes, 6, 8, 0x01020304, 0);
    expect(Buffer.from(bytes.subarray(6)).toString()).toBe('hi');
    expect(inUse()).toBeGreaterThan(0);
    const squared = (size: number) => (): void => {
      let sum = 0;
      for (let a = 0; a < size; a++) for (let b = 0; b < size; b++) sum ^= a * b;
      expect(sum).not.toBe(-1);
    };
    // Four times the size is 16 times the work: no noise of the machine hides that.
    expect(growth(squared(8000), squared(2000), 2.2)).toBeGreaterThan(2.2);
  });
});
