/** What options mean once a connection is made: the sentence of each refusal, defaults that follow from others, and nothing shared by mistake. */
import { Connection, type ConnectionOptions, type Delivery, type Kernels } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { hex, open, pattern, peerOf } from './connection-helpers.ts';
import { extension, identity } from './extension-helpers.ts';
import { roles, thrownBy, wrong } from './sending-helpers.ts';

const make = (options: object): Connection => new Connection({ role: 'server', clock: () => 0, ...options } as ConnectionOptions);
const rsv = (bits: number) => extension(`x-${bits}`, bits, identity);

describe('a refusal says what is wrong', () => {
  it.each([
    [{ role: 'peer' }, "options.role must be one of 'client', 'server', not 'peer'"],
    [{ role: null }, "options.role must be one of 'client', 'server', not null"],
    [{ clock: 5 }, 'options.clock must be a function, not number'],
    [{ delivery: 'whole' }, "options.delivery must be one of 'message', 'chunk', 'span', not 'whole'"],
    [{ delivery: 5 }, "options.delivery must be one of 'message', 'chunk', 'span', not number"],
    [{ input: ['shared'] }, "options.input must be one of 'shared', 'reused', 'transferred', not an array"],
    [{ random: {} }, 'options.random must be a function, not an object'],
    [{ onTrace: null }, 'options.onTrace must be a function, not null'],
    [{ autoPong: 0 }, 'options.autoPong must be a boolean, not number'],
    [{ sink: () => undefined }, 'options.sink must be an object, not function'],
    [{ sink: { onText: 1 } }, 'options.sink.onText must be a function, not number'],
    [{ sink: { onEnd: {} } }, 'options.sink.onEnd must be a function, not an object'],
    [{ limits: null }, 'options.limits must be an object, not null'],
    [{ timeouts: 'long' }, 'options.timeouts must be an object, not string'],
    [{ subprotocol: 5 }, 'options.subprotocol must be a string, not number'],
    [{ kernels: { isUtf8: true } }, 'options.kernels.isUtf8 must be a function, not boolean'],
    [{ kernels: { decodeAscii: 1 } }, 'options.kernels.decodeAscii must be a function, not number'],
    [{ kernels: { markShared: {} } }, 'options.kernels.markShared must be a function, not an object'],
    [{ lenient: { nonMinimalLength: 1 } }, 'options.lenient.nonMinimalLength must be a boolean, not number'],
    [
      { lenient: { all: true } },
      'options.lenient.all is no flag: unmaskedClientFrames, maskedServerFrames, nonMinimalLength, reservedCloseCodes',
    ],
    [{ limits: { maxMessageSize: '5' } }, 'options.limits.maxMessageSize must be a number, not string'],
    [{ limits: { maxMessageSize: -1 } }, 'options.limits.maxMessageSize must be a whole number >= 0 or Infinity, not -1'],
    [{ limits: { maxFrameSize: 0.5 } }, 'options.limits.maxFrameSize must be a whole number >= 0 or Infinity, not 0.5'],
    [{ limits: { maxPendingPongs: 0 } }, 'options.limits.maxPendingPongs must be a whole number >= 1 or Infinity, not 0'],
    [{ limits: { maxFragments: 0 } }, 'options.limits.maxFragments must be a whole number >= 1 or Infinity, not 0'],
    [
      { limits: { maxMessageSize: 5, maxFramesize: 5 } },
      'options.limits.maxFramesize is no limit: maxMessageSize, maxFrameSize, maxPendingPongs, maxFragments',
    ],
    [{ timeouts: { keepAlive: 5 } }, 'options.timeouts.keepAlive is no timeout: opening, closing, keepalive, pong, idle'],
    [{ timeouts: { pong: '5' } }, 'options.timeouts.pong must be a number of milliseconds, not string'],
    [{ timeouts: { opening: -1 } }, 'options.timeouts.opening must be >= 0 milliseconds, not -1'],
    [{ timeouts: { idle: Number.NaN } }, 'options.timeouts.idle must be >= 0 milliseconds, not NaN'],
    [{ extensions: 5 }, 'options.extensions must be an array, not number'],
    [{ extensions: {} }, 'options.extensions must be an array, not an object'],
    [{ extensions: [rsv(4), { inbound: () => undefined }] }, 'options.extensions[1] must be an extension, with inbound() and outbound()'],
    [{ extensions: [rsv(8)] }, 'options.extensions: the RSV bits of x-8 must be 0..7, not 8'],
    [{ extensions: [rsv(6), rsv(3)] }, 'options.extensions: x-3 claims a reserved bit that another extension owns'],
  ])('%j', (options, message) => {
    expect(thrownBy(() => make(options)).message).toBe(message);
  });
  it('no object', () => {
    expect(thrownBy(() => new Connection(wrong(null))).message).toBe('options must be an object, not null');
    expect(thrownBy(() => new Connection(wrong('server'))).message).toBe('options must be an object, not string');
  });
  it('every callback of a sink, which may be those of a class, or missing', () => {
    const names = ['onText', 'onBinary', 'onMessageStart', 'onTextChunk', 'onSpan', 'onMessageEnd', 'onPing', 'onPong', 'onClose', 'onEnd'];
    for (const name of names) {
      expect(thrownBy(() => make({ sink: { [name]: 'x' } })).message).toBe(`options.sink.${name} must be a function, not string`);
      for (const fine of [() => {}, undefined, null]) expect(() => make({ sink: { [name]: fine } })).not.toThrow();
    }
    class Sink {
      onText(): void {}
    }
    expect(() => make({ sink: new Sink() })).not.toThrow();
  });
  it('extensions that share no bit, and one without any, are fine', () => {
    expect(make({ extensions: [rsv(1), rsv(2), rsv(4), rsv(0)] }).extensions.length).toBe(4);
    expect(make({ subprotocol: null }).subprotocol).toBe(null);
  });
});

it('a connection tells its delivery', () => {
  for (const delivery of ['message', 'chunk', 'span'] as const) expect(make({ delivery }).delivery).toBe(delivery);
  expect(make({}).delivery).toBe('message');
});

describe('limits', () => {
  const MIB = 1_048_576;
  const refusedBy = (size: number, options: Partial<ConnectionOptions>): string | undefined => {
    const { connection, peer } = open({ role: 'server', ...options });
    connection.receiveData(peer.header(2, size));
    connection.receiveEof();
    return connection.closeSent === null ? undefined : `${connection.closeSent.code}`;
  };
  it('a message has 1 MiB by default, pieces have no end', () => {
    expect(refusedBy(MIB, {})).toBe(undefined);
    expect(refusedBy(MIB + 1, {})).toBe('1009');
    for (const delivery of ['chunk', 'span'] as readonly Delivery[]) {
      expect(refusedBy(MIB + 1, { delivery })).toBe(undefined);
      expect(refusedBy(2 ** 40, { delivery })).toBe(undefined);
      expect(refusedBy(MIB + 1, { delivery, limits: { maxMessageSize: MIB } })).toBe('1009');
    }
  });
  it('the smaller of both holds', () => {
    expect(refusedBy(11, { limits: { maxFrameSize: 10, maxMessageSize: 100 } })).toBe('1009');
    expect(refusedBy(10, { limits: { maxFrameSize: 10, maxMessageSize: 100 } })).toBe(undefined);
    expect(refusedBy(11, { limits: { maxFrameSize: 100, maxMessageSize: 10 } })).toBe('1009');
    expect(refusedBy(10, { limits: { maxFrameSize: 100, maxMessageSize: 10 } })).toBe(undefined);
  });
  it('0 lets empty messages in and nothing else', () => {
    for (const limits of [{ maxMessageSize: 0 }, { maxFrameSize: 0 }]) {
      expect(refusedBy(0, { limits })).toBe(undefined);
      expect(refusedBy(1, { limits })).toBe('1009');
    }
  });
  it('no reserved bit is allowed that no extension owns', () => {
    for (const own of [0, 1, 2, 4, 6]) {
      for (const bits of [1, 2, 3, 4, 5, 6, 7]) {
        const { connection, peer } = open({ role: 'server', ...(own > 0 && { extensions: [rsv(own)] }) });
        connection.receiveData(peer.frame({ opcode: 2, rsv: bits, payload: hex('01') }));
        expect(connection.closeSent?.code, `${bits} with ${own}`).toBe((bits & ~own) === 0 ? undefined : 1002);
      }
    }
  });
});

describe.each(roles)('connections made one after the other, %s', (role) => {
  const frame = (role === 'server' ? peerOf('server') : peerOf('client')).binary(pattern(5000));
  const kernels = (calls: string[], name: string): Kernels => ({
    copyMasked: (_from, start, end) => calls.push(`${name} copies ${end - start}`),
    applyMask: (_bytes, start, end) => calls.push(`${name} masks ${end - start}`),
    allocate: (size) => {
      calls.push(`${name} allocates`);
      return new Uint8Array(size);
    },
  });
  it('each asks its own kernels', () => {
    const calls: string[] = [];
    const clock = (): number => 0;
    const sets = [kernels(calls, 'a'), kernels(calls, 'b')];
    for (const [index, set] of [...sets, ...sets].entries()) {
      const name = 'ab'[index % 2] as string;
      new Connection({ role, clock, kernels: set, sink: {} }).receiveData(Uint8Array.from(frame));
      expect(calls.length).toBeGreaterThan(0);
      expect(calls.splice(0).filter((call) => !call.startsWith(name))).toEqual([]);
    }
    // And without any the same content comes out as ever.
    const plain = open({ role });
    plain.receive(Uint8Array.from(frame));
    expect(plain.of('binary')[0]?.data).toEqual(pattern(5000));
    expect(calls).toEqual([]);
  });

  it.each<[string, Partial<ConnectionOptions>, (connection: Connection) => unknown, (connection: Connection) => unknown]>([
    ['keepalive', { timeouts: { keepalive: 7 } }, (connection) => connection.nextTimeout(), () => 7],
    ['idle', { timeouts: { idle: 3 } }, (connection) => connection.nextTimeout(), () => 3],
    [
      'closing',
      { timeouts: { closing: 9 } },
      (connection) => {
        connection.close();
        connection.takeOutput();
        return connection.nextTimeout();
      },
      () => 9,
    ],
    ['subprotocol', { subprotocol: 'chat' }, ({ subprotocol }) => subprotocol, () => 'chat'],
    ['clock', { clock: () => 500 }, (connection) => connection.nextTimeout(), () => 20_500],
  ])('each has its own %s', (_name, options, show, expected) => {
    const clock = (): number => 0;
    const base = new Connection({ role, clock });
    const own = new Connection({ role, clock, ...options });
    const again = new Connection({ role, clock });
    expect(show(own)).toBe(expected(own));
    expect(show(again)).toEqual(show(base));
    expect(show(base)).not.toBe(expected(base));
  });

  it('even those that have nothing in common', () => {
    const one: ConnectionOptions = {
      role,
      clock: () => 0,
      delivery: 'chunk',
      input: 'transferred',
      timeouts: { closing: 1, keepalive: 2, pong: 3, idle: 4 },
    };
    const other: ConnectionOptions = {
      role: role === 'server' ? 'client' : 'server',
      clock: () => 100,
      delivery: 'message',
      input: 'reused',
      autoPong: false,
      autoClose: false,
      limits: { maxMessageSize: 1, maxFrameSize: 2, maxPendingPongs: 3, maxFragments: 4 },
      timeouts: { closing: 5, keepalive: 6, pong: 7, idle: 8 },
      extensions: [rsv(4)],
    };
    for (const [options, due] of [
      [one, 2],
      [other, 106],
      [one, 2],
    ] as const) {
      const connection = new Connection(options);
      expect([connection.role, connection.nextTimeout()]).toEqual([options.role, due]);
    }
  });

  it('each has its own limits, answers and delivery', () => {
    const peer = peerOf(role);
    const clock = (): number => 0;
    const closeCode = (options: Partial<ConnectionOptions>, ...input: Uint8Array[]): number | undefined => {
      const connection = new Connection({ role, clock, ...options });
      for (const chunk of input) connection.receiveData(chunk);
      connection.receiveEof();
      while (options.sink === undefined && options.delivery !== 'span' && connection.nextEvent() !== null);
      return connection.closeSent?.code;
    };
    const sink = {};
    for (let round = 0; round < 2; round++) {
      expect(closeCode({ sink }, peer.binary(pattern(100)))).toBe(undefined);
      expect(closeCode({ sink, limits: { maxMessageSize: 99 } }, peer.binary(pattern(100)))).toBe(1009);
      expect(closeCode({ sink }, peer.binary(pattern(100)))).toBe(undefined);
      expect(closeCode({ sink, limits: { maxFrameSize: 99 } }, peer.binary(pattern(100)))).toBe(1009);
      expect(closeCode({ sink }, peer.binary(pattern(3), false), peer.continuation(pattern(3), false))).toBe(undefined);
      expect(closeCode({ sink, limits: { maxFragments: 1 } }, peer.binary(pattern(3), false), peer.continuation(pattern(3), false))).toBe(
        1008,
      );
      expect(closeCode({ sink }, peer.close(1000))).toBe(1000);
      expect(closeCode({ sink, autoClose: false }, peer.close(1000))).toBe(undefined);
      expect(closeCode({ sink }, peer.frame({ opcode: 2, rsv: 4, payload: hex('01') }))).toBe(1002);
      expect(closeCode({ sink, extensions: [rsv(4)] }, peer.frame({ opcode: 2, rsv: 4, payload: hex('01') }))).toBe(undefined);
    }
    const pongs = (options: Partial<ConnectionOptions>): number => {
      const connection = new Connection({ role, clock, sink, ...options });
      for (let count = 0; count < 5; count++) connection.receiveData(peer.ping());
      connection.takeOutput();
      return connection.stats.framesOut;
    };
    for (let round = 0; round < 2; round++) {
      expect(pongs({})).toBe(5);
      expect(pongs({ autoPong: false })).toBe(0);
      expect(pongs({})).toBe(5);
      expect(pongs({ limits: { maxPendingPongs: 2 } })).toBe(2);
    }
    const spans: number[] = [];
    const seen = {
      onSpan: (_buffer: Uint8Array, start: number, end: number) => void spans.push(end - start),
      onBinary: () => void spans.push(-1),
    };
    for (const delivery of ['message', 'span', 'message'] as const) {
      new Connection({ role, clock, sink: seen, delivery }).receiveData(peer.binary(pattern(4)));
    }
    expect(spans).toEqual([-1, 4, -1]);
  });

  it('each has its own trace and leniency, and others have none', () => {
    const peer = peerOf(role);
    const clock = (): number => 0;
    const lines = { a: 0, b: 0 };
    const tracing = (name: 'a' | 'b') => ({ onTrace: () => void lines[name]++ });
    // A server that is lenient takes what is not masked, a client what is.
    const other = peerOf(role === 'server' ? 'client' : 'server').text('x');
    const takes = (options: Partial<ConnectionOptions>): boolean => {
      const connection = new Connection({ role, clock, sink: {}, ...options });
      connection.receiveData(other);
      return connection.state === 'open';
    };
    const traced = (options: Partial<ConnectionOptions>): string => {
      Object.assign(lines, { a: 0, b: 0 });
      new Connection({ role, clock, sink: {}, ...options }).receiveData(peer.text('x'));
      return `${lines.a > 0 ? 'a' : ''}${lines.b > 0 ? 'b' : ''}`;
    };
    const lenient = role === 'server' ? { unmaskedClientFrames: true } : { maskedServerFrames: true };
    for (let round = 0; round < 2; round++) {
      expect([{}, tracing('a'), {}, tracing('b'), {}].map(traced)).toEqual(['', 'a', '', 'b', '']);
      expect([{}, { lenient }, {}].map(takes)).toEqual([false, true, false]);
    }
  });
});
