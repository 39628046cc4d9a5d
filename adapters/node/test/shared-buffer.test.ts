/** Reads of accepted sockets into one buffer: that it is used where it can be, and that nothing of it is seen by anybody. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { attach, connect, listen, type Peer, type PeerHandlers, transportOf } from '@ferrywire/node';
import { afterEach, describe, expect, it } from 'vitest';
import { certificate } from './certificate.ts';
import { deferred } from './helpers.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type Options = { readonly handlers: PeerHandlers };
const servers: {
  readonly [name: string]: (options: Options) => Promise<{ readonly url: string; readonly tls?: { readonly ca: string } }>;
} = {
  async listen(options) {
    const server = await listen(options);
    cleanups.push(() => server.close({ deadline: 0 }));
    return { url: server.url };
  },
  async attach(options) {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const attached = attach(server, options);
    cleanups.push(async () => {
      await attached.close({ deadline: 0 });
      await new Promise((resolve) => server.close(resolve));
    });
    return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/` };
  },
  async 'listen, TLS'(options) {
    const { key, cert } = await certificate();
    const server = await listen({ ...options, tls: { key, cert } });
    cleanups.push(() => server.close({ deadline: 0 }));
    return { url: `wss://localhost:${server.port}/`, tls: { ca: cert } };
  },
};

describe.each(Object.entries(servers))('%s', (name, start) => {
  it('reads without a buffer of its own, but for TLS', async () => {
    const opened = deferred<Peer>();
    const { url, ...rest } = await start({ handlers: { onOpen: opened.resolve } });
    const client = await connect(url, rest);
    const { socket } = transportOf(await opened.promise);
    expect(socket.listenerCount('data')).toBe(name === 'listen, TLS' ? 1 : 0);
    client.abort();
  });

  it('gives every message memory that no later read changes', async () => {
    const kept: Uint8Array[] = [];
    const done = deferred<void>();
    const { url, ...rest } = await start({
      handlers: {
        onBinary(_peer, data) {
          if (kept.push(data) === 300) done.resolve();
        },
      },
    });
    const clients = await Promise.all([connect(url, rest), connect(url, rest)]);
    for (let index = 0; index < 300; index++) {
      expect(clients[index % 2]?.send(message(index))).toBe(true);
    }
    await done.promise;
    for (const client of clients) client.abort();
    const wrong = kept.filter((data) => !data.every((byte, at) => byte === (((data[0] as number) + at) & 0xff)));
    expect(wrong.length).toBe(0);
    const sizes = Array.from({ length: 300 }, (_, index) => message(index).length);
    expect(kept.map((data) => data.length).sort()).toEqual(sizes.sort());
  });

  it('stops at a pause, and goes on from there', async () => {
    const opened = deferred<Peer>();
    const texts: string[] = [];
    let told = deferred<void>();
    const { url, ...rest } = await start({
      handlers: {
        onOpen: opened.resolve,
        onText(peer, text) {
          texts.push(text);
          if (text === 'pause') peer.pause();
          told.resolve();
        },
      },
    });
    const client = await connect(url, rest);
    const peer = await opened.promise;
    client.send('pause');
    await told.promise;
    told = deferred<void>();
    client.send('after');
    await new Promise((resolve) => setImmediate(resolve));
    expect(texts).toEqual(['pause']);
    peer.resume();
    await told.promise;
    expect(texts).toEqual(['pause', 'after']);
    client.abort();
  });
});

/** 1 to 70 000 bytes that count up. */
function message(index: number): Uint8Array {
  const data = new Uint8Array([1, 16, 125, 126, 1000, 9000, 70_000][index % 7] as number);
  for (let at = 0; at < data.length; at++) data[at] = index + at;
  return data;
}
