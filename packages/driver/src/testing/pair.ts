/**
 * Two endpoints joined in virtual time: what one writes the other reads, cut and delayed as the options say. Nothing happens by itself:
 * `flow()` lets bytes travel, `clock.advance()` lets time pass. `pair` joins two protocols, `joinedTransports` two transports, for
 * endpoints that make their own drivers.
 */
import type { Millis, Protocol } from '@ferrywire/core';
import { drive } from '../driver.ts';
import type { DriverHandle } from '../types.ts';
import { type VirtualClock, virtualClock } from './clock.ts';
import { Fake, type FakeTransport, type FakeTransportOptions } from './fake-transport.ts';
import type { Split } from './split.ts';

export interface PairOptions {
  /** The clock that both protocols were made with. Default: a new one (for protocols without deadlines). */
  readonly clock?: VirtualClock;
  /** How the bytes of each direction are cut. Default: as written. */
  readonly split?: Split;
  /** Milliseconds each piece travels; a function is asked once for each. Default 0: a turn of the event loop. */
  readonly latency?: Millis | (() => Millis);
  /** Bytes that can be on the way and unread in one direction before the writer's side starts to fill. Default 65 536. */
  readonly window?: number;
  /** `write()` returns false when more than so many bytes wait beyond the window. Default 16 384. */
  readonly highWaterMark?: number;
  /** What else the transports do, and what only one of them does. */
  readonly transport?: Omit<FakeTransportOptions, 'clock' | 'room'>;
  readonly a?: Omit<FakeTransportOptions, 'clock' | 'room'>;
  readonly b?: Omit<FakeTransportOptions, 'clock' | 'room'>;
}

/** Two fake transports, each the other's peer. */
export interface JoinedTransports {
  readonly clock: VirtualClock;
  readonly a: FakeTransport;
  readonly b: FakeTransport;
  /**
   * Lets bytes travel until nothing is on its way (bytes that a paused side does not read stay where they are). Time moves as far as that
   * takes, and deadlines on the way fire. Throws a RangeError after `limit` timers (default 1 000 000). Returns how many fired.
   */
  flow(limit?: number): number;
  /** The network goes away: both sides wait for what does not come. */
  cut(): void;
}

export interface PairSide<P extends Protocol> {
  readonly protocol: P;
  readonly driver: DriverHandle;
  readonly transport: FakeTransport;
}

export interface Pair<A extends Protocol, B extends Protocol> extends Pick<JoinedTransports, 'clock' | 'flow' | 'cut'> {
  readonly a: PairSide<A>;
  readonly b: PairSide<B>;
}

function join(from: Fake, to: Fake, window: number): void {
  from.link = {
    room: () => window - to.incomingBytes,
    push: (bytes) => to.feed(bytes),
    end: () => to.feedEof(),
    reset: () => to.reset(),
  };
  to.onConsumed = () => from.transmit();
}

/** Two transports joined in virtual time, for endpoints that make drivers of their own. */
export function joinedTransports(options: PairOptions = {}): JoinedTransports {
  const clock = options.clock ?? virtualClock();
  const shared: FakeTransportOptions = {
    latency: options.latency ?? 0,
    highWaterMark: options.highWaterMark ?? 16_384,
    ...(options.split === undefined ? {} : { split: options.split }),
    ...options.transport,
    clock,
  };
  const a = new Fake({ ...shared, ...options.a });
  const b = new Fake({ ...shared, ...options.b });
  const window = options.window ?? 65_536;
  join(a, b, window);
  join(b, a, window);
  return {
    clock,
    a,
    b,
    flow(limit = 1_000_000): number {
      let fired = 0;
      while (a.active || b.active) {
        if (!clock.step()) throw new Error('flow: something is on its way and no timer will bring it');
        if (++fired > limit) throw new RangeError(`flow: not quiet after ${limit} timers`);
      }
      return fired;
    },
    cut(): void {
      a.cut();
      b.cut();
    },
  };
}

/** Two protocols, each with its driver, joined in virtual time. Nothing moves until `flow()`; deadlines wait for `clock.advance()`. */
export function pair<A extends Protocol, B extends Protocol>(a: A, b: B, options: PairOptions = {}): Pair<A, B> {
  const joined = joinedTransports(options);
  const time = { clock: joined.clock.now, timers: joined.clock };
  const driverA = drive(a, joined.a, time);
  const driverB = drive(b, joined.b, time);
  joined.a.attach(driverA);
  joined.b.attach(driverB);
  return {
    clock: joined.clock,
    a: { protocol: a, driver: driverA, transport: joined.a },
    b: { protocol: b, driver: driverB, transport: joined.b },
    flow: joined.flow,
    cut: joined.cut,
  };
}
