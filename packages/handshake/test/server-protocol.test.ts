/** ServerProtocol: two steps, refusals, deadlines, held bytes, flow control (RFC 6455 section 4.2, RFC 9112). */
import { type HeaderList, type ServerEvent, ServerProtocol, type ServerProtocolOptions, type ServerSink } from '@ferrywire/handshake';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ACCEPT,
  bytes,
  eachByte,
  goodRequest,
  head,
  parseResponse,
  plain,
  requestFields,
  serve,
  split,
  text,
  textFrame,
  VirtualClock,
} from './support.ts';

const start = (options: Partial<ServerProtocolOptions> = {}, request: string | null = goodRequest()) => {
  const clock = new VirtualClock();
  const protocol = new ServerProtocol({ clock: clock.read, ...options });
  if (request !== null) protocol.receiveData(bytes(request));
  return {
    clock,
    protocol,
    output: (): string => text(protocol.takeOutput()),
    types: (): string[] => [...protocol.events()].map(({ type }) => type),
  };
};
const get = 'GET /page HTTP/1.1\r\nHost: h\r\n\r\n';

describe('accept', () => {
  test('request, accept, open, then the connection', () => {
    const { protocol, output } = start();
    const first = protocol.nextEvent() as ServerEvent & { readonly type: 'request' };
    expect(first).toEqual({
      type: 'request',
      isWebSocket: true,
      request: { method: 'GET', target: '/chat', httpVersion: '1.1', headers: requestFields() },
    });
    expect([protocol.nextEvent(), protocol.connection, output(), protocol.send('x')]).toEqual([null, null, '', false]);
    expect(protocol.accept()).toBe(true);
    // The connection is open at once: what is sent goes behind the 101.
    expect(protocol.send('hi')).toBe(true);
    expect(output()).toBe(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n\x81\x02hi`,
    );
    const second = protocol.nextEvent() as ServerEvent & { readonly type: 'open' };
    expect(second.type).toBe('open');
    expect(second.connection).toBe(protocol.connection);
    expect(protocol.connection?.role).toBe('server');
    expect(protocol.nextEvent()).toBeNull();
    protocol.receiveData(textFrame('hello', true));
    expect([...protocol.events()]).toEqual([{ type: 'message', kind: 'text', data: 'hello' }]);
    expect([protocol.transport, protocol.wantsRead]).toEqual(['open', true]);
    expect(protocol.accept()).toBe(false);
  });

  test('bytes behind the head wait for the decision and come after open', () => {
    // Buffers, whose slice() is a view.
    for (const input of ['shared', 'reused', 'transferred'] as const) {
      const { protocol } = start({ input }, null);
      const glued = Buffer.from([...bytes(goodRequest()), ...textFrame('early', true)]);
      protocol.receiveData(glued);
      if (input === 'reused') glued.fill(0);
      expect(protocol.nextEvent()?.type).toBe('request');
      expect([protocol.nextEvent(), protocol.wantsRead]).toEqual([null, false]);
      const later = Buffer.from(textFrame('later', true));
      protocol.receiveData(later);
      if (input === 'reused') later.fill(0);
      expect(protocol.accept()).toBe(true);
      expect([...protocol.events()].map(plain).slice(1)).toEqual([
        { type: 'message', kind: 'text', data: 'early' },
        { type: 'message', kind: 'text', data: 'later' },
      ]);
      expect(protocol.wantsRead).toBe(true);
    }
  });

  test('a policy for this request, and a mistake in it', () => {
    const { protocol } = start({}, goodRequest({ 'Sec-WebSocket-Protocol': 'a, b' }));
    expect(() => protocol.accept({ subprotocols: () => 'c' })).toThrow(/policy\.subprotocols/);
    // Nothing was decided by it.
    expect(protocol.accept({ subprotocols: ['b'] })).toBe(true);
    expect(protocol.connection?.subprotocol).toBe('b');
    expect(() => new ServerProtocol({ clock: () => 0, policy: { headers: [['A', 'b\r\n']] } })).toThrow(/policy\.headers/);
  });

  test('accept and reject before a request are misuse', () => {
    const { protocol } = start({}, 'GET / HT');
    expect(() => protocol.accept()).toThrow(/accept: there is no request/);
    expect(() => protocol.reject(404)).toThrow(/reject: there is no request/);
    expect(() => protocol.startRejection(404)).toThrow(/startRejection: there is no request/);
  });

  test('options that make no sense', () => {
    for (const timeouts of [{ opening: -1 }, { closing: Number.NaN }, { opening: '5' as unknown as number }]) {
      expect(() => new ServerProtocol({ clock: () => 0, timeouts })).toThrow(RangeError);
    }
    expect(() => new ServerProtocol({} as ServerProtocolOptions)).toThrow(/options\.clock/);
    expect(() => new ServerProtocol({ clock: () => 0, http: { maxHeadSize: -1 } })).toThrow(/options\.http\.maxHeadSize/);
  });
});

describe('refusals', () => {
  test('a request that does not qualify', () => {
    const { protocol, output } = start({}, goodRequest({ 'Sec-WebSocket-Key': 'x' }));
    expect(protocol.nextEvent()).toMatchObject({ isWebSocket: true });
    expect(protocol.accept()).toBe(false);
    expect(protocol.nextEvent()).toEqual({ type: 'refused', status: 400, error: 'WS_HS_KEY' });
    const { status, fields, body } = parseResponse(output());
    expect([status, fields.get('connection'), fields.get('content-length')]).toEqual([400, 'close', String(body.length)]);
    expect([protocol.transport, protocol.wantsRead, protocol.connection]).toEqual(['end', true, null]);
  });

  test('each refusal by the parser, with the status and the fields it needs', () => {
    const cases: [string, number, string][] = [
      ['GET / HTTP/2.0\r\n', 505, 'WS_HS_HTTP_VERSION'],
      [`GET /${'a'.repeat(9000)}`, 414, 'WS_HS_TOO_LARGE'],
      [`GET / HTTP/1.1\r\nX: ${'a'.repeat(9000)}`, 431, 'WS_HS_TOO_LARGE'],
      [`GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(101)}`, 431, 'WS_HS_TOO_LARGE'],
      ['\x16\x03\x01', 400, 'WS_HS_SYNTAX'],
    ];
    for (const [content, status, error] of cases) {
      const { protocol, output } = start({}, content);
      expect([...protocol.events()]).toEqual([{ type: 'refused', status, error }]);
      const answer = parseResponse(output());
      expect([answer.status, answer.fields.get('connection'), answer.fields.get('content-length')]).toEqual([
        status,
        'close',
        String(answer.body.length),
      ]);
      expect(protocol.accept()).toBe(false);
    }
  });

  test('reject: body, fields, and what we add', () => {
    const refuse = (status: number, body?: string | Uint8Array, headers?: HeaderList, request = get) => {
      const { protocol, output } = start({}, request);
      const event = protocol.nextEvent() as ServerEvent & { readonly type: 'request' };
      expect(event.isWebSocket).toBe(request !== get && request.startsWith('GET'));
      protocol.reject(status, body, headers);
      expect(protocol.nextEvent()).toEqual({ type: 'refused', status, error: 'WS_HS_STATUS' });
      return output();
    };
    expect(refuse(401, 'no\u00e9', [['WWW-Authenticate', 'Basic']])).toBe(
      'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\nConnection: close\r\n\r\nno\xc3\xa9',
    );
    expect(refuse(200, bytes('<p>'), [['Content-Type', 'text/html']])).toBe(
      'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\nConnection: close\r\n\r\n<p>',
    );
    expect(refuse(302, undefined, [['Location', '/x']], goodRequest())).toBe(
      'HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
    );
    expect(refuse(204)).toBe('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n');
    expect(
      refuse(299, 'ab', [
        ['content-length', '2'],
        ['Connection', 'close'],
        ['content-type', 'x'],
      ]),
    ).toBe('HTTP/1.1 299 \r\ncontent-length: 2\r\nConnection: close\r\ncontent-type: x\r\n\r\nab');
    expect(refuse(404, 'abc', [], 'HEAD / HTTP/1.1\r\n\r\n')).toMatch(/Content-Length: 3\r\nConnection: close\r\n\r\n$/);
  });

  test('S15 a rejection cannot be split or framed twice', () => {
    const { protocol, output } = start({}, get);
    for (const value of ['a\r\nB: c', 'a\nb', 'a\u0000']) {
      expect(() => protocol.reject(400, '', [['X', value]])).toThrow(/headers/);
      expect(() => protocol.reject(400, '', [[value, 'x']])).toThrow(/headers/);
      expect(() => protocol.startRejection(400, [['X', value]])).toThrow(/headers/);
    }
    for (const field of [
      ['Transfer-Encoding', 'chunked'],
      ['Content-Length', '5'],
      ['content-length', '-1'],
      ['Connection', 'keep-alive'],
    ] as const)
      expect(() => protocol.reject(400, 'x', [field])).toThrow(TypeError);
    for (const status of [101, 199, 600, 400.5, Number.NaN, '400\r\nX: y' as unknown as number])
      expect(() => protocol.reject(status)).toThrow(/status/);
    expect(() => protocol.reject(204, 'x')).toThrow(/body/);
    expect(output()).toBe('');
    protocol.reject(400);
    expect(output()).toMatch(/^HTTP\/1\.1 400 /);
    // Too late is no mistake.
    protocol.reject(500);
    const late = protocol.startRejection(500);
    expect([late.write(bytes('x')), protocol.accept(), output()]).toEqual([false, false, '']);
  });

  test('a streamed rejection: chunked, by length, and to HTTP/1.0', () => {
    const { protocol, output, types } = start({}, get);
    const writer = protocol.startRejection(403, [['X-A', 'b']]);
    expect(types()).toEqual(['request']);
    expect(output()).toBe('HTTP/1.1 403 Forbidden\r\nX-A: b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n');
    expect([writer.write(bytes('hello, world')), writer.write(new Uint8Array(0))]).toEqual([true, true]);
    expect([output(), protocol.transport]).toEqual(['c\r\nhello, world\r\n', 'open']);
    writer.end();
    writer.end();
    expect([output(), protocol.transport, types(), writer.write(bytes('x'))]).toEqual(['0\r\n\r\n', 'end', ['refused'], false]);

    const sized = start({}, get);
    const exact = sized.protocol.startRejection(403, [['Content-Length', '5']]);
    exact.write(bytes('abc'));
    expect(() => exact.end()).toThrow(RangeError);
    expect(() => exact.write(bytes('abc'))).toThrow(RangeError);
    exact.write(bytes('de'));
    exact.end();
    expect(parseResponse(sized.output()).body).toBe('abcde');

    const old = start({}, 'GET / HTTP/1.0\r\n\r\n');
    const plainWriter = old.protocol.startRejection(200);
    plainWriter.write(bytes('abc'));
    plainWriter.end();
    expect(old.output()).toBe('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc');
  });

  test('a streamed rejection whose peer takes nothing is dropped', () => {
    const { protocol, clock, types } = start({ timeouts: { closing: 100 } }, get);
    const writer = protocol.startRejection(200);
    types();
    clock.now += 90;
    protocol.takeOutput();
    clock.now += 90;
    protocol.handleTimeout();
    expect(protocol.transport).toBe('open');
    clock.now += 10;
    expect(protocol.nextTimeout()).toBe(clock.now);
    protocol.handleTimeout();
    expect([protocol.transport, protocol.nextTimeout(), writer.write(bytes('x'))]).toEqual(['abort', null, false]);
    expect([...protocol.events()]).toEqual([{ type: 'refused', status: 200, error: 'WS_HS_TIMEOUT' }]);
  });

  test('after a refusal input is discarded until the peer ends, or the closing deadline', () => {
    const { protocol, clock } = start(
      { timeouts: { closing: 500 } },
      `${goodRequest({ Upgrade: undefined })}${text([textFrame('x', true)])}`,
    );
    protocol.accept();
    protocol.takeOutput();
    expect([...protocol.events()].map(({ type }) => type)).toEqual(['request', 'refused']);
    for (let i = 0; i < 100; i++) protocol.receiveData(new Uint8Array(10_000));
    expect([protocol.transport, protocol.wantsRead, protocol.nextTimeout()]).toEqual(['end', true, clock.now + 500]);
    protocol.receiveEof();
    expect([protocol.transport, protocol.nextTimeout(), protocol.nextEvent()]).toEqual(['done', null, null]);

    const silent = start({ timeouts: { closing: 500 } }, '\x00');
    silent.protocol.takeOutput();
    silent.clock.now += 499;
    silent.protocol.handleTimeout();
    expect(silent.protocol.transport).toBe('end');
    // Draining is progress.
    silent.protocol.outputDrained();
    silent.clock.now += 499;
    silent.protocol.handleTimeout();
    expect(silent.protocol.transport).toBe('end');
    silent.clock.now += 1;
    silent.protocol.handleTimeout(silent.clock.now);
    expect([silent.protocol.transport, silent.types()]).toEqual(['abort', ['refused']]);
  });

  test('a body is never taken for frames', () => {
    const body = text([textFrame('hidden', true)]);
    for (const extra of [{ 'Content-Length': String(body.length) }, { 'Transfer-Encoding': 'chunked' }]) {
      const { events, output, transport } = serve([bytes(goodRequest(extra) + body)]);
      expect(events.map(({ type, error }) => error ?? type)).toEqual(['request', 'WS_HS_BODY']);
      expect([parseResponse(output).status, transport]).toEqual([400, 'end']);
    }
  });
});

describe('the end of the transport', () => {
  test('before, inside and after the head', () => {
    const silent = start({}, null);
    silent.protocol.receiveEof();
    expect([[...silent.protocol.events()], silent.output(), silent.protocol.transport]).toEqual([
      [{ type: 'refused', status: 0, error: 'WS_HS_EOF' }],
      '',
      'done',
    ]);
    const half = start({}, 'GET / HTTP/1.1\r\nHo');
    half.protocol.receiveEof();
    expect([[...half.protocol.events()], parseResponse(half.output()).status, half.protocol.transport]).toEqual([
      [{ type: 'refused', status: 400, error: 'WS_HS_EOF' }],
      400,
      'done',
    ]);
    const reset = start({}, 'GET / HTTP/1.1\r\nHo');
    reset.protocol.receiveError(new Error('reset'));
    expect([[...reset.protocol.events()], reset.output(), reset.protocol.transport]).toEqual([
      [{ type: 'refused', status: 0, error: 'WS_HS_EOF' }],
      '',
      'abort',
    ]);
  });

  test('while the application decides', () => {
    const gone = start();
    gone.types();
    gone.protocol.receiveEof();
    expect([[...gone.protocol.events()], gone.protocol.accept(), gone.output(), gone.protocol.transport]).toEqual([
      [{ type: 'refused', status: 0, error: 'WS_HS_EOF' }],
      false,
      '',
      'done',
    ]);
    // Half-closed after an ordinary request: it gets its answer.
    const page = start({}, get);
    page.types();
    page.protocol.receiveEof();
    page.protocol.reject(200, 'page');
    expect([parseResponse(page.output()).body, page.protocol.transport, page.types()]).toEqual(['page', 'done', ['refused']]);
    const broken = start({}, get);
    broken.types();
    broken.protocol.receiveError(new Error('reset'));
    expect([broken.types(), broken.protocol.transport]).toEqual([['refused'], 'abort']);
  });

  test('it takes effect after input that is held', () => {
    const { events } = serve([bytes(goodRequest() + text([textFrame('last', true)]))], {}, true);
    expect(events.map(({ type }) => type)).toEqual(['request', 'open', 'message', 'end']);
    // Also when nobody has looked yet.
    const { protocol } = start({}, goodRequest() + text([textFrame('last', true)]));
    protocol.receiveEof();
    protocol.accept();
    expect([...protocol.events()].map(({ type }) => type)).toEqual(['request', 'open', 'message', 'end']);
  });
});

describe('deadlines', () => {
  test('the opening deadline runs from the start through the decision', () => {
    for (const request of [null, 'GET / HTTP/1.1\r\nHost: h', goodRequest(), get]) {
      const { protocol, clock, output } = start({ timeouts: { opening: 3000 } }, request);
      const seen = [...protocol.events()].length;
      clock.now += 2999;
      protocol.handleTimeout();
      expect([protocol.nextTimeout(), output()]).toEqual([clock.now + 1, '']);
      clock.now += 1;
      protocol.handleTimeout();
      expect([...protocol.events()]).toEqual([{ type: 'refused', status: 408, error: 'WS_HS_TIMEOUT' }]);
      const answer = parseResponse(output());
      expect([answer.status, answer.fields.get('connection'), protocol.transport]).toEqual([408, 'close', 'end']);
      expect(seen).toBe(request === goodRequest() || request === get ? 1 : 0);
      if (seen === 1) expect(protocol.accept()).toBe(false);
    }
  });

  test('a byte now and then does not move it', () => {
    const { protocol, clock } = start({}, 'GET / HTTP/1.1\r\n');
    for (let i = 0; i < 9; i++) {
      clock.now += 1000;
      protocol.receiveData(bytes('X: y\r\n'));
      protocol.handleTimeout();
      expect(protocol.transport).toBe('open');
    }
    clock.now += 1000;
    protocol.handleTimeout();
    expect(protocol.transport).toBe('end');
  });

  test('0 turns it off, and an open connection has its own', () => {
    const off = start({ timeouts: { opening: 0 } }, null);
    expect(off.protocol.nextTimeout()).toBeNull();
    const { protocol, clock } = start({ timeouts: { opening: 50, keepalive: 0 } });
    protocol.accept();
    clock.now += 100_000;
    protocol.handleTimeout();
    expect([protocol.transport, protocol.nextTimeout()]).toEqual(['open', null]);
  });
});

describe('abort and close before open', () => {
  test('abort drops the transport', () => {
    for (const request of [null, goodRequest(), get]) {
      const { protocol, output } = start({}, request);
      protocol.abort();
      expect([[...protocol.events()].at(-1), output(), protocol.transport, protocol.nextTimeout()]).toEqual([
        { type: 'refused', status: 0, error: 'WS_HS_EOF' },
        '',
        'abort',
        null,
      ]);
      protocol.abort();
      protocol.receiveData(bytes(goodRequest()));
      protocol.receiveEof();
      expect(protocol.nextEvent()).toBeNull();
    }
    const refused = start({}, '\x00');
    refused.protocol.abort();
    expect([refused.protocol.transport, refused.types()]).toEqual(['abort', ['refused']]);
  });

  test('close answers 503', () => {
    const { protocol, output } = start();
    expect(protocol.close(1001)).toBe(true);
    expect([parseResponse(output()).status, protocol.transport, protocol.close(), protocol.accept()]).toEqual([503, 'end', false, false]);
  });
});

describe('push mode', () => {
  type Log = (string | readonly unknown[])[];
  const pushed = (options: Partial<ServerProtocolOptions> = {}, more: ServerSink = {}) => {
    const log: Log = [];
    const sink: ServerSink = {
      onOpen: () => void log.push('open'),
      onRefused: (status, error) => void log.push([status, error]),
      onText: (message) => void log.push(message),
      onEnd: ({ code }) => void log.push(['end', code]),
      ...more,
    };
    const clock = new VirtualClock();
    return { log, clock, protocol: new ServerProtocol({ clock: clock.read, ...options, sink }) };
  };
  const glued = bytes(goodRequest() + text([textFrame('a', true), textFrame('b', true)]));

  test('without onRequest the policy of the options decides', () => {
    const { log, protocol } = pushed({ policy: { path: '/chat' } });
    protocol.receiveData(glued);
    expect(log).toEqual(['open', 'a', 'b']);
    protocol.receiveEof();
    expect(log).toEqual(['open', 'a', 'b', ['end', 1006]]);
    const other = pushed({ policy: { path: '/other' } });
    other.protocol.receiveData(glued);
    expect(other.log).toEqual([[404, 'WS_HS_PATH']]);
  });

  test('with onRequest the application decides, at once or later', () => {
    const order: string[] = [];
    const now = pushed(
      {},
      {
        onRequest: () => {
          now.protocol.accept();
          order.push('after accept');
        },
        onOpen: () => void order.push('open'),
      },
    );
    now.protocol.receiveData(glued);
    // Callbacks do not nest.
    expect([order, now.log]).toEqual([
      ['after accept', 'open'],
      ['a', 'b'],
    ]);
    const requests: unknown[] = [];
    const later = pushed({}, { onRequest: (request, isWebSocket) => void requests.push(request.target, isWebSocket) });
    later.protocol.receiveData(glued);
    expect([requests, later.log]).toEqual([['/chat', true], []]);
    expect(later.protocol.wantsRead).toBe(false);
    later.protocol.accept();
    expect(later.log).toEqual(['open', 'a', 'b']);
  });

  test('a callback that throws consumes its event; resume goes on', () => {
    const failing = pushed(
      {},
      {
        onOpen: () => {
          throw new Error('mine');
        },
      },
    );
    expect(() => failing.protocol.receiveData(glued)).toThrow('mine');
    expect([failing.log, failing.protocol.connection === null]).toEqual([[], false]);
    failing.protocol.resume();
    expect(failing.log).toEqual(['a', 'b']);
    const asking = pushed(
      {},
      {
        onRequest: () => {
          throw new Error('mine');
        },
      },
    );
    expect(() => asking.protocol.receiveData(glued)).toThrow('mine');
    asking.protocol.resume();
    expect(asking.log).toEqual([]);
    asking.protocol.accept();
    expect(asking.log).toEqual(['open', 'a', 'b']);
  });

  test('pause holds the handshake back too', () => {
    const { log, protocol } = pushed();
    protocol.pause();
    protocol.receiveData(glued);
    expect([log, protocol.wantsRead]).toEqual([[], false]);
    protocol.resume();
    expect([log, protocol.wantsRead]).toEqual([['open', 'a', 'b'], true]);
    protocol.pause();
    protocol.receiveData(textFrame('c', true));
    expect([log.length, protocol.wantsRead]).toEqual([3, false]);
    protocol.resume();
    expect(log.at(-1)).toBe('c');
  });

  test('events belong to the sink', () => {
    const { protocol } = pushed();
    expect(() => protocol.nextEvent()).toThrow(TypeError);
    expect(() => protocol.events()).toThrow(TypeError);
  });

  test('the peer goes while the application decides', () => {
    const { log, protocol } = pushed({}, { onRequest: () => undefined });
    protocol.receiveData(bytes(goodRequest()));
    protocol.receiveEof();
    expect([log, protocol.accept()]).toEqual([[[0, 'WS_HS_EOF']], false]);
  });
});

describe('trace', () => {
  test('start lines of both heads', () => {
    const lines: string[] = [];
    const { protocol } = start({ onTrace: ({ direction, text: line }) => lines.push(`${direction} ${line}`) });
    protocol.accept();
    expect(lines.slice(0, 2)).toEqual(['in < GET /chat HTTP/1.1', 'out > HTTP/1.1 101 Switching Protocols']);
  });
});

describe('properties', () => {
  const cuts = fc.array(fc.nat(), { maxLength: 10 });
  const frames = fc.array(fc.string({ maxLength: 20 }), { maxLength: 5 });
  const request = fc.oneof(
    { weight: 3, arbitrary: fc.constant(goodRequest()) },
    fc.constantFrom(
      get,
      goodRequest({ 'Content-Length': '3' }),
      goodRequest({ 'Sec-WebSocket-Key': 'x' }),
      head('GET /a HTTP/1.0', requestFields()),
      'GET /\r\n\r\n',
      `GET / HTTP/1.1\r\nX: ${'y'.repeat(9000)}`,
    ),
  );

  test('any split of head and frames gives the same events and the same output', () => {
    let opened = 0;
    fc.assert(
      fc.property(request, frames, cuts, fc.boolean(), (first, messages, at, end) => {
        const data = new Uint8Array([...bytes(first), ...messages.flatMap((message) => [...textFrame(message, true)])]);
        const whole = serve([data], {}, end);
        if (whole.events.some(({ type }) => type === 'open')) opened++;
        expect(serve(split(data, at), {}, end)).toEqual(whole);
        expect(serve(eachByte(data), {}, end)).toEqual(whole);
        for (const input of ['reused', 'transferred'] as const) expect(serve(split(data, at), { input }, end)).toEqual(whole);
      }),
      { numRuns: 200 },
    );
    expect(opened).toBeGreaterThan(50);
  });

  test('no bytes make it throw, and nothing comes after the last event', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.constantFrom(goodRequest(), 'GET / HTTP/1.1\r\n', 'Host: h\r\n', '\r\n').map(bytes),
      fc.string({ maxLength: 30 }).map((message) => textFrame(message, true)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (chunks) => {
        const { events, transport } = serve(chunks, {}, true);
        expect(events.filter(({ type }) => type === 'end' || type === 'refused')).toHaveLength(1);
        expect(['end', 'refused']).toContain(events.at(-1)?.type);
        expect(['done', 'abort']).toContain(transport);
      }),
      { numRuns: 1000 },
    );
  });
});
