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
