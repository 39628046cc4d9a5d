/**
 * How the command ends before its time: signals, an output that takes nothing, a child that goes. No child under test outlives it.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ActiveTarget, collect, runCases, serverCommand, serverUrl, TargetUnavailable } from '@ferrywire/conformance';
import { describe, expect, it } from 'vitest';
import { compareAll } from '../dist/parity.js';
import { cleanUps, command, node, portOf, silentServer } from './servers.ts';

const program = fileURLToPath(new URL('../dist/bin/conform.js', import.meta.url));

interface Running {
  readonly out: string[];
  readonly err: string[];
  /** Resolves when a line that matches has come. */
  line(pattern: RegExp): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>;
}

/** Starts the command as a process of its own. */
function start(args: readonly string[], stdout: 'pipe' | number = 'pipe', env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', stdout, 'pipe'], env: { ...process.env, ...env } });
  cleanUps.push(() => child.kill('SIGKILL'));
  const out: string[] = [];
  const err: string[] = [];
  const waiting = new Set<() => void>();
  for (const [stream, lines] of [
    [child.stdout, out],
    [child.stderr, err],
  ] as const) {
    let rest = '';
    stream?.setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop() ?? '';
      lines.push(...parts);
      for (const look of waiting) look();
    });
  }
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal })),
  );
  return {
    out,
    err,
    ended,
    kill: (signal) => void child.kill(signal),
    line: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (![...out, ...err].some((text) => pattern.test(text))) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
        void ended.then(() => reject(new Error(`it ended before ${pattern}: ${[...out, ...err].join('\n')}`)));
      }),
  };
}

/**
 * A server to be started by the command, which echoes what is short and holds a connection to here: `gone` resolves when its process is.
 * @param more a statement of it
 */
async function watchedServer(more = ''): Promise<{ readonly template: string; readonly gone: Promise<void> }> {
  let connected: (socket: Socket) => void = () => {};
  const gone = new Promise<void>((resolve) => {
    connected = (socket) =>
      void socket
        .on('error', () => {})
        .resume()
        .once('close', () => resolve());
  });
  const watch = createServer((socket) => connected(socket));
  await new Promise<void>((resolve) => watch.listen(0, '127.0.0.1', resolve));
  cleanUps.push(() => watch.close());
  const script =
    `require('net').connect(${portOf(watch)}, '127.0.0.1'); const W = require('ws'); let messages = 0;` +
    `new W.Server({ port: +process.argv[1], host: '127.0.0.1' }).on('connection', (s) => s.on('error', () => {})` +
    `.on('message', (m, b) => { messages += 1; ${more}; if (m.length < 1000) s.send(m, { binary: b }) }))`;
  return { template: `${node} -e "${script}" {port}`, gone };
}

/** The same, started by a shell that waits for it. */
async function behindAShell(): Promise<{ readonly template: string; readonly gone: Promise<void> }> {
  const { template, gone } = await watchedServer();
  const folder = mkdtempSync(join(tmpdir(), 'conform-'));
  cleanUps.push(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'serve.sh');
  writeFileSync(file, `${template.replace('{port}', '"$1"')}\necho "that was it"\n`);
  return { template: `sh "${file}" {port}`, gone };
}

/** What is loaded into the server of `parity`, too: it ends with the test, if with nothing else. */
async function watchedPeer(): Promise<{ readonly env: NodeJS.ProcessEnv; readonly started: Promise<void>; readonly gone: Promise<void> }> {
  const watch = createServer();
  const started = new Promise<Socket>((resolve) => watch.once('connection', resolve));
  const gone = started.then(
    (socket) =>
      new Promise<void>(
        (resolve) =>
          void socket
            .once('close', () => resolve())
            .on('error', () => {})
            .resume(),
      ),
  );
  await new Promise<void>((resolve) => watch.listen(0, '127.0.0.1', resolve));
  cleanUps.push(() => {
    watch.close();
    void started.then((socket) => socket.destroy());
  });
  const script = `import net from 'node:net'; if (/ws-server/.test(process.argv[1])) net.connect(${portOf(watch)}, '127.0.0.1').on('close', () => process.exit())`;
  return { env: { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(script)}` }, started: started.then(() => {}), gone };
}

/** 9.7.6 waits for 480 s. */
const oneIsLong = '1.1.2,9.7.6';

describe('a signal', () => {
  it('ends the run at once, with its child, and leaves a report of what ran', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'conform-'));
    cleanUps.push(() => rmSync(folder, { recursive: true }));
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      const file = join(folder, `${signal}.json`);
      const { template, gone } = await watchedServer();
      const run = start(['server', '--command', template, '--cases', oneIsLong, '--verbose', '--json', file]);
      await run.line(/^OK +1\.1\.2 /);
      run.kill(signal);
      expect(await run.ended).toEqual({ code: 1, signal: null });
      await gone;
      expect(run.err).toEqual([`interrupted by ${signal}`]);
      expect(run.out.slice(1)).toEqual([expect.stringMatching(/: 1 cases in .*: 1 OK, 0 FAILED$/), '1 of 2 cases did not run']);
      expect(Object.keys(JSON.parse(readFileSync(file, 'utf8')).runs[0].results)).toEqual(['1.1.2']);
    }
  });

  it('a second time ends all at once', async () => {
    const { template, gone } = await watchedServer('');
    const deaf = template.replace(' -e "', ` -e "process.on('SIGTERM', () => {});`);
    const run = start(['server', '--command', deaf, '--cases', oneIsLong, '--verbose']);
    await run.line(/^OK +1\.1\.2 /);
    run.kill('SIGINT');
    await run.line(/^interrupted by SIGINT$/);
    run.kill('SIGINT');
    expect(await run.ended).toEqual({ code: 1, signal: null });
    await gone;
    expect(run.out.at(-1)).toMatch(/^OK/);
  });

  it('ends a comparison too, with the children of it, and says what was not compared', async () => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      const { env, started, gone } = await watchedPeer();
      // A pause of 6.4.1 is minutes long.
      const run = start(['parity', 'server-ws-plain', '--cases', '6.4.1', '--time-scale', '1000'], 'pipe', env);
      await started;
      run.kill(signal);
      expect(await run.ended).toEqual({ code: 1, signal: null });
      await gone;
      expect(run.err).toEqual([`interrupted by ${signal}`]);
      expect(run.out).toEqual(['server-ws-plain: not compared', '0 verdicts compared, 0 differ, 0 of them explained in docs/parity.md']);
    }
  });

  it('is heard by clients and in process too', async () => {
    const listening = start(['client', '--listen', '0', '--cases', '1.1.1']);
    await listening.line(/^listening on /);
    listening.kill('SIGINT');
    expect(await listening.ended).toEqual({ code: 2, signal: null });
    expect(listening.err).toEqual(['interrupted by SIGINT', 'no case ran']);

    const inside = start(['self', '--only', 'in-process', '--verbose']);
    await inside.line(/^OK/);
    inside.kill('SIGTERM');
    expect(await inside.ended).toEqual({ code: 1, signal: null });
    expect(inside.err).toEqual(['interrupted by SIGTERM']);
    expect(inside.out.at(-1)).toBe('ferrywire client in process: did not run');
  });
});

it.each(['node', 'bun', 'deno'])('the endpoints of `self` on %s end with it even when it is killed', async (runtime) => {
  const run = start(['self', '--only', 'tcp', '--role', 'server', '--runtime', runtime, '--cases', oneIsLong, '--verbose']);
  await run.line(/^OK +1\.1\.2 /);
  run.kill('SIGKILL');
  // Its standard error is theirs, too, and is closed with the last of them.
  expect(await run.ended).toEqual({ code: null, signal: 'SIGKILL' });
});

it('a server that a shell has started ends with the run, and with the command', async ({ skip }) => {
  skip(process.platform === 'win32', 'Windows has no groups of processes');
  const quiet = await behindAShell();
  expect(await collect(runCases(serverCommand(quiet.template), { include: ['1.1.2'] }))).toMatchObject([{ verdict: 'OK' }]);
  await quiet.gone;
  const { template, gone } = await behindAShell();
  const run = start(['server', '--command', template, '--cases', oneIsLong, '--verbose']);
  await run.line(/^OK +1\.1\.2 /);
  run.kill('SIGINT');
  run.kill('SIGINT');
  expect(await run.ended).toEqual({ code: 1, signal: null });
  await gone;
});

describe('a standard output that takes nothing', () => {
  it('ends the command with one line, and with its child', async () => {
    for (const [file, flags] of [[program, 'r'], ...(existsSync('/dev/full') ? ([['/dev/full', 'w']] as const) : [])] as const) {
      const deaf = openSync(file, flags);
      cleanUps.push(() => closeSync(deaf));
      const list = start(['list'], deaf);
      expect(await list.ended).toEqual({ code: 2, signal: null });
      expect(list.err).toEqual([expect.stringMatching(/^can't write to the standard output: E\w+: /)]);
      const { template, gone } = await watchedServer();
      const run = start(['server', '--command', template, '--cases', oneIsLong, '--verbose'], deaf);
      expect(await run.ended).toEqual({ code: 2, signal: null });
      await gone;
      expect(run.err).toEqual(list.err);
    }
  });
});

describe('a child that ends in the middle', () => {
  it('is named once, and ends the run with what is left of it', async () => {
    for (const [more, how] of [
      ['if (messages === 3) process.exit(7)', 'code 7'],
      ['if (messages === 3) process.kill(process.pid, 9)', 'SIGKILL'],
    ] as const) {
      const { template, gone } = await watchedServer(more);
      const { code, out, err } = await command('server', '--command', template, '--cases', '1.*,2.*,7.*', '--verbose');
      await gone;
      expect([code, err]).toEqual([1, [`${process.execPath} ended with ${how}`]]);
      // At most six were under way when it ended.
      const failed = out.filter((line) => line.startsWith('FAILED'));
      expect(failed.length).toBeGreaterThanOrEqual(1);
      expect(failed.length).toBeLessThanOrEqual(6);
      expect(failed.join('\n')).not.toContain('ECONNREFUSED');
      expect(out.at(-1)).toMatch(/^\d+ of 64 cases did not run$/);
    }
  });

  it('or is not there takes those beside it along', async () => {
    let opened = (): void => {};
    const isOpen = new Promise<void>((resolve) => {
      opened = resolve;
    });
    let closed = false;
    const common = { kind: 'active', role: 'server', virtual: false } as const;
    const silent: ActiveTarget = {
      ...common,
      name: 'silent',
      open: async () => opened(),
      run: () => new Promise(() => {}),
      close: async () => {
        closed = true;
      },
    };
    const missing: ActiveTarget = {
      ...silent,
      name: 'missing',
      open: () => isOpen.then(() => Promise.reject(new TargetUnavailable('not installed'))),
    };
    const targets = { 'server-ws-plain': () => missing, 'server-ws-deflate': () => silent };
    await expect(compareAll(Object.keys(targets), { include: ['1.1.1'] }, targets).next()).rejects.toThrow('not installed');
    expect(closed).toBe(true);
  });

  it('as a client leaves a report of what it did', async () => {
    const script = `const W = require('ws'); new W(process.argv[1] + '/runCase?case=1&agent=q').on('message', function (m) { this.send(String(m)) }).on('close', () => process.exit(3))`;
    const { code, out, err } = await command('client', '--command', `${node} -e "${script}" {url}`, '--cases', '1.1.1,1.1.2');
    expect([code, err]).toEqual([1, [`${process.execPath} ended with code 3`]]);
    expect(out).toEqual([expect.stringMatching(/: 1 cases in .*: 1 OK, 0 FAILED$/), '1 of 2 cases did not run']);
  });

  it('fails the run though every case has its result', async () => {
    const { template, gone } = await watchedServer("if (messages === 1) s.on('close', () => process.exit(7))");
    const folder = mkdtempSync(join(tmpdir(), 'conform-'));
    cleanUps.push(() => rmSync(folder, { recursive: true }));
    const [json, xml] = [join(folder, 'a.json'), join(folder, 'a.xml')];
    const server = await command('server', '--command', template, '--cases', '1.1.1', '--json', json, '--junit', xml);
    await gone;
    expect(JSON.parse(readFileSync(json, 'utf8')).runs).toMatchObject([
      { counts: { OK: 1 }, gone: `${process.execPath} ended with code 7` },
    ]);
    expect(readFileSync(xml, 'utf8')).toContain('tests="2" failures="0" errors="1"');
    expect([server.code, server.err]).toEqual([1, [`${process.execPath} ended with code 7`]]);
    expect(server.out).toEqual([expect.stringMatching(/: 1 cases in .*: 1 OK, 0 FAILED$/)]);
    const visit = (then: string): string =>
      `const W = require('ws'); new W(process.argv[1] + '/runCase?case=1&agent=q').on('message', function (m) { this.send(String(m)) }).on('close', () => ${then})`;
    const client = await command('client', '--command', `${node} -e "${visit('process.exit(3)')}" {url}`, '--cases', '1.1.1');
    expect([client.code, client.err]).toEqual([1, [`${process.execPath} ended with code 3`]]);
    expect(client.out).toEqual([expect.stringMatching(/: 1 cases in .*: 1 OK, 0 FAILED$/)]);
    // One that has asked for the reports is done, whatever it says then.
    const report = visit("new W(process.argv[1] + '/updateReports?agent=q').on('close', () => process.exit(3))");
    const done = await command('client', '--command', `${node} -e "${report}" {url}`, '--cases', '1.1.1');
    expect([done.code, done.err]).toEqual([0, []]);
  });
});

describe('a run', () => {
  it('ends with its signal, whatever its cases wait for', async () => {
    const stop = new AbortController();
    const results = collect(runCases(serverUrl(await silentServer()), { include: ['9.7.*'], signal: stop.signal }));
    stop.abort();
    expect(await results).toEqual([]);
    expect(await collect(runCases(serverCommand('/no/such/program {port}'), { signal: stop.signal }))).toEqual([]);
  });

  it('that nobody reads on stops its child before it is left', async () => {
    const { template, gone } = await watchedServer();
    for await (const { id } of runCases(serverCommand(template), { include: oneIsLong.split(',') })) {
      expect(id).toBe('1.1.2');
      break;
    }
    await gone;
  });
});
