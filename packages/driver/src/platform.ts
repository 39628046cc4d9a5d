/**
 * The platform globals the driver touches, declared by hand: every supported runtime has them. No exported signature names one.
 */
interface PlatformGlobals {
  queueMicrotask(callback: () => void): void;
  readonly performance: { now(): number };
  atob(text: string): string;
  readonly WebAssembly?: {
    readonly Module: new (bytes: Uint8Array) => object;
    readonly Instance: new (module: object) => { readonly exports: MaskExports };
  };
}
/** Of the module in `adapter/mask-kernel.ts`. */
interface MaskExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  mask(at: number, end: number, key: number): void;
}

const platform = globalThis as unknown as PlatformGlobals;

export function queueMicrotask(callback: () => void): void {
  platform.queueMicrotask(callback);
}

/** Milliseconds on a clock that never goes back. */
export function now(): number {
  return platform.performance.now();
}

/** The exports of a module in base64, or null where it cannot be compiled. */
export function instantiateWasm(base64: string): MaskExports | null {
  const wasm = platform.WebAssembly;
  if (wasm === undefined) return null;
  try {
    return new wasm.Instance(new wasm.Module(Uint8Array.from(platform.atob(base64), (unit) => unit.charCodeAt(0)))).exports;
  } catch {
    // No SIMD, or a policy against compiling.
    return null;
  }
}
