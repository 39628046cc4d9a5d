/**
 * The web platform's interfaces as this package needs them, written out structurally.
 *
 * Public signatures name these instead of `lib="dom"` types: a reference to that library would leak into every consumer, and a consumer
 * without it (types: [], lib: ES2022) could not compile. Where the DOM library or a runtime's types are loaded, values go both ways without a
 * cast; `test/types` holds that. Beware: members are methods on purpose, method parameters being compared bivariantly.
 */

declare global {
  /** The symbol's declaration, for consumers whose library has none; it merges with `lib="esnext.disposable"`. */
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol;
  }
}

export interface EventLike {
  readonly type: string;
  readonly target: EventTargetLike | null;
  readonly currentTarget: EventTargetLike | null;
  readonly bubbles: boolean;
  readonly cancelable: boolean;
  readonly defaultPrevented: boolean;
  readonly timeStamp: number;
  preventDefault(): void;
  stopPropagation(): void;
  stopImmediatePropagation(): void;
}
/** An event as the consumer's own libraries have it, where they do: it is the runtime's, and a promise of an `Event` is resolved with it. */
export type HostEvent = typeof globalThis extends { readonly Event: { readonly prototype: infer Own } }
  ? Own extends EventLike
    ? Own
    : EventLike
  : EventLike;
export interface EventConstructor {
  new (type: string, init?: { bubbles?: boolean; cancelable?: boolean; composed?: boolean }): HostEvent;
  readonly prototype: HostEvent;
}

export interface MessageEventLike<Data = unknown> extends EventLike {
  readonly data: Data;
  readonly origin: string;
  readonly lastEventId: string;
}
/** As `HostEvent`. */
export type HostMessageEvent = typeof globalThis extends { readonly MessageEvent: { readonly prototype: infer Own } }
  ? Own extends MessageEventLike
    ? Own
    : MessageEventLike
  : MessageEventLike;
export interface CloseEventLike extends EventLike {
  readonly wasClean: boolean;
  readonly code: number;
  readonly reason: string;
}

/** A method's type, so that a function taking the DOM library's own event type is accepted as well. */
export type EventCallback<E> = { call(event: E): void }['call'];
/** The value of an `on…` attribute. */
export type EventHandler<E> = EventCallback<E> | null;
export type EventListenerLike<E> = EventCallback<E> | { handleEvent(event: E): void };
/** The same with the target as `this`, which the DOM library gives to listeners whose event it knows. */
export type TargetListener<Target, E> = { call(this: Target, event: E): void }['call'] | { handleEvent(event: E): void };
export interface ListenerOptions {
  readonly capture?: boolean;
  readonly once?: boolean;
  readonly passive?: boolean;
  readonly signal?: AbortSignalLike;
}
export interface EventTargetLike {
  addEventListener(type: string, listener: EventListenerLike<EventLike> | null, options?: boolean | ListenerOptions): void;
  removeEventListener(type: string, listener: EventListenerLike<EventLike> | null, options?: boolean | { capture?: boolean }): void;
  dispatchEvent(event: EventLike): boolean;
}
export interface EventTargetConstructor {
  new (): EventTargetLike;
  readonly prototype: EventTargetLike;
}

/** Listeners get their type's event, as the DOM library has it. */
export interface TypedEventTarget<EventMap> extends EventTargetLike {
  addEventListener<Type extends keyof EventMap>(
    type: Type,
    listener: TargetListener<this, EventMap[Type]> | null,
    options?: boolean | ListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerLike<EventLike> | null, options?: boolean | ListenerOptions): void;
  removeEventListener<Type extends keyof EventMap>(
    type: Type,
    listener: TargetListener<this, EventMap[Type]> | null,
    options?: boolean | { capture?: boolean },
  ): void;
  removeEventListener(type: string, listener: EventListenerLike<EventLike> | null, options?: boolean | { capture?: boolean }): void;
}
export interface TypedEventTargetConstructor<EventMap> {
  new (): TypedEventTarget<EventMap>;
  readonly prototype: TypedEventTarget<EventMap>;
}

export interface AbortSignalLike {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** A whole AbortSignal, as connectors get it: it can be given to whatever takes one. */
export interface AbortSignalValue extends EventTargetLike {
  readonly aborted: boolean;
  readonly reason: unknown;
  onabort: EventHandler<EventLike>;
  throwIfAborted(): void;
}

export interface BlobLike {
  readonly size: number;
  readonly type: string;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** Anything with a serialisation: a `URL` object of any library. */
export interface UrlLike {
  readonly href: string;
  toString(): string;
}

export type ReadResult<R> = { readonly done: false; readonly value: R } | { readonly done: true; readonly value: R | undefined };
export interface StreamReaderLike<R> {
  readonly closed: Promise<undefined>;
  read(): Promise<ReadResult<R>>;
  cancel(reason?: unknown): Promise<void>;
  releaseLock(): void;
}
export interface StreamWriterLike<W> {
  readonly closed: Promise<undefined>;
  readonly ready: Promise<undefined>;
  readonly desiredSize: number | null;
  write(chunk?: W): Promise<void>;
  close(): Promise<void>;
  abort(reason?: unknown): Promise<void>;
  releaseLock(): void;
}
export interface PipeOptions {
  readonly preventClose?: boolean;
  readonly preventAbort?: boolean;
  readonly preventCancel?: boolean;
}
/** What can be piped into: any WHATWG writable stream. */
export interface WritableTarget<W> {
  readonly locked: boolean;
  abort(reason?: unknown): Promise<void>;
  getWriter(): { write(chunk?: W): Promise<void> };
}
/** For byte streams only: the overload exists so that a `ReadableStreamLike` is a DOM `ReadableStream`; here `getReader` throws TypeError for it. */
export interface ByobReaderLike {
  readonly closed: Promise<undefined>;
  read<View extends ArrayBufferView>(view: View): Promise<ReadResult<View>>;
  cancel(reason?: unknown): Promise<void>;
  releaseLock(): void;
}
export interface ReadableStreamLike<R> {
  readonly locked: boolean;
  cancel(reason?: unknown): Promise<void>;
  getReader(options: { mode: 'byob' }): ByobReaderLike;
  getReader(): StreamReaderLike<R>;
  pipeThrough<Readable>(transform: { readable: Readable; writable: WritableTarget<R> }, options?: PipeOptions): Readable;
  pipeTo(destination: WritableTarget<R>, options?: PipeOptions): Promise<void>;
  tee(): [ReadableStreamLike<R>, ReadableStreamLike<R>];
  values(options?: { preventCancel?: boolean }): StreamIterator<R>;
  [Symbol.asyncIterator](options?: { preventCancel?: boolean }): StreamIterator<R>;
}
export interface StreamIterator<R> extends AsyncIterableIterator<R, undefined> {
  [Symbol.asyncIterator](): StreamIterator<R>;
  /** Where the runtime has it: Node 20 has not. */
  [Symbol.asyncDispose](): Promise<void>;
}
export interface WritableStreamLike<W> {
  readonly locked: boolean;
  abort(reason?: unknown): Promise<void>;
  close(): Promise<void>;
  getWriter(): StreamWriterLike<W>;
}
