/**
 * The platform globals the driver touches, declared by hand: every supported runtime has them. No exported signature names one.
 */
interface PlatformGlobals {
  queueMicrotask(callback: () => void): void;
  readonly performance: { now(): number };
  atob(text: string): string;
  readonly WebAssembly?: {
    readonly Module: new (bytes: Uint8Array) => object;
    readonly Instance: new (module: object) => { readonly exports: unknown };
  };
}

const platform = globalThis as unknown as PlatformGlobals;

// "undefined is not a function" is what a bare engine would say of it, in the first turn.
if (platform.queueMicrotask === undefined) {
  throw new TypeError('@ferrywire/driver needs globalThis.queueMicrotask, which this runtime does not have');
}

/** The largest delay that `setTimeout` honours, on every runtime: a larger one fires at once. */
export const MAX_DELAY = 2_147_483_647;

export function queueMicrotask(callback: () => void): void {
  platform.queueMicrotask(callback);
}

/** Milliseconds on a clock that never goes back. */
export function now(): number {
  return platform.performance.now();
}

/** The exports of a module in base64, of which the caller knows the type, or null where it cannot be compiled. */
export function instantiateWasm<Exports>(base64: string): Exports | null {
  const wasm = platform.WebAssembly;
  if (wasm === undefined) return null;
  try {
    return new wasm.Instance(new wasm.Module(Uint8Array.from(platform.atob(base64), (unit) => unit.charCodeAt(0)))).exports as Exports;
  } catch {
    // No SIMD, or a policy against compiling.
    return null;
  }
}
