/**
 * Incremental UTF-8 (RFC 6455 section 8.1), with a native check for the bulk where the host supplies one. The verdict and the position of
 * the first bad byte are those of `Utf8Validator`, whatever the pieces.
 */
import { incompleteTail, Utf8Validator } from './utf8.ts';

/** Below this many bytes a native call costs more than the automaton. */
const NATIVE_FROM = 64;

export class TextCheck {
  readonly #validator = new Utf8Validator();
  readonly #isUtf8: ((bytes: Uint8Array, start: number, end: number) => boolean) | undefined;

  constructor(isUtf8: ((bytes: Uint8Array, start: number, end: number) => boolean) | undefined) {
    this.#isUtf8 = isUtf8;
  }
  /** -1, or the index of the first byte that cannot be UTF-8. */
  push(bytes: Uint8Array, start: number, end: number): number {
    const validator = this.#validator;
    const isUtf8 = this.#isUtf8;
    if (isUtf8 !== undefined && end - start >= NATIVE_FROM) {
      let at = start;
      while (!validator.end()) {
        if (validator.push(bytes, at, at + 1) !== -1) return at;
        at++;
      }
      const body = end - incompleteTail(bytes, at, end);
      if (isUtf8(bytes, at, body)) return validator.push(bytes, body, end);
      return validator.push(bytes, at, end);
    }
    return validator.push(bytes, start, end);
  }
  /** Is no sequence left half-way? */
  end(): boolean {
    return this.#validator.end();
  }
}
