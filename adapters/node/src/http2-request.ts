/**
 * One request over HTTP/2, from its head to the answer: extended CONNECT becomes a WebSocket, everything else is refused (RFC 8441).
 *
 * The same two steps and the same answers as `ServerProtocol` over HTTP/1.1; only the head is Node's already. Beware: an answered stream is
 * not gone before its client has ended it too, so that a refusal has a deadline of its own, which only what the client takes puts off.
 */
import type { ServerHttp2Stream } from 'node:http2';
import type { ConnectionSettings, EndpointHost, PendingRequest, ServerRequest, ServerSettings } from '@ferrywire/driver';
import { apart, decide } from '@ferrywire/driver/adapter';
import {
  bytesOfBody,
  checkPiece,
  decideUpgrade,
  getHeader,
  type HandshakeErrorCode,
  type HeaderList,
  type HttpLimits,
  handshakeErrors,
  isWebSocketRequest,
  rejectionHead,
  resolveLimits,
  type ServerPolicy,
} from '@ferrywire/handshake';
import { RefusalBody } from './http2-body.ts';
import { CANCEL, disposeOf, INTERNAL_ERROR, REFUSED_STREAM, reset } from './http2-ends.ts';
import { outgoing } from './http2-heads.ts';
import { Http2Transport, type SessionRefs } from './http2-transport.ts';
import { clock, timers } from './timers.ts';

const DEFAULT_TIMEOUT = 10_000;
const NO_BYTES = new Uint8Array(0);

/** The requests of one listener or one attachment. */
export class Http2Requests {
  readonly endpoints: EndpointHost;
  readonly settings: ServerSettings;
  readonly #pending = new Set<Http2Request>();
  #closed = false;

  constructor(endpoints: EndpointHost, settings: ServerSettings) {
    this.endpoints = endpoints;
    this.settings = settings;
  }

  /** Asks the application, or the policy. */
  take(stream: ServerHttp2Stream, request: ServerRequest, refs: SessionRefs | null): void {
    if (this.#closed) {
      reset(stream.on('error', ignore), REFUSED_STREAM);
      return;
    }
    const pending = new Http2Request(this, stream, request, refs);
    this.#pending.add(pending);
    pending.start();
  }
  answered(request: Http2Request): void {
    this.#pending.delete(request);
  }
  /** Takes no more, and resets what has not been answered. */
  close(): void {
    this.#closed = true;
    for (const pending of [...this.#pending]) apart(() => pending.giveUp());
  }
}

class Http2Request implements PendingRequest {
  readonly request: ServerRequest;
  readonly isWebSocket: boolean;
  readonly transport: Http2Transport;
  readonly #owner: Http2Requests;
  readonly #stream: ServerHttp2Stream;
  #phase: 'deciding' | 'responding' | 'over' = 'deciding';
  /** What a streamed refusal has said. */
  #status = 0;
  #body: RefusalBody | null = null;
  #timer: unknown = null;
  readonly #onClose = (): void => this.#closed();

  constructor(owner: Http2Requests, stream: ServerHttp2Stream, request: ServerRequest, refs: SessionRefs | null) {
    this.#owner = owner;
    this.#stream = stream;
    this.request = request;
    this.isWebSocket = isWebSocketRequest(request);
    this.transport = new Http2Transport(stream, refs);
    // A reset is told by 'close'. Without a listener an error would end the process.
    stream.on('error', ignore).on('close', this.#onClose);
  }

  start(): void {
    const { endpoints, settings } = this.#owner;
    const opening = settings.timeouts?.opening ?? DEFAULT_TIMEOUT;
    if (opening > 0) this.#timer = timers.set(() => this.#fault('WS_HS_TIMEOUT'), opening);
    this.#trace('in', `${this.request.method} ${this.request.target} HTTP/2`);
    const excess = excessOf(this.request, settings.http);
    if (excess !== null) {
      this.#fault('WS_HS_TOO_LARGE', excess);
      return;
    }
    const { handlers } = endpoints.options;
    decide(this, () => (handlers.onRequest === undefined ? this.accept() : handlers.onRequest(this)));
  }

  accept(policy?: ServerPolicy): boolean {
    if (!this.#isOpen()) return false;
    // Even 0: a frame would be more than was announced (RFC 9113 section 8.1.1), for which Node resets the stream, or drops the session.
    if (this.isWebSocket && getHeader(this.request.headers, 'content-length') !== null) {
      this.#fault('WS_HS_BODY');
      return false;
    }
    const { endpoints, settings } = this.#owner;
    const decision = decideUpgrade(this.request, policy ?? settings.policy);
    // A callback of the policy may have closed everything.
    if (!this.#isOpen()) {
      if (decision.ok) disposeOf(decision.negotiated.extensions);
      return false;
    }
    if (!decision.ok) {
      this.#answer(decision.status, decision.headers, Buffer.from(decision.body));
      this.#refused(decision.status, decision.error);
      return false;
    }
    const { negotiated } = decision;
    const stream = this.#stream;
    try {
      this.#begin(decision.status, decision.headers, false);
    } catch (mistake) {
      disposeOf(negotiated.extensions);
      reset(stream, INTERNAL_ERROR);
      throw mistake;
    }
    this.#over();
    stream.removeListener('close', this.#onClose);
    const { transport, request } = this;
    try {
      const opening = { request, response: null };
      const connection = connectionSettings(settings);
      transport.peer = endpoints.adopt(transport, negotiated, connection, opening, (driver) => transport.join(driver));
    } finally {
      // What `onOpen` throws must not leave a connection that nobody serves.
      transport.startReading();
    }
    return true;
  }

  reject(status: number, body: string | Uint8Array = '', headers: HeaderList = []): void {
    const bytes = bytesOfBody(body);
    const { fields } = rejectionHead(status, headers, { kind: 'whole', size: bytes.length, text: typeof body === 'string' && body !== '' });
    this.#checkRefusal(status);
    if (!this.#isOpen()) return;
    this.#answer(status, fields, bytes);
    this.#refused(status, 'WS_HS_STATUS');
  }

  startRejection(status: number, headers: HeaderList = []): { write(chunk: Uint8Array): boolean; end(): void } {
    const { fields, framing } = rejectionHead(status, headers, { kind: 'streamed', chunked: false });
    this.#checkRefusal(status);
    if (!this.#isOpen()) return { write: () => false, end: () => {} };
    const silent = this.request.method === 'HEAD' || framing.remaining === 0;
    const out = this.#respond(status, fields, silent);
    this.#phase = 'responding';
    this.#status = status;
    this.#startClosing();
    let { remaining } = framing;
    return {
      write: (chunk) => {
        checkPiece(chunk);
        if (this.#phase !== 'responding') return false;
        if (chunk.length > remaining) throw new RangeError('write: more than the Content-Length in headers');
        remaining -= chunk.length;
        // What the application does is no progress of a client that has something to take.
        if (out === null || out.isAllTaken) this.#startClosing();
        out?.write(chunk);
        return true;
      },
      end: () => {
        if (this.#phase !== 'responding') return;
        if (remaining > 0 && remaining !== Number.POSITIVE_INFINITY) throw new RangeError('end: less than the Content-Length in headers');
        out?.end(NO_BYTES);
        this.#refused(status, 'WS_HS_STATUS');
        this.#discard();
      },
    };
  }

  #checkRefusal(status: number): void {
    if (this.request.method === 'CONNECT' && status < 300)
      throw new RangeError('status must be 300 to 599: a CONNECT that is answered with 2xx is accepted (RFC 8441 section 5)');
  }

  /** The server is closing. */
  giveUp(): void {
    if (this.#phase === 'over') return;
    // First, since `onRefused` may throw.
    reset(this.#stream, REFUSED_STREAM);
    this.#refused(this.#status, 'WS_HS_EOF');
  }

  #isOpen(): boolean {
    return this.#phase === 'deciding' && !this.#stream.destroyed && !this.#stream.closed;
  }

  /** The table's answer. */
  #fault(error: HandshakeErrorCode, status: number = handshakeErrors[error].status): void {
    if (!this.#isOpen()) return;
    const { message, section } = handshakeErrors[error];
    const body = Buffer.from(`${message} (${section})\n`);
    this.#answer(status, rejectionHead(status, [], { kind: 'whole', size: body.length, text: true }).fields, body);
    this.#refused(status, error);
  }

  #answer(status: number, headers: HeaderList, body: Uint8Array): void {
    this.#respond(status, headers, this.request.method === 'HEAD' || body.length === 0)?.end(body);
    this.#discard();
  }

  /** Where to write the body. A `silent` answer has none. */
  #respond(status: number, headers: HeaderList, silent: boolean): RefusalBody | null {
    this.#begin(status, headers, silent);
    if (!silent) this.#body = new RefusalBody(this.#stream, () => this.#startClosing());
    return this.#body;
  }
  #begin(status: number, headers: HeaderList, endStream: boolean): void {
    this.#stream.respond(outgoing({ ':status': status }, headers), { endStream });
    this.#trace('out', `HTTP/2 ${status}`);
  }

  /** Reads to the client's end, for a time. */
  #discard(): void {
    this.#stream.resume();
    this.#startClosing();
  }

  #startClosing(): void {
    if (this.#timer !== null) timers.clear(this.#timer);
    this.#timer = null;
    const closing = this.#owner.settings.timeouts?.closing ?? DEFAULT_TIMEOUT;
    if (closing > 0 && !this.#stream.destroyed) this.#timer = timers.set(() => this.#expired(), closing);
  }

  #expired(): void {
    reset(this.#stream, CANCEL);
    if (this.#phase === 'responding') this.#refused(this.#status, 'WS_HS_TIMEOUT');
  }

  #refused(status: number, error: HandshakeErrorCode): void {
    this.#phase = 'over';
    const { endpoints } = this.#owner;
    this.#owner.answered(this);
    endpoints.options.handlers.onRefused?.(status, error);
  }

  #over(): void {
    this.#phase = 'over';
    if (this.#timer !== null) timers.clear(this.#timer);
    this.#timer = null;
    this.#body?.drop();
    this.#owner.answered(this);
  }

  #closed(): void {
    const known = this.#phase === 'over';
    this.transport.unref();
    this.#over();
    if (!known) this.#refused(this.#status, 'WS_HS_EOF');
  }

  #trace(direction: 'in' | 'out', line: string): void {
    this.#owner.settings.onTrace?.({ direction, text: `${direction === 'in' ? '<' : '>'} ${line}`, at: clock() });
  }
}

function ignore(): void {}

/** The status for a head beyond the limits, counted as the lines it would have over HTTP/1.1; null for one within them. */
function excessOf({ method, target, headers }: ServerRequest, options: HttpLimits | undefined): number | null {
  const { maxLineLength, maxHeaderCount, maxHeadSize } = resolveLimits(options);
  let size = method.length + target.length + 2;
  if (size > maxLineLength) return 414;
  for (const [name, value] of headers) {
    const line = name.length + value.length + 2;
    if (line > maxLineLength) return 431;
    size += line + 2;
  }
  return headers.length > maxHeaderCount || size > maxHeadSize ? 431 : null;
}

/** What is the connection's among the options of a server. */
function connectionSettings({ policy: _policy, http: _http, ...settings }: ServerSettings): ConnectionSettings {
  return settings;
}
