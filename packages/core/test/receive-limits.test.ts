/** Limits on everything a peer controls (RFC 6455 sections 7.4.1 and 10.4), judged before memory is allocated. */
import type { Limits, Role } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, type Harness, messagesOf, type OpenOptions, open, pattern, split } from './connection-helpers.ts';

const roles: readonly Role[] = ['server', 'client'];
const deliveries = ['message', 'chunk', 'span'] as const;
const modes = ['push', 'pull'] as const;
const ways: readonly OpenOptions[] = roles.flatMap((role) =>
  modes.flatMap((mode) => deliveries.map((delivery) => ({ role, mode, delivery }))),
);
const title = ({ role, mode, delivery }: OpenOptions): string => `${role}, ${mode}, ${delivery}`;

function causeOf(endpoint: Harness): unknown {
  endpoint.connection.receiveEof();
  if (!endpoint.ended) endpoint.pull();
  return endpoint.end.cause;
}
const tooBig = {
  code: 'WS_MESSAGE_TOO_BIG',
  closeCode: 1009,
  section: 'RFC 6455 7.4.1',
  message: expect.stringContaining('limits.maxMessageSize'),
};

/** Where a header of a frame of `size` bytes has told its length. */
const lengthEnd = (size: number): number => (size < 126 ? 2 : size < 65_536 ? 4 : 10);

describe.each(ways.map((way) => [title(way), way] as const))('%s', (_, way) => {
  it('maxMessageSize: exactly that much, and no byte more, known from the header', () => {
    for (const max of [0, 1, 125, 126, 1000, 65_535, 65_536, 100_000]) {
      const fits = open({ ...way, limits: { maxMessageSize: max } });
      fits.receive(fits.peer.binary(pattern(max)), fits.peer.text('x'.repeat(max)), fits.peer.binary(pattern(max)));
      expect(fits.connection.state, `${max}`).toBe('open');
      expect(messagesOf(fits.seen)).toHaveLength(3);

      const size = max + 1;
      const over = open({ ...way, limits: { maxMessageSize: max } });
      const head = over.peer.header(2, size).subarray(0, lengthEnd(size));
      over.receive(...split(head.subarray(0, -1), 1));
      expect(over.connection.transport).toBe('open');
      over.receive(head.subarray(-1));
      expect(over.connection.transport).toBe('end');
      expect(over.sent()[0]).toMatch(/^CLOSE 1009 '.*maxMessageSize.*'$/);
      expect(causeOf(over)).toMatchObject(tooBig);
      expect(over.seen.map(({ type }) => type)).toEqual(['end']);
    }
  });

  it('maxMessageSize counts all fragments, and starts anew with each message', () => {
    const limits: Limits = { maxMessageSize: 10 };
    const endpoint = open({ ...way, limits });
    const { peer } = endpoint;
    for (let round = 0; round < 3; round++) {
      endpoint.receive(peer.binary(pattern(4), false), peer.continuation(pattern(6), false), peer.ping(), peer.continuation('', true));
    }
    expect(messagesOf(endpoint.seen)).toHaveLength(3);
    endpoint.receive(peer.binary(pattern(4), false), peer.continuation(pattern(6), false));
    expect(endpoint.connection.transport).toBe('open');
    const head = peer.header(0, 1);
    endpoint.receive(head.subarray(0, 1));
    expect(endpoint.connection.transport).toBe('open');
    endpoint.receive(head.subarray(1, 2));
    expect(endpoint.connection.transport).toBe('end');
    expect(causeOf(endpoint)).toMatchObject(tooBig);
  });

  it('maxFrameSize bounds a frame, not a message', () => {
    const limits: Limits = { maxMessageSize: 1000, maxFrameSize: 200 };
    const endpoint = open({ ...way, limits });
    const { peer } = endpoint;
    endpoint.receive(
      peer.binary(pattern(200), false),
      ...[1, 2, 3].map(() => peer.continuation(pattern(200), false)),
      peer.continuation(pattern(200), true),
    );
    expect(messagesOf(endpoint.seen)).toHaveLength(1);
    endpoint.receive(peer.header(2, 201).subarray(0, 3));
    expect(endpoint.connection.transport).toBe('open');
    endpoint.receive(peer.header(2, 201).subarray(3, 4));
    expect(endpoint.connection.transport).toBe('end');
    expect(causeOf(endpoint)).toMatchObject({ ...tooBig, message: expect.stringContaining('limits.maxFrameSize') });
  });

  it('maxFrameSize spares control frames', () => {
    const endpoint = open({ ...way, limits: { maxMessageSize: 5, maxFrameSize: 5 } });
    endpoint.receive(endpoint.peer.ping(pattern(125)), endpoint.peer.pong(pattern(125)), endpoint.peer.close(1000, 'x'.repeat(123)));
    expect(endpoint.of('close')).toHaveLength(1);
  });

  it('maxFragments counts data frames of one message', () => {
    const endpoint = open({ ...way, limits: { maxFragments: 3 } });
    const { peer } = endpoint;
    for (let round = 0; round < 3; round++) {
      endpoint.receive(
        peer.text('a', false),
        peer.ping(),
        peer.continuation('', false),
        peer.pong(),
        peer.continuation('b', true),
        peer.text('c'),
      );
    }
    expect(messagesOf(endpoint.seen)).toEqual(['ab', 'c', 'ab', 'c', 'ab', 'c']);
    endpoint.receive(peer.text('a', false), peer.continuation('', false), peer.continuation('', false));
    expect(endpoint.connection.transport).toBe('open');
    endpoint.receive(peer.continuation('', true));
    expect(endpoint.connection.transport).toBe('end');
    expect(endpoint.sent().at(-1)).toMatch(/^CLOSE 1008 '.*maxFragments.*'$/);
    expect(causeOf(endpoint)).toMatchObject({ code: 'WS_TOO_MANY_FRAGMENTS', closeCode: 1008, section: 'RFC 6455 10.4' });
    expect(messagesOf(endpoint.seen)).toHaveLength(6);
  });

  it('maxFragments 1: no fragmented messages', () => {
    const endpoint = open({ ...way, limits: { maxFragments: 1 } });
    endpoint.receive(endpoint.peer.text('a'), endpoint.peer.text('b', false));
    expect(endpoint.connection.transport).toBe('open');
    endpoint.receive(endpoint.peer.continuation('', true));
    expect(endpoint.connection.transport).toBe('end');
  });

  it('by default 1 MiB in delivery message, and no bound where nothing is assembled', () => {
    const size = 1_048_576;
    const endpoint = open(way);
    endpoint.receive(endpoint.peer.binary(pattern(size)));
    expect(endpoint.connection.stats.messagesIn).toBe(1);
    endpoint.receive(endpoint.peer.binary(pattern(size + 1)), endpoint.peer.binary(pattern(7)));
    expect(endpoint.connection.stats.messagesIn).toBe(way.delivery === 'message' ? 1 : 3);
    expect(endpoint.connection.transport).toBe(way.delivery === 'message' ? 'end' : 'open');
  });

  it('Infinity takes lengths up to 2^53 - 1, and allocates nothing for them', () => {
    const limits: Limits = { maxMessageSize: Number.POSITIVE_INFINITY, maxFrameSize: Number.POSITIVE_INFINITY };
    const before = process.memoryUsage().arrayBuffers;
    const open64 = [2n ** 30n, 2n ** 40n, 2n ** 53n - 1n].map((size) => {
      const endpoint = open({ ...way, limits });
      endpoint.receive(endpoint.peer.header(2, size), pattern(10));
      expect(endpoint.connection.transport, `${size}`).toBe('open');
      return endpoint;
    });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_048_576);
    expect(open64.map(({ connection }) => connection.stats.bytesIn)).toEqual(
      Array(3).fill(lengthEnd(70_000) + (way.role === 'server' ? 4 : 0) + 10),
    );
    const over = open({ ...way, limits });
    over.receive(over.peer.header(2, 2n ** 53n));
    expect(causeOf(over)).toMatchObject({ code: 'WS_MESSAGE_TOO_BIG', closeCode: 1009 });
  });

  it('a message whose sum passes 2^53 is refused as well', () => {
    const limits: Limits = { maxMessageSize: Number.MAX_SAFE_INTEGER };
    const endpoint = open({ ...way, limits });
    endpoint.receive(endpoint.peer.binary(pattern(2), false), endpoint.peer.header(0, 2n ** 53n - 2n));
    expect(endpoint.connection.transport).toBe('end');
  });
});

describe('limits', () => {
  it('declared lengths cost no memory, in a thousand connections', () => {
    const before = process.memoryUsage().arrayBuffers;
    const endpoints = Array.from({ length: 1000 }, () => {
      const endpoint = open({ role: 'server', limits: { maxMessageSize: 2 ** 31 } });
      endpoint.receive(endpoint.peer.header(2, 2 ** 31), new Uint8Array(4));
      return endpoint;
    });
    expect(endpoints.every(({ connection }) => connection.state === 'open')).toBe(true);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4_194_304);
  });

  it('a limit that is passed in the middle of a message delivers no part of it, except as pieces', () => {
    for (const delivery of deliveries) {
      const endpoint = open({ role: 'client', delivery, limits: { maxMessageSize: 5 } });
      endpoint.receive(concat(endpoint.peer.text('abc', false), endpoint.peer.continuation('def', true)));
      const pieces = endpoint.seen.flatMap((event) =>
        'data' in event && event.type !== 'ping' ? [Buffer.from(event.data as string).toString()] : [],
      );
      expect(pieces).toEqual(delivery === 'message' ? [] : ['abc']);
      expect(endpoint.of('finish')).toEqual([]);
      expect(endpoint.connection.stats.messagesIn).toBe(0);
    }
  });
});
