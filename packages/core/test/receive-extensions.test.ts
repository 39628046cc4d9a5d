/** Extensions while receiving (RFC 6455 section 9): step by step, within limits, in the order agreed, synchronous or not. */
import { Connection, type Extension, type Role } from '@ferrywire/core';
import { violations } from '@ferrywire/core/frame';
import { describe, expect, it } from 'vitest';
import {
  concat,
  digest,
  type Harness,
  hex,
  joined,
  messagesOf,
  type OpenOptions,
  open,
  type Peer,
  pattern,
  peerOf,
  split,
  toHex,
  utf8,
} from './connection-helpers.ts';
import { bomb, extension, finishWork, identity, message, refusing, repeater, type TestExtension, xor } from './extension-helpers.ts';

const roles: readonly Role[] = ['server', 'client'];
const ways: readonly Omit<OpenOptions, 'extensions'>[] = roles.flatMap((role) =>
  (['push', 'pull'] as const).flatMap((mode) => (['message', 'chunk', 'span'] as const).map((delivery) => ({ role, mode, delivery }))),
);
const title = ({ role, mode, delivery }: OpenOptions): string => `${role}, ${mode}, ${delivery}`;
const repeated = (bytes: Uint8Array, times: number): Uint8Array =>
  Uint8Array.from([...bytes].flatMap((byte) => Array<number>(times).fill(byte)));

it.each(roles)('%s: decoded messages are memory of their own, which those after them do not change', (role) => {
  const sizes = [32_768, 65_536, 40_000, 4096, 65_532, 50_000];
  const seen: Uint8Array[] = [];
  const sink = { onBinary: (data: Uint8Array): void => void seen.push(data) };
  const connection = new Connection({ role, clock: () => 0, extensions: [extension('x4', 4, () => repeater(4))], sink });
  for (const size of sizes) connection.receiveData(message(peerOf(role), 2, 4, pattern(size / 4, size)));
  expect(seen.map(({ length }) => length)).toEqual(sizes);
  for (const [at, size] of sizes.entries()) expect(Buffer.compare(seen[at] as Uint8Array, repeated(pattern(size / 4, size), 4))).toBe(0);
  expect(new Set(seen.map(({ buffer }) => buffer)).size).toBe(sizes.length);
});

it.each(roles)('%s: memory of `readInto` stays the application’s, however much text is decoded after it', (role) => {
  const target = new Uint8Array(65_536);
  const twice = open({ role, mode: 'pull', delivery: 'span', target, extensions: [extension('twice', 4, () => repeater(2))] });
  twice.receive(message(twice.peer, 2, 4, pattern(1000)));
  const shown = digest(target);
  for (let count = 0; count < 4; count++) {
    const other = open({ role, extensions: [extension('xor', 4, () => xor(1))] });
    other.receive(other.peer.text('x'.repeat(5000)), message(other.peer, 1, 4, utf8('y'.repeat(5000))));
    expect(other.of('text').map(({ data }) => data.length)).toEqual([5000, 5000]);
  }
  expect(digest(target)).toBe(shown);
  expect(twice.of('span').reduce((sum, { data }) => sum + data.length, 0)).toBe(2000);
});

describe.each(ways.map((way) => [title(way), way] as const))('%s', (_, way) => {
  it('decodes messages with its bits and leaves the others alone, in any split', () => {
    const build = () => extension('twice', 4, () => repeater(2));
    const parts = [utf8('ab'), utf8(''), utf8('cde')];
    const wireOf = (peer: Peer) =>
      concat(
        message(peer, 1, 4, utf8('hello')),
        message(peer, 1, 0, utf8('plain')),
        peer.ping('p'),
        message(peer, 2, 4, ...parts),
        message(peer, 2, 4, pattern(3000)),
        message(peer, 1, 4, utf8('')),
        message(peer, 1, 4, utf8('x'), utf8('')),
      );
    for (const input of ['shared', 'reused', 'transferred'] as const) {
      for (const cut of [1, 7, 100_000]) {
        const twice = build();
        const endpoint = open({ ...way, input, extensions: [twice] });
        const wire = wireOf(endpoint.peer);
        for (const chunk of split(wire, cut)) {
          endpoint.receive(chunk);
          finishWork(endpoint, way.mode === 'pull');
        }
        expect(messagesOf(endpoint.seen)).toEqual([
          'hheelllloo',
          'plain',
          toHex(utf8('aabbccddee')),
          toHex(repeated(pattern(3000), 2)),
          '',
          'xx',
        ]);
        expect(endpoint.connection.stats).toMatchObject({ payloadIn: 10 + 5 + 10 + 6000 + 0 + 2, messagesIn: 6, bytesIn: wire.length });
        expect(twice.calls.filter((call) => call.startsWith('begin'))).toEqual([
          'begin text 4',
          'begin text 0',
          'begin binary 4',
          'begin binary 4',
          'begin text 4',
          'begin text 4',
        ]);
        expect(twice.calls.filter((call) => call === 'finish need')).toHaveLength(5);
        expect(endpoint.connection.state).toBe('open');
      }
    }
  });

  it('what finish writes belongs to the message', () => {
    for (const cut of [1, 1000]) {
      const endpoint = open({ ...way, extensions: [extension('tail', 4, () => repeater(1, utf8('-the end')))], target: new Uint8Array(3) });
      endpoint.receive(...split(concat(message(endpoint.peer, 1, 4, utf8('abc')), message(endpoint.peer, 1, 4, utf8(''))), cut));
      finishWork(endpoint, way.mode === 'pull');
      expect(messagesOf(endpoint.seen)).toEqual(['abc-the end', '-the end']);
    }
  });

  it('several apply in reverse, each with its own bits', () => {
    const order: string[] = [];
    const tracked = (name: string, rsv: number, key: number): Extension =>
      extension(name, rsv, () => {
        const plain = xor(key);
        return {
          ...plain,
          push(input, start, end, out) {
            if (end > start && order.at(-1) !== name) order.push(name);
            return plain.push(input, start, end, out);
          },
        };
      });
    for (const [rsv, key] of [
      [0, 0],
      [4, 1],
      [2, 2],
      [1, 4],
      [6, 3],
      [7, 7],
    ] as const) {
      order.length = 0;
      const extensions = [tracked('first', 4, 1), tracked('second', 2, 2), tracked('third', 1, 4)];
      const endpoint = open({ ...way, extensions });
      endpoint.receive(
        ...split(
          message(
            endpoint.peer,
            2,
            rsv,
            pattern(10_000).map((byte) => byte ^ key),
          ),
          1000,
        ),
      );
      finishWork(endpoint, way.mode === 'pull');
      expect(messagesOf(endpoint.seen), `rsv ${rsv}`).toEqual([toHex(pattern(10_000))]);
      const used = ['third', 'second', 'first'].filter((_name, index) => (rsv & (1 << index)) !== 0);
      expect(order.slice(0, used.length)).toEqual(used);
    }
  });

  it('several that change sizes, through small rooms', () => {
    const extensions = [extension('x3', 4, () => repeater(3, utf8('T'))), extension('x5', 2, () => repeater(5, utf8('U')))];
    const endpoint = open({ ...way, extensions, target: new Uint8Array(7) });
    const payload = pattern(2000, 1);
    endpoint.receive(...split(message(endpoint.peer, 2, 6, payload.subarray(0, 900), payload.subarray(900)), 777));
    finishWork(endpoint, way.mode === 'pull');
    expect(messagesOf(endpoint.seen)).toEqual([toHex(concat(repeated(concat(repeated(payload, 5), utf8('U')), 3), utf8('T')))]);
  });

  it('what the first of several holds back comes out without more input', () => {
    const extensions = [extension('id', 4, identity), extension('x5000', 2, () => repeater(5000))];
    const { connection, peer, seen, pull } = open({ ...way, delivery: 'chunk', extensions });
    connection.receiveData(peer.frame({ opcode: 2, rsv: 6, fin: false, payload: utf8('abc') }));
    for (let turn = 0; turn < 20; turn++) {
      connection.handleTimeout();
      if (way.mode === 'pull') pull();
    }
    const pieces = seen.flatMap((event) => (event.type === 'span' ? [event.data] : []));
    expect(pieces.reduce((sum, { length }) => sum + length, 0)).toBe(15_000);
  });

  it('bits that nobody owns are refused; so are owned ones on continuations and control frames', () => {
    const cases: [string, (peer: Peer) => Uint8Array][] = [
      ['not owned', (peer) => peer.frame({ opcode: 1, rsv: 2 })],
      ['owned and not owned', (peer) => peer.frame({ opcode: 1, rsv: 6 })],
      ['on a continuation', (peer) => concat(peer.text('a', false), peer.frame({ opcode: 0, rsv: 4 }))],
      ['on a ping', (peer) => peer.frame({ opcode: 9, rsv: 4 })],
      ['on a close', (peer) => peer.frame({ opcode: 8, rsv: 4 })],
    ];
    for (const [name, wire] of cases) {
      const endpoint = open({ ...way, extensions: [extension('id', 4, identity)] });
      endpoint.receive(wire(endpoint.peer));
      endpoint.connection.receiveEof();
      if (way.mode === 'pull') endpoint.pull();
      expect(endpoint.end.cause?.code, name).toBe('WS_RESERVED_BITS');
    }
  });

  it('text is checked as it comes out, at the exact byte', () => {
    for (const cut of [1, 1000]) {
      const endpoint = open({ ...way, extensions: [extension('x', 4, () => xor(0x55))] });
      const bad = concat(utf8('good é'), hex('ff'), utf8('never')).map((byte) => byte ^ 0x55);
      const wire = message(endpoint.peer, 1, 4, bad);
      endpoint.receive(...split(wire, cut));
      finishWork(endpoint, way.mode === 'pull');
      expect(endpoint.connection.transport).toBe('end');
      endpoint.connection.receiveEof();
      if (way.mode === 'pull') endpoint.pull();
      expect(endpoint.end.cause).toMatchObject({ code: 'WS_INVALID_UTF8', closeCode: 1007 });
      const pieces = joined(endpoint.seen).flatMap((event) =>
        event.type === 'textChunk' ? [event.data] : event.type === 'span' ? [Buffer.from(event.data).toString()] : [],
      );
      expect(pieces).toEqual(way.delivery === 'message' ? [] : ['good é']);
    }
  });

  it('what it refuses fails the connection with its violation, after what came before', () => {
    for (const atEnd of [false, true]) {
      for (const cut of [1, 1000]) {
        const endpoint = open({ ...way, extensions: [extension('no', 4, () => refusing(violations.WS_EXTENSION_DATA, atEnd))] });
        const wire = message(endpoint.peer, 2, 4, concat(pattern(10), hex(atEnd ? '0a0b' : 'ff0b')));
        endpoint.receive(endpoint.peer.text('before'), ...split(concat(wire, endpoint.peer.text('after')), cut));
        finishWork(endpoint, way.mode === 'pull');
        endpoint.connection.receiveEof();
        if (way.mode === 'pull') endpoint.pull();
        expect(endpoint.end).toMatchObject({ clean: false, code: 1006, cause: violations.WS_EXTENSION_DATA, initiator: 'local' });
        expect(endpoint.sent()[0]).toMatch(/^CLOSE 1007 /);
        expect(messagesOf(endpoint.seen)).toEqual(['before']);
        const last = joined(endpoint.seen)
          .filter(({ type }) => type === 'span')
          .at(-1);
        if (way.delivery !== 'message') expect(last).toEqual({ type: 'span', data: concat(pattern(10), atEnd ? hex('0a0b') : hex('')) });
      }
    }
  });

  it('its output counts against maxMessageSize, to the byte, and never gets more room', () => {
    for (const max of [10, 1000, 100_000]) {
      for (const [factor, fits] of [
        [max, true],
        [max + 1, false],
      ] as const) {
        const blast = bomb(factor);
        const endpoint = open({ ...way, limits: { maxMessageSize: max }, extensions: [extension('bomb', 4, () => blast)] });
        endpoint.receive(message(endpoint.peer, 2, 4, hex('00')));
        finishWork(endpoint, way.mode === 'pull');
        expect(endpoint.connection.transport, `${factor} of ${max}`).toBe(fits ? 'open' : 'end');
        expect(blast.mostRoom).toBeLessThanOrEqual(max + 1);
        endpoint.connection.receiveEof();
        if (way.mode === 'pull') endpoint.pull();
        expect(endpoint.end.cause).toMatchObject(fits ? { code: 'WS_EOF' } : { code: 'WS_MESSAGE_TOO_BIG', closeCode: 1009 });
        expect(endpoint.connection.stats.messagesIn).toBe(fits ? 1 : 0);
      }
    }
  });

  it('a bomb is stopped after its limit, not after its size', () => {
    const blast = bomb(1e15);
    const endpoint = open({ ...way, limits: { maxMessageSize: 1 << 20 }, extensions: [extension('bomb', 4, () => blast)] });
    const before = process.memoryUsage().arrayBuffers;
    endpoint.receive(message(endpoint.peer, 1, 4, hex('0000')));
    finishWork(endpoint, way.mode === 'pull');
    expect(endpoint.connection.transport).toBe('end');
    expect(blast.written).toBeLessThanOrEqual((1 << 20) + 1);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 << 20);
  });

  it('a frame with its bits may be an eighth and 64 bytes larger than a message', () => {
    const max = 8000;
    const wire = max + max / 8 + 64;
    for (const [size, fits] of [
      [wire, true],
      [wire + 1, false],
    ] as const) {
      const endpoint = open({ ...way, limits: { maxMessageSize: max }, extensions: [extension('id', 4, identity)] });
      endpoint.receive(endpoint.peer.frame({ opcode: 2, rsv: 4, payload: pattern(10), fin: false }), endpoint.peer.header(0, size));
      expect(endpoint.connection.transport).toBe(fits ? 'open' : 'end');
      const plain = open({ ...way, limits: { maxMessageSize: max }, extensions: [extension('id', 4, identity)] });
      plain.receive(plain.peer.header(2, max + 1));
      expect(plain.connection.transport).toBe('end');
    }
  });
});

describe('an extension', () => {
  it('is disposed of once, however the connection ends', () => {
    const endings: ((endpoint: Harness) => void)[] = [
      ({ connection }) => connection.receiveEof(),
      ({ connection }) => connection.receiveError(new Error('reset')),
      ({ connection }) => connection.abort(),
      ({ connection }) => {
        connection.pause();
        connection.receiveError(new Error('reset'));
      },
      (endpoint) => {
        endpoint.receive(endpoint.peer.close(1000));
        endpoint.connection.receiveEof();
      },
      (endpoint) => {
        endpoint.receive(hex('ff'));
        endpoint.connection.receiveEof();
      },
      (endpoint) => {
        endpoint.connection.close(1000);
        endpoint.output();
        endpoint.advance(60_000);
      },
    ];
    for (const finish of endings) {
      const used: TestExtension[] = [extension('a', 4, identity), extension('b', 2, identity)];
      const endpoint = open({ role: 'server', extensions: used });
      endpoint.receive(endpoint.peer.frame({ opcode: 1, rsv: 4, fin: false, payload: utf8('x') }));
      expect(used.map(({ disposed }) => disposed)).toEqual([0, 0]);
      finish(endpoint);
      expect(endpoint.ended).toBe(true);
      endpoint.connection.abort();
      endpoint.connection.receiveEof();
      expect(used.map(({ disposed }) => disposed)).toEqual([1, 1]);
    }
  });

  it('may not own the bit of another, nor bits that there are not', () => {
    const make = (...rsv: number[]) =>
      open({ role: 'server', extensions: rsv.map((bits, index) => extension(`e${index}`, bits, identity)) });
    expect(() => make(4, 4)).toThrow(/reserved bit|RSV/);
    expect(() => make(6, 2)).toThrow(/reserved bit|RSV/);
    expect(() => make(8)).toThrow(/reserved bit|RSV/);
    expect(make(4, 2, 1).connection.extensions.map(({ name }) => name)).toEqual(['e0', 'e1', 'e2']);
  });

  it('that writes more than it has room for is a defect that shows', () => {
    const endpoint = open({
      role: 'server',
      delivery: 'span',
      limits: { maxMessageSize: 10 },
      extensions: [
        extension('rude', 4, () => ({
          begin: () => true,
          push(_input, start, end, out) {
            out.write(new Uint8Array(out.room + 1), 0, out.room + 1);
            return { consumed: end - start, status: 'need' };
          },
          finish: () => 'need',
        })),
      ],
    });
    expect(() => endpoint.receive(endpoint.peer.frame({ opcode: 2, rsv: 4, payload: hex('00') }))).toThrow(RangeError);
  });
});
