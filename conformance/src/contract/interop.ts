/** Other people's peers in both directions: text, binary, 1 MiB, compression, fragments, ping, close codes from each side, a violation. */

import type { EndInfo } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';
import { clientDeflate, serverDeflate } from '@ferrywire/deflate';
import type { Peer } from '@ferrywire/driver';
import type { AdapterUnderTest } from './adapter.ts';
import { type ContractCase, contractCase, equal } from './case.ts';
import { type Foreign, type ForeignSocket, foreigners } from './foreign.ts';
import { digest, pattern, type Scope, words } from './support.ts';
import { Queue, within } from './wait.ts';

interface Joined {
  readonly peer: Peer;
  readonly messages: Queue<string | Uint8Array>;
  readonly ends: Queue<EndInfo>;
  readonly foreign: ForeignSocket;
}
type Join = (scope: Scope) => Promise<Joined>;

// No leading BOM in any text: the WebSocket of Node loses it.
const asBytes = (data: string | Uint8Array): string => `${typeof data} of ${data.length}: ${digest(data)}`;

/** We are the server. */
function serving(other: Foreign, connect: NonNullable<Foreign['connect']>): Join {
  return async (scope) => {
    const messages = new Queue<string | Uint8Array>();
    const { url, opened, ends } = await scope.serve({
      policy: { extensions: other.deflates ? [serverDeflate()] : [] },
      handlers: { onMessage: (_, data) => messages.push(data) },
    });
    const foreign = await within(connect(url), 'the other side to connect');
    return { peer: await opened.next('open'), messages, ends, foreign };
  };
}

/** We are the client. */
function dialling(other: Foreign, listen: NonNullable<Foreign['listen']>): Join {
  return async (scope) => {
    const server = await listen();
    scope.defer(() => within(server.close(), 'the other side to stop'));
    const { peer, messages, ends } = await scope.connect(server.url, { extensions: other.deflates ? [clientDeflate()] : [] });
    return { peer, messages, ends, foreign: await server.sockets.next('the other side to open') };
  };
}

async function contents(scope: Scope, join: Join): Promise<void> {
  const { peer, messages, foreign } = await join(scope);
  const both = [
    '',
    'a',
    words(300, 1),
    words(70_000, 3),
    new Uint8Array(0),
    pattern(1, 1),
    pattern(126, 2),
    pattern(65_536, 3),
    pattern(1_048_576, 4),
  ];
  for (const data of both) {
    peer.send(data);
    equal(asBytes(await foreign.messages.next('our message')), asBytes(data), `what we sent (${data.length})`);
    foreign.send(data);
    equal(asBytes(await messages.next('their message')), asBytes(data), `what they sent (${data.length})`);
  }
  for (let index = 0; index < 500; index++) foreign.send(`message ${index}`);
  for (let index = 0; index < 500; index++) equal(await messages.next('a message'), `message ${index}`, 'many at once');
}

async function pieces(scope: Scope, join: Join): Promise<void> {
  const { peer, messages, foreign } = await join(scope);
  const writer = peer.connection.startMessage('text');
  writer.write('one, ');
  peer.ping(new TextEncoder().encode('between'));
  writer.write('tw\u{f6}, ');
  writer.end('three');
  peer.driver.pump();
  equal(await foreign.messages.next('our fragments'), 'one, tw\u{f6}, three', 'our fragments');
  if (foreign.more === null) return;
  foreign.more.sendInPieces(['four, ', 'five, ', 'six']);
  equal(await messages.next('their fragments'), 'four, five, six', 'their fragments');
  equal(digest(await foreign.more.ping(pattern(125, 5))), digest(pattern(125, 5)), 'the pong');
}

async function ourClose(scope: Scope, join: Join): Promise<void> {
  const { peer, ends, foreign } = await join(scope);
  peer.send('last words');
  peer.close(4321, 'we are d\u{f6}ne');
  equal(await foreign.messages.next('the last message'), 'last words', 'the last message');
  equal(await within(foreign.closed, 'their close'), { code: 4321, reason: 'we are d\u{f6}ne' }, 'what they saw');
  const end = await ends.next('our end');
  equal([end.clean, end.code, end.initiator], [true, 4321, 'local'], 'our end');
}

async function theirClose(scope: Scope, join: Join): Promise<void> {
  const { ends, foreign, messages } = await join(scope);
  foreign.send('last words');
  foreign.close(4322, 'they are d\u{f6}ne');
  equal(await messages.next('the last message'), 'last words', 'the last message');
  const end = await ends.next('our end');
  equal([end.clean, end.code, end.reason, end.initiator], [true, 4322, 'they are d\u{f6}ne', 'remote'], 'our end');
  equal((await within(foreign.closed, 'their close')).code, 4322, 'what they saw');
}

async function violation(scope: Scope, join: Join): Promise<void> {
  const { peer, ends, foreign } = await join(scope);
  const masked = peer.connection.role === 'server' ? { maskKey: 0x1b2d_3f4a } : {};
  foreign.more?.sendRaw(serializeFrame({ opcode: 3, payload: new Uint8Array(4), ...masked }));
  const end = await ends.next('our end');
  equal([end.clean, end.cause?.code, end.sent?.code], [false, 'WS_INVALID_OPCODE', 1002], 'our end');
  equal((await within(foreign.closed, 'their close')).code, 1002, 'what they saw');
}

export function interopCases(adapter: AdapterUnderTest): ContractCase[] {
  return foreigners().flatMap((other) => {
    const ways: (readonly [string, Join])[] = [];
    if (other.connect !== null) ways.push([`a client of ${other.name}`, serving(other, other.connect)]);
    if (other.listen !== null) ways.push([`a server of ${other.name}`, dialling(other, other.listen)]);
    return ways.flatMap(([who, join]) => {
      const named = (what: string, body: (scope: Scope, join: Join) => Promise<void>): ContractCase =>
        contractCase(adapter, `${who}: ${what}`, (scope) => body(scope, join));
      return [
        named('contents both ways', contents),
        named('fragments and pings', pieces),
        named('our close', ourClose),
        named('their close', theirClose),
        ...(other.name === 'ws' ? [named('a violation of theirs', violation)] : []),
      ];
    });
  });
}
