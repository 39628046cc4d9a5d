/**
 * The platform globals the driver touches, declared by hand: every supported runtime has them. No exported signature names one.
 */
interface PlatformGlobals {
  queueMicrotask(callback: () => void): void;
  readonly performance: { now(): number };
}

const platform = globalThis as unknown as PlatformGlobals;

export function queueMicrotask(callback: () => void): void {
  platform.queueMicrotask(callback);
}

/** Milliseconds on a clock that never goes back. */
export function now(): number {
  return platform.performance.now();
}
