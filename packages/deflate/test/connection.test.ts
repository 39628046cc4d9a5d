/**
 * The extension in a connection: RSV1 (RFC 7692 section 6.1), control frames between compressed fragments, limits, pauses, splits, closing.
 */
import { Connection, type ConnectionEvent, type ConnectionOptions, type Extension, prepareMessage } from '@ferrywire/core';
import { FrameParser, type ParsedFrame, serializeFrame, violations } from '@ferrywire/core/frame';
import { type DeflateOptions, serverDeflate } from '@ferrywire/deflate';
import { pakoCodec } from '@ferrywire/deflate/pako';
import { zlibCodec } from '@ferrywire/deflate/zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ascii, concat, cut, deflateMessage, hex, mixture, random } from '../dist/suite/harness.js';

const MIB = 1 << 20;
const TEXT = 1;
const BINARY = 2;
const PING = 9;
const QUIET = { keepalive: 0, pong: 0, idle: 0 } as const;

function extension(options: DeflateOptions = {}): Extension {
  const accepted = serverDeflate({ serverNoContextTakeover: false, clientNoContextTakeover: false, threshold: 0, ...options }).accept(
    [],
    [],
  );
  if (accepted === null) throw new Error('declined');
  return accepted.extension;
}

/** So many bytes by fixed codes (RFC 1951 section 3.2.6) and behind the last a code that does not exist. */
function brokenOff(size: number): Uint8Array {
  const literal = '10010001';
  const matches = Math.max(0, Math.floor((size - 2) / 258));
  const bits = `010${literal}${'1100010100000'.repeat(matches)}${literal.repeat(size - 1 - 258 * matches)}11000110`;
  const bytes = new Uint8Array(Math.ceil(bits.length / 8) + 3);
  for (let at = 0; at < bits.length; at++) if (bits[at] === '1') bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (1 << (at & 7));
  return bytes;
}

class Server {
  now = 0;
  readonly connection: Connection;
  readonly events: ConnectionEvent[] = [];
  readonly #output: Uint8Array[] = [];

  constructor(deflate: DeflateOptions = {}, options: Partial<ConnectionOptions> = {}) {
    this.connection = new Connection({
      role: 'server',
      clock: () => this.now,
      extensions: [extension(deflate)],
      timeouts: QUIET,
      ...options,
    });
  }

  /** Feeds, then does what a driver does: goes on while work is due, and takes what there is to send. */
  feed(bytes: Uint8Array): this {
    this.connection.receiveData(bytes);
    return this.pump();
  }

  pump(): this {
    for (let turns = 0; turns < 10_000; turns++) {
      for (const event of this.connection.events()) this.events.push(event);
      const due = this.connection.nextTimeout();
      if (due === null || due > this.now) break;
      this.connection.handleTimeout(this.now);
    }
    this.#output.push(...this.connection.takeOutput().map((chunk) => chunk.slice()));
    return this;
  }

  sent(): readonly ParsedFrame[] {
    return [...new FrameParser().push(concat(this.#output))];
  }

  get messages(): readonly (string | Uint8Array)[] {
    return this.events.flatMap((event) => (event.type === 'message' ? [event.data] : []));
  }

  /** The code of the close frame that was sent, or null. */
  get closeCode(): number | null {
    const frame = this.sent().find(({ header }) => header.opcode === 8);
    return frame === undefined || frame.payload.length < 2 ? null : ((frame.payload[0] ?? 0) << 8) | (frame.payload[1] ?? 0);
  }

  end(): void {
    this.connection.abort();
    this.pump();
  }
}

const frame = (opcode: number, payload: Uint8Array, rsv = 0, fin = true): Uint8Array =>
  serializeFrame({ opcode, payload, rsv, fin, maskKey: 0x37fa213d });
const HELLO = hex('f248cdc9c90700');

describe('receiving', () => {
  it('compressed and uncompressed messages mix', () => {
    const server = new Server();
    server.feed(
      concat([
        frame(TEXT, HELLO, 4),
        frame(TEXT, ascii('other')),
        frame(TEXT, hex('f200110000'), 4),
        frame(TEXT, hex('00'), 4),
        frame(BINARY, hex('f348cdc9c9070000'), 4),
      ]),
    );
    expect(server.messages).toEqual(['Hello', 'other', 'Hello', '', ascii('Hello')]);
    server.end();
  });

  it('control frames go between compressed fragments', () => {
    const server = new Server();
    server.feed(
      concat([
        frame(TEXT, HELLO.subarray(0, 3), 4, false),
        frame(PING, ascii('one')),
        frame(0, HELLO.subarray(3, 3), 0, false),
        frame(0, HELLO.subarray(3, 5), 0, false),
        frame(PING, ascii('two')),
        frame(0, HELLO.subarray(5)),
      ]),
    );
    expect(server.messages).toEqual(['Hello']);
    expect(server.sent().map(({ header, payload }) => [header.opcode, header.rsv, String.fromCharCode(...payload)])).toEqual([
      [10, 0, 'one'],
      [10, 0, 'two'],
    ]);
    server.end();
  });

  it.each<[string, Uint8Array]>([
    ['RSV1 on a ping', frame(PING, new Uint8Array(0), 4)],
    ['RSV1 on a pong', frame(10, new Uint8Array(0), 4)],
    ['RSV1 on a close', frame(8, hex('03e8'), 4)],
    ['RSV1 on a continuation', concat([frame(TEXT, HELLO.subarray(0, 3), 4, false), frame(0, HELLO.subarray(3), 4)])],
    ['RSV1 on the continuation of an uncompressed message', concat([frame(TEXT, ascii('a'), 0, false), frame(0, ascii('b'), 4)])],
    ['RSV1 and RSV2', frame(TEXT, HELLO, 6)],
    ['RSV3', frame(TEXT, HELLO, 1)],
  ])('%s fails with 1002', (_title, bytes) => {
    for (const size of [1, bytes.length]) {
      const server = new Server();
      for (let at = 0; at < bytes.length; at += size) server.feed(bytes.subarray(at, at + size));
      expect(server.messages).toEqual([]);
      expect(server.closeCode).toBe(1002);
      server.end();
    }
  });

  it.each<[string, string]>([
    ['garbage', '07'],
    ['a cut message', 'f248cd'],
    ['a tail that was not removed', 'f248cdc9c907000000ffff'],
    ['a distance before the first byte', 'f200110000'],
  ])('%s fails with 1007', (_title, payload) => {
    const server = new Server();
    server.feed(frame(TEXT, hex(payload), 4));
    expect(server.messages).toEqual([]);
    expect(server.closeCode).toBe(1007);
    const end = server.connection.closeSent;
    expect(end?.code).toBe(1007);
    server.end();
  });

  it('names the section of RFC 7692 as the cause', () => {
    const server = new Server();
    server.feed(frame(TEXT, hex('07'), 4));
    server.connection.receiveEof();
    server.pump();
    const end = server.events.find((event) => event.type === 'end');
    expect(end).toMatchObject({ clean: false, cause: violations.WS_EXTENSION_DATA });
  });

  it('text is judged after it was decompressed', () => {
    const deflate = zlibCodec.createDeflate(15, 6, 8);
    const broken = deflateMessage(deflate, [Uint8Array.of(0x61, 0xff, 0x62)]);
    deflate.reset();
    const euro = deflateMessage(deflate, [Uint8Array.of(0xe2, 0x82, 0xac)]);
    deflate.reset();
    const half = deflateMessage(deflate, [Uint8Array.of(0xe2, 0x82)]);
    deflate.close();
    const fresh = { clientNoContextTakeover: true } as const;
    expect(new Server(fresh).feed(frame(TEXT, broken, 4)).closeCode).toBe(1007);
    expect(new Server(fresh).feed(frame(TEXT, half, 4)).closeCode).toBe(1007);
    expect(new Server(fresh).feed(frame(BINARY, broken, 4)).messages).toEqual([Uint8Array.of(0x61, 0xff, 0x62)]);
    expect(new Server(fresh).feed(frame(TEXT, euro, 4)).messages).toEqual(['€']);
  });
});

describe.each([
  ['zlib', zlibCodec],
  ['pako', pakoCodec],
] as const)('limits with %s', (_name, codec) => {
  const deflate = codec.createDeflate(15, 9, 9);
  const bomb = deflateMessage(deflate, [new Uint8Array(64 * MIB)]);
  deflate.reset();
  const exact = deflateMessage(deflate, [new Uint8Array(MIB)]);
  deflate.reset();
  const over = deflateMessage(deflate, [new Uint8Array(MIB + 1)]);
  deflate.close();

  it.each([100, 4000, bomb.length])('S4: a bomb in fragments of %d bytes fails with 1009 before its end', (size) => {
    const server = new Server({ codec });
    let fed = 0;
    for (let at = 0; at < bomb.length && server.closeCode === null; at += size) {
      const end = Math.min(bomb.length, at + size);
      server.feed(frame(at === 0 ? BINARY : 0, bomb.subarray(at, end), at === 0 ? 4 : 0, false));
      fed = end;
    }
    expect(server.closeCode).toBe(1009);
    expect(server.messages).toEqual([]);
    if (size < 10_000) expect(fed).toBeLessThan(2 * (MIB / 1000) + size);
    server.end();
  });

  it('S4: the limit holds for the second message of a context as well', () => {
    const compressor = codec.createDeflate(15, 9, 9);
    const first = deflateMessage(compressor, [new Uint8Array(MIB)]);
    const second = deflateMessage(compressor, [new Uint8Array(64 * MIB)]);
    compressor.close();
    const server = new Server({ codec });
    server.feed(frame(BINARY, first, 4));
    expect(server.messages).toHaveLength(1);
    server.feed(frame(BINARY, second, 4));
    expect(server.messages).toHaveLength(1);
    expect(server.closeCode).toBe(1009);
    server.end();
  });

  it('a message of exactly the limit passes, one byte more does not', () => {
    const passed = new Server({ codec, clientNoContextTakeover: true }).feed(frame(BINARY, exact, 4));
    expect(passed.messages).toEqual([new Uint8Array(MIB)]);
    passed.end();
    const failed = new Server({ codec, clientNoContextTakeover: true }).feed(frame(BINARY, over, 4));
    expect(failed.messages).toEqual([]);
    expect(failed.closeCode).toBe(1009);
    failed.end();
  });

  it('data that goes bad about the limit fails with the same code, whole or byte by byte', () => {
    const stored = (bytes: Uint8Array): Uint8Array => concat([Uint8Array.of(0, bytes.length, 0, 255 - bytes.length, 255), bytes]);
    const matches = (bytes: Uint8Array): Uint8Array => {
      const compressor = codec.createDeflate(15, 9, 9);
      const payload = deflateMessage(compressor, [new Uint8Array(bytes.length)]);
      compressor.close();
      // Its empty stored block whole again, so that another may follow.
      return concat([payload, hex('0000ffff')]);
    };
    const empty = hex('000000ffff');
    const bad = hex('07');
    const codes = new Map<string, number | null>();
    for (const [kind, block] of Object.entries({ stored, matches })) {
      for (const [tail, rest] of Object.entries({
        bad,
        later: concat([empty, empty, bad]),
        behind: concat([stored(new Uint8Array(1)), bad]),
        none: hex('00'),
      })) {
        for (let size = 96; size <= 106; size++) {
          const bytes = frame(BINARY, concat([block(new Uint8Array(size).fill(1)), rest]), 4);
          for (const delivery of ['message', 'chunk'] as const) {
            const server = (): Server => new Server({ codec }, { delivery, limits: { maxMessageSize: 100 } });
            const whole = server().feed(bytes);
            const single = server();
            for (let at = 0; at < bytes.length; at++) single.feed(bytes.subarray(at, at + 1));
            const what = `${kind} ${size} ${tail} ${delivery}`;
            expect([what, single.closeCode]).toEqual([what, whole.closeCode]);
            codes.set(what, whole.closeCode);
            whole.end();
            single.end();
          }
        }
      }
    }
    for (const kind of ['stored', 'matches']) {
      const of = (rest: string): number | null | undefined => codes.get(`${kind} ${rest} message`);
      expect([of('100 none'), of('101 none'), of('100 bad'), of('101 bad'), of('102 later')]).toEqual([null, 1009, 1007, 1009, 1009]);
      expect([of('99 behind'), of('100 behind')]).toEqual([1007, 1009]);
    }
  });

  // Fixed codes: what comes out last was ready before there was room for it, and the next byte of the input is bad.
  it.each([
    ['a literal', '7a0dd07e2828041c', 9],
    ['a match', '0248236b01400830e5d233209815f36b32401b010acc5e731f0a800070', 37],
  ] as const)(
    'data that goes bad right behind %s above the limit fails with 1009, whole or cut anywhere',
    (_title, payload, maxMessageSize) => {
      const bytes = frame(BINARY, hex(payload), 4);
      for (const delivery of ['message', 'chunk'] as const) {
        for (let at = 0; at < bytes.length; at++) {
          const server = new Server({ codec }, { delivery, limits: { maxMessageSize } });
          expect([at, server.feed(bytes.subarray(0, at)).feed(bytes.subarray(at)).closeCode]).toEqual([at, 1009]);
          server.end();
        }
      }
    },
  );

  // The byte too many finds no room in a piece, in a turn or in the memory of `readInto`, which end where the limit does.
  it.each([
    ['a piece', 'chunk', 2 * 16_384, 0],
    ['a turn', 'message', 2 * MIB, 0],
    ['readInto', 'span', 64, 64],
    ['readInto with one byte', 'span', 40, 1],
  ] as const)('and where it lies behind %s too', (_title, delivery, maxMessageSize, target) => {
    const limits = { maxMessageSize };
    const bytes = frame(BINARY, brokenOff(maxMessageSize + 1), 4);
    const short = Math.min(bytes.length, 40);
    for (const size of [bytes.length, 1, 2, 7]) {
      const server = new Server({ codec }, { delivery, limits });
      const give = (chunk: Uint8Array): void => {
        if (target === 0) server.feed(chunk);
        else {
          server.connection.receiveData(chunk);
          while (server.connection.readInto(new Uint8Array(target)) !== null);
        }
      };
      // All but the last at once: what matters is at the end.
      if (size < bytes.length) give(bytes.subarray(0, -short));
      for (let at = size < bytes.length ? bytes.length - short : 0; at < bytes.length; at += size) give(bytes.subarray(at, at + size));
      expect([size, server.connection.closeSent?.code]).toEqual([size, 1009]);
      server.connection.abort();
    }
  });

  it('a pause holds in the middle of one frame that decompresses to 64 MiB', () => {
    let received = 0;
    let pauses = 0;
    const server = new Server(
      { codec },
      {
        delivery: 'span',
        sink: {
          onSpan(_buffer, start, end) {
            received += end - start;
            if (received > pauses * 10 * MIB) {
              pauses++;
              server.connection.pause();
            }
          },
        },
      },
    );
    const turn = (): void => {
      for (let turns = 0; turns < 100_000; turns++) {
        const due = server.connection.nextTimeout();
        if (due === null || due > server.now) return;
        server.connection.handleTimeout(server.now);
      }
    };
    server.connection.receiveData(frame(BINARY, bomb, 4));
    turn();
    for (let rounds = 0; rounds < 20 && received < 64 * MIB; rounds++) {
      const before = received;
      turn();
      expect(received).toBe(before); // paused is paused
      expect(server.connection.wantsRead).toBe(false);
      server.connection.resume();
      turn();
      expect(received - before).toBeLessThan(11 * MIB);
    }
    expect(received).toBe(64 * MIB);
    expect(pauses).toBe(7);
    server.connection.abort();
  });
});

describe('sending', () => {
  it('sets RSV1 on the first frame of compressed messages only', () => {
    const server = new Server({ threshold: 3 });
    server.connection.sendText('Hello');
    server.connection.sendText('Hi');
    server.connection.sendText('Hello', { compress: false });
    server.connection.sendText('', { compress: true });
    server.connection.sendText('Hel', { fin: false });
    server.connection.ping(ascii('ping'));
    server.connection.sendContinuation('lo', true);
    server.pump();
    expect(server.sent().map(({ header }) => [header.opcode, header.rsv, header.fin])).toEqual([
      [1, 4, true],
      [1, 0, true],
      [1, 0, true],
      [1, 4, true],
      [1, 4, false],
      [9, 0, true],
      [0, 0, true],
    ]);
    expect(server.sent()[3]?.payload).toEqual(hex('00'));
    server.end();
  });

  it('a prepared message goes to many connections, with and without context', () => {
    const message = prepareMessage('Hello Hello Hello Hello');
    const fresh = [1, 2, 3].map(() => new Server({ serverNoContextTakeover: true }));
    const keeping = new Server();
    for (const server of [...fresh, keeping]) {
      for (let round = 0; round < 2; round++) server.connection.sendPrepared(message);
      server.pump();
    }
    const [first, ...others] = fresh.map((server) => server.sent().map(({ payload }) => payload));
    expect(new Set(first?.map(String)).size).toBe(1);
    for (const other of others) expect(other).toEqual(first);
    expect(keeping.sent()[0]?.payload).toEqual(first?.[0]);
    expect(keeping.sent()[1]?.payload.length).toBeLessThan(first?.[0]?.length ?? 0);
    for (const server of [...fresh, keeping]) server.end();
  });

  it('S26: with `compress: false` RSV1 never appears', () => {
    const server = new Server();
    for (let size = 0; size < 300; size += 10) server.connection.sendText('s'.repeat(size), { compress: false });
    server.pump();
    expect(server.sent()).toHaveLength(30);
    expect(server.sent().every(({ header }) => header.rsv === 0)).toBe(true);
    server.end();
  });
});

describe('any split', () => {
  it('of the input gives the same events', () => {
    const next = random(77);
    const deflate = zlibCodec.createDeflate(15, 6, 8);
    const frames: Uint8Array[] = [];
    for (let index = 0; index < 6; index++) {
      const payload = deflateMessage(deflate, [mixture(next, Math.floor(next() * 800))]);
      const pieces = cut(next, payload);
      pieces.forEach((piece, at) => {
        frames.push(frame(at === 0 ? BINARY : 0, piece, at === 0 ? 4 : 0, at === pieces.length - 1));
        if (next() < 0.2) frames.push(frame(PING, Uint8Array.of(at)));
      });
    }
    deflate.close();
    const bytes = concat([...frames, frame(BINARY, hex('07'), 4)]);
    const whole = new Server().feed(bytes);
    expect(whole.messages).toHaveLength(6);
    expect(whole.closeCode).toBe(1007);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 30 }), fc.constantFrom('shared', 'reused'), (cuts, input) => {
        const server = new Server({}, { input });
        const places = [...cuts, bytes.length].sort((a, b) => a - b);
        for (const [index, end] of places.entries()) server.feed(bytes.slice(places[index - 1] ?? 0, end));
        expect(server.events).toEqual(whole.events);
        expect(server.sent().map(({ header, payload }) => [header.opcode, payload])).toEqual(
          whole.sent().map(({ header, payload }) => [header.opcode, payload]),
        );
        server.end();
      }),
      { numRuns: 60 },
    );
    const single = new Server();
    for (let at = 0; at < bytes.length; at++) single.feed(bytes.subarray(at, at + 1));
    expect(single.events).toEqual(whole.events);
    single.end();
    whole.end();
  });
});

describe('S23: the end', () => {
  it('closing, failing and aborting in the middle of compressed messages frees the contexts once, and nothing uses them again', () => {
    for (const how of ['close', 'fail', 'abort', 'eof', 'error'] as const) {
      for (const codec of [zlibCodec, pakoCodec]) {
        let disposed = 0;
        const inner = extension({ codec });
        const counted: Extension = {
          name: inner.name,
          rsv: inner.rsv,
          inbound: (role, ready) => inner.inbound(role, ready),
          outbound: (role, ready) => inner.outbound(role, ready),
          dispose() {
            disposed++;
            inner.dispose?.();
          },
        };
        const server = new Server({}, { extensions: [counted] });
        server.feed(frame(TEXT, HELLO.subarray(0, 3), 4, false));
        server.connection.sendText('Hel', { fin: false, compress: true });
        if (how === 'close') server.connection.close(1000);
        else if (how === 'fail') server.connection.fail(1011);
        else if (how === 'abort') server.connection.abort();
        else if (how === 'eof') server.connection.receiveEof();
        else server.connection.receiveError(new Error('reset'));
        server.pump();
        if (how === 'close') server.feed(concat([frame(0, HELLO.subarray(3)), frame(8, hex('03e8'))]));
        server.connection.sendText('late', { compress: true });
        server.connection.receiveData(frame(TEXT, HELLO, 4));
        server.connection.receiveEof();
        server.pump();
        expect([how, disposed]).toEqual([how, 1]);
      }
    }
  });
});
