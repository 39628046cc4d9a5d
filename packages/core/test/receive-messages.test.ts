/** Messages and control frames of a legal peer (RFC 6455 sections 5.4 to 5.6), in both roles, both modes and all three deliveries. */
import { Connection, type ConnectionOptions, type Role } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import {
  concat,
  type Harness,
  joined,
  messagesOf,
  type OpenOptions,
  open,
  pattern,
  peerOf,
  type Seen,
  split,
  toHex,
  utf8,
} from './connection-helpers.ts';

const roles: readonly Role[] = ['server', 'client'];
const ways: readonly OpenOptions[] = roles.flatMap((role) =>
  (['push', 'pull'] as const).flatMap((mode) => (['message', 'chunk', 'span'] as const).map((delivery) => ({ role, mode, delivery }))),
);
const title = ({ role, mode, delivery }: OpenOptions): string => `${role}, ${mode}, ${delivery}`;

/** Payload sizes on either side of every change of header or of algorithm. */
const SIZES = [0, 1, 2, 3, 4, 7, 8, 24, 25, 47, 48, 63, 64, 79, 80, 81, 125, 126, 127, 4095, 4096, 65_535, 65_536, 70_001];

/** Chunks as a transport might cut them. */
const CUTS = [1, 2, 3, 5, 7, 13, 64, 1000];

function text(size: number): string {
  let result = '';
  for (let at = 0; at < size; at++) result += String.fromCharCode(32 + (at % 95));
  return result;
}

describe.each(ways.map((way) => [title(way), way] as const))('%s', (_, way) => {
  it('whole messages of every header size', () => {
    const endpoint = open(way);
    for (const size of SIZES) endpoint.receive(endpoint.peer.binary(pattern(size)), endpoint.peer.text(text(size)));
    expect(messagesOf(endpoint.seen)).toEqual(SIZES.flatMap((size) => [toHex(pattern(size)), text(size)]));
    expect(endpoint.connection.state).toBe('open');
    expect(endpoint.connection.transport).toBe('open');
    expect(endpoint.connection.wantsRead).toBe(true);
    expect(endpoint.output()).toHaveLength(0);
  });

  it('the same in one chunk, and in chunks of any size', () => {
    const peer = peerOf(way.role);
    const sizes = SIZES.filter((size) => size < 5000);
    const wire = concat(...sizes.flatMap((size) => [peer.binary(pattern(size)), peer.text(text(size))]));
    const expected = sizes.flatMap((size) => [toHex(pattern(size)), text(size)]);
    for (const cut of [wire.length, ...CUTS]) {
      const endpoint = open(way);
      endpoint.receive(...split(wire, cut));
      expect(messagesOf(endpoint.seen), `chunks of ${cut} bytes`).toEqual(expected);
    }
  });

  it('fragments, empty ones among them, make one message', () => {
    const { peer, receive, seen } = open(way);
    receive(peer.text('Hel', false), peer.continuation('lo', true));
    receive(peer.text('', false), peer.continuation('', false), peer.continuation('wor', false), peer.continuation('ld', true));
    receive(peer.binary(pattern(300), false), peer.continuation(pattern(70_000, 5), false), peer.continuation('', true));
    receive(peer.text('', false), peer.continuation('', true));
    receive(peer.binary(new Uint8Array(0)));
    expect(messagesOf(seen)).toEqual(['Hello', 'world', toHex(concat(pattern(300), pattern(70_000, 5))), '', '']);
  });

  it('a character may be cut by fragments and chunks', () => {
    const word = 'aé€😀\u{10ffff}\ud7ff\ue000z';
    const bytes = utf8(word);
    const peer = peerOf(way.role);
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        const wire = concat(
          peer.text(bytes.subarray(0, first), false),
          peer.continuation(bytes.subarray(first, second), false),
          peer.continuation(bytes.subarray(second), true),
        );
        for (const cut of [wire.length, 1]) {
          const endpoint = open(way);
          endpoint.receive(...split(wire, cut));
          expect(messagesOf(endpoint.seen)).toEqual([word]);
          for (const { data } of endpoint.of('textChunk')) expect(Buffer.from(data).toString()).toBe(data);
        }
      }
    }
  });

  it('keeps a byte order mark, wherever it stands', () => {
    const words = ['\ufeff', '\ufeffhi', 'hi\ufeff', '\ufeff\ufeff', `\ufeff${'x'.repeat(200)}`, `${'é'.repeat(100)}\ufeff`];
    const { peer, receive, seen } = open(way);
    for (const word of words) {
      receive(peer.text(word));
      receive(...split(peer.text(word), 1));
      receive(peer.text(utf8(word).subarray(0, 1), false), peer.continuation(utf8(word).subarray(1), true));
    }
    expect(messagesOf(seen)).toEqual(words.flatMap((word) => [word, word, word]));
  });

  it('control frames between fragments come in their place', () => {
    const { peer, receive, seen, sent } = open(way);
    receive(
      peer.text('a', false),
      peer.ping('1'),
      peer.continuation('b', false),
      peer.pong('2'),
      peer.ping(),
      peer.continuation('c', true),
    );
    const ping: Seen = { type: 'ping', data: utf8('1') };
    const pong: Seen = { type: 'pong', data: utf8('2'), latency: null };
    const empty: Seen = { type: 'ping', data: utf8('') };
    const piece = (data: string): Seen => (way.delivery === 'chunk' ? { type: 'textChunk', data } : { type: 'span', data: utf8(data) });
    expect(joined(seen)).toEqual(
      way.delivery === 'message'
        ? [ping, pong, empty, { type: 'text', data: 'abc' }]
        : [piece('a'), ping, piece('b'), pong, empty, piece('c'), { type: 'finish', kind: 'text' }],
    );
    expect(sent()).toEqual(["PONG '1'", 'PONG']);
  });

  it('control frames within fragments do not disturb half a character', () => {
    const { peer, receive, seen } = open(way);
    const [c3, a9] = [utf8('é').subarray(0, 1), utf8('é').subarray(1)];
    receive(peer.text(c3, false), peer.ping('€'), peer.continuation('', false), peer.pong('\ufeff'), peer.continuation(a9, true));
    expect(messagesOf(seen)).toEqual(['é']);
  });

  it('control payloads of every size, cut anywhere', () => {
    for (const size of [0, 1, 2, 3, 4, 5, 8, 63, 64, 124, 125]) {
      const payload = pattern(size, 9);
      for (const cut of [1000, 1, 3]) {
        const endpoint = open(way);
        endpoint.receive(...split(concat(endpoint.peer.ping(payload), endpoint.peer.pong(payload)), cut));
        expect(endpoint.seen).toEqual([
          { type: 'ping', data: payload },
          { type: 'pong', data: payload, latency: null },
        ]);
        const frames = endpoint.frames();
        expect(frames.map(({ header, payload: data }) => [header.opcode, toHex(data)])).toEqual([[10, toHex(payload)]]);
        expect(frames[0]?.header.masked).toBe(way.role === 'client');
      }
    }
  });

  it('the peer closes: answered, told, and what follows is ignored', () => {
    const { connection, peer, receive, seen, sent } = open(way);
    receive(concat(peer.text('last'), peer.close(1000, 'bye\ufeff'), peer.text('ignored'), peer.close(1001)));
    connection.receiveEof();
    receive(peer.text('ignored'));
    const own = open(way);
    own.receive(own.peer.text('last'));
    expect(seen).toEqual([
      ...own.seen,
      { type: 'close', code: 1000, reason: 'bye\ufeff' },
      {
        type: 'end',
        clean: true,
        code: 1000,
        reason: 'bye\ufeff',
        sent: { code: 1000, reason: 'bye\ufeff' },
        received: { code: 1000, reason: 'bye\ufeff' },
        initiator: 'remote',
        cause: null,
      },
    ]);
    expect(sent()).toEqual(["CLOSE 1000 'bye\ufeff'"]);
    expect(connection.state).toBe('closed');
  });

  it('EOF in every place of a frame is told once, after what came before it', () => {
    const wire = concat(peerOf(way.role).binary(pattern(10)), peerOf(way.role).binary(pattern(130)));
    for (let size = 0; size < wire.length; size++) {
      const endpoint = open(way);
      endpoint.receive(wire.subarray(0, size));
      endpoint.connection.receiveEof();
      endpoint.connection.receiveEof();
      endpoint.connection.receiveError(new Error('late'));
      if (way.mode === 'pull') endpoint.pull();
      expect(endpoint.end).toMatchObject({ clean: false, code: 1006, reason: '', sent: null, received: null, initiator: null });
      expect(endpoint.end.cause).toMatchObject({ code: 'WS_EOF', closeCode: 1006, section: 'RFC 6455 7.1.5' });
      expect(endpoint.seen.at(-1)?.type).toBe('end');
      expect(messagesOf(endpoint.seen).length).toBe(size >= wire.length - 130 - endpoint.peer.headerSize(130) ? 1 : 0);
      expect(endpoint.connection.transport).toBe('done');
      expect(endpoint.output()).toHaveLength(0);
    }
  });

  it('a broken transport is told once, with directive abort', () => {
    const { connection, peer, receive, seen, pull, end } = (() => {
      const endpoint = open(way);
      endpoint.receive(endpoint.peer.text('one'), endpoint.peer.binary(pattern(9)).subarray(0, 5));
      endpoint.connection.receiveError(new Error('reset'));
      if (way.mode === 'pull') endpoint.pull();
      return { ...endpoint, end: endpoint.end };
    })();
    expect(end).toMatchObject({ clean: false, code: 1006, cause: { code: 'WS_TRANSPORT', closeCode: 1006, section: 'RFC 6455 7.2.1' } });
    expect(connection.transport).toBe('abort');
    expect(messagesOf(seen)).toEqual(['one']);
    const count = seen.length;
    connection.receiveEof();
    receive(peer.text('late'));
    if (way.mode === 'pull') pull();
    expect(seen).toHaveLength(count);
  });

  it('counts what it received', () => {
    const endpoint = open(way);
    const { peer } = endpoint;
    const wire = [
      peer.text('héllo'),
      peer.binary(pattern(200), false),
      peer.ping('12345'),
      peer.continuation(pattern(56), true),
      peer.pong(),
      peer.binary(new Uint8Array(0)),
    ];
    endpoint.receive(...split(concat(...wire), 11));
    const { stats } = endpoint.connection;
    expect(stats).toMatchObject({
      bytesIn: concat(...wire).length,
      payloadIn: 6 + 256,
      framesIn: 6,
      messagesIn: 3,
      messagesDiscarded: 0,
      messagesOut: 0,
    });
    const taken = endpoint.output();
    expect(endpoint.connection.stats).toMatchObject({ bytesOut: taken.length, framesOut: 1, payloadOut: 0 });
  });

  it('takes empty chunks at any point', () => {
    const endpoint = open(way);
    const empty = new Uint8Array(0);
    for (const byte of split(concat(endpoint.peer.text('hi'), endpoint.peer.ping()), 1)) endpoint.receive(empty, byte, empty);
    expect(messagesOf(endpoint.seen)).toEqual(['hi']);
    expect(endpoint.of('ping')).toHaveLength(1);
    expect(endpoint.connection.stats.framesIn).toBe(2);
  });

  it("takes Node's Buffers, pooled ones at odd offsets included", () => {
    const endpoint = open(way);
    for (const size of SIZES.filter((each) => each < 5000)) {
      const buffer = Buffer.from(endpoint.peer.binary(pattern(size)));
      endpoint.receive(buffer);
      buffer.fill(0);
    }
    const odd = concat(new Uint8Array(1), endpoint.peer.binary(pattern(200)));
    endpoint.receive(odd.subarray(1));
    expect(messagesOf(endpoint.seen)).toEqual([...SIZES.filter((each) => each < 5000), 200].map((size) => toHex(pattern(size))));
  });
});

describe('pieces', () => {
  it.each(roles)('a %s starts a message at its header and ends it with its last byte', (role) => {
    for (const delivery of ['chunk', 'span'] as const) {
      const { peer, receive, seen } = open({ role, delivery });
      const wire = peer.binary(pattern(3));
      const head = peer.headerSize(3);
      receive(wire.subarray(0, head - 1));
      expect(seen).toEqual([]);
      receive(wire.subarray(head - 1, head));
      expect(seen).toEqual([{ type: 'start', kind: 'binary' }]);
      receive(wire.subarray(head, head + 2));
      expect(seen.slice(1)).toEqual([{ type: 'span', data: pattern(2) }]);
      receive(wire.subarray(head + 2));
      expect(seen.slice(2)).toEqual([
        { type: 'span', data: pattern(3).subarray(2) },
        { type: 'finish', kind: 'binary' },
      ]);
    }
  });

  it('an empty message has a start and an end and no piece', () => {
    for (const delivery of ['chunk', 'span'] as const) {
      const { peer, receive, seen } = open({ role: 'server', delivery });
      receive(peer.text(''), peer.binary(new Uint8Array(0), false), peer.continuation('', true));
      expect(seen).toEqual([
        { type: 'start', kind: 'text' },
        { type: 'finish', kind: 'text' },
        { type: 'start', kind: 'binary' },
        { type: 'finish', kind: 'binary' },
      ]);
    }
  });

  it('text pieces are whole code points', () => {
    const { peer, receive, seen } = open({ role: 'client', delivery: 'chunk' });
    receive(...split(peer.text('a😀b€'), 1));
    expect(seen.flatMap((event) => (event.type === 'textChunk' ? [event.data] : []))).toEqual(['a', '😀', 'b', '€']);
  });

  it('pulled chunks say which is first and which is last', () => {
    for (const kind of ['text', 'binary'] as const) {
      const { connection, peer } = open({ role: 'server', mode: 'pull', delivery: 'chunk', pulling: false });
      const first = kind === 'text' ? peer.text('ab', false) : peer.binary(utf8('ab'), false);
      for (const chunk of [...split(concat(first, peer.continuation('cd', true)), 1), first, peer.continuation('', true)]) {
        connection.receiveData(chunk);
      }
      const flags = [...connection.events()].map((event) =>
        event.type === 'chunk' ? `${Buffer.from(event.data).toString()} ${event.first ? 'F' : '-'}${event.last ? 'L' : '-'}` : event.type,
      );
      const shown = (from: number, to: number) => flags.slice(from, to).join('|');
      const whole = flags.map((flag) => flag.split(' ')[0]).join('');
      expect(whole).toBe('abcdab');
      expect(flags.filter((flag) => flag.includes('F'))).toHaveLength(2);
      expect(flags.filter((flag) => flag.includes('L'))).toHaveLength(2);
      expect(shown(0, 1)).toContain('F');
      expect(flags.at(-1)).toContain('L');
    }
  });
});

describe('options of receiving', () => {
  it('autoPong false: pings are told and not answered', () => {
    for (const mode of ['push', 'pull'] as const) {
      const { peer, receive, of, output } = open({ role: 'server', mode, autoPong: false });
      receive(peer.ping('x'));
      expect(of('ping')).toEqual([{ type: 'ping', data: utf8('x') }]);
      expect(output()).toHaveLength(0);
    }
  });

  it('a sink without methods loses nothing but the telling', () => {
    for (const delivery of ['message', 'chunk', 'span'] as const) {
      const options: ConnectionOptions = { role: 'server', clock: () => 0, sink: {}, delivery };
      const connection = new Connection(options);
      const peer = peerOf('server');
      const wire = [
        peer.text('é', false),
        peer.ping('p'),
        peer.continuation('x', true),
        peer.binary(pattern(9)),
        peer.pong(),
        peer.close(1000),
      ];
      for (const byte of split(concat(...wire), 1)) connection.receiveData(byte);
      expect(concat(...connection.takeOutput())).toEqual(Uint8Array.from([0x8a, 1, 0x70, 0x88, 2, 0x03, 0xe8]));
      expect(connection.stats.messagesIn).toBe(2);
      connection.receiveEof();
      expect(connection.state).toBe('closed');
    }
  });

  it('methods of a sink are called on the sink', () => {
    class Recorder {
      texts: string[] = [];
      onText(data: string): void {
        this.texts.push(data);
      }
    }
    const sink = new Recorder();
    const connection = new Connection({ role: 'client', clock: () => 0, sink });
    connection.receiveData(peerOf('client').text('hi'));
    expect(sink.texts).toEqual(['hi']);
  });

  it('payloads of control frames and messages are the application’s to keep', () => {
    for (const role of roles) {
      const endpoint: Harness = open({ role });
      const { peer } = endpoint;
      for (let round = 0; round < 50; round++) {
        endpoint.receive(concat(peer.ping(pattern(round)), peer.binary(pattern(round * 3, 1)), peer.pong(pattern(round, 2))));
      }
      expect(endpoint.of('ping').map(({ data }) => toHex(data))).toEqual(Array.from({ length: 50 }, (_, i) => toHex(pattern(i))));
      expect(endpoint.of('binary').map(({ data }) => toHex(data))).toEqual(Array.from({ length: 50 }, (_, i) => toHex(pattern(i * 3, 1))));
      expect(endpoint.of('pong').map(({ data }) => toHex(data))).toEqual(Array.from({ length: 50 }, (_, i) => toHex(pattern(i, 2))));
    }
  });

  it('refuses what is not bytes, and options that are not ones', () => {
    const { connection } = open({ role: 'server' });
    expect(() => connection.receiveData('text' as unknown as Uint8Array)).toThrow(TypeError);
    expect(() => connection.receiveData(new ArrayBuffer(3) as unknown as Uint8Array)).toThrow(/chunk/);
    const wrong = (change: object, name: RegExp) =>
      expect(() => new Connection({ role: 'server', clock: () => 0, ...change } as ConnectionOptions)).toThrow(name);
    wrong({ role: 'both' }, /role/);
    wrong({ clock: 5 }, /clock/);
    wrong({ delivery: 'packet' }, /delivery/);
    wrong({ input: 'borrowed' }, /input/);
    wrong({ limits: { maxMessageSize: -1 } }, /maxMessageSize/);
    wrong({ limits: { maxMessageSize: Number.NaN } }, /maxMessageSize/);
    wrong({ limits: { maxFrameSize: '5' } }, /maxFrameSize/);
    wrong({ limits: { maxFragments: 0 } }, /maxFragments/);
    wrong({ limits: { maxPendingPongs: -1 } }, /maxPendingPongs/);
  });
});
