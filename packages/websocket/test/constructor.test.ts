/** The constructor: URL, subprotocols, options (WHATWG WebSockets, `new WebSocket(url, protocols)`). */
import { readFileSync } from 'node:fs';
import { CloseEvent, defineWebSocket, WebSocket, type WebSocketInit, WebSocketStream } from '@ferrywire/websocket';
import { describe, expect, it } from 'vitest';
import { bench, logOf, nameOf } from './helpers.ts';

interface UriCase {
  readonly id: string;
  readonly input: string;
  readonly base: string;
  readonly throws?: string;
  readonly url?: string;
}
const file = new URL('../../../conformance/data/uri-cases.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: UriCase[] };

describe('URL cases', () => {
  it('are all there', () => expect(cases.length).toBeGreaterThanOrEqual(75));

  for (const { id, input, base, throws, url } of cases) {
    it(`${id} ${JSON.stringify(input)}`, () => {
      for (const kind of ['WebSocket', 'WebSocketStream'] as const) {
        const made = bench({}, { baseUrl: base });
        if (throws === undefined) {
          expect(new made[kind](input).url).toBe(url);
          expect(made.requests[0]?.url).toBe(url);
        } else {
          expect(nameOf(() => new made[kind](input))).toBe(throws);
          expect(made.requests).toEqual([]);
        }
      }
    });
  }
});

describe('URL', () => {
  it('WHATWG-WEBSOCKETS-constructor-1: is parsed against the base URL; failure throws SyntaxError', () => {
    expect(nameOf(() => new (bench().WebSocket)('http://['))).toBe('SyntaxError');
    expect(new (bench({}, { baseUrl: 'http://h/x' }).WebSocket)('/chat').url).toBe('ws://h/chat');
    expect(nameOf(() => new (bench().WebSocket)('/chat'))).toBe('SyntaxError');
  });
  it('takes the base URL from globalThis.location where there is one', () => {
    const before = Object.getOwnPropertyDescriptor(globalThis, 'location');
    Object.defineProperty(globalThis, 'location', { value: { href: 'https://page.example/dir/' }, configurable: true });
    try {
      expect(new (bench().WebSocket)('x?y').url).toBe('wss://page.example/dir/x?y');
    } finally {
      if (before === undefined) Reflect.deleteProperty(globalThis, 'location');
      else Object.defineProperty(globalThis, 'location', before);
    }
  });
  it('throws a DOMException', () => {
    expect(() => new (bench().WebSocket)('ftp://h/')).toThrow(DOMException);
  });
  it('WHATWG-WEBSOCKETS-constructor-2: http becomes ws and https becomes wss', () => {
    expect(new (bench().WebSocket)('https://h/a').url).toBe('wss://h/a');
    expect(new (bench().WebSocket)('http://h:443/a').url).toBe('ws://h:443/a');
  });
  it('WHATWG-WEBSOCKETS-constructor-3: any other scheme throws SyntaxError', () => {
    for (const url of ['ftp://h/', 'about:blank', 'data:,x', 'file:///x']) {
      expect(nameOf(() => new (bench().WebSocket)(url))).toBe('SyntaxError');
    }
  });
  it('WHATWG-WEBSOCKETS-constructor-4: a fragment, even empty, throws SyntaxError', () => {
    for (const url of ['ws://h/#', 'ws://h/#a', new URL('ws://h/#a')]) {
      expect(nameOf(() => new (bench().WebSocket)(url))).toBe('SyntaxError');
    }
  });
  it('WHATWG-WEBSOCKETS-url-1: url returns the serialised URL', () => {
    expect(new (bench().WebSocket)('WS://H:80/../a?').url).toBe('ws://h/a?');
    expect(new (bench().WebSocket)(new URL('ws://h/é')).url).toBe('ws://h/%C3%A9');
  });
});

describe('subprotocols', () => {
  it('WHATWG-WEBSOCKETS-constructor-5: a string equals a list of one; duplicates and non-tokens throw SyntaxError', () => {
    const asked = (protocols: string | readonly string[]): readonly string[] | undefined => {
      const made = bench();
      new made.WebSocket('ws://h/', protocols);
      return made.requests[0]?.subprotocols;
    };
    expect(asked('chat')).toEqual(['chat']);
    expect(asked(['chat', 'v2.b!'])).toEqual(['chat', 'v2.b!']);
    expect(asked([])).toEqual([]);
    for (const wrong of [
      ['a', 'a'],
      ['a', 'b', 'A'],
      'a b',
      '',
      [''],
      ['a', ''],
      'a,b',
      'a/b',
      'ä',
      'a\u0000',
      'a\r\nX: y',
      '"',
      '\u007f',
    ]) {
      expect(nameOf(() => new (bench().WebSocket)('ws://h/', wrong))).toBe('SyntaxError');
    }
  });
  it('are asked to be answered when there are any', () => {
    const made = bench();
    new made.WebSocket('ws://h/', 'chat');
    new made.WebSocket('ws://h/');
    expect(made.requests.map((request) => request.requireSubprotocol)).toEqual([true, false]);
  });
  it('names of Object.prototype are ordinary tokens', () => {
    const made = bench();
    new made.WebSocket('ws://h/', ['__proto__', 'constructor', 'toString']);
    expect(made.requests[0]?.subprotocols).toEqual(['__proto__', 'constructor', 'toString']);
  });
});

describe('options', () => {
  it('pass headers on and refuse what could inject others', () => {
    const made = bench();
    new made.WebSocket('ws://h/', { protocols: ['a'], headers: [['Authorization', 'Bearer x']] });
    expect(made.requests[0]).toMatchObject({ subprotocols: ['a'], headers: [['Authorization', 'Bearer x']] });
    for (const header of [
      ['X', 'a\r\nY: b'],
      ['X', 'a\nb'],
      ['X', 'a\u0000'],
      ['X\r\n', 'a'],
      ['', 'a'],
      ['X Y', 'a'],
      ['X', 'a\u0100'],
    ] as const) {
      expect(() => new (bench().WebSocket)('ws://h/', { headers: [header] })).toThrow(TypeError);
      expect(() => new (bench().WebSocketStream)('ws://h/', { headers: [header] })).toThrow(TypeError);
    }
  });
  it('refuse headers that are no list of pairs or that the handshake sets itself, before anything is dialled', () => {
    const made = bench();
    for (const [headers, message] of [
      [{ Authorization: 'Bearer x' }, 'headers must be an array'],
      ['X: a', 'headers must be an array'],
      [[null], 'headers must hold pairs'],
      [['X'], 'headers must hold pairs'],
      [[['X', 5]], 'headers must hold pairs'],
      [[['X', 'a', 'b']], 'headers must hold pairs'],
      [[['Host', 'other.example']], 'headers'],
      [[['sec-websocket-key', 'a']], 'headers'],
      [[['Connection', 'close']], 'headers'],
    ] as const) {
      const init = { headers } as unknown as WebSocketInit;
      for (const Class of [made.WebSocket, made.WebSocketStream]) {
        expect(() => new Class('ws://h/', init)).toThrow(TypeError);
        expect(() => new Class('ws://h/', init)).toThrow(message);
      }
    }
    expect(made.requests).toEqual([]);
    // Any iterable of pairs, such as Headers.
    new made.WebSocket('ws://h/', { headers: new Headers({ 'X-A': 'b' }) } as unknown as WebSocketInit);
    expect(made.requests[0]?.headers).toEqual([['x-a', 'b']]);
  });
  it('refuse a signal that is none before anything is dialled', () => {
    const made = bench();
    for (const signal of [{}, 5, 'abort', new AbortController()] as unknown as AbortSignal[]) {
      for (const Class of [made.WebSocket, made.WebSocketStream]) {
        expect(() => new Class('ws://h/', { signal })).toThrow(new TypeError('signal must be an AbortSignal'));
      }
    }
    expect(made.requests).toEqual([]);
  });
  it('offer permessage-deflate as browsers do, unless told not to', () => {
    const made = bench();
    new made.WebSocket('ws://h/');
    new made.WebSocket('ws://h/', { deflate: false });
    expect(made.requests.map((request) => request.extensions.map(({ name }) => name))).toEqual([['permessage-deflate'], []]);
  });
  it('name what is wrong', () => {
    for (const maxBufferedAmount of [-1, Number.NaN, '1' as unknown as number]) {
      expect(() => new (bench().WebSocket)('ws://h/', { maxBufferedAmount })).toThrow(/maxBufferedAmount/);
    }
  });
});

describe('a new socket', () => {
  it('WHATWG-WEBSOCKETS-constructor-6: is CONNECTING, with empty protocol and extensions and binaryType blob', () => {
    const ws = new (bench().WebSocket)('ws://h/', 'chat');
    expect([ws.readyState, ws.protocol, ws.extensions, ws.binaryType, ws.bufferedAmount, ws.connection]).toEqual([
      0,
      '',
      '',
      'blob',
      0,
      null,
    ]);
    expect([ws.onopen, ws.onmessage, ws.onerror, ws.onclose]).toEqual([null, null, null, null]);
  });
  it('WHATWG-WEBSOCKETS-readystate-constants-1: constants are on the constructor and on instances', () => {
    const ws = new (bench().WebSocket)('ws://h/');
    for (const holder of [WebSocket, bench().WebSocket, ws, WebSocket.prototype]) {
      expect([holder.CONNECTING, holder.OPEN, holder.CLOSING, holder.CLOSED]).toEqual([0, 1, 2, 3]);
    }
    expect(Object.getOwnPropertyDescriptor(WebSocket.prototype, 'OPEN')).toMatchObject({ writable: false, enumerable: true });
  });
  it('dispatches nothing before the constructor returned, even when the connector answers at once', async () => {
    const made = bench();
    const ws = new made.WebSocket('ws://h/');
    const log = logOf(ws);
    await made.refuse();
    expect(log).toEqual([]);
    await made.tasks.run();
    expect(log).toEqual(['error 3', 'close 3 false 1006 ""']);
  });
  it('is an EventTarget and an instance of the class of this package', () => {
    const made = bench();
    const ws = new made.WebSocket('ws://h/');
    expect(ws).toBeInstanceOf(EventTarget);
    expect(ws).toBeInstanceOf(WebSocket);
    expect(made.WebSocket.name).toBe('WebSocket');
    expect(made.WebSocketStream.name).toBe('WebSocketStream');
    expect(new made.WebSocketStream('ws://h/')).toBeInstanceOf(WebSocketStream);
  });
  it('misuse throws TypeError', () => {
    const made = bench();
    expect(() => Reflect.construct(made.WebSocket, [])).toThrow(TypeError);
    expect(() => Reflect.construct(made.WebSocketStream, [])).toThrow(TypeError);
  });
});

describe('without a connector', () => {
  it('the URL is judged first, then NotSupportedError says what to do', () => {
    for (const Class of [WebSocket, WebSocketStream]) {
      expect(nameOf(() => new Class('ftp://h/'))).toBe('SyntaxError');
      expect(nameOf(() => new Class('ws://h/'))).toBe('NotSupportedError');
      expect(() => new Class('ws://h/')).toThrow(/connector/);
    }
  });
  it('a subclass with a static connector connects', () => {
    const made = bench();
    class Bound extends WebSocket {
      static override readonly connector = made.connector;
    }
    expect(new Bound('ws://h/').readyState).toBe(0);
    expect(made.requests).toHaveLength(1);
  });
  it('what a connector throws at once leaves the constructor', () => {
    const { WebSocket: Throws } = defineWebSocket({
      connect() {
        throw new TypeError('misuse');
      },
    });
    expect(() => new Throws('ws://h/')).toThrow('misuse');
  });
});

describe('CloseEvent', () => {
  it('WHATWG-WEBSOCKETS-closeevent-1: can be constructed, with defaults wasClean false, code 0, reason ""', () => {
    const plain = new CloseEvent('close');
    expect([plain.wasClean, plain.code, plain.reason, plain.type]).toEqual([false, 0, '', 'close']);
    const full = new CloseEvent('close', { wasClean: true, code: 4000, reason: 'x', cancelable: true });
    expect([full.wasClean, full.code, full.reason, full.cancelable]).toEqual([true, 4000, 'x', true]);
    expect(full).toBeInstanceOf(Event);
    expect(String(full)).toBe('[object CloseEvent]');
    expect(new CloseEvent('close', { code: 65_536 + 1000 }).code).toBe(1000);
    expect(new CloseEvent('close', { wasClean: 1 as unknown as boolean }).wasClean).toBe(true);
  });
});
