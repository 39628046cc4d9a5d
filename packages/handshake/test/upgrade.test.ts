/** createUpgrade and verify: RFC 6455 section 4.1, RFC 8441, and what the caller may not put on the wire. */
import type { ClientExtension, Extension } from '@ferrywire/core';
import {
  acceptKey,
  type ClientUpgradeOptions,
  createUpgrade,
  getHeader,
  type HeaderList,
  type ResponseHead,
  type WebSocketUri,
} from '@ferrywire/handshake';
import { describe, expect, test } from 'vitest';
import { ACCEPT } from './support.ts';

const sample = new TextEncoder().encode('the sample nonce');
const fixed = (target: Uint8Array): void => target.set(sample);
const make = (options: Partial<ClientUpgradeOptions> = {}) =>
  createUpgrade({ url: 'ws://h.example:8080/chat?x=1', random: fixed, ...options });
const response = (change: { readonly [name: string]: string | undefined } = {}, more: Partial<ResponseHead> = {}): ResponseHead => ({
  status: 101,
  httpVersion: '1.1',
  headers: Object.fromEntries(
    Object.entries({ Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Accept': ACCEPT, ...change }).filter(
      ([, value]) => value !== undefined,
    ),
  ),
  ...more,
});
const outcome = (answer: ResponseHead, options: Partial<ClientUpgradeOptions> = {}): string => {
  const verdict = make(options).verify(answer);
  if (!verdict.ok) expect(verdict.message.length).toBeGreaterThan(10);
  return verdict.ok ? 'ok' : verdict.error;
};
const extension = (name: string, rsv: number): Extension => ({
  name,
  rsv,
  inbound: () => {
    throw new Error('not used');
  },
  outbound: () => {
    throw new Error('not used');
  },
});

describe('request', () => {
  test('what goes on the wire, in order', () => {
    const { request } = make({ subprotocols: ['a', 'b'], origin: 'https://o.example', headers: [['X-A', 'b']] });
    expect(request).toEqual({
      method: 'GET',
      target: '/chat?x=1',
      headers: [
        ['Host', 'h.example:8080'],
        ['Upgrade', 'websocket'],
        ['Connection', 'Upgrade'],
        ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
        ['Sec-WebSocket-Version', '13'],
        ['Origin', 'https://o.example'],
        ['Sec-WebSocket-Protocol', 'a, b'],
        ['X-A', 'b'],
      ],
    });
  });

  test('over HTTP/2 and 3: pseudo-headers, lower case, no key', () => {
    for (const httpVersion of ['2', '3'] as const) {
      expect(make({ url: 'wss://h.example/chat', httpVersion, headers: [['X-A', 'b']] }).request).toEqual({
        method: 'CONNECT',
        protocol: 'websocket',
        scheme: 'https',
        authority: 'h.example',
        target: '/chat',
        headers: [
          ['sec-websocket-version', '13'],
          ['x-a', 'b'],
        ],
      });
    }
    expect(make({ httpVersion: '2' }).request.scheme).toBe('http');
    for (const name of ['te', 'keep-alive']) expect(() => make({ httpVersion: '2', headers: [[name, 'x']] })).toThrow(/options\.headers/);
  });

  test('keys are new each time, canonical, and of 16 bytes', () => {
    const keys = new Set<string>();
    const seen = Array.from({ length: 16 }, () => new Set<number>());
    for (let i = 0; i < 1000; i++) {
      const key = getHeader(createUpgrade({ url: 'ws://h/' }).request.headers, 'sec-websocket-key') as string;
      expect(key).toMatch(/^[A-Za-z0-9+/]{21}[AQgw]==$/);
      keys.add(key);
      Buffer.from(key, 'base64').forEach((byte, index) => {
        seen[index]?.add(byte);
      });
    }
    expect(keys.size).toBe(1000);
    for (const values of seen) expect(values.size).toBeGreaterThan(150);
  });

  test('user info becomes Basic credentials, never part of Host or target', () => {
    const fields = (options: Partial<ClientUpgradeOptions>) => make({ url: 'ws://us%C3%A9r:p%3Aw@h.example/', ...options }).request.headers;
    expect(getHeader(fields({}), 'authorization')).toBe(`Basic ${Buffer.from('us\u00e9r:p:w').toString('base64')}`);
    expect(getHeader(fields({}), 'host')).toBe('h.example');
    expect(getHeader(fields({ headers: [['authorization', 'Bearer t']] }), 'authorization')).toBe('Bearer t');
  });

  test('what is no origin, and what is no response, is named', () => {
    for (const [wrong, kind] of [
      [null, 'null'],
      [0, 'number'],
      [['a'], 'an array'],
      [new URL('https://a/'), 'an object'],
    ] as const)
      expect(() => make({ origin: wrong as never })).toThrow(new TypeError(`options.origin must be a string, not ${kind}`));
    const upgrade = make({});
    expect(() => upgrade.verify(undefined as never)).toThrow(new TypeError('response must be an object, not undefined'));
    // As a head that was read by hand has it.
    const read = { status: '101', headers: {} } as never;
    expect(() => upgrade.verify(read)).toThrow(new TypeError('response.status must be a number, not string'));
    expect(upgrade.verify({ status: Number.NaN, headers: {} })).toMatchObject({ ok: false, error: 'WS_HS_STATUS' });
    expect(() => getHeader({}, undefined as never)).toThrow(new TypeError('name must be a string, not undefined'));
  });

  test('S15 the caller can neither split the request nor replace what the protocol sets', () => {
    const evil = ['a\r\nB: c', 'a\nB', 'a\rB', 'a\u0000b', '\u007f', '\u0100'];
    for (const value of evil) {
      expect(() => make({ headers: [['X', value]] })).toThrow(/options\.headers/);
      expect(() => make({ headers: [[value, 'x']] })).toThrow(/options\.headers/);
      expect(() => make({ origin: value })).toThrow(/options\.origin/);
      expect(() => make({ subprotocols: [value] })).toThrow(SyntaxError);
      for (const part of ['host', 'resource'] as const) {
        const uri = {
          secure: false,
          host: 'h',
          port: 80,
          resource: '/',
          userInfo: null,
          [part]: part === 'host' ? value : `/${value}`,
        } as WebSocketUri;
        expect(() => make({ url: uri })).toThrow(/options\.url/);
      }
    }
    // What another library calls `uri`, say.
    for (const url of [undefined, null, 5]) {
      expect(() => make({ url: url as unknown as string })).toThrow(/^options\.url must be a string/);
    }
    // A URL parser drops or escapes them.
    expect(make({ url: 'ws://h.example/a\r\nB: c' }).request.target).toBe('/aB:%20c');
    for (const name of [
      'Host',
      'upgrade',
      'Connection',
      'Sec-WebSocket-Key',
      'SEC-WEBSOCKET-VERSION',
      'sec-websocket-x',
      'Content-Length',
      'transfer-encoding',
    ]) {
      expect(() => make({ headers: [[name, 'x']] })).toThrow(TypeError);
    }
    expect(() => make({ origin: 'https://a', headers: [['Origin', 'https://b']] })).toThrow(TypeError);
    expect(() => make({ headers: { X: 'y' } as unknown as HeaderList })).toThrow(/options\.headers/);
    const uri = { secure: false, host: 'h', port: 80, resource: '/', userInfo: null };
    for (const change of [
      { port: 70_000 },
      { port: 1.5 },
      { resource: 'x' },
      { resource: '/a#b' },
      { resource: '/\u00e9' },
      { host: '::1' },
      { host: 'a:1' },
      { host: '' },
    ]) {
      expect(() => make({ url: { ...uri, ...change } })).toThrow(/options\.url/);
    }
  });

  test('subprotocols that are no tokens, empty or repeated', () => {
    for (const names of [['a', 'a'], [''], ['a b'], ['a,b'], ['\u00e9'], ['a;b'], ['"a"']])
      expect(() => make({ subprotocols: names })).toThrow(SyntaxError);
    const token = "!#$%&'*+-.^_`|~09azAZ";
    expect(getHeader(make({ subprotocols: [token] }).request.headers, 'sec-websocket-protocol')).toBe(token);
  });
});

describe('verify', () => {
  test('what opens', () => {
    expect(make().verify(response())).toEqual({ ok: true, negotiated: { role: 'client', subprotocol: null, extensions: [] } });
    for (const change of [
      { Upgrade: 'WebSocket' },
      { Connection: 'keep-alive, UPGRADE' },
      { Connection: ', upgrade,' },
      { 'Sec-WebSocket-Accept': `\t${ACCEPT} ` },
      { 'Content-Length': '0' },
    ]) {
      expect([change, outcome(response(change))]).toEqual([change, 'ok']);
    }
    const { httpVersion: _, ...noVersion } = response();
    expect(outcome(noVersion)).toBe('ok');
  });

  test('what fails, and why', () => {
    const cases: [ResponseHead, string][] = [
      [response({}, { status: 200 }), 'WS_HS_STATUS'],
      [response({}, { status: 401 }), 'WS_HS_STATUS'],
      [response({}, { httpVersion: '1.0' }), 'WS_HS_HTTP_VERSION'],
      [response({}, { httpVersion: '2' }), 'WS_HS_HTTP_VERSION'],
      [response({ Upgrade: undefined }), 'WS_HS_UPGRADE'],
      [response({ Upgrade: 'websocket, h2c' }), 'WS_HS_UPGRADE'],
      [response({ Upgrade: '"websocket"' }), 'WS_HS_UPGRADE'],
      [response({ Connection: 'close' }), 'WS_HS_CONNECTION'],
      [response({ Connection: '"x, upgrade, y"' }), 'WS_HS_CONNECTION'],
      [response({ 'Sec-WebSocket-Accept': undefined }), 'WS_HS_ACCEPT'],
      [response({ 'Sec-WebSocket-Accept': ACCEPT.toLowerCase() }), 'WS_HS_ACCEPT'],
      [response({ 'Sec-WebSocket-Accept': `${ACCEPT}, ${ACCEPT}` }), 'WS_HS_ACCEPT'],
      [response({ 'Content-Length': '5' }), 'WS_HS_BODY'],
      [response({ 'Transfer-Encoding': 'chunked' }), 'WS_HS_BODY'],
      [response({ 'Sec-WebSocket-Protocol': 'a' }), 'WS_HS_SUBPROTOCOL'],
      [response({ 'Sec-WebSocket-Protocol': '' }), 'WS_HS_SUBPROTOCOL'],
      [response({ 'Sec-WebSocket-Extensions': 'foo' }), 'WS_HS_EXTENSIONS'],
      [response({ 'Sec-WebSocket-Extensions': '' }), 'WS_HS_EXTENSIONS'],
    ];
    for (const [answer, error] of cases) expect([answer, outcome(answer)]).toEqual([answer, error]);
  });

  test('the subprotocol must be one that was offered', () => {
    const options = { subprotocols: ['chat', 'superchat'] };
    expect(make(options).verify(response({ 'Sec-WebSocket-Protocol': 'superchat' }))).toMatchObject({
      negotiated: { subprotocol: 'superchat' },
    });
    for (const value of ['other', 'CHAT', 'chat, superchat', 'chat,', '"chat"', ''])
      expect(outcome(response({ 'Sec-WebSocket-Protocol': value }), options)).toBe('WS_HS_SUBPROTOCOL');
    expect(outcome(response(), options)).toBe('ok');
    expect(outcome(response(), { ...options, requireSubprotocol: true })).toBe('WS_HS_SUBPROTOCOL');
    expect(outcome(response(), { requireSubprotocol: true })).toBe('ok');
    expect(() => make({ requireSubprotocol: 1 as unknown as boolean })).toThrow(/^options\.requireSubprotocol must be a boolean$/);
    const twice: [string, string][] = [
      ['Upgrade', 'websocket'],
      ['Connection', 'Upgrade'],
      ['Sec-WebSocket-Accept', ACCEPT],
      ['Sec-WebSocket-Protocol', 'chat'],
      ['Sec-WebSocket-Protocol', 'chat'],
    ];
    expect(outcome({ status: 101, headers: twice }, options)).toBe('WS_HS_SUBPROTOCOL');
  });

  test('extensions: in the order of the response, once each, only what was offered and confirmed', () => {
    const log: string[] = [];
    const toy = (name: string, rsv: number): ClientExtension => ({
      name,
      offers: () => [[['a', true]], []],
      confirm: (params) =>
        params.some(([param]) => param === 'bad') ? null : { ...extension(name, rsv), dispose: () => void log.push(`dispose ${name}`) },
    });
    const options = { extensions: [toy('foo', 4), toy('bar', 2), toy('clash', 4)] };
    expect(getHeader(make(options).request.headers, 'sec-websocket-extensions')).toBe('foo; a, foo, bar; a, bar, clash; a, clash');
    const names = (field: string): string[] | string => {
      const verdict = make(options).verify(response({ 'Sec-WebSocket-Extensions': field }));
      return verdict.ok ? verdict.negotiated.extensions.map(({ name }) => name) : verdict.error;
    };
    expect(names('bar; x=1, foo')).toEqual(['bar', 'foo']);
    expect(names('foo')).toEqual(['foo']);
    for (const field of ['foo, foo', 'foo, other', 'foo; bad', 'foo, bar; bad', 'foo, clash', 'foo;', '__proto__'])
      expect([field, names(field)]).toEqual([field, 'WS_HS_EXTENSIONS']);
    expect(log).toEqual(['dispose foo', 'dispose foo', 'dispose foo', 'dispose clash', 'dispose foo']);
    expect(() => make({ extensions: [toy('foo', 4), toy('foo', 2)] })).toThrow(/options\.extensions/);
    for (const extensions of [1, {}, [1], [null], [{ name: 'foo' }], [{ offers: () => [] }]]) {
      expect(() => make({ extensions: extensions as never })).toThrow(/options\.extensions/);
    }
  });

  test('over HTTP/2 success is any 2xx, and the accept does not matter', () => {
    const verify = (answer: ResponseHead) => make({ httpVersion: '2', subprotocols: ['a'] }).verify(answer);
    expect(verify({ status: 200, httpVersion: '2', headers: [['sec-websocket-protocol', 'a']] })).toEqual({
      ok: true,
      negotiated: { role: 'client', subprotocol: 'a', extensions: [] },
    });
    expect(verify({ status: 204, headers: [['sec-websocket-accept', 'x']] }).ok).toBe(true);
    for (const status of [101, 301, 400, 404, 501])
      expect(verify({ status, headers: [] })).toMatchObject({ ok: false, error: 'WS_HS_STATUS' });
    expect(verify({ status: 200, headers: [['sec-websocket-protocol', 'b']] })).toMatchObject({ error: 'WS_HS_SUBPROTOCOL' });
    // RFC 9113 section 8.2.2.
    for (const name of ['connection', 'Upgrade', 'keep-alive', 'proxy-connection', 'transfer-encoding'])
      expect([name, verify({ status: 200, headers: [[name, 'x']] })]).toMatchObject([name, { ok: false, error: 'WS_HS_SYNTAX' }]);
  });

  test('the accept belongs to the key of this request', () => {
    const upgrade = createUpgrade({ url: 'ws://h/' });
    const key = getHeader(upgrade.request.headers, 'sec-websocket-key') as string;
    expect(upgrade.verify(response({ 'Sec-WebSocket-Accept': acceptKey(key) })).ok).toBe(true);
    expect(upgrade.verify(response()).ok).toBe(false);
  });
});
