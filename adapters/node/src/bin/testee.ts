#!/usr/bin/env node
/**
 * `npm run testee -- server|client …`: a plain echo endpoint for conformance tools.
 *
 * `server` echoes each message with its type. `client` speaks the client's side of the Autobahn fuzzing server: it asks how many cases there
 * are, connects once for each and echoes, and has the reports written. With `--http2` both do so over HTTP/2 (the server beside HTTP/1.1). Exit code 2 with one line for wrong arguments, 1 for what fails.
 */
import type { ClientExtension, ServerExtension } from '@ferrywire/core';
import { clientDeflate, serverDeflate } from '@ferrywire/deflate';
import { EndpointError, type PeerHandlers } from '@ferrywire/driver';
import { connect } from '../connect.ts';
import { listen } from '../listen.ts';
import { exitWith, onStop, outliveReader, readArgs, readHost, readPort, UsageError } from './cli.ts';
import { endWithParent, type RuntimeName, runOn } from './runtime.ts';

const usage = `use: npm run testee -- server|client [options]

  server --port P                      echoes each message (0: any port that is free)
  client --url ws://HOST:P --agent NAME   runs the cases of an Autobahn fuzzing server

  --host HOST         for server: a name or an address (default 127.0.0.1)
  --max-message N     for server: the largest message, in bytes (default 64 MiB)
  --parallel N        for client: cases at a time (default 1)
  --runtime NAME      node, bun or deno (default node)
  --deflate           with permessage-deflate
  --http2             over HTTP/2; the server beside HTTP/1.1

exit codes: 0 when done, 1 something failed, 2 wrong use`;

const MAX_MESSAGE = 64 * 1024 * 1024;
const STOP_DEADLINE = 2000;

/** Context takeover is what some cases are about; servers demand none by default. */
const TAKEOVER = { clientNoContextTakeover: false, serverNoContextTakeover: false } as const;

const echo: PeerHandlers = { onMessage: (peer, data) => void peer.send(data) };

interface ServeOptions {
  readonly port: number;
  readonly host: string;
  readonly maxMessageSize: number;
  readonly extensions: readonly ServerExtension[];
  readonly http2: boolean;
}

async function serve({ maxMessageSize, extensions, ...where }: ServeOptions): Promise<void> {
  const listening = await listen({ ...where, limits: { maxMessageSize }, policy: { extensions }, handlers: echo });
  const stop = (): Promise<void> => listening.close({ code: 1001, deadline: STOP_DEADLINE });
  onStop(stop);
  endWithParent(stop);
  process.stdout.write(`listening on ${listening.url}\n`);
}

/** One connection to the fuzzing server, until it has ended. */
async function visit(url: string, extensions: readonly ClientExtension[], http2: boolean, handlers: PeerHandlers): Promise<void> {
  let ended = (): void => {};
  const over = new Promise<void>((resolve) => {
    ended = resolve;
  });
  await connect(url, { limits: { maxMessageSize: MAX_MESSAGE }, extensions, http2, handlers: { ...handlers, onEnd: () => ended() } });
  await over;
}

interface VisitOptions {
  readonly extensions: readonly ClientExtension[];
  readonly http2: boolean;
  /** Cases at a time. */
  readonly parallel: number;
}

async function runCases(base: string, agent: string, { extensions, http2, parallel }: VisitOptions): Promise<void> {
  const root = base.replace(/\/+$/, '');
  const name = encodeURIComponent(agent);
  let answer = '';
  await visit(`${root}/getCaseCount`, [], http2, {
    onText: (_peer, text) => {
      answer = text;
    },
  });
  const count = /^\d{1,6}$/.test(answer) ? Number(answer) : Number.NaN;
  if (!(count >= 0)) throw new Error(`${root}/getCaseCount did not answer with a number`);
  let next = 1;
  const work = async (): Promise<void> => {
    while (next <= count) {
      const index = next++;
      try {
        await visit(`${root}/runCase?case=${index}&agent=${name}`, extensions, http2, echo);
      } catch (error) {
        // A refused handshake may be what the case is about; its verdict is the server's.
        if (!(error instanceof EndpointError)) throw error;
        process.stderr.write(`case ${index}: ${error.message}\n`);
      }
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  await visit(`${root}/updateReports?agent=${name}`, [], http2, {});
  // The standard input that a child watches would keep it alive.
  process.stdout.write(`ran ${count} cases as ${agent}\n`, () => process.exit(0));
}

function readSize(text: string): number {
  const size = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (size < 1) throw new UsageError(`--max-message must be a number of bytes, not '${text}'`);
  return size;
}

function readRuntime(text: string): RuntimeName {
  if (text !== 'node' && text !== 'bun' && text !== 'deno') throw new UsageError(`--runtime must be node, bun or deno, not '${text}'`);
  return text;
}

function readUrl(text: string | undefined): string {
  const url = text !== undefined && URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'ws:' && url.protocol !== 'wss:')) throw new UsageError('--url must be a ws: or wss: URL');
  return url.href;
}

async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = readArgs(usage, {
    args: [...args],
    options: {
      port: { type: 'string' },
      host: { type: 'string' },
      url: { type: 'string' },
      agent: { type: 'string' },
      runtime: { type: 'string', default: 'node' },
      'max-message': { type: 'string' },
      parallel: { type: 'string', default: '1' },
      deflate: { type: 'boolean', default: false },
      http2: { type: 'boolean', default: false },
    },
    allowPositionals: true,
    strict: true,
  });
  const [role, ...more] = positionals;
  if ((role !== 'server' && role !== 'client') || more.length > 0) {
    throw new UsageError('say one of: server --port P, client --url ws://HOST:P --agent NAME');
  }
  const foreign = role === 'server' ? (['url', 'agent'] as const) : (['port', 'host', 'max-message'] as const);
  for (const option of foreign) if (values[option] !== undefined) throw new UsageError(`--${option} is not for ${role}`);
  const runtime = readRuntime(values.runtime);

  if (role === 'server') {
    if (values.port === undefined) throw new UsageError('server needs --port');
    const port = readPort(values.port);
    const host = readHost(values.host ?? '127.0.0.1');
    const size = values['max-message'] === undefined ? MAX_MESSAGE : readSize(values['max-message']);
    if (runtime !== 'node') await runOn(runtime, import.meta.url, args);
    else
      await serve({ port, host, maxMessageSize: size, extensions: values.deflate ? [serverDeflate(TAKEOVER)] : [], http2: values.http2 });
    return;
  }
  const url = readUrl(values.url);
  const { agent } = values;
  const parallel = /^\d{1,2}$/.test(values.parallel) ? Number(values.parallel) : 0;
  if (parallel < 1) throw new UsageError(`--parallel must be 1 to 99, not '${values.parallel}'`);
  if (agent === undefined || agent === '') throw new UsageError('client needs --agent');
  if (runtime !== 'node') await runOn(runtime, import.meta.url, args);
  else {
    endWithParent(() => Promise.resolve());
    await runCases(url, agent, { extensions: values.deflate ? [clientDeflate()] : [], http2: values.http2, parallel });
  }
}

outliveReader();
try {
  await main(process.argv.slice(2));
} catch (error) {
  exitWith(error, error instanceof UsageError ? 2 : 1);
}
