/**
 * Other people's WebSockets, for the interop suite: `ws`, and what the runtime brings itself.
 *
 * Beware: on Bun `import 'ws'` gives Bun's own shim; the package is loaded from its files.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { here } from './hosts.ts';
import { Queue, within } from './wait.ts';

const requireFile = createRequire(import.meta.url);

/** A package of the repository's own, by file. */
export function loadFile<T>(name: string, file: string): T {
  return requireFile(join(dirname(requireFile.resolve(`${name}/package.json`)), file)) as T;
}

/** The other end, whatever it is made of. */
export interface ForeignSocket {
  readonly messages: Queue<string | Uint8Array>;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  send(data: string | Uint8Array): void;
  close(code: number, reason: string): void;
  /** What only some can do. */
  readonly more: {
    ping(data: Uint8Array): Promise<Uint8Array>;
    sendInPieces(pieces: readonly string[]): void;
    sendRaw(bytes: Uint8Array): void;
  } | null;
}
export interface ForeignServer {
  readonly url: string;
  readonly sockets: Queue<ForeignSocket>;
  close(): Promise<void>;
}
export interface Foreign {
  readonly name: string;
  /** Compresses where it is offered or asked for. */
  readonly deflates: boolean;
  connect: ((url: string) => Promise<ForeignSocket>) | null;
  listen: (() => Promise<ForeignServer>) | null;
}

/* ---- ws ---- */

interface WsSocket {
  readonly _socket: { write(bytes: Uint8Array): void };
  on(event: 'message', listener: (data: Uint8Array, isBinary: boolean) => void): this;
  on(event: 'close', listener: (code: number, reason: Uint8Array) => void): this;
  on(event: 'pong', listener: (data: Uint8Array) => void): this;
  on(event: 'open', listener: () => void): this;
  on(event: 'error', listener: (error: Error) => void): this;
  send(data: string | Uint8Array, options?: { fin?: boolean }): void;
  ping(data: Uint8Array): void;
  close(code: number, reason: string): void;
}
interface WsServer {
  on(event: 'connection', listener: (socket: WsSocket) => void): this;
  once(event: 'listening', listener: () => void): this;
  address(): { readonly port: number };
  close(done: () => void): void;
}
type WsSocketClass = new (url: string, options: object) => WsSocket;
type WsServerClass = new (options: object) => WsServer;

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

function wrapWs(socket: WsSocket): ForeignSocket {
  const messages = new Queue<string | Uint8Array>();
  const pongs = new Queue<Uint8Array>();
  socket.on('message', (data, isBinary) => messages.push(isBinary ? new Uint8Array(data) : decoder.decode(data)));
  socket.on('pong', (data) => pongs.push(new Uint8Array(data)));
  socket.on('error', () => {});
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: decoder.decode(reason) }));
  });
  return {
    messages,
    closed,
    send: (data) => socket.send(data),
    close: (code, reason) => socket.close(code, reason),
    more: {
      ping(data) {
        socket.ping(data);
        return pongs.next('a pong');
      },
      sendInPieces(pieces) {
        for (const [index, piece] of pieces.entries()) socket.send(piece, { fin: index === pieces.length - 1 });
      },
      sendRaw: (bytes) => socket._socket.write(bytes),
    },
  };
}

const options = { perMessageDeflate: { threshold: 0 }, maxPayload: 64 * 1024 * 1024 };

const ws: Foreign = {
  name: 'ws',
  deflates: true,
  connect(url) {
    const Socket = loadFile<WsSocketClass>('ws', 'lib/websocket.js');
    const socket = new Socket(url, options);
    const wrapped = wrapWs(socket);
    return new Promise((resolve, reject) => {
      socket.on('open', () => resolve(wrapped)).on('error', reject);
    });
  },
  async listen() {
    const Server = loadFile<WsServerClass>('ws', 'lib/websocket-server.js');
    const server = new Server({ ...options, host: '127.0.0.1', port: 0 });
    const sockets = new Queue<ForeignSocket>();
    server.on('connection', (socket) => sockets.push(wrapWs(socket)));
    await within(new Promise<void>((resolve) => server.once('listening', resolve)), 'ws to listen');
    return {
      url: `ws://127.0.0.1:${server.address().port}/`,
      sockets,
      close: () => new Promise((resolve) => server.close(resolve)),
    };
  },
};

/* ---- what the runtime has ---- */

interface NativeSocket {
  binaryType: string;
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: string | ArrayBuffer }) => void) | null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null;
  onerror: (() => void) | null;
  send(data: string | Uint8Array): void;
  close(code: number, reason: string): void;
}

function wrapNative(socket: NativeSocket): ForeignSocket {
  const messages = new Queue<string | Uint8Array>();
  socket.binaryType = 'arraybuffer';
  socket.onmessage = ({ data }) => messages.push(typeof data === 'string' ? data : new Uint8Array(data));
  socket.onerror = () => {};
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.onclose = ({ code, reason }) => resolve({ code, reason });
  });
  return { messages, closed, send: (data) => socket.send(data), close: (code, reason) => socket.close(code, reason), more: null };
}

const {
  WebSocket: NativeClass,
  Bun,
  Deno,
} = globalThis as unknown as {
  readonly WebSocket?: new (url: string) => NativeSocket;
  readonly Bun?: { serve(options: object): { readonly port: number; stop(closing: boolean): Promise<void> } };
  readonly Deno?: {
    serve(options: object, handler: (request: unknown) => unknown): { readonly addr: { readonly port: number }; shutdown(): Promise<void> };
    upgradeWebSocket(request: unknown): { readonly socket: NativeSocket; readonly response: unknown };
  };
};

function connectNative(url: string): Promise<ForeignSocket> {
  if (NativeClass === undefined) throw new Error('this runtime has no WebSocket');
  const socket = new NativeClass(url);
  const wrapped = wrapNative(socket);
  return new Promise((resolve, reject) => {
    socket.onopen = () => resolve(wrapped);
    void wrapped.closed.then(({ code }) => reject(new Error(`closed with ${code}`)));
  });
}

interface BunPeer {
  data: { readonly messages: Queue<string | Uint8Array>; done(end: { code: number; reason: string }): void };
  send(data: string | Uint8Array, compress: boolean): void;
  close(code: number, reason: string): void;
}

async function listenBun(): Promise<ForeignServer> {
  const sockets = new Queue<ForeignSocket>();
  const server = Bun?.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request: unknown, host: { upgrade(request: unknown, options: object): boolean }) =>
      host.upgrade(request, { data: {} }) ? undefined : new Response(null, { status: 400 }),
    websocket: {
      perMessageDeflate: true,
      maxPayloadLength: 64 * 1024 * 1024,
      open(peer: BunPeer) {
        const messages = new Queue<string | Uint8Array>();
        const closed = new Promise<{ code: number; reason: string }>((done) => {
          peer.data = { messages, done };
        });
        const send = (data: string | Uint8Array): void => peer.send(data, true);
        sockets.push({ messages, closed, send, close: (code, reason) => peer.close(code, reason), more: null });
      },
      message: (peer: BunPeer, data: string | Uint8Array) =>
        peer.data.messages.push(typeof data === 'string' ? data : new Uint8Array(data)),
      close: (peer: BunPeer, code: number, reason: string) => peer.data.done({ code, reason }),
    },
  });
  if (server === undefined) throw new Error('this is not Bun');
  return { url: `ws://127.0.0.1:${server.port}/`, sockets, close: () => server.stop(true) };
}

async function listenDeno(): Promise<ForeignServer> {
  const sockets = new Queue<ForeignSocket>();
  const server = Deno?.serve({ port: 0, hostname: '127.0.0.1', onListen() {} }, (request) => {
    const { socket, response } = (Deno as NonNullable<typeof Deno>).upgradeWebSocket(request);
    const wrapped = wrapNative(socket);
    socket.onopen = () => sockets.push(wrapped);
    return response;
  });
  if (server === undefined) throw new Error('this is not Deno');
  return { url: `ws://127.0.0.1:${server.addr.port}/`, sockets, close: () => server.shutdown() };
}

/** All that there is here. Node 20 has no WebSocket of its own, and no Node a server. */
export function foreigners(): readonly Foreign[] {
  const listen = here === 'bun' ? listenBun : here === 'deno' ? listenDeno : null;
  const connect = NativeClass === undefined ? null : connectNative;
  if (listen === null && connect === null) return [ws];
  return [ws, { name: `${here}'s own`, deflates: here !== 'deno', connect, listen }];
}
