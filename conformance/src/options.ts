/**
 * What the library takes of its options, judged at the call: with a count that is none, a run ends without a case and looks like one without a
 * fault.
 */

import type { Case } from './case.ts';

/** The most that a timer of the runtime counts, milliseconds: more is taken for one. */
export const longestWait: number = 2 ** 31 - 1;

/** Throws RangeError naming the option. `least` to `most`; undefined is the default. */
export function checkWhole(name: string, value: number | undefined, least: number, most: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) return;
  throw new RangeError(`options.${name} is a whole number from ${least} to ${most}, not ${String(value)}`);
}

/** Throws RangeError naming the option: above 0, and an end. */
export function checkFactor(name: string, value: number | undefined): void {
  if (value === undefined || (Number.isFinite(value) && value > 0)) return;
  throw new RangeError(`options.${name} is a number above 0, not ${String(value)}`);
}

/** Throws RangeError naming the option: milliseconds, Infinity among them. */
export function checkWait(name: string, value: number | undefined): void {
  if (value === undefined || (typeof value === 'number' && value >= 0)) return;
  throw new RangeError(`options.${name} is a number from 0, not ${String(value)}`);
}

/** Throws TypeError naming the option. One that cannot be listened to would be found out in the midst of the run. */
export function checkSignal(name: string, value: AbortSignal | null | undefined): void {
  if (value === undefined || value === null) return;
  if (typeof value.addEventListener === 'function' && typeof value.removeEventListener === 'function') return;
  throw new TypeError(`options.${name} is an AbortSignal`);
}

/** Throws TypeError naming the option. */
export function checkCases(name: string, value: readonly Case[] | undefined): void {
  if (value === undefined || (Array.isArray(value) && value.every((test: Partial<Case> | null) => typeof test?.id === 'string'))) return;
  throw new TypeError(`options.${name} is a list of cases; ids go into options.include`);
}

/** Throws TypeError naming the option. A string would be taken apart, or end the run in the midst of it. */
export function checkPatterns(name: string, value: readonly string[] | undefined): void {
  if (value === undefined || (Array.isArray(value) && value.every((pattern) => typeof pattern === 'string'))) return;
  throw new TypeError(`options.${name} is a list of patterns`);
}
