import { runInNewContext } from 'node:vm';
import { type EndInfo, type Extension, type Negotiated, prepareMessage } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';
import {
  type CloseAllOptions,
  EndpointError,
  EndpointHost,
  type EndpointHostOptions,
  type Opening,
  type Peer,
  type PeerHandlers,
  type PendingRequest,
  type TimerHost,
  type TransportEvents,
} from '@ferrywire/driver';
import { type FakeTransport, fakeTransport, joinedTransports, type PairOptions, virtualClock } from '@ferrywire/driver/testing';
import { describe, expect, it } from 'vitest';
import { uncaughtDuring } from '../../../test/uncaught.ts';
import { answering } from './helpers.ts';

type HostExtras = Omit<EndpointHostOptions, 'clock' | 'timers' | 'handlers'>;

interface Setup {
  readonly server?: PeerHandlers;
  readonly client?: PeerHandlers;
  readonly serverSettings?: Parameters<EndpointHost['serve']>[1];
  readonly serverHost?: HostExtras;
  readonly clientHost?: HostExtras;
  readonly network?: Omit<PairOptions, 'clock'>;
}

function setup({ server = {}, client = {}, serverSettings = {}, serverHost = {}, clientHost = {}, network = {} }: Setup = {}) {
  const clock = virtualClock();
  const joined = joinedTransports({ ...network, clock });
  const time = { clock: clock.now, timers: clock };
  const log: string[] = [];
  const logged = (name: string, handlers: PeerHandlers): PeerHandlers => ({
    ...handlers,
    onOpen(peer, opening) {
      log.push(`${name} open`);
      handlers.onOpen?.(peer, opening);
    },
    onEnd(peer, info: EndInfo) {
      log.push(`${name} end ${info.code} ${info.clean ? 'clean' : info.cause?.code}`);
      handlers.onEnd?.(peer, info);
    },
    onRefused(status, error) {
      log.push(`${name} refused ${status} ${error}`);
      handlers.onRefused?.(status, error);
    },
  });
  const serverSide = new EndpointHost({ ...time, ...serverHost, handlers: logged('server', server) });
  const clientSide = new EndpointHost({ ...time, ...clientHost, handlers: logged('client', client) });
  const accepted = serverSide.serve(joined.b, serverSettings);
  joined.b.attach(accepted);
  const dialled = clientSide.dial(joined.a, { url: 'ws://example.com/chat' });
  joined.a.attach(dialled.driver);
  const outcome = dialled.opened.then(
    (peer) => peer,
    (error: unknown) => error,
  );
  return { clock, joined, log, serverSide, clientSide, accepted, outcome };
}

const echo: PeerHandlers = { onMessage: (peer, data) => void peer.send(data) };

async function open(options: Setup = {}) {
  const made = setup(options);
  made.joined.flow();
  const client = await made.outcome;
  if (client instanceof Error) throw client;
  const server = [...made.serverSide.peers][0];
  if (server === undefined) throw new Error('no peer on the server');
  return { ...made, client: client as Peer, server };
}

/** Three connections of one server, all open. */
async function openSeveral(server: PeerHandlers) {
  const clock = virtualClock();
  const time = { clock: clock.now, timers: clock };
  const codes: number[] = [];
  const serverSide = new EndpointHost({ ...time, handlers: server });
  const clientSide = new EndpointHost({ ...time, handlers: { onClose: (_, code) => void codes.push(code) } });
  const transports = [];
  const clients: Peer[] = [];
  for (let index = 0; index < 3; index++) {
    const joined = joinedTransports({ clock });
    joined.b.attach(serverSide.serve(joined.b, {}));
    const { driver, opened } = clientSide.dial(joined.a, { url: 'ws://example.com/' });
    joined.a.attach(driver);
    joined.flow();
    clients.push(await opened);
    transports.push(joined);
  }
  return { clock, transports, serverSide, clients, codes };
}

function fails(): never {
  throw new Error('undecided');
}

/** The client reads nothing, and the server has sent more than the transport takes. */
function stall(joined: { flow(): void }, client: Peer, server: Peer): void {
  client.pause();
  client.driver.pump();
  server.send(new Uint8Array(5000));
  server.driver.pump();
  joined.flow();
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('EndpointHost', () => {
  it('carries a connection from the handshake to a clean end', async () => {
    const received: (string | Uint8Array)[] = [];
    const openings: (string | number | null | undefined)[] = [];
    const { clock, joined, log, serverSide, clientSide, client, server } = await open({
      server: {
        ...echo,
        onOpen: (_, opening) => void openings.push(opening.request?.target, opening.response?.status),
      },
      client: {
        onMessage: (_, data) => void received.push(data),
        onOpen: (_, opening) => void openings.push(opening.request?.target, opening.response?.status),
      },
    });
    expect(openings).toEqual(['/chat', undefined, undefined, 101]);
    expect([serverSide.peers.size, clientSide.peers.size]).toEqual([1, 1]);
    expect([client.transport === joined.a, server.transport === joined.b]).toEqual([true, true]);
    expect([client.data, client.writable, client.connection.role]).toEqual([undefined, true, 'client']);
    client.send('text');
    client.send(Uint8Array.of(1, 2));
    await Promise.resolve();
    joined.flow();
    expect(received).toEqual(['text', Uint8Array.of(1, 2)]);
    expect(client.close(4000, 'bye')).toBe(true);
    await Promise.resolve();
    joined.flow();
    expect(client.send('late')).toBe(false);
    expect(log).toEqual(['server open', 'client open', 'client end 4000 clean', 'server end 4000 clean']);
    expect([serverSide.peers.size, clientSide.peers.size]).toEqual([0, 0]);
    expect(clock.pending).toBe(0);
  });

  it('writes the sends of one microtask at once, and the answers to one chunk at once', async () => {
    const { joined, client } = await open({ server: echo });
    const [clientWrites, serverWrites] = [joined.a.writes.length, joined.b.writes.length];
    for (let i = 0; i < 100; i++) client.send(`message ${i}`);
    expect(joined.a.writes.length).toBe(clientWrites);
    await Promise.resolve();
    expect(joined.a.writes.length).toBe(clientWrites + 1);
    joined.flow();
    expect(joined.b.writes.length).toBe(serverWrites + 1);
  });

  it('pings, and stops and goes on reading, without an event of the transport', async () => {
    const { joined, client, server } = await open();
    const writes = joined.a.writes.length;
    expect(client.ping()).toBe(true);
    await Promise.resolve();
    expect(joined.a.writes.length).toBe(writes + 1);
    server.pause();
    await Promise.resolve();
    expect(joined.b.reading).toBe(false);
    server.resume();
    await Promise.resolve();
    expect(joined.b.reading).toBe(true);
  });

  it('puts each request to onRequest, which may take its time', async () => {
    const requests: PendingRequest[] = [];
    const made = setup({ server: { onRequest: (pending) => void requests.push(pending) } });
    made.joined.flow();
    expect([requests[0]?.isWebSocket, requests[0]?.request.target, requests[0]?.transport === made.joined.b]).toEqual([
      true,
      '/chat',
      true,
    ]);
    expect(made.log).toEqual([]);
    expect(requests[0]?.accept()).toBe(true);
    await Promise.resolve();
    made.joined.flow();
    expect(made.log).toEqual(['server open', 'client open']);
  });

  it.each([
    ['a handler that throws', { onRequest: () => fails() }, {}],
    ['an accept that throws', { onRequest: (pending: PendingRequest) => void pending.accept({ subprotocols: () => fails() }) }, {}],
    ['a policy that throws', {}, { policy: { path: () => fails() } }],
  ])('answers 500 at once where nobody else will: %s', async (_, server, settings) => {
    const refused: unknown[] = [];
    const made = setup({ server: { ...server, onRefused: (...what) => void refused.push(what) }, serverSettings: settings });
    expect(() => made.joined.flow()).toThrow('undecided');
    made.joined.flow();
    const error = await made.outcome;
    if (!(error instanceof EndpointError)) throw new Error('not refused');
    expect([error.handshake, error.response?.status]).toEqual(['WS_HS_STATUS', 500]);
    expect(refused).toEqual([[500, 'WS_HS_STATUS']]);
    expect([made.serverSide.peers.size, made.clock.pending]).toEqual([0, 0]);
  });

  it.each([
    ['', (work: () => Promise<void>) => work()],
    // As of an async function where a polyfill has replaced `Promise`.
    [' of another realm', (work: () => Promise<void>) => runInNewContext('(async () => { await work(); })()', { work }) as Promise<void>],
  ])('answers 500 where an async handler%s fails, unless it has answered before', async (_realm, call) => {
    for (const answers of [false, true]) {
      const onRequest = (pending: PendingRequest): Promise<void> =>
        call(async () => {
          if (answers) pending.reject(403);
          await Promise.resolve();
          fails();
        });
      const made = setup({ server: { onRequest } });
      const unhandled: unknown[] = [];
      const others = process.listeners('unhandledRejection');
      process.removeAllListeners('unhandledRejection').on('unhandledRejection', (error) => void unhandled.push(String(error)));
      try {
        made.joined.flow();
        await turn();
        await turn();
      } finally {
        process.removeAllListeners('unhandledRejection');
        for (const other of others) process.on('unhandledRejection', other);
      }
      made.joined.flow();
      // Not answered otherwise.
      made.clock.advance(60_000);
      made.joined.flow();
      const error = await made.outcome;
      if (!(error instanceof EndpointError)) throw new Error('not refused');
      expect([error.response?.status, unhandled]).toEqual([answers ? 403 : 500, ['Error: undecided']]);
    }
  });

  it('tells the client why it was refused', async () => {
    const made = setup({ server: { onRequest: (pending) => pending.reject(403, 'go away', [['x-why', 'because']]) } });
    made.joined.flow();
    const error = await made.outcome;
    if (!(error instanceof EndpointError)) throw new Error('not refused');
    expect([error.code, error.handshake, error.response?.status]).toEqual(['WS_CONNECT_HANDSHAKE', 'WS_HS_STATUS', 403]);
    expect(new TextDecoder().decode(error.body ?? undefined)).toBe('go away');
    made.clock.advance(60_000);
    expect([made.serverSide.peers.size, made.clientSide.peers.size, made.clock.pending]).toEqual([0, 0, 0]);
    expect(made.log.filter((line) => line.includes('open'))).toEqual([]);
  });

  it('refuses although onRefused throws', async () => {
    const requests: PendingRequest[] = [];
    const { joined, outcome } = setup({
      server: {
        onRequest: (pending) => void requests.push(pending),
        onRefused() {
          throw new Error('mine');
        },
      },
    });
    joined.flow();
    expect(() => requests[0]?.reject(403)).toThrow('mine');
    await turn();
    joined.flow();
    expect(await outcome).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', response: { status: 403 } });
  });

  it.each(['onRequest', 'the policy'])('answers with 500 when %s throws, unless there was an answer', async (where) => {
    const onRefused = (status: number): void => void refusals.push(status);
    const refusals: number[] = [];
    const mistake = (): never => {
      throw new Error('mine');
    };
    for (const first of [null, 403]) {
      const onRequest = (pending: PendingRequest): void => {
        if (first !== null) pending.reject(first);
        if (where === 'onRequest') mistake();
        pending.accept({ subprotocols: mistake });
        if (first !== null) mistake();
      };
      const { joined, outcome } = setup({ server: { onRequest, onRefused } });
      expect(() => joined.flow()).toThrow('mine');
      joined.flow();
      expect(await outcome).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', response: { status: first ?? 500 } });
    }
    expect(refusals).toEqual([500, 403]);
  });

  it('drops a transport that broke before the refusal was begun, although onRefused throws', async () => {
    const clock = virtualClock();
    const transport = fakeTransport({ clock });
    const requests: PendingRequest[] = [];
    const handlers: PeerHandlers = {
      onRequest: (pending) => void requests.push(pending),
      onRefused() {
        throw new Error('mine');
      },
    };
    const driver = new EndpointHost({ clock: clock.now, timers: clock, handlers }).serve(transport, {});
    // What comes behind the head is in front of the error.
    driver.receive(Buffer.from('GET / HTTP/1.1\r\nHost: h\r\n\r\nmore'));
    driver.receiveError(new Error('reset'));
    expect(() => requests[0]?.startRejection(403)).toThrow('mine');
    await turn();
    expect(transport.aborted).toBe(true);
  });

  it('streams a refusal', async () => {
    let writer: ReturnType<PendingRequest['startRejection']> | null = null;
    const made = setup({
      server: {
        onRequest(pending) {
          writer = pending.startRejection(404, [['content-type', 'text/plain']]);
          writer.write(Uint8Array.of(110, 111));
        },
      },
    });
    made.joined.flow();
    const later = writer as ReturnType<PendingRequest['startRejection']> | null;
    const written = (): number => made.joined.b.writes.length;
    expect([later === null, written()]).toEqual([false, 1]);
    later?.write(Uint8Array.of(112, 101));
    await turn();
    expect(written()).toBe(2);
    later?.end();
    await turn();
    expect(written()).toBe(3);
    made.joined.flow();
    const error = await made.outcome;
    if (!(error instanceof EndpointError)) throw new Error('not refused');
    expect(error.response?.status).toBe(404);
    expect(new TextDecoder().decode(error.body ?? undefined)).toBe('nope');
  });

  it('fails a dial whose server says nothing, and one whose transport goes away', async () => {
    const silent = setup({ server: { onRequest: () => {} } });
    silent.joined.flow();
    silent.clock.advance(10_000);
    const late = await silent.outcome;
    expect(late instanceof EndpointError ? late.code : late).toBe('WS_CONNECT_TIMEOUT');
    const gone = setup({ server: { onRequest: () => {} } });
    gone.joined.flow();
    gone.joined.a.reset();
    gone.joined.flow();
    const lost = await gone.outcome;
    expect(lost instanceof EndpointError ? ['WS_CONNECT_REFUSED', 'WS_CONNECT_HANDSHAKE'].includes(lost.code) : lost).toBe(true);
  });
  it('tells what the transport failed with before the server answered, and nothing of a refusal', async () => {
    const broken = setup({ server: { onRequest: () => {} } });
    broken.joined.flow();
    const cause = new Error('the sink broke');
    broken.joined.a.reset(cause);
    broken.joined.flow();
    const error = await broken.outcome;
    expect(error).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', handshake: 'WS_HS_EOF', cause });
    expect((error as EndpointError).message).not.toContain('refused');
    const refused = setup({ server: { onRequest: (request) => void request.reject(403) } });
    refused.joined.flow();
    expect('cause' in ((await refused.outcome) as EndpointError)).toBe(false);
  });

  it('adopts connections whose handshake was done elsewhere', async () => {
    const clock = virtualClock();
    const joined = joinedTransports({ clock });
    const received: string[] = [];
    const time = { clock: clock.now, timers: clock };
    const negotiated = (role: 'client' | 'server'): Negotiated => ({ role, subprotocol: 'chat', extensions: [] });
    const openings: unknown[] = [];
    const greeting: PeerHandlers = {
      onOpen(peer, opening) {
        openings.push(opening);
        peer.send('welcome');
      },
    };
    const asked: Opening = { request: { method: 'GET', target: '/', httpVersion: '1.1', headers: [['a', 'b']] }, response: null };
    const answered: Opening = { request: null, response: { status: 101, headers: [['c', 'd']] } };
    const server = new EndpointHost({ ...time, handlers: greeting }).adopt(joined.b, negotiated('server'), {}, asked);
    const client = new EndpointHost({
      ...time,
      handlers: { onText: (_, text) => void received.push(text), onOpen: (_, opening) => void openings.push(opening) },
    }).adopt(joined.a, negotiated('client'), {}, answered);
    expect(openings).toEqual([asked, answered]);
    joined.a.attach(client.driver);
    joined.b.attach(server.driver);
    joined.flow();
    expect(received).toEqual(['welcome']);
    expect(client.connection.subprotocol).toBe('chat');
    server.abort();
    joined.flow();
    expect(client.connection.state).toBe('closed');
    expect(clock.pending).toBe(0);
  });

  it('reads nothing more from a peer that does not take its answers, and loses nothing', async () => {
    let answers = 0;
    const { joined, client, server } = await open({
      server: echo,
      serverHost: { highWaterMark: 10_000 },
      client: { onBinary: () => void answers++ },
      network: { window: 4000, highWaterMark: 1000 },
    });
    client.pause();
    let most = 0;
    for (let i = 0; i < 300; i++) {
      client.send(new Uint8Array(1000));
      client.driver.pump();
      joined.flow();
      most = Math.max(most, server.bufferedAmount);
    }
    expect(joined.b.reading).toBe(false);
    expect(most).toBeLessThan(20_000);
    client.resume();
    client.driver.pump();
    joined.flow();
    expect(answers).toBe(300);
    expect([server.bufferedAmount, client.bufferedAmount, joined.b.reading]).toEqual([0, 0, true]);
  });

  it('lets 262 144 bytes wait on a server before that, and any number on a client', async () => {
    for (const role of ['server', 'client'] as const) {
      const opened = await open({ network: { window: 1000, highWaterMark: 500 } });
      const [sender, other, transport] =
        role === 'server' ? [opened.server, opened.client, opened.joined.b] : [opened.client, opened.server, opened.joined.a];
      other.pause();
      other.driver.pump();
      for (const reading of [true, role === 'client']) {
        for (let i = 0; i < 250; i++) sender.send(new Uint8Array(1000));
        sender.driver.pump();
        opened.joined.flow();
        expect([role, sender.writable, transport.reading]).toEqual([role, false, reading]);
      }
    }
  });

  it('reads on while closing, however much waits', async () => {
    const { joined, log, client, server } = await open({
      serverHost: { highWaterMark: 1000 },
      network: { window: 2000, highWaterMark: 500 },
    });
    client.pause();
    client.driver.pump();
    for (let i = 0; i < 20; i++) server.send(new Uint8Array(1000));
    server.driver.pump();
    joined.flow();
    expect([joined.b.reading, server.writable]).toEqual([false, false]);
    server.close(1000);
    server.driver.pump();
    expect(joined.b.reading).toBe(true);
    client.resume();
    client.driver.pump();
    joined.flow();
    expect(log.slice(2).sort()).toEqual(['client end 1000 clean', 'server end 1000 clean']);
  });

  it('reads between two batches of a sender that has the next ready whenever there is room', async () => {
    let batches = 0;
    let received = 0;
    let stopped = false;
    const batch = (peer: Peer): void => {
      if (stopped || ++batches > 200) return;
      peer.send(new Uint8Array(20_000));
    };
    const { joined, client, server } = await open({
      server: {
        onText(peer, text) {
          stopped = text === 'stop';
          batch(peer);
        },
        onDrain: batch,
      },
      client: {
        onBinary(peer) {
          if (++received === 3) peer.send('stop');
        },
      },
      serverHost: { highWaterMark: 10_000 },
      network: { window: 4000, highWaterMark: 1000 },
    });
    client.send('go');
    client.driver.pump();
    joined.flow();
    expect([stopped, batches < 8, received === batches]).toEqual([true, true, true]);
    expect([server.bufferedAmount, joined.b.reading]).toEqual([0, true]);
  });

  it.each(['inside', 'outside'])('stops a loop %s a handler that asks for room after each message', async (where) => {
    let sent = 0;
    const fill = (peer: Peer): void => {
      while (peer.writable && sent < 10_000) {
        peer.send(new Uint8Array(1000));
        sent++;
      }
    };
    const { joined, client, server } = await open({
      server: { onText: fill },
      network: { window: 4000, highWaterMark: 1000 },
    });
    client.pause();
    if (where === 'outside') fill(server);
    else {
      client.send('fill');
      client.driver.pump();
      joined.flow();
    }
    expect(sent).toBeLessThan(200);
    expect(server.bufferedAmount).toBeLessThan(200_000);
    expect(server.writable).toBe(false);
  });

  it('lets others have their turn when a loop sends to a peer that takes all at once', async () => {
    let sent = 0;
    let received = 0;
    let drains = 0;
    const { clock, joined, client, server } = await open({
      server: { onDrain: () => void drains++ },
      client: { onBinary: () => void received++ },
    });
    while (server.writable && sent < 10_000) {
      server.send(new Uint8Array(70_000));
      sent++;
    }
    expect(sent).toBeLessThan(1000);
    expect(drains).toBe(0);
    await Promise.resolve();
    clock.advance(1);
    joined.flow();
    expect([received, drains, server.writable, client.bufferedAmount]).toEqual([sent, 1, true, 0]);
  });

  it('blames no peer for silence who takes a lot slowly, while what he says is left unread', async () => {
    const clock = virtualClock();
    const transport = fakeTransport({ clock, room: 1000, highWaterMark: 1000 });
    const log: unknown[] = [];
    const handlers: PeerHandlers = { onText: () => void log.push('text'), onEnd: (_peer, { cause }) => void log.push(cause?.code) };
    const host = new EndpointHost({ clock: clock.now, timers: clock, handlers });
    const settings = { timeouts: { keepalive: 20_000, pong: 20_000, idle: 50_000 } };
    const negotiated = { role: 'server', subprotocol: null, extensions: [] } as const;
    const peer = host.adopt(transport, negotiated, settings, { request: null, response: null });
    transport.attach(peer.driver);
    clock.advance(20_000);
    peer.send(new Uint8Array(400_000));
    await Promise.resolve();
    for (let second = 0; second < 100; second++) {
      transport.feed(serializeFrame({ opcode: 1, payload: Uint8Array.of(0x61), maskKey: 1 }));
      clock.advance(1000);
      transport.grant(1000);
    }
    expect([log, transport.reading]).toEqual([[], false]);
    transport.grant();
    expect(log).toEqual(Array.from({ length: 100 }, () => 'text'));
  });

  it('calls onDrain when a stalled transport accepts again', async () => {
    const drained: boolean[] = [];
    const { joined, client, server } = await open({
      server: { onDrain: (peer) => void drained.push(peer.writable) },
      network: { window: 2000, highWaterMark: 500 },
    });
    client.pause();
    client.driver.pump();
    while (server.writable) {
      server.send(new Uint8Array(1000));
      server.driver.pump();
      joined.flow();
    }
    expect(drained).toEqual([]);
    client.resume();
    client.driver.pump();
    joined.flow();
    expect(drained).toEqual([true]);
  });

  it('calls no onDrain after onEnd, which is the last, though what was written before may drain later', async () => {
    const { log, joined, client, server } = await open({
      server: { onDrain: () => void log.push('drain') },
      network: { window: 2000, highWaterMark: 500 },
    });
    stall(joined, client, server);
    expect(server.writable).toBe(false);
    server.driver.receiveEof();
    server.driver.drained();
    expect(log.slice(2)).toEqual(['server end 1006 WS_EOF']);
    client.abort();
    joined.flow();
  });
});

describe('an extension that throws', () => {
  it.each(['send', 'sendPrepared'] as const)('leaves %s, and the peer hears of it at once', async (method) => {
    const clock = virtualClock();
    const joined = joinedTransports({ clock });
    const bad: Extension = {
      name: 'x-bad',
      rsv: 4,
      inbound: () => ({ begin: () => false, push: () => ({ consumed: 0, status: 'need' }), finish: () => 'need' }),
      outbound: () => ({
        cacheKey: null,
        begin: () => 4,
        push() {
          throw new Error('boom');
        },
      }),
    };
    const host = new EndpointHost({ clock: clock.now, timers: clock, handlers: {} });
    const ends: EndInfo[] = [];
    const peers = new EndpointHost({ clock: clock.now, timers: clock, handlers: { onEnd: (_, info) => void ends.push(info) } });
    const nothing = { request: null, response: null };
    // No other deadline is there to write what waits.
    const quiet = { timeouts: { keepalive: 0 } };
    const server = host.adopt(joined.b, { role: 'server', subprotocol: null, extensions: [bad] }, quiet, nothing);
    const client = peers.adopt(joined.a, { role: 'client', subprotocol: null, extensions: [] }, quiet, nothing);
    joined.a.attach(client.driver);
    joined.b.attach(server.driver);
    expect(() => (method === 'send' ? server.send('x') : server.sendPrepared(prepareMessage('x')))).toThrow('boom');
    await Promise.resolve();
    joined.flow();
    expect(ends.map(({ code, clean }) => [code, clean])).toEqual([[1011, true]]);
    expect([host.peers.size, peers.peers.size, clock.pending]).toEqual([0, 0, 0]);
  });
});

describe('a handler that throws', () => {
  it('is reported to onError, and the connection goes on', async () => {
    const errors: unknown[] = [];
    const { joined, client } = await open({
      server: {
        onText(peer, text) {
          if (text === 'throw') throw new Error('mine');
          peer.send(text);
        },
        onError: (_, error) => void errors.push(error),
      },
      client: { onText: (peer, text) => void ((peer.data as string[] | undefined) ?? errors).push(text) },
    });
    for (const text of ['a', 'throw', 'b']) client.send(text);
    client.driver.pump();
    joined.flow();
    expect(errors.map(String)).toEqual(['Error: mine', 'a', 'b']);
  });

  const thrower = (log: string[]): PeerHandlers => {
    const names = [
      'onOpen',
      'onText',
      'onBinary',
      'onMessageStart',
      'onTextChunk',
      'onSpan',
      'onMessageEnd',
      'onPing',
      'onPong',
      'onClose',
      'onEnd',
    ];
    const boom = (name: string) => (): never => {
      log.push(name);
      throw new Error(`of ${name}`);
    };
    return {
      ...Object.fromEntries(names.map((name) => [name, boom(name)])),
      onError: (_, error) => void log.push(String(error)),
    };
  };
  it.each([
    ['message', ['onText', 'onBinary']],
    ['chunk', ['onMessageStart', 'onTextChunk', 'onMessageEnd', 'onMessageStart', 'onSpan', 'onMessageEnd']],
  ] as const)('is reported to onError whichever it is, in delivery %s', async (delivery, messages) => {
    const clock = virtualClock();
    const joined = joinedTransports({ clock });
    const time = { clock: clock.now, timers: clock };
    const log: string[] = [];
    const serverSide = new EndpointHost({ ...time, handlers: thrower(log) });
    joined.b.attach(serverSide.serve(joined.b, { delivery }));
    const { driver, opened } = new EndpointHost({ ...time, handlers: {} }).dial(joined.a, { url: 'ws://example.com/' });
    joined.a.attach(driver);
    joined.flow();
    const client = await opened;
    client.send('text');
    client.send(Uint8Array.of(1));
    client.ping();
    client.driver.pump();
    joined.flow();
    const [server] = serverSide.peers;
    server?.ping();
    server?.driver.pump();
    joined.flow();
    client.close(1000);
    client.driver.pump();
    joined.flow();
    const called = ['onOpen', ...messages, 'onPing', 'onPong', 'onClose', 'onEnd'];
    expect(log).toEqual(called.flatMap((name) => [name, `Error: of ${name}`]));
    expect([client.connection.closeReceived?.code, serverSide.peers.size]).toEqual([1000, 0]);
  });

  it('is reported to onError, be it onDrain', async () => {
    const errors: string[] = [];
    const { joined, client, server } = await open({
      server: {
        onDrain() {
          throw new Error('mine');
        },
        onError: (_, error) => void errors.push(String(error)),
      },
      network: { window: 2000, highWaterMark: 500 },
    });
    stall(joined, client, server);
    client.resume();
    client.driver.pump();
    joined.flow();
    expect([errors, server.writable, server.connection.state]).toEqual([['Error: mine'], true, 'open']);
  });

  it('fails the connection with 1011 without onError, and is not lost', async () => {
    const { joined, log, client } = await open({
      server: {
        onText() {
          throw new Error('mine');
        },
      },
    });
    client.send('x');
    client.driver.pump();
    expect(() => joined.flow()).toThrow('mine');
    joined.flow();
    expect(log.filter((line) => line.startsWith('client end'))).toEqual(['client end 1011 clean']);
    expect(log.filter((line) => line.startsWith('server end'))).toEqual([expect.stringMatching(/WS_FAILED_LOCALLY$/)]);
  });
});

describe('a handler that throws at a call of the application', () => {
  it('leaves that call, and the connection ends all the same', async () => {
    const { joined, client, log } = await open({
      client: {
        onEnd() {
          throw new Error('mine');
        },
      },
    });
    expect(() => client.abort()).toThrow('mine');
    expect(joined.a.aborted).toBe(true);
    joined.flow();
    expect(log.at(-1)).toMatch(/^server end 1006/);
  });

  it('does so at the close frame that was held, and the answer goes out', async () => {
    const { joined, server, client, log } = await open({
      server: {
        onText: (peer) => peer.pause(),
        onClose() {
          throw new Error('mine');
        },
      },
    });
    client.send('pause');
    client.close(4000);
    client.driver.pump();
    joined.flow();
    expect(() => server.close(1000)).toThrow('mine');
    await turn();
    joined.flow();
    expect(log.slice(2).sort()).toEqual(['client end 1000 clean', expect.stringMatching(/^server end/)]);
  });
});

describe('pull mode', () => {
  it('leaves the events after open to whoever takes them', async () => {
    const events: string[] = [];
    const pull = (peer: Peer): void => {
      peer.driver.onEvents = () => {
        for (let event = peer.connection.nextEvent(); event !== null; event = peer.connection.nextEvent()) {
          events.push(event.type === 'message' ? `message ${event.data}` : event.type);
          if (event.type === 'message' && event.data === 'hi') peer.connection.send('hello');
        }
      };
    };
    const { joined, client } = await open({
      serverHost: { pull: true },
      server: { onOpen: pull },
      clientHost: { pull: true },
      client: {
        onOpen(peer) {
          pull(peer);
          peer.send('hi');
        },
      },
    });
    expect(events).toEqual(['message hi', 'message hello']);
    client.close(1000);
    client.driver.pump();
    joined.flow();
    expect(events.slice(2).sort()).toEqual(['close', 'close', 'end', 'end']);
  });
});

describe('pull mode, after a pause', () => {
  it.each<[string, (peer: Peer, transport: FakeTransport) => void]>([
    ['peer.resume()', (peer) => peer.resume()],
    [
      'a resume in onDrain',
      (peer) => {
        peer.driver.onDrain = () => peer.connection.resume();
        peer.driver.drain();
      },
    ],
    [
      'a resume in onDrain of a transport that was slow',
      (peer, transport) => {
        peer.send('slow');
        peer.driver.pump();
        expect(peer.driver.stalled).toBe(true);
        peer.driver.onDrain = () => peer.connection.resume();
        transport.grant();
      },
    ],
    [
      'a resume while a sender is to be told of room',
      (peer, transport) => {
        transport.grant();
        while (peer.writable) peer.send(new Uint8Array(70_000));
        peer.connection.resume();
        peer.driver.pump();
      },
    ],
  ])('tells of what had arrived: %s', (_how, resume) => {
    const clock = virtualClock();
    const transport = fakeTransport({ clock, room: 0 });
    const host = new EndpointHost({ clock: clock.now, timers: clock, pull: true, handlers: {} });
    const negotiated = { role: 'server', subprotocol: null, extensions: [] } as const;
    const peer = host.adopt(transport, negotiated, { timeouts: { keepalive: 0 } }, { request: null, response: null });
    transport.attach(peer.driver);
    const events: string[] = [];
    peer.driver.onEvents = () => {
      for (const event of peer.connection.events()) events.push(event.type);
    };
    peer.pause();
    transport.feed(serializeFrame({ opcode: 1, payload: Uint8Array.of(0x61), maskKey: 1 }));
    expect([events, transport.reading]).toEqual([[], false]);
    resume(peer, transport);
    expect([events, transport.reading]).toEqual([['message'], true]);
  });
});

describe('pull mode, after a pause behind the end of the input', () => {
  it('tells of what had arrived before that end', () => {
    const clock = virtualClock();
    const host = new EndpointHost({ clock: clock.now, timers: clock, pull: true, handlers: {} });
    const frames = ['a', 'b'].map((text) => serializeFrame({ opcode: 1, payload: new TextEncoder().encode(text), maskKey: 1 }));
    let isAnswered = false;
    const transport = answering(() => {
      // A loopback that has all of the answer at once.
      if (!isAnswered) {
        isAnswered = true;
        peer.driver.data(new Uint8Array(Buffer.concat(frames)));
        peer.driver.eof();
      }
      return true;
    });
    const negotiated = { role: 'server', subprotocol: null, extensions: [] } as const;
    const peer = host.adopt(transport, negotiated, { timeouts: { keepalive: 0 } }, { request: null, response: null });
    const seen: string[] = [];
    peer.driver.onEvents = () => {
      for (const event of peer.connection.events()) {
        seen.push(event.type === 'message' ? String(event.data) : event.type);
        if (seen.length === 1) peer.pause();
      }
    };
    peer.send('x');
    peer.driver.pump();
    expect(seen).toEqual(['a']);
    peer.resume();
    expect(seen).toEqual(['a', 'b', 'end']);
  });
});

describe('pull mode, at the end of the handshake', () => {
  it('tells of frames that came with the response', async () => {
    const received: unknown[] = [];
    await open({
      server: { onOpen: (peer) => void peer.send('welcome') },
      clientHost: { pull: true },
      client: {
        onOpen(peer) {
          peer.driver.onEvents = () => {
            for (const event of peer.connection.events()) received.push(event);
          };
        },
      },
    });
    expect(received).toEqual([{ type: 'message', kind: 'text', data: 'welcome' }]);
  });
  it('gives an adopted connection to whoever takes its events', () => {
    const clock = virtualClock();
    const joined = joinedTransports({ clock });
    const host = new EndpointHost({ clock: clock.now, timers: clock, handlers: {}, pull: true });
    const negotiated: Negotiated = { role: 'client', subprotocol: null, extensions: [] };
    const { connection, driver } = host.adopt(joined.a, negotiated, {}, { request: null, response: null });
    driver.receive(Uint8Array.of(0x81, 0x02, 0x68, 0x69));
    expect(connection.nextEvent()).toEqual({ type: 'message', kind: 'text', data: 'hi' });
  });
  it('tells both sides of a refusal', async () => {
    const { joined, log, outcome } = setup({
      server: { onRequest: (pending) => pending.reject(403) },
      serverHost: { pull: true },
      clientHost: { pull: true },
    });
    joined.flow();
    expect(await outcome).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', response: { status: 403 } });
    expect(log).toEqual(['server refused 403 WS_HS_STATUS']);
  });
});

describe('a transport that broke behind input that nobody reads', () => {
  it('takes nothing more, says so, and keeps nothing', async () => {
    for (const pull of [false, true]) {
      let events = 0;
      const { joined, log, client, server } = await open({ serverHost: { pull } });
      if (!pull) server.pause();
      server.driver.onEvents = () => void events++;
      client.send(new Uint8Array(5000));
      client.driver.pump();
      joined.flow();
      expect([server.writable, server.send('fine')]).toEqual([true, true]);
      joined.b.reset();
      joined.flow();
      expect(log.filter((line) => line.startsWith('server end'))).toEqual([]);
      expect([server.connection.state, server.writable, server.driver.isLost, server.driver.isClosed]).toEqual(['open', false, true, true]);
      const before = events;
      for (let i = 0; i < 5; i++) {
        const said = [server.send(new Uint8Array(100_000)), server.sendPrepared(prepareMessage('x')), server.ping()];
        expect(said).toEqual([false, false, false]);
        await Promise.resolve();
        expect(server.bufferedAmount).toBe(0);
      }
      expect([before > 0, events]).toEqual([true, before]);
      if (pull) continue;
      server.resume();
      expect(log.filter((line) => line.startsWith('server end'))).toEqual(['server end 1006 WS_TRANSPORT']);
    }
  });
});

describe('a close frame of the peer that is read once its transport', () => {
  it.each([
    ['has broken', 'reset', 'WS_TRANSPORT'],
    ['is gone', 'close', 'WS_EOF'],
    ['has ended its side', 'feedEof', null],
  ] as const)('%s: the end is clean only if ours can still be sent', async (_what, ending, cause) => {
    for (const pull of [false, true]) {
      const clock = virtualClock();
      const transport = fakeTransport({ clock });
      let end: EndInfo | null = null;
      const ends = (info: EndInfo): void => {
        end = info;
      };
      const handlers: PeerHandlers = { onText: (peer) => void peer.send('answer'), onEnd: (_peer, info) => ends(info) };
      const host = new EndpointHost({ clock: clock.now, timers: clock, pull, handlers });
      const negotiated = { role: 'server', subprotocol: null, extensions: [] } as const;
      const peer = host.adopt(transport, negotiated, { timeouts: { keepalive: 0 } }, { request: null, response: null });
      transport.attach(peer.driver);
      peer.pause();
      const message = serializeFrame({ opcode: 1, payload: Uint8Array.of(0x61), maskKey: 1 });
      const close = serializeFrame({ opcode: 8, payload: Uint8Array.of(0x03, 0xe8), maskKey: 1 });
      transport.feed(new Uint8Array([...message, ...close]));
      transport[ending]();
      peer.driver.onEvents = () => {
        if (!pull) return;
        for (const event of peer.connection.events()) {
          if (event.type === 'message') peer.send('answer');
          else if (event.type === 'end') ends(event);
        }
      };
      peer.resume();
      await Promise.resolve();
      peer.driver.pump();
      expect(end).toMatchObject({ clean: cause === null, code: 1000, received: { code: 1000 } });
      expect(end).toMatchObject({ cause: cause === null ? null : { code: cause } });
      expect(transport.written.length).toBe(cause === null ? 2 + 6 + 4 : 0);
    }
  });
});

describe('a peer that closes and ends its side while it takes nothing', () => {
  const close = serializeFrame({ opcode: 8, payload: Uint8Array.of(0x03, 0xe8), maskKey: 1 });
  function stalled(pull: boolean, inside: boolean) {
    const clock = virtualClock();
    const ends: EndInfo[] = [];
    const handlers: PeerHandlers = { onEnd: (_peer, info) => void ends.push(info) };
    const host = new EndpointHost({ clock: clock.now, timers: clock, pull, handlers });
    const transport = fakeTransport({ clock, room: 1000, highWaterMark: 100 });
    const negotiated = { role: 'server', subprotocol: null, extensions: [] } as const;
    const peer = host.adopt(transport, negotiated, { timeouts: { keepalive: 0 } }, { request: null, response: null });
    transport.attach(peer.driver);
    peer.driver.onEvents = () => {
      if (!pull) return;
      for (const event of peer.connection.events()) if (event.type === 'end') ends.push(event);
    };
    peer.send(new Uint8Array(5000));
    peer.driver.pump();
    if (inside) {
      // Both from inside a turn, as a loopback has them.
      const { onEvents } = peer.driver;
      peer.driver.onEvents = () => {
        peer.driver.onEvents = onEvents;
        peer.driver.data(close);
        peer.driver.eof();
      };
      transport.feed(serializeFrame({ opcode: 10, maskKey: 1 }));
    } else {
      transport.feed(close);
      transport.feedEof();
    }
    expect([ends, peer.driver.stalled]).toEqual([[], true]);
    return { clock, ends, host, peer, transport };
  }
  const modes = [
    [false, false],
    [false, true],
    [true, false],
  ] as const;

  it.each(modes)('and reads on later has a clean end once our close frame has gone (pull: %s, inside a turn: %s)', (pull, inside) => {
    const { clock, ends, host, peer, transport } = stalled(pull, inside);
    transport.grant(2000);
    expect([ends, transport.ended]).toEqual([[], false]);
    // As long as something is taken there is time.
    clock.advance(9000);
    transport.grant();
    expect(ends).toMatchObject([{ clean: true, code: 1000, cause: null }]);
    expect([transport.written.length, transport.ended]).toEqual([4 + 5000 + 4, true]);
    transport.close();
    expect([host.peers.size, peer.driver.isClosed, clock.pending, ends.length]).toEqual([0, true, 0, 1]);
  });

  it.each([
    ['resets', 'WS_TRANSPORT'],
    ['is gone', 'WS_EOF'],
    ['stays away', 'WS_TIMEOUT_CLOSING'],
    ['is dropped', 'WS_ABORTED'],
  ] as const)('and %s has none: %s', (how, code) => {
    for (const [pull, inside] of modes) {
      const { clock, ends, host, peer, transport } = stalled(pull, inside);
      if (how === 'resets') transport.reset();
      else if (how === 'is gone') transport.close();
      else if (how === 'is dropped') peer.abort();
      else {
        clock.advance(9999);
        expect([ends, transport.aborted]).toEqual([[], false]);
        clock.advance(1);
        expect(transport.aborted).toBe(true);
      }
      clock.advance(1);
      if (pull) peer.driver.pump();
      expect(ends).toMatchObject([{ clean: false, code: 1000, cause: { code } }]);
      expect([host.peers.size, clock.pending]).toEqual([0, 0]);
    }
  });
});

/** For the side that only has to be there. */
function fakeEvents(): TransportEvents {
  const nothing = (): void => {};
  return { data: nothing, eof: nothing, error: nothing, drain: nothing, closed: nothing };
}

describe('close', () => {
  it('says 1001 to all, and resolves when the transports are gone', async () => {
    const { joined, log, serverSide } = await open();
    const closed = serverSide.close();
    expect(serverSide.close()).toBe(closed);
    let isClosed = false;
    void closed.then(() => {
      isClosed = true;
    });
    await turn();
    expect(isClosed).toBe(false);
    joined.flow();
    await closed;
    expect(log.slice(2).sort()).toEqual(['client end 1001 clean', 'server end 1001 clean']);
    expect(serverSide.peers.size).toBe(0);
  });

  it('resolves when the last transport is gone, not the first', async () => {
    const { clock, transports, serverSide } = await openSeveral({});
    let isClosed = false;
    const closed = serverSide.close().then(() => {
      isClosed = true;
    });
    for (const joined of transports) {
      await turn();
      expect(isClosed).toBe(false);
      joined.flow();
    }
    await closed;
    expect([serverSide.peers.size, clock.pending]).toEqual([0, 0]);
  });

  it('aborts at the deadline what has not closed, and drops handshakes at once', async () => {
    const { clock, joined, log, serverSide } = await open();
    joined.cut();
    const closed = serverSide.close({ code: 1012, reason: 'restart', deadline: 300 });
    clock.advance(299);
    expect(serverSide.peers.size).toBe(1);
    clock.advance(1);
    await closed;
    expect(log.at(-1)).toBe('server end 1006 WS_ABORTED');
    const pending = setup({ server: { onRequest: () => {} } });
    pending.joined.flow();
    const dropped = pending.serverSide.close();
    pending.joined.flow();
    await dropped;
    expect(pending.joined.b.aborted).toBe(true);
  });

  it.each(['before', 'within'] as const)('aborts what is adopted afterwards, and no handler hears of it: closed %s', async (when) => {
    for (const pull of [false, true]) {
      const clock = virtualClock();
      const joined = joinedTransports({ clock });
      const log: string[] = [];
      const handlers: PeerHandlers = { onOpen: () => void log.push('open'), onEnd: () => void log.push('end') };
      const host = new EndpointHost({ clock: clock.now, timers: clock, pull, handlers });
      let closed: Promise<void> | null = null;
      const close = (): void => {
        closed ??= host.close();
      };
      if (when === 'before') close();
      const extension: Extension = {
        name: 'x',
        rsv: 4,
        inbound() {
          close();
          return { begin: () => false, push: () => ({ consumed: 0, status: 'need' }), finish: () => 'need' };
        },
        outbound: () => ({ cacheKey: null, begin: () => 0, push: () => ({ consumed: 0, status: 'need' }) }),
        dispose: () => void log.push('disposed'),
      };
      const negotiated: Negotiated = { role: 'server', subprotocol: null, extensions: [extension] };
      const peer = host.adopt(joined.b, negotiated, {}, { request: null, response: null }, (driver) => joined.b.attach(driver));
      joined.a.attach(fakeEvents());
      joined.flow();
      await closed;
      expect([log, joined.b.aborted, host.peers.size, clock.pending]).toEqual([['disposed'], true, 0, 0]);
      expect([peer.connection.state, peer.send('late'), peer.close(), peer.writable]).toEqual(['closed', false, false, false]);
      peer.abort();
    }
  });

  it('aborts at the deadline what the peer has ended and does not take', async () => {
    for (const how of ['close', 'abort', 'wait'] as const) {
      const { clock, joined, log, serverSide, client, server } = await open({
        serverHost: { closing: 1000 },
        network: { window: 4000, highWaterMark: 1000 },
      });
      client.pause();
      while (server.writable) {
        server.send(new Uint8Array(1000));
        server.driver.pump();
        joined.flow();
      }
      joined.b.feedEof();
      joined.flow();
      expect(log.at(-1)).toBe('server end 1006 WS_EOF');
      expect([server.bufferedAmount > 0, serverSide.peers.size, joined.b.aborted]).toEqual([true, 1, false]);
      if (how === 'abort') server.abort();
      else {
        const closed = how === 'close' ? serverSide.close({ deadline: 300 }) : null;
        const limit = how === 'close' ? 300 : 1000;
        clock.advance(limit - 1);
        expect(joined.b.aborted).toBe(false);
        clock.advance(1);
        await closed;
      }
      expect(joined.b.aborted).toBe(true);
      joined.flow();
      expect([serverSide.peers.size, clock.pending > 0]).toEqual([0, false]);
      expect(log.filter((line) => line.startsWith('server end'))).toHaveLength(1);
    }
  });

  it('serves every peer whatever their handlers throw, which is thrown outside', async () => {
    const failing: PeerHandlers = {
      onEnd() {
        throw new Error('at the end');
      },
    };
    const { clock, transports, serverSide } = await openSeveral(failing);
    for (const { cut } of transports) cut();
    let closed = Promise.resolve();
    const thrown = await uncaughtDuring(async () => {
      closed = serverSide.close({ deadline: 300 });
      clock.advance(300);
      await turn();
    });
    expect(thrown).toEqual(Array(3).fill('Error: at the end'));
    expect(transports.map(({ b }) => b.aborted)).toEqual([true, true, true]);
    for (const { b } of transports) b.close();
    await closed;
    expect(serverSide.peers.size).toBe(0);
  });

  it('sends every peer the code, whatever their handlers throw at what was held', async () => {
    const { transports, serverSide, clients, codes } = await openSeveral({
      onText: (peer) => peer.pause(),
      onClose() {
        throw new Error('at the close frame');
      },
    });
    for (const client of clients) {
      client.send('pause');
      client.close(4000);
      client.driver.pump();
    }
    for (const { flow } of transports) flow();
    expect(codes).toEqual([]);
    const thrown = await uncaughtDuring(async () => {
      const closed = serverSide.close({ code: 1012 });
      for (const { flow } of transports) flow();
      await closed;
      await turn();
    });
    expect(thrown).toEqual(Array(3).fill('Error: at the close frame'));
    expect(codes).toEqual([1012, 1012, 1012]);
  });

  it('waits as long as it is told to, on timers that do not count so far', async () => {
    for (const deadline of [2_147_483_657, Number.POSITIVE_INFINITY]) {
      const clock = virtualClock();
      const delays: number[] = [];
      const timers: TimerHost = {
        set(callback, delay) {
          delays.push(delay);
          return clock.set(callback, delay);
        },
        clear: (timer) => clock.clear(timer),
      };
      const host = new EndpointHost({ clock: clock.now, timers, handlers: {}, closing: 0 });
      const transport = fakeTransport({ clock });
      const settings = { timeouts: { keepalive: 0, closing: 0 } };
      const heads = { request: null, response: null };
      const peer = host.adopt(transport, { role: 'server', subprotocol: null, extensions: [] }, settings, heads, (driver) =>
        transport.attach(driver),
      );
      const closed = host.close({ deadline });
      clock.advance(2_147_483_656);
      expect([delays[0], Math.max(...delays), transport.aborted]).toEqual([2_147_483_647, 2_147_483_647, false]);
      if (deadline === Number.POSITIVE_INFINITY) peer.abort();
      else clock.advance(1);
      expect(transport.aborted).toBe(true);
      transport.close();
      await closed;
      expect(clock.pending).toBe(0);
    }
  });

  it('judges its options first, at every call, and leaves everything as it was', async () => {
    const { joined, serverSide, client, server } = await open();
    const empty = new EndpointHost({ clock: joined.clock.now, timers: joined.clock, handlers: {} });
    const mistakes: readonly (readonly [CloseAllOptions, string])[] = [
      [{ code: 1005 }, 'RangeError: code'],
      [{ code: 1010 }, 'RangeError: code'],
      [{ code: '1000' as unknown as number }, 'RangeError: code'],
      [{ reason: 'x'.repeat(124) }, 'RangeError: reason'],
      [{ reason: 1 as unknown as string }, 'TypeError: reason'],
      [{ deadline: -1 }, 'RangeError: options.deadline'],
      [{ deadline: Number.NaN }, 'TypeError: options.deadline'],
      [{ deadline: '1' as unknown as number }, 'TypeError: options.deadline'],
      [1 as unknown as CloseAllOptions, 'TypeError: options'],
    ];
    const refuseAll = async (): Promise<void> => {
      for (const [options, message] of mistakes) {
        for (const host of [serverSide, empty]) expect(String(await host.close(options).catch((error) => error))).toMatch(message);
      }
    };
    await refuseAll();
    joined.flow();
    expect([client.send('still there'), server.connection.state, joined.clock.pending > 0]).toEqual([true, 'open', true]);
    const late = joinedTransports({ clock: joined.clock });
    late.b.attach(serverSide.serve(late.b, {}));
    expect(late.b.aborted).toBe(false);
    const closed = serverSide.close({ code: 4999, reason: 'x'.repeat(123), deadline: 0 });
    joined.clock.advance(0);
    joined.flow();
    await closed;
    await refuseAll();
    expect(serverSide.close({ code: 1000 })).toBe(closed);
  });

  it('may be called by the handlers that it calls', async () => {
    const inside: Promise<void>[] = [];
    const { joined, serverSide, client } = await open({
      server: { onText: (peer) => peer.pause(), onClose: () => void inside.push(serverSide.close()) },
    });
    client.send('pause');
    client.close(4000);
    client.driver.pump();
    joined.flow();
    const closed = serverSide.close();
    expect(inside).toEqual([closed]);
    joined.flow();
    await closed;
    expect(serverSide.peers.size).toBe(0);
  });

  it('takes nobody in afterwards', async () => {
    const { clock, serverSide } = await open();
    void serverSide.close({ deadline: 10 });
    const late = joinedTransports({ clock });
    late.b.attach(serverSide.serve(late.b, {}));
    expect(late.b.aborted).toBe(true);
    clock.advance(20);
    await serverSide.close();
    expect(serverSide.peers.size).toBe(0);
  });

  it('resolves at once when there is nobody', async () => {
    const clock = virtualClock();
    await new EndpointHost({ clock: clock.now, timers: clock, handlers: {} }).close();
    expect(clock.armed).toBe(0);
  });
});
