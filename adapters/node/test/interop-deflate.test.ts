/**
 * permessage-deflate with the implementations of others, compressed in both directions: `ws`, `websocket-driver` with `permessage-deflate`,
 * undici, and the WebSockets of Node, Bun and Deno themselves. Context takeover 2×2 times window {none, 9, 15} per direction.
 *
 * Who agreed to what is printed, and counted: a change in either implementation shows. Where nothing is agreed, the same offer from `ws`, or
 * the same client at a bare HTTP server, tells that the other side is the reason.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { WebSocketServer, WebSocket as WsWebSocket } from 'ws';
import { type Combination, combinations, countOf, options, ourClient, ourServer, printTable, record, title } from './deflate-table.ts';

const load = createRequire(import.meta.url);
const modules = fileURLToPath(new URL('../../../node_modules/', import.meta.url));

afterAll(printTable);

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
  for (const name of Object.keys(runtimes)) if (!installed(name)) console.log(`${name}: skipped, ${runtimes[name]?.[0]} is not installed`);

  interface Clients {
    /** One more client, which connects to `url` and ends with the connection. */
    open(url: string): void;
    stop(): void;
  }
  function clientsOf(name: string): Clients {
    const child = run(name, ['clients']);
    return { open: (url) => void child.stdin?.write(`${url}\n`), stop: () => void child.kill() };
  }
  /** The extensions that a client offers to a server that is not ours. */
  async function offersOf(clients: Clients): Promise<string | null> {
    const server = createHttpServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    clients.open(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    try {
      const [request, socket] = (await once(server, 'upgrade')) as [IncomingMessage, Socket];
      socket.destroy();
      return request.headers['sec-websocket-extensions'] ?? null;
    } finally {
      server.close();
    }
  }
  const OFFER = 'permessage-deflate; client_max_window_bits';

  for (const [name, offer] of [
    ['Node 24', OFFER],
    ['Node 26', OFFER],
    ['Bun', OFFER],
    ['Deno', null], // it has no compression
  ] as const) {
    it.runIf(installed(name))(
      `the client of ${name}, our server demands`,
      async () => {
        const peer = `${name} client, our server demands`;
        const clients = clientsOf(name);
        try {
          expect(await offersOf(clients)).toBe(offer);
          for (const combination of combinations) {
            const result = await ourServer(options(combination, 'server'), (url) => {
              clients.open(url);
              return () => {};
            });
            record(peer, title(combination), result);
          }
        } finally {
          clients.stop();
        }
        expect(countOf(peer)).toEqual(offer === null ? { agreed: 0, declined: 36, failed: 0 } : { agreed: 36, declined: 0, failed: 0 });
      },
      60_000,
    );
  }

  /** The port of the server of `name`, for as long as `use` takes. */
  async function withServer(name: string, kind: string, use: (url: string) => Promise<void>): Promise<void> {
    const child = run(name, [kind]);
    try {
      const [port] = (await once(child.stdout ?? child, 'data')) as [Buffer];
      await use(`ws://127.0.0.1:${Number(port.toString())}/`);
    } finally {
      child.kill();
    }
  }
  /** What a server answers to the offer of `ws` with the demands of `combination`: null where it declines. */
  async function answerToWs(url: string, { serverFresh, clientFresh, serverBits, clientBits }: Combination): Promise<string | null> {
    const socket = new WsWebSocket(url, {
      perMessageDeflate: {
        serverNoContextTakeover: serverFresh,
        clientNoContextTakeover: clientFresh,
        ...(serverBits === null ? {} : { serverMaxWindowBits: serverBits }),
        ...(clientBits === null ? {} : { clientMaxWindowBits: clientBits }),
      },
    });
    socket.on('error', () => {}); // its opinion on the answer is not asked for
    const [response] = (await once(socket, 'upgrade')) as [{ headers: Record<string, string> }];
    socket.terminate();
    return response.headers['sec-websocket-extensions'] ?? null;
  }

  for (const [kind, server, shares] of [
    // Without context it uses a compressor that all connections share, whose window is of 15 bits, and declines what it cannot keep to.
    ['server', 'server of Bun', () => true],
    ['server-dedicated', 'server of Bun with a context per connection', ({ serverFresh }: Combination) => serverFresh],
  ] as const) {
    it.runIf(installed('Bun'))(
      `the ${server}, our client demands`,
      async () => {
        const peer = `${server}, our client demands`;
        await withServer('Bun', kind, async (url) => {
          for (const combination of combinations) {
            const result = await ourClient(url, options(combination, 'client'));
            record(peer, title(combination), result);
            const declined = combination.serverBits === 9 && shares(combination);
            expect([title(combination), result !== 'failed' && result.agreed === null]).toEqual([title(combination), declined]);
            expect([title(combination), (await answerToWs(url, combination)) === null]).toEqual([title(combination), declined]);
          }
        });
        const declined = kind === 'server' ? 12 : 6;
        expect(countOf(peer)).toEqual({ agreed: 36 - declined, declined, failed: 0 });
      },
      60_000,
    );
  }

  it.runIf(installed('Deno'))(
    'the server of Deno, our client demands: it has no compression, for others neither',
    async () => {
      const peer = 'Deno server, our client demands';
      await withServer('Deno', 'server', async (url) => {
        for (const combination of combinations) {
          record(peer, title(combination), await ourClient(url, options(combination, 'client')));
          expect(await answerToWs(url, combination)).toBeNull();
        }
      });
      expect(countOf(peer)).toEqual({ agreed: 0, declined: 36, failed: 0 });
    },
    60_000,
  );

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
