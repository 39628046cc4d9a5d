/**
 * The platform globals the core touches, declared by hand.
 *
 * The core compiles with `types: []` and `lib: ES2022`, so a stray `Buffer`, `setTimeout` or `process` is a compile error. What every
 * runtime does have is listed here and nowhere else. No exported signature may name one of these: declarations for globals do not reach
 * `dist`, so a consumer would see an unknown type.
 */
interface TextDecoderLike {
  decode(input: Uint8Array): string;
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

/**
 * Whether the decoder is what was asked for. Some that are put in where an engine has none pass over options they do not know, or throw. Of pieces
 * of a text it need know nothing: it is given whole ones.
 */
function decodesStrictly(): boolean {
  try {
    const decoder = createTextDecoder();
    // A byte that is none, and a character that is cut off. Of neither may anything be left for the next text.
    if (decodes(decoder, 0xff) !== null || decodes(decoder, 0x61, 0xc3) !== null) return false;
    return decodes(decoder, 0xef, 0xbb, 0xbf, 0xc3, 0xa9) === '\ufeff\u00e9';
  } catch {
    return false;
  }
}
/** Null where it throws. */
function decodes(decoder: TextDecoderLike, ...bytes: number[]): string | null {
  try {
    return decoder.decode(Uint8Array.from(bytes));
  } catch {
    return null;
  }
}

// Else bytes that are not UTF-8 would be handed out as text (RFC 6455 section 8.1).
if (!decodesStrictly()) {
  throw new TypeError('@ferrywire/core needs a globalThis.TextDecoder that heeds fatal and ignoreBOM, and that of this runtime does not');
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
