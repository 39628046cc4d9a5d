/**
 * A server under test at a URL: one TCP or TLS connection per case, over the harness's own handshake.
 */
import { Buffer } from 'node:buffer';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Case } from '../case.ts';
import { realTime } from '../channel.ts';
import { checkResponse, parseHead, readDeflateAnswer, requestFor } from '../handshake.ts';
import { handshakeFailed } from '../judge.ts';
import { seededBytes, seedFor } from '../random.ts';
import type { CaseResult } from '../result.ts';
import { CaseRun } from '../runner.ts';
import { type ActiveTarget, limitUnder, type TargetSettings, TargetUnavailable } from '../target.ts';
import { headOf, judgeRefusal, pipelined } from './opening.ts';
import { connectSocket, NoAnswer, readHead, socketChannel } from './socket.ts';

export interface ServerUrlOptions {
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

export function serverUrl(text: string, options: ServerUrlOptions = {}): ActiveTarget {
  const url = parseServerUrl(text);
  return {
    kind: 'active',
    name: url.href,
    role: 'server',
    virtual: false,
    open: () => waitForServer(url, options),
    run: (test, settings) => runCase(url, options, test, settings),
    close: async () => {},
  };
}

/** Rejects with NoAnswer when there is no connection (for wss no secure one) within the limit. */
function dial(url: URL, options: ServerUrlOptions, limit: number): Promise<Socket> {
  const secure = url.protocol === 'wss:';
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = Number(url.port || (secure ? 443 : 80));
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
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(new NoAnswer(`no ${secure ? 'TLS ' : ''}connection within ${limit} ms`)), limit);
    socket.once('error', fail);
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      clearTimeout(timer);
      socket.off('error', fail);
      resolve(socket);
    });
  });
}

function isAddress(host: string): boolean {
  return /^[\d.]+$/.test(host) || host.includes(':');
}

/** Resolves when something listens; bounded by the patience. */
export async function waitForServer(url: URL, options: ServerUrlOptions): Promise<void> {
  const until = Date.now() + (options.patience ?? 2000);
  for (;;) {
    try {
      (await dial(url, options, openingLimit)).destroy();
      return;
    } catch (error) {
      const message = wordsOf(error);
      const refused = error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
      if (!refused || Date.now() >= until) throw new TargetUnavailable(`no server at ${url.href}: ${message}`);
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

async function runCase(url: URL, options: ServerUrlOptions, test: Case, settings: TargetSettings): Promise<CaseResult> {
  const started = realTime.now();
  const failed = (reason: string, silent = false): CaseResult => handshakeFailed(test, 'server', reason, realTime.now() - started, silent);
  let socket: Socket;
  try {
    socket = await dial(url, options, limitUnder(settings, openingLimit));
  } catch (error) {
    return failed(wordsOf(error), error instanceof NoAnswer);
  }
  const nonce = Buffer.alloc(16);
  seededBytes(seedFor(settings.seed, `${test.id} key`))(nonce);
  const key = nonce.toString('base64');
  const { opening } = test;
  const first = opening?.pipelined === true ? pipelined(test, 'server', settings.seed) : null;
  if (opening === null) socket.write(requestFor(url, key, test.deflate));
  else {
    const request = headOf(opening.lines, { host: url.host, path: `${url.pathname}${url.search}`, key });
    socket.write(first === null ? request : Buffer.concat([request, first.early]));
  }
  let head: { text: string; rest: Uint8Array };
  try {
    head = await readHead(socket, limitUnder(settings, openingLimit));
  } catch (error) {
    if (opening?.expect === 'refused' && socket.readableEnded) return judgeRefusal(test, null, realTime.now() - started);
    return failed(error instanceof Error ? error.message : String(error), error instanceof NoAnswer);
  }
  const parsed = parseHead(head.text);
  if (opening?.expect === 'refused') {
    socket.destroy();
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(parsed?.startLine ?? '')?.[1];
    return status === undefined ? failed('no HTTP response') : judgeRefusal(test, Number(status), realTime.now() - started);
  }
  const wrong = parsed === null ? 'no HTTP response' : checkResponse(parsed, key);
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
      resolve,
    );
    connectSocket(socket, head.rest, run);
    run.start();
  });
}
