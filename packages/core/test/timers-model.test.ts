/**
 * The deadlines of a connection against a plain model that counts milliseconds one by one: whatever comes, is sent, taken, paused and resumed,
 * the same deadlines are met at the same times, and `nextTimeout` says so before.
 */
import type { Timeouts } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, open, pseudoRandom } from './connection-helpers.ts';
import { roles } from './sending-helpers.ts';

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
          harness.output();
        }
        if (below(8) === 0) connection.handleTimeout();
        const { pong: pongLeft, idle: idleLeft, keepalive: pingLeft } = model.left(stands());
        const left = Math.min(pongLeft, idleLeft, pingLeft);
        expect(connection.nextTimeout(), `seed ${seed} step ${step}`).toBe(left === Number.POSITIVE_INFINITY ? null : harness.now + left);
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
