/**
 * Clock, timers and text of a runtime that has Node's modules `buffer` and `timers`: Node, Bun and Deno.
 */
import type { Clock, Kernels, Millis } from '@ferrywire/core';
import { now } from '../platform.ts';
import { allocateKernel, type BufferModule, cutKernel, type KernelChoice, textKernels } from './kernels.ts';
import { maskKernels } from './mask-kernel.ts';
import type { Runtime } from './options.ts';
import { scanKernel } from './scan-kernel.ts';
import { type Entry, SharedTimers } from './timers.ts';
import { turnsThatLook } from './turns.ts';

/** What is used of the module `node:timers`. */
export interface TimersModule {
  setTimeout(callback: () => void, delay: Millis): { unref?(): unknown };
  clearTimeout(handle: never): void;
  setImmediate(callback: (entry: Entry) => void, entry: Entry): unknown;
}

/** What is used of the module `node:async_hooks`. */
export interface ContextModule {
  readonly AsyncLocalStorage: { snapshot?(): <Result>(work: () => Result) => Result };
}

/** What is used of the module `node:perf_hooks`. */
export interface ClockModule {
  readonly performance: { now(): Millis };
}

/** Does its work in no async context, where the runtime has such. */
export function outsideContexts(contexts: ContextModule | undefined): <Result>(work: () => Result) => Result {
  return contexts?.AsyncLocalStorage.snapshot?.() ?? ((work) => work());
}

/** What is used of the module `node:worker_threads`. */
export interface ThreadsModule {
  markAsUntransferable(object: object): void;
}

/**
 * `Kernels.markShared` by that module: nothing where there is none, or one that throws, as some versions of Bun have it.
 */
export function markSharedKernel(threads: ThreadsModule | undefined): Pick<Kernels, 'markShared'> {
  try {
    threads?.markAsUntransferable(new ArrayBuffer(1));
  } catch {
    return {};
  }
  return threads === undefined ? {} : { markShared: (memory) => threads.markAsUntransferable(memory) };
}

export interface RuntimeChoice extends KernelChoice {
  /** Do turns of the event loop that are asked for one after the other keep it from its sockets? */
  readonly blindTurns?: boolean;
}

/**
 * The timer never keeps the process alive: the sockets do, as long as they are not unref'd. It belongs to no async context: that of one connection
 * would be seen by the handlers of others, whose deadlines come with its own.
 *
 * Clock and timers are those of the modules, both: the fake timers of test runners replace the globals, and a clock that stands still beside timers
 * that run would keep `close` and `connect` from ever being done.
 */
export function runtimeOf(
  buffer: BufferModule,
  timers: TimersModule,
  threads: ThreadsModule,
  choice: RuntimeChoice,
  contexts?: ContextModule,
  clocks?: ClockModule,
): Runtime & { readonly timers: SharedTimers } {
  const hand = clocks?.performance;
  const clock: Clock = hand === undefined ? now : () => hand.now();
  const { markShared } = markSharedKernel(threads);
  const outside = outsideContexts(contexts);
  return {
    clock,
    timers: new SharedTimers(clock, {
      after: (callback, delay) =>
        outside(() => {
          const handle = timers.setTimeout(callback, delay);
          // Bun's module has the globals, and those of a DOM in their place (happy-dom, jsdom) may give numbers.
          handle.unref?.();
          return handle;
        }),
      cancel: (handle) => timers.clearTimeout(handle as never),
      nextTurn: choice.blindTurns === true ? turnsThatLook(timers, clock) : (callback, entry) => void timers.setImmediate(callback, entry),
    }),
    kernels: {
      ...textKernels(buffer, choice),
      ...(choice.javaScriptCore === true ? scanKernel(48) : { ...maskKernels(), ...scanKernel(null) }),
      ...(choice.uncleared === true ? allocateKernel(buffer) : choice.cut === true ? cutKernel(markShared) : {}),
      ...(markShared === undefined ? null : { markShared }),
    },
  };
}
