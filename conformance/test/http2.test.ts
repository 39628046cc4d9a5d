/** Targets over HTTP/2 (RFC 8441): servers whose cases share a session, clients whose cases are streams, and peers that do it wrong. */
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import {
  type CaseResult,
  cases,
  clientListener,
  collect,
  extraCases,
  http2Server,
  type RunOptions,
  runCases,
  serverUrl,
  TargetUnavailable,
} from '@ferrywire/conformance';
import { clientDeflate, serverDeflate } from '@ferrywire/deflate';
import { attach, connect } from '@ferrywire/node';
import { generate } from 'selfsigned';
import { afterEach, describe, expect, it } from 'vitest';
import { runCommand } from '../dist/bin/commands.js';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface Serving {
  readonly url: string;
  /** How many sessions had streams: the harness looks first whether anybody listens. */
  sessions(): number;
}

async function listening(server: Http2Server | Http2SecureServer, scheme = 'ws'): Promise<Serving> {
  const sessions: ServerHttp2Session[] = [];
  const used = new Set<unknown>();
  (server as Http2Server).on('session', (session) => void sessions.push(session)).on('sessionError', () => {});
  server.prependListener('stream', ({ session }: ServerHttp2Stream) => void used.add(session));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUps.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { url: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`, sessions: () => used.size };
}
function echoOn<Server extends Http2Server | Http2SecureServer>(server: Server): Server {
  const attached = attach(server, {
    policy: { extensions: [serverDeflate()] },
    limits: { maxMessageSize: 16_777_216 },
    handlers: { onMessage: (peer, data) => void peer.send(data) },
  });
  cleanUps.push(() => attached.close({ deadline: 0 }));
  return server;
}
async function scripted(onStream: (stream: ServerHttp2Stream) => void): Promise<string> {
  const server = createServer({ settings: { enableConnectProtocol: true } });
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => {});
    onStream(stream);
  });
  return (await listening(server)).url;
}
const run = (url: string, options: RunOptions): Promise<CaseResult[]> => collect(runCases(http2Server(url), options));
const isFine = ({ verdict }: CaseResult): boolean => verdict === 'OK' || verdict === 'INFORMATIONAL';

describe('a server', () => {
  it('runs its cases on one session, with the verdicts that it has over TCP', async () => {
    const { url, sessions } = await listening(echoOn(createServer()));
    const include = ['1.*', '2.*', '3.*', '5.*', '7.*', '12.1.1'];
    const results = await run(url, { include, parallel: 20 });
    expect(results).toHaveLength(92);
    expect(results.filter((result) => !isFine(result))).toEqual([]);
    expect(sessions()).toBe(1);
  });

  it('leaves out what is about heads of HTTP/1.1', async () => {
    const { url } = await listening(echoOn(createServer()));
    const all = [...cases, ...extraCases];
    const openings = all.filter(({ opening }) => opening !== null);
    expect(openings.length).toBeGreaterThan(10);
    const results = await run(url, { cases: [...openings, ...all.filter(({ id }) => id === '1.1.1')] });
    expect(results.map(({ id }) => id)).toEqual(['1.1.1']);
  });

  it('is reached over TLS, with its authority or without a check', async () => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], { keyType: 'ec' });
    const { url } = await listening(echoOn(createSecureServer({ key, cert })), 'wss');
    const open = http2Server(url, { rejectUnauthorized: false });
    const results = await collect(runCases(open, { include: ['1.1.*'] }));
    expect(results).toHaveLength(8);
    expect(results.every(isFine)).toBe(true);
    await expect(collect(runCases(http2Server(url), { include: ['1.1.1'] }))).rejects.toThrow(TargetUnavailable);
  });

  it('gets another session when one is gone', async () => {
    let streams = 0;
    const server = createServer();
    echoOn(server);
    server.prependListener('stream', (stream: ServerHttp2Stream) => {
      if (++streams === 2) stream.session?.destroy();
    });
    const { url, sessions } = await listening(server);
    const results = await run(url, { include: ['1.1.1', '1.1.2', '1.1.3'], parallel: 1 });
    expect(results.map(({ verdict }) => verdict)).toEqual(['OK', 'FAILED', 'OK']);
    expect(sessions()).toBe(2);
  });

  it('that leaves for good ends the run, with the last case too', async () => {
    for (const [leaves, include] of [
      [2, ['1.1.1', '1.1.2', '1.1.3']],
      [1, ['1.1.1']],
    ] as const) {
      const server = createServer({ settings: { enableConnectProtocol: true } });
      let streams = 0;
      server.on('stream', (stream: ServerHttp2Stream) => {
        streams += 1;
        if (streams === leaves) server.close();
        // The one that meets the end, on the same session.
        if (streams > leaves) stream.session?.destroy();
      });
      const { url } = await listening(echoOn(server));
      const seen: string[] = [];
      const run = collect(runCases(http2Server(url, { patience: 100 }), { include, parallel: 1 }), ({ id }) => seen.push(id));
      await expect(run).rejects.toThrow(/^no server at .*ECONNREFUSED/);
      expect(seen).toEqual(include.slice(0, leaves));
    }
  });

  it('that is busy is asked again on another session', async () => {
    let streams = 0;
    const server = createServer();
    server.on('stream', (stream: ServerHttp2Stream) => {
      if (++streams === 1) stream.on('error', () => {}).close(11);
    });
    echoOn(server);
    const { url, sessions } = await listening(server);
    const results = await run(url, { include: ['1.1.1'] });
    expect([results.map(({ verdict }) => verdict), sessions()]).toEqual([['OK'], 2]);
  });

  it('that does not allow extended CONNECT, or speaks HTTP/1.1 only, is no target', async () => {
    const plain = await listening(createServer());
    await expect(run(plain.url, { include: ['1.1.1'] })).rejects.toThrow(/extended CONNECT/);
    const { createServer: createTcp } = await import('node:net');
    const old = createTcp((socket) =>
      socket
        .on('error', () => {})
        .resume()
        .end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    );
    await new Promise<void>((resolve) => old.listen(0, '127.0.0.1', resolve));
    cleanUps.push(() => old.close());
    await expect(run(`ws://127.0.0.1:${(old.address() as AddressInfo).port}`, { include: ['1.1.1'] })).rejects.toThrow(TargetUnavailable);
  });

  const wrong: readonly (readonly [what: string, onStream: (stream: ServerHttp2Stream) => void, reason: string])[] = [
    ['refuses', (stream) => stream.respond({ ':status': 403 }, { endStream: true }), 'answered with 403'],
    ['resets before an answer', (stream) => stream.close(2), 'reset with code 2 before an answer'],
    ['says nothing', (stream) => stream.resume(), 'no answer within 250 ms'],
    [
      'agrees on an extension that was not offered',
      (stream) => stream.respond({ ':status': 200, 'sec-websocket-extensions': 'permessage-deflate' }),
      'was not offered',
    ],
    [
      'names a subprotocol that was not asked for',
      (stream) => stream.respond({ ':status': 200, 'sec-websocket-protocol': 'chat' }),
      "subprotocol 'chat' was not asked for",
    ],
    [
      'answers and does nothing',
      (stream) => {
        stream.respond({ ':status': 200 });
        stream.resume();
      },
      '',
    ],
    [
      'resets in the middle',
      (stream) => {
        stream.respond({ ':status': 200 });
        stream.once('data', () => stream.close(8));
      },
      '',
    ],
  ];
  for (const [what, onStream, reason] of wrong) {
    it(`that ${what} fails`, async () => {
      const [result] = await run(await scripted(onStream), { include: ['1.1.2'], timeScale: 0.05 });
      expect(result).toMatchObject({ verdict: 'FAILED' });
      expect(result?.reason).toContain(reason);
    });
  }

  it('is a target of the command', async () => {
    const { url } = await listening(echoOn(createServer()));
    const lines: string[] = [];
    const output = { out: (line: string) => lines.push(line), err: (line: string) => lines.push(line) };
    expect(await runCommand(['server', url, '--http2', '--cases', '1.1.*'], output)).toBe(0);
    expect(lines).toEqual([expect.stringMatching(/^ws:\S+ over HTTP\/2: 8 cases in .*: 8 OK/)]);
    expect(await runCommand(['server', url, '--cases', '1.1.1'], output)).toBe(1);
  });
});

describe('clients', () => {
  async function visit(url: string, echo: boolean): Promise<string> {
    let received = '';
    await new Promise<void>((resolve, reject) => {
      connect(url, {
        http2: true,
        extensions: [clientDeflate()],
        handlers: {
          onMessage(peer, data) {
            if (echo) peer.send(data);
            else received = String(data);
          },
          onEnd: () => resolve(),
        },
      }).catch(reject);
    });
    return received;
  }

  async function serveClient(include: readonly string[], agent: (base: string) => Promise<void>): Promise<CaseResult[]> {
    let agentDone: Promise<void> = Promise.resolve();
    const target = clientListener({
      port: 0,
      http2: true,
      onListening: (url) => {
        agentDone = agent(url);
      },
    });
    const results = await collect(runCases(target, { cases: [...cases, ...extraCases], include, messages: 2 }));
    await agentDone;
    return results;
  }

  it('run the cases as streams, and hear their verdicts', async () => {
    const verdicts: string[] = [];
    const results = await serveClient(['1.1.*', '3.*', '7.9.*', '12.1.1', 'F.10.*'], async (base) => {
      const count = Number(await visit(`${base}/getCaseCount`, false));
      expect(JSON.parse(await visit(`${base}/getCaseInfo?case=1`, false))).toMatchObject({ id: '1.1.1' });
      for (let index = 1; index <= count; index++) {
        await visit(`${base}/runCase?case=${index}&agent=test`, true);
        verdicts.push(JSON.parse(await visit(`${base}/getCaseStatus?case=${index}&agent=test`, false)).verdict);
      }
      await visit(`${base}/updateReports?agent=test`, false);
    });
    expect(results).toHaveLength(25);
    expect(results.every(isFine)).toBe(true);
    expect(verdicts).toHaveLength(25);
    expect(verdicts.every((verdict) => verdict === 'OK')).toBe(true);
  });

  it('are refused where there is nothing for them', async () => {
    const refusals: unknown[] = [];
    await serveClient(['1.1.1'], async (base) => {
      for (const path of ['/elsewhere', '/runCase?case=2', '/getCaseInfo?case=x']) {
        refusals.push(await visit(`${base}${path}`, false).catch((error: { response: { status: number } }) => error.response.status));
      }
      await visit(`${base}/stopServer`, false);
    });
    expect(refusals).toEqual([404, 400, 400]);
  });
});

it('a URL is checked', () => {
  expect(() => http2Server('http://127.0.0.1')).toThrow(TypeError);
  expect(serverUrl('ws://127.0.0.1').openings).toBeUndefined();
});
