/**
 * A client under test connects to us. The paths are those of the Autobahn suite's fuzzing server, so that existing clients work unchanged:
 * /getCaseCount, /getCaseInfo, /runCase, /getCaseStatus, /updateReports, /stopServer. N counts from 1 in the selected list.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Case, Opening } from '../case.ts';
import { realTime } from '../channel.ts';
import { Decoder } from '../decoder.ts';
import type { DeflateAgreement } from '../deflate.ts';
import { Encoder } from '../encoder.ts';
import { acceptKeyFor, answerDeflate, parseHead, readRequest, refusalFor, responseFor, type UpgradeRequest } from '../handshake.ts';
import { seededNumbers } from '../random.ts';
import type { CaseResult } from '../result.ts';
import { CaseRun } from '../runner.ts';
import { type PassiveTarget, type TargetSettings, TargetUnavailable } from '../target.ts';
import { headOf, judgeClient, pipelined } from './opening.ts';
import { connectSocket, readHead, socketChannel } from './socket.ts';

export interface ClientListenerOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** PEM, for wss. */
  readonly tls?: { readonly key: string | Uint8Array; readonly cert: string | Uint8Array };
  /** Called once clients may connect. */
  readonly onListening?: (url: string) => void;
  /** Stay after /updateReports, for the next agent. Default false. */
  readonly keep?: boolean;
  /** Milliseconds without any connection after which the run ends. Default 60 000; 0 waits for ever. */
  readonly idle?: number;
}

const openingLimit = 5000;
const controlLimit = 2000;
/** Agents whose verdicts are kept, and what a name may be long. */
const mostAgents = 100;
const longestAgent = 200;

export function clientListener(options: ClientListenerOptions): PassiveTarget {
  return {
    kind: 'passive',
    name: `clients of port ${options.port}`,
    role: 'client',
    serve: (cases, settings, onResult, signal) => new Listener(options, cases, settings, onResult).serve(signal),
  };
}

class Listener {
  readonly #options: ClientListenerOptions;
  readonly #cases: readonly Case[];
  readonly #settings: TargetSettings;
  readonly #onResult: (result: CaseResult) => void;
  readonly #sockets = new Set<Socket>();
  readonly #results = new Map<string, Map<string, CaseResult>>();
  readonly #waiting = new Map<string, ((result: CaseResult) => void)[]>();
  #stop: () => void = () => {};
  #idleTimer: NodeJS.Timeout | undefined;

  constructor(options: ClientListenerOptions, cases: readonly Case[], settings: TargetSettings, onResult: (result: CaseResult) => void) {
    this.#options = options;
    this.#cases = cases;
    this.#settings = settings;
    this.#onResult = onResult;
  }

  async serve(signal: AbortSignal | undefined): Promise<void> {
    const { host = '127.0.0.1', port, tls, onListening } = this.#options;
    const accept = (socket: Socket): void => {
      this.#accept(socket).catch(() => socket.destroy());
    };
    const server: Server =
      tls === undefined ? createServer(accept) : createTlsServer({ key: Buffer.from(tls.key), cert: Buffer.from(tls.cert) }, accept);
    const finished = new Promise<void>((resolve) => {
      this.#stop = resolve;
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(new TargetUnavailable(`can't listen on port ${port}: ${error.message}`)));
      server.listen(port, host, resolve);
    });
    signal?.addEventListener('abort', this.#stop, { once: true });
    if (signal?.aborted === true) this.#stop();
    const address = server.address();
    const name = host.includes(':') ? `[${host}]` : host;
    onListening?.(`${tls === undefined ? 'ws' : 'wss'}://${name}:${typeof address === 'object' && address !== null ? address.port : port}`);
    this.#stillAlive();
    try {
      await finished;
    } finally {
      clearTimeout(this.#idleTimer);
      signal?.removeEventListener('abort', this.#stop);
      for (const socket of this.#sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #stillAlive(): void {
    clearTimeout(this.#idleTimer);
    const { idle = 60_000 } = this.#options;
    if (idle > 0) this.#idleTimer = setTimeout(this.#stop, idle);
  }

  async #accept(socket: Socket): Promise<void> {
    this.#stillAlive();
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#stillAlive();
    });
    const head = await readHead(socket, openingLimit);
    const parsed = parseHead(head.text);
    const request = parsed === null ? 'no HTTP request' : readRequest(parsed);
    if (typeof request === 'string') {
      socket.end(refusalFor('400 Bad Request', `${request}\n`));
      return;
    }
    this.#route(socket, head.rest, request);
  }

  #route(socket: Socket, rest: Uint8Array, request: UpgradeRequest): void {
    const agent = (request.query.get('agent') ?? 'unnamed').slice(0, longestAgent);
    const say = (text: string, after?: () => void): void => this.#say(socket, rest, request, text, after);
    const { path, query } = request;
    const test = this.#caseOf(query);
    if (path === '/getCaseCount') say(JSON.stringify(this.#cases.length));
    else if (path === '/updateReports')
      say('', this.#options.keep !== true || query.get('shutdownOnComplete') === 'true' ? this.#stop : undefined);
    else if (path === '/stopServer') say('', this.#stop);
    else if (path !== '/getCaseInfo' && path !== '/runCase' && path !== '/getCaseStatus')
      socket.end(refusalFor('404 Not Found', 'unknown path\n'));
    else if (test === undefined) socket.end(refusalFor('400 Bad Request', 'no such case\n'));
    else if (path === '/getCaseInfo') say(JSON.stringify({ id: test.id, description: test.title }));
    else if (path === '/runCase') this.#runCase(socket, rest, request, test, agent);
    else {
      this.#whenKnown(agent, test.id, ({ verdict, behavior, behaviorClose }) => {
        say(JSON.stringify({ behavior, behaviorClose, verdict }));
      });
    }
  }

  #caseOf(query: URLSearchParams): Case | undefined {
    const id = query.get('casetuple');
    if (id !== null) return this.#cases.find((test) => test.id === id);
    const number = query.get('case') ?? '';
    return /^\d{1,6}$/.test(number) ? this.#cases[Number(number) - 1] : undefined;
  }

  #runCase(socket: Socket, rest: Uint8Array, request: UpgradeRequest, test: Case, agent: string): void {
    if (test.opening !== null) {
      this.#runOpening(socket, rest, request, test, test.opening, agent);
      return;
    }
    const answer = answerDeflate(request.extensions, test.deflate);
    socket.write(responseFor(request.key, answer?.header ?? null));
    this.#startRun(socket, rest, test, answer?.agreement ?? null, agent);
  }

  #startRun(socket: Socket, rest: Uint8Array, test: Case, deflate: DeflateAgreement | null, agent: string): void {
    const settings = { ...this.#settings, role: 'client', scheduler: realTime, deflate } as const;
    const run = new CaseRun(test, settings, socketChannel(socket), (result) => this.#keep(agent, result));
    connectSocket(socket, rest, run);
    run.start();
  }

  /** The response is the case; a client has to go on, or to end the connection. */
  #runOpening(socket: Socket, rest: Uint8Array, request: UpgradeRequest, test: Case, opening: Opening, agent: string): void {
    const head = headOf(opening.lines, { accept: acceptKeyFor(request.key) });
    if (opening.expect === 'accepted') {
      const first = opening.pipelined ? pipelined(test, 'client', this.#settings.seed) : null;
      socket.write(first === null ? head : Buffer.concat([head, first.early]));
      this.#startRun(socket, rest, first?.rest ?? test, null, agent);
      return;
    }
    socket.write(head);
    const started = realTime.now();
    let bytes = rest.length;
    let over = false;
    const finish = (ended: boolean): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      socket.destroy();
      this.#keep(agent, judgeClient(test, ended, bytes, realTime.now() - started));
    };
    const timer = setTimeout(() => finish(false), controlLimit * this.#settings.timeScale);
    const count = (chunk: Uint8Array): void => {
      bytes += chunk.length;
    };
    connectSocket(socket, new Uint8Array(0), { data: count, ended: () => finish(true) });
  }

  #keep(agent: string, result: CaseResult): void {
    let known = this.#results.get(agent);
    if (known === undefined) {
      if (this.#results.size >= mostAgents) return;
      known = new Map();
      this.#results.set(agent, known);
    }
    known.set(result.id, result);
    this.#onResult(result);
    const key = JSON.stringify([agent, result.id]);
    for (const tell of this.#waiting.get(key) ?? []) tell(result);
    this.#waiting.delete(key);
  }

  #whenKnown(agent: string, id: string, tell: (result: CaseResult) => void): void {
    const known = this.#results.get(agent)?.get(id);
    if (known !== undefined) {
      tell(known);
      return;
    }
    const key = JSON.stringify([agent, id]);
    this.#waiting.set(key, [...(this.#waiting.get(key) ?? []), tell].slice(0, mostAgents));
  }

  /** One text message (none if it is empty), then a closing handshake. */
  #say(socket: Socket, rest: Uint8Array, request: UpgradeRequest, text: string, after?: () => void): void {
    const encoder = new Encoder(false, seededNumbers(1));
    socket.write(responseFor(request.key, null));
    if (text !== '') socket.write(encoder.frame({ opcode: 1, fin: true, rsv: 0, payload: Buffer.from(text) }));
    socket.write(encoder.frame({ opcode: 8, fin: true, rsv: 0, payload: new Uint8Array(0) }));
    const timer = setTimeout(() => socket.destroy(), controlLimit);
    const nothing = (): void => {};
    const finish = (): void => {
      socket.end();
    };
    const decoder = new Decoder('client', null, { message: nothing, ping: nothing, pong: nothing, close: finish, breach: finish });
    socket.once('close', () => {
      clearTimeout(timer);
      after?.();
    });
    connectSocket(socket, rest, { data: (bytes) => decoder.push(bytes), ended: finish });
  }
}
