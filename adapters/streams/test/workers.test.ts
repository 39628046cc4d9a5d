/** The adapter where a request's timers are dropped when it is over, and where nothing but a timer gives a turn: Workers of Cloudflare. */
import { clientDeflate, serverDeflate } from '@ferrywire/deflate';
import type * as Streams from '@ferrywire/streams';
import { afterEach, expect, it, vi } from 'vitest';
import { Heard, twoEnds } from './helpers.ts';

afterEach(() => vi.unstubAllGlobals());

/** A copy of the adapter of its own, which takes this for the runtime that the globals say. */
async function importedWith(globals: Record<string, unknown>): Promise<typeof Streams> {
  for (const [name, value] of Object.entries(globals)) vi.stubGlobal(name, value);
  vi.resetModules();
  return import('@ferrywire/streams');
}

it('keeps the deadlines of one request when another, that has set a timer before, is over', async () => {
  const set: ReturnType<typeof setTimeout>[] = [];
  const { setTimeout: native } = globalThis;
  const { connect } = await importedWith({
    navigator: { userAgent: 'Cloudflare-Workers' },
    setTimeout: (callback: () => void, delay: number) => {
      const handle = native(callback, delay);
      set.push(handle);
      return handle;
    },
  });
  const asked = (opening: number) => connect('ws://pair/', twoEnds().left, { timeouts: { opening } });
  void asked(20).catch(() => {});
  await Promise.resolve();
  expect(set.length).toBeGreaterThan(0);
  for (const handle of set) clearTimeout(handle);
  await expect(asked(40)).rejects.toMatchObject({ code: 'WS_CONNECT_TIMEOUT' });
});

it('compresses large messages where there is neither setImmediate nor MessageChannel', async () => {
  const { attach, connect } = await importedWith({ setImmediate: undefined, MessageChannel: undefined });
  const { left, right } = twoEnds();
  const client = new Heard();
  const echo = { onMessage: (peer: { send(data: string | Uint8Array): boolean }, data: string | Uint8Array) => void peer.send(data) };
  void attach(right, { policy: { extensions: [serverDeflate()] }, handlers: echo });
  const peer = await connect('ws://pair/', left, { extensions: [clientDeflate()], handlers: client.handlers });
  const large = new Uint8Array(900_000).map((_, index) => (index * index) >> 7);
  peer.send(large);
  await client.count(1);
  expect(Buffer.compare(client.messages[0] as Uint8Array, large)).toBe(0);
  peer.close();
  expect(await client.end).toMatchObject({ clean: true });
});
