/**
 * .NET's `HttpListenerResponse`: status, headers and body, sent when the body begins or `close()` is called.
 *
 * Beware: a request that asks for an upgrade has no `ServerResponse` from Node; one is made for its socket, and the connection is closed
 * behind the answer.
 */
import { type IncomingMessage, type OutgoingHttpHeaders, ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { Readable, type Writable } from 'node:stream';
import type { HeaderList } from '@ferrywire/handshake';
import type { Incoming } from './endpoints.ts';
import { ArgumentException, ArgumentOutOfRangeException, InvalidOperationException, ObjectDisposedException } from './errors.ts';
import { endAnswer, saysClose } from './last-answer.ts';
import { ResponseBody, wrongLength } from './response-body.ts';
import { checkBuffer } from './websocket-checks.ts';

const nothing = new Uint8Array(0);
const fieldName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;

/** .NET's `HttpListenerResponse`, of a context. Status and headers are sent when the body begins or with `close()`, and stand from then on. */
export class HttpListenerResponse {
  /** Changed as one likes until the response begins. */
  readonly headers: Headers = new Headers();
  readonly #incoming: Incoming;
  readonly #done: () => void;
  #statusCode = 200;
  #statusDescription: string | null = null;
  #response: ServerResponse | null = null;
  #output: ResponseBody | null = null;
  /** What the header has said of the body, once it was sent. */
  #sentLength: number | null = null;
  #state: 'new' | 'begun' | 'closed' | 'handed over' = 'new';

  /** @internal */
  constructor(incoming: Incoming, done: () => void) {
    this.#incoming = incoming;
    this.#done = done;
  }

  get statusCode(): number {
    return this.#statusCode;
  }
  /** 100 to 999. Below 200 it is no answer to the client, which goes on waiting for one: the connection is closed behind it. */
  set statusCode(value: number) {
    this.#change();
    if (!Number.isInteger(value) || value < 100 || value > 999) {
      throw new ArgumentOutOfRangeException('value', value, 'a status code is an integer from 100 to 999');
    }
    this.#statusCode = value;
  }
  /** Default: the usual words for the status code. */
  get statusDescription(): string {
    return this.#statusDescription ?? STATUS_CODES[this.#statusCode] ?? '';
  }
  set statusDescription(value: string) {
    this.#change();
    if (!fieldValue.test(String(value))) throw new ArgumentException('has a character that a status line must not have', 'value');
    this.#statusDescription = String(value);
  }
  get contentType(): string | null {
    return this.headers.get('content-type');
  }
  set contentType(value: string | null) {
    this.#field('content-type', value);
  }
  /** Bytes of the body; -1 when not set. */
  get contentLength64(): number {
    return Number(this.headers.get('content-length') ?? -1);
  }
  set contentLength64(value: number) {
    if (!Number.isSafeInteger(value) || value < 0) throw new ArgumentOutOfRangeException('value', value, 'a length is 0 or more');
    this.#field('content-length', String(value));
  }
  get redirectLocation(): string | null {
    return this.headers.get('location');
  }
  set redirectLocation(value: string | null) {
    this.#field('location', value);
  }
  get keepAlive(): boolean {
    return this.headers.get('connection') !== 'close';
  }
  set keepAlive(value: boolean) {
    this.#field('connection', value ? null : 'close');
  }

  addHeader(name: string, value: string): void {
    this.#field(name, value);
  }
  appendHeader(name: string, value: string): void {
    this.#change();
    checkField(name, value);
    this.headers.append(name, value);
  }
  /** Status 302 and Location; `close()` still has to be called. */
  redirect(url: string): void {
    this.redirectLocation = url;
    this.statusCode = 302;
  }

  /**
   * The body. The first byte sends status and headers; ending it ends the response. When the connection is gone first, it is destroyed with
   * an HttpListenerException 995, as are its writes; without a listener of 'error' nothing is thrown. A write beyond `contentLength64`, and an
   * end before it, is an InvalidOperationException.
   */
  get outputStream(): Writable {
    if (this.#state === 'closed') throw new ObjectDisposedException('HttpListenerResponse');
    if (this.#state === 'handed over') throw accepted();
    this.#output ??= new ResponseBody({
      begin: () => this.#begin(),
      finish: () => this.#finish(),
      drop: () => this.abort(),
      length: () => this.#length(),
    });
    return this.#output;
  }

  /**
   * Sends what is to be sent, with `body` as the last of the body if one is given, and ends the response. Idempotent. A body whose stream was
   * destroyed before its end has none: the connection is dropped.
   *
   * A `body` that is all of it sets `contentLength64`. Otherwise throws InvalidOperationException, and does nothing, when the body is not as
   * long as was said.
   */
  close(body?: string | Uint8Array): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'handed over') throw accepted();
    const bytes = body === undefined ? nothing : typeof body === 'string' ? Buffer.from(body) : checkBuffer(body, 'body');
    const output = this.#output;
    const isBroken = output?.isBroken === true;
    if (isBroken && this.#state === 'begun') {
      this.abort();
      return;
    }
    const given = isBroken ? 0 : (output?.bytesGiven ?? 0);
    const begun = this.#state === 'begun' || given > 0;
    if (!begun && this.#mayHaveBody && !this.headers.has('transfer-encoding')) {
      if (!this.headers.has('content-length') || (body !== undefined && !this.#isHead)) {
        this.headers.set('content-length', String(bytes.length));
      }
    }
    const length = output?.writableEnded === true ? null : this.#length();
    const all = given + bytes.length;
    if (length !== null && all !== length) {
      if (!isBroken) throw wrongLength(all > length ? 'longer' : 'shorter', length);
      this.abort();
      return;
    }
    // Behind what it was given, which may still wait.
    if (output === null || isBroken) this.#finish(bytes);
    else if (!output.writableEnded) {
      if (bytes.length > 0) output.write(bytes);
      output.end();
    }
  }

  /** Drops the connection without an answer, or in the middle of it. */
  abort(): void {
    if (this.#state === 'closed' || this.#state === 'handed over') return;
    this.#state = 'closed';
    this.#incoming.request.socket.destroy();
    this.#output?.lose();
    this.#done();
  }

  /** @internal */
  get isAnswered(): boolean {
    return this.#state !== 'new';
  }
  /** @internal The connection is gone, or nothing more is to be sent on it. */
  disconnected(): void {
    if (this.#state !== 'handed over') this.#output?.lose();
  }
  /** @internal The socket is a WebSocket's from here on; `headers` are what the 101 says. */
  handOver(headers: HeaderList): void {
    this.#state = 'handed over';
    // What is written to it from here on would be an answer between frames.
    this.#output?.destroy();
    this.#statusCode = 101;
    for (const [name, value] of headers) if (!this.headers.has(name)) this.headers.set(name, value);
  }

  get #isHead(): boolean {
    return this.#incoming.request.method === 'HEAD';
  }
  get #mayHaveBody(): boolean {
    return this.#statusCode >= 200 && this.#statusCode !== 204 && this.#statusCode !== 304;
  }
  /** Bytes of a body that has to have so many; null where the header does not say, or tells of a body that is not sent. */
  #length(): number | null {
    if (this.#response !== null) return this.#sentLength;
    const said = this.headers.get('content-length');
    if (said === null || this.#isHead || !this.#mayHaveBody || this.headers.has('transfer-encoding')) return null;
    if (!/^[0-9]+$/.test(said)) throw new InvalidOperationException(`the Content-Length '${said}' is not a length`);
    return Number(said);
  }

  #change(): void {
    if (this.#state === 'closed') throw new ObjectDisposedException('HttpListenerResponse');
    if (this.#state !== 'new') throw new InvalidOperationException('the headers have been sent');
  }
  #field(name: string, value: string | null): void {
    this.#change();
    if (value === null) {
      this.headers.delete(name);
      return;
    }
    checkField(name, value);
    this.headers.set(name, value);
  }

  /** Sends status and headers, once. */
  #begin(): ServerResponse {
    if (this.#response !== null) return this.#response;
    const response = this.#attach();
    // RFC 9112 section 6.2: never both.
    if (this.headers.has('transfer-encoding')) this.headers.delete('content-length');
    this.#sentLength = this.#length();
    this.#response = response;
    this.#state = 'begun';
    // Without a prototype: 'constructor' is a name like any other.
    const fields: OutgoingHttpHeaders = Object.create(null);
    for (const [name, value] of this.headers) {
      const before = fields[name];
      // Headers keep Set-Cookie apart, and everything else joined.
      fields[name] = before === undefined ? value : ([before, value].flat() as string[]);
    }
    // To the client it is none yet: the answer to its next request would be the answer to this one (RFC 9110 section 15.2).
    if (this.#statusCode < 200) response.shouldKeepAlive = false;
    const said = this.headers.get('connection');
    // Node takes anything else in this field for a promise to go on.
    if (!response.shouldKeepAlive && said !== null && !saysClose(said)) fields.connection = `${said}, close`;
    response.writeHead(this.#statusCode, this.statusDescription, fields);
    return response;
  }
  #attach(): ServerResponse {
    const incoming = this.#incoming;
    if ('response' in incoming) return incoming.response;
    const { request, socket, letGo } = incoming;
    const response = new ServerResponse(request.complete ? standIn(request) : request);
    response.shouldKeepAlive = false;
    // One whose request has a body that still comes is no Socket from Node 26 on, but serves as one here.
    response.assignSocket(socket as Socket);
    response.once('finish', letGo);
    return response;
  }
  #finish(body: Uint8Array = nothing): void {
    const response = this.#begin();
    this.#state = 'closed';
    const incoming = this.#incoming;
    // The socket of an upgrade is let go of in another way.
    if ('response' in incoming) endAnswer(incoming.request, response, body, this.headers.get('connection'));
    else response.end(body);
    this.#done();
  }
}

/**
 * With a request that it knows, Bun's answer goes past the socket, and loses bytes where the client is slow. Where its body still comes, it is the
 * other way round: the socket stands still once it is full, and that answer is whole.
 */
function standIn({ method, headers, httpVersionMajor, httpVersionMinor }: IncomingMessage): IncomingMessage {
  return Object.assign(Readable.from([]), { method, headers, httpVersionMajor, httpVersionMinor }) as unknown as IncomingMessage;
}

function accepted(): InvalidOperationException {
  return new InvalidOperationException('the request was accepted as a WebSocket');
}

function checkField(name: string, value: string): void {
  if (!fieldName.test(String(name))) throw new ArgumentException('is not a header name', 'name');
  if (!fieldValue.test(String(value))) throw new ArgumentException('has a character that a header must not have', 'value');
}
