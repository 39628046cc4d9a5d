/**
 * `@ferrywire/driver/testing`: what tests of anything built on a `Protocol` or a `Transport` want: time that stands still until told, a
 * transport that does what the test says, and two endpoints joined in virtual time. No test that uses it has to sleep.
 */

export type { VirtualClock } from './testing/clock.ts';
export { virtualClock } from './testing/clock.ts';
export type { FakeTransport, FakeTransportOptions } from './testing/fake-transport.ts';
export { fakeTransport } from './testing/fake-transport.ts';
export type { JoinedTransports, Pair, PairOptions, PairSide } from './testing/pair.ts';
export { joinedTransports, pair } from './testing/pair.ts';
export type { Split } from './testing/split.ts';
export { joinBytes, splitBytes } from './testing/split.ts';
export type { Timed } from './types.ts';
