/**
 * Exchanges of compressed messages with other implementations, and the table of what was agreed: for `interop-deflate.test.ts`.
 */
import type { ExtensionParam } from '@ferrywire/core';
import { clientDeflate, type DeflateOptions, serverDeflate } from '@ferrywire/deflate';
import type { Peer } from '@ferrywire/driver';
import { getHeader, type HeaderInput, parseExtensions } from '@ferrywire/handshake';
import { connect, listen } from '@ferrywire/node';
import { expect } from 'vitest';

export interface Combination {
  readonly serverFresh: boolean;
  readonly clientFresh: boolean;
  readonly serverBits: 9 | 15 | null;
  readonly clientBits: 9 | 15 | null;
}
export const combinations: Combination[] = [];
for (const serverFresh of [false, true]) {
  for (const clientFresh of [false, true]) {
    for (const serverBits of [null, 9, 15] as const) {
      for (const clientBits of [null, 9, 15] as const) combinations.push({ serverFresh, clientFresh, serverBits, clientBits });
    }
  }
}

export function options({ serverFresh, clientFresh, serverBits, clientBits }: Combination, role: 'client' | 'server'): DeflateOptions {
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
export async function ourClient(url: string, deflate: DeflateOptions): Promise<Outcome | 'failed'> {
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
export async function ourServer(
  deflate: DeflateOptions,
  start: (url: string) => Promise<() => void> | (() => void),
): Promise<Outcome | 'failed'> {
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
export function record(peer: string, combination: string, result: Outcome | 'failed'): void {
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
  if (result.agreed === null) return;
  expect(result.sent, `${peer}: what we send is compressed`).toBeLessThan(0.7);
  if (sendsUncompressed.test(peer)) expect(result.received, `${peer}: what comes is not`).toBeGreaterThan(0.99);
  else expect(result.received, `${peer}: what comes is compressed`).toBeLessThan(0.7);
}
/** undici, and with it Node, agrees to compression of what it receives, and sends without. */
const sendsUncompressed = /^(?:undici|Node \d+) client/;
export const title = ({ serverFresh, clientFresh, serverBits, clientBits }: Combination) =>
  `server ${serverFresh ? 'fresh' : 'keeps'} ${serverBits ?? '-'}, client ${clientFresh ? 'fresh' : 'keeps'} ${clientBits ?? '-'}`;

export interface Counts {
  readonly agreed: number;
  readonly declined: number;
  readonly failed: number;
}
export const countOf = (peer: string): Counts | undefined => counts.get(peer);

export function printTable(): void {
  console.log(rows.join('\n'));
  for (const [peer, { agreed, declined, failed }] of counts) {
    console.log(`${peer}: ${agreed} agreed, ${declined} declined, ${failed} failed`);
  }
}
