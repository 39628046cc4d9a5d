/** Messages that wait to be compressed: how many there may be, who is told of room, and what is read meanwhile. */
import { Connection, type EndInfo } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';
import { EndpointHost, type EndpointHostOptions, type Peer } from '@ferrywire/driver';
import { type FakeTransportOptions, fakeTransport, virtualClock } from '@ferrywire/driver/testing';
import { describe, expect, it } from 'vitest';
import { asynchronous } from '../../../test/asynchronous.ts';
import { bombs, growing, HIGH_WATER, MESSAGE, MOST_TURNS, TURN } from '../../../test/growing.ts';

function served(handlers: EndpointHostOptions['handlers'], network: FakeTransportOptions = {}, more: Partial<EndpointHostOptions> = {}) {
  const clock = virtualClock();
  const transport = fakeTransport({ clock, ...network });
  const host = new EndpointHost({ clock: clock.now, timers: clock, ...more, handlers });
  const negotiated = { role: 'server', subprotocol: null, extensions: [growing()] } as const;
  const quiet = { timeouts: { keepalive: 0 } };
  const peer = host.adopt(transport, negotiated, quiet, { request: null, response: null });
  transport.attach(peer.driver);
  let most = 0;
  /** One turn after the other, until nothing is due. */
  const turns = (count = MOST_TURNS): number => {
    let turn = 0;
    for (; turn < count; turn++) {
      most = Math.max(most, peer.bufferedAmount);
      if (clock.next === null || clock.next > clock.now()) break;
      clock.step();
    }
    return turn;
  };
  return { clock, transport, peer, turns, most: () => most };
}

describe('what waits to be compressed', () => {
  it('is bounded, though a little input is a lot to answer and the peer takes all', () => {
    let answered = 0;
    const echo = (peer: Peer, data: string | Uint8Array): void => {
      answered++;
      peer.send(data);
    };
    const { transport, turns, most } = served({ onMessage: echo });
    for (let chunk = 0; chunk < 4; chunk++) transport.feed(bombs(60));
    expect(turns()).toBeLessThan(MOST_TURNS);
    expect([answered, transport.reading, transport.writes.length > 100]).toEqual([240, true, true]);
    expect(most()).toBeLessThan(HIGH_WATER + TURN);
    // Header and payload of each answer: nothing was lost.
    expect(transport.written.length).toBe(240 * 3);
  });

  it('leaves no room for a sender that asks, who is told when there is some', () => {
    let sent = 0;
    let drains = 0;
    const data = new Uint8Array(65_536);
    const fill = (peer: Peer): void => {
      for (; peer.writable && sent < 400; sent++) peer.send(data);
    };
    const { peer, transport, turns, most } = served({
      onDrain(drained) {
        drains++;
        expect(drained.writable).toBe(true);
        fill(drained);
      },
    });
    fill(peer);
    peer.driver.pump();
    expect([peer.writable, peer.driver.stalled, sent < 10]).toEqual([false, true, true]);
    expect(turns()).toBeLessThan(MOST_TURNS);
    expect([sent, peer.writable, peer.bufferedAmount, drains > 10]).toEqual([400, true, 0, true]);
    expect(most()).toBeLessThan(1_000_000);
    expect(transport.written.length).toBe(400 * 3);
  });

  it('leaves none either when the transport has drained meanwhile', () => {
    const told: boolean[] = [];
    // The transport takes the first of them.
    const { peer, transport, turns } = served({ onDrain: (drained) => void told.push(drained.writable) }, { room: 100 });
    for (let i = 0; i < 200; i++) peer.send(new Uint8Array(65_536));
    peer.driver.pump();
    let drains = 0;
    for (let turn = 0; turn < MOST_TURNS && peer.bufferedAmount > 0; turn++) {
      turns(1);
      if (transport.bufferedAmount > 0) drains++;
      transport.grant(transport.bufferedAmount);
    }
    turns();
    expect(drains).toBeGreaterThan(2);
    expect([told.length > 0, told.every((writable) => writable), peer.writable]).toEqual([true, true, true]);
    expect(transport.written.length).toBe(200 * 3);
  });

  it('goes out when somebody asks inside an event, and nothing else comes in before that is over', () => {
    const log: string[] = [];
    const text = (payload: string): Uint8Array => serializeFrame({ opcode: 1, payload: new TextEncoder().encode(payload), maskKey: 1 });
    const { transport } = served({
      onText(peer, data) {
        log.push(data);
        if (data !== 'a') return;
        peer.send(new Uint8Array(70_000), { compress: false });
        log.push(`${peer.writable} ${transport.writes.length}`);
        peer.driver.data(text('b'));
        peer.driver.pump();
        log.push('over');
      },
    });
    transport.feed(text('a'));
    expect(log).toEqual(['a', 'true 1', 'over', 'b']);
  });

  it('keeps a sender that never has enough from no ping of the peer', () => {
    const pings: number[] = [];
    let sent = 0;
    const fill = (peer: Peer): void => {
      for (let i = 0; i < 16 && sent < 800; i++, sent++) peer.send(new Uint8Array(65_536));
    };
    const { peer, transport, turns } = served({ onDrain: fill, onPing: () => void pings.push(sent) });
    fill(peer);
    peer.driver.pump();
    expect(transport.reading).toBe(false);
    for (let i = 0; i < 3; i++) transport.feed(serializeFrame({ opcode: 9, payload: new Uint8Array(0), maskKey: 1 }));
    turns();
    expect([pings.length, sent]).toEqual([3, 800]);
    expect(pings[0]).toBeLessThan(400);
  });
});

describe('what waits to be compressed behind the close frame of a peer that has ended its side', () => {
  it('still goes, and the end is clean', () => {
    const ends: EndInfo[] = [];
    const { transport, turns, peer } = served({ onEnd: (_, info) => void ends.push(info) });
    for (let message = 0; message < 8; message++) peer.send(new Uint8Array(MESSAGE));
    transport.feed(serializeFrame({ opcode: 8, payload: Uint8Array.of(0x03, 0xe8), maskKey: 1 }));
    transport.feedEof();
    expect([ends, peer.bufferedAmount > 0]).toEqual([[], true]);
    turns();
    expect(ends).toMatchObject([{ clean: true, code: 1000 }]);
    expect([transport.written.length, transport.ended]).toEqual([8 * 3 + 4, true]);
  });

  it('still goes when the close frame is pulled behind that end', () => {
    const { transport, turns, peer } = served({}, {}, { pull: true });
    peer.driver.data(serializeFrame({ opcode: 8, payload: Uint8Array.of(0x03, 0xe8), maskKey: 1 }));
    peer.driver.eof();
    for (let message = 0; message < 8; message++) peer.send(new Uint8Array(MESSAGE));
    expect(peer.connection.nextEvent()?.type).toBe('close');
    peer.driver.pump();
    turns();
    expect([...peer.connection.events()]).toMatchObject([{ type: 'end', clean: true, code: 1000 }]);
    expect([transport.written.length, transport.ended]).toEqual([8 * 3 + 4, true]);
  });
});

describe('work that is left of the input', () => {
  const plain = { compress: false } as const;
  const stalling = { room: 1000, highWaterMark: 1000 } as const;

  it('waits while the peer does not take what is answered to it, and goes on as it does', () => {
    let answered = 0;
    const echo = (peer: Peer, data: string | Uint8Array): void => {
      answered++;
      peer.send(data, plain);
    };
    const { transport, turns, most, peer } = served({ onMessage: echo }, stalling);
    transport.feed(bombs(60));
    expect(turns()).toBeLessThan(MOST_TURNS);
    expect([peer.writable, transport.reading]).toEqual([false, false]);
    expect(answered).toBeLessThanOrEqual(TURN / MESSAGE);
    for (let drain = 0; drain < 60 && answered < 60; drain++) {
      const before = answered;
      transport.grant(peer.bufferedAmount);
      turns();
      expect([answered > before, answered - before <= (2 * TURN) / MESSAGE]).toEqual([true, true]);
    }
    transport.grant();
    expect(turns()).toBeLessThan(MOST_TURNS);
    expect([answered, transport.reading, peer.bufferedAmount]).toEqual([60, true, 0]);
    expect(most()).toBeLessThan(3 * TURN);
  });

  it.each(['close', 'reset', 'gone'] as const)('waits no longer once the end is near: %s', (how) => {
    const ends: string[] = [];
    let answered = 0;
    const echo = (peer: Peer, data: string | Uint8Array): void => {
      answered++;
      peer.send(data, plain);
    };
    const onEnd = (_: Peer, { code, cause }: EndInfo): void => void ends.push(`${code} ${cause?.code ?? 'clean'}`);
    const { transport, turns, peer, clock } = served({ onMessage: echo, onEnd }, stalling);
    transport.feed(bombs(60));
    turns();
    expect(answered).toBeLessThan(60);
    if (how === 'close') {
      peer.close(1000);
      peer.driver.pump();
    } else if (how === 'reset') transport.reset();
    else transport.close();
    turns();
    expect(answered).toBe(60);
    clock.advance(20_000);
    const causes = { close: '1006 WS_TIMEOUT_CLOSING', reset: '1006 WS_TRANSPORT', gone: '1006 WS_EOF' };
    expect([ends, peer.driver.isLost]).toEqual([[causes[how]], true]);
  });

  it('is no reason to wait at the end of a peer that was failed meanwhile', () => {
    const ends: EndInfo[] = [];
    const { transport, peer } = served({ onEnd: (_, info) => void ends.push(info) });
    transport.feed(bombs(60));
    expect(peer.connection.unread).toBe(true);
    peer.connection.fail(1011);
    peer.driver.eof();
    expect([ends.length, peer.connection.unread, transport.ended]).toEqual([1, false, true]);
  });

  it.each(['reset', 'close'] as const)('is still read behind a close() after which the transport takes nothing: not clean (%s)', (how) => {
    const ends: EndInfo[] = [];
    const { transport, turns, peer } = served({ onEnd: (_, info) => void ends.push(info) });
    const close = serializeFrame({ opcode: 8, payload: Uint8Array.of(0x03, 0xe8), maskKey: 1 });
    transport.feed(new Uint8Array([...bombs(60), ...close]));
    transport[how]();
    expect([peer.close(1001), ends]).toEqual([true, []]);
    peer.driver.pump();
    turns();
    expect(transport.written.length).toBe(0);
    expect(ends).toMatchObject([{ clean: false, code: 1000, sent: { code: 1001 } }]);
  });

  it.each([false, true])(
    'waits though the peer has ended his side, which some hosts tell while reading is paused (pull mode: %s)',
    (pull) => {
      const ends: string[] = [];
      let answered = 0;
      const answer = (peer: Peer, data: string | Uint8Array): void => {
        answered++;
        peer.send(data, plain);
      };
      const onEnd = (_: Peer, { code, cause }: EndInfo): void => void ends.push(`${code} ${cause?.code ?? 'clean'}`);
      const { transport, turns, peer, most } = served({ onMessage: answer, onEnd }, stalling, { pull });
      const take = (): void => {
        while (!peer.driver.holdsInput) {
          const event = peer.connection.nextEvent();
          if (event === null) return;
          if (event.type === 'message') answer(peer, event.data);
          if (event.type === 'end') onEnd(peer, event);
        }
      };
      if (pull) peer.driver.onEvents = peer.driver.onDrain = take;
      transport.feed(bombs(60));
      turns();
      peer.driver.eof();
      turns();
      for (let drain = 0; drain < 60 && answered < 60; drain++) {
        expect(ends).toEqual([]);
        const before = answered;
        transport.grant(peer.bufferedAmount);
        turns();
        expect([answered > before, answered - before <= (2 * TURN) / MESSAGE]).toEqual([true, true]);
      }
      transport.grant();
      turns();
      expect([answered, ends]).toEqual([60, ['1006 WS_EOF']]);
      expect(most()).toBeLessThan(3 * TURN);
    },
  );

  it('waits where it was done outside, and is taken up when the connection may go on', () => {
    const pending: (() => void)[] = [];
    const got: unknown[] = [];
    const extensions = [asynchronous({ work: (done) => void pending.push(done) })];
    const sink = { onText: (text: string) => void got.push(text) };
    const connection = new Connection({ role: 'server', clock: () => 0, extensions, sink, timeouts: { keepalive: 0 } });
    connection.receiveData(serializeFrame({ opcode: 1, rsv: 4, payload: Uint8Array.of(0x61), maskKey: 1 }));
    connection.holdWork(true);
    pending.shift()?.();
    expect([got, connection.nextTimeout()]).toEqual([[], null]);
    connection.holdWork(false);
    expect(connection.nextTimeout()).toBeLessThanOrEqual(0);
    connection.handleTimeout();
    expect([got, connection.nextTimeout()]).toEqual([['a'], null]);
  });
});
