/**
 * Real peers, both directions: ws, undici, and what Node, Bun and Deno bring along, as child processes. Text, binary, 1 MiB, fragments, ping,
 * close codes from each side, and a violation.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type EndInfo, prepareMessage } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';
import { connect, listen, type NodeListening, type Peer, transportOf } from '@ferrywire/node';
import { WebSocket as UndiciWebSocket } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer, WebSocket as WsWebSocket } from 'ws';
import { deferred, masked } from './helpers.ts';

const modules = fileURLToPath(new URL('../../../node_modules/', import.meta.url));
const denoFlags = ['run', '--allow-all', '--quiet', '--no-lock', '--cached-only', '--node-modules-dir=manual'];
const runtimes = {
  'Node 24': [`${modules}node24/bin/node`],
  'Node 26': [`${modules}node26/bin/node`],
  Bun: [`${modules}.bin/bun`],
  Deno: [`${modules}.bin/deno`, ...denoFlags],
} as const;
type RuntimeName = keyof typeof runtimes;

const children = new Set<ChildProcess>();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(async () => {
  for (const child of children) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
});

function start(runtime: RuntimeName, script: string, ...args: string[]): ChildProcess & { stdout: NonNullable<ChildProcess['stdout']> } {
  const [command, ...flags] = runtimes[runtime];
  const child = spawn(command, [...flags, fileURLToPath(new URL(`./peers/${script}`, import.meta.url)), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, DENO_NO_UPDATE_CHECK: '1' },
  });
  children.add(child);
  child.once('exit', () => children.delete(child));
  child.stdout.setEncoding('utf8');
  return child;
}

/** Vitest's own comparison takes a second for 1 MiB. */
function same(answer: unknown, message: string | Uint8Array): boolean {
  if (typeof message === 'string') return answer === message;
  return answer instanceof Uint8Array && Buffer.compare(answer, message) === 0;
}

describe('our server', () => {
  let server: NodeListening;
  const ends: EndInfo[] = [];
  let onEnd = (): void => {};
  /** The server learns of an end by itself, sooner or later than its client. */
  async function endsReach(count: number): Promise<void> {
    while (ends.length < count) {
      await new Promise<void>((resolve) => {
        onEnd = resolve;
      });
    }
  }
  const waiting = new Map<Peer, (payload: string) => void>();

  beforeAll(async () => {
    server = await listen({
      limits: { maxMessageSize: 4 * 1024 * 1024 },
      handlers: {
        onBinary: (peer, data) => void peer.send(data),
        onText(peer, message) {
          const close = /^command: close (\d+) (.*)$/.exec(message);
          if (message === 'command: fragments') {
            peer.connection.sendText('one, ', { fin: false });
            peer.connection.sendContinuation('two, ', false);
            peer.connection.ping(Buffer.from('between'));
            peer.connection.sendContinuation('three', true);
          } else if (message === 'command: ping') {
            waiting.set(peer, (payload) => void peer.send(`pong: ${payload}`));
            peer.ping(Buffer.from('are you there'));
          } else if (message === 'command: violation') {
            transportOf(peer).socket.write(serializeFrame({ opcode: 3, payload: Buffer.from('no such opcode') }));
          } else if (close !== null) peer.close(Number(close[1]), close[2]);
          else if (message.startsWith('burst')) peer.sendPrepared(prepareMessage(message));
          else peer.send(message);
        },
        onPong(peer, payload) {
          const answer = Buffer.from(payload).toString();
          if (answer !== 'between') waiting.get(peer)?.(answer);
        },
        onEnd(peer, info) {
          waiting.delete(peer);
          ends.push(info);
          onEnd();
        },
      },
    });
  });
  afterAll(() => server.close({ deadline: 0 }));

  const steps = [
    'text',
    'empty',
    'binary',
    '1 MiB of text',
    '1 MiB of binary',
    '200 messages in a burst',
    'fragments with a ping between them',
    'pong to our ping',
    'close by the client',
    'close by the server',
    'a violation of the protocol ends the connection',
  ];
  for (const runtime of Object.keys(runtimes) as RuntimeName[]) {
    it.runIf(existsSync(runtimes[runtime][0]))(`and the WebSocket of ${runtime}`, async () => {
      ends.length = 0;
      const child = start(runtime, 'client.mjs', server.url);
      let output = '';
      child.stdout.on('data', (chunk) => {
        output += chunk;
      });
      const [code] = await once(child, 'close');
      expect(output.trim().split('\n')).toEqual(steps);
      expect(code).toBe(0);
      await endsReach(3);
      expect(ends.slice(0, 2).map(({ clean, code: closeCode }) => [clean, closeCode])).toEqual([
        [true, 3456],
        [true, 4321],
      ]);
    });
  }

  /** What ws and undici have in common. */
  interface Client {
    binaryType: string;
    addEventListener(type: 'open' | 'error', listener: () => void): void;
    addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
    addEventListener(type: 'close', listener: (event: { code: number; reason: string; wasClean: boolean }) => void): void;
    send(data: string | Uint8Array): void;
    close(code?: number, reason?: string): void;
  }
  const clients: { readonly [name: string]: (url: string) => Client } = {
    ws: (url) => new WsWebSocket(url, { perMessageDeflate: false }) as unknown as Client,
    undici: (url) => new UndiciWebSocket(url) as unknown as Client,
  };
  for (const [name, create] of Object.entries(clients)) {
    it(`and ${name}`, async () => {
      const open = async (): Promise<{
        socket: Client;
        next: () => Promise<unknown>;
        closed: Promise<{ code: number; reason: string; wasClean: boolean }>;
      }> => {
        const socket = create(server.url);
        socket.binaryType = 'arraybuffer';
        const inbox: unknown[] = [];
        let wake = (): void => {};
        socket.addEventListener('message', ({ data }) => {
          inbox.push(typeof data === 'string' ? data : new Uint8Array(data as ArrayBuffer));
          wake();
        });
        socket.addEventListener('error', () => {});
        const closed = new Promise<{ code: number; reason: string; wasClean: boolean }>((resolve) =>
          socket.addEventListener('close', resolve),
        );
        await new Promise<void>((resolve) => socket.addEventListener('open', resolve));
        const next = async (): Promise<unknown> => {
          while (inbox.length === 0) {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
          return inbox.shift();
        };
        return { socket, next, closed };
      };
      ends.length = 0;
      const first = await open();
      for (const message of ['grüße', '', Uint8Array.of(0, 128, 255), 'é'.repeat(524_288), new Uint8Array(1_048_576).fill(9)]) {
        first.socket.send(message);
        expect(same(await first.next(), message)).toBe(true);
      }
      first.socket.send('command: fragments');
      expect(await first.next()).toBe('one, two, three');
      first.socket.send('command: ping');
      expect(await first.next()).toBe('pong: are you there');
      first.socket.close(3456, 'client is done');
      expect(await first.closed).toMatchObject({ code: 3456, wasClean: true });
      const second = await open();
      second.socket.send('command: close 4321 server is done');
      expect(await second.closed).toMatchObject({ code: 4321, reason: 'server is done', wasClean: true });
      const third = await open();
      third.socket.send('command: violation');
      expect((await third.closed).wasClean && name !== 'ws').toBe(false);
      await endsReach(3);
    });
  }

  it('and ws: fragments, ping and a violation from the client', async () => {
    ends.length = 0;
    const socket = new WsWebSocket(server.url);
    await once(socket, 'open');
    socket.send('in ', { fin: false });
    socket.ping('from ws');
    socket.send('pieces', { fin: true });
    const [[pong], [message]] = await Promise.all([once(socket, 'pong'), once(socket, 'message')]);
    expect([String(pong), String(message)]).toEqual(['from ws', 'in pieces']);
    const ended = once(socket, 'close');
    // Unmasked, which only a server may send.
    (Reflect.get(socket, '_socket') as { write(bytes: Uint8Array): void }).write(serializeFrame({ opcode: 1, payload: Buffer.from('x') }));
    expect((await ended)[0]).toBe(1002);
    await endsReach(1);
    expect(ends).toHaveLength(1);
    expect(ends[0]).toMatchObject({ clean: false, cause: { code: 'WS_MASK_REQUIRED' } });
  });
});

describe('our client', () => {
  async function exercise(url: string, violation: (end: EndInfo) => void): Promise<void> {
    const open = async () => {
      const inbox: (string | Uint8Array)[] = [];
      const pongs: string[] = [];
      let wake = (): void => {};
      const ended = deferred<EndInfo>();
      const peer = await connect(url, {
        limits: { maxMessageSize: 4 * 1024 * 1024 },
        handlers: {
          onMessage(_peer, data) {
            inbox.push(data);
            wake();
          },
          onPong(_peer, payload) {
            pongs.push(Buffer.from(payload).toString());
            wake();
          },
          onEnd: (_peer, info) => ended.resolve(info),
        },
      });
      cleanups.push(() => peer.abort());
      const from = async <Value>(list: Value[]): Promise<Value | undefined> => {
        while (list.length === 0) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        return list.shift();
      };
      return { peer, next: () => from(inbox), pong: () => from(pongs), ended: ended.promise };
    };
    const first = await open();
    for (const message of ['grüße', '', Uint8Array.of(0, 128, 255), 'é'.repeat(524_288), new Uint8Array(1_048_576).fill(9)]) {
      first.peer.send(message);
      const answer = await first.next();
      expect(typeof answer === 'string' ? answer : Buffer.from(answer ?? [])).toEqual(
        typeof message === 'string' ? message : Buffer.from(message),
      );
    }
    for (let index = 0; index < 200; index++) first.peer.send(`burst ${index}`);
    for (let index = 0; index < 200; index++) expect(await first.next()).toBe(`burst ${index}`);
    first.peer.connection.sendText('in ', { fin: false });
    first.peer.connection.ping(Buffer.from('between'));
    first.peer.connection.sendContinuation('pie', false);
    first.peer.connection.sendContinuation('ces', true);
    first.peer.driver.pump();
    expect([await first.pong(), await first.next()]).toEqual(['between', 'in pieces']);
    first.peer.close(3456, 'client is done');
    expect(await first.ended).toMatchObject({ clean: true, code: 3456, initiator: 'local' });
    const second = await open();
    second.peer.send('command: close');
    expect(await second.ended).toMatchObject({ clean: true, code: 4321, reason: 'server is done', initiator: 'remote' });
    const third = await open();
    transportOf(third.peer).socket.write(masked({ opcode: 3, payload: Buffer.from('no such opcode') }));
    violation(await third.ended);
  }

  it('and ws', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    cleanups.push(() => new Promise((resolve) => server.close(resolve)));
    server.on('connection', (socket) => {
      socket.on('error', () => {});
      socket.on('message', (data, isBinary) => {
        if (!isBinary && String(data) === 'command: close') socket.close(4321, 'server is done');
        else socket.send(data, { binary: isBinary });
      });
    });
    await once(server, 'listening');
    await exercise(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`, (end) => {
      expect(end).toMatchObject({ code: 1002, received: { code: 1002 } });
    });
  });

  for (const [runtime, script] of [
    ['Bun', 'server-bun.mjs'],
    ['Deno', 'server-deno.mjs'],
  ] as const) {
    it.runIf(existsSync(runtimes[runtime][0]))(`and the server of ${runtime}`, async () => {
      const child = start(runtime, script);
      const port = await new Promise<string>((resolve, reject) => {
        let output = '';
        child.stdout.on('data', (chunk) => {
          output += chunk;
          const line = /^listening (\d+)$/m.exec(output);
          if (line !== null) resolve(line[1] ?? '');
        });
        child.once('exit', () => reject(new Error(`${runtime} ended: ${output}`)));
      });
      // Both drop the connection; whether a close frame comes first is their affair.
      await exercise(`ws://127.0.0.1:${port}/`, (end) => expect([1002, 1006]).toContain(end.code));
      child.kill();
      await once(child, 'exit');
    });
  }
});
