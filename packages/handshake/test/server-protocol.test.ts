/** ServerProtocol: two steps, refusals, deadlines, held bytes, flow control (RFC 6455 section 4.2, RFC 9112). */
import { runInNewContext } from 'node:vm';
import {
  type HeaderList,
  type HttpLimits,
  type ServerEvent,
  ServerProtocol,
  type ServerProtocolOptions,
  type ServerSink,
} from '@ferrywire/handshake';
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

/** Shows the whole of a buffer, however large that is. The types of ES2022 do not know of such. */
function resizable(size: number): { readonly data: Uint8Array; resize(size: number): void } {
  const Buffers = ArrayBuffer as unknown as new (
    size: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer & { resize(size: number): void };
  const buffer = new Buffers(size, { maxByteLength: 1000 });
  return { data: new Uint8Array(buffer), resize: (next) => buffer.resize(next) };
}

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
    for (const length of ['1e1', '0x5', '5, 5', '+5', ''])
      expect(() => protocol.startRejection(400, [['Content-Length', length]]), length).toThrow(/Content-Length/);
    for (const status of [101, 199, 600, 400.5, Number.NaN, '400\r\nX: y' as unknown as number])
      expect(() => protocol.reject(status)).toThrow(/status/);
    for (const status of [204, 304]) expect(() => protocol.reject(status, 'x')).toThrow(/body/);
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

    // The size of a piece in hexadecimal, however many digits that has (RFC 9112 section 7.1).
    const large = start({}, get);
    const pieces = large.protocol.startRejection(403);
    large.output();
    for (const [size, digits] of [
      [16, '10'],
      [31, '1f'],
      [4096, '1000'],
    ] as const) {
      pieces.write(new Uint8Array(size).fill(0x78));
      expect(large.output()).toBe(`${digits}\r\n${'x'.repeat(size)}\r\n`);
    }

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

  test('a streamed rejection of which nothing is ever taken is dropped too, where the handshake has no deadline', () => {
    const { protocol, clock } = start({ timeouts: { opening: 0, closing: 100 } }, get);
    expect(protocol.nextTimeout()).toBeNull();
    protocol.startRejection(200);
    expect(protocol.nextTimeout()).toBe(clock.now + 100);
  });

  test('a streamed rejection counts what the peer takes, not what the application writes', () => {
    const { protocol, clock, types } = start({ timeouts: { closing: 100 } }, get);
    const writer = protocol.startRejection(200);
    types();
    protocol.takeOutput();
    protocol.outputStalled();
    for (let i = 0; i < 9; i++) {
      clock.now += 11;
      expect(writer.write(bytes('more'))).toBe(true);
      protocol.handleTimeout();
    }
    clock.now += 1;
    expect(protocol.nextTimeout()).toBe(clock.now);
    protocol.handleTimeout();
    expect([protocol.transport, writer.write(bytes('x')), types()]).toEqual(['abort', false, ['refused']]);

    // Nor does waiting for the application count against a peer that has taken everything, once there is something again.
    const slow = start({ timeouts: { closing: 100 } }, get);
    const pieces = slow.protocol.startRejection(200);
    slow.protocol.takeOutput();
    slow.protocol.outputStalled();
    slow.protocol.outputDrained();
    for (let i = 0; i < 5; i++) {
      slow.clock.now += 99;
      slow.protocol.handleTimeout();
      expect(pieces.write(bytes('x'))).toBe(true);
      slow.protocol.handleTimeout();
      expect([slow.protocol.nextTimeout(), slow.output()]).toEqual([slow.clock.now + 100, '1\r\nx\r\n']);
    }
  });

  test('a streamed rejection from inside the request', () => {
    const told: string[] = [];
    const sink: ServerSink = {
      onRequest() {
        const writer = protocol.startRejection(403);
        expect(writer.write(bytes('no'))).toBe(true);
        writer.end();
        told.push('asked');
      },
      onRefused: (status) => void told.push(`refused ${status}`),
    };
    const { protocol, output } = start({ sink }, null);
    protocol.receiveData(bytes(get));
    expect(told).toEqual(['asked', 'refused 403']);
    expect(parseResponse(output()).status).toBe(403);
  });

  test('limits of HTTP are an object', () => {
    for (const http of [null, 5, 'none'] as unknown[]) {
      expect(() => start({ http: http as HttpLimits })).toThrow(/^options\.http must be an object$/);
    }
  });

  test('a body is text or bytes that are there', () => {
    const gone = new Uint8Array(3);
    structuredClone(gone, { transfer: [gone.buffer] });
    const { protocol, output } = start({}, get);
    for (const body of [null, 5, {}, [1, 2], new ArrayBuffer(3), new DataView(new ArrayBuffer(3)), new Uint16Array(2)] as unknown[]) {
      expect(() => protocol.reject(403, body as string)).toThrow(
        /^body must be a string or a Uint8Array, not (null|number|an array|an object)$/,
      );
    }
    expect(() => protocol.reject(403, gone)).toThrow(/^the buffer of body has been transferred$/);
    expect(output()).toBe('');
    const writer = protocol.startRejection(403);
    output();
    for (const chunk of [undefined, null, 'text', [1], new ArrayBuffer(3)] as unknown[]) {
      expect(() => writer.write(chunk as Uint8Array)).toThrow(
        /^chunk must be a Uint8Array, not (undefined|null|string|an array|an object)$/,
      );
    }
    expect(() => writer.write(gone)).toThrow(/^the buffer of chunk has been transferred$/);
    expect(writer.write(runInNewContext('Uint8Array.of(0x61)') as Uint8Array)).toBe(true);
    expect(output()).toBe('1\r\na\r\n');
  });

  test('so does one that is resized, whatever size it has then', () => {
    for (const [first, second] of [
      [10, 20],
      [40, 20],
      [0, 20],
      // Their sum stays.
      [29, 21],
      [30, 19],
    ] as const) {
      const streamed = start({}, get);
      const writer = streamed.protocol.startRejection(200);
      const pieces = [resizable(30), resizable(20)] as const;
      for (const { data } of pieces) writer.write(data);
      pieces[0].resize(first);
      pieces[1].resize(second);
      expect([streamed.output(), streamed.protocol.transport, writer.write(bytes('x'))]).toEqual(['', 'abort', false]);
    }
    const whole = start({}, get);
    const body = resizable(30);
    whole.protocol.reject(403, body.data);
    body.resize(31);
    expect([whole.output(), whole.protocol.transport, whole.protocol.bufferedAmount]).toEqual(['', 'abort', 0]);
    // What shows a part of it keeps its length.
    const fixed = start({}, get);
    const large = resizable(40);
    fixed.protocol.reject(403, new Uint8Array(large.data.buffer, 0, 30).fill(0x61));
    large.resize(30);
    expect([fixed.output().endsWith('a'.repeat(30)), fixed.protocol.transport]).toEqual([true, 'end']);
  });

  test('a body that is transferred before it was taken drops the transport', () => {
    const give = (data: Uint8Array): void => void structuredClone(data, { transfer: [data.buffer as ArrayBuffer] });
    const whole = start({}, get);
    const body = bytes('whole');
    whole.protocol.reject(403, body);
    give(body);
    expect([whole.output(), whole.protocol.transport, whole.protocol.nextTimeout(), whole.protocol.bufferedAmount]).toEqual([
      '',
      'abort',
      null,
      0,
    ]);
    expect([...whole.protocol.events()].map(({ type }) => type)).toEqual(['request', 'refused']);

    const streamed = start({}, get);
    const writer = streamed.protocol.startRejection(200);
    const piece = bytes('piece');
    writer.write(piece);
    give(piece);
    streamed.types();
    expect([streamed.output(), streamed.protocol.transport, writer.write(bytes('x'))]).toEqual(['', 'abort', false]);
    expect([...streamed.protocol.events()]).toEqual([{ type: 'refused', status: 200, error: 'WS_HS_EOF' }]);
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
    expect([silent.protocol.transport, silent.types(), silent.protocol.nextTimeout()]).toEqual(['abort', ['refused'], null]);
    // Which is the last word, whatever becomes of the transport.
    silent.protocol.receiveEof();
    expect([silent.protocol.transport, silent.types()]).toEqual(['abort', []]);

    // A peer that has ended before it was refused has no time left to run out.
    const half = start({}, 'GET / HTTP/1.1\r\nHo');
    half.protocol.receiveEof();
    expect([half.protocol.transport, half.protocol.nextTimeout()]).toEqual(['done', null]);
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
    // Also when the request is taken after that.
    const late = start();
    late.protocol.receiveEof();
    expect(late.types()).toEqual(['request', 'refused']);
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

  const post = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n';
  test.each([post, `${post}hello`])('during a streamed rejection, whatever came behind the head: %j', (request) => {
    const begin = (before: 'reset' | 'nothing') => {
      const begun = start({}, request);
      begun.types();
      if (before === 'reset') begun.protocol.receiveError(new Error('reset'));
      const writer = begun.protocol.startRejection(403);
      return { ...begun, writer };
    };
    const refused = { type: 'refused', status: 403, error: 'WS_HS_EOF' };
    const broken = begin('nothing');
    expect([broken.writer.write(bytes('x')), broken.protocol.wantsRead]).toEqual([true, true]);
    broken.protocol.receiveData(bytes('more of the body'));
    expect(broken.protocol.wantsRead).toBe(true);
    broken.protocol.receiveError(new Error('reset'));
    expect([broken.writer.write(bytes('x')), broken.protocol.transport, broken.protocol.nextTimeout()]).toEqual([false, 'abort', null]);
    expect([...broken.protocol.events()]).toEqual([refused]);

    // Held behind the body until the application has decided.
    const late = begin('reset');
    expect([late.writer.write(bytes('x')), late.protocol.transport]).toEqual([false, 'abort']);
    expect(late.types()).toEqual(['refused']);

    // Only its own half: the answer still goes out.
    const half = begin('nothing');
    half.protocol.receiveEof();
    expect([half.writer.write(bytes('x')), half.protocol.transport]).toEqual([true, 'open']);
    half.writer.end();
    expect([half.output().endsWith('1\r\nx\r\n0\r\n\r\n'), half.protocol.transport, half.types()]).toEqual([true, 'done', ['refused']]);
  });

  test('before an answer that is whole, whatever came behind the head', () => {
    for (const [how, directive] of [
      ['receiveEof', 'done'],
      ['receiveError', 'abort'],
    ] as const) {
      for (const answer of ['accept', 'reject'] as const) {
        const { protocol, types } = start({}, `${post}hello`);
        types();
        if (how === 'receiveEof') protocol.receiveEof();
        else protocol.receiveError(new Error('reset'));
        if (answer === 'accept') protocol.accept();
        else protocol.reject(404);
        expect([how, answer, protocol.transport, types()]).toEqual([how, answer, directive, ['refused']]);
      }
    }
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

  describe('closing wins over pausing', () => {
    const closeFrame = Uint8Array.of(0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8);
    const onClose = (log: Log) => ({ onClose: (code: number): void => void log.push(['close', code]) });
    const paused = (where: 'onRequest' | 'onOpen', early = bytes(goodRequest())) => {
      const log: Log = [];
      const made: { readonly protocol: ServerProtocol; readonly clock: VirtualClock } = pushed(
        { timeouts: { closing: 100 } },
        {
          onRequest() {
            if (where === 'onRequest') made.protocol.pause();
            made.protocol.accept();
          },
          onOpen() {
            log.push('open');
            if (where === 'onOpen') made.protocol.pause();
          },
          onText: (message) => void log.push(message),
          onEnd: ({ clean, code }) => void log.push(['end', clean, code]),
          ...onClose(log),
        },
      );
      made.protocol.receiveData(early);
      return { ...made, log };
    };

    test.each(['onRequest', 'onOpen'] as const)('after pause() in %s the close frame of the peer is read', (where) => {
      const { protocol, log, clock } = paused(where);
      expect([log, protocol.wantsRead]).toEqual([where === 'onOpen' ? ['open'] : [], false]);
      expect(protocol.close(1000)).toBe(true);
      expect([log, protocol.wantsRead]).toEqual([['open'], true]);
      protocol.takeOutput();
      protocol.receiveData(textFrame('discarded', true));
      protocol.receiveData(closeFrame);
      expect([log.slice(1), protocol.transport]).toEqual([[['close', 1000]], 'end']);
      expect(protocol.connection?.stats.messagesDiscarded).toBe(1);
      protocol.receiveEof();
      expect([log.at(-1), protocol.transport]).toEqual([['end', true, 1000], 'done']);
      clock.now += 100;
      protocol.handleTimeout();
      expect([log.length, protocol.nextTimeout()]).toEqual([3, null]);
    });

    test.each(['onRequest', 'onOpen'] as const)('input that was held since %s is read up to the close frame', (where) => {
      const early = new Uint8Array([...bytes(goodRequest()), ...textFrame('discarded', true), ...closeFrame]);
      const { protocol, log } = paused(where, early);
      protocol.receiveEof();
      expect([log, protocol.transport]).toEqual([where === 'onOpen' ? ['open'] : [], 'open']);
      protocol.close(1000);
      expect([log, protocol.transport]).toEqual([['open', ['close', 1000], ['end', true, 1000]], 'done']);
      expect(protocol.connection?.stats.messagesDiscarded).toBe(1);
    });

    test('close() of the connection itself does the same with the next input', () => {
      const { protocol, log } = paused('onRequest');
      protocol.connection?.close(1000);
      expect(protocol.wantsRead).toBe(true);
      protocol.receiveData(closeFrame);
      expect(log).toEqual(['open', ['close', 1000]]);
      // Or with the deadline: whoever is told of the end has been told of the beginning.
      const silent = paused('onRequest');
      silent.protocol.connection?.close(1000);
      silent.protocol.takeOutput();
      silent.clock.now += 100;
      silent.protocol.handleTimeout();
      expect([silent.log, silent.protocol.transport]).toEqual([['open', ['end', false, 1006]], 'abort']);
    });

    test('abort() tells of the beginning before the end, inside a callback too', () => {
      const { protocol, log } = paused('onRequest');
      protocol.abort();
      expect([log, protocol.transport]).toEqual([['open', ['end', false, 1006]], 'abort']);
      const order: unknown[] = [];
      const inside = pushed(
        {},
        {
          onRequest() {
            inside.protocol.accept();
            inside.protocol.abort();
          },
          onOpen: () => void order.push('open'),
          onEnd: ({ code }) => void order.push(code),
        },
      );
      inside.protocol.receiveData(bytes(goodRequest()));
      expect([order, inside.protocol.transport]).toEqual([['open', 1006], 'abort']);
    });

    test('the end of the transport with nothing held takes effect', () => {
      const { protocol, log } = paused('onOpen');
      protocol.receiveEof();
      expect([log, protocol.transport]).toEqual([['open', ['end', false, 1006]], 'done']);
    });

    test('a transport that broke behind input that is held ends a streamed rejection at once', () => {
      const { log, protocol } = pushed({}, { onRequest: () => {} });
      protocol.receiveData(glued);
      protocol.receiveError(new Error('reset'));
      expect(log).toEqual([]);
      const writer = protocol.startRejection(403);
      expect([log, writer.write(bytes('x')), protocol.transport]).toEqual([[[403, 'WS_HS_EOF']], false, 'abort']);
    });
    test('a handshake that is given up tells of it', () => {
      for (const [how, status] of [
        ['close', 503],
        ['abort', 0],
      ] as const) {
        const early = pushed({}, { onRequest: () => early.protocol.pause() });
        early.protocol.receiveData(bytes(goodRequest()));
        early.protocol[how]();
        expect(early.log).toMatchObject([[status, expect.any(String)]]);
      }
    });
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

  /** Throws for heads, not for what the connection tells. */
  const failing = {
    onTrace: ({ text: line }: { readonly text: string }): void => {
      if (line.includes('HTTP/1.1')) throw new Error(line);
    },
  };

  test('one that throws stops nothing: the exception leaves the call when that is done', () => {
    const { protocol, output, types } = start(failing, null);
    const glued = bytes(goodRequest() + text([textFrame('early', true)]));
    expect(() => protocol.receiveData(glued)).toThrow('< GET /chat HTTP/1.1');
    expect([types(), protocol.wantsRead]).toEqual([['request'], false]);
    expect(() => protocol.accept()).toThrow('> HTTP/1.1 101');
    expect([parseResponse(output()).status, types(), protocol.accept()]).toEqual([101, ['open', 'message'], false]);

    for (const refuse of ['reject', 'handleTimeout', 'close'] as const) {
      const refused = start(failing, null);
      expect(() => refused.protocol.receiveData(bytes(get))).toThrow('< GET /page');
      refused.clock.now += 10_000;
      expect(() => (refuse === 'reject' ? refused.protocol.reject(404) : refused.protocol[refuse]())).toThrow('> HTTP/1.1');
      expect([refuse, parseResponse(refused.output()).status]).toEqual([refuse, { reject: 404, handleTimeout: 408, close: 503 }[refuse]]);
      expect([refused.types(), refused.protocol.transport]).toEqual([['request', 'refused'], 'end']);
    }
  });

  test('one that throws at the head of a streamed rejection is told by the end of it', () => {
    const { protocol, output, types } = start(failing, null);
    expect(() => protocol.receiveData(bytes(get))).toThrow('< GET /page');
    const writer = protocol.startRejection(403);
    expect(writer.write(bytes('no'))).toBe(true);
    expect(() => writer.end()).toThrow('> HTTP/1.1 403');
    expect([output().endsWith('2\r\nno\r\n0\r\n\r\n'), types(), protocol.transport]).toEqual([true, ['request', 'refused'], 'end']);
  });

  test('one that throws in push mode loses no callback', () => {
    const log: string[] = [];
    const sink: ServerSink = { onOpen: () => void log.push('open'), onText: (message) => void log.push(message) };
    const protocol = new ServerProtocol({ clock: () => 0, ...failing, sink });
    // The policy decides inside the same call: the first of two exceptions is told.
    expect(() => protocol.receiveData(bytes(goodRequest() + text([textFrame('early', true)])))).toThrow('< GET /chat HTTP/1.1');
    expect([log, parseResponse(text(protocol.takeOutput())).status]).toEqual([['open', 'early'], 101]);
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
