/** An extension whose work is done elsewhere: what it has called 'pending' is ready when whoever does the work says so. */
import type { Extension, TransformStatus } from '@ferrywire/core';

export interface AsynchronousOptions {
  /** Calls back once, when the work is done: `setImmediate`, or a list that a test empties. */
  readonly work: (done: () => void) => void;
  /** The direction that throws once its work is done. */
  readonly fails?: 'inbound' | 'outbound' | undefined;
}

/** Takes a message, works, and gives it as it was. */
export function asynchronous({ work, fails }: AsynchronousOptions): Extension {
  const failing = (direction: 'inbound' | 'outbound'): void => {
    if (fails === direction) throw new Error(`${direction} failed`);
  };
  return {
    name: 'x-asynchronous',
    rsv: 4,
    inbound(_role, ready) {
      let isWorking = false;
      let done: Uint8Array | null = null;
      return {
        begin: (_kind, rsv) => rsv !== 0,
        push(input, start, end, out) {
          if (isWorking) return { consumed: 0, status: 'pending' };
          if (done !== null) {
            failing('inbound');
            out.write(done, 0, done.length);
            done = null;
          }
          if (start === end) return { consumed: 0, status: 'need' };
          const taken = new Uint8Array(input.subarray(start, end));
          isWorking = true;
          work(() => {
            isWorking = false;
            done = taken;
            ready();
          });
          return { consumed: end - start, status: 'pending' };
        },
        finish: (): TransformStatus => 'need',
      };
    },
    outbound(_role, ready) {
      let state: 'idle' | 'working' | 'done' = 'idle';
      return {
        cacheKey: null,
        begin() {
          state = 'idle';
          return 4;
        },
        push(input, start, end, _fin, out) {
          if (state === 'idle') {
            state = 'working';
            work(() => {
              state = 'done';
              ready();
            });
          }
          if (state === 'working') return { consumed: 0, status: 'pending' };
          failing('outbound');
          out.write(input, start, end);
          return { consumed: end - start, status: 'need' };
        },
      };
    },
  };
}
