/** Opening a connection (RFC 6455 section 4.1): what a client is told of the answer, and until when its signal counts. */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { serverDeflate } from '@ferrywire/deflate';
import type { Peer } from '@ferrywire/driver';
import { connectorOver, defineWebSocket } from '@ferrywire/websocket';
import type { AdapterUnderTest } from './adapter.ts';
import { type ContractCase, contractCase, equal, failsWith } from './case.ts';
import type { Scope } from './support.ts';
import { Queue, until, within } from './wait.ts';

/** The deadline passes amid the body: the server has answered all the same. */
async function slowRefusal(scope: Scope): Promise<void> {
  const url = await scope.rawServer((raw) =>
    raw.text('HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 100\r\n\r\nnot so'),
  );
  const error = await failsWith(scope.adapter.connect(url, { handlers: {}, timeouts: { opening: 1000 } }), 'WS_CONNECT_HANDSHAKE');
  const body = new TextDecoder().decode(error.body ?? undefined);
  equal([error.handshake, error.response?.status, body], ['WS_HS_STATUS', 401, 'not so'], 'what the server answered');
}

/** A page is never told what the server answered (WHATWG WebSockets, "feedback from the protocol"), so it does not wait for the rest of it. */
async function refusedSocket(scope: Scope): Promise<void> {
  const bound = defineWebSocket(connectorOver((to, options) => scope.adapter.connect(to, { ...options, timeouts: { opening: 0 } })));
  for (const rest of ['\r\n', 'Content-Length: 100\r\n\r\nnot so', 'Transfer-Encoding: chunked\r\n\r\n']) {
    const url = await scope.rawServer((raw) => raw.text(`HTTP/1.1 401 Unauthorized\r\n${rest}`));
    const socket = new bound.WebSocket(url);
    const events: string[] = [];
    const closed = new Promise<void>((resolve) => {
      socket.addEventListener('error', () => void events.push('error'));
      socket.addEventListener('close', ({ code, wasClean }) => {
        events.push(`close ${code} ${wasClean}`);
        resolve();
      });
    });
    await within(closed, 'the close event');
    equal(events, ['error', 'close 1006 false'], 'the events of a socket that was refused');
  }
}

/** The signal gives up until the connection is open: aborted by whoever hears of that first, it does nothing any more. */
async function abortedOnceOpen(scope: Scope, where: 'onOpen' | 'onMessage'): Promise<void> {
  // The greeting leaves in one write with the answer to the handshake.
  const greet = (peer: Peer): void => void peer.send('hello');
  const { url } = await scope.serve({ handlers: { onOpen: greet, onMessage: (peer, data) => void peer.send(data) } });
  const controller = new AbortController();
  const messages = new Queue<string | Uint8Array>();
  const { peer, ends } = await scope.connect(url, {
    signal: controller.signal,
    handlers: {
      onOpen() {
        if (where === 'onOpen') controller.abort();
      },
      onMessage(_, data) {
        controller.abort();
        messages.push(data);
      },
    },
  });
  equal(await messages.next('the greeting'), 'hello', 'the greeting');
  equal(peer.send('still here'), true, 'send after the abort');
  equal(await messages.next('the echo'), 'still here', 'the echo');
  equal([peer.connection.state, ends.count], ['open', 0], 'the connection after the abort');
}

/** 0 is no deadline, nor one that is over at once. */
async function noDeadline(scope: Scope): Promise<void> {
  const url = await scope.rawServer((raw, key) => void setTimeout(() => raw.accept(key), 50));
  const { peer } = await scope.connect(url, { timeouts: { opening: 0 } });
  equal(peer.connection.state, 'open', 'the connection');
  const slow = await scope.serve({
    timeouts: { opening: 0 },
    handlers: { onRequest: (pending) => void setTimeout(() => pending.accept(), 50) },
  });
  equal((await scope.connect(slow.url)).peer.connection.state, 'open', 'the connection to a server without one');
}

/** Who gives up while he dials leaves no connection, even one that comes only then. */
async function givenUp(scope: Scope): Promise<void> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket
      .on('error', () => {})
      .on('close', () => open.delete(socket))
      .resume();
  });
  scope.defer(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  await within(new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)), 'a TCP listener');
  const { port } = server.address() as AddressInfo;
  const controller = new AbortController();
  const connecting = scope.adapter.connect(`ws://127.0.0.1:${port}/`, { handlers: {}, signal: controller.signal });
  controller.abort();
  await failsWith(within(connecting, 'connect to fail'), 'WS_CONNECT_ABORTED');
  // The server has heard of everybody who came before this one.
  const last = await within(scope.raw(port, false), 'a connection');
  await until(() => open.size === 1, 'the last to be alone');
  last.destroy();
}

/** "Extensions In Use" is the value of the response's field, parameters included; where there is none, it is empty. */
async function extensionsInUse(scope: Scope): Promise<void> {
  const { url } = await scope.serve({
    policy: { extensions: [serverDeflate({ serverNoContextTakeover: true, clientNoContextTakeover: true })] },
  });
  const bound = defineWebSocket(connectorOver((to, options) => scope.adapter.connect(to, options)));
  for (const [deflate, value] of [
    [true, 'permessage-deflate; server_no_context_takeover; client_no_context_takeover'],
    [false, ''],
  ] as const) {
    const socket = new bound.WebSocket(url, { deflate });
    const ended = new Promise<void>((resolve) => socket.addEventListener('close', () => resolve()));
    await within(new Promise<void>((resolve) => socket.addEventListener('open', () => resolve())), 'open');
    equal(socket.extensions, value, 'WebSocket.extensions');
    equal(socket.stream().extensions, value, 'the extensions of stream()');
    socket.close();
    await within(ended, 'the close event');
    const stream = new bound.WebSocketStream(url, { deflate });
    equal((await within(stream.opened, 'opened')).extensions, value, 'the extensions of a WebSocketStream');
    stream.close();
    await within(stream.closed, 'closed');
  }
}

export function openingCases(adapter: AdapterUnderTest): ContractCase[] {
  const named = (name: string, body: (scope: Scope) => Promise<void>): ContractCase => contractCase(adapter, `opening: ${name}`, body);
  return [
    named('a refusal whose body is not complete in time', slowRefusal),
    named('a refusal whose body does not end, of a WebSocket', refusedSocket),
    named('a signal aborted in the open handler', (scope) => abortedOnceOpen(scope, 'onOpen')),
    named('a signal aborted in the handler of the first message', (scope) => abortedOnceOpen(scope, 'onMessage')),
    named('the extensions in use', extensionsInUse),
    named('a server that takes its time, and no deadline', noDeadline),
    // Over streams, dialling is somebody else's.
    ...(adapter.capabilities.client ? [named('a signal aborted while it dials', givenUp)] : []),
  ];
}
