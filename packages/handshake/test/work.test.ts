/**
 * Extensions that work outside (`Protocol.workFor`, `wake`): who asks before the handshake is done is told of the work of the connection that
 * comes of it, and `wake` before that does nothing.
 */
import { ClientProtocol, ServerProtocol } from '@ferrywire/handshake';
import { describe, expect, test } from 'vitest';
import { asynchronous } from '../../../test/asynchronous.ts';
import { VirtualClock } from './support.ts';

type Side = ClientProtocol | ServerProtocol;

function joined(when: 'before' | 'after') {
  const { read: clock } = new VirtualClock();
  const pending: (() => void)[] = [];
  const extension = () => asynchronous({ work: (done) => void pending.push(done) });
  const name = 'x-asynchronous';
  const client = new ClientProtocol({
    clock,
    url: 'ws://server.example.com/',
    extensions: [{ name, offers: () => [[]], confirm: extension }],
  });
  const server = new ServerProtocol({ clock, policy: { extensions: [{ name, accept: () => ({ params: [], extension: extension() }) }] } });
  const told = { client: 0, server: 0 };
  const ask = (): void => {
    client.workFor({ onWork: () => void told.client++ });
    server.workFor({ onWork: () => void told.server++ });
  };
  const texts = { client: [] as unknown[], server: [] as unknown[] };
  const pull = (side: Side, into: unknown[]): void => {
    for (const event of side.events()) {
      if (event.type === 'request' && side === server) server.accept();
      if (event.type === 'message') into.push(event.data);
    }
  };
  /** What each has to say to the other, until neither has anything. */
  const flow = (): void => {
    for (let round = 0; round < 10; round++) {
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        for (const chunk of from.takeOutput()) to.receiveData(Uint8Array.from(chunk));
      }
      pull(client, texts.client);
      pull(server, texts.server);
    }
  };
  if (when === 'before') ask();
  // There is no connection yet.
  for (const side of [client, server]) side.wake();
  expect([client.connection, server.connection]).toEqual([null, null]);
  flow();
  if (when === 'after') ask();
  expect([client.connection?.state, server.connection?.state, told]).toEqual(['open', 'open', { client: 0, server: 0 }]);
  return { client, server, told, texts, pending, flow };
}

describe.each(['before', 'after'] as const)('a host that asks %s the handshake', (when) => {
  test('is told when an extension is ready, and waking goes on with it', () => {
    const { client, server, told, texts, pending, flow } = joined(when);
    for (const [from, to, name, other] of [
      [client, server, 'client', 'server'],
      [server, client, 'server', 'client'],
    ] as const) {
      from.send('hello');
      flow();
      expect([pending.length, texts[other]]).toEqual([1, []]);
      const before = { ...told };
      pending.shift()?.();
      expect([told[name] - before[name], told[other] - before[other]]).toEqual([1, 0]);
      // The frame is made now, and the other side has work with it.
      from.wake();
      flow();
      expect([pending.length, texts[other]]).toEqual([1, []]);
      pending.shift()?.();
      expect(told[other] - before[other]).toBe(1);
      to.wake();
      flow();
      expect([pending.length, texts[other]]).toEqual([0, ['hello']]);
    }
  });
});
