/** Clients of an HTTP/2 server that know nothing but `node:http2`, and what else these tests share. */
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type OutgoingHttpHeaders,
  type SecureClientSessionOptions,
} from 'node:http2';
import { FrameParser, type ParsedFrame } from '@ferrywire/core/frame';
import { cleanups } from './suite-helpers.mjs';

export { cleanUp, cleanups, FLOOD, relayTo, WIDE } from './suite-helpers.mjs';

/** A session whose settings have come; closed at the end of the test. */
export async function sessionTo(url: string, options: SecureClientSessionOptions = {}): Promise<ClientHttp2Session> {
  const session = connect(url, options);
  session.on('error', () => {});
  cleanups.push(() => session.destroy());
  await once(session, 'remoteSettings');
  return session;
}

export type Fields = { readonly [name: string]: string | readonly string[] };

/** What an answered request says. */
export interface Answer {
  readonly status: number;
  readonly fields: Fields;
  readonly stream: ClientHttp2Stream;
}

/** One request; resolves with its answer, rejects when the stream closes without one. */
export async function ask(session: ClientHttp2Session, head: OutgoingHttpHeaders, endStream = false): Promise<Answer> {
  const stream = session.request(head, { endStream });
  stream.on('error', () => {});
  return new Promise((resolve, reject) => {
    stream.once('response', (headers) => resolve({ status: Number(headers[':status']), fields: headers as Fields, stream }));
    stream.once('close', () => reject(new Error(`closed with code ${stream.rstCode} and no answer`)));
  });
}

export function connectHead(path = '/', fields: OutgoingHttpHeaders = {}): OutgoingHttpHeaders {
  return {
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': 'https',
    ':authority': 'example.com',
    ':path': path,
    'sec-websocket-version': '13',
    ...fields,
  };
}

export async function bodyOf(stream: ClientHttp2Stream): Promise<string> {
  let body = '';
  for await (const chunk of stream) body += String(chunk);
  return body;
}

/** A WebSocket's stream seen as frames; every wait ends when the stream does. */
export class RawStream {
  readonly stream: ClientHttp2Stream;
  readonly answer: Answer;
  /** Resolves with the code of the reset, 0 for an orderly end, once the stream is closed. */
  readonly closed: Promise<number>;
  ended = false;
  #frames: ParsedFrame[] = [];
  #over = false;
  #wake: (() => void)[] = [];
  readonly #parser = new FrameParser();

  constructor(answer: Answer) {
    const { stream } = answer;
    this.stream = stream;
    this.answer = answer;
    stream.on('data', (chunk: Buffer) => {
      this.#frames.push(...this.#parser.push(chunk));
      this.#notify();
    });
    stream.on('end', () => {
      this.ended = true;
      this.#over = true;
      this.#notify();
    });
    this.closed = new Promise((resolve) => {
      stream.on('close', () => {
        this.#over = true;
        this.#notify();
        resolve(stream.rstCode ?? 0);
      });
    });
  }

  static async open(session: ClientHttp2Session, path = '/', fields: OutgoingHttpHeaders = {}): Promise<RawStream> {
    const answer = await ask(session, connectHead(path, fields));
    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
    return new RawStream(answer);
  }

  write(bytes: Uint8Array): void {
    this.stream.write(bytes);
  }
  /** The next frame; null when the stream ended without one. */
  async frame(): Promise<ParsedFrame | null> {
    while (this.#frames.length === 0 && !this.#over) await new Promise<void>((resolve) => this.#wake.push(resolve));
    return this.#frames.shift() ?? null;
  }
  async text(): Promise<string> {
    const frame = await this.frame();
    return frame === null ? '(ended)' : Buffer.from(frame.payload).toString();
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
