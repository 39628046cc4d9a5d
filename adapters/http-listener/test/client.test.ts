/** ClientWebSocket, against `ws` and against this listener. */
import type { AddressInfo } from 'node:net';
import {
  ArgumentException,
  ArgumentNullException,
  ArgumentOutOfRangeException,
  ClientWebSocket,
  InvalidOperationException,
  ObjectDisposedException,
  WebSocketException,
} from '@ferrywire/http-listener';
import { describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { rejection, serving } from './helpers.ts';

async function echoServer() {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: (offered) => (offered.has('chat') ? 'chat' : false) });
  const heads: Record<string, string | string[] | undefined>[] = [];
  server.on('connection', (socket, request) => {
    heads.push(request.headers);
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    heads,
    async [Symbol.asyncDispose]() {
      for (const client of server.clients) client.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe('ClientWebSocket', () => {
  it('connects with options, talks and closes', async () => {
    await using server = await echoServer();
    const socket = new ClientWebSocket();
    expect([socket.state, socket.subProtocol]).toEqual(['None', null]);
    socket.options.addSubProtocol('chat');
    socket.options.addSubProtocol('other');
    socket.options.setRequestHeader('X-Test', 'first');
    socket.options.setRequestHeader('x-test', 'yes');
    socket.options.setBuffer(1024, 1024);
    socket.options.keepAliveInterval = 5000;
    socket.options.keepAliveTimeout = 5000;
    expect([socket.options.keepAliveInterval, socket.options.keepAliveTimeout, socket.options.tls]).toEqual([5000, 5000, null]);
    const connecting = socket.connect(server.url);
    expect(socket.state).toBe('Connecting');
    await connecting;
    expect([socket.state, socket.subProtocol]).toEqual(['Open', 'chat']);
    expect(server.heads[0]).toMatchObject({ 'x-test': 'yes', 'sec-websocket-protocol': 'chat, other' });
    const buffer = new Uint8Array(64);
    await socket.send('hello', 'Text');
    expect(await socket.receive(buffer)).toMatchObject({ count: 5, messageType: 'Text', endOfMessage: true });
    await socket.close(1000, 'bye');
    expect([socket.state, socket.closeStatus, socket.closeStatusDescription]).toEqual(['Closed', 1000, 'bye']);
    socket.dispose();
  });
  it('a URI that is no absolute ws: or wss: one is an argument error', async () => {
    const socket = new ClientWebSocket();
    for (const uri of ['', '/ws', 'http://h/', 'nonsense']) expect(await rejection(socket.connect(uri))).toBeInstanceOf(ArgumentException);
    expect(await rejection(socket.connect(null as unknown as string))).toBeInstanceOf(ArgumentNullException);
    expect(socket.state).toBe('None');
  });
  it('connecting twice, and changing options afterwards, is an InvalidOperationException', async () => {
    await using server = await echoServer();
    const socket = new ClientWebSocket();
    await socket.connect(`${server.url}#fragment`);
    expect(await rejection(socket.connect(server.url))).toBeInstanceOf(InvalidOperationException);
    for (const change of [
      () => socket.options.addSubProtocol('a'),
      () => socket.options.setRequestHeader('A', 'b'),
      () => socket.options.setBuffer(16, 16),
      () => {
        socket.options.keepAliveInterval = 1;
      },
      () => {
        socket.options.keepAliveTimeout = 1;
      },
      () => {
        socket.options.tls = {};
      },
    ]) {
      expect(change).toThrow(InvalidOperationException);
    }
    socket.abort();
  });
  it('wrong options are argument errors', () => {
    const { options } = new ClientWebSocket();
    options.addSubProtocol('a');
    expect(() => options.addSubProtocol('A')).toThrow(ArgumentException);
    expect(() => options.addSubProtocol('')).toThrow(ArgumentException);
    expect(() => options.addSubProtocol('a b')).toThrow(ArgumentException);
    expect(() => options.setRequestHeader('a b', 'x')).toThrow(ArgumentException);
    expect(() => options.setRequestHeader('A', 'x\r\nB: y')).toThrow(ArgumentException);
    for (const name of ['Host', 'upgrade', 'Connection', 'Content-Length', 'Sec-WebSocket-Protocol']) {
      expect(() => options.setRequestHeader(name, 'x')).toThrow(ArgumentException);
    }
    for (const name of ['Origin', 'Cookie', 'Authorization']) options.setRequestHeader(name, 'x');
    expect(() => options.setBuffer(15, 16)).toThrow(ArgumentOutOfRangeException);
    expect(() => options.setBuffer(16, 15)).toThrow(ArgumentOutOfRangeException);
    expect(() => {
      options.keepAliveInterval = -2;
    }).toThrow(ArgumentOutOfRangeException);
  });
  it('operations before connect are InvalidOperationExceptions', async () => {
    const socket = new ClientWebSocket();
    expect(await rejection(socket.send('x', 'Text'))).toBeInstanceOf(InvalidOperationException);
    expect(await rejection(socket.receive(new Uint8Array(1)))).toBeInstanceOf(InvalidOperationException);
    expect(await rejection(socket.close(1000))).toBeInstanceOf(InvalidOperationException);
  });
  it('a server that is not there or no WebSocket server: WebSocketException, state Closed', async () => {
    await using server = await serving(['http://127.0.0.1:0/'], ({ response }) => {
      response.statusCode = 404;
      response.close();
    });
    const refused = new ClientWebSocket();
    const error = await rejection(refused.connect(`ws://127.0.0.1:${server.port}/`));
    expect(error).toBeInstanceOf(WebSocketException);
    expect(error.cause).toBeDefined();
    expect(refused.state).toBe('Closed');
    const nobody = new ClientWebSocket();
    expect(await rejection(nobody.connect('ws://127.0.0.1:1/'))).toBeInstanceOf(WebSocketException);
    for (const again of [
      () => nobody.connect('ws://127.0.0.1:1/'),
      () => nobody.receive(new Uint8Array(1)),
      () => nobody.send('x', 'Text'),
      () => nobody.close(1000),
      () => nobody.closeOutput(1000),
    ]) {
      expect(await rejection(again())).toBeInstanceOf(ObjectDisposedException);
    }
    expect(nobody.state).toBe('Closed');
  });
  it('what is no signal is refused, and connect() may be called again', async () => {
    const socket = new ClientWebSocket();
    const wrong = new AbortController() as unknown as AbortSignal;
    expect(await rejection(socket.connect('ws://127.0.0.1:1/', wrong))).toMatchObject({ name: 'ArgumentException', paramName: 'signal' });
    expect(socket.state).toBe('None');
    expect((await rejection(socket.connect('ws://127.0.0.1:1/'))).name).toBe('WebSocketException');
  });
  it('a signal or abort() gives up connecting', async () => {
    const { createServer } = await import('node:net');
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const url = `ws://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
    const controller = new AbortController();
    const socket = new ClientWebSocket();
    const connecting = rejection(socket.connect(url, controller.signal));
    controller.abort(new Error('enough'));
    expect(await connecting).toEqual(new Error('enough'));
    expect(socket.state).toBe('Aborted');
    expect(await rejection(socket.connect(url))).toBeInstanceOf(ObjectDisposedException);
    const other = new ClientWebSocket();
    const waiting = rejection(other.connect(url));
    other.abort();
    expect((await waiting).name).toBe('OperationCanceledException');
    expect((await rejection(new ClientWebSocket().connect(url, AbortSignal.abort()))).name).toBe('AbortError');
    await new Promise((resolve) => silent.close(resolve));
  });
  it('abort() before connect is for good, as in .NET: nothing is dialled that nobody could close', async () => {
    await using server = await echoServer();
    const socket = new ClientWebSocket();
    socket.abort();
    expect(await rejection(socket.connect(server.url))).toBeInstanceOf(ObjectDisposedException);
    expect([socket.state, server.heads.length]).toEqual(['Aborted', 0]);
  });
  it('after dispose: ObjectDisposedException', async () => {
    const socket = new ClientWebSocket();
    socket.dispose();
    expect(await rejection(socket.connect('ws://127.0.0.1:1/'))).toBeInstanceOf(ObjectDisposedException);
    expect(await rejection(socket.send('x', 'Text'))).toBeInstanceOf(ObjectDisposedException);
  });
});
