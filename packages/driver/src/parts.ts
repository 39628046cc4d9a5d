/**
 * What an embedder joins, judged when it is joined: a part that is not there would be an exception in the event of the transport that first needs
 * it, after the peer has come.
 */
import type { Clock, Millis, Protocol } from '@ferrywire/core';
import type { PeerHandlers } from './peer.ts';
import type { TimerHost, Transport } from './types.ts';

const PROTOCOL = ['receiveData', 'receiveEof', 'receiveError', 'handleTimeout', 'takeOutput', 'recycleOutput', 'nextTimeout'] as const;
const TRANSPORT = ['write', 'end', 'abort', 'pauseReading', 'resumeReading'] as const;

/** Throws a TypeError. */
export function checkObject(value: unknown, name: string): void {
  if (typeof value !== 'object' || value === null) throw new TypeError(`${name} must be an object`);
}

function checkMethods<Name extends string>(value: { readonly [name in Name]: unknown }, what: string, names: readonly Name[]): void {
  checkObject(value, what);
  for (const name of names) if (typeof value[name] !== 'function') throw new TypeError(`${what}.${name} must be a function`);
}

/** Throws TypeError naming what is missing. */
export function checkParts(protocol: Protocol, transport: Transport): void {
  checkMethods(protocol, 'protocol', PROTOCOL);
  checkTransport(transport);
}

/** Throws TypeError naming what is missing. */
export function checkTransport(transport: Transport): void {
  checkMethods(transport, 'transport', TRANSPORT);
  if (typeof transport.bufferedAmount !== 'number') throw new TypeError('transport.bufferedAmount must be a number');
}

/** Throws TypeError or RangeError naming the option. */
export function checkTime(options: { readonly clock: Clock; readonly timers: TimerHost; readonly closing?: Millis }): void {
  checkObject(options, 'options');
  if (typeof options.clock !== 'function') throw new TypeError('options.clock must be a function');
  checkMethods(options.timers, 'options.timers', ['set', 'clear']);
  // What is no number would be a timer that is always due.
  if (options.closing !== undefined) checkNumber(options.closing, 'options.closing', 0, Number.POSITIVE_INFINITY);
}

/** Throws a TypeError for what is no number, a RangeError beyond the bounds, which may be infinite. */
export function checkNumber(value: unknown, name: string, least: number, most: number): void {
  if (typeof value !== 'number' || Number.isNaN(value)) throw new TypeError(`${name} must be a number`);
  if (value < least || value > most) throw new RangeError(`${name} must be from ${least} to ${most}`);
}

const HANDLERS: Record<keyof PeerHandlers, true> = {
  onRequest: true,
  onOpen: true,
  onText: true,
  onBinary: true,
  onMessage: true,
  onMessageStart: true,
  onTextChunk: true,
  onSpan: true,
  onMessageEnd: true,
  onPing: true,
  onPong: true,
  onClose: true,
  onEnd: true,
  onDrain: true,
  onRefused: true,
  onError: true,
};

/** What is no function would be an exception when the first peer does what it is for. */
function checkHandlers(handlers: PeerHandlers): void {
  checkObject(handlers, 'options.handlers');
  for (const name of Object.keys(HANDLERS) as (keyof PeerHandlers)[]) {
    const handler: unknown = handlers[name];
    if (handler !== undefined && typeof handler !== 'function') throw new TypeError(`options.handlers.${name} must be a function`);
  }
}

/** What all connections of a host have in common. Throws a TypeError or RangeError that names the option. */
export function checkEndpoints(options: {
  readonly handlers: PeerHandlers;
  readonly highWaterMark?: number | undefined;
  readonly pull?: boolean | undefined;
}): void {
  const { handlers, highWaterMark, pull } = options;
  checkHandlers(handlers);
  if (highWaterMark !== undefined) checkNumber(highWaterMark, 'options.highWaterMark', 0, Number.POSITIVE_INFINITY);
  if (pull !== undefined && typeof pull !== 'boolean') throw new TypeError('options.pull must be a boolean');
}
