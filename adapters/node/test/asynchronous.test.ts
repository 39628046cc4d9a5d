/** An extension that works in turns of the event loop of its own, over sockets on which nothing else goes on: no timer, no other message. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { EndInfo } from '@ferrywire/core';
import { attach, type ConnectOptions, connect, type ListenOptions, listen, type PeerHandlers } from '@ferrywire/node';
import { afterEach, describe, expect, it } from 'vitest';
import { asynchronous } from '../../../test/asynchronous.ts';
import { uncaughtDuring } from '../../../test/uncaught.ts';
import { deferred } from './helpers.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const timeouts = { keepalive: 0 };
const echo: PeerHandlers = { onMessage: (peer, data) => void peer.send(data) };
const made = (fails?: 'outbound') => asynchronous({ work: (done) => void setImmediate(done), fails });
const serving = (handlers: PeerHandlers): ListenOptions => ({
  handlers,
  timeouts,
  policy: { extensions: [{ name: 'x-asynchronous', accept: () => ({ params: [], extension: made() }) }] },
});
const offered = (fails?: 'outbound'): NonNullable<ConnectOptions['extensions']> => [
  { name: 'x-asynchronous', offers: () => [[]], confirm: () => made(fails) },
];
async function listening(handlers: PeerHandlers = echo): Promise<string> {
  const server = await listen(serving(handlers));
  cleanups.push(() => server.close({ deadline: 0 }));
  return server.url;
}
async function attached(): Promise<string> {
  const server = createServer();
  const attachment = attach(server, serving(echo));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(async () => {
    await attachment.close({ deadline: 0 });
    await new Promise((resolve) => server.close(resolve));
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

describe('an asynchronous extension', () => {
  const messages = ['one', Uint8Array.of(1, 2, 3), 'x'.repeat(30_000), 'last'];
  it.each([
    ['listen', listening],
    ['attach', attached],
  ] as const)('sends and receives, and closes: %s', async (_name, start) => {
    const url = await start();
    const ended = deferred<EndInfo>();
    const got: (string | Uint8Array)[] = [];
    const handlers: PeerHandlers = {
      onMessage(peer, data) {
        got.push(data);
        if (got.length === messages.length) peer.close(1000);
      },
      onEnd: (_, info) => ended.resolve(info),
    };
    const peer = await connect(url, { handlers, timeouts, extensions: offered() });
    for (const message of messages) peer.send(message);
    expect(await ended.promise).toMatchObject({ clean: true, code: 1000 });
    expect(got).toEqual(messages);
  });

  it('that fails tells the peer at once', async () => {
    const code = deferred<number>();
    const url = await listening({ onClose: (_, received) => code.resolve(received) });
    const thrown = await uncaughtDuring(async () => {
      const peer = await connect(url, { timeouts, extensions: offered('outbound') });
      peer.send('one');
      expect(await code.promise).toBe(1011);
    });
    expect(thrown).toEqual(['Error: outbound failed']);
  });
});
