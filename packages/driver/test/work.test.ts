/** Extensions that work outside: what is ready moves on by itself, with no other event and no timer. */
import { Connection, type EndInfo, type Extension } from '@ferrywire/core';
import { drive, EndpointHost, type EndpointHostOptions, type Peer, type PeerHandlers } from '@ferrywire/driver';
import { fakeTransport, joinedTransports, virtualClock } from '@ferrywire/driver/testing';
import { describe, expect, it } from 'vitest';
import { asynchronous } from '../../../test/asynchronous.ts';
import { uncaughtDuring } from '../../../test/uncaught.ts';
import { ScriptedProtocol } from './helpers.ts';

/** No deadline writes what waits. */
const quiet = { timeouts: { keepalive: 0 } };
const MOST_ROUNDS = 100;

type Side = Partial<EndpointHostOptions> & { readonly fails?: 'inbound' | 'outbound' };

/** A client and a server over a handshake, or past it, that share an asynchronous extension. */
async function joinedPeers({ client = {}, server = {}, adopts = false }: { client?: Side; server?: Side; adopts?: boolean } = {}) {
  const clock = virtualClock();
  const transports = joinedTransports({ clock });
  const pending: (() => void)[] = [];
  const made = ({ fails }: Side): Extension => asynchronous({ work: (done) => void pending.push(done), fails });
  const ends: string[] = [];
  const host = (name: string, { fails: _fails, ...options }: Side): EndpointHost => {
    const handlers: PeerHandlers = {
      ...options.handlers,
      onEnd: (_, { code, cause }: EndInfo) => void ends.push(`${name} ${code} ${cause?.code ?? 'clean'}`),
    };
    return new EndpointHost({ clock: clock.now, timers: clock, ...options, handlers });
  };
  const hosts = { client: host('client', client), server: host('server', server) };
  const flow = async (): Promise<void> => {
    for (let round = 0; round < MOST_ROUNDS; round++) {
      await Promise.resolve();
      transports.flow();
    }
  };
  let peer: Peer;
  if (adopts) {
    const nothing = { request: null, response: null };
    const negotiated = { subprotocol: null };
    const other = hosts.server.adopt(transports.b, { ...negotiated, role: 'server', extensions: [made(server)] }, quiet, nothing);
    transports.b.attach(other.driver);
    peer = hosts.client.adopt(transports.a, { ...negotiated, role: 'client', extensions: [made(client)] }, quiet, nothing);
    transports.a.attach(peer.driver);
  } else {
    const extension = { name: 'x-asynchronous', accept: () => ({ params: [], extension: made(server) }) };
    transports.b.attach(hosts.server.serve(transports.b, { ...quiet, policy: { extensions: [extension] } }));
    const offered = { name: 'x-asynchronous', offers: () => [[]], confirm: () => made(client) };
    const dialled = hosts.client.dial(transports.a, { ...quiet, url: 'ws://example.com/', extensions: [offered] });
    transports.a.attach(dialled.driver);
    transports.flow();
    peer = await dialled.opened;
  }
  /** Does one piece of work after the other, as long as there is any, and lets what comes of it pass. */
  const finish = async (): Promise<void> => {
    for (let round = 0; round < MOST_ROUNDS; round++) {
      await flow();
      const done = pending.shift();
      if (done === undefined) return;
      done();
    }
  };
  return { peer, ends, pending, flow, finish, hosts, clock };
}

describe('an asynchronous extension', () => {
  for (const adopts of [false, true]) {
    it(`sends and receives with nothing else going on, ${adopts ? 'adopted' : 'behind a handshake'}`, async () => {
      const got: unknown[] = [];
      const server = { handlers: { onMessage: (peer: Peer, data: string | Uint8Array) => void peer.send(data) } };
      const client = { handlers: { onMessage: (_: Peer, data: string | Uint8Array) => void got.push(data) } };
      const { peer, finish, ends, clock } = await joinedPeers({ client, server, adopts });
      for (const message of ['a', 'b', Uint8Array.of(1, 2, 3), 'c']) peer.send(message);
      await finish();
      expect(got).toEqual(['a', 'b', Uint8Array.of(1, 2, 3), 'c']);
      peer.send('last');
      peer.close(1000);
      await finish();
      expect(got.at(-1)).toBe('last');
      expect(ends.sort()).toEqual(['client 1000 clean', 'server 1000 clean']);
      expect(clock.pending).toBe(0);
    });
  }

  it('tells who pulls', async () => {
    const got: string[] = [];
    const pull = (peer: Peer): void => {
      peer.driver.onEvents = () => {
        for (const event of peer.connection.events()) if (event.type === 'message') got.push(String(event.data));
      };
    };
    const { peer, finish } = await joinedPeers({ server: { pull: true, handlers: { onOpen: pull } } });
    peer.send('a');
    peer.send('b');
    await finish();
    expect(got).toEqual(['a', 'b']);
  });

  it('that fails ends the connection at once, and what it throws is not lost', async () => {
    for (const fails of ['inbound', 'outbound'] as const) {
      const thrown = await uncaughtDuring(async () => {
        const { peer, ends, finish, clock } = await joinedPeers(fails === 'outbound' ? { client: { fails } } : { server: { fails } });
        peer.send('a');
        peer.send('b');
        await finish();
        const failed = fails === 'outbound' ? ['client', 'server'] : ['server', 'client'];
        expect(ends.sort()).toEqual([`${failed[0]} 1006 WS_FAILED_LOCALLY`, `${failed[1]} 1011 clean`].sort());
        expect(clock.pending).toBe(0);
        await new Promise((resolve) => setImmediate(resolve));
      });
      expect(thrown).toEqual([`Error: ${fails} failed`]);
    }
  });

  it('does not get what a handler throws, and the handler may do all it may do in an event', async () => {
    const thrown = await uncaughtDuring(async () => {
      const got: string[] = [];
      const server: Side = {
        handlers: {
          onText(peer, text) {
            peer.driver.pump();
            got.push(text);
            throw new Error('mine');
          },
        },
      };
      const { peer, pending, flow, ends } = await joinedPeers({ server });
      peer.send('a');
      for (let round = 0; round < 3; round++) {
        await flow();
        expect(() => pending.shift()?.()).not.toThrow();
      }
      await flow();
      expect([got, ends.sort()]).toEqual([['a'], ['client 1011 clean', 'server 1006 WS_FAILED_LOCALLY']]);
      await new Promise((resolve) => setImmediate(resolve));
    });
    expect(thrown).toEqual(['Error: mine']);
  });

  it('gives what had arrived before the transport broke, and then the end', async () => {
    const log: string[] = [];
    const server: Side = { handlers: { onText: (_, text) => void log.push(text) } };
    const { peer, finish, pending, flow, hosts, ends } = await joinedPeers({ server });
    const [other] = hosts.server.peers;
    peer.send('a');
    await flow();
    pending.shift()?.();
    await flow();
    other?.driver.error(new Error('reset'));
    other?.driver.closed();
    expect([log, ends]).toEqual([[], []]);
    await finish();
    expect([log, ends.filter((end) => end.startsWith('server'))]).toEqual([['a'], ['server 1006 WS_TRANSPORT']]);
  });

  it('is none of the business of the driver once the connection is over', async () => {
    const { peer, pending, flow, ends } = await joinedPeers();
    peer.send('a');
    peer.abort();
    await flow();
    const before = [...ends];
    for (const done of pending.splice(0)) done();
    await flow();
    expect(ends).toEqual(before);
  });
});

describe('work of a protocol', () => {
  it('is a turn once the microtask has run, or at the end of the one under way', async () => {
    const protocol = new (class extends ScriptedProtocol {
      host: { onWork(): void } | null = null;
      workFor(host: { onWork(): void }): void {
        this.host = host;
      }
      wake(): void {
        this.calls.push('wake');
        this.say(this.calls.length);
      }
    })();
    const transport = fakeTransport();
    const driver = drive(protocol, transport, { clock: transport.clock.now, timers: transport.clock });
    transport.attach(driver);
    let told = 0;
    driver.onEvents = () => void told++;
    protocol.host?.onWork();
    protocol.host?.onWork();
    expect([protocol.calls, told]).toEqual([[], 0]);
    await Promise.resolve();
    expect([protocol.calls, told, transport.calls]).toEqual([['wake'], 1, ['write 1']]);
    protocol.onData = () => {
      protocol.host?.onWork();
      driver.pump();
      protocol.calls.push('data is done');
    };
    transport.feed(Uint8Array.of(1));
    expect(protocol.calls).toEqual(['wake', 'data 1', 'data is done', 'wake']);
    await Promise.resolve();
    expect([protocol.calls.length, told]).toEqual([4, 3]);
  });

  it('is done by a connection itself where nobody has asked for it', () => {
    const pending: (() => void)[] = [];
    const extensions = [asynchronous({ work: (done) => void pending.push(done) })];
    const connection = new Connection({ role: 'server', clock: () => 0, extensions });
    connection.sendText('a');
    expect(connection.takeOutput()).toEqual([]);
    pending.shift()?.();
    expect(connection.takeOutput()).toEqual([Uint8Array.of(0xc1, 1, 0x61)]);
  });
});
