/**
 * .NET's `HttpListener`: prefixes, then requests pulled one at a time, by `getContext()` or `for await`.
 *
 * Beware: a request waits in a queue until it is asked for. The queue is bounded (1000, as HTTP.sys has it); what comes on top of that is
 * answered 503.
 */
import { HttpListenerContext } from './context.ts';
import {
  alreadyRegistered,
  checkFree,
  type Incoming,
  type ListenEndPoint,
  type Registration,
  register,
  type TlsSettings,
  unregister,
} from './endpoints.ts';
import { HttpListenerErrorCode, HttpListenerException, InvalidOperationException, ObjectDisposedException } from './errors.ts';
import { parsePrefix, type UrlPrefix } from './prefixes.ts';

const queueLength = 1000;

export interface HttpListenerOptions {
  /** Beyond .NET, where the system holds certificates: key and certificate for `https:` prefixes. */
  readonly tls?: TlsSettings;
}

/** A set of prefixes. Changes take effect at once while the listener is listening. */
export class HttpListenerPrefixCollection implements Iterable<string> {
  readonly #prefixes = new Map<string, UrlPrefix>();
  readonly #check: () => void;
  readonly #changed: (change: { added?: UrlPrefix; removed?: UrlPrefix }) => void;

  /** @internal */
  constructor(check: () => void, changed: (change: { added?: UrlPrefix; removed?: UrlPrefix }) => void) {
    this.#check = check;
    this.#changed = changed;
  }

  /**
   * Throws ArgumentNullException or ArgumentException for what is no prefix (it must end with '/'), HttpListenerException 183 for one that is
   * registered already, ObjectDisposedException after `close()`.
   */
  add(uriPrefix: string): void {
    this.#check();
    const prefix = parsePrefix(uriPrefix);
    if (this.#prefixes.has(prefix.key)) throw alreadyRegistered(prefix);
    checkFree(prefix);
    this.#prefixes.set(prefix.key, prefix);
    this.#changed({ added: prefix });
  }
  /** False when it was not there. */
  remove(uriPrefix: string): boolean {
    this.#check();
    const { key } = parsePrefix(uriPrefix);
    const removed = this.#prefixes.get(key);
    if (removed === undefined) return false;
    this.#prefixes.delete(key);
    this.#changed({ removed });
    return true;
  }
  contains(uriPrefix: string): boolean {
    return this.#prefixes.has(parsePrefix(uriPrefix).key);
  }
  clear(): void {
    for (const prefix of [...this]) this.remove(prefix);
  }
  get count(): number {
    return this.#prefixes.size;
  }
  *[Symbol.iterator](): Iterator<string> {
    for (const { text } of this.#prefixes.values()) yield text;
  }
  /** @internal */
  get parsed(): readonly UrlPrefix[] {
    return [...this.#prefixes.values()];
  }
}

interface Waiter {
  resolve(context: HttpListenerContext): void;
  reject(error: unknown): void;
}

export class HttpListener implements AsyncIterable<HttpListenerContext> {
  readonly prefixes: HttpListenerPrefixCollection;
  readonly #tls: TlsSettings | null;
  #state: 'stopped' | 'started' | 'closed' = 'stopped';
  #registrations: Registration[] = [];
  #queue: HttpListenerContext[] = [];
  #waiting: Waiter[] = [];
  /** Contexts that were handed out and are not answered. */
  readonly #open = new Set<HttpListenerContext>();
  #starting: Promise<void> = Promise.resolve();

  constructor(options: HttpListenerOptions = {}) {
    this.#tls = options.tls ?? null;
    this.prefixes = new HttpListenerPrefixCollection(
      () => this.#check(),
      ({ added, removed }) => {
        if (this.#state !== 'started') return;
        if (added !== undefined) this.#serve([added]);
        if (removed !== undefined) this.#leave(removed);
      },
    );
  }

  get isListening(): boolean {
    return this.#state === 'started';
  }
  /** Beyond .NET: the addresses that are bound, once `start()` has settled; for prefixes with port 0. */
  get endPoints(): readonly ListenEndPoint[] {
    const addresses = new Set(this.#registrations.map(({ endPoint }) => endPoint.server.address()));
    return [...addresses].flatMap((bound) =>
      bound === null || typeof bound === 'string' ? [] : [{ address: bound.address, port: bound.port }],
    );
  }

  /**
   * Starts listening. Requests are accepted once the promise has settled, and `getContext` may be called at once. Rejects with
   * HttpListenerException when an address cannot be bound (32 in use, 5 access denied) or a prefix is registered elsewhere (183). Throws
   * ObjectDisposedException after `close()`. Does nothing when started.
   */
  start(): Promise<void> {
    this.#check();
    if (this.#state === 'started') return this.#starting;
    this.#state = 'started';
    this.#serve(this.prefixes.parsed);
    return this.#starting;
  }

  /** Stops listening. Requests that nobody has asked for are answered 503, open ones go on; `start()` begins anew. */
  stop(): void {
    this.#check();
    if (this.#state !== 'started') return;
    this.#end('stopped');
    for (const context of this.#queue.splice(0)) context.refuse();
  }

  /** Stops for good, at once: every request that is queued or open is dropped. */
  abort(): void {
    if (this.#state === 'closed') return;
    this.#end('closed');
    for (const context of [...this.#queue.splice(0), ...this.#open]) context.response.abort();
    this.#open.clear();
  }

  /** Stops for good. Requests in the queue are answered 503, open ones go on. */
  close(): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'started') this.stop();
    this.#end('closed');
  }
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /**
   * The next request. Rejects with InvalidOperationException when not started or without prefixes, with ObjectDisposedException after
   * `close()`, with HttpListenerException 995 when the listener is stopped meanwhile, with the signal's reason.
   */
  async getContext(signal?: AbortSignal): Promise<HttpListenerContext> {
    this.#check();
    if (this.#state !== 'started') throw new InvalidOperationException('start() must be called first');
    if (this.prefixes.count === 0) throw new InvalidOperationException('there is no prefix: add one to prefixes');
    signal?.throwIfAborted();
    const queued = this.#queue.shift();
    if (queued !== undefined) return this.#hand(queued);
    const promise = new Promise<HttpListenerContext>((resolve, reject) => {
      const waiter: Waiter = { resolve, reject };
      this.#waiting.push(waiter);
      signal?.addEventListener('abort', () => {
        const index = this.#waiting.indexOf(waiter);
        if (index < 0) return;
        this.#waiting.splice(index, 1);
        reject(signal.reason);
      });
    });
    return promise;
  }

  /** Every request until the listener is stopped. Leaving the loop stops nothing. */
  async *[Symbol.asyncIterator](): AsyncGenerator<HttpListenerContext, void, undefined> {
    while (this.#state === 'started') {
      try {
        yield await this.getContext();
      } catch (error) {
        if (error instanceof HttpListenerException && error.errorCode === HttpListenerErrorCode.OperationAborted) return;
        throw error;
      }
    }
  }

  #check(): void {
    if (this.#state === 'closed') throw new ObjectDisposedException('HttpListener');
  }

  #serve(prefixes: readonly UrlPrefix[]): void {
    const before = this.#starting;
    const served = register(prefixes, (incoming) => this.#received(incoming), this.#tls);
    this.#starting = (async () => {
      await before.catch(() => {});
      let made: readonly Registration[];
      try {
        made = await served;
      } catch (error) {
        if (this.#registrations.length === 0 && this.#state === 'started') this.#end('stopped');
        throw error;
      }
      // Stopped or removed while it was being bound.
      const wanted = this.prefixes.parsed;
      const kept = this.#state === 'started' ? made.filter(({ prefix }) => wanted.includes(prefix)) : [];
      unregister(made.filter((registration) => !kept.includes(registration)));
      this.#registrations.push(...kept);
    })();
  }

  #leave(prefix: UrlPrefix): void {
    const left = this.#registrations.filter((registration) => registration.prefix === prefix);
    this.#registrations = this.#registrations.filter((registration) => registration.prefix !== prefix);
    unregister(left);
  }

  #end(state: 'stopped' | 'closed'): void {
    this.#state = state;
    unregister(this.#registrations.splice(0));
    for (const { reject } of this.#waiting.splice(0)) {
      reject(new HttpListenerException(HttpListenerErrorCode.OperationAborted, 'the listener was stopped'));
    }
  }

  #received(incoming: Incoming): void {
    const context = new HttpListenerContext(incoming, (done) => {
      this.#open.delete(done);
      const index = this.#queue.indexOf(done);
      if (index >= 0) this.#queue.splice(index, 1);
    });
    const waiter = this.#waiting.shift();
    if (waiter !== undefined) waiter.resolve(this.#hand(context));
    else if (this.#queue.length < queueLength) this.#queue.push(context);
    else context.refuse();
  }

  #hand(context: HttpListenerContext): HttpListenerContext {
    this.#open.add(context);
    return context;
  }
}
