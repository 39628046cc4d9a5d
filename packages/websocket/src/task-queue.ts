/**
 * One event per task (WHATWG HTML, "queue a task on the WebSocket task source"): what was queued first runs first, and promise callbacks
 * run between two tasks, as they do in browsers.
 *
 * The order is kept here and not left to the scheduler: an injected one only has to call back once per call, in any order. Beware: running
 * two events in one task, or one event in a microtask, changes what programs observe (websockets/ws#2159, #2216).
 */
import { Fifo } from './fifo.ts';
import { platform } from './platform.ts';

/** Calls back once, later, in a task of its own: never before the call returns, never in a microtask. */
export type TaskScheduler = (callback: () => void) => void;

/** setImmediate, else a message channel, else a timer: the first comes round soonest, the last may be clamped to 4 ms. */
export function platformScheduler(): TaskScheduler {
  const { setImmediate, MessageChannel } = platform;
  if (setImmediate !== undefined) return (callback) => void setImmediate(callback);
  if (MessageChannel !== undefined) {
    const channel = new MessageChannel();
    const callbacks = new Fifo<() => void>();
    channel.port1.onmessage = () => callbacks.shift()?.();
    return (callback) => {
      callbacks.push(callback);
      channel.port2.postMessage(null);
    };
  }
  return (callback) => void platform.setTimeout(callback, 0);
}

let shared: TaskScheduler | null = null;
/** One scheduler for all sockets that were given none. */
export function defaultScheduler(): TaskScheduler {
  shared ??= platformScheduler();
  return shared;
}

export class TaskQueue {
  readonly #schedule: TaskScheduler;
  readonly #tasks = new Fifo<() => void>();
  readonly #runNext = (): void => {
    this.#tasks.shift()?.();
  };

  constructor(schedule: TaskScheduler) {
    this.#schedule = schedule;
  }

  /** Runs `task` in a task of its own, after everything queued before it. A task that throws does not stop the next. */
  queue(task: () => void): void {
    this.#tasks.push(task);
    this.#schedule(this.#runNext);
  }
}
