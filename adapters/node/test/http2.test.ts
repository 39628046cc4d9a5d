/** `attach` on HTTP/2 servers (RFC 8441), alone, beside HTTP/1.1 on one TLS port, and beside other listeners. */
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  constants,
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type Http2ServerResponse,
  type Http2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { EndInfo, Extension, ServerExtension } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';
import { clientDeflate, serverDeflate } from '@ferrywire/deflate';
import {
  type Attached,
  type AttachOptions,
  attach,
  connect,
  type Peer,
  type PeerHandlers,
  type PendingRequest,
  transportOf,
} from '@ferrywire/node';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { uncaughtDuring } from '../../../test/uncaught.ts';
import { certificate } from './certificate.ts';
import { ACCEPT, closeFrame, deferred, KEY, masked, text } from './helpers.ts';
import { ask, bodyOf, cleanUp, cleanups, connectHead, FLOOD, RawStream, relayTo, sessionTo, WIDE } from './http2-helpers.ts';

afterEach(cleanUp);

/** Of ES2024, and in every runtime. */
const Resizable = ArrayBuffer as unknown as new (
  size: number,
  options: { readonly maxByteLength: number },
) => ArrayBuffer & { resize(size: number): void };

const echo: PeerHandlers = { onMessage: (peer, data) => void peer.send(data) };

interface Served {
  readonly server: Http2Server | Http2SecureServer;
  readonly port: number;
  readonly url: string;
  readonly sessions: Set<Http2Session>;
}

async function serve(server: Http2Server | Http2SecureServer = createServer(), secure = false): Promise<Served> {
  const sessions = new Set<Http2Session>();
  (server as Http2Server).on('session', (session) => sessions.add(session));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    for (const session of sessions) session.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { server, port, url: `${secure ? 'https://localhost' : 'http://127.0.0.1'}:${port}`, sessions };
}
function attachTo(server: Http2Server | Http2SecureServer, options: AttachOptions = {}): Attached {
  const attached = attach(server, { handlers: echo, ...options });
  cleanups.push(() => attached.close({ deadline: 0 }));
  return attached;
}
/** A server with one attachment, and a raw session to it. */
async function start(options: AttachOptions = {}) {
  const served = await serve();
  const attached = attachTo(served.server, options);
  const session = await sessionTo(served.url);
  return { ...served, attached, session };
}
/** Handlers that tell how the next connection ended. */
function ending(handlers: PeerHandlers = echo): {
  readonly handlers: PeerHandlers;
  readonly ended: Promise<EndInfo>;
  readonly opened: Promise<Peer>;
} {
  const ended = deferred<EndInfo>();
  const opened = deferred<Peer>();
  return {
    handlers: {
      ...handlers,
      onOpen(peer, opening) {
        handlers.onOpen?.(peer, opening);
        opened.resolve(peer);
      },
      onEnd: (_peer, info) => ended.resolve(info),
    },
    ended: ended.promise,
    opened: opened.promise,
  };
}

/** The transforms of an extension that leaves every message alone. */
const idle = {
  inbound: () => ({ begin: () => false, push: () => ({ consumed: 0, status: 'need' }), finish: () => 'need' }),
  outbound: () => ({ cacheKey: null, begin: () => 0, push: () => ({ consumed: 0, status: 'need' }) }),
} satisfies Pick<Extension, 'inbound' | 'outbound'>;

describe('the handshake', () => {
  it('answers an extended CONNECT with 200 and no accept, and echoes', async () => {
    const { session, attached } = await start({ policy: { subprotocols: ['chat'] } });
    const client = await RawStream.open(session, '/room?x=1', { 'sec-websocket-key': KEY, 'sec-websocket-protocol': 'chat, other' });
    expect(client.answer.fields['sec-websocket-accept']).toBeUndefined();
    expect(client.answer.fields['sec-websocket-protocol']).toBe('chat');
    client.write(text('hello'));
    expect(await client.text()).toBe('hello');
    client.write(masked({ opcode: 2, payload: Uint8Array.of(0, 255) }));
    expect((await client.frame())?.payload).toEqual(Uint8Array.of(0, 255));
    expect(attached.peers.size).toBe(1);
  });

  it('turns on the setting that allows it', async () => {
    const { session } = await start();
    expect(session.remoteSettings.enableConnectProtocol).toBe(true);
  });

  it('answers a key with an accept where h2Accept says so', async () => {
    const { session } = await start({ policy: { h2Accept: true } });
    const client = await RawStream.open(session, '/', { 'sec-websocket-key': KEY });
    expect(client.answer.fields['sec-websocket-accept']).toBe(ACCEPT);
  });

  it('shows the request as it came, repeated fields and pseudo-header fields', async () => {
    const asked = deferred<PendingRequest>();
    const { session } = await start({
      handlers: {
        onRequest(pending) {
          asked.resolve(pending);
          pending.accept();
        },
      },
    });
    await RawStream.open(session, '/a?b=%20', { 'x-twice': ['1', '2'] });
    const { request, isWebSocket, transport } = await asked.promise;
    expect(request).toMatchObject({
      method: 'CONNECT',
      target: '/a?b=%20',
      httpVersion: '2',
      authority: 'example.com',
      scheme: 'https',
      protocol: 'websocket',
    });
    expect(request.headers).toEqual([
      ['sec-websocket-version', '13'],
      ['x-twice', '1'],
      ['x-twice', '2'],
    ]);
    expect(isWebSocket).toBe(true);
    const { remoteAddress, remotePort, encrypted, incoming } = transportOf({ transport });
    expect([remoteAddress, typeof remotePort, encrypted, incoming]).toEqual(['127.0.0.1', 'number', false, null]);
  });

  const refusals: readonly (readonly [
    what: string,
    path: string,
    fields: Record<string, string>,
    status: number,
    field: [string, string] | null,
  ])[] = [
    ['another version with 400, not 426', '/', { 'sec-websocket-version': '8' }, 400, ['sec-websocket-version', '13']],
    ['a path that is not served with 404', '/elsewhere', {}, 404, null],
    ['an origin that is not allowed with 403', '/', { origin: 'https://evil.example' }, 403, null],
    ['another protocol with 501', '/', { ':protocol': 'connect-udp' }, 501, null],
    ['a malformed extension field with 400', '/', { 'sec-websocket-extensions': 'a;;b' }, 400, null],
    ['a body with 400', '/', { 'content-length': '5' }, 400, null],
    ['a length of 0, which leaves no frame any room, with 400', '/', { 'content-length': '0' }, 400, null],
  ];
  for (const [what, path, fields, status, field] of refusals) {
    it(`refuses ${what}`, async () => {
      const { session } = await start({ policy: { path: '/', origins: ['https://good.example', null] } });
      const answer = await ask(session, connectHead(path, fields));
      expect(answer.status).toBe(status);
      if (field !== null) expect(answer.fields[field[0]]).toBe(field[1]);
      expect(answer.fields.connection).toBeUndefined();
      const body = await bodyOf(answer.stream);
      expect(body).toMatch(/^.+\n$/);
      expect(answer.fields['content-length']).toBe(String(body.length));
      answer.stream.close();
    });
  }

  it('bounds the head as over HTTP/1.1', async () => {
    const asked: string[] = [];
    const { session } = await start({
      http: { maxLineLength: 100, maxHeaderCount: 5, maxHeadSize: 300 },
      handlers: {
        onRequest(pending) {
          asked.push(pending.request.target);
          pending.accept();
        },
      },
    });
    const many = Object.fromEntries(Array.from({ length: 5 }, (_, index) => [`x-${index}`, '1']));
    const long = Object.fromEntries(Array.from({ length: 4 }, (_, index) => [`x-${index}`, 'v'.repeat(90)]));
    const statuses: number[] = [];
    for (const [path, fields] of [
      [`/${'p'.repeat(100)}`, {}],
      ['/', { 'x-long': 'v'.repeat(100) }],
      ['/many', many],
      ['/long', long],
      ['/fits', { 'x-long': 'v'.repeat(90) }],
    ] as const) {
      const { status, stream } = await ask(session, connectHead(path, fields));
      statuses.push(status);
      stream.close(8);
    }
    expect(statuses).toEqual([414, 431, 431, 431, 200]);
    expect(asked).toEqual(['/fits']);
  });

  it('negotiates permessage-deflate', async () => {
    const { port, attached } = await start({ policy: { extensions: [serverDeflate({ threshold: 0 })] } });
    const answered = deferred<string | Uint8Array>();
    const peer = await connect(`ws://127.0.0.1:${port}/`, {
      http2: true,
      extensions: [clientDeflate({ threshold: 0 })],
      handlers: { onMessage: (_peer, data) => answered.resolve(data) },
    });
    expect(peer.connection.extensions.map(({ name }) => name)).toEqual(['permessage-deflate']);
    peer.send('squeeze '.repeat(1000));
    expect(await answered.promise).toBe('squeeze '.repeat(1000));
    const [served] = attached.peers;
    expect(served?.connection.stats.bytesIn).toBeLessThan(1000);
  });
});

describe('deciding', () => {
  it('waits for the application', async () => {
    const asked = deferred<PendingRequest>();
    const { session } = await start({ handlers: { ...echo, onRequest: (pending) => asked.resolve(pending) } });
    const opening = RawStream.open(session);
    (await asked.promise).accept({ headers: [['x-seen', 'yes']] });
    const client = await opening;
    expect(client.answer.fields['x-seen']).toBe('yes');
    client.write(text('later'));
    expect(await client.text()).toBe('later');
  });

  it('answers 500 at once when the handler or the policy throws', async () => {
    const fails = (): never => {
      throw new Error('undecided');
    };
    for (const how of [{ handlers: { onRequest: fails } }, { handlers: echo, policy: { path: fails } }]) {
      const { session } = await start(how);
      const thrown = await uncaughtDuring(async () => {
        expect((await ask(session, connectHead())).status).toBe(500);
      });
      expect(thrown).toEqual(['Error: undecided']);
    }
  });

  it('takes no 2xx for a refusal of a CONNECT, which it would accept (RFC 8441 section 5)', async () => {
    const mistakes: unknown[] = [];
    const { session } = await start({
      handlers: {
        onRequest(pending) {
          for (const refuse of [() => pending.reject(204), () => pending.startRejection(200)]) {
            try {
              refuse();
            } catch (mistake) {
              mistakes.push(mistake);
            }
          }
          pending.reject(303);
        },
      },
    });
    expect((await ask(session, connectHead())).status).toBe(303);
    expect(mistakes.map((mistake) => mistake instanceof RangeError && mistake.message.startsWith('status '))).toEqual([true, true]);
  });

  it('traces the request and its answer', async () => {
    const lines: string[] = [];
    const { session } = await start({ policy: { path: '/here' }, onTrace: ({ text: line }) => void lines.push(line) });
    await RawStream.open(session, '/here');
    expect((await ask(session, connectHead('/there'))).status).toBe(404);
    expect(lines).toEqual(['< CONNECT /here HTTP/2', '> HTTP/2 200', '< CONNECT /there HTTP/2', '> HTTP/2 404']);
  });

  it('rejects with a status, a body and fields', async () => {
    const refused = deferred<readonly unknown[]>();
    const { session } = await start({
      handlers: {
        onRequest: (pending) =>
          pending.reject(401, 'who are you?', [
            ['WWW-Authenticate', 'Basic'],
            ['Set-Cookie', 'a=1'],
            ['Set-Cookie', 'b=2'],
            ['Set-Cookie', 'c=3'],
            // Node would throw for these.
            ['Connection', 'close'],
            ['Keep-Alive', 'timeout=5'],
            ['Proxy-Connection', 'close'],
            ['Upgrade', 'h2c'],
          ]),
        onRefused: (...what) => refused.resolve(what),
      },
    });
    const answer = await ask(session, connectHead());
    expect([answer.status, answer.fields['www-authenticate'], answer.fields['set-cookie']]).toEqual([401, 'Basic', ['a=1', 'b=2', 'c=3']]);
    for (const name of ['connection', 'keep-alive', 'proxy-connection', 'upgrade']) expect(answer.fields[name]).toBeUndefined();
    expect(await bodyOf(answer.stream)).toBe('who are you?');
    expect(await refused.promise).toEqual([401, 'WS_HS_STATUS']);
  });

  it('writes the body of a rejection in pieces, no more and no less than it said', async () => {
    const refused: unknown[] = [];
    const { session } = await start({
      handlers: {
        onRequest(pending) {
          const writer = pending.startRejection(503, [['Content-Length', '6']]);
          expect(() => writer.write('abc' as unknown as Uint8Array)).toThrow(TypeError);
          expect(writer.write(Buffer.from('abc'))).toBe(true);
          expect(() => writer.end()).toThrow(RangeError);
          expect(() => writer.write(Buffer.from('defg'))).toThrow(RangeError);
          writer.write(Buffer.from('def'));
          writer.end();
          writer.end();
          expect(writer.write(Buffer.from('x'))).toBe(false);
          // It has been answered.
          const late = pending.startRejection(403);
          expect(late.write(Buffer.from('x'))).toBe(false);
          late.end();
        },
        onRefused: (...what) => void refused.push(what),
      },
    });
    const answer = await ask(session, connectHead());
    expect([answer.status, answer.fields['content-length'], await bodyOf(answer.stream)]).toEqual([503, '6', 'abcdef']);
    expect(refused).toEqual([[503, 'WS_HS_STATUS']]);
  });

  it('ends the stream behind the body of a rejection, whether it was taken before end() or not', async () => {
    for (const early of [true, false]) {
      const rejecting = deferred<ReturnType<PendingRequest['startRejection']>>();
      const { session } = await start({
        // Else the deadline would end it.
        timeouts: { closing: 0 },
        handlers: {
          onRequest(pending) {
            const writer = pending.startRejection(503);
            writer.write(Buffer.from('abc'));
            if (early) writer.end();
            rejecting.resolve(writer);
          },
        },
      });
      const { stream } = await ask(session, connectHead());
      const [piece] = (await once(stream, 'data')) as [Buffer];
      (await rejecting.promise).end();
      await once(stream, 'end');
      expect(piece.toString()).toBe('abc');
    }
  });

  it('tells of a refusal by the policy', async () => {
    const refused: unknown[] = [];
    const { session } = await start({
      policy: { hosts: ['other.example'] },
      handlers: { onRefused: (...what) => void refused.push(what) },
    });
    const { status, stream } = await ask(session, connectHead());
    await bodyOf(stream);
    expect(refused).toEqual([[status, expect.stringMatching(/^WS_HS_/)]]);
  });

  it('drops a client that takes nothing of a rejection, however much is written', async () => {
    const refused = deferred<readonly unknown[]>();
    const stopped = deferred();
    const { session } = await start({
      timeouts: { closing: 100 },
      handlers: {
        onRequest(pending) {
          const writer = pending.startRejection(403);
          writer.write(new Uint8Array(100_000));
          const timer = setInterval(() => {
            if (!writer.write(new Uint8Array(100))) stopped.resolve();
          }, 10);
          cleanups.push(() => clearInterval(timer));
        },
        onRefused: (...what) => refused.resolve(what),
      },
    });
    const { stream } = await ask(session, connectHead());
    const closed = once(stream, 'close');
    expect(await refused.promise).toEqual([403, 'WS_HS_TIMEOUT']);
    await stopped.promise;
    stream.resume();
    await closed;
    expect(stream.rstCode).toBe(8);
  });

  for (const way of ['reject', 'startRejection'] as const) {
    it(`keeps a client that takes the body of a refusal slowly (${way})`, async () => {
      const body = new Uint8Array(600_000);
      const { session } = await start({
        timeouts: { closing: 1200 },
        handlers: {
          onRequest(pending) {
            if (way === 'reject') pending.reject(403, body);
            else {
              const writer = pending.startRejection(403);
              writer.write(body);
              writer.end();
            }
          },
        },
      });
      const { stream } = await ask(session, connectHead());
      let taken = 0;
      stream.on('data', (chunk: Uint8Array) => {
        taken += chunk.length;
        stream.pause();
      });
      // A read of at most 16 KiB at a time: the whole takes longer than the deadline, no part of it does.
      const timer = setInterval(() => stream.resume(), 30);
      cleanups.push(() => clearInterval(timer));
      // Not 'end', which one that is reset may never say.
      await once(stream, 'close');
      expect(taken).toBe(body.length);
    });
  }

  it('resets when the body of a refusal was transferred before it was taken', async () => {
    const { session } = await start({
      handlers: {
        onRequest(pending) {
          const body = new Uint8Array(500_000);
          pending.reject(403, body);
          structuredClone(body.buffer, { transfer: [body.buffer] });
        },
      },
    });
    const { stream } = await ask(session, connectHead());
    stream.resume();
    await new Promise((resolve) => stream.once('close', resolve));
    expect(stream.rstCode).toBe(2);
  });

  it('resets when the buffer of a refusal was resized before it was taken', async () => {
    for (const size of [100, 400_000]) {
      const { session } = await start({
        handlers: {
          onRequest(pending) {
            const buffer = new Resizable(500_000, { maxByteLength: 500_000 });
            pending.reject(403, new Uint8Array(buffer));
            buffer.resize(size);
          },
        },
      });
      // The answer itself may be lost with it.
      const stream = session.request(connectHead(), { endStream: false });
      stream.on('error', () => {}).resume();
      await new Promise((resolve) => stream.once('close', resolve));
      expect(stream.rstCode).toBe(2);
    }
  });

  it('checks what it is given to say', async () => {
    const thrown: unknown[] = [];
    const { session } = await start({
      handlers: {
        onRequest(pending) {
          for (const mistake of [
            () => pending.reject(99),
            () => pending.reject(204, 'body'),
            () => pending.reject(400, '', [['a b', 'c']]),
            () => pending.reject(400, [1] as unknown as Uint8Array),
          ]) {
            try {
              mistake();
            } catch (error) {
              thrown.push((error as Error).name);
            }
          }
          pending.reject(400);
        },
      },
    });
    expect((await ask(session, connectHead())).status).toBe(400);
    expect(thrown).toEqual(['RangeError', 'TypeError', 'TypeError', 'TypeError']);
  });

  it('is told when the client resets before the answer', async () => {
    const asked = deferred<PendingRequest>();
    const refused = deferred<readonly unknown[]>();
    const { session, attached } = await start({
      handlers: { onRequest: (pending) => asked.resolve(pending), onRefused: (...what) => refused.resolve(what) },
    });
    const stream = session.request(connectHead(), { endStream: false });
    stream.on('error', () => {});
    const pending = await asked.promise;
    stream.close(8);
    expect(await refused.promise).toEqual([0, 'WS_HS_EOF']);
    expect(pending.accept()).toBe(false);
    pending.reject(400);
    expect(attached.peers.size).toBe(0);
  });

  it('gives up at the opening deadline with 408', async () => {
    const refused = deferred<readonly unknown[]>();
    const { session } = await start({
      timeouts: { opening: 30 },
      handlers: { onRequest: () => {}, onRefused: (...what) => refused.resolve(what) },
    });
    expect((await ask(session, connectHead())).status).toBe(408);
    expect(await refused.promise).toEqual([408, 'WS_HS_TIMEOUT']);
  });

  it('drops a client that does not end a stream that was refused', async () => {
    const refused: unknown[] = [];
    const handlers: PeerHandlers = { onRefused: (...what) => void refused.push(what) };
    const { session } = await start({ policy: { path: '/here' }, timeouts: { closing: 30 }, handlers });
    const { stream, status } = await ask(session, connectHead('/there'));
    expect(status).toBe(404);
    stream.resume();
    await once(stream, 'close');
    expect(stream.rstCode).toBe(8);
    expect(refused).toEqual([[404, 'WS_HS_PATH']]);
  });
});

describe('the stream', () => {
  it('ends in order: close frames, then END_STREAM from the server first', async () => {
    const { handlers, ended } = ending();
    const { session, attached } = await start({ handlers });
    const client = await RawStream.open(session);
    client.write(closeFrame(1000, 'bye'));
    const frame = await client.frame();
    expect([frame?.header.opcode, Buffer.from(frame?.payload ?? []).readUInt16BE(0)]).toEqual([8, 1000]);
    expect(await client.frame()).toBeNull();
    expect(client.ended).toBe(true);
    client.stream.end();
    expect(await client.closed).toBe(0);
    expect(await ended).toMatchObject({ clean: true, code: 1000, reason: 'bye', cause: null });
    expect(attached.peers.size).toBe(0);
    expect(session.destroyed).toBe(false);
  });

  it('tells END_STREAM without a close frame', async () => {
    const { handlers, ended } = ending();
    const { session } = await start({ handlers });
    const client = await RawStream.open(session);
    client.stream.end(text('last'));
    expect(await client.text()).toBe('last');
    expect(await ended).toMatchObject({ clean: false, code: 1006, cause: { code: 'WS_EOF' } });
  });

  it('tells a reset, although it shows as an end first', async () => {
    const { handlers, ended, opened } = ending();
    const { session } = await start({ handlers });
    const client = await RawStream.open(session);
    const peer = await opened;
    client.stream.close(8);
    expect(await ended).toMatchObject({ clean: false, code: 1006, cause: { code: 'WS_TRANSPORT' } });
    expect(peer.send('too late')).toBe(false);
  });

  it('resets with CANCEL when it is aborted', async () => {
    const { handlers, ended, opened } = ending();
    const { session } = await start({ handlers });
    const client = await RawStream.open(session);
    (await opened).abort();
    expect(await client.closed).toBe(8);
    expect(await ended).toMatchObject({ clean: false, cause: { code: 'WS_ABORTED' } });
  });

  it('aborts although the client reads nothing', async () => {
    const { handlers, ended, opened } = ending({ ...echo, onOpen: (peer) => void peer.send(new Uint8Array(500_000)) });
    const { session, attached } = await start({ handlers });
    const { stream } = await ask(session, connectHead());
    const peer = await opened;
    expect(peer.writable).toBe(false);
    peer.abort();
    await ended;
    stream.resume();
    await once(stream, 'close');
    expect(attached.peers.size).toBe(0);
  });

  it('fails a frame without a mask with 1002 and ends', async () => {
    const { handlers, ended } = ending();
    const { session } = await start({ handlers });
    const client = await RawStream.open(session);
    client.write(Uint8Array.of(0x81, 1, 65));
    const frame = await client.frame();
    expect(Buffer.from(frame?.payload ?? []).readUInt16BE(0)).toBe(1002);
    expect(await client.frame()).toBeNull();
    client.stream.end();
    expect(await ended).toMatchObject({ cause: { code: 'WS_MASK_REQUIRED' } });
  });

  it('loses all its connections with the session, and says so to each', async () => {
    const ends: EndInfo[] = [];
    const all = deferred();
    const { session, attached } = await start({ handlers: { onEnd: (_peer, info) => void (ends.push(info) === 3 && all.resolve()) } });
    for (let index = 0; index < 3; index++) await RawStream.open(session);
    session.destroy();
    await all.promise;
    expect(ends.map(({ clean, code }) => [clean, code])).toEqual([
      [false, 1006],
      [false, 1006],
      [false, 1006],
    ]);
    expect(attached.peers.size).toBe(0);
  });

  it('goes on after a GOAWAY', async () => {
    const { handlers, opened } = ending();
    const { session, sessions } = await start({ handlers });
    const client = await RawStream.open(session);
    await opened;
    for (const served of sessions) served.close();
    await once(session, 'goaway');
    client.write(text('still here'));
    expect(await client.text()).toBe('still here');
    client.write(closeFrame(1000));
    await client.frame();
    client.stream.end();
    expect(await client.closed).toBe(0);
  });

  it('gives the same answers however the bytes are cut', async () => {
    const { session } = await start();
    const messages = ['', 'a', 'é水\u{1f6a2}', 'x'.repeat(200), 'y'.repeat(70_000)];
    const bytes = Buffer.concat([...messages.map(text), closeFrame(1000)]);
    const cuts = fc.array(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(cuts, async (places) => {
        const client = await RawStream.open(session);
        let from = 0;
        for (const to of [...new Set(places), bytes.length].sort((a, b) => a - b)) {
          client.write(bytes.subarray(from, to));
          from = to;
        }
        for (const message of messages) expect(await client.text()).toBe(message);
        expect((await client.frame())?.header.opcode).toBe(8);
        client.stream.end();
        expect(await client.closed).toBe(0);
      }),
      { numRuns: 25 },
    );
  });

  it('keeps nothing half open when onOpen throws', async () => {
    const thrown = deferred<unknown>();
    const { handlers, ended } = ending({
      onOpen: () => {
        throw new Error('mistake');
      },
      onError: (peer, error) => {
        thrown.resolve(error);
        peer.close(1011);
      },
    });
    const { session, attached } = await start({ handlers });
    const client = await RawStream.open(session);
    expect(await thrown.promise).toMatchObject({ message: 'mistake' });
    const frame = await client.frame();
    expect(Buffer.from(frame?.payload ?? []).readUInt16BE(0)).toBe(1011);
    client.write(closeFrame(1011));
    client.stream.end();
    expect(await ended).toMatchObject({ clean: true });
    expect(attached.peers.size).toBe(0);
  });
});

describe('flow control', () => {
  it('holds back a client whose messages nobody takes, and nobody else on its session', async () => {
    const { handlers, opened } = ending();
    const { session } = await start({ handlers, limits: { maxMessageSize: 16_777_216 } });
    const blocked = await RawStream.open(session);
    const peer = await opened;
    peer.pause();
    const message = masked({ opcode: 2, payload: new Uint8Array(3_000_000) });
    let written = false;
    blocked.stream.write(message, () => {
      written = true;
    });
    const other = await RawStream.open(session);
    for (let round = 0; round < 20; round++) {
      other.write(text(`round ${round}`));
      expect(await other.text()).toBe(`round ${round}`);
    }
    expect(written).toBe(false);
    peer.resume();
    expect((await blocked.frame())?.payload.length).toBe(3_000_000);
    expect(written).toBe(true);
  });

  it('stalls when its client reads nothing, drains when it does, and loses nothing', async () => {
    const drained = deferred();
    const { handlers, opened } = ending({ onDrain: () => drained.resolve() });
    const { session } = await start({ handlers });
    const { stream } = await ask(session, connectHead());
    const peer = await opened;
    let sent = 0;
    while (peer.writable && sent < 1000) {
      peer.send(new Uint8Array(10_000).fill(sent++ % 251));
      await new Promise(setImmediate);
    }
    expect(peer.writable).toBe(false);
    expect(peer.bufferedAmount).toBeGreaterThan(0);
    const client = new RawStream({ status: 200, fields: {}, stream });
    for (let index = 0; index < sent; index++) expect((await client.frame())?.payload[9999]).toBe(index % 251);
    await drained.promise;
    expect(peer.bufferedAmount).toBe(0);
  });
});

describe('a client that reads nothing', () => {
  /** Two connections on a session whose client takes nothing more of what has been sent on the first. */
  async function stopped(options: AttachOptions = {}) {
    const ends: EndInfo[] = [];
    const ended = deferred();
    const opened: Peer[] = [];
    const served = await serve();
    const attached = attachTo(served.server, {
      ...options,
      handlers: {
        ...echo,
        onOpen: (peer) => void opened.push(peer),
        onEnd(_peer, info) {
          ends.push(info);
          ended.resolve();
        },
      },
    });
    const relay = await relayTo(served.port);
    const session = await sessionTo(`http://127.0.0.1:${relay.port}`, { settings: { initialWindowSize: WIDE } });
    session.setLocalWindowSize(WIDE);
    const first = await RawStream.open(session);
    const second = await RawStream.open(session);
    const peer = opened[0] as Peer; // both are open
    relay.stop();
    peer.send(new Uint8Array(FLOOD));
    peer.driver.pump();
    expect(peer.writable).toBe(false);
    const gone = once(transportOf(peer).socket, 'close');
    return { attached, relay, first, second, peer, ends, ended: ended.promise, gone };
  }

  it('does not hold up close()', async () => {
    const { attached, ends } = await stopped();
    await attached.close({ deadline: 20 });
    expect(attached.peers.size).toBe(0);
    expect(ends.map(({ cause }) => cause?.code)).toEqual(['WS_ABORTED', 'WS_ABORTED']);
  });

  it('is let go by abort(); once it reads again it finds the reset, and its other stream as it was', async () => {
    const { attached, relay, first, second, peer, ends, gone } = await stopped();
    second.write(text('still here'));
    peer.abort();
    await gone;
    expect(attached.peers.size).toBe(1);
    relay.go();
    expect(await first.closed).toBe(8);
    expect(await second.text()).toBe('still here');
    expect(ends).toMatchObject([{ clean: false, code: 1006, cause: { code: 'WS_ABORTED' } }]);
  });

  it('is let go at the closing deadline', async () => {
    const { attached, peer, ends, gone } = await stopped({ timeouts: { closing: 30 } });
    peer.close(1000);
    await gone;
    expect(attached.peers.size).toBe(1);
    expect(ends).toMatchObject([{ clean: false, cause: { code: 'WS_TIMEOUT_CLOSING' } }]);
  });
});

describe('many on one session', () => {
  it('serves a hundred, each its own', async () => {
    let left = 100;
    const gone = deferred();
    const { session, attached } = await start({ handlers: { ...echo, onEnd: () => void (--left === 0 && gone.resolve()) } });
    const clients = await Promise.all(Array.from({ length: 100 }, (_, index) => RawStream.open(session, `/${index}`)));
    expect(attached.peers.size).toBe(100);
    for (const [index, client] of clients.entries()) client.write(text(`to ${index}`));
    for (const [index, client] of clients.entries()) expect(await client.text()).toBe(`to ${index}`);
    for (const client of clients) client.write(closeFrame(1000));
    for (const client of clients) {
      await client.frame();
      client.stream.end();
      expect(await client.closed).toBe(0);
    }
    await gone.promise;
  });
});

describe('beside others', () => {
  it('serves both versions on one TLS port, and leaves plain requests of both to the server', async () => {
    const { cert, key } = await certificate();
    const server = createSecureServer({ cert, key, allowHTTP1: true }, (request, response) =>
      response.end(`page over ${request.httpVersion}`),
    );
    const { port, url } = await serve(server, true);
    const encrypted: unknown[] = [];
    const attached = attachTo(server, { handlers: { ...echo, onOpen: (peer) => void encrypted.push(transportOf(peer).encrypted) } });

    const session = await sessionTo(url, { ca: cert });
    const modern = await RawStream.open(session);
    modern.write(text('over 2'));
    expect(await modern.text()).toBe('over 2');
    const page = await ask(session, { ':path': '/' }, true);
    expect(await bodyOf(page.stream)).toBe('page over 2.0');

    const classic = await connect(`wss://localhost:${port}/`, { tls: { ca: cert } });
    expect(attached.peers.size).toBe(2);
    expect(encrypted).toEqual([true, true]);
    const answer = await new Promise<string>((resolve, reject) => {
      get(`https://localhost:${port}/`, { ca: cert, agent: false }, (response) => {
        response.setEncoding('utf8').once('data', resolve);
      }).once('error', reject);
    });
    expect(answer).toBe('page over 1.1');
    classic.abort();
  });

  it('is not answered with 405 by the listener for requests, whichever came first', async () => {
    for (const first of ['request', 'attach']) {
      const server = createServer();
      if (first === 'request') server.on('request', (_request, response) => response.end('page'));
      attachTo(server);
      if (first === 'attach') server.on('request', (_request, response) => response.end('page'));
      const { url } = await serve(server);
      const session = await sessionTo(url);
      const client = await RawStream.open(session);
      client.write(text(first));
      expect(await client.text()).toBe(first);
      const page = await ask(session, { ':path': '/' }, true);
      expect(await bodyOf(page.stream)).toBe('page');
      const plain = await ask(session, { ':method': 'CONNECT', ':authority': 'example.com:80' });
      expect(plain.status).toBe(405);
      plain.stream.close();
    }
  });

  it('shares a server with other attachments by path, and refuses what none of them serves', async () => {
    const { server, url } = await serve();
    const one = attachTo(server, { policy: { path: '/one' } });
    const two = attachTo(server, { policy: { path: '/two' } });
    const session = await sessionTo(url);
    await RawStream.open(session, '/two');
    await RawStream.open(session, '/one');
    expect([one.peers.size, two.peers.size]).toEqual([1, 1]);
    expect((await ask(session, connectHead('/three'))).status).toBe(404);
    two.detach();
    expect((await ask(session, connectHead('/two'))).status).toBe(404);
  });

  it('leaves what it does not serve to another listener, for as long as the opening deadline', async () => {
    const { server, url } = await serve();
    attachTo(server, { policy: { path: '/ours' }, timeouts: { opening: 50 } });
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      if (headers[':path'] === '/theirs') setImmediate(() => stream.respond({ ':status': 202 }, { endStream: true }));
    });
    const session = await sessionTo(url);
    expect((await ask(session, connectHead('/theirs'))).status).toBe(202);
    expect((await ask(session, connectHead('/nobodys'))).status).toBe(404);
    const client = await RawStream.open(session, '/ours');
    client.write(text('ours'));
    expect(await client.text()).toBe('ours');
  });

  it("refuses at once what it does not serve where Node's own listener for requests is the only other one", async () => {
    const server = createServer((_request, response) => response.end('page'));
    attachTo(server, { policy: { path: '/ours' }, timeouts: { opening: 0 } });
    const { url } = await serve(server);
    expect((await ask(await sessionTo(url), connectHead('/nobodys'))).status).toBe(404);
  });

  it("leaves what it does not serve to another listener for 'connect'", async () => {
    const server = createServer((_request, response) => response.end('page'));
    attachTo(server, { policy: { path: '/ours' } });
    server.on('connect', (_request, response: Http2ServerResponse) => void setImmediate(() => response.writeHead(202).end()));
    const { url } = await serve(server);
    expect((await ask(await sessionTo(url), connectHead('/theirs'))).status).toBe(202);
  });

  it('leaves what another listener has answered, however long it stays open', async () => {
    const { server, url } = await serve();
    attachTo(server, { policy: { path: '/ours' }, timeouts: { opening: 30 } });
    const theirs = deferred<ServerHttp2Stream>();
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      if (headers[':path'] !== '/theirs') return;
      stream.respond({ ':status': 200 });
      theirs.resolve(stream);
    });
    const session = await sessionTo(url);
    const client = await RawStream.open(session, '/theirs');
    // When one that came later has been refused, the time of this one is over.
    expect((await ask(session, connectHead('/nobodys'))).status).toBe(404);
    (await theirs.promise).write(Buffer.from(serializeFrame({ opcode: 1, payload: Buffer.from('theirs') })));
    expect(await client.text()).toBe('theirs');
    client.stream.close();
  });

  /** Of two requests in a session: the first was answered by somebody else. */
  async function takesTheSecond(session: ClientHttp2Session): Promise<void> {
    const errors = await uncaughtDuring(async () => {
      const { status, stream } = await ask(session, connectHead('/'));
      expect(status).toBe(403);
      stream.close();
      const client = await RawStream.open(session, '/');
      client.write(text('ours'));
      expect(await client.text()).toBe('ours');
    });
    expect(errors).toEqual([]);
  }

  it.each(['on', 'once'] as const)("leaves what a listener before it (%s 'stream') has answered", async (listens) => {
    const { server, url } = await serve();
    let isFirst = true;
    server[listens]('stream', (stream: ServerHttp2Stream) => {
      if (isFirst) stream.respond({ ':status': 403 }, { endStream: true });
      isFirst = false;
    });
    const attached = attachTo(server);
    await takesTheSecond(await sessionTo(url));
    expect(attached.peers.size).toBe(1);
  });

  it.each(['on', 'once'] as const)("leaves what a listener before it (%s 'connect') has answered", async (listens) => {
    const server = createServer((_request, response) => response.end('page'));
    let isFirst = true;
    server[listens]('connect', (_request, response: Http2ServerResponse) => {
      if (isFirst) response.writeHead(403).end();
      isFirst = false;
    });
    attachTo(server);
    const { url } = await serve(server);
    await takesTheSecond(await sessionTo(url));
  });

  it('leaves it to another listener for ever where there is no opening deadline', async () => {
    const { server, url } = await serve();
    attachTo(server, { policy: { path: '/ours' }, timeouts: { opening: 0 } });
    const theirs = deferred<ServerHttp2Stream>();
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      if (headers[':path'] === '/theirs') theirs.resolve(stream);
    });
    const session = await sessionTo(url);
    const answer = ask(session, connectHead('/theirs'));
    const stream = await theirs.promise;
    // A request behind it has been answered, in a later turn.
    await RawStream.open(session, '/ours');
    stream.respond({ ':status': 202 }, { endStream: true });
    expect((await answer).status).toBe(202);
  });

  it.each([10_000, 0])('survives an error of what it has declined and nobody has taken (opening: %s)', async (opening) => {
    const { server, url } = await serve();
    attachTo(server, { policy: { path: '/ours' }, timeouts: { opening } });
    const theirs = deferred<ServerHttp2Stream>();
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      if (headers[':path'] === '/theirs') theirs.resolve(stream);
    });
    const session = await sessionTo(url);
    const errors = await uncaughtDuring(async () => {
      const stream = session.request(connectHead('/theirs'));
      stream.on('error', () => {});
      const shown = await theirs.promise;
      const closed = new Promise((resolve) => shown.once('close', resolve));
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      await closed;
      // What is raised is raised by then.
      await RawStream.open(session, '/ours');
    });
    expect(errors).toEqual([]);
  });

  it('leaves no listener behind', async () => {
    const { server } = await serve();
    const before = server.eventNames().map((name) => [name, server.listenerCount(name)]);
    const first = attachTo(server);
    const second = attachTo(server);
    await first.close();
    second.detach();
    expect(server.eventNames().map((name) => [name, server.listenerCount(name)])).toEqual(before);
  });

  it('is attached again to a server that all have left', async () => {
    const { server, url } = await serve();
    attachTo(server).detach();
    attachTo(server);
    const client = await RawStream.open(await sessionTo(url));
    client.write(text('again'));
    expect(await client.text()).toBe('again');
  });

  it("leaves a CONNECT that asks for no protocol to the server's own listener", async () => {
    const server = createServer((_request, response) => response.end('page'));
    attachTo(server);
    server.on('connect', (_request, response: Http2ServerResponse) => void response.stream.respond({ ':status': 200 }));
    const { url } = await serve(server);
    const { status, stream } = await ask(await sessionTo(url), { ':method': 'CONNECT', ':authority': 'example.com:80' });
    expect(status).toBe(200);
    stream.close();
  });

  it('drops a CONNECT of HTTP/1.1 as Node does where nobody listens', async () => {
    const { key, cert } = await certificate();
    const server = createSecureServer({ key, cert, allowHTTP1: true }, (_request, response) => response.end('page'));
    attachTo(server);
    const { port } = await serve(server, true);
    const socket = connectTls({ port, host: '127.0.0.1', ca: cert, servername: 'localhost', ALPNProtocols: ['http/1.1'] });
    cleanups.push(() => socket.destroy());
    socket.on('error', () => {}).resume();
    socket.write('CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n');
    await once(socket, 'close');
  });
});

describe('closing', () => {
  it('closes every connection with the code, resets what waits for an answer, and takes no more', async () => {
    const { handlers, ended, opened } = ending();
    const waiting = deferred();
    const { session, attached } = await start({
      handlers: {
        ...handlers,
        onRequest: (pending) => void (pending.request.target === '/wait' ? waiting.resolve() : pending.accept()),
      },
    });
    const client = await RawStream.open(session);
    await opened;
    const answer = ask(session, connectHead('/wait')).catch((error: Error) => error.message);
    await waiting.promise;
    const closed = attached.close({ code: 1012 });
    const frame = await client.frame();
    expect(Buffer.from(frame?.payload ?? []).readUInt16BE(0)).toBe(1012);
    client.write(closeFrame(1012));
    client.stream.end();
    expect(await ended).toMatchObject({ clean: true, code: 1012 });
    expect(await answer).toBe('closed with code 7 and no answer');
    await closed;
    expect(attached.peers.size).toBe(0);
  });

  it('answers with 500 when the policy throws', async () => {
    const { server, session } = await start({ policy: { path: (path) => decodeURIComponent(path) === '/a' } });
    attachTo(server, { policy: { path: '/b' } });
    const thrown = await uncaughtDuring(async () => {
      expect((await ask(session, connectHead('/%zz'))).status).toBe(500);
      expect((await ask(session, connectHead('/b'))).status).toBe(200);
    });
    expect(thrown).toEqual(['URIError: URI malformed']);
  });

  it('resets every request that waits, whatever onRefused throws', async () => {
    const both = deferred();
    let waiting = 0;
    const { session, attached } = await start({
      handlers: {
        onRequest() {
          if (++waiting === 2) both.resolve();
        },
        onRefused() {
          throw new Error('mistake');
        },
      },
    });
    const answers = ['/a', '/b'].map((path) => ask(session, connectHead(path)).catch((error: Error) => error.message));
    await both.promise;
    const thrown = await uncaughtDuring(async () => {
      await attached.close();
      expect(await Promise.all(answers)).toEqual(Array(2).fill('closed with code 7 and no answer'));
    });
    expect(thrown).toEqual(Array(2).fill('Error: mistake'));
  });

  it.each(['the trace of the answer', 'an extension'])('keeps no connection that %s closes it in', async (where) => {
    const log: string[] = [];
    const inside: { closed: Promise<void> | null } = { closed: null };
    const close = (): void => {
      inside.closed ??= attached.close();
    };
    const extension: ServerExtension = {
      name: 'x-closing',
      accept: () => ({
        params: [],
        extension: {
          name: 'x-closing',
          rsv: 4,
          inbound() {
            if (where === 'an extension') close();
            return idle.inbound();
          },
          outbound: idle.outbound,
        },
      }),
    };
    const { session, attached } = await start({
      handlers: { onOpen: () => void log.push('open'), onEnd: () => void log.push('end') },
      policy: { extensions: [extension] },
      onTrace({ text: line }) {
        if (where !== 'an extension' && line === '> HTTP/2 200') close();
      },
    });
    const stream = session.request(connectHead('/', { 'sec-websocket-extensions': 'x-closing' }), { endStream: false });
    stream.on('error', () => {});
    await new Promise((resolve) => stream.once('close', resolve));
    expect(inside.closed).not.toBeNull();
    await inside.closed;
    expect([log, attached.peers.size]).toEqual([[], 0]);
  });

  it('answers nothing when a policy has closed it', async () => {
    let disposed = 0;
    const extension: ServerExtension = {
      name: 'x-kept',
      accept: () => ({
        params: [],
        extension: {
          name: 'x-kept',
          rsv: 4,
          ...idle,
          dispose: () => void disposed++,
        },
      }),
    };
    for (const refuses of [false, true]) {
      const accepted: unknown[] = [];
      const refused: unknown[] = [];
      const { session, attached } = await start({
        handlers: {
          onRequest(pending) {
            const subprotocols = (): null => {
              void attached.close();
              if (refuses) throw new Error('on purpose');
              return null;
            };
            try {
              accepted.push(pending.accept({ subprotocols, extensions: [extension] }));
            } catch (error) {
              accepted.push(String(error));
            }
          },
          onRefused: (_, error) => void refused.push(error),
        },
      });
      const stream = session.request(connectHead('/', { 'sec-websocket-extensions': 'x-kept', 'sec-websocket-protocol': 'chat' }), {
        endStream: false,
      });
      stream.on('error', () => {});
      await new Promise((resolve) => stream.once('close', resolve));
      expect([accepted, refused]).toEqual([[refuses ? 'Error: on purpose' : false], ['WS_HS_EOF']]);
    }
    expect(disposed).toBe(1);
  });

  it('aborts at the deadline what does not answer', async () => {
    const { session, attached } = await start();
    const client = await RawStream.open(session);
    await attached.close({ deadline: 0 });
    expect(await client.closed).toBe(8);
  });
});
