/**
 * Clock and timers of any runtime that has the web's: browsers, workers, Node, Bun, Deno.
 */
import {
  type ContextModule,
  markSharedKernel,
  type NativeTimers,
  outsideContexts,
  type Runtime,
  SharedTimers,
  type ThreadsModule,
  turnsThatLook,
} from '@ferrywire/driver/adapter';

interface Global {
  readonly setImmediate?: (callback: () => void) => unknown;
  readonly Deno?: unknown;
  readonly process?: { getBuiltinModule?<Id extends keyof Builtins>(id: Id): Builtins[Id] | undefined };
}
interface Builtins {
  readonly 'node:async_hooks': ContextModule;
  readonly 'node:worker_threads': ThreadsModule;
}

/** A timer of 0 is clamped to 4 ms in browsers once timers nest; a message is not. */
function nextTurn(callback: () => void): void {
  const { setImmediate } = globalThis as Global;
  if (setImmediate !== undefined) {
    setImmediate(callback);
    return;
  }
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    callback();
  };
  port2.postMessage(null);
}

/** Browsers and Workers have nothing of the kind. */
const threads = (globalThis as Global).process?.getBuiltinModule?.('node:worker_threads');
const outside = outsideContexts((globalThis as Global).process?.getBuiltinModule?.('node:async_hooks'));

const clock = (): number => performance.now();

const nextOf: NativeTimers['nextTurn'] =
  (globalThis as Global).Deno === undefined
    ? (callback, entry) => nextTurn(() => callback(entry))
    : turnsThatLook({ setTimeout, setImmediate: (callback, entry) => nextTurn(() => callback(entry)) }, clock);

export const runtime: Runtime = {
  clock,
  timers: new SharedTimers(clock, {
    after(callback, delay) {
      const handle: unknown = outside(() => setTimeout(callback, delay));
      // Node, Bun and Deno: the streams keep the process alive, or not.
      if (typeof handle === 'object' && handle !== null && 'unref' in handle) (handle as { unref(): void }).unref();
      return handle;
    },
    cancel: (handle) => clearTimeout(handle as number),
    nextTurn: nextOf,
  }),
  kernels: markSharedKernel(threads),
};
