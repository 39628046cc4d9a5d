/**
 * What the harness asks for besides: headers, a host, subprotocols; of servers and for clients, over HTTP/1.1 and HTTP/2.
 */
import { connect, createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { cases, clientListener, collect, extraCases, http2Server, runCases, serverCommand, serverUrl } from '@ferrywire/conformance';
import { describe, expect, it } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import { cleanUps, command, greetingServer, node, portOf } from './servers.ts';

/** A server that takes requests with these headers only, and chooses the subprotocol. */
async function picky(headers: Readonly<Record<string, string>>, subprotocol: string | false): Promise<{ url: string; seen: string[][] }> {
  const seen: string[][] = [];
  const server = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    perMessageDeflate: true,
    verifyClient: ({ req }: { req: { headers: IncomingHttpHeaders; rawHeaders: string[] } }) => {
      seen.push(req.rawHeaders);
      return Object.entries(headers).every(([name, value]) => req.headers[name] === value);
    },
    handleProtocols: () => subprotocol,
  });
  await new Promise((resolve) => server.once('listening', resolve));
  server.on('connection', (socket) => {
    socket.on('error', () => {});
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  cleanUps.push(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return { url: `ws://127.0.0.1:${portOf(server)}/chat`, seen };
}

const verdicts = (results: readonly { id: string; verdict: string; reason: string | null }[]): string[] =>
  results.map(({ id, verdict, reason }) => `${id} ${verdict}${reason === null ? '' : ` ${reason}`}`);

describe('requests to a server', () => {
  it('carry the headers, in cases about the opening handshake and with a deflate offer too', async () => {
    const { url, seen } = await picky({ authorization: 'Bearer x: {key}{y}', origin: 'https://app.example', host: 'app.example' }, 'chat');
    const headers = [
      ['Authorization', 'Bearer x: {key}{y}'],
      ['origin', 'https://app.example'],
      ['HOST', 'app.example'],
      ['User-Agent', 'mine'],
    ] as const;
    const target = serverUrl(url, { headers, subprotocols: ['chat', 'other'] });
    const results = await collect(runCases(target, { include: ['1.1.1', '12.1.1'] }));
    expect(verdicts(results)).toEqual(['1.1.1 OK', '12.1.1 OK']);
    const names = seen[0]?.filter((_, index) => index % 2 === 0) ?? [];
    expect(names.slice(0, 5)).toEqual(['Host', 'Upgrade', 'Connection', 'Sec-WebSocket-Key', 'Sec-WebSocket-Version']);
    expect(names.slice(5)).toEqual(['Authorization', 'origin', 'User-Agent', 'Sec-WebSocket-Protocol']);
    expect(seen[0]?.at(-1)).toBe('chat, other');
    // All of them are accepted, so that each was sent with the headers.
    const accepted = await command(
      'server',
      url,
      '--cases',
      'F.9.1,F.9.2,F.9.3,F.9.6',
      ...headers.flatMap(([name, value]) => ['--header', `${name}: ${value}`]),
    );
    expect(accepted.out.at(-1)).toMatch(/4 cases in .* 0 FAILED$/);
    const without = await command('server', url, '--cases', '1.1.1');
    expect(without.out[0]).toMatch(/^FAILED +1\.1\.1 .*the server answered 'HTTP\/1\.1 401 Unauthorized'/);
  });

  it('have a subprotocol answered that was asked for, or none', async () => {
    const verdictOf = async (answer: string, ...asked: string[]): Promise<string[]> => {
      const url = await greetingServer((socket) => socket.end(), answer);
      return verdicts(await collect(runCases(serverUrl(url, { subprotocols: asked }), { include: ['7.1.1'] })));
    };
    const wrong = "7.1.1 FAILED opening handshake: subprotocol 'chat' was not asked for (RFC 6455 4.1)";
    expect(await verdictOf('Sec-WebSocket-Protocol: chat\r\n')).toEqual([wrong]);
    expect(await verdictOf('Sec-WebSocket-Protocol: chat\r\n', 'Chat', 'chat2')).toEqual([wrong]);
    expect(await verdictOf('Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: other\r\n', 'chat', 'other')).toEqual([
      "7.1.1 FAILED opening handshake: subprotocol 'chat, other' was not asked for (RFC 6455 4.1)",
    ]);
    // The server hangs up then, which the case blames it for: the handshake was right.
    expect((await verdictOf('Sec-WebSocket-Protocol: chat\r\n', 'other', 'chat'))[0]).not.toContain('asked for');
    expect((await verdictOf('', 'chat'))[0]).not.toContain('asked for');
  });

  it('carry them over HTTP/2', async () => {
    const seen: IncomingHttpHeaders[] = [];
    const server = createServer({ settings: { enableConnectProtocol: true } });
    const sessions = new Set<{ destroy(): void }>();
    server.on('session', (session) => sessions.add(session));
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      seen.push(headers);
      stream.on('error', () => {});
      stream.respond({ ':status': 200, 'sec-websocket-protocol': 'chat' });
      stream.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanUps.push(() => {
      for (const session of sessions) session.destroy();
      server.close();
    });
    const address = server.address();
    const url = `ws://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
    const headers = [
      ['Host', 'app.example'],
      ['Authorization', 'Bearer x'],
      ['Cookie', 'a=1'],
      ['cookie', 'b=2'],
      ['Constructor', 'c'],
    ] as const;
    const run = async (subprotocols: string[]): Promise<string> =>
      verdicts(await collect(runCases(http2Server(url, { headers, subprotocols }), { include: ['7.1.1'] })))[0] ?? '';
    expect(await run(['chat'])).not.toContain('asked for');
    expect(await run(['other'])).toBe("7.1.1 FAILED opening handshake: subprotocol 'chat' was not asked for (RFC 6455 4.1)");
    expect(seen[0]).toMatchObject({
      ':authority': 'app.example',
      authorization: 'Bearer x',
      cookie: 'a=1; b=2',
      'sec-websocket-protocol': 'chat',
    });
    expect(Object.entries(seen[0] ?? {})).toContainEqual(['constructor', 'c']);
    // What is none there is no fault of the server's.
    for (const names of [['Keep-Alive'], ['Authorization', 'authorization']]) {
      const target = http2Server(url, { headers: names.map((name) => [name, 'x']) });
      const running = collect(runCases(target, { include: ['7.1.1'] }));
      await expect(running).rejects.toThrow(new RegExp(`can not be given over HTTP/2: .*${names[0]}`, 'i'));
    }
  });

  it('of a server that is started for the run go to its path', async () => {
    const script = [
      "const { WebSocketServer } = require('ws');",
      "new WebSocketServer({ port: process.argv[1], host: '127.0.0.1', path: '/echo', verifyClient: ({ req }) => req.headers['x-key'] === 'k' })",
      ".on('connection', (s) => s.on('message', (d, b) => s.send(d, { binary: b })))",
    ].join('');
    const start = `${node} -e "${script}" {port}`;
    const target = serverCommand(start, { path: '/echo?a=1', headers: [['X-Key', 'k']] });
    expect(verdicts(await collect(runCases(target, { include: ['1.1.1'] })))).toEqual(['1.1.1 OK']);
    expect((await command('server', '--command', start, '--path', '/echo', '--header', 'X-Key:k', '--cases', '1.1.1')).code).toBe(0);
    expect((await command('server', '--command', start, '--header', 'X-Key: k', '--cases', '1.1.1')).code).toBe(1);
  });
});

describe('clients', () => {
  it('get a subprotocol that they ask for, in cases about the opening handshake too', async () => {
    const chosen: string[] = [];
    const target = clientListener({
      port: 0,
      subprotocols: ['second', 'first'],
      onListening: async (url) => {
        const visit = (path: string, asked: string[]): Promise<void> =>
          new Promise((resolve) => {
            const socket = new WebSocket(url + path, asked, { perMessageDeflate: false });
            socket.on('open', () => chosen.push(socket.protocol));
            socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
            socket.on('error', (error) => chosen.push(error.message));
            socket.on('close', () => resolve());
          });
        await visit('/runCase?casetuple=1.1.1', ['first', 'second']);
        await visit('/runCase?casetuple=F.10.1', ['first']);
        await visit('/runCase?casetuple=1.1.1', ['unknown']);
        await visit('/updateReports', []);
      },
    });
    const wanted = [...cases, ...extraCases].filter(({ id }) => id === '1.1.1' || id === 'F.10.1');
    const results = await collect(runCases(target, { cases: wanted }));
    expect(chosen.slice(0, 2)).toEqual(['second', 'first']);
    expect(chosen[2]).toMatch(/no subprotocol/i);
    expect(verdicts(results).filter((text) => text.endsWith(' OK'))).toEqual(['1.1.1 OK', 'F.10.1 OK']);
  });
});

describe('clients over HTTP/2', () => {
  it('get a subprotocol that they ask for', async () => {
    const answers: (string | undefined)[] = [];
    const stop = new AbortController();
    const target = clientListener({
      port: 0,
      http2: true,
      subprotocols: ['second', 'first'],
      onListening: async (url) => {
        const session = connect(url.replace('ws:', 'http:'));
        cleanUps.push(() => session.destroy());
        session.on('error', () => {});
        for (const asked of ['first, second', 'unknown']) {
          const stream = session.request({
            ':method': 'CONNECT',
            ':protocol': 'websocket',
            ':path': '/getCaseCount',
            'sec-websocket-version': '13',
            'sec-websocket-protocol': asked,
          });
          stream.on('error', () => {});
          const headers = await new Promise<IncomingHttpHeaders>((resolve) => stream.once('response', resolve));
          answers.push(headers['sec-websocket-protocol']?.toString());
          stream.destroy();
        }
        stop.abort();
      },
    });
    await collect(runCases(target, { include: ['1.1.1'], signal: stop.signal }));
    expect(answers).toEqual(['second', undefined]);
  });
});

describe('what can not be asked for', () => {
  it('throws, with what is wrong', async () => {
    const url = 'ws://127.0.0.1:1/';
    const wrong: readonly (readonly [Parameters<typeof serverUrl>[1], RegExp])[] = [
      [{ headers: [['a b', 'c']] }, /not the name of a field: "a b"/],
      [{ headers: [['', 'c']] }, /not the name of a field: ""/],
      [{ headers: [['a', 'c\r\nd: e']] }, /not a value of a: /],
      [{ headers: [['a', '\u20ac']] }, /not a value of a: /],
      [{ headers: [['Sec-WebSocket-Key', 'c']] }, /the header Sec-WebSocket-Key can not be given: it is the harness's own/],
      [{ headers: [['connection', 'close']] }, /the header connection can not be given/],
      [
        {
          headers: [
            ['Host', 'a'],
            ['host', 'b'],
          ],
        },
        /one Host/,
      ], // prettier
      [{ subprotocols: ['a b'] }, /not a subprotocol: "a b"/],
      [{ subprotocols: ['a', 'a'] }, /asked for twice/],
    ];
    for (const [options, message] of wrong) {
      expect(() => serverUrl(url, options)).toThrow(message);
      expect(() => http2Server(url, options)).toThrow(message);
      expect(() => serverCommand('x {port}', options)).toThrow(message);
    }
    expect(() => clientListener({ port: 0, subprotocols: ['a,b'] })).toThrow('not a subprotocol: "a,b"');
    expect(() => serverCommand('x {port}', { path: 'chat' })).toThrow(/a path begins with/);
    expect(() => serverCommand('x {port}', { path: '/#x' })).toThrow(/fragment/);
    const lines: readonly (readonly [string[], RegExp])[] = [
      [['server', url, '--header', 'nothing'], /--header takes 'NAME: VALUE', not 'nothing'/],
      [['server', url, '--header', ': x'], /--header takes/],
      [['server', url, '--header', 'Upgrade: x'], /the harness's own/],
      [['server', url, '--path', '/x'], /--path is for --command/],
      [['server', '--command', 'x {port}', '--path', 'x'], /a path begins with/],
      [['client', '--listen', '0', '--subprotocol', 'a b'], /not a subprotocol/],
      [['client', '--listen', '0', '--header', 'a: b'], /--header is not for client/],
    ];
    for (const [args, message] of lines) {
      const { code, err } = await command(...args);
      expect([code, err], args.join(' ')).toEqual([2, [expect.stringMatching(message)]]);
    }
  });
});
