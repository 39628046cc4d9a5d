/**
 * The command: exit codes in every way it can be used wrongly, selection, reports, and when it ends.
 */
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import { runCommand } from '../dist/bin/commands.js';
import { cleanUps, command, echoServer, node, peers, portOf } from './servers.ts';

const execute = promisify(execFile);

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
  it('names parameters of compression for servers and clients alike, and what either is told', async () => {
    const { out } = await command('explain', '13.2.1', '13.7.1');
    const text = out.join('\n');
    // A client is never asked for server_no_context_takeover here: what it is asked for is its own.
    expect(text).toContain("13.2.1  the subject's parameters no_context_takeover, messages of 16 characters");
    expect(text).toContain(
      "13.7.1  the subject's parameters no_context_takeover; max_window_bits=9, else no_context_takeover, else defaults,",
    );
    expect(text).toContain('as a server, answer the first of these that fits an offer: permessage-deflate; client_no_context_takeover\n');
    expect(text).toContain(
      'permessage-deflate; client_no_context_takeover; client_max_window_bits=9, or permessage-deflate; client_no_context_takeover, or permessage-deflate\n',
    );
  });

  it('refuses two reports in one file, before the run', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'conform-'));
    cleanUps.push(() => rmSync(folder, { recursive: true }));
    const [file, same] = [join(folder, 'report'), `${folder}/./report`];
    const { code, out, err } = await command('server', await echoServer(), '--cases', '1.1.1', '--json', file, '--html', same);
    expect([code, out, err]).toEqual([2, [], ['--json and --html name the same file']]);
    const both = ['--json', '-', '--html', file];
    expect((await command('server', await echoServer(), '--cases', '1.1.1', ...both)).code).toBe(0);
  });

  it('says that no shell reads a command whose program there is not', async () => {
    const { code, err } = await command('server', '--command', 'PORT={port} node server.js', '--cases', '1.1.1');
    expect(code).toBe(2);
    expect(err).toEqual([expect.stringMatching(/^PORT=\d+: no such program \(no shell reads the command/)]);
  });

  it('writes the other reports when one can no longer be written', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'conform-'));
    cleanUps.push(() => rmSync(folder, { recursive: true }));
    const gone = join(folder, 'gone');
    mkdirSync(gone);
    const url = await echoServer({ onConnection: () => rmSync(gone, { recursive: true, force: true }) });
    const [json, junit, html] = [join(gone, 'report.json'), join(folder, 'report.xml'), join(folder, 'report.html')];
    const { code, err } = await command('server', url, '--cases', '1.1.1', '--json', json, '--junit', junit, '--html', html);
    expect([code, err]).toEqual([2, [expect.stringMatching(/^--json: ENOENT/)]]);
    expect(readFileSync(junit, 'utf8')).toContain('1.1.1');
    expect(readFileSync(html, 'utf8')).toContain('1.1.1');
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
      [['server', 'ws://127.0.0.1:1', '--time-scale', '1001'], /up to 1000, not '1001'/],
      [['server', 'ws://127.0.0.1:1', '--seed', '-1'], /^Option '--seed' argument is ambiguous\. .* use '--seed=-XYZ'\.$/],
      [['client', '--listen', '0', '--host', '', '--idle', '1'], /--host names no address/],
      [['parity', 'nobody'], /no recorded run 'nobody'/],
      [['parity', 'client-bun', '--cases', '13.7.1'], /no recorded case is chosen/],
      [['list', '--runtime', 'bun'], /--runtime is not for list/],
      [['self', '--listen', '1'], /--listen is not for self/],
      [['server', 'ws://127.0.0.1:1/#part'], /fragment/],
      [['server', 'ws://127.0.0.1:1', '--insecure'], /are for a wss: URL/],
      [['server', 'wss://127.0.0.1:1', '--ca', '/no/such/file'], /^--ca: .*no such file/],
      [['server', 'WSS://127.0.0.1:1', '--ca', `${peers}client.mjs`], /^--ca: no certificate in .*client\.mjs$/],
      [['server', 'ws://127.0.0.1:1', '--cases', 'F.6.*'], /none of these cases can run here/],
      [['server', 'ws://127.0.0.1:1', '--json', '/no/such/folder/report.json'], /--json: .*no such file/],
      [['server', 'ws://127.0.0.1:1', '--junit', '-'], /--junit takes a file; - is for --json/],
      [['server', 'ws://127.0.0.1:1', '--html', '-'], /--html takes a file; - is for --json/],
      [['server', '--command', 'echo-server'], /--command needs \{port\}/],
      [['client', '--command', 'echo-client'], /--command needs \{url\}/],
      [['client', '--command', 'echo-client {url}', '--keep'], /--keep is for --listen/],
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

  it('takes patterns more than once, names those of no case, and shows every result when asked to', async () => {
    const { code, out, err } = await command('list', '--cases', '7.9.1', '--cases', '7.9.2,7.8.*', '--exclude', '99.*');
    expect([code, out, err]).toEqual([0, ['7.9.1', '7.9.2'], ['no case matches 7.8.*, 99.*']]);
    const verbose = await command('server', await echoServer(), '--cases', '1.1.1', '--verbose');
    expect([verbose.code, verbose.out[0]]).toEqual([0, expect.stringMatching(/^OK {12}1\.1\.1 .*\[RFC 6455 5\.2, RFC 6455 5\.6\]$/)]);
  });

  it('leaves the standard output to a report that is asked for there', async () => {
    const { code, out, err } = await command('server', await echoServer(), '--cases', '1.1.1,6.4.1', '--json', '-');
    expect([code, out.length, err.length]).toEqual([0, 1, 2]);
    expect(JSON.parse(out[0] ?? '').runs[0].counts).toMatchObject({ OK: 1, 'NON-STRICT': 1 });
  });

  it('runs what concerns each part of self, and skips the parts that it does not concern', async () => {
    const { code, out } = await command('self', '--cases', 'F.6.1', '--verbose');
    expect(code).toBe(0);
    expect(out.filter((line) => line.startsWith('ferrywire'))).toEqual([
      expect.stringMatching(/^ferrywire server in process: 1 cases .* 1 OK, 0 FAILED$/),
      expect.stringMatching(/^ferrywire client in process: 1 cases .* 1 OK, 0 FAILED$/),
    ]);
  });

  it.each([
    ['1.1.1', ['wrong', 'good'], '0 OK, 1 FAILED'],
    ['12.1.1', ['plain', 'wrong', 'plain'], '0 OK, 1 FAILED'],
  ] as const)('has a failure of one client not hidden by another: %s', async (id, clients, counts) => {
    const [out, err]: [string[], string[]] = [[], []];
    let listening = (_: string): void => {};
    const url = new Promise<string>((resolve) => {
      listening = resolve;
    });
    const said = (lines: string[], line: string): void => {
      lines.push(line);
      if (line.startsWith('listening on ')) listening(line.slice('listening on '.length));
    };
    const code = runCommand(['client', '--listen', '0', '--keep', '--cases', id, '--time-scale', '0.3', '--json', '-'], {
      out: (line) => said(out, line),
      err: (line) => said(err, line),
    });
    const base = await url;
    // What is plain offers no compression.
    for (const client of [...clients, null]) {
      const path = client === null ? '/stopServer' : `/runCase?case=1&agent=${client}`;
      await new Promise<void>((resolve) => {
        const socket = new WebSocket(base + path, { perMessageDeflate: client === 'wrong' });
        socket.on('message', (data, isBinary) => socket.send(client === 'good' ? data : 'wrong', { binary: isBinary }));
        socket.on('close', () => resolve());
        socket.on('error', () => {});
      });
    }
    expect(await code).toBe(1);
    expect(err.at(-1)).toMatch(new RegExp(`^clients of port \\d+: 1 cases in .*: ${counts}$`));
    expect(err.at(-1)).toContain(` ${new URL(base).port}:`);
    // The report is alone on the standard output.
    expect(out).toHaveLength(1);
    expect(JSON.parse(out[0] ?? '').runs[0].results[id].verdict).toBe('FAILED');
  });

  it('ends when it is done, though a client keeps a connection, and when nobody reads on', async () => {
    const program = fileURLToPath(new URL('../dist/bin/conform.js', import.meta.url));
    const script =
      "const u = new URL(process.argv[1]); require('net').connect(u.port, u.hostname).on('error', () => {});" +
      "const W = require('ws'); new W(u.href + 'runCase?case=1&agent=q').on('message', function (m) { this.send(String(m)) })" +
      ".on('close', () => new W(u.href + 'updateReports?agent=q'))";
    const args = ['client', '--command', `${node} -e "${script}" {url}/`, '--cases', '1.1.1'];
    const started = performance.now();
    const { stdout } = await execute(process.execPath, [program, ...args]);
    expect(stdout).toMatch(/1 cases in .*: 1 OK, 0 FAILED\n$/);
    // It would be a minute, which is how long it waits for clients.
    expect(performance.now() - started).toBeLessThan(30_000);

    const unread = spawn(process.execPath, [program, 'list'], { stdio: ['ignore', 'pipe', 'pipe'] });
    unread.stdout.destroy();
    let errors = '';
    unread.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    const code = await new Promise((resolve) => unread.once('close', resolve));
    expect([code, errors]).toEqual([0, '']);
  });
});

it('a report goes to a named pipe too, whose reader has the whole of it', async ({ skip }) => {
  skip(process.platform === 'win32', 'Windows has no named pipes in folders');
  const folder = mkdtempSync(join(tmpdir(), 'pipe-'));
  cleanUps.push(() => rmSync(folder, { recursive: true, force: true }));
  const pipe = join(folder, 'pipe');
  await execute('mkfifo', [pipe]);
  const reading = execute('cat', [pipe], { timeout: 15_000 });
  const args = ['server', await echoServer(), '--cases', '1.1.1', '--json', pipe];
  const program = fileURLToPath(new URL('../dist/bin/conform.js', import.meta.url));
  const writing = execute(process.execPath, [program, ...args], { timeout: 15_000, killSignal: 'SIGKILL' });
  const [{ stdout }] = await Promise.all([reading, writing]);
  expect(JSON.parse(stdout)).toMatchObject({ runs: [{ role: 'server' }] });
});
