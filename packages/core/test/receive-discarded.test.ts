/**
 * Messages that nobody reads any more: those after `close()` of an application that had paused are discarded, counted and still judged, and of
 * those that could be pulled as many bytes are kept as one message may have, in a bounded number of events.
 */
import type { Delivery } from '@ferrywire/core';
import { violations } from '@ferrywire/core/frame';
import { describe, expect, it } from 'vitest';
import { concat, hex, open, pattern, peerOf, split, toHex, utf8 } from './connection-helpers.ts';
import { extension, identity } from './extension-helpers.ts';
import { roles } from './sending-helpers.ts';

const deliveries: readonly Delivery[] = ['message', 'chunk', 'span'];

describe.each(roles)('discarded messages, %s', (role) => {
  describe.each(deliveries)('delivery %s', (delivery) => {
    it.each([0, 4])('are counted and not told, rsv %i', (rsv) => {
      for (const size of [1e9, 3]) {
        const extensions = rsv === 0 ? {} : { extensions: [extension('x', 4, identity)] };
        const { connection, peer, receive, seen } = open({ role, delivery, ...extensions });
        connection.pause();
        connection.close(1000);
        const wire = concat(
          peer.frame({ opcode: 1, rsv, payload: utf8('abc') }),
          peer.frame({ opcode: 2, rsv, payload: pattern(10) }),
          peer.frame({ opcode: 1, rsv, payload: utf8('de'), fin: false }),
          peer.continuation('fgh', true),
          peer.frame({ opcode: 2, rsv, payload: hex('') }),
        );
        receive(...split(wire, Math.min(size, wire.length)));
        expect(seen).toEqual([]);
        expect(connection.stats).toMatchObject({ messagesIn: 4, messagesDiscarded: 4, payloadIn: 18 });
        receive(peer.close(1000));
        connection.receiveEof();
        expect(seen.map(({ type }) => type)).toEqual(['close', 'end']);
      }
    });

    it.each([0, 4])('must be UTF-8 all the same, rsv %i', (rsv) => {
      for (const size of [1e9, 3]) {
        for (const parts of [[hex('61 ff 61')], [hex('61 62'), hex('ff 61')], [hex('61 e2'), hex('82')]]) {
          const extensions = rsv === 0 ? {} : { extensions: [extension('x', 4, identity)] };
          const harness = open({ role, delivery, ...extensions });
          harness.connection.pause();
          harness.connection.close(1000);
          const frames = parts.map((payload, index) =>
            harness.peer.frame({ opcode: index === 0 ? 1 : 0, rsv: index === 0 ? rsv : 0, fin: index === parts.length - 1, payload }),
          );
          const wire = concat(...frames);
          harness.receive(...split(wire, Math.min(size, wire.length)));
          expect(harness.connection.stats.messagesIn).toBe(0);
          harness.connection.receiveEof();
          expect(harness.end).toMatchObject({ clean: false, cause: violations.WS_INVALID_UTF8 });
        }
      }
    });
  });

  it.each(deliveries)('what is pulled after close() is kept up to maxMessageSize, delivery %s', (delivery) => {
    for (const [sizes, kept] of [
      [[100], 1],
      [[60, 40], 2],
      [[99, 1, 1], 2],
      [[60, 41, 1], 1],
    ] as const) {
      const harness = open({ role, mode: 'pull', pulling: false, delivery, limits: { maxMessageSize: 100 } });
      const { connection, peer } = harness;
      connection.close(1000);
      // The end comes in a frame of its own: it takes no room.
      for (const size of sizes) connection.receiveData(concat(peer.binary(pattern(size), false), peer.continuation('', true)));
      connection.receiveData(peer.close(1000));
      connection.receiveEof();
      expect(connection.stats).toMatchObject({ messagesIn: sizes.length, messagesDiscarded: sizes.length - kept });
      harness.pull();
      expect(harness.seen.filter(({ type }) => type === 'binary' || type === 'finish').length).toBe(kept);
      const bytes = harness.seen.reduce(
        (sum, event) => sum + (event.type === 'binary' || event.type === 'span' ? event.data.length : 0),
        0,
      );
      expect(bytes).toBe(sizes.slice(0, kept).reduce((sum, size) => sum + size, 0));
    }
  });

  describe.each(deliveries)('what costs no bytes is bounded in number, delivery %s', (delivery) => {
    const FLOOD = 40_000;
    const MOST = 16_384;
    const flooded = (frame: Uint8Array, paused = false) => {
      const harness = open({ role, mode: 'pull', pulling: false, delivery, limits: { maxMessageSize: 100_000 } });
      if (paused) harness.connection.pause();
      harness.connection.close(1000);
      const many = concat(...Array.from({ length: FLOOD / 100 }, () => frame));
      for (let count = 0; count < 100; count++) harness.receive(many);
      return harness;
    };
    it.each([
      ['empty binary', 2, 0],
      ['empty text', 1, 0],
      ['short', 2, 1],
    ] as const)('%s messages, which are counted', (_name, opcode, size) => {
      const { connection, peer, pull, receive, seen } = flooded(peerOf(role).frame({ opcode, payload: pattern(size) }));
      expect(connection.stats).toMatchObject({ messagesIn: FLOOD, messagesDiscarded: FLOOD - MOST });
      receive(peer.ping(), peer.close(1000));
      connection.receiveEof();
      pull();
      const ends = seen.filter(({ type }) => type === 'text' || type === 'binary' || type === 'finish');
      expect(ends).toHaveLength(MOST);
      expect(seen.slice(-2).map(({ type }) => type)).toEqual(['close', 'end']);
    });
    it.each([
      ['pings', 9],
      ['pongs', 10],
    ] as const)('%s, and room that is made is used again', (_name, opcode) => {
      for (const paused of [false, true]) {
        const { connection, peer, pull, receive, of, seen } = flooded(peerOf(role).frame({ opcode, payload: pattern(125) }), paused);
        receive(peer.text('lost'));
        expect(connection.stats).toMatchObject({ messagesIn: 1, messagesDiscarded: 1 });
        pull();
        expect(seen).toHaveLength(MOST);
        receive(peer.ping('later'));
        pull();
        expect(of('ping').at(-1)?.data).toEqual(utf8('later'));
        receive(peer.close(1000));
        connection.receiveEof();
        pull();
        expect(seen.slice(-2).map(({ type }) => type)).toEqual(['close', 'end']);
      }
    });
    it('a message whose pieces are kept has its end', () => {
      const { peer } = open({ role });
      const { connection, pull, receive, seen } = flooded(peerOf(role).ping(), false);
      pull();
      seen.length = 0;
      for (let count = 1; count < MOST; count++) receive(peer.ping());
      receive(peer.binary(pattern(3), false), peer.ping(), peer.continuation('', true), peer.text('lost'));
      receive(peer.close(1000));
      expect(connection.stats).toMatchObject({ messagesIn: 2, messagesDiscarded: delivery === 'message' ? 2 : 1 });
      pull();
      const rest = seen.slice(MOST - 1).map(({ type }) => type);
      expect(rest).toEqual(delivery === 'message' ? ['ping', 'close'] : ['start', 'span', 'finish', 'close']);
    });
  });

  it('none of the many events that wait is moved for each one that is pulled', () => {
    const { connection, peer, pull, seen } = open({ role, mode: 'pull', pulling: false });
    connection.close(1000);
    for (let count = 0; count < 16_384; count++) connection.receiveData(peer.text(`${count}`));
    let moved = 0;
    const { shift } = Array.prototype;
    // Array.prototype.shift moves what is left, once an array is so large that engines do not just cut it.
    Array.prototype.shift = function (this: unknown[]) {
      moved += this.length;
      return shift.call(this);
    };
    try {
      pull();
    } finally {
      Array.prototype.shift = shift;
    }
    expect(seen).toHaveLength(16_384);
    expect(moved).toBeLessThan(100_000);
  });

  it('each event that was pulled makes room for one, in delivery message and of pings', () => {
    const { connection, peer, of, pull } = open({ role, mode: 'pull', pulling: false });
    connection.close(1000);
    for (let count = 0; count < 16_384; count++) connection.receiveData(peer.ping(`${count}`));
    pull(6_000);
    for (let count = 16_384; count < 22_385; count++) connection.receiveData(peer.ping(`${count}`));
    pull();
    expect(of('ping')).toHaveLength(22_384);
    expect(toHex(of('ping').at(-1)?.data ?? utf8(''))).toBe(toHex(utf8('22383')));
  });

  it('events that were pulled make room for others, and in their order', () => {
    const { connection, peer, of, pull } = open({ role, mode: 'pull', pulling: false });
    connection.close(1000);
    let next = 0;
    for (let round = 0; round < 3; round++) {
      for (let count = 0; count < 10_000; count++) connection.receiveData(peer.text(`${next++}`));
      pull(9_000);
    }
    pull();
    expect(connection.stats).toMatchObject({ messagesIn: 30_000, messagesDiscarded: 0 });
    expect(of('text').every(({ data }, index) => data === `${index}`)).toBe(true);
    expect(of('text')).toHaveLength(30_000);
  });

  it('pieces of many are read in any size, and in their order', () => {
    const { connection, peer } = open({ role, mode: 'pull', pulling: false, delivery: 'span' });
    connection.close(1000);
    const sent: number[] = [];
    for (let count = 0; count < 2000; count++) {
      const data = pattern(1 + ((count + 1) % 5), count);
      sent.push(...data);
      connection.receiveData(peer.binary(data));
    }
    const read: number[] = [];
    for (let count = 0; ; count++) {
      const target = new Uint8Array(1 + (count % 3));
      const got = connection.readInto(target);
      if (got?.type !== 'data') break;
      read.push(...target.subarray(0, got.count));
    }
    expect(read).toEqual(sent);
  });

  it.each(['chunk', 'span'] as const)('where messages have no limit 1 MiB is kept, delivery %s', (delivery) => {
    const { connection, peer } = open({ role, mode: 'pull', pulling: false, delivery });
    connection.close(1000);
    for (let count = 0; count < 20; count++) connection.receiveData(peer.binary(pattern(65_000)));
    // Sixteen messages of 65 000 bytes fit.
    expect(connection.stats).toMatchObject({ messagesIn: 20, messagesDiscarded: 4 });
  });

  it.each(['shared', 'transferred'] as const)(
    'a large fragment of text is judged when it comes, not when the message ends, %s',
    (input) => {
      const harness = open({ role, input });
      const text = utf8('x'.repeat(20_000));
      text[19_000] = 0xff;
      harness.receive(harness.peer.text(text, false));
      expect(harness.connection.closeSent?.code).toBe(1007);
    },
  );

  it.each([0, 1, 2, 3])('chunks of text larger than any memory for them, %i bytes of a letter before', (carried) => {
    const harness = open({ role, delivery: 'chunk' });
    const text = `${'😀'}${'x'.repeat(70_000)}€`;
    const bytes = utf8(text);
    harness.receive(harness.peer.text(bytes.subarray(0, carried), false), harness.peer.continuation(bytes.subarray(carried), true));
    expect(
      harness
        .of('textChunk')
        .map(({ data }) => data)
        .join('') === text,
    ).toBe(true);
    expect(harness.of('finish').length).toBe(1);
  });
});
