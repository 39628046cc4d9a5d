/**
 * Targets over TCP and TLS, and the command: exit codes, selection, reports, and the paths of the Autobahn suite's fuzzing server.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type CaseResult,
  clientCommand,
  clientListener,
  collect,
  type RunOptions,
  runCases,
  serverCommand,
  serverUrl,
  TargetUnavailable,
} from '@ferrywire/conformance';
import { generate } from 'selfsigned';
import { afterEach, describe, expect, it } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import { runCommand } from '../dist/bin/commands.js';

const peers = fileURLToPath(new URL('../peers/', import.meta.url));
const node = JSON.stringify(process.execPath);
const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function portOf(server: Server | WebSocketServer): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** A ws server that echoes; returns its URL. */
async function echoServer(options: { deflate?: boolean } = {}): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: options.deflate ?? false });
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on('error', () => {});
  });
  await new Promise((resolve) => server.once('listening', resolve));
  cleanUps.push(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return `ws://127.0.0.1:${portOf(server)}`;
}

/** A TCP server of whatever kind; returns its URL. */
async function tcpServer(onSocket: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUps.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `ws://127.0.0.1:${portOf(server)}`;
}

async function command(...args: string[]): Promise<{ code: number; out: string[]; err: string[] }> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommand(args, { out: (line) => out.push(line), err: (line) => err.push(line) });
  return { code, out, err };
}

describe('a server at a URL', () => {
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

  it('that resets in the middle is a failure and no crash', async () => {
    const url = await tcpServer((socket) => {
      socket.once('data', () => socket.resetAndDestroy());
    });
    const results = await collect(runCases(serverUrl(url), { include: ['1.1.1'] }));
    expect(results[0]?.verdict).toBe('FAILED');
  });

  it('is not looked for where none can be', async () => {
    expect(() => serverUrl('http://127.0.0.1')).toThrow(TypeError);
    expect(() => serverUrl('nonsense')).toThrow(TypeError);
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
  async function listen(options: RunOptions, keep = false): Promise<Listening> {
    let tell = (_: string): void => {};
    const listening = new Promise<string>((resolve) => {
      tell = resolve;
    });
    const stop = new AbortController();
    const target = clientListener({ port: 0, keep, idle: 20_000, onListening: (url) => tell(url) });
    const results = collect(runCases(target, { ...options, signal: stop.signal }));
    cleanUps.push(async () => {
      stop.abort();
      await results;
    });
    return { url: await listening, results };
  }

  /** Texts that came, and the close code; echoes when asked to. */
  function visit(url: string, echo = false): Promise<{ texts: string[]; code: number }> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, { perMessageDeflate: false });
      const texts: string[] = [];
      socket.on('message', (data, isBinary) => {
        if (echo) socket.send(data, { binary: isBinary });
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

  it('that never answer are judged', async () => {
    const { url, results } = await listen({ include: ['1.1.1'], timeScale: 0.1 });
    const { code } = await visit(`${url}/runCase?case=1&agent=mute`);
    expect(code).toBe(1001);
    await visit(`${url}/updateReports?agent=mute`);
    expect(await results).toMatchObject([{ id: '1.1.1', verdict: 'FAILED' }]);
  });
});

describe('the command', () => {
  it('lists ids, one a line, under a selection', async () => {
    const all = await command('list');
    expect([all.code, all.out.length, all.out[0], all.out[516]]).toEqual([0, 517, '1.1.1', '13.7.18']);
    expect((await command('list', '--cases', '7.9.*', '--exclude', '7.9.1,7.9.2')).out).toEqual([
      '7.9.3',
      '7.9.4',
      '7.9.5',
      '7.9.6',
      '7.9.7',
      '7.9.8',
      '7.9.9',
    ]);
  });

  it('explains', async () => {
    const { code, out } = await command('explain', '6.4.3', '2.5');
    expect(code).toBe(0);
    expect(out.join('\n')).toContain('send the header of a text frame (FIN 0) of 21 bytes');
    expect(out.join('\n')).toContain('RFC 6455 5.5');
  });

  it('ends with 0 when all is as expected, with a summary and JSON', async () => {
    const url = await echoServer();
    const folder = mkdtempSync(join(tmpdir(), 'conform-'));
    cleanUps.push(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'report.json');
    const { code, out } = await command('server', url, '--cases', '1.1.*,7.13.1,12.1.1', '--json', file, '--parallel', '3');
    expect(code).toBe(0);
    expect(out).toHaveLength(2);
    expect(out[0]).toMatch(/^UNIMPLEMENTED 12\.1\.1 /);
    expect(out[1]).toMatch(/^ws:\/\/127\.0\.0\.1:\d+\/: 10 cases in [\d.]+ s: 8 OK, 1 INFORMATIONAL, 1 UNIMPLEMENTED, 0 FAILED$/);
    const report = JSON.parse(readFileSync(file, 'utf8'));
    expect(report.runs[0]).toMatchObject({ role: 'server', counts: { OK: 8, INFORMATIONAL: 1, UNIMPLEMENTED: 1, FAILED: 0 } });
    expect(report.runs[0].results['1.1.1']).toMatchObject({
      verdict: 'OK',
      behavior: 'OK',
      behaviorClose: 'OK',
      remoteCloseCode: 1000,
      reason: null,
    });
    expect((await command('server', url, '--cases', '12.1.1', '--strict')).code).toBe(1);
  });

  it('ends with 1 when something failed, with a line for it', async () => {
    const dropping = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    cleanUps.push(() => dropping.close());
    await new Promise((resolve) => dropping.once('listening', resolve));
    dropping.on('connection', (socket) => socket.on('message', () => socket.terminate()));
    const { code, out } = await command('server', `ws://127.0.0.1:${portOf(dropping)}`, '--cases', '1.1.1,7.1.2');
    expect(code).toBe(1);
    expect(out[0]).toMatch(/^FAILED +1\.1\.1 .*expected text empty; got nothing/);
    expect(out.at(-1)).toMatch(/1 OK, 1 FAILED$/);
  });

  it('ends with 2 when nothing ran or the use is wrong, with one line why', async () => {
    const wrong: readonly (readonly [string[], RegExp])[] = [
      [[], /a command is needed/],
      [['frobnicate'], /no command 'frobnicate'/],
      [['server'], /takes a URL/],
      [['server', 'http://x'], /ws: or wss:/],
      [['server', 'ws://127.0.0.1:1', 'ws://127.0.0.1:2'], /takes a URL/],
      [['server', 'ws://127.0.0.1:1'], /no server at ws:\/\/127\.0\.0\.1:1/],
      [['server', 'ws://127.0.0.1:1', '--cases', '99.*'], /no case matches 99\.\*/],
      [['list', '--cases', 'x'], /no case matches x/],
      [['list', '--cases', ''], /names no pattern/],
      [['list', '--exclude', '*'], /every case is excluded/],
      [['list', 'more'], /takes no 'more'/],
      [['list', '--bogus'], /bogus/],
      [['explain'], /takes the id/],
      [['explain', '1.1.99'], /no case 1\.1\.99/],
      [['client'], /--listen PORT/],
      [['client', '--listen', '99999'], /--listen takes a whole number/],
      [['client', '--listen', '0', '--idle', '1', '--cases', '1.1.1'], /no case ran/],
      [['self', '--runtime', 'cobol'], /--runtime takes node or bun or deno/],
      [['server', 'ws://127.0.0.1:1', '--full', '--messages', '2'], /exclude each other/],
      [['server', 'ws://127.0.0.1:1', '--time-scale', '0'], /above 0/],
      [['parity', 'nobody'], /no recorded run 'nobody'/],
    ];
    for (const [args, message] of wrong) {
      const { code, err } = await command(...args);
      expect(code, args.join(' ')).toBe(2);
      expect(err, args.join(' ')).toHaveLength(1);
      expect(err[0]).toMatch(message);
    }
  });

  it('says what did not run', async () => {
    const { code, out } = await command('client', '--command', `${node} "${peers}client.mjs" {url} quitter ws`, '--cases', '1.1.1');
    expect([code, out.at(-1)]).toEqual([0, expect.stringMatching(/1 cases in .*: 1 OK, 0 FAILED$/)]);
    const script = `const W = require('ws'); new W(process.argv[1] + '/runCase?case=1&agent=q').on('message', function (m) { this.send(String(m)) }).on('close', () => process.exit(0))`;
    const early = await command('client', '--command', `${node} -e "${script}" {url}`, '--cases', '1.1.1,1.1.2');
    expect(early.code).toBe(1);
    expect(early.out.at(-1)).toBe('1 of 2 cases did not run');
  });
});
