/**
 * permessage-deflate with the implementations of others, compressed in both directions: `ws`, `websocket-driver` with `permessage-deflate`,
 * undici, and the WebSockets of Node, Bun and Deno themselves. Context takeover 2×2 times window {none, 9, 15} per direction.
 *
 * Who agreed to what is printed, and counted: a change in either implementation shows.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { ExtensionParam } from '@ferrywire/core';
import { clientDeflate, type DeflateOptions, serverDeflate } from '@ferrywire/deflate';
import type { Peer } from '@ferrywire/driver';
import { getHeader, type HeaderInput, parseExtensions } from '@ferrywire/handshake';
import { connect, listen } from '@ferrywire/node';
import { afterAll, describe, expect, it } from 'vitest';
import { WebSocketServer, WebSocket as WsWebSocket } from 'ws';

const load = createRequire(import.meta.url);
const modules = fileURLToPath(new URL('../../../node_modules/', import.meta.url));

interface Combination {
  readonly serverFresh: boolean;
  readonly clientFresh: boolean;
  readonly serverBits: 9 | 15 | null;
  readonly clientBits: 9 | 15 | null;
}
const combinations: Combination[] = [];
for (const serverFresh of [false, true]) {
  for (const clientFresh of [false, true]) {
    for (const serverBits of [null, 9, 15] as const) {
      for (const clientBits of [null, 9, 15] as const) combinations.push({ serverFresh, clientFresh, serverBits, clientBits });
    }
  }
}

function options({ serverFresh, clientFresh, serverBits, clientBits }: Combination, role: 'client' | 'server'): DeflateOptions {
  return {
    threshold: 0,
    serverNoContextTakeover: serverFresh,
    clientNoContextTakeover: clientFresh,
    ...(serverBits === null ? {} : { serverMaxWindowBits: serverBits }),
    ...(clientBits !== null ? { clientMaxWindowBits: clientBits } : role === 'client' ? { clientMaxWindowBits: true as const } : {}),
  };
}

/** Repetitive enough that nothing uncompressed can be as short on the wire, with distances beyond 512 bytes and messages that resemble each other. */
const words = Array.from({ length: 400 }, (_, index) => `word-${(index * 7919) % 1009}`);
const messages: (string | Uint8Array)[] = [
  'Hello',
  '',
  words.slice(0, 40).join(' '),
  words.slice(0, 40).join(' '),
  new Uint8Array(3000).fill(7),
  words.join(' ').repeat(20),
  Uint8Array.from({ length: 70_000 }, (_, index) => (index * index) >> 7),
  'Hello',
];
const payload = messages.reduce((sum, message) => sum + (typeof message === 'string' ? Buffer.byteLength(message) : message.length), 0);

interface Outcome {
  /** What the server answered, or null where there is no compression. */
  readonly agreed: string | null;
  /** Bytes on the wire per byte of payload. */
  readonly sent: number;
  readonly received: number;
}

const format = (params: readonly ExtensionParam[]) =>
  params.map(([name, value]) => (value === true ? name : `${name}=${value}`)).join('; ') || '(no parameters)';

/** Sends everything and expects it back. */
class Exchange {
  readonly done: Promise<void>;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};
  #at = 0;
  readonly handlers = {
    onMessage: (peer: Peer, data: string | Uint8Array) => this.#take(peer, data),
    onEnd: () => this.#reject(new Error('the connection ended early')),
    onRefused: (status: number) => this.#reject(new Error(`refused with ${status}`)),
  };

  constructor() {
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.done.catch(() => {});
  }
  start(peer: Peer): void {
    for (const message of messages) peer.send(message, { compress: true });
  }
  #take(peer: Peer, data: string | Uint8Array): void {
    const expected = messages[this.#at++];
    const same =
      typeof data === 'string' ? data === expected : typeof expected !== 'string' && Buffer.compare(data, expected ?? data) === 0;
    if (!same) this.#reject(new Error(`message ${this.#at} came back changed`));
    else if (this.#at === messages.length) this.#resolve();
    else return;
    void peer;
  }
}

function outcome(peer: Peer, agreed: string | null): Outcome {
  const { bytesIn, bytesOut } = peer.connection.stats;
  return { agreed, sent: bytesOut / payload, received: bytesIn / payload };
}

/** Our client against a server at `url`. A failed handshake is an outcome too. */
async function ourClient(url: string, deflate: DeflateOptions): Promise<Outcome | 'failed'> {
  const exchange = new Exchange();
  let agreed: string | null = null;
  let peer: Peer;
  try {
    peer = await connect(url, {
      extensions: [clientDeflate(deflate)],
      handlers: {
        ...exchange.handlers,
        onOpen: (_peer, { response }) => {
          agreed = answered(response?.headers ?? []);
        },
      },
    });
  } catch {
    return 'failed';
  }
  exchange.start(peer);
  await exchange.done;
  const result = outcome(peer, agreed);
  peer.close(1000);
  return result;
}

function answered(headers: HeaderInput): string | null {
  const first = parseExtensions(getHeader(headers, 'sec-websocket-extensions') ?? '')?.[0];
  return first === undefined ? null : format(first.params);
}

/** Our server against a client that echoes and is started with the URL. */
async function ourServer(deflate: DeflateOptions, start: (url: string) => Promise<() => void> | (() => void)): Promise<Outcome | 'failed'> {
  const exchange = new Exchange();
  let peer: Peer | null = null;
  let agreed: string | null = null;
  const inner = serverDeflate(deflate);
  const listening = await listen({
    policy: {
      extensions: [
        {
          name: inner.name,
          accept(params, accepted) {
            const result = inner.accept(params, accepted);
            if (result !== null) agreed = format(result.params);
            return result;
          },
        },
      ],
    },
    handlers: {
      ...exchange.handlers,
      onOpen: (opened) => {
        peer = opened;
        exchange.start(opened);
      },
    },
  });
  const stop = await start(listening.url);
  try {
    await exchange.done;
    if (peer === null) throw new Error('nobody came');
    return outcome(peer, agreed);
  } catch (error) {
    if (peer === null) return 'failed';
    throw error;
  } finally {
    await listening.close({ deadline: 1000 });
    stop();
  }
}

const rows: string[] = [];
const counts = new Map<string, { agreed: number; declined: number; failed: number }>();
function record(peer: string, combination: string, result: Outcome | 'failed'): void {
  const count = counts.get(peer) ?? { agreed: 0, declined: 0, failed: 0 };
  counts.set(peer, count);
  if (result === 'failed') {
    count.failed++;
    rows.push(`${peer.padEnd(34)} ${combination.padEnd(34)} the handshake failed`);
    return;
  }
  count[result.agreed === null ? 'declined' : 'agreed']++;
  const ratio = `out ${result.sent.toFixed(3)} in ${result.received.toFixed(3)}`;
  rows.push(`${peer.padEnd(34)} ${combination.padEnd(34)} ${ratio}  ${result.agreed ?? 'declined'}`);
  if (result.agreed !== null) expect(result.sent, `${peer}: what we send is compressed`).toBeLessThan(0.7);
}
const title = ({ serverFresh, clientFresh, serverBits, clientBits }: Combination) =>
  `server ${serverFresh ? 'fresh' : 'keeps'} ${serverBits ?? '-'}, client ${clientFresh ? 'fresh' : 'keeps'} ${clientBits ?? '-'}`;

afterAll(() => {
  console.log(rows.join('\n'));
  for (const [peer, { agreed, declined, failed }] of counts)
    console.log(`${peer}: ${agreed} agreed, ${declined} declined, ${failed} failed`);
});
const countOf = (peer: string) => counts.get(peer);

async function listenOn(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

describe('ws', () => {
  const wsOptions = ({ serverFresh, clientFresh, serverBits, clientBits }: Combination) => ({
    threshold: 0,
    serverNoContextTakeover: serverFresh,
    clientNoContextTakeover: clientFresh,
    ...(serverBits === null ? {} : { serverMaxWindowBits: serverBits }),
    ...(clientBits === null ? {} : { clientMaxWindowBits: clientBits }),
  });
  async function wsServer(perMessageDeflate: object): Promise<{ url: string; close: () => void }> {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate });
    await once(server, 'listening');
    server.on('connection', (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })));
    return {
      url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      close: () => {
        for (const client of server.clients) client.terminate();
        server.close();
      },
    };
  }
  function wsClient(perMessageDeflate: object) {
    return (url: string) => {
      const socket = new WsWebSocket(url, { perMessageDeflate });
      socket.on('error', () => {});
      socket.on('message', (data, binary) => socket.send(data, { binary }));
      return () => socket.terminate();
    };
  }

  it('its server, our client demands', async () => {
    const server = await wsServer({ threshold: 0 });
    for (const combination of combinations) {
      record('ws server, our client demands', title(combination), await ourClient(server.url, options(combination, 'client')));
    }
    server.close();
    expect(countOf('ws server, our client demands')).toEqual({ agreed: 36, declined: 0, failed: 0 });
  });
  it('its server demands, our client', async () => {
    for (const combination of combinations) {
      const server = await wsServer(wsOptions(combination));
      record('ws server demands, our client', title(combination), await ourClient(server.url, { threshold: 0, clientMaxWindowBits: true }));
      server.close();
    }
    expect(countOf('ws server demands, our client')).toEqual({ agreed: 36, declined: 0, failed: 0 });
  });
  it('its client, our server demands', async () => {
    for (const combination of combinations) {
      const result = await ourServer(options(combination, 'server'), wsClient({ threshold: 0 }));
      record('ws client, our server demands', title(combination), result);
    }
    expect(countOf('ws client, our server demands')).toEqual({ agreed: 36, declined: 0, failed: 0 });
  });
  it('its client demands, our server', async () => {
    for (const combination of combinations) {
      const deflate = { threshold: 0, serverNoContextTakeover: false, clientNoContextTakeover: false } as const;
      record('ws client demands, our server', title(combination), await ourServer(deflate, wsClient(wsOptions(combination))));
    }
    expect(countOf('ws client demands, our server')).toEqual({ agreed: 36, declined: 0, failed: 0 });
  });
});

describe('websocket-driver with permessage-deflate', () => {
  interface FayeDriver {
    readonly io: NodeJS.ReadWriteStream;
    readonly messages: NodeJS.ReadWriteStream;
    addExtension(extension: unknown): void;
    start(): boolean;
    text(data: string): boolean;
    binary(data: Buffer): boolean;
    on(event: 'message', listener: (event: { data: string | Buffer }) => void): void;
    on(event: 'connect' | 'error', listener: () => void): void;
  }
  const faye = load('websocket-driver') as {
    server(options: object): FayeDriver;
    client(url: string, options?: object): FayeDriver;
  };
  const extension = load('permessage-deflate') as { configure(options: object): unknown };

  function join(driver: FayeDriver, socket: Socket, deflate: object): void {
    driver.addExtension(extension.configure(deflate));
    driver.on('error', () => {});
    driver.on('message', ({ data }) => void (typeof data === 'string' ? driver.text(data) : driver.binary(Buffer.from(data))));
    socket.on('error', () => {});
    socket.pipe(driver.io).pipe(socket);
  }
  /** Its options are about its own side and the other, not about server and client. */
  const fayeOptions = ({ serverFresh, clientFresh, serverBits, clientBits }: Combination, role: 'client' | 'server') => {
    const own = role === 'server' ? serverBits : clientBits;
    const other = role === 'server' ? clientBits : serverBits;
    return {
      noContextTakeover: role === 'server' ? serverFresh : clientFresh,
      requestNoContextTakeover: role === 'server' ? clientFresh : serverFresh,
      ...(own === null ? {} : { maxWindowBits: own }),
      ...(other === null ? {} : { requestMaxWindowBits: other }),
    };
  };
  async function fayeServer(deflate: object): Promise<{ url: string; close: () => void }> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      const driver = faye.server({});
      driver.on('connect', () => void driver.start());
      join(driver, socket, deflate);
    });
    const url = await listenOn(server);
    return {
      url,
      close: () => {
        for (const socket of sockets) socket.destroy();
        server.close();
      },
    };
  }
  function fayeClient(deflate: object) {
    return async (url: string) => {
      const { port, hostname } = new URL(url);
      const socket = connectTcp(Number(port), hostname);
      await once(socket, 'connect');
      const driver = faye.client(url);
      join(driver, socket, deflate);
      driver.start();
      return () => socket.destroy();
    };
  }

  it('its server, our client demands', async () => {
    const server = await fayeServer({});
    for (const combination of combinations) {
      record('driver server, our client demands', title(combination), await ourClient(server.url, options(combination, 'client')));
    }
    server.close();
    expect(countOf('driver server, our client demands')).toEqual({ agreed: 36, declined: 0, failed: 0 });
  });
  it('its server demands, our client', async () => {
    for (const combination of combinations) {
      const server = await fayeServer(fayeOptions(combination, 'server'));
      const result = await ourClient(server.url, { threshold: 0, clientMaxWindowBits: true });
      record('driver server demands, our client', title(combination), result);
      server.close();
    }
    expect(countOf('driver server demands, our client')).toEqual({ agreed: 36, declined: 0, failed: 0 });
  });
  it('its client, our server demands', async () => {
    for (const combination of combinations) {
      record('driver client, our server demands', title(combination), await ourServer(options(combination, 'server'), fayeClient({})));
    }
    expect(countOf('driver client, our server demands')).toEqual({ agreed: 36, declined: 0, failed: 0 });
  });
  it('its client demands, our server', async () => {
    const deflate = { threshold: 0, serverNoContextTakeover: false, clientNoContextTakeover: false } as const;
    for (const combination of combinations) {
      const result = await ourServer(deflate, fayeClient(fayeOptions(combination, 'client')));
      record('driver client demands, our server', title(combination), result);
    }
    expect(countOf('driver client demands, our server')).toEqual({ agreed: 36, declined: 0, failed: 0 });
  });
});

describe('the WebSockets of runtimes', () => {
  const program = fileURLToPath(new URL('native-websocket.mjs', import.meta.url));
  const runtimes: Readonly<Record<string, readonly string[]>> = {
    'Node 24': [`${modules}node24/bin/node`],
    'Node 26': [`${modules}node26/bin/node`],
    Bun: [`${modules}.bin/bun`],
    Deno: [`${modules}.bin/deno`, 'run', '--allow-all', '--no-lock', '--no-config'],
  };
  const run = (name: string, args: readonly string[]): ChildProcess => {
    const [command = '', ...rest] = runtimes[name] ?? [];
    return spawn(command, [...rest, program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  };
  const installed = (name: string) => existsSync(runtimes[name]?.[0] ?? '');

  for (const name of Object.keys(runtimes)) {
    it.runIf(installed(name))(
      `the client of ${name}, our server demands`,
      async () => {
        for (const combination of combinations) {
          if (combination.serverBits === 15 || combination.clientBits === 15) continue; // a process each: without what is the default anyway
          const result = await ourServer(options(combination, 'server'), (url) => {
            const child = run(name, ['client', url]);
            return () => void child.kill();
          });
          record(`${name} client, our server demands`, title(combination), result);
        }
        expect(countOf(`${name} client, our server demands`)).toEqual({ agreed: 16, declined: 0, failed: 0 });
      },
      120_000,
    );
  }

  for (const name of ['Bun', 'Deno']) {
    it.runIf(installed(name))(
      `the server of ${name}, our client demands`,
      async () => {
        const child = run(name, ['server']);
        const [port] = (await once(child.stdout ?? child, 'data')) as [Buffer];
        for (const combination of combinations) {
          const result = await ourClient(`ws://127.0.0.1:${Number(port.toString())}/`, options(combination, 'client'));
          record(`${name} server, our client demands`, title(combination), result);
        }
        child.kill();
        expect(countOf(`${name} server, our client demands`)).toEqual({ agreed: 36, declined: 0, failed: 0 });
      },
      60_000,
    );
  }

  it('the client of undici, our server demands', async () => {
    const { WebSocket: UndiciWebSocket } = load('undici') as {
      WebSocket: new (url: string) => EventTarget & { send(data: unknown): void; close(): void; binaryType: string };
    };
    for (const combination of combinations) {
      const result = await ourServer(options(combination, 'server'), (url) => {
        const socket = new UndiciWebSocket(url);
        socket.binaryType = 'arraybuffer';
        socket.addEventListener('message', (event) => socket.send((event as MessageEvent).data));
        return () => socket.close();
      });
      record('undici client, our server demands', title(combination), result);
    }
    expect(countOf('undici client, our server demands')).toEqual({ agreed: 36, declined: 0, failed: 0 });
  });
});
