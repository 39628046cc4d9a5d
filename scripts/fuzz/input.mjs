/** The bytes of one fuzz input, taken as choices, numbers and data. At its end everything is 0 or empty. */
export class Input {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  get left() {
    return this.bytes.length - this.at;
  }
  byte() {
    return this.bytes[this.at++] ?? 0;
  }
  bool() {
    return (this.byte() & 1) === 1;
  }
  /** @template T @param {readonly T[]} list @returns {T} */
  pick(list) {
    return /** @type {T} */ (list[this.byte() % list.length]);
  }
  /** Up to `length` bytes, a copy. @param {number} length */
  take(length) {
    const end = Math.min(this.bytes.length, this.at + length);
    const taken = this.bytes.slice(this.at, end);
    this.at = end;
    return taken;
  }
  rest() {
    return this.take(this.left);
  }
}

/**
 * Cuts `bytes` where a few numbers say.
 *
 * @param {Uint8Array} bytes
 * @param {readonly number[]} cuts Distances; used again and again.
 */
export function cut(bytes, cuts) {
  /** @type {Uint8Array[]} */
  const pieces = [];
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const end = Math.min(bytes.length, at + 1 + (cuts[index % cuts.length] ?? 0));
    pieces.push(bytes.slice(at, end));
    at = end;
  }
  return pieces;
}

/** @param {Iterable<Uint8Array>} chunks */
export function join(chunks) {
  const list = [...chunks];
  const whole = new Uint8Array(list.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of list) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** @param {boolean} condition @param {string} message */
export function check(condition, message) {
  if (!condition) throw new Error(message);
}

/** Text that is equal for equal values. @param {unknown} value */
export function show(value) {
  return JSON.stringify(value, (_, item) => {
    if (item instanceof Uint8Array) return `bytes ${Array.from(item, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
    if (typeof item === 'number' && !Number.isFinite(item)) return String(item);
    return item;
  });
}

/** The same bytes for every run. */
export function fixedRandom() {
  let state = 12_345;
  return (/** @type {Uint8Array} */ target) => {
    for (let at = 0; at < target.length; at++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      target[at] = state >>> 16;
    }
  };
}
