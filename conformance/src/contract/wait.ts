/**
 * Bounded waiting. Nothing here sleeps: timers only bound how long an event may take.
 */

const PATIENCE = 30_000;

export class Late extends Error {}

/** The promise, or an error that says what did not happen. */
export function within<T>(promise: Promise<T>, what: string, ms: number = PATIENCE): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Late(`waited ${ms} ms for ${what}`)), ms);
    promise.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}

/** The rest of this turn of the event loop, and the input that waits for it. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Lets turns of the event loop pass until something holds that raises no event. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (!condition()) {
    if (performance.now() > end) throw new Late(`waited ${PATIENCE} ms for ${what}`);
    await turn();
  }
}

/** Values that arrive, for a reader that waits for them in order. */
export class Queue<T> {
  /** How many arrived, taken or not. */
  count = 0;
  readonly #values: T[] = [];
  readonly #waiting: ((value: T) => void)[] = [];

  push(value: T): void {
    this.count++;
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#values.push(value);
    else waiting(value);
  }
  next(what: string): Promise<T> {
    const value = this.#values.shift();
    if (value !== undefined) return Promise.resolve(value);
    return within(new Promise<T>((resolve) => this.#waiting.push(resolve)), what);
  }
}
