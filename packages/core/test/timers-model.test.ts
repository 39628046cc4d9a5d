/**
 * The deadlines of a connection against a plain model that counts milliseconds one by one: whatever comes, is sent, taken, paused and resumed,
 * the same deadlines are met at the same times, and `nextTimeout` says so before.
 */
import type { Timeouts } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, open, pseudoRandom } from './connection-helpers.ts';
import { doubling, roles } from './sending-helpers.ts';
import { checkSteady, checkSteadyTaking } from './steady-helpers.ts';

/** Counters of silence. `null`: not running. */
class Model {
  readonly periods: Required<Omit<Timeouts, 'opening'>>;
  quiet = 0;
  idle = 0;
  pong: number | null = null;
  pingQueued = false;
  failed = false;
  readonly met: string[] = [];

  constructor(periods: Required<Omit<Timeouts, 'opening'>>) {
    this.periods = periods;
  }
  heard(): void {
    this.quiet = 0;
    this.idle = 0;
    this.pong = null;
  }
  taken(): void {
    if (!this.pingQueued) return;
    this.pingQueued = false;
    this.quiet = 0;
    if (this.periods.pong > 0) this.pong = 0;
  }
  /** One millisecond. */
  tick(stands: boolean): void {
    this.quiet++;
    if (stands) return;
    this.idle++;
    if (this.pong !== null) this.pong++;
  }
  /** What is left until each deadline that runs. */
  left(stands: boolean): { pong: number; idle: number; keepalive: number } {
    const { keepalive, pong, idle } = this.periods;
    return {
      pong: this.pong === null || stands ? Number.POSITIVE_INFINITY : pong - this.pong,
      idle: idle === 0 || stands ? Number.POSITIVE_INFINITY : idle - this.idle,
      keepalive: keepalive === 0 || this.pong !== null ? Number.POSITIVE_INFINITY : keepalive - this.quiet,
    };
  }
  /** Meets what is due. */
  due(now: number, stands: boolean): void {
    const left = this.left(stands);
    if (left.pong <= 0 || left.idle <= 0) {
      this.met.push(`${now} ${left.pong <= 0 ? 'pong' : 'idle'}`);
      this.failed = true;
    } else if (left.keepalive <= 0) {
      this.met.push(`${now} keepalive`);
      this.quiet = 0;
      this.pingQueued = true;
    }
  }
}

const periods: readonly (readonly [keepalive: number, pong: number, idle: number])[] = [
  [10, 7, 0],
  [10, 7, 25],
  [10, 0, 30],
  [0, 0, 12],
  [5, 20, 19],
  [12, 12, 12],
  [0, 9, 0],
];

describe.each(roles)('a %s meets its deadlines as a plain count of milliseconds does', (role) => {
  it.each(periods)('keepalive %i, pong %i, idle %i', (keepalive, pong, idle) => {
    const reasons = new Set<string>();
    for (let seed = 1; seed <= 25; seed++) {
      const random = pseudoRandom(seed * 31);
      const one = new Uint8Array(1);
      const below = (most: number): number => {
        random(one);
        return (one[0] as number) % most;
      };
      const harness = open({ role, tracing: true, timeouts: { keepalive, pong, idle, closing: 0 }, autoPong: seed % 3 > 0 });
      const { connection, peer } = harness;
      const model = new Model({ keepalive, pong, idle, closing: 0 });
      const stands = (): boolean => !connection.wantsRead || connection.bufferedAmount > 0;
      // Some hosts are busy, some peers silent.
      const busy = 4 + below(30);
      for (let step = 0; step < 150 && !model.failed; step++) {
        const what = below(busy);
        if (what === 0) {
          model.heard();
          harness.receive(below(2) === 0 ? peer.ping('x') : concat(peer.pong(), peer.text('')));
        } else if (what === 1) connection.pause();
        else if (what === 2) connection.resume();
        else if (what === 3) connection.sendText('x');
        if (below(4) > 0) {
          model.taken();
          checkSteadyTaking(connection, () => harness.output());
        }
        if (below(8) === 0) connection.handleTimeout();
        const { pong: pongLeft, idle: idleLeft, keepalive: pingLeft } = model.left(stands());
        const left = Math.min(pongLeft, idleLeft, pingLeft);
        expect(connection.nextTimeout(), `seed ${seed} step ${step}`).toBe(left === Number.POSITIVE_INFINITY ? null : harness.now + left);
        checkSteady(connection);
        model.tick(stands());
        harness.now++;
        model.due(harness.now, stands());
        if ((connection.nextTimeout() ?? Number.POSITIVE_INFINITY) <= harness.now) connection.handleTimeout();
      }
      const met = harness.trace.filter(({ direction }) => direction === 'timer').map(({ at, text }) => `${at} ${text}`);
      expect(met, `seed ${seed}`).toEqual(model.met);
      for (const entry of met) reasons.add(entry.split(' ')[1] as string);
      if (!model.failed) continue;
      // A failed connection has no deadline but that of closing, which is off.
      expect(connection.closeSent?.code).toBe(1011);
      expect(connection.nextTimeout()).toBe(null);
      harness.receive(peer.ping());
      harness.output();
      expect(connection.nextTimeout()).toBe(null);
    }
    const expected = [
      ...(keepalive > 0 ? ['keepalive'] : []),
      ...(keepalive > 0 && pong > 0 ? ['pong'] : []),
      ...(idle > 0 ? ['idle'] : []),
    ];
    expect([...reasons].every((reason) => expected.includes(reason))).toBe(true);
    if (expected.length > 0) expect(reasons.size).toBeGreaterThan(0);
  });
});

describe.each(roles)('clocks at the edges, %s', (role) => {
  it('the closing deadline begins when the close frame is taken, once', () => {
    const harness = open({ role, timeouts: { closing: 100, keepalive: 50 } });
    const { connection } = harness;
    connection.close(1000);
    expect(connection.nextTimeout()).toBe(null);
    harness.advance(10);
    harness.output();
    expect(connection.nextTimeout()).toBe(1110);
    harness.advance(20);
    // Taking again, with nothing there, and hearing the peer put nothing off.
    harness.output();
    expect(connection.nextTimeout()).toBe(1110);
    harness.receive(harness.peer.text('late'));
    expect(connection.nextTimeout()).toBe(1110);
    harness.receive(harness.peer.close(1000));
    expect(connection.nextTimeout()).toBe(1110);
    harness.output();
    expect(connection.nextTimeout()).toBe(1110);
    harness.advance(80);
    expect(harness.end).toMatchObject({ clean: true, code: 1000 });
    expect(connection.nextTimeout()).toBe(null);
  });

  it('an answer to a close frame that nobody takes starts no deadline, unless output has stalled', () => {
    const harness = open({ role, timeouts: { closing: 100 } });
    harness.receive(harness.peer.close(1000));
    expect(harness.connection.nextTimeout()).toBe(null);
    harness.connection.outputStalled();
    expect(harness.connection.nextTimeout()).toBe(1100);
    const stalled = open({ role, timeouts: { closing: 100 } });
    stalled.connection.outputStalled();
    stalled.receive(stalled.peer.close(1000));
    expect(stalled.connection.nextTimeout()).toBe(1100);
    const drained = open({ role, timeouts: { closing: 100 } });
    drained.connection.outputStalled();
    drained.connection.outputDrained();
    drained.receive(drained.peer.close(1000));
    expect(drained.connection.nextTimeout()).toBe(null);
    const own = open({ role, timeouts: { closing: 100 } });
    own.connection.outputStalled();
    own.connection.outputDrained();
    own.connection.close();
    expect(own.connection.nextTimeout()).toBe(null);
  });

  it('closing off: nothing is ever due, stalled, drained or taken', () => {
    const harness = open({ role, timeouts: { closing: 0 } });
    const { connection } = harness;
    connection.close(1000);
    connection.outputStalled();
    expect(connection.nextTimeout()).toBe(null);
    connection.outputDrained();
    harness.output();
    harness.advance(1e9);
    connection.handleTimeout();
    expect([connection.nextTimeout(), connection.state, harness.ended]).toEqual([null, 'closing', false]);
  });

  it('one byte that waits for a transform is output too: the peer could not be told', () => {
    const slow = doubling({ waits: true });
    const harness = open({ role, extensions: [slow], timeouts: { idle: 30, keepalive: 0 } });
    expect(harness.connection.nextTimeout()).toBe(1030);
    harness.connection.sendText('x');
    expect(harness.connection.bufferedAmount).toBe(1);
    expect(harness.connection.nextTimeout()).toBe(null);
    harness.advance(100);
    slow.release();
    slow.ready();
    harness.output();
    expect(harness.connection.nextTimeout()).toBe(1130);
  });

  it('a pong counts as the answer only with the very payload, also after a close frame was sent', () => {
    const harness = open({ role, timeouts: { keepalive: 20 } });
    harness.advance(20);
    const [ping] = harness.frames();
    const payload = ping?.payload as Uint8Array;
    expect(payload.length).toBe(4);
    harness.advance(5);
    for (let at = 0; at < 4; at++) {
      const other = Uint8Array.from(payload);
      other[at] = (other[at] as number) ^ 1;
      harness.receive(harness.peer.pong(other));
    }
    harness.receive(harness.peer.pong(payload.subarray(1)), harness.peer.pong(concat(payload, payload)), harness.peer.pong());
    expect(harness.of('pong').map(({ latency }) => latency)).toEqual(Array(7).fill(null));
    expect(harness.connection.latency).toBe(null);
    harness.connection.close(1000);
    harness.output();
    harness.advance(2);
    harness.receive(harness.peer.pong(payload));
    expect(harness.of('pong').at(-1)?.latency).toBe(7);
    expect(harness.connection.latency).toBe(7);
    harness.receive(harness.peer.pong(payload));
    expect(harness.of('pong').at(-1)?.latency).toBe(null);
  });
});
