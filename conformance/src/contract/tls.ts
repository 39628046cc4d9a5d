/** TLS: contents and closing as without it, and one clear error where it fails. */
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import type { EndpointErrorCode, Peer } from '@ferrywire/driver';
import type { AdapterUnderTest } from './adapter.ts';
import { type ContractCase, contractCase, equal, failsWith } from './case.ts';
import { type Certificate, certificate } from './certificate.ts';
import { type HostName, here } from './hosts.ts';
import type { RawPeer } from './raw.ts';
import { digest, pattern, type Scope, type Serving } from './support.ts';
import { Queue, turn, until, within } from './wait.ts';

async function serve(scope: Scope): Promise<Serving & { readonly ca: string; readonly local: string }> {
  const { key, cert } = await certificate();
  const serving = await scope.serve({ tls: { key, cert } });
  return { ...serving, ca: cert, local: serving.url.replace('127.0.0.1', 'localhost') };
}

async function contents(scope: Scope): Promise<void> {
  const { ca, url, opened, ends } = await serve(scope);
  equal(url.startsWith('wss://'), true, 'a wss: URL');
  let received = 0;
  let wrong = 0;
  const sizes = [0, 1, 125, 126, 16_384, 65_536, 1_000_000, 3_000_000];
  const client = await scope.connect(url, {
    servername: 'localhost',
    tls: { ca },
    handlers: {
      onMessage(peer, data) {
        if (digest(data) !== digest(pattern(sizes[received] ?? 0, received++))) wrong++;
        // A slow reader, so that both sides stall.
        peer.pause();
        setImmediate(() => peer.resume());
      },
    },
  });
  await opened.next('open');
  for (const [index, size] of sizes.entries()) client.peer.send(pattern(size, index));
  await until(() => received === sizes.length, 'all echoes');
  equal(wrong, 0, 'messages that came back changed');
  client.peer.close(1000);
  const [local, remote] = [await client.ends.next("the client's end"), await ends.next("the server's end")];
  equal([local.clean, remote.clean], [true, true], 'clean ends');
}

async function closedByTheServer(scope: Scope): Promise<void> {
  const { ca, url, opened, ends } = await serve(scope);
  const client = await scope.connect(url, { servername: 'localhost', tls: { ca } });
  const peer = await opened.next('open');
  for (let index = 0; index < 50; index++) peer.send(pattern(50_000, index));
  peer.close(4000);
  equal((await client.ends.next("the client's end")).clean, true, "the client's end");
  equal(client.messages.count, 50, 'messages before the end');
  equal((await ends.next("the server's end")).clean, true, "the server's end");
}

async function refused(scope: Scope): Promise<void> {
  const { adapter } = scope;
  const { ca, url, port, opened } = await serve(scope);
  const dial = (to: string, options: object, code: EndpointErrorCode): Promise<unknown> =>
    failsWith(within(adapter.connect(to, { handlers: {}, ...options }), 'connect to fail'), code);
  await dial(url, { servername: 'localhost' }, 'WS_CONNECT_TLS');
  await dial(url, { servername: 'example.com', tls: { ca } }, 'WS_CONNECT_TLS');
  await dial(url, { tls: { ca } }, 'WS_CONNECT_TLS');
  const plain = await scope.serve();
  await dial(plain.url.replace('ws:', 'wss:'), { servername: 'localhost', tls: { ca } }, 'WS_CONNECT_TLS');
  // Somebody who does not speak TLS, and somebody who says nothing at all, harm nobody.
  const garbage = await scope.raw(port, false);
  garbage.text('GET / HTTP/1.1\r\n\r\n');
  await within(garbage.finished, 'the end of a connection without TLS');
  await scope.raw(port, false);
  const client = await scope.connect(url, { servername: 'localhost', tls: { ca } });
  client.peer.send('still here');
  equal(await client.messages.next('the echo'), 'still here', 'the echo');
  equal(opened.count, 1, 'connections opened');
}

/** Over a unix socket: the name is the URL's, and it is checked. */
async function unixSocket(scope: Scope): Promise<void> {
  const { key, cert } = await certificate();
  const folder = mkdtempSync(join(tmpdir(), 'ferrywire-'));
  scope.defer(() => rmSync(folder, { recursive: true, force: true }));
  const socketPath = join(folder, 'socket');
  await scope.serve({ socketPath, tls: { key, cert } });
  const tls = { ca: cert };
  for (const [url, options] of [
    ['wss://localhost/', {}],
    ['wss://127.0.0.1/', { servername: 'localhost' }],
  ] as const) {
    const client = await scope.connect(url, { socketPath, tls, ...options });
    client.peer.send('sealed');
    equal(await client.messages.next('the echo'), 'sealed', 'the echo');
  }
  for (const [url, options] of [
    ['wss://127.0.0.1/', {}],
    ['wss://other.example/', {}],
    ['wss://localhost/', { servername: 'other.example' }],
  ] as const) {
    const connecting = scope.adapter.connect(url, { handlers: {}, socketPath, tls, ...options });
    await failsWith(within(connecting, 'connect to fail'), 'WS_CONNECT_TLS');
  }
}

/** A server that goes before TLS is agreed on, however it does so: found then, and not at the deadline. */
async function leftEarly(scope: Scope): Promise<void> {
  for (const how of ['end', 'destroy', 'resetAndDestroy'] as const) {
    const server = createServer((socket) => void socket.on('error', () => {}).once('data', () => socket[how]()));
    scope.defer(() => server.close());
    await within(new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)), 'a TCP listener');
    const { port } = server.address() as AddressInfo;
    const connecting = scope.adapter.connect(`wss://localhost:${port}/`, { handlers: {}, timeouts: { opening: 0 } });
    await failsWith(within(connecting, `connect to fail (${how})`), 'WS_CONNECT_TLS');
  }
}

/** Who is not trusted, and who does not answer in time, is left. */
async function leaves(scope: Scope): Promise<void> {
  const { port } = await serve(scope);
  const open = new Set<Socket>();
  let connections = 0;
  const dialled = async (onConnection: (socket: Socket) => void): Promise<string> => {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      connections += 1;
      open.add(socket);
      socket
        .on('error', () => {})
        .on('end', () => socket.end())
        .on('close', () => open.delete(socket));
      scope.defer(() => socket.destroy());
      onConnection(socket);
    });
    scope.defer(() => server.close());
    await within(new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)), 'a TCP listener');
    return `wss://localhost:${(server.address() as AddressInfo).port}/`;
  };
  const relay = await dialled((near) => {
    const far = connect({ port, host: '127.0.0.1' }).on('error', () => {});
    scope.defer(() => far.destroy());
    near.pipe(far).pipe(near, { end: false });
  });
  const silent = await dialled((socket) => void socket.resume());
  await failsWith(within(scope.adapter.connect(relay, { handlers: {} }), 'connect to fail'), 'WS_CONNECT_TLS');
  await until(() => connections === 1 && open.size === 0, 'the server that is not trusted to be left');
  // On a busy machine the deadline may pass before there is a connection.
  for (let opening = 100; connections === 1 && opening < 10_000; opening *= 2) {
    const connecting = scope.adapter.connect(silent, { handlers: {}, timeouts: { opening } });
    await failsWith(within(connecting, 'connect to fail'), 'WS_CONNECT_TIMEOUT');
  }
  // On Deno nothing ends a connection that is busy with TLS.
  if (here !== 'deno') await until(() => connections > 1 && open.size === 0, 'the server that does not answer to be left');
}

/** The opening deadline covers TLS: a server that does not answer its hello. */
async function silence(scope: Scope): Promise<void> {
  const url = await scope.rawServer(() => {});
  const connecting = scope.adapter.connect(url.replace('ws:', 'wss:'), { handlers: {}, timeouts: { opening: 100 } });
  await failsWith(within(connecting, 'connect to fail'), 'WS_CONNECT_TIMEOUT');
}

/** What is asked for is a name and never an address (RFC 6066 section 3), and nothing else is said of either. */
async function names(scope: Scope): Promise<void> {
  const hellos = new Queue<string>();
  const server = createServer((socket) => {
    socket
      .on('error', () => {})
      .once('data', (hello) => {
        hellos.push(hello.toString('latin1'));
        socket.destroy();
      });
  });
  scope.defer(() => server.close());
  await within(new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)), 'a TCP listener');
  const { port } = server.address() as AddressInfo;
  for (const [host, servername, asked] of [
    ['localhost', undefined, 'localhost'],
    ['127.0.0.1', undefined, null],
    ['127.0.0.1', 'name.example', 'name.example'],
  ] as const) {
    const options = servername === undefined ? {} : { servername };
    const connecting = scope.adapter.connect(`wss://${host}:${port}/`, { handlers: {}, ...options });
    await failsWith(within(connecting, 'connect to fail'), 'WS_CONNECT_TLS');
    const hello = await hellos.next('a ClientHello');
    for (const name of ['localhost', '127.0.0.1', 'name.example'])
      equal(hello.includes(name), name === asked, `${name} in the hello for ${host}`);
  }
}

/** Ends in the middle: TCP ends without a close frame and without TLS's own end. */
async function torn(scope: Scope): Promise<void> {
  const { ca, url, opened } = await serve(scope);
  const client = await scope.connect(url, { servername: 'localhost', tls: { ca } });
  (await opened.next('open')).abort();
  equal((await client.ends.next("the client's end")).code, 1006, 'the code');
}

/** A peer that ends its side behind what nobody reads yet, in one record with it: it is let go once that was read, without a deadline. */
async function endedAndHeld(scope: Scope): Promise<void> {
  const { key, cert } = await certificate();
  const handlers = {
    onOpen: (peer: Peer) => peer.pause(),
    onMessage(peer: Peer) {
      peer.pause();
      setImmediate(() => peer.resume());
    },
  };
  const { listening, port, opened, ends } = await scope.serve({ tls: { key, cert }, timeouts: { closing: 0 }, handlers });
  // Whether the end is read with the frames or by itself is for the system to say.
  for (let round = 0; round < 10; round++) {
    const socket = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca: cert });
    scope.defer(() => socket.destroy());
    socket.on('error', () => {});
    await within(new Promise<void>((resolve) => socket.once('secureConnect', resolve)), 'TLS');
    const answered = new Promise((resolve) => socket.once('data', resolve));
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n');
    socket.write('Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
    await within(answered, 'the response');
    const peer = await opened.next('open');
    const frames = Uint8Array.of(0x81, 0x80, 0, 0, 0, 0, 0x81, 0x80, 0, 0, 0, 0, 0x88, 0x82, 0, 0, 0, 0, 3, 0xe8);
    await within(new Promise<void>((resolve) => socket.end(frames, resolve)), 'the frames and the end to be sent');
    for (let turns = 0; turns < 20; turns++) await turn();
    peer.resume();
    equal((await ends.next('the end')).clean, true, 'a clean end');
    await until(() => listening.peers.size === 0, 'the peer to be let go');
  }
}

/** TCP ends in order and TLS does not, as servers that leave do it: an end as any other, and nothing that broke. */
async function unsaid(scope: Scope): Promise<void> {
  const { ca, port, opened } = await serve(scope);
  const leaving = new Queue<() => void>();
  const relay = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port, host: '127.0.0.1' });
    for (const socket of [near, far]) socket.on('error', () => {});
    scope.defer(() => {
      near.destroy();
      far.destroy();
    });
    near.pipe(far).pipe(near, { end: false });
    leaving.push(() => {
      far.unpipe(near);
      near.end();
    });
  });
  scope.defer(() => relay.close());
  await within(new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve)), 'a TCP listener');
  const { port: relayed } = relay.address() as AddressInfo;
  const client = await scope.connect(`wss://localhost:${relayed}/`, { tls: { ca } });
  await opened.next('open');
  (await leaving.next('the connection'))();
  equal((await client.ends.next("the client's end")).cause?.code, 'WS_EOF', 'why it ended');
}

/** Clients that do not finish TLS, and do not go away either: the listener lets them go at the opening deadline. */
async function unfinished(scope: Scope): Promise<void> {
  const { key, cert } = await certificate();
  const { port, opened } = await scope.serve({ tls: { key, cert }, timeouts: { opening: 100 } });
  // The start of a record of 512 bytes with a ClientHello.
  const hello = Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0);
  const garbage = new TextEncoder().encode('GET / HTTP/1.1\r\n\r\n');
  const clients: RawPeer[] = [];
  for (const bytes of [new Uint8Array(0), hello.subarray(0, 1), hello, garbage]) {
    for (const ends of [false, true]) {
      const raw = await scope.raw(port, false);
      if (bytes.length > 0) raw.write(bytes);
      if (ends) raw.end();
      clients.push(raw);
    }
  }
  for (const [index, raw] of clients.entries()) await within(raw.finished, `the end of client ${index}`);
  equal(opened.count, 0, 'connections opened');
}

/** A certificate that nobody vouches for, and with another name, is taken where none is to be checked; one that is to be is not, afterwards too. */
async function unchecked(scope: Scope): Promise<void> {
  const { key, cert } = await certificate('other.example');
  const { url, opened } = await scope.serve({ tls: { key, cert } });
  const local = url.replace('127.0.0.1', 'localhost');
  for (const [to, servername] of [[local], [url, 'third.example']] as const) {
    const tls = { rejectUnauthorized: false } as unknown as { readonly ca: string };
    const client = await scope.connect(to, { tls, ...(servername === undefined ? {} : { servername }) });
    client.peer.send('unchecked');
    equal(await client.messages.next('the echo'), 'unchecked', 'the echo');
    await failsWith(within(scope.adapter.connect(to, { handlers: {} }), 'connect to fail'), 'WS_CONNECT_TLS');
    await failsWith(within(scope.adapter.connect(to, { handlers: {}, tls: { ca: cert } }), 'connect to fail'), 'WS_CONNECT_TLS');
  }
  equal(opened.count, 2, 'connections opened');
  const plain = await scope.serve();
  const tls = { rejectUnauthorized: false } as unknown as { readonly ca: string };
  await failsWith(
    within(scope.adapter.connect(plain.url.replace('ws:', 'wss:'), { handlers: {}, tls }), 'connect to fail'),
    'WS_CONNECT_TLS',
  );
}

/** What is wrong with the options is a TypeError that names them, on every runtime, whether somebody could be dialled or not. */
async function mistakes({ adapter }: Scope): Promise<void> {
  const [own, other] = [await certificate(), await certificate('other.example')];
  // The label is right and what it is on is not.
  const broken = own.cert.replace(/\n..../, '\nAAAA');
  const both: readonly object[] = [
    { cert: own.cert },
    { key: own.key },
    { key: own.key, cert: other.cert },
    { key: 'nonsense', cert: own.cert },
    { key: own.key, cert: 'nonsense' },
    { key: own.key, cert: broken },
  ];
  const named = async (attempt: Promise<unknown>, tls: object): Promise<void> => {
    const said = await within(attempt, 'a mistake to be found').then(
      () => 'nothing',
      (error: unknown) => (error instanceof TypeError ? error.message.slice(0, 11) : `${error}`),
    );
    equal(said, 'options.tls', `what is said of ${JSON.stringify(tls).replace(/\\n[^"]*/g, '')}`);
  };
  for (const tls of [{}, ...both]) {
    await named(adapter.listen({ host: '127.0.0.1', port: 0, handlers: {}, tls: tls as Certificate }), tls);
  }
  for (const tls of [{ ca: 'nonsense' }, { ca: '' }, { ca: broken }, { ca: [own.cert, 'nonsense'] }, ...both]) {
    await named(adapter.connect('wss://127.0.0.1:1/', { handlers: {}, tls: { ca: own.cert, ...(tls as object) } }), tls);
  }
}

export function tlsCases(adapter: AdapterUnderTest, host: HostName): ContractCase[] {
  const named = (name: string, body: (scope: Scope) => Promise<void>): ContractCase => contractCase(adapter, `tls: ${name}`, body);
  return [
    named('contents up to 3 MB with a slow reader', contents),
    named('a server that closes behind much data', closedByTheServer),
    named('failures', refused),
    // Over streams, dialling is somebody else's.
    ...(adapter.capabilities.tls ? [named('a server that says nothing', silence)] : []),
    ...(adapter.capabilities.tls && host !== 'deno' ? [named('certificates that are not to be checked', unchecked)] : []),
    ...(adapter.capabilities.tls ? [named('the name it asks for', names)] : []),
    ...(adapter.capabilities.tls ? [named('servers that are left', leaves)] : []),
    ...(adapter.capabilities.tls ? [named('a server that leaves before it is agreed on', leftEarly)] : []),
    // Deno has none there.
    ...(adapter.capabilities.unixSockets && host !== 'deno' ? [named('over a unix socket', unixSocket)] : []),
    ...(adapter.capabilities.tls ? [named('mistakes in its options', mistakes)] : []),
    // Deno closes no connection that is busy with TLS; over streams, listening is somebody else's.
    ...(adapter.capabilities.tls && host !== 'deno' ? [named('clients that do not finish it', unfinished)] : []),
    named('an abrupt end', torn),
    named('a peer that ends behind what is not read yet', endedAndHeld),
    named('an end that only TCP tells of', unsaid),
  ];
}
