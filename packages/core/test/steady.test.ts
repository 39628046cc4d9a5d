/** `steadyUntil`: when it may spare a host its questions, and when not. That it never does wrongly is in the random suites of closing and timers. */
import type { ConnectionOptions } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { type Harness, hex, type OpenOptions, open } from './connection-helpers.ts';
import { doubling, roles } from './sending-helpers.ts';
import { checkSteady, checkSteadyTaking } from './steady-helpers.ts';

const KEEPALIVE = 1000;
const timeouts: ConnectionOptions['timeouts'] = { keepalive: KEEPALIVE, pong: 100_000, closing: 5000 };

describe.each(roles)('a %s', (role) => {
  const start = (options: Partial<OpenOptions> = {}): Harness => open({ role, timeouts, ...options });

  it.each(['push', 'pull'] as const)('is steady while messages come and go, up to its next ping, %s mode', (mode) => {
    const harness = start({ mode });
    const { connection, peer } = harness;
    for (let i = 0; i < 3; i++) {
      harness.now += 100;
      harness.receive(peer.text('x'));
      connection.send('y');
      const due = harness.now + KEEPALIVE;
      expect([connection.steadyUntil(due - 1), connection.steadyUntil(due), connection.steadyUntil(due + 1)]).toEqual([true, true, false]);
      harness.output();
      expect(checkSteady(connection)).toBe(true);
    }
  });
  it('is steady for ever where nothing is ever due', () => {
    const { connection } = start({ timeouts: { keepalive: 0 } });
    expect([connection.nextTimeout(), connection.steadyUntil(Number.POSITIVE_INFINITY)]).toEqual([null, true]);
  });
  it('is steady with an extension that has nothing to do', () => {
    const harness = start({ extensions: [doubling()] });
    harness.connection.send('x');
    expect(checkSteady(harness.connection)).toBe(true);
  });

  it('is not while the answer to its ping is out, nor at once before a nearer ping when it came', () => {
    const harness = start();
    const { connection } = harness;
    harness.advance(KEEPALIVE);
    expect(connection.steadyUntil(0)).toBe(false);
    const [ping] = harness.frames();
    const due = connection.nextTimeout() ?? 0;
    expect([due, connection.steadyUntil(0)]).toEqual([harness.now + 100_000, false]);
    harness.now += 500;
    harness.receive(harness.peer.pong(ping?.payload));
    // Asked by somebody else: what the timer of the host was set for is what counts.
    const next = connection.nextTimeout() ?? 0;
    expect(next).toBe(harness.now + KEEPALIVE);
    expect([connection.steadyUntil(next), connection.steadyUntil(due)]).toEqual([true, false]);
  });

  const unsteady: Readonly<Record<string, (harness: Harness) => void>> = {
    paused: ({ connection }) => connection.pause(),
    closing: ({ connection }) => void connection.close(1000),
    failed: ({ connection }) => connection.fail(1011),
    aborted: ({ connection }) => connection.abort(),
    'closed by the peer': ({ receive, peer }) => receive(peer.close(1000)),
    'at the end': ({ connection }) => connection.receiveEof(),
    broken: ({ connection }) => connection.receiveError(new Error('reset')),
    'holding a pong': ({ receive, peer }) => receive(peer.ping('x')),
  };
  it.each(Object.entries(unsteady))('is not when it is %s', (_name, act) => {
    const harness = start();
    expect(harness.connection.steadyUntil(0)).toBe(true);
    act(harness);
    expect(harness.connection.steadyUntil(0)).toBe(false);
  });
  it('is not while it holds input that nobody has pulled', () => {
    const harness = start({ mode: 'pull', pulling: false });
    harness.receive(harness.peer.text('x'));
    expect(harness.connection.steadyUntil(0)).toBe(false);
    harness.pull();
    expect(harness.connection.steadyUntil(0)).toBe(true);
  });
  it('is not while a transform has a message, or a clock of silence runs', () => {
    const slow = doubling({ waits: true });
    const waiting = start({ extensions: [slow] });
    waiting.connection.send('x');
    expect(waiting.connection.steadyUntil(0)).toBe(false);
    slow.release();
    slow.ready();
    expect(waiting.connection.steadyUntil(0)).toBe(true);
    expect(start({ timeouts: { idle: 1000 } }).connection.steadyUntil(0)).toBe(false);
  });
  it('is not inside a callback, where the turn is not over', () => {
    const seen: boolean[] = [];
    const harness: Harness = start({
      hooks: {
        onText: () => {
          seen.push(harness.connection.steadyUntil(0));
          harness.connection.pause();
          seen.push(harness.connection.steadyUntil(0));
          harness.connection.resume();
        },
      },
    });
    harness.receive(harness.peer.text('x'));
    expect([...seen, harness.connection.steadyUntil(0)]).toEqual([false, false, true]);
  });
  it('keeps its promise when output was taken behind a pong, traced', () => {
    const harness: Harness = start({
      onTrace: ({ direction, text }) => {
        if (direction === 'out' && text.includes('PONG')) harness.connection.pause();
      },
    });
    harness.receive(harness.peer.ping(hex('01')));
    checkSteadyTaking(harness.connection, () => harness.output());
    expect(checkSteady(harness.connection)).toBe(false);
  });
});
