/** Pull mode: parsing happens when the application pulls, and `wantsRead` tells the host so (RFC 6455 leaves reading to the endpoint). */
import { Connection, type ConnectionEvent, type Role } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import {
  Collector,
  collect,
  concat,
  hex,
  joined,
  messagesOf,
  open,
  pattern,
  peerOf,
  type Seen,
  split,
  toHex,
  utf8,
} from './connection-helpers.ts';

const roles: readonly Role[] = ['server', 'client'];
const types = (events: Iterable<ConnectionEvent>): string[] => [...events].map(({ type }) => type);

describe.each(roles)('%s: nextEvent', (role) => {
  it.each(['text', 'binary'] as const)('a message whose last chunk was pulled is not counted as discarded by close(), %s', (kind) => {
    const { connection, peer } = open({ role, mode: 'pull', delivery: 'chunk', pulling: false });
    connection.receiveData(kind === 'text' ? peer.text('ab') : peer.binary(utf8('ab')));
    expect(connection.nextEvent()).toMatchObject({ type: 'chunk', kind, first: true, last: true });
    connection.pause();
    connection.close(1000);
    connection.receiveData(concat(peer.text('next'), peer.close(1000)));
    expect(connection.nextEvent()).toEqual({ type: 'close', code: 1000, reason: '' });
    expect(connection.stats).toMatchObject({ messagesIn: 2, messagesDiscarded: 1 });
  });

  it('parses one event at a time, and the rest stays unread', () => {
    const { connection, peer } = open({ role, mode: 'pull', pulling: false });
    expect(connection.wantsRead).toBe(true);
    expect(connection.nextEvent()).toBe(null);
    connection.receiveData(concat(peer.text('one'), peer.ping('p'), peer.text('two'), hex('ff')));
    expect(connection.wantsRead).toBe(false);
    expect(connection.stats.messagesIn).toBe(0);
    expect(connection.takeOutput()).toEqual([]);
    expect(connection.nextEvent()).toEqual({ type: 'message', kind: 'text', data: 'one' });
    expect(connection.stats.messagesIn).toBe(1);
    expect(connection.takeOutput()).toEqual([]);
    expect(connection.nextEvent()).toEqual({ type: 'ping', data: utf8('p') });
    expect(connection.takeOutput()).toHaveLength(1);
    expect(connection.nextEvent()).toEqual({ type: 'message', kind: 'text', data: 'two' });
    expect(connection.wantsRead).toBe(false);
    expect(connection.transport).toBe('open');
    expect(connection.nextEvent()).toBe(null);
    expect(connection.transport).toBe('end');
    expect(connection.wantsRead).toBe(true);
  });

  it('wantsRead is back when all that came is used, in the middle of a frame too', () => {
    const { connection, peer } = open({ role, mode: 'pull', pulling: false });
    const wire = peer.binary(pattern(1000));
    for (const [index, piece] of split(wire, 100).entries()) {
      connection.receiveData(piece);
      expect(connection.wantsRead, `piece ${index}`).toBe(false);
      const event = connection.nextEvent();
      expect(event === null).toBe(index < Math.floor(wire.length / 100));
      if (event !== null) expect(event).toEqual({ type: 'message', kind: 'binary', data: pattern(1000) });
      expect(connection.nextEvent()).toBe(null);
      expect(connection.wantsRead).toBe(true);
    }
  });

  it('takes more input than was asked for', () => {
    const { connection, peer, seen } = open({ role, mode: 'pull', pulling: false });
    const expected: string[] = [];
    for (let index = 0; index < 300; index++) {
      const size = index % 7 === 0 ? 9000 : index;
      connection.receiveData(peer.binary(pattern(size, index)));
      expected.push(toHex(pattern(size, index)));
    }
    collect(connection, new Collector(seen), null);
    expect(messagesOf(seen)).toEqual(expected);
  });

  it('EOF and errors come after the events that are held, and end comes once', () => {
    for (const error of [true, false]) {
      const { connection, peer } = open({ role, mode: 'pull', pulling: false });
      connection.receiveData(concat(peer.text('a'), peer.text('b'), peer.ping()));
      if (error) connection.receiveError(new Error('reset'));
      else connection.receiveEof();
      expect(connection.state).toBe('open');
      expect(types(connection.events())).toEqual(['message', 'message', 'ping', 'end']);
      expect(connection.transport).toBe(error ? 'abort' : 'done');
      expect(connection.state).toBe('closed');
      expect(connection.wantsRead).toBe(false);
      for (let again = 0; again < 3; again++) expect(connection.nextEvent()).toBe(null);
      connection.receiveData(peer.text('c'));
      connection.receiveEof();
      expect(types(connection.events())).toEqual([]);
    }
  });

  it('EOF right behind the close frame is a clean end', () => {
    const { connection, peer } = open({ role, mode: 'pull', pulling: false });
    connection.receiveData(concat(peer.text('last'), peer.close(1001, 'away')));
    connection.receiveEof();
    const events = [...connection.events()];
    expect(types(events)).toEqual(['message', 'close', 'end']);
    expect(events[2]).toMatchObject({ clean: true, code: 1001, reason: 'away', initiator: 'remote', cause: null });
  });

  it('a pause holds, and resume lets go on', () => {
    const { connection, peer } = open({ role, mode: 'pull', pulling: false });
    connection.receiveData(concat(peer.text('a'), peer.text('b')));
    expect(connection.nextEvent()).toMatchObject({ data: 'a' });
    connection.pause();
    expect(connection.paused).toBe(true);
    expect(connection.nextEvent()).toBe(null);
    expect(connection.wantsRead).toBe(false);
    connection.resume();
    expect(connection.paused).toBe(false);
    expect(connection.wantsRead).toBe(false);
    expect(connection.nextEvent()).toMatchObject({ data: 'b' });
    expect(connection.nextEvent()).toBe(null);
    connection.pause();
    expect(connection.wantsRead).toBe(false);
    connection.resume();
    expect(connection.wantsRead).toBe(true);
  });

  it('is idempotent at the end of input', () => {
    const { connection, peer } = open({ role, mode: 'pull', pulling: false });
    const wire = peer.text('hello');
    connection.receiveData(wire.slice(0, 4));
    for (let again = 0; again < 5; again++) expect(connection.nextEvent()).toBe(null);
    connection.receiveData(wire.slice(4));
    expect(connection.nextEvent()).toMatchObject({ data: 'hello' });
  });
});

describe('events()', () => {
  it('is an iterator that ends where input ends and starts again when more has come', () => {
    const { connection, peer } = open({ role: 'server', mode: 'pull', pulling: false });
    const iterator = connection.events();
    expect(iterator[Symbol.iterator]()).toBe(iterator);
    connection.receiveData(concat(peer.text('a'), peer.text('b'), peer.text('c').subarray(0, 3)));
    expect(types(connection.events())).toEqual(['message', 'message']);
    connection.receiveData(peer.text('!'));
    expect(connection.transport).toBe('open');
  });

  it('leaving the loop loses nothing', () => {
    const { connection, peer } = open({ role: 'server', mode: 'pull', pulling: false });
    connection.receiveData(concat(...['a', 'b', 'c'].map((text) => peer.text(text))));
    for (const event of connection.events()) {
      expect(event).toMatchObject({ data: 'a' });
      break;
    }
    expect(types(connection.events())).toHaveLength(2);
  });

  it('every method may be called between events', () => {
    const { connection, peer } = open({ role: 'server', mode: 'pull', pulling: false });
    connection.receiveData(concat(...['a', 'b', 'c'].map((text) => peer.text(text))));
    const got: string[] = [];
    for (const event of connection.events()) {
      if (event.type !== 'message') continue;
      got.push(`${event.data}`);
      connection.sendText(`re: ${event.data}`);
      if (event.data === 'b') connection.receiveData(peer.text('d'));
    }
    expect(got).toEqual(['a', 'b', 'c', 'd']);
    expect(Buffer.concat(connection.takeOutput()).toString('latin1').match(/re: ./g)).toEqual(['re: a', 're: b', 're: c', 're: d']);
  });
});

describe('which way of taking events', () => {
  const push = () => open({ role: 'server' }).connection;
  const pull = (delivery: 'message' | 'chunk' | 'span') => open({ role: 'server', mode: 'pull', delivery }).connection;

  it('nextEvent and events throw TypeError with a sink and in delivery span', () => {
    expect(() => push().nextEvent()).toThrow(TypeError);
    expect(() => push().events().next()).toThrow(TypeError);
    expect(() => pull('span').nextEvent()).toThrow(TypeError);
    expect(() => pull('span').nextEvent()).toThrow(/readInto/);
    expect(() => pull('span').events().next()).toThrow(TypeError);
    expect(pull('chunk').nextEvent()).toBe(null);
  });

  it('readInto throws TypeError with a sink, in other deliveries, and for what is not a target', () => {
    const target = new Uint8Array(8);
    expect(() => push().readInto(target)).toThrow(TypeError);
    expect(() => pull('message').readInto(target)).toThrow(TypeError);
    expect(() => pull('chunk').readInto(target)).toThrow(TypeError);
    expect(() => pull('span').readInto('x' as unknown as Uint8Array)).toThrow(TypeError);
    expect(() => pull('span').readInto(new Uint8Array(0))).toThrow(/target/);
    expect(pull('span').readInto(target)).toBe(null);
  });
});

describe.each(roles)('%s: readInto', (role) => {
  const wire = (() => {
    const peer = peerOf(role);
    return concat(
      peer.text('é€😀', false),
      peer.ping('p'),
      peer.continuation('tail', true),
      peer.binary(pattern(5000)),
      peer.binary(new Uint8Array(0)),
      peer.text('', false),
      peer.continuation('', true),
      peer.pong('q'),
      peer.close(1000, 'bye'),
    );
  })();
  const expected: Seen[] = [
    { type: 'span', data: utf8('é€😀') },
    { type: 'ping', data: utf8('p') },
    { type: 'span', data: utf8('tail') },
    { type: 'finish', kind: 'text' },
    { type: 'span', data: pattern(5000) },
    { type: 'finish', kind: 'binary' },
    { type: 'finish', kind: 'binary' },
    { type: 'finish', kind: 'text' },
    { type: 'pong', data: utf8('q'), latency: null },
    { type: 'close', code: 1000, reason: 'bye' },
  ];

  it.each([1, 2, 3, 7, 64, 1024, 100_000])('fills a target of %i bytes, whatever the chunks and their ownership', (size) => {
    for (const input of ['shared', 'reused', 'transferred'] as const) {
      for (const cut of [1, 10, 999, wire.length]) {
        const endpoint = open({ role, mode: 'pull', delivery: 'span', input, target: new Uint8Array(size) });
        endpoint.receive(...split(wire, cut));
        expect(joined(endpoint.seen), `${input}, chunks of ${cut}`).toEqual(expected);
        expect(endpoint.sent()).toEqual(["PONG 'p'", "CLOSE 1000 'bye'"]);
      }
    }
  });

  it('writes to the target only, no further than it says', () => {
    const { connection, peer } = open({ role, mode: 'pull', delivery: 'span', pulling: false });
    connection.receiveData(peer.binary(pattern(10)));
    const memory = new Uint8Array(40).fill(0xee);
    const got = connection.readInto(memory.subarray(10, 30));
    expect(got).toEqual({ type: 'data', kind: 'binary', count: 10, endOfMessage: true });
    expect(memory).toEqual(concat(new Uint8Array(10).fill(0xee), pattern(10), new Uint8Array(20).fill(0xee)));
  });

  it('fills the target when there is enough, and tells the end with the last bytes', () => {
    const { connection, peer } = open({ role, mode: 'pull', delivery: 'span', pulling: false });
    const target = new Uint8Array(4);
    connection.receiveData(concat(peer.binary(pattern(8)), peer.text('ab')));
    expect(connection.readInto(target)).toEqual({ type: 'data', kind: 'binary', count: 4, endOfMessage: false });
    expect(connection.wantsRead).toBe(false);
    expect(connection.readInto(target)).toEqual({ type: 'data', kind: 'binary', count: 4, endOfMessage: true });
    expect(connection.readInto(target)).toEqual({ type: 'data', kind: 'text', count: 2, endOfMessage: true });
    expect(connection.readInto(target)).toBe(null);
    expect(connection.wantsRead).toBe(true);
  });

  it('a pause holds the rest of a frame', () => {
    const { connection, peer } = open({ role, mode: 'pull', delivery: 'span', pulling: false });
    const target = new Uint8Array(3);
    connection.receiveData(peer.binary(pattern(8)));
    expect(connection.readInto(target)).toMatchObject({ count: 3 });
    connection.pause();
    expect(connection.readInto(target)).toBe(null);
    connection.resume();
    expect(connection.readInto(target)).toMatchObject({ count: 3 });
    expect(connection.readInto(target)).toMatchObject({ count: 2, endOfMessage: true });
    expect([...target]).toEqual([6, 7, 5]);
  });

  it.each([
    ['text', false],
    ['text', true],
    ['binary', false],
    ['binary', true],
  ] as const)('close() does not tell the end of a message again, %s, paused %s', (kind, paused) => {
    const { connection, peer } = open({ role, mode: 'pull', delivery: 'span', pulling: false });
    const target = new Uint8Array(4);
    const whole = kind === 'text' ? peer.text('abcdef') : peer.binary(utf8('abcdef'));
    connection.receiveData(whole);
    expect(connection.readInto(target)).toEqual({ type: 'data', kind, count: 4, endOfMessage: false });
    expect(connection.readInto(target)).toEqual({ type: 'data', kind, count: 2, endOfMessage: true });
    if (paused) connection.pause();
    connection.close(1000);
    connection.receiveData(concat(peer.text('next'), peer.close(1000)));
    if (!paused) expect(connection.readInto(target)).toEqual({ type: 'data', kind: 'text', count: 4, endOfMessage: true });
    expect(connection.readInto(target)).toEqual({ type: 'close', code: 1000, reason: '' });
    expect(connection.stats).toMatchObject({ messagesIn: 2, messagesDiscarded: paused ? 1 : 0 });
  });

  it('validates text before it hands out a byte', () => {
    const endpoint = open({ role, mode: 'pull', delivery: 'span', target: new Uint8Array(5) });
    endpoint.receive(endpoint.peer.text(concat(utf8('x'.repeat(12)), hex('ff'), utf8('y'.repeat(12)))));
    endpoint.connection.receiveEof();
    endpoint.pull();
    expect(joined(endpoint.seen).map((event) => (event.type === 'span' ? Buffer.from(event.data).toString() : event.type))).toEqual([
      'x'.repeat(12),
      'end',
    ]);
    expect(endpoint.end.cause?.code).toBe('WS_INVALID_UTF8');
  });

  // What is held is cut at every byte of two frames, so the end stands behind a frame, a header, a part of a payload or a whole message.
  it.each([1, 3, 8, 100])('with %i bytes of room, end comes behind the last byte, wherever EOF or an error cut the input', (room) => {
    for (const fin of [true, false]) {
      const { peer } = open({ role });
      const wire = concat(peer.binary(pattern(8), fin), fin ? peer.binary(pattern(8)) : peer.continuation(pattern(8), true));
      for (let cut = 0; cut <= wire.length; cut++) {
        for (const error of [null, new Error('reset')]) {
          const { connection } = open({ role, mode: 'pull', delivery: 'span', pulling: false });
          connection.receiveData(wire.slice(0, cut));
          if (error === null) connection.receiveEof();
          else connection.receiveError(error);
          const target = new Uint8Array(room);
          const seen: string[] = [];
          let bytes = 0;
          for (let turn = 0; turn < 40; turn++) {
            const event = connection.readInto(target);
            seen.push(event?.type ?? 'null');
            if (event?.type === 'data') bytes += event.count;
            if (event === null) break;
          }
          const header = peer.headerSize(8);
          expect(bytes).toBe(Math.max(0, Math.min(8, cut - header)) + Math.max(0, cut - 2 * header - 8));
          expect(seen.slice(-2)).toEqual(['end', 'null']);
          expect(seen.filter((type) => type === 'end')).toHaveLength(1);
          expect(connection.state).toBe('closed');
        }
      }
    }
  });
  it('end comes last, after EOF and after what is held', () => {
    const { connection, peer } = open({ role, mode: 'pull', delivery: 'span', pulling: false });
    connection.receiveData(concat(peer.binary(pattern(3)), peer.close(1000)));
    connection.receiveEof();
    const target = new Uint8Array(2);
    const got: string[] = [];
    for (let step = 0; step < 20; step++) {
      const event = connection.readInto(target);
      if (event === null) break;
      got.push(event.type);
    }
    expect(got).toEqual(['data', 'data', 'close', 'end']);
  });
});

describe('memory of held input', () => {
  it('many tiny chunks do not cost an object each', () => {
    const connection = new Connection({ role: 'server', clock: () => 0, limits: { maxMessageSize: 1 << 24 } });
    const wire = peerOf('server').binary(pattern(1 << 20));
    globalThis.gc?.();
    const before = process.memoryUsage();
    for (let at = 0; at < wire.length; at++) connection.receiveData(wire.subarray(at, at + 1));
    globalThis.gc?.();
    const after = process.memoryUsage();
    expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(2 * wire.length + 65_536);
    expect(connection.nextEvent()).toEqual({ type: 'message', kind: 'binary', data: pattern(1 << 20) });
  }, 60_000);
});
