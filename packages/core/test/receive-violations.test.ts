/**
 * What a peer may not send (RFC 6455 sections 5.1, 5.2, 5.4, 5.5, 7.4): each fails at the first byte that shows it, with its code, close code
 * and section, whatever follows; and each lenient flag lifts exactly one rule.
 */
import type { LenientFlags, Role, Violation, ViolationCode } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, hex, messagesOf, type OpenOptions, open, pattern, peerOf, type Seen, split, utf8 } from './connection-helpers.ts';

interface Breach {
  readonly name: string;
  readonly role: Role;
  /** Legal bytes before it. */
  readonly before?: string;
  /** Up to and including the first byte that shows it. */
  readonly bytes: string;
  readonly code: ViolationCode;
  readonly section: string;
}

/** The masked header of an empty first fragment. */
const OPEN: Readonly<Record<Role, string>> = { server: '01 80 00000000', client: '01 00' };
const byte = (value: number): string => value.toString(16).padStart(2, '0');

function breachesOf(role: Role): Breach[] {
  const list: Breach[] = [];
  const add = (name: string, bytes: string, code: ViolationCode, section: string, before?: string) =>
    list.push({ name, role, bytes, code, section, ...(before !== undefined && { before }) });
  for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
    add(`opcode ${opcode}`, byte(0x80 | opcode), 'WS_INVALID_OPCODE', 'RFC 6455 5.2');
    add(`opcode ${opcode} without FIN`, byte(opcode), 'WS_INVALID_OPCODE', 'RFC 6455 5.2');
    add(`opcode ${opcode} in a message`, byte(0x80 | opcode), 'WS_INVALID_OPCODE', 'RFC 6455 5.2', OPEN[role]);
  }
  for (let rsv = 1; rsv < 8; rsv++) {
    for (const opcode of [1, 2, 8, 9, 10]) {
      add(`rsv ${rsv} on opcode ${opcode}`, byte(0x80 | (rsv << 4) | opcode), 'WS_RESERVED_BITS', 'RFC 6455 5.2');
    }
    add(`rsv ${rsv} on a continuation`, byte(0x80 | (rsv << 4)), 'WS_RESERVED_BITS', 'RFC 6455 5.2', OPEN[role]);
  }
  for (const opcode of [8, 9, 10]) {
    add(`control ${opcode} without FIN`, byte(opcode), 'WS_CONTROL_FRAGMENTED', 'RFC 6455 5.5');
    add(`control ${opcode} without FIN in a message`, byte(opcode), 'WS_CONTROL_FRAGMENTED', 'RFC 6455 5.5', OPEN[role]);
    const mask = role === 'server' ? 0x80 : 0;
    for (const length of [126, 127]) {
      add(`control ${opcode}, length ${length}`, byte(0x80 | opcode) + byte(mask | length), 'WS_CONTROL_TOO_LONG', 'RFC 6455 5.5');
    }
  }
  for (const first of [0x00, 0x80]) {
    add(`continuation ${byte(first)} of nothing`, byte(first), 'WS_UNEXPECTED_CONTINUATION', 'RFC 6455 5.4');
  }
  for (const first of [0x01, 0x02, 0x81, 0x82]) {
    add(`frame ${byte(first)} in a message`, byte(first), 'WS_EXPECTED_CONTINUATION', 'RFC 6455 5.4', OPEN[role]);
  }
  for (const length of [0, 1, 125, 126, 127]) {
    for (const opcode of [1, 2, 8, 9, 10]) {
      if (opcode >= 8 && length > 125) continue;
      const wrong = role === 'server' ? length : 0x80 | length;
      const code = role === 'server' ? 'WS_MASK_REQUIRED' : 'WS_MASK_FORBIDDEN';
      add(`wrong mask on opcode ${opcode}, length ${length}`, byte(0x80 | opcode) + byte(wrong), code, 'RFC 6455 5.1');
    }
  }
  const two = byte(role === 'server' ? 0xfe : 0x7e);
  const eight = byte(role === 'server' ? 0xff : 0x7f);
  for (const length of ['0000', '0001', '007d']) add(`16-bit ${length}`, `82${two}${length}`, 'WS_LENGTH_NOT_MINIMAL', 'RFC 6455 5.2');
  for (const length of ['0000000000000000', '000000000000007d', '000000000000007e', '000000000000ffff']) {
    add(`64-bit ${length}`, `82${eight}${length}`, 'WS_LENGTH_NOT_MINIMAL', 'RFC 6455 5.2');
    add(`64-bit ${length} in a continuation`, `80${eight}${length}`, 'WS_LENGTH_NOT_MINIMAL', 'RFC 6455 5.2', OPEN[role]);
  }
  for (const length of ['80', 'ff', 'c0']) add(`64-bit ${length}..`, `82${eight}${length}`, 'WS_LENGTH_TOO_LARGE', 'RFC 6455 5.2');
  for (const length of ['0020000000000000', '7fffffffffffffff', '0000000000100001']) {
    add(`64-bit ${length}`, `82${eight}${length}`, 'WS_MESSAGE_TOO_BIG', 'RFC 6455 7.4.1');
  }
  const key = role === 'server' ? '00000000' : '';
  const small = (length: number): string => byte((role === 'server' ? 0x80 : 0) | length);
  for (const code of [0, 1, 255, 256, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 65_535]) {
    add(`close code ${code}`, `88${small(2)}${key}${code.toString(16).padStart(4, '0')}`, 'WS_CLOSE_CODE', 'RFC 6455 7.4');
    add(`close code ${code}, reason to come`, `88${small(9)}${key}${code.toString(16).padStart(4, '0')}`, 'WS_CLOSE_CODE', 'RFC 6455 7.4');
  }
  return list;
}

const CLOSE_CODES: Partial<Record<ViolationCode, number>> = { WS_MESSAGE_TOO_BIG: 1009, WS_INVALID_UTF8: 1007 };
const breaches = [...breachesOf('server'), ...breachesOf('client')];
const uses: readonly Pick<OpenOptions, 'mode' | 'delivery' | 'input'>[] = [
  { mode: 'push', delivery: 'message' },
  { mode: 'pull', delivery: 'message', input: 'reused' },
  { mode: 'push', delivery: 'chunk', input: 'transferred' },
  { mode: 'pull', delivery: 'chunk' },
  { mode: 'push', delivery: 'span' },
  { mode: 'pull', delivery: 'span', input: 'transferred' },
];

/** The failure as an application and the peer see it. */
function expectFailure(breach: Breach, use: (typeof uses)[number], chunks: readonly Uint8Array[], why: string): void {
  const endpoint = open({ role: breach.role, ...use, limits: { maxMessageSize: 1_048_576 } });
  for (const [index, chunk] of chunks.entries()) {
    if (index === chunks.length - 1) expect(endpoint.connection.transport, `${why}: before its last byte`).toBe('open');
    endpoint.receive(chunk);
  }
  expect(endpoint.connection.transport, why).toBe('end');
  expect(endpoint.connection.state, why).toBe('closing');
  expect(endpoint.connection.wantsRead, why).toBe(true);
  const closeCode = CLOSE_CODES[breach.code] ?? 1002;
  const [reply, ...more] = endpoint.sent();
  expect(more, why).toEqual([]);
  expect(reply, why).toMatch(new RegExp(`^CLOSE ${closeCode} '.+'$`));
  expect(endpoint.ended, why).toBe(false);
  // Deaf from here on, and silent.
  endpoint.receive(endpoint.peer.ping('x'), endpoint.peer.text('x'), endpoint.peer.close(1000), hex('ff ff ff'));
  endpoint.connection.receiveEof();
  if (use.mode === 'pull') endpoint.pull();
  expect(endpoint.sent(), why).toEqual([]);
  const { end } = endpoint;
  const cause = end.cause as Violation;
  expect([cause.code, cause.closeCode, cause.section], why).toEqual([breach.code, closeCode, breach.section]);
  expect(cause.message.length, why).toBeGreaterThan(10);
  expect(reply, why).toBe(`CLOSE ${closeCode} '${cause.message}'`);
  expect(end, why).toEqual({
    clean: false,
    code: 1006,
    reason: '',
    sent: { code: closeCode, reason: cause.message },
    received: null,
    initiator: 'local',
    cause,
  });
  expect(
    endpoint.seen.filter(({ type }) => type !== 'start').map(({ type }) => type),
    why,
  ).toEqual(['end']);
  expect(endpoint.connection.transport, why).toBe('done');
}

describe('violations', () => {
  it('there is a case for every rule of a header', () => {
    expect(new Set(breaches.map(({ code }) => code)).size).toBe(12);
    expect(breaches.length).toBeGreaterThan(300);
  });

  it.each(uses.map((use) => [`${use.mode}, ${use.delivery}`, use] as const))('%s: fail at the first byte that shows them', (_, use) => {
    for (const breach of breaches) {
      const before = hex(breach.before ?? '');
      const shown = hex(breach.bytes);
      const why = `${breach.role}: ${breach.name}`;
      expectFailure(breach, use, split(concat(before, shown), 1), `${why}, byte by byte`);
      expectFailure(breach, use, [concat(before, shown, new Uint8Array(40).fill(0xff))], `${why}, in one piece`);
    }
  });

  it('the first byte that shows one decides, in any split', () => {
    const cases: [Role, string, ViolationCode][] = [
      ['server', 'ff 7f ff', 'WS_INVALID_OPCODE'],
      ['server', 'f9 7f ff', 'WS_RESERVED_BITS'],
      ['server', '79 7f ff', 'WS_RESERVED_BITS'],
      ['server', '09 7f ff', 'WS_CONTROL_FRAGMENTED'],
      ['server', '80 7f ff', 'WS_UNEXPECTED_CONTINUATION'],
      ['server', '89 7f ff', 'WS_MASK_REQUIRED'],
      ['server', '82 7e 0000', 'WS_MASK_REQUIRED'],
      ['server', '89 ff ff', 'WS_CONTROL_TOO_LONG'],
      ['client', '89 ff ff', 'WS_MASK_FORBIDDEN'],
      ['client', '89 7f ff', 'WS_CONTROL_TOO_LONG'],
      ['client', '82 7f ffff', 'WS_LENGTH_TOO_LARGE'],
      ['client', '82 7f 7fffffffffffffff', 'WS_MESSAGE_TOO_BIG'],
    ];
    for (const [role, bytes, code] of cases) {
      for (const size of [1, 2, 3, 100]) {
        const endpoint = open({ role, delivery: 'span' });
        endpoint.receive(...split(hex(bytes), size));
        endpoint.connection.receiveEof();
        expect(endpoint.end.cause?.code, `${bytes} by ${size}`).toBe(code);
      }
    }
  });

  it('a close payload of one byte', () => {
    for (const role of ['server', 'client'] as const) {
      for (const size of [1, 100]) {
        const endpoint = open({ role });
        endpoint.receive(...split(endpoint.peer.frame({ opcode: 8, payload: hex('03') }), size));
        expect(endpoint.sent().map((line) => line.slice(0, 10))).toEqual(['CLOSE 1002']);
        endpoint.connection.receiveEof();
        expect(endpoint.end).toMatchObject({ received: null, initiator: 'local', code: 1006 });
        expect(endpoint.end.cause).toMatchObject({ code: 'WS_CLOSE_PAYLOAD', closeCode: 1002, section: 'RFC 6455 5.5.1' });
      }
    }
  });

  it('messages and pings before it are delivered, in every delivery', () => {
    for (const role of ['server', 'client'] as const) {
      for (const use of uses) {
        const endpoint = open({ role, ...use });
        const { peer } = endpoint;
        endpoint.receive(concat(peer.text('one'), peer.ping('p'), peer.binary(hex('0102')), hex('83'), peer.text('two')));
        endpoint.connection.receiveEof();
        if (use.mode === 'pull') endpoint.pull();
        expect(messagesOf(endpoint.seen)).toEqual(['one', '0102']);
        expect(endpoint.of('ping')).toHaveLength(1);
        expect(endpoint.seen.at(-1)?.type).toBe('end');
        expect(endpoint.sent().map((line) => line.slice(0, 10))).toEqual(["PONG 'p'", 'CLOSE 1002']);
      }
    }
  });

  it('after our own close frame they end the connection without a second one', () => {
    const endpoint = open({ role: 'client' });
    expect(endpoint.connection.close(4001, 'done')).toBe(true);
    endpoint.receive(hex('83'));
    expect(endpoint.sent()).toEqual(["CLOSE 4001 'done'"]);
    expect(endpoint.connection.transport).toBe('end');
    endpoint.connection.receiveEof();
    expect(endpoint.end).toMatchObject({ clean: false, code: 1006, initiator: 'local', sent: { code: 4001, reason: 'done' } });
    expect(endpoint.end.cause?.code).toBe('WS_INVALID_OPCODE');
  });

  it('after the peer’s close frame nothing is judged', () => {
    for (const autoClose of [true, false]) {
      const endpoint = open({ role: 'server', autoClose });
      endpoint.receive(concat(endpoint.peer.close(1000), hex('83 ff ff')), hex('00'));
      if (!autoClose) endpoint.connection.close(1000);
      endpoint.connection.receiveEof();
      expect(endpoint.end).toMatchObject({ clean: true, code: 1000, cause: null });
      expect(endpoint.sent()).toEqual(['CLOSE 1000']);
    }
  });

  it('every legal close code and reason is taken', () => {
    for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]) {
      for (const role of ['server', 'client'] as const) {
        const endpoint = open({ role });
        const reason = 'é'.repeat(61);
        endpoint.receive(...split(endpoint.peer.close(code, reason), 50));
        expect(endpoint.of('close')).toEqual([{ type: 'close', code, reason }]);
        expect(endpoint.connection.closeReceived).toEqual({ code, reason });
        expect(endpoint.connection.closeSent).toEqual({ code, reason });
      }
    }
    const empty = open({ role: 'server' });
    empty.receive(empty.peer.close());
    expect(empty.of('close')).toEqual([{ type: 'close', code: 1005, reason: '' }]);
    expect(empty.sent()).toEqual(['CLOSE']);
  });
});

describe('lenient flags', () => {
  const outcome = (role: Role, lenient: LenientFlags | undefined, bytes: Uint8Array, size = 1): { seen: Seen[]; code: string | null } => {
    const endpoint = open({ role, ...(lenient !== undefined && { lenient }) });
    endpoint.receive(...split(bytes, size));
    endpoint.connection.receiveEof();
    return { seen: endpoint.seen.filter(({ type }) => type !== 'end'), code: endpoint.end.cause?.code ?? null };
  };
  const all: Required<LenientFlags> = {
    unmaskedClientFrames: true,
    maskedServerFrames: true,
    nonMinimalLength: true,
    reservedCloseCodes: true,
  };
  const allBut = (name: keyof LenientFlags): LenientFlags => ({ ...all, [name]: false });
  const ping = { type: 'ping', data: utf8('p') };

  it('unmaskedClientFrames: a server takes both kinds, a client still no masks', () => {
    const bare = peerOf('client');
    const wire = concat(bare.text('a', false), peerOf('server').ping('p'), bare.ping('p'), peerOf('server').continuation('b', true));
    expect(outcome('server', { unmaskedClientFrames: true }, wire)).toEqual({
      seen: [ping, ping, { type: 'text', data: 'ab' }],
      code: 'WS_EOF',
    });
    for (const lenient of [undefined, {}, allBut('unmaskedClientFrames')]) {
      expect(outcome('server', lenient, wire)).toEqual({ seen: [], code: 'WS_MASK_REQUIRED' });
    }
    expect(outcome('client', allBut('maskedServerFrames'), peerOf('server').text('a')).code).toBe('WS_MASK_FORBIDDEN');
  });

  it('maskedServerFrames: a client takes both kinds and unmasks', () => {
    const masked = peerOf('server');
    const data = pattern(1000);
    const wire = concat(masked.binary(data), peerOf('client').ping('p'), masked.ping('p'), masked.binary(data));
    for (const size of [1, 3, 10_000]) {
      expect(outcome('client', { maskedServerFrames: true }, wire, size)).toEqual({
        seen: [{ type: 'binary', data }, ping, ping, { type: 'binary', data }],
        code: 'WS_EOF',
      });
    }
    for (const lenient of [undefined, {}, allBut('maskedServerFrames')]) {
      expect(outcome('client', lenient, wire)).toEqual({ seen: [], code: 'WS_MASK_FORBIDDEN' });
    }
  });

  it('nonMinimalLength: any form, but not too long a control frame and not the top bit', () => {
    for (const role of ['server', 'client'] as const) {
      const peer = peerOf(role);
      for (const lengthBytes of [2, 8] as const) {
        const data = peer.frame({ opcode: 2, payload: hex('01'), lengthBytes });
        const control = peer.frame({ opcode: 9, payload: utf8('p'), lengthBytes });
        const wire = concat(control, data);
        expect(outcome(role, { nonMinimalLength: true }, wire)).toEqual({
          seen: [ping, { type: 'binary', data: hex('01') }],
          code: 'WS_EOF',
        });
        expect(outcome(role, allBut('nonMinimalLength'), data).code).toBe('WS_LENGTH_NOT_MINIMAL');
        expect(outcome(role, allBut('nonMinimalLength'), control).code).toBe('WS_CONTROL_TOO_LONG');
        expect(outcome(role, undefined, data).code).toBe('WS_LENGTH_NOT_MINIMAL');
        const long = peer.frame({ opcode: 9, payload: pattern(126), lengthBytes });
        expect(outcome(role, all, long).code).toBe('WS_CONTROL_TOO_LONG');
      }
      const top = peer.header(2, 1n << 63n);
      expect(outcome(role, all, top).code).toBe('WS_LENGTH_TOO_LARGE');
    }
  });

  it('reservedCloseCodes: 1000 to 2999, and nothing beyond', () => {
    for (const role of ['server', 'client'] as const) {
      const peer = peerOf(role);
      const wire = (code: number) => peer.frame({ opcode: 8, payload: Uint8Array.of(code >> 8, code & 255, 0x68, 0x69) });
      for (const code of [1004, 1005, 1006, 1015, 1016, 2000, 2999]) {
        const endpoint = open({ role, lenient: { reservedCloseCodes: true } });
        endpoint.receive(...split(wire(code), 1));
        expect(endpoint.of('close')).toEqual([{ type: 'close', code, reason: 'hi' }]);
        expect(endpoint.connection.closeReceived).toEqual({ code, reason: 'hi' });
        expect(endpoint.frames().map(({ header }) => header.opcode)).toEqual([8]);
        endpoint.connection.receiveEof();
        expect(endpoint.end).toMatchObject({ clean: true, code, reason: 'hi', cause: null });
        for (const lenient of [undefined, {}, allBut('reservedCloseCodes')]) {
          expect(outcome(role, lenient, wire(code))).toEqual({ seen: [], code: 'WS_CLOSE_CODE' });
        }
      }
      for (const code of [0, 999, 5000, 65_535]) expect(outcome(role, all, wire(code)).code).toBe('WS_CLOSE_CODE');
      const bad = peer.frame({ opcode: 8, payload: hex('03ed ff') });
      expect(outcome(role, all, bad).code).toBe('WS_INVALID_UTF8');
    }
  });

  it('no flag lifts another rule', () => {
    for (const role of ['server', 'client'] as const) {
      const lifted: readonly ViolationCode[] = [
        'WS_MASK_REQUIRED',
        'WS_MASK_FORBIDDEN',
        'WS_LENGTH_NOT_MINIMAL',
        'WS_CLOSE_CODE',
        'WS_CONTROL_TOO_LONG',
      ];
      for (const breach of breachesOf(role).filter(({ code }) => !lifted.includes(code))) {
        expect(outcome(role, all, concat(hex(breach.before ?? ''), hex(breach.bytes))).code, breach.name).toBe(breach.code);
      }
    }
  });
});
