/**
 * `WebSocketStream` (explainer; whatwg/websockets pull request 48): a client socket as promises and streams, with back pressure both ways.
 *
 * Beware: `closed` is behind unread messages, since back pressure keeps the peer's close frame from being read; cancel the readable or call
 * `close()` to get at it.
 */
import { checkStreamArguments, type WebSocketInit } from './arguments.ts';
import { closeInfoArguments } from './close-arguments.ts';
import { type Connected, type Connector, connectRequest, extensionsOf } from './connector.ts';
import type { UrlLike } from './dom-types.ts';
import { domError } from './errors.ts';
import { endError, Link } from './link.ts';
import { streamsOf, type WebSocketStreamInfo } from './message-pair.ts';
import { type AbortControllerLike, checkGlobals, platform } from './platform.ts';
import { MessageReader } from './reader.ts';
import { defaultScheduler, TaskQueue } from './task-queue.ts';
import { defineInterface, isObject, toDictionary } from './web-idl.ts';

export interface WebSocketCloseInfo {
  readonly closeCode?: number;
  readonly reason?: string;
}
interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** Promise.withResolvers, which Node 20 lacks. Never an unhandled rejection: both promises fail together and a program may look at one. */
function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** Of a getter whose type is a promise, the exception is one too. */
function stranger(): Promise<never> {
  return Promise.reject(new TypeError('not a WebSocketStream'));
}

/**
 * A client socket as promises and streams, with back pressure both ways. `closed` is behind the messages that nobody has read. As with
 * `WebSocket`, only an adapter's can dial.
 */
export class WebSocketStream {
  /** What `new` connects with. Adapters set it in a subclass; null here, where the constructor throws NotSupportedError. */
  static readonly connector: Connector | null = null;

  readonly #url: string;
  readonly #tasks: TaskQueue;
  readonly #opened: Deferred<WebSocketStreamInfo> = deferred();
  readonly #closed: Deferred<{ closeCode: number; reason: string }> = deferred();
  #opening: AbortControllerLike | null;
  #link: Link | null = null;

  /** Starts connecting. Throws as the constructor of `WebSocket` does; `options.signal` aborts the opening only. */
  constructor(url: string | UrlLike, options: WebSocketInit = {}) {
    const { connector } = new.target;
    // biome-ignore lint/complexity/noArguments: Web IDL counts arguments, and undefined is one
    if (arguments.length === 0) throw new TypeError('new WebSocketStream(url): url is required');
    const checked = checkStreamArguments(url, toDictionary(options, 'options'), connector?.baseUrl);
    if (connector === null) {
      throw domError(
        'NotSupportedError',
        'this WebSocketStream has no connector: import it from an adapter (@ferrywire/node, /bun, /deno), or use defineWebSocket(connector)',
      );
    }
    this.#url = checked.url;
    this.#tasks = new TaskQueue(connector.schedule ?? defaultScheduler());
    checkGlobals(['AbortController']);
    const opening = new platform.AbortController();
    this.#opening = opening;
    const { signal } = checked;
    if (signal?.aborted === true) {
      this.#fail(signal.reason);
      return;
    }
    const onAbort = (): void => this.#fail(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    connector.connect(connectRequest(checked, opening)).then(
      (connected) => {
        signal?.removeEventListener('abort', onAbort);
        this.#connected(connected);
      },
      () => {
        signal?.removeEventListener('abort', onAbort);
        this.#fail(endError({ clean: false, code: 1006, reason: '' }));
      },
    );
  }

  get url(): string {
    return this.#url;
  }
  /** The streams, once the socket is open. Rejects with WebSocketError when it could not be opened, and with the signal's reason. */
  get opened(): Promise<WebSocketStreamInfo> {
    return WebSocketStream.#is(this) ? this.#opened.promise : stranger();
  }
  /** The peer's close code and reason after a clean close (1005 when it gave none). Rejects with WebSocketError otherwise. */
  get closed(): Promise<{ closeCode: number; reason: string }> {
    return WebSocketStream.#is(this) ? this.#closed.promise : stranger();
  }

  /** As `WebSocket.close`: same checks, and a reason alone implies 1000. Before the socket is open, fails it. */
  close(info: WebSocketCloseInfo = {}): void {
    const { code, reason } = closeInfoArguments(info);
    if (this.#link !== null) this.#close(this.#link, code, reason);
    else this.#fail(endError({ clean: false, code: 1006, reason: '' }));
  }

  static #is(value: unknown): value is WebSocketStream {
    return isObject(value) && #opened in value;
  }

  #connected(connected: Connected): void {
    const { connection, host } = connected;
    if (this.#opening === null) {
      connection.abort();
      host.pump();
      return;
    }
    this.#opening = null;
    const link = new Link(connection, host, this.#tasks);
    this.#link = link;
    const reader = new MessageReader(0, (item) => {
      if (item.type !== 'end') return;
      link.end(item);
      if (item.clean) this.#closed.resolve({ closeCode: item.code, reason: item.reason });
      else this.#closed.reject(link.failure);
    });
    const streams = streamsOf(link, reader, (code, reason) => this.#close(link, code, reason));
    reader.attach(link);
    this.#opened.resolve({ ...streams, protocol: connection.subprotocol ?? '', extensions: extensionsOf(connected) });
  }

  #close(link: Link, code: number | undefined, reason: string): void {
    if (link.connection.state !== 'open') return;
    link.inbox.release();
    if (code === undefined) link.connection.close();
    else link.connection.close(code, reason);
    link.pump();
    link.onInput();
  }

  #fail(error: unknown): void {
    const opening = this.#opening;
    if (opening === null) return;
    this.#opening = null;
    this.#opened.reject(error);
    this.#closed.reject(error);
    opening.abort(error);
  }

  static {
    defineInterface(WebSocketStream, 'WebSocketStream', ['url', 'opened', 'closed', 'close']);
    Object.defineProperty(WebSocketStream, 'connector', { enumerable: false });
  }
}
