/**
 * Random calls and inputs in virtual time: whatever the order, exactly one end event, consistent with all that was seen on the wire, nothing
 * after it, levels that never go back, and no exception but the documented misuse.
 */
import type { EndInfo, Role } from '@ferrywire/core';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { type Harness, hex, open, pattern } from './connection-helpers.ts';
import { doubling, roles, sentMessages } from './sending-helpers.ts';
import { checkSteady, checkSteadyTaking } from './steady-helpers.ts';

type Command = { readonly run: string; readonly n: number };

/** (state, input) pairs that were reached over all runs. */
const reached = new Set<string>();
/** How often `steadyUntil` promised something. */
let steady = 0;

const commands: Readonly<Record<string, (harness: Harness, n: number, take: () => void) => void>> = {
  sendText: ({ connection }, n) => void connection.sendText('x'.repeat(n)),
  sendFirst: ({ connection }) => void connection.sendText('first', { fin: false }),
  sendMiddle: ({ connection }) => void connection.sendContinuation('middle', false),
  sendLast: ({ connection }) => void connection.sendContinuation('last', true),
  writer: ({ connection }, n) => {
    const writer = connection.startMessage('binary');
    writer.write(pattern(n * 100));
    writer.end(pattern(n));
  },
  ping: ({ connection }) => void connection.ping(hex('01')),
  pong: ({ connection }) => void connection.pong(hex('01')),
  close: ({ connection }, n) => void connection.close(4000 + (n % 5), 'closing'),
  closeEmpty: ({ connection }) => void connection.close(),
  fail: ({ connection }) => connection.fail(1011, 'failing'),
  abort: ({ connection }) => connection.abort(),
  pause: ({ connection }) => connection.pause(),
  resume: ({ connection }) => connection.resume(),
  wake: ({ connection }) => connection.wake(),
  take: (_harness, _n, take) => take(),
  drained: ({ connection }) => connection.outputDrained(),
  stalled: ({ connection }) => connection.outputStalled(),
  release: ({ connection }) => connection.wake(),
  handleTimeout: ({ connection }) => connection.handleTimeout(),
  wait: (harness, n, take) => {
    harness.advance(n * 200);
    if (n % 2 === 0) take();
  },
  receiveText: ({ receive, peer }, n) => receive(peer.text('t'.repeat(n))),
  receiveFirst: ({ receive, peer }) => receive(peer.text('first', false)),
  receiveLast: ({ receive, peer }) => receive(peer.continuation('last', true)),
  receivePing: ({ receive, peer }) => receive(peer.ping('p')),
  receivePong: ({ receive, peer }) => receive(peer.pong('q')),
  receiveClose: ({ receive, peer }, n) => receive(n % 4 === 0 ? peer.close() : peer.close(3000 + n, 'theirs')),
  receiveSplitClose: ({ receive, peer }) => {
    for (const byte of peer.close(1001, 'byte by byte')) receive(Uint8Array.of(byte));
  },
  receiveHeader: ({ receive, peer }, n) => receive(peer.header(2, n)),
  receiveViolation: ({ receive, peer }) => receive(peer.frame({ opcode: 3 })),
  receiveNoise: ({ receive }, n) => receive(pattern(n, n)),
  eof: ({ connection }) => connection.receiveEof(),
  reset: ({ connection }) => connection.receiveError(new Error('reset')),
};
/** Mostly legal, and mostly not the end: what ends the transport is rare. */
const weights: Readonly<Record<string, number>> = {
  sendText: 4,
  receiveText: 5,
  take: 6,
  wait: 3,
  abort: 0.3,
  eof: 0.5,
  reset: 0.3,
  fail: 0.5,
  receiveViolation: 0.3,
  receiveNoise: 0.2,
  receiveHeader: 0.3,
};
const command: fc.Arbitrary<Command> = fc.record({
  run: fc.oneof(...Object.keys(commands).map((name) => ({ weight: Math.round((weights[name] ?? 1) * 10), arbitrary: fc.constant(name) }))),
  n: fc.nat(120),
});

const variant: fc.Arbitrary<Variant> = fc.record({
  autoClose: fc.boolean(),
  waiting: fc.boolean(),
  idle: fc.constantFrom(0, 8000),
});

const levels = { open: 0, end: 1, done: 2, abort: 2 } as const;
const lives = { open: 0, closing: 1, closed: 2 } as const;

/** Is what the end event tells consistent with itself and with the connection? */
function checkEnd({ connection }: Harness, info: EndInfo, wire: readonly { code: number; reason: string }[]): void {
  const { clean, code, reason, sent, received, initiator, cause } = info;
  expect(sent).toEqual(connection.closeSent);
  expect(received).toEqual(connection.closeReceived);
  expect({ code, reason }).toEqual(received ?? { code: 1006, reason: '' });
  expect(clean).toBe(cause === null);
  if (clean) expect(sent !== null && received !== null).toBe(true);
  if (sent !== null || received !== null) expect(initiator).not.toBe(null);
  if (sent !== null && received === null) expect(initiator).toBe('local');
  if (initiator === 'remote') expect(received).not.toBe(null);
  if (cause !== null) expect(cause.section).toMatch(/^RFC \d+ \d/);
  // What went out is what was said; an abort may have dropped it.
  expect(wire.length).toBeLessThanOrEqual(1);
  if (wire.length === 1) expect(wire[0]).toEqual(sent);
  if (sent !== null && connection.transport === 'done') expect(wire.length).toBe(1);
}

interface Variant {
  readonly autoClose: boolean;
  /** With an extension that is slow. */
  readonly waiting: boolean;
  readonly idle: number;
}

function play(role: Role, mode: 'push' | 'pull', { autoClose, waiting, idle }: Variant, steps: readonly Command[]): void {
  // A transform that is slow with binary messages, so that frames wait behind them.
  const extension = doubling({ waits: true, wants: (kind) => kind === 'binary' });
  const harness = open({
    role,
    mode,
    autoClose,
    ...(waiting && { extensions: [extension] }),
    timeouts: { closing: 5000, keepalive: 3000, pong: 3000, idle },
  });
  const { connection } = harness;
  const frames: ReturnType<Harness['frames']> = [];
  const take = (): void => checkSteadyTaking(connection, () => void frames.push(...harness.frames()));

  let level = 0;
  let life = 0;
  let eventsAtEnd = -1;
  for (const { run, n } of [
    ...steps,
    { run: 'take', n: 0 },
    { run: 'resume', n: 0 },
    { run: 'eof', n: 0 },
    { run: 'take', n: 0 },
    ...steps,
  ]) {
    if (run === 'release') extension.release();
    const act = commands[run];
    if (act === undefined) throw new Error(run);
    reached.add(
      `${connection.closeSent === null ? '' : 'sent '}${connection.closeReceived === null ? '' : 'received '}${connection.transport} ${run}`,
    );
    try {
      act(harness, n, take);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
      expect(code).toMatch(/^WS_MISUSE_(MESSAGE_OPEN|NO_MESSAGE)$/);
    }
    if (checkSteady(connection)) steady++;
    if (mode === 'pull') {
      harness.pull();
      checkSteady(connection);
    }
    expect(levels[connection.transport]).toBeGreaterThanOrEqual(level);
    expect(lives[connection.state]).toBeGreaterThanOrEqual(life);
    level = levels[connection.transport];
    life = lives[connection.state];
    expect(connection.state === 'closed').toBe(level === 2);
    if (level < 2) {
      expect(harness.ended).toBe(false);
      continue;
    }
    expect(connection.wantsRead).toBe(false);
    expect(connection.nextTimeout()).toBe(null);
    expect(harness.of('end').length).toBe(1);
    expect(harness.seen.at(-1)?.type).toBe('end');
    if (eventsAtEnd >= 0) expect(harness.seen.length).toBe(eventsAtEnd);
    eventsAtEnd = harness.seen.length;
  }
  expect(harness.ended).toBe(true);
  expect(harness.of('close').length).toBeLessThanOrEqual(1);
  sentMessages(frames, true);
  const closes = frames.flatMap(({ header, payload }, at) => {
    if (header.opcode !== 8) return [];
    expect(at).toBe(frames.length - 1);
    if (payload.length === 0) return [{ code: 1005, reason: '' }];
    return [{ code: ((payload[0] as number) << 8) | (payload[1] as number), reason: Buffer.from(payload.subarray(2)).toString() }];
  });
  checkEnd(harness, harness.end, closes);
}

describe.each(roles)('random calls and inputs, %s', (role) => {
  it.each(['push', 'pull'] as const)('%s mode: exactly one consistent end', (mode) => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40 }), variant, (steps, chosen) => play(role, mode, chosen, steps)),
      { numRuns: 400 },
    );
  });
});

afterAll(() => {
  console.log(`close-property: ${reached.size} (state, input) pairs reached, of ${Object.keys(commands).length} inputs`);
  expect(reached.size).toBeGreaterThan(200);
  expect(steady).toBeGreaterThan(200);
});
