/**
 * A process under test, started from a command template: `{port}` and `{url}` stand for where it listens (a server) or connects to (a
 * client). The process is stopped at the end, with whatever it has started: a command may be `npm run`, `go run` or a script of a shell.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { Asked, type RequestExtras } from '../asked.ts';
import { type ActiveTarget, type PassiveTarget, TargetUnavailable } from '../target.ts';
import { type ClientListenerOptions, clientListener, watchedListener } from './client-listener.ts';
import { http2Server } from './http2-server.ts';
import { parseServerUrl, serverUrl } from './server-url.ts';

/** How long a child may take to listen, and to end when asked to; milliseconds. */
const startLimit = 20_000;
const stopLimit = 2000;
/** Milliseconds between two looks at a group of processes. */
const look = 20;
/** Milliseconds: that a process has ended may be known a little later than that its port is closed, or that its parent has. */
const moment = 250;

export interface CommandOptions extends RequestExtras {
  /** Path and query of the URL. Default '/'. */
  readonly path?: string;
  /** Over HTTP/2. Default false. */
  readonly http2?: boolean;
}

/** For our own endpoints; anybody else's program may end as it starts, or wait for ever, by what its standard input is. */
interface Tied {
  /** It watches its standard input as `FERRYWIRE_CHILD` asks it to, and so ends with this process even where that one is killed. */
  readonly tied?: boolean;
}

/** Words of a command line: blanks separate, single and double quotes group. No shell is involved. */
export function splitCommand(template: string): string[] {
  const words = template.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? ''));
}

/** Throws TypeError for a command that says nowhere `{port}` or `{url}`: the process would be somewhere else. */
function checkTemplate(template: string): void {
  if (!/\{(?:port|url)\}/.test(template)) throw new TypeError('the command needs {port} or {url}');
}

/** Throws TypeError for a command without `{port}` or `{url}`, for a path that is none, and for headers or subprotocols that can't be asked for. */
export function serverCommand(template: string, options: CommandOptions & Tied = {}): ActiveTarget {
  checkTemplate(template);
  const { path = '/', headers = [], subprotocols = [], tied = false } = options;
  if (!path.startsWith('/')) throw new TypeError(`a path begins with '/', not as ${path}`);
  parseServerUrl(`ws://127.0.0.1${path}`);
  new Asked({ headers, subprotocols });
  let child: Child | null = null;
  let inner: ActiveTarget | null = null;
  return {
    kind: 'active',
    name: template,
    role: 'server',
    virtual: false,
    openings: options.http2 !== true,
    open: async (signal) => {
      const port = await freePort();
      if (signal?.aborted === true) throw new TargetUnavailable('the run was stopped');
      const url = `ws://127.0.0.1:${port}${path}`;
      const started = new Child(template, { port: String(port), url }, tied);
      child = started;
      inner = (options.http2 === true ? http2Server : serverUrl)(url, { patience: startLimit, headers, subprotocols }, () =>
        started.aliveFor(moment),
      );
      const waiting = new AbortController();
      const onAbort = (): void => waiting.abort();
      signal?.addEventListener('abort', onAbort, { once: true });
      try {
        await Promise.race([inner.open(waiting.signal), started.failed]);
      } catch (error) {
        await started.stop();
        throw error;
      } finally {
        signal?.removeEventListener('abort', onAbort);
        waiting.abort();
      }
    },
    run: async (test, settings, signal) => {
      if (inner === null || child === null) throw new Error('open() comes first');
      await child.aliveFor(0);
      return inner.run(test, settings, signal);
    },
    close: async () => {
      await inner?.close();
      try {
        // What the last cases did to it may show only now: a run that ended its subject is none to pass.
        await child?.aliveFor(moment);
      } finally {
        await child?.stop();
      }
    },
  };
}

/**
 * A client that is started for the run: `{url}` and `{port}` in the command say where the harness listens. Throws TypeError for a command with
 * neither, and what `clientListener` throws.
 */
export function clientCommand(template: string, { tied = false, ...options }: Partial<ClientListenerOptions> & Tied = {}): PassiveTarget {
  checkTemplate(template);
  clientListener({ port: 0, ...options });
  return {
    kind: 'passive',
    name: template,
    role: 'client',
    openings: options.http2 !== true,
    serve: async (cases, settings, onResult, signal) => {
      const stop = new AbortController();
      signal?.addEventListener('abort', () => stop.abort(), { once: true });
      let child: Child | null = null;
      let failure: unknown = null;
      let done = false;
      const listener = watchedListener({
        port: 0,
        ...options,
        onDone: () => {
          done = true;
        },
        onListening: (url) => {
          options.onListening?.(url);
          child = new Child(template, { url, port: new URL(url).port }, tied);
          child.failed.catch((error: unknown) => {
            // A client that has done its work may leave, and say with its exit code what it thinks of it.
            failure = error instanceof ChildEnded && (done || error.code === 0) ? null : error;
            stop.abort();
          });
        },
      });
      try {
        await listener.serve(cases, settings, onResult, stop.signal);
      } finally {
        await (child as Child | null)?.stop();
      }
      if (failure !== null) throw failure;
    },
  };
}

/** However this process exits: there is no time to ask then. */
export function endWithThisProcess(child: ChildProcess): void {
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  process.once('exit', kill);
  child.once('close', () => process.off('exit', kill));
}

/** On Windows there are no groups of processes, and a process of its own would have a window. */
const grouped = process.platform !== 'win32';

/** To the child and to what it has started; 0 only asks. False when none of them is there any more. */
function signalGroup(child: ChildProcess, signal: NodeJS.Signals | 0): boolean {
  if (child.pid === undefined) return false;
  if (!grouped) return child.kill(signal);
  try {
    return process.kill(-child.pid, signal);
  } catch {
    return false;
  }
}

class ChildEnded extends TargetUnavailable {
  readonly code: number | null;

  constructor(command: string, code: number | null, signal: string | null) {
    super(`${command} ended with ${signal ?? `code ${code}`}`);
    this.code = code;
  }
}

/** Most who write what only a shell reads begin with it: `PORT=1 node`, `cd there &&`, `~/server`. */
function unstartable(command: string, error: Error): string {
  const missing = 'code' in error && error.code === 'ENOENT';
  return `${command}: ${missing ? "no such program (no shell reads the command, unless it is sh -c '…')" : error.message}`;
}

class Child {
  readonly #process: ChildProcess;
  /** Rejects when the process can't start or ends before it is asked to; never resolves. */
  readonly failed: Promise<never>;
  #stopping = false;
  /** Its number may belong to another process since. */
  #gone = false;
  /** However this process exits: there is no time to ask then. */
  readonly #kill = (): void => {
    signalGroup(this.#process, 'SIGKILL');
  };

  constructor(template: string, values: { readonly port: string; readonly url: string }, tied: boolean) {
    const [command = '', ...args] = splitCommand(template).map((word) =>
      word.replaceAll('{port}', values.port).replaceAll('{url}', values.url),
    );
    this.#process = spawn(command, args, {
      stdio: [tied ? 'pipe' : 'ignore', 'ignore', 'inherit'],
      detached: grouped,
      ...(tied ? { env: { ...process.env, FERRYWIRE_CHILD: '1' } } : {}),
    });
    process.once('exit', this.#kill);
    this.failed = new Promise((_, reject) => {
      this.#process.once('error', (error) => reject(new TargetUnavailable(unstartable(command, error))));
      this.#process.once('exit', (code, signal) => {
        if (!this.#stopping) reject(new ChildEnded(command, code, signal));
      });
    });
    this.failed.catch(() => {});
  }

  /** Rejects as `failed` does, when it does within so many milliseconds. */
  async aliveFor(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const alive = new Promise<void>((resolve) => {
      if (ms === 0) resolve();
      else timer = setTimeout(resolve, ms);
    });
    try {
      await Promise.race([this.failed, alive]);
    } finally {
      clearTimeout(timer);
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#process;
    if (this.#gone) return;
    const over = child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
    const ended = over ? null : new Promise<void>((resolve) => child.once('exit', () => resolve()));
    signalGroup(child, 'SIGTERM');
    const timer = setTimeout(this.#kill, stopLimit);
    await ended;
    // What it has started may take a little longer, or may have ended and be counted until its new parent asks.
    for (let waited = 0; waited < moment && signalGroup(child, 0); waited += look) {
      await new Promise((resolve) => setTimeout(resolve, look));
    }
    clearTimeout(timer);
    this.#kill();
    this.#gone = true;
    process.off('exit', this.#kill);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === 'object' && address !== null ? resolve(address.port) : reject(new TargetUnavailable('no free port')),
      );
    });
  });
}
