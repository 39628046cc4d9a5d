/**
 * A server under test at a URL: one TCP or TLS connection per case, over the harness's own handshake.
 */
import { Buffer } from 'node:buffer';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Asked, type RequestExtras } from '../asked.ts';
import type { Case } from '../case.ts';
import { realTime } from '../channel.ts';
import { checkResponse, parseHead, readDeflateAnswer, requestFor } from '../handshake.ts';
import { handshakeFailed } from '../judge.ts';
import { checkWait } from '../options.ts';
import { seededBytes, seedFor } from '../random.ts';
import type { CaseResult } from '../result.ts';
import { CaseRun } from '../runner.ts';
import { type ActiveTarget, limitUnder, type TargetSettings, TargetUnavailable } from '../target.ts';
import { filledIn, headOf, judgeRefusal, judgeResponse, pipelined } from './opening.ts';
import { connectSocket, HeadCut, NoAnswer, readHead, socketChannel } from './socket.ts';

export interface ServerUrlOptions extends RequestExtras {
  /** For wss: the authorities to trust, PEM; default those of the runtime. */
  readonly ca?: string | Uint8Array;
  /** For wss: false takes any certificate. Default true. */
  readonly rejectUnauthorized?: boolean;
  /** Milliseconds that a server may take to listen. Default 2000. */
  readonly patience?: number;
}

const openingLimit = 5000;

/** Throws TypeError for what is no absolute ws: or wss: URL, or has parts that a WebSocket has no use for (RFC 6455 section 3). */
export function parseServerUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new TypeError(`not a URL: ${text}`);
  }
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') throw new TypeError(`a ws: or wss: URL is needed, not ${text}`);
  if (text.includes('#')) throw new TypeError(`a fragment has no place in a WebSocket's URL: ${text}`);
  if (url.username !== '' || url.password !== '') throw new TypeError('a user name or password in the URL would not be sent');
  return url;
}

/**
 * Throws TypeError for a wrong URL, or headers or subprotocols that can't be asked for, RangeError for a patience that is none.
 * @param unreachable called when a case gets no connection, or no byte on it; when it rejects the run ends. It ends too when nobody listens any more
 */
export function serverUrl(text: string, options: ServerUrlOptions = {}, unreachable?: () => Promise<void>): ActiveTarget {
  const url = parseServerUrl(text);
  const asked = new Asked(options);
  checkWait('patience', options.patience);
  const presence = new Presence(url, options, unreachable);
  return {
    kind: 'active',
    name: url.href,
    role: 'server',
    virtual: false,
    open: (signal) => presence.begins(signal),
    run: (test, settings, signal) => runCase(url, options, asked, test, settings, signal, presence),
    close: () => presence.ends(),
  };
}

/** Whether a server is there: before the first case, for a case that finds nobody, and after the last. */
export class Presence {
  readonly #url: URL;
  readonly #options: ServerUrlOptions;
  readonly #unreachable: (() => Promise<void>) | undefined;
  #signal: AbortSignal | undefined;
  #waiting: Promise<void> | null = null;

  /** @param unreachable as of `serverUrl`: who gives it knows by himself when the server has ended */
  constructor(url: URL, options: ServerUrlOptions, unreachable: (() => Promise<void>) | undefined) {
    this.#url = url;
    this.#options = options;
    this.#unreachable = unreachable;
  }

  begins(signal: AbortSignal | undefined): Promise<void> {
    this.#signal = signal;
    return waitForServer(this.#url, this.#options, signal);
  }

  /** For a case without a byte on its connection. */
  async missed(): Promise<void> {
    await this.#unreachable?.();
  }

  /** For one without a connection: a server that is started again must not fail those to come. Rejects with TargetUnavailable when it is not. */
  async absent(): Promise<void> {
    await this.missed();
    if ((await this.#refusal()) === null) return;
    this.#waiting ??= waitForServer(this.#url, this.#options, this.#signal).finally(() => {
      this.#waiting = null;
    });
    await this.#waiting;
  }

  /** What the last cases did to it shows only now. */
  async ends(): Promise<void> {
    if (this.#unreachable !== undefined || this.#signal?.aborted === true) return;
    const error = await this.#refusal();
    if (error !== null) throw gone(this.#url, error);
  }

  /** Null unless nobody listens. */
  async #refusal(): Promise<unknown> {
    const socket = connectTcp(addressOf(this.#url));
    const error = await new Promise<unknown>((resolve) => {
      socket.once('connect', () => resolve(null)).once('error', resolve);
      socket.setTimeout(openingLimit, () => resolve(null));
    });
    socket.destroy();
    return isRefused(error) ? error : null;
  }
}

function addressOf(url: URL): { host: string; port: number } {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { host, port: Number(url.port || (url.protocol === 'wss:' ? 443 : 80)) };
}

/** Nobody listens. */
function isRefused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
}

function gone(url: URL, error: unknown): TargetUnavailable {
  return new TargetUnavailable(`no server at ${url.href}: ${wordsOf(error)}`);
}

/** Rejects with NoAnswer when there is no connection (for wss no secure one) within the limit. The signal ends the connection at any time. */
function dial(url: URL, options: ServerUrlOptions, limit: number, signal: AbortSignal | undefined): Promise<Socket> {
  const secure = url.protocol === 'wss:';
  const { host, port } = addressOf(url);
  return new Promise((resolve, reject) => {
    const { ca, rejectUnauthorized = true } = options;
    const tls = {
      host,
      port,
      rejectUnauthorized,
      ...(ca === undefined ? {} : { ca: Buffer.from(ca) }),
      ...(isAddress(host) ? {} : { servername: host }),
    };
    const socket: Socket = secure ? connectTls(tls) : connectTcp({ host, port });
    socket.setNoDelay(true);
    const stop = (): void => {
      socket.destroy();
    };
    signal?.addEventListener('abort', stop, { once: true });
    socket.once('close', () => signal?.removeEventListener('abort', stop));
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(new NoAnswer(`no ${secure ? 'TLS ' : ''}connection within ${limit} ms`)), limit);
    const onClose = (): void => fail(new Error('the connection was given up'));
    socket.once('error', fail).once('close', onClose);
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      clearTimeout(timer);
      socket.off('error', fail).off('close', onClose);
      resolve(socket);
    });
  });
}

function isAddress(host: string): boolean {
  return /^[\d.]+$/.test(host) || host.includes(':');
}

/** Resolves when something listens; bounded by the patience. */
async function waitForServer(url: URL, options: ServerUrlOptions, signal?: AbortSignal): Promise<void> {
  const until = Date.now() + (options.patience ?? 2000);
  for (;;) {
    try {
      (await dial(url, options, openingLimit, signal)).destroy();
      return;
    } catch (error) {
      if (!isRefused(error) || Date.now() >= until || signal?.aborted === true) throw gone(url, error);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** What went wrong, in words: OpenSSL's own are the last part of a long line, and several addresses that refuse have none. */
function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('reason' in error && typeof error.reason === 'string') return `TLS: ${error.reason}`;
  if (error instanceof AggregateError && error.message === '') return wordsOf(error.errors[0]);
  return error.message || error.name;
}

async function runCase(
  url: URL,
  options: ServerUrlOptions,
  asked: Asked,
  test: Case,
  settings: TargetSettings,
  signal: AbortSignal | undefined,
  presence: Presence,
): Promise<CaseResult> {
  const started = realTime.now();
  const failed = (reason: string, silent = false): CaseResult => handshakeFailed(test, 'server', reason, realTime.now() - started, silent);
  let socket: Socket;
  try {
    socket = await dial(url, options, limitUnder(settings, openingLimit), signal);
  } catch (error) {
    const result = failed(wordsOf(error), error instanceof NoAnswer);
    await (isRefused(error) ? presence.absent() : presence.missed());
    return result;
  }
  const nonce = Buffer.alloc(16);
  seededBytes(seedFor(settings.seed, `${test.id} key`))(nonce);
  const { opening } = test;
  const key = opening?.key ?? nonce.toString('base64');
  const refusable = opening !== null && opening.expect !== 'accepted';
  const first = opening?.pipelined === true ? pipelined(test, 'server', settings.seed) : null;
  const values = { host: asked.host ?? url.host, path: `${url.pathname}${url.search}`, key };
  const request = headOf(asked.addTo(filledIn(opening === null ? requestFor(test.deflate) : opening.lines, values)));
  socket.write(first === null ? request : Buffer.concat([request, first.early]));
  let head: { text: string; rest: Uint8Array };
  try {
    head = await readHead(socket, limitUnder(settings, openingLimit), 'HTTP/');
  } catch (error) {
    // A server that has just ended leaves connections in its backlog, which are reset.
    if (error instanceof HeadCut && error.silent) await presence.missed();
    if (refusable && error instanceof HeadCut) return judgeRefusal(test, null, realTime.now() - started);
    const silent = error instanceof HeadCut ? error.silent : error instanceof NoAnswer;
    return failed(error instanceof Error ? error.message : String(error), silent);
  }
  const parsed = parseHead(head.text);
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(parsed?.startLine ?? '')?.[1];
  if (opening?.expect === 'refused' || (opening?.expect === 'either' && status !== '101')) {
    socket.destroy();
    return status === undefined
      ? failed('no HTTP response')
      : judgeRefusal(test, Number(status), realTime.now() - started, parsed?.fields.get('sec-websocket-version'));
  }
  const wrong = parsed === null ? 'no HTTP response' : checkResponse(parsed, key, asked.subprotocols);
  const deflate = wrong ?? readDeflateAnswer(parsed?.fields.get('sec-websocket-extensions'), test.deflate);
  if (typeof deflate === 'string') {
    socket.destroy();
    return failed(deflate);
  }
  return new Promise((resolve) => {
    const run = new CaseRun(
      first?.rest ?? test,
      { ...settings, role: 'server', scheduler: realTime, deflate },
      socketChannel(socket),
      (result) => resolve(judgeResponse(test, parsed, result)),
    );
    connectSocket(socket, head.rest, run);
    run.start();
  });
}
