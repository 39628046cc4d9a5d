/**
 * The probe: each way in which an undocumented part may change is found out, and pako takes over.
 */
import { type DeflateCodec, defaultCodec, probeCodec, type RawDeflate, type RawInflate } from '@ferrywire/deflate';
import { pakoCodec } from '@ferrywire/deflate/pako';
import { zlibCodec } from '@ferrywire/deflate/zlib';
import { describe, expect, it } from 'vitest';
import * as portable from '../dist/portable.js';
import { chooseCodec } from '../dist/probe.js';

function withInflate(change: (raw: RawInflate) => Partial<RawInflate>): DeflateCodec {
  return {
    ...zlibCodec,
    createInflate(windowBits) {
      const raw = zlibCodec.createInflate(windowBits);
      return {
        push: raw.push.bind(raw),
        finish: (out) => raw.finish?.(out) ?? null,
        reset: raw.reset.bind(raw),
        close: raw.close.bind(raw),
        ...change(raw),
      };
    },
  };
}
function withDeflate(change: (raw: RawDeflate) => Partial<RawDeflate>): DeflateCodec {
  return {
    ...zlibCodec,
    createDeflate(windowBits, level, memLevel) {
      const raw = zlibCodec.createDeflate(windowBits, level, memLevel);
      return { push: raw.push.bind(raw), reset: raw.reset.bind(raw), close: raw.close.bind(raw), ...change(raw) };
    },
  };
}

const broken: [string, DeflateCodec][] = [
  [
    'creating throws',
    {
      ...zlibCodec,
      createInflate() {
        throw new Error('no handle');
      },
    },
  ],
  [
    'creating a compressor throws',
    {
      ...zlibCodec,
      createDeflate() {
        throw new Error('no handle');
      },
    },
  ],
  ['counters that do not move', withInflate(() => ({ push: () => ({ consumed: 0, status: 'more' }) }))],
  ['everything taken, nothing written', withInflate(() => ({ push: (_input, start, end) => ({ consumed: end - start, status: 'need' }) }))],
  ['everything refused', withInflate(() => ({ push: () => null }))],
  [
    'bad data is not reported',
    withInflate((raw) => ({
      push: (input, start, end, out) => raw.push(input, start, end, out) ?? { consumed: end - start, status: 'need' },
    })),
  ],
  ['cut messages are not reported', withInflate((raw) => ({ finish: (out) => raw.finish?.(out) ?? 'need' }))],
  ['every end is refused', withInflate(() => ({ finish: () => null }))],
  ['reset does nothing', withInflate(() => ({ reset() {} }))],
  [
    'more is written than there is room for',
    withInflate((raw) => ({
      push: (input, start, end, out) => {
        const step = raw.push(input, start, end, { room: 100, write: out.write.bind(out) });
        return step;
      },
    })),
  ],
  [
    'the compressor takes and writes nothing',
    withDeflate(() => ({ push: (_input, start, end) => ({ consumed: end - start, status: 'need' }) })),
  ],
  [
    'the compressor throws',
    withDeflate(() => ({
      push() {
        throw new Error('broken');
      },
    })),
  ],
  [
    'the compressor does not flush',
    withDeflate((raw) => ({ push: (input, start, end, _flush, out) => raw.push(input, start, end, false, out) })),
  ],
  [
    'the compressor keeps no context',
    withDeflate((raw) => ({
      push: (input, start, end, flush, out) => {
        if (start === 0) raw.reset();
        return raw.push(input, start, end, flush, out);
      },
    })),
  ],
  ['the compressor is not reset', withDeflate(() => ({ reset() {} }))],
];

describe('probe', () => {
  it('passes both codecs, and the default is node:zlib here and pako in the portable build', () => {
    expect(probeCodec(zlibCodec)).toBe(true);
    expect(probeCodec(pakoCodec)).toBe(true);
    expect(defaultCodec).toBe(zlibCodec);
    expect(portable.defaultCodec).toBe(pakoCodec);
    expect(Object.keys(portable).sort()).toEqual(['clientDeflate', 'defaultCodec', 'probeCodec', 'serverDeflate']);
  });

  it.each(broken)('%s: pako takes over', (_title, codec) => {
    expect(probeCodec(codec)).toBe(false);
    expect(chooseCodec(codec, pakoCodec)).toBe(pakoCodec);
  });

  it('a codec without `finish` can pass', () => {
    const codec: DeflateCodec = {
      ...zlibCodec,
      createInflate(windowBits) {
        const raw = zlibCodec.createInflate(windowBits);
        return { push: raw.push.bind(raw), reset: raw.reset.bind(raw), close: raw.close.bind(raw) };
      },
    };
    expect(probeCodec(codec)).toBe(true);
  });
});
