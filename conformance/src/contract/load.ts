/** Many connections, a listener that goes away, senders that heed what they are told, and errors before there is a connection. */
import { createServer } from 'node:net';
import { Opcode } from '@ferrywire/core/frame';
import { clientDeflate, serverDeflate } from '@ferrywire/deflate';
import type { Peer } from '@ferrywire/driver';
import type { AdapterUnderTest } from './adapter.ts';
import { type ContractCase, contractCase, equal, failsWith, ok } from './case.ts';
import { type Connected, pattern, type Scope } from './support.ts';
import { turn, until, within } from './wait.ts';

async function connectMany(scope: Scope, url: string, count: number, atOnce: number): Promise<Connected[]> {
  const clients: Connected[] = [];
  while (clients.length < count) {
    const batch = Math.min(atOnce, count - clients.length);
    clients.push(...(await Promise.all(Array.from({ length: batch }, () => scope.connect(url)))));
  }
  return clients;
}

async function thousand(scope: Scope): Promise<void> {
  const { listening, url, ends, opened } = await scope.serve();
  const clients = await connectMany(scope, url, 1000, 100);
  equal(listening.peers.size, 1000, 'peers');
  for (const [index, client] of clients.entries()) client.peer.send(`client ${index}`);
  for (const [index, client] of clients.entries()) equal(await client.messages.next('an echo'), `client ${index}`, 'the echo');
  for (const peer of listening.peers) peer.send('to all');
  for (const client of clients) equal(await client.messages.next('the broadcast'), 'to all', 'the broadcast');
  await within(listening.close({ code: 1001, deadline: 20_000 }), 'the listener to close');
  equal(listening.peers.size, 0, 'peers after close');
  for (const client of clients) {
    const end = await client.ends.next('the end');
    equal([end.clean, end.code], [true, 1001], "a client's end");
  }
  equal([opened.count, ends.count], [1000, 1000], 'opened and ended');
}

/** One after the other, so that what a connection leaves behind would add up. */
async function churn(scope: Scope): Promise<void> {
  const { listening, url, ends } = await scope.serve();
  for (let index = 0; index < 200; index++) {
    const client = await scope.connect(url);
    client.peer.send(pattern(index, index));
    await client.messages.next('the echo');
    if (index % 3 === 0) client.peer.abort();
    else client.peer.close();
    await client.ends.next('the end');
  }
  await until(() => ends.count === 200, `200 ends, got ${ends.count}`);
  await until(() => listening.peers.size === 0, 'the peers to be let go');
}

async function deadline(scope: Scope): Promise<void> {
  const { listening, port, ends } = await scope.serve();
  const silent = await scope.raw(port);
  const unborn = await scope.raw(port, false);
  unborn.text('GET / HTTP/1.1\r\n');
  await until(() => listening.peers.size === 1, 'open');
  await within(listening.close({ deadline: 50 }), 'the listener to close');
  equal((await ends.next('the end')).clean, false, 'clean');
  await within(Promise.all([silent.finished, unborn.finished]), 'the transports to be dropped');
  await listening.close();
}

/** A sender that heeds `writable` and `onDrain` holds a bounded amount for a peer that reads nothing, and loses nothing. */
async function heedful(scope: Scope): Promise<void> {
  const size = 100_000;
  let drains = 0;
  const { port, opened } = await scope.serve({
    handlers: {
      onDrain() {
        drains++;
      },
    },
  });
  const raw = await scope.raw(port);
  raw.socket.pause();
  const peer = await opened.next('open');
  let sent = 0;
  let most = 0;
  const send = (): void => {
    while (sent < 400 && peer.writable) {
      peer.send(pattern(size, sent++));
      peer.driver.pump();
      most = Math.max(most, peer.bufferedAmount);
    }
  };
  send();
  ok(sent < 400, 'the transport took 40 MB for a peer that reads nothing');
  for (let turns = 0; turns < 100; turns++) await turn();
  send();
  ok(most < 8 * 1024 * 1024, `the sender held ${most} bytes`);
  raw.socket.resume();
  for (let index = 0; index < 400; index++) {
    send();
    equal((await raw.next(Opcode.Binary)).length, size, `message ${index}`);
  }
  ok(drains > 0, 'onDrain was never called');
  equal(peer.bufferedAmount, 0, 'bytes held at the end');
}

async function badInput(scope: Scope): Promise<void> {
  const { adapter } = scope;
  for (const url of ['http://127.0.0.1/', 'ws://127.0.0.1:99999/', 'nonsense', 'ws://127.0.0.1/#fragment']) {
    await failsWith(adapter.connect(url, { handlers: {} }), 'WS_URL');
  }
  const { url, port } = await scope.serve();
  await failsWith(adapter.listen({ host: '127.0.0.1', port, handlers: {} }), 'WS_LISTEN_IN_USE');
  await failsWith(adapter.listen({ host: '127.0.0.1', port: 65_536, handlers: {} }), 'WS_LISTEN_PORT');
  await failsWith(adapter.listen({ host: '192.0.2.1', port: 0, handlers: {} }), 'WS_LISTEN_HOST');
  await failsWith(adapter.listen({ host: '[::1]', port: 0, handlers: {} }), 'WS_LISTEN_HOST');
  // No name at all.
  for (const host of ['a..b', '.']) {
    await failsWith(adapter.listen({ host, port: 0, handlers: {} }), 'WS_LISTEN_HOST');
    await failsWith(adapter.connect(`ws://${host}/`, { handlers: {} }), 'WS_CONNECT_HOST');
  }
  await failsWith(adapter.connect('ws://127.0.0.1:0/', { handlers: {} }), 'WS_CONNECT_REFUSED');
  // A port that was free a moment ago.
  const free = createServer();
  await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve));
  const address = free.address();
  await new Promise((resolve) => free.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('a listener without a port');
  await failsWith(adapter.connect(`ws://127.0.0.1:${address.port}/`, { handlers: {} }), 'WS_CONNECT_REFUSED');
  const refusing = await scope.rawServer((raw) => raw.text('HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnope'));
  const error = await failsWith(adapter.connect(refusing, { handlers: {} }), 'WS_CONNECT_HANDSHAKE');
  equal([error.response?.status, new TextDecoder().decode(error.body ?? undefined)], [403, 'nope'], 'what the server said');
  const silent = await scope.rawServer(() => {});
  await failsWith(adapter.connect(silent, { handlers: {}, timeouts: { opening: 50 } }), 'WS_CONNECT_TIMEOUT');
  const controller = new AbortController();
  const aborted = failsWith(adapter.connect(silent, { handlers: {}, signal: controller.signal }), 'WS_CONNECT_ABORTED');
  await turn();
  controller.abort();
  await within(aborted, 'connect to notice its signal');
  await failsWith(adapter.connect(url, { handlers: {}, signal: controller.signal }), 'WS_CONNECT_ABORTED');
}

/** A request that is no upgrade is answered and closed, and one that is nothing at all too. */
async function noUpgrade(scope: Scope): Promise<void> {
  const { port, listening, opened } = await scope.serve();
  const plain = await scope.raw(port, false);
  plain.text('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  ok((await plain.head()).startsWith('HTTP/1.1 426 '), 'the status is not 426');
  equal(await within(plain.finished, 'the end'), 'eof', 'how the server ended');
  plain.end();
  const garbage = await scope.raw(port, false);
  garbage.text('\u0016\u0003\u0001 this is not HTTP\r\n\r\n');
  ok((await garbage.head()).startsWith('HTTP/1.1 400 '), 'the status is not 400');
  await within(garbage.finished, 'the end');
  const empty = await scope.raw(port, false);
  empty.end();
  await within(empty.finished, 'the end');
  equal([opened.count, listening.peers.size], [0, 0], 'connections');
}

/** While the thread is held up a deadline passes. What the peer has sent in time is read before it is blamed. */
async function heldUp(scope: Scope): Promise<void> {
  const { url, opened, ends } = await scope.serve({ timeouts: { keepalive: 0, idle: 300 } });
  const client = await scope.connect(url);
  await opened.next('open');
  await turn();
  client.peer.send('in time');
  client.peer.driver.pump();
  const over = performance.now() + 600;
  while (performance.now() < over);
  equal(await client.messages.next('the echo'), 'in time', 'the echo');
  client.peer.close();
  equal((await ends.next("the server's end")).clean, true, 'a clean end');
}

/** Large messages are compressed a turn at a time, so that small ones on other connections get theirs in between. */
async function fairTurns(scope: Scope): Promise<void> {
  const size = 8 * 1024 * 1024;
  const large = pattern(size, 1).map((byte) => byte & 15);
  const extensions = [clientDeflate()];
  const timeouts = { keepalive: 0 };
  const { url } = await scope.serve({
    timeouts,
    policy: { extensions: [serverDeflate()] },
    handlers: { onMessage: (peer, data) => void peer.send(data.length === size ? 'another' : data) },
  });
  const handlers = { onMessage: (peer: Peer) => void peer.send(large) };
  const busy = await Promise.all(Array.from({ length: 16 }, () => scope.connect(url, { extensions, timeouts, handlers })));
  const asking = await scope.connect(url);
  for (const { peer } of busy) peer.send(large);
  const answered = async (): Promise<void> => {
    for (let answers = 0; answers < 6; answers++) {
      asking.peer.send('?');
      await asking.messages.next('the echo');
    }
  };
  // 300 ms each where all get their turns, seconds where not.
  await within(answered(), '6 small messages', 15_000);
  for (const { peer } of busy) peer.abort();
}

export function loadCases(adapter: AdapterUnderTest): ContractCase[] {
  const named = (name: string, body: (scope: Scope) => Promise<void>): ContractCase => contractCase(adapter, name, body);
  return [
    named('load: 1000 connections at once, a broadcast, and a listener that closes them with 1001', thousand),
    named('load: 200 connections one after the other', churn),
    named('load: a sender that heeds writable and onDrain', heedful),
    named('load: small messages while large ones are compressed', fairTurns),
    named('load: a thread that is held up longer than a deadline', heldUp),
    named('listener: close aborts what is left at its deadline', deadline),
    named('errors: bad input, one code each', badInput),
    named('errors: a request that is no upgrade', noUpgrade),
  ];
}
