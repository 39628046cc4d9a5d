/** A `WebSocket` that answers messages which were tiny on the wire: how much of the answers there may be, and that none is lost. */
import { EndpointHost } from '@ferrywire/driver';
import { type FakeTransport, type FakeTransportOptions, fakeTransport, virtualClock } from '@ferrywire/driver/testing';
import { defineWebSocket, messageStreams, type WebSocket } from '@ferrywire/websocket';
import { describe, expect, it } from 'vitest';
import { bombs, growing, HIGH_WATER, MESSAGE, MOST_TURNS } from '../../../test/growing.ts';
import { logOf, manualTasks, settle } from './helpers.ts';

interface Served {
  readonly ws: WebSocket;
  readonly transport: FakeTransport;
  /** What was held of answers at most. */
  most(): number;
  /** How many tasks waited at most. */
  mostTasks(): number;
  /** Tasks and timers, until none is due. */
  run(): Promise<void>;
}

function served(compresses: boolean, network: FakeTransportOptions = {}): Served {
  const clock = virtualClock();
  const tasks = manualTasks();
  const transport = fakeTransport({ clock, ...network });
  const host = new EndpointHost({ clock: clock.now, timers: clock, pull: true, handlers: {} });
  const negotiated = { role: 'server', subprotocol: null, extensions: [growing(compresses)] } as const;
  const peer = host.adopt(transport, negotiated, { timeouts: { keepalive: 0 } }, { request: null, response: null });
  transport.attach(peer.driver);
  const bound = defineWebSocket({ schedule: tasks.schedule, connect: () => Promise.reject(new Error('dials nothing')) });
  const ws = bound.WebSocket.from(peer.connection, peer.driver);
  ws.binaryType = 'arraybuffer';
  let most = 0;
  let mostTasks = 0;
  const look = (): void => {
    most = Math.max(most, peer.bufferedAmount);
    mostTasks = Math.max(mostTasks, tasks.pending);
  };
  return {
    ws,
    transport,
    most: () => most,
    mostTasks: () => mostTasks,
    async run() {
      for (let turn = 0; turn < MOST_TURNS; turn++) {
        const isDue = clock.next !== null && clock.next <= clock.now();
        if (isDue) clock.step();
        look();
        const isTask = await tasks.step();
        look();
        if (!isDue && !isTask) return;
      }
      throw new Error('run: not idle');
    },
  };
}

/** What there is of answers when reading stops, and what the last of them adds. */
const BOUND = HIGH_WATER + 2 * MESSAGE;
/** Messages that `messages()` holds ready by default. */
const AHEAD = 16 * MESSAGE;

/** Answers every message, and counts. */
function echo(ws: WebSocket, how: 'events' | 'messages'): () => number {
  let answered = 0;
  const answer = (data: ArrayBuffer | Uint8Array | string): void => {
    answered++;
    ws.send(data);
  };
  if (how === 'events') ws.onmessage = ({ data }) => answer(data as ArrayBuffer);
  else {
    void (async () => {
      for await (const message of ws.messages()) answer(message);
    })().catch(() => {});
  }
  return () => answered;
}

describe('a socket that answers what was tiny on the wire', () => {
  it.each([
    ['events', BOUND],
    ['messages', BOUND + AHEAD],
  ] as const)('has a bounded amount to be compressed (%s)', async (how, bound) => {
    const { ws, transport, run, most } = served(true);
    const answered = echo(ws, how);
    await run();
    for (let chunk = 0; chunk < 4; chunk++) transport.feed(bombs(60));
    await run();
    expect([answered(), transport.written.length, transport.reading]).toEqual([240, 240 * 3, true]);
    expect(most()).toBeLessThan(bound);
  });

  it.each([
    ['events', BOUND],
    ['messages', BOUND + AHEAD],
  ] as const)('waits for a peer that does not take the answers, and goes on as it does (%s)', async (how, bound) => {
    const { ws, transport, run, most } = served(false, { room: 1000, highWaterMark: 1000 });
    const answered = echo(ws, how);
    await run();
    transport.feed(bombs(60));
    await run();
    expect(answered()).toBeLessThan(60);
    for (let drain = 0; drain < 60 && answered() < 60; drain++) {
      const before = answered();
      transport.grant(BOUND + AHEAD);
      await run();
      expect(answered()).toBeGreaterThan(before);
    }
    transport.grant();
    await run();
    // It changes between tasks, once somebody has asked.
    void ws.bufferedAmount;
    await run();
    expect([answered(), transport.reading, ws.bufferedAmount]).toEqual([60, true, 0]);
    expect(most()).toBeLessThan(bound);
  });

  it('has one event at a time waiting for its task', async () => {
    const { ws, transport, run, mostTasks } = served(false);
    const answered = echo(ws, 'events');
    await run();
    transport.feed(bombs(60));
    await run();
    expect([answered(), transport.written.length]).toEqual([60, 60 * (MESSAGE + 10)]);
    // The other one is of `bufferedAmount`.
    expect(mostTasks()).toBeLessThanOrEqual(2);
  });

  it.each(['close', 'reset', 'gone'] as const)('waits no longer once the end is near: %s', async (end) => {
    const { ws, transport, run } = served(false, { room: 1000, highWaterMark: 1000 });
    const answered = echo(ws, 'events');
    const log = logOf(ws);
    await run();
    transport.feed(bombs(60));
    await run();
    const before = answered();
    expect(before).toBeLessThan(60);
    log.length = 0;
    if (end === 'close') ws.close(1000);
    else if (end === 'reset') transport.reset();
    else transport.close();
    await run();
    if (end === 'close') {
      transport.grant();
      transport.feed(Uint8Array.of(0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8));
      transport.feedEof();
      await run();
      transport.close();
      await run();
    }
    expect(log.at(-1)).toMatch(end === 'close' ? 'close 3 true 1000 ""' : 'close 3 false 1006 ""');
    // No message event follows close(); what the peer had sent before it went does come.
    expect(answered()).toBe(end === 'close' ? before : 60);
  });
});

describe('messageStreams() of a host that answers what was tiny on the wire', () => {
  it('waits for a peer that does not take the answers, and goes on as it does', async () => {
    const clock = virtualClock();
    const transport = fakeTransport({ clock, room: 1000, highWaterMark: 1000 });
    const host = new EndpointHost({ clock: clock.now, timers: clock, pull: true, handlers: {} });
    const negotiated = { role: 'server', subprotocol: null, extensions: [growing(false)] } as const;
    const options = { delivery: 'chunk', timeouts: { keepalive: 0 } } as const;
    const peer = host.adopt(transport, negotiated, options, { request: null, response: null });
    transport.attach(peer.driver);
    let drains = 0;
    peer.driver.onDrain = () => {
      drains++;
    };
    let answered = 0;
    let most = 0;
    const answering = (async () => {
      for await (const { body } of messageStreams(peer.connection, peer.driver)) {
        for await (const piece of body) {
          peer.send(piece);
          answered += piece.length;
          most = Math.max(most, peer.bufferedAmount);
        }
      }
    })();
    transport.feed(bombs(60));
    // All of an answer has been pulled, or the next of it waits for room.
    const idle = async (): Promise<void> => {
      for (let before = -1, turns = 0; before < answered && turns < MOST_TURNS; turns++) {
        before = answered;
        for (let turn = 0; turn < 20; turn++) await settle();
      }
    };
    await idle();
    expect(answered).toBeLessThan(BOUND);
    for (let drain = 0; drain < 60 && answered < 60 * MESSAGE; drain++) {
      const before = answered;
      transport.grant(2 * BOUND);
      await idle();
      expect(answered).toBeGreaterThan(before);
    }
    transport.grant();
    expect([answered, drains > 0, transport.reading]).toEqual([60 * MESSAGE, true, true]);
    expect(most).toBeLessThan(BOUND);
    transport.feed(Uint8Array.of(0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8));
    transport.feedEof();
    await answering;
  });
});
