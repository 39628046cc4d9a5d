/**
 * How streams and sessions of HTTP/2 are let go of, whatever their peer does (RFC 9113 sections 5.4.2 and 6.8).
 *
 * Beware: Node's own `close()` waits. That of a stream waits for what the session is writing, and, where the server has no stream free, for
 * its turn; that of a session for the socket to take all and for the peer's FIN. A peer that has stopped reading makes all of them last for ever.
 */
import type { Http2Session, Http2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Extension } from '@ferrywire/core';
import { apart } from '@ferrywire/driver/adapter';
import { timers } from './timers.ts';

/** Codes of RFC 9113 section 7. Written out, since `node:http2` is loaded only where it is asked for. */
export const NO_ERROR = 0;
export const INTERNAL_ERROR = 2;
export const REFUSED_STREAM = 7;
export const CANCEL = 8;

/** Milliseconds that a peer has for what it would do at once if it read at all. */
export const LINGER = 500;

/** RST_STREAM, sent when the session can; the stream is gone in the next turn at the latest. Needs a listener for 'error'. */
export function reset(stream: Http2Stream, code: number): void {
  if (stream.destroyed) return;
  stream.close(code);
  stream.destroy();
}

/** Extensions of a connection that will not be. What one throws keeps the others from nothing. */
export function disposeOf(extensions: readonly Extension[]): void {
  for (const extension of extensions) apart(() => extension.dispose?.());
}

/** GOAWAY on a session of our own that has no stream any more, and the end of its socket. */
export function endSession(session: Http2Session, socket: Duplex): void {
  session.close();
  leave(socket);
}
/** The same at once, with whatever streams there are. */
export function dropSession(session: Http2Session, socket: Duplex): void {
  session.destroy();
  leave(socket);
}
function leave(socket: Duplex): void {
  if (socket.destroyed) return;
  const timer = timers.set(() => socket.destroy(), LINGER);
  socket.once('close', () => timers.clear(timer));
}
