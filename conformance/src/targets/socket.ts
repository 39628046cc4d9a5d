/**
 * A socket as a channel, and the heads of the opening handshake read from it. What came behind the head belongs to the case.
 */
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { Channel, ChannelEvents } from '../channel.ts';
import { largestHead } from '../handshake.ts';
import { previewOf } from '../payload.ts';

/** No answer in time, or only part of one. */
export class NoAnswer extends Error {}

/** The other side ended the transport, by FIN or by RST, before its head was complete. */
export class HeadCut extends Error {
  /** Not a single byte had come. */
  readonly silent: boolean;

  constructor(message: string, silent: boolean) {
    super(message);
    this.silent = silent;
  }
}

/** A response that is not the last to its request: a client has to understand it, though it did not ask for it (RFC 9110 section 15.2). */
const interim = /^HTTP\/1\.1 1(?!01)\d\d[ \r]/;

/**
 * The head's text without its last empty line, and the bytes behind it. Rejects when it does not come: with HeadCut when the transport ends, with
 * NoAnswer when it has not come in time, and at once when it does not begin with `start`: that of responses, whose interim ones are passed over.
 */
export function readHead(socket: Socket, timeoutMs: number, start = ''): Promise<{ text: string; rest: Uint8Array }> {
  return new Promise((resolve, reject) => {
    let bytes: Uint8Array = new Uint8Array(0);
    let passed = 0;
    const failWith = (error: Error): void => {
      cleanUp();
      socket.destroy();
      reject(error);
    };
    const fail = (message: string): void => failWith(new Error(message));
    const timer = setTimeout(() => failWith(new NoAnswer(`no complete HTTP head within ${timeoutMs} ms`)), timeoutMs);
    const onData = (chunk: Buffer): void => {
      const joined = new Uint8Array(bytes.length + chunk.length);
      joined.set(bytes);
      joined.set(chunk, bytes.length);
      bytes = joined;
      for (;;) {
        const first = latin1(bytes.subarray(0, start.length));
        if (!start.startsWith(first)) {
          fail(`no HTTP response: ${previewOf(bytes, 40)}`);
          return;
        }
        const end = endOfHead(bytes);
        if (end === -1) {
          if (passed + bytes.length > largestHead) fail('the HTTP head is too large');
          return;
        }
        const rest = bytes.subarray(end + 4);
        if (start === '' || !interim.test(latin1(bytes.subarray(0, Math.min(end + 1, 16))))) {
          cleanUp();
          socket.pause();
          resolve({ text: latin1(bytes.subarray(0, end)), rest });
          return;
        }
        passed += end + 4;
        bytes = rest;
      }
    };
    const onEnd = (): void => failWith(new HeadCut('the connection ended before the handshake was complete', passed + bytes.length === 0));
    const onError = (error: Error): void => failWith(new HeadCut(error.message, passed + bytes.length === 0));
    const cleanUp = (): void => {
      clearTimeout(timer);
      socket.off('data', onData).off('end', onEnd).off('error', onError).off('close', onEnd);
    };
    socket.on('data', onData).on('end', onEnd).on('error', onError).on('close', onEnd);
  });
}

function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
}

function endOfHead(bytes: Uint8Array): number {
  for (let i = 0; i + 3 < bytes.length; i += 1) {
    if (bytes[i] === 13 && bytes[i + 1] === 10 && bytes[i + 2] === 13 && bytes[i + 3] === 10) return i;
  }
  return -1;
}

/**
 * A write to who has gone fails, and Node destroys the socket for it, with what has come and is not read yet: the close frame that says why, say.
 * The reading meets the end too, behind all that.
 */
function forgiveWrites(socket: Socket): void {
  const one = socket._write.bind(socket);
  socket._write = (chunk, encoding, done) => one(chunk, encoding, () => done());
  const several = socket._writev?.bind(socket);
  if (several !== undefined) socket._writev = (chunks, done) => several(chunks, () => done());
}

export function socketChannel(socket: Socket): Channel {
  forgiveWrites(socket);
  return {
    write: (bytes) => {
      if (!socket.destroyed && socket.writable) socket.write(bytes);
    },
    end: () => {
      if (!socket.destroyed) socket.end();
    },
    abort: () => {
      socket.destroy();
    },
  };
}

/** Feeds the run from the socket until either ends. `rest` is what came with the head. */
export function connectSocket(socket: Socket, rest: Uint8Array, events: ChannelEvents): void {
  let ended = false;
  const end = (error: string | null): void => {
    if (ended) return;
    ended = true;
    events.ended(error);
  };
  socket.on('error', (error) => end(error.message));
  socket.on('end', () => end(null));
  socket.on('close', () => end(null));
  socket.on('data', (chunk: Buffer) => events.data(chunk));
  if (rest.length > 0) events.data(rest);
  socket.resume();
}
