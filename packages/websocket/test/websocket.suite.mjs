/**
 * The classes on every runtime: what they take from the platform (events, streams, Blobs, DOMException, tasks) differs between engines.
 *
 * Two connections in memory, real tasks. The tests of the semantics run on Node only, in virtual time.
 */
import { Connection } from '@ferrywire/core';
import { drive } from '@ferrywire/driver';
import { fakeTransport, virtualClock } from '@ferrywire/driver/testing';
import { CloseEvent, defineWebSocket, messageStreams, WebSocket, WebSocketError } from '@ferrywire/websocket';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

/**
 * @param {import('@ferrywire/core').Delivery} [delivery] of the right end
 */
function ends(delivery = 'message') {
  const clock = virtualClock();
  /** @param {import('@ferrywire/core').Role} role @param {import('@ferrywire/core').Delivery} how */
  const end = (role, how) => {
    const transport = fakeTransport({ clock });
    const connection = new Connection({ role, clock: clock.now, delivery: how });
    const driver = drive(connection, transport, { clock: clock.now, timers: clock });
    transport.attach(driver);
    return { transport, connection, driver, sent: 0, over: false };
  };
  const left = end('client', 'message');
  const right = end('server', delivery);
  const carry = (/** @type {typeof left} */ from, /** @type {typeof left} */ to) => {
    const { written } = from.transport;
    if (written.length > from.sent) to.transport.feed(written.subarray(from.sent));
    from.sent = written.length;
    if (from.transport.ended && !from.over) {
      from.over = true;
      to.transport.feedEof();
    }
  };
  const network = setInterval(() => {
    carry(left, right);
    carry(right, left);
  }, 1);
  return { left, right, stop: () => clearInterval(network) };
}
/** @param {WebSocket} socket @returns {Promise<{ code: number, reason: string, wasClean: boolean }>} */
const closed = (socket) => new Promise((resolve) => socket.addEventListener('close', resolve));
/** @param {() => unknown} run */
const thrown = (run) => {
  try {
    run();
  } catch (error) {
    return error instanceof Error ? error : new Error('not an error');
  }
  throw new Error('did not throw');
};

test('classes look and convert as Web IDL says', () => {
  const { WebSocket: Bound, WebSocketStream: Stream } = defineWebSocket({ connect: () => new Promise(() => {}) });
  assert.equal(
    [Bound, Stream, CloseEvent, WebSocketError].map(({ prototype, length }) => [Object.prototype.toString.call(prototype), length]),
    [
      ['[object WebSocket]', 1],
      ['[object WebSocketStream]', 1],
      ['[object CloseEvent]', 1],
      ['[object WebSocketError]', 0],
    ],
  );
  assert.equal(Object.keys(Bound), ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED']);
  for (const member of ['send', 'onmessage', 'OPEN']) {
    assert.is(Object.getOwnPropertyDescriptor(Bound.prototype, member)?.enumerable, true, member);
  }
  assert.is(Object.keys(Stream.prototype).sort().join(), 'close,closed,opened,url');
  const symbol = /** @type {any} */ (Symbol('no'));
  const socket = new Bound('ws://h/');
  for (const run of [
    () => new Bound(symbol),
    () => new Bound('ws://h/', [symbol]),
    () => new Stream(symbol),
    () => socket.send(symbol),
    () => socket.close(1000, symbol),
    () => socket.close(/** @type {any} */ (1000n)),
    () => new CloseEvent(symbol),
    () => Object.assign(Bound, { OPEN: 7 }),
    () => Object.assign(socket, { OPEN: 7 }),
    () => Bound.prototype.url,
  ]) {
    assert.instance(thrown(run), TypeError);
  }
  assert.is(new CloseEvent('close', { reason: '\ud800' }).reason, '\ufffd');
});

test('text, Blob, ArrayBuffer and views go both ways in call order', async () => {
  const { left, right, stop } = ends();
  const client = WebSocket.from(left.connection, left.driver);
  const server = WebSocket.from(right.connection, right.driver);
  server.binaryType = 'arraybuffer';
  /** @type {unknown[]} */
  const seen = [];
  server.onmessage = ({ data }) => {
    seen.push(typeof data === 'string' ? data : [...new Uint8Array(/** @type {ArrayBuffer} */ (data))]);
    if (seen.length === 5) server.close(4000, 'grüße');
  };
  client.send('text \ud800');
  client.send(new Blob([Uint8Array.of(1, 2)]));
  client.send(Uint8Array.of(3, 4).buffer);
  client.send(Uint8Array.of(0, 5, 6).subarray(1));
  client.send('last');
  const { code, reason, wasClean } = await closed(client);
  stop();
  assert.equal(seen, ['text \ufffd', [1, 2], [3, 4], [5, 6], 'last']);
  assert.equal([code, reason, wasClean], [4000, 'grüße', true]);
  assert.is(client.bufferedAmount, 0);
});

test('a message is a Blob by default', async () => {
  const { left, right, stop } = ends();
  const client = WebSocket.from(left.connection, left.driver);
  const server = WebSocket.from(right.connection, right.driver);
  server.send(Uint8Array.of(1, 2, 3));
  const { data } = await new Promise((resolve) => client.addEventListener('message', resolve));
  stop();
  assert.instance(data, Blob);
  assert.equal([...new Uint8Array(await data.arrayBuffer())], [1, 2, 3]);
});

test('every event has a task of its own, and promise callbacks run in between', async () => {
  const { left, right, stop } = ends();
  const client = WebSocket.from(left.connection, left.driver);
  const server = WebSocket.from(right.connection, right.driver);
  /** @type {string[]} */
  const order = [];
  client.onmessage = async ({ data }) => {
    order.push(String(data));
    await null;
    order.push(`after ${data}`);
  };
  client.addEventListener('close', () => order.push('close'));
  for (const text of ['a', 'b', 'c']) server.send(text);
  server.close();
  await closed(client);
  stop();
  assert.equal(order, ['a', 'after a', 'b', 'after b', 'c', 'after c', 'close']);
});

test('a failure is error, then close with 1006', async () => {
  const { left, stop } = ends();
  const client = WebSocket.from(left.connection, left.driver);
  /** @type {unknown[]} */
  const log = [];
  client.onerror = ({ type }) => log.push([type, client.readyState]);
  const closing = closed(client);
  left.transport.reset();
  const { code, reason, wasClean } = await closing;
  stop();
  assert.equal([log, code, reason, wasClean], [[['error', 3]], 1006, '', false]);
});

test('messages() and stream() read on demand', async () => {
  const { left, right, stop } = ends();
  const client = WebSocket.from(left.connection, left.driver);
  const server = WebSocket.from(right.connection, right.driver);
  const { readable, writable } = client.stream();
  const writer = writable.getWriter();
  for (let index = 0; index < 50; index += 1) await writer.write(`message ${index}`);
  let count = 0;
  for await (const message of server.messages({ highWaterMark: 2 })) {
    server.send(message);
    count += 1;
    if (count === 50) break;
  }
  server.close(1000);
  let back = 0;
  for await (const message of readable) if (typeof message === 'string') back += 1;
  await client[Symbol.asyncDispose]();
  stop();
  assert.equal([count, back], [50, 50]);
});

test('a stream pipes through the platform’s own streams', async () => {
  const { left, right, stop } = ends();
  const client = WebSocket.from(left.connection, left.driver);
  const server = WebSocket.from(right.connection, right.driver);
  const { readable, writable } = server.stream();
  /** @type {TransformStream<string | Uint8Array, string>} */
  const upper = new TransformStream({ transform: (chunk, controller) => controller.enqueue(String(chunk).toUpperCase()) });
  const piped = readable.pipeThrough(upper).pipeTo(writable);
  client.send('hello');
  const { data } = await new Promise((resolve) => client.addEventListener('message', resolve));
  client.close(1000);
  await piped.catch(() => {});
  stop();
  assert.is(data, 'HELLO');
});

test('messageStreams() gives one stream a message', async () => {
  const { left, right, stop } = ends('chunk');
  const client = WebSocket.from(left.connection, left.driver);
  const sizes = [];
  client.send(new Uint8Array(200_000));
  client.send('ü'.repeat(1000));
  client.close(1000);
  for await (const { kind, body } of messageStreams(right.connection, right.driver)) {
    let size = 0;
    for await (const piece of body) size += piece.length;
    sizes.push([kind, size]);
  }
  stop();
  assert.equal(sizes, [
    ['binary', 200_000],
    ['text', 1000],
  ]);
});

test('errors are DOMExceptions, events are Events', () => {
  for (const [url, name] of [
    ['ftp://h/', 'SyntaxError'],
    ['ws://h/#', 'SyntaxError'],
    ['http://[', 'SyntaxError'],
    ['ws://h/', 'NotSupportedError'],
  ]) {
    const error = thrown(() => new WebSocket(String(url)));
    assert.instance(error, DOMException);
    assert.is(error.name, name);
  }
  const error = new WebSocketError('m', { closeCode: 4000, reason: 'r' });
  assert.instance(error, DOMException);
  assert.equal([error.name, error.message, error.closeCode, error.reason], ['WebSocketError', 'm', 4000, 'r']);
  const event = new CloseEvent('close', { code: 1000, wasClean: true });
  assert.instance(event, Event);
  assert.equal([event.type, event.code, event.wasClean, event.reason], ['close', 1000, true, '']);
});

test('a close event is one of the host’s own where it has such a class, and the host reads the same from it', async () => {
  const { left, right, stop } = ends();
  const client = WebSocket.from(left.connection, left.driver);
  WebSocket.from(right.connection, right.driver).close(4001, 'grüße');
  const told = await closed(client);
  stop();
  const made = new CloseEvent('close', Object.create({ code: 65_536 + 4001, reason: 'grüße', wasClean: true, bubbles: false }));
  // Node 20 has none.
  const Host = globalThis.CloseEvent ?? CloseEvent;
  assert.is(CloseEvent.prototype instanceof Event, true);
  for (const event of [told, made]) {
    assert.instance(event, CloseEvent);
    assert.instance(event, Host);
    /** @param {string} name */
    const asHost = (name) => Object.getOwnPropertyDescriptor(Host.prototype, name)?.get?.call(event);
    assert.equal([event.code, event.reason, event.wasClean], [4001, 'grüße', true]);
    assert.equal([asHost('code'), asHost('reason'), asHost('wasClean')], [4001, 'grüße', true]);
  }
});

test('URLs are resolved alike', () => {
  const { WebSocket: Dialling } = defineWebSocket({ connect: () => new Promise(() => {}), baseUrl: 'http://base.example/dir/page?q#f' });
  const cases = [
    ['WS://H:80/../a?', 'ws://h/a?'],
    ['https://h:443/a b', 'wss://h/a%20b'],
    ['x', 'ws://base.example/dir/x'],
    ['ws://bücher.example/', 'ws://xn--bcher-kva.example/'],
    ['ws://[2001:DB8:0:0:0:0:0:1]/', 'ws://[2001:db8::1]/'],
  ];
  for (const [input = '', url] of cases) assert.is(new Dialling(input).url, url);
});

test('WebSocketStream opens and fails by its promises', async () => {
  const { left, right, stop } = ends();
  const { WebSocketStream } = defineWebSocket({
    connect: async ({ url }) => {
      if (url.includes('refused')) throw new Error('nobody there');
      return { connection: left.connection, host: left.driver };
    },
  });
  const refused = new WebSocketStream('ws://h/refused');
  const error = await refused.opened.catch((reason) => reason);
  assert.instance(error, WebSocketError);
  const socket = new WebSocketStream('ws://h/');
  await socket.opened;
  WebSocket.from(right.connection, right.driver).close(4001, 'x');
  const result = await socket.closed;
  stop();
  assert.equal(result, { closeCode: 4001, reason: 'x' });
});

test.run();
