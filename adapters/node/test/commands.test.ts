/** The two commands as child processes: what they print, how they end, and what they say to wrong arguments. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { connect, listen, type PeerHandlers } from '@ferrywire/node';
import { afterEach, describe, expect, it } from 'vitest';
import { closeFrame, deferred, masked, RawClient, requestFor, text } from './helpers.ts';

const dist = fileURLToPath(new URL('../dist/bin/', import.meta.url));
const modules = fileURLToPath(new URL('../../../node_modules/.bin/', import.meta.url));

class Command {
  readonly child: ChildProcess;
  readonly ended: Promise<number | string>;
  out = '';
  err = '';
  #seen: () => void = () => {};

  constructor(script: string, args: readonly string[]) {
    this.child = spawn(process.execPath, [dist + script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout?.setEncoding('utf8').on('data', (chunk) => {
      this.out += chunk;
      this.#seen();
    });
    this.child.stderr?.setEncoding('utf8').on('data', (chunk) => {
      this.err += chunk;
    });
    this.ended = once(this.child, 'close').then(([code, signal]) => {
      this.#seen();
      return code ?? signal;
    });
  }
  /** The port it says it listens on. */
  async port(): Promise<number> {
    while (!this.out.includes('\n')) {
      if (this.child.exitCode !== null) throw new Error(`ended: ${this.err}`);
      await new Promise<void>((resolve) => {
        this.#seen = resolve;
      });
    }
    const match = /^listening on ws:\/\/127\.0\.0\.1:(\d+)\/\n$/.exec(this.out);
    if (match === null) throw new Error(this.out);
    return Number(match[1]);
  }
}

const running: Command[] = [];
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const { child, ended } of running.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await ended;
  }
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
function run(script: 'demo.js' | 'testee.js', ...args: string[]): Command {
  const command = new Command(script, args);
  running.push(command);
  return command;
}
async function takenPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => new Promise((resolve) => server.close(resolve)));
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe('the demo', () => {
  it('serves the page and the echo on one port, and tells its clients when it is stopped', async () => {
    const demo = run('demo.js', '--port', '0');
    const port = await demo.port();
    const page = await fetch(`http://127.0.0.1:${port}/`);
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(await page.text()).toContain('<script type="module" src="/demo/main.js">');
    const script = await fetch(`http://127.0.0.1:${port}/demo/main.js`);
    expect([script.status, script.headers.get('content-type')]).toEqual([200, 'text/javascript; charset=utf-8']);
    expect(await script.text()).toContain('new WebSocket(');
    expect((await fetch(`http://127.0.0.1:${port}/nothing`)).status).toBe(404);
    expect((await fetch(`http://127.0.0.1:${port}/`, { method: 'POST' })).status).toBe(405);
    expect((await fetch(`http://127.0.0.1:${port}/`, { method: 'HEAD' })).headers.get('content-security-policy')).toContain(
      "default-src 'none'",
    );
    const client = await RawClient.upgrade(port);
    client.write(text('hello'));
    expect(await client.text()).toBe('hello');
    demo.child.kill('SIGINT');
    expect(await client.closeCode()).toBe(1001);
    client.write(closeFrame(1001));
    await client.rest();
    client.socket.end();
    expect(await demo.ended).toBe(0);
  });

  it('ends in time although a client does not answer, and at once when told twice', async () => {
    const demo = run('demo.js', '--port', '0');
    const client = await RawClient.upgrade(await demo.port());
    demo.child.kill('SIGTERM');
    expect(await client.closeCode()).toBe(1001);
    demo.child.kill('SIGTERM');
    expect(await demo.ended).toBe(143);
    await client.closed;
  });

  it('says in one line why it cannot start', async () => {
    const port = await takenPort();
    const wrong: readonly (readonly [string[], RegExp])[] = [
      [['--port', String(port)], /^cannot listen on 127\.0\.0\.1:\d+: the address is in use\n$/],
      [['--port', 'http'], /^--port must be a number from 0 to 65535, not 'http'\n$/],
      [['--port', '65536'], /^--port [^\n]*\n$/],
      [['--port', '-1'], /^[^\n]* use '--port=-XYZ'\.\n$/],
      [['--port'], /^[^\n]*--port[^\n]*\n$/],
      [['--host', '192.0.2.1', '--port', '0'], /^cannot listen on 192\.0\.2\.1:0: [^\n]*\n$/],
      [['--host', 'no.such.host.invalid', '--port', '0'], /^cannot listen on no\.such\.host\.invalid:0: [^\n]*\n$/],
      [['--host', 'a b'], /^--host [^\n]*\n$/],
      [['--prot', '1'], /^[^\n]*--prot[^\n]*\n$/],
      [['9001'], /^[^\n]*9001[^\n]*\n$/],
    ];
    await Promise.all(
      wrong.map(async ([args, line]) => {
        const demo = run('demo.js', ...args);
        // As every command does: 2 for wrong use.
        const code = line.source.startsWith('^cannot') ? 1 : 2;
        expect([args, await demo.ended, demo.out]).toEqual([args, code, '']);
        expect(demo.err).toMatch(line);
      }),
    );
  }, 20_000);
});

describe('help', () => {
  it.each([
    ['demo.js', ['--help'], '--port P'],
    ['demo.js', ['-h'], '--host HOST'],
    ['demo.js', ['--nonsense', '--help'], 'use: npm start'],
    ['testee.js', ['--help'], 'server --port P'],
    ['testee.js', ['server', '--runtime', 'bun', '-h'], '--parallel N'],
  ] as const)('%s %j', async (script, args, words) => {
    const command = run(script, ...args);
    expect([await command.ended, command.err]).toEqual([0, '']);
    expect(command.out).toContain(words);
  });
});

/** A port that nobody listens on, as far as anybody can know. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Tries until somebody listens there or the command has ended. */
async function upgraded(command: Command, port: number): Promise<RawClient> {
  while (command.child.exitCode === null) {
    const client = await RawClient.upgrade(port).catch(() => null);
    if (client !== null) return client;
  }
  throw new Error(`ended: ${command.err}`);
}

describe('a server whose output nobody reads any more', () => {
  it.each([
    ['demo.js', []],
    ['testee.js', ['server']],
    ['testee.js', ['server', '--runtime', 'bun']],
    ['testee.js', ['server', '--runtime', 'deno']],
  ] as const)(
    'goes on: %s %j',
    async (script, args) => {
      const port = await freePort();
      const command = run(script, ...args, '--port', String(port));
      command.child.stdout?.destroy();
      const client = await upgraded(command, port);
      client.write(text('hello'));
      expect(await client.text()).toBe('hello');
      client.socket.destroy();
      command.child.kill('SIGTERM');
      expect([await command.ended, command.err]).toEqual([0, '']);
    },
    20_000,
  );
});

describe('the testee as a server', () => {
  it('echoes up to its limit, and ends on SIGTERM', async () => {
    const testee = run('testee.js', 'server', '--port', '0', '--max-message', '70000');
    const port = await testee.port();
    const client = await RawClient.upgrade(port);
    client.write(masked({ opcode: 2, payload: new Uint8Array(70_000) }));
    expect((await client.frame())?.payload.length).toBe(70_000);
    client.write(masked({ opcode: 2, payload: new Uint8Array(70_001) }));
    expect(await client.closeCode()).toBe(1009);
    client.socket.end();
    await client.closed;
    testee.child.kill('SIGTERM');
    expect(await testee.ended).toBe(0);
  });

  it('takes 16 MiB by default, and agrees on compression only when asked', async () => {
    const offer = 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n';
    for (const [args, agreed] of [
      [[], false],
      [['--deflate'], true],
    ] as const) {
      const port = await run('testee.js', 'server', '--port', '0', ...args).port();
      const client = await RawClient.open(port);
      client.write(requestFor('/', offer));
      expect((await client.head()).includes('permessage-deflate')).toBe(agreed);
      client.write(masked({ opcode: 2, payload: new Uint8Array(16 * 1024 * 1024) }));
      expect((await client.frame())?.header.opcode).toBe(2);
      client.socket.destroy();
    }
  });

  for (const runtime of ['bun', 'deno']) {
    it.runIf(existsSync(modules + runtime))(`runs on ${runtime} and is stopped through the parent`, { timeout: 20_000 }, async () => {
      const testee = run('testee.js', 'server', '--port', '0', '--runtime', runtime);
      const port = await testee.port();
      const answered = deferred<unknown>();
      const ended = deferred<number>();
      const peer = await connect(`ws://127.0.0.1:${port}/`, {
        handlers: { onMessage: (_peer, data) => answered.resolve(data), onEnd: (_peer, { code }) => ended.resolve(code) },
      });
      peer.send('x'.repeat(500_000));
      expect(await answered.promise).toBe('x'.repeat(500_000));
      testee.child.kill('SIGTERM');
      expect(await ended.promise).toBe(1001);
      expect(await testee.ended).toBe(0);
    });

    it.runIf(existsSync(modules + runtime))(
      `leaves nothing behind on ${runtime} when the parent is killed`,
      { timeout: 20_000 },
      async () => {
        const testee = run('testee.js', 'server', '--port', '0', '--runtime', runtime);
        const client = await RawClient.upgrade(await testee.port());
        testee.child.kill('SIGKILL');
        expect(await client.closeCode()).toBe(1001);
        client.write(closeFrame(1001));
        await client.rest();
        client.socket.end();
        await client.closed;
      },
    );
  }
});

describe('the testee as a client', () => {
  /** The fuzzing server's side, for three cases: text, binary, and a case that closes at once. */
  async function fuzzer(log: string[]): Promise<string> {
    const handlers: PeerHandlers = {
      onOpen(peer, { request }) {
        const target = request?.target ?? '';
        log.push(target);
        if (target === '/getCaseCount') peer.send('3');
        if (target.startsWith('/runCase?case=1&')) peer.send('ping');
        else if (target.startsWith('/runCase?case=2&')) peer.send(Uint8Array.of(1, 2));
        else peer.close();
      },
      onMessage(peer, data) {
        log.push(typeof data === 'string' ? data : `bytes ${data.join(' ')}`);
        peer.close(1000);
      },
    };
    const listening = await listen({ handlers });
    cleanups.push(() => listening.close({ deadline: 0 }));
    return listening.url;
  }

  it('runs every case, echoes with the type, and has the reports written', async () => {
    const log: string[] = [];
    const testee = run('testee.js', 'client', '--url', await fuzzer(log), '--agent', 'ferry wire');
    expect([await testee.ended, testee.err]).toEqual([0, '']);
    expect(log).toEqual([
      '/getCaseCount',
      '/runCase?case=1&agent=ferry%20wire',
      'ping',
      '/runCase?case=2&agent=ferry%20wire',
      'bytes 1 2',
      '/runCase?case=3&agent=ferry%20wire',
      '/updateReports?agent=ferry%20wire',
    ]);
  });

  for (const runtime of ['bun', 'deno']) {
    it.runIf(existsSync(modules + runtime))(`does so on ${runtime}`, { timeout: 20_000 }, async () => {
      const log: string[] = [];
      const testee = run('testee.js', 'client', '--url', await fuzzer(log), '--agent', runtime, `--runtime=${runtime}`);
      expect([await testee.ended, testee.err]).toEqual([0, '']);
      expect(log).toHaveLength(7);
    });
  }

  it('says in one line that nobody listens', async () => {
    const listening = await listen();
    await listening.close();
    const testee = run('testee.js', 'client', '--url', listening.url, '--agent', 'a');
    expect(await testee.ended).toBe(1);
    expect(testee.err).toMatch(/^cannot connect to 127\.0\.0\.1:\d+: [^\n]*\n$/);
  });
});

describe('wrong arguments of the testee', () => {
  it.each([
    [[]],
    [['peer']],
    [['server']],
    [['server', '--port', 'x']],
    [['server', '--port', '0', 'more']],
    [['server', '--port', '0', '--runtime', 'browser']],
    [['server', '--port', '0', '--max-message', '1k']],
    [['server', '--port', '0', '--url', 'ws://127.0.0.1:1']],
    [['server', '--port', '0', '--nonsense']],
    [['client', '--agent', 'a']],
    [['client', '--url', 'http://127.0.0.1', '--agent', 'a']],
    [['client', '--url', 'ws://127.0.0.1:1']],
    [['client', '--url', 'ws://127.0.0.1:1', '--agent', 'a', '--port', '1']],
  ])('%j: one line, exit code 2', async (args) => {
    const testee = run('testee.js', ...args);
    expect([await testee.ended, testee.out]).toEqual([2, '']);
    expect(testee.err).toMatch(/^[^\n]+\n$/);
  });
});
