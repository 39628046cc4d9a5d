/** Short messages that a kernel finds many at a time (RFC 6455 sections 5.2 to 5.6): the same as one by one, whatever callbacks do meanwhile. */
import { Connection, type ConnectionOptions } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, type Harness, messagesOf, open, pattern, peerOf, summary, toHex, utf8 } from './connection-helpers.ts';
import { type CountedScanner, plainScanner } from './plain-scanner.ts';

function server(scanner: CountedScanner, options: Partial<ConnectionOptions> = {}): Harness {
  return open({ role: 'server', kernels: { scanner }, ...options } as Parameters<typeof open>[0]);
}
/** What one endpoint with a scanner and one without make of the same bytes. */
function both(
  wire: Uint8Array,
  options: Partial<ConnectionOptions> = {},
  scanner: CountedScanner = plainScanner(),
): { scanner: CountedScanner; seen: Harness; output: Uint8Array } {
  const seen = server(scanner, options);
  const oracle = open({ role: 'server', ...options } as Parameters<typeof open>[0]);
  for (const endpoint of [seen, oracle]) endpoint.receive(Uint8Array.from(wire));
  expect(summary(seen.seen)).toEqual(summary(oracle.seen));
  const output = seen.output();
  expect(output).toEqual(oracle.output());
  expect(seen.connection.stats).toEqual(oracle.connection.stats);
  return { scanner, seen, output };
}
const peer = peerOf('server');
const many = (count: number, make: (index: number) => Uint8Array): Uint8Array =>
  concat(...Array.from({ length: count }, (_, at) => make(at)));

describe('short messages', () => {
  it('of every size up to 2100 come as they were sent, binary and text', () => {
    const wire = many(2101, (size) =>
      concat(peer.binary(pattern(size, size)), peer.text('x'.repeat(size)), peer.text('é'.repeat(size >> 1))),
    );
    const { scanner, seen } = both(wire, { input: 'reused' });
    expect(seen.of('binary').every(({ data }, size) => Buffer.compare(data, pattern(size, size)) === 0)).toBe(true);
    expect(seen.of('text')).toHaveLength(4202);
    // Frames of more than 2048 bytes, and what is left at the end, are found one by one.
    expect(scanner.found).toBeGreaterThan(6100);
    expect(scanner.found).toBeLessThanOrEqual(3 * 2049 + 100);
  });
  it('are looked for from 1024 bytes and four frames on, in windows of 16384', () => {
    const { scanner } = both(many(10, () => peer.binary(pattern(94, 1))).subarray(0, 1000));
    expect(scanner.calls).toBe(0);
    const exactly = plainScanner();
    server(exactly).receive(many(4, () => peer.binary(pattern(248))));
    expect(exactly).toMatchObject({ calls: 1, found: 4 });
    const three = plainScanner();
    server(three).receive(concat(...[1, 2, 3].map(() => peer.binary(pattern(1000))), peer.binary(pattern(10))));
    expect(three.calls).toBe(0);
    const windows = plainScanner();
    server(windows).receive(many(161, () => peer.binary(pattern(1016))));
    expect(windows).toMatchObject({ found: 160, calls: 10 });
  });
  it('are left to the loop by a client, whose peer does not mask, and in pull mode, where parsing stops after each', () => {
    const scanner = plainScanner();
    const kernels = { scanner };
    const client = open({ role: 'client', kernels });
    client.receive(many(100, () => client.peer.binary(pattern(100))));
    expect(client.of('binary')).toHaveLength(100);
    const pulled = open({ role: 'server', mode: 'pull', kernels });
    pulled.receive(many(100, () => peer.binary(pattern(100))));
    expect(pulled.of('binary')).toHaveLength(100);
    expect(scanner.calls).toBe(0);
  });
  it('are bounded by maxMessageSize', () => {
    const wire = concat(
      many(20, () => peer.binary(pattern(100))),
      peer.binary(pattern(101)),
      peer.text('never'),
    );
    const { scanner, seen } = both(wire, { limits: { maxMessageSize: 100 } });
    expect(scanner.found).toBe(20);
    expect(seen.of('binary')).toHaveLength(20);
    expect(seen.connection.state).toBe('closing');
  });
  it('stop at text that is not UTF-8, after the messages before it', () => {
    const bad = (size: number): Uint8Array => concat(utf8('a'.repeat(size - 1)), Uint8Array.of(0xc0));
    for (const size of [1, 20, 24, 25, 500]) {
      const wire = concat(
        many(15, (at) => peer.text(`message ${at} ${'é'.repeat(30)}`)),
        peer.text(bad(size)),
        many(15, () => peer.text('never')),
      );
      const { seen, output } = both(wire);
      expect(messagesOf(seen.seen)).toHaveLength(15);
      expect(toHex(output)).toMatch(/^88..03ef/);
    }
  });
  it('a BOM and every other character are kept', () => {
    const { seen } = both(many(100, (at) => peer.text(`\ufeff${at}\ufffd😀`)));
    expect(messagesOf(seen.seen)[7]).toBe('\ufeff7\ufffd😀');
  });
  it('between other frames', () => {
    const wire = many(40, (at) =>
      concat(
        peer.text('one'),
        at % 4 === 0 ? peer.ping(`ping ${at}`) : new Uint8Array(0),
        peer.binary(pattern(70, at)),
        at % 5 === 0 ? concat(peer.text('first ', false), peer.continuation('last', true)) : new Uint8Array(0),
        at % 7 === 0 ? peer.binary(pattern(5000, at)) : new Uint8Array(0),
      ),
    );
    both(concat(wire, peer.close(1000)));
  });
});

describe('callbacks', () => {
  it('may pause in any window of a chunk', () => {
    const datas = Array.from({ length: 40 }, (_, at) => pattern(1000, at));
    const wire = concat(...datas.map((data) => peer.binary(data)));
    for (const input of ['shared', 'transferred'] as const) {
      const endpoint: Harness = open({
        role: 'server',
        input,
        kernels: { scanner: plainScanner() },
        hooks: { onBinary: () => endpoint.connection.pause() },
      });
      endpoint.receive(Uint8Array.from(wire));
      for (let turn = 1; turn < datas.length; turn++) {
        expect(endpoint.of('binary')).toHaveLength(turn);
        endpoint.connection.resume();
      }
      expect(endpoint.of('binary').map(({ data }) => data)).toEqual(datas);
    }
  });
  it('may pause: the rest is found later', () => {
    const scanner = plainScanner();
    const seen: number[] = [];
    const paused = open({
      role: 'server',
      kernels: { scanner },
      hooks: {
        onBinary(data) {
          seen.push(data[0] as number);
          paused.connection.pause();
        },
      },
    });
    paused.receive(many(100, (at) => peer.binary(pattern(100, at))));
    for (let turn = 0; turn < 200 && paused.connection.paused; turn++) paused.connection.resume();
    expect(seen).toEqual(Array.from({ length: 100 }, (_, at) => at));
  });
  it('may throw: the message counts as delivered, and the rest comes when reading goes on', () => {
    const scanner = plainScanner();
    let calls = 0;
    const endpoint = open({
      role: 'server',
      kernels: { scanner },
      hooks: {
        onBinary() {
          if (++calls <= 100 && calls % 10 === 0) throw new Error(`at ${calls}`);
        },
      },
    });
    expect(() => endpoint.receive(many(100, (at) => peer.binary(pattern(100, at))))).toThrow('at 10');
    for (let turn = 2; turn <= 10; turn++) expect(() => endpoint.connection.resume()).toThrow(`at ${turn}0`);
    endpoint.connection.resume();
    expect(endpoint.of('binary').map(({ data }) => data[0])).toEqual(Array.from({ length: 100 }, (_, at) => at));
    // Not left as if a scan were going on: the next input is looked through again.
    const before = scanner.calls;
    endpoint.receive(many(20, () => peer.binary(pattern(94))));
    expect(scanner.calls).toBeGreaterThan(before);
  });
  it('may feed another connection, whose messages and whose own stay apart', () => {
    const scanner = plainScanner();
    const other = server(scanner);
    const wire = many(60, (at) => peer.binary(pattern(200, at)));
    let fed = false;
    const endpoint = open({
      role: 'server',
      kernels: { scanner },
      hooks: {
        onBinary() {
          if (!fed) other.receive(many(50, (at) => peer.binary(pattern(150, at + 100))));
          fed = true;
        },
      },
    });
    endpoint.receive(wire);
    expect(endpoint.of('binary').map(({ data }) => data)).toEqual(Array.from({ length: 60 }, (_, at) => pattern(200, at)));
    expect(other.of('binary').map(({ data }) => data)).toEqual(Array.from({ length: 50 }, (_, at) => pattern(150, at + 100)));
  });
  it('may close: nothing more is delivered than one by one', () => {
    const results = [plainScanner(), undefined].map((scanner) => {
      const endpoint = open({
        role: 'server',
        ...(scanner !== undefined && { kernels: { scanner } }),
        hooks: {
          onBinary(data) {
            if (data[0] === 9) endpoint.connection.close(1000);
          },
        },
      });
      endpoint.receive(
        concat(
          many(60, (at) => peer.binary(pattern(100, at))),
          peer.close(1000),
        ),
      );
      return { seen: summary(endpoint.seen), output: endpoint.output() };
    });
    expect(results[0]).toEqual(results[1]);
  });
});

describe('memory', () => {
  const kept = (wire: Uint8Array): Uint8Array[] => {
    const endpoint = server(plainScanner(), { input: 'reused' });
    endpoint.receive(wire);
    wire.fill(0);
    return endpoint.of('binary').map(({ data }) => data);
  };
  it('of a message is its own: it neither changes nor keeps more than 16384 bytes alive', () => {
    const data = kept(many(500, (at) => peer.binary(pattern(65 + at * 3, at))));
    for (const [at, bytes] of data.entries()) {
      expect(Buffer.compare(bytes, pattern(65 + at * 3, at))).toBe(0);
      expect(bytes.buffer.byteLength).toBeLessThanOrEqual(16_384);
    }
  });
  it('of up to 64 bytes is a buffer of its own', () => {
    for (const bytes of kept(many(100, (at) => peer.binary(pattern(at % 65, at))))) expect(bytes.buffer.byteLength).toBe(bytes.length);
  });
  it('shows nothing of a message that did not arrive whole', () => {
    const whole = many(20, (at) => peer.binary(pattern(100, at)));
    const half = peer.binary(new Uint8Array(1500).fill(0xaa)).subarray(0, 1000);
    const data = kept(concat(whole, half));
    expect(new Set(data.map((bytes) => bytes.buffer.byteLength))).toEqual(new Set([whole.length]));
  });
});

describe('where slices are cheapest', () => {
  const slicing = (): CountedScanner => plainScanner(32_768, 48);
  it('a frame of as many bytes as the kernel says is looked for by itself, and a shorter one is not', () => {
    for (const [size, calls] of [
      [47, 0],
      [48, 1],
      [2048, 1],
      [2049, 0],
    ] as const) {
      const { scanner, seen } = both(peer.binary(pattern(size)), {}, slicing());
      expect(scanner).toMatchObject({ calls, found: calls });
      expect(seen.of('binary')).toHaveLength(1);
    }
  });
  it('each message found is one, and memory of its own', () => {
    const { seen, scanner } = both(
      many(100, (at) => peer.binary(pattern(at === 0 ? 300 : at * 5, at))),
      {},
      slicing(),
    );
    expect(scanner).toMatchObject({ calls: 1, found: 100 });
    for (const { data } of seen.of('binary')) expect(data.buffer.byteLength).toBe(data.length);
  });
  it('a read that has room is looked at whole, others in windows of 16384', () => {
    const frame = peer.binary(pattern(1016));
    const exactly = both(
      many(32, () => frame),
      {},
      slicing(),
    );
    expect(exactly.scanner).toMatchObject({ calls: 1, found: 32 });
    const longer = both(
      many(33, () => frame),
      {},
      slicing(),
    );
    expect(longer.scanner).toMatchObject({ calls: 3, found: 33 });
    const behind = both(
      concat(
        peer.ping('first'),
        many(31, () => frame),
      ),
      {},
      slicing(),
    );
    expect(behind.scanner.calls).toBeGreaterThan(1);
    expect(behind.scanner.found).toBe(31);
    const part = slicing();
    server(part).connection.receiveData(many(32, () => frame).subarray(0, 1024 * 30));
    expect(part).toMatchObject({ calls: 1, found: 30 });
  });
  it('text and binary of every size up to 2100 come as they were sent', () => {
    const wire = many(2101, (size) => concat(peer.binary(pattern(size, size)), peer.text('é'.repeat(size >> 1))));
    both(wire, { input: 'transferred' }, slicing());
  });
});

describe('messages shown in the input', () => {
  const slicing = (room = 32_768): CountedScanner => plainScanner(room, 48);
  const sizes = [600, 513, 512, 48, 2048, 1000, 700, 900];
  const datas = sizes.map((size, at) => pattern(size, at));
  const wire = concat(...datas.map((data) => peer.binary(data)));
  const ownOf = (options: Partial<ConnectionOptions> = {}): Partial<ConnectionOptions> => ({ input: 'transferred', ...options });
  /** How many of the messages stand in `chunk`. */
  const lent = (endpoint: Harness, chunk: Uint8Array): number =>
    endpoint.of('binary').filter(({ data }) => data.buffer === chunk.buffer).length;
  function feed(chunk: Uint8Array, options: Partial<ConnectionOptions> = ownOf(), scanner = slicing()): Harness {
    const endpoint = server(scanner, options);
    endpoint.connection.receiveData(chunk);
    return endpoint;
  }

  it('are those of more than 512 bytes of a chunk that is ours and has nothing else in it', () => {
    const chunk = Uint8Array.from(wire);
    const endpoint = feed(chunk);
    expect(endpoint.of('binary').map(({ data }) => data)).toEqual(datas);
    expect(endpoint.of('binary').map(({ data }) => data.buffer === chunk.buffer)).toEqual(sizes.map((size) => size > 512));
    expect(endpoint.of('binary').every(({ data }) => data.constructor === Uint8Array)).toBe(true);
  });
  it('are none where the chunk is not ours, ends within a frame, is a small part of its memory, or has less than four frames', () => {
    for (const input of ['shared', 'reused'] as const) {
      const chunk = Uint8Array.from(wire);
      expect(lent(feed(chunk, { input }), chunk)).toBe(0);
      expect(chunk).toEqual(wire);
    }
    const cut = concat(wire, peer.binary(pattern(600)).subarray(0, 300));
    expect(lent(feed(cut), cut)).toBe(0);
    const part = new Uint8Array(2 * wire.length + 1);
    part.set(wire, wire.length);
    expect(lent(feed(part.subarray(wire.length, 2 * wire.length)), part)).toBe(0);
    const three = concat(...datas.slice(4, 7).map((data) => peer.binary(data)));
    expect(lent(feed(three), three)).toBe(0);
    const four = concat(...datas.slice(4).map((data) => peer.binary(data)));
    expect(lent(feed(four), four)).toBe(4);
  });
  it('may be half of its memory, at any place in it, and fill the kernel’s', () => {
    const half = new Uint8Array(2 * wire.length).fill(0xaa);
    half.set(wire, wire.length - 3);
    const endpoint = feed(half.subarray(wire.length - 3, 2 * wire.length - 3));
    expect(lent(endpoint, half)).toBe(6);
    expect(endpoint.of('binary').map(({ data }) => data)).toEqual(datas);
    expect(half.subarray(0, wire.length - 3).every((byte) => byte === 0xaa)).toBe(true);
    expect(half.subarray(-3).every((byte) => byte === 0xaa)).toBe(true);
    const full = Uint8Array.from(wire);
    const exactly = feed(full, ownOf(), slicing(wire.length));
    expect(lent(exactly, full)).toBe(6);
    expect(exactly.of('binary').map(({ data }) => data)).toEqual(datas);
  });

  const mixed = concat(
    peer.binary(pattern(900)),
    peer.text('é'.repeat(400)),
    peer.binary(pattern(600, 1)),
    peer.frame({ opcode: 2, payload: pattern(700, 2), maskKey: 0 }),
    peer.text('x'.repeat(700)),
    peer.binary(pattern(60, 3)),
    peer.binary(pattern(1500, 4)),
  );
  const expected = ((): unknown => {
    const oracle = open({ role: 'server' });
    oracle.receive(mixed);
    return summary(oracle.seen);
  })();
  it.each([0, 1, 2, 3, 4, 5, 6])(
    'pausing or throwing in message %i leaves the rest as it came, whatever is transferred meanwhile',
    (stop) => {
      for (const way of ['pause', 'throw'] as const) {
        for (const gives of ['nothing', 'at once', 'later'] as const) {
          let count = -1;
          const texts: unknown[] = [];
          const given: Uint8Array[] = [];
          const give = (data: Uint8Array): void => {
            // Those that stand in the same buffer have gone with the first.
            if (data.length > 0) structuredClone(data, { transfer: [data.buffer as ArrayBuffer] });
          };
          const told = (data: string | Uint8Array): void => {
            count++;
            texts.push(typeof data === 'string' ? data : toHex(data));
            if (typeof data !== 'string') given.push(data);
            if (count !== stop) return;
            if (gives === 'at once') given.forEach(give);
            if (way === 'throw') throw new Error('stop');
            connection.pause();
          };
          const connection: Connection = new Connection({
            role: 'server',
            clock: () => 0,
            input: 'transferred',
            kernels: { scanner: slicing() },
            sink: { onBinary: told, onText: told },
          });
          const chunk = Uint8Array.from(mixed);
          if (way === 'throw') expect(() => connection.receiveData(chunk)).toThrow('stop');
          else connection.receiveData(chunk);
          expect(count).toBe(stop);
          if (gives === 'later') given.forEach(give);
          connection.resume();
          const oracle: unknown[] = [];
          const plain = new Connection({
            role: 'server',
            clock: () => 0,
            sink: { onBinary: (data) => void oracle.push(toHex(data)), onText: (text) => void oracle.push(text) },
          });
          plain.receiveData(mixed);
          expect(texts).toEqual(oracle);
          expect(connection.state).toBe('open');
        }
      }
    },
  );
  it('are the same as one by one', () => {
    const endpoint = feed(Uint8Array.from(mixed));
    expect(summary(endpoint.seen)).toEqual(expected);
  });
  const opened = (onBinary: (endpoint: Harness) => void): Harness => {
    const endpoint: Harness = open({
      role: 'server',
      input: 'transferred',
      kernels: { scanner: slicing() },
      hooks: { onBinary: () => onBinary(endpoint) },
    });
    endpoint.connection.receiveData(Uint8Array.from(wire));
    return endpoint;
  };
  /** A connection that is paused after each message gets what was sent to it and no more. */
  function expectPausedIntact(): Harness {
    const paused = opened(({ connection }) => connection.pause());
    for (let turn = 0; turn < datas.length; turn++) paused.connection.resume();
    expect(paused.of('binary').map(({ data }) => data)).toEqual(datas);
    return paused;
  }
  it('leave nothing behind for what is received next', () => {
    const endpoint = expectPausedIntact();
    const later = concat(peer.text('a'), peer.binary(pattern(3000)), peer.text('b'));
    endpoint.connection.receiveData(later);
    expect(endpoint.of('text').map(({ data }) => data)).toEqual(['a']);
    endpoint.connection.resume();
    expect(endpoint.of('binary').map(({ data }) => data)).toEqual([...datas, pattern(3000)]);
    expect(endpoint.of('text').map(({ data }) => data)).toEqual(['a', 'b']);
  });
  it('end where text is not UTF-8, and what is left goes to nobody', () => {
    const bad = concat(peer.binary(pattern(900)), peer.text(Uint8Array.of(0xff)), peer.binary(pattern(600)), peer.binary(pattern(700)));
    const { scanner } = both(bad, { input: 'transferred' }, slicing());
    expect(scanner.found).toBe(4);
    expectPausedIntact();
  });
  it('are over when the application aborts, and what is left goes to nobody', () => {
    const endpoint = opened(({ connection }) => connection.abort());
    expect(endpoint.of('binary')).toHaveLength(1);
    expectPausedIntact();
  });
});

it('a kernel that finds nothing costs nothing but its call', () => {
  const scanner = { ...plainScanner(), scan: () => 0 };
  const endpoint = open({ role: 'server', kernels: { scanner } });
  endpoint.receive(many(100, (at) => peer.binary(pattern(100, at))));
  expect(endpoint.of('binary')).toHaveLength(100);
});
