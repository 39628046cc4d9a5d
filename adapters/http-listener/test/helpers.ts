/** Listeners on loopback ports of the system's choice, requests to them, and in-memory streams. */
import { request } from 'node:http';
import { connect } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { FrameParser, serializeFrame } from '@ferrywire/core/frame';
import {
  HttpListener,
  type HttpListenerContext,
  type HttpListenerOptions,
  WebSocket,
  type WebSocketCreationOptions,
} from '@ferrywire/http-listener';

/** Hands every request to `handle` until the listener stops. */
export async function serve(listener: HttpListener, handle: (context: HttpListenerContext) => unknown): Promise<void> {
  for await (const context of listener) await handle(context);
}

export interface Serving extends AsyncDisposable {
  readonly listener: HttpListener;
  readonly port: number;
}
/** A listener that answers 200 to everything, unless told what else to do. */
export async function serving(
  prefixes: readonly string[] = ['http://127.0.0.1:0/'],
  handle: (context: HttpListenerContext) => unknown = (context) => context.response.close('ok'),
  options: HttpListenerOptions = {},
): Promise<Serving> {
  const listener = new HttpListener(options);
  for (const prefix of prefixes) listener.prefixes.add(prefix);
  await listener.start();
  const done = serve(listener, handle);
  const port = listener.endPoints[0]?.port ?? 0;
  return {
    listener,
    port,
    async [Symbol.asyncDispose]() {
      listener.abort();
      await done;
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}
export function get(port: number, path: string, headers: Record<string, string> = {}, method = 'GET', body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          statusText: response.statusMessage ?? '',
          headers: response.headers,
          body: Buffer.concat(chunks),
        }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
export const bodyOf = async (answer: Answer): Promise<string> => answer.body.toString();

/** Sends bytes, and returns what comes back until the server ends or has accepted. */
export function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.startsWith('HTTP/1.1 101') && text.includes('\r\n\r\n')) socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
    socket.write(bytes, 'latin1');
  });
}
export const upgradeHead = (extra = '', { version = '13', key = 'dGhlIHNhbXBsZSBub25jZQ==', path = '/' } = {}): string =>
  `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: ${version}\r\nSec-WebSocket-Key: ${key}\r\n${extra}\r\n`;

/** A socket made from one end of an in-memory stream; the test is the peer at the other. */
export interface Ends {
  readonly socket: WebSocket;
  readonly peer: Duplex;
  /** The socket's own end. */
  readonly near: Duplex;
  /** A frame from the peer, masked if the socket is a server's. */
  feed(opcode: number, payload?: string | Uint8Array, fin?: boolean): void;
  /** The next frame the socket sends, unmasked. */
  frame(): Promise<{ opcode: number; fin: boolean; payload: Buffer }>;
}
export function ends(options: Partial<WebSocketCreationOptions> = {}): Ends {
  const isServer = options.isServer ?? true;
  const [near, peer] = duplexPair();
  const socket = WebSocket.createFromStream(near, { isServer, keepAliveInterval: 0, ...options });
  const parser = new FrameParser();
  const frames: { opcode: number; fin: boolean; payload: Buffer }[] = [];
  const waiting: (() => void)[] = [];
  peer.on('error', () => {});
  peer.on('data', (chunk: Uint8Array) => {
    for (const { header, payload } of parser.push(chunk))
      frames.push({ opcode: header.opcode, fin: header.fin, payload: Buffer.from(payload) });
    for (const wake of waiting.splice(0)) wake();
  });
  return {
    socket,
    peer,
    near,
    feed(opcode, payload = '', fin = true) {
      peer.write(serializeFrame({ opcode, fin, payload: Buffer.from(payload), ...(isServer ? { maskKey: 0x01020304 } : {}) }));
    },
    async frame() {
      for (;;) {
        const frame = frames.shift();
        if (frame !== undefined) return frame;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
  };
}

export function closePayload(code: number, reason = ''): Buffer {
  return Buffer.concat([Buffer.of(code >> 8, code & 0xff), Buffer.from(reason)]);
}
/** What it rejected with. */
export async function rejection(
  promise: Promise<unknown>,
): Promise<Error & { readonly webSocketErrorCode?: string; readonly errorCode?: number }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('did not reject');
}
