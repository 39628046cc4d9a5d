/**
 * A plain DEFLATE decoder (RFC 1951) for tests: slow, complete, and independent of both codecs. It reports the largest distance used, which
 * no library does, and goes on after BFINAL=1 with the window kept, as RFC 7692 section 7.2.3.4 wants it.
 */

const LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

export interface Reference {
  readonly output: Uint8Array;
  readonly maxDistance: number;
}

interface Code {
  readonly count: number[];
  readonly symbol: number[];
}

function build(lengths: readonly number[]): Code {
  const count = new Array<number>(16).fill(0);
  for (const length of lengths) count[length] = (count[length] ?? 0) + 1;
  count[0] = 0;
  const offsets = [0, 0];
  for (let bits = 1; bits < 15; bits++) offsets[bits + 1] = (offsets[bits] ?? 0) + (count[bits] ?? 0);
  const symbol: number[] = [];
  lengths.forEach((length, value) => {
    if (length === 0) return;
    const at = offsets[length] ?? 0;
    symbol[at] = value;
    offsets[length] = at + 1;
  });
  return { count, symbol };
}

const FIXED_LITERALS = build([
  ...new Array<number>(144).fill(8),
  ...new Array<number>(112).fill(9),
  ...new Array<number>(24).fill(7),
  ...new Array<number>(8).fill(8),
]);
const FIXED_DISTANCES = build(new Array<number>(30).fill(5));

class Decoder {
  readonly #input: Uint8Array;
  #bit = 0;
  readonly output: number[];
  maxDistance = 0;

  constructor(input: Uint8Array, window: Uint8Array) {
    this.#input = input;
    this.output = [...window];
  }

  #bits(count: number): number {
    let value = 0;
    for (let at = 0; at < count; at++) {
      const byte = this.#input[this.#bit >> 3];
      if (byte === undefined) throw new Error('cut');
      value |= ((byte >> (this.#bit & 7)) & 1) << at;
      this.#bit++;
    }
    return value;
  }

  #symbol({ count, symbol }: Code): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length <= 15; length++) {
      code |= this.#bits(1);
      const here = count[length] ?? 0;
      if (code - here < first) {
        const value = symbol[index + code - first];
        if (value === undefined) break;
        return value;
      }
      index += here;
      first = (first + here) << 1;
      code <<= 1;
    }
    throw new Error('no such code');
  }

  #dynamic(): [Code, Code] {
    const literals = this.#bits(5) + 257;
    const distances = this.#bits(5) + 1;
    const codes = this.#bits(4) + 4;
    const order = new Array<number>(19).fill(0);
    for (let at = 0; at < codes; at++) order[CODE_ORDER[at] ?? 0] = this.#bits(3);
    const lengthCode = build(order);
    const lengths: number[] = [];
    while (lengths.length < literals + distances) {
      const symbol = this.#symbol(lengthCode);
      if (symbol < 16) lengths.push(symbol);
      else {
        const value = symbol === 16 ? (lengths.at(-1) ?? 0) : 0;
        const times = symbol === 16 ? 3 + this.#bits(2) : symbol === 17 ? 3 + this.#bits(3) : 11 + this.#bits(7);
        for (let at = 0; at < times; at++) lengths.push(value);
      }
    }
    return [build(lengths.slice(0, literals)), build(lengths.slice(literals, literals + distances))];
  }

  #block(literals: Code, distances: Code): void {
    for (;;) {
      const symbol = this.#symbol(literals);
      if (symbol === 256) return;
      if (symbol < 256) {
        this.output.push(symbol);
        continue;
      }
      const length = (LENGTH_BASE[symbol - 257] ?? 0) + this.#bits(LENGTH_EXTRA[symbol - 257] ?? 0);
      const code = this.#symbol(distances);
      const extra = code < 4 ? 0 : (code >> 1) - 1;
      const distance = (code < 4 ? code + 1 : ((2 + (code & 1)) << extra) + 1) + this.#bits(extra);
      if (distance > this.output.length) throw new Error('distance too far');
      this.maxDistance = Math.max(this.maxDistance, distance);
      for (let at = 0; at < length; at++) this.output.push(this.output[this.output.length - distance] ?? 0);
    }
  }

  run(): void {
    while (this.#bit < this.#input.length * 8) {
      const final = this.#bits(1);
      const type = this.#bits(2);
      if (type === 3) throw new Error('reserved block type');
      if (type === 0) {
        this.#bit = (this.#bit + 7) & ~7;
        const length = this.#bits(16);
        if (length !== (~this.#bits(16) & 0xffff)) throw new Error('lengths do not match');
        for (let at = 0; at < length; at++) this.output.push(this.#bits(8));
      } else if (type === 1) this.#block(FIXED_LITERALS, FIXED_DISTANCES);
      else this.#block(...this.#dynamic());
      if (final === 1) this.#bit = (this.#bit + 7) & ~7;
    }
  }
}

/** Decodes whole blocks, the last of which must end at a byte boundary. Throws on anything else. */
export function referenceInflate(input: Uint8Array, window: Uint8Array = new Uint8Array(0)): Reference {
  const decoder = new Decoder(input, window);
  decoder.run();
  return { output: Uint8Array.from(decoder.output.slice(window.length)), maxDistance: decoder.maxDistance };
}
