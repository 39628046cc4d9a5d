/**
 * Targets over TCP and TLS, and the paths of the Autobahn suite's fuzzing server.
 */
import { createServer as createHttpServer } from 'node:http';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import {
  type CaseResult,
  cases,
  clientCommand,
  clientListener,
  collect,
  extraCases,
  isSpotless,
  type RunOptions,
  runCases,
  serverCommand,
  serverUrl,
  TargetUnavailable,
} from '@ferrywire/conformance';
import { generate } from 'selfsigned';
import { describe, expect, it } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import { cleanUps, command, echoServer, node, peers, portOf, silentServer, tcpServer } from './servers.ts';

describe('a server at a URL', () => {
  it('has limits that are longer than a timer of Node counts', async () => {
    const results = await collect(runCases(serverUrl(await echoServer()), { include: ['1.1.*'], timeScale: 1e9 }));
    expect(results.map(({ verdict, reason }) => reason ?? verdict)).toEqual(Array(8).fill('OK'));
  });

  it('is run in parallel, results as they come, the same verdicts in any order', async () => {
    const url = await echoServer();
    const include = ['1.*', '2.*', '5.*', '7.*'];
    const one = await collect(runCases(serverUrl(url), { include, parallel: 1 }));
    const streamed: string[] = [];
    const many = await collect(runCases(serverUrl(url), { include, parallel: 20 }), ({ id }) => streamed.push(id));
    const verdicts = (results: readonly CaseResult[]): string[] => results.map(({ id, verdict }) => `${id} ${verdict}`);
    expect(verdicts(many)).toEqual(verdicts(one));
    expect(one).toHaveLength(84);
    expect(one.every(({ verdict }) => verdict === 'OK' || verdict === 'INFORMATIONAL')).toBe(true);
    // 5.19 waits longest and started in the middle: it is not the last id.
    expect(streamed).not.toEqual(many.map(({ id }) => id));
  });

  it('is asked again with more time before a wait decides', async () => {
    const url = await echoServer();
    const results = await collect(runCases(serverUrl(url), { include: ['6.4.1'] }));
    expect(results[0]).toMatchObject({ verdict: 'NON-STRICT', timed: true });
    expect(results[0]?.duration).toBeGreaterThan(1900);
  });

  it('that takes longer than its first limits has second ones, however many cases run at a time', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    const limit = 400;
    server.on('connection', (socket) => {
      socket.on('error', () => {});
      socket.on('message', (data, isBinary) => setTimeout(() => socket.send(data, { binary: isBinary }), limit + 100));
    });
    await new Promise((resolve) => server.once('listening', resolve));
    cleanUps.push(() => {
      for (const client of server.clients) client.terminate();
      server.close();
    });
    const include = ['5.3', '5.4', '5.5', 'F.2.10', 'F.2.11', 'F.2.12', 'F.2.15', 'F.3.11', 'F.3.13', 'F.4.3', 'F.4.4', 'F.4.9', 'F.4.10'];
    const options = { cases: [...cases, ...extraCases], include, parallel: include.length, timeScale: limit / 1000 };
    const results = await collect(runCases(serverUrl(`ws://127.0.0.1:${portOf(server)}`), options));
    expect(results.map(({ id, verdict }) => `${id} ${verdict}`)).toEqual(include.map((id) => `${id} OK`));
  });

  it('over TLS, with its authority or without a check', async () => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], { keySize: 2048 });
    const { createServer: createHttps } = await import('node:https');
    const https = createHttps({ key, cert });
    const server = new WebSocketServer({ server: https });
    server.on('connection', (socket) => {
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => https.listen(0, '127.0.0.1', resolve));
    cleanUps.push(() => https.close());
    const url = `wss://127.0.0.1:${portOf(https)}`;
    const results = await collect(runCases(serverUrl(url, { rejectUnauthorized: false }), { include: ['1.1.*', '7.9.1'] }));
    expect(results.map(({ verdict }) => verdict)).toEqual(Array.from({ length: 9 }, () => 'OK'));
    await expect(collect(runCases(serverUrl(url), { include: ['1.1.1'] }))).rejects.toThrow(TargetUnavailable);
  });

  it('fails every case of its handshake when that is wrong, with the reason escaped by the command', async () => {
    const refusing = await tcpServer((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 403 \u001b[2JNo\r\nContent-Length: 0\r\n\r\n'));
    });
    const { code, out } = await command('server', refusing, '--cases', '1.1.1');
    expect(code).toBe(1);
    expect(out[0]).toMatch(/^FAILED +1\.1\.1 .*opening handshake: the server answered 'HTTP\/1\.1 403 \\x1b\[2JNo' \(RFC 6455 4\.1\)/);
    const wrongKey = await tcpServer((socket) => {
      socket.once('data', () =>
        socket.write('HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n'),
      );
    });
    const results = await collect(runCases(serverUrl(wrongKey), { include: ['1.1.1'] }));
    expect(results[0]).toMatchObject({ verdict: 'FAILED', behavior: 'FAILED', behaviorClose: 'FAILED' });
    expect(results[0]?.reason).toContain('Sec-WebSocket-Accept');
  });

  it('that accepts connections and says nothing fails, and does not hold the run up', async () => {
    const url = await tcpServer(() => {});
    const results = await collect(runCases(serverUrl(url), { include: ['1.1.1', '2.1'], timeScale: 0.05 }));
    expect(results.map(({ verdict }) => verdict)).toEqual(['FAILED', 'FAILED']);
    expect(results[0]?.reason).toContain('no complete HTTP head within 250 ms');
  });

  it('that never says a word has its limits for some cases, and short ones after that', async () => {
    const url = await silentServer();
    const include = ['1.1.1', '1.1.2', '1.1.3', '1.1.4', '1.1.5', '2.*', '9.1.6', '9.7.6'];
    const results = await collect(runCases(serverUrl(url), { include, timeScale: 0.4 }));
    expect(results.filter(({ verdict, silent }) => verdict === 'FAILED' && silent)).toHaveLength(18);
    // 100 s and 480 s by their own limits.
    for (const slow of ['9.1.6', '9.7.6']) expect(results.find(({ id }) => id === slow)?.reason).toMatch(/(limit of|within) 200 ms/);
  });

  it('that hangs up on every request without a word counts as one that says nothing', async () => {
    let seen = 0;
    const url = await tcpServer((socket) => {
      socket.once('data', () => {
        seen += 1;
        if (seen > 12) return;
        if (seen % 2 === 0) socket.resetAndDestroy();
        else socket.end();
      });
    });
    const target = serverUrl(url);
    const results = await collect(runCases(target, { include: ['1.1.*', '2.*'], parallel: 1, timeScale: 0.1 }));
    expect(results.filter(({ verdict, silent }) => verdict === 'FAILED' && silent)).toHaveLength(19);
    expect(results[11]?.reason).not.toContain('within');
    expect(results[12]?.reason).toContain('no complete HTTP head within 50 ms');
    const cut = await tcpServer((socket) => socket.once('data', () => socket.end('HTTP/1.1 ')));
    expect(await collect(runCases(serverUrl(cut), { include: ['1.1.1'] }))).toMatchObject([{ verdict: 'FAILED', silent: false }]);
  });

  it('gets the same bytes for the same seed, keys and masks included, and others for another', async () => {
    const echo = new URL(await echoServer());
    let connections: Buffer[][] = [];
    const url = await tcpServer((socket) => {
      const bytes: Buffer[] = [];
      connections.push(bytes);
      const upstream = connect(Number(echo.port), '127.0.0.1').on('error', () => {});
      socket.on('data', (chunk: Buffer) => bytes.push(chunk));
      socket.pipe(upstream).pipe(socket);
    });
    const bytesOf = async (seed: number): Promise<string[]> => {
      connections = [];
      const results = await collect(runCases(serverUrl(url), { include: ['1.1.2', '2.2', '5.3'], seed }));
      expect(results.map(({ verdict }) => verdict)).toEqual(['OK', 'OK', 'OK']);
      // Some connections only look whether anybody listens; a second try sends the same.
      const sent = connections.map((parts) => Buffer.concat(parts).toString('latin1'));
      return [...new Set(sent)].filter((bytes) => bytes !== '').sort();
    };
    const [first, again, other] = [await bytesOf(1), await bytesOf(1), await bytesOf(2)];
    expect(first).toHaveLength(3);
    expect(again).toEqual(first);
    expect(other.filter((bytes) => first.includes(bytes))).toEqual([]);
  });

  it('without TLS is not there for a wss: URL', async () => {
    const url = (await tcpServer((socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')))).replace(
      'ws:',
      'wss:',
    );
    await expect(collect(runCases(serverUrl(url), { include: ['1.1.1'] }))).rejects.toThrow(/TLS: wrong version number/);
  });

  it('that resets in the middle is a failure and no crash', async () => {
    const url = await tcpServer((socket) => {
      socket.once('data', () => socket.resetAndDestroy());
    });
    const results = await collect(runCases(serverUrl(url), { include: ['1.1.1'] }));
    expect(results[0]?.verdict).toBe('FAILED');
  });

  describe('that leaves', () => {
    /** Gone from the connection on that `leaves` says, counted from 1 behind the look whether anybody listens; back after so many milliseconds. */
    const leaving = async (leaves: number, backAfter: number | null): Promise<string> => {
      const echo = new WebSocketServer({ noServer: true });
      echo.on('connection', (socket) => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })));
      let connections = 0;
      const server = createHttpServer();
      server.on('upgrade', (request, socket, head) => {
        connections += 1;
        if (connections === leaves) {
          server.close();
          const timer = backAfter === null ? null : setTimeout(() => server.listen(port, '127.0.0.1'), backAfter);
          cleanUps.push(() => {
            if (timer !== null) clearTimeout(timer);
          });
        }
        echo.handleUpgrade(request, socket, head, (client) => echo.emit('connection', client));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const port = portOf(server);
      cleanUps.push(() => {
        for (const client of echo.clients) client.terminate();
        server.close();
      });
      return `ws://127.0.0.1:${port}/`;
    };

    it('and comes back fails the case that found nobody, and no other', async () => {
      const results = await collect(runCases(serverUrl(await leaving(3, 200)), { include: ['1.1.*'], parallel: 1 }));
      expect(results.map(({ verdict }) => verdict)).toEqual(['OK', 'OK', 'OK', 'FAILED', 'OK', 'OK', 'OK', 'OK']);
      expect(results[3]?.reason).toContain('ECONNREFUSED');
    });

    it('for good ends the run, with what there is', async () => {
      const url = await leaving(3, null);
      const seen: string[] = [];
      const run = collect(runCases(serverUrl(url, { patience: 100 }), { include: ['1.1.*'], parallel: 1 }), ({ id }) => seen.push(id));
      await expect(run).rejects.toThrow(/^no server at .*ECONNREFUSED/);
      expect(seen).toEqual(['1.1.1', '1.1.2', '1.1.3']);
    });

    it('with the last case has not passed', async () => {
      const { code, out, err } = await command('server', await leaving(3, null), '--cases', '1.1.1,1.1.2,1.1.3');
      expect([code, out.join('\n'), err.join('\n')]).toEqual([
        1,
        expect.stringMatching(/3 OK, 0 FAILED$/),
        expect.stringMatching(/^no server at .*ECONNREFUSED/),
      ]);
    });
  });

  it('is not looked for where none can be', async () => {
    expect(() => serverUrl('http://127.0.0.1')).toThrow(TypeError);
    expect(() => serverUrl('nonsense')).toThrow(TypeError);
    expect(() => serverUrl('ws://127.0.0.1/#part')).toThrow(/fragment/);
    expect(() => serverUrl('ws://me:secret@127.0.0.1/')).toThrow(/password/);
    const free = await tcpServer(() => {});
    await cleanUps.pop()?.();
    await expect(collect(runCases(serverUrl(free, { patience: 100 }), {}))).rejects.toThrow(TargetUnavailable);
  });

  it('is left in peace when nobody reads on', async () => {
    const url = await echoServer();
    let seen = 0;
    for await (const _ of runCases(serverUrl(url), { include: ['1.*'], parallel: 2 })) {
      seen += 1;
      if (seen === 3) break;
    }
    expect(seen).toBe(3);
  });
});

describe('a child process', () => {
  it('is started, run and stopped as a server', async () => {
    const target = serverCommand(`${node} "${peers}ws-server.mjs" {port} deflate`);
    const results = await collect(runCases(target, { include: ['1.1.1', '12.1.1', '13.3.11'], messages: 2 }));
    expect(results.map(({ verdict }) => verdict)).toEqual(['OK', 'OK', 'OK']);
  });

  it('of `npm start` passes what there is, as the README says', async () => {
    const demo = fileURLToPath(new URL('../../adapters/node/dist/bin/demo.js', import.meta.url));
    const results = await collect(
      runCases(serverCommand(`${node} "${demo}" --port {port}`), { cases: [...cases, ...extraCases], messages: 2 }),
    );
    expect(results.length).toBeGreaterThan(600);
    expect(results.filter((result) => !isSpotless(result))).toEqual([]);
  }, 60_000);

  it('is started, run and stopped as a client', async () => {
    const target = clientCommand(`${node} "${peers}client.mjs" {url} tester ws`);
    const results = await collect(runCases(target, { include: ['1.1.*', '7.7.*', '13.2.1'], messages: 2 }));
    expect(results).toHaveLength(22);
    expect(results.every(({ verdict, role }) => verdict === 'OK' && role === 'client')).toBe(true);
  });

  it('that does not start, or ends at once, is not there', async () => {
    await expect(collect(runCases(serverCommand('/no/such/program {port}'), {}))).rejects.toThrow(TargetUnavailable);
    await expect(collect(runCases(serverCommand(`${node} -e "process.exit(3)" {port}`), {}))).rejects.toThrow(/code 3/);
    await expect(collect(runCases(clientCommand(`${node} -e "process.exit(3)" {url}`), {}))).rejects.toThrow(/code 3/);
  });
});

describe('clients that connect', () => {
  interface Listening {
    readonly url: string;
    readonly results: Promise<CaseResult[]>;
  }
  async function listen(options: RunOptions, keep = false, idle = 20_000): Promise<Listening> {
    let tell = (_: string): void => {};
    const listening = new Promise<string>((resolve) => {
      tell = resolve;
    });
    const stop = new AbortController();
    const target = clientListener({ port: 0, keep, idle, onListening: (url) => tell(url) });
    const results = collect(runCases(target, { ...options, signal: stop.signal }));
    cleanUps.push(async () => {
      stop.abort();
      await results;
    });
    return { url: await listening, results };
  }

  /** Texts that came, and the close code; echoes when asked to. */
  function visit(url: string, echo = false, delay = 0): Promise<{ texts: string[]; code: number }> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, { perMessageDeflate: false });
      const texts: string[] = [];
      socket.on('message', (data, isBinary) => {
        if (echo && delay > 0) setTimeout(() => socket.send(data, { binary: isBinary }), delay);
        else if (echo) socket.send(data, { binary: isBinary });
        else texts.push(String(data));
      });
      socket.once('error', reject);
      socket.once('close', (code) => resolve({ texts, code }));
    });
  }

  it('find the paths of the fuzzing server', async () => {
    const { url, results } = await listen({ include: ['1.1.1', '7.9.*', '12.1.1'] });
    expect((await visit(`${url}/getCaseCount`)).texts).toEqual(['11']);
    expect(JSON.parse((await visit(`${url}/getCaseInfo?case=2`)).texts[0] ?? '')).toEqual({
      id: '7.9.1',
      description: 'invalid close code 0',
    });
    expect(JSON.parse((await visit(`${url}/getCaseInfo?casetuple=1.1.1`)).texts[0] ?? '')).toMatchObject({ id: '1.1.1' });
    const status = visit(`${url}/getCaseStatus?case=1&agent=a`);
    await visit(`${url}/runCase?case=1&agent=a`, true);
    expect(JSON.parse((await status).texts[0] ?? '')).toEqual({ behavior: 'OK', behaviorClose: 'OK', verdict: 'OK' });
    await visit(`${url}/runCase?casetuple=12.1.1&agent=a`, true);
    expect(JSON.parse((await visit(`${url}/getCaseStatus?casetuple=12.1.1&agent=a`)).texts[0] ?? '')).toMatchObject({
      verdict: 'UNIMPLEMENTED',
    });
    await visit(`${url}/updateReports?agent=a`);
    expect((await results).map(({ id, verdict }) => `${id} ${verdict}`)).toEqual(['1.1.1 OK', '12.1.1 UNIMPLEMENTED']);
  });

  it('are refused in words when they ask for what is not there', async () => {
    const { url } = await listen({ include: ['1.1.1'] });
    for (const path of [
      '/runCase?case=2&agent=a',
      '/runCase?agent=a',
      '/runCase?case=-1',
      '/getCaseInfo?casetuple=7.9.1',
      '/getCaseInfo?case=1e0',
    ]) {
      await expect(visit(url + path), path).rejects.toThrow('400');
    }
    await expect(visit(`${url}/other`)).rejects.toThrow('404');
    const plain = await fetch(url.replace('ws:', 'http:'));
    expect([plain.status, await plain.text()]).toEqual([400, 'Upgrade lacks websocket\n']);
    // Without an agent it still counts.
    await visit(`${url}/runCase?case=1`, true);
    expect((await visit(`${url}/getCaseCount`)).texts).toEqual(['1']);
  });

  it('may come one after the other', async () => {
    const { url, results } = await listen({ include: ['1.1.1'] }, true);
    for (const agent of ['a', 'b']) {
      await visit(`${url}/runCase?case=1&agent=${agent}`, true);
      await visit(`${url}/updateReports?agent=${agent}`);
    }
    await visit(`${url}/stopServer`);
    expect(await results).toHaveLength(2);
  });

  it('are not left in the middle of a case because nobody else comes', async () => {
    const { url, results } = await listen({ include: ['1.1.1', '1.1.2'] }, false, 50);
    await visit(`${url}/runCase?case=1&agent=slow`, true, 300);
    // Nobody comes after that.
    expect(await results).toMatchObject([{ id: '1.1.1', verdict: 'OK' }]);
  });

  it('are judged to the end though another one says that it is done', async () => {
    const { url, results } = await listen({ include: ['1.1.1', '1.1.2'] });
    const slow = visit(`${url}/runCase?case=1&agent=slow`, true, 300);
    await visit(`${url}/runCase?case=2&agent=fast`, true);
    await visit(`${url}/updateReports?agent=fast`);
    expect((await slow).code).toBe(1000);
    expect((await results).map(({ id, verdict }) => `${id} ${verdict}`)).toEqual(['1.1.1 OK', '1.1.2 OK']);
  });

  it('are not blamed for an end that has been asked for', async () => {
    const script =
      `const W = require('ws'); const b = process.argv[1]; ` +
      `new W(b + '/runCase?case=1&agent=cut').on('error', () => {}).on('open', () => new W(b + '/stopServer')); setInterval(() => {}, 1000)`;
    const target = clientCommand(`${node} -e "${script}" {url}`);
    expect(await collect(runCases(target, { include: ['1.1.1', '1.1.2'] }))).toEqual([]);
  });

  it('may be more than are remembered', async () => {
    const { url, results } = await listen({ include: ['1.1.1'] }, true);
    for (let i = 0; i < 102; i += 1) await visit(`${url}/runCase?case=1&agent=${i}`, true);
    await visit(`${url}/stopServer`);
    expect(await results).toHaveLength(102);
  });

  it('that never answer are judged', async () => {
    const { url, results } = await listen({ include: ['1.1.1'], timeScale: 0.1 });
    const { code } = await visit(`${url}/runCase?case=1&agent=mute`);
    expect(code).toBe(1001);
    await visit(`${url}/updateReports?agent=mute`);
    expect(await results).toMatchObject([{ id: '1.1.1', verdict: 'FAILED' }]);
  });
});
