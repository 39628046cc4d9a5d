/** Headers that look like something else: cut anywhere, behind each other, or with lengths that are only legal to look at. */
import { describe, expect, it } from 'vitest';
import { concat, hex, open, pattern, toHex } from './connection-helpers.ts';
import { roles } from './sending-helpers.ts';

describe.each(roles)('headers that a %s receives', (role) => {
  const masked = role === 'server';
  /** Keys and payloads that look like the beginnings of frames. */
  const keys = masked ? [0x8182_8182, 0x8281_8281, 0x0101_8181, 0x8181_8181] : [0];
  it('a header that was cut is gone on with, whatever its rest looks like', () => {
    for (const maskKey of keys) {
      for (const size of [1, 2, 125, 126, 0x8101, 0x8281]) {
        const payload = new Uint8Array(size).fill(0x82);
        const harness = open({ role, limits: { maxMessageSize: 1e6 } });
        const { peer, receive } = harness;
        const frame = peer.frame({ opcode: 2, payload, ...(masked && { maskKey }) });
        const header = frame.length - size;
        for (let cut = 1; cut <= header; cut++) {
          receive(frame.slice(0, cut), concat(frame.slice(cut), peer.text('next')));
          const [message, next] = harness.seen.splice(0);
          expect(message?.type === 'binary' && Buffer.compare(message.data, payload) === 0, `${size} cut at ${cut}`).toBe(true);
          expect(next).toEqual({ type: 'text', data: 'next' });
          expect(harness.seen).toEqual([]);
        }
      }
    }
  });

  it('a length of eight bytes is not read as one of two', () => {
    for (const length of ['00ff 0000 0000 0000', '0080 0000 0000 0000', '7fff 0000 0000 0000']) {
      const harness = open({ role });
      harness.receive(concat(hex(`82${masked ? 'ff' : '7f'} ${length}`), new Uint8Array(40_000)));
      expect(harness.of('binary')).toEqual([]);
      expect(harness.connection.closeSent?.code).toBe(1009);
    }
  });

  it.each([false, true])('pull mode parses no more than was asked for (traced: %s)', (tracing) => {
    const harness = open({ role, mode: 'pull', pulling: false, tracing });
    const { connection, peer } = harness;
    connection.receiveData(
      concat(peer.text('a'), peer.binary(pattern(3)), peer.ping('p'), peer.text('b', false), peer.continuation('c', true), peer.text('d')),
    );
    const counts: number[] = [];
    for (let event = connection.nextEvent(); event !== null; event = connection.nextEvent()) counts.push(connection.stats.framesIn);
    expect(counts).toEqual([1, 2, 3, 5, 6]);
  });

  it('nothing behind a close frame is looked at, nor behind a fault', () => {
    for (const [end, frames] of [
      ['close', 2],
      ['fault', 1],
    ] as const) {
      for (const tracing of [false, true]) {
        const harness = open({ role, tracing });
        const { peer } = harness;
        const last = end === 'close' ? peer.close(1000, 'bye') : peer.frame({ opcode: 3 });
        harness.receive(concat(peer.text('a'), last, peer.text('b'), peer.ping(), peer.close(1001)));
        expect(harness.of('text').map(({ data }) => data)).toEqual(['a']);
        expect(harness.of('ping')).toEqual([]);
        expect(harness.connection.stats.framesIn).toBe(frames);
        expect(harness.trace.filter(({ direction }) => direction === 'in').length).toBe(tracing ? 2 : 0);
      }
    }
  });

  it('each frame is traced once, with the beginning of its payload, however it is cut', () => {
    const frames = [
      ['text', 1, 300],
      ['ping', 9, 100],
      ['binary', 2, 125],
      ['binary', 2, 126],
      ['empty', 2, 0],
      ['pong', 10, 0],
    ] as const;
    for (const size of [1, 7, 130, 10_000]) {
      const harness = open({ role, tracing: true });
      const wire = concat(
        ...frames.map(([, opcode, length]) => harness.peer.frame({ opcode, payload: new Uint8Array(length).fill(0x61) })),
      );
      for (let at = 0; at < wire.length; at += size) harness.receive(wire.slice(at, at + size));
      const shown = harness.trace
        .filter(({ direction }) => direction === 'in')
        .map(({ frame }) => [frame?.opcode, frame?.length, toHex(frame?.preview ?? hex('00'))]);
      expect(shown).toEqual(frames.map(([, opcode, length]) => [opcode, length, '61'.repeat(Math.min(length, 125))]));
    }
  });
});
