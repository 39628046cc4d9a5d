/**
 * The socket of an upgrade before it is somebody's. Node has taken its own listeners off it, shows it to every listener of 'upgrade', and looks
 * after it no more: an error that nobody listens for ends the process.
 *
 * Beware: Node shows it at once, even when requests that came before (pipelined) are not answered yet. Responses go out in the order of the
 * requests (RFC 9112 section 9.3.2), so nothing may be written until those are; else a page ends up between frames.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { timers } from './timers.ts';
import { SocketTransport } from './transport.ts';

/** A socket on which a request is answered. */
type Answering = Socket & { readonly _httpMessage?: ServerResponse | null };

/** Ours, though it is not its turn yet. */
const waiting = new WeakSet<Duplex>();

/** Sockets that one of us has declined, and how to let go of one that another takes: what waits for somebody keeps the request, too. */
const kept = new WeakMap<Duplex, () => void>();

/** The request whose socket is being shown around, and what was written to that before anybody had seen it. */
let shown: IncomingMessage | null = null;
let writtenBefore = 0;
/** Requests that somebody has begun to answer before one of us was shown them. */
const begun = new WeakSet<IncomingMessage>();
const forget = (): void => {
  shown = null;
};
/** Another copy of this package in the process watches as well, and stays in front as well: two that overtook each other would never end. */
const WATCHES = Symbol.for('@ferrywire/node watches upgrades');
const onShown = Object.assign(
  (incoming: IncomingMessage): void => {
    shown = incoming;
    writtenBefore = writtenFor(incoming);
    // All are shown it in one turn.
    queueMicrotask(forget);
  },
  { [WATCHES]: true },
);
/** Whether it may answer. */
const mayAnswer = (listener: unknown): boolean => !Object.hasOwn(listener as object, WATCHES);

/** Has us told of every upgrade before anybody else is: one listener more in front, kept there, for as long as one of `own` is there. */
export function watchUpgrades(server: Server, own: (listener: unknown) => boolean): void {
  server.removeListener('upgrade', onShown).removeListener('newListener', onAdded);
  if (server.listeners('upgrade').some(own)) server.prependListener('upgrade', onShown).on('newListener', onAdded);
}
function onAdded(this: Server, event: string | symbol, listener: unknown): void {
  // Raised before it is added, in front of us perhaps.
  if (event === 'upgrade' && mayAnswer(listener)) queueMicrotask(() => toFront(this));
}
function toFront(server: Server): void {
  const listeners = server.listeners('upgrade');
  if (listeners.slice(0, listeners.indexOf(onShown) + 1).some(mayAnswer)) {
    server.removeListener('upgrade', onShown).prependListener('upgrade', onShown);
  }
}

/** How many listen to upgrades but for those that only watch. */
export function listenersOf(server: Server): number {
  return server.listeners('upgrade').filter(mayAnswer).length;
}

/** Whether somebody who was shown it before us has begun to answer. He may never read from it. */
export function isBegun(incoming: IncomingMessage): boolean {
  if (incoming === shown && writtenFor(incoming) !== writtenBefore) begun.add(incoming);
  return begun.has(incoming);
}

/** Whether one of us has it. */
function isOurs(socket: Duplex): boolean {
  return SocketTransport.of(socket) !== null || waiting.has(socket);
}

/** Whether somebody listens to what comes, be it that he takes it or that he counts bytes. */
export function isHeard(socket: Duplex): boolean {
  return socket.listenerCount('data') > 0 || socket.listenerCount('readable') > 0;
}

/**
 * Whether one of us has it, or another listener of the upgrade reads from it. Node, Bun and Deno all make `readableFlowing` null before they
 * show the socket around, so that listeners of the time before are told from those that have come for the upgrade.
 */
export function isTaken(socket: Duplex): boolean {
  return isOurs(socket) || (socket.readableFlowing !== null && isHeard(socket));
}

/**
 * Keeps a socket that was declined alive for another listener, which has it alone from the moment it listens to it; while it may still turn out
 * to be nobody's, its 'close' alone is listened to. `abandoned` is called when nobody has touched it for `delay` (0: never); one that was ended
 * is read over from then on, unless somebody reads from it, and destroyed `delay` after that, or after all was sent.
 */
export function keepForOthers(incoming: IncomingMessage, socket: Duplex, delay: number, abandoned: () => void): void {
  // What is written later, while another request is being answered, tells nothing.
  const written = earlierResponse(incoming) === null ? writtenFor(incoming) : null;
  const ignore = (): void => {};
  const leave = (): void => {
    socket.off('error', ignore).off('newListener', listened);
  };
  const over = (): void => {
    leave();
    socket.off('close', over);
    timers.clear(timer);
  };
  const listened = (event: string | symbol): void => {
    if (event === 'data' || event === 'readable') over();
    // Who only looks after its errors may still have nothing to say: many do so before they ask whose it is. The timer still ends with it.
    else if (event === 'error') leave();
  };
  const expired = (): void => {
    over();
    if (isTaken(socket)) return;
    if (socket.writableEnded) {
      // Answered and ended, and nobody reads: the client's end would never be seen. What it has not taken yet is still sent.
      socket.on('error', ignore);
      readOver(socket, delay);
    } else if (socket.writable && !begun.has(incoming) && (written === null || writtenFor(incoming) === written)) abandoned();
  };
  const timer = delay === 0 ? null : timers.set(expired, delay);
  socket.on('error', ignore).on('newListener', listened).on('close', over);
  kept.set(socket, over);
}

/**
 * Lets a socket go once all is sent and the client has ended, or `delay` later. Destroyed while something is unread it would be reset, and what is
 * still under way to the client be lost: all that was "sent" may be, since the kernel has it and not the client.
 */
function readOver(socket: Duplex, delay: number): void {
  const sent = (): void => {
    const timer = timers.set(() => socket.destroy(), delay);
    socket.once('close', () => timers.clear(timer));
  };
  socket.resume();
  if (socket.writableFinished) sent();
  else socket.once('finish', sent);
}

/** Calls `take` when it is the request's turn to be answered, as a rule at once. A connection on which it is not within `delay` (0: no limit) is dropped. */
export function takeInTurn(incoming: IncomingMessage, socket: Duplex, delay: number, take: () => void): void {
  kept.get(socket)?.();
  if (earlierResponse(incoming) === null) {
    take();
    return;
  }
  waiting.add(socket);
  const ignore = (): void => {};
  const over = (): void => timers.clear(timer);
  // Node's own listener is gone with the others: who writes an earlier response piece by piece would wait for ever.
  const drained = (): void => {
    const response = earlierResponse(incoming);
    if (response?.writableNeedDrain === true) response.emit('drain');
  };
  const timer = delay === 0 ? null : timers.set(() => socket.destroy(), delay);
  socket.on('error', ignore).on('close', over).on('drain', drained);
  if (!socket.writableNeedDrain) drained();
  afterEarlierResponses(incoming, () => {
    over();
    socket.off('error', ignore).off('close', over).off('drain', drained);
    take();
  });
}

/** Calls `call` when the responses to requests that came before are written; never when the connection has ended with them or before. */
export function afterEarlierResponses(incoming: IncomingMessage, call: () => void): void {
  const { socket } = incoming;
  const earlier = earlierResponse(incoming);
  if (earlier === null) {
    call();
    return;
  }
  earlier.once('close', () => {
    if (socket.writable) afterEarlierResponses(incoming, call);
  });
}

/**
 * The response whose turn it is, unless it is that to the upgrade itself. Node, and Deno with it, have no public name for it: 'request' is not
 * raised for those that Node answers by itself or that go to 'checkContinue'. Where the field is missing, nothing is waited for.
 */
function earlierResponse(incoming: IncomingMessage): ServerResponse | null {
  const response = (incoming.socket as Answering | undefined)?._httpMessage ?? null;
  return response?.req === incoming ? null : response;
}

/** Counted by the connection: where a body still comes, listeners are shown a stream in front of it (Node 26). */
function writtenFor({ socket }: IncomingMessage): number {
  return socket instanceof Socket ? socket.bytesWritten : 0;
}
