/**
 * The harness's own instruments against oracles: what judges others must be right itself.
 */
import { createHash } from 'node:crypto';
import { constants, createDeflateRaw, createInflateRaw, deflateRawSync } from 'node:zlib';
import { type CaseResult, cases, escaped, singleBytes, VirtualTime, whole } from '@ferrywire/conformance';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { corpus, corpusWalker } from '../dist/corpus.js';
import { type Breach, Decoder } from '../dist/decoder.js';
import { Deflater, Inflater } from '../dist/deflate.js';
import { Encoder } from '../dist/encoder.js';
import { acceptKeyFor, answerDeflate, parseHead, readDeflateAnswer, readRequest } from '../dist/handshake.js';
import { maskInto } from '../dist/mask.js';
import { bytesOf } from '../dist/payload.js';
import { seededNumbers } from '../dist/random.js';
import { SilenceGuard } from '../dist/silence.js';
import { splitterFor } from '../dist/split.js';
import { limitUnder } from '../dist/target.js';
import { splitCommand } from '../dist/targets/child-process.js';
import { firstInvalidUtf8 } from '../dist/utf8.js';

const binary = (max = 300): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength: max });

interface Seen {
  readonly kind: string;
  readonly data: Uint8Array;
}

function decode(from: 'client' | 'server', chunks: Iterable<Uint8Array>, deflate = false): { seen: Seen[]; breach: Breach | null } {
  const seen: Seen[] = [];
  let breach: Breach | null = null;
  const plain = { noContextTakeover: false, windowBits: 15 };
  const decoder = new Decoder(from, deflate ? { client: plain, server: plain } : null, {
    message: (kind, data) => seen.push({ kind, data }),
    ping: (data) => seen.push({ kind: 'ping', data }),
    pong: (data) => seen.push({ kind: 'pong', data }),
    close: (code, reason) => seen.push({ kind: `close ${code}`, data: reason }),
    breach: (found) => {
      breach = found;
    },
  });
  for (const chunk of chunks) decoder.push(chunk);
  return { seen, breach };
}

describe('UTF-8', () => {
  it('agrees with TextDecoder on every lead byte, with all that may or may not follow', () => {
    const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    const valid = (bytes: Uint8Array): boolean => {
      try {
        strict.decode(bytes);
        return true;
      } catch {
        return false;
      }
    };
    const wrong: string[] = [];
    const edges = [0x00, 0x20, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xff];
    for (let lead = 0; lead < 256; lead += 1) {
      for (const second of edges) {
        for (const third of [0x20, 0x80, 0xbf, 0xc2]) {
          for (const fourth of [0x20, 0x80, 0xbf]) {
            const bytes = Uint8Array.of(lead, second, third, fourth);
            for (const size of [1, 2, 3, 4]) {
              const some = bytes.subarray(0, size);
              if ((firstInvalidUtf8(some) === -1) !== valid(some)) wrong.push(some.join(' '));
            }
          }
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('finds the one wrong byte of a long text, wherever it is', () => {
    const place = fc.integer({ min: 0, max: 200 });
    fc.assert(
      fc.property(place, place, fc.integer({ min: 0, max: 3 }), fc.constantFrom(0x80, 0xc0, 0xff), (before, after, offset, byte) => {
        const bytes = Buffer.alloc(offset + before + 1 + after, 0x61);
        bytes[offset + before] = byte;
        expect(firstInvalidUtf8(bytes.subarray(offset))).toBe(before);
        bytes[offset + before] = 0x7f;
        expect(firstInvalidUtf8(bytes.subarray(offset))).toBe(-1);
      }),
      { numRuns: 500 },
    );
  });
});

describe('encoder and decoder', () => {
  it('agree on every frame that a case sends and a subject may echo', () => {
    for (const test of cases.filter(({ id }) => /^(1|2)\./.test(id) && id !== '2.5')) {
      for (const masked of [false, true]) {
        const encoder = new Encoder(masked, seededNumbers(7));
        const frames = test.steps.flatMap((step) =>
          step.do === 'frame' ? [{ opcode: step.opcode, fin: step.fin, rsv: step.rsv, payload: bytesOf(step.payload) }] : [],
        );
        const { seen, breach } = decode(
          masked ? 'client' : 'server',
          frames.map((frame) => encoder.frame(frame)),
        );
        expect(breach).toBeNull();
        expect(seen.map(({ data }) => Buffer.from(data).toString('hex'))).toEqual(
          frames.map(({ payload }) => Buffer.from(payload).toString('hex')),
        );
      }
    }
  });

  it('cut messages into frames, an empty one last where all are full, at any split of the bytes', () => {
    fc.assert(
      fc.property(binary(), fc.integer({ min: 1, max: 100 }), fc.boolean(), fc.integer(), (payload, fragment, masked, seed) => {
        const bytes = new Encoder(masked, seededNumbers(seed)).message(2, 0, payload, fragment);
        const header = 2 + (masked ? 4 : 0);
        expect(bytes.length).toBe(payload.length + (Math.floor(payload.length / fragment) + 1) * header);
        for (const split of [whole, singleBytes(seed), { how: 'seeded', seed, cuts: 5 } as const]) {
          const { seen, breach } = decode(masked ? 'client' : 'server', splitterFor(split)(bytes));
          expect(breach).toBeNull();
          expect(seen).toHaveLength(1);
          expect(Buffer.from(seen[0]?.data ?? [])).toEqual(Buffer.from(payload));
        }
      }),
      { numRuns: 200 },
    );
  });

  it('mask pieces of an open frame where the last one left off', () => {
    fc.assert(
      fc.property(fc.array(binary(20), { maxLength: 6 }), fc.integer(), (pieces, seed) => {
        const joined = Buffer.concat(pieces);
        const { header, data } = new Encoder(true, seededNumbers(seed)).open(2, true, joined.length);
        const { seen, breach } = decode('client', [header, ...pieces.map(data)]);
        expect(breach).toBeNull();
        expect(Buffer.from(seen[0]?.data ?? [])).toEqual(joined);
      }),
      { numRuns: 200 },
    );
  });

  it('mask each frame with another number of the source: a mask of zeros would find no server that ignores masks', () => {
    let last = 0x01020300;
    const encoder = new Encoder(true, () => (last += 1));
    const one = encoder.frame({ opcode: 9, fin: true, rsv: 0, payload: Uint8Array.of(0) });
    const two = encoder.message(2, 4, new Uint8Array(3), 2);
    const { header, data } = encoder.open(1, true, 1);
    expect([one, two, header, data(new Uint8Array(1))].map((bytes) => Buffer.from(bytes).toString('hex'))).toEqual([
      '89810102030101',
      `4282010203020102${'80810102030301'}`,
      '818101020304',
      '01',
    ]);
    // In a frame with peculiarities too, and none where the case says so.
    const odd = { opcode: 9, fin: true, rsv: 0, payload: Uint8Array.of(0), claim: 300, lengthBytes: 8 } as const;
    expect(Buffer.from(encoder.frame(odd)).toString('hex')).toBe('89ff000000000000012c0102030501');
    expect(Buffer.from(encoder.frame(odd, false)).toString('hex')).toBe('897f000000000000012c00');
  });

  it('mask as RFC 6455 5.7 shows', () => {
    const target = new Uint8Array(5);
    maskInto(Buffer.from('Hello'), target, 0, 0x37fa213d);
    expect(Buffer.from(target).toString('hex')).toBe('7f9f4d5158');
  });

  it('mask byte by byte what they mask in words, from and to any place', () => {
    const place = fc.integer({ min: 0, max: 9 });
    fc.assert(
      fc.property(binary(), place, place, fc.integer({ min: 0, max: 0xffff_ffff }), (payload, from, offset, key) => {
        const source = new Uint8Array(from + payload.length);
        source.set(payload, from);
        const target = new Uint8Array(offset + payload.length + 5).fill(0xaa);
        maskInto(source.subarray(from), target, offset, key);
        const expected = payload.map((byte, i) => byte ^ (key >>> (24 - 8 * (i % 4))));
        expect([...target]).toEqual([...Array<number>(offset).fill(0xaa), ...expected, ...Array<number>(5).fill(0xaa)]);
      }),
      { numRuns: 500 },
    );
  });
});

describe('the decoder names what a server may not send', () => {
  const breaches: readonly (readonly [string, string, string])[] = [
    ['a mask', '818100000000ff', '5.1'],
    ['opcode 3', '8300', '5.2'],
    ['opcode 11', '8b00', '5.2'],
    ['RSV1', 'c100', '5.2'],
    ['RSV3', '9100', '5.2'],
    ['a length of 5 in 16 bits', '827e0005', '5.2'],
    ['a length of 300 in 64 bits', '827f000000000000012c', '5.2'],
    ['a length beyond 2^62', '827f7fffffffffffffff', '5.2'],
    ['a fragmented ping', '0900', '5.5'],
    ['a fragmented close', '0800', '5.5'],
    ['a ping of 126 bytes', '897e007e', '5.5'],
    ['a close of 126 bytes', '887e007e', '5.5'],
    ['a frame after close', '88008900', '5.5.1'],
    ['a close frame of one byte', '880103', '5.5.1'],
    ['a reason that is not UTF-8', '880303e8ff', '5.5.1'],
    ['a continuation of nothing', '8000', '5.4'],
    ['a text inside a message', '01008100', '5.4'],
    ['a binary message inside a message', '01008200', '5.4'],
    ['text that is not UTF-8', '8101ff', '8.1'],
    ['text that is cut off', '8101c3', '8.1'],
  ];
  it.each(breaches)('%s', (_, bytes, section) => {
    for (const split of [whole, singleBytes()]) {
      expect(decode('server', splitterFor(split)(Buffer.from(bytes, 'hex'))).breach?.section).toBe(`RFC 6455 ${section}`);
    }
  });

  it('RSV1 on a continuation, and data that does not inflate, where deflate is agreed', () => {
    expect(decode('server', [Buffer.from('4100c000', 'hex')], true).breach?.section).toBe('RFC 6455 5.2');
    expect(decode('server', [Buffer.from('c102ffff', 'hex')], true).breach?.section).toBe('RFC 7692 7.2.2');
    for (const others of ['a100', '9100', 'd100', 'c900']) {
      expect(decode('server', [Buffer.from(others, 'hex')], true).breach?.section, others).toBe('RFC 6455 5.2');
    }
  });

  it('takes messages as they are where deflate is agreed and not used', () => {
    expect(decode('server', [Buffer.from('810161', 'hex')], true)).toEqual({
      seen: [{ kind: 'text', data: Buffer.from('a') }],
      breach: null,
    });
  });

  it('inflates by what was agreed for the sender', () => {
    const [keeping, fresh] = [false, true].map((noContextTakeover) => ({ noContextTakeover, windowBits: 15 })) as [
      { noContextTakeover: boolean; windowBits: number },
      { noContextTakeover: boolean; windowBits: number },
    ];
    const data = Buffer.from('Hello, Hello, Hello, one and all');
    for (const from of ['client', 'server'] as const) {
      for (const agreed of [keeping, fresh]) {
        const seen: Uint8Array[] = [];
        const breaches: Breach[] = [];
        const other = agreed === fresh ? keeping : fresh;
        const nothing = (): void => {};
        const decoder = new Decoder(from, from === 'client' ? { client: agreed, server: other } : { client: other, server: agreed }, {
          message: (_, message) => seen.push(message),
          ping: nothing,
          pong: nothing,
          close: nothing,
          breach: (breach) => breaches.push(breach),
        });
        const deflater = new Deflater(keeping);
        for (const packed of [deflater.message(data), deflater.message(data)]) {
          const mask = from === 'client' ? [0x80 | packed.length, 0, 0, 0, 0] : [packed.length];
          decoder.push(Buffer.from([0xc2, ...mask, ...packed]));
        }
        // The second message refers to the first.
        const right = agreed === keeping;
        expect([from, right, seen.length, breaches.map(({ section }) => section)]).toEqual([
          from,
          right,
          right ? 2 : 1,
          right ? [] : ['RFC 7692 7.2.2'],
        ]);
      }
    }
  });

  it('joins any number of fragments, but not without an end', () => {
    const [start, more, last] = ['010161', '000161', '800161'].map((hex) => Buffer.from(hex, 'hex')) as [Buffer, Buffer, Buffer];
    const many = Buffer.concat([start, ...Array<Buffer>(9998).fill(more), last]);
    expect(decode('server', [many]).seen).toEqual([{ kind: 'text', data: Buffer.alloc(10_000, 'a') }]);
    const nothing = Buffer.concat([start, Buffer.alloc(2 * 100_001)]);
    expect(decode('server', [nothing])).toMatchObject({ seen: [], breach: { section: 'RFC 6455 10.4' } });
  });
});

describe('deflate', () => {
  const parameters = fc.record({ noContextTakeover: fc.boolean(), windowBits: fc.integer({ min: 9, max: 15 }) });
  const messages = fc.array(
    fc.oneof(
      binary(2000),
      fc.string({ maxLength: 3000 }).map((text) => Buffer.from(text)),
      fc.integer({ min: 1, max: 9 }).map((n) => Buffer.from(corpus('json').subarray(n * 10, n * 3000))),
    ),
    { minLength: 1, maxLength: 6 },
  );

  it('comes back from its own other side, with and without context', () => {
    fc.assert(
      fc.property(parameters, messages, (agreed, list) => {
        const deflater = new Deflater(agreed);
        const inflater = new Inflater(agreed);
        for (const data of list) expect(Buffer.from(inflater.message(deflater.message(data), 1e7) ?? [])).toEqual(Buffer.from(data));
      }),
      { numRuns: 40 },
    );
  });

  it('agrees with a persistent stream of zlib, both ways', async () => {
    const agreed = { noContextTakeover: false, windowBits: 15 };
    const list = [0, 1, 2, 3, 4].map((n) => Buffer.from(corpus('html').subarray(n * 9000, n * 9000 + 20_000)));
    const ours = new Deflater(agreed);
    const inflate = createInflateRaw();
    const collected: Buffer[] = [];
    inflate.on('data', (chunk: Buffer) => collected.push(chunk));
    for (const data of list) inflate.write(Buffer.concat([ours.message(data), Buffer.from([0, 0, 0xff, 0xff])]));
    await new Promise<void>((resolve) => inflate.flush(() => resolve()));
    expect(Buffer.concat(collected).equals(Buffer.concat(list))).toBe(true);

    const deflate = createDeflateRaw();
    const packed: Buffer[] = [];
    deflate.on('data', (chunk: Buffer) => packed.push(chunk));
    const inflater = new Inflater(agreed);
    for (const data of list) {
      packed.length = 0;
      deflate.write(data);
      await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, () => resolve()));
      expect(Buffer.from(inflater.message(Buffer.concat(packed).subarray(0, -4), 1e6) ?? []).equals(data)).toBe(true);
    }
  });

  it('takes all blocks of a message, also behind one with BFINAL=1, and what refers to them', () => {
    const agreed = { noContextTakeover: false, windowBits: 15 };
    const last = deflateRawSync('Hello');
    const more = new Deflater(agreed);
    more.message(Buffer.from('Hello'));
    // Refers to the block with BFINAL=1 in front of it.
    const refers = more.message(Buffer.from('Hello, Hello'));
    const zero = Uint8Array.of(0);
    const inflater = new Inflater(agreed);
    const texts = [[last, refers], [last, last, zero], [refers], [last, zero], [last], [zero]].map((blocks) =>
      Buffer.from(inflater.message(Buffer.concat(blocks), 100) ?? [0]).toString(),
    );
    expect(texts).toEqual(['HelloHello, Hello', 'HelloHello', 'Hello, Hello', 'Hello', 'Hello', '']);
    expect(inflater.message(Buffer.concat([last, last]), 9)).toBeNull();
    expect(inflater.message(Buffer.concat([last, Uint8Array.of(0xff)]), 100)).toBeNull();
    // Nothing but such blocks.
    expect(
      inflater.message(
        new Uint8Array(2_000_000).map((_, i) => (i % 2 === 0 ? 3 : 0)),
        100,
      ),
    ).toBeNull();
  });

  it('notices a message that is cut, and one whose last four bytes were left on', () => {
    const agreed = { noContextTakeover: false, windowBits: 15 };
    for (const text of ['Hello', 'the quick brown fox jumps over the lazy dog, over the lazy dog', corpus('json').toString()]) {
      const whole = new Deflater(agreed).message(Buffer.from(text));
      const takes = (data: Uint8Array): boolean => new Inflater(agreed).message(data, 1e6) !== null;
      for (const cut of [1, 2, 3]) expect([cut, takes(whole.subarray(0, -cut))]).toEqual([cut, false]);
      expect([takes(whole), takes(Buffer.concat([whole, Uint8Array.of(0, 0, 0xff, 0xff)]))]).toEqual([true, false]);
    }
    // What is left of an empty message has one byte.
    expect(new Inflater(agreed).message(new Uint8Array(0), 100)).toBeNull();
  });

  it('notices a sender that uses more window than agreed, and growth beyond the limit', () => {
    const noise = new Uint8Array(4096).map((_, i) => (Math.imul(i, 2654435761) >>> 13) & 0xff);
    const repeating = Buffer.concat([noise, noise]);
    const wide = new Deflater({ noContextTakeover: true, windowBits: 15 });
    expect(new Inflater({ noContextTakeover: true, windowBits: 9 }).message(wide.message(repeating), 1e6)).toBeNull();
    expect(new Inflater({ noContextTakeover: true, windowBits: 15 }).message(wide.message(repeating), 8000)).toBeNull();
    expect(new Inflater({ noContextTakeover: true, windowBits: 15 }).message(wide.message(repeating), 8192)?.length).toBe(8192);
  });
});

describe('the corpora', () => {
  it('have the sizes of the original files, and stay the same', () => {
    const sha = (name: Parameters<typeof corpus>[0]): string => createHash('sha256').update(corpus(name)).digest('hex').slice(0, 16);
    expect(corpus('json')).toHaveLength(194_056);
    expect(corpus('bitmap')).toHaveLength(263_222);
    expect(corpus('prose')).toHaveLength(222_218);
    expect(corpus('html')).toHaveLength(263_647);
    expect(corpus('document')).toHaveLength(1_042_328);
    expect((['json', 'bitmap', 'prose', 'html', 'document'] as const).map(sha)).toMatchInlineSnapshot(`
      [
        "8f61bedd5f89497e",
        "fbdc3888dc7078f8",
        "ca4d7d8f04b84069",
        "7fa1d775b1f0ab4d",
        "fafc31b4729b7c3b",
      ]
    `);
    for (const name of ['json', 'html', 'prose'] as const) expect(firstInvalidUtf8(corpus(name))).toBe(-1);
  });

  it('are walked round in code points or bytes', () => {
    for (const size of [16, 8192, 131_072]) {
      const next = corpusWalker('json', 'text', size);
      const bytes = corpusWalker('bitmap', 'binary', size);
      for (let i = 0; i < 20; i += 1) {
        expect([...Buffer.from(next()).toString('utf8')]).toHaveLength(size);
        expect(bytes()).toHaveLength(size);
      }
    }
  });
});

describe('the handshake', () => {
  const set = (offers: readonly string[], bits: number | null, noTakeover = false): Parameters<typeof answerDeflate>[1] => ({
    offers,
    policies: [{ clientNoContextTakeover: noTakeover, clientMaxWindowBits: bits }],
  });

  it('computes the accept value of RFC 6455 1.3', () => {
    expect(acceptKeyFor('dGhlIHNhbXBsZSBub25jZQ==')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
  });

  it('answers offers under a policy', () => {
    const all = 'permessage-deflate; server_no_context_takeover; server_max_window_bits=10; client_max_window_bits';
    expect(answerDeflate(all, set([], 9, true))?.header).toBe(
      'permessage-deflate; server_no_context_takeover; server_max_window_bits=10; client_no_context_takeover; client_max_window_bits=9',
    );
    expect(answerDeflate('permessage-deflate', set([], 9))).toBeNull();
    expect(answerDeflate('x-other, permessage-deflate', set([], null))?.header).toBe('permessage-deflate');
    expect(answerDeflate('permessage-deflate; client_max_window_bits=8', set([], 9))?.agreement.client.windowBits).toBe(8);
    expect(answerDeflate('permessage-deflate; server_max_window_bits=7', set([], null))).toBeNull();
    expect(answerDeflate('x-other; a; a, permessage-deflate', set([], null))?.header).toBe('permessage-deflate');
    expect(answerDeflate(undefined, set([], null))).toBeNull();
    // RFC 7692 section 7.1: an offer with a parameter that is unknown, doubled or has no right value is declined, and the next one is tried.
    for (const wrong of [
      'client_max_window_bits=7',
      'client_max_window_bits=16',
      'client_max_window_bits=""',
      'server_max_window_bits',
      'client_no_context_takeover=1; client_max_window_bits',
      'server_no_context_takeover=false; client_max_window_bits',
      'x=1; client_max_window_bits',
      'client_max_window_bits; client_max_window_bits',
      'server_no_context_takeover; client_max_window_bits; server_no_context_takeover',
    ]) {
      for (const bits of [9, null]) expect(answerDeflate(`permessage-deflate; ${wrong}`, set([], bits)), wrong).toBeNull();
      expect(answerDeflate(`permessage-deflate; ${wrong}, permessage-deflate`, set([], null))?.header, wrong).toBe('permessage-deflate');
    }
  });

  it('reads answers, and refuses those that fit no offer', () => {
    const offered = set(['permessage-deflate; client_max_window_bits; server_max_window_bits=9'], null);
    expect(readDeflateAnswer('permessage-deflate; server_max_window_bits=9', offered)).toMatchObject({ server: { windowBits: 9 } });
    expect(readDeflateAnswer(undefined, offered)).toBeNull();
    for (const wrong of [
      'permessage-deflate',
      'permessage-deflate; server_max_window_bits=10',
      'permessage-deflate; server_max_window_bits=9; server_max_window_bits=9',
      'permessage-deflate; server_max_window_bits=9; x=1',
      'permessage-deflate; server_max_window_bits=09',
      'permessage-deflate; server_max_window_bits=9; client_no_context_takeover=1',
      'permessage-deflate; server_max_window_bits=9, permessage-deflate; server_max_window_bits=9',
      'x-webkit-deflate-frame',
    ]) {
      expect(readDeflateAnswer(wrong, offered), wrong).toBeTypeOf('string');
    }
    expect(readDeflateAnswer('permessage-deflate; client_max_window_bits=9', set(['permessage-deflate'], null))).toBeTypeOf('string');
    // RFC 7692 section 7.1.2.2: not more than was offered.
    const ten = set(['permessage-deflate; client_max_window_bits=10'], null);
    expect(readDeflateAnswer('permessage-deflate; client_max_window_bits=11', ten)).toBeTypeOf('string');
    expect(readDeflateAnswer('permessage-deflate; client_max_window_bits=10', ten)).toMatchObject({ client: { windowBits: 10 } });
  });

  it('reads requests, and refuses what is none', () => {
    const head = (lines: string): ReturnType<typeof readRequest> => {
      const parsed = parseHead(lines);
      return parsed === null ? 'no head' : readRequest(parsed);
    };
    const good = [
      'GET /runCase?case=1&agent=a%20b HTTP/1.1',
      'Host: h',
      'upgrade: WebSocket',
      'Connection: keep-alive, Upgrade',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ];
    expect(head(good.join('\r\n'))).toMatchObject({ path: '/runCase', key: 'dGhlIHNhbXBsZSBub25jZQ==' });
    for (let left = 1; left < good.length; left += 1) expect(head(good.filter((_, i) => i !== left).join('\r\n'))).toBeTypeOf('string');
    expect(head(good.join('\r\n').replace('GET', 'POST'))).toBeTypeOf('string');
    expect(head(good.join('\r\n').replace('ZQ==', ''))).toBeTypeOf('string');
    expect(head('GET / HTTP/1.1\r\nno colon')).toBe('no head');
    expect(head('GET / HTTP/1.1\r\nHost : h')).toBe('no head');
  });
});

describe('small things', () => {
  it('commands are split into words without a shell', () => {
    expect(splitCommand(`node 'a b.mjs' --x="1 2" {port} $(no)`)).toEqual(['node', 'a b.mjs', '--x=1 2', '{port}', '$(no)']);
    expect(splitCommand('')).toEqual([]);
  });

  it('what a peer says is shown and not obeyed', () => {
    expect(escaped('a\u001b[31mred\u0007\r\n\u202ex\\ é水')).toBe('a\\x1b[31mred\\x07\\x0d\\x0a\\u{202e}x\\\\ é水');
    expect(escaped('x'.repeat(1000))).toHaveLength(403);
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(escaped(text)).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u);
      }),
    );
  });

  it('virtual time runs timers in their order, turns first, and never goes back', () => {
    const time = new VirtualTime();
    const start = time.now();
    const log: string[] = [];
    time.after(50, () => log.push('b'));
    time.after(10, () => {
      log.push('a');
      time.after(5, () => log.push('late'));
    });
    const dead = time.after(20, () => log.push('never'));
    time.cancel(dead);
    time.turn(() => log.push('turn'));
    expect(time.runTurns()).toBe(true);
    expect(time.runTurns()).toBe(false);
    expect(time.nextTimer()).toBe(start + 10);
    time.jumpTo(start + 60);
    time.jumpTo(start);
    expect(time.now()).toBe(start + 60);
    time.jumpTo(start + 65);
    expect(log).toEqual(['turn', 'a', 'b', 'late']);
    expect(time.nextTimer()).toBeNull();
  });

  it('splits lose nothing', () => {
    fc.assert(
      fc.property(binary(2000), fc.integer(), (bytes, seed) => {
        for (const split of [whole, singleBytes(seed), { how: 'seeded', seed, cuts: 20 } as const]) {
          const pieces = [...splitterFor(split)(bytes)];
          expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
          if (bytes.length > 0) expect(pieces.every(({ length }) => length > 0)).toBe(true);
        }
      }),
    );
  });
});

describe('patience', () => {
  const result = (silent: boolean): CaseResult => ({
    id: '1.1.1',
    title: 'a case',
    sections: [],
    role: 'server',
    verdict: 'FAILED',
    behavior: 'FAILED',
    behaviorClose: 'FAILED',
    remoteCloseCode: null,
    reason: 'nothing came',
    duration: 1000,
    timed: true,
    silent,
  });
  const settings = { seed: 1, timeScale: 2, pauseScale: 1, longest: null, messages: null };

  it('ends after twelve cases in a row without a word, and comes back with the first', () => {
    const guard = new SilenceGuard();
    for (let i = 0; i < 11; i += 1) guard.note(result(true));
    expect([guard.impatient, guard.limit(settings).longest]).toEqual([false, null]);
    guard.note(result(false));
    for (let i = 0; i < 12; i += 1) guard.note(result(true));
    expect([guard.impatient, guard.limit(settings).longest]).toEqual([true, 1000]);
    expect([limitUnder(guard.limit(settings), 100_000), limitUnder(settings, 100_000)]).toEqual([1000, 200_000]);
    guard.note(result(false));
    expect([guard.impatient, guard.limit(settings)]).toEqual([false, settings]);
  });
});
