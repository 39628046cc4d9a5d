/**
 * One connection: the sink of its protocol, the hooks of its driver and the application's handle in one object, since an idle server holds
 * one of these per connection.
 */
import type { Clock, Connection, EndInfo, MessageKind, Millis, PreparedMessage, Protocol, SendOptions } from '@ferrywire/core';
import {
  type ClientEvent,
  type ClientProtocol,
  type ClientSink,
  type HandshakeErrorCode,
  type ResponseHead,
  type ServerEvent,
  ServerProtocol,
  type ServerSink,
} from '@ferrywire/handshake';
import { type DriverHooks, Pump } from './driver.ts';
import { EndpointError } from './errors.ts';
import type { Opening, Peer, PeerHandlers, ServerRequest } from './peer.ts';
import { decide, Pending } from './pending-request.ts';
import type { DriverHandle, TimerHost, Transport } from './types.ts';

export interface EndpointHostOptions {
  readonly clock: Clock;
  readonly timers: TimerHost;
  readonly handlers: PeerHandlers;
  /**
   * While the transport is stalled, or messages wait to be compressed, and more than so many bytes wait, nothing is read from that peer: whoever
   * does not take the answers gets to ask no more. Default 262 144; unlimited for clients while the transport is stalled: when both sides hold
   * back, two peers that flood each other would wait for each other for ever.
   */
  readonly highWaterMark?: number;
  /** `timeouts.closing` of the connections: see `DriveOptions.closing`. */
  readonly closing?: Millis;
  /**
   * True: connections in pull mode, for layers with a queue of their own. No message handler is called; from `onOpen` on, events are taken
   * with `peer.connection.nextEvent()`, told by `peer.driver.onEvents`.
   */
  readonly pull?: boolean;
}

export type WholeLife = ServerProtocol | ClientProtocol;

/** What an endpoint needs of its host. */
export interface EndpointOwner {
  readonly options: EndpointHostOptions;
  opened(endpoint: Endpoint): void;
  released(endpoint: Endpoint): void;
}

/** What only the handshake needs. */
interface OpeningState {
  /** Null when the handshake was done elsewhere. */
  life: WholeLife | null;
  request: ServerRequest | null;
  /** Settles the promise of a dial. */
  settle: ((result: Peer | EndpointError) => void) | null;
}

const HIGH_WATER = 262_144;

/** The sink, the hooks and the handle of one connection. */
export class Endpoint implements Peer, ServerSink, ClientSink, DriverHooks {
  data: unknown = undefined;
  readonly #host: EndpointOwner;
  #connection: Connection | null = null;
  #driver: Pump | null = null;
  /** Null when all of it is over. */
  #opening: OpeningState | null = null;

  constructor(host: EndpointOwner) {
    this.#host = host;
  }

  /* ---- Peer ---- */

  get connection(): Connection {
    if (this.#connection === null) throw new TypeError('peer.connection: the handshake is not done');
    return this.#connection;
  }
  get driver(): DriverHandle {
    return this.pump();
  }
  get transport(): Transport {
    return this.pump().transport;
  }
  get bufferedAmount(): number {
    return this.pump().bufferedAmount;
  }
  get writable(): boolean {
    return this.pump().hasRoom;
  }
  send(data: string | Uint8Array, options?: SendOptions): boolean {
    const driver = this.pump();
    // An extension that throws leaves a close frame to be written.
    try {
      return this.connection.send(data, options) && !driver.isLost;
    } finally {
      driver.pumpSoon();
    }
  }
  sendPrepared(message: PreparedMessage): boolean {
    const driver = this.pump();
    try {
      return this.connection.sendPrepared(message) && !driver.isLost;
    } finally {
      driver.pumpSoon();
    }
  }
  ping(payload?: Uint8Array): boolean {
    const driver = this.pump();
    const open = this.connection.ping(payload);
    driver.pumpSoon();
    return open && !driver.isLost;
  }
  close(code?: number, reason?: string): boolean {
    // Delivers what was held or tells of the end, as the next one and `resume` do, so it may call handlers, and those may throw.
    try {
      return this.connection.close(code, reason);
    } finally {
      this.pump().pumpSoon();
    }
  }
  abort(): void {
    const protocol = this.#opening?.life ?? this.connection;
    try {
      protocol.abort();
    } finally {
      this.pump().drop();
    }
  }
  pause(): void {
    this.connection.pause();
    this.pump().pumpSoon();
  }
  resume(): void {
    try {
      this.connection.resume();
    } finally {
      // Handlers have been called; who pulls is told.
      if (this.#host.options.pull === true) this.pump().lookAgain();
      else this.pump().pumpSoon();
    }
  }

  /* ---- what the host calls ---- */

  start(protocol: Protocol, life: WholeLife | null, transport: Transport): Pump {
    this.early().life = life;
    const driver = new Pump(protocol, transport, this.#host.options, this);
    this.#driver = driver;
    if (this.#host.options.pull === true && life !== null) driver.onEvents = () => this.pullOpening(life);
    return driver;
  }
  /** The handshake's heads, where it was done elsewhere. */
  adopted(opening: Opening): void {
    this.early().request = opening.request;
  }
  get opened(): Promise<Peer> {
    return new Promise((resolve, reject) => {
      const opening = this.early();
      opening.settle = (result) => {
        opening.settle = null;
        if (result instanceof EndpointError) reject(result);
        else resolve(result);
      };
    });
  }
  /** Ends a handshake under way; a connection stays, from before its `onOpen` on. */
  giveUp(): void {
    if (this.#connection === null) this.abort();
  }
  /** Drops a connection that nobody has been told of, and nobody is. */
  dismiss(connection: Connection): void {
    try {
      connection.abort();
    } finally {
      // Not before: there would be an end to tell of.
      this.#connection = connection;
      this.pump().drop();
    }
  }
  /** The polite end from outside: a close frame where there is a connection, nothing otherwise. */
  shutdown(code: number, reason: string): void {
    if (this.#connection === null) {
      this.abort();
      return;
    }
    try {
      this.#connection.close(code, reason);
    } finally {
      this.pump().flush();
    }
  }
  /** Pull mode: the handshake's events are ours, those after 'open' belong to whoever sets `driver.onEvents`. */
  private pullOpening(life: WholeLife): void {
    const driver = this.pump();
    for (let event: ServerEvent | ClientEvent | null = life.nextEvent(); event !== null; event = life.nextEvent()) {
      if (event.type === 'request') this.onRequest(event.request, event.isWebSocket);
      else if (event.type === 'refused') {
        if ('status' in event) this.onRefused(event.status, event.error);
        else this.onRefused(event.response, event.body, event.error);
      } else if (event.type === 'open') {
        driver.onEvents = null;
        // A server's event has no response.
        const { connection, response }: { connection: Connection; response?: ResponseHead } = event;
        this.onOpen(connection, response);
        const consumer = driver.onEvents as (() => void) | null;
        if (consumer !== null) consumer();
        return;
      }
    }
  }

  /* ---- the sink: handshake ---- */

  onRequest(request: ServerRequest, isWebSocket: boolean): void {
    const life = this.#opening?.life;
    if (!(life instanceof ServerProtocol)) return;
    this.early().request = request;
    const handlers = this.#host.options.handlers;
    const pending = new Pending(life, this.pump(), request, isWebSocket);
    decide(pending, () => (handlers.onRequest === undefined ? life.accept() : handlers.onRequest(pending)));
  }
  onOpen(connection: Connection, response?: ResponseHead): void {
    const opening: Opening = { request: this.#opening?.request ?? null, response: response ?? null };
    this.forgetRequest();
    this.#connection = connection;
    this.#host.opened(this);
    const handlers = this.#host.options.handlers;
    try {
      handlers.onOpen?.(this, opening);
    } catch (error) {
      this.threw(error);
    } finally {
      this.#opening?.settle?.(this);
    }
  }
  onRefused(...args: [status: number, error: HandshakeErrorCode] | [ResponseHead | null, Uint8Array, HandshakeErrorCode]): void {
    this.forgetRequest();
    if (args.length === 2) {
      this.#host.options.handlers.onRefused?.(args[0], args[1]);
      return;
    }
    const [response, body, handshake] = args;
    const opening = this.#opening;
    opening?.settle?.(refusal(response, body, handshake, opening.life?.transportError));
  }

  /* ---- the sink: connection ---- */

  onText(text: string): void {
    const handlers = this.#host.options.handlers;
    try {
      if (handlers.onText !== undefined) handlers.onText(this, text);
      else if (handlers.onMessage !== undefined) handlers.onMessage(this, text);
    } catch (error) {
      this.threw(error);
    }
  }
  onBinary(data: Uint8Array): void {
    const handlers = this.#host.options.handlers;
    try {
      if (handlers.onBinary !== undefined) handlers.onBinary(this, data);
      else if (handlers.onMessage !== undefined) handlers.onMessage(this, data);
    } catch (error) {
      this.threw(error);
    }
  }
  onMessageStart(kind: MessageKind): void {
    try {
      this.#host.options.handlers.onMessageStart?.(this, kind);
    } catch (error) {
      this.threw(error);
    }
  }
  onTextChunk(text: string): void {
    try {
      this.#host.options.handlers.onTextChunk?.(this, text);
    } catch (error) {
      this.threw(error);
    }
  }
  onSpan(buffer: Uint8Array, start: number, end: number): void {
    try {
      this.#host.options.handlers.onSpan?.(this, buffer, start, end);
    } catch (error) {
      this.threw(error);
    }
  }
  onMessageEnd(kind: MessageKind): void {
    try {
      this.#host.options.handlers.onMessageEnd?.(this, kind);
    } catch (error) {
      this.threw(error);
    }
  }
  onPing(payload: Uint8Array): void {
    try {
      this.#host.options.handlers.onPing?.(this, payload);
    } catch (error) {
      this.threw(error);
    }
  }
  onPong(payload: Uint8Array, latency: Millis | null): void {
    try {
      this.#host.options.handlers.onPong?.(this, payload, latency);
    } catch (error) {
      this.threw(error);
    }
  }
  onClose(code: number, reason: string): void {
    try {
      this.#host.options.handlers.onClose?.(this, code, reason);
    } catch (error) {
      this.threw(error);
    }
  }
  onEnd(info: EndInfo): void {
    // Before 'open' there is no peer that anybody knows of.
    if (this.#connection === null) return;
    try {
      this.#host.options.handlers.onEnd?.(this, info);
    } catch (error) {
      this.threw(error);
    }
  }

  /* ---- the driver's hooks ---- */

  holdsReading(isStalled: boolean): boolean {
    // While closing everything is read: the peer's close frame may be behind what it still sends (RFC 6455 section 7.1.1).
    const connection = this.#connection;
    if (connection === null || connection.state !== 'open') return false;
    // What only waits to be compressed waits for no peer, so that a client may hold back too.
    const byDefault = connection.role === 'server' || !isStalled ? HIGH_WATER : Number.POSITIVE_INFINITY;
    const mark = this.#host.options.highWaterMark ?? byDefault;
    return this.pump().bufferedAmount > mark;
  }
  onDrained(): void {
    // What was written before the end may drain after it, and the end is the last that anybody is told.
    if (this.#connection === null || this.#connection.state === 'closed') return;
    try {
      this.#host.options.handlers.onDrain?.(this);
    } catch (error) {
      this.threw(error);
    }
  }
  successor(): Protocol | null {
    const opening = this.#opening;
    const life = opening?.life ?? null;
    const remains = life === null ? this.#connection : life.remains;
    // Who waits for the promise was told when the connection opened.
    if (remains !== null) this.#opening = null;
    return remains;
  }
  onReleased(): void {
    this.forgetRequest();
    this.#opening?.settle?.(new EndpointError('WS_CONNECT_REFUSED', 'the transport closed before the handshake was done'));
    this.#host.released(this);
  }

  private early(): OpeningState {
    this.#opening ??= { life: null, request: null, settle: null };
    return this.#opening;
  }
  private forgetRequest(): void {
    if (this.#opening !== null) this.#opening.request = null;
  }
  private pump(): Pump {
    if (this.#driver === null) throw new TypeError('peer: used before its driver was made');
    return this.#driver;
  }

  /** RFC 6455 section 7.4.1: 1011 says that the endpoint met a condition it did not expect. */
  private threw(error: unknown): void {
    let failure = error;
    const handlers = this.#host.options.handlers;
    if (handlers.onError !== undefined) {
      try {
        handlers.onError(this, error);
        return;
      } catch (thrown) {
        failure = thrown;
      }
    }
    this.#connection?.fail(1011);
    throw failure;
  }
}

function refusal(response: ResponseHead | null, body: Uint8Array, handshake: HandshakeErrorCode, cause: unknown): EndpointError {
  const details = { handshake, response, body, ...(cause === undefined ? null : { cause }) };
  if (handshake === 'WS_HS_TIMEOUT')
    return new EndpointError('WS_CONNECT_TIMEOUT', 'the server did not answer within timeouts.opening', details);
  if (handshake === 'WS_HS_EOF')
    return new EndpointError('WS_CONNECT_HANDSHAKE', 'the connection ended before the server had answered: WS_HS_EOF', details);
  const what = response === null ? 'no valid HTTP response' : `status ${response.status}`;
  return new EndpointError('WS_CONNECT_HANDSHAKE', `the server refused the upgrade: ${handshake}, ${what}`, details);
}
