/** HTTP/2 with clients and servers of others: undici, Chromium, and a server that Node's own API makes by hand. */
import { createSecureServer, type Http2SecureServer, type Http2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { EndInfo } from '@ferrywire/core';
import { serverDeflate } from '@ferrywire/deflate';
import { type AttachOptions, attach, type PeerHandlers } from '@ferrywire/node';
import { type Browser, chromium } from 'playwright-core';
import { Agent, WebSocket as UndiciWebSocket } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { findChromium } from './browser.ts';
import { certificate } from './certificate.ts';
import { closeFrame, deferred } from './helpers.ts';
import { cleanUp, cleanups, RawStream, sessionTo } from './http2-helpers.ts';

afterEach(cleanUp);

const found = findChromium();
console.log('path' in found ? `browser over HTTP/2: runs in ${found.path}` : `browser over HTTP/2: skipped, ${found.reason}`);

interface Seen {
  readonly versions: string[];
  readonly ended: Promise<EndInfo>;
}

/** Both versions on one TLS port, a page besides, an echo. */
async function serve(options: AttachOptions = {}): Promise<{ readonly port: number; readonly cert: string; readonly seen: Seen }> {
  const { cert, key } = await certificate();
  const server: Http2SecureServer = createSecureServer({ cert, key, allowHTTP1: true }, (_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>a page</title>');
  });
  const sessions = new Set<Http2Session>();
  server.on('session', (session) => sessions.add(session));
  const versions: string[] = [];
  const ended = deferred<EndInfo>();
  const handlers: PeerHandlers = {
    onOpen: (_peer, { request }) => void versions.push(request?.httpVersion ?? ''),
    onMessage: (peer, data) => void (data === 'close me' ? peer.close(4000, 'as you wish') : peer.send(data)),
    onEnd: (_peer, info) => ended.resolve(info),
  };
  const attached = attach(server, { handlers, ...options });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(async () => {
    await attached.close({ deadline: 0 });
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, cert, seen: { versions, ended: ended.promise } };
}

describe('undici with allowH2', () => {
  interface Outcome {
    readonly messages: readonly unknown[];
    readonly protocol: string;
    readonly closed: readonly [code: number, reason: string, wasClean: boolean];
  }

  async function visit(port: number, cert: string, talk: (socket: UndiciWebSocket) => void): Promise<Outcome> {
    const dispatcher = new Agent({ allowH2: true, connect: { ca: cert } });
    cleanups.push(() => dispatcher.destroy());
    const socket = new UndiciWebSocket(`wss://localhost:${port}/`, { dispatcher, protocols: ['chat'] });
    socket.binaryType = 'arraybuffer';
    const messages: unknown[] = [];
    socket.addEventListener('open', () => talk(socket));
    socket.addEventListener('message', ({ data }) => {
      messages.push(typeof data === 'string' ? data : new Uint8Array(data as ArrayBuffer));
      if (messages.length === 3) socket.close(3000, 'enough');
    });
    return new Promise((resolve) => {
      socket.addEventListener('close', ({ code, reason, wasClean }) =>
        resolve({ messages, protocol: socket.protocol, closed: [code, reason, wasClean] }),
      );
    });
  }

  it('talks and closes', async () => {
    const { port, cert, seen } = await serve({ policy: { h2Accept: true, subprotocols: ['chat'], extensions: [serverDeflate()] } });
    const outcome = await visit(port, cert, (socket) => {
      socket.send('hello');
      socket.send(new Uint8Array(200_000).fill(7));
      socket.send('words '.repeat(20_000));
    });
    const [first, second, third] = outcome.messages;
    expect([first, third]).toEqual(['hello', 'words '.repeat(20_000)]);
    expect(Buffer.compare(second as Uint8Array, new Uint8Array(200_000).fill(7))).toBe(0);
    expect(outcome.protocol).toBe('chat');
    expect(outcome.closed).toEqual([3000, 'enough', true]);
    expect(seen.versions).toEqual(['2']);
    expect(await seen.ended).toMatchObject({ clean: true, code: 3000, reason: 'enough' });
  });

  it('is closed by the server', async () => {
    const { port, cert } = await serve({ policy: { h2Accept: true, subprotocols: ['chat'] } });
    const { closed } = await visit(port, cert, (socket) => socket.send('close me'));
    expect(closed).toEqual([4000, 'as you wish', true]);
  });

  it('of this version wants the accept that RFC 8441 does not have', async () => {
    const { port, cert, seen } = await serve({ policy: { subprotocols: ['chat'] } });
    const { closed } = await visit(port, cert, () => {});
    expect(closed[0]).toBe(1006);
    expect((await seen.ended).clean).toBe(false);
  });
});

it('a client that never ends its stream is let go when all is said', async () => {
  const { port, cert, seen } = await serve();
  const client = await RawStream.open(await sessionTo(`https://localhost:${port}`, { ca: cert }));
  client.write(closeFrame(1000));
  expect((await client.frame())?.header.opcode).toBe(8);
  expect(await client.frame()).toBeNull();
  expect(await client.closed).toBe(0);
  expect(await seen.ended).toMatchObject({ clean: true, code: 1000 });
});

describe.runIf('path' in found)('Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: 'path' in found ? found.path : '' });
  });
  afterAll(async () => {
    await browser.close();
  });

  it('opens its WebSockets as streams of the session that fetched the page', async () => {
    const { port, seen } = await serve({ policy: { subprotocols: ['chat'], extensions: [serverDeflate()] } });
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    cleanups.push(() => context.close());
    const page = await context.newPage();
    await page.goto(`https://localhost:${port}/`);
    const outcome = await page.evaluate(async (url) => {
      const talk = (index: number): Promise<unknown> =>
        new Promise((resolve) => {
          const socket = new WebSocket(url, 'chat');
          socket.binaryType = 'arraybuffer';
          const sizes: unknown[] = [];
          socket.onopen = () => {
            socket.send(`hello ${index}`);
            socket.send(new Uint8Array(100_000));
          };
          socket.onmessage = ({ data }) => {
            sizes.push(typeof data === 'string' ? data : data.byteLength);
            if (sizes.length === 2) socket.close(3000, 'enough');
          };
          socket.onclose = ({ code, wasClean }) => resolve([sizes, code, wasClean, socket.protocol, socket.extensions]);
        });
      return Promise.all([talk(0), talk(1), talk(2)]);
    }, `wss://localhost:${port}/live`);
    const extensions = expect.stringContaining('permessage-deflate');
    expect(outcome).toEqual([0, 1, 2].map((index) => [[`hello ${index}`, 100_000], 3000, true, 'chat', extensions]));
    expect(seen.versions).toEqual(['2', '2', '2']);
    expect((await seen.ended).clean).toBe(true);
  });

  it('is refused, reset and closed by the server', async () => {
    const { port } = await serve({
      policy: { path: '/live' },
      handlers: { onText: (peer, text) => void (text === 'abort' ? peer.abort() : peer.close(4000, 'as you wish')) },
    });
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    cleanups.push(() => context.close());
    const page = await context.newPage();
    await page.goto(`https://localhost:${port}/`);
    const outcome = await page.evaluate(async (base) => {
      const end = (path: string, word: string): Promise<unknown> =>
        new Promise((resolve) => {
          const socket = new WebSocket(base + path);
          socket.onopen = () => socket.send(word);
          socket.onclose = ({ code, reason, wasClean }) => resolve([code, reason, wasClean]);
        });
      return [await end('/elsewhere', ''), await end('/live', 'abort'), await end('/live', 'close')];
    }, `wss://localhost:${port}`);
    expect(outcome).toEqual([
      [1006, '', false],
      [1006, '', false],
      [4000, 'as you wish', true],
    ]);
  });
});
