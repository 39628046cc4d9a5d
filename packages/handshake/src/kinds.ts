/**
 * What values are, those of another realm too: test runners and sandboxes have a `Uint8Array` of their own. In the words that `Connection` uses.
 */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : typeof value;
}

/** @throws {TypeError} naming the argument. */
export function checkString(value: unknown, name: string): asserts value is string {
  if (typeof value !== 'string') throw new TypeError(`${name} must be a string, not ${kindOf(value)}`);
}

/**
 * A misspelt name would leave the default in force without a word, which is a wider limit, or every origin.
 *
 * @throws {TypeError} naming it.
 */
export function checkNames(given: object, known: object, option: string, kind: string): void {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(known, name)) throw new TypeError(`${option}.${name} is no ${kind}: ${Object.keys(known).join(', ')}`);
  }
}

/** @throws {TypeError} naming the argument. */
export function checkBytes(value: unknown, name: string, expected = 'a Uint8Array'): asserts value is Uint8Array {
  if (value instanceof Uint8Array || (ArrayBuffer.isView(value) && (value as Uint8Array)[Symbol.toStringTag] === 'Uint8Array')) return;
  throw new TypeError(`${name} must be ${expected}, not ${kindOf(value)}`);
}
