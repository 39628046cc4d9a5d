/**
 * Clock and timers of any runtime that has the web's: browsers, web workers, Workers of Cloudflare, Node, Bun, Deno.
 */
import type { TimerHost } from '@ferrywire/driver';
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
  readonly MessageChannel?: typeof MessageChannel;
  readonly navigator?: { readonly userAgent?: string };
  readonly Deno?: unknown;
  readonly process?: { getBuiltinModule?<Id extends keyof Builtins>(id: Id): Builtins[Id] | undefined };
}
interface Builtins {
  readonly 'node:async_hooks': ContextModule;
  readonly 'node:worker_threads': ThreadsModule;
}

/** A timer of 0 is clamped to 4 ms in browsers once timers nest; a message is not. */
function nextTurn(callback: () => void): void {
  const { setImmediate, MessageChannel: Channel } = globalThis as Global;
  if (setImmediate !== undefined) {
    setImmediate(callback);
    return;
  }
  if (Channel === undefined) {
    setTimeout(callback, 0);
    return;
  }
  const { port1, port2 } = new Channel();
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

/**
 * Workers drop the timers of a request that is over: one that all requests share would be lost with the one that set it, and their deadlines with
 * it. What is called back belongs to its own request too, and can use no other's streams.
 */
const ownTimers: TimerHost = {
  set: (callback, delay) => setTimeout(callback, delay),
  clear: (handle) => clearTimeout(handle as number),
};

const sharedTimers = (): TimerHost =>
  new SharedTimers(clock, {
    after(callback, delay) {
      const handle: unknown = outside(() => setTimeout(callback, delay));
      // Node, Bun and Deno: the streams keep the process alive, or not.
      if (typeof handle === 'object' && handle !== null && 'unref' in handle) (handle as { unref(): void }).unref();
      return handle;
    },
    cancel: (handle) => clearTimeout(handle as number),
    nextTurn: nextOf,
  });

export const runtime: Runtime = {
  clock,
  timers: (globalThis as Global).navigator?.userAgent === 'Cloudflare-Workers' ? ownTimers : sharedTimers(),
  kernels: markSharedKernel(threads),
};
