/**
 * The glue that all adapters share. An adapter makes one `EndpointHost` per listener (or per dial) and gives it a transport per
 * connection; it keeps the listener, the socket events and the options of its runtime.
 */
import { Connection, type ConnectionOptions, type Negotiated, type Protocol } from '@ferrywire/core';
import { ClientProtocol, type ClientProtocolOptions, ServerProtocol, type ServerProtocolOptions } from '@ferrywire/handshake';
import { type CloseAll, type Closing, closeOnce } from './closing.ts';
import type { Pump } from './driver.ts';
import { Endpoint, type EndpointHostOptions, type EndpointOwner, type WholeLife } from './endpoint.ts';
import { apart } from './outside.ts';
import { checkEndpoints, checkObject, checkTime, checkTransport } from './parts.ts';
import type { CloseAllOptions, Opening, Peer } from './peer.ts';
import { MAX_DELAY } from './platform.ts';
import type { DriverHandle, Transport } from './types.ts';

export type ServerSettings = Omit<ServerProtocolOptions, 'clock' | 'sink'>;
export type ClientSettings = Omit<ClientProtocolOptions, 'clock' | 'sink'>;
export type ConnectionSettings = Omit<ConnectionOptions, 'clock' | 'sink' | keyof Negotiated>;

/** The connections of one listener, or of one dial. Each way to add one throws TypeError naming what its transport lacks. */
export class EndpointHost implements EndpointOwner {
  readonly options: EndpointHostOptions;
  /** From `onOpen` until the transport is gone. */
  readonly peers: ReadonlySet<Peer>;
  readonly #open = new Set<Endpoint>();
  readonly #opening = new Set<Endpoint>();
  #close: CloseAll | null = null;
  /** Set once everything is being closed. */
  #whenEmpty: (() => void) | null = null;

  /** Throws TypeError or RangeError naming the option, for a clock, timers or handlers that are none too. */
  constructor(options: EndpointHostOptions) {
    checkTime(options);
    checkEndpoints(options);
    this.options = options;
    this.peers = this.#open;
  }

  /**
   * A server's connection from its first byte on: an HTTP/1.1 head, then frames. The adapter passes the transport's events to the driver
   * that this returns.
   */
  serve(transport: Transport, settings: ServerSettings): DriverHandle {
    return this.#serve(new Endpoint(this), transport, settings);
  }

  /** The same where one connection is waited for: `opened` is null once it is sure that no WebSocket comes of it. */
  serveOne(transport: Transport, settings: ServerSettings): { readonly driver: DriverHandle; readonly opened: Promise<Peer | null> } {
    const endpoint = new Endpoint(this);
    const opened = endpoint.opened.catch(() => null);
    return { driver: this.#serve(endpoint, transport, settings), opened };
  }

  /**
   * A client's connection: the request is written before this returns. `opened` rejects with an `EndpointError`. `abort` gives up the
   * handshake; once the connection is open it does nothing.
   */
  dial(transport: Transport, settings: ClientSettings): { readonly driver: DriverHandle; readonly opened: Promise<Peer>; abort(): void } {
    const { clock, pull } = this.options;
    const endpoint = new Endpoint(this);
    const life = new ClientProtocol(pull === true ? { ...settings, clock } : { ...settings, clock, sink: endpoint });
    const opened = endpoint.opened;
    const driver = this.#start(endpoint, life, life, transport);
    return { driver, opened, abort: () => endpoint.giveUp() };
  }

  /**
   * A connection whose handshake was done elsewhere (`decideUpgrade` on an HTTP server's request, HTTP/2, `createUpgrade().verify()`).
   * `onOpen` is called before this returns; give bytes that came with the head to `peer.driver.receive()` afterwards. What `onOpen` throws
   * leaves this call: `join` gets the driver before that, so that the transport's events have somewhere to go all the same. After `close()` the
   * connection is aborted, and no handler hears of it.
   */
  adopt(
    transport: Transport,
    negotiated: Negotiated,
    settings: ConnectionSettings,
    opening: Opening,
    join?: (driver: DriverHandle) => void,
  ): Peer {
    checkTransport(transport);
    checkObject(opening, 'opening');
    const { clock, pull } = this.options;
    const endpoint = new Endpoint(this);
    const base: ConnectionOptions = { ...settings, ...negotiated, clock };
    const connection = new Connection(pull === true ? base : { ...base, sink: endpoint });
    endpoint.adopted(opening);
    const driver = endpoint.start(connection, null, transport);
    this.#opening.add(endpoint);
    join?.(driver);
    // Its handshake was under way elsewhere while everything was being closed.
    if (this.#whenEmpty !== null) {
      apart(() => endpoint.dismiss(connection));
      return endpoint;
    }
    try {
      endpoint.onOpen(connection, opening.response ?? undefined);
    } finally {
      driver.flush();
    }
    return endpoint;
  }

  /**
   * Closes everything; resolves when every transport is gone. The adapter stops its listener first, see `closeOnce`. Idempotent. Rejects with a
   * TypeError or RangeError that names the option, and then nothing has changed.
   */
  close(options?: CloseAllOptions): Promise<void> {
    this.#close ??= closeOnce((how) => this.#closeAll(how));
    return this.#close(options);
  }

  /** @internal */
  opened(endpoint: Endpoint): void {
    this.#opening.delete(endpoint);
    this.#open.add(endpoint);
  }
  /** @internal */
  released(endpoint: Endpoint): void {
    this.#opening.delete(endpoint);
    this.#open.delete(endpoint);
    if (this.#open.size === 0 && this.#opening.size === 0) this.#whenEmpty?.();
  }

  #serve(endpoint: Endpoint, transport: Transport, settings: ServerSettings): Pump {
    const { clock, pull } = this.options;
    const life = new ServerProtocol(pull === true ? { ...settings, clock } : { ...settings, clock, sink: endpoint });
    return this.#start(endpoint, life, life, transport);
  }

  #start(endpoint: Endpoint, protocol: Protocol, life: WholeLife, transport: Transport): Pump {
    checkTransport(transport);
    const driver = endpoint.start(protocol, life, transport);
    this.#opening.add(endpoint);
    // Accepted while the listener was being closed.
    if (this.#whenEmpty !== null) apart(() => endpoint.abort());
    driver.flush();
    return driver;
  }

  #closeAll({ code, reason, deadline }: Closing): Promise<void> {
    const { clock, timers } = this.options;
    return new Promise((resolve) => {
      this.#whenEmpty = resolve;
      if (this.#open.size === 0 && this.#opening.size === 0) {
        resolve();
        return;
      }
      const due = clock() + deadline;
      const look = (): void => {
        const left = due - clock();
        if (left > 0) timer = timers.set(look, Math.min(left, MAX_DELAY));
        else this.#forEach((endpoint) => endpoint.abort());
      };
      let timer = timers.set(look, Math.min(deadline, MAX_DELAY));
      this.#whenEmpty = () => {
        timers.clear(timer);
        resolve();
      };
      this.#forEach((endpoint) => endpoint.shutdown(code, reason));
    });
  }

  /** What a handler throws keeps nobody from the others. */
  #forEach(work: (endpoint: Endpoint) => void): void {
    for (const endpoint of [...this.#opening, ...this.#open]) apart(() => work(endpoint));
  }
}
