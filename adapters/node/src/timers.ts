/**
 * Node's clock and timers, and its native text functions: what the protocol needs of the runtime, for Node, Bun and Deno alike.
 *
 * Deno's UTF-8 decoder is slow on plain ASCII, and so is that of Node 20: looking for ASCII first pays from 512 bytes there (16 KiB 10 times
 * as fast, 1 KiB twice), from 16 KiB here (1 MiB 7 times, 16 KiB 1.1 times). Elsewhere it costs a little.
 */
import * as hooks from 'node:async_hooks';
import * as buffer from 'node:buffer';
import * as clocks from 'node:perf_hooks';
import * as nodeTimers from 'node:timers';
import * as threads from 'node:worker_threads';
import type { Clock } from '@ferrywire/core';
import { type Runtime, runtimeOf, type SharedTimers } from '@ferrywire/driver/adapter';

export { Entry, type NativeTimers, SharedTimers } from '@ferrywire/driver/adapter';

const { bun, deno, node } = process.versions;
const asciiFrom = deno !== undefined ? 512 : bun === undefined && Number.parseInt(node, 10) < 22 ? 16_384 : Number.POSITIVE_INFINITY;
const uncleared = deno === undefined && (bun !== undefined || Number.parseInt(node, 10) !== 24);
const choice = {
  small: bun === undefined,
  asciiFrom,
  uncleared,
  javaScriptCore: bun !== undefined,
  cut: deno !== undefined,
  blindTurns: deno !== undefined,
};
const made = runtimeOf(buffer, nodeTimers, threads, choice, hooks, clocks);

export const runtime: Runtime = made;

/** The clock of everything in this adapter. Monotonic, in milliseconds. */
export const clock: Clock = made.clock;
/** The timers of every connection that this module opens. */
export const timers: SharedTimers = made.timers;
