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

/** A decoder that passes over one of the options, or throws where it is asked for. */
function heedless(option: 'fatal' | 'ignoreBOM' | 'stream', does: 'ignores' | 'throws'): typeof TextDecoder {
  return class extends TextDecoder {
    constructor(label?: string, options?: TextDecoderOptions) {
      if (does === 'throws' && option !== 'stream' && options?.[option] === true) throw new RangeError(`no ${option}`);
      super(label, { ...options, ...(option === 'stream' ? {} : { [option]: false }) });
    }
    override decode(input?: AllowSharedBufferSource, options?: TextDecodeOptions): string {
      if (does === 'throws' && option === 'stream' && options?.stream === true) throw new RangeError('no stream');
      return super.decode(input, option === 'stream' ? {} : options);
    }
  };
}

it.each(
  (['fatal', 'ignoreBOM', 'stream'] as const).flatMap((option) => (['ignores', 'throws'] as const).map((does) => [does, option] as const)),
)('a TextDecoder that %s %s is refused as the core is imported', async (does, option) => {
  vi.stubGlobal('TextDecoder', heedless(option, does));
  vi.resetModules();
  await expect(import('@ferrywire/core')).rejects.toThrow(
    '@ferrywire/core needs a globalThis.TextDecoder that heeds fatal, ignoreBOM and stream, and that of this runtime does not',
  );
});
