/**
 * The HttpListener shape on Node, Bun and Deno alike: `node http-listener.suite.mjs`. One case for each thing that leans on the runtime's
 * `node:http`: requests and answers, upgrades taken and refused, bodies, the end of either side, several prefixes on one port.
 */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import { ClientWebSocket, HttpListener, receiveByBufferType, WebSocketMessageType, WebSocketState } from '@ferrywire/http-listener';
import { suite } from 'uvu';

/** @type {(() => unknown)[]} */
const cleanups = [];
const listener = suite('HttpListener');
listener.after.each(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/**
 * @param {(context: import('@ferrywire/http-listener').HttpListenerContext) => unknown} handle
 * @param {string} [prefix]
 */
async function serving(handle, prefix = 'http://127.0.0.1:0/ws/') {
  const made = new HttpListener();
  made.prefixes.add(prefix);
  await made.start();
  /** @type {unknown[]} */
  const failures = [];
  const done = (async () => {
    for await (const context of made) {
      try {
        await handle(context);
      } catch (error) {
        failures.push(error);
        context.response.abort();
      }
    }
  })();
  cleanups.push(async () => {
    made.abort();
    await done;
    assert.deepEqual(failures, []);
  });
  return { made, port: made.endPoints[0]?.port ?? 0 };
}
/**
 * @param {number} port
 * @param {string} path
 * @param {string} [body]
 * @returns {Promise<{ status: number | undefined, text: string }>}
 */
function ask(port, path, body) {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method: body === undefined ? 'GET' : 'POST', agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    sent.on('error', reject).end(body);
  });
}
/**
 * @param {number} port
 * @param {string} bytes
 * @returns {Promise<string>}
 */
function raw(port, bytes) {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.setEncoding('latin1').on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', reject).on('close', () => resolve(text));
  });
}

listener('talks to a client: pieces, fragments, both types, an orderly close', async () => {
  const { port } = await serving(async (context) => {
    const { webSocket, origin, secWebSocketProtocols } = await context.acceptWebSocket('echo', { receiveBufferSize: 1024 });
    assert.deepEqual([origin, secWebSocketProtocols], [null, ['other', 'echo']]);
    const buffer = new Uint8Array(1024);
    while (webSocket.state === WebSocketState.Open) {
      const { count, messageType, endOfMessage, closeStatus, closeStatusDescription } = await webSocket.receive(buffer);
      if (messageType !== WebSocketMessageType.Close) await webSocket.send(buffer.subarray(0, count), messageType, endOfMessage);
      else await webSocket.close(closeStatus ?? 1000, closeStatusDescription);
    }
  });
  const client = new ClientWebSocket();
  client.options.addSubProtocol('other');
  client.options.addSubProtocol('echo');
  await client.connect(`ws://127.0.0.1:${port}/ws/`);
  assert.equal(client.subProtocol, 'echo');
  await client.send('first ', WebSocketMessageType.Text, false);
  await client.send('and last', WebSocketMessageType.Text, true);
  await client.send(new Uint8Array(50_000).fill(7), WebSocketMessageType.Binary, true);
  const buffer = new Uint8Array(4096);
  let text = '';
  for (let type = ''; type !== 'Utf8Message'; ) {
    const { bufferType, bytesRead } = await receiveByBufferType(client, buffer);
    text += new TextDecoder().decode(buffer.subarray(0, bytesRead));
    type = bufferType;
  }
  assert.equal(text, 'first and last');
  let bytes = 0;
  for (let type = ''; type !== 'BinaryMessage'; ) {
    const { bufferType, bytesRead } = await receiveByBufferType(client, buffer);
    bytes += bytesRead;
    type = bufferType;
  }
  assert.equal(bytes, 50_000);
  await client.close(4000, 'enough');
  assert.deepEqual([client.state, client.closeStatus, client.closeStatusDescription], ['Closed', 4000, 'enough']);
});

listener('answers requests with a status, a body, and what came in', async () => {
  const { port } = await serving(async ({ request: asked, response }) => {
    let body = '';
    for await (const chunk of asked.inputStream) body += chunk;
    response.statusCode = asked.isWebSocketRequest ? 500 : 201;
    response.addHeader('X-Test', 'yes');
    response.close(`${asked.httpMethod} ${asked.url.pathname} ${body}`);
  });
  assert.deepEqual(await ask(port, '/ws/page?x'), { status: 201, text: 'GET /ws/page ' });
  assert.deepEqual(await ask(port, '/ws/', 'posted'), { status: 201, text: 'POST /ws/ posted' });
  assert.equal((await ask(port, '/elsewhere')).status, 404);
});

listener('refuses an upgrade with an answer, and whatever is no WebSocket', async () => {
  const { port } = await serving(async (context) => {
    if (!context.request.isWebSocketRequest) await assert.rejects(context.acceptWebSocket(), { webSocketErrorCode: 'NotAWebSocket' });
    context.response.statusCode = 403;
    context.response.close('not you');
  });
  const head = (/** @type {string} */ protocol) =>
    `GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
  for (const protocol of ['websocket', 'h2c']) {
    const reply = await raw(port, head(protocol));
    assert.match(reply, /^HTTP\/1\.1 403 Forbidden\r\n/);
    assert.match(reply, /\r\n\r\nnot you$/);
  }
  const client = new ClientWebSocket();
  await assert.rejects(client.connect(`ws://127.0.0.1:${port}/ws/`), { name: 'WebSocketException' });
});

listener('hears of a client that goes without a word', async () => {
  /** @type {(code: unknown) => void} */
  let tell = () => {};
  const heard = new Promise((resolve) => {
    tell = resolve;
  });
  const { port } = await serving(async (context) => {
    const { webSocket } = await context.acceptWebSocket();
    await webSocket
      .receive(new Uint8Array(8))
      .catch((/** @type {{ webSocketErrorCode: unknown }} */ error) => tell(error.webSocketErrorCode));
  });
  const client = new ClientWebSocket();
  await client.connect(`ws://127.0.0.1:${port}/ws/`);
  client.abort();
  assert.equal(await heard, 'ConnectionClosedPrematurely');
});

listener('shares a port, the longest prefix first, and gives it back', async () => {
  const outer = await serving(({ response }) => response.close('outer'), 'http://127.0.0.1:0/');
  const inner = await serving(({ response }) => response.close('inner'), `http://127.0.0.1:${outer.port}/a/b/`);
  const texts = [];
  for (const path of ['/', '/a', '/a/b', '/a/b/c']) texts.push((await ask(outer.port, path)).text);
  assert.deepEqual(texts, ['outer', 'outer', 'inner', 'inner']);
  inner.made.stop();
  assert.equal((await ask(outer.port, '/a/b/c')).text, 'outer');
  outer.made.stop();
  await assert.rejects(ask(outer.port, '/'));
  await outer.made.start();
  assert.equal(outer.made.isListening, true);
});

listener.run();
