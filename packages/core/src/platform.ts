/**
 * The platform globals the core touches, declared by hand.
 *
 * The core compiles with `types: []` and `lib: ES2022`, so a stray `Buffer`, `setTimeout` or `process` is a compile error. What every
 * runtime does have is listed here and nowhere else. No exported signature may name one of these: declarations for globals do not reach
 * `dist`, so a consumer would see an unknown type.
 */
interface TextDecoderLike {
  decode(input?: Uint8Array, options?: { stream?: boolean }): string;
}
interface TextEncoderLike {
  encode(input: string): Uint8Array;
  encodeInto(source: string, target: Uint8Array): { read: number; written: number };
}
interface PlatformGlobals {
  readonly TextDecoder: new (label: string, options: { fatal?: boolean; ignoreBOM?: boolean }) => TextDecoderLike;
  readonly TextEncoder: new () => TextEncoderLike;
  readonly crypto?: { getRandomValues(target: Uint8Array): Uint8Array };
}

const platform = globalThis as unknown as PlatformGlobals;

// "undefined is not a constructor" is what a bare engine would say of it.
for (const name of ['TextDecoder', 'TextEncoder'] as const) {
  if (platform[name] === undefined) throw new TypeError(`@ferrywire/core needs globalThis.${name}, which this runtime does not have`);
}

/** A strict UTF-8 decoder: throws at the first byte that cannot be UTF-8, keeps a BOM (`ignoreBOM` means "do not strip it"). */
export function createTextDecoder(): TextDecoderLike {
  return new platform.TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
}

/** Whether the decoder is what was asked for. Some that are put in where an engine has none pass over options they do not know, or throw. */
function decodesStrictly(): boolean {
  let decoder: TextDecoderLike;
  try {
    decoder = createTextDecoder();
    // U+FEFF at the start, and a character cut in two.
    if (decoder.decode(Uint8Array.of(0xef, 0xbb, 0xbf, 0xc3), { stream: true }) !== '\ufeff') return false;
    if (decoder.decode(Uint8Array.of(0xa9)) !== '\u00e9') return false;
  } catch {
    return false;
  }
  try {
    decoder.decode(Uint8Array.of(0xff));
    return false;
  } catch {
    return true;
  }
}

// Else bytes that are not UTF-8 would be handed out as text (RFC 6455 section 8.1).
if (!decodesStrictly()) {
  throw new TypeError(
    '@ferrywire/core needs a globalThis.TextDecoder that heeds fatal, ignoreBOM and stream, and that of this runtime does not',
  );
}

export const textEncoder: TextEncoderLike = new platform.TextEncoder();

/**
 * The default source of masks: WebCrypto, which every supported runtime has (RFC 6455 section 10.3).
 *
 * @throws {TypeError} where there is none, at once: a client would find out with its first frame, which may be the answer to a ping.
 */
export function platformRandom(): (target: Uint8Array) => void {
  const source = platform.crypto;
  if (source === undefined) throw new TypeError('options.random is required: this runtime has no globalThis.crypto');
  return (target) => void source.getRandomValues(target);
}
