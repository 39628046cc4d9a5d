/**
 * Reading into one buffer that all connections of the process share, instead of 64 KiB of fresh memory for every read (bench: `echo`, all
 * rows). The read and its callback are one step of the event loop, and what must be kept is copied by the core (`input: 'reused'`).
 *
 * Node offers this for sockets that it dials (`onread` of `net.connect`), not for those that a server accepts. The latter are given here what
 * the constructor would have given them: two fields behind symbols of Node's, which a socket made for the purpose shows, and a call to the
 * handle. Beware: those are not in the documentation. They are the same in Node 20 to 26; on another version, or where anything is not as
 * expected, sockets are read by 'data' events.
 */
import { type OnReadOpts, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { SocketTransport } from './transport.ts';

const SIZE = 65_536;
const TRIED_MAJORS = { least: 20, most: 26 } as const;

/** Node only: Bun and Deno have no `onread`. On Windows the system holds the buffer while nothing arrives, so it cannot be shared. */
export const canShare: boolean = process.versions.bun === undefined && process.versions.deno === undefined && process.platform !== 'win32';

type Reader = (count: number, buffer: Uint8Array) => boolean;
interface Symbols {
  readonly buffer: symbol;
  readonly callback: symbol;
}
/** A socket as it is inside. */
interface Insides {
  readonly _handle?: { readonly useUserBuffer?: (buffer: Uint8Array) => void } | null;
  [field: symbol]: Uint8Array | Reader | null | undefined;
}

let memory: Uint8Array | null = null;
let symbols: Symbols | null | undefined;

function sharedBuffer(): Uint8Array {
  memory ??= new Uint8Array(SIZE);
  return memory;
}
function filled(count: number, buffer: Uint8Array): Uint8Array {
  return count === buffer.length ? buffer : new Uint8Array(buffer.buffer, buffer.byteOffset, count);
}

/** `onread` for a socket to be dialled. */
export class SharedRead implements OnReadOpts {
  transport: SocketTransport | null = null;
  readonly buffer: () => Uint8Array = sharedBuffer;
  readonly callback: Reader = (count, buffer) => {
    this.transport?.received(filled(count, buffer));
    return true;
  };
}

/** Makes a half-open socket that was accepted read that way, unless bytes that it has read wait in it. False: it was left as it is. Not for TLS. */
export function shareBuffer(socket: Duplex): boolean {
  if (!(socket instanceof Socket) || socket instanceof TLSSocket) return false;
  if (symbols === undefined) symbols = findSymbols();
  const insides = socket as Socket & Insides;
  const handle = insides._handle;
  if (symbols === null || typeof handle?.useUserBuffer !== 'function') return false;
  if (insides[symbols.buffer] !== null || insides[symbols.callback] !== null || socket.readableLength > 0) return false;
  insides[symbols.buffer] = sharedBuffer();
  insides[symbols.callback] = readAccepted;
  handle.useUserBuffer(sharedBuffer());
  dropOwnEnd(socket);
  return true;
}

/**
 * Node's own listener of 'end' does nothing on a socket that may be half-open. With it ours is the second, and two make an array, 64 bytes for each
 * connection (bench: `memory`).
 */
function dropOwnEnd(socket: Socket): void {
  const [own, another] = socket.listeners('end') as ((() => void) | undefined)[];
  if (own?.name === 'onReadableStreamEnd' && another === undefined) socket.off('end', own);
}

/** Node calls it as a method of the socket, hence one function for all of them. */
function readAccepted(this: unknown, count: number, buffer: Uint8Array): boolean {
  SocketTransport.of(this as Socket)?.received(filled(count, buffer));
  return true;
}

function findSymbols(): Symbols | null {
  const major = Number.parseInt(process.versions.node, 10);
  if (!canShare || major < TRIED_MAJORS.least || major > TRIED_MAJORS.most) return null;
  const buffer = new Uint8Array(1);
  const callback: Reader = () => true;
  const probe = new Socket({ onread: { buffer, callback } }) as Socket & Insides;
  const symbolOf = (value: unknown): symbol | undefined => Object.getOwnPropertySymbols(probe).find((symbol) => probe[symbol] === value);
  const found = { buffer: symbolOf(buffer), callback: symbolOf(callback) };
  return found.buffer === undefined || found.callback === undefined ? null : { buffer: found.buffer, callback: found.callback };
}
