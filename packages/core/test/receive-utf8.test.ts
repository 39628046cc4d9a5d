/** Text must be UTF-8 (RFC 6455 section 8.1): it fails at the first byte that cannot be, in the middle of a frame and of a message. */
import type { Role } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, type Harness, hex, joined, type OpenOptions, open, pattern, split, utf8 } from './connection-helpers.ts';

/** Bytes, and the index of the first that cannot be UTF-8 after what came before (The Unicode Standard, table 3-7). */
const BAD: readonly (readonly [string, number])[] = [
  ['80', 0],
  ['bf', 0],
  ['c0', 0],
  ['c1 bf', 0],
  ['c3 28', 1],
  ['c3 c3', 1],
  ['df 7f', 1],
  ['e0 80', 1],
  ['e0 9f', 1],
  ['e1 41', 1],
  ['e2 82 28', 2],
  ['e2 82 c3', 2],
  ['ed a0', 1],
  ['ed bf', 1],
  ['ef bf c0', 2],
  ['f0 80', 1],
  ['f0 8f', 1],
  ['f0 9f 28', 2],
  ['f0 9f 98 28', 3],
  ['f4 90', 1],
  ['f4 8f bf 7f', 3],
  ['f5', 0],
  ['f8', 0],
  ['fe', 0],
  ['ff', 0],
  ['ef bb bf ff', 3],
];
/** Valid text before it: long enough for every path, and ending in every kind of sequence. */
const BEFORE = ['', 'a', 'κόσμε', 'x'.repeat(70), '€'.repeat(50), `${'y'.repeat(300)}😀`, 'é'.repeat(2100)];

const uses: readonly Omit<OpenOptions, 'role'>[] = (['push', 'pull'] as const).flatMap((mode) =>
  (['message', 'chunk', 'span'] as const).flatMap((delivery) =>
    (['shared', 'transferred', 'reused'] as const).map((input) => ({ mode, delivery, input })),
  ),
);
const roles: readonly Role[] = ['server', 'client'];

function expectInvalid(endpoint: Harness, delivered: Uint8Array, why: string): void {
  const { connection, seen } = endpoint;
  expect(connection.transport, why).toBe('end');
  const [reply] = endpoint.sent();
  expect(reply, why).toMatch(/^CLOSE 1007 '/);
  connection.receiveEof();
  if (seen.at(-1)?.type !== 'end') endpoint.pull();
  expect(endpoint.end, why).toMatchObject({
    clean: false,
    code: 1006,
    initiator: 'local',
    cause: { code: 'WS_INVALID_UTF8', closeCode: 1007 },
  });
  expect(endpoint.end.cause?.section, why).toBe('RFC 6455 8.1');
  const text = joined(seen).flatMap((event) => (event.type === 'textChunk' ? [event.data] : []));
  const bytes = joined(seen).flatMap((event) => (event.type === 'span' ? [event.data] : []));
  expect(
    seen.some(({ type }) => type === 'text' || type === 'finish'),
    why,
  ).toBe(false);
  // Pieces: everything before the bad byte, as whole code points or as bytes.
  const whole = Buffer.from(delivered)
    .toString('utf8')
    .replace(/\ufffd+$/, '');
  if (text.length > 0) expect(text, why).toEqual([whole]);
  if (bytes.length > 0) expect(bytes, why).toEqual([delivered]);
}

describe.each(roles)('%s', (role) => {
  it.each(uses.map((use) => [`${use.mode}, ${use.delivery}, ${use.input}`, use] as const))(
    '%s: fails at the exact byte, mid-frame, and delivers what came before',
    (_, use) => {
      for (const [digits, index] of BAD) {
        for (const before of BEFORE) {
          const why = `${digits} after ${before.length} characters`;
          const good = concat(utf8(before), hex(digits).subarray(0, index));
          const bad = hex(digits).subarray(0, index + 1);
          const payload = concat(utf8(before), bad, new Uint8Array(100));
          const bytewise = open({ role, ...use });
          const wire = bytewise.peer.text(payload);
          const showsAt = bytewise.peer.headerSize(payload.length) + good.length;
          // In one piece up to the byte before, then that byte.
          bytewise.receive(wire.slice(0, showsAt));
          expect(bytewise.connection.transport, why).toBe('open');
          expect(bytewise.output(), why).toHaveLength(0);
          bytewise.receive(wire.slice(showsAt, showsAt + 1));
          expectInvalid(bytewise, good, why);

          const whole = open({ role, ...use });
          whole.receive(Uint8Array.from(wire));
          expectInvalid(whole, good, `${why}, in one piece`);
        }
      }
    },
  );

  it('byte by byte it fails there too, and in the middle of a fragmented message', () => {
    for (const use of uses) {
      for (const [digits, index] of BAD) {
        const good = concat(utf8('aé'), hex(digits).subarray(0, index));
        const payload = concat(utf8('aé'), hex(digits), utf8('zzz'));
        for (let cut = 0; cut <= payload.length; cut += 2) {
          const endpoint = open({ role, ...use });
          const { peer } = endpoint;
          const wire = concat(peer.text(payload.subarray(0, cut), false), peer.ping('p'), peer.continuation(payload.subarray(cut), false));
          const head = peer.headerSize(cut);
          const inFirst = good.length < cut;
          const showsAt = inFirst ? head + good.length : head + cut + peer.ping('p').length + peer.headerSize(1) + good.length - cut;
          endpoint.receive(...split(wire.subarray(0, showsAt), 1));
          expect(endpoint.connection.transport, `${digits} cut at ${cut}`).toBe('open');
          endpoint.receive(wire.slice(showsAt, showsAt + 1));
          expect(endpoint.connection.transport, `${digits} cut at ${cut}`).toBe('end');
          expect(endpoint.of('ping')).toHaveLength(inFirst ? 0 : 1);
        }
      }
    }
  });

  it('a sequence left half-way fails where the message ends', () => {
    for (const use of uses) {
      for (const digits of ['c3', 'e2', 'e2 82', 'f0', 'f0 9f', 'f0 9f 98']) {
        const payload = concat(utf8('x'.repeat(80)), hex(digits));
        const one = open({ role, ...use });
        const wire = one.peer.text(payload);
        one.receive(wire.slice(0, -1));
        expect(one.connection.transport).toBe('open');
        one.receive(wire.slice(-1));
        expectInvalid(one, payload, digits);

        const two = open({ role, ...use });
        two.receive(two.peer.text(payload, false), two.peer.continuation('', false));
        expect(two.connection.transport).toBe('open');
        two.receive(two.peer.continuation('', true));
        expectInvalid(two, payload, `${digits}, then an empty last fragment`);
      }
    }
  });

  it('in a close reason it fails at the exact byte', () => {
    for (const mode of ['push', 'pull'] as const) {
      for (const [digits, index] of BAD) {
        const endpoint = open({ role, mode });
        const { peer } = endpoint;
        const payload = concat(hex('03e8'), utf8('aé'), hex(digits).subarray(0, index + 1), utf8('more'));
        const wire = peer.frame({ opcode: 8, payload });
        const showsAt = peer.headerSize(0) + 2 + 3 + index;
        endpoint.receive(...split(wire.subarray(0, showsAt), 1));
        expect(endpoint.connection.transport, digits).toBe('open');
        endpoint.receive(wire.slice(showsAt, showsAt + 1));
        expectInvalid(endpoint, new Uint8Array(0), digits);
        expect(endpoint.end.received).toBe(null);

        const whole = open({ role, mode });
        whole.receive(wire);
        expectInvalid(whole, new Uint8Array(0), `${digits}, in one piece`);
      }
      for (const digits of ['c3', 'e2 82', 'f0 9f 98']) {
        const endpoint = open({ role, mode });
        const wire = endpoint.peer.frame({ opcode: 8, payload: concat(hex('03e8'), hex(digits)) });
        endpoint.receive(...split(wire.subarray(0, wire.length - 1), 1));
        expect(endpoint.connection.transport).toBe('open');
        endpoint.receive(wire.slice(-1));
        expectInvalid(endpoint, new Uint8Array(0), digits);
      }
    }
  });

  it('binary messages and pings carry anything', () => {
    for (const use of uses) {
      const endpoint = open({ role, ...use });
      for (const [digits] of BAD) {
        const bytes = concat(pattern(70), hex(digits));
        endpoint.receive(
          endpoint.peer.binary(bytes),
          endpoint.peer.binary(bytes, false),
          endpoint.peer.ping(bytes),
          endpoint.peer.continuation(bytes, true),
        );
      }
      expect(endpoint.connection.state).toBe('open');
      expect(endpoint.connection.stats.messagesIn).toBe(BAD.length * 2);
    }
  });

  it('one message’s state does not reach into the next', () => {
    for (const use of uses) {
      const { connection, peer, receive } = open({ role, ...use });
      receive(
        peer.text('é'.repeat(40)),
        peer.binary(hex('c3')),
        peer.text('a'),
        peer.binary(hex('f0 9f'), false),
        peer.continuation('', true),
        peer.text('é'),
      );
      expect(connection.state).toBe('open');
    }
  });
});
