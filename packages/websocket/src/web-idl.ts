/**
 * Web IDL where JavaScript alone would differ from a browser: what classes show of themselves (sections 3.7 and 3.8) and how arguments are
 * converted (section 3.2).
 */

interface InterfaceClass {
  readonly name: string;
  readonly prototype: object;
}

/**
 * Members of JavaScript's classes are not enumerable, those of an interface are; what is beyond the standard stays hidden. The name is given,
 * since a minified class has another.
 */
export function defineInterface(
  target: InterfaceClass,
  name: string,
  members: readonly string[],
  constants: Readonly<Record<string, number>> = {},
): void {
  for (const member of members) Object.defineProperty(target.prototype, member, { enumerable: true });
  Object.defineProperty(target, 'name', { value: name, configurable: true });
  Object.defineProperty(target.prototype, Symbol.toStringTag, { value: name, configurable: true });
  for (const [constant, value] of Object.entries(constants)) {
    for (const holder of [target, target.prototype]) Object.defineProperty(holder, constant, { value, enumerable: true });
  }
}

/**
 * Makes a subclass show the members of its base as its own: programs that wrap a socket's class ask its prototype for them, and find nothing
 * inherited.
 */
export function showMembersOf(base: InterfaceClass, target: InterfaceClass): void {
  const { constructor: _, ...members } = Object.getOwnPropertyDescriptors(base.prototype) as PropertyDescriptorMap;
  Object.defineProperties(target.prototype, members);
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(base))) {
    const isOwn = name !== 'length' && Object.hasOwn(target, name);
    Object.defineProperty(target, name, isOwn ? { enumerable: descriptor.enumerable === true } : descriptor);
  }
}

/** DOMString. `String()` would take a symbol. */
export function toText(value: unknown, name: string): string {
  if (typeof value === 'symbol') throw new TypeError(`${name} must not be a symbol`);
  return String(value);
}

/** USVString, for what is shown again. The core does the same to what it sends. */
export function toScalarText(value: unknown, name: string): string {
  return toText(value, name).replace(/\p{Surrogate}/gu, '\ufffd');
}

/** `Number()` would take a bigint. */
export function toNumber(value: unknown, name: string): number {
  if (typeof value === 'symbol' || typeof value === 'bigint') throw new TypeError(`${name} must be a number, not a ${typeof value}`);
  return +(value as number);
}

/** [EnforceRange] unsigned short. */
export function toEnforcedUint16(value: unknown, name: string): number {
  const whole = Math.trunc(toNumber(value, name));
  if (!(whole >= 0 && whole <= 65_535)) throw new TypeError(`${name} must be a number from 0 to 65535, not ${whole}`);
  return whole;
}

/** [Clamp] unsigned short: NaN is 0, the rest is clamped to 0..65535 and rounded, halves to even. */
export function toClampedUint16(value: unknown, name: string): number {
  const number = toNumber(value, name);
  if (Number.isNaN(number)) return 0;
  const clamped = Math.min(Math.max(number, 0), 65_535);
  const floor = Math.floor(clamped);
  const rest = clamped - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

export function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/** A dictionary: null is one without members. */
export function toDictionary<Dictionary extends object>(value: Dictionary | null | undefined, name: string): Partial<Dictionary> {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw new TypeError(`${name} must be an object`);
  return value;
}

/** `sequence<any>`. A string can be iterated, but is no object. */
export function toSequence(value: unknown, name: string): Iterable<unknown> {
  if (!isObject(value) || typeof (value as Iterable<unknown>)[Symbol.iterator] !== 'function') {
    throw new TypeError(`${name} must be an array or another iterable object, not ${value === null ? 'null' : `a ${typeof value}`}`);
  }
  return value as Iterable<unknown>;
}

/** `DOMString or sequence<DOMString>`. */
export function toTexts(value: unknown, name: string): readonly string[] {
  if (isObject(value) && Symbol.iterator in value) return Array.from(value as Iterable<unknown>, (item) => toText(item, name));
  return [toText(value, name)];
}
