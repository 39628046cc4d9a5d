/**
 * What the contract's cases share: contents that can be checked, and a scope that takes down what a case has set up.
 */
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import type { EndInfo } from '@ferrywire/core';
import type { Listening, Peer, PeerHandlers } from '@ferrywire/driver';
import type { AdapterUnderTest, ContractConnect, ContractListen } from './adapter.ts';
import { RawPeer, readRequest } from './raw.ts';
import { Queue, within } from './wait.ts';

/** `size` bytes that are the same for the same seed and look like nothing in particular. */
export function pattern(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = (seed * 2_654_435_761 + 12_345) >>> 0;
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** `size` UTF-16 units of text in all four UTF-8 lengths. */
export function words(size: number, seed: number): string {
  const alphabet = ['a', 'é', '水', 'Z', '0', ' ', 'ß', '한'];
  let text = seed % 2 === 0 ? '\ufeff' : '';
  while (text.length < size) text += alphabet[(text.length * 7 + seed) % alphabet.length];
  text = text.slice(0, size);
  return size > 2 ? `${text.slice(0, size - 2)}\u{1f6a2}` : text;
}

export function digest(data: Uint8Array | string): string {
  return createHash('sha1').update(data).digest('hex');
}

/** A number from 0 up to and without `below`, the same sequence for the same seed. */
export function sequence(seed: number): (below: number) => number {
  let state = (seed + 1) >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 4_294_967_296) * below);
  };
}

/** A listener with what happened to its peers. */
export interface Serving {
  readonly listening: Listening;
  readonly url: string;
  readonly port: number;
  readonly opened: Queue<Peer>;
  readonly ends: Queue<EndInfo>;
  /** What went wrong in a handler, or was called after the end: must stay empty. */
  readonly faults: string[];
}

export interface Connected {
  readonly peer: Peer;
  readonly messages: Queue<string | Uint8Array>;
  readonly ends: Queue<EndInfo>;
  readonly closes: Queue<{ readonly code: number; readonly reason: string }>;
}

/** The handlers of a case, checked: nothing comes before 'open', nothing after 'end', 'end' comes once. */
function watched(handlers: PeerHandlers, opened: Queue<Peer>, ends: Queue<EndInfo>, faults: string[]): PeerHandlers {
  const live = new Set<Peer>();
  const ended = new Set<Peer>();
  const check = (peer: Peer, what: string): void => {
    if (ended.has(peer)) faults.push(`${what} after end`);
    else if (!live.has(peer)) faults.push(`${what} before open`);
  };
  return {
    ...handlers,
    onOpen(peer, opening) {
      if (live.has(peer) || ended.has(peer)) faults.push('open twice');
      live.add(peer);
      handlers.onOpen?.(peer, opening);
      opened.push(peer);
    },
    onMessage(peer, data) {
      check(peer, 'message');
      handlers.onMessage?.(peer, data);
    },
    onClose(peer, code, reason) {
      check(peer, 'close');
      handlers.onClose?.(peer, code, reason);
    },
    onEnd(peer, info) {
      check(peer, 'end');
      ended.add(peer);
      live.delete(peer);
      handlers.onEnd?.(peer, info);
      ends.push(info);
    },
    onError(peer, error) {
      if (handlers.onError === undefined) faults.push(`a handler threw: ${String(error)}`);
      else handlers.onError(peer, error);
    },
  };
}

/** One case's view of the adapter. Whatever is made here is gone when the case is over. */
export class Scope {
  readonly adapter: AdapterUnderTest;
  readonly #cleanups: (() => unknown)[] = [];
  readonly #faults: string[] = [];

  constructor(adapter: AdapterUnderTest) {
    this.adapter = adapter;
  }

  /** What the case has to undo, the last first. */
  defer(cleanup: () => unknown): void {
    this.#cleanups.push(cleanup);
  }
  /** Undoes everything, then throws when a handler was called that must not be. */
  async close(): Promise<void> {
    for (const cleanup of this.#cleanups.reverse()) await cleanup();
    if (this.#faults.length > 0) throw new Error(this.#faults.slice(0, 5).join('; '));
  }

  /** An echo server, unless the handlers say otherwise. */
  async serve(options: Partial<ContractListen> = {}): Promise<Serving> {
    const opened = new Queue<Peer>();
    const ends = new Queue<EndInfo>();
    const echo: PeerHandlers = { onMessage: (peer, data) => void peer.send(data) };
    const listening = await within(
      this.adapter.listen({
        host: '127.0.0.1',
        port: 0,
        limits: { maxMessageSize: 16 * 1024 * 1024 },
        ...options,
        handlers: watched({ ...echo, ...options.handlers }, opened, ends, this.#faults),
      }),
      'listen',
    );
    this.defer(async () => {
      await within(listening.close({ deadline: 0 }), 'the listener to close');
      if (listening.peers.size !== 0) throw new Error(`${listening.peers.size} peers are left after close`);
    });
    return { listening, url: listening.url, port: listening.port, opened, ends, faults: this.#faults };
  }

  async connect(url: string, options: Partial<ContractConnect> = {}): Promise<Connected> {
    const messages = new Queue<string | Uint8Array>();
    const closes = new Queue<{ code: number; reason: string }>();
    const ends = new Queue<EndInfo>();
    const own: PeerHandlers = {
      onMessage: (_, data) => messages.push(data),
      onClose: (_, code, reason) => closes.push({ code, reason }),
    };
    const peer = await within(
      this.adapter.connect(url, {
        limits: { maxMessageSize: 16 * 1024 * 1024 },
        ...options,
        handlers: watched({ ...own, ...options.handlers }, new Queue(), ends, this.#faults),
      }),
      'connect',
    );
    this.defer(() => peer.abort());
    return { peer, messages, ends, closes };
  }

  /** A client made of bytes. Its handshake is done unless `handshake` is false. */
  async raw(port: number, handshake = true): Promise<RawPeer> {
    const raw = await within(RawPeer.dial(port), 'a TCP connection');
    this.defer(() => raw.destroy());
    if (handshake) await raw.handshake();
    return raw;
  }

  /** A server made of bytes: `onPeer` gets each connection after its request head was read. Resolves to the URL. */
  async rawServer(onPeer: (raw: RawPeer, key: string) => void): Promise<string> {
    const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
      const raw = new RawPeer(socket, 'server');
      this.defer(() => raw.destroy());
      readRequest(raw).then(
        (key) => onPeer(raw, key),
        () => raw.destroy(),
      );
    });
    await within(new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)), 'a TCP listener');
    this.defer(() => server.close());
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP listener without a port');
    return `ws://127.0.0.1:${address.port}/`;
  }
}
