/**
 * `attach` on Node, Bun and Deno alike: `node attach.suite.mjs`. What leans on the runtime's `node:http`: whose the socket of an upgrade is, who
 * else listens to it, and when it is its turn to be answered.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { connect } from 'node:net';
import { serializeFrame } from '@ferrywire/core/frame';
import { attach, connect as connectTo, transportOf } from '@ferrywire/node';
import { generate } from 'selfsigned';
import { suite } from 'uvu';
import { cleanUp, cleanups, deferred } from './suite-helpers.mjs';

const PAGE = 'GET /page HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';

const attached = suite('attach');
attached.after.each(cleanUp);

/**
 * An HTTP server, an attachment and what else is to listen.
 *
 * @param {object} options
 * @param {import('@ferrywire/node').AttachOptions} [options.attach]
 * @param {import('node:http').RequestListener} [options.request]
 * @param {(server: import('node:http').Server) => void} [options.before] Listens before the attachment does.
 * @param {import('node:http').ServerOptions} [options.http]
 * @returns {Promise<number>} The port.
 */
async function serving({ attach: options = {}, request = (_request, response) => response.end('a page'), before = () => {}, http = {} }) {
  const server = createServer(http, request);
  /** @type {Set<import('node:net').Socket>} */
  const sockets = new Set();
  server.on('connection', (socket) => sockets.add(socket));
  before(server);
  const live = attach(server, { handlers: { onMessage: (peer, data) => void peer.send(data) }, ...options });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  cleanups.push(async () => {
    await live.close({ deadline: 0 });
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  assert(address !== null && typeof address === 'object');
  return address.port;
}

/** @param {string} [path] */
const upgradeFor = (path = '/live') =>
  `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

/** @param {string} payload */
const textFrame = (payload) => Buffer.from(serializeFrame({ opcode: 1, maskKey: 0x1b2d3f4a, payload: Buffer.from(payload) }));

/** A client that keeps all it is sent. */
class Client {
  text = '';
  closed = false;
  /** @type {() => void} */
  #told = () => {};

  /** @param {number} port */
  constructor(port) {
    this.socket = connect(port, '127.0.0.1');
    cleanups.push(() => this.socket.destroy());
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk) => {
      this.text += Buffer.from(chunk).toString('latin1');
      this.#told();
    });
    this.socket.on('close', () => {
      this.closed = true;
      this.#told();
    });
  }
  /** @param {...(string | Uint8Array)} parts They leave in one write. */
  write(...parts) {
    this.socket.write(Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part))));
  }
  /** @param {() => boolean} isDone */
  async until(isDone) {
    while (!isDone()) {
      const told = deferred();
      this.#told = () => told.resolve(undefined);
      await told.promise.catch(() => assert.fail(`still waiting after ${JSON.stringify(this.text.slice(-1000))}`));
    }
  }
  /** @param {string} text */
  has(text) {
    return this.until(() => this.text.includes(text));
  }
}

/**
 * Somebody else has begun to answer, and goes on when the time of his upgrade is over: one that came later has been refused.
 *
 * @param {number} port
 * @param {Client} client
 * @param {import('node:stream').Duplex} socket
 */
async function goesOn(port, client, socket) {
  const next = new Client(port);
  next.write(upgradeFor('/nobody'));
  await next.has(' 404 ');
  socket.write(' and more');
  await client.has('and more');
  socket.destroy();
}

attached('survives an error of a socket that it has declined and nobody has taken', async () => {
  /** @type {ReturnType<typeof deferred<import('node:stream').Duplex>>} */
  const shown = deferred();
  const port = await serving({
    attach: { policy: { path: '/live' } },
    before: (server) => server.on('upgrade', (_request, socket) => shown.resolve(socket)),
  });
  new Client(port).write(upgradeFor('/nobody'));
  const socket = await shown.promise;
  const gone = deferred();
  socket.on('close', gone.resolve);
  socket.destroy(new Error('as of a reset'));
  await gone.promise;
  const next = new Client(port);
  next.write(upgradeFor());
  await next.has(' 101 ');
});

attached('knows TLS, and drops a connection over it', async () => {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }]);
  const server = createSecureServer({ key, cert });
  /** @type {ReturnType<typeof deferred<import('@ferrywire/node').Peer>>} */
  const opened = deferred();
  const live = attach(server, { handlers: { onOpen: opened.resolve } });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  cleanups.push(async () => {
    await live.close({ deadline: 0 });
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  assert(address !== null && typeof address === 'object');
  const ended = deferred();
  const client = await connectTo(`wss://127.0.0.1:${address.port}/`, {
    tls: { rejectUnauthorized: false },
    handlers: { onEnd: () => ended.resolve(undefined) },
  });
  cleanups.push(() => client.abort());
  const peer = await opened.promise;
  assert.deepEqual([transportOf(peer).encrypted, transportOf(client).encrypted], [true, true]);
  peer.abort();
  await ended.promise;
  assert.equal(live.peers.size, 0);
});

/** @type {Readonly<Record<string, (socket: import('node:net').Socket, count: (chunk: Uint8Array) => void) => void>>} */
const counters = {
  data: (socket, count) => socket.on('data', count),
  readable: (socket, count) =>
    socket.on('readable', () => {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) count(chunk);
    }),
};
for (const [event, listen] of Object.entries(counters)) {
  for (const company of ['alone', 'beside another listener']) {
    attached(`takes an upgrade whose bytes somebody counts by '${event}', ${company}`, async () => {
      /** @type {Uint8Array[]} */
      const counted = [];
      const port = await serving({
        before(server) {
          server.on('connection', (socket) => listen(socket, (chunk) => counted.push(chunk)));
          if (company !== 'alone') server.on('upgrade', () => {});
        },
      });
      const client = new Client(port);
      client.write(upgradeFor(), textFrame('glued'));
      await client.has('glued');
      const large = textFrame(`${'x'.repeat(100_000)} and all`);
      client.write(large);
      await client.has(`${'x'.repeat(100_000)} and all`);
      // As they came: they are unmasked elsewhere.
      assert(Buffer.concat(counted).includes(large));
    });
  }
}

for (const listens of /** @type {const} */ (['on', 'once'])) {
  attached(`leaves an upgrade that another listener (${listens}) reads, though it has not answered`, async () => {
    const taken = deferred();
    const port = await serving({
      before(server) {
        server.on('connection', (socket) => socket.on('data', () => {}));
        server[listens]('upgrade', (_request, socket) => {
          if (_request.url === '/other')
            taken.resolve(socket.on('error', () => {}).on('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\nother')));
        });
      },
    });
    const client = new Client(port);
    client.write(upgradeFor('/other'));
    await taken.promise;
    client.write('go on');
    await client.until(() => client.closed);
    assert.equal(client.text, 'HTTP/1.1 200 OK\r\n\r\nother');
  });
}

for (const [order, listens] of /** @type {const} */ ([
  ['behind us', 'on'],
  ['before us', 'on'],
  ['before us', 'once'],
])) {
  for (const path of order === 'behind us' ? ['/other'] : ['/other', '/live']) {
    attached(
      `leaves an upgrade of ${path} that another listener (${listens}, ${order}) has begun to answer, though it does not read`,
      async () => {
        /** @type {ReturnType<typeof deferred<import('node:stream').Duplex>>} */
        const answered = deferred();
        let isFirst = true;
        const port = await serving({
          attach: { policy: { path: '/live' }, timeouts: { opening: 50 } },
          before(server) {
            const listen = () =>
              server[listens]('upgrade', (_request, socket) => {
                if (!isFirst) return;
                isFirst = false;
                socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\nother');
                answered.resolve(socket);
              });
            if (order === 'before us') listen();
            else server.once('listening', listen);
          },
        });
        const client = new Client(port);
        // The bytes of an answer to something else tell nothing.
        client.write(PAGE);
        await client.has('a page');
        client.text = '';
        client.write(upgradeFor(path));
        await goesOn(port, client, await answered.promise);
        assert.equal(client.text, 'HTTP/1.1 101 Switching Protocols\r\n\r\nother and more');
      },
    );
  }
}

attached('leaves an upgrade to who has begun to answer it, though he has put himself in front later', async () => {
  for (const path of ['/live', '/other']) {
    const port = await serving({
      attach: { policy: { path: '/live' }, timeouts: { opening: 30 } },
      before: (server) =>
        server.once('listening', () => {
          server.prependOnceListener('upgrade', (_request, socket) => socket.write('HTTP/1.1 401 Unauthorized\r\n\r\n'));
          // For whom what is declined is kept.
          server.on('upgrade', () => {});
        }),
    });
    const client = new Client(port);
    client.write(upgradeFor(path));
    await client.has(' 401 ');
    // When one that came later has been refused, the time of this one is over.
    const next = new Client(port);
    next.write(upgradeFor('/nobody'));
    await next.has(' 404 ');
    assert.equal(client.text, 'HTTP/1.1 401 Unauthorized\r\n\r\n');
  }
});

attached('leaves an upgrade whose body still comes to who has begun to answer it', async () => {
  /** @type {ReturnType<typeof deferred<import('node:stream').Duplex>>} */
  const answered = deferred();
  const port = await serving({
    attach: { policy: { path: '/live' }, timeouts: { opening: 50 } },
    before: (server) =>
      server.on('upgrade', (request, socket) => {
        if (request.url !== '/other') return;
        socket.write('HTTP/1.1 200 OK\r\n\r\nother');
        answered.resolve(socket);
      }),
  });
  const client = new Client(port);
  client.write('POST /other HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: custom\r\nContent-Length: 1000\r\n\r\n');
  await goesOn(port, client, await answered.promise);
  assert.equal(client.text, 'HTTP/1.1 200 OK\r\n\r\nother and more');
});

attached('takes an upgrade on a connection that has had answers', async () => {
  const client = new Client(await serving({}));
  client.write(PAGE);
  await client.has('a page');
  client.write(upgradeFor(), textFrame('glued'));
  await client.has('\x81\x05glued');
});

/**
 * A server that is asked for pages and a WebSocket in one write.
 *
 * @param {number} pages
 * @param {import('@ferrywire/node').AttachOptions} options
 * @param {string} [path]
 */
async function pipelined(pages, options, path = '/live') {
  /** @type {import('node:http').ServerResponse[]} */
  const responses = [];
  /** @type {ReturnType<typeof deferred<import('node:stream').Duplex>>} */
  const shown = deferred();
  const port = await serving({
    attach: { policy: { path: '/live' }, ...options },
    request: (_request, response) => responses.push(response),
    before: (server) => server.on('upgrade', (_request, socket) => shown.resolve(socket)),
  });
  const client = new Client(port);
  client.write(PAGE.repeat(pages), upgradeFor(path), textFrame('glued'));
  const socket = await shown.promise;
  assert.equal(responses.length, pages);
  return { port, client, responses, socket };
}

// Bun raises 'request' for an upgrade that comes behind an unanswered request, and so answers it as one.
if (process.versions.bun === undefined) {
  attached('answers an upgrade behind the answers to what was asked before', async () => {
    const { client, responses } = await pipelined(3, { handlers: { onOpen: (peer) => void peer.send('hello') } });
    const [first, second, third] = responses;
    third?.end('third page');
    second?.end('second page');
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(client.text, '');
    first?.end('first page');
    await client.has('hello');
    assert.deepEqual(client.text.match(/HTTP\/1\.1 \d+|\w+ page|hello/g), [
      'HTTP/1.1 200',
      'first page',
      'HTTP/1.1 200',
      'second page',
      'HTTP/1.1 200',
      'third page',
      'HTTP/1.1 101',
      'hello',
    ]);
  });

  attached('leaves such an upgrade that another attachment has taken', async () => {
    /** @type {import('node:http').ServerResponse[]} */
    const responses = [];
    /** @type {string[]} */
    const asked = [];
    const asking = (/** @type {string} */ name) => ({
      onRequest(/** @type {import('@ferrywire/node').PendingRequest} */ pending) {
        asked.push(name);
        pending.accept();
      },
    });
    const port = await serving({
      attach: { handlers: { ...asking('second'), onOpen: (peer) => void peer.send('hello') } },
      request: (_request, response) => responses.push(response),
      before: (server) => {
        const first = attach(server, { handlers: { ...asking('first'), onOpen: (peer) => void peer.send('hello') } });
        cleanups.push(() => first.close({ deadline: 0 }));
        server.once('listening', () => server.on('upgrade', () => responses[0]?.end('a page')));
      },
    });
    const client = new Client(port);
    client.write(PAGE, upgradeFor());
    await client.has('hello');
    assert.deepEqual(asked, ['first']);
    assert.equal(client.text.match(/ 101 /g)?.length, 1);
  });

  attached('takes what came behind such an upgrade', async () => {
    const { client, responses } = await pipelined(1, {});
    client.write(textFrame('and later'));
    responses[0]?.end('a page');
    await client.has('\x81\x05glued\x81\x09and later');
  });

  attached('lets such an answer go on when there is room again', async () => {
    const { client, responses } = await pipelined(1, { timeouts: { opening: 5000 } });
    const [response] = responses;
    assert(response !== undefined);
    const piece = 'x'.repeat(200_000);
    let pieces = 0;
    const write = () => {
      while (pieces < 5) {
        pieces++;
        if (!response.write(piece)) {
          response.once('drain', write);
          return;
        }
      }
      response.end('the end');
    };
    write();
    await client.has('\x81\x05glued');
    assert.equal(pieces, 5);
    assert(client.text.length > 1_000_000);
    assert.match(client.text.slice(-300), /the end\r\n0\r\n\r\nHTTP\/1\.1 101 /);
  });

  attached('ends the connection when those answers do not come in time', async () => {
    const { client } = await pipelined(1, { timeouts: { opening: 30 } });
    await client.until(() => client.closed);
    assert.equal(client.text, '');
  });

  attached('and not one whose answers have come in time', async () => {
    const { port, client, responses } = await pipelined(1, { timeouts: { opening: 30 } });
    responses[0]?.end('a page');
    await client.has('\x81\x05glued');
    // When one that came later has been ended, the time of this one is over.
    const next = new Client(port);
    next.write(PAGE, upgradeFor());
    await next.until(() => next.closed);
    client.write(textFrame('and later'));
    await client.has('and later');
  });

  attached('says nothing behind an answer that is the last of its connection', async () => {
    let asked = 0;
    const { client, responses } = await pipelined(1, { handlers: { onRequest: () => void asked++ } });
    responses[0]?.setHeader('Connection', 'close').end('a page');
    await client.until(() => client.closed);
    assert.match(client.text, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\na page$/s);
    assert.equal(asked, 0);
  });

  attached('survives an error of a socket that waits for them', async () => {
    let asked = 0;
    const { port, socket } = await pipelined(1, {
      handlers: {
        onRequest(pending) {
          asked++;
          pending.accept();
        },
      },
    });
    const gone = deferred();
    socket.on('close', gone.resolve);
    socket.destroy(new Error('as of a reset'));
    await gone.promise;
    assert.equal(asked, 0);
    const next = new Client(port);
    next.write(upgradeFor());
    await next.has(' 101 ');
  });

  attached('leaves an upgrade behind them that another listener has begun to answer', async () => {
    for (const path of ['/live', '/nobody']) {
      /** @type {import('node:http').ServerResponse[]} */
      const responses = [];
      const port = await serving({
        attach: { policy: { path: '/live' }, timeouts: { opening: 30 } },
        request: (_request, response) => responses.push(response),
        before: (server) => server.once('upgrade', (_request, socket) => socket.write('HTTP/1.1 401 Unauthorized\r\n\r\n')),
      });
      const client = new Client(port);
      client.write(PAGE, upgradeFor(path), textFrame('glued'));
      await client.has(' 401 ');
      // When one that came later has been refused, the time of this one is over.
      const next = new Client(port);
      next.write(upgradeFor('/nobody'));
      await next.has(' 404 ');
      responses[0]?.end('a page');
      await client.has('a page');
      const after = new Client(port);
      after.write(upgradeFor('/nobody'));
      await after.has(' 404 ');
      assert.deepEqual(client.text.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 401', 'HTTP/1.1 200']);
    }
  });

  attached('refuses behind them what nobody takes', async () => {
    const { client, responses } = await pipelined(1, { timeouts: { opening: 30 } }, '/nobody');
    responses[0]?.end('a page');
    await client.has(' 404 ');
    assert.match(client.text, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\na pageHTTP\/1\.1 404 /s);
  });
}

// Node 20 has no such option.
if ('shouldUpgradeCallback' in createServer()) {
  attached('leaves requests for other protocols to a server that takes no other upgrades, as the README has it', async () => {
    const port = await serving({
      http: { shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === 'websocket' },
      request: async (request, response) => {
        let form = '';
        for await (const piece of request) form += piece;
        response.end(`a page for ${form}`);
      },
    });
    const client = new Client(port);
    client.write('POST /page HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nform');
    await client.until(() => client.text.endsWith('a page for form'));
    const live = new Client(port);
    live.write(upgradeFor(), textFrame('hello'));
    await live.until(() => live.text.endsWith('\x81\x05hello'));
  });
}

attached.run();
