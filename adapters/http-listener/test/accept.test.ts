/** acceptWebSocket: what it gives, and what .NET documents as errors. */
import {
  ArgumentException,
  ArgumentOutOfRangeException,
  type HttpListenerContext,
  type HttpListenerWebSocketContext,
  InvalidOperationException,
  WebSocketException,
} from '@ferrywire/http-listener';
import { describe, expect, it } from 'vitest';
import { WebSocket as Ws } from 'ws';
import { get, raw, rejection, serving, upgradeHead } from './helpers.ts';

/** Runs `handle` on a raw upgrade request and returns what the client read. */
async function upgraded(head: string, handle: (context: HttpListenerContext) => unknown): Promise<string> {
  let failure: unknown = null;
  await using server = await serving(['http://127.0.0.1:0/'], async (context) => {
    try {
      await handle(context);
    } catch (error) {
      failure = error;
      context.response.abort();
    }
  });
  const reply = await raw(server.port, head).catch(String);
  if (failure !== null) throw failure;
  return reply;
}
const refuse = ({ response }: HttpListenerContext): void => {
  response.statusCode = 400;
  response.close();
};

describe('acceptWebSocket', () => {
  it('answers 101 and gives the context', async () => {
    let made: HttpListenerWebSocketContext | undefined;
    const reply = await upgraded(
      upgradeHead('Origin: http://page.example\r\nSec-WebSocket-Protocol: a, b\r\nCookie: k=v\r\n', { path: '/ws/?q' }),
      async (context) => {
        made = await context.acceptWebSocket('b', { receiveBufferSize: 16, keepAliveInterval: 1000 });
        expect(made.webSocket.state).toBe('Open');
      },
    );
    expect(reply).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
    expect(reply.toLowerCase()).toContain('sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n');
    expect(reply.toLowerCase()).toContain('sec-websocket-protocol: b\r\n');
    expect(made).toMatchObject({
      origin: 'http://page.example',
      secWebSocketKey: 'dGhlIHNhbXBsZSBub25jZQ==',
      secWebSocketVersion: '13',
      secWebSocketProtocols: ['a', 'b'],
      isSecureConnection: false,
      isLocal: true,
      isAuthenticated: false,
      user: null,
    });
    expect([made?.requestUri.pathname, made?.headers.get('cookie'), made?.cookieCollection.get('k'), made?.webSocket.subProtocol]).toEqual([
      '/ws/',
      'k=v',
      'v',
      'b',
    ]);
  });
  it('sends the headers that the response was given, and the response says what was sent', async () => {
    const reply = await upgraded(upgradeHead(), async (context) => {
      const { response } = context;
      response.addHeader('X-Served-By', 'one');
      response.appendHeader('Set-Cookie', 'a=1');
      response.appendHeader('Set-Cookie', 'b=2');
      await context.acceptWebSocket();
      expect([response.statusCode, response.headers.get('upgrade'), response.headers.get('x-served-by')]).toEqual([
        101,
        'websocket',
        'one',
      ]);
    });
    const fields = reply.toLowerCase().split('\r\n');
    expect(fields).toEqual(expect.arrayContaining(['upgrade: websocket', 'x-served-by: one', 'set-cookie: a=1', 'set-cookie: b=2']));
  });
  it('takes nothing more for the body of the response, though its stream was asked for before', async () => {
    const reply = await upgraded(upgradeHead(), async (context) => {
      const { outputStream } = context.response;
      await context.acceptWebSocket();
      expect(() => context.response.outputStream).toThrow(InvalidOperationException);
      expect(await new Promise((resolve) => outputStream.write('a body', resolve))).toBeInstanceOf(Error);
    });
    expect(reply.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });
  it('with a header that the handshake sets, or that a 101 cannot have, is an InvalidOperationException, and can still be answered', async () => {
    for (const name of ['Connection', 'Content-Length', 'Transfer-Encoding', 'Sec-WebSocket-Protocol']) {
      const reply = await upgraded(upgradeHead(), async (context) => {
        context.response.addHeader(name, '0');
        expect(await rejection(context.acceptWebSocket())).toBeInstanceOf(InvalidOperationException);
        context.response.headers.delete(name);
        refuse(context);
      });
      expect(reply).toMatch(/^HTTP\/1\.1 400 /);
    }
  });
  it('without a sub-protocol answers none, whatever was offered', async () => {
    const reply = await upgraded(upgradeHead('Sec-WebSocket-Protocol: a\r\n'), async (context) => {
      const { webSocket, origin } = await context.acceptWebSocket();
      expect([webSocket.subProtocol, origin]).toEqual([null, null]);
    });
    expect(reply.toLowerCase()).not.toContain('sec-websocket-protocol');
  });
  it('frames that came with the head are received', async () => {
    const masked = '\u0081\u0082\u0000\u0000\u0000\u0000hi';
    await upgraded(upgradeHead() + masked, async (context) => {
      const { webSocket } = await context.acceptWebSocket();
      const buffer = new Uint8Array(8);
      expect(await webSocket.receive(buffer)).toMatchObject({ count: 2, messageType: 'Text' });
    });
  });
  it('a sub-protocol that is empty or has bad characters is an ArgumentException', async () => {
    await upgraded(upgradeHead('Sec-WebSocket-Protocol: chat\r\n'), async (context) => {
      for (const subProtocol of ['', ' ', 'a b', 'a,b', 'a/b', 'é', 'a\u007f', 'a\r\nX: y', '"a"', 7 as unknown as string]) {
        expect(await rejection(context.acceptWebSocket(subProtocol)), JSON.stringify(subProtocol)).toBeInstanceOf(ArgumentException);
      }
      refuse(context);
    });
  });
  it('a receive buffer outside 16 bytes to 64 KiB is an ArgumentOutOfRangeException', async () => {
    await upgraded(upgradeHead(), async (context) => {
      for (const receiveBufferSize of [0, 15, 65_537, -1, 16.5, Number.NaN]) {
        expect(await rejection(context.acceptWebSocket(null, { receiveBufferSize }))).toBeInstanceOf(ArgumentOutOfRangeException);
      }
      expect((await context.acceptWebSocket(null, { receiveBufferSize: 65_536 })).webSocket.state).toBe('Open');
    });
  });
  it('a keep-alive interval below 0 that is not -1 is an ArgumentOutOfRangeException', async () => {
    await upgraded(upgradeHead(), async (context) => {
      for (const keepAliveInterval of [-2, Number.NaN, '1' as unknown as number]) {
        expect(await rejection(context.acceptWebSocket(null, { keepAliveInterval }))).toBeInstanceOf(ArgumentOutOfRangeException);
      }
      expect((await context.acceptWebSocket(null, { keepAliveInterval: -1 })).webSocket.state).toBe('Open');
    });
  });
  it('twice is an InvalidOperationException, and so is answering and accepting', async () => {
    await upgraded(upgradeHead(), async (context) => {
      const { webSocket } = await context.acceptWebSocket();
      expect(await rejection(context.acceptWebSocket())).toBeInstanceOf(InvalidOperationException);
      expect(() => context.response.close()).toThrow(InvalidOperationException);
      expect(webSocket.state).toBe('Open');
    });
    await upgraded(upgradeHead(), async (context) => {
      refuse(context);
      expect(await rejection(context.acceptWebSocket())).toBeInstanceOf(InvalidOperationException);
    });
  });
  it('of a request that is no WebSocket request is NotAWebSocket, and it can still be answered', async () => {
    let error: unknown;
    await using server = await serving(['http://127.0.0.1:0/'], async (context) => {
      error = await rejection(context.acceptWebSocket());
      refuse(context);
    });
    expect((await get(server.port, '/')).status).toBe(400);
    expect(error).toBeInstanceOf(WebSocketException);
    expect(error).toMatchObject({ webSocketErrorCode: 'NotAWebSocket' });
    expect(await raw(server.port, 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 400 /,
    );
    expect(error).toMatchObject({ webSocketErrorCode: 'NotAWebSocket' });
  });
  it('of a request of HTTP/1.0 is NotAWebSocket (RFC 9110 sections 2.5 and 7.8)', async () => {
    const reply = await upgraded(upgradeHead().replace('HTTP/1.1', 'HTTP/1.0'), async (context) => {
      expect(context.request.isWebSocketRequest).toBe(false);
      expect(await rejection(context.acceptWebSocket())).toMatchObject({ webSocketErrorCode: 'NotAWebSocket' });
      refuse(context);
    });
    expect(reply).toMatch(/^HTTP\/1\.1 400 /);
  });
  it('of a request that is wrong says how', async () => {
    for (const [head, code, subProtocol] of [
      [upgradeHead('', { version: '8' }), 'UnsupportedVersion', null],
      [upgradeHead('', { key: 'short' }), 'HeaderError', null],
      [upgradeHead('Sec-WebSocket-Protocol: a\r\n'), 'UnsupportedProtocol', 'b'],
      [upgradeHead(), 'UnsupportedProtocol', 'b'],
    ] as const) {
      const reply = await upgraded(head, async (context) => {
        expect(await rejection(context.acceptWebSocket(subProtocol))).toMatchObject({
          name: 'WebSocketException',
          webSocketErrorCode: code,
        });
        refuse(context);
      });
      expect(reply).toMatch(/^HTTP\/1\.1 400 /);
    }
  });
  it('of a client that has gone, in order or not, is ConnectionClosedPrematurely', async () => {
    for (const how of ['end', 'resetAndDestroy'] as const) {
      let arrived: (context: HttpListenerContext) => void = () => {};
      const waiting = new Promise<HttpListenerContext>((resolve) => {
        arrived = resolve;
      });
      await using server = await serving(['http://127.0.0.1:0/'], (context) => arrived(context));
      const socket = (await import('node:net')).connect(server.port, '127.0.0.1');
      socket.write(upgradeHead());
      const context = await waiting;
      socket[how]();
      const gone = async (): Promise<boolean> => {
        await new Promise((resolve) => setImmediate(resolve));
        return context.isClientGone;
      };
      for (let turn = 0; turn < 10_000 && !(await gone()); turn += 1);
      expect(await rejection(context.acceptWebSocket())).toMatchObject({ webSocketErrorCode: 'ConnectionClosedPrematurely' });
      socket.destroy();
    }
  });
});

it('ws talks to it: echo, fragments, close', async () => {
  await using server = await serving(['http://127.0.0.1:0/ws/'], async (context) => {
    const { webSocket } = await context.acceptWebSocket('echo');
    const buffer = new Uint8Array(1024);
    for (;;) {
      const { count, messageType, endOfMessage } = await webSocket.receive(buffer);
      if (messageType === 'Close') break;
      await webSocket.send(buffer.subarray(0, count), messageType, endOfMessage);
    }
    await webSocket.close(webSocket.closeStatus ?? 1000, webSocket.closeStatusDescription);
  });
  const client = new Ws(`ws://127.0.0.1:${server.port}/ws/`, 'echo');
  const messages: (string | Buffer)[] = [];
  const closed = new Promise<unknown>((resolve) => client.on('close', (code, reason) => resolve([code, reason.toString()])));
  client.on('message', (data, isBinary) => {
    messages.push(isBinary ? (data as Buffer) : data.toString());
    if (messages.length === 3) client.close(4000, 'thanks');
  });
  await new Promise((resolve) => client.on('open', resolve));
  expect(client.protocol).toBe('echo');
  client.send('text ✓');
  client.send('frag', { fin: false });
  client.send('mented', { fin: true });
  client.send(Buffer.alloc(10_000, 7));
  expect(await closed).toEqual([4000, 'thanks']);
  expect(messages).toEqual(['text ✓', 'fragmented', Buffer.alloc(10_000, 7)]);
});
