/**
 * The platform globals the handshake touches, declared by hand: this package compiles with `types: []` and `lib: ES2022`.
 *
 * No exported signature may name one of these, since declarations of globals do not reach `dist`.
 */
interface UrlLike {
  readonly href: string;
  readonly protocol: string;
  readonly username: string;
  readonly password: string;
  readonly hostname: string;
  readonly port: string;
  readonly pathname: string;
  readonly search: string;
}
interface PlatformGlobals {
  readonly URL: new (input: string, base?: string) => UrlLike;
  readonly TextEncoder: new () => { encode(input: string): Uint8Array };
  readonly btoa: (binary: string) => string;
  readonly crypto?: { getRandomValues(target: Uint8Array): Uint8Array };
}

const platform = globalThis as unknown as PlatformGlobals;

// "undefined is not a constructor" is what a bare engine would say of it.
for (const name of ['URL', 'btoa'] as const) {
  if (platform[name] === undefined) throw new TypeError(`@ferrywire/handshake needs globalThis.${name}, which this runtime does not have`);
}
const encoder = new platform.TextEncoder();

/** The WHATWG URL parser. Null where it fails. */
export function parseUrl(input: string, base?: string): UrlLike | null {
  try {
    return base === undefined ? new platform.URL(input) : new platform.URL(input, base);
  } catch {
    return null;
  }
}

export function encodeUtf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Base64 with padding (RFC 4648 section 4). */
export function toBase64(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return platform.btoa(binary);
}

/** The default source of nonces: WebCrypto, which every supported runtime has. */
export function platformRandom(target: Uint8Array): void {
  const source = platform.crypto;
  if (source === undefined) throw new TypeError('options.random is required: this runtime has no globalThis.crypto');
  source.getRandomValues(target);
}
