/** Tokens, header containers, keys and the extension grammar (RFC 9110 section 5, RFC 6455 sections 4.2 and 9.1). */
import { acceptKey, constantTimeEqual, formatExtensions, getHeader, parseExtensions } from '@ferrywire/handshake';
import fc from 'fast-check';
import { expect, test } from 'vitest';

test('the accept value of the RFC and of unusual keys', () => {
  expect(acceptKey('dGhlIHNhbXBsZSBub25jZQ==')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
  expect(acceptKey('/////////////////////w==')).toBe('XXpj4jYzLM2yUE0C7TIgMwTQh2g=');
});

test('extension lists', () => {
  expect(parseExtensions('foo')).toEqual([{ name: 'foo', params: [] }]);
  expect(parseExtensions('foo; a; b=1 ,bar;c="d"')).toEqual([
    {
      name: 'foo',
      params: [
        ['a', true],
        ['b', '1'],
      ],
    },
    { name: 'bar', params: [['c', 'd']] },
  ]);
  expect(parseExtensions('a; b = "\\1\\0"')).toEqual([{ name: 'a', params: [['b', '10']] }]);
  expect(parseExtensions(', foo ,,\tbar\t,')).toEqual([
    { name: 'foo', params: [] },
    { name: 'bar', params: [] },
  ]);
});

test('what breaks the extension grammar', () => {
  const broken = [
    '',
    ' ',
    ',',
    ';',
    '=',
    'a;',
    'a;;b',
    ';a',
    'a; =b',
    'a; b=',
    'a; b=;c',
    'a="1',
    'a; b="',
    'a; b="x',
    'a; b="x\\',
    'a; b=""',
    'a; b="c d"',
    'a; b="c,d"',
  ];
  broken.push(
    'a b',
    'a; b c',
    'a; b=c=d',
    'a; b=c d',
    'a; b="c"d',
    'a/b',
    'a; b=\u00e9',
    'a; b="\u00e9"',
    'a; b="\\\u0100"',
    '\u0161',
    'a, =',
    'a\n',
    'a; b="c\u0000"',
    'a, "b"',
  );
  for (const value of broken) expect([value, parseExtensions(value)]).toEqual([value, null]);
});

test('what is formatted parses to the same', () => {
  const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9a-zA-Z-]{1,12}$/);
  const offers = fc.array(fc.record({ name: token, params: fc.array(fc.tuple(token, fc.oneof(token, fc.constant(true as const)))) }), {
    minLength: 1,
  });
  fc.assert(
    fc.property(offers, (list) => {
      expect(parseExtensions(formatExtensions(list))).toEqual(list);
    }),
  );
  expect(formatExtensions([])).toBe('');
});

test('S15 formatExtensions never writes what is no token', () => {
  for (const bad of ['a b', 'a\r\nX: y', '', 'a;b', 'a=b', '\u0000']) {
    expect(() => formatExtensions([{ name: bad, params: [] }])).toThrow(TypeError);
    expect(() => formatExtensions([{ name: 'x', params: [[bad, true]] }])).toThrow(TypeError);
    expect(() => formatExtensions([{ name: 'x', params: [['a', bad]] }])).toThrow(TypeError);
  }
});

test('any text is either parsed or refused, never thrown at', () => {
  const shaped = fc.stringMatching(/^[ab;=,"\\ \t]{0,40}$/);
  fc.assert(
    fc.property(fc.oneof(fc.string(), shaped, fc.string({ unit: 'binary' })), (value) => {
      const offers = parseExtensions(value);
      expect(offers === null || offers.length > 0).toBe(true);
      // Every name and value is a token, so the list can be written again.
      if (offers !== null) expect(parseExtensions(formatExtensions(offers))).toEqual(offers);
    }),
    { numRuns: 2000 },
  );
});

test('one field out of every container', () => {
  const containers = [
    new Headers([
      ['X-A', '1'],
      ['x-a', '2'],
    ]),
    { 'X-A': ['1', '2'], other: undefined },
    [
      ['x-a', '1'],
      ['Y', 'z'],
      ['X-A', ' 2\t'],
    ] as const,
    ['X-a', '1', 'X-A', '2', 'Y', 'z'],
    new Map([['x-a', '1, 2']]),
    new Map([['x-a', '1, 2']]).entries(),
    { forEach: (visit: (value: string, name: string) => void) => visit('1, 2', 'X-A') },
  ];
  for (const headers of containers) expect(getHeader(headers, 'x-A')).toBe('1, 2');
  // Of the same length.
  expect(getHeader([['x-b', '1']], 'x-a')).toBeNull();
  expect(getHeader(['x-a', '1'], 'b')).toBeNull();
  expect(getHeader([], 'b')).toBeNull();
  expect(getHeader({ forEach: 'a value' }, 'forEach')).toBe('a value');
});

test('only SP and HTAB are white space around a value', () => {
  expect(getHeader([['a', '\t \u00a0x\u00a0 \t']], 'a')).toBe('\u00a0x\u00a0');
});

test('a container that is none is misuse', () => {
  expect(() => getHeader(['a'], 'a')).toThrow(TypeError);
  expect(() => getHeader([['a', 'b', 'c']] as never, 'a')).toThrow(TypeError);
  expect(() => getHeader('x' as never, 'a')).toThrow(TypeError);
  expect(() => getHeader(null as never, 'a')).toThrow(TypeError);
});

test('S10 prototype names are names like any other', () => {
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    expect(getHeader({}, name)).toBeNull();
    expect(getHeader([], name)).toBeNull();
    expect(getHeader([[name, 'v']], name)).toBe('v');
    expect(parseExtensions(`${name}; ${name}=1`)).toEqual([{ name, params: [[name, '1']] }]);
  }
  expect(getHeader(JSON.parse('{"__proto__": "v"}') as never, '__proto__')).toBe('v');
  expect(({} as Record<string, unknown>).v).toBeUndefined();
});

test('S19 the helper for comparing secrets takes nothing but strings: a number was equal to a field that is absent', () => {
  for (const wrong of [12_345_678, true, {}, [], null, undefined, new Uint8Array(0)] as unknown as string[]) {
    expect(() => constantTimeEqual('', wrong)).toThrow(/^b must be a string, not /);
    expect(() => constantTimeEqual(wrong, '')).toThrow(/^a must be a string, not /);
  }
});

test('S19 the helper for comparing secrets reads both strings to their ends', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      expect(constantTimeEqual(a, b)).toBe(a === b);
    }),
  );
  expect(constantTimeEqual('a\u0000', 'a')).toBe(false);
  expect(constantTimeEqual('', '')).toBe(true);
  // A comparison that stops at the first difference would be thousands of times faster on one of the two.
  const secret = 'x'.repeat(20_000);
  const cost = (guess: string): number => {
    const start = process.cpuUsage().user;
    for (let i = 0; i < 400; i++) constantTimeEqual(secret, guess);
    return process.cpuUsage().user - start;
  };
  const early = `y${secret.slice(1)}`;
  const late = `${secret.slice(1)}y`;
  cost(early);
  expect(Math.max(cost(early), 1) / Math.max(cost(late), 1)).toBeGreaterThan(0.05);
});
