/**
 * .NET's `ClientWebSocket`: options, then one `connect(uri)` (RFC 6455 section 4.1).
 */
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { createUpgrade } from '@ferrywire/handshake';
import { connect, transportOf } from '@ferrywire/node';
import {
  ArgumentException,
  ArgumentNullException,
  ArgumentOutOfRangeException,
  InvalidOperationException,
  ObjectDisposedException,
  OperationCanceledException,
  WebSocketException,
} from './errors.ts';
import { connectionSettings } from './over-stream.ts';
import { openWebSocket, setConnecting, WebSocket } from './websocket.ts';
import {
  checkKeepAliveInterval,
  checkReceiveBufferSize,
  checkSignal,
  checkSubProtocol,
  defaultKeepAliveInterval,
} from './websocket-checks.ts';

const fieldName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Can be changed until `connect` is called; InvalidOperationException afterwards. */
export class ClientWebSocketOptions {
  #locked = false;
  readonly #subProtocols: string[] = [];
  readonly #headers = new Map<string, readonly [string, string]>();
  #keepAliveInterval = defaultKeepAliveInterval;
  #keepAliveTimeout = -1;
  #tls: TlsOptions | null = null;

  /** Offered in the order of the calls. Throws ArgumentException for a bad one and for one that is there already. */
  addSubProtocol(subProtocol: string): void {
    this.#change();
    const checked = checkSubProtocol(subProtocol);
    if (this.#subProtocols.some((other) => other.toLowerCase() === checked.toLowerCase())) {
      throw new ArgumentException(`the sub-protocol '${checked}' is offered already`, 'subProtocol');
    }
    this.#subProtocols.push(checked);
  }
  /**
   * Replaces one of the same name. Throws ArgumentException for what must not be in a header, and for what the handshake sets itself: Host is
   * the URI's.
   */
  setRequestHeader(headerName: string, headerValue: string): void {
    this.#change();
    if (!fieldName.test(String(headerName))) throw new ArgumentException('is not a header name', 'headerName');
    if (!fieldValue.test(String(headerValue))) throw new ArgumentException('has a character that a header must not have', 'headerValue');
    // Found out by `connect` it would look like a server that is not there.
    if (isReserved(String(headerName))) throw new ArgumentException(`'${headerName}' is set by the handshake`, 'headerName');
    this.#headers.set(String(headerName).toLowerCase(), [String(headerName), String(headerValue)]);
  }
  /** Hints in .NET; checked here and of no effect, since pieces are received into the caller's buffer. */
  setBuffer(receiveBufferSize: number, sendBufferSize: number): void {
    this.#change();
    checkReceiveBufferSize(receiveBufferSize);
    if (!Number.isInteger(sendBufferSize) || sendBufferSize < 16) {
      throw new ArgumentOutOfRangeException('sendBufferSize', sendBufferSize, 'must be an integer of 16 or more');
    }
  }
  /** Milliseconds; 0 and -1 turn it off. Default 30 000. */
  get keepAliveInterval(): number {
    return this.#keepAliveInterval;
  }
  set keepAliveInterval(value: number) {
    this.#change();
    checkKeepAliveInterval(value, 'value');
    this.#keepAliveInterval = value;
  }
  /** Milliseconds to wait for the answer to a ping; -1, the default, is for ever. */
  get keepAliveTimeout(): number {
    return this.#keepAliveTimeout;
  }
  set keepAliveTimeout(value: number) {
    this.#change();
    checkKeepAliveInterval(value, 'value');
    this.#keepAliveTimeout = value;
  }
  /** Beyond .NET, in place of its certificate properties: what `tls.connect` takes. Needs a `wss:` URI. */
  get tls(): TlsOptions | null {
    return this.#tls;
  }
  set tls(value: TlsOptions | null) {
    this.#change();
    this.#tls = value;
  }

  /** @internal */
  lock(): { readonly subProtocols: readonly string[]; readonly headers: readonly (readonly [string, string])[] } {
    this.#locked = true;
    return { subProtocols: this.#subProtocols, headers: [...this.#headers.values()] };
  }
  #change(): void {
    if (this.#locked) throw new InvalidOperationException('the WebSocket has already been started');
  }
}

/** .NET's `ClientWebSocket`: set `options`, then `connect(uri)` once. */
export class ClientWebSocket extends WebSocket {
  readonly options: ClientWebSocketOptions = new ClientWebSocketOptions();
  #started = false;
  #abandoned: AbortController | null = null;
  #gone = false;

  /**
   * Connects. Rejects with ArgumentNullException or ArgumentException for what is no absolute `ws:` or `wss:` URI, with
   * InvalidOperationException when called a second time, with WebSocketException when there was no connection or no WebSocket; with the
   * signal's reason when that fires, which aborts the socket; with ObjectDisposedException after `abort()` or `dispose()`. A socket that
   * could not be connected is disposed, as in .NET: it takes another one to try again.
   */
  async connect(uri: string | URL, signal?: AbortSignal): Promise<void> {
    if (this.#gone) throw new ObjectDisposedException('ClientWebSocket');
    const url = checkUri(uri);
    const stop = checkSignal(signal);
    if (this.#started) throw new InvalidOperationException('the WebSocket has already been started');
    this.#started = true;
    const { subProtocols, headers } = this.options.lock();
    setConnecting(this, 'Connecting');
    const controller = new AbortController();
    this.#abandoned = controller;
    const onAbort = (): void => controller.abort(stop?.reason);
    if (stop?.aborted === true) onAbort();
    else stop?.addEventListener('abort', onAbort, { once: true });
    try {
      controller.signal.throwIfAborted();
      const { tls, keepAliveInterval, keepAliveTimeout } = this.options;
      const settings = connectionSettings(
        checkKeepAliveInterval(keepAliveInterval),
        checkKeepAliveInterval(keepAliveTimeout, 'keepAliveTimeout'),
      );
      const peer = await connect(url, {
        ...settings,
        pull: true,
        subprotocols: subProtocols,
        headers,
        signal: controller.signal,
        ...(tls === null ? null : { tls }),
      });
      // It may have opened in the very turn in which this socket was aborted.
      if (controller.signal.aborted) peer.abort();
      controller.signal.throwIfAborted();
      openWebSocket(this, peer.connection, peer.driver, transportOf(peer).socket);
    } catch (cause) {
      if (!controller.signal.aborted) {
        setConnecting(this, 'Closed');
        this.dispose();
        throw new WebSocketException('Faulted', 'unable to connect to the remote server', { cause });
      }
      this.dispose();
      throw stop?.aborted === true ? stop.reason : new OperationCanceledException('the WebSocket was aborted');
    } finally {
      stop?.removeEventListener('abort', onAbort);
      this.#abandoned = null;
    }
  }

  /** Before `connect` it is for good: a connection of an aborted socket could not be closed by anybody. */
  override abort(): void {
    this.#gone = true;
    this.#abandoned?.abort();
    super.abort();
  }
  override dispose(): void {
    this.#gone = true;
    this.#abandoned?.abort();
    super.dispose();
  }
}

function isReserved(name: string): boolean {
  try {
    createUpgrade({ url: 'ws://h/', headers: [[name, '']] });
    return false;
  } catch {
    return true;
  }
}

function checkUri(uri: string | URL): URL {
  if (uri === null || uri === undefined) throw new ArgumentNullException('uri');
  let url: URL;
  try {
    url = new URL(String(uri));
  } catch {
    throw new ArgumentException('must be an absolute URI', 'uri');
  }
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') throw new ArgumentException("must start with 'ws://' or 'wss://'", 'uri');
  // .NET ignores a fragment when it connects; the core refuses one.
  url.hash = '';
  return url;
}
