/**
 * The whole life of a client's connection, from the request to the end of the transport (RFC 6455 sections 4.1 and 5 to 7, RFC 9112).
 *
 * The request is in the output from the start; nothing else is until the response has come. Interim (1xx) responses are passed over.
 * Redirects, 401s and the like are the application's to follow: it gets the response with its body.
 */
import type { Connection, ConnectionEvent, ConnectionSink } from '@ferrywire/core';
import { BaseProtocol, type SharedOptions } from './base-protocol.ts';
import { BodyReader } from './body.ts';
import type { HandshakeErrorCode } from './errors.ts';
import type { ParsedResponseHead, ResponseHead } from './heads.ts';
import { HeadParser } from './http-head.ts';
import { encodeHead, statusLine } from './response-head.ts';
import { type ClientUpgrade, type ClientUpgradeOptions, createUpgrade, type UpgradeVerdict } from './upgrade.ts';

/** Push mode for the whole life; the connection's own callbacks besides. */
export interface ClientSink extends ConnectionSink {
  onOpen?(connection: Connection, response: ResponseHead): void;
  /** As the event 'refused'. */
  onRefused?(response: ResponseHead | null, body: Uint8Array, error: HandshakeErrorCode): void;
}

export interface ClientProtocolOptions extends SharedOptions, Omit<ClientUpgradeOptions, 'httpVersion'> {
  /** Present = push mode. */
  readonly sink?: ClientSink;
}

export type ClientEvent =
  | { readonly type: 'open'; readonly connection: Connection; readonly response: ResponseHead }
  /**
   * Instead of 'open', and last. Redirects, 401s and the like are yours to follow. `response` is null when none came or it was not HTTP;
   * `body` holds at most `http.maxBodySize` bytes.
   */
  | { readonly type: 'refused'; readonly response: ResponseHead | null; readonly body: Uint8Array; readonly error: HandshakeErrorCode }
  | ConnectionEvent;

/**
 * A client's side from the request to the end of the connection: the request is in the output at once, then 'open' or 'refused' follows.
 * From 'open' on it is the `Connection`.
 */
export class ClientProtocol extends BaseProtocol<ClientEvent> {
  private readonly sink: ClientSink | null;
  private upgrade: ClientUpgrade | null;
  private parser: HeadParser | null;
  private response: ParsedResponseHead | null = null;
  private body: BodyReader | null = null;

  /**
   * @throws {SyntaxError} for `url` and `subprotocols`, as `createUpgrade`.
   * @throws {TypeError} or {@link RangeError} naming the option. The opening deadline starts here.
   */
  constructor(options: ClientProtocolOptions) {
    super(options, 'client');
    this.sink = options.sink ?? null;
    const { request, verify } = createUpgrade({ ...options, httpVersion: '1.1' });
    this.upgrade = { request, verify };
    this.parser = new HeadParser('response', this.limits);
    const line = `${request.method} ${request.target} HTTP/1.1`;
    this.trace('out', line);
    this.write(encodeHead(line, request.headers));
    this.throwLate();
  }

  protected feed(chunk: Uint8Array): number {
    const { parser } = this;
    if (this.body !== null) this.readBody(this.body, chunk, 0);
    if (parser === null) return chunk.length;
    for (let position = 0; position < chunk.length; ) {
      position = parser.push(chunk, position);
      if (parser.fault !== null) {
        this.refused(parser.fault.error, true);
        return chunk.length;
      }
      if (!parser.done) continue;
      const response = parser.response();
      this.trace('in', statusLine(response.status));
      if (response.status >= 200 || response.status === 101) {
        this.parser = null;
        this.response = response;
        return this.judge(response, chunk, position);
      }
      // RFC 9110 section 15.2: interim, so whatever it says is no answer to the handshake.
      parser.next();
    }
    return chunk.length;
  }

  /** The final response, which ends at `position`. */
  private judge(response: ParsedResponseHead, chunk: Uint8Array, position: number): number {
    let verdict: UpgradeVerdict | undefined;
    try {
      verdict = this.upgrade?.verify(response);
      if (verdict?.ok === true) {
        const connection = this.open(verdict.negotiated);
        this.release();
        this.emit({ type: 'open', connection, response });
        return position;
      }
    } catch (mistake) {
      // Of an extension. The server believes in a connection that will not be.
      this.thrown(mistake);
      this.refused('WS_HS_EXTENSIONS', true);
      return chunk.length;
    }
    if (response.status === 101) {
      // not covered: the verdict is there while the response is read.
      this.refused(verdict?.error ?? 'WS_HS_STATUS', false);
      return chunk.length;
    }
    this.phase = 'reading';
    this.body = new BodyReader(response, this.limits.maxBodySize, this.limits.maxHeadSize);
    this.readBody(this.body, chunk, position);
    return chunk.length;
  }

  private readBody(body: BodyReader, chunk: Uint8Array, position: number): void {
    body.push(chunk, position);
    if (body.status !== 'more') this.refused('WS_HS_STATUS', body.status === 'stopped');
  }

  protected inputEnded(): void {
    this.refused(this.body === null ? 'WS_HS_EOF' : 'WS_HS_STATUS', this.ended === 'error');
  }

  protected expired(): void {
    this.refused(this.body === null ? 'WS_HS_TIMEOUT' : 'WS_HS_STATUS', true);
  }

  protected cancel(): void {
    this.refused('WS_HS_EOF', true);
  }

  protected dispatch(event: ClientEvent): void {
    const { sink } = this;
    // not covered: events are dispatched in push mode only.
    if (sink === null) return;
    if (event.type === 'open') sink.onOpen?.(event.connection, event.response);
    // not covered: there is no third event.
    else if (event.type === 'refused') sink.onRefused?.(event.response, event.body, event.error);
  }

  private refused(error: HandshakeErrorCode, drop: boolean): void {
    const { response, body } = this;
    this.release();
    this.finish(drop);
    this.emit({ type: 'refused', response, body: body?.take() ?? new Uint8Array(0), error });
  }

  /** What only the handshake needed. */
  private release(): void {
    this.upgrade = null;
    this.parser = null;
    this.response = null;
    this.body = null;
  }
}
