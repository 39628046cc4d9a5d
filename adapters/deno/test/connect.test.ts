/** What `connect` asks Deno for and lets go of, in a namespace that only looks like Deno's. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { certificate } from '../../node/test/certificate.ts';
import { connect, listen } from '../dist/index.js';

afterEach(() => vi.unstubAllGlobals());

/** A connection on which TLS cannot be agreed on. */
function connection() {
  const conn = {
    closes: 0,
    handshake: () => Promise.reject(new Error('received fatal alert')),
    close() {
      conn.closes += 1;
      throw new Error('BadResource');
    },
  };
  return conn;
}
/** Deno with these functions; what each is called with is kept. */
function deno(functions: Readonly<Record<string, () => Promise<unknown>>>): unknown[] {
  const calls: unknown[] = [];
  const kept = Object.entries(functions).map(([name, call]) => {
    const recorded = (...args: unknown[]): Promise<unknown> => {
      calls.push([name, args.at(-1)]);
      return call();
    };
    return [name, recorded];
  });
  vi.stubGlobal('Deno', { version: { deno: '2.9.0' }, ...Object.fromEntries(kept) });
  return calls;
}
const failureOf = (attempt: Promise<unknown>): Promise<unknown> =>
  attempt.then(
    () => 'nothing',
    (error: unknown) => error,
  );
const alpnProtocols = ['http/1.1'];

describe('TLS', () => {
  it('is begun on a connection, with the name and the authorities that were given, and closed where it fails', async () => {
    const { cert } = await certificate();
    for (const [ca, caCerts] of [
      [undefined, []],
      [cert, [cert]],
      [
        [cert, cert],
        [cert, cert],
      ],
    ] as const) {
      const conn = connection();
      const calls = deno({ connect: async () => connection(), startTls: async () => conn });
      const options = { servername: 'name.example', ...(ca === undefined ? {} : { tls: { ca } }) };
      expect(await failureOf(connect('wss://host.example/', options))).toMatchObject({ code: 'WS_CONNECT_TLS' });
      expect(calls).toEqual([
        ['connect', { hostname: 'host.example', port: 443 }],
        ['startTls', { hostname: 'name.example', alpnProtocols, caCerts }],
      ]);
      expect(conn.closes).toBe(1);
    }
  });

  it('that cannot begin leaves no connection behind', async () => {
    const conn = connection();
    deno({ connect: async () => conn, startTls: () => Promise.reject(new Error("Invalid hostname: 'a..b'")) });
    expect(await failureOf(connect('wss://host.example/', { servername: 'a..b' }))).toMatchObject({ code: 'WS_CONNECT_TLS' });
    expect(conn.closes).toBe(1);
  });

  it('has a certificate of the client from the start, which Deno sends under no other name and on no unix socket', async () => {
    const { key, cert } = await certificate();
    const tls = { key, cert, ca: cert };
    const conn = connection();
    const calls = deno({ connectTls: async () => conn });
    expect(await failureOf(connect('wss://host.example:1/', { tls }))).toMatchObject({ code: 'WS_CONNECT_TLS' });
    expect(calls.splice(0)).toEqual([['connectTls', { hostname: 'host.example', port: 1, alpnProtocols, key, cert, caCerts: [cert] }]]);
    expect(conn.closes).toBe(1);
    for (const other of [{ servername: 'name.example' }, { socketPath: '/socket' }]) {
      const mistake = await failureOf(connect('wss://host.example/', { tls, ...other }));
      expect(mistake).toBeInstanceOf(TypeError);
      expect((mistake as Error).message).toMatch(/^options\.tls\.cert: /);
    }
    const mistake = await failureOf(listen({ tls, socketPath: '/socket' }));
    expect(mistake).toBeInstanceOf(TypeError);
    expect((mistake as Error).message).toMatch(/^options\.tls: /);
    expect(calls).toEqual([]);
  });
});

it('closes what it gets when it has given up', async () => {
  const [first, second] = [connection(), connection()];
  for (const [url, late] of [
    ['ws://host.example/', 'connect'],
    ['wss://host.example/', 'startTls'],
  ] as const) {
    const controller = new AbortController();
    let come = (): void => {};
    const waiting = new Promise((resolve) => {
      come = () => resolve(second);
    });
    const slow = (): Promise<unknown> => {
      queueMicrotask(() => controller.abort());
      return waiting;
    };
    second.closes = 0;
    deno({ connect: async () => first, [late]: slow });
    expect(await failureOf(connect(url, { signal: controller.signal }))).toMatchObject({ code: 'WS_CONNECT_ABORTED' });
    come();
    await new Promise(setImmediate);
    expect(second.closes).toBe(1);
  }
});
