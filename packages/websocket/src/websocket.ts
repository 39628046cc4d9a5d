/**
 * The WHATWG `WebSocket` class (WHATWG WebSockets, sections 3 to 6), for clients and for server sockets, and what goes beyond it.
 *
 * One event per task, in the order open, message*, error, close. Two ways to read: events (until `messages()` or `stream()` is called), or on
 * demand with back pressure from then on; one message goes one way only. Beware: events give no back pressure but the event loop's own, as in
 * browsers: an event is pulled from the connection only after the one before it was dispatched.
 */
import type { Connection, EndInfo } from '@ferrywire/core';
import type { Driver } from '@ferrywire/driver';
import { checkArguments, type WebSocketInit } from './arguments.ts';
import { closeArguments } from './close-arguments.ts';
import { type Connected, type Connector, connectRequest, extensionsOf } from './connector.ts';
import type { BlobLike, EventHandler, HostEvent, HostMessageEvent, TypedEventTargetConstructor, UrlLike } from './dom-types.ts';
import { domError } from './errors.ts';
import { CloseEvent, checkEvents, HandlerAttributes } from './events.ts';
import type { InboxItem } from './inbox.ts';
import { iterateMessages, type MessagesOptions } from './iterate.ts';
import { checkJoined } from './joined.ts';
import { endError, Link } from './link.ts';
import { streamsOf, type WebSocketStreamInfo } from './message-pair.ts';
import { type AbortControllerLike, checkGlobals, isArrayBuffer, isBlob, platform } from './platform.ts';
import { MessageReader } from './reader.ts';
import { defaultScheduler, TaskQueue } from './task-queue.ts';
import { utf8Length } from './utf8-length.ts';
import { bufferOf, bytesOf } from './views.ts';
import { defineInterface, toText } from './web-idl.ts';

export type ReadyState = 0 | 1 | 2 | 3;
export type BinaryType = 'blob' | 'arraybuffer';
export interface WebSocketEventMap {
  open: HostEvent;
  message: HostMessageEvent;
  error: HostEvent;
  close: CloseEvent;
}

const EventTargetBase: TypedEventTargetConstructor<WebSocketEventMap> = platform.EventTarget;

/** What `from` hands to the constructor instead of a URL. */
class Adoption {
  readonly connected: Connected;
  constructor(connected: Connected) {
    this.connected = connected;
  }
}

/** Makes a socket disappear, as when its page goes away: fails it while connecting, else closes with 1001 (WHATWG WebSockets, section 7). */
export let makeDisappear: (socket: WebSocket) => void;

/**
 * The WHATWG `WebSocket`, for clients and for server sockets, with `messages()` and `stream()` for back pressure. Only an adapter's can dial:
 * `new` throws NotSupportedError without a connector, and `from` wraps what is connected already.
 */
export class WebSocket extends EventTargetBase {
  declare static readonly CONNECTING: 0;
  declare static readonly OPEN: 1;
  declare static readonly CLOSING: 2;
  declare static readonly CLOSED: 3;
  declare readonly CONNECTING: 0;
  declare readonly OPEN: 1;
  declare readonly CLOSING: 2;
  declare readonly CLOSED: 3;

  /** What `new` connects with. Adapters set it in a subclass; null here, where the constructor throws NotSupportedError. */
  static readonly connector: Connector | null = null;

  readonly #handlers = new HandlerAttributes(this);
  readonly #tasks: TaskQueue;
  readonly #url: string;
  readonly #origin: string;
  readonly #maxBufferedAmount: number;
  #readyState: ReadyState = 0;
  #protocol = '';
  #extensions = '';
  #binaryType: BinaryType = 'blob';
  #link: Link | null = null;
  /** Payload given to `send()` when there was no connection to give it to. */
  #discarded = 0;
  #opening: AbortControllerLike | null = null;
  /** Set once reading is on demand. */
  #reader: MessageReader | null = null;
  #readerTaken = false;
  #stepQueued = false;
  #failed = false;

  /**
   * Starts connecting and returns at once. Throws SyntaxError for a URL that is not `ws:`, `wss:`, `http:` or `https:` or has a fragment, and
   * for subprotocols that are no tokens or come twice; TypeError for headers that must not be sent; NotSupportedError without a connector.
   */
  constructor(url: string | UrlLike, protocolsOrOptions: string | readonly string[] | WebSocketInit = []) {
    super();
    checkGlobals(['MessageEvent', 'Blob']);
    checkEvents();
    const { connector } = new.target;
    this.#tasks = new TaskQueue(connector?.schedule ?? defaultScheduler());
    if ((url as unknown) instanceof Adoption) {
      this.#url = '';
      this.#origin = '';
      this.#maxBufferedAmount = Infinity;
      const { connected } = url as unknown as Adoption;
      const link = this.#adopt(connected, connected.connection.state === 'open' ? 1 : 2);
      // What has come is half a message perhaps, which keeps the transport from being read until it is pulled and the host is told.
      link.touch();
      return;
    }
    // biome-ignore lint/complexity/noArguments: Web IDL counts arguments, and undefined is one
    if (arguments.length === 0) throw new TypeError('new WebSocket(url): url is required');
    const checked = checkArguments(url, protocolsOrOptions, connector?.baseUrl);
    if (connector === null) {
      throw domError(
        'NotSupportedError',
        'this WebSocket has no connector: import WebSocket from an adapter (@ferrywire/node, /bun, /deno), or use defineWebSocket(connector)',
      );
    }
    this.#url = checked.url;
    this.#origin = checked.origin;
    this.#maxBufferedAmount = checked.maxBufferedAmount;
    checkGlobals(['AbortController']);
    const opening = new platform.AbortController();
    this.#opening = opening;
    const { signal } = checked;
    const onAbort = (): void => this.#failOpening();
    const connecting = connector.connect(connectRequest(checked, opening));
    connecting.then(
      (connected) => {
        signal?.removeEventListener('abort', onAbort);
        this.#connected(connected);
      },
      () => {
        signal?.removeEventListener('abort', onAbort);
        this.#failOpening();
      },
    );
    if (signal?.aborted === true) this.#failOpening();
    else signal?.addEventListener('abort', onAbort, { once: true });
  }

  /**
   * For adapters: wraps a connection that is already open, without an `open` event. It must be in pull mode (no sink) with delivery
   * 'message', and this socket takes over `host.onEvents` and `host.onDrain`. Throws TypeError for one that has a sink
   * or another delivery, and for what is no connection or no driver.
   */
  static from(connection: Connection, host: Driver): WebSocket {
    checkJoined(connection, host);
    if (connection.delivery !== 'message') throw new TypeError(`connection must have delivery 'message', not '${connection.delivery}'`);
    const { onEvents, onDrain } = host;
    try {
      return new this(new Adoption({ connection, host }) as unknown as string);
    } catch (error) {
      // A connection that pushes: whoever has it goes on as if nobody had asked.
      host.onEvents = onEvents;
      host.onDrain = onDrain;
      throw error;
    }
  }

  get url(): string {
    return this.#url;
  }
  get readyState(): ReadyState {
    const link = this.#link;
    if (this.#readyState === 1 && link?.connection.state === 'closing' && !link.isInEvent) {
      // A failure sends a close frame too (RFC 6455 sections 7.1.3 and 7.1.7), of which no event tells. What was received before it comes first.
      if (this.#reader !== null || link.inbox.length === 0) return 2;
    }
    return this.#readyState;
  }
  get protocol(): string {
    return this.#protocol;
  }
  get extensions(): string {
    return this.#extensions;
  }
  /** Payload bytes given to `send()` and not yet sent, framing not counted. Changes between tasks; only grows once the socket is closed. */
  get bufferedAmount(): number {
    this.#link?.settleSoon();
    return (this.#link?.outbox.amount ?? 0) + this.#discarded;
  }
  get binaryType(): BinaryType {
    return this.#binaryType;
  }
  /** Anything but the two values is ignored. */
  set binaryType(value: BinaryType) {
    const type = toText(value, 'binaryType');
    this.#binaryType = type === 'blob' || type === 'arraybuffer' ? type : this.#binaryType;
  }
  /** The connection beneath, null before `open`. After a call on it outside an event of this socket, pump its host. */
  get connection(): Connection | null {
    return this.#link?.connection ?? null;
  }

  get onopen(): EventHandler<HostEvent> {
    return this.#handlers.get('open');
  }
  set onopen(handler: EventHandler<HostEvent>) {
    this.#handlers.set('open', handler);
  }
  get onmessage(): EventHandler<HostMessageEvent> {
    return this.#handlers.get('message');
  }
  set onmessage(handler: EventHandler<HostMessageEvent>) {
    this.#handlers.set('message', handler);
  }
  get onerror(): EventHandler<HostEvent> {
    return this.#handlers.get('error');
  }
  set onerror(handler: EventHandler<HostEvent>) {
    this.#handlers.set('error', handler);
  }
  get onclose(): EventHandler<CloseEvent> {
    return this.#handlers.get('close');
  }
  set onclose(handler: EventHandler<CloseEvent>) {
    this.#handlers.set('close', handler);
  }

  /**
   * A string as text (lone surrogates become U+FFFD), anything else as binary, in call order. The buffer may be changed right afterwards.
   * Throws InvalidStateError while connecting; once the socket is closing the data is dropped and counted in `bufferedAmount`.
   */
  send(data: string | ArrayBufferView | ArrayBuffer | BlobLike): void {
    // biome-ignore lint/complexity/noArguments: Web IDL counts arguments, and undefined is one
    if (arguments.length === 0) throw new TypeError('send(data): data is required');
    let outgoing: string | Uint8Array | BlobLike;
    let size: number;
    if (ArrayBuffer.isView(data) || isArrayBuffer(data)) {
      outgoing = bytesOf(data);
      size = outgoing.byteLength;
    } else if (isBlob(data)) {
      // As jsdom's for many years. All that is sent behind it would wait for ever.
      if (typeof data.arrayBuffer !== 'function') throw new TypeError('send(data): this Blob has no arrayBuffer(), so nobody can read it');
      outgoing = data;
      size = data.size;
    } else {
      outgoing = toText(data, 'data');
      size = utf8Length(outgoing);
    }
    if (this.#readyState === 0) throw domError('InvalidStateError', 'send(): the socket is still connecting');
    const link = this.#link;
    if (this.#readyState !== 1 || link === null) {
      this.#discarded += size;
      return;
    }
    if (link.outbox.amount + size > this.#maxBufferedAmount) {
      // "Flag the WebSocket as full and then close the WebSocket connection": the transport, since nothing can be queued behind what is there.
      this.#discarded += size;
      this.#readyState = 2;
      link.connection.abort();
      link.pump();
      link.onInput();
      return;
    }
    link.outbox.send(outgoing, size);
  }

  /**
   * Starts the closing handshake; what was sent before still goes out, so it waits for a Blob for as long as that takes to be read. The peer's close
   * and the deadlines of a silent peer end that wait. Before the socket is open, fails it. Throws InvalidAccessError for a code that is neither
   * 1000 nor 3000 to 4999, SyntaxError for a reason above 123 bytes of UTF-8.
   */
  close(code: number | undefined = undefined, reason?: string): void {
    const checked = closeArguments(code, reason);
    this.#close(checked.code, checked.reason);
  }

  /**
   * Beyond the standard: messages on demand, with back pressure. From this call on no `message` event is dispatched, and the connection is paused
   * while `highWaterMark` (default 16) messages wait. Ends after a clean close, throws WebSocketError when the connection failed, and the
   * signal's reason when that aborts. Leaving the loop keeps the socket open, paused, and what was not read for the next `messages()`.
   * Throws InvalidStateError while another reader is at work. Call it in the task that opened the socket: earlier messages were events.
   */
  messages(options: MessagesOptions = {}): AsyncIterableIterator<string | Uint8Array> {
    return iterateMessages(options, (ahead) => this.#claim(ahead));
  }

  /** Beyond the standard: the same as a pair of streams. Throws InvalidStateError unless open, and while another reader is at work. */
  stream(): WebSocketStreamInfo {
    const link = this.#link;
    if (link === null || this.#readyState !== 1) throw domError('InvalidStateError', 'stream(): the socket is not open');
    const { reader } = this.#claim(0);
    const close = (code: number | undefined, reason: string): void => this.#close(code, reason);
    return { ...streamsOf(link, reader, close), protocol: this.#protocol, extensions: this.#extensions };
  }

  /** Closes and waits for the `close` event. */
  [Symbol.asyncDispose](): Promise<void> {
    if (this.#readyState === 3) return Promise.resolve();
    return new Promise((resolve) => {
      this.addEventListener('close', () => resolve(), { once: true });
      this.close();
    });
  }

  #connected(connected: Connected): void {
    this.#tasks.queue(() => {
      // Closed or aborted meanwhile.
      if (this.#readyState !== 0 || this.#failed) {
        connected.connection.abort();
        connected.host.pump();
        return;
      }
      // Whatever has become of the connection meanwhile: that is told by the events behind this one.
      const link = this.#adopt(connected, 1);
      link.inEvent(() => this.dispatchEvent(new platform.Event('open')));
      link.eventDone(false);
    });
  }

  #adopt(connected: Connected, readyState: 1 | 2): Link {
    const { connection, host } = connected;
    const link = new Link(connection, host, this.#tasks);
    this.#opening = null;
    this.#link = link;
    this.#protocol = connection.subprotocol ?? '';
    this.#extensions = extensionsOf(connected);
    this.#readyState = readyState;
    link.onInput = () => this.#run();
    // The first event is dispatched in a task, so listeners added in this one miss nothing.
    if (this.#reader === null) this.#run();
    else this.#reader.attach(link);
    return link;
  }

  #failOpening(): void {
    if (this.#failed || this.#link !== null) return;
    this.#failed = true;
    this.#opening?.abort();
    const info = { clean: false, code: 1006, reason: '' };
    this.#reader?.fail(endError(info));
    this.#tasks.queue(() => this.#closed(info));
  }

  #close(code: number | undefined, reason: string): void {
    if (this.#readyState > 1) return;
    this.#readyState = 2;
    const link = this.#link;
    if (link === null) {
      this.#failOpening();
      return;
    }
    // No message event comes any more; a reader still gets what is in flight.
    if (this.#reader === null) link.inbox.discard();
    link.outbox.closeAfter(() => {
      link.inbox.release();
      if (code === undefined) link.connection.close();
      else link.connection.close(code, reason);
      link.pump();
      link.onInput();
    });
  }

  /** Reading on demand instead of events, from here on. */
  #claim(ahead: number): { readonly reader: MessageReader; release(): void } {
    if (this.#readerTaken) throw domError('InvalidStateError', 'the messages of this socket are being read already');
    this.#readerTaken = true;
    const reader = new MessageReader(ahead, (item) => {
      if (item.type === 'end') {
        this.#link?.end(item);
        this.#tasks.queue(() => this.#closed(item));
      } else {
        this.#tasks.queue(() => this.#peerClosing());
      }
    });
    this.#reader = reader;
    if (this.#link !== null) reader.attach(this.#link);
    else if (this.#failed) reader.fail(endError({ clean: false, code: 1006, reason: '' }));
    const release = (): void => {
      this.#readerTaken = false;
    };
    return { reader, release };
  }

  /** Events mode: gets the next event ready and asks for a task to dispatch it in. */
  #run(): void {
    const link = this.#link;
    if (link === null || this.#reader !== null || this.#stepQueued) return;
    link.inbox.refill();
    // What is sent meanwhile may have brought us here again.
    if (link.inbox.length === 0 || this.#stepQueued) return;
    this.#stepQueued = true;
    this.#tasks.queue(this.#step);
  }

  readonly #step = (): void => {
    this.#stepQueued = false;
    const link = this.#link;
    if (link === null || this.#reader !== null) return;
    const item = link.inbox.take();
    if (item === undefined) {
      // The message that this task was for was dropped by close(). What came behind it, the end perhaps, has waited for this task.
      this.#run();
      link.eventDone(this.#stepQueued);
      return;
    }
    if (item.type === 'end') {
      // What the events before it were answered with may have been left to this task.
      link.pump();
      link.end(item);
      this.#closed(item);
      return;
    }
    if (item.type === 'close') this.#peerClosing();
    else link.inEvent(() => this.#message(item));
    this.#run();
    link.eventDone(this.#stepQueued);
  };

  #message(item: Exclude<InboxItem, { type: 'close' | 'end' }>): void {
    if (item.type === 'chunk') throw new TypeError("WebSocket needs a connection with delivery 'message'");
    if (this.#readyState !== 1) return;
    let data: unknown = item.data;
    if (item.kind === 'binary') {
      if (this.#binaryType === 'blob') {
        data = new platform.Blob([item.data]);
        // A Blob has bytes of its own.
        this.#link?.connection.recycleInput(item.data);
      } else data = bufferOf(item.data);
    }
    this.dispatchEvent(new platform.MessageEvent('message', { data, origin: this.#origin }));
  }

  #peerClosing(): void {
    if (this.#readyState === 1) this.#readyState = 2;
  }

  #closed(info: Pick<EndInfo, 'clean' | 'code' | 'reason'>): void {
    this.#readyState = 3;
    const close = (): void => {
      this.dispatchEvent(new CloseEvent('close', { wasClean: info.clean, code: info.code, reason: info.reason }));
    };
    if (info.clean) {
      close();
      return;
    }
    this.#tasks.queue(close);
    this.dispatchEvent(new platform.Event('error'));
  }

  static {
    const members = ['url', 'readyState', 'bufferedAmount', 'onopen', 'onerror', 'onclose', 'extensions', 'protocol', 'close'];
    members.push('onmessage', 'binaryType', 'send');
    defineInterface(WebSocket, 'WebSocket', members, { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 });
    Object.defineProperty(WebSocket, 'connector', { enumerable: false });
    makeDisappear = (socket) => {
      if (socket.#readyState === 1) socket.#close(1001, '');
      else socket.#close(undefined, '');
    };
  }
}
