/** The embedding of `examples/embed-h2.ts`, as it stands there, against our own client and a raw one. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { EndInfo } from '@ferrywire/core';
import { clientDeflate } from '@ferrywire/deflate';
import { connect } from '@ferrywire/node';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { deferred } from './helpers.ts';
import { ask, cleanUp, connectHead, RawStream, sessionTo } from './http2-helpers.ts';

let server: typeof import('../examples/embed-h2.ts').server;
let host = '';
beforeAll(async () => {
  process.env.PORT = '0';
  ({ server } = await import('../examples/embed-h2.ts'));
  if (!server.listening) await once(server, 'listening');
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(cleanUp);
afterAll(() => new Promise((resolve) => server.close(resolve)));

it('echoes with compression and closes cleanly', async () => {
  const received: (string | Uint8Array)[] = [];
  const ended = deferred<EndInfo>();
  const messages = ['hello', 'x'.repeat(300_000), Uint8Array.of(1, 2, 3), new Uint8Array(700_000).fill(5)];
  const peer = await connect(`ws://${host}/`, {
    http2: true,
    extensions: [clientDeflate()],
    handlers: {
      onMessage(ours, data) {
        if (received.push(data) === messages.length) ours.close(3000, 'enough');
      },
      onEnd: (_peer, info) => ended.resolve(info),
    },
  });
  expect(peer.connection.extensions).toHaveLength(1);
  for (const message of messages) peer.send(message);
  expect(await ended.promise).toMatchObject({ clean: true, code: 3000 });
  expect(received.map((data) => typeof data)).toEqual(['string', 'string', 'object', 'object']);
  for (const [index, data] of received.entries()) expect(Buffer.compare(Buffer.from(data), Buffer.from(messages[index] ?? ''))).toBe(0);
});

it('refuses what is no WebSocket, and is told of resets', async () => {
  const session = await sessionTo(`http://${host}`);
  const refused = await ask(session, connectHead('/', { 'sec-websocket-version': '8' }));
  expect([refused.status, refused.fields['sec-websocket-version']]).toEqual([400, '13']);
  const client = await RawStream.open(session);
  client.stream.close(8);
  expect(await client.closed).toBe(8);
  const plain = await ask(session, { ':path': '/' }, true);
  expect(plain.status).toBe(405);
});
