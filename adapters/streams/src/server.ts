/**
 * Servers over stream pairs: the HTTP exchange and then the WebSocket on the same bytes (RFC 6455 section 4.2).
 */
import { type CloseAllOptions, EndpointHost, type Peer, type ServerSettings } from '@ferrywire/driver';
import { checkObject, hostOptions, type InputOwnership, type ServerOptions, serverSettings } from '@ferrywire/driver/adapter';
import type { StreamPair } from './pair.ts';
import { runtime } from './runtime.ts';
import { transportOver } from './transport.ts';

/** Who owns the chunks that are read. */
export interface InputOptions {
  /**
   * Default 'shared': they are never written to, since another branch of the stream may hold them. 'transferred' where nobody else does:
   * payloads are then unmasked in place and not copied. 'reused' where the source overwrites a chunk once the next one is asked for.
   */
  readonly input?: InputOwnership;
}
export type AttachOptions = ServerOptions & InputOptions;

/** Any number of pairs with the same options, and one end for all of them. */
export class StreamServer {
  readonly #endpoints: EndpointHost;
  readonly #settings: ServerSettings;

  /** Throws TypeError, RangeError or SyntaxError naming the option. */
  constructor(options: AttachOptions = {}) {
    checkObject(options, 'options');
    const { input = 'shared', ...rest } = options;
    this.#endpoints = new EndpointHost(hostOptions(runtime, rest));
    this.#settings = serverSettings(runtime, rest, input);
  }

  /** The connections, from `onOpen` until their streams have ended. */
  get peers(): ReadonlySet<Peer> {
    return this.#endpoints.peers;
  }

  /**
   * Serves the other end of the pair. Resolves when the WebSocket is open, or to null when none came of it: the request was refused, or the
   * streams ended. The handlers hear of it all either way. Rejects with a TypeError for what is no pair, or one that is in use.
   */
  async attach(pair: StreamPair): Promise<Peer | null> {
    const transport = transportOver(pair);
    const { driver, opened } = this.#endpoints.serveOne(transport, this.#settings);
    transport.join(driver);
    return opened;
  }

  /**
   * Closes every connection. Resolves when all of them are gone. Idempotent. Rejects with a TypeError or RangeError that names the option for what
   * no program should ask for, and then goes on.
   */
  close(options?: CloseAllOptions): Promise<void> {
    return this.#endpoints.close(options);
  }
  /** `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Serves one pair: `new StreamServer(options).attach(pair)`. */
export async function attach(pair: StreamPair, options: AttachOptions = {}): Promise<Peer | null> {
  return new StreamServer(options).attach(pair);
}
