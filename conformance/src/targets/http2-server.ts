/**
 * A server under test over HTTP/2 (RFC 8441): every case is a stream of one session, as browsers have it. The heads are those of `node:http2`,
 * so that cases about the opening handshake of HTTP/1.1 are left out.
 */
import { Buffer } from 'node:buffer';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { Asked } from '../asked.ts';
import type { Case } from '../case.ts';
import { realTime } from '../channel.ts';
import { checkSubprotocol, readDeflateAnswer } from '../handshake.ts';
import { handshakeFailed } from '../judge.ts';
import { checkWait } from '../options.ts';
import type { CaseResult } from '../result.ts';
import { CaseRun } from '../runner.ts';
import { type ActiveTarget, limitUnder, type TargetSettings, TargetUnavailable } from '../target.ts';
import { Presence, parseServerUrl, type ServerUrlOptions } from './server-url.ts';
import { NoAnswer } from './socket.ts';
import { cancel, connectStream, streamChannel } from './stream.ts';

const openingLimit = 5000;
/** REFUSED_STREAM and ENHANCE_YOUR_CALM: the session is busy with other cases (RFC 9113 section 8.7). */
const busy: readonly number[] = [7, 11];

/** MB. Node counts what waits to be sent, and beyond its limit of 10 resets streams whose answer comes. */
const maxSessionMemory = 4096;

class StreamReset extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`the stream was reset with code ${code} before an answer`);
    this.code = code;
  }
}

/** What is asked for is no part of a request over HTTP/2: no subject is to blame. */
class Unaskable extends TargetUnavailable {}

/**
 * Throws as `serverUrl` does.
 * @param unreachable called when a case gets no session; when it rejects the run ends. It ends too when nobody listens any more
 */
export function http2Server(text: string, options: ServerUrlOptions = {}, unreachable?: () => Promise<void>): ActiveTarget {
  const url = parseServerUrl(text);
  const asked = new Asked(options);
  checkWait('patience', options.patience);
  const sessions = new Sessions(url, options);
  const presence = new Presence(url, options, unreachable);
  return {
    kind: 'active',
    name: `${url.href} over HTTP/2`,
    role: 'server',
    virtual: false,
    openings: false,
    open: async (signal) => {
      await presence.begins(signal);
      await sessions.get(openingLimit);
    },
    run: (test, settings) => runCase(url, asked, sessions, test, settings, presence),
    close: async () => {
      sessions.close();
      await presence.ends();
    },
  };
}

/** One session, and another when it has ended. */
class Sessions {
  readonly #url: URL;
  readonly #options: ServerUrlOptions;
  #current: Promise<ClientHttp2Session> | null = null;
  #session: ClientHttp2Session | null = null;
  readonly #opened = new Set<ClientHttp2Session>();

  constructor(url: URL, options: ServerUrlOptions) {
    this.#url = url;
    this.#options = options;
  }

  /** Rejects with TargetUnavailable when the server does not take WebSockets over HTTP/2. */
  get(limit: number): Promise<ClientHttp2Session> {
    if (this.#current === null || this.#session?.closed === true || this.#session?.destroyed === true) this.#current = this.#open(limit);
    return this.#current;
  }
  /** Instead of one that takes no more; its streams go on. */
  another(busySession: ClientHttp2Session, limit: number): Promise<ClientHttp2Session> {
    busySession.close();
    return this.get(limit);
  }
  close(): void {
    for (const session of this.#opened) session.destroy();
    this.#opened.clear();
    this.#session = null;
    this.#current = null;
  }

  #open(limit: number): Promise<ClientHttp2Session> {
    const { ca, rejectUnauthorized = true } = this.#options;
    const origin = `${this.#url.protocol === 'wss:' ? 'https' : 'http'}://${this.#url.host}`;
    const session = connect(origin, { maxSessionMemory, rejectUnauthorized, ...(ca === undefined ? {} : { ca: Buffer.from(ca) }) });
    this.#session = session;
    this.#opened.add(session);
    session.once('close', () => this.#opened.delete(session));
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => {
        clearTimeout(timer);
        session.destroy();
        reject(new TargetUnavailable(`no HTTP/2 at ${this.#url.href}: ${why}`));
      };
      const timer = setTimeout(() => fail(`no settings within ${limit} ms`), limit);
      session.on('error', (error) => fail(error.message));
      session.once('close', () => fail('the session ended'));
      session.once('remoteSettings', ({ enableConnectProtocol }) => {
        clearTimeout(timer);
        if (enableConnectProtocol === true) resolve(session);
        else fail('extended CONNECT is not allowed (RFC 8441 section 3)');
      });
    });
  }
}

async function runCase(
  url: URL,
  asked: Asked,
  sessions: Sessions,
  test: Case,
  settings: TargetSettings,
  presence: Presence,
): Promise<CaseResult> {
  const started = realTime.now();
  const failed = (reason: string, silent = false): CaseResult => handshakeFailed(test, 'server', reason, realTime.now() - started, silent);
  let session: ClientHttp2Session | null = null;
  let stream: ClientHttp2Stream;
  let extensions: string | undefined;
  try {
    const limit = limitUnder(settings, openingLimit);
    const current = await sessions.get(limit);
    session = current;
    ({ stream, extensions } = await ask(current, url, asked, test, limit).catch(async (error: unknown) => {
      if (!(error instanceof StreamReset) || !busy.includes(error.code)) throw error;
      return ask(await sessions.another(current, limit), url, asked, test, limit);
    }));
  } catch (error) {
    if (error instanceof Unaskable) throw error;
    const result = failed(error instanceof Error ? error.message : String(error), error instanceof NoAnswer);
    // A session that ends with the request may be that of a server that has gone.
    if (error instanceof TargetUnavailable || session?.destroyed === true) await presence.absent();
    return result;
  }
  const deflate = readDeflateAnswer(extensions, test.deflate);
  if (typeof deflate === 'string') {
    stream.close(cancel);
    return failed(deflate);
  }
  return new Promise((resolve) => {
    const run = new CaseRun(test, { ...settings, role: 'server', scheduler: realTime, deflate }, streamChannel(stream), resolve);
    connectStream(stream, run);
    run.start();
  });
}

function ask(
  session: ClientHttp2Session,
  url: URL,
  asked: Asked,
  { deflate }: Case,
  limit: number,
): Promise<{ stream: ClientHttp2Stream; extensions: string | undefined }> {
  const head = {
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': url.protocol === 'wss:' ? 'https' : 'http',
    ':authority': asked.host ?? url.host,
    ':path': `${url.pathname}${url.search}`,
    'sec-websocket-version': '13',
    'user-agent': 'ferrywire-conformance',
  };
  const offers = deflate === null ? null : { 'sec-websocket-extensions': deflate.offers.join(', ') };
  let stream: ClientHttp2Stream;
  try {
    stream = session.request({ ...head, ...offers, ...fieldsOf(asked) }, { endStream: false });
  } catch (error) {
    // A field of HTTP/1.1, or the second of one that is there once: only Node's `http2` knows them all.
    if (error instanceof TypeError) throw new Unaskable(`these headers can not be given over HTTP/2: ${error.message}`);
    throw error;
  }
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      clearTimeout(timer);
      if (!stream.closed) stream.close(cancel);
      reject(error);
    };
    const timer = setTimeout(() => fail(new NoAnswer(`no answer within ${limit} ms`)), limit);
    // A reset is told by 'close'.
    stream.on('error', () => {});
    // The runtime has listeners of its own, so ours is taken off by name.
    const onClose = (): void => fail(new StreamReset(stream.rstCode ?? 0));
    stream.once('close', onClose);
    stream.once('response', (headers) => {
      clearTimeout(timer);
      stream.off('close', onClose);
      const status = headers[':status'];
      const answer = headers['sec-websocket-extensions'];
      const subprotocol = headers['sec-websocket-protocol'];
      const wrong = status === 200 ? checkSubprotocol(subprotocol?.toString(), asked.subprotocols) : `the server answered with ${status}`;
      if (wrong === null) resolve({ stream, extensions: answer === undefined ? undefined : String(answer) });
      else fail(new Error(wrong));
    });
  });
}

/** As `node:http2` takes them: in lower case, several of a name as a list. */
function fieldsOf({ fields }: Asked): Record<string, string[]> {
  // Without a prototype: 'constructor' is a name like any other.
  const all: Record<string, string[]> = Object.create(null);
  for (const [name, value] of fields) {
    const key = name.toLowerCase();
    all[key] = [...(all[key] ?? []), value];
  }
  return all;
}
