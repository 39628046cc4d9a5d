/**
 * The whole life of a server's connection, from the first byte of the request to the end of the transport (RFC 6455 sections 4.2 and 5 to 7,
 * RFC 9112).
 *
 * Two steps: the request is an event, the answer is the application's, in its own time; the opening deadline keeps running. A refusal is
 * written, then our side ends and input is discarded until the peer ends too: closing at once would send a reset that can overtake
 * the response.
 */
import type { Connection, ConnectionEvent, ConnectionSink } from '@ferrywire/core';
import { BaseProtocol, type SharedOptions } from './base-protocol.ts';
import { decideUpgrade, isWebSocketRequest, refuse } from './decide.ts';
import type { HandshakeErrorCode } from './errors.ts';
import type { HeaderList } from './headers.ts';
import type { ParsedRequestHead } from './heads.ts';
import { HeadParser } from './http-head.ts';
import { checkPolicy, type ServerPolicy } from './policy.ts';
import { type BodyFraming, bytesOfBody, checkPiece, checkRejection, type RejectionWriter, rejectionHead } from './rejection.ts';
import { encodeBinary, encodeHead, statusLine } from './response-head.ts';

/** Push mode for the whole life; the connection's own callbacks besides. */
export interface ServerSink extends ConnectionSink {
  /** Answer with `accept`, `reject` or `startRejection`, now or later. Without this callback the policy of the options decides. */
  onRequest?(request: ParsedRequestHead, isWebSocket: boolean): void;
  onOpen?(connection: Connection): void;
  /** The handshake is over. `status` is what was answered, 0 when nothing could be. */
  onRefused?(status: number, error: HandshakeErrorCode): void;
}

export interface ServerProtocolOptions extends SharedOptions {
  /** What `accept()` runs. Default: nothing beyond the RFCs. */
  readonly policy?: ServerPolicy;
  /** Present = push mode. */
  readonly sink?: ServerSink;
}

export type ServerEvent =
  /** Nothing is answered until accept() or reject(): decide in your own time, asynchronously if you like. */
  | { readonly type: 'request'; readonly request: ParsedRequestHead; readonly isWebSocket: boolean }
  | { readonly type: 'open'; readonly connection: Connection }
  /** Instead of 'open', and last. `status` is what was answered, 0 when nothing could be; the error of a `reject()` is WS_HS_STATUS. */
  | { readonly type: 'refused'; readonly status: number; readonly error: HandshakeErrorCode }
  | ConnectionEvent;

/**
 * A server's side from the first byte of the request to the end of the connection. The event 'request' waits for `accept()`, `reject()` or
 * `startRejection()`, within `timeouts.opening`; from 'open' on it is the `Connection`.
 */
export class ServerProtocol extends BaseProtocol<ServerEvent> {
  private readonly sink: ServerSink | null;
  private readonly policy: ServerPolicy | undefined;
  private parser: HeadParser | null;
  private request: ParsedRequestHead | null = null;
  private isWebSocket = false;
  /** Of a streamed rejection. */
  private status = 0;

  /** @throws {TypeError} or {@link RangeError} naming the option. The opening deadline starts here. */
  constructor(options: ServerProtocolOptions) {
    super(options, 'server');
    this.sink = options.sink ?? null;
    this.policy = options.policy;
    if (options.policy !== undefined) checkPolicy(options.policy);
    this.parser = new HeadParser('request', this.limits);
  }

  /**
   * Runs the policy (by default that of the options) and answers.
   *
   * @returns False when the request does not qualify: it has then been refused with the right status. False too when it is too late: the peer
   * has gone, the deadline has passed, it has been answered.
   * @throws {TypeError} before there is a request, and for a mistake in the policy.
   */
  accept(policy?: ServerPolicy): boolean {
    const request = this.pending('accept');
    if (request === null) return false;
    const decision = decideUpgrade(request, policy ?? this.policy);
    if (decision.ok) {
      const connection = this.open(decision.negotiated);
      this.respond(decision.status, decision.headers, null);
      this.emit({ type: 'open', connection });
    } else {
      this.respond(decision.status, decision.headers, encodeBinary(decision.body));
      this.refused(decision.status, decision.error);
    }
    this.pump();
    return decision.ok;
  }

  /**
   * Answers without a WebSocket. Content-Length and `Connection: close` are set here; so is a Content-Type for text, unless `headers` has one.
   * Does nothing when it is too late.
   *
   * @param status 200 to 599.
   * @param body Held by reference until taken; if its buffer is transferred or resized before, the transport is dropped. Text becomes UTF-8.
   * @throws {TypeError} or {@link RangeError} naming the argument; TypeError before there is a request.
   */
  reject(status: number, body: string | Uint8Array = '', headers: HeaderList = []): void {
    const bytes = bytesOfBody(body);
    const { fields } = rejectionHead(status, headers, { kind: 'whole', size: bytes.length, text: typeof body === 'string' && body !== '' });
    if (this.pending('reject') === null) return;
    this.respond(status, fields, bytes);
    this.refused(status, 'WS_HS_STATUS');
    this.pump();
  }

  /**
   * The same with a body of any length, a piece at a time: chunked, unless `headers` has a Content-Length or the peer speaks HTTP/1.0. The event
   * 'refused' comes with `end()`. A peer that takes nothing for `timeouts.closing` is dropped, however much is written meanwhile; so is one to which
   * nothing is written for as long.
   *
   * @throws {TypeError} or {@link RangeError} naming the argument; TypeError before there is a request.
   */
  startRejection(status: number, headers: HeaderList = []): RejectionWriter {
    checkRejection(status, headers);
    const request = this.pending('startRejection');
    if (request === null) return { write: () => false, end: () => undefined };
    const { fields, framing } = rejectionHead(status, headers, { kind: 'streamed', chunked: request.httpVersion === '1.1' });
    const silent = request.method === 'HEAD';
    this.respond(status, fields, null);
    this.status = status;
    this.startResponding();
    return this.writer(framing, silent);
  }

  private writer(framing: BodyFraming, silent: boolean): RejectionWriter {
    let { remaining } = framing;
    let done = false;
    return {
      write: (chunk) => {
        checkPiece(chunk);
        if (done || this.phase !== 'responding') return false;
        if (chunk.length > remaining) throw new RangeError('write: more than the Content-Length in headers');
        remaining -= chunk.length;
        // What the application does is no progress of a peer that has something to take.
        if (this.isAllTaken) this.startClosing();
        if (chunk.length === 0 || silent) return true;
        if (framing.chunked) this.write(encodeBinary(`${chunk.length.toString(16)}\r\n`));
        this.write(chunk);
        if (framing.chunked) this.write(encodeBinary('\r\n'));
        return true;
      },
      end: () => {
        if (done || this.phase !== 'responding') return;
        if (remaining > 0 && remaining !== Number.POSITIVE_INFINITY) throw new RangeError('end: less than the Content-Length in headers');
        done = true;
        if (framing.chunked && !silent) this.write(encodeBinary('0\r\n\r\n'));
        this.refused(this.status, 'WS_HS_STATUS');
        this.pump();
      },
    };
  }

  /* ---- what the base asks for ---- */

  protected feed(chunk: Uint8Array): number {
    const { parser } = this;
    // not covered: no byte is fed once the head is done.
    if (parser === null) return chunk.length;
    const end = parser.push(chunk, 0);
    if (parser.fault !== null) {
      this.answer(parser.fault.error, parser.fault.status);
    } else if (parser.done) {
      const request = parser.request();
      this.parser = null;
      this.request = request;
      this.isWebSocket = isWebSocketRequest(request);
      this.phase = 'deciding';
      this.trace('in', `${request.method} ${request.target} HTTP/${request.httpVersion}`);
      this.emit({ type: 'request', request, isWebSocket: this.isWebSocket });
    }
    return end;
  }

  protected inputEnded(): void {
    if (this.ended === 'eof') {
      // Half-closed after an ordinary request: the answer still goes out. A WebSocket can't live on half a transport.
      if (this.phase === 'responding' || (this.phase === 'deciding' && !this.isWebSocket)) return;
      if (this.phase === 'head' && this.parser?.started === true) {
        this.answer('WS_HS_EOF');
        return;
      }
    }
    this.refused(this.status, 'WS_HS_EOF', this.ended === 'error');
  }

  protected expired(): void {
    if (this.phase === 'responding') this.refused(this.status, 'WS_HS_TIMEOUT', true);
    else this.answer('WS_HS_TIMEOUT');
  }

  protected cancel(politely: boolean): void {
    if (politely) {
      const body = 'the server is closing\n';
      this.respond(503, rejectionHead(503, [], { kind: 'whole', size: body.length, text: true }).fields, encodeBinary(body));
      this.refused(503, 'WS_HS_STATUS');
    } else this.refused(this.status, 'WS_HS_EOF', true);
  }

  protected dispatch(event: ServerEvent): void {
    const { sink } = this;
    // not covered: events are dispatched in push mode only.
    if (sink === null) return;
    if (event.type === 'request') {
      if (sink.onRequest === undefined) this.accept();
      else sink.onRequest(event.request, event.isWebSocket);
    } else if (event.type === 'open') sink.onOpen?.(event.connection);
    // not covered: there is no third event.
    else if (event.type === 'refused') sink.onRefused?.(event.status, event.error);
  }

  /* ---- answers ---- */

  /** The request that waits for its answer; null when it no longer does. */
  private pending(method: string): ParsedRequestHead | null {
    if (this.phase === 'head') throw new TypeError(`${method}: there is no request yet`);
    return this.phase === 'deciding' ? this.request : null;
  }

  /** The table's answer to a fault. */
  private answer(error: HandshakeErrorCode, status?: number): void {
    const refusal = refuse({ httpVersion: '1.1' }, error, status === undefined ? {} : { status });
    this.respond(refusal.status, refusal.headers, encodeBinary(refusal.body));
    this.refused(refusal.status, error);
  }

  private respond(status: number, headers: HeaderList, body: Uint8Array | null): void {
    const line = statusLine(status);
    this.trace('out', line);
    this.write(encodeHead(line, headers));
    // RFC 9110 section 9.3.2: the answer to HEAD has the length, not the body.
    if (body !== null && this.request?.method !== 'HEAD') this.write(body);
    this.parser = null;
    if (status === 101) this.request = null;
  }

  private refused(status: number, error: HandshakeErrorCode, drop = false): void {
    this.finish(drop);
    this.parser = null;
    this.request = null;
    this.emit({ type: 'refused', status, error });
  }
}
