/** decideUpgrade and isWebSocketRequest on heads: RFC 6455 section 4.2, RFC 8441, RFC 9220, and the server's policy. */
import { runInNewContext } from 'node:vm';
import type { Extension, ServerExtension } from '@ferrywire/core';
import {
  decideUpgrade,
  getHeader,
  type HeaderInput,
  isWebSocketRequest,
  type RequestHead,
  type ServerPolicy,
  ServerProtocol,
} from '@ferrywire/handshake';
import { describe, expect, test } from 'vitest';
import { ACCEPT, KEY, requestFields } from './support.ts';

const h1 = (change: { readonly [name: string]: string | undefined } = {}, head: Partial<RequestHead> = {}): RequestHead => ({
  method: 'GET',
  target: '/chat?x=1',
  httpVersion: '1.1',
  headers: requestFields(change),
  ...head,
});
const h2 = (fields: HeaderInput = [], head: Partial<RequestHead> = {}): RequestHead => ({
  method: 'CONNECT',
  protocol: 'websocket',
  scheme: 'https',
  authority: 'server.example.com',
  target: '/chat',
  httpVersion: '2',
  headers: [['sec-websocket-version', '13'], ...(fields as [string, string][])],
  ...head,
});
function verdict(request: RequestHead, policy?: ServerPolicy): [number, string] {
  const decision = decideUpgrade(request, policy);
  return [decision.status, decision.ok ? 'ok' : decision.error];
}
const extension = (name: string, rsv: number, log?: string[]): Extension => ({
  name,
  rsv,
  inbound: () => {
    throw new Error('not used');
  },
  outbound: () => {
    throw new Error('not used');
  },
  dispose: () => void log?.push(`dispose ${name}`),
});

describe('HTTP/1.1', () => {
  test('a sound request is accepted with what the RFC asks for and nothing else', () => {
    expect(decideUpgrade(h1())).toEqual({
      ok: true,
      status: 101,
      headers: [
        ['Upgrade', 'websocket'],
        ['Connection', 'Upgrade'],
        ['Sec-WebSocket-Accept', ACCEPT],
      ],
      negotiated: { role: 'server', subprotocol: null, extensions: [] },
    });
  });

  test('every container of headers gives the same decision', () => {
    const fields = requestFields();
    const containers: HeaderInput[] = [
      new Headers(fields),
      Object.fromEntries(fields),
      fields,
      fields.flat(),
      new Map(fields),
      Object.assign(Object.create(null), Object.fromEntries(fields)),
      // A field that is not there.
      { ...Object.fromEntries(fields), 'sec-websocket-extensions': undefined },
    ];
    for (const headers of containers) {
      expect(verdict(h1({}, { headers }))).toEqual([101, 'ok']);
      expect(isWebSocketRequest(h1({}, { headers }))).toBe(true);
    }
  });

  test('the first fault decides, with its status', () => {
    const cases: [RequestHead, number, string][] = [
      [h1({}, { httpVersion: '1.0' }), 505, 'WS_HS_HTTP_VERSION'],
      [h1({}, { method: 'POST' }), 405, 'WS_HS_METHOD'],
      [h1({}, { method: 'get' }), 405, 'WS_HS_METHOD'],
      [h1({ Host: undefined }), 400, 'WS_HS_HOST'],
      [h1({}, { target: '*' }), 400, 'WS_HS_SYNTAX'],
      [h1({}, { target: 'http://u@h/' }), 400, 'WS_HS_SYNTAX'],
      [h1({}, { target: 'ftp://h/' }), 400, 'WS_HS_SYNTAX'],
      [h1({}, { target: '/a b' }), 400, 'WS_HS_SYNTAX'],
      [h1({}, { target: '/a#b' }), 400, 'WS_HS_SYNTAX'],
      [h1({ 'Content-Length': '5' }), 400, 'WS_HS_BODY'],
      [h1({ 'Content-Length': '0, 0' }), 400, 'WS_HS_BODY'],
      [h1({ 'Content-Length': '-0' }), 400, 'WS_HS_BODY'],
      [h1({ 'Transfer-Encoding': 'identity' }), 400, 'WS_HS_BODY'],
      [h1({ Upgrade: undefined }), 426, 'WS_HS_UPGRADE'],
      [h1({ Upgrade: 'h2c' }), 426, 'WS_HS_UPGRADE'],
      [h1({ Upgrade: 'websocket/13' }), 426, 'WS_HS_UPGRADE'],
      // RFC 9110 section 7.8: any of those named, each a name with an optional version.
      [h1({ Upgrade: 'TLS/1.0, websocket' }), 101, 'ok'],
      [h1({ Upgrade: '/1.0, websocket' }), 426, 'WS_HS_UPGRADE'],
      [h1({ Upgrade: 'TLS/, websocket' }), 426, 'WS_HS_UPGRADE'],
      [h1({ Upgrade: 'TLS/1/0, websocket' }), 426, 'WS_HS_UPGRADE'],
      [h1({ Upgrade: '"a,websocket,b"' }), 426, 'WS_HS_UPGRADE'],
      [h1({ Connection: 'keep-alive' }), 426, 'WS_HS_CONNECTION'],
      [h1({ Connection: '"a, upgrade, b"' }), 426, 'WS_HS_CONNECTION'],
      [h1({ 'Sec-WebSocket-Version': '12' }), 426, 'WS_HS_VERSION'],
      [h1({ 'Sec-WebSocket-Version': '0' }), 426, 'WS_HS_VERSION'],
      [h1({ 'Sec-WebSocket-Version': '255' }), 426, 'WS_HS_VERSION'],
      [h1({ 'Sec-WebSocket-Version': '013' }), 400, 'WS_HS_VERSION'],
      [h1({ 'Sec-WebSocket-Version': undefined }), 400, 'WS_HS_VERSION'],
      [h1({ 'Sec-WebSocket-Version': '13, 13' }), 400, 'WS_HS_VERSION'],
      [h1({ 'Sec-WebSocket-Key': undefined }), 400, 'WS_HS_KEY'],
      [h1({ 'Sec-WebSocket-Key': `${KEY}, ${KEY}` }), 400, 'WS_HS_KEY'],
      [h1({ 'Sec-WebSocket-Protocol': 'a, a' }), 400, 'WS_HS_SUBPROTOCOL'],
      [h1({ 'Sec-WebSocket-Protocol': '' }), 400, 'WS_HS_SUBPROTOCOL'],
      [h1({ 'Sec-WebSocket-Protocol': 'a/b' }), 400, 'WS_HS_SUBPROTOCOL'],
      [h1({ 'Sec-WebSocket-Extensions': 'a;' }), 400, 'WS_HS_EXTENSIONS'],
      [h1({ 'Sec-WebSocket-Extensions': '' }), 400, 'WS_HS_EXTENSIONS'],
    ];
    for (const [request, status, error] of cases) expect([request, ...verdict(request)]).toEqual([request, status, error]);
  });

  test('S11 each field absent, empty, doubled or non-ASCII is a refusal, never an exception', () => {
    const names = ['Host', 'Upgrade', 'Connection', 'Sec-WebSocket-Key', 'Sec-WebSocket-Version'];
    for (const name of names) {
      const value = new Map(requestFields()).get(name) as string;
      const others = requestFields({ [name]: undefined });
      const singleton = name !== 'Connection' && name !== 'Upgrade';
      const broken: [string, string][][] = [
        others,
        [...others, [name, '']],
        [...others, [name, '\u00e9\u00ff']],
        [...others, [name, '\u4e2d']],
      ];
      if (singleton) broken.push([...others, [name, value], [name, value]], [...others, [name, value], [name, '']]);
      for (const headers of broken) {
        const decision = decideUpgrade(h1({}, { headers }));
        expect([name, headers, decision.ok]).toEqual([name, headers, false]);
        expect(decision.status).toBeGreaterThanOrEqual(400);
      }
      expect(verdict(h1({}, { headers: [...others, [name.toUpperCase(), ` \t${value}\t `]] }))).toEqual([101, 'ok']);
    }
    expect(decideUpgrade(h1({}, { headers: [] })).status).toBe(400);
  });

  test('Host and absolute targets', () => {
    for (const host of [
      'h',
      'H.example',
      'h:80',
      'h:',
      '[::1]',
      '[2001:db8::1]:8080',
      '127.0.0.1:9001',
      'a-b_c~d',
      'h%41x',
      'h:65535',
      'h%41%42:80',
      'xn--bcher-kva.example',
    ]) {
      expect([host, ...verdict(h1({ Host: host }))]).toEqual([host, 101, 'ok']);
    }
    for (const host of [
      '',
      'a b',
      'h/x',
      'u@h',
      'h:8x',
      'h:65536',
      'h:99999',
      'h:-1',
      'h:80:80',
      'a, b',
      'a,b',
      '[::1',
      '::1',
      '[::g]',
      '[::\t1]',
      '[::%31]',
      '[]',
      '[1]x',
      'h%zz',
      'h%4',
      'h#',
      'h?x',
      'b\u00fccher',
      '\u212a',
    ]) {
      expect([host, ...verdict(h1({ Host: host }))]).toEqual([host, 400, 'WS_HS_HOST']);
    }
    const policy = { hosts: ['other.example'], path: '/chat' };
    expect(verdict(h1({}, { target: 'http://other.example/chat?x' }), policy)).toEqual([101, 'ok']);
    expect(verdict(h1({ Host: 'other.example' }, { target: 'http://server.example.com/chat' }), policy)).toEqual([403, 'WS_HS_HOST']);
    expect(verdict(h1({}, { target: 'HTTPS://other.example' }), { path: '/' })).toEqual([101, 'ok']);
    expect(verdict(h1({}, { target: 'http://other.example?x' }), { path: '/' })).toEqual([101, 'ok']);
  });

  test('a refusal carries the fields its status needs', () => {
    const refusal = (request: RequestHead, policy?: ServerPolicy) => {
      const decision = decideUpgrade(request, policy);
      if (decision.ok) throw new Error('accepted');
      const field = (name: string): string | null => getHeader(decision.headers, name);
      expect(Number(field('content-length'))).toBe(decision.body.length);
      expect(field('connection')?.toLowerCase()).toContain('close');
      expect(decision.headers.some(([name]) => name.toLowerCase() === 'sec-websocket-accept')).toBe(false);
      return field;
    };
    expect(refusal(h1({}, { method: 'PUT' }))('allow')).toBe('GET');
    const upgrade = refusal(h1({ Upgrade: undefined }));
    expect([upgrade('upgrade'), upgrade('sec-websocket-version')]).toEqual(['websocket', '13']);
    expect(upgrade('connection')?.toLowerCase()).toContain('upgrade');
    expect(refusal(h1({ 'Sec-WebSocket-Version': '8' }))('sec-websocket-version')).toBe('13');
    expect(refusal(h1({ 'Sec-WebSocket-Version': '+13' }))('sec-websocket-version')).toBe('13');
    expect(refusal(h1(), { path: '/other' })('sec-websocket-version')).toBeNull();
  });

  test('isWebSocketRequest', () => {
    expect(isWebSocketRequest(h1())).toBe(true);
    expect(isWebSocketRequest(h1({ 'Sec-WebSocket-Key': 'bad' }))).toBe(true);
    expect(isWebSocketRequest(h1({ Upgrade: 'h2c, WebSocket' }))).toBe(true);
    for (const request of [
      h1({ Upgrade: undefined }),
      h1({ Upgrade: 'h2c' }),
      h1({}, { method: 'POST' }),
      h1({}, { httpVersion: '1.0' }),
      h1({}, { method: 'CONNECT', protocol: 'websocket' }),
    ]) {
      expect(isWebSocketRequest(request)).toBe(false);
    }
    expect(isWebSocketRequest(h2())).toBe(true);
    expect(isWebSocketRequest(h2([], { httpVersion: '3' }))).toBe(true);
    for (const change of [{ method: 'GET' }, { protocol: 'foo' }]) expect(isWebSocketRequest(h2([], change))).toBe(false);
    const { protocol: _, ...plain } = h2();
    expect(isWebSocketRequest(plain)).toBe(false);
  });
});

describe('policy', () => {
  test('S18 look-alike origins are refused', () => {
    const policy = { origins: ['https://good.example'] };
    const origin = (value: string | undefined): [number, string] => verdict(h1({ Origin: value }), policy);
    expect(origin('https://good.example')).toEqual([101, 'ok']);
    expect(origin('HTTPS://GOOD.example')).toEqual([101, 'ok']);
    const strangers = [
      'https://good.example.evil.example',
      'https://evilgood.example',
      'https://sub.good.example',
      'http://good.example',
      'https://good.example:8443',
      'https://good.example/',
      'null',
      '',
      'file://',
      'https://good.example,https://good.example',
      'https://good.example https://evil.example',
      'https://good\u00e9.example',
      'https://g\u014fod.example',
      'https://good.example.',
      'good.example',
    ];
    for (const value of strangers) expect([value, ...origin(value)]).toEqual([value, 403, 'WS_HS_ORIGIN']);
    // Without Origin: no browser, and allowed only when the list says so.
    expect(origin(undefined)).toEqual([403, 'WS_HS_ORIGIN']);
    expect(verdict(h1(), { origins: ['https://good.example', null] })).toEqual([101, 'ok']);
    expect(verdict(h1({ Origin: 'null' }), { origins: [null] })).toEqual([403, 'WS_HS_ORIGIN']);
    expect(verdict(h1({ Origin: 'null' }), { origins: ['null'] })).toEqual([101, 'ok']);
    const twice = [...requestFields(), ['Origin', 'https://good.example'], ['Origin', 'https://good.example']] as [string, string][];
    expect(verdict(h1({}, { headers: twice }), policy)).toEqual([403, 'WS_HS_ORIGIN']);
    // The flag g makes test() remember its place.
    const sticky = { origins: [/^https:\/\/[a-z]+\.example$/g] };
    for (let i = 0; i < 3; i++) expect(verdict(h1({ Origin: 'https://good.example' }), sticky)).toEqual([101, 'ok']);
  });

  test('S18 hosts that are not served are refused', () => {
    const policy = { hosts: ['localhost', 'h.example:8080', '[::1]', /^[a-z]+\.test$/] };
    for (const host of ['localhost', 'LOCALHOST:3000', 'h.example:8080', '[::1]:80', 'a.test'])
      expect([host, ...verdict(h1({ Host: host }), policy)]).toEqual([host, 101, 'ok']);
    for (const host of [
      'evil.example',
      'localhost.evil.example',
      'xlocalhost',
      'h.example',
      'h.example:80',
      'a.test.evil',
      'a.test:80',
      '127.0.0.1',
      '[::2]',
    ]) {
      expect([host, ...verdict(h1({ Host: host }), policy)]).toEqual([host, 403, 'WS_HS_HOST']);
    }
    expect(verdict(h2([], { authority: 'evil.example' }), policy)).toEqual([403, 'WS_HS_HOST']);
    expect(() => decideUpgrade(h1(), { hosts: ['http://h/'] })).toThrow(/policy\.hosts/);
    const wrong: readonly (readonly [option: string, values: readonly unknown[]])[] = [
      ['hosts', [1, 'h', [1], [null]]],
      ['origins', [1, 'https://h', [1], [{}]]],
      ['path', [1, 'x', {}, null]],
      ['extensions', [1, {}, [1], [null], [{ name: 'x' }], [{ accept: () => null }]]],
      ['requireSubprotocol', [1, 'yes', null]],
      ['h2Accept', [1, 'yes', null]],
    ];
    for (const [option, values] of wrong) {
      for (const value of values) expect(() => decideUpgrade(h1(), { [option]: value }), option).toThrow(new RegExp(`policy\\.${option}`));
    }
    for (const policy of [null, 1, true])
      expect(() => decideUpgrade(h1(), policy as never)).toThrow(new TypeError('policy must be an object'));
  });

  test('path by string, expression and function', () => {
    const paths: NonNullable<ServerPolicy['path']>[] = ['/chat', /^\/ch/, (path) => path === '/chat'];
    for (const path of paths) {
      expect(verdict(h1(), { path })).toEqual([101, 'ok']);
      expect(verdict(h1({}, { target: '/other?/chat' }), { path })).toEqual([404, 'WS_HS_PATH']);
    }
    expect(verdict(h1({}, { target: '/chat/' }), { path: '/chat' })).toEqual([404, 'WS_HS_PATH']);
  });

  test('subprotocols by list and function', () => {
    const offer = { 'Sec-WebSocket-Protocol': 'b, a' };
    const chosen = (policy: ServerPolicy, fields: { readonly [name: string]: string } = offer): string | null => {
      const decision = decideUpgrade(h1(fields), policy);
      if (!decision.ok) return decision.error;
      expect(getHeader(decision.headers, 'sec-websocket-protocol')).toBe(decision.negotiated.subprotocol);
      return decision.negotiated.subprotocol;
    };
    expect(chosen({ subprotocols: ['a', 'b'] })).toBe('b');
    expect(chosen({ subprotocols: ['a'] })).toBe('a');
    expect(chosen({ subprotocols: ['c'] })).toBeNull();
    expect(chosen({})).toBeNull();
    expect(chosen({ subprotocols: ['a'] }, {})).toBeNull();
    expect(chosen({ subprotocols: (offered) => offered.at(-1) ?? null })).toBe('a');
    expect(chosen({ subprotocols: () => null })).toBeNull();
    expect(chosen({ subprotocols: ['c'], requireSubprotocol: true })).toBe('WS_HS_SUBPROTOCOL');
    expect(chosen({ subprotocols: ['a'] }, { 'Sec-WebSocket-Protocol': '__proto__, constructor' })).toBeNull();
    for (const wrong of ['', 'c', 'a\r\nX: y'])
      expect(() => decideUpgrade(h1(offer), { subprotocols: () => wrong })).toThrow(/policy\.subprotocols/);
  });

  test.each([
    [null, 'policy must be an object'],
    [{ path: 5 }, 'policy.path must be a string, an expression or a function'],
    [{ path: null }, 'policy.path must be a string, an expression or a function'],
    [{ path: async () => false }, 'policy.path must not be async: the request waits for accept(), so decide before you call it'],
    [
      { subprotocols: async () => null },
      'policy.subprotocols must not be async: the request waits for accept(), so decide before you call it',
    ],
    [{ subprotocols: 'chat' }, 'policy.subprotocols must be a list of names'],
    [{ origins: 'null' }, 'policy.origins must be a list of strings, expressions and null'],
    [{ origins: new Set(['https://h.example']) }, 'policy.origins must be a list of strings, expressions and null'],
    [{ origins: ['https://h.example', undefined] }, 'policy.origins must be a list of strings, expressions and null'],
    [{ origins: [() => true] }, 'policy.origins must be a list of strings, expressions and null'],
    [{ hosts: 'h.example' }, 'policy.hosts must be a list of strings and expressions'],
    [{ hosts: [null] }, 'policy.hosts must be a list of strings and expressions'],
    [{ extensions: {} }, 'policy.extensions must be a list of extensions with a name and accept()'],
    [{ extensions: [null] }, 'policy.extensions must be a list of extensions with a name and accept()'],
    [{ extensions: [{ name: 'x-a', confirm() {} }] }, 'policy.extensions must be a list of extensions with a name and accept()'],
    [{ requireSubprotocol: 'yes' }, 'policy.requireSubprotocol must be a boolean'],
    [{ h2Accept: 1 }, 'policy.h2Accept must be a boolean'],
    [
      { origin: ['https://a.example'] },
      'policy.origin is no rule: subprotocols, requireSubprotocol, extensions, origins, hosts, h2Accept, path, headers',
    ],
  ])('a policy that makes no sense is refused by name, before there is a request: %j', (wrong, message) => {
    const policy = wrong as unknown as ServerPolicy;
    expect(() => new ServerProtocol({ clock: () => 0, policy })).toThrow(new TypeError(message));
    expect(() => decideUpgrade(h1(), policy)).toThrow(new TypeError(message));
  });

  test.each([
    [{ path: () => Promise.resolve(false) }, 'policy.path must return a boolean, not an object'],
    [{ path: () => undefined }, 'policy.path must return a boolean, not undefined'],
    [{ path: () => 1 }, 'policy.path must return a boolean, not number'],
    [{ subprotocols: () => Promise.resolve('a') }, 'policy.subprotocols must return a string or null, not an object'],
    [{ subprotocols: () => true }, 'policy.subprotocols must return a string or null, not boolean'],
  ])('a predicate that answers something else lets nobody in', (wrong, message) => {
    const policy = wrong as unknown as ServerPolicy;
    for (const request of [h1(), h2()]) expect(() => decideUpgrade(request, policy)).toThrow(new TypeError(message));
  });

  test('expressions of another realm count as such', () => {
    const foreign = runInNewContext('/^[a-z.]+$/') as RegExp;
    expect(verdict(h1({ Origin: 'other' }), { hosts: [foreign], origins: [foreign] })).toEqual([101, 'ok']);
    expect(verdict(h1({ Origin: '1' }), { hosts: [foreign], origins: [foreign] })).toEqual([403, 'WS_HS_ORIGIN']);
    expect(verdict(h1(), { path: foreign })).toEqual([404, 'WS_HS_PATH']);
  });

  test('S15 nothing in a policy can split the response', () => {
    for (const evil of ['a\r\nB: c', 'a\nB', 'a\rB', 'a\u0000', 'a\u007f', '\u0100']) {
      expect(() => decideUpgrade(h1(), { headers: [['X', evil]] })).toThrow(/policy\.headers/);
      expect(() => decideUpgrade(h1(), { headers: [[evil, 'x']] })).toThrow(/policy\.headers/);
      expect(() => decideUpgrade(h1(), { subprotocols: [evil] })).toThrow(/policy\.subprotocols/);
    }
    for (const name of ['Upgrade', 'connection', 'Sec-WebSocket-Accept', 'sec-websocket-protocol', 'Content-Length', 'Transfer-Encoding']) {
      expect(() => decideUpgrade(h1(), { headers: [[name, 'x']] })).toThrow(TypeError);
    }
    const decision = decideUpgrade(h1(), {
      headers: [
        ['Set-Cookie', 'a=b'],
        ['Set-Cookie', 'c=d'],
      ],
    });
    expect(decision.headers.slice(-2)).toEqual([
      ['Set-Cookie', 'a=b'],
      ['Set-Cookie', 'c=d'],
    ]);
  });
});

describe('extensions', () => {
  const takes = (name: string, rsv: number, log: string[]): ServerExtension => ({
    name,
    accept: (params, accepted) => {
      log.push(`${name}(${params.map(([param]) => param).join()})${accepted.length}`);
      return params.some(([param]) => param === 'bad') ? null : { params, extension: extension(name, rsv, log) };
    },
  });
  const negotiate = (field: string, available: readonly ServerExtension[]): [string | null, string[]] => {
    const decision = decideUpgrade(h1({ 'Sec-WebSocket-Extensions': field }), { extensions: available });
    if (!decision.ok) return [decision.error, []];
    return [getHeader(decision.headers, 'sec-websocket-extensions'), decision.negotiated.extensions.map(({ name }) => name)];
  };

  test('offers are tried in order, an extension is accepted once, unknown ones are passed over', () => {
    const log: string[] = [];
    const available = [takes('foo', 4, log), takes('bar', 2, log)];
    expect(negotiate('x, bar; bad, bar; a=1, foo; bad, foo, foo; b, bar', available)).toEqual(['bar; a=1, foo', ['bar', 'foo']]);
    expect(log).toEqual(['bar(bad)0', 'bar(a)0', 'foo(bad)1', 'foo()1']);
    expect(negotiate('foo; bad', available)).toEqual([null, []]);
    expect(negotiate('foo;', available)).toEqual(['WS_HS_EXTENSIONS', []]);
    expect(negotiate('__proto__; constructor=1, toString', available)).toEqual([null, []]);
    const twoLines = [...requestFields(), ['Sec-WebSocket-Extensions', 'foo; bad'], ['sec-websocket-extensions', 'foo; c']] as [
      string,
      string,
    ][];
    const decision = decideUpgrade(h1({}, { headers: twoLines }), { extensions: available });
    expect(getHeader(decision.headers, 'sec-websocket-extensions')).toBe('foo; c');
  });

  test('two extensions never own the same RSV bit', () => {
    const log: string[] = [];
    expect(negotiate('foo, bar, baz', [takes('foo', 4, log), takes('bar', 6, log), takes('baz', 1, log)])).toEqual([
      'foo, baz',
      ['foo', 'baz'],
    ]);
    expect(log).toContain('dispose bar');
    // One that owns none is accepted once all the same.
    expect(negotiate('foo; a, foo; b', [takes('foo', 0, log), takes('bar', 0, log)])).toEqual(['foo; a', ['foo']]);
  });
});

describe('HTTP/2 and 3', () => {
  test('an extended CONNECT is accepted with 200, without key and accept', () => {
    const decision = decideUpgrade(
      h2([
        ['sec-websocket-protocol', 'a'],
        ['sec-websocket-key', KEY],
      ]),
      { subprotocols: ['a'], headers: [['X-Y', 'z']] },
    );
    expect(decision).toEqual({
      ok: true,
      status: 200,
      headers: [
        ['sec-websocket-protocol', 'a'],
        ['x-y', 'z'],
      ],
      negotiated: { role: 'server', subprotocol: 'a', extensions: [] },
    });
    expect(verdict(h2([], { httpVersion: '3' }))).toEqual([200, 'ok']);
    // Ignored means ignored, however wrong.
    expect(
      verdict(
        h2([
          ['sec-websocket-key', 'x'],
          ['sec-websocket-key', 'y'],
        ]),
      ),
    ).toEqual([200, 'ok']);
  });

  test('h2Accept answers a key', () => {
    expect(decideUpgrade(h2([['sec-websocket-key', KEY]]), { h2Accept: true }).headers).toEqual([['sec-websocket-accept', ACCEPT]]);
    expect(decideUpgrade(h2(), { h2Accept: true }).headers).toEqual([]);
  });

  test('refusals: no 426, lower-case names, no connection fields', () => {
    const cases: [RequestHead, number, string][] = [
      [h2([], { headers: [['sec-websocket-version', '12']] }), 400, 'WS_HS_VERSION'],
      [h2([], { headers: [] }), 400, 'WS_HS_VERSION'],
      [h2([], { protocol: 'foo' }), 501, 'WS_HS_UPGRADE'],
      [h2([], { method: 'GET' }), 400, 'WS_HS_METHOD'],
      [h2([], { target: '*' }), 400, 'WS_HS_SYNTAX'],
      [h2([], { scheme: 'ftp' }), 400, 'WS_HS_SYNTAX'],
      [h2([], { authority: 'u@h' }), 400, 'WS_HS_HOST'],
      [h2([['connection', 'upgrade']]), 400, 'WS_HS_SYNTAX'],
      [h2([['upgrade', 'websocket']]), 400, 'WS_HS_SYNTAX'],
      [h2([['transfer-encoding', 'chunked']]), 400, 'WS_HS_SYNTAX'],
      [h2([['content-length', '5']]), 400, 'WS_HS_BODY'],
      [h2([['sec-websocket-protocol', 'a b']]), 400, 'WS_HS_SUBPROTOCOL'],
      [h2([['sec-websocket-extensions', ';']]), 400, 'WS_HS_EXTENSIONS'],
    ];
    for (const [request, status, error] of cases) {
      const decision = decideUpgrade(request);
      expect([request, decision.status, decision.ok ? 'ok' : decision.error]).toEqual([request, status, error]);
      for (const [name] of decision.headers) {
        expect(name).toBe(name.toLowerCase());
        expect(['connection', 'upgrade']).not.toContain(name);
      }
    }
    const { protocol: _, ...noProtocol } = h2();
    expect(verdict(noProtocol)).toEqual([400, 'WS_HS_UPGRADE']);
    const { authority: __, ...noAuthority } = h2();
    expect(verdict(noAuthority)).toEqual([400, 'WS_HS_HOST']);
    expect(getHeader(decideUpgrade(h2([], { headers: [] })).headers, 'sec-websocket-version')).toBe('13');
    expect(verdict(h2([['origin', 'https://evil.example']]), { origins: ['https://good.example'] })).toEqual([403, 'WS_HS_ORIGIN']);
    expect(verdict(h2([], { target: '/x?/chat' }), { path: '/chat' })).toEqual([404, 'WS_HS_PATH']);
    for (const target of ['/chat', '/chat?', '/chat?x=1']) expect(verdict(h2([], { target }), { path: '/chat' })).toEqual([200, 'ok']);
    // A request like any other, which is no WebSocket's.
    const { protocol: ___, ...get } = h2([], { method: 'GET' });
    const refusal = decideUpgrade(get);
    expect([refusal.status, getHeader(refusal.headers, 'allow')]).toEqual([405, 'CONNECT']);
  });
  test('a Host beside :authority must name the same (RFC 9113 section 8.3.1)', () => {
    const same: [string, Partial<RequestHead>][] = [
      ['server.example.com', {}],
      ['SERVER.example.com:443', {}],
      ['server.example.com', { authority: 'server.example.com:443' }],
      ['server.example.com:80', { scheme: 'http' }],
      ['server.example.com:8443', { authority: 'Server.Example.com:08443' }],
    ];
    for (const [host, head] of same) expect([host, verdict(h2([['host', host]], head))]).toEqual([host, [200, 'ok']]);
    const others: [string, Partial<RequestHead>][] = [
      ['evil.example', {}],
      ['server.example.com:80', {}],
      ['server.example.com:443', { scheme: 'http' }],
      ['server.example.com:8443', { authority: 'server.example.com:8444' }],
      ['server.example.com,', {}],
      ['', {}],
    ];
    for (const [host, head] of others) expect([host, verdict(h2([['host', host]], head))]).toEqual([host, [400, 'WS_HS_HOST']]);
    expect(
      verdict(
        h2([
          ['host', 'server.example.com'],
          ['host', 'evil.example'],
        ]),
      ),
    ).toEqual([400, 'WS_HS_HOST']);
  });
});

test('what a host has left out of a head is named, and not blamed on the peer', () => {
  for (const judge of [decideUpgrade, isWebSocketRequest] as const) {
    expect(() => judge(undefined as never)).toThrow(new TypeError('request must be an object, not undefined'));
    // A Request of the web has no version of HTTP, and a number is easily written.
    const web = new Request('http://h/', { headers: { upgrade: 'websocket' } }) as never;
    expect(() => judge(web)).toThrow(new TypeError('request.httpVersion must be a string, not undefined'));
    expect(() => judge(h1({}, { httpVersion: 1.1 as never }))).toThrow(new TypeError('request.httpVersion must be a string, not number'));
  }
  for (const member of ['method', 'target'] as const)
    for (const head of [h1({}, { [member]: undefined }), h2([], { [member]: undefined })])
      expect(() => decideUpgrade(head)).toThrow(new TypeError(`request.${member} must be a string, not undefined`));
  for (const judge of [decideUpgrade, isWebSocketRequest] as const)
    expect(() => judge(h2([], { protocol: null as never }))).toThrow(new TypeError('request.protocol must be a string, not null'));
  // An ordinary CONNECT has no path (RFC 9113 section 8.5): that is the peer's.
  const { protocol: _, target: __, ...ordinary } = h2();
  expect(verdict(ordinary as RequestHead)).toEqual([400, 'WS_HS_UPGRADE']);
  expect(verdict(h1({}, { httpVersion: '0.9' as never }))).toEqual([505, 'WS_HS_HTTP_VERSION']);
});
