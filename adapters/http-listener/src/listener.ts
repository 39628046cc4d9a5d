/**
 * .NET's `HttpListener`: prefixes, then requests pulled one at a time, by `getContext()` or `for await`.
 *
 * Beware: a request waits in a queue until it is asked for. The queue is bounded (1000, as HTTP.sys has it); what comes on top of that is
 * answered 503.
 */
import { HttpListenerContext } from './context.ts';
import { alreadyRegistered, Binding, type Incoming, type ListenEndPoint, type TlsSettings } from './endpoints.ts';
import { HttpListenerErrorCode, HttpListenerException, InvalidOperationException, ObjectDisposedException } from './errors.ts';
import { parsePrefix, type UrlPrefix } from './prefixes.ts';
import { checkSignal } from './websocket-checks.ts';

const queueLength = 1000;

export interface HttpListenerOptions {
  /** Beyond .NET, where the system holds certificates: key and certificate for `https:` prefixes. */
  readonly tls?: TlsSettings;
}

/**
 * A set of prefixes. While the listener is listening, one that is removed is not served from then on, and one that is added is served as soon
 * as it is bound.
 *
 * .NET's `Add` binds before it returns, and throws. Here binding takes its time: an added prefix that cannot be bound is taken out again, and
 * the error goes to `start()`, where that was called to wait for it, or else to the next `getContext()`.
 */
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
   * there already, ObjectDisposedException after `close()`; and while the listener is listening HttpListenerException 183 for one that another
   * serves, which else is for `start()` to say, and InvalidOperationException for one that needs a certificate.
   */
  add(uriPrefix: string): void {
    this.#check();
    const prefix = parsePrefix(uriPrefix);
    if (this.#prefixes.has(prefix.key)) throw alreadyRegistered(prefix);
    this.#changed({ added: prefix });
    this.#prefixes.set(prefix.key, prefix);
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
  /** @internal It could not be bound. */
  drop(prefix: UrlPrefix): void {
    if (this.#prefixes.get(prefix.key) === prefix) this.#prefixes.delete(prefix.key);
  }
}

interface Pending {
  /** Never rejects unless somebody waits for it. */
  readonly bound: Promise<void>;
  /** By a caller of `start()`, who is told what becomes of it. */
  isAwaited: boolean;
}
interface Waiter {
  resolve(context: HttpListenerContext): void;
  reject(error: unknown): void;
}

/** .NET's `HttpListener`: add `prefixes`, `start()`, then pull requests with `getContext()` or `for await`. More than 1000 that wait get 503. */
export class HttpListener implements AsyncIterable<HttpListenerContext> {
  readonly prefixes: HttpListenerPrefixCollection;
  readonly #tls: TlsSettings | null;
  #state: 'stopped' | 'started' | 'closed' = 'stopped';
  readonly #bindings = new Set<Binding>();
  /** Bindings that are not ready. */
  readonly #pending = new Set<Pending>();
  /** What became of added prefixes, and nobody has been told. */
  #failures: unknown[] = [];
  #queue: HttpListenerContext[] = [];
  #waiting: Waiter[] = [];
  /** Contexts that were handed out and are not answered. */
  readonly #open = new Set<HttpListenerContext>();

  constructor(options: HttpListenerOptions = {}) {
    this.#tls = options.tls ?? null;
    this.prefixes = new HttpListenerPrefixCollection(
      () => this.#check(),
      ({ added, removed }) => {
        if (this.#state !== 'started') return;
        if (added !== undefined) this.#bind([added], () => this.prefixes.drop(added));
        if (removed !== undefined) for (const binding of this.#bindings) binding.release(removed);
      },
    );
  }

  get isListening(): boolean {
    return this.#state === 'started';
  }
  /** Beyond .NET: the addresses that are bound, once `start()` has settled; for prefixes with port 0. */
  get endPoints(): readonly ListenEndPoint[] {
    const servers = new Set([...this.#bindings].flatMap((binding) => binding.servers));
    return [...servers]
      .map((server) => server.address())
      .flatMap((bound) => (bound === null || typeof bound === 'string' ? [] : [{ address: bound.address, port: bound.port }]));
  }

  /**
   * Starts listening. Requests are accepted once the promise has settled, and `getContext` may be called at once. Rejects with
   * HttpListenerException when an address cannot be bound (32 in use, 5 access denied) or a prefix is registered elsewhere (183), with
   * InvalidOperationException when a prefix needs a certificate. Throws ObjectDisposedException after `close()`.
   *
   * When started, it waits for the prefixes that were added meanwhile, and rejects when one of them could not be bound.
   */
  start(): Promise<void> {
    this.#check();
    if (this.#state !== 'started') {
      try {
        this.#bind(this.prefixes.parsed, () => this.#end('stopped'));
      } catch (error) {
        return Promise.reject(error);
      }
      this.#state = 'started';
    }
    const [failure] = this.#failures.splice(0, 1);
    if (failure !== undefined) return Promise.reject(failure);
    for (const pending of this.#pending) pending.isAwaited = true;
    return Promise.all([...this.#pending].map(({ bound }) => bound)).then(() => {});
  }

  /** Stops listening. Requests that nobody has asked for are answered 503, open ones go on; `start()` begins anew. */
  stop(): void {
    this.#check();
    if (this.#state !== 'started') return;
    this.#end('stopped');
    for (const context of this.#queue.splice(0)) context.refuse();
  }

  /** Stops for good, at once: every request that is queued or open is dropped, and every connection on which nobody else's is. */
  abort(): void {
    if (this.#state === 'closed') return;
    this.#end('closed', true);
    for (const context of [...this.#queue.splice(0), ...this.#open]) context.response.abort();
    this.#open.clear();
  }

  /**
   * Stops for good. Requests in the queue are answered 503, open ones go on; a connection on which no request is open is dropped, after a
   * second for what is on its way. So it is after `stop()`.
   */
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
   * `close()`, with HttpListenerException 995 when the listener is stopped meanwhile, with the signal's reason; with what became of a prefix
   * that was added and could not be bound, after which the listener goes on.
   */
  async getContext(signal?: AbortSignal): Promise<HttpListenerContext> {
    const stop = checkSignal(signal);
    this.#check();
    if (this.#state !== 'started') throw new InvalidOperationException('start() must be called first');
    const [failure] = this.#failures.splice(0, 1);
    if (failure !== undefined) throw failure;
    if (this.prefixes.count === 0) throw new InvalidOperationException('there is no prefix: add one to prefixes');
    stop?.throwIfAborted();
    const queued = this.#queue.shift();
    if (queued !== undefined) return this.#hand(queued);
    let onAbort = (): void => {};
    const context = new Promise<HttpListenerContext>((resolve, reject) => {
      const waiter: Waiter = { resolve, reject };
      this.#waiting.push(waiter);
      onAbort = () => {
        const index = this.#waiting.indexOf(waiter);
        if (index < 0) return;
        this.#waiting.splice(index, 1);
        reject(stop?.reason);
      };
    });
    if (stop === null) return context;
    stop.addEventListener('abort', onAbort, { once: true });
    try {
      return await context;
    } finally {
      // A signal that lives as long as the listener would keep every context.
      stop.removeEventListener('abort', onAbort);
    }
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

  /** `undo`: what a failure calls for before somebody is told. */
  #bind(prefixes: readonly UrlPrefix[], undo: () => void): void {
    const binding = new Binding(prefixes, (incoming) => this.#received(incoming), this.#tls);
    this.#bindings.add(binding);
    const settled = (): boolean => this.#pending.delete(pending);
    const pending: Pending = {
      isAwaited: false,
      bound: binding.ready.then(
        () => void settled(),
        (error: unknown) => {
          settled();
          this.#bindings.delete(binding);
          undo();
          if (pending.isAwaited) throw error;
          const waiter = this.#waiting.shift();
          if (waiter === undefined) this.#failures.push(error);
          else waiter.reject(error);
        },
      ),
    };
    this.#pending.add(pending);
  }

  #end(state: 'stopped' | 'closed', atOnce = false): void {
    this.#state = state;
    for (const binding of this.#bindings) binding.release(undefined, atOnce);
    this.#bindings.clear();
    this.#failures = [];
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
