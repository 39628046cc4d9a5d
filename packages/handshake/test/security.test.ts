/** Classes of bugs other implementations had in their handshakes. S10, S11, S12, S15, S18 and S19 have further tests next to what they are about. */
import { clientDeflate, serverDeflate } from '@ferrywire/deflate';
import {
  acceptKey,
  ClientProtocol,
  decideUpgrade,
  getHeader,
  parseExtensions,
  ServerProtocol,
  type ServerProtocolOptions,
} from '@ferrywire/handshake';
import { expect, test } from 'vitest';
import { bytes, dial, goodRequest, goodResponse, parseResponse, requestFields, serve, text } from './support.ts';

const cpu = (run: () => void): number => {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return user + system;
};
/** The least of three runs: what the work costs, not what else the machine does. */
const cost = (run: () => void): number => Math.max(Math.min(cpu(run), cpu(run), cpu(run)), 100);

test('S5 window bits out of range decline an offer, and fail a client, cleanly', () => {
  const bad = [
    '0',
    '7',
    '16',
    '99',
    '08',
    '1e1',
    '-8',
    '+9',
    '0x9',
    '9.0',
    '99999999999999999999',
    '""',
    '"7"',
    '"08"',
    '"9"; server_max_window_bits=9',
  ];
  for (const value of bad) {
    const field = `permessage-deflate; server_max_window_bits=${value}`;
    const server = decideUpgrade(
      { method: 'GET', target: '/', httpVersion: '1.1', headers: requestFields({ 'Sec-WebSocket-Extensions': field }) },
      { extensions: [serverDeflate()] },
    );
    // An empty quoted string breaks the grammar of the field; the rest merely do not suit.
    expect([value, server.status, getHeader(server.headers, 'sec-websocket-extensions')]).toEqual([
      value,
      value === '""' ? 400 : 101,
      null,
    ]);
    const { events } = dial((key) => [bytes(goodResponse(acceptKey(key), [['Sec-WebSocket-Extensions', field]]))], {
      extensions: [clientDeflate()],
    });
    expect([value, events[0]?.error]).toEqual([value, 'WS_HS_EXTENSIONS']);
  }
});

test('S9 adversarial values cost time in proportion to their length', () => {
  const judge = (name: string, value: string): void => {
    const head = { method: 'GET', target: '/', httpVersion: '1.1', headers: requestFields({ [name]: value }) } as const;
    for (let i = 0; i < 20; i++) decideUpgrade(head, { subprotocols: ['zz'], origins: [/^https:\/\/[a-z.]+$/, null], hosts: ['h'] });
  };
  const names = [
    'Sec-WebSocket-Protocol',
    'Sec-WebSocket-Extensions',
    'Connection',
    'Upgrade',
    'Host',
    'Origin',
    'Sec-WebSocket-Key',
    'Sec-WebSocket-Version',
    'Content-Length',
  ];
  const units = [' ', ',', '\t', 'a ', 'a,', '"', '\\', '"\\', 'a;', 'a;b="', 'a="\\"', '(', ', ', 'a, b; c="d', '0', '%41', '[', ':'];
  for (const name of names) {
    for (const unit of units) {
      const value = (length: number): string => unit.repeat(Math.ceil(length / unit.length));
      judge(name, value(1000));
      // Four times the length: 4 where it is linear, 16 and more where it is not. A busy machine only adds, so one good try is enough; what
      // takes less than a millisecond in all is not measurable and no attack.
      let linear = false;
      for (let attempt = 0; attempt < 5 && !linear; attempt++) {
        const long = cost(() => judge(name, value(65_536)));
        linear = long < 1000 || long / cost(() => judge(name, value(16_384))) < 12;
      }
      expect([name, unit, linear]).toEqual([name, unit, true]);
    }
  }
});

test('S9 500 offers, 1000 subprotocols, 8000 commas, 8000 quotes: milliseconds', () => {
  const values = [
    ['Sec-WebSocket-Extensions', 'permessage-deflate; bogus, '.repeat(500)],
    ['Sec-WebSocket-Protocol', Array.from({ length: 1000 }, (_, n) => `p${n}`).join()],
    ['Sec-WebSocket-Extensions', ','.repeat(8000)],
    ['Sec-WebSocket-Protocol', ','.repeat(8000)],
    ['Sec-WebSocket-Extensions', `a; b="${'\\"'.repeat(8000)}`],
    ['Connection', `${','.repeat(8000)}Upgrade`],
  ] as const;
  for (const [name, value] of values) {
    const head = { method: 'GET', target: '/', httpVersion: '1.1', headers: requestFields({ [name]: value }) } as const;
    expect([name, cost(() => decideUpgrade(head, { extensions: [serverDeflate()], subprotocols: ['p999'] })) < 50_000]).toEqual([
      name,
      true,
    ]);
  }
  expect(parseExtensions(','.repeat(8000))).toBeNull();
});

test('S10 prototype names on the wire change nothing', () => {
  const names = '__proto__, constructor, toString';
  const { events, output } = serve(
    [
      bytes(
        goodRequest({
          'Sec-WebSocket-Protocol': names,
          'Sec-WebSocket-Extensions': '__proto__; constructor=1, permessage-deflate; __proto__=1',
          __proto__: undefined as never,
        }).replace('\r\n\r\n', '\r\n__proto__: x\r\nconstructor: y\r\n\r\n'),
      ),
    ],
    { policy: { subprotocols: ['chat'], extensions: [serverDeflate()] } },
  );
  const { status, fields } = parseResponse(output);
  expect([status, fields.get('sec-websocket-protocol'), fields.get('sec-websocket-extensions')]).toEqual([101, undefined, undefined]);
  const [request] = events as unknown as [{ request: { headers: [string, string][] } }];
  expect(getHeader(request.request.headers, '__proto__')).toBe('x');
  expect(Object.prototype).not.toHaveProperty('x');
  expect(({} as Record<string, unknown>)['1']).toBeUndefined();
});

test('S11 2000 fields in front of the needed ones are refused, not overlooked', () => {
  const many = Array.from({ length: 2000 }, (_, n) => `X-${n}: y\r\n`).join('');
  const { output } = serve([bytes(goodRequest().replace('HTTP/1.1\r\n', `HTTP/1.1\r\n${many}`))]);
  expect(parseResponse(output).status).toBe(431);
});

test('S12 20 MB of head in single bytes: 431, bounded memory', () => {
  const protocol = new ServerProtocol({ clock: () => 0 });
  protocol.receiveData(bytes('GET / HTTP/1.1\r\n'));
  const gc = (globalThis as { gc?: () => void }).gc;
  expect(gc).toBeTypeOf('function');
  gc?.();
  const before = process.memoryUsage().heapUsed;
  const line = bytes(`X: ${'y'.repeat(500)}\r\n`);
  const singles = Array.from(line, (byte) => Uint8Array.of(byte));
  for (let sent = 0; sent < 20_000_000; sent += singles.length) for (const single of singles) protocol.receiveData(single);
  gc?.();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(1_000_000);
  expect(parseResponse(text(protocol.takeOutput())).status).toBe(431);
  expect([...protocol.events()]).toEqual([{ type: 'refused', status: 431, error: 'WS_HS_TOO_LARGE' }]);
});

test('S3 a head in single bytes: memory follows bytes, wherever it stops', () => {
  const gc = (globalThis as { gc?: () => void }).gc;
  expect(gc).toBeTypeOf('function');
  const inUse = (): number => {
    gc?.();
    gc?.();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const long = 'n'.repeat(8000);
  const heads = [
    `GET /${long}`,
    `GET / HTTP/1.1\r\n${`${long}: v\r\n`.repeat(3)}${long}`,
    `GET / HTTP/1.1\r\n${`X: ${long}\r\n`.repeat(3)}X: ${long}`,
  ];
  for (const head of heads) {
    const sent = bytes(head);
    const before = inUse();
    const peers = Array.from({ length: 50 }, () => {
      const protocol = new ServerProtocol({ clock: () => 0 });
      for (let i = 0; i < sent.length; i++) protocol.receiveData(sent.subarray(i, i + 1));
      return protocol;
    });
    expect((inUse() - before) / peers.length).toBeLessThan(2 * sent.length + 8192);
  }
});

test('S3 the body of a refusal in single bytes: memory follows bytes', () => {
  const clients = Array.from({ length: 4 }, () => new ClientProtocol({ clock: () => 0, url: 'ws://h/' }));
  const gc = (globalThis as { gc?: () => void }).gc;
  expect(gc).toBeTypeOf('function');
  const used = (): number => {
    gc?.();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = used();
  const single = Uint8Array.of(0x62);
  for (const client of clients) {
    client.receiveData(bytes('HTTP/1.1 401 x\r\n\r\n'));
    for (let sent = 0; sent < 65_536; sent++) client.receiveData(single);
  }
  // Twice what is kept, and some room for whatever else the process does.
  expect(used() - before).toBeLessThan(1_500_000);
  for (const client of clients) {
    client.receiveEof();
    const [event] = [...client.events()];
    expect(event?.type === 'refused' && 'body' in event && text([event.body])).toBe('b'.repeat(65_536));
  }
});

test('S13 limits hold by default, on both sides', () => {
  const field = `X: ${'y'.repeat(8000)}\r\n`;
  expect(parseResponse(serve([bytes(`GET / HTTP/1.1\r\n${field.repeat(5)}`)]).output).status).toBe(431);
  expect(dial(() => [bytes(`HTTP/1.1 101 x\r\n${field.repeat(5)}`)]).events[0]).toMatchObject({ error: 'WS_HS_TOO_LARGE', response: null });
  expect(dial(() => [bytes(`HTTP/1.1 101 x\r\n${'X: y\r\n'.repeat(101)}`)]).events[0]).toMatchObject({ error: 'WS_HS_TOO_LARGE' });
  const silent = [new ServerProtocol({ clock: () => 5 }), new ClientProtocol({ clock: () => 5, url: 'ws://h/' })];
  for (const protocol of silent) expect(protocol.nextTimeout()).toBe(10_005);
});

test('S15 whatever the application passes in, a response has one head', () => {
  const evil = 'x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n';
  const attempts: (() => unknown)[] = [
    () => new ServerProtocol({ clock: () => 0, policy: { headers: [['X', evil]] } }),
    () => new ServerProtocol({ clock: () => 0, policy: { subprotocols: [evil] } }),
    () => new ClientProtocol({ clock: () => 0, url: 'ws://h/', headers: [['X', evil]] }),
    () => new ClientProtocol({ clock: () => 0, url: 'ws://h/', origin: evil }),
    () => new ClientProtocol({ clock: () => 0, url: 'ws://h/', subprotocols: [evil] }),
    () => new ClientProtocol({ clock: () => 0, url: { secure: false, host: 'h', port: 80, resource: `/${evil}`, userInfo: null } }),
  ];
  for (const attempt of attempts) expect(attempt).toThrow();
  // User info is encoded; a URL has no line ends.
  const protocol = new ClientProtocol({
    clock: () => 0,
    url: { secure: false, host: 'h', port: 80, resource: '/', userInfo: [evil, evil] },
  });
  expect(text(protocol.takeOutput()).match(/\r\n\r\n/g)).toHaveLength(1);
});

test('S18 a page of another site can neither connect nor rebind the name', () => {
  const policy: ServerProtocolOptions['policy'] = { origins: ['http://localhost:3000'], hosts: ['localhost'] };
  const status = (change: { readonly [name: string]: string | undefined }): number =>
    parseResponse(serve([bytes(goodRequest(change))], { policy }).output).status;
  expect(status({ Host: 'localhost:3000', Origin: 'http://localhost:3000' })).toBe(101);
  expect(status({ Host: 'localhost:3000', Origin: 'http://evil.example' })).toBe(403);
  expect(status({ Host: 'evil.example:3000', Origin: 'http://localhost:3000' })).toBe(403);
  expect(status({ Host: 'localhost.evil.example', Origin: 'http://localhost:3000' })).toBe(403);
  expect(status({ Host: 'localhost:3000' })).toBe(403);
});
