/**
 * The demo: an echo endpoint and the page that talks to it, on one port of one HTTP server.
 *
 * Every path but one is the echo endpoint. A client that names a page's token in its query is watched by that page: what the core traces of
 * it goes to the page's control channel. Beware: the control channel is open to whoever reaches the port, but only to pages from here, and
 * not under a name that is not this machine's (cross-site WebSocket hijacking, DNS rebinding).
 */
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, isIPv6 } from 'node:net';
import type { Duplex } from 'node:stream';
import { serverDeflate } from '@ferrywire/deflate';
import { EndpointHost, type Peer, type PeerHandlers, type PendingRequest } from '@ferrywire/driver';
import { getHeader } from '@ferrywire/handshake';
import { takeUpgrade } from '../attach.ts';
import { listenError } from '../errors.ts';
import { hostOptions, serverSettings } from '../options.ts';
import { transportOf } from '../transport.ts';
import { page, upgradeRequired } from './page.ts';
import { Session } from './session.ts';
import type { Tap } from './tap.ts';

/** While clients are told that the server goes away. */
const STOP_DEADLINE = 2000;
const CONTROL = '/demo/control';
const MOST_SESSIONS = 16;
/** Conformance suites are run against the endpoint: their largest message, and every parameter of permessage-deflate. */
const LARGE = { maxMessageSize: 16_777_216 };
const TAKEOVER = { clientNoContextTakeover: false, serverNoContextTakeover: false };
/** An address is nobody's to rebind. */
const ADDRESS = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\])(?::\d+)?$/i;

export interface Demo {
  /** `ws://127.0.0.1:9001/`. */
  readonly url: string;
  close(): Promise<void>;
}

const firstOffered = (offered: readonly string[]): string | null => offered[0] ?? null;

class DemoServer implements Demo {
  readonly #server = createServer((request, response) => {
    // Node raises 'upgrade' only for a request that has both fields for it: without them a handshake is broken, and asks for no page.
    const broken = request.headers['sec-websocket-key'] !== undefined;
    const { status, headers, body } = broken ? upgradeRequired : page(request.method ?? '', request.url ?? '');
    response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body);
  });
  readonly #sessions = new Map<string, Session>();
  /** By socket, until the connection is open: the trace starts before the peer is known. */
  readonly #taps = new WeakMap<Duplex, Tap>();
  readonly #echo = new EndpointHost(hostOptions({ handlers: this.#echoHandlers() }));
  readonly #control = new EndpointHost(hostOptions({ handlers: this.#controlHandlers() }));
  readonly #echoSettings = serverSettings({ policy: { subprotocols: firstOffered, extensions: [serverDeflate(TAKEOVER)] }, limits: LARGE });
  /** A page shows every frame, so none of its is compressed. */
  readonly #watchedSettings = serverSettings({ policy: { subprotocols: firstOffered } });
  readonly #controlSettings = serverSettings({ limits: { maxMessageSize: 262_144 } });
  readonly #host: string;
  /** As it stands in a URL. */
  readonly #named: string;
  url = '';

  constructor(host: string) {
    this.#host = host;
    this.#named = isIPv6(host) ? `[${host}]` : host;
  }

  async listen(port: number): Promise<void> {
    const named = this.#named;
    this.#server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Uint8Array) => this.#upgrade(incoming, socket, head));
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause) => reject(listenError(cause, `${named}:${port}`)));
      this.#server.listen(port, this.#host, resolve);
    });
    this.url = `ws://${named}:${(this.#server.address() as AddressInfo).port}/`;
  }

  async close(): Promise<void> {
    const stopped = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const told = { code: 1001, reason: 'the server is stopping', deadline: STOP_DEADLINE };
    await Promise.all([this.#echo.close(told), this.#control.close(told)]);
    this.#server.closeAllConnections();
    await stopped;
  }

  #upgrade(incoming: IncomingMessage, socket: Duplex, head: Uint8Array): void {
    const target = incoming.url ?? '';
    if (target === CONTROL) {
      takeUpgrade(this.#control, this.#controlSettings, incoming, socket, head);
      return;
    }
    const query = new URLSearchParams(target.split('?')[1] ?? '');
    const session = this.#sessions.get(query.get('log') ?? '');
    const tap = session?.watch(query.get('client') === 'raw' ? 'raw' : 'browser', socket, head.length) ?? null;
    if (tap !== null) this.#taps.set(socket, tap);
    const settings = tap === null ? this.#echoSettings : { ...this.#watchedSettings, onTrace: tap.trace };
    takeUpgrade(this.#echo, settings, incoming, socket, head);
  }

  #echoHandlers(): PeerHandlers {
    return {
      onOpen: (peer) => {
        const tap = this.#taps.get(transportOf(peer).socket);
        peer.data = tap;
        tap?.opened(peer);
      },
      onMessage: (peer, data) => void peer.send(data),
      onEnd: (peer, info) => (peer.data as Tap | undefined)?.ended(info),
    };
  }

  #controlHandlers(): PeerHandlers {
    return {
      onRequest: (pending) => this.#admit(pending),
      onOpen: (peer) => {
        const session = new Session(peer, this.#reachable());
        peer.data = session;
        this.#sessions.set(session.token, session);
      },
      onText: (peer, text) => sessionOf(peer)?.command(text),
      onEnd: (peer) => {
        const session = sessionOf(peer);
        if (session !== undefined) this.#sessions.delete(session.token);
        session?.end();
      },
    };
  }

  /** Only pages from here: the Origin is that of the Host, and the Host is an address or a name of this machine. */
  #admit(pending: PendingRequest): void {
    if (this.#sessions.size >= MOST_SESSIONS) {
      pending.reject(503, 'too many pages are open\n');
      return;
    }
    const host = getHeader(pending.request.headers, 'host') ?? '';
    pending.accept({ origins: [`http://${host}`, `https://${host}`], hosts: [ADDRESS, 'localhost', this.#named] });
  }

  /** Where the raw peer finds the server: the address that it listens on, or loopback where that is every address. */
  #reachable(): string {
    if (this.#host === '0.0.0.0') return this.url.replace('0.0.0.0', '127.0.0.1');
    return this.#host === '::' ? this.url.replace('[::]', '[::1]') : this.url;
  }
}

function sessionOf(peer: Peer): Session | undefined {
  return peer.data as Session | undefined;
}

/** Rejects with an `EndpointError` when it cannot listen there. */
export async function startDemo(options: { readonly port: number; readonly host: string }): Promise<Demo> {
  const demo = new DemoServer(options.host);
  await demo.listen(options.port);
  return demo;
}
