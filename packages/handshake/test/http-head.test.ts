/** The HTTP/1.1 head parser: grammar, limits, splits and cost (RFC 9112 sections 2 to 5). */
import { HeadParser, type HttpLimits, resolveLimits } from '@ferrywire/handshake';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytes, eachByte, goodRequest, split } from './support.ts';

type Result = { readonly head: unknown; readonly fault: unknown; readonly rest: number };

function parse(kind: 'request' | 'response', chunks: readonly Uint8Array[], limits = {}): Result {
  const parser = new HeadParser(kind, resolveLimits(limits));
  let taken = 0;
  let size = 0;
  for (const chunk of chunks) {
    size += chunk.length;
    if (!parser.done && parser.fault === null) taken += parser.push(chunk, 0);
  }
  const head = parser.done ? (kind === 'request' ? parser.request() : parser.response()) : null;
  return { head, fault: parser.fault, rest: parser.done ? size - taken : 0 };
}
const request = (content: string, limits = {}): Result => parse('request', [bytes(content)], limits);
const response = (content: string, limits = {}): Result => parse('response', [bytes(content)], limits);
const syntax = { error: 'WS_HS_SYNTAX' };

describe('requests', () => {
  test('a head, and where it ends', () => {
    expect(request('GET /a?b HTTP/1.1\r\nHost: h\r\nX-A:b\r\nx-a: \t c d \t\r\nEmpty:\r\n\r\n\x81\x00')).toEqual({
      head: {
        method: 'GET',
        target: '/a?b',
        httpVersion: '1.1',
        headers: [
          ['Host', 'h'],
          ['X-A', 'b'],
          ['x-a', 'c d'],
          ['Empty', ''],
        ],
      },
      fault: null,
      rest: 2,
    });
    expect(request('\r\n\r\nPOST * HTTP/1.0\r\n\r\n').head).toEqual({ method: 'POST', target: '*', httpVersion: '1.0', headers: [] });
    expect(request('GET / HTTP/1.9\r\n\r\n').head).toMatchObject({ httpVersion: '1.1' });
    expect(request('GET / HTTP/1.1\r\nA: \x80\xff\u00e9\r\n\r\n').head).toMatchObject({ headers: [['A', '\x80\xff\u00e9']] });
  });

  test('what is no HTTP/1.1 head fails at its first wrong byte', () => {
    const broken = [
      '\x16',
      '\x81',
      ' ',
      '\n',
      '\rG',
      'GET\t',
      'GET\r',
      'GET\n',
      'G\u00e9',
      'G(',
      'GET  ',
      'GET /\r',
      'GET /\n',
      'GET /\x00',
      'GET /#',
      'GET /\u00e9',
      'GET /\t',
      'GET / \r',
      'GET / X',
      'GET / h',
      'GET / HTTP/x',
      'GET / HTTP/1,',
      'GET / HTTP/01',
      'GET / HTTP/1.1x',
      'GET / HTTP/1.1 ',
      'GET / HTTP/1.1\n',
      'GET / HTTP/1.1\rx',
      'GET / HTTP/1.10',
      'GET / HTTP/1\r',
      'GET / HTTP/1.\r',
      'GET / HTTP/1.1\r\n ',
      'GET / HTTP/1.1\r\n\t',
      'GET / HTTP/1.1\r\n:',
      'GET / HTTP/1.1\r\n\n',
      'GET / HTTP/1.1\r\nA ',
      'GET / HTTP/1.1\r\nA\t',
      'GET / HTTP/1.1\r\nA\r',
      'GET / HTTP/1.1\r\nA(',
      'GET / HTTP/1.1\r\n\u00e9',
      'GET / HTTP/1.1\r\nA: b\n',
      'GET / HTTP/1.1\r\nA: b\rc',
      'GET / HTTP/1.1\r\nA: b\r\n ',
      'GET / HTTP/1.1\r\nA: b\r\n\t',
      'GET / HTTP/1.1\r\nA: \x00',
      'GET / HTTP/1.1\r\nA: \x01',
      'GET / HTTP/1.1\r\nA: \x7f',
      'GET / HTTP/1.1\r\nA: b\r\n\rx',
      'GET / HTTP/1.1\r\nA:\x1b',
    ];
    for (const content of broken) {
      const before = request(content.slice(0, -1));
      expect([content, before.fault, before.head]).toEqual([content, null, null]);
      expect([content, request(content).fault]).toEqual([content, syntax]);
    }
  });

  test('other major versions', () => {
    for (const version of ['2.0', '0.9', '3.0']) expect(request(`PRI * HTTP/${version}\r`).fault).toEqual({ error: 'WS_HS_HTTP_VERSION' });
  });
});

describe('responses', () => {
  test('status, empty phrase, no phrase, bytes above 7f in it', () => {
    for (const line of ['HTTP/1.1 101 Switching Protocols', 'HTTP/1.1 101 ', 'HTTP/1.1 101', 'HTTP/1.1 101 \u00e9\t x']) {
      expect(response(`${line}\r\nA: b\r\n\r\n`).head).toEqual({ status: 101, httpVersion: '1.1', headers: [['A', 'b']] });
    }
    expect(response('HTTP/1.0 999 x\r\n\r\n').head).toEqual({ status: 999, httpVersion: '1.0', headers: [] });
  });

  test('a fold becomes one space, but not in front of the first field', () => {
    expect(response('HTTP/1.1 101 x\r\nA: b \r\n \t c\r\n\td\r\nE:\r\n f\r\n\r\n').head).toMatchObject({
      headers: [
        ['A', 'b c d'],
        ['E', 'f'],
      ],
    });
    // A line of nothing but white space adds none.
    expect(response('HTTP/1.1 101 x\r\nA: b\r\n \t\r\n\r\n').head).toMatchObject({ headers: [['A', 'b']] });
    expect(response('HTTP/1.1 101 x\r\n A').fault).toEqual(syntax);
  });

  test('what is no status line', () => {
    for (const content of [
      'S',
      '\x15',
      '<',
      'ICY',
      'http',
      'HTTP 1',
      'HTTP/1.1x',
      'HTTP/1.1 0101 ',
      'HTTP/1.1 1O',
      'HTTP/1.1 101a',
      'HTTP/1.1 10 ',
      'HTTP/1.1 099 ',
      'HTTP/1.1  1',
      'HTTP/1.1 101 \x00',
      'HTTP/1.1 101 x\n',
    ]) {
      expect([content, response(content).fault]).toEqual([content, syntax]);
    }
    expect(response('HTTP/2.0 101 x').fault).toEqual({ error: 'WS_HS_HTTP_VERSION' });
  });
});

describe('limits', () => {
  test('a line, to the byte', () => {
    const limits = { maxLineLength: 20 };
    const line = `GET /${'a'.repeat(6)} HTTP/1.1`;
    expect(line).toHaveLength(20);
    expect(request(`${line}\r\nA: ${'b'.repeat(17)}\r\nB: c\r\n\r\n`, limits).fault).toBeNull();
    expect(request(line.replace('/', '/a'), limits).fault).toEqual({ error: 'WS_HS_TOO_LARGE', status: 414 });
    expect(request(`${line}\r\nA: ${'b'.repeat(18)}`, limits).fault).toEqual({ error: 'WS_HS_TOO_LARGE' });
    expect(request(`${line}\r\n${'A'.repeat(21)}`, limits).fault).toEqual({ error: 'WS_HS_TOO_LARGE' });
    // A fold goes on counting.
    expect(response(`HTTP/1.1 101 x\r\nA: ${'b'.repeat(9)}\r\n ${'c'.repeat(7)}\r\nB: ${'b'.repeat(17)}\r\n\r\n`, limits).fault).toBeNull();
    expect(response(`HTTP/1.1 101 x\r\nA: ${'b'.repeat(9)}\r\n ${'c'.repeat(8)}`, limits).fault).toEqual({ error: 'WS_HS_TOO_LARGE' });
    expect(response(`HTTP/1.1 101 x\r\nA: ${'b'.repeat(17)}\r\n `, limits).fault).toEqual({ error: 'WS_HS_TOO_LARGE' });
  });

  test('the number of fields and the size of the whole, to the byte', () => {
    const fields = 'A: b\r\n'.repeat(3);
    expect(request(`GET / HTTP/1.1\r\n${fields}\r\n`, { maxHeaderCount: 3 }).fault).toBeNull();
    expect(request(`GET / HTTP/1.1\r\n${fields}A`, { maxHeaderCount: 3 }).fault).toEqual({ error: 'WS_HS_TOO_LARGE' });
    const whole = `GET / HTTP/1.1\r\n${fields}\r\n`;
    expect(request(whole, { maxHeadSize: whole.length }).fault).toBeNull();
    expect(request(whole, { maxHeadSize: whole.length - 1 }).fault).toEqual({ error: 'WS_HS_TOO_LARGE' });
    expect(request('\r\n'.repeat(20_000)).fault).toEqual({ error: 'WS_HS_TOO_LARGE', status: 414 });
  });

  test('the defaults are the documented ones', () => {
    expect(resolveLimits()).toEqual({ maxLineLength: 8192, maxHeaderCount: 100, maxHeadSize: 32_768, maxBodySize: 65_536 });
    for (const name of ['maxLineLength', 'maxHeaderCount', 'maxHeadSize', 'maxBodySize']) {
      for (const value of [-1, 1.5, Number.NaN])
        expect(() => resolveLimits({ [name]: value })).toThrow(new RegExp(`options\\.http\\.${name}`));
    }
    const misspelt = { maxHeadsize: 5 } as HttpLimits;
    const message = 'options.http.maxHeadsize is no limit: maxLineLength, maxHeaderCount, maxHeadSize, maxBodySize';
    expect(() => resolveLimits(misspelt)).toThrow(new TypeError(message));
  });
});

describe('splits', () => {
  const cuts = fc.array(fc.nat(), { maxLength: 12 });
  const fragment = fc.constantFrom(
    'GET ',
    '/',
    ' ',
    'HTTP/1.1',
    '\r\n',
    '\r',
    '\n',
    'A: b',
    ':',
    'Host: h\r\n',
    '\t',
    '\x00',
    '\u00e9',
    '\r\n\r\n',
    'HTTP/1.1 101 x\r\n',
    'a'.repeat(40),
  );

  test('any split gives the same head, fault and rest', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('request' as const, 'response' as const),
        fc.array(fragment, { maxLength: 14 }),
        cuts,
        (kind, parts, at) => {
          const content = bytes((kind === 'request' ? 'GET /x HTTP/1.1\r\n' : 'HTTP/1.1 101 y\r\n') + parts.join(''));
          for (const data of [content, bytes(parts.join(''))]) {
            const whole = parse(kind, [data], { maxLineLength: 64, maxHeadSize: 256, maxHeaderCount: 4 });
            const limits = { maxLineLength: 64, maxHeadSize: 256, maxHeaderCount: 4 };
            expect(parse(kind, split(data, at), limits)).toEqual(whole);
            expect(parse(kind, eachByte(data), limits)).toEqual(whole);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('bytes at random end in need of more, in a head or in a fault', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (data) => {
        const { head, fault } = parse('request', [data]);
        expect(head === null || fault === null).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('cost', () => {
  const cpu = (run: () => void): number => {
    const start = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(start);
    return user + system;
  };
  const unlimited = {
    maxLineLength: Number.POSITIVE_INFINITY,
    maxHeadSize: Number.POSITIVE_INFINITY,
    maxHeaderCount: Number.POSITIVE_INFINITY,
  };

  test('S12 a head a byte at a time costs time in proportion to its size, without any limit', () => {
    const feed = (size: number): void => {
      const parser = new HeadParser('request', resolveLimits(unlimited));
      parser.push(bytes('GET / HTTP/1.1\r\nX: '), 0);
      const chunk = Uint8Array.of(0x62);
      for (let i = 0; i < size; i++) parser.push(chunk, 0);
      expect(parser.fault).toBeNull();
      // The value is put together once, at its end.
      parser.push(bytes('\r\n\r\n'), 0);
      expect(parser.request().headers[0]?.[1]).toHaveLength(size);
    };
    feed(200_000);
    const small = cpu(() => feed(400_000));
    const large = cpu(() => feed(1_600_000));
    // Four times the size: 4 where it is linear, 16 where it is not.
    expect(large / small).toBeLessThan(9);
  });

  test('S12 20 MB of header a byte at a time: refused at the limit, the rest costs nothing', () => {
    const parser = new HeadParser('request', resolveLimits());
    parser.push(bytes('GET / HTTP/1.1\r\nX: '), 0);
    const chunk = Uint8Array.of(0x62);
    let accepted = 0;
    for (let i = 0; i < 20_000_000; i++) {
      parser.push(chunk, 0);
      if (parser.fault === null) accepted++;
    }
    expect(accepted).toBe(8192 - 'X: '.length);
    expect(parser.fault).toEqual({ error: 'WS_HS_TOO_LARGE' });
  });

  test('a whole request is read in one push', () => {
    const content = bytes(goodRequest());
    expect(parse('request', [content]).rest).toBe(0);
  });
});
