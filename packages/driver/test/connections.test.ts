/**
 * Random command sequences on two endpoints in virtual time, against a small model: messages arrive in order and whole, there is exactly
 * one end event, it is clean if and only if both close frames were exchanged, nothing comes after it, and no timer is left.
 */
import { Connection, type EndInfo } from '@ferrywire/core';
import { pair, virtualClock } from '@ferrywire/driver/testing';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';

type Side = 0 | 1;
type Command =
  | { readonly op: 'text' | 'binary'; readonly side: Side; readonly size: number }
  | { readonly op: 'fragments'; readonly side: Side; readonly sizes: readonly number[] }
  | { readonly op: 'ping' | 'pause' | 'resume' | 'abort'; readonly side: Side }
  | { readonly op: 'close'; readonly side: Side; readonly code: number }
  | { readonly op: 'steps'; readonly count: number }
  | { readonly op: 'flow' }
  | { readonly op: 'wait'; readonly ms: number }
  | { readonly op: 'reset'; readonly side: Side }
  | { readonly op: 'cut' };

const side = fc.constantFrom<Side>(0, 1);
const size = fc.oneof({ arbitrary: fc.nat(140), weight: 6 }, { arbitrary: fc.constantFrom(16_384, 65_535, 70_000), weight: 1 });
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ op: fc.constantFrom('text' as const, 'binary' as const), side, size }) },
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constant('fragments' as const), side, sizes: fc.array(fc.nat(200), { minLength: 1, maxLength: 5 }) }),
  },
  { weight: 6, arbitrary: fc.record({ op: fc.constantFrom('ping' as const, 'pause' as const, 'resume' as const), side }) },
  { weight: 8, arbitrary: fc.record({ op: fc.constant('steps' as const), count: fc.nat(12) }) },
  { weight: 3, arbitrary: fc.constant({ op: 'flow' as const }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.constantFrom(1, 100, 9_999, 19_999, 20_001) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('close' as const), side, code: fc.constantFrom(1000, 1001, 3000, 4999) }) },
);
/** At most one of these: after it there is little left to see. */
const ending: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ op: fc.constantFrom('abort' as const, 'reset' as const), side }),
  fc.constant({ op: 'cut' as const }),
  fc.record({ op: fc.constant('close' as const), side, code: fc.constantFrom(1000, 4000) }),
  fc.constant({ op: 'flow' as const }),
);

/** What one side has seen and done. */
class Watched {
  readonly connection: Connection;
  readonly received: string[] = [];
  readonly sent: string[] = [];
  readonly faults: string[] = [];
  end: EndInfo | null = null;

  constructor(role: 'client' | 'server', clock: () => number, reused: boolean) {
    const live = (what: string): void => {
      if (this.end !== null) this.faults.push(`${what} after end`);
    };
    this.connection = new Connection({
      role,
      clock,
      random: (target) => void target.fill(0x5a),
      input: reused ? 'reused' : 'transferred',
      sink: {
        onText: (text) => {
          live('text');
          this.received.push(`text ${text}`);
        },
        onBinary: (data) => {
          live('binary');
          this.received.push(`binary ${data.length} ${data.reduce((sum, byte) => (sum * 31 + byte) % 65_521, 7)}`);
        },
        onPing: () => live('ping'),
        onPong: () => live('pong'),
        onClose: () => live('close'),
        onEnd: (info) => {
          live('end');
          this.end = info;
        },
      },
    });
  }
  record(sent: boolean, message: string): void {
    if (sent) this.sent.push(message);
    if (sent && this.end !== null) this.faults.push('send after end said true');
  }
}

const reached = new Map<string, number>();
const count = (what: string): void => void reached.set(what, (reached.get(what) ?? 0) + 1);

function bytesOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + seed) & 255);
}
function label(data: Uint8Array): string {
  return `binary ${data.length} ${data.reduce((sum, byte) => (sum * 31 + byte) % 65_521, 7)}`;
}

interface World {
  readonly split: readonly number[];
  readonly way: { readonly latency: number; readonly window: number };
  readonly highWaterMark: number;
  readonly reuseInput: boolean;
}

function play(commands: readonly Command[], world: World): void {
  const clock = virtualClock();
  const client = new Watched('client', clock.now, world.reuseInput);
  const server = new Watched('server', clock.now, world.reuseInput);
  const sides = [client, server] as const;
  const joined = pair(client.connection, server.connection, {
    ...world,
    clock,
    transport: { reuseInput: world.reuseInput, recycles: true },
  });
  const drivers = [joined.a.driver, joined.b.driver] as const;
  const transports = [joined.a.transport, joined.b.transport] as const;
  /** The transport was dropped or reset. */
  let broken = false;
  /** A side that does not read answers neither pings nor a close frame in time, and the other may give up. */
  let held = false;
  let seed = 0;

  for (const step of commands) {
    seed++;
    if (step.op === 'flow') joined.flow();
    else if (step.op === 'steps') {
      for (let i = 0; i < step.count && (joined.a.transport.active || joined.b.transport.active); i++) clock.step();
    } else if (step.op === 'wait') clock.advance(step.ms);
    else if (step.op === 'cut') {
      joined.cut();
      broken = true;
    } else {
      const mine = sides[step.side];
      const { connection } = mine;
      count(`${connection.role} ${connection.state}${connection.paused ? ' paused' : ''}: ${step.op}`);
      if (step.op === 'text') {
        const text = 'é'.repeat(step.size % 50) + 'x'.repeat(step.size);
        mine.record(connection.sendText(text), `text ${text}`);
      } else if (step.op === 'binary') {
        const data = bytesOf(step.size, seed);
        mine.record(connection.sendBinary(data), label(data));
      } else if (step.op === 'fragments') {
        const pieces = step.sizes.map((length, index) => bytesOf(length, seed + index));
        const writer = connection.startMessage('binary');
        let open = true;
        for (const piece of pieces) open = writer.write(piece) && open;
        mine.record(writer.end() && open, label(Uint8Array.from(pieces.flatMap((piece) => [...piece]))));
      } else if (step.op === 'ping') connection.ping(Uint8Array.of(1, 2, 3));
      else if (step.op === 'pause') {
        connection.pause();
        held = true;
      } else if (step.op === 'resume') connection.resume();
      else if (step.op === 'close') {
        connection.close(step.code);
      } else if (step.op === 'abort') {
        connection.abort();
        broken = true;
      } else {
        transports[step.side].reset();
        broken = true;
      }
      drivers[step.side].pump();
    }
    for (const watched of sides) expect(watched.faults).toEqual([]);
  }

  // The end of every story: both sides read on and close.
  for (const [index, watched] of sides.entries()) {
    watched.connection.resume();
    if (index === 0) watched.connection.close(1000);
    drivers[index]?.pump();
  }
  if (!broken) joined.flow();
  clock.advance(120_000);
  // Pong and idle stand still while the peer can't be told anything: a transport that stays stalled is the system's to give up.
  for (const [index, watched] of sides.entries()) {
    if (watched.end !== null || drivers[index]?.stalled !== true) continue;
    expect(broken).toBe(true);
    count(`${watched.connection.role} stays stalled`);
    watched.connection.receiveError(new Error('ETIMEDOUT'));
    drivers[index]?.pump();
  }
  clock.advance(120_000);

  for (const [index, mine] of sides.entries()) {
    const other = sides[1 - index] as Watched;
    const end = mine.end;
    expect(mine.faults).toEqual([]);
    if (end === null) throw new Error(`${mine.connection.role}: no end event`);
    expect(mine.connection.state).toBe('closed');
    expect(end.clean).toBe(end.cause === null && end.sent !== null && end.received !== null);
    expect(end.code).toBe(end.received?.code ?? 1006);
    // In order, whole, none twice, none invented.
    expect(mine.received).toEqual(other.sent.slice(0, mine.received.length));
    if (end.clean) expect(mine.received.length + mine.connection.stats.messagesDiscarded).toBe(other.sent.length);
    if (!broken && !held) expect(end.clean).toBe(true);
    count(`${mine.connection.role} ends ${end.clean ? 'clean' : end.cause?.code}`);
    expect(mine.connection.sendText('late')).toBe(false);
    expect(mine.connection.nextTimeout()).toBe(null);
    expect(transports[index]?.isClosed).toBe(true);
  }
  expect(clock.pending).toBe(0);
}

describe('two connections in virtual time', () => {
  afterAll(() => {
    const rows = [...reached].sort().map(([what, times]) => `${times} x ${what}`);
    console.log(`reached ${rows.length} (state, input) pairs\n${rows.join('\n')}`);
  });

  it('any sequence of commands follows the model', () => {
    fc.assert(
      fc.property(
        fc.array(command, { maxLength: 40 }),
        ending,
        fc.array(command, { maxLength: 5 }),
        fc.record({
          split: fc.array(fc.constantFrom(1, 2, 3, 7, 100, 5000, 70_000), { minLength: 1, maxLength: 5 }),
          // A long and narrow way would take longer than the closing deadline.
          way: fc.constantFrom({ latency: 0, window: 1000 }, { latency: 1, window: 5000 }, { latency: 150, window: 65_536 }),
          highWaterMark: fc.constantFrom(0, 500, 16_384),
          reuseInput: fc.boolean(),
        }),
        (before, last, after, world) => play([...before, last, ...after], world),
      ),
      { numRuns: 300 },
    );
  });
});
