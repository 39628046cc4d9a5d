/**
 * The HttpListener shape on Node, Bun and Deno alike: `node http-listener.suite.mjs`. One case for each thing that leans on the runtime's
 * `node:http`: requests and answers, upgrades taken and refused, bodies, the end of either side, several prefixes on one port.
 */
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { connect as connectSecure } from 'node:tls';
import { ClientWebSocket, HttpListener, receiveByBufferType, WebSocketMessageType, WebSocketState } from '@ferrywire/http-listener';
import { generate } from 'selfsigned';
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
 * @param {Agent | false} [agent]
 * @returns {Promise<{ status: number | undefined, text: string }>}
 */
function ask(port, path, body, agent = false) {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method: body === undefined ? 'GET' : 'POST', agent }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.on('error', reject).on('end', () => resolve({ status: response.statusCode, text }));
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
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
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

listener('leaves time to answer a client that closes and ends its side in one go', async () => {
  const { port } = await serving(async (context) => {
    const { webSocket } = await context.acceptWebSocket();
    const buffer = new Uint8Array(16);
    const { count } = await webSocket.receive(buffer);
    // Until the client's end is known.
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.equal((await webSocket.receive(buffer)).messageType, WebSocketMessageType.Close);
    await webSocket.send(buffer.subarray(0, count), WebSocketMessageType.Text);
    await webSocket.close(1000, '');
  });
  /** @type {Buffer} */
  const answer = await new Promise((resolve, reject) => {
    /** @type {Buffer[]} */
    const chunks = [];
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.write('GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n');
    socket.write('Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
    socket.once('data', () => socket.end(Uint8Array.of(0x81, 0x81, 0, 0, 0, 0, 0x61, 0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8)));
    socket.on('data', (/** @type {Buffer} */ chunk) => chunks.push(chunk));
    socket.on('error', reject).on('close', () => resolve(Buffer.concat(chunks)));
  });
  assert.deepEqual([...answer.subarray(-7)], [0x81, 1, 0x61, 0x88, 2, 0x03, 0xe8]);
});

listener('keeps nothing and loses nothing of what comes behind closeOutput', async () => {
  const size = 1 << 20;
  const count = 24;
  let sent = 0;
  const { port } = await serving(async (context) => {
    const { webSocket } = await context.acceptWebSocket();
    await webSocket.receive(new Uint8Array(1));
    for (; sent < count; sent += 1) await webSocket.send(new Uint8Array(size).fill(sent), WebSocketMessageType.Binary);
    await webSocket.close(1000, '');
  });
  const client = new ClientWebSocket();
  await client.connect(`ws://127.0.0.1:${port}/ws/`);
  await client.closeOutput(1000, 'no more from here');
  // Until the server has to wait.
  for (let before = -1, still = 0; still < 200; before = sent) {
    await new Promise((resolve) => setImmediate(resolve));
    still = sent > 0 && sent === before ? still + 1 : 0;
  }
  assert.ok(sent < count, `${sent} messages were taken`);
  const buffer = new Uint8Array(65_536);
  let bytes = 0;
  let wrong = 0;
  for (let isOpen = true; isOpen; ) {
    const { count: received, messageType } = await client.receive(buffer);
    for (let index = 0; index < received; index += 1) if (buffer[index] !== Math.floor(bytes++ / size)) wrong += 1;
    isOpen = messageType !== WebSocketMessageType.Close;
  }
  assert.deepEqual([bytes, wrong], [count * size, 0]);
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

/**
 * What a client gets that reads when it has sent all, and not before.
 *
 * @param {number} port
 * @param {string} head
 * @param {string} [behind] the body
 * @returns {Promise<string>}
 */
function sendingFirst(port, head, behind = '') {
  return new Promise((resolve, reject) => {
    const length = 8 << 20;
    let text = '';
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(`${head}Host: 127.0.0.1\r\nContent-Length: ${length}\r\n\r\n`);
      socket.write(new Uint8Array(length));
      socket.write(behind, () => socket.resume());
    });
    socket
      .pause()
      .setEncoding('latin1')
      .on('data', (chunk) => {
        text += chunk;
      })
      .on('error', reject)
      .on('close', () => resolve(text));
  });
}
/** @param {string} replies */
const statuses = (replies) => [...replies.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);

/**
 * How a body is not read to its end.
 *
 * @type {Record<string, (request: import('@ferrywire/http-listener').HttpListenerRequest) => unknown>}
 */
const ways = {
  '/ws/left': async ({ inputStream }) => {
    for await (const chunk of inputStream) return chunk;
  },
  '/ws/destroyed': ({ inputStream }) => inputStream.destroy(),
  '/ws/begun': async ({ inputStream }) => {
    await new Promise((resolve) => inputStream.once('readable', resolve));
    inputStream.read(1);
  },
  '/ws/unread': ({ inputStream }) => inputStream,
  '/ws/untouched': () => {},
};

listener('answers a request whose body was not read to its end, and the next one of its connection', async () => {
  const { port } = await serving(async ({ request: asked, response }) => {
    await ways[asked.url.pathname]?.(asked);
    response.close('enough');
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  cleanups.push(() => agent.destroy());
  for (const way of [...Object.keys(ways), '/elsewhere']) {
    // What fits into one read, and what does not.
    for (const body of ['short', 'long'.repeat(500_000), 'short']) {
      const wanted = way === '/elsewhere' ? { status: 404, text: '' } : { status: 200, text: 'enough' };
      assert.deepEqual(await ask(port, way, body, agent), wanted, `${way} ${body.length}`);
    }
  }
});

listener('ends a body that is asked for when the answer has been sent', async () => {
  /** @type {((request: import('@ferrywire/http-listener').HttpListenerRequest) => void)[]} */
  const waiting = [];
  const { port } = await serving(({ request: asked, response }) => {
    response.close('enough');
    waiting.shift()?.(asked);
  });
  for (const body of [undefined, 'short', 'long'.repeat(500_000)]) {
    const asked = new Promise((resolve) => waiting.push(resolve));
    assert.equal((await ask(port, '/ws/', body)).status, 200);
    // What came of it, if anything, is the runtime's affair.
    await (await asked).inputStream
      .resume()
      .toArray()
      .catch(() => {});
  }
});

listener('takes the rest of a body for no whole one when it is asked for behind the last answer', async () => {
  const piece = new Uint8Array(1 << 16);
  const found = [];
  for (const turns of [0, 1, 20]) {
    /** @type {(bytes: number) => void} */
    let tell = () => {};
    const read = new Promise((resolve) => {
      tell = resolve;
    });
    const { port } = await serving(async ({ request: asked, response }) => {
      response.close('enough');
      for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      let bytes = 0;
      for await (const chunk of asked.inputStream) bytes += chunk.length;
      tell(bytes);
    });
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(`POST /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: ${64 * piece.length}\r\n\r\n`);
      let left = 64;
      const next = () => {
        left -= 1;
        if (left >= 0) socket.write(piece, () => setImmediate(next));
      };
      next();
    });
    await new Promise((resolve, reject) => socket.resume().on('error', reject).on('close', resolve));
    found.push(await read);
  }
  assert.deepEqual(found, [64 * piece.length, 0, 0]);
});

listener('answers a client that reads when it has sent its body, and not before', async () => {
  const { port } = await serving(async ({ request: asked, response }) => {
    await ways[asked.url.pathname]?.(asked);
    if (asked.url.pathname === '/ws/last') response.keepAlive = false;
    response.statusCode = 413;
    if (asked.url.pathname === '/ws/piece') response.outputStream.end('too long');
    else response.close('too long');
  });
  const close = 'Connection: close\r\n';
  const answers = [];
  for (const [path, field] of [
    ...[...Object.keys(ways), '/elsewhere'].map((each) => [each, close]),
    ['/ws/piece', 'Connection: Close\r\n'],
    ['/ws/last', ''],
  ]) {
    answers.push([path, ...statuses(await sendingFirst(port, `POST ${path} HTTP/1.1\r\n${field}`))]);
  }
  for (const path of [...Object.keys(ways), '/elsewhere']) {
    const next = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${close}Content-Length: 5\r\n\r\nshort`;
    answers.push([path, ...statuses(await sendingFirst(port, `POST ${path} HTTP/1.1\r\n`, next))]);
  }
  assert.deepEqual(answers, [
    ...Object.keys(ways).map((path) => [path, '413']),
    ['/elsewhere', '404'],
    ['/ws/piece', '413'],
    ['/ws/last', '413'],
    ...Object.keys(ways).map((path) => [path, '413', '413']),
    ['/elsewhere', '404', '404'],
  ]);
});

listener('tells who reads a body that the client has left', async () => {
  /** @type {unknown[]} */
  const errors = [];
  const { port } = await serving(async ({ request: asked, response }) => {
    socket.destroy();
    // The second reader comes late; that nobody listens ends no process.
    for (let reader = 0; reader < 2; reader += 1) {
      try {
        for await (const chunk of asked.inputStream) assert.ok(chunk.length < 10);
      } catch (error) {
        errors.push(error);
      }
    }
    response.abort();
    done();
  });
  let done = () => {};
  const handled = new Promise((resolve) => {
    done = () => resolve(undefined);
  });
  const socket = connect(port, '127.0.0.1');
  socket.write('POST /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nhalf');
  await handled;
  assert.equal(errors.length, 2);
  assert.equal(/** @type {{ errorCode?: number }} */ (errors[0]).errorCode, 995);
});

listener('sends an answer to its end when the listener is closed behind it', async () => {
  const size = 32 << 20;
  for (const end of /** @type {const} */ (['stop', 'close'])) {
    const { made, port } = await serving(({ response }) => {
      response.close(new Uint8Array(size));
      made[end]();
      socket.resume();
    });
    let bytes = 0;
    const socket = connect(port, '127.0.0.1', () => socket.write('GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'));
    socket.pause().on('data', (chunk) => {
      bytes += chunk.length;
    });
    await new Promise((resolve, reject) => socket.on('error', reject).on('close', resolve));
    assert.ok(bytes > size, `${end}: ${bytes} of ${size} bytes`);
  }
});

listener('leaves the answer to a client that still sends when the listener is closed behind it', async () => {
  for (const end of /** @type {const} */ (['stop', 'close'])) {
    for (const field of ['', 'Connection: close\r\n']) {
      for (const turns of [0, 1]) {
        const body = end === 'stop' ? 'enough' : '';
        const { made, port } = await serving(async ({ response }) => {
          response.close(body);
          for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
          made[end]();
        });
        const reply = await sendingFirst(port, `POST /ws/ HTTP/1.1\r\n${field}`);
        assert.deepEqual([statuses(reply), reply.endsWith(`\r\n\r\n${body}`)], [['200'], true], `${end} ${field} ${turns}`);
      }
    }
  }
});

listener('drops the connection of a body that is not as long as it says', async () => {
  /** @type {string[]} */
  const errors = [];
  const { port } = await serving(async ({ request: asked, response }) => {
    const { outputStream } = response;
    const failed = new Promise((resolve) => outputStream.once('error', resolve));
    response.contentLength64 = 3;
    outputStream.write('ab');
    if (asked.url.pathname === '/ws/right') {
      response.close('c');
      return;
    }
    if (asked.url.pathname === '/ws/longer') outputStream.write('cd');
    else outputStream.end();
    errors.push((await failed).name);
    response.close();
  });
  assert.deepEqual(await ask(port, '/ws/right'), { status: 200, text: 'abc' });
  for (const path of ['/ws/longer', '/ws/shorter']) {
    const reply = await raw(port, `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /ws/right HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`).catch(
      () => '',
    );
    assert.doesNotMatch(reply, /ab.|HTTP\/1\.1.*HTTP\/1\.1/s);
  }
  assert.deepEqual(errors, ['InvalidOperationException', 'InvalidOperationException']);
});

listener('has the cookies of every field', async () => {
  /** @type {readonly (readonly [string, string])[]} */
  let cookies = [];
  const { port } = await serving(({ request: asked, response }) => {
    cookies = [...asked.cookies];
    response.close();
  });
  await raw(port, 'GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nCookie: a=1; b=2, 3\r\nCookie: c=4;d=5\r\n\r\n');
  assert.deepEqual(cookies, [
    ['a', '1'],
    ['b', '2, 3'],
    ['c', '4'],
    ['d', '5'],
  ]);
});

listener('refuses two hosts, none, and what is no host (RFC 9112 section 3.2)', async () => {
  const { port } = await serving(({ response }) => response.close('taken for one'));
  for (const upgrade of ['', 'Connection: Upgrade\r\nUpgrade: websocket\r\n']) {
    const noHosts = ['a b', '127.0.0.1/x', 'a@127.0.0.1', ':80', 'a:b', 'a:80:80', '::1', '[::1', '[::1]x', '[x]'];
    for (const hosts of ['Host: 127.0.0.1\r\nhost: 127.0.0.1\r\n', '', ...noHosts.map((host) => `Host: ${host}\r\n`)]) {
      const reply = await raw(port, `GET /ws/ HTTP/1.1\r\n${hosts}${upgrade || 'Connection: close\r\n'}\r\n`);
      assert.match(reply, /^HTTP\/1\.1 400 Bad Request\r\n/);
    }
  }
});

/** What follows a request that has to be refused. */
const behind = 'GET /ws/behind HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n';
/** Keeps the targets of what is handed out. */
async function servingTargets() {
  /** @type {string[]} */
  const given = [];
  const { port } = await serving(({ request: asked, response }) => {
    given.push(asked.rawUrl);
    response.close();
  });
  return { port, given };
}

listener(
  'refuses another version of HTTP in a request line, and gives out nothing of what comes behind (RFC 9110 section 15.6.6)',
  async () => {
    const { port, given } = await servingTargets();
    for (const version of ['0.9', '2.0', '3.0', '1.2']) {
      for (const fields of ['', 'Host: 127.0.0.1\r\n', 'Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n']) {
        const reply = await raw(port, `GET /ws/ HTTP/${version}\r\n${fields}\r\n${behind}`);
        // The runtime's parser answers 400 to those it does not know.
        assert.match(reply, /^HTTP\/1\.1 (400|505) .*\r\nconnection: close\r\n/is);
        assert.equal(reply.match(/HTTP\/1\.1 \d+/g)?.length, 1);
      }
    }
    assert.deepEqual(given, []);
  },
);

listener(
  'refuses a transfer coding that is not chunked, and gives out nothing of what comes behind (RFC 9112 sections 6.1 and 6.3)',
  async () => {
    const { port, given } = await servingTargets();
    for (const [method, upgrade] of [
      ['GET', ''],
      ['POST', ''],
      ['GET', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'],
    ]) {
      for (const [coding, status] of [
        ['gzip', 400],
        ['identity', 400],
        ['xchunked', 400],
        ['chunked, gzip', 400],
        ['', 400],
        ['gzip, chunked', 501],
      ]) {
        for (const body of ['', '0\r\n\r\n']) {
          const head = `${method} /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\n${upgrade}Transfer-Encoding: ${coding}\r\n\r\n`;
          const reply = await raw(port, `${head}${body}${behind}`);
          assert.deepEqual(reply.match(/HTTP\/1\.1 \d+/g), [`HTTP/1.1 ${status}`], `${method} ${upgrade} ${coding}`);
          assert.match(reply, /\r\nconnection: close\r\n/i);
        }
      }
    }
    assert.deepEqual(given, []);
  },
);

listener('closes the connection behind a status below 200, for which the client would take the next answer', async () => {
  const { port } = await serving(({ request: asked, response }) => {
    const [status, connection] = asked.url.search.slice(1).split('&');
    response.statusCode = Number(status);
    if (connection !== undefined) response.addHeader('Connection', connection);
    response.close();
  });
  for (const status of [100, 101, 103, 199]) {
    for (const field of ['', '&keep-alive']) {
      const head = `GET /ws/?${status}${field} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
      const reply = await raw(port, `${head}GET /ws/?200 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
      assert.deepEqual(reply.match(/HTTP\/1\.1 \d+/g), [`HTTP/1.1 ${status}`]);
      assert.match(reply, /\r\nconnection: (keep-alive, )?close\r\n/i);
    }
  }
});

listener(
  'gives out nothing behind a request after which bytes may have been lost, and closes the connection behind its answer',
  async () => {
    const body = 'GET /ws/body HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
    const next = 'GET /ws/next HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n';
    for (const head of [
      'GET /ws/head HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
      'POST /ws/head HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nform',
      'POST /ws/head HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nform\r\n0\r\n\r\n',
    ]) {
      // Its parser loses nothing.
      const isKept = process.versions.bun !== undefined && head.includes('h2c');
      /** @type {string[]} */
      const given = [];
      let hasCome = () => {};
      const come = new Promise((resolve) => {
        hasCome = () => resolve(undefined);
      });
      let answer = () => {};
      const { made, port } = await serving(({ request: asked, response }) => {
        const path = asked.url.pathname;
        if (path !== '/ws/other') given.push(path);
        if (path !== '/ws/head') response.close();
        else answer = () => response.close();
        if (path === '/ws/head') hasCome();
        // Sent behind all of the other connection.
        if (path === '/ws/other') answer();
      });
      let reply = '';
      const socket = connect(port, '127.0.0.1', () => {
        socket.write(`${head}POST /ws/lost HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${body.length}\r\n\r\n`);
      });
      socket.setEncoding('latin1').on('data', (chunk) => {
        reply += chunk;
      });
      const closed = new Promise((resolve) => socket.on('error', () => {}).on('close', resolve));
      await come;
      await new Promise((resolve) => socket.write(`${body}${next}`, resolve));
      await ask(port, '/ws/other');
      await closed;
      assert.deepEqual(given, isKept ? ['/ws/head', '/ws/lost', '/ws/next'] : ['/ws/head']);
      // Bun refuses by itself what comes behind HTTP/1.0, at once.
      if (isKept || process.versions.bun === undefined) assert.equal(reply.match(/HTTP\/1\.1 200/g)?.length, given.length);
      assert.match(reply, /\r\nconnection: close\r\n/i);
      made.abort();
    }
  },
);

listener('refuses an upgrade with an answer, and whatever is no WebSocket', async () => {
  const { port } = await serving(async (context) => {
    if (!context.request.isWebSocketRequest) await assert.rejects(context.acceptWebSocket(), { webSocketErrorCode: 'NotAWebSocket' });
    context.response.statusCode = 403;
    context.response.close('not you');
  });
  const head = (/** @type {string} */ protocol) =>
    `GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade, close\r\nUpgrade: ${protocol}\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
  for (const protocol of ['websocket', 'h2c']) {
    const reply = await raw(port, head(protocol));
    assert.match(reply, /^HTTP\/1\.1 403 Forbidden\r\n/);
    assert.match(reply, /\r\nconnection: close\r\n/i);
    assert.match(reply, /\r\n\r\nnot you$/);
  }
  const client = new ClientWebSocket();
  await assert.rejects(client.connect(`ws://127.0.0.1:${port}/ws/`), { name: 'WebSocketException' });
});

listener('gives out the body of a request that would like another protocol, as clients of HTTP/2 ask for h2c with a form', async () => {
  const { port } = await serving(async ({ request: asked, response }) => {
    let body = '';
    if (asked.url.search !== '?unread') for await (const piece of asked.inputStream) body += piece;
    response.close(`${asked.isWebSocketRequest} ${asked.hasEntityBody} ${body}`);
  });
  const head = (/** @type {string} */ field, path = '', protocol = 'h2c') =>
    `POST /ws/${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade, close\r\nUpgrade: ${protocol}\r\n${field}\r\n\r\n`;
  const behind = async () => {
    const socket = connect(port, '127.0.0.1', () => socket.write(head('Content-Length: 6\r\nExpect: 100-continue')));
    let text = '';
    for await (const chunk of socket) {
      if (text === '' && /^HTTP\/1\.1 100 /.test(String(chunk))) socket.write('behind');
      text += chunk;
    }
    return text;
  };
  const large = 'x'.repeat(300_000);
  const answers = [
    await raw(port, `${head('Content-Length: 6')}a body`),
    await raw(port, `${head('Content-Length: 6', '', 'websocket')}a POST`),
    await raw(port, `${head('Transfer-Encoding: chunked')}3\r\nin \r\n6\r\nchunks\r\n0\r\n\r\n`),
    await raw(port, `${head(`Content-Length: ${large.length}`)}${large}`),
    await raw(port, `${head(`Content-Length: ${large.length}`, '?unread')}${large}`),
    await behind(),
  ];
  const bodies = answers.map((answer) => answer.slice(answer.lastIndexOf('\r\n\r\n') + 4));
  assert.deepEqual(
    bodies,
    ['a body', 'a POST', 'in chunks', large, '', 'behind'].map((body) => `false true ${body}`),
  );
});

// Bun raises 'request' for an upgrade that comes behind an unanswered request, and so it is none.
if (process.versions.bun === undefined) {
  listener('gives an upgrade out behind the answer to what was asked before on its connection', async () => {
    for (const path of ['/ws/taken', '/ws/refused', '/elsewhere']) {
      /** @type {string[]} */
      const order = [];
      const { made, port } = await serving((context) => {
        const { request: asked, response } = context;
        order.push(asked.url.pathname);
        // Not awaited: the next request is asked for at once.
        if (path === '/elsewhere' || !asked.isWebSocketRequest) setImmediate(() => response.close('a page'));
        else if (path === '/ws/taken') context.acceptWebSocket().then(({ webSocket }) => webSocket.close(1000, ''));
        else response.close('not you');
      });
      const reply = await raw(
        port,
        `GET /ws/page HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n` +
          'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n' +
          '\u0088\u0080\0\0\0\0',
      );
      const status = { '/ws/taken': '101', '/ws/refused': '200', '/elsewhere': '404' }[path];
      assert.deepEqual(reply.match(/HTTP\/1\.1 \d+|a page|not you/g)?.slice(0, 3), ['HTTP/1.1 200', 'a page', `HTTP/1.1 ${status}`]);
      assert.deepEqual(order, path === '/elsewhere' ? ['/ws/page'] : ['/ws/page', path]);
      made.abort();
    }
  });
}

listener('answers an upgrade whose body is still to come', async () => {
  const { port } = await serving(({ response }) => response.close('enough'));
  for (const path of ['/ws/', '/elsewhere']) {
    const reply = await raw(
      port,
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1000\r\n\r\n`,
    );
    assert.match(reply, path === '/ws/' ? /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nenough$/s : /^HTTP\/1\.1 404 Not Found\r\n/);
  }
});

for (const body of ['', 'whose body is still to come, ']) {
  listener(`sends all of the answer to an upgrade, ${body}to a client that is slow`, async () => {
    const pieces = Array.from({ length: 50 }, (_, index) => new Uint8Array(100_000).fill(index));
    const { port } = await serving(async ({ response }) => {
      const { outputStream } = response;
      response.contentLength64 = 5_000_000;
      for (const piece of pieces) await new Promise((resolve) => outputStream.write(piece, resolve));
      outputStream.end();
    });
    /** @type {Buffer[]} */
    const chunks = [];
    const head = 'GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';
    const socket = connect(port, '127.0.0.1', () => socket.write(`${head}${body === '' ? '' : 'Content-Length: 10\r\n'}\r\n`));
    socket.on('data', (chunk) => {
      chunks.push(Buffer.from(chunk));
      socket.pause();
      setImmediate(() => socket.resume());
    });
    await new Promise((resolve, reject) => socket.on('error', reject).on('close', resolve));
    const reply = Buffer.concat(chunks);
    const answer = reply.subarray(reply.indexOf('\r\n\r\n') + 4);
    assert.equal(answer.length, 5_000_000);
    assert.ok(answer.equals(Buffer.concat(pieces)));
  });
}

listener('lets go of a client whose upgrade was refused, be there input that nobody asked for or none', async () => {
  const { port } = await serving(({ response }) => response.close('not you'));
  const refused = [];
  for (const path of ['/ws/', '/elsewhere']) {
    for (const input of ['', 'x'.repeat(100_000)]) {
      const head = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.write(head + input));
      let text = '';
      let isGone = false;
      let writes = 0;
      socket.setEncoding('latin1').on('data', (chunk) => {
        text += chunk;
      });
      // Nobody reads on: only the reset that a byte is answered with shows it.
      const timer = setInterval(() => {
        if (text !== '') socket.write('x');
        writes += 1;
        if (writes === 500) socket.destroy();
      }, 20);
      refused.push(
        new Promise((resolve) => {
          socket.on('error', () => {
            isGone = true;
          });
          socket.on('close', () => {
            clearInterval(timer);
            resolve([path, text.slice(0, 12), isGone]);
          });
        }),
      );
    }
  }
  assert.deepEqual(
    await Promise.all(refused),
    ['/ws/', '/ws/', '/elsewhere', '/elsewhere'].map((path) => [path, `HTTP/1.1 ${path === '/ws/' ? 200 : 404}`, true]),
  );
});

listener('drops a client whose upgrade was refused at once when it is aborted', async () => {
  for (const path of ['/', '/elsewhere']) {
    const made = new HttpListener();
    made.prefixes.add('http://127.0.0.1:0/ws/');
    await made.start();
    const port = made.endPoints[0]?.port ?? 0;
    const answering = path === '/' ? made.getContext().then(({ response }) => response.close('not you')) : null;
    const head = `GET /ws${path === '/' ? '/' : 'not'} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.write(head));
    socket.on('error', () => {});
    await new Promise((resolve) => socket.on('end', resolve).resume());
    await answering;
    made.abort();
    // A byte is answered with a reset when there is nobody any more, which the next one shows.
    let left = 20;
    while (left > 0 && !(await new Promise((resolve) => socket.write('x', resolve)))) {
      left -= 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(left > 0, path);
    socket.destroy();
  }
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

listener('ends a send that waits for room when the client leaves, be there input that nobody asked for or none', async () => {
  for (const input of ['', '\x81\x82\0\0\0\0hi']) {
    /** @type {(result: unknown) => void} */
    let tell = () => {};
    const result = new Promise((resolve) => {
      tell = resolve;
    });
    let leave = () => {};
    const { port } = await serving(async (context) => {
      const { webSocket } = await context.acceptWebSocket();
      // More than the kernel takes.
      const sending = webSocket.send(new Uint8Array(64 << 20), WebSocketMessageType.Binary);
      setImmediate(() => leave());
      /** @type {unknown[]} */
      const codes = [];
      const settle = (/** @type {Promise<void>} */ sent) =>
        sent.then(
          () => codes.push('sent'),
          (/** @type {{ webSocketErrorCode: unknown }} */ error) => codes.push(error.webSocketErrorCode),
        );
      await settle(sending);
      await settle(webSocket.send('more', WebSocketMessageType.Text));
      tell(codes);
    });
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(
        `GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n${input}`,
        'latin1',
      ),
    );
    // What it has not read makes the end of it a reset.
    leave = () => void socket.on('error', () => {}).destroy();
    assert.deepEqual(await result, ['ConnectionClosedPrematurely', 'ConnectionClosedPrematurely']);
  }
});

listener('survives a body whose connection is lost, and tells who writes and who listens', async () => {
  const plain = 'GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\n';
  for (const head of [`${plain}\r\n`, `${plain}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`]) {
    for (const loss of ['client', 'response', 'listener']) {
      for (const listens of [false, true]) {
        const made = new HttpListener();
        made.prefixes.add('http://127.0.0.1:0/ws/');
        await made.start();
        const socket = connect(made.endPoints[0]?.port ?? 0, '127.0.0.1', () => socket.write(head));
        socket.on('error', () => {});
        const { response } = await made.getContext();
        const { outputStream } = response;
        /** @type {unknown[]} */
        const told = [];
        const note = (/** @type {unknown} */ error) => told.push(/** @type {{ errorCode?: number }} */ (error)?.errorCode);
        if (listens) outputStream.on('error', note);
        // More than the kernel takes.
        const written = new Promise((resolve) => outputStream.write(new Uint8Array(64 << 20), resolve));
        const waiting = new Promise((resolve) => outputStream.write('waits', resolve));
        const closed = new Promise((resolve) => outputStream.on('close', resolve));
        await new Promise((resolve) => setImmediate(resolve));
        if (loss === 'client') socket.destroy();
        else if (loss === 'response') response.abort();
        else made.abort();
        const error = /** @type {{ name?: string, errorCode?: number }} */ (await written);
        assert.deepEqual([error.name, error.errorCode], ['HttpListenerException', 995], `${loss} ${head}`);
        assert.ok((await waiting) instanceof Error);
        await closed;
        assert.ok(outputStream.destroyed);
        assert.ok((await new Promise((resolve) => outputStream.write('later', resolve))) instanceof Error);
        assert.deepEqual(told, listens ? [995] : []);
        response.close();
        socket.destroy();
        made.abort();
      }
    }
  }
});

listener('closes a response behind what its body was given, and drops one whose body was cut', async () => {
  const { port } = await serving(({ request: { url }, response }) => {
    const { outputStream } = response;
    if (url.pathname === '/ws/new') return response.close('only');
    outputStream.write('some ');
    outputStream.write('more ');
    if (url.pathname === '/ws/last') response.close('last');
    else if (url.pathname === '/ws/ended') outputStream.end('end');
    else {
      outputStream.on('error', () => {}).destroy(new Error('cut'));
      outputStream.once('close', () => response.close('nothing'));
      return;
    }
    response.close('ignored');
  });
  assert.deepEqual(await ask(port, '/ws/new'), { status: 200, text: 'only' });
  assert.deepEqual(await ask(port, '/ws/last'), { status: 200, text: 'some more last' });
  assert.deepEqual(await ask(port, '/ws/ended'), { status: 200, text: 'some more end' });
  await assert.rejects(ask(port, '/ws/cut'));
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

listener('may stop while it starts, and start again at once', async () => {
  const { made, port } = await serving(({ response }) => response.close('first'), 'http://127.0.0.1:0/a/');
  const prefix = `http://127.0.0.1:${port}/b/`;
  const next = new HttpListener();
  next.prefixes.add(prefix);
  const starts = [next.start()];
  next.stop();
  made.stop();
  starts.push(next.start());
  await Promise.all(starts);
  const text = ask(port, '/b/');
  (await next.getContext()).response.close('next');
  assert.deepEqual(await text, { status: 200, text: 'next' });
  next.close();
});

for (const end of /** @type {const} */ (['close', 'abort'])) {
  listener(`${end} drops connections without a whole request, and leaves WebSockets alone`, async () => {
    const made = new HttpListener();
    made.prefixes.add('http://127.0.0.1:0/');
    await made.start();
    cleanups.push(() => made.abort());
    const port = made.endPoints[0]?.port ?? 0;
    const client = new ClientWebSocket();
    const connected = client.connect(`ws://127.0.0.1:${port}/`);
    const { webSocket } = await (await made.getContext()).acceptWebSocket();
    await connected;
    cleanups.push(() => client.dispose());
    // Bun's server knows of a connection when its first byte comes.
    const silent = process.versions.bun === undefined ? [''] : [];
    const gone = [...silent, 'GET / HTTP/1.1\r\nHost: 127.0'].map(
      (bytes) =>
        new Promise((resolve) => {
          const socket = connect(port, '127.0.0.1', () => void socket.write(bytes));
          socket.on('error', () => {}).on('close', resolve);
          socket.resume();
        }),
    );
    const asked = ask(port, '/').then(
      ({ text }) => text,
      () => 'dropped',
    );
    // It came last, so the others have been accepted.
    const { response } = await made.getContext();
    made[end]();
    await Promise.all(gone);
    response.close('late');
    assert.equal(await asked, end === 'close' ? 'late' : 'dropped');
    await webSocket.send('still', WebSocketMessageType.Text);
    assert.equal((await client.receive(new Uint8Array(8))).count, 5);
  });
}

listener('has connections of TLS, which go on behind close() and can be aborted', async () => {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }]);
  const made = new HttpListener({ tls: { key, cert } });
  made.prefixes.add('https://127.0.0.1:0/');
  await made.start();
  cleanups.push(() => made.abort());
  const client = new ClientWebSocket();
  client.options.tls = { rejectUnauthorized: false };
  cleanups.push(() => client.dispose());
  const connected = client.connect(`wss://127.0.0.1:${made.endPoints[0]?.port}/`);
  const context = await made.getContext();
  assert.deepEqual([context.request.isSecureConnection, context.request.url.protocol], [true, 'https:']);
  const { webSocket, isSecureConnection } = await context.acceptWebSocket();
  assert.ok(isSecureConnection);
  await connected;
  const silent = connectSecure({ port: made.endPoints[0]?.port, host: '127.0.0.1', rejectUnauthorized: false });
  silent.on('error', () => {}).resume();
  cleanups.push(() => silent.destroy());
  const dropped = new Promise((resolve) => silent.on('close', resolve));
  await new Promise((resolve) => silent.once('secureConnect', resolve));
  made.close();
  // When this one is gone the time is over in which others may be used. Bun's server knows of a connection when its first byte comes.
  if (process.versions.bun === undefined) await dropped;
  await webSocket.send('still', WebSocketMessageType.Text);
  assert.equal((await client.receive(new Uint8Array(8))).count, 5);
  webSocket.abort();
  await assert.rejects(client.receive(new Uint8Array(8)), { webSocketErrorCode: 'ConnectionClosedPrematurely' });
});

listener(
  'serves nobody without a certificate where one is asked for, though he has a session of a listener that asks for none',
  async () => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
      keyType: 'ec',
      extensions: [{ name: 'basicConstraints', cA: true }],
    });
    /** @param {import('node:tls').TlsOptions} [more] */
    const secure = async (more = {}) => {
      const made = new HttpListener({ tls: { key, cert, ...more } });
      cleanups.push(() => made.abort());
      made.prefixes.add('https://localhost:0/');
      await made.start();
      (async () => {
        for await (const { response } of made) response.close();
      })().catch(() => {});
      return made.endPoints[0]?.port ?? 0;
    };
    /** @param {number} port @param {import('node:tls').ConnectionOptions} [more] */
    const asking = (port, more = {}) =>
      new Promise((resolve) => {
        let text = '';
        const socket = connectSecure({ port, host: 'localhost', servername: 'localhost', rejectUnauthorized: false, ...more }, () =>
          socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'),
        );
        socket.setEncoding('latin1').on('data', (chunk) => {
          text += chunk;
        });
        socket.on('error', () => {}).on('close', () => resolve(text.slice(0, 12)));
      });
    const lax = await secure();
    const strict = await secure({ ca: cert, requestCert: true });
    // As Deno's client resumes sessions.
    assert.equal(await asking(lax), 'HTTP/1.1 200');
    assert.equal(await asking(strict), '');
    assert.equal(await asking(strict, { key, cert }), 'HTTP/1.1 200');
  },
);

listener('answers what is open when it stops and starts again, and what the client asks next', async () => {
  const first = await serving(({ response }) => response.close('unused'));
  const { port } = first;
  first.made.close();
  const made = new HttpListener();
  made.prefixes.add(`http://127.0.0.1:${port}/`);
  await made.start();
  cleanups.push(() => made.abort());
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  cleanups.push(() => agent.destroy());
  const one = ask(port, '/', undefined, agent);
  const { response } = await made.getContext();
  made.stop();
  await made.start();
  response.close('one');
  const two = ask(port, '/', undefined, agent);
  (await made.getContext()).response.close('two');
  assert.deepEqual(await Promise.all([one, two]), [
    { status: 200, text: 'one' },
    { status: 200, text: 'two' },
  ]);
});

listener.run();
