/**
 * Keepalive, pong and idle (RFC 6455 section 5.5.2) in virtual time. The rule behind them all: a peer is never blamed for bytes that we have
 * not read, or for what it could not be told.
 */
import type { Timeouts } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, type Harness, hex, type OpenOptions, open } from './connection-helpers.ts';
import { roles } from './sending-helpers.ts';

/** When the next deadline is due, from the start (1000) on. */
function due({ connection }: Harness): number | null {
  const at = connection.nextTimeout();
  return at === null ? null : at - 1000;
}
const off: Timeouts = { opening: 0, closing: 0, keepalive: 0, pong: 0, idle: 0 };

describe.each(roles)('deadlines of a %s', (role) => {
  const start = (timeouts: Timeouts, options: Partial<OpenOptions> = {}): Harness => open({ role, timeouts, ...options });

  /** Waits for the keepalive ping, takes it, and returns its payload. */
  function pinged(harness: Harness, ms: number): Uint8Array {
    harness.advance(ms);
    const frames = harness.frames();
    expect(frames.map(({ header }) => header.opcode)).toEqual([9]);
    return frames[0]?.payload ?? hex('');
  }

  describe('defaults', () => {
    it('keepalive after 20 s, 20 s more for an answer, then 1011', () => {
      const harness = open({ role });
      const { connection } = harness;
      expect(due(harness)).toBe(20_000);
      harness.advance(19_999);
      expect(connection.bufferedAmount).toBe(0);
      expect(pinged(harness, 1).length).toBeGreaterThan(0);
      expect(due(harness)).toBe(40_000);
      harness.advance(19_999);
      expect([connection.state, connection.bufferedAmount]).toEqual(['open', 0]);
      harness.advance(1);
      expect([connection.state, connection.transport]).toEqual(['closing', 'end']);
      expect(harness.sent()[0]).toMatch(/^CLOSE 1011 '.*timeouts\.pong/);
      connection.receiveEof();
      expect(harness.end).toMatchObject({ clean: false, code: 1006, initiator: 'local', sent: { code: 1011 } });
      expect(harness.end.cause).toMatchObject({ code: 'WS_TIMEOUT_PONG', closeCode: 1011, section: 'RFC 6455 5.5.2' });
    });

    it('no idle deadline, and no opening deadline after the handshake', () => {
      expect(due(start({ keepalive: 0 }))).toBe(null);
      expect(due(start({ keepalive: 0, opening: 5 }))).toBe(null);
    });
  });

  describe('off with 0', () => {
    it('all of them: no deadline ever, whatever happens', () => {
      const harness = start(off);
      const { connection, peer, receive } = harness;
      expect(due(harness)).toBe(null);
      receive(peer.text('x'));
      connection.sendText('x');
      expect(due(harness)).toBe(null);
      harness.advance(10_000_000);
      connection.handleTimeout();
      expect(connection.state).toBe('open');
      connection.close(1000);
      harness.output();
      expect(due(harness)).toBe(null);
      harness.advance(10_000_000);
      connection.handleTimeout();
      expect(harness.ended).toBe(false);
    });

    it('keepalive: no pings', () => {
      const harness = start({ keepalive: 0 });
      harness.advance(10_000_000);
      expect(harness.sent()).toEqual([]);
    });

    it('pong: pings go on, nobody is failed', () => {
      const harness = start({ pong: 0 });
      const payloads: string[] = [];
      for (let i = 0; i < 5; i++) payloads.push(String(pinged(harness, 20_000)));
      expect(harness.connection.state).toBe('open');
      expect(new Set(payloads).size).toBe(5);
    });

    it('closing: the peer may take for ever', () => {
      const harness = start({ closing: 0 });
      harness.connection.close(1000);
      harness.output();
      expect(due(harness)).toBe(null);
    });
  });

  describe('keepalive', () => {
    it('counts from the last byte received, be it part of a header', () => {
      const harness = start({});
      harness.advance(15_000);
      harness.receive(harness.peer.text('x'.repeat(200)).subarray(0, 1));
      expect(due(harness)).toBe(35_000);
      harness.advance(19_999);
      expect(harness.sent()).toEqual([]);
      harness.advance(1);
      expect(harness.sent().length).toBe(1);
    });

    it('what we send does not put it off: only the peer shows that it lives', () => {
      const harness = start({});
      harness.advance(15_000);
      harness.connection.sendText('x');
      harness.output();
      expect(due(harness)).toBe(20_000);
    });

    it('one ping at a time: what is not taken does not pile up', () => {
      const harness = start({});
      harness.advance(20_000);
      const one = harness.connection.bufferedAmount;
      expect(one).toBeGreaterThan(0);
      harness.advance(10_000_000);
      expect(harness.connection.bufferedAmount).toBe(one);
      expect(harness.connection.state).toBe('open');
    });

    it('each ping has a payload of its own', () => {
      const harness = start({});
      const payloads = new Set<string>();
      for (let i = 0; i < 300; i++) {
        const payload = pinged(harness, 20_000);
        payloads.add(String(payload));
        harness.receive(harness.peer.pong(payload));
      }
      expect(payloads.size).toBe(300);
    });

    it('the sleep of a machine is no silence of the peer', () => {
      const harness = start({});
      harness.now += 3_600_000;
      harness.connection.handleTimeout();
      expect(harness.connection.state).toBe('open');
      expect(harness.frames().map(({ header }) => header.opcode)).toEqual([9]);
      expect(due(harness)).toBe(3_600_000 + 20_000);
    });
  });

  describe('latency', () => {
    it('is the time from taking the ping to its pong', () => {
      const harness = start({});
      const { connection, peer, receive } = harness;
      expect(connection.latency).toBe(null);
      harness.advance(20_000);
      // Time in our own queue is not the peer's.
      harness.advance(500);
      const [ping] = harness.frames();
      harness.advance(123);
      receive(peer.pong(ping?.payload ?? ''));
      expect(harness.of('pong')).toEqual([{ type: 'pong', data: ping?.payload, latency: 123 }]);
      expect(connection.latency).toBe(123);
    });

    it('is null for a pong that answers none of our keepalive pings', () => {
      const harness = start({});
      const { connection, peer, receive } = harness;
      receive(peer.pong('unasked'));
      connection.ping(hex('01 02 03 04'));
      harness.output();
      receive(peer.pong(hex('01 02 03 04')));
      const payload = pinged(harness, 20_000);
      receive(peer.pong(concat(payload, hex('00'))), peer.pong(''));
      expect(harness.of('pong').map(({ latency }) => latency)).toEqual([null, null, null, null]);
      expect(connection.latency).toBe(null);
      receive(peer.pong(payload), peer.pong(payload));
      expect(harness.of('pong').map(({ latency }) => latency)).toEqual([null, null, null, null, 0, null]);
    });

    it('keeps the last value, and takes the next', () => {
      const harness = start({});
      for (const latency of [5, 70, 0]) {
        const payload = pinged(harness, 20_000);
        harness.advance(latency);
        harness.receive(harness.peer.pong(payload));
        expect(harness.connection.latency).toBe(latency);
      }
    });

    it('any split of the pong gives the same', () => {
      const harness = start({});
      const pong = harness.peer.pong(pinged(harness, 20_000));
      harness.advance(10);
      for (const byte of pong) harness.receive(Uint8Array.of(byte));
      expect(harness.connection.latency).toBe(10);
    });
  });

  describe('pong', () => {
    it('any byte counts: a peer in the middle of a huge frame can not pong', () => {
      const harness = start({});
      const { connection, peer } = harness;
      harness.receive(peer.header(2, 1_000_000));
      for (let i = 0; i < 50; i++) {
        harness.advance(19_000);
        harness.output();
        harness.receive(hex('00'));
      }
      expect(connection.state).toBe('open');
      pinged(harness, 20_000);
      harness.advance(19_999);
      harness.receive(hex('00'));
      expect(due(harness)).toBe(harness.now - 1000 + 20_000);
      harness.advance(19_999);
      expect(connection.state).toBe('open');
    });

    it('starts when the ping is taken, not when it is queued', () => {
      const harness = start({});
      harness.advance(20_000);
      harness.advance(500_000);
      expect(harness.connection.state).toBe('open');
      harness.output();
      expect(due(harness)).toBe(540_000);
    });

    it('stands still while paused, and goes on where it was', () => {
      const harness = start({});
      const { connection } = harness;
      pinged(harness, 20_000);
      harness.advance(5000);
      connection.pause();
      expect(connection.wantsRead).toBe(false);
      expect(due(harness)).toBe(null);
      harness.advance(1_000_000);
      connection.handleTimeout();
      expect(connection.state).toBe('open');
      connection.resume();
      expect(due(harness)).toBe(1_025_000 + 15_000);
      harness.advance(14_999);
      expect(connection.state).toBe('open');
      harness.advance(1);
      expect(connection.state).toBe('closing');
    });

    it('stands still while input is held unread in pull mode', () => {
      const harness = start({}, { mode: 'pull', pulling: false });
      const { connection, peer } = harness;
      pinged(harness, 20_000);
      harness.receive(concat(peer.text('one'), peer.text('two')));
      // Something was heard, so the ping is answered; the next one goes out after silence of ours, not theirs.
      harness.pull(1);
      expect(connection.wantsRead).toBe(false);
      harness.advance(20_000);
      harness.output();
      harness.advance(1_000_000);
      expect(connection.state).toBe('open');
      harness.pull();
      expect(connection.wantsRead).toBe(true);
      harness.advance(20_000);
      expect(connection.state).toBe('closing');
    });

    it('stands still while output is not taken', () => {
      const harness = start({});
      const { connection } = harness;
      pinged(harness, 20_000);
      harness.advance(5000);
      connection.sendText('stuck');
      harness.advance(1_000_000);
      connection.handleTimeout();
      expect(connection.state).toBe('open');
      harness.output();
      harness.advance(14_999);
      expect(connection.state).toBe('open');
      harness.advance(1);
      expect(connection.state).toBe('closing');
    });

    it('stands still while the transport has stalled, though it has taken the ping', () => {
      const harness = start({ idle: 30_000 });
      const { connection } = harness;
      harness.advance(20_000);
      connection.sendText('much');
      harness.output();
      connection.outputStalled();
      expect(due(harness)).toBe(null);
      harness.advance(1_000_000);
      expect(connection.state).toBe('open');
      connection.outputDrained();
      expect(due(harness)).toBe(1_020_000 + 10_000);
      harness.receive(harness.peer.text('x').subarray(0, 1));
      pinged(harness, 20_000);
      harness.advance(5000);
      connection.outputStalled();
      harness.advance(1_000_000);
      connection.outputDrained();
      expect(due(harness)).toBe(2_045_000 + 5000);
    });

    it('stands still for either reason until both are gone', () => {
      const harness = start({});
      const { connection } = harness;
      pinged(harness, 20_000);
      harness.advance(1000);
      connection.pause();
      harness.advance(1000);
      connection.sendText('stuck');
      harness.advance(1000);
      connection.resume();
      harness.advance(100_000);
      expect(connection.state).toBe('open');
      harness.output();
      harness.advance(18_999);
      expect(connection.state).toBe('open');
      harness.advance(1);
      expect(connection.state).toBe('closing');
    });
  });

  describe('idle', () => {
    const idle = { keepalive: 0, idle: 30_000 };
    it('fails with 1011 after silence', () => {
      const harness = start(idle);
      expect(due(harness)).toBe(30_000);
      harness.advance(29_999);
      expect(harness.connection.state).toBe('open');
      harness.advance(1);
      expect(harness.sent()[0]).toMatch(/^CLOSE 1011 '.*timeouts\.idle/);
      harness.connection.receiveEof();
      expect(harness.end).toMatchObject({ clean: false, code: 1006, initiator: 'local' });
      expect(harness.end.cause).toMatchObject({ code: 'WS_TIMEOUT_IDLE', closeCode: 1011, section: expect.stringMatching(/^RFC 6455/) });
    });

    it('counts from the last byte received', () => {
      const harness = start(idle);
      for (let i = 0; i < 5; i++) {
        harness.advance(29_000);
        harness.receive(harness.peer.text('x').subarray(0, 1), harness.peer.text('x').subarray(1, 2));
        expect(due(harness)).toBe(29_000 * (i + 1) + 30_000);
        if (i === 0) break;
      }
    });

    it('our own pings do not put it off, pongs of the peer do', () => {
      const harness = start({ keepalive: 10_000, pong: 0, idle: 30_000 });
      harness.receive(harness.peer.pong(pinged(harness, 10_000)));
      pinged(harness, 10_000);
      pinged(harness, 10_000);
      harness.advance(9999);
      expect(harness.connection.state).toBe('open');
      harness.advance(1);
      expect(harness.connection.state).toBe('closing');
    });

    it('stands still while paused', () => {
      const harness = start(idle);
      harness.advance(10_000);
      harness.connection.pause();
      expect(due(harness)).toBe(null);
      harness.advance(1_000_000);
      harness.connection.handleTimeout();
      harness.connection.resume();
      expect(due(harness)).toBe(1_030_000);
      harness.advance(20_000);
      expect(harness.connection.state).toBe('closing');
    });

    it('stands still while paused from the last byte on, which may come meanwhile', () => {
      const harness = start(idle);
      harness.connection.pause();
      harness.advance(5_000);
      harness.receive(harness.peer.text('x'));
      harness.advance(2_000);
      harness.connection.resume();
      // Silence counts from the byte, and the 2 s since then were ours.
      expect(due(harness)).toBe(37_000);
    });

    it('stands still while output is not taken', () => {
      const harness = start(idle);
      harness.advance(10_000);
      harness.connection.sendText('stuck');
      harness.advance(1_000_000);
      harness.connection.handleTimeout();
      expect(harness.connection.state).toBe('open');
      harness.output();
      expect(due(harness)).toBe(1_030_000);
    });

    it('stands still while a keepalive ping is not taken', () => {
      const harness = start({ keepalive: 5000, pong: 0, idle: 9000 });
      harness.advance(5000);
      expect(harness.connection.bufferedAmount).toBeGreaterThan(0);
      harness.advance(4000);
      harness.output();
      harness.advance(3999);
      expect(harness.connection.state).toBe('open');
      harness.advance(1001);
      harness.output();
      expect(harness.connection.state).toBe('closing');
    });

    it('works beside keepalive: whichever comes first', () => {
      const harness = start({ keepalive: 20_000, pong: 20_000, idle: 25_000 });
      pinged(harness, 20_000);
      expect(due(harness)).toBe(25_000);
      harness.advance(5000);
      expect(harness.sent()[0]).toMatch(/timeouts\.idle/);
    });
  });

  describe('handleTimeout', () => {
    it('early and spurious calls change nothing', () => {
      const harness = start({ idle: 35_000 });
      for (let at = 0; at < 20_000; at += 500) {
        harness.connection.handleTimeout();
        harness.now += 500;
        expect(due(harness)).toBe(20_000);
      }
      expect(harness.sent()).toEqual([]);
      harness.connection.handleTimeout();
      harness.connection.handleTimeout();
      harness.connection.handleTimeout();
      expect(harness.sent().length).toBe(1);
      expect(harness.seen).toEqual([]);
    });

    it('takes a time of the host, on the scale of the clock', () => {
      const harness = start({});
      harness.connection.handleTimeout(1000 + 19_999);
      expect(harness.connection.bufferedAmount).toBe(0);
      harness.connection.handleTimeout(1000 + 20_000);
      expect(harness.connection.bufferedAmount).toBeGreaterThan(0);
    });

    it('a time before all deadlines is harmless', () => {
      const harness = start({});
      harness.connection.handleTimeout(0);
      harness.connection.handleTimeout(-5);
      expect(harness.connection.state).toBe('open');
      expect(harness.sent()).toEqual([]);
    });

    it('late by hours: the deadline fires once', () => {
      const harness = start({ keepalive: 0, idle: 30_000 });
      harness.now += 3_600_000;
      harness.connection.handleTimeout();
      expect(harness.sent().length).toBe(1);
      expect(harness.connection.state).toBe('closing');
    });

    it('reading nextTimeout starts nothing', () => {
      const harness = start({});
      for (let i = 0; i < 10; i++) {
        harness.now += 1000;
        expect(due(harness)).toBe(20_000);
      }
      expect(harness.seen).toEqual([]);
    });
  });
});
