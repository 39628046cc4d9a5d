/** What an adapter says it can do, and where it does not run. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Opcode } from '@ferrywire/core/frame';
import type { Capabilities, EndpointErrorCode, Listening, Peer, PeerHandlers } from '@ferrywire/driver';
import type { AdapterUnderTest } from './adapter.ts';
import { type ContractCase, contractCase, equal, failsWith, ok } from './case.ts';
import { certificate } from './certificate.ts';
import { type HostName, here, hostNamed } from './hosts.ts';
import { digest, pattern, type Scope } from './support.ts';
import { Queue, until, within } from './wait.ts';

async function unixSocket(scope: Scope): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ferrywire-'));
  scope.defer(() => rmSync(folder, { recursive: true, force: true }));
  const socketPath = join(folder, 'socket');
  const { listening } = await scope.serve({ socketPath });
  equal([listening.port, listening.host], [0, socketPath], 'where it listens');
  const client = await scope.connect('ws://localhost/', { socketPath });
  client.peer.send(pattern(300_000, 1));
  const echo = await client.messages.next('the echo');
  equal(digest(echo), digest(pattern(300_000, 1)), 'the echo');
  await failsWith(scope.adapter.connect('ws://localhost/', { handlers: {}, socketPath: join(folder, 'nobody') }), 'WS_CONNECT_REFUSED');
  const listen = (path: string): Promise<unknown> => scope.adapter.listen({ host: '127.0.0.1', port: 0, handlers: {}, socketPath: path });
  await failsWith(listen(socketPath), 'WS_LISTEN_IN_USE');
  await failsWith(listen(join(folder, 'missing', 'socket')), 'WS_LISTEN_HOST');
}

/** What `transportOf` knows of each side, and of whom it knows nothing. */
async function socketInfo(scope: Scope): Promise<void> {
  const { transportOf = () => null } = scope.adapter;
  const known = (peer: Peer): unknown[] => {
    const { remoteAddress, remotePort, encrypted } = transportOf(peer) ?? {};
    return [remoteAddress, remotePort, encrypted];
  };
  const plain = await scope.serve();
  const client = await scope.connect(plain.url);
  equal(known(client.peer), ['127.0.0.1', plain.port, false], 'what a client knows');
  await plain.opened.next('open');
  const raw = await scope.raw(plain.port);
  equal(known(await plain.opened.next('open')), ['127.0.0.1', raw.socket.localPort, false], 'what a server knows');

  const { key, cert } = await certificate();
  const secure = await scope.serve({ tls: { key, cert } });
  const sealed = await scope.connect(secure.url, { servername: 'localhost', tls: { ca: cert } });
  equal(known(sealed.peer), ['127.0.0.1', secure.port, true], 'what a client knows over TLS');
  const [remoteAddress, , encrypted] = known(await secure.opened.next('open'));
  equal([remoteAddress, encrypted], ['127.0.0.1', true], 'what a server knows over TLS');

  const folder = mkdtempSync(join(tmpdir(), 'ferrywire-'));
  scope.defer(() => rmSync(folder, { recursive: true, force: true }));
  const socketPath = join(folder, 'socket');
  const local = await scope.serve({ socketPath });
  const near = await scope.connect('ws://localhost/', { socketPath });
  const far = await local.opened.next('open');
  for (const peer of [near.peer, far]) equal(known(peer), [null, null, false], 'what is known on a unix socket');

  try {
    known({ transport: {} } as Peer);
  } catch (error) {
    ok(error instanceof TypeError, `a TypeError for a stranger, not ${String(error)}`);
    return;
  }
  throw new Error('transportOf took a stranger');
}

/** What `write()` leaves behind: nothing where the host takes bytes at once. */
async function synchronousWrite(scope: Scope): Promise<void> {
  const { url } = await scope.serve();
  const client = await scope.connect(url);
  client.peer.send('small');
  client.peer.driver.pump();
  equal(client.peer.bufferedAmount === 0, scope.adapter.capabilities.synchronousWrite, 'nothing is left right after a write');
  equal(await client.messages.next('the echo'), 'small', 'the echo');
}

async function resetSent(scope: Scope): Promise<void> {
  const { port, opened } = await scope.serve();
  const raw = await scope.raw(port);
  (await opened.next('open')).abort();
  const how = await within(raw.finished, 'the end');
  // `node:net` of Bun shows a reset as an end.
  if (here !== 'bun') equal(how, scope.adapter.capabilities.resetSent ? 'reset' : 'eof', 'how the connection ended');
}

/** What is thrown outside from here to the end of the case. */
function thrownOutside(scope: Scope): string[] {
  const thrown: string[] = [];
  const listener = (error: unknown): void => void thrown.push(String(error));
  process.on('uncaughtException', listener);
  scope.defer(() => process.off('uncaughtException', listener));
  return thrown;
}

/** With these handlers alone, to the end of the case: `scope.serve` has an `onError` of its own. */
async function listenFor(scope: Scope, handlers: PeerHandlers): Promise<Listening> {
  const listening = await scope.adapter.listen({ host: '127.0.0.1', port: 0, handlers });
  scope.defer(() => listening.close({ deadline: 0 }));
  return listening;
}

/** A handler that throws, and nobody who asked to hear of it: an uncaught exception, and a close frame that says 1011. */
async function uncaught(scope: Scope): Promise<void> {
  const thrown = thrownOutside(scope);
  const listening = await listenFor(scope, {
    onMessage() {
      throw new Error('on purpose');
    },
  });
  const raw = await scope.raw(listening.port);
  raw.send(Opcode.Text, new TextEncoder().encode('go'));
  const close = await raw.next(Opcode.Close);
  equal([...close.subarray(0, 2)], [1011 >> 8, 1011 & 255], 'the close code');
  equal(await within(raw.finished, 'the end'), 'eof', 'how the server ended');
  equal(thrown, ['Error: on purpose'], 'what was thrown outside');
}

/** The same at the end, in order and by a reset, on the side that did not ask for it: nothing is left of the connection. */
async function uncaughtAtTheEnd(scope: Scope): Promise<void> {
  const thrown = thrownOutside(scope);
  const throwing: PeerHandlers = {
    onEnd() {
      throw new Error('at the end');
    },
  };
  const opened = new Queue<Peer>();
  const meet = async (onServer: PeerHandlers, onClient: PeerHandlers) => {
    const handlers: PeerHandlers = { ...onServer, onOpen: (peer) => opened.push(peer) };
    const listening = await listenFor(scope, handlers);
    const client = await within(scope.adapter.connect(listening.url, { handlers: onClient }), 'connect');
    scope.defer(() => client.driver.isClosed || client.abort());
    return { listening, client, server: await opened.next('open') };
  };
  const gone = async ({ listening, client, server }: Awaited<ReturnType<typeof meet>>): Promise<void> => {
    await until(() => listening.peers.size === 0, 'the peer to be let go');
    await until(() => server.driver.isClosed && client.driver.isClosed, 'the transports to be closed');
  };
  for (const end of [(peer: Peer) => void peer.close(1000), (peer: Peer) => peer.abort()]) {
    const atServer = await meet(throwing, {});
    end(atServer.client);
    await gone(atServer);
    const atClient = await meet({}, throwing);
    end(atClient.server);
    await gone(atClient);
  }
  equal(thrown, Array(4).fill('Error: at the end'), 'what was thrown outside');
}

/** The same while the listener closes: every peer is dropped at the deadline, and `close` resolves. */
async function uncaughtWhileClosing(scope: Scope): Promise<void> {
  const thrown = thrownOutside(scope);
  const listening = await listenFor(scope, {
    onEnd() {
      throw new Error('at the end');
    },
  });
  const raws = [await scope.raw(listening.port), await scope.raw(listening.port), await scope.raw(listening.port)];
  equal(listening.peers.size, 3, 'peers');
  await within(listening.close({ deadline: 0 }), 'the listener to close');
  equal(listening.peers.size, 0, 'peers');
  await within(Promise.all(raws.map(({ finished }) => finished)), 'the connections to be dropped');
  equal(thrown, Array(3).fill('Error: at the end'), 'what was thrown outside');
}

/** An async handler that rejects: its promise is nobody's, as elsewhere on the runtime, so that it is not lost, and the connection goes on. */
async function unhandled(scope: Scope): Promise<void> {
  const rejected = new Queue<string>();
  const told: unknown[] = [];
  const listener = (error: unknown): void => rejected.push(String(error));
  process.on('unhandledRejection', listener);
  scope.defer(() => process.off('unhandledRejection', listener));
  const { port } = await listenFor(scope, {
    async onMessage(peer, data) {
      peer.send(data);
      throw new Error(`on purpose, ${String(data)}`);
    },
    onError: (_peer, error) => void told.push(error),
  });
  const raw = await scope.raw(port);
  for (const text of ['first', 'second']) {
    raw.send(Opcode.Text, new TextEncoder().encode(text));
    equal(new TextDecoder().decode(await raw.next(Opcode.Text)), text, 'the echo');
    equal(await rejected.next('the rejection'), `Error: on purpose, ${text}`, 'what was rejected');
  }
  equal(told, [], 'what onError was told');
}

/** The same program again, on this runtime, with these arguments. Resolves to what it printed. */
function child(script: string, args: readonly string[], denoFlags: readonly string[]): Promise<string> {
  const file = fileURLToPath(new URL(script, import.meta.url));
  const flags = here === 'deno' ? ['run', '--quiet', '--no-lock', '--cached-only', '--node-modules-dir=manual', ...denoFlags] : [];
  const env = { ...process.env, DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1' };
  const started = spawn(process.execPath, [...flags, file, ...args], { stdio: ['ignore', 'pipe', 'inherit'], env });
  let output = '';
  started.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = new Promise<string>((resolve, reject) => {
    started.once('error', reject);
    started.once('close', (code) => (code === 0 ? resolve(output) : reject(new Error(`exit code ${code}: ${output}`))));
  });
  return within(ended, `${script} to end`).finally(() => started.kill('SIGKILL'));
}

async function refAndUnref(host: HostName): Promise<void> {
  equal(await child('./unref.js', [host], ['--allow-all']), '2 open\n', 'what a program prints whose connections are unref');
  for (const kept of ['listener', 'connection']) {
    const output = await child('./unref.js', [host, kept], ['--allow-all']);
    equal(output, `2 open\nkept by the ${kept}\n`, `what a program prints whose ${kept} is ref again`);
  }
}

/** Deno without --allow-net. */
async function withoutPermission(host: HostName): Promise<void> {
  const output = await child('./no-permission.js', [host], ['--no-prompt', '--allow-read', '--allow-env', '--allow-sys']);
  equal(JSON.parse(output), { listen: 'WS_PERMISSION', connect: 'WS_PERMISSION' }, 'codes');
}

/** The versions that the manifests ask for are asked for at run time too. */
async function tooOld(host: HostName): Promise<void> {
  const [name, least, version] = { node: ['Node', '20.19', '20.18.3'], bun: ['Bun', '1.4', '1.3.14'], deno: ['Deno', '2.9', '2.8.3'] }[
    here
  ];
  const refusal = ['WS_RUNTIME', `${name} ${least} or later is needed, this is ${version}`];
  equal(JSON.parse(await child('./old-runtime.js', [host], ['--allow-all'])), { listen: refusal, connect: refusal }, 'codes');
}

async function elsewhere(host: HostName): Promise<void> {
  const code: EndpointErrorCode = 'WS_RUNTIME';
  const { listen, connect } = await hostNamed(host);
  await failsWith(listen({ host: '127.0.0.1', port: 0, handlers: {} }), code);
  await failsWith(connect('ws://127.0.0.1:1/', { handlers: {} }), code);
}

/** Each as its adapter says in the runtime that it is for. */
function says({ capabilities }: AdapterUnderTest, host: HostName): void {
  const keys: readonly (keyof Capabilities)[] = [
    'compression',
    'halfClose',
    'http2',
    'tls',
    'unixSockets',
    'refUnref',
    'resetVisible',
    'resetSent',
    'synchronousWrite',
    'server',
    'client',
  ];
  for (const key of keys) ok(capabilities[key] !== undefined, `${host} does not say ${key}`);
  equal(capabilities.compression, 'zlib', 'the codec here');
}

export function capabilityCases(adapter: AdapterUnderTest, host: HostName): ContractCase[] {
  const { unixSockets, refUnref } = adapter.capabilities;
  const named = (name: string, body: (scope: Scope) => Promise<void>): ContractCase => contractCase(adapter, name, body);
  const others = (['bun', 'deno'] as const).filter((other) => other !== here);
  return [
    named('capabilities: each is said', async () => says(adapter, host)),
    ...(unixSockets ? [named('capabilities: unix sockets', unixSocket)] : []),
    ...(adapter.transportOf === undefined ? [] : [named('capabilities: what is known of a connection', socketInfo)]),
    named('capabilities: synchronous write', synchronousWrite),
    named('capabilities: reset sent', resetSent),
    ...(refUnref ? [named('capabilities: ref and unref', () => refAndUnref(host))] : []),
    named('errors: a handler that throws', uncaught),
    named('errors: a handler that throws at the end', uncaughtAtTheEnd),
    named('errors: a handler that throws while the listener closes', uncaughtWhileClosing),
    named('errors: an async handler that rejects', unhandled),
    ...(here === 'deno' && host !== 'streams' ? [named('errors: no permission', () => withoutPermission(host))] : []),
    // Pairs of streams may come from any runtime.
    ...(host === 'streams' ? [] : [named('errors: a runtime that is too old', () => tooOld(host))]),
    ...others.map((other) => named(`errors: @ferrywire/${other} on another runtime`, () => elsewhere(other))),
  ];
}
