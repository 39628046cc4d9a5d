/** Counts what a piece of work costs: memory taken, views made, calls of native functions. Exact, where a clock or a heap would waver. */

export interface Cost {
  /** Sizes of the arrays of bytes that were made, in bytes. */
  readonly arrays: readonly number[];
  /** Views of memory that was there, of bytes and of words. */
  readonly views: number;
  readonly words: number;
  /** Calls of `TextEncoder.encodeInto`, `TextDecoder.decode` and `Uint8Array.set`. */
  readonly encoded: number;
  readonly decoded: number;
  readonly set: number;
}
type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** What `act` costs. The globals are replaced meanwhile. */
export function counted(act: () => void): Cost {
  const arrays: number[] = [];
  const cost: Mutable<Cost> = { arrays, views: 0, words: 0, encoded: 0, decoded: 0, set: 0 };
  const { Uint8Array: Bytes, Int32Array: Words } = globalThis;
  const { set } = Bytes.prototype;
  const { encodeInto } = TextEncoder.prototype;
  const { decode } = TextDecoder.prototype;
  globalThis.Uint8Array = new Proxy(Bytes, {
    construct(target, values, made) {
      if (typeof values[0] === 'object' && !ArrayBuffer.isView(values[0])) cost.views++;
      else arrays.push(typeof values[0] === 'number' ? values[0] : (values[0] as Uint8Array).length);
      return Reflect.construct(target, values, made) as object;
    },
  });
  globalThis.Int32Array = new Proxy(Words, {
    construct(target, values, made) {
      cost.words++;
      return Reflect.construct(target, values, made) as object;
    },
  });
  Bytes.prototype.set = function (this: Uint8Array, ...values) {
    cost.set++;
    set.apply(this, values);
  };
  TextEncoder.prototype.encodeInto = function (this: TextEncoder, ...values) {
    cost.encoded++;
    return encodeInto.apply(this, values);
  };
  TextDecoder.prototype.decode = function (this: TextDecoder, ...values) {
    cost.decoded++;
    return decode.apply(this, values);
  };
  try {
    act();
  } finally {
    globalThis.Uint8Array = Bytes;
    globalThis.Int32Array = Words;
    // Inherited from the prototype of all typed arrays.
    delete (Bytes.prototype as Partial<Uint8Array>).set;
    TextEncoder.prototype.encodeInto = encodeInto;
    TextDecoder.prototype.decode = decode;
  }
  return cost;
}
