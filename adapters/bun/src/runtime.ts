/**
 * Bun, as far as this adapter needs it: its clock, its timers, its native text functions, and whether it is Bun at all.
 */
import * as hooks from 'node:async_hooks';
import * as buffer from 'node:buffer';
import * as clocks from 'node:perf_hooks';
import * as timers from 'node:timers';
import * as threads from 'node:worker_threads';
import { checkRuntime, type Runtime, runtimeOf } from '@ferrywire/driver/adapter';

const choice = { asciiFrom: Infinity, uncleared: true, javaScriptCore: true };
export const runtime: Runtime = runtimeOf(buffer, timers, threads, choice, hooks, clocks);

/** Throws `WS_RUNTIME` where this is not Bun, or one older than 1.4. */
export const requireBun = (): void => checkRuntime('Bun', process.versions.bun, [1, 4]);
