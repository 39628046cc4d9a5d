/**
 * What a hostile peer can make a connection keep and burn: memory follows bytes received, and time grows with input (RFC 6455 section 10.4).
 * Measured in child processes, so that this test's own memory does not count.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const child = fileURLToPath(new URL('receive-memory-child.mjs', import.meta.url));
function measure<T>(scenario: object): T {
  const output = execFileSync(process.execPath, ['--expose-gc', child, JSON.stringify(scenario)], { encoding: 'utf8', timeout: 240_000 });
  return JSON.parse(output) as T;
}

interface Measured {
  readonly payload: number;
  readonly kept: number;
  readonly after: number;
  readonly half: number;
  readonly whole: number;
}
const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * Twice the payload and 64 KiB while it is under way; next to nothing afterwards; at most 2.2 times the CPU for twice the input. Each side is
 * the least of up to six tries: a busy machine only ever adds to one, and work that grows with the square takes four times as much in all of them.
 */
function judge(name: string, scenario: object): void {
  let growth = Number.POSITIVE_INFINITY;
  let [leastHalf, leastWhole] = [growth, growth];
  for (let attempt = 0; attempt < 6 && growth > 2.2; attempt++) {
    const { payload, kept, after, half, whole } = measure<Measured>(scenario);
    leastHalf = Math.min(leastHalf, half);
    leastWhole = Math.min(leastWhole, whole);
    growth = leastWhole / leastHalf;
    console.log(
      `${name}: keeps ${kept} of ${2 * payload + 64 * KIB} bytes, ${growth.toFixed(2)}x the CPU for twice the input (${whole / 1000} ms)`,
    );
    expect(kept).toBeLessThanOrEqual(2 * payload + 64 * KIB);
    expect(after).toBeLessThanOrEqual(64 * KIB);
  }
  expect(growth).toBeLessThanOrEqual(2.2);
}

const ways = [
  { role: 'server', opcode: 2, push: true },
  { role: 'client', opcode: 1, push: true },
  { role: 'server', opcode: 1, push: false },
] as const;
const nameOf = ({ role, opcode, push }: (typeof ways)[number]) => `${role}, ${push ? 'push' : 'pull'}, ${opcode === 1 ? 'text' : 'binary'}`;

describe.each(ways.map((way) => [nameOf(way), way] as const))('%s', (name, way) => {
  it.each([
    [1, false],
    [1, true],
    [0, false],
    [0, true],
  ] as const)(
    'one million fragments of %i bytes (each in a call of its own: %s)',
    (size, single) => judge(`${name}: 1M fragments of ${size}`, { kind: 'fragments', ...way, count: 1_000_000, size, single }),
    240_000,
  );

  it('10 MB read one byte at a time', () => judge(`${name}: 10 MB bytewise`, { kind: 'bytewise', ...way, count: 10_000_000 }), 240_000);

  it('1 GiB in one frame, delivery span', () => {
    const { firstSpan, kept, buffers } = measure<{ firstSpan: number; kept: number; buffers: number }>({ kind: 'gigabyte', ...way });
    console.log(`${name}: 1 GiB: ${firstSpan} bytes in the first call, memory grows by ${kept} bytes (buffers by ${buffers})`);
    expect(firstSpan).toBeGreaterThan(0);
    expect(kept).toBeLessThan(2 * MIB);
    expect(buffers).toBeLessThan(2 * MIB);
  }, 240_000);

  it('the twelfth connection is as fast as the second, though none is alive in between', () => {
    let slowdown = Number.POSITIVE_INFINITY;
    let [leastEarly, leastLate] = [slowdown, slowdown];
    for (let attempt = 0; attempt < 6 && slowdown > 2.5; attempt++) {
      const { early, late } = measure<{ early: number; late: number }>({ kind: 'generations', ...way, count: 1_000_000 });
      leastEarly = Math.min(leastEarly, early);
      leastLate = Math.min(leastLate, late);
      slowdown = leastLate / leastEarly;
      console.log(`${name}: 1 MB bytewise takes ${early / 1000} ms at first and ${late / 1000} ms later`);
    }
    expect(slowdown).toBeLessThanOrEqual(2.5);
  }, 240_000);
});
