/**
 * `@ferrywire/conformance`: WebSocket conformance cases as data, a runner over any byte stream, and targets in process and over the wire.
 */
export type { Case } from './case.ts';
export { cases } from './cases/index.ts';
export type { InProcessTarget, Subject } from './harness.ts';
