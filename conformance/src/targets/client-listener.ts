/**
 * A client under test connects to us. The paths are those of the Autobahn suite's fuzzing server, so that existing clients work unchanged:
 * /getCaseCount, /getCaseInfo, /runCase, /getCaseStatus, /updateReports, /stopServer. N counts from 1 in the selected list. Over HTTP/2
 * (RFC 8441) the same, without the cases about heads of HTTP/1.1.
 */
import {
  createServer as createHttp2,
  createSecureServer as createHttp2Tls,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { Asked } from '../asked.ts';
import type { Case, Opening } from '../case.ts';
import { realTime } from '../channel.ts';
import { Decoder } from '../decoder.ts';
import type { DeflateAgreement } from '../deflate.ts';
import { Encoder } from '../encoder.ts';
import { answerDeflate, parseHead, readRequest, refusalFor } from '../handshake.ts';
import { checkWhole, longestWait } from '../options.ts';
import { seededNumbers } from '../random.ts';
import type { CaseResult } from '../result.ts';
import { CaseRun } from '../runner.ts';
import { SilenceGuard } from '../silence.ts';
import { limitUnder, type PassiveTarget, type TargetSettings, TargetUnavailable } from '../target.ts';
import { judgeClient, judgeOldKey, pipelined } from './opening.ts';
import { readHead } from './socket.ts';
import { SocketVisitor, StreamVisitor, type Visitor } from './visitor.ts';

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
  /** Over HTTP/2, in cleartext by prior knowledge. Default false. */
  readonly http2?: boolean;
  /** Chosen where a client asks for them, preferred first: some clients, browsers among them, go on only with one that they asked for. */
  readonly subprotocols?: readonly string[];
}

interface WatchedOptions extends ClientListenerOptions {
  /** Called when a client asks for the reports, or for the end. */
  readonly onDone?: () => void;
}

const openingLimit = 5000;
const controlLimit = 2000;
/** For a client to end a connection with a wrong response: it may wait for us to do so, commonly up to 10 s, and can't be asked twice. */
const refusalLimit = 12_000;
/** Agents whose verdicts are kept, and what a name may be long. */
const mostAgents = 100;
const longestAgent = 200;
/** Keys that are remembered, the first ones: one that does not change is among them. */
const mostKeys = 10_000;

/** Throws TypeError for a subprotocol that is none, RangeError for a port or a time that is none. */
export function clientListener(options: ClientListenerOptions): PassiveTarget {
  checkWhole('port', options.port, 0, 65_535);
  checkWhole('idle', options.idle, 0, longestWait);
  return watchedListener(options);
}

export function watchedListener(options: WatchedOptions): PassiveTarget {
  new Asked({ subprotocols: options.subprotocols ?? [] });
  let { port } = options;
  const onListening = (url: string): void => {
    if (port === 0) port = Number(new URL(url).port);
    options.onListening?.(url);
  };
  return {
    kind: 'passive',
    get name() {
      return `clients of port ${port}`;
    },
    role: 'client',
    openings: options.http2 !== true,
    serve: (cases, settings, onResult, signal) => new Listener({ ...options, onListening }, cases, settings, onResult).serve(signal),
  };
}

class Listener {
  readonly #options: WatchedOptions;
  readonly #cases: readonly Case[];
  readonly #settings: TargetSettings;
  readonly #onResult: (result: CaseResult) => void;
  readonly #connections = new Set<Socket | ServerHttp2Session>();
  readonly #results = new Map<string, Map<string, CaseResult>>();
  readonly #waiting = new Map<string, ((result: CaseResult) => void)[]>();
  readonly #silence = new SilenceGuard();
  readonly #keys = new Set<string>();
  #stop: () => void = () => {};
  #over = false;
  /** Cases under way. */
  #running = 0;
  /** A client has said that it is done: the last case ends the run. */
  #ending = false;
  #idleTimer: NodeJS.Timeout | undefined;

  constructor(options: WatchedOptions, cases: readonly Case[], settings: TargetSettings, onResult: (result: CaseResult) => void) {
    this.#options = options;
    this.#cases = cases;
    this.#settings = settings;
    this.#onResult = onResult;
  }

  async serve(signal: AbortSignal | undefined): Promise<void> {
    const { host = '127.0.0.1', port, tls, onListening } = this.#options;
    const server = this.#createServer();
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
      this.#over = true;
      clearTimeout(this.#idleTimer);
      signal?.removeEventListener('abort', this.#stop);
      for (const connection of this.#connections) connection.destroy();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #stillAlive(): void {
    clearTimeout(this.#idleTimer);
    const { idle = 60_000 } = this.#options;
    if (idle === 0 || this.#over) return;
    this.#idleTimer = setTimeout(() => {
      // A case has a limit of its own, which may be longer.
      if (this.#running > 0) this.#stillAlive();
      else this.#stop();
    }, idle);
  }

  /** Whoever is judged while others leave is judged to the end. */
  readonly #finish = (): void => {
    this.#ending = true;
    if (this.#running === 0) this.#stop();
  };

  #createServer(): Server {
    const { tls, http2 = false } = this.#options;
    const pem = tls === undefined ? null : { key: Buffer.from(tls.key), cert: Buffer.from(tls.cert) };
    if (!http2) {
      const accept = (socket: Socket): void => {
        this.#accept(socket).catch(() => socket.destroy());
      };
      return pem === null ? createServer(accept) : createTlsServer(pem, accept);
    }
    const settings = { enableConnectProtocol: true };
    const server = pem === null ? createHttp2({ settings }) : createHttp2Tls({ settings, ...pem });
    server.on('session', (session: ServerHttp2Session) => this.#keepOpen(session));
    server.on('sessionError', () => {});
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      this.#stillAlive();
      stream.once('close', () => this.#stillAlive());
      const visitor = StreamVisitor.read(stream, headers, this.#options.subprotocols ?? []);
      if (visitor !== null) this.#route(visitor);
    });
    return server;
  }

  /** Closed at the end of the run. */
  #keepOpen(connection: Socket | ServerHttp2Session): void {
    this.#stillAlive();
    this.#connections.add(connection);
    connection.once('close', () => {
      this.#connections.delete(connection);
      this.#stillAlive();
    });
  }

  async #accept(socket: Socket): Promise<void> {
    this.#keepOpen(socket);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    const head = await readHead(socket, openingLimit);
    const parsed = parseHead(head.text);
    const request = parsed === null ? 'no HTTP request' : readRequest(parsed);
    if (typeof request === 'string') {
      socket.end(refusalFor('400 Bad Request', `${request}\n`));
      return;
    }
    const isOld = this.#keys.has(request.key);
    // A copy: the key is a slice of the head, and engines keep the whole of a string for its slices.
    if (this.#keys.size < mostKeys) this.#keys.add(Buffer.from(request.key, 'latin1').toString('latin1'));
    this.#route(new SocketVisitor(socket, head.rest, request, this.#options.subprotocols ?? [], isOld));
  }

  #route(visitor: Visitor): void {
    const { path, query } = visitor;
    const agent = (query.get('agent') ?? 'unnamed').slice(0, longestAgent);
    const say = (text: string, after?: () => void): void => this.#say(visitor, text, after);
    const test = this.#caseOf(query);
    if (path === '/updateReports' || path === '/stopServer') this.#options.onDone?.();
    if (path === '/getCaseCount') say(JSON.stringify(this.#cases.length));
    else if (path === '/updateReports')
      say('', this.#options.keep !== true || query.get('shutdownOnComplete') === 'true' ? this.#finish : undefined);
    else if (path === '/stopServer') say('', this.#stop);
    else if (path !== '/getCaseInfo' && path !== '/runCase' && path !== '/getCaseStatus') visitor.refuse(404, 'unknown path\n');
    else if (test === undefined) visitor.refuse(400, 'no such case\n');
    else if (path === '/getCaseInfo') say(JSON.stringify({ id: test.id, description: test.title }));
    else if (path === '/runCase') this.#runCase(visitor, test, agent);
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

  #runCase(visitor: Visitor, test: Case, agent: string): void {
    if (test.opening !== null) {
      this.#runOpening(visitor, test, test.opening, agent);
      return;
    }
    const answer = answerDeflate(visitor.extensions, test.deflate);
    visitor.accept(answer?.header ?? null);
    this.#startRun(visitor, test, answer?.agreement ?? null, agent);
  }

  #startRun(visitor: Visitor, test: Case, deflate: DeflateAgreement | null, agent: string): void {
    this.#running += 1;
    const settings = { ...this.#silence.limit(this.#settings), role: 'client', scheduler: realTime, deflate } as const;
    const keep = (result: CaseResult): void => this.#keep(agent, visitor.hasOldKey ? judgeOldKey(test, result) : result);
    const run = new CaseRun(test, settings, visitor.channel, keep);
    visitor.connect(run);
    run.start();
  }

  /** The response is the case; a client has to go on, or to end the connection. */
  #runOpening(visitor: Visitor, test: Case, opening: Opening, agent: string): void {
    const first = opening.expect === 'accepted' && opening.pipelined ? pipelined(test, 'client', this.#settings.seed) : null;
    if (!visitor.answerWith(opening.lines, first?.early ?? new Uint8Array(0))) {
      visitor.refuse(404, 'no heads of HTTP/1.1 here\n');
      return;
    }
    if (opening.expect === 'accepted') {
      this.#startRun(visitor, first?.rest ?? test, null, agent);
      return;
    }
    this.#running += 1;
    const started = realTime.now();
    let bytes = 0;
    let over = false;
    const limit = limitUnder(this.#silence.limit(this.#settings), refusalLimit);
    const finish = (after: number | null): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      visitor.channel.abort();
      this.#keep(agent, judgeClient(test, after, bytes, realTime.now() - started));
    };
    const timer = setTimeout(() => finish(limit), limit);
    const fail = (chunk: Uint8Array): void => {
      bytes += chunk.length;
      finish(null);
    };
    visitor.connect({ data: fail, ended: () => finish(null) });
  }

  #keep(agent: string, result: CaseResult): void {
    // The end of the run has ended its connection.
    if (this.#over) return;
    this.#running -= 1;
    this.#silence.note(result);
    const known = this.#results.get(agent);
    if (known !== undefined) known.set(result.id, result);
    else if (this.#results.size < mostAgents) this.#results.set(agent, new Map([[result.id, result]]));
    this.#onResult(result);
    const key = JSON.stringify([agent, result.id]);
    for (const tell of this.#waiting.get(key) ?? []) tell(result);
    this.#waiting.delete(key);
    if (this.#ending) this.#finish();
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
  #say(visitor: Visitor, text: string, after?: () => void): void {
    const encoder = new Encoder(false, seededNumbers(1));
    const { channel } = visitor;
    visitor.accept(null);
    if (text !== '') channel.write(encoder.frame({ opcode: 1, fin: true, rsv: 0, payload: Buffer.from(text) }));
    channel.write(encoder.frame({ opcode: 8, fin: true, rsv: 0, payload: new Uint8Array(0) }));
    const timer = setTimeout(() => channel.abort(), controlLimit);
    const nothing = (): void => {};
    const finish = (): void => channel.end();
    const decoder = new Decoder('client', null, { message: nothing, ping: nothing, pong: nothing, close: finish, breach: finish });
    visitor.onceClosed(() => {
      clearTimeout(timer);
      after?.();
    });
    visitor.connect({ data: (bytes) => decoder.push(bytes), ended: finish });
  }
}
