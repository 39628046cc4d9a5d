/**
 * A WebSocket as a stream of an HTTP/2 session, one's own or an existing one (RFC 8441 sections 4 and 5).
 *
 * Beware: extended CONNECT may only be asked for once the server's SETTINGS have allowed it (section 3), and an existing session does not say
 * whether they have come. The answer to a PING does: it comes behind them.
 */
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, IncomingHttpStatusHeader } from 'node:http2';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { EndpointError } from '@ferrywire/driver';
import type { ClientUpgrade, ResponseHead, UpgradeVerdict } from '@ferrywire/handshake';
import { untilAborted } from './dial.ts';
import { connectError } from './errors.ts';
import { CANCEL, reset } from './http2-ends.ts';
import { fieldsOf, outgoing } from './http2-heads.ts';

/** What Node calls sessions that take no more requests. */
const closing: ReadonlySet<unknown> = new Set(['ERR_HTTP2_GOAWAY_SESSION', 'ERR_HTTP2_INVALID_SESSION', 'ERR_HTTP2_OUT_OF_STREAMS']);

export interface OpenedStream {
  readonly stream: ClientHttp2Stream;
  readonly response: ResponseHead;
  readonly negotiated: (UpgradeVerdict & { readonly ok: true })['negotiated'];
}

/** A session for one WebSocket. */
export interface OwnSession {
  readonly session: ClientHttp2Session;
  readonly socket: Duplex;
}

/** A session over a connected socket. */
export async function sessionOver(socket: Duplex, authority: string): Promise<OwnSession> {
  if (socket instanceof TLSSocket && socket.alpnProtocol !== 'h2') {
    socket.on('error', () => {}).destroy();
    throw new EndpointError('WS_CONNECT_TLS', 'the server does not speak HTTP/2 (ALPN)');
  }
  // Where no name was asked for: Node's is false. Of Deno's '' its own session makes a URL, which throws.
  if (socket instanceof TLSSocket && socket.servername === '') socket.servername = false;
  const { connect } = await import('node:http2');
  // A session has no half: without this it would outlive its peer's FIN.
  socket.allowHalfOpen = false;
  // Over a stream that is no socket it outlives that still, for as long as the peer does not read what was written; a write meanwhile throws in Node, outside.
  if (!(socket instanceof Socket)) {
    socket.once('end', () => socket.destroy());
    // As whoever has read from it before leaves it. Bun's session waits for ever then.
    if (socket.isPaused()) socket.resume();
  }
  // Of an alert behind the handshake of TLS, as a refused certificate is in TLS 1.3, Node's session says nothing before the socket is gone.
  socket.on('error', () => socket.destroy());
  const session = connect(authority, { createConnection: () => socket });
  // Its streams tell.
  session.on('error', () => {});
  return { session, socket };
}

/**
 * Opens a stream and does the handshake on it. Rejects with an `EndpointError`, or with the signal's reason; the stream is gone then, even one
 * that waited for its turn. Once a refusal has begun to come, the signal only ends the wait for the rest of its body.
 *
 * @param maxBodySize Bytes of a refusal's body that are kept.
 */
export async function openStream(
  session: ClientHttp2Session,
  upgrade: ClientUpgrade,
  maxBodySize: number,
  where: string,
  signal: AbortSignal,
): Promise<OpenedStream> {
  await allowed(session, where, signal);
  signal.throwIfAborted();
  const stream = request(session, upgrade, where);
  // A reset before the answer is told by 'close'.
  stream.on('error', () => {});
  const onAbort = (): void => reset(stream, CANCEL);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const response = await answer(stream, where, signal);
    const verdict = upgrade.verify(response);
    if (verdict.ok) return { stream, response, negotiated: verdict.negotiated };
    const body = verdict.error === 'WS_HS_STATUS' ? await bodyOf(stream, maxBodySize) : new Uint8Array(0);
    reset(stream, CANCEL);
    const details = { handshake: verdict.error, response, body };
    throw new EndpointError('WS_CONNECT_HANDSHAKE', `the server refused the upgrade: ${verdict.error}, status ${response.status}`, details);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Resolves when the server allows extended CONNECT. */
async function allowed(session: ClientHttp2Session, where: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  refuseClosed(session, where);
  if (!allows(session)) await untilAborted(settingsOf(session, where), signal, () => {});
  refuseClosed(session, where);
  if (allows(session)) return;
  throw new EndpointError('WS_CONNECT_HANDSHAKE', `${where} does not take WebSockets over HTTP/2 (RFC 8441 section 3)`, {
    handshake: 'WS_HS_UPGRADE',
    response: null,
  });
}

function allows(session: ClientHttp2Session): boolean {
  return session.remoteSettings?.enableConnectProtocol === true;
}

function refuseClosed(session: ClientHttp2Session, where: string): void {
  if (session.closed || session.destroyed) throw refused(where, 'the session is closing');
}

function refused(where: string, why: string, cause?: unknown): EndpointError {
  return new EndpointError('WS_CONNECT_REFUSED', `cannot connect to ${where}: ${why}`, cause === undefined ? {} : { cause });
}

/** One wait for all that ask meanwhile. */
const waits = new WeakMap<ClientHttp2Session, Promise<void>>();

function settingsOf(session: ClientHttp2Session, where: string): Promise<void> {
  let wait = waits.get(session);
  if (wait === undefined) {
    wait = waitForSettings(session, where).finally(() => waits.delete(session));
    waits.set(session, wait);
  }
  return wait;
}

function waitForSettings(session: ClientHttp2Session, where: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      session.off('remoteSettings', onSettings).off('error', onError).off('close', onClose);
    };
    const onSettings = (): void => {
      leave();
      resolve();
    };
    const onError = (cause: unknown): void => {
      leave();
      reject(sessionError(cause, where));
    };
    const onClose = (): void => {
      leave();
      reject(refused(where, 'the session closed before its settings came'));
    };
    session.on('remoteSettings', onSettings).on('error', onError).on('close', onClose);
    // Without an answer, because too many are outstanding, the settings themselves are waited for.
    session.ping((error) => {
      if (error === null) onSettings();
    });
  });
}

/** What is no HTTP/2 at all is a handshake that failed. */
function sessionError(cause: unknown, where: string): EndpointError {
  const { code } = cause as { readonly code?: unknown };
  if (typeof code === 'string' && code.startsWith('ERR_HTTP2_')) {
    const details = { cause, handshake: 'WS_HS_HTTP_VERSION', response: null } as const;
    return new EndpointError('WS_CONNECT_HANDSHAKE', `${where} does not speak HTTP/2`, details);
  }
  return connectError(cause, where, false);
}

function request(session: ClientHttp2Session, { request: head }: ClientUpgrade, where: string): ClientHttp2Stream {
  const { method, target, protocol = '', scheme = '', authority = '', headers } = head;
  const pseudo = { ':method': method, ':protocol': protocol, ':scheme': scheme, ':authority': authority, ':path': target };
  try {
    return session.request(outgoing(pseudo, headers), { endStream: false });
  } catch (cause) {
    // Everything else is a mistake in the fields, which Node names.
    if (closing.has((cause as { readonly code?: unknown }).code)) throw refused(where, 'the session is closing', cause);
    throw cause;
  }
}

function answer(stream: ClientHttp2Stream, where: string, signal: AbortSignal): Promise<ResponseHead> {
  return new Promise((resolve, reject) => {
    const onResponse = (headers: IncomingHttpHeaders & IncomingHttpStatusHeader, _flags: number, raw?: string[]): void => {
      stream.off('close', onClose);
      const fields = fieldsOf(raw, headers).filter(([name]) => !name.startsWith(':'));
      resolve({ status: Number(headers[':status']), httpVersion: '2', headers: fields });
    };
    const onClose = (): void => {
      stream.off('response', onResponse);
      reject(signal.aborted ? signal.reason : refused(where, `the stream was reset with code ${stream.rstCode} before an answer`));
    };
    stream.once('response', onResponse).once('close', onClose);
  });
}

/** The body of a refusal, up to a limit; what comes later is not waited for. */
function bodyOf(stream: ClientHttp2Stream, most: number): Promise<Uint8Array> {
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    const finish = (): void => {
      stream.off('data', onData).off('end', finish).off('close', finish);
      resolve(Buffer.concat(chunks).subarray(0, most));
    };
    const onData = (chunk: Uint8Array): void => {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= most) finish();
    };
    stream.on('data', onData).on('end', finish).on('close', finish);
    // It may have closed in the turn of the answer; nor is a body waited for of which nothing is kept.
    if (stream.destroyed || most === 0) finish();
  });
}
