/** A TCP reset in each state: one end event at most, nothing thrown, nothing left behind, and the listener goes on. */
import type { EndInfo } from '@ferrywire/core';
import { Opcode } from '@ferrywire/core/frame';
import { EndpointError } from '@ferrywire/driver';
import type { AdapterUnderTest } from './adapter.ts';
import { type ContractCase, contractCase, equal, ok } from './case.ts';
import type { RawPeer } from './raw.ts';
import { pattern, type Scope, type Serving } from './support.ts';
import { until, within } from './wait.ts';

interface State {
  readonly name: string;
  /** Brings the connection there. */
  enter(raw: RawPeer, serving: Serving): Promise<void>;
  /** After the reset, where the host needs a push to notice. */
  after?(serving: Serving): void;
  /** Whether both close frames were exchanged. */
  readonly clean?: boolean;
  readonly open: boolean;
}

const part = (raw: RawPeer, bytes: number): Uint8Array => raw.frame(Opcode.Binary, pattern(1000, 1)).subarray(0, bytes);

const states: readonly State[] = [
  { name: 'before the first byte', open: false, enter: async () => {} },
  {
    name: 'amid the request head',
    open: false,
    enter: async (raw) => raw.text('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpg'),
  },
  { name: 'open', open: true, enter: (raw) => raw.handshake() },
  {
    name: 'amid a frame header',
    open: true,
    enter: async (raw) => {
      await raw.handshake();
      raw.write(part(raw, 3));
    },
  },
  {
    name: 'amid a payload',
    open: true,
    enter: async (raw) => {
      await raw.handshake();
      raw.write(part(raw, 500));
    },
  },
  {
    name: 'between fragments',
    open: true,
    enter: async (raw) => {
      await raw.handshake();
      raw.send(Opcode.Text, pattern(0, 0), false);
    },
  },
  {
    name: 'after the close frame of the server',
    open: true,
    enter: async (raw, { opened, listening }) => {
      await raw.handshake();
      await until(() => listening.peers.size === 1, 'open');
      (await opened.next('open')).close(1000);
      await raw.next(Opcode.Close);
    },
  },
  {
    name: 'after both close frames',
    open: true,
    clean: true,
    enter: async (raw) => {
      await raw.handshake();
      raw.sendClose(1000);
      await raw.next(Opcode.Close);
    },
  },
  {
    name: 'while the server has paused',
    open: true,
    enter: async (raw, { opened }) => {
      await raw.handshake();
      (await opened.next('open')).pause();
      raw.send(Opcode.Binary, pattern(200_000, 1));
    },
    after: ({ listening }) => {
      for (const peer of listening.peers) peer.resume();
    },
  },
  {
    name: 'while the output of the server is stalled',
    open: true,
    enter: async (raw, { opened }) => {
      raw.socket.setNoDelay(true);
      await raw.handshake();
      raw.socket.pause();
      const peer = await opened.next('open');
      for (let sent = 0; sent < 64 && peer.writable; sent++) {
        peer.send(pattern(1_000_000, 1));
        peer.driver.pump();
      }
      ok(!peer.writable, 'the server took 64 MB for a peer that reads nothing');
    },
  },
];

async function ofTheClient(scope: Scope, state: State): Promise<void> {
  const serving = await scope.serve();
  const raw = await scope.raw(serving.port, false);
  await state.enter(raw, serving);
  raw.reset();
  await within(raw.closed, 'the reset');
  state.after?.(serving);
  if (state.open) {
    const end: EndInfo = await serving.ends.next('the end');
    equal(end.clean, state.clean ?? false, 'clean');
    if (state.clean !== true) {
      equal(end.code, 1006, 'the code');
      const causes = scope.adapter.capabilities.resetVisible ? ['WS_TRANSPORT'] : ['WS_TRANSPORT', 'WS_EOF'];
      ok(causes.includes(end.cause?.code ?? ''), `the cause is ${end.cause?.code}`);
    }
  }
  await until(() => serving.listening.peers.size === 0, 'the peer to be let go');
  // The listener serves the next one, and what it does shows that no second end came meanwhile.
  const next = await scope.connect(serving.url);
  next.peer.send('still here');
  equal(await next.messages.next('the echo'), 'still here', 'the echo');
  equal(serving.ends.count, state.open ? 1 : 0, 'end events');
}

async function refused(scope: Scope, onPeer: (raw: RawPeer, key: string) => void): Promise<void> {
  const url = await scope.rawServer(onPeer);
  try {
    await scope.connect(url);
  } catch (error) {
    ok(error instanceof EndpointError, `not an EndpointError: ${String(error)}`);
    const codes = ['WS_CONNECT_REFUSED', 'WS_CONNECT_HANDSHAKE'];
    ok(error instanceof EndpointError && codes.includes(error.code), `the code: ${(error as EndpointError).code}`);
    return;
  }
  throw new Error('connect resolved');
}

async function ofTheServer(scope: Scope, go: (raw: RawPeer) => Promise<void>, client: (url: string) => Promise<EndInfo>): Promise<void> {
  const url = await scope.rawServer((raw, key) => {
    raw.accept(key);
    void go(raw).then(() => raw.reset());
  });
  const end = await client(url);
  equal([end.clean, end.code], [false, 1006], 'the end');
}

export function resetCases(adapter: AdapterUnderTest): ContractCase[] {
  const named = (name: string, body: (scope: Scope) => Promise<void>): ContractCase => contractCase(adapter, `reset: ${name}`, body);
  return [
    ...states.map((state) => named(`by the client, ${state.name}`, (scope) => ofTheClient(scope, state))),
    named('by the server, before its response', (scope) => refused(scope, (raw) => raw.reset())),
    named('by the server, amid its response', (scope) =>
      refused(scope, (raw) => {
        raw.text('HTTP/1.1 101 Switching Protocols\r\nUpgr');
        setImmediate(() => raw.reset());
      }),
    ),
    named('by the server, amid a payload', (scope) =>
      ofTheServer(
        scope,
        async (raw) => {
          raw.send(Opcode.Text, new TextEncoder().encode('go'));
          raw.write(part(raw, 100));
          await raw.next(Opcode.Text);
        },
        async (url) => {
          const client = await scope.connect(url);
          await client.messages.next('the message');
          client.peer.send('now');
          return client.ends.next('the end');
        },
      ),
    ),
    named('by the server, after the close frame of the client', (scope) =>
      ofTheServer(
        scope,
        async (raw) => {
          await raw.next(Opcode.Close);
        },
        async (url) => {
          const client = await scope.connect(url);
          client.peer.close(1000);
          return client.ends.next('the end');
        },
      ),
    ),
  ];
}
