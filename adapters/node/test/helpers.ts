/** A client that is nothing but a socket, and what else these tests share. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type FrameInit, FrameParser, type ParsedFrame, serializeFrame } from '@ferrywire/core/frame';

/** RFC 6455 section 1.3. */
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

export function requestFor(path = '/', extra = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n${extra}\r\n`;
}

/** A frame as a client sends it. */
export function masked(frame: Omit<FrameInit, 'maskKey'>): Uint8Array {
  return serializeFrame({ ...frame, maskKey: 0x1b2d3f4a });
}
export function text(payload: string): Uint8Array {
  return masked({ opcode: 1, payload: Buffer.from(payload) });
}
export function closeFrame(code: number, reason = ''): Uint8Array {
  return masked({ opcode: 8, payload: Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]) });
}

/** Reads what a server sends; every wait ends when the connection does. */
export class RawClient {
  readonly socket: Socket;
  /** Resolves with the error code, or null, once the socket is closed. */
  readonly closed: Promise<string | null>;
  #bytes: Buffer = Buffer.alloc(0);
  #over = false;
  #wake: (() => void)[] = [];
  readonly #parser = new FrameParser();
  #frames: ParsedFrame[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    let code: string | null = null;
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#notify();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code ?? error.message;
    });
    const finish = (): void => {
      this.#over = true;
      this.#notify();
    };
    socket.on('end', finish);
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        finish();
        resolve(code);
      });
    });
  }

  static async open(target: NetConnectOpts | number): Promise<RawClient> {
    const socket = connect(typeof target === 'number' ? { port: target, host: '127.0.0.1' } : target);
    const client = new RawClient(socket);
    await once(socket, 'connect');
    return client;
  }

  /** Opens and upgrades; `glued` leaves with the request in one write. */
  static async upgrade(
    target: NetConnectOpts | number,
    options: { path?: string; extra?: string; glued?: Uint8Array } = {},
  ): Promise<RawClient> {
    const client = await RawClient.open(target);
    client.write(Buffer.concat([Buffer.from(requestFor(options.path, options.extra)), options.glued ?? Buffer.alloc(0)]));
    const head = await client.head();
    if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(`not upgraded: ${head}`);
    return client;
  }

  write(bytes: Uint8Array | string): void {
    this.socket.write(bytes);
  }
  /** The response's head, without its last empty line. */
  async head(): Promise<string> {
    await this.#until(() => this.#bytes.includes('\r\n\r\n'));
    const end = this.#bytes.indexOf('\r\n\r\n');
    if (end < 0) throw new Error(`no head in ${JSON.stringify(this.#bytes.toString('latin1'))}`);
    const head = this.#bytes.subarray(0, end).toString('latin1');
    this.#bytes = this.#bytes.subarray(end + 4);
    return head;
  }
  /** Everything up to the end of the connection. */
  async rest(): Promise<string> {
    await this.#until(() => false);
    return this.#bytes.toString('latin1');
  }
  /** The next frame; null when the connection ended without one. */
  async frame(): Promise<ParsedFrame | null> {
    await this.#until(() => {
      this.#frames.push(...this.#parser.push(this.#bytes));
      this.#bytes = Buffer.alloc(0);
      return this.#frames.length > 0;
    });
    return this.#frames.shift() ?? null;
  }
  async text(): Promise<string> {
    const frame = await this.frame();
    if (frame === null || frame.header.opcode !== 1) throw new Error(`no text frame but ${JSON.stringify(frame)}`);
    return Buffer.from(frame.payload).toString();
  }
  /** The code of the next frame, which must be a close frame. */
  async closeCode(): Promise<number> {
    const frame = await this.frame();
    if (frame === null || frame.header.opcode !== 8) throw new Error(`no close frame but ${JSON.stringify(frame)}`);
    return frame.payload.length < 2 ? 1005 : Buffer.from(frame.payload).readUInt16BE(0);
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
  async #until(isDone: () => boolean): Promise<void> {
    while (!isDone() && !this.#over) {
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
    }
  }
}

/** A path to listen on, and what removes it: Windows has pipes in a place of their own. */
export function socketPath(): { readonly path: string; readonly remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'ferrywire-'));
  const path = process.platform === 'win32' ? `\\\\.\\pipe\\${basename(folder)}` : join(folder, 'socket');
  return { path, remove: () => rmSync(folder, { recursive: true }) };
}

/** A promise and its end. */
export function deferred<Value = void>(): { readonly promise: Promise<Value>; readonly resolve: (value: Value) => void } {
  let resolve: (value: Value) => void = () => {};
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** What a promise rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it did not reject');
}
