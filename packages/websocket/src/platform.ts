/**
 * The platform globals this package touches, declared by hand. Node 20, Bun, Deno and browsers have all of them, except where marked
 * optional.
 *
 * Nothing public is typed by a global: what leaves this file is typed by `dom-types`.
 */
import type {
  AbortSignalLike,
  AbortSignalValue,
  BlobLike,
  EventConstructor,
  EventTargetConstructor,
  MessageEventLike,
  ReadableStreamLike,
  WritableStreamLike,
} from './dom-types.ts';

export interface AbortControllerLike {
  readonly signal: AbortSignalValue;
  abort(reason?: unknown): void;
}
export interface DomExceptionLike extends Error {
  readonly code: number;
}
export interface ReadableController<R> {
  readonly desiredSize: number | null;
  enqueue(chunk: R): void;
  close(): void;
  error(reason: unknown): void;
}
export interface ReadableSource<R> {
  start?(controller: ReadableController<R>): void;
  pull?(controller: ReadableController<R>): void | Promise<void>;
  cancel?(reason: unknown): void | Promise<void>;
}
export interface WritableController {
  /** Aborted as soon as the stream is, which `abort` of the sink is told of behind the write that is under way. */
  readonly signal: AbortSignalLike;
  error(reason: unknown): void;
}
export interface WritableSink<W> {
  start?(controller: WritableController): void;
  write?(chunk: W): void | Promise<void>;
  close?(): void | Promise<void>;
  abort?(reason: unknown): void | Promise<void>;
}
interface MessageChannelLike {
  readonly port1: { onmessage: (() => void) | null };
  readonly port2: { postMessage(value: unknown): void };
}
interface Platform {
  readonly Event: EventConstructor;
  /** Node 20 has none. */
  readonly CloseEvent?: EventConstructor;
  readonly EventTarget: EventTargetConstructor;
  readonly MessageEvent: new (type: string, init: { data: unknown; origin: string }) => MessageEventLike;
  readonly Blob: new (parts: readonly Uint8Array[]) => BlobLike;
  readonly AbortController: new () => AbortControllerLike;
  readonly DOMException: { new (message?: string, name?: string): DomExceptionLike; readonly prototype: DomExceptionLike };
  readonly ReadableStream: new <R>(source: ReadableSource<R>, strategy?: { highWaterMark?: number }) => ReadableStreamLike<R>;
  readonly WritableStream: new <W>(sink: WritableSink<W>, strategy?: { highWaterMark?: number }) => WritableStreamLike<W>;
  /** The page's address: browsers, workers, and Deno with --location. */
  readonly location?: { readonly href: string };
  readonly setImmediate?: (callback: () => void) => unknown;
  readonly setTimeout: (callback: () => void, delay: number) => unknown;
  readonly MessageChannel?: new () => MessageChannelLike;
}

export const platform: Platform = globalThis as unknown as Platform;

/** Throws TypeError for one that is missing: "undefined is not a constructor" is what a bare engine would say of it. */
export function checkGlobals(names: readonly (keyof Platform)[]): void {
  for (const name of names) {
    if (platform[name] === undefined)
      throw new TypeError(`@ferrywire/websocket needs globalThis.${name}, which this runtime does not have`);
  }
}

// What the classes are built on. The others are asked for where a socket is made: the adapters bring these classes to those who use none.
checkGlobals(['Event', 'EventTarget', 'DOMException']);

/** True for this realm's Blob and File (that of happy-dom has no brand), and for other realms' by their brand. */
export function isBlob(value: unknown): value is BlobLike {
  if (typeof value !== 'object' || value === null) return false;
  if (value instanceof platform.Blob) return true;
  const tag = (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  return (tag === 'Blob' || tag === 'File') && typeof (value as { arrayBuffer?: unknown }).arrayBuffer === 'function';
}

/** True for ArrayBuffer of any realm, and for SharedArrayBuffer only when asked. */
export function isArrayBuffer(value: unknown): value is ArrayBuffer {
  return Object.prototype.toString.call(value) === '[object ArrayBuffer]';
}
