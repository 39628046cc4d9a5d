/**
 * A WebSocket peer made of a TCP socket and hand-written bytes: it can half-close, reset, stall and stop in the middle of a frame, as no
 * well-behaved endpoint would.
 *
 * `node:net` is used on every runtime. Beware: on Bun the reset of the other side shows as an end.
 */
import type { Buffer } from 'node:buffer';
import { connect, type Socket } from 'node:net';
import { FrameParser, Opcode, type ParsedFrame, serializeClosePayload, serializeFrame } from '@ferrywire/core/frame';
import { acceptKey } from '@ferrywire/handshake';
import { Queue, within } from './wait.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const encoder = new TextEncoder();

export class RawPeer {
  readonly socket: Socket;
  readonly frames: Queue<ParsedFrame> = new Queue();
  /** How the other side ended its half: 'eof', or 'reset' when the socket broke or closed without it. */
  readonly finished: Promise<'eof' | 'reset'>;
  /** The socket has closed. */
  readonly closed: Promise<void>;
  /** `finished` has settled. */
  isFinished = false;
  readonly #role: 'client' | 'server';
  readonly #parser = new FrameParser({ maxFrameSize: 64 * 1024 * 1024 });
  #head: { text: string; readonly done: (text: string) => void } | null = null;
  #early: Uint8Array[] = [];

  constructor(socket: Socket, role: 'client' | 'server') {
    this.socket = socket;
    this.#role = role;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    this.finished = new Promise((resolve) => {
      const finish = (how: 'eof' | 'reset') => (): void => {
        this.isFinished = true;
        resolve(how);
      };
      socket.on('end', finish('eof')).on('error', finish('reset')).on('close', finish('reset'));
    });
    this.closed = new Promise((resolve) => socket.on('close', () => resolve()));
  }

  static dial(port: number): Promise<RawPeer> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new RawPeer(socket, 'client'));
      });
    });
  }

  /** The client's opening handshake (RFC 6455 section 4.1). */
  async handshake(): Promise<void> {
    this.text(
      `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
    const head = await this.head();
    if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(`the server answered ${head.slice(0, 80)}`);
    const accept = /^sec-websocket-accept: *(.*)$/im.exec(head)?.[1]?.trim();
    if (accept !== acceptKey(KEY)) throw new Error(`a wrong Sec-WebSocket-Accept: ${accept}`);
  }
  /** The server's answer to it. */
  accept(key: string): void {
    this.text(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(key)}\r\n\r\n`,
    );
  }
  /** The next HTTP head, without its empty line; what follows counts as frames. */
  head(): Promise<string> {
    return within(
      new Promise((resolve, reject) => {
        this.#head = { text: '', done: resolve };
        void this.finished.then(() => reject(new Error(`the connection ended before the head was complete: ${this.#head?.text ?? ''}`)));
        for (const chunk of this.#early.splice(0)) this.#received(chunk);
      }),
      'an HTTP head',
    );
  }

  write(bytes: Uint8Array): boolean {
    return this.socket.write(bytes);
  }
  text(text: string): void {
    this.write(encoder.encode(text));
  }
  frame(opcode: number, payload: Uint8Array = new Uint8Array(0), fin = true): Uint8Array {
    const masked = this.#role === 'client' ? { maskKey: 0x1234_5678 } : {};
    return serializeFrame({ opcode, payload, fin, ...masked });
  }
  send(opcode: number, payload?: Uint8Array, fin?: boolean): boolean {
    return this.write(this.frame(opcode, payload, fin));
  }
  sendClose(code: number, reason?: string): void {
    this.send(Opcode.Close, serializeClosePayload(code, reason));
  }
  /** The next frame; fails when it has another opcode. */
  async next(opcode: number): Promise<Uint8Array> {
    const { header, payload } = await this.frames.next(`a frame with opcode ${opcode}`);
    if (header.opcode !== opcode) throw new Error(`expected opcode ${opcode}, got ${header.opcode}`);
    return payload;
  }
  end(): void {
    this.socket.end();
  }
  /** Ends with a TCP reset. */
  reset(): void {
    this.socket.resetAndDestroy();
  }
  destroy(): void {
    this.socket.destroy();
  }

  #received(chunk: Uint8Array): void {
    const head = this.#head;
    if (head === null) {
      this.#early.push(chunk);
      return;
    }
    if (head.text.endsWith('\r\n\r\n')) {
      for (const frame of this.#parser.push(chunk)) this.frames.push(frame);
      return;
    }
    for (let at = 0; at < chunk.length; at++) {
      head.text += String.fromCharCode(chunk[at] ?? 0);
      if (!head.text.endsWith('\r\n\r\n')) continue;
      head.done(head.text);
      this.#received(chunk.subarray(at + 1));
      return;
    }
  }
}

/** A server's first step: the request's key. */
export async function readRequest(raw: RawPeer): Promise<string> {
  const head = await raw.head();
  const key = /^sec-websocket-key: *(.*)$/im.exec(head)?.[1]?.trim();
  if (key === undefined) throw new Error('a request without Sec-WebSocket-Key');
  return key;
}
