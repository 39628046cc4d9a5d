/**
 * What a handler of the application throws, where it must not reach the caller: a runtime that is stopped half-way through an event of its
 * own (Node closes a socket after 'end' has returned) leaves the connection open for ever, and a loop over connections leaves out the rest.
 */
import { queueMicrotask } from './platform.ts';
import type { DriverHandle } from './types.ts';

/** As an uncaught exception, which is what it is on every runtime. */
export function throwOutside(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

/** Does it; what is thrown is thrown outside. */
export function apart(work: () => void): void {
  try {
    work();
  } catch (thrown) {
    throwOutside(thrown);
  }
}

/** An event of the transport for its driver, if it has one. */
export function tell(driver: DriverHandle | null, event: (driver: DriverHandle) => void): void {
  if (driver === null) return;
  try {
    event(driver);
  } catch (thrown) {
    throwOutside(thrown);
  }
}

/** `tell` for the event that comes with every read: without a closure. */
export function deliver(driver: DriverHandle | null, chunk: Uint8Array): void {
  if (driver === null) return;
  try {
    driver.receive(chunk);
  } catch (thrown) {
    throwOutside(thrown);
  }
}
