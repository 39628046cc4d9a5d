/** What the handshake needs of a runtime, and what it says where that is missing. */
import { afterEach, expect, it, vi } from 'vitest';

afterEach(() => vi.unstubAllGlobals());

it('an engine without btoa is told so as the handshake is imported', async () => {
  vi.stubGlobal('btoa', undefined);
  vi.resetModules();
  const imported = import('@ferrywire/handshake');
  await expect(imported).rejects.toThrow('@ferrywire/handshake needs globalThis.btoa, which this runtime does not have');
});
