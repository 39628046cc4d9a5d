/**
 * HTTP/2 (RFC 8441) on Node, Bun and Deno alike: `node http2.suite.mjs`. What the adapter contract cannot ask, since it knows no streams: resets,
 * GOAWAY, refusals, flow control, both versions on one TLS port.
 */
import assert from 'node:assert/strict';
import { connect as connectHttp2, createSecureServer, createServer } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { duplexPair } from 'node:stream';
import { clientDeflate, serverDeflate } from '@ferrywire/deflate';
import { attach, connect, listen, transportOf } from '@ferrywire/node';
import { generate } from 'selfsigned';
import { suite } from 'uvu';
import { cleanUp, cleanups, deferred, FLOOD, relayTo, WIDE } from './suite-helpers.mjs';

const CANCEL = 8;

const http2 = suite('HTTP/2');
http2.after.each(cleanUp);

/** Handlers that keep what happens. */
function watch(handlers = {}) {
  const opened = deferred();
  const ended = deferred();
  /** @type {(string | Uint8Array)[]} */
  const messages = [];
  /** @type {(() => void)[]} */
  const waiting = [];
  return {
    opened: opened.promise,
    ended: ended.promise,
    async next() {
      while (messages.length === 0) await new Promise((resolve) => waiting.push(() => resolve(undefined)));
      return messages.shift();
    },
    handlers: {
      onOpen: opened.resolve,
      /** @param {unknown} _peer @param {string | Uint8Array} data */
      onMessage(_peer, data) {
        messages.push(data);
        for (const wake of waiting.splice(0)) wake();
      },
      /** @param {unknown} _peer @param {unknown} info */
      onEnd: (_peer, info) => ended.resolve(info),
      ...handlers,
    },
  };
}
/** @type {import('@ferrywire/node').PeerHandlers} */
const echo = { onMessage: (peer, data) => void peer.send(data) };

/** @param {import('node:http2').Http2Server | import('node:http2').Http2SecureServer} server */
async function started(server) {
  const sessions = new Set();
  server.on('session', (session) => sessions.add(session)).on('sessionError', () => {});
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  cleanups.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return { port: address.port, sessions };
}
/**
 * @param {number} port
 * @param {import('node:http2').ClientSessionOptions} [options]
 */
function sessionTo(port, options) {
  const session = connectHttp2(`http://127.0.0.1:${port}`, options);
  session.on('error', () => {});
  cleanups.push(() => session.destroy());
  return session;
}
/** @param {Promise<unknown>} attempt */
async function refusal(attempt) {
  return attempt.then(
    () => assert.fail('it was accepted'),
    (/** @type {any} */ error) => error,
  );
}

http2('many on one session, compressed, and the session stays', async () => {
  const server = await listen({ http2: true, policy: { extensions: [serverDeflate()] }, handlers: echo });
  cleanups.push(() => server.close({ deadline: 0 }));
  const session = sessionTo(server.port);
  const clients = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const client = watch();
      const options = { http2: session, extensions: [clientDeflate()], handlers: client.handlers };
      return { ...client, peer: await connect(`${server.url}${index}`, options) };
    }),
  );
  assert.equal(server.peers.size, 20);
  for (const [index, { peer }] of clients.entries()) peer.send(`number ${index} `.repeat(1000));
  for (const [index, { next }] of clients.entries()) assert.equal(await next(), `number ${index} `.repeat(1000));
  for (const { peer } of clients) peer.close(1000);
  for (const { ended } of clients) assert.equal((await ended).clean, true);
  assert.equal(session.destroyed, false);
});

/** A certificate that is its own authority. */
async function certificate() {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    extensions: [
      { name: 'basicConstraints', cA: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  return { key, cert };
}

http2('both versions on one TLS port, plain requests besides', async () => {
  const { key, cert } = await certificate();
  const page = createSecureServer({ key, cert, allowHTTP1: true }, (_request, response) => response.end('a page'));
  /** @type {unknown[]} */
  const versions = [];
  attach(page, { handlers: { ...echo, onOpen: (_peer, { request }) => void versions.push(request?.httpVersion) } });
  const attached = (await started(page)).port;
  const own = await listen({ http2: true, tls: { key, cert }, handlers: echo });
  cleanups.push(() => own.close({ deadline: 0 }));
  for (const host of [`localhost:${attached}`, `127.0.0.1:${own.port}`]) {
    for (const modern of [true, false]) {
      const { handlers, next } = watch();
      const peer = await connect(`wss://${host}/`, { http2: modern, tls: { ca: cert }, handlers });
      peer.send('sealed');
      assert.equal(await next(), 'sealed');
      assert.equal(transportOf(peer).encrypted, true);
      peer.abort();
    }
  }
  assert.deepEqual(versions, ['2', '1.1']);
  const session = connectHttp2(`https://localhost:${attached}`, { ca: cert });
  cleanups.push(() => session.destroy());
  const answer = deferred();
  session.request({ ':path': '/' }).setEncoding('utf8').once('data', answer.resolve).end();
  assert.equal(await answer.promise, 'a page');
});

http2('nobody without a certificate where one is asked for, though he has a session of a listener that asks for none', async () => {
  const { key, cert } = await certificate();
  /** @param {boolean} modern @param {import('node:tls').TlsOptions} [more] */
  const serving = async (modern, more = {}) => {
    const made = await listen({ http2: modern, tls: { key, cert, ...more }, handlers: echo });
    cleanups.push(() => made.close({ deadline: 0 }));
    return made;
  };
  // As Deno's client resumes sessions.
  const careless = { rejectUnauthorized: false };
  for (const modern of [true, false]) {
    const lax = await serving(modern);
    const strict = await serving(modern, { ca: cert, requestCert: true });
    const url = `wss://localhost:${strict.port}/`;
    (await connect(`wss://localhost:${lax.port}/`, { http2: modern, tls: careless })).abort();
    await assert.rejects(connect(url, { http2: modern, tls: careless }), { name: 'EndpointError' });
    assert.equal(strict.peers.size, 0);
    (await connect(url, { http2: modern, tls: { ca: cert, key, cert } })).abort();
  }
});

http2('a reset by either side, told from an end', async () => {
  const server = createServer();
  let seen = watch();
  attach(server, { handlers: { onOpen: (peer) => seen.handlers.onOpen(peer), onEnd: (peer, info) => seen.handlers.onEnd(peer, info) } });
  const { port } = await started(server);
  const session = sessionTo(port);
  for (const side of ['client', 'server']) {
    seen = watch();
    const client = watch();
    const peer = await connect('ws://example.com/', { http2: session, handlers: client.handlers });
    const remote = await seen.opened;
    (side === 'client' ? peer : remote).abort();
    const [ours, theirs] = side === 'client' ? [client, seen] : [seen, client];
    assert.equal((await ours.ended).cause.code, 'WS_ABORTED');
    assert.equal((await theirs.ended).cause.code, 'WS_TRANSPORT');
  }
  seen = watch();
  const { handlers } = watch();
  const peer = await connect('ws://example.com/', { http2: session, handlers });
  await seen.opened;
  transportOf(peer).socket.end();
  assert.equal((await seen.ended).cause.code, 'WS_EOF');
});

for (const [what, bytes, code, cause] of /** @type {const} */ ([
  ['a close frame', [0x81, 1, 0x61, 0x81, 1, 0x62, 0x88, 2, 3, 0xe8], 0, null],
  ['none', [0x81, 1, 0x61, 0x81, 1, 0x62], 0, 'WS_EOF'],
  ['none, and a reset that says more', [0x81, 1, 0x61, 0x81, 1, 0x62], CANCEL, 'WS_TRANSPORT'],
])) {
  http2(`an end behind ${what} is one though a reset follows it while nobody reads (RFC 9113 section 8.1)`, async () => {
    const server = createServer({ settings: { enableConnectProtocol: true } });
    server.on('stream', (/** @type {import('node:http2').ServerHttp2Stream} */ stream) => {
      stream.respond({ ':status': 200 });
      stream.on('error', () => {}).once('data', () => stream.end(Buffer.from(bytes), () => stream.close(code)));
    });
    const { port } = await started(server);
    const { handlers, ended, next } = watch();
    const peer = await connect(`ws://127.0.0.1:${port}/`, { http2: true, handlers });
    const aborted = deferred();
    transportOf(peer).socket.once('aborted', aborted.resolve);
    peer.pause();
    peer.send('go');
    await aborted.promise;
    // A turn more, in which the runtime has told all of it.
    await new Promise((resolve) => setImmediate(resolve));
    peer.resume();
    const info = /** @type {import('@ferrywire/core').EndInfo} */ (await ended);
    if (code === 0) assert.deepEqual([await next(), await next()], ['a', 'b']);
    if (cause !== null) assert.equal(info.cause?.code, cause);
    else {
      assert.equal(info.received?.code, 1000);
      // Bun has closed the stream by then, so that our close frame cannot go out.
      assert.notEqual(info.cause?.code, 'WS_TRANSPORT');
    }
  });
}

http2('a session that is lost behind an end that nobody has read yet takes what came before it: no end', async () => {
  const server = createServer({ settings: { enableConnectProtocol: true } });
  const bytes = [0x81, 1, 0x61, 0x81, 1, 0x62];
  let lose = () => {};
  server.on('stream', (/** @type {import('node:http2').ServerHttp2Stream} */ stream) => {
    lose = () => stream.session?.destroy();
    stream.respond({ ':status': 200 });
    stream.on('error', () => {}).once('data', () => stream.end(Buffer.from(bytes)));
  });
  const { port } = await started(server);
  const { handlers, ended } = watch();
  const peer = await connect(`ws://127.0.0.1:${port}/`, { http2: true, handlers });
  const { socket: stream } = transportOf(peer);
  peer.pause();
  peer.send('go');
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  for (let turns = 0; turns < 10_000 && stream.readableLength < bytes.length; turns++) await turn();
  // The end, too.
  for (let turns = 0; turns < 20; turns++) await turn();
  assert.equal(stream.readableLength, bytes.length);
  lose();
  assert.equal((await ended).cause?.code, 'WS_TRANSPORT');
});

http2('a session that is lost takes its WebSockets with it, on both sides', async () => {
  const server = createServer();
  const remote = watch();
  attach(server, { handlers: remote.handlers });
  const { port, sessions } = await started(server);
  const local = watch();
  await connect(`ws://127.0.0.1:${port}/`, { http2: true, handlers: local.handlers });
  await remote.opened;
  for (const session of sessions) session.destroy();
  for (const side of [local, remote]) {
    const { clean, code } = await side.ended;
    assert.deepEqual([clean, code], [false, 1006]);
  }
});

http2('what is open goes on after GOAWAY, what is new is refused', async () => {
  const server = createServer();
  attach(server, { handlers: echo });
  const { port, sessions } = await started(server);
  const session = sessionTo(port);
  const { handlers, next, ended } = watch();
  const peer = await connect('ws://example.com/', { http2: session, handlers });
  const goaway = deferred();
  session.once('goaway', goaway.resolve);
  for (const served of sessions) served.close();
  await goaway.promise;
  assert.equal((await refusal(connect('ws://example.com/', { http2: session }))).code, 'WS_CONNECT_REFUSED');
  peer.send('still here');
  assert.equal(await next(), 'still here');
  peer.close(1000);
  assert.equal((await ended).clean, true);
});

http2('refusals: not allowed, 400 for a version, 404, a reset, 408', async () => {
  const plain = createServer();
  plain.on('stream', (stream) => stream.close(CANCEL));
  const closed = await started(plain);
  const denied = await refusal(connect(`ws://127.0.0.1:${closed.port}/`, { http2: true }));
  assert.deepEqual([denied.code, denied.handshake], ['WS_CONNECT_HANDSHAKE', 'WS_HS_UPGRADE']);

  const resetting = createServer({ settings: { enableConnectProtocol: true } });
  resetting.on('stream', (stream) => stream.on('error', () => {}).close(7));
  const { port } = await started(resetting);
  assert.equal((await refusal(connect(`ws://127.0.0.1:${port}/`, { http2: true }))).code, 'WS_CONNECT_REFUSED');

  const server = await listen({
    http2: true,
    policy: { path: '/here' },
    timeouts: { opening: 1000 },
    handlers: { onRequest: (pending) => void (pending.request.target !== '/never' && pending.accept()) },
  });
  cleanups.push(() => server.close({ deadline: 0 }));
  const missing = await refusal(connect(`${server.url}elsewhere`, { http2: true }));
  assert.deepEqual([missing.response.status, new TextDecoder().decode(missing.body).length > 0], [404, true]);
  const late = await refusal(connect(`${server.url}never`, { http2: true }));
  assert.deepEqual([late.code, late.response.status], ['WS_CONNECT_HANDSHAKE', 408]);

  const session = sessionTo(server.port);
  const status = deferred();
  const head = { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':authority': 'a', ':path': '/here' };
  session.once('remoteSettings', () => {
    const stream = session.request({ ...head, 'sec-websocket-version': '8' }, { endStream: false });
    stream
      .on('error', () => {})
      .once('response', (headers) => {
        status.resolve([headers[':status'], headers['sec-websocket-version']]);
        stream.close(CANCEL);
      });
  });
  assert.deepEqual(await status.promise, [400, '13']);
});

http2('a peer that does not take its messages holds up the sender, and nobody else', async () => {
  const peers = deferred();
  const server = createServer();
  attach(server, {
    limits: { maxMessageSize: 8_000_000 },
    handlers: {
      ...echo,
      onOpen(peer, { request }) {
        if (request?.target !== '/paused') return;
        peer.pause();
        peers.resolve(peer);
      },
    },
  });
  const { port } = await started(server);
  const session = sessionTo(port);
  const options = { http2: session, limits: { maxMessageSize: 8_000_000 } };
  const blocked = watch();
  const sender = await connect('ws://example.com/paused', { ...options, handlers: blocked.handlers });
  const paused = await peers.promise;
  sender.send(new Uint8Array(3_000_000).fill(9));
  const other = watch();
  const free = await connect('ws://example.com/free', { ...options, handlers: other.handlers });
  for (let round = 0; round < 20; round++) {
    free.send(`round ${round}`);
    assert.equal(await other.next(), `round ${round}`);
  }
  assert.equal(sender.writable, false);
  assert.ok(sender.bufferedAmount > 1_000_000, `${sender.bufferedAmount} bytes are held`);
  paused.resume();
  const back = await blocked.next();
  assert.deepEqual([back?.length, back?.[2_999_999], sender.bufferedAmount], [3_000_000, 9, 0]);
});

http2('a client that reads nothing holds up neither abort() nor close(), and its other stream lives on', async () => {
  const server = createServer({ maxSessionMemory: 100 });
  /** @type {import('@ferrywire/node').Peer[]} */
  const peers = [];
  const ended = deferred();
  const attached = attach(server, {
    handlers: { ...echo, onOpen: (peer) => void peers.push(peer), onEnd: (_peer, info) => ended.resolve(info) },
  });
  const relay = await relayTo((await started(server)).port);
  const session = sessionTo(relay.port, { settings: { initialWindowSize: WIDE } });
  session.once('connect', () => session.setLocalWindowSize?.(WIDE));
  const first = watch();
  const second = watch();
  await connect('ws://example.com/', { http2: session, handlers: first.handlers });
  const other = await connect('ws://example.com/', { http2: session, handlers: second.handlers });
  const [peer] = peers;
  assert.ok(peer !== undefined);
  relay.stop();
  peer.send(new Uint8Array(FLOOD));
  peer.driver.pump();
  assert.equal(peer.writable, false);
  const gone = deferred();
  transportOf(peer).socket.once('close', gone.resolve);
  peer.abort();
  await gone.promise;
  assert.deepEqual([(await ended.promise).cause.code, attached.peers.size], ['WS_ABORTED', 1]);
  other.send('still here');
  relay.go();
  assert.equal(await second.next(), 'still here');
  assert.equal((await first.ended).clean, false);

  const own = await listen({ http2: true, handlers: { onOpen: (opened) => void peers.push(opened) } });
  const again = await relayTo(own.port);
  const client = sessionTo(again.port, { settings: { initialWindowSize: WIDE } });
  client.once('connect', () => client.setLocalWindowSize?.(WIDE));
  await connect('ws://example.com/', { http2: client });
  again.stop();
  peers.at(-1)?.send(new Uint8Array(FLOOD));
  await own.close({ deadline: 100 });
  assert.equal(own.peers.size, 0);
});

http2('a server that reads nothing does not hold up abort() of a client', async () => {
  const server = createServer({ settings: { enableConnectProtocol: true, initialWindowSize: WIDE } });
  server.on('session', (session) => session.setLocalWindowSize?.(WIDE));
  server.on('stream', (/** @type {import('node:http2').ServerHttp2Stream} */ stream) => {
    stream.on('error', () => {});
    stream.resume();
    stream.respond({ ':status': 200 });
  });
  const relay = await relayTo((await started(server)).port);
  const { handlers, ended } = watch();
  const socket = connectTcp({ port: relay.port, host: '127.0.0.1' });
  const closed = deferred();
  socket.once('close', closed.resolve);
  const peer = await connect('ws://example.com/', { http2: true, connect: () => socket, handlers });
  relay.stop();
  peer.send(new Uint8Array(FLOOD));
  peer.driver.pump();
  peer.abort();
  assert.equal((await ended).cause.code, 'WS_ABORTED');
  await closed.promise;
  assert.equal(peer.driver.isClosed, true);
});

http2('no stream free: the deadline and the signal hold all the same', async () => {
  const full = createServer({ settings: { enableConnectProtocol: true, maxConcurrentStreams: 0 } });
  const { port } = await started(full);
  const url = `ws://127.0.0.1:${port}/`;
  assert.equal((await refusal(connect(url, { http2: true, timeouts: { opening: 100 } }))).code, 'WS_CONNECT_TIMEOUT');
  const session = sessionTo(port);
  assert.equal((await refusal(connect(url, { http2: session, timeouts: { opening: 100 } }))).code, 'WS_CONNECT_TIMEOUT');
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 50);
  assert.equal((await refusal(connect(url, { http2: session, signal: controller.signal }))).code, 'WS_CONNECT_ABORTED');
  assert.equal(session.destroyed, false);
});

http2('a refusal whose body the server does not end', async () => {
  const stalling = createServer({ settings: { enableConnectProtocol: true } });
  stalling.on('stream', (/** @type {import('node:http2').ServerHttp2Stream} */ stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 401 });
    stream.write('who are');
  });
  const { port } = await started(stalling);
  const late = await refusal(connect(`ws://127.0.0.1:${port}/`, { http2: true, timeouts: { opening: 1000 } }));
  assert.deepEqual([late.code, late.response?.status, new TextDecoder().decode(late.body)], ['WS_CONNECT_HANDSHAKE', 401, 'who are']);
});

http2('a refusal of which the client takes nothing, however much is written', async () => {
  const refused = deferred();
  const server = await listen({
    http2: true,
    timeouts: { closing: 200 },
    handlers: {
      onRequest(pending) {
        const writer = pending.startRejection(403);
        const timer = setInterval(() => writer.write(new Uint8Array(20_000)), 10);
        cleanups.push(() => clearInterval(timer));
      },
      onRefused: (...what) => refused.resolve(what),
    },
  });
  cleanups.push(() => server.close({ deadline: 0 }));
  const stream = sessionTo(server.port).request({ ':path': '/' });
  stream.on('error', () => {}).pause();
  assert.deepEqual(await refused.promise, [403, 'WS_HS_TIMEOUT']);
});

for (const state of ['flowing', 'paused']) {
  http2(`goes over a stream of the connect hook that is no socket, and ends with it (${state})`, async () => {
    const server = await listen({ http2: true, handlers: echo });
    cleanups.push(() => server.close({ deadline: 0 }));
    const { handlers, ended, next } = watch();
    const [near, far] = duplexPair();
    const socket = connectTcp(server.port, '127.0.0.1');
    for (const stream of [socket, far]) stream.on('error', () => {});
    far.pipe(socket).pipe(far);
    // As whoever has read from it before leaves it.
    if (state === 'paused') near.pause();
    const peer = await connect('ws://a/', { http2: true, connect: () => near, handlers, timeouts: { opening: 3000 } });
    cleanups.push(() => peer.abort());
    peer.send('over it');
    assert.equal(await next(), 'over it');
    await server.close({ code: 1012 });
    const { clean, code } = await ended;
    assert.deepEqual([clean, code], [true, 1012]);
  });
}

http2('knows that such a stream has ended, though what was written to it is not read', async () => {
  const [near, far] = duplexPair();
  far.end();
  const error = await refusal(connect('ws://a/', { http2: true, connect: () => near, timeouts: { opening: 0 } }));
  assert.equal(error.code, 'WS_CONNECT_REFUSED');
});

http2('closing a listener: close frames, GOAWAY, and nothing is left', async () => {
  const server = await listen({ http2: true, handlers: echo });
  const session = sessionTo(server.port);
  const gone = deferred();
  session.once('close', gone.resolve);
  const { handlers, ended } = watch();
  await connect(server.url, { http2: session, handlers });
  await server.close({ code: 1012 });
  const { clean, code } = await ended;
  assert.deepEqual([clean, code], [true, 1012]);
  await gone.promise;
  assert.equal(server.peers.size, 0);
});

http2.run();
