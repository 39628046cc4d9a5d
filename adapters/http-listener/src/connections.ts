/**
 * The connections of a server, for the time after it has stopped listening, and those on which an upgrade was refused.
 *
 * HTTP.sys has connections apart from listeners, and drops one that sends no whole request within its own time limits. Node's server has such
 * limits as well, but stops looking at them when it is closed: what was silent then, or in the middle of a head, would stay for ever.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { timers } from '@ferrywire/node';

/** Milliseconds for a request that was on its way when the server was closed. */
const grace = 1000;
/** Milliseconds that a client has to end a connection on which its upgrade was refused. */
const linger = 1000;

type Connection = Duplex & Pick<IncomingMessage['socket'], 'localAddress' | 'remoteAddress' | 'remotePort'>;

export class Connections {
  /** Each with the answers that are due on it. */
  readonly #due = new Map<Connection, Set<ServerResponse>>();
  /** Those on which a request still comes that was answered. */
  readonly #coming = new Set<Connection>();
  /** Upgrades that were refused, and whose clients have not ended them. */
  readonly #refused = new Set<Duplex>();
  #isOver = false;
  #isOverAtOnce = false;

  constructor(server: Server, secure: boolean) {
    server.on('connection', (socket: Connection) => this.#dueOn(socket));
    if (secure) this.#joinSecure(server);
    server.on('request', (request, response) => {
      const { socket } = request;
      const due = this.#dueOn(socket);
      due.add(response);
      response.once('close', () => {
        due.delete(response);
        if (request.complete || socket.destroyed) return;
        this.#coming.add(socket);
        request.once('end', () => this.#coming.delete(socket));
      });
      if (this.#isOver) response.shouldKeepAlive = false;
    });
    // The socket of an upgrade is its context's, and then the WebSocket's.
    server.on('upgrade', ({ socket }) => this.#due.delete(socket));
  }

  /** An answer that was ended is still on its way, or the request to it, with which a connection that is cut off takes the answer along. */
  get isAnswering(): boolean {
    if (this.#coming.size > 0) return true;
    for (const due of this.#due.values()) {
      for (const response of due) if (response.writableEnded && !response.writableFinished) return true;
    }
    return false;
  }

  /** The server is closed: answers that are due are the last on their connections. `atOnce`: nothing else is waited for. */
  end(atOnce: boolean): void {
    this.#isOver = true;
    this.#isOverAtOnce = atOnce;
    for (const due of this.#due.values()) for (const response of due) response.shouldKeepAlive = false;
    if (!atOnce) {
      this.#wait();
      return;
    }
    for (const socket of this.#refused) socket.destroy();
    this.#drop();
  }

  /**
   * An upgrade is answered, and it was no 101: what still comes is thrown away, since unread bytes would make the end a reset. Node has no
   * deadline for such a socket.
   */
  letGo(socket: Duplex): void {
    const drop = (): void => void socket.destroy();
    socket.resume();
    // The answer is still sent where the server was closed before it.
    if (this.#isOverAtOnce) socket.end(drop);
    else socket.end();
    const timer = timers.set(drop, linger);
    this.#refused.add(socket);
    socket.once('close', () => {
      timers.clear(timer);
      this.#refused.delete(socket);
    });
  }

  /** Of TLS the server tells twice: of the connection below, and of the one that it reads from, on which only its addresses name the first. */
  #joinSecure(server: Server): void {
    const below = new Map<string, Connection>();
    server.on('connection', (socket: Connection) => {
      const name = nameOf(socket);
      below.set(name, socket);
      socket.once('close', () => {
        if (below.get(name) === socket) below.delete(name);
      });
    });
    server.on('secureConnection', (socket: Connection) => {
      const name = nameOf(socket);
      const known = below.get(name);
      if (known !== undefined) this.#due.delete(known);
      below.delete(name);
      this.#dueOn(socket);
    });
  }
  #dueOn(socket: Connection): Set<ServerResponse> {
    let due = this.#due.get(socket);
    if (due === undefined) {
      due = new Set();
      this.#due.set(socket, due);
      socket.once('close', () => {
        this.#due.delete(socket);
        this.#coming.delete(socket);
      });
    }
    return due;
  }
  #drop(): void {
    for (const [socket, due] of this.#due) if (due.size === 0) socket.destroy();
    this.#wait();
  }
  #wait(): void {
    if (this.#due.size > 0) timers.set(() => this.#drop(), grace);
  }
}

/** Of all that are open on one port it has the only one of this name. */
function nameOf({ localAddress, remoteAddress, remotePort }: Connection): string {
  return `${localAddress} ${remoteAddress} ${remotePort}`;
}
