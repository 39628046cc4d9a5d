/** What the core needs of a runtime, and what it says where that is missing. */
import type * as Core from '@ferrywire/core';
import { afterEach, expect, it, vi } from 'vitest';

afterEach(() => vi.unstubAllGlobals());

/** A copy of the core that has never seen the global. */
async function importedWithout(name: string): Promise<typeof Core> {
  vi.stubGlobal(name, undefined);
  vi.resetModules();
  return import('@ferrywire/core');
}

it('a client without a random source is refused when it is made, not with its first frame', async () => {
  const { Connection } = await importedWithout('crypto');
  const clock = (): number => 0;
  expect(() => new Connection({ role: 'client', clock })).toThrow(
    new TypeError('options.random is required: this runtime has no globalThis.crypto'),
  );
  const client = new Connection({ role: 'client', clock, random: (target) => target.fill(1) });
  client.receiveData(Uint8Array.of(0x89, 0));
  expect([...client.events()].map(({ type }) => type)).toEqual(['ping']);
  expect(client.takeOutput()).toEqual([Uint8Array.of(0x8a, 0x80, 1, 1, 1, 1)]);
  // A server masks nothing.
  expect(new Connection({ role: 'server', clock }).sendText('a')).toBe(true);
});

it.each(['TextDecoder', 'TextEncoder'])('an engine without %s is told so as the core is imported', async (name) => {
  await expect(importedWithout(name)).rejects.toThrow(`@ferrywire/core needs globalThis.${name}, which this runtime does not have`);
});

/** A decoder that passes over one of the options, or throws where it is asked for; or that waits for the rest of a character. */
function heedless(option: 'fatal' | 'ignoreBOM' | 'stream' | 'the end', does: 'ignores' | 'throws'): typeof TextDecoder {
  return class extends TextDecoder {
    constructor(label?: string, options?: TextDecoderOptions) {
      const isOption = option === 'fatal' || option === 'ignoreBOM';
      if (does === 'throws' && isOption && options?.[option] === true) throw new RangeError(`no ${option}`);
      super(label, { ...options, ...(isOption ? { [option]: false } : {}) });
    }
    override decode(input?: AllowSharedBufferSource, options?: TextDecodeOptions): string {
      if (does === 'throws' && option === 'stream' && options?.stream === true) throw new RangeError('no stream');
      return super.decode(input, option === 'the end' ? { stream: true } : option === 'stream' ? {} : options);
    }
  };
}
function importedWithDecoder(decoder: typeof TextDecoder): Promise<typeof Core> {
  vi.stubGlobal('TextDecoder', decoder);
  vi.resetModules();
  return import('@ferrywire/core');
}

it.each([
  ['ignores', 'fatal'],
  ['throws', 'fatal'],
  ['ignores', 'ignoreBOM'],
  ['throws', 'ignoreBOM'],
  ['ignores', 'the end'],
] as const)('a TextDecoder that %s %s is refused as the core is imported', async (does, option) => {
  await expect(importedWithDecoder(heedless(option, does))).rejects.toThrow(
    '@ferrywire/core needs a globalThis.TextDecoder that heeds fatal and ignoreBOM, and that of this runtime does not',
  );
});

it.each(['ignores', 'throws'] as const)('a TextDecoder that %s stream will do, since nothing is decoded piece by piece', async (does) => {
  const { Connection } = await importedWithDecoder(heedless('stream', does));
  for (const delivery of ['message', 'chunk'] as const) {
    const client = new Connection({ role: 'client', clock: () => 0, delivery });
    // U+FEFF and U+00E9, in two frames that cut the second.
    for (const bytes of [
      [0x01, 4, 0xef, 0xbb, 0xbf, 0xc3],
      [0x80, 1, 0xa9],
      [0x81, 1, 0xff],
    ])
      client.receiveData(Uint8Array.from(bytes));
    const text = [...client.events()].map((event) => ('data' in event ? event.data : '')).join('');
    expect([text, client.closeSent?.code]).toEqual(['\ufeff\u00e9', 1007]);
  }
});
