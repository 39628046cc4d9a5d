/**
 * The closing deadline (RFC 6455 section 7.1.1) in virtual time: where it starts, what restarts it, what it does; and the master rule of all
 * deadlines, that it never matters how often and how early `handleTimeout` is called.
 */
import type { Timeouts } from '@ferrywire/core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Harness, hex, open } from './connection-helpers.ts';
import { roles } from './sending-helpers.ts';

function due({ connection }: Harness): number | null {
  const at = connection.nextTimeout();
  return at === null ? null : at - 1000;
}

describe.each(roles)('the closing deadline of a %s', (role) => {
  const start = (timeouts: Timeouts = {}): Harness => open({ role, timeouts });

  it('runs from the moment our close frame is taken', () => {
    const harness = start();
    harness.advance(100);
    harness.connection.close(1000);
    // A peer is not blamed for what has not been written.
    harness.advance(60_000);
    expect(harness.connection.transport).toBe('open');
    harness.output();
    expect(due(harness)).toBe(70_100);
    harness.advance(9999);
    expect([harness.connection.transport, harness.ended]).toEqual(['open', false]);
    harness.advance(1);
    expect([harness.connection.transport, harness.connection.state, harness.connection.wantsRead]).toEqual(['abort', 'closed', false]);
    expect(harness.end).toMatchObject({ clean: false, code: 1006, initiator: 'local', sent: { code: 1000 }, received: null });
    expect(harness.end.cause).toMatchObject({ code: 'WS_TIMEOUT_CLOSING', closeCode: 1006, section: 'RFC 6455 7.1.1' });
    expect(due(harness)).toBe(null);
  });

  it('is not put off by work of extensions where there is none', () => {
    const harness = start();
    harness.connection.close(1000);
    harness.output();
    harness.advance(9000);
    harness.connection.wake();
    expect(due(harness)).toBe(10_000);
    harness.advance(1000);
    expect(harness.end.cause?.code).toBe('WS_TIMEOUT_CLOSING');
  });

  it('is the only one from the first close frame on', () => {
    const harness = start({ keepalive: 20_000, idle: 5000, closing: 60_000 });
    harness.connection.close(1000);
    harness.output();
    expect(due(harness)).toBe(60_000);
    harness.advance(59_999);
    expect(harness.sent()).toEqual([]);
    expect(harness.connection.transport).toBe('open');
  });

  it('is the only one, even while a keepalive ping waits for its pong', () => {
    const harness = start({ closing: 60_000 });
    harness.advance(20_000);
    harness.output();
    harness.connection.close(1000);
    harness.output();
    expect(due(harness)).toBe(80_000);
  });

  it('is the only one after the close frame of the peer too', () => {
    const harness = start({ closing: 60_000 });
    harness.receive(harness.peer.close(1000));
    harness.output();
    expect(due(harness)).toBe(60_000);
  });

  it('outputDrained() restarts it: the transport was the one that was slow', () => {
    const harness = start();
    harness.connection.close(1000);
    harness.output();
    harness.advance(9000);
    harness.connection.outputDrained();
    expect(due(harness)).toBe(19_000);
    harness.advance(9999);
    expect(harness.ended).toBe(false);
    harness.advance(1);
    expect(harness.end.cause?.code).toBe('WS_TIMEOUT_CLOSING');
  });

  it('outputDrained() starts nothing that does not run', () => {
    const harness = start({ keepalive: 0 });
    const drained = (): void => harness.connection.outputDrained();
    drained();
    expect(due(harness)).toBe(null);
    harness.connection.close(1000);
    harness.connection.abort();
    drained();
    expect(due(harness)).toBe(null);
  });

  it('outputStalled() starts it for a close frame that can not be taken', () => {
    const stalled = start();
    stalled.connection.sendBinary(new Uint8Array(100_000));
    stalled.connection.outputStalled();
    expect(due(stalled)).toBe(20_000);
    stalled.advance(500);
    stalled.connection.close(1000);
    expect(due(stalled)).toBe(10_500);
    stalled.advance(10_000);
    expect(stalled.end).toMatchObject({ clean: false, cause: { code: 'WS_TIMEOUT_CLOSING' } });

    const later = start();
    later.connection.close(1000);
    expect(due(later)).toBe(null);
    later.advance(500);
    later.connection.outputStalled();
    later.connection.outputStalled();
    expect(due(later)).toBe(10_500);

    const answering = start();
    answering.connection.outputStalled();
    answering.receive(answering.peer.close(1000));
    expect(due(answering)).toBe(10_000);
  });

  it('outputStalled() does not bring it forward or put it off', () => {
    const harness = start();
    harness.connection.close(1000);
    harness.output();
    harness.advance(4000);
    harness.connection.outputStalled();
    expect(due(harness)).toBe(10_000);
    harness.advance(1000);
    harness.connection.outputDrained();
    expect(due(harness)).toBe(15_000);
  });

  it('is not put off by bytes of the peer', () => {
    const harness = start();
    harness.connection.close(1000);
    harness.output();
    for (let i = 0; i < 9; i++) {
      harness.advance(1000);
      harness.receive(harness.peer.text('still talking'));
    }
    expect(due(harness)).toBe(10_000);
    harness.advance(1000);
    expect(harness.connection.transport).toBe('abort');
  });

  it('between both close frames and the EOF: the end is clean all the same', () => {
    const harness = start();
    harness.connection.close(1000);
    harness.output();
    harness.advance(5000);
    harness.receive(harness.peer.close(1000));
    expect(due(harness)).not.toBe(null);
    harness.advance(20_000);
    expect(harness.connection.transport).toBe('abort');
    expect(harness.end).toMatchObject({ clean: true, code: 1000, cause: null });
  });

  it('after an automatic answer runs from when it is taken', () => {
    const harness = start();
    harness.receive(harness.peer.close(1000));
    harness.advance(3000);
    harness.output();
    expect(due(harness)).toBe(13_000);
    harness.advance(10_000);
    expect(harness.end).toMatchObject({ clean: true, initiator: 'remote', cause: null });
    expect(harness.connection.transport).toBe('abort');
  });

  it('runs from a failure on, taken or not', () => {
    const failures: readonly ((harness: Harness) => void)[] = [
      ({ connection }) => connection.fail(1011),
      ({ peer, receive }) => receive(peer.frame({ opcode: 3 })),
    ];
    for (const fail of failures) {
      const harness = start();
      harness.advance(100);
      fail(harness);
      expect(due(harness)).toBe(10_100);
      harness.advance(10_000);
      expect(harness.connection.transport).toBe('abort');
      expect(harness.end.clean).toBe(false);
      expect(harness.end.cause?.code).toMatch(/WS_FAILED_LOCALLY|WS_INVALID_OPCODE/);
      expect(due(harness)).toBe(null);
    }
  });

  it('with autoClose false runs from the receipt of the close frame', () => {
    const harness = open({ role, autoClose: false });
    harness.receive(harness.peer.close(1001));
    expect(due(harness)).toBe(10_000);
    harness.advance(10_000);
    expect(harness.connection.transport).toBe('abort');
    expect(harness.end).toMatchObject({ clean: false, code: 1001, initiator: 'remote', sent: null, cause: { code: 'WS_TIMEOUT_CLOSING' } });
  });

  it('with autoClose false and an answer in time, starts anew when that is taken', () => {
    const harness = open({ role, autoClose: false });
    harness.receive(harness.peer.close(1001));
    harness.advance(9000);
    harness.connection.close(1000);
    harness.output();
    expect(due(harness)).toBe(19_000);
    harness.connection.receiveEof();
    expect(harness.end.clean).toBe(true);
  });

  it('a pause does not hold it, since it does not hold the close', () => {
    const harness = start();
    harness.connection.pause();
    harness.connection.close(1000);
    harness.output();
    expect(due(harness)).toBe(10_000);
    harness.advance(10_000);
    expect(harness.connection.transport).toBe('abort');
  });

  it('an early or spurious call changes nothing', () => {
    const harness = start();
    harness.connection.close(1000);
    harness.output();
    for (let i = 0; i < 99; i++) {
      harness.now += 100;
      harness.connection.handleTimeout();
    }
    expect(harness.ended).toBe(false);
    harness.now += 100;
    harness.connection.handleTimeout();
    harness.connection.handleTimeout();
    expect(harness.of('end').length).toBe(1);
  });
});

describe.each(roles)('however often handleTimeout is called, %s', (role) => {
  type Act = 'byte' | 'take' | 'pause' | 'resume' | 'text' | 'pong' | 'close' | 'peerClose' | 'fail' | 'drained' | 'stalled';
  const step = fc.record({
    wait: fc.oneof(fc.nat(2000), fc.nat(30_000)),
    act: fc.constantFrom<Act>(
      'byte',
      'byte',
      'take',
      'take',
      'take',
      'pause',
      'resume',
      'text',
      'pong',
      'close',
      'peerClose',
      'fail',
      'drained',
      'stalled',
    ),
  });

  /** What happened, each line with its time. `early`: the deadline is also tried every so many milliseconds. */
  function run(steps: readonly { wait: number; act: Act }[], early: number | null, timeouts: Timeouts): string[] {
    const harness = open({ role, timeouts });
    const { connection, peer } = harness;
    const log: string[] = [];
    const part = peer.header(2, 100_000);
    harness.receive(part);
    let lastPing = hex('');
    const note = (): void => {
      log.push(`${harness.now} ${connection.state} ${connection.transport} ${connection.bufferedAmount} ${JSON.stringify(harness.seen)}`);
    };
    const acts: Record<Act, () => void> = {
      byte: () => connection.receiveData(hex('00')),
      take: () => {
        for (const frame of harness.frames()) if (frame.header.opcode === 9) lastPing = frame.payload;
      },
      pause: () => connection.pause(),
      resume: () => connection.resume(),
      text: () => void connection.sendText('x'),
      pong: () => connection.receiveData(peer.pong(lastPing)),
      close: () => void connection.close(1000),
      peerClose: () => connection.receiveData(peer.close(1000)),
      fail: () => connection.fail(1011),
      drained: () => connection.outputDrained(),
      stalled: () => connection.outputStalled(),
    };
    for (const { wait, act } of steps) {
      if (early === null) harness.advance(wait);
      else {
        const until = harness.now + wait;
        connection.handleTimeout();
        while (harness.now < until) {
          connection.handleTimeout();
          harness.advance(Math.min(early, until - harness.now));
          connection.handleTimeout();
        }
      }
      note();
      acts[act]();
      note();
    }
    return log;
  }

  it('the same happens at the same time', () => {
    const timeouts = fc.record({
      keepalive: fc.constantFrom(0, 5000),
      pong: fc.constantFrom(0, 3000),
      idle: fc.constantFrom(0, 9000),
      closing: fc.constantFrom(0, 4000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), fc.integer({ min: 100, max: 5000 }), timeouts, (steps, early, given) => {
        expect(run(steps, early, given)).toEqual(run(steps, null, given));
      }),
      { numRuns: 200 },
    );
  });
});
