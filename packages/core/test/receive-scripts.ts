/** Scripts of frames for properties: mostly legal, with one breach of any kind at times, and ways of cutting and using them. */
import type { Delivery, Role } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';
import * as fc from 'fast-check';
import { concat, pattern, utf8 } from './connection-helpers.ts';
import type { Script, ScriptFrame } from './receive-model.ts';

const words = fc.constantFrom(
  '',
  'a',
  'é',
  '€',
  '😀',
  '\ufeff',
  'hello world',
  'κόσμε',
  '\u{10ffff}\0',
  'x'.repeat(130),
  `${'é'.repeat(70)}😀`,
);
const text = fc.array(words, { maxLength: 4 }).map((parts) => utf8(parts.join('')));
const binary = fc
  .record({
    size: fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: 0, max: 300 }) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 70_000 }) },
    ),
    seed: fc.nat(250),
  })
  .map(({ size, seed }) => pattern(size, seed));
const small = fc.uint8Array({ maxLength: 125 });

type Loose = Omit<ScriptFrame, 'masked'>;
const control: fc.Arbitrary<Loose> = fc.oneof(
  fc.record({ opcode: fc.constantFrom(9, 10), payload: small }),
  fc.record({ opcode: fc.constantFrom(9, 10), payload: fc.constantFrom(new Uint8Array(0), utf8('ping')) }),
);

/** A message in one or more frames, cut at any byte, with control frames between them. */
const message: fc.Arbitrary<Loose[]> = fc
  .record({
    content: fc.oneof(
      text.map((payload) => ({ opcode: 1, payload })),
      binary.map((payload) => ({ opcode: 2, payload })),
    ),
    cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 }),
    between: fc.array(fc.option(control, { freq: 2 }), { minLength: 4, maxLength: 4 }),
  })
  .map(({ content: { opcode, payload }, cuts, between }) => {
    const at = cuts.map((part) => Math.floor(part * (payload.length + 1))).sort((a, b) => a - b);
    const ends = [...at, payload.length];
    return ends.flatMap((end, index) => {
      const start = index === 0 ? 0 : (ends[index - 1] as number);
      const last = index === ends.length - 1;
      const frame: Loose = { opcode: index === 0 ? opcode : 0, fin: last, payload: payload.slice(start, end) };
      const extra = between[index];
      return last || extra === null || extra === undefined ? [frame] : [frame, extra];
    });
  });

const close: fc.Arbitrary<Loose> = fc.oneof(
  fc.constant({ opcode: 8, payload: new Uint8Array(0) }),
  fc
    .record({ code: fc.constantFrom(1000, 1001, 1011, 3000, 4999), reason: fc.constantFrom('', 'bye', '\ufeffé', 'x'.repeat(123)) })
    .map(({ code, reason }) => ({
      opcode: 8,
      payload: concat(Uint8Array.of(code >> 8, code & 255), utf8(reason)),
    })),
);

/** Something illegal, at least in most places. `masked: undefined` means as it should be. */
const breach: fc.Arbitrary<Loose & { readonly flipMask?: boolean }> = fc.oneof(
  fc.record({ opcode: fc.constantFrom(3, 7, 11, 15), payload: small, fin: fc.boolean() }),
  fc.record({ opcode: fc.constantFrom(0, 1, 2, 8, 9, 10), rsv: fc.integer({ min: 1, max: 7 }), payload: small }),
  fc.record({ opcode: fc.constantFrom(8, 9, 10), fin: fc.constant(false), payload: small }),
  fc.record({ opcode: fc.constantFrom(0, 1, 2), fin: fc.boolean(), payload: text }),
  fc.record({ opcode: fc.constantFrom(1, 2, 9), payload: small, flipMask: fc.constant(true) }),
  fc.record({ opcode: fc.constantFrom(1, 2, 9), payload: small, lengthBytes: fc.constantFrom(2 as const, 8 as const) }),
  fc.record({ opcode: fc.constantFrom(8, 9, 10), payload: fc.uint8Array({ minLength: 126, maxLength: 200 }) }),
  fc.record({ opcode: fc.constant(8), payload: fc.uint8Array({ maxLength: 10 }) }),
  fc.record({ code: fc.constantFrom(0, 999, 1004, 1005, 1006, 1015, 2999, 5000), reason: text }).map(({ code, reason }) => ({
    opcode: 8,
    payload: concat(Uint8Array.of(code >> 8, code & 255), reason.subarray(0, 100)),
  })),
  fc
    .record({ before: text, bad: fc.constantFrom('ff', 'c3', 'eda0', 'f09f98', 'e28228', 'c080'), after: text, fin: fc.boolean() })
    .map(({ before, bad, after, fin }) => ({
      opcode: 1,
      fin,
      payload: concat(before, Buffer.from(bad, 'hex'), after),
    })),
  fc.constant({ opcode: 8, payload: concat(Uint8Array.of(3, 232), utf8('aé'), Uint8Array.of(0xff, 0x41)) }),
);

export function scripts(role: Role): fc.Arbitrary<Script> {
  return fc
    .record({
      parts: fc.array(fc.oneof({ weight: 4, arbitrary: message }, { weight: 2, arbitrary: control.map((frame) => [frame]) }), {
        maxLength: 6,
      }),
      open: fc.option(fc.record({ opcode: fc.constantFrom(1, 2), payload: text }), { freq: 3 }),
      ending: fc.oneof(
        { weight: 3, arbitrary: breach },
        { weight: 2, arbitrary: close },
        { weight: 1, arbitrary: fc.constant(null) },
      ) as fc.Arbitrary<(Loose & { readonly flipMask?: boolean }) | null>,
      rest: fc.array(control, { maxLength: 2 }),
      keys: fc.array(fc.integer({ min: 0, max: 0xffff_ffff }), { minLength: 1, maxLength: 5 }),
    })
    .map(({ parts, open, ending, rest, keys }) => {
      const loose: (Loose & { readonly flipMask?: boolean })[] = parts.flat();
      if (open !== null) loose.push({ ...open, fin: false });
      if (ending !== null) loose.push(ending);
      loose.push(...rest);
      const frames = loose.map(({ flipMask = false, ...frame }, index): ScriptFrame => {
        const masked = (role === 'server') !== flipMask;
        return masked ? { ...frame, masked, maskKey: keys[index % keys.length] as number } : { ...frame, masked };
      });
      return { role, frames };
    });
}

export function wireOf({ frames }: Script): Uint8Array {
  return concat(...frames.map(serializeFrame));
}

/** One way of using a connection. */
export interface Usage {
  readonly mode: 'push' | 'pull';
  readonly input: 'shared' | 'reused' | 'transferred';
  /** Sizes of chunks, in turn. */
  readonly cuts: readonly number[];
  /** Push: whether to pause before each chunk, and in callbacks by count. Pull: whether to pull after it. */
  readonly stops: readonly boolean[];
  /** Push: callbacks throw instead of pausing. */
  readonly throws: boolean;
  /** Of `readInto`. */
  readonly target: number;
}
export const usages: fc.Arbitrary<Usage> = fc.record({
  mode: fc.constantFrom('push', 'pull'),
  input: fc.constantFrom('shared', 'reused', 'transferred'),
  cuts: fc.oneof(
    fc.constant([1]),
    fc.constant([1_000_000]),
    fc.array(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 70_000 })), {
      minLength: 1,
      maxLength: 12,
    }),
  ),
  stops: fc.oneof(fc.constant([false]), fc.array(fc.boolean(), { minLength: 1, maxLength: 9 })),
  throws: fc.boolean(),
  target: fc.constantFrom(1, 3, 64, 5000, 100_000),
});
export const deliveries: fc.Arbitrary<Delivery> = fc.constantFrom('message', 'chunk', 'span');
