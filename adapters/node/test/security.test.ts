/** Classes of bugs other clients and programs had: S14 and S16, S17, S27. S18 of the demo's control channel is in demo.test.ts. */
import { execFile } from 'node:child_process';
import dns from 'node:dns';
import { once } from 'node:events';
import { syncBuiltinESMExports } from 'node:module';
import {
  type AddressInfo,
  createServer,
  connect as dialPort,
  getDefaultAutoSelectFamily,
  type Server,
  type Socket,
  setDefaultAutoSelectFamily,
} from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type ConnectTarget, connect, EndpointError, listen, transportOf } from '@ferrywire/node';
import { afterEach, expect, it } from 'vitest';
import { certificate } from './certificate.ts';
import { failureOf } from './helpers.ts';

const servers: Server[] = [];
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  for (const cleanup of cleanups.splice(0)) await cleanup();
});
async function listening(server: Server, host = '127.0.0.1'): Promise<number> {
  servers.push(server);
  server.listen(0, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
/** A server that keeps what it is sent and answers `response` to the first bytes. */
async function recorder(response: string): Promise<{ readonly port: number; readonly got: string[] }> {
  const got: string[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      got.push(chunk.toString('latin1'));
      if (response !== '') socket.end(response);
    });
  });
  return { port: await listening(server), got };
}

it('S14 credentials follow no redirect: a redirect is a refusal, and nobody else is asked', async () => {
  const elsewhere = await recorder('');
  for (const status of ['301 Moved', '302 Found', '303 See Other', '307 Temporary Redirect', '308 Permanent Redirect']) {
    const { port, got } = await recorder(`HTTP/1.1 ${status}\r\nLocation: ws://127.0.0.1:${elsewhere.port}/\r\nContent-Length: 0\r\n\r\n`);
    const headers = [
      ['Authorization', 'Bearer secret'],
      ['Cookie', 'session=secret'],
      ['Proxy-Authorization', 'Basic secret'],
    ] as const;
    const error = await failureOf(connect(`ws://127.0.0.1:${port}/`, { headers }));
    expect(error).toBeInstanceOf(EndpointError);
    expect([(error as EndpointError).handshake, (error as EndpointError).response?.status]).toEqual([
      'WS_HS_STATUS',
      Number(status.slice(0, 3)),
    ]);
    expect(got.join('')).toContain('Bearer secret');
  }
  expect(elsewhere.got).toEqual([]);
});

it('S16 wss: not one byte of the request before the certificate was checked', async () => {
  const { key, cert } = await certificate();
  const decrypted: string[] = [];
  const server = createTlsServer({ key, cert }, (socket) => {
    socket.on('error', () => {}).on('data', (chunk) => decrypted.push(chunk.toString('latin1')));
  });
  const port = await listening(server);
  const untrusted = await failureOf(connect(`wss://localhost:${port}/`, { headers: [['Cookie', 'secret']] }));
  const wrongName = await failureOf(connect(`wss://127.0.0.1:${port}/`, { tls: { ca: cert }, headers: [['Cookie', 'secret']] }));
  const otherName = await failureOf(connect(`wss://localhost:${port}/`, { tls: { ca: cert }, servername: 'example.com' }));
  for (const error of [untrusted, wrongName, otherName]) expect((error as EndpointError).code).toBe('WS_CONNECT_TLS');
  expect(decrypted).toEqual([]);
});

it('S16 wss: the dot that may end a name is none of what is asked for (RFC 6066 section 3)', async () => {
  const names: string[] = [];
  const { key, cert } = await certificate();
  const SNICallback = (name: string, done: (error: null) => void): void => {
    names.push(name);
    done(null);
  };
  const server = createTlsServer({ key, cert, SNICallback }, (socket) => {
    socket.on('error', () => {}).end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
  });
  const port = await listening(server);
  const hook = async (): Promise<Socket> => {
    const socket = dialPort(port, '127.0.0.1');
    await once(socket, 'connect');
    return socket;
  };
  const error = await failureOf(connect('wss://localhost./', { tls: { ca: cert }, connect: hook }));
  expect([(error as EndpointError).code, names]).toEqual(['WS_CONNECT_HANDSHAKE', ['localhost']]);
});

it('S16 wss: what goes over the wire is TLS from the first byte, over a stream from the hook too', async () => {
  const { port, got } = await recorder('');
  const lookups: string[] = [];
  const error = await failureOf(
    connect(`wss://two.example.test:${port}/`, {
      headers: [['Cookie', 'secret']],
      timeouts: { opening: 500 },
      connect: ({ host }) => {
        lookups.push(host);
        return import('node:net').then(({ connect: dial }) => dial({ port, host: '127.0.0.1' }));
      },
    }),
  );
  expect(error).toBeInstanceOf(EndpointError);
  expect(lookups).toEqual(['two.example.test']);
  // 22: a TLS handshake record.
  expect(got.join('').charCodeAt(0)).toBe(22);
  expect(got.join('')).not.toContain('secret');
  expect(got.join('')).not.toContain('GET ');
});

it('S16 wss: TLS stays when the first address of a name does not answer and the next one is taken', async () => {
  const { key, cert } = await certificate();
  const listener = await listen({ tls: { key, cert } });
  cleanups.push(() => listener.close({ deadline: 0 }));
  const wire: Buffer[] = [];
  const relay = createServer((socket) => {
    const behind = dialPort({ port: listener.port, host: '127.0.0.1' });
    socket.on('data', (chunk: Buffer) => void wire.push(chunk)).pipe(behind);
    behind.pipe(socket);
    for (const side of [socket, behind]) side.on('error', () => {});
  });
  // On IPv4 only: at the first address of the name nobody listens.
  const port = await listening(relay);
  const before = dns.lookup;
  const addresses = [
    { address: '::1', family: 6 },
    { address: '127.0.0.1', family: 4 },
  ];
  const twice = (_name: string, _options: object, done: (failure: null, found: typeof addresses) => void): void => done(null, addresses);
  Object.assign(dns, { lookup: twice });
  syncBuiltinESMExports();
  cleanups.push(async () => {
    Object.assign(dns, { lookup: before });
    syncBuiltinESMExports();
  });
  for (const hook of [undefined, () => undefined]) {
    wire.length = 0;
    const peer = await connect(`wss://two.example.test:${port}/`, {
      headers: [['Cookie', 'secret']],
      tls: { ca: cert },
      servername: 'localhost',
      ...(hook !== undefined && { connect: hook }),
    });
    const bytes = Buffer.concat(wire);
    expect(bytes[0]).toBe(22);
    expect(bytes.includes('GET ') || bytes.includes('secret')).toBe(false);
    peer.abort();
  }
});

it('S17 the connect hook sees the resolved addresses and can refuse them', async () => {
  const listener = await listen();
  cleanups.push(() => listener.close({ deadline: 0 }));
  const seen: string[] = [];
  const error = await failureOf(
    connect(listener.url.replace('127.0.0.1', 'localhost'), {
      connect: ({ addresses }) => {
        seen.push(...addresses.map(({ address }) => address));
        throw new Error('loopback is not allowed');
      },
    }),
  );
  expect((error as EndpointError).code).toBe('WS_CONNECT_REFUSED');
  expect(seen.length).toBeGreaterThan(0);
  for (const address of seen) expect(['127.0.0.1', '::1']).toContain(address);
  expect(listener.peers.size).toBe(0);
});

it.each([true, false])(
  'S17 what the hook was shown is dialled, though the name resolves to another address next (in turn: %s)',
  async (inTurn) => {
    const listener = await listen();
    cleanups.push(() => listener.close({ deadline: 0 }));
    const [before, tried] = [dns.lookup, getDefaultAutoSelectFamily()];
    let asked = 0;
    const rebinding = (...args: unknown[]): void => {
      // At the second nobody listens.
      const found = { address: asked++ === 0 ? '127.0.0.1' : '127.0.0.2', family: 4 };
      const [options, done] = [args.at(-2) as { readonly all?: boolean }, args.at(-1) as (...results: unknown[]) => void];
      if (options.all === true) done(null, [found]);
      else done(null, found.address, found.family);
    };
    Object.assign(dns, { lookup: rebinding });
    syncBuiltinESMExports();
    setDefaultAutoSelectFamily(inTurn);
    cleanups.push(async () => {
      Object.assign(dns, { lookup: before });
      syncBuiltinESMExports();
      setDefaultAutoSelectFamily(tried);
    });
    const seen: string[] = [];
    const look = ({ addresses }: ConnectTarget): undefined => void seen.push(...addresses.map(({ address }) => address));
    const peer = await connect(`ws://rebinding.example.test:${listener.port}/`, { connect: look });
    cleanups.push(async () => peer.abort());
    expect([seen, transportOf(peer).remoteAddress]).toEqual([['127.0.0.1'], '127.0.0.1']);
  },
);

it('S27 a command that fails prints one line, whatever the server says', async () => {
  const { port } = await recorder('HTTP/1.1 403 \u001b[31mred\u0007\r\nContent-Length: 5\r\n\r\n\u001b]0;x');
  const testee = fileURLToPath(new URL('../dist/bin/testee.js', import.meta.url));
  const run = promisify(execFile);
  const failure = (await failureOf(
    run(process.execPath, [testee, 'client', '--url', `ws://127.0.0.1:${port}`, '--agent', '\u001b[2Jme']),
  )) as {
    readonly code: number;
    readonly stderr: string;
    readonly stdout: string;
  };
  expect(failure.code).toBe(1);
  expect(failure.stdout).toBe('');
  expect(failure.stderr).toMatch(/^[^\p{Cc}]+\n$/u);
  const bad = (await failureOf(run(process.execPath, [testee, 'server', '--port', '\u001b[2J']))) as { readonly stderr: string };
  expect(bad.stderr).toMatch(/^[^\p{Cc}]+\n$/u);
});
