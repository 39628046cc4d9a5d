import type { EndInfo, Negotiated } from '@ferrywire/core';
import {
  EndpointError,
  EndpointHost,
  type EndpointHostOptions,
  type Peer,
  type PeerHandlers,
  type PendingRequest,
} from '@ferrywire/driver';
import { joinedTransports, type PairOptions, virtualClock } from '@ferrywire/driver/testing';
import { describe, expect, it } from 'vitest';

type HostExtras = Omit<EndpointHostOptions, 'clock' | 'timers' | 'handlers'>;

interface Setup {
  readonly server?: PeerHandlers;
  readonly client?: PeerHandlers;
  readonly serverHost?: HostExtras;
  readonly clientHost?: HostExtras;
  readonly network?: Omit<PairOptions, 'clock'>;
}

function setup({ server = {}, client = {}, serverHost = {}, clientHost = {}, network = {} }: Setup = {}) {
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
    },
  });
  const serverSide = new EndpointHost({ ...time, ...serverHost, handlers: logged('server', server) });
  const clientSide = new EndpointHost({ ...time, ...clientHost, handlers: logged('client', client) });
  const accepted = serverSide.serve(joined.b, {});
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

  it('streams a refusal', async () => {
    const made = setup({
      server: {
        onRequest(pending) {
          const writer = pending.startRejection(404, [['content-type', 'text/plain']]);
          writer.write(Uint8Array.of(110, 111));
          queueMicrotask(() => {
            writer.write(Uint8Array.of(112, 101));
            writer.end();
          });
        },
      },
    });
    made.joined.flow();
    await new Promise((resolve) => setImmediate(resolve));
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

  it('adopts connections whose handshake was done elsewhere', async () => {
    const clock = virtualClock();
    const joined = joinedTransports({ clock });
    const received: string[] = [];
    const time = { clock: clock.now, timers: clock };
    const negotiated = (role: 'client' | 'server'): Negotiated => ({ role, subprotocol: 'chat', extensions: [] });
    const nothing = { request: null, response: null };
    const greeting: PeerHandlers = { onOpen: (peer) => void peer.send('welcome') };
    const server = new EndpointHost({ ...time, handlers: greeting }).adopt(joined.b, negotiated('server'), {}, nothing);
    const client = new EndpointHost({ ...time, handlers: { onText: (_, text) => void received.push(text) } }).adopt(
      joined.a,
      negotiated('client'),
      {},
      nothing,
    );
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

describe('close', () => {
  it('says 1001 to all, and resolves when the transports are gone', async () => {
    const { joined, log, serverSide } = await open();
    const closed = serverSide.close();
    expect(serverSide.close()).toBe(closed);
    joined.flow();
    await closed;
    expect(log.slice(2).sort()).toEqual(['client end 1001 clean', 'server end 1001 clean']);
    expect(serverSide.peers.size).toBe(0);
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
