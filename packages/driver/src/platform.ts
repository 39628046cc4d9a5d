/**
 * The platform globals the driver touches, declared by hand: every supported runtime has them. No exported signature names one.
 */
interface PlatformGlobals {
  queueMicrotask(callback: () => void): void;
}

const platform = globalThis as unknown as PlatformGlobals;

export function queueMicrotask(callback: () => void): void {
  platform.queueMicrotask(callback);
}
