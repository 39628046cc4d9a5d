/**
 * What an embedder joins, judged when it is joined: a part that is not there would be an exception in the event of the transport that first needs
 * it, after the peer has come.
 */
import type { Clock, Protocol } from '@ferrywire/core';
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
}

/** Throws TypeError naming the option. */
export function checkTime(options: { readonly clock: Clock; readonly timers: TimerHost }): void {
  checkObject(options, 'options');
  if (typeof options.clock !== 'function') throw new TypeError('options.clock must be a function');
  checkMethods(options.timers, 'options.timers', ['set', 'clear']);
}
