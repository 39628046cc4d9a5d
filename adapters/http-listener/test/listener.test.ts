/** The listener, requests and responses. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { getEventListeners } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { connect as connectSecure } from 'node:tls';
import {
  ArgumentException,
  HttpListener,
  type HttpListenerContext,
  HttpListenerException,
  InvalidOperationException,
  ObjectDisposedException,
} from '@ferrywire/http-listener';
import { generate } from 'selfsigned';
import { describe, expect, it, onTestFinished } from 'vitest';
import { bodyOf, get, raw, rejection, serving, upgradeHead } from './helpers.ts';

describe('life', () => {
  it('start, stop, start again, close', async () => {
    const listener = new HttpListener();
    listener.prefixes.add('http://127.0.0.1:0/');
    expect(listener.isListening).toBe(false);
    await listener.start();
    await listener.start();
    expect(listener.isListening).toBe(true);
    const first = listener.endPoints[0]?.port ?? 0;
    expect(first).toBeGreaterThan(0);
    listener.stop();
    listener.stop();
    expect([listener.isListening, listener.endPoints]).toEqual([false, []]);
    await expect(get(first, '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await listener.start();
    const context = listener.getContext();
    const answer = get(listener.endPoints[0]?.port ?? 0, '/');
    (await context).response.close('again');
    expect(await bodyOf(await answer)).toBe('again');
    listener.close();
    listener.close();
    listener.abort();
    expect(listener.isListening).toBe(false);
    const disposed = new HttpListener();
    await disposed.start();
    await disposed[Symbol.asyncDispose]();
    expect(() => disposed.start()).toThrow(ObjectDisposedException);
  });
  it('goes on when connections cannot be accepted', async () => {
    const servers = new Set<Server>();
    const seen = (message: unknown): void => void servers.add((message as { readonly server: Server }).server);
    const warnings: string[] = [];
    const warned = ({ message }: Error): void => void warnings.push(message);
    subscribe('http.server.request.start', seen);
    process.on('warning', warned);
    onTestFinished(() => {
      unsubscribe('http.server.request.start', seen);
      process.off('warning', warned);
    });
    await using one = await serving();
    expect(await bodyOf(await get(one.port, '/'))).toBe('ok');
    // As `node:net` does when the system says ENFILE or ENOMEM.
    for (const server of servers) for (const code of ['first', 'second']) server.emit('error', new Error(`accept: ${code}`));
    expect(await bodyOf(await get(one.port, '/'))).toBe('ok');
    expect([servers.size, warnings]).toEqual([1, ['accept: first', 'accept: second']]);
    // It still has its port, which another listener can share.
    const other = new HttpListener();
    onTestFinished(() => other.abort());
    other.prefixes.add(`http://127.0.0.1:${one.port}/other/`);
    await other.start();
    expect(other.isListening).toBe(true);
  });
  it('after close everything is an ObjectDisposedException', async () => {
    const listener = new HttpListener();
    listener.close();
    expect(() => listener.start()).toThrow(ObjectDisposedException);
    expect(() => listener.stop()).toThrow(ObjectDisposedException);
    expect(await rejection(listener.getContext())).toBeInstanceOf(ObjectDisposedException);
  });
  it('getContext before start, and without prefixes, is an InvalidOperationException', async () => {
    const listener = new HttpListener();
    expect(await rejection(listener.getContext())).toBeInstanceOf(InvalidOperationException);
    await listener.start();
    const error = await rejection(listener.getContext());
    expect(error).toBeInstanceOf(InvalidOperationException);
    expect(error.message).toContain('prefix');
    listener.close();
  });
  it('a waiting getContext rejects with 995 when the listener stops, and a loop ends', async () => {
    for (const end of ['stop', 'abort', 'close'] as const) {
      const listener = new HttpListener();
      listener.prefixes.add('http://127.0.0.1:0/');
      await listener.start();
      const waiting = rejection(listener.getContext());
      const loop = (async () => {
        for await (const context of listener) context.response.close();
      })();
      await Promise.resolve();
      listener[end]();
      expect(await waiting).toMatchObject({ name: 'HttpListenerException', errorCode: 995 });
      await loop;
      listener.abort();
    }
  });
  it('a signal ends a waiting getContext, and only that', async () => {
    await using server = await serving(['http://127.0.0.1:0/'], () => {});
    const controller = new AbortController();
    const listener = new HttpListener();
    listener.prefixes.add(`http://127.0.0.1:${server.port}/mine/`);
    await listener.start();
    const waiting = rejection(listener.getContext(controller.signal));
    controller.abort();
    expect((await waiting).name).toBe('AbortError');
    expect((await rejection(listener.getContext(AbortSignal.abort()))).name).toBe('AbortError');
    const answer = get(server.port, '/mine/');
    (await listener.getContext()).response.close();
    expect((await answer).status).toBe(200);
    listener.close();
  });
  it('what is no signal is refused before it waits, so that it takes no request', async () => {
    const listener = new HttpListener();
    listener.prefixes.add('http://127.0.0.1:0/');
    await listener.start();
    for (const wrong of [0, {}, new AbortController()] as unknown as AbortSignal[])
      expect(await rejection(listener.getContext(wrong))).toMatchObject({ name: 'ArgumentException', paramName: 'signal' });
    const answer = get(listener.endPoints[0]?.port ?? 0, '/');
    (await listener.getContext(null as unknown as AbortSignal)).response.close();
    expect((await answer).status).toBe(200);
    listener.close();
  });
  it('a signal is let go of with every context, and with every rejection', async () => {
    const { signal } = new AbortController();
    const listener = new HttpListener();
    listener.prefixes.add('http://127.0.0.1:0/');
    await listener.start();
    for (let index = 0; index < 3; index += 1) {
      const waiting = listener.getContext(signal);
      const answer = get(listener.endPoints[0]?.port ?? 0, '/');
      expect(getEventListeners(signal, 'abort')).toHaveLength(1);
      (await waiting).response.close();
      await answer;
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    }
    const last = rejection(listener.getContext(signal));
    listener.close();
    expect(await last).toMatchObject({ errorCode: 995 });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
  it('an address in use is an HttpListenerException 32', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    const listener = new HttpListener();
    listener.prefixes.add(`http://127.0.0.1:${port}/`);
    const error = await rejection(listener.start());
    expect(error).toBeInstanceOf(HttpListenerException);
    expect(error.errorCode).toBe(32);
    expect(listener.isListening).toBe(false);
    await new Promise((resolve) => taken.close(resolve));
    await listener.start();
    expect(listener.isListening).toBe(true);
    listener.close();
  });
  it('requests wait in a queue; stop answers them 503, abort drops them', async () => {
    for (const [end, expected] of [
      ['stop', 503],
      ['close', 503],
      ['abort', 'ECONNRESET'],
    ] as const) {
      const listener = new HttpListener();
      listener.prefixes.add('http://127.0.0.1:0/');
      await listener.start();
      const answer = get(listener.endPoints[0]?.port ?? 0, '/').then(
        ({ status }) => status,
        (error: NodeJS.ErrnoException) => error.code,
      );
      const other = get(listener.endPoints[0]?.port ?? 0, '/open');
      const open = await listener.getContext();
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      listener[end]();
      if (end === 'abort') await expect(Promise.all([answer, other])).rejects.toMatchObject({ code: 'ECONNRESET' });
      else {
        open.response.close('still answered');
        const results = [await answer, (await other).status].sort();
        expect(results).toEqual([200, expected]);
      }
      listener.abort();
    }
  });
  it('an answer that is due when it stops is the last of its connection, and says so', async () => {
    const listener = new HttpListener();
    onTestFinished(() => listener.abort());
    listener.prefixes.add('http://127.0.0.1:0/');
    await listener.start();
    const answer = raw(listener.endPoints[0]?.port ?? 0, 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    const { response } = await listener.getContext();
    listener.stop();
    response.close('last');
    expect(await answer).toMatch(/^HTTP\/1\.1 200 OK\r\n.*Connection: close\r\n.*last$/is);
  });
  it('beyond a thousand requests in the queue the next is answered 503', async () => {
    const listener = new HttpListener();
    onTestFinished(() => listener.abort());
    listener.prefixes.add('http://127.0.0.1:0/');
    await listener.start();
    const request = 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n';
    const all = new Promise<void>((resolve) => {
      let count = 0;
      const received = (): void => {
        count += 1;
        if (count === 1001) setImmediate(resolve);
      };
      subscribe('http.server.request.start', received);
      onTestFinished(() => void unsubscribe('http.server.request.start', received));
    });
    const answers = raw(listener.endPoints[0]?.port ?? 0, `${`${request}\r\n`.repeat(1000)}${request}Connection: close\r\n\r\n`);
    await all;
    for (let count = 0; count < 1000; count++) (await listener.getContext()).response.close();
    const statuses = [...(await answers).matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
    expect(statuses).toEqual([...Array<string>(1000).fill('200'), '503']);
  });
  it('prefixes can be added and removed while it listens', async () => {
    await using server = await serving(['http://127.0.0.1:0/a/']);
    const { listener, port } = server;
    expect((await get(port, '/b/')).status).toBe(404);
    listener.prefixes.add(`http://127.0.0.1:${port}/b/`);
    await listener.start();
    expect((await get(port, '/b/')).status).toBe(200);
    listener.prefixes.remove(`http://127.0.0.1:${port}/b/`);
    expect((await get(port, '/b/')).status).toBe(404);
    expect((await get(port, '/a/')).status).toBe(200);
  });
  it('an added prefix that cannot be bound is taken out again, and somebody is told', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const bad = `http://127.0.0.1:${(taken.address() as { port: number }).port}/`;
    const listener = new HttpListener();
    listener.prefixes.add('http://127.0.0.1:0/');
    await listener.start();
    const [good] = listener.prefixes;
    const port = listener.endPoints[0]?.port ?? 0;
    const inUse = { name: 'HttpListenerException', errorCode: 32 };
    // Whoever waits for the binding, and nobody else.
    const other = listener.getContext();
    listener.prefixes.add(bad);
    expect(await rejection(listener.start())).toMatchObject(inUse);
    expect([listener.isListening, ...listener.prefixes]).toEqual([true, good]);
    await listener.start();
    const answer = get(port, '/');
    (await other).response.close();
    expect((await answer).status).toBe(200);
    // A getContext that waits.
    const waiting = rejection(listener.getContext());
    listener.prefixes.add(bad);
    expect(await waiting).toMatchObject(inUse);
    // The next to ask, once.
    for (const ask of ['getContext', 'start'] as const) {
      listener.prefixes.add(bad);
      while (listener.prefixes.count > 1) await new Promise((resolve) => setImmediate(resolve));
      expect(await rejection(listener[ask]())).toMatchObject(inUse);
      await listener.start();
    }
    // What can be known at once is thrown at once.
    expect(() => listener.prefixes.add(`https://127.0.0.1:${port}/`)).toThrow(InvalidOperationException);
    expect([...listener.prefixes]).toEqual([good]);
    // Nobody wants it any more.
    listener.prefixes.add(bad);
    listener.prefixes.remove(bad);
    await new Promise((resolve) => taken.close(resolve));
    listener.prefixes.add(bad);
    await listener.start();
    expect(listener.endPoints.map((endPoint) => endPoint.port)).toHaveLength(2);
    listener.close();
  });
  it('gives its prefixes back at once, bound or not', async () => {
    const probe = new HttpListener();
    probe.prefixes.add('http://127.0.0.1:0/');
    await probe.start();
    const { port } = probe.endPoints[0] ?? { port: 0 };
    probe.close();
    const make = (host: string): HttpListener => {
      const listener = new HttpListener();
      listener.prefixes.add(`http://${host}:${port}/`);
      return listener;
    };
    for (const host of ['127.0.0.1', '*', '127.0.0.1']) {
      const listener = make(host);
      const first = listener.start();
      listener.stop();
      const second = listener.start();
      listener.stop();
      await Promise.all([first, second, listener.start()]);
      const answer = get(port, '/');
      (await listener.getContext()).response.close();
      expect((await answer).status).toBe(200);
      listener.close();
      const closed = make(host);
      await Promise.all([closed.start(), closed.close()]);
      const dropped = make(host);
      void dropped.start();
      dropped.abort();
    }
    await expect(get(port, '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
  it('serves the next request of a connection that was there before, as its last', async () => {
    const listener = new HttpListener();
    listener.prefixes.add('http://127.0.0.1:0/');
    await listener.start();
    const port = listener.endPoints[0]?.port ?? 0;
    listener.stop();
    listener.prefixes.clear();
    listener.prefixes.add(`http://127.0.0.1:${port}/`);
    await listener.start();
    const request = 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
    const socket = connect(port, '127.0.0.1');
    socket.write(request);
    const { response } = await listener.getContext();
    // The head goes before the listener stops, and cannot say that this is the last answer.
    response.outputStream.write('first');
    let text = '';
    for await (const chunk of socket.setEncoding('latin1')) {
      text += chunk;
      if (!text.endsWith('first\r\n')) continue;
      listener.stop();
      await listener.start();
      response.close();
      socket.write(request);
      (await listener.getContext()).response.close('second');
    }
    expect(text).toMatch(/^HTTP\/1.1 200 OK\r\n.*Connection: keep-alive\r\n.*first\r\n0\r\n\r\nHTTP\/1.1 200 OK\r\n/s);
    expect(text).toMatch(/Connection: close\r\n\r\nsecond$/);
    listener.close();
  });
  it('close ends connections of TLS too that have not sent a request, with or without a handshake', async () => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }]);
    for (const end of ['close', 'abort'] as const) {
      const listener = new HttpListener({ tls: { key, cert } });
      listener.prefixes.add('https://127.0.0.1:0/');
      await listener.start();
      const port = listener.endPoints[0]?.port ?? 0;
      const below = connect(port, '127.0.0.1');
      const secure = connectSecure({ port, host: '127.0.0.1', rejectUnauthorized: false });
      // The second is accepted behind the first, and half of a request goes through it.
      await new Promise((resolve) => secure.once('secureConnect', resolve).write('GET / HTTP/1.1\r\n'));
      const gone = Promise.all([below, secure].map((socket) => new Promise((resolve) => socket.once('close', resolve))));
      for (const socket of [below, secure]) socket.on('error', () => {}).resume();
      listener[end]();
      await gone;
    }
  });
  it('a connection of TLS looks at no other, however many there are', async () => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }]);
    let accepted = 0;
    let looks = 0;
    const watch = (message: unknown): void => {
      const { socket } = message as { socket: Socket };
      const { remotePort } = socket;
      accepted += 1;
      const get = (): number | undefined => {
        looks += 1;
        return remotePort;
      };
      Object.defineProperty(socket, 'remotePort', { get });
    };
    subscribe('net.server.socket', watch);
    onTestFinished(() => void unsubscribe('net.server.socket', watch));
    await using server = await serving(['https://127.0.0.1:0/'], undefined, { tls: { key, cert } });
    const answered = async (): Promise<number> => {
      looks = 0;
      const socket = connectSecure({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false });
      onTestFinished(() => void socket.destroy());
      socket.on('error', () => {}).write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
      await new Promise((resolve) => socket.once('data', resolve));
      return looks;
    };
    const alone = await answered();
    for (let count = 0; count < 20; count++) {
      const silent = connect(server.port, '127.0.0.1').on('error', () => {});
      onTestFinished(() => void silent.destroy());
    }
    const among = await answered();
    expect(accepted).toBe(22);
    expect(among).toBe(alone);
  });
  it('https needs a certificate, and serves with one', async () => {
    const without = new HttpListener();
    without.prefixes.add('https://127.0.0.1:0/');
    expect(await rejection(without.start())).toBeInstanceOf(InvalidOperationException);
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }]);
    let secure: boolean | null = null;
    await using server = await serving(
      ['https://127.0.0.1:0/'],
      (context) => {
        secure = context.request.isSecureConnection;
        expect(context.request.url.protocol).toBe('https:');
        context.response.close('ok');
      },
      { tls: { key, cert } },
    );
    const { request } = await import('node:https');
    const status = await new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port: server.port, rejectUnauthorized: false, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
    expect([status, secure]).toEqual([200, true]);
  });
});

describe('request', () => {
  /** What a request looks like to the application. */
  async function seen<T>(send: (port: number) => Promise<unknown>, look: (context: HttpListenerContext) => T | Promise<T>): Promise<T> {
    let result: T | undefined;
    await using server = await serving(['http://127.0.0.1:0/'], async (context) => {
      result = await look(context);
      context.response.close();
    });
    await send(server.port);
    return result as T;
  }
  it('has method, url, headers and end points', async () => {
    const request = await seen(
      (port) => get(port, '/a/b?x=1&y=%20', { 'X-Some': 'thing', 'User-Agent': 'test', Cookie: 'a=1; b=2' }, 'POST', 'body'),
      ({ request: it }) => it,
    );
    expect([request.httpMethod, request.rawUrl, request.protocolVersion]).toEqual(['POST', '/a/b?x=1&y=%20', '1.1']);
    expect([request.url.pathname, request.queryString.get('y')]).toEqual(['/a/b', ' ']);
    expect([request.headers.get('x-some'), request.userAgent, request.cookies.get('b')]).toEqual(['thing', 'test', '2']);
    expect([request.isWebSocketRequest, request.isSecureConnection, request.isLocal]).toEqual([false, false, true]);
    expect(request.remoteEndPoint.address).toBe('127.0.0.1');
    expect(request.remoteEndPoint.port).toBeGreaterThan(0);
    expect(request.userHostAddress).toBe(`127.0.0.1:${request.localEndPoint.port}`);
    expect(request.userHostName).toBe(request.userHostAddress);
    expect([request.hasEntityBody, request.contentLength64, request.contentType]).toEqual([true, 4, null]);
  });
  it('has a body to read', async () => {
    const body = await seen(
      (port) => get(port, '/', { 'Content-Type': 'text/plain' }, 'PUT', 'some text'),
      async ({ request }) => {
        let text = '';
        for await (const chunk of request.inputStream) text += String(chunk);
        return [text, request.contentType];
      },
    );
    expect(body).toEqual(['some text', 'text/plain']);
  });
  it('has the length of its body as .NET has it: 0 for none, -1 for one in chunks', async () => {
    const lengths: unknown[] = [];
    await using server = await serving(['http://127.0.0.1:0/'], ({ request, response }) => {
      lengths.push([request.contentLength64, request.hasEntityBody]);
      response.close();
    });
    await get(server.port, '/');
    await get(server.port, '/', { 'Content-Length': '0' }, 'POST');
    await get(server.port, '/', { 'Content-Length': '2' }, 'POST', 'ab');
    await get(server.port, '/', { 'Transfer-Encoding': 'chunked' }, 'POST', 'ab');
    expect(lengths).toEqual([
      [0, false],
      [0, false],
      [2, true],
      [-1, true],
    ]);
  });
  it('knows a WebSocket request from others that ask for an upgrade', async () => {
    const kinds: boolean[] = [];
    await using server = await serving(['http://127.0.0.1:0/'], ({ request, response }) => {
      kinds.push(request.isWebSocketRequest);
      response.statusCode = 400;
      response.close();
    });
    const replies = [
      await raw(server.port, upgradeHead()),
      await raw(server.port, 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n'),
      await raw(server.port, 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nUpgrade: websocket\r\n\r\n'),
      await raw(
        server.port,
        'POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n',
      ),
    ];
    expect(kinds).toEqual([true, false, false, false]);
    for (const reply of replies) expect(reply).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
  });
  it('has all fields of a request, however many the size of its head lets through', async () => {
    const last: unknown[] = [];
    await using server = await serving(['http://127.0.0.1:0/'], async (context) => {
      last.push(context.request.headers.get('x-last'));
      if (context.request.isWebSocketRequest) await context.acceptWebSocket().then(({ webSocket }) => webSocket.abort());
      else context.response.close();
    });
    const many = Array.from({ length: 1500 }, (_, index) => `x${index}: \r\n`).join('');
    const head = upgradeHead('X-Last: here\r\n');
    const line = head.indexOf('\r\n') + 2;
    expect(await raw(server.port, `GET / HTTP/1.1\r\n${many}Host: 127.0.0.1\r\nConnection: close\r\nX-Last: here\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 200 /,
    );
    expect(await raw(server.port, head.slice(0, line) + many + head.slice(line))).toMatch(/^HTTP\/1\.1 101 /);
    expect(last).toEqual(['here', 'here']);
  });
  it('takes no path and no host from a Host field that has more in it than those of the client', async () => {
    const urls: string[] = [];
    const handle = ({ request, response }: HttpListenerContext): void => {
      urls.push(request.url.pathname);
      response.close();
    };
    await using wild = await serving(['http://+:0/'], handle);
    await using named = await serving(['http://127.0.0.1:0/'], handle);
    const answers: (string | undefined)[] = [];
    for (const host of ['127.0.0.1/admin?', '127.0.0.1/admin#', '127.0.0.1\\admin?', 'x@127.0.0.1', '127.0.0.1\t', '']) {
      const head = `GET /public/x HTTP/1.1\r\nHost: ${host.replace('\t', '\t/admin?')}\r\nConnection: close\r\n\r\n`;
      await raw(wild.port, head);
      answers.push((await raw(named.port, head)).split(' ')[1]);
    }
    expect(urls).toEqual(['/public/x']);
    expect(answers).toEqual([...Array(5).fill('400'), '404']);
  });

  it('refuses a target in absolute form that names no host (RFC 9110 section 4.2)', async () => {
    const urls: string[] = [];
    await using wild = await serving(['http://+:0/'], ({ request, response }) => {
      urls.push(request.url.href);
      response.close();
    });
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
    for (const authority of ['', '@', ':80', 'x@127.0.0.1', 'a:b', 'a:80:80', '::1', '[::1', '[x]']) {
      for (const fields of ['Connection: close\r\n', upgrade]) {
        const reply = await raw(wild.port, `GET http://${authority}/public/x?q HTTP/1.1\r\nHost: h\r\n${fields}\r\n`);
        expect(reply, authority).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
      }
    }
    expect(urls).toEqual([]);
    for (const authority of ['a', 'a:80', '[::1]:80'])
      await raw(wild.port, `GET http://${authority}/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
    expect(urls).toEqual(['http://a/x', 'http://a/x', 'http://[::1]/x']);
  });

  it('has the path that it was routed by, whatever the scheme of its target', async () => {
    const found: string[] = [];
    await using server = await serving(['http://127.0.0.1:0/public/'], ({ request: asked, response }) => {
      found.push(asked.url.href);
      response.close();
    });
    for (const target of ['foo://127.0.0.1/a\\..\\public/', 'file://127.0.0.1/C:/../public/', 'wss://127.0.0.1/a/../public/']) {
      await raw(server.port, `GET ${target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
    }
    expect(found).toEqual(['http://127.0.0.1/public/', 'http://127.0.0.1/public/', 'wss://127.0.0.1/public/']);
  });

  it('survives odd targets and a missing Host', async () => {
    const urls: string[] = [];
    await using server = await serving(['http://*:0/'], ({ request, response }) => {
      urls.push(request.url.pathname);
      response.close();
    });
    await raw(server.port, 'GET //x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    await raw(server.port, 'GET http://other/abs HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    await raw(server.port, 'GET /plain HTTP/1.0\r\n\r\n');
    await raw(server.port, 'GET /port HTTP/1.1\r\nHost: h:99999\r\nConnection: close\r\n\r\n');
    await raw(server.port, 'GET http://other:99999/abs HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    expect(urls).toEqual(['//x', '/abs', '/plain', '/port', '/abs']);
  });
});

describe('response', () => {
  /** The answer to a request handled so. */
  async function answered(handle: (context: HttpListenerContext) => unknown) {
    await using server = await serving(['http://127.0.0.1:0/'], handle);
    return await get(server.port, '/');
  }
  it('has a status, headers and a body', async () => {
    const answer = await answered(({ response }) => {
      response.statusCode = 201;
      response.statusDescription = 'Made';
      response.contentType = 'text/plain';
      response.addHeader('X-A', '1');
      response.appendHeader('Set-Cookie', 'a=1');
      response.appendHeader('Set-Cookie', 'b=2');
      response.addHeader('Constructor', 'c');
      response.close(Buffer.from('body'));
      response.close();
    });
    expect([answer.status, answer.statusText, answer.body.toString()]).toEqual([201, 'Made', 'body']);
    expect(answer.headers).toMatchObject({ 'content-type': 'text/plain', 'x-a': '1', 'content-length': '4', 'set-cookie': ['a=1', 'b=2'] });
    expect(Object.entries(answer.headers)).toContainEqual(['constructor', 'c']);
  });
  it('writes through a stream, with a length or chunked', async () => {
    const buffer = await answered(({ response }) => {
      for (const body of [5, null, {}, ['b']] as unknown[]) {
        expect(() => response.close(body as string)).toThrow(ArgumentException);
      }
      // Other views and buffers are taken as `send` of a WebSocket takes them.
      response.close(Uint16Array.of(0x4141, 0x4242) as unknown as Uint8Array);
    });
    expect([buffer.headers['content-length'], await bodyOf(buffer)]).toEqual(['4', 'AABB']);
    const chunked = await answered(({ response }) => {
      response.outputStream.write('a');
      response.outputStream.write('b');
      response.close();
    });
    expect([chunked.body.toString(), chunked.headers['transfer-encoding']]).toEqual(['ab', 'chunked']);
    const held = await answered(({ response }) => {
      response.outputStream.cork();
      response.outputStream.write('a');
      response.close('b');
    });
    expect(held.body.toString()).toBe('ab');
    const sized = await answered(({ response }) => {
      response.contentLength64 = 3;
      expect(response.contentLength64).toBe(3);
      response.outputStream.end('abc');
    });
    expect([sized.body.toString(), sized.headers['content-length']]).toEqual(['abc', '3']);
  });
  it('says no length of a body that its status cannot have (RFC 9110 section 8.6)', async () => {
    for (const status of [204, 304]) {
      const answer = await answered(({ response }) => {
        response.statusCode = status;
        response.close();
      });
      expect([answer.status, answer.headers['content-length'], answer.headers['transfer-encoding']]).toEqual([
        status,
        undefined,
        undefined,
      ]);
    }
  });
  it('is as long as it says, or the next answer of the connection would be taken for a part of it', async () => {
    const seen: unknown[] = [];
    const wrong: Record<string, (response: HttpListenerContext['response']) => unknown> = {
      close: (response) => {
        response.contentLength64 = 3;
        expect(() => response.close()).toThrow(InvalidOperationException);
        response.abort();
      },
      'more at the end': (response) => {
        response.contentLength64 = 3;
        response.outputStream.write('ab');
        expect(() => response.close('cd')).toThrow(InvalidOperationException);
        expect(() => response.close()).toThrow(InvalidOperationException);
        response.abort();
      },
      'a write too long': (response) => {
        response.contentLength64 = 3;
        response.outputStream.on('error', (error) => seen.push(error)).write('abcd');
        response.close();
      },
      'a second write': (response) => {
        response.contentLength64 = 3;
        response.outputStream.on('error', (error) => seen.push(error));
        response.outputStream.write('ab');
        response.outputStream.write('cd', () => response.close());
      },
      'an end too early': (response) => {
        response.contentLength64 = 3;
        response.outputStream.on('error', (error) => seen.push(error)).end('ab');
      },
      'no number': (response) => {
        response.addHeader('Content-Length', 'a');
        expect(() => response.close()).toThrow(InvalidOperationException);
        response.abort();
      },
    };
    for (const [how, handle] of Object.entries(wrong)) {
      await expect(
        answered(({ response }) => handle(response)),
        how,
      ).rejects.toMatchObject({ code: 'ECONNRESET' });
    }
    expect(seen.map((error) => (error as Error).name)).toEqual(Array(3).fill('InvalidOperationException'));
  });
  it('takes the length of a body that is given whole, and one that comes in pieces as it was said', async () => {
    const whole = await answered(({ response }) => {
      response.contentLength64 = 10;
      response.close('hello');
    });
    expect([whole.headers['content-length'], whole.body.toString()]).toEqual(['5', 'hello']);
    const pieces = await answered(({ response }) => {
      response.contentLength64 = 3;
      response.outputStream.write('ab');
      response.close('c');
    });
    expect([pieces.headers['content-length'], pieces.body.toString()]).toEqual(['3', 'abc']);
    const instead = await answered(({ response }) => {
      response.contentLength64 = 1;
      response.outputStream.on('error', () => {}).write('ab');
      response.statusCode = 500;
      response.close('sorry');
    });
    expect([instead.status, instead.headers['content-length'], instead.body.toString()]).toEqual([500, '5', 'sorry']);
    const chunked = await answered(({ response }) => {
      response.contentLength64 = 10;
      response.addHeader('Transfer-Encoding', 'chunked');
      response.close('a');
    });
    expect([chunked.headers['content-length'], chunked.body.toString()]).toEqual([undefined, 'a']);
  });
  it('to HEAD tells the length of a body that is not sent', async () => {
    await using server = await serving(['http://127.0.0.1:0/'], ({ response }) => {
      response.contentLength64 = 10;
      response.close();
    });
    expect((await get(server.port, '/', {}, 'HEAD')).headers['content-length']).toBe('10');
  });
  it('redirects, and closes the connection when told to', async () => {
    const answer = await answered(({ response }) => {
      response.redirect('http://h/elsewhere');
      response.keepAlive = false;
      expect([response.redirectLocation, response.keepAlive]).toEqual(['http://h/elsewhere', false]);
      response.close();
    });
    expect([answer.status, answer.headers.location, answer.headers.connection]).toEqual([302, 'http://h/elsewhere', 'close']);
  });
  it('refuses what must not be sent, and changes after it was sent', async () => {
    await answered(({ response }) => {
      for (const status of [0, 99, 1000, 200.5, Number.NaN]) {
        expect(() => {
          response.statusCode = status;
        }).toThrow(RangeError);
      }
      expect(() => response.addHeader('X\r\n', 'a')).toThrow(TypeError);
      expect(() => response.addHeader('X', 'a\r\nY: b')).toThrow(TypeError);
      expect(() => {
        response.statusDescription = 'a\r\nb';
      }).toThrow(TypeError);
      expect(() => {
        response.contentLength64 = -1;
      }).toThrow(RangeError);
      response.outputStream.write('begun');
      expect(() => {
        response.statusCode = 404;
      }).toThrow(InvalidOperationException);
      response.outputStream.end();
      response.close();
    });
    await answered(({ response }) => {
      response.close();
      expect(() => response.addHeader('X', 'a')).toThrow(ObjectDisposedException);
      expect(() => response.outputStream).toThrow(ObjectDisposedException);
    });
  });
  it('a body whose client has left before the first write fails, and so does a pipeline', async () => {
    for (const prefix of ['GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', upgradeHead()]) {
      const listener = new HttpListener();
      listener.prefixes.add('http://127.0.0.1:0/');
      await listener.start();
      const socket = connect(listener.endPoints[0]?.port ?? 0, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(prefix);
      const context = await listener.getContext();
      const before = context.response.outputStream;
      const left = new Promise((resolve) => before.on('close', resolve));
      socket.resetAndDestroy();
      await left;
      expect(before.destroyed).toBe(true);
      const late = await rejection(pipeline(Readable.from([Buffer.from('body')]), context.response.outputStream));
      expect(late).toBeInstanceOf(Error);
      context.response.close();
      listener.close();
    }
  });
  it('a pipeline into a body learns that the connection was lost, one that was complete is not', async () => {
    const results: unknown[] = [];
    const body = (bytes: number): Readable => Readable.from([Buffer.alloc(bytes)]);
    await answered(async ({ response }) => {
      await pipeline(body(10), response.outputStream);
      results.push('complete');
    });
    await expect(
      answered(async ({ response }) => {
        const piped = rejection(pipeline(body(64 << 20), response.outputStream));
        setImmediate(() => response.abort());
        results.push((await piped).errorCode);
      }),
    ).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(results).toEqual(['complete', 995]);
  });
  it('a mistake with the body is still an error that nobody hides', async () => {
    const answer = answered(async ({ response }) => {
      const { outputStream } = response;
      const error = new Promise<NodeJS.ErrnoException>((resolve) => outputStream.once('error', resolve));
      outputStream.end('body');
      outputStream.write('too late');
      expect((await error).code).toBe('ERR_STREAM_WRITE_AFTER_END');
      response.abort();
    });
    await expect(answer).rejects.toMatchObject({ code: 'ECONNRESET' });
  });
  it('abort drops the connection', async () => {
    await expect(answered(({ response }) => response.abort())).rejects.toMatchObject({ code: 'ECONNRESET' });
  });
  it('a client that leaves while its request waits is forgotten', async () => {
    const listener = new HttpListener();
    listener.prefixes.add('http://127.0.0.1:0/');
    await listener.start();
    const port = listener.endPoints[0]?.port ?? 0;
    const socket = connect(port, '127.0.0.1');
    socket.write(upgradeHead('', { path: '/first' }));
    await new Promise((resolve) => socket.once('connect', resolve));
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => socket.once('close', resolve).resetAndDestroy());
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    const answer = get(port, '/second');
    const context = await listener.getContext();
    expect(context.request.rawUrl).toBe('/second');
    context.response.close();
    await answer;
    listener.close();
  });
});
