/**
 * Cases about the opening handshake: what a server may answer, and how a client may end a connection that it must not use.
 */
import { createHash, randomBytes } from 'node:crypto';
import { Agent, createServer, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { type CaseResult, clientListener, collect, extraCases, type RunOptions, runCases, serverUrl } from '@ferrywire/conformance';
import { describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { cleanUps, command, echoServer, greetingServer, portOf, silentServer, tcpServer } from './servers.ts';

async function ofServer(url: string, id: string): Promise<CaseResult | undefined> {
  const [result] = await collect(runCases(serverUrl(url), { cases: extraCases, include: [id], timeScale: 0.2 }));
  return result;
}

/** Takes any key, answers with `more` lines, and echoes one short text. */
function echoing(more = ''): Promise<string> {
  return greetingServer((socket) => {
    // The mask is taken off; what is no text is the close frame, which is answered so.
    const echo = (frame: Buffer): Buffer => {
      const key = frame.subarray(2, 6);
      return Buffer.from([frame[0] ?? 0, (frame[1] ?? 0) & 127, ...frame.subarray(6).map((byte, i) => byte ^ (key[i & 3] ?? 0))]);
    };
    socket.on('data', (frame: Buffer) => (frame[0] === 0x81 ? socket.write(echo(frame)) : socket.end(echo(frame))));
  }, more);
}

describe('a frame behind the request (F.9.7)', () => {
  it('may be taken, and may be refused by a status or by the end of the transport', async () => {
    const right = [
      await echoServer(),
      await tcpServer((socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'))),
      await tcpServer((socket) => socket.once('data', () => socket.end())),
      await tcpServer((socket) => socket.once('data', () => socket.resetAndDestroy())),
    ];
    for (const url of right) expect(await ofServer(url, 'F.9.7')).toMatchObject({ verdict: 'OK', reason: null });
  });

  it('may be answered in one piece with the response, and the connection closed behind the answer', async () => {
    const url = await tcpServer((socket) => {
      socket.once('data', (request) => {
        const key = /^Sec-WebSocket-Key: (.+)\r$/m.exec(request.toString('latin1'))?.[1];
        const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
        const head = `HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
        socket.write(Buffer.concat([Buffer.from(head), Buffer.from('81056f74746572880203e8', 'hex')]));
        socket.once('data', () => socket.end());
      });
    });
    // As in 1.1.1: what is expected has come first.
    expect(await ofServer(url, 'F.9.7')).toMatchObject({ verdict: 'OK', reason: null });
  });

  it('may be lost, and nothing else with it, since no client may send it', async () => {
    const losing = new WebSocketServer({ noServer: true });
    losing.on('connection', (socket) => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })));
    const server = createServer().on('upgrade', (asked, socket, head) => {
      expect(head.length).toBeGreaterThan(0);
      losing.handleUpgrade(asked, socket, Buffer.alloc(0), (opened) => losing.emit('connection', opened, asked));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanUps.push(() => server.close());
    expect(await ofServer(`ws://127.0.0.1:${portOf(server)}/`, 'F.9.7')).toMatchObject({
      verdict: 'NON-STRICT',
      reason: 'allowed, but what came with the request was lost',
    });
  });

  it('is answered with nothing else, and no connection is left silent', async () => {
    expect(await ofServer(await silentServer(), 'F.9.7')).toMatchObject({ verdict: 'FAILED' });
    expect(await ofServer(await tcpServer((socket) => socket.resume()), 'F.9.7')).toMatchObject({ verdict: 'FAILED' });
    const found = await tcpServer((socket) => socket.once('data', () => socket.end('HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n')));
    expect((await ofServer(found, 'F.9.7'))?.reason).toMatch(/answered with 302/);
  });

  it('is explained as what may go either way', async () => {
    expect((await command('explain', 'F.9.7')).out.join('\n')).toContain('it may be accepted or refused');
    expect((await command('explain', 'F.9.8')).out.join('\n')).toContain('it has to be refused');
  });
});

it('an Upgrade that names more than websocket may be ignored, but not left without an answer (F.9.4)', async () => {
  const answering = (head: string): Promise<string> =>
    tcpServer((socket) => socket.once('data', () => socket.end(head === '' ? '' : `HTTP/1.1 ${head}\r\nContent-Length: 0\r\n\r\n`)));
  for (const status of ['400 Bad Request', '426 Upgrade Required', '200 OK', '302 Found']) {
    const reason = `allowed, but refused with ${status.slice(0, 3)}`;
    expect(await ofServer(await answering(status), 'F.9.4'), status).toMatchObject({ verdict: 'NON-STRICT', reason });
  }
  const ended = { verdict: 'NON-STRICT', reason: 'the transport ended without a response' };
  expect(await ofServer(await answering(''), 'F.9.4')).toMatchObject(ended);
  expect(await ofServer(await answering('101 Switching Protocols'), 'F.9.4')).toMatchObject({ verdict: 'FAILED' });
  expect(await ofServer(await tcpServer((socket) => socket.resume()), 'F.9.4')).toMatchObject({ verdict: 'FAILED' });
  const explained = (await command('explain', 'F.9.4')).out.join('\n');
  expect(explained).toMatch(
    /it may be accepted or refused.*OK: text message.*NON-STRICT: the server answers with a status of 400 or more; a page/s,
  );
});

it('a version that the server does not speak is answered with the one that it does (F.9.18)', async () => {
  const answering = (fields: string): Promise<string> =>
    tcpServer((socket) => socket.once('data', () => socket.end(`HTTP/1.1 426 Upgrade Required\r\n${fields}Content-Length: 0\r\n\r\n`)));
  const twice = 'Sec-WebSocket-Version: 8\r\nSec-WebSocket-Version: 13\r\n';
  for (const fields of ['Sec-WebSocket-Version: 13\r\n', 'sec-websocket-version: 8, 13\r\n', twice])
    expect(await ofServer(await answering(fields), 'F.9.18')).toMatchObject({ verdict: 'OK', reason: null });
  for (const fields of ['', 'Sec-WebSocket-Version: 12\r\n', 'Sec-WebSocket-Version: 130\r\n']) {
    const reason = 'refused without Sec-WebSocket-Version: 13 (RFC 6455 4.4)';
    expect(await ofServer(await answering(fields), 'F.9.18')).toMatchObject({ verdict: 'NON-STRICT', reason });
  }
  // What names no version, or is none, is a request that is wrong.
  for (const id of ['F.9.17', 'F.9.19']) expect(await ofServer(await answering(''), id)).toMatchObject({ verdict: 'OK' });
});

it('an answer of 101 announces no body (F.9.21)', async () => {
  expect(await ofServer(await echoing(), 'F.9.21')).toMatchObject({ verdict: 'OK', reason: null });
  for (const [field, reason] of [
    ['Content-Length: 0', 'Content-Length in a response of 101 (RFC 9110 8.6)'],
    ['transfer-encoding: chunked', 'Transfer-Encoding in a response of 101 (RFC 9112 6.1)'],
  ]) {
    expect(await ofServer(await echoing(`${field}\r\n`), 'F.9.21')).toMatchObject({ verdict: 'NON-STRICT', reason });
    expect(await ofServer(await echoing(`${field}\r\n`), 'F.9.1')).toMatchObject({ verdict: 'OK' });
  }
});

it('a key of 15 bytes may be taken by a server that does not decode it, which need not be (F.9.15)', async () => {
  const taken = { verdict: 'NON-STRICT', reason: "allowed, but not refused: text 'otter' [5 bytes]" };
  expect(await ofServer(await echoing(), 'F.9.15')).toMatchObject(taken);
  const answering = (answer: string): Promise<string> => tcpServer((socket) => socket.once('data', () => socket.end(answer)));
  const refusing = (status: string): Promise<string> => answering(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`);
  expect(await ofServer(await refusing('400 Bad Request'), 'F.9.15')).toMatchObject({ verdict: 'OK', reason: null });
  const other = { verdict: 'NON-STRICT', reason: 'refused with 426; fitting: 400' };
  expect(await ofServer(await refusing('426 Upgrade Required'), 'F.9.15')).toMatchObject(other);
  const ended = { verdict: 'NON-STRICT', reason: 'the transport ended without a response' };
  expect(await ofServer(await answering(''), 'F.9.15')).toMatchObject(ended);
  for (const status of ['200 OK', '302 Found', '101 Switching Protocols'])
    expect(await ofServer(await refusing(status), 'F.9.15'), status).toMatchObject({ verdict: 'FAILED' });
  expect(await ofServer(await greetingServer((socket) => socket.resume()), 'F.9.15')).toMatchObject({ verdict: 'FAILED' });
  // That it is no base64 can be seen without.
  expect((await ofServer(await echoing(), 'F.9.16'))?.reason).toBe('answered with 101 where the request has to be refused');
  const explained = (await command('explain', 'F.9.15')).out.join('\n');
  expect(explained).toMatch(/NON-STRICT: text message: 'otter'.*\n {2}- OK: the server answers with status 400\n/);
});

describe('a request that asks for no upgrade as HTTP sees it (F.9.8, F.9.9, F.9.11 to F.9.13)', () => {
  const answering = (status: string): Promise<string> =>
    tcpServer((socket) => socket.once('data', () => socket.end(`HTTP/1.1 ${status}\r\nLocation: /\r\nContent-Length: 0\r\n\r\n`)));
  const ordinary = ['F.9.8', 'F.9.9', 'F.9.11', 'F.9.12', 'F.9.13'];

  it('may be answered as any other', async () => {
    for (const status of ['200 OK', '204 No Content', '302 Found', '405 No']) {
      const url = await answering(status);
      for (const id of ordinary) expect(await ofServer(url, id)).toMatchObject({ verdict: 'OK', reason: null });
    }
    for (const id of ordinary) expect((await command('explain', id)).out.join('\n')).toContain('a page, or a redirect');
  });

  it('is not upgraded, and all others are refused', async () => {
    const upgraded = await answering('101 Switching Protocols');
    for (const id of ordinary) expect((await ofServer(upgraded, id))?.reason).toMatch(/answered with 101/);
    const page = await answering('200 OK');
    for (const id of ['F.9.10', 'F.9.14', 'F.9.17', 'F.9.18', 'F.9.20'])
      expect(await ofServer(page, id)).toMatchObject({ verdict: 'FAILED', reason: expect.stringContaining('answered with 200') });
    expect((await command('explain', 'F.9.14')).out.join('\n')).not.toContain('a page');
  });
});

it('interim responses are passed over (RFC 9110 section 15.2)', async () => {
  const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
  const before = (interim: string, answer: Promise<string>): Promise<string> =>
    answer.then((url) =>
      tcpServer((socket) => {
        const { hostname, port } = new URL(url);
        const answering = connect(Number(port), hostname);
        cleanUps.push(() => answering.destroy());
        answering
          .on('error', () => {})
          .once('data', (bytes: Buffer) => {
            // In two pieces, the second with the beginning of what is behind it.
            socket.write(interim.slice(0, 20));
            socket.write(Buffer.concat([Buffer.from(interim.slice(20)), bytes]));
            answering.pipe(socket);
          });
        socket.pipe(answering);
      }),
    );
  for (const interim of [hints, `HTTP/1.1 100\r\n\r\n${hints.repeat(3)}`]) {
    for (const id of ['F.9.1', 'F.9.7', 'F.9.14']) {
      expect(await ofServer(await before(interim, echoServer()), id)).toMatchObject({ verdict: 'OK', reason: null });
    }
    const page = tcpServer((socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')));
    expect(await ofServer(await before(interim, page), 'F.9.8')).toMatchObject({ verdict: 'OK', reason: null });
  }
  const endless = tcpServer((socket) => socket.once('data', () => socket.write(hints.repeat(2000))));
  expect((await ofServer(await endless, 'F.9.1'))?.reason).toContain('the HTTP head is too large');
  const cut = tcpServer((socket) => socket.once('data', () => socket.end(hints)));
  expect((await ofServer(await cut, 'F.9.1'))?.reason).toContain('the connection ended before the handshake was complete');
});

it('a refusal may come as a reset (F.9.14)', async () => {
  const url = await tcpServer((socket) => socket.once('data', () => socket.resetAndDestroy()));
  expect(await ofServer(url, 'F.9.14')).toMatchObject({ verdict: 'NON-STRICT', reason: 'the transport ended without a response' });
});

it('an answer with a subprotocol that was not asked for fails the handshake (RFC 6455 4.1)', async () => {
  const url = await greetingServer(() => {}, 'Sec-WebSocket-Protocol: chat\r\n');
  const [result] = await collect(runCases(serverUrl(url), { include: ['1.1.1'], timeScale: 0.2 }));
  expect(result).toMatchObject({ verdict: 'FAILED', reason: expect.stringContaining("subprotocol 'chat' was not asked for") });
});

describe('clients', () => {
  /** Serves these cases to a client that is given the URL; the results in the order of the cases. */
  async function serveTo(client: (url: string) => Promise<void>, options: RunOptions): Promise<CaseResult[]> {
    let onListening = (_: string): void => {};
    const listening = new Promise<string>((resolve) => {
      onListening = resolve;
    });
    const target = clientListener({ port: 0, onListening });
    const results = collect(runCases(target, { cases: extraCases, ...options }));
    await client(await listening);
    return results;
  }

  /** Asks for a path with a client of HTTP that keeps its connection; resolves with the status. */
  function ask(agent: Agent, url: string, path: string): Promise<number | undefined> {
    const { hostname, port } = new URL(url);
    const headers = {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
      'Sec-WebSocket-Version': '13',
    };
    return new Promise((resolve, reject) => {
      const sent = request({ agent, hostname, port, path, headers });
      sent.once('error', reject);
      sent.once('response', (response) => response.resume().once('end', () => resolve(response.statusCode)));
      sent.once('upgrade', (response, socket) => {
        // A close frame, masked.
        socket.on('error', () => {}).end(Buffer.from('888000000000', 'hex'));
        resolve(response.statusCode);
      });
      sent.end();
    });
  }

  it('may read an ordinary answer as one of HTTP, and keep connections that may be kept (F.10.4)', async () => {
    const results = await serveTo(
      async (url) => {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 });
        cleanUps.push(() => agent.destroy());
        expect(await ask(agent, url, '/runCase?case=1&agent=http')).toBe(200);
        expect(await ask(agent, url, '/updateReports?agent=http')).toBe(101);
      },
      { include: ['F.10.4'] },
    );
    expect(results).toMatchObject([{ id: 'F.10.4', verdict: 'OK', reason: null }]);
  });

  /** Echoes under masks of zeros until the listener has ended the connection. */
  function echoOver(url: string, path: string, key: string): Promise<void> {
    const { hostname, port } = new URL(url);
    return new Promise((resolve) => {
      const socket = connect(Number(port), hostname, () => {
        const lines = [`GET ${path} HTTP/1.1`, 'Host: x', 'Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Key: ${key}`];
        socket.write(`${lines.join('\r\n')}\r\nSec-WebSocket-Version: 13\r\n\r\n`);
      });
      let isOpen = false;
      let rest = Buffer.alloc(0);
      socket.on('error', () => {}).once('close', () => resolve());
      socket.on('data', (chunk: Buffer) => {
        rest = Buffer.concat([rest, chunk]);
        const end = rest.indexOf('\r\n\r\n');
        if (!isOpen && end !== -1) [isOpen, rest] = [true, rest.subarray(end + 4)];
        while (isOpen && rest.length >= 2) {
          const [first = 0, length = 0] = rest;
          if (rest.length < 2 + length) return;
          socket.write(Buffer.concat([Buffer.from([first, 128 | length, 0, 0, 0, 0]), rest.subarray(2, 2 + length)]));
          rest = rest.subarray(2 + length);
        }
      });
    });
  }

  it('take a key of its own for each connection (F.10.13)', async () => {
    const fresh = (): string => randomBytes(16).toString('base64');
    const same = fresh();
    for (const [keyOf, wanted] of [
      [fresh, { verdict: 'OK', reason: null }],
      [() => same, { verdict: 'FAILED', behavior: 'FAILED', reason: 'the key of an earlier connection (RFC 6455 4.1)' }],
    ] as const) {
      const results = await serveTo(
        async (url) => {
          for (const path of ['/getCaseCount', '/runCase?case=1&agent=q', '/runCase?case=2&agent=q', '/updateReports?agent=q'])
            await echoOver(url, path, keyOf());
        },
        { include: ['F.10.1', 'F.10.13'] },
      );
      expect(results).toMatchObject([
        { id: 'F.10.1', verdict: 'OK' },
        { id: 'F.10.13', ...wanted },
      ]);
    }
  });

  /** Asks for the only case and waits for the answer, and for no more; resolves when the listener has ended the connection. */
  function linger(url: string, agent: string, end: (socket: Socket) => void = () => {}): Promise<void> {
    const { hostname, port } = new URL(url);
    return new Promise((resolve) => {
      const socket = connect(Number(port), hostname, () => {
        const key = randomBytes(16).toString('base64');
        const lines = [
          `GET /runCase?case=1&agent=${agent} HTTP/1.1`,
          'Host: x',
          'Upgrade: websocket',
          'Connection: Upgrade',
          `Sec-WebSocket-Key: ${key}`,
        ];
        socket.write(`${lines.join('\r\n')}\r\nSec-WebSocket-Version: 13\r\n\r\n`);
      });
      socket.on('error', () => {}).once('close', () => resolve());
      socket.once('data', () => end(socket));
    });
  }

  it('have time to end a connection with a wrong response, and hear when it was too long (F.10.9)', async () => {
    const stop = new AbortController();
    const results = await serveTo(
      async (url) => {
        await linger(url, 'prompt', (socket) => socket.end());
        await linger(url, 'never');
        // Twelve in a row, and the patience is gone.
        for (let i = 0; i < 11; i += 1) await linger(url, `never-${i}`);
        await linger(url, 'last');
        stop.abort();
      },
      { include: ['F.10.9'], timeScale: 0.01, signal: stop.signal },
    );
    expect(results.map(({ verdict, timed }) => `${verdict} ${timed}`)).toEqual([
      'OK false',
      ...Array.from({ length: 13 }, () => 'FAILED true'),
    ]);
    expect(results[1]?.reason).toBe('the client did not end the connection within 120 ms of a wrong response');
    expect(results[1]?.duration).toBeGreaterThanOrEqual(119);
    expect(results[13]?.reason).toContain('within 5 ms');
  });

  it('that send something after a wrong response are judged at once (F.10.9)', async () => {
    const stop = new AbortController();
    const results = await serveTo(
      async (url) => {
        await linger(url, 'q', (socket) => socket.write('hello'));
        stop.abort();
      },
      { include: ['F.10.9'], timeScale: 0.2, signal: stop.signal },
    );
    expect(results).toMatchObject([{ verdict: 'FAILED', timed: false, reason: '5 bytes came after a wrong response' }]);
    // The limit is 2400 ms.
    expect(results[0]?.duration).toBeLessThan(2000);
  });
});
