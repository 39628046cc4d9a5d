/** Deterministic randomness for long tests: the same seed, the same run. */

/** @typedef {ReturnType<typeof randomFrom>} Random */

/** @param {number} seed */
export function randomFrom(seed) {
  let state = seed >>> 0 || 1;
  /** 0 to 1 (xorshift32). */
  const next = () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 0x1_0000_0000;
  };
  /** An integer, both ends included. @param {number} least @param {number} most */
  const integer = (least, most) => least + Math.floor(next() * (most - least + 1));
  return {
    next,
    integer,
    /** @param {number} share */
    chance: (share) => next() < share,
    /** @template T @param {readonly T[]} list @returns {T} */
    pick: (list) => /** @type {T} */ (list[integer(0, list.length - 1)]),
    /** Small sizes are the likelier ones. @param {number} most */
    size: (most) => Math.floor(most ** next()),
    /** @param {number} length */
    bytes: (length) => Uint8Array.from({ length }, () => integer(0, 255)),
  };
}
