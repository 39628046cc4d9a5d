/** Text on the wire (RFC 6455 sections 5.6 and 8.1): what goes out is what `TextEncoder` makes of the whole string, however it is written. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, open, toHex, utf8 } from './connection-helpers.ts';
import { roles, sentMessages } from './sending-helpers.ts';

const encoder = new TextEncoder();

/** Any UTF-16, lone surrogates included, with more of what is hard than chance gives. */
const anyUnits = fc
  .array(
    fc.oneof(
      fc.integer({ min: 0, max: 0x7f }),
      fc.integer({ min: 0x80, max: 0x7ff }),
      fc.integer({ min: 0x800, max: 0xffff }),
      fc.constantFrom(0xd800, 0xdbff, 0xdc00, 0xdfff, 0xd83d, 0xde00, 0xfeff, 0xfffd, 0xffff),
    ),
    { maxLength: 200 },
  )
  .map((units) => String.fromCharCode(...units));

const samples: Readonly<Record<string, string>> = {
  empty: '',
  'one byte': 'plain ASCII\u0000\u007f',
  'two bytes': 'é\u0080\u07ff',
  'three bytes': '€\u0800\uffff',
  'four bytes': '😀\u{10000}\u{10ffff}',
  'a BOM, kept': '\ufeffBOM',
  'a lone high surrogate': 'a\ud800b',
  'a lone low surrogate': 'a\udc00b',
  'two high surrogates': '\ud83d\ud83d\ude00',
  'surrogates the wrong way round': '\ude00\ud83d',
  'a high surrogate at the end': 'abc\ud83d',
  'a low surrogate at the start': '\ude00abc',
  mixed: `${'a'.repeat(100)}é€😀${'b'.repeat(100)}`,
};

describe.each(roles)('strings, %s', (role) => {
  it.each(Object.entries(samples))('%s', (_name, text) => {
    const { connection, frames } = open({ role });
    connection.sendText(text);
    connection.send(text);
    expect(sentMessages(frames())).toEqual(
      Array.from({ length: 2 }, () => ({ kind: 'text', rsv: 0, frames: 1, payload: Uint8Array.from(encoder.encode(text)) })),
    );
  });

  it('lone surrogates become U+FFFD', () => {
    const { connection, frames } = open({ role });
    connection.sendText('a\ud800');
    connection.sendText('\udc00\ud83d\ude00');
    expect(frames().map(({ payload }) => toHex(payload))).toEqual(['61efbfbd', 'efbfbdf09f9880']);
  });

  // Around every size where the form of the length, or the way of encoding, may change, for one to four bytes a character.
  const edges = [
    40, 41, 42, 62, 63, 64, 124, 125, 126, 127, 5460, 5462, 16_383, 16_384, 20_479, 20_481, 21_844, 21_846, 32_768, 65_535, 65_536,
  ];
  it.each(['a', 'é', '€', '😀'])('of %s around the edges of the length forms', (letter) => {
    const { connection, frames } = open({ role });
    for (const edge of edges) {
      for (const count of [edge - 1, edge, edge + 1]) {
        for (const text of [letter.repeat(count), `a${letter.repeat(count)}`, `${letter.repeat(count)}\ud800`]) {
          connection.sendText(text);
          const expected = encoder.encode(text);
          const [frame] = frames();
          expect(frame?.payload.length).toBe(expected.length);
          expect(Buffer.compare(frame?.payload ?? new Uint8Array(0), expected)).toBe(0);
          expect(frame?.header.lengthBytes).toBe(expected.length < 126 ? 0 : expected.length < 65536 ? 2 : 8);
        }
      }
    }
  });

  it.each(['a', 'é', '€', '😀', 'aé€😀', '\ud800'])('1 MiB of %j', (letters) => {
    const { connection, frames } = open({ role });
    const text = letters.repeat(Math.ceil(1_048_576 / letters.length));
    connection.sendText(text);
    connection.sendText('after');
    const [large, small] = frames();
    expect(Buffer.compare(large?.payload ?? new Uint8Array(0), encoder.encode(text))).toBe(0);
    expect(small?.payload).toEqual(utf8('after'));
  });

  it('any string is what TextEncoder makes of it', () => {
    const harness = open({ role });
    fc.assert(
      fc.property(fc.array(anyUnits, { minLength: 1, maxLength: 5 }), (texts) => {
        for (const text of texts) harness.connection.sendText(text);
        expect(harness.frames().map(({ payload }) => toHex(payload))).toEqual(texts.map((text) => toHex(encoder.encode(text))));
      }),
      { numRuns: 500 },
    );
  });

  it('any string arrives at the other end', () => {
    const other = role === 'server' ? 'client' : 'server';
    const from = open({ role });
    const to = open({ role: other });
    fc.assert(
      fc.property(anyUnits, (text) => {
        from.connection.sendText(text);
        to.receive(from.output());
        expect(to.of('text').at(-1)?.data).toBe(Buffer.from(encoder.encode(text)).toString('utf8'));
      }),
      { numRuns: 300 },
    );
  });
});

describe.each(roles)('a surrogate pair over two pieces, %s', (role) => {
  /** What came out of a text message written in `pieces`: by a writer, and by fragments. */
  function written(pieces: readonly (string | Uint8Array)[]): string[] {
    const byWriter = open({ role });
    const writer = byWriter.connection.startMessage('text');
    expect(writer.kind).toBe('text');
    for (const piece of pieces.slice(0, -1)) expect(writer.write(piece)).toBe(true);
    expect(writer.end(pieces.at(-1) ?? '')).toBe(true);

    const byEnd = open({ role });
    const second = byEnd.connection.startMessage('text');
    for (const piece of pieces) expect(second.write(piece)).toBe(true);
    expect(second.end()).toBe(true);

    const byFragments = open({ role });
    const [first = '', ...rest] = pieces;
    expect(byFragments.connection.sendText(first, { fin: false })).toBe(true);
    for (const [at, piece] of rest.entries()) {
      expect(byFragments.connection.sendContinuation(piece, at === rest.length - 1)).toBe(true);
    }
    if (rest.length === 0) byFragments.connection.sendContinuation('', true);

    return [byWriter, byEnd, byFragments].map(({ frames }) => {
      const messages = sentMessages(frames());
      expect(messages.length).toBe(1);
      expect(messages[0]?.kind).toBe('text');
      return toHex(messages[0]?.payload ?? new Uint8Array(0));
    });
  }
  const cases: readonly [name: string, pieces: (string | Uint8Array)[], expected: string][] = [
    ['is joined', ['\ud83d', '\ude00'], 'f09f9880'],
    ['is joined within text', ['a\ud83d', '\ude00b'], '61f09f988062'],
    ['is joined over an empty piece', ['\ud83d', '', '\ude00'], 'f09f9880'],
    ['a high one that nothing follows', ['a\ud83d'], '61efbfbd'],
    ['a high one before another letter', ['\ud83d', 'x'], 'efbfbd78'],
    ['two high ones, then a low one', ['\ud83d', '\ud83d', '\ude00'], 'efbfbdf09f9880'],
    ['a high one, then bytes', ['\ud83d', Uint8Array.of(0x41)], 'efbfbd41'],
    ['bytes, then a low one', [Uint8Array.of(0x41), '\ude00'], '41efbfbd'],
    ['a high one, then nothing', ['\ud83d', ''], 'efbfbd'],
  ];
  it.each(cases)('%s', (_name, pieces, expected) => {
    expect(written(pieces)).toEqual([expected, expected, expected]);
  });

  it('is joined with a control frame between', () => {
    const { connection, frames } = open({ role });
    const writer = connection.startMessage('text');
    writer.write('\ud83d');
    connection.ping();
    writer.end('\ude00');
    const all = frames();
    expect(sentMessages(all).map(({ payload }) => toHex(payload))).toEqual(['f09f9880']);
    expect(all.some(({ header }) => header.opcode === 9)).toBe(true);
  });

  it('never leaks into the next message', () => {
    const { connection, frames } = open({ role });
    connection.startMessage('text').end('a\ud83d');
    connection.startMessage('text').end('\ude00b');
    connection.sendText('\ud83d');
    connection.sendText('\ude00');
    expect(sentMessages(frames()).map(({ payload }) => toHex(payload))).toEqual(['61efbfbd', 'efbfbd62', 'efbfbd', 'efbfbd']);
  });

  it('any string in any pieces is what TextEncoder makes of the whole', () => {
    fc.assert(
      fc.property(anyUnits, fc.array(fc.nat(200), { maxLength: 8 }), (text, cuts) => {
        const pieces: string[] = [];
        let at = 0;
        for (const cut of cuts) {
          pieces.push(text.slice(at, at + cut));
          at += cut;
        }
        pieces.push(text.slice(at));
        const expected = toHex(encoder.encode(text));
        expect(written(pieces)).toEqual([expected, expected, expected]);
      }),
      { numRuns: 200 },
    );
  });

  it('every piece ends with a whole code point', () => {
    const { connection, frames } = open({ role });
    const writer = connection.startMessage('text');
    for (const piece of ['a\ud83d', '\ude00\ud83d', '\ude00']) writer.write(piece);
    writer.end();
    const all = frames();
    for (const { payload } of all) expect(() => new TextDecoder('utf-8', { fatal: true }).decode(payload)).not.toThrow();
    expect(concat(...all.map(({ payload }) => payload))).toEqual(utf8('a😀😀'));
  });
});
