/**
 * The options of a connection, judged before there is a peer: the connection itself is made when the handshake is done, and what it threw then
 * would come too late for whoever wrote them.
 *
 * Only a `Connection` knows what it takes, so one is made for the trial. Beware of the cost: a server makes a protocol per connection, with the
 * same options. What was judged last is remembered, value by value, since hosts put the same values into an object for each of them.
 */
import { type Clock, Connection, type ConnectionOptions, type ConnectionSink, type Negotiated, type Role } from '@ferrywire/core';
import { kindOf } from './kinds.ts';

/** What is not one connection's own, and so may be remembered for longer than that lives. */
type Judged = Omit<ConnectionOptions, keyof Negotiated | 'clock' | 'random' | 'onTrace' | 'sink'>;
export type Options = Judged & Pick<ConnectionOptions, 'random' | 'onTrace'> & { readonly clock: Clock; readonly sink?: ConnectionSink };

const JUDGED: Record<keyof Judged, true> = {
  limits: true,
  timeouts: true,
  lenient: true,
  delivery: true,
  input: true,
  autoPong: true,
  autoClose: true,
  kernels: true,
};
const CALLBACKS: Record<keyof ConnectionSink | 'onRequest' | 'onOpen' | 'onRefused', true> = {
  onRequest: true,
  onOpen: true,
  onRefused: true,
  onText: true,
  onBinary: true,
  onMessageStart: true,
  onTextChunk: true,
  onSpan: true,
  onMessageEnd: true,
  onPing: true,
  onPong: true,
  onClose: true,
  onEnd: true,
};
const CALLBACK_NAMES = Object.keys(CALLBACKS);
const NAMES = Object.keys(JUDGED) as (keyof Judged)[];
let known: Judged | null = null;

/** @throws {TypeError} or {@link RangeError} naming the option. */
export function judge(options: Options, role: Role): void {
  for (const name of ['clock', 'random', 'onTrace'] as const) {
    const value: unknown = options[name];
    if (typeof value === 'function' || (value === undefined && name !== 'clock')) continue;
    throw new TypeError(`options.${name} must be a function, not ${kindOf(value)}`);
  }
  if (options.sink !== undefined) judgeSink(options.sink);
  const before = known;
  if (before !== null && NAMES.every((name) => before[name] === options[name])) return;
  const judged: Judged = Object.fromEntries(NAMES.map((name) => [name, options[name]]));
  new Connection({ ...judged, role, clock: options.clock });
  known = judged;
}

function judgeSink(sink: unknown): void {
  if (typeof sink !== 'object' || sink === null) throw new TypeError(`options.sink must be an object, not ${kindOf(sink)}`);
  for (const name of CALLBACK_NAMES) {
    const callback: unknown = sink[name as keyof typeof sink] ?? undefined;
    if (callback === undefined || typeof callback === 'function') continue;
    throw new TypeError(`options.sink.${name} must be a function, not ${kindOf(callback)}`);
  }
}
