/** ClientProtocol: the request, interim responses, refusals with their bodies, deadlines, held bytes (RFC 6455 section 4.1, RFC 9112). */
import { acceptKey, ClientProtocol, type ClientProtocolOptions, type ClientSink } from '@ferrywire/handshake';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytes, dial, eachByte, goodResponse, plain, split, text, textFrame, VirtualClock } from './support.ts';

const KEY = 'AAAAAAAAAAAAAAAAAAAAAA==';
const good = goodResponse(acceptKey(KEY));
const start = (options: Partial<ClientProtocolOptions> = {}, response: string | null = null) => {
  const clock = new VirtualClock();
  const protocol = new ClientProtocol({ clock: clock.read, url: 'ws://h.example/chat', random: (target) => target.fill(0), ...options });
  const request = text(protocol.takeOutput());
  if (response !== null) protocol.receiveData(bytes(response));
  return { clock, protocol, request, all: () => [...protocol.events()].map(plain) };
};
const refusal = (response: string, options: Partial<ClientProtocolOptions> = {}, end = false) => {
  const { protocol, all } = start(options, response);
  if (end) protocol.receiveEof();
  const events = all();
  expect(text(protocol.takeOutput())).toBe('');
  expect(protocol.connection).toBeNull();
  return { event: events[0], count: events.length, transport: protocol.transport };
};

describe('opening', () => {
  test('the request is written at once, and nothing else before the response', () => {
    const { protocol, request, all } = start({ subprotocols: ['a'] });
    expect(request).toBe(
      `GET /chat HTTP/1.1\r\nHost: h.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a\r\n\r\n`,
    );
    expect([protocol.send('x'), protocol.connection, protocol.bufferedAmount, text(protocol.takeOutput())]).toEqual([false, null, 0, '']);
    protocol.receiveData(bytes(good.replace('\r\n\r\n', '\r\nSec-WebSocket-Protocol: a\r\n\r\n')));
    const [event] = [...protocol.events()];
    expect(event).toMatchObject({ type: 'open', response: { status: 101, httpVersion: '1.1' } });
    expect(protocol.connection?.subprotocol).toBe('a');
    expect(protocol.connection?.role).toBe('client');
    expect(protocol.send('x')).toBe(true);
    // Masked, as a client's frames are: two bytes of header, four of key, one of payload.
    expect(protocol.takeOutput().reduce((sum, chunk) => sum + chunk.length, 0)).toBe(7);
    protocol.receiveData(textFrame('hi', false));
    expect(all()).toEqual([{ type: 'message', kind: 'text', data: 'hi' }]);
  });

  test('bufferedAmount counts the request until it is taken', () => {
    const protocol = new ClientProtocol({ clock: () => 0, url: 'ws://h/' });
    const size = protocol.bufferedAmount;
    expect(text(protocol.takeOutput())).toHaveLength(size);
    expect(protocol.bufferedAmount).toBe(0);
  });

  test('frames glued to the 101 come after open, whoever owns the buffer', () => {
    for (const input of ['shared', 'reused', 'transferred'] as const) {
      const { protocol, all } = start({ input });
      const glued = new Uint8Array([...bytes(good), ...textFrame('early', false)]);
      protocol.receiveData(glued);
      if (input === 'reused') glued.fill(0);
      expect(all().map(({ type, data }) => data ?? type)).toEqual(['open', 'early']);
    }
  });

  test('the body of a refusal is kept apart from a buffer that is used again', () => {
    const { protocol, all } = start({ input: 'reused' });
    const glued = Buffer.from('HTTP/1.1 403 No\r\nContent-Length: 8\r\n\r\nno e');
    protocol.receiveData(glued);
    glued.fill(0);
    protocol.receiveData(Buffer.from('ntry'));
    const [event] = all();
    expect([event?.type, text([event?.body as Uint8Array])]).toEqual(['refused', 'no entry']);
  });

  test('interim responses are passed over, within the limits', () => {
    expect(
      dial(() => [bytes(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nUpgrade: h2c\r\n\r\n${good}`)]).events.map(
        ({ type }) => type,
      ),
    ).toEqual(['open']);
    const { event, transport } = refusal('HTTP/1.1 102 Processing\r\n\r\n'.repeat(100_000) + good);
    expect([event, transport]).toEqual([{ type: 'refused', response: null, body: '', error: 'WS_HS_TOO_LARGE' }, 'abort']);
  });

  test('misuse throws at once', () => {
    expect(() => start({ url: 'http://h/' })).toThrow(SyntaxError);
    expect(() => start({ subprotocols: ['a', 'a'] })).toThrow(SyntaxError);
    expect(() => start({ headers: [['Host', 'x']] })).toThrow(/options\.headers/);
    expect(() => start({ timeouts: { opening: -1 } })).toThrow(/options\.timeouts\.opening/);
    expect(() => start({ http: { maxBodySize: -1 } })).toThrow(/options\.http\.maxBodySize/);
  });
});

describe('refused', () => {
  test('a response with its body, by length', () => {
    const { event, transport } = refusal('HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 4\r\n\r\nnope, and more');
    expect(event).toEqual({
      type: 'refused',
      response: {
        status: 401,
        httpVersion: '1.1',
        headers: [
          ['WWW-Authenticate', 'Basic'],
          ['Content-Length', '4'],
        ],
      },
      body: 'nope',
      error: 'WS_HS_STATUS',
    });
    expect(transport).toBe('end');
    expect(refusal('HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n').event).toMatchObject({ body: '' });
    expect(refusal('HTTP/1.1 204 No Content\r\n\r\n').event).toMatchObject({ body: '' });
    // RFC 9112 section 6.3, item 1: the length is that of what a 200 would have had.
    expect(refusal('HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n')).toMatchObject({ event: { body: '' }, transport: 'end' });
  });

  test('chunked, and to the end of the stream', () => {
    const chunked = 'HTTP/1.1 403 x\r\nTransfer-Encoding: chunked\r\n\r\n';
    expect(refusal(`${chunked}3\r\nabc\r\n0A;ext="\r"\r\n`, {}, true).event).toMatchObject({ body: 'abc', error: 'WS_HS_STATUS' });
    expect(refusal(`${chunked}3\r\nabc\r\n0A;ext=1\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n`)).toMatchObject({
      event: { body: 'abc0123456789' },
      transport: 'end',
    });
    for (const size of [9, 10, 15, 16, 31, 153, 255, 256, 4095]) {
      for (const digits of [size.toString(16), size.toString(16).toUpperCase(), `000${size.toString(16)}`]) {
        const { event, transport } = refusal(`${chunked}${digits}\r\n${'x'.repeat(size)}\r\n0\r\n\r\n`);
        expect([digits, event?.body, transport]).toEqual([digits, 'x'.repeat(size), 'end']);
      }
    }
    // Next to the digits.
    for (const wrong of ['/', ':', '@', 'G', '`', 'g', '']) {
      expect(refusal(`${chunked}${wrong}\r\nabc`), wrong).toMatchObject({ event: { body: '' }, transport: 'abort' });
    }
    expect(refusal('HTTP/1.1 500 x\r\n\r\nabc', {}, true)).toMatchObject({
      event: { body: 'abc', error: 'WS_HS_STATUS' },
      transport: 'done',
    });
    // RFC 9112 section 6.3: one length said several times is that length, and what was encoded before it was cut into chunks is chunked all the same.
    for (const [framing, body] of [
      ['Content-Length: 3, 3\r\n', 'abc'],
      ['Content-Length: 3,3\r\nContent-Length: 3\r\n', 'abc'],
      ['Transfer-Encoding: gzip, Chunked\r\n', '3\r\nabc\r\n0\r\n\r\n'],
      ['Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n', '3\r\nabc\r\n0\r\n\r\n'],
    ]) {
      expect(refusal(`HTTP/1.1 500 x\r\n${framing}\r\n${body}`), framing).toMatchObject({ event: { body: 'abc' }, transport: 'end' });
    }
    // Codings that do not end in chunks: to the end of the stream, whatever length is said.
    for (const codings of [
      'Transfer-Encoding: chunked, gzip\r\n',
      'Transfer-Encoding: gzip;as=",chunked"\r\n',
      'Content-Length: 1\r\nTransfer-Encoding: gzip\r\n',
    ]) {
      expect(refusal(`HTTP/1.1 500 x\r\n${codings}\r\nabc`, {}, true).event).toMatchObject({ body: 'abc' });
    }
  });

  test('RFC9112-6.3: lengths that disagree or are none end it at once, without a body', () => {
    for (const length of ['0\r\nContent-Length: 2', '2\r\nContent-Length: 0', 'x', '', '+1', '-0', '1, 2', '1,', '0x0', '1.0', '\t']) {
      const { event, transport } = refusal(`HTTP/1.1 500 x\r\nContent-Length: ${length}\r\n\r\nabc`);
      const told = { type: 'refused', response: { status: 500 }, body: '', error: 'WS_HS_STATUS' };
      expect([length, event, transport]).toMatchObject([length, told, 'abort']);
    }
    expect(refusal('HTTP/1.1 500 x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nabc')).toMatchObject({
      event: { body: 'ab' },
      transport: 'end',
    });
  });

  test('a body that nobody wants is not waited for', () => {
    for (const framing of ['', 'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n']) {
      const { event, transport } = refusal(`HTTP/1.1 401 x\r\n${framing}\r\n`, { http: { maxBodySize: 0 } });
      const told = { type: 'refused', response: { status: 401 }, body: '', error: 'WS_HS_STATUS' };
      expect([framing, event, transport]).toMatchObject([framing, told, 'abort']);
    }
    const empty = refusal('HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n', { http: { maxBodySize: 0 } });
    expect(empty.transport).toBe('end');
  });

  test('a broken chunked body ends it with what there is', () => {
    for (const rest of ['x', '3\nabc', '3\r\nabcX', '3\r\nabc\r\r', '\r\n', '3 x\r\nabc\r\n;\r\n', 'fffffffffffffff\r\n', '0\r\nA: b\n']) {
      const { event, transport } = refusal(`HTTP/1.1 403 x\r\nTransfer-Encoding: Chunked\r\n\r\n${rest}`);
      expect([rest, event, transport]).toMatchObject([rest, { type: 'refused', error: 'WS_HS_STATUS' }, 'abort']);
    }
  });

  test('a body beyond the limit is cut and the transport dropped', () => {
    const body = 'b'.repeat(100_000);
    for (const framing of ['', 'Content-Length: 100000\r\n', 'Content-Length: 99999999999999999999\r\n']) {
      const { event, transport } = refusal(`HTTP/1.1 403 x\r\n${framing}\r\n${body}`);
      expect([event?.body, transport]).toEqual([body.slice(0, 65_536), 'abort']);
    }
    const chunked = `HTTP/1.1 403 x\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\nb\r\n'.repeat(20_000)}`;
    expect(refusal(chunked).transport).toBe('abort');
    expect(refusal(`HTTP/1.1 403 x\r\nTransfer-Encoding: chunked\r\n\r\n1;${'e'.repeat(40_000)}`)).toMatchObject({
      event: { body: '' },
      transport: 'abort',
    });
    expect(refusal('HTTP/1.1 403 x\r\n\r\nabc', { http: { maxBodySize: 2 } }).event).toMatchObject({ body: 'ab' });
    expect(refusal('HTTP/1.1 403 x\r\nContent-Length: 2\r\n\r\nab', { http: { maxBodySize: 2 } })).toMatchObject({
      event: { body: 'ab' },
      transport: 'end',
    });
  });

  test('a 101 that does not fit', () => {
    const { event, transport } = refusal(`${goodResponse('wrong')}${text([textFrame('x', false)])}`);
    expect([event?.error, (event?.response as { status: number } | undefined)?.status, event?.body, transport]).toEqual([
      'WS_HS_ACCEPT',
      101,
      '',
      'end',
    ]);
  });

  test('no HTTP, and no end of it', () => {
    expect(refusal('SSH-2.0-OpenSSH_9.0\r\n')).toMatchObject({ event: { response: null, error: 'WS_HS_SYNTAX' }, transport: 'abort' });
    expect(refusal(`HTTP/1.1 101 x\r\nX: ${'b'.repeat(9000)}`)).toMatchObject({
      event: { response: null, error: 'WS_HS_TOO_LARGE' },
      transport: 'abort',
    });
    expect(refusal('HTTP/2.0 101 x\r\n')).toMatchObject({ event: { response: null, error: 'WS_HS_HTTP_VERSION' } });
  });

  test('after it nothing happens, and the deadline bounds the end', () => {
    const { protocol, clock, all } = start({ timeouts: { closing: 100 } }, 'HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n');
    expect(all()).toHaveLength(1);
    protocol.receiveData(bytes(good));
    expect([all(), protocol.nextTimeout(), protocol.close()]).toEqual([[], clock.now + 100, false]);
    clock.now += 100;
    protocol.handleTimeout();
    expect([protocol.transport, all()]).toEqual(['abort', []]);
  });
});

describe('the end of the transport, deadlines, abort', () => {
  const nothing = (error: string) => [{ type: 'refused', response: null, body: '', error }];
  test('EOF and reset', () => {
    for (const response of [null, 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 101 Sw']) {
      const ended = start({}, response);
      ended.protocol.receiveEof();
      expect([ended.all(), ended.protocol.transport, ended.protocol.transportError]).toEqual([nothing('WS_HS_EOF'), 'done', undefined]);
      const reset = start({}, response);
      const cause = new Error('reset');
      reset.protocol.receiveError(cause);
      expect([reset.all(), reset.protocol.transport]).toEqual([nothing('WS_HS_EOF'), 'abort']);
      expect(reset.protocol.transportError).toBe(cause);
    }
    const cut = start({}, 'HTTP/1.1 500 x\r\nContent-Length: 9\r\n\r\nabc');
    cut.protocol.receiveError(new Error('reset'));
    expect([cut.all()[0], cut.protocol.transport]).toMatchObject([{ body: 'abc', error: 'WS_HS_STATUS' }, 'abort']);
  });

  test('no answer in time, whatever drips in', () => {
    const { protocol, clock, all } = start({ timeouts: { opening: 500 } });
    for (const byte of eachByte(bytes('HTTP/1'))) {
      clock.now += 83;
      protocol.receiveData(byte);
      protocol.handleTimeout();
    }
    expect(all()).toEqual([]);
    clock.now += 2;
    expect(protocol.nextTimeout()).toBe(clock.now);
    protocol.handleTimeout();
    expect([all(), protocol.transport, protocol.nextTimeout()]).toEqual([nothing('WS_HS_TIMEOUT'), 'abort', null]);
    const slow = start({}, 'HTTP/1.1 500 x\r\n\r\nabc');
    slow.clock.now += 5000;
    slow.protocol.outputDrained();
    slow.clock.now += 5000;
    slow.protocol.handleTimeout();
    expect([slow.all()[0], slow.protocol.transport]).toMatchObject([{ body: 'abc', error: 'WS_HS_STATUS' }, 'abort']);
  });

  test('abort and close give up', () => {
    for (const give of ['abort', 'close'] as const) {
      for (const response of [null, 'HTTP/1.1 101 S', 'HTTP/1.1 500 x\r\n\r\nabc']) {
        const { protocol, all } = start({}, response);
        protocol[give]();
        expect([all().map(({ error }) => error), protocol.transport, protocol.nextTimeout()]).toEqual([['WS_HS_EOF'], 'abort', null]);
        protocol[give]();
        protocol.receiveData(bytes(good));
        protocol.receiveEof();
        expect(all()).toEqual([]);
      }
    }
  });
});

describe('a trace that throws', () => {
  test('loses nothing of a response, and is told', () => {
    let fails = false;
    const onTrace = ({ text: line }: { readonly text: string }): void => {
      if (fails && line.includes('HTTP/1.1')) throw new Error(line);
    };
    const { protocol, all } = start({ onTrace });
    fails = true;
    expect(() => protocol.receiveData(bytes(good + text([textFrame('early', false)])))).toThrow('< HTTP/1.1 101');
    expect(all().map(({ type, data }) => data ?? type)).toEqual(['open', 'early']);
    expect(() => start({ onTrace })).toThrow('> GET /chat HTTP/1.1');
  });
});

describe('push mode', () => {
  test('open, messages, end; or refused', () => {
    const log: unknown[] = [];
    const sink: ClientSink = {
      onOpen: (connection, response) => void log.push('open', response.status, connection.role),
      onText: (message) => void log.push(message),
      onEnd: ({ code }) => void log.push(code),
      onRefused: (response, body, error) => void log.push(response?.status, text([body]), error),
    };
    const { protocol } = start({ sink }, good + text([textFrame('hi', false)]));
    protocol.receiveEof();
    expect(log.splice(0)).toEqual(['open', 101, 'client', 'hi', 1006]);
    start({ sink }, 'HTTP/1.1 404 x\r\nContent-Length: 1\r\n\r\nx');
    expect(log.splice(0)).toEqual([404, 'x', 'WS_HS_STATUS']);
    expect(() => protocol.nextEvent()).toThrow(TypeError);
  });

  test.each(['before the response', 'in onOpen'])('closing wins over a pause %s', (when) => {
    const log: unknown[] = [];
    const sink: ClientSink = {
      onOpen() {
        log.push('open');
        if (when === 'in onOpen') protocol.pause();
      },
      onText: (message) => void log.push(message),
      onClose: (code) => void log.push(code),
      onEnd: ({ clean }) => void log.push(clean),
    };
    const { protocol } = start({ sink });
    if (when !== 'in onOpen') protocol.pause();
    protocol.receiveData(bytes(good + text([textFrame('discarded', false)])));
    expect([log.length, protocol.wantsRead]).toEqual([when === 'in onOpen' ? 1 : 0, false]);
    expect(protocol.close(1000)).toBe(true);
    expect([log, protocol.wantsRead]).toEqual([['open'], true]);
    protocol.receiveData(Uint8Array.of(0x88, 0x02, 0x03, 0xe8));
    protocol.receiveEof();
    expect([log, protocol.transport]).toEqual([['open', 1000, true], 'done']);
  });
});

describe('properties', () => {
  const responses = fc.oneof(
    { weight: 3, arbitrary: fc.constant(good) },
    fc.constantFrom(
      `HTTP/1.1 100 x\r\n\r\n${good}`,
      goodResponse('wrong'),
      'HTTP/1.1 404 x\r\nContent-Length: 3\r\n\r\nabc',
      'HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: x\r\n\r\n',
      'HTTP/1.1 500 x\r\n\r\nabc',
      'HTTP/1.0 101 x\r\n\r\n',
      'SSH-2.0\r\n',
    ),
  );

  test('any split of the response and of frames gives the same events and output', () => {
    let opened = 0;
    fc.assert(
      fc.property(
        responses,
        fc.array(fc.string({ maxLength: 20 }), { maxLength: 4 }),
        fc.array(fc.nat(), { maxLength: 10 }),
        fc.boolean(),
        (first, messages, at, end) => {
          const data = new Uint8Array([...bytes(first), ...messages.flatMap((message) => [...textFrame(message, false)])]);
          const whole = dial(() => [data], {}, end);
          if (whole.events[0]?.type === 'open') opened++;
          expect(dial(() => split(data, at), {}, end)).toEqual(whole);
          expect(dial(() => eachByte(data), {}, end)).toEqual(whole);
          for (const input of ['reused', 'transferred'] as const) expect(dial(() => split(data, at), { input }, end)).toEqual(whole);
        },
      ),
      { numRuns: 200 },
    );
    expect(opened).toBeGreaterThan(50);
  });

  test('no bytes make it throw, and there is one last event', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.constantFrom(good, 'HTTP/1.1 ', '404 x\r\n', 'Transfer-Encoding: chunked\r\n', '\r\n', '3\r\nabc\r\n').map(bytes),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (chunks) => {
        const { events, transport } = dial(() => chunks, {}, true);
        expect(events.filter(({ type }) => type === 'end' || type === 'refused')).toHaveLength(1);
        expect(['end', 'refused']).toContain(events.at(-1)?.type);
        expect(['done', 'abort']).toContain(transport);
      }),
      { numRuns: 1000 },
    );
  });
});
