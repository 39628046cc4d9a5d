/**
 * A server's request that the application has not answered yet: what `PeerHandlers.onRequest` gets.
 *
 * Beware: an answer may call a handler (`onOpen`, `onRefused`), which may throw; the answer goes out all the same.
 */
import type { HeaderList, ServerPolicy, ServerProtocol } from '@ferrywire/handshake';
import type { Pump } from './driver.ts';
import { apart } from './outside.ts';
import type { PendingRequest, ServerRequest } from './peer.ts';
import type { Transport } from './types.ts';

export class Pending implements PendingRequest {
  readonly request: ServerRequest;
  readonly isWebSocket: boolean;
  readonly #life: ServerProtocol;
  readonly #driver: Pump;

  constructor(life: ServerProtocol, driver: Pump, request: ServerRequest, isWebSocket: boolean) {
    this.#life = life;
    this.#driver = driver;
    this.request = request;
    this.isWebSocket = isWebSocket;
  }
  get transport(): Transport {
    return this.#driver.transport;
  }
  accept(policy?: ServerPolicy): boolean {
    try {
      return this.#life.accept(policy);
    } finally {
      this.#driver.pumpSoon();
    }
  }
  reject(status: number, body?: string | Uint8Array, headers?: HeaderList): void {
    try {
      this.#life.reject(status, body, headers);
    } finally {
      this.#driver.pumpSoon();
    }
  }
  startRejection(status: number, headers?: HeaderList): { write(chunk: Uint8Array): boolean; end(): void } {
    const driver = this.#driver;
    let writer: ReturnType<ServerProtocol['startRejection']>;
    try {
      writer = this.#life.startRejection(status, headers);
    } finally {
      driver.pumpSoon();
    }
    return {
      write(chunk: Uint8Array): boolean {
        const more = writer.write(chunk);
        driver.pumpSoon();
        return more;
      },
      end(): void {
        try {
          writer.end();
        } finally {
          driver.pumpSoon();
        }
      },
    };
  }
}

/**
 * Has the application decide. Where that fails nobody else answers, and the client would be told at the opening deadline that it was too slow: it
 * gets a 500, unless it has been answered. The error goes on.
 */
export function decide(pending: Pick<PendingRequest, 'reject'>, call: () => unknown): void {
  const failed = (error: unknown): never => {
    apart(() => pending.reject(500));
    throw error;
  };
  try {
    const decided = call();
    // An async function's promise: unhandled as before. Of any library or realm: where `Promise` was replaced an async function still returns the engine's own.
    if (isThenable(decided)) decided.then(undefined, failed);
  } catch (error) {
    failed(error);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
