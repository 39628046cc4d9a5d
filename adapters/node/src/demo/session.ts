/**
 * One page: its control channel, the connections it watches, and the raw peer that does what it says.
 *
 * Whatever the page or the connections do, a session stays small: few connections, lines that wait are counted and not kept once the page
 * is slow, and everything ends with the control channel.
 */
import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { Peer, PeerHandlers } from '@ferrywire/driver';
import { connect } from '../connect.ts';
import { transportOf } from '../transport.ts';
import type { ClientName, Command, Line, ToPage, Verdict } from './browser/messages.ts';
import { parseCommand } from './commands.ts';
import { bytesOf, illegalInputs } from './illegal.ts';
import { Tap } from './tap.ts';

const MOST_CONNECTIONS = 8;
const MOST_LINES = 1000;
/** Bytes that a page may leave untaken before lines are left out. */
const MOST_WAITING = 1_048_576;
/** Between two looks at a connection in which bytes move without anything being parsed. */
const LOOK_MS = 200;

export class Session {
  readonly token: string = randomUUID();
  readonly #control: Peer;
  /** Where the raw peer connects to, without the query. */
  readonly #url: string;
  readonly #taps = new Set<Tap>();
  readonly #raws = new Set<Peer>();
  #changed = new Set<Tap>();
  #lines: Line[] = [];
  #dropped = 0;
  #nextId = 1;
  #flushing: NodeJS.Immediate | null = null;
  readonly #look: NodeJS.Timeout;
  #over = false;

  constructor(control: Peer, url: string) {
    this.#control = control;
    this.#url = url;
    this.#look = setInterval(() => this.#lookAgain(), LOOK_MS).unref();
    const illegal = illegalInputs.map(({ name, label, bytes }) => ({ name, label, bytes: bytes === '' ? 'FIN' : bytes }));
    this.#send({ type: 'hello', token: this.token, illegal });
  }

  /** A connection of this page has arrived. Null: it has enough of them. */
  watch(client: ClientName, socket: Duplex, early: number): Tap | null {
    if (this.#over || this.#taps.size >= MOST_CONNECTIONS) return null;
    const tap = new Tap(this.#nextId++, client, socket, early, {
      line: (line) => this.#line(line),
      changed: (changed) => this.#note(changed),
      ended: (ended, verdict) => this.#ended(ended, verdict),
    });
    this.#taps.add(tap);
    socket.once('close', () => {
      tap.gone = true;
      this.#taps.delete(tap);
      this.#note(tap);
    });
    return tap;
  }

  command(json: string): void {
    const command = parseCommand(json);
    if (command === null) {
      this.#problem('The server did not understand the page.');
      return;
    }
    this.#run(command).catch((error: unknown) => this.#problem(error instanceof Error ? error.message : String(error)));
  }

  /** The page has gone. */
  end(): void {
    this.#over = true;
    clearInterval(this.#look);
    if (this.#flushing !== null) clearImmediate(this.#flushing);
    for (const peer of this.#raws) peer.abort();
    this.#lines = [];
    this.#changed.clear();
  }

  async #run(command: Command): Promise<void> {
    if (command.do === 'connect') {
      await this.#dial(command.subprotocol);
      return;
    }
    if (command.do === 'illegal') {
      await this.#illegal(command.name);
      return;
    }
    const tap = this.#current(command.client);
    if (tap === null || tap.peer === null) throw new Error('That client is not connected.');
    if (command.do === 'pause') tap.peer.pause();
    else if (command.do === 'resume') tap.peer.resume();
    // The browser can't fragment or ping: for it the server's half does. For the raw peer its own half does everything.
    else perform(command.client === 'raw' ? (tap.remote ?? tap.peer) : tap.peer, command);
    this.#note(tap);
  }

  #current(client: ClientName): Tap | null {
    let found: Tap | null = null;
    for (const tap of this.#taps) if (tap.client === client && !tap.gone) found = tap;
    return found;
  }

  /** Both halves of the raw peer's connection are in this process: the newest tap is the other one. */
  async #dial(subprotocol: string): Promise<Peer> {
    const handlers: PeerHandlers = { onEnd: (peer) => void this.#raws.delete(peer), onError: () => {} };
    const subprotocols = subprotocol === '' ? [] : [subprotocol];
    const peer = await connect(`${this.#url}?log=${this.token}&client=raw`, { handlers, subprotocols });
    if (this.#over) {
      peer.abort();
      throw new Error('The page has gone.');
    }
    this.#raws.add(peer);
    const tap = this.#current('raw');
    if (tap !== null) {
      tap.remote = peer;
      this.#note(tap);
    }
    return peer;
  }

  async #illegal(name: string): Promise<void> {
    const input = illegalInputs.find((candidate) => candidate.name === name);
    if (input === undefined) throw new Error('There is no such frame.');
    const { socket } = transportOf(await this.#dial(''));
    if (input.bytes === '') socket.end();
    else socket.write(bytesOf(input.bytes));
  }

  #line(line: Line): void {
    if (this.#over) return;
    if (this.#lines.length < MOST_LINES && this.#control.bufferedAmount < MOST_WAITING) this.#lines.push(line);
    else this.#dropped++;
    this.#flushSoon();
  }
  #note(tap: Tap): void {
    if (this.#over) return;
    this.#changed.add(tap);
    this.#flushSoon();
  }
  #ended(tap: Tap, verdict: Verdict): void {
    if (this.#over) return;
    this.#flush();
    this.#send({ type: 'verdict', ...verdict });
    this.#note(tap);
  }
  /** While a reader is paused or a client is slow nothing is traced, and yet bytes move. */
  #lookAgain(): void {
    for (const tap of this.#taps) {
      const snapshot = tap.snapshot();
      if (snapshot !== null && (snapshot.paused || snapshot.held > 0 || snapshot.answers > 0 || (snapshot.unsent ?? 0) > 0))
        this.#note(tap);
    }
  }

  /** Once per turn of the event loop, however much has happened in it. */
  #flushSoon(): void {
    this.#flushing ??= setImmediate(() => {
      this.#flushing = null;
      this.#flush();
    });
  }
  #flush(): void {
    if (this.#over) return;
    const lines = this.#lines;
    const dropped = this.#dropped;
    this.#lines = [];
    this.#dropped = 0;
    if (lines.length > 0 || dropped > 0) this.#send({ type: 'lines', lines, dropped });
    const changed = this.#changed;
    this.#changed = new Set();
    for (const tap of changed) {
      const snapshot = tap.snapshot();
      if (snapshot !== null) this.#send({ type: 'connection', ...snapshot });
    }
  }
  #problem(message: string): void {
    this.#send({ type: 'problem', message });
  }
  #send(message: ToPage): void {
    if (!this.#over) this.#control.send(JSON.stringify(message));
  }
}

type SendCommand = Exclude<
  Command,
  { readonly do: 'connect' } | { readonly do: 'illegal' } | { readonly do: 'pause' } | { readonly do: 'resume' }
>;

/** Carries out what an endpoint can do by itself. Throws what its API throws: the page shows it. */
function perform(peer: Peer, command: SendCommand): void {
  switch (command.do) {
    case 'text':
      peer.send(command.text);
      break;
    case 'binary':
      peer.send(bytesOf(command.hex.replace(/\s+/g, '')));
      break;
    case 'ping':
      peer.ping(new TextEncoder().encode(command.text));
      break;
    case 'close':
      if (command.code === null) peer.close();
      else peer.close(command.code, command.reason);
      break;
    case 'fill':
      for (let count = 0; count < command.messages; count++) peer.send(new Uint8Array(command.size));
      break;
    case 'fragments': {
      const points = [...command.text];
      const size = Math.ceil(points.length / command.parts);
      const writer = peer.connection.startMessage('text');
      for (let part = 0; part < command.parts - 1; part++) writer.write(points.slice(part * size, (part + 1) * size).join(''));
      writer.end(points.slice((command.parts - 1) * size).join(''));
      peer.driver.pump();
      break;
    }
  }
}
