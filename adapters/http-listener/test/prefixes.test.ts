/** URL prefixes: what may be one, and which of several gets a request (HttpListener, "UrlPrefix Strings"). */
import {
  ArgumentException,
  ArgumentNullException,
  HttpListener,
  HttpListenerException,
  ObjectDisposedException,
} from '@ferrywire/http-listener';
import { describe, expect, it } from 'vitest';
import { bodyOf, get, rejection, serve, serving } from './helpers.ts';

describe('a prefix', () => {
  it('may have a name, an address or a wildcard, and a port', () => {
    const { prefixes } = new HttpListener();
    const good = [
      'http://127.0.0.1:8000/ws/',
      'http://localhost/',
      'HTTP://Example.COM:81/',
      'http://+:80/a/b/',
      'http://*:8080/',
      'https://[::1]:443/x/',
      'http://xn--bcher-kva.example/',
      'http://a_b:1/%41/',
    ];
    for (const prefix of good) prefixes.add(prefix);
    expect([...prefixes]).toEqual(good);
    expect(prefixes.count).toBe(good.length);
    expect(prefixes.contains('http://EXAMPLE.com:81/')).toBe(true);
    // The ports of the schemes.
    expect([prefixes.contains('http://localhost:80/'), prefixes.contains('https://[0:0::1]/x/')]).toEqual([true, true]);
    expect(prefixes.remove('http://*:8080/')).toBe(true);
    expect(prefixes.remove('http://*:8080/')).toBe(false);
    prefixes.clear();
    expect([...prefixes]).toEqual([]);
  });
  it('without a final slash is an ArgumentException', () => {
    const { prefixes } = new HttpListener();
    for (const prefix of ['http://127.0.0.1:8000/ws', 'http://127.0.0.1:8000', 'http://+:80/a?b']) {
      expect(() => prefixes.add(prefix)).toThrow(ArgumentException);
      expect(() => prefixes.add(prefix)).toThrow(/must end with '\/'/);
    }
  });
  it('of another form is an ArgumentException', () => {
    const { prefixes } = new HttpListener();
    for (const prefix of [
      '',
      '/',
      'ftp://h/',
      'ws://h:80/',
      'http:///',
      'http://h:x/',
      'http://h:65536/',
      'http://h:/',
      'http://u@h/',
      'http://a b/',
      'http://[::1/',
      'http://[h]/',
      'http://++/',
      'http://h/?q/',
      'http://h/#f/',
      'http://h/%zz/',
      'h/',
    ]) {
      expect(() => prefixes.add(prefix), prefix).toThrow(ArgumentException);
    }
    expect(() => prefixes.add(null as unknown as string)).toThrow(ArgumentNullException);
    expect(prefixes.count).toBe(0);
  });
  it('registered twice is an HttpListenerException 183, in one listener and in two', async () => {
    const first = new HttpListener();
    first.prefixes.add('http://127.0.0.1:48123/ws/');
    const twice = (run: () => unknown): void => {
      expect(run).toThrow(HttpListenerException);
      expect(run).toThrow(expect.objectContaining({ errorCode: 183 }));
    };
    twice(() => first.prefixes.add('http://127.0.0.1:48123/WS/'));
    await using server = await serving(['http://127.0.0.1:0/ws/']);
    const other = new HttpListener();
    other.prefixes.add(`http://127.0.0.1:${server.port}/other/`);
    await other.start();
    twice(() => other.prefixes.add(`http://127.0.0.1:${server.port}/ws/`));
    expect([...other.prefixes]).toEqual([`http://127.0.0.1:${server.port}/other/`]);
    expect((await get(server.port, '/ws/')).status).toBe(200);
    other.close();
  });
  it('may be added while another serves it, and is served by who starts when that one has stopped, as in .NET', async () => {
    await using server = await serving(['http://127.0.0.1:0/ws/']);
    const next = new HttpListener();
    next.prefixes.add(`http://127.0.0.1:${server.port}/ws/`);
    expect(await rejection(next.start())).toMatchObject({ name: 'HttpListenerException', errorCode: 183 });
    expect(next.isListening).toBe(false);
    server.listener.stop();
    await next.start();
    void serve(next, ({ response }) => response.close('the next'));
    expect(await bodyOf(await get(server.port, '/ws/'))).toBe('the next');
    next.close();
  });
  it('cannot be added to a listener that is closed', () => {
    const listener = new HttpListener();
    listener.close();
    expect(() => listener.prefixes.add('http://127.0.0.1:1/')).toThrow(ObjectDisposedException);
  });
});

describe('matching', () => {
  /** Which listener answers, each with the prefixes of one name. */
  async function answers(listeners: Record<string, readonly string[]>, requests: readonly (readonly [host: string, path: string])[]) {
    await using probe = await serving(['http://127.0.0.1:0/']);
    const { port } = probe;
    probe.listener.close();
    const made: HttpListener[] = [];
    try {
      // Wildcards bind every address, and must be first on a port.
      const order = Object.entries(listeners).sort(([, a], [, b]) => Number(b.some(isWild)) - Number(a.some(isWild)));
      for (const [name, prefixes] of order) {
        const listener = new HttpListener();
        for (const prefix of prefixes) listener.prefixes.add(prefix.replace(':P/', `:${port}/`));
        await listener.start();
        made.push(listener);
        void serve(listener, (context) => context.response.close(name));
      }
      const results: string[] = [];
      for (const [host, path] of requests) {
        const response = await get(port, path, { Host: `${host}:${port}` });
        results.push(response.status === 200 ? await bodyOf(response) : String(response.status));
      }
      return results;
    } finally {
      for (const listener of made) listener.close();
    }
  }
  const isWild = (prefix: string): boolean => /\/\/[+*]:/.test(prefix);

  it('the longest path wins, and what no prefix covers is 404', async () => {
    expect(
      await answers({ root: ['http://127.0.0.1:P/a/'], deep: ['http://127.0.0.1:P/a/b/'] }, [
        ['127.0.0.1', '/a/'],
        ['127.0.0.1', '/a'],
        ['127.0.0.1', '/a/x?y'],
        ['127.0.0.1', '/a/b/c'],
        ['127.0.0.1', '/a/b'],
        ['127.0.0.1', '/A/B/'],
        ['127.0.0.1', '/a/bc'],
        ['127.0.0.1', '/%61/b/'],
        ['127.0.0.1', '/'],
        ['127.0.0.1', '/ab/'],
      ]),
    ).toEqual(['root', 'root', 'root', 'deep', 'deep', 'deep', 'root', 'deep', '404', '404']);
    expect(await answers({ deep: ['http://127.0.0.1:P/a/b/'], root: ['http://127.0.0.1:P/a/'] }, [['127.0.0.1', '/a/b/c']])).toEqual([
      'deep',
    ]);
  });
  it('dot segments lead to where the URL of the request leads', async () => {
    const targets = {
      '/a/../b/x': 'b',
      '/a/%2e%2E/b/x': 'b',
      '/a\\..\\b\\x': 'b',
      'http://127.0.0.1/a/../b/': 'b',
      '/a/x/../y/./z': 'a',
      '/x/../a/': 'a',
      '/a/..': '404',
      '/b/./..//a/': '404',
      '/a/..%2fb/': 'a',
      '/a?/../b/': 'a',
    };
    expect(
      await answers(
        { a: ['http://127.0.0.1:P/a/'], b: ['http://127.0.0.1:P/b/'] },
        Object.keys(targets).map((target) => ['127.0.0.1', target]),
      ),
    ).toEqual(Object.values(targets));
    expect(await answers({ up: ['http://127.0.0.1:P/x/../a/'] }, [['127.0.0.1', '/a/y']])).toEqual(['up']);
  });
  it('the host must be the prefix’s', async () => {
    expect(
      await answers({ one: ['http://localhost:P/'], two: ['http://127.0.0.1:P/'] }, [
        ['localhost', '/'],
        ['LOCALHOST', '/'],
        ['127.0.0.1', '/'],
        ['other.example', '/'],
      ]),
    ).toEqual(['one', 'one', 'two', '404']);
  });
  it('the host of an absolute target wins over Host (RFC 9112 section 3.2.2)', async () => {
    expect(
      await answers({ one: ['http://localhost:P/'], two: ['http://127.0.0.1:P/'] }, [
        ['127.0.0.1', 'http://LOCALHOST/?q'],
        ['other.example', 'http://127.0.0.1:1/'],
        ['127.0.0.1', 'http://other.example/'],
      ]),
    ).toEqual(['one', 'two', '404']);
  });
  it('a host and a wildcard of one port may start together', async () => {
    expect(
      await answers({ all: ['http://127.0.0.1:P/a/', 'http://+:P/b/'] }, [
        ['127.0.0.1', '/a/'],
        ['other.example', '/b/'],
        ['other.example', '/a/'],
      ]),
    ).toEqual(['all', 'all', '404']);
  });
  it('the strong wildcard comes first, then the host, then the weak wildcard', async () => {
    expect(
      await answers({ strong: ['http://+:P/s/'], host: ['http://127.0.0.1:P/', 'http://127.0.0.1:P/s/deeper/'], weak: ['http://*:P/'] }, [
        ['127.0.0.1', '/s/'],
        ['127.0.0.1', '/s/deeper/'],
        ['127.0.0.1', '/other'],
        ['unknown.example', '/other'],
        ['unknown.example', '/s/x'],
      ]),
    ).toEqual(['strong', 'strong', 'host', 'weak', 'strong']);
  });
});
