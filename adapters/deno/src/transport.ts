/**
 * A `Deno.Conn`, plain or TLS, as the driver's transport.
 *
 * All reads of a connection go into one buffer, which the core copies what it keeps from (`input: 'reused'`). It starts with 4 KiB and gets
 * larger after a read that filled it, smaller after some that would have fitted into less, so that most idle connections hold 4 KiB.
 *
 * Beware: `conn.writable.close()` closes both sides, `conn.closeWrite()` ends one. `close()` during a TLS handshake leaves the TCP connection
 * open until the peer ends it; nothing in Deno's interface ends it sooner.
 */
import type { Peer } from '@ferrywire/driver';
import { type AsyncBytes, AsyncTransport, type SocketInfo, transportIn } from '@ferrywire/driver/adapter';
import type { DenoConn } from './runtime.ts';

const SIZES = [4096, 16_384, 65_536, 262_144] as const;
/** After so many reads in a row that would have fitted into less: traffic in bursts must not change buffers all the time. */
const PATIENCE = 16;
/** Buffers of each size that no connection uses at the moment, up to so many bytes each. */
const spare: Uint8Array[][] = SIZES.map(() => []);
const KEPT = 1_048_576;

class ConnBytes implements AsyncBytes<number | null> {
  readonly copies = true;
  readonly conn: DenoConn;
  #level = 0;
  #next = 0;
  #small = 0;
  #buffer: Uint8Array = new Uint8Array(SIZES[0]);

  constructor(conn: DenoConn) {
    this.conn = conn;
    conn.setNoDelay?.(true);
  }

  read(): Promise<number | null> {
    // Not before: whoever gets this buffer next writes into it, and what it held has only now been dealt with.
    if (this.#next !== this.#level) this.#exchange();
    return this.conn.read(this.#buffer);
  }
  chunkOf(count: number | null): Uint8Array | null {
    const buffer = this.#buffer;
    if (count === null) return null;
    if (count === buffer.length) {
      this.#next = Math.min(this.#level + 1, SIZES.length - 1);
      this.#small = 0;
      return buffer;
    }
    if (this.#level === 0 || count > (SIZES[this.#level - 1] ?? 0)) this.#small = 0;
    else if (++this.#small >= PATIENCE) this.#next = this.#level - 1;
    return new Uint8Array(buffer.buffer, 0, count);
  }
  /** TLS without close_notify: WebSocket has a closing handshake of its own, so it is an end as any other. */
  isEnd(error: unknown): boolean {
    return error instanceof Error && error.name === 'UnexpectedEof';
  }
  write(bytes: Uint8Array): Promise<number> {
    return this.conn.write(bytes);
  }
  end(): Promise<void> {
    return this.conn.closeWrite();
  }
  close(): void {
    this.conn.close();
  }

  #exchange(): void {
    const list = spare[this.#level];
    if (list !== undefined && list.length * this.#buffer.length < KEPT) list.push(this.#buffer);
    this.#level = this.#next;
    this.#small = 0;
    this.#buffer = spare[this.#level]?.pop() ?? new Uint8Array(SIZES[this.#level] ?? SIZES[0]);
  }
}

export class ConnTransport extends AsyncTransport<ConnBytes> implements SocketInfo {
  readonly encrypted: boolean;

  constructor(conn: DenoConn, encrypted: boolean) {
    super(new ConnBytes(conn));
    this.encrypted = encrypted;
  }
  get remoteAddress(): string | null {
    return this.bytes.conn.remoteAddr.hostname ?? null;
  }
  get remotePort(): number | null {
    return this.bytes.conn.remoteAddr.port ?? null;
  }
  ref(): void {
    if (!this.closed) this.bytes.conn.ref();
  }
  unref(): void {
    if (!this.closed) this.bytes.conn.unref();
  }
}

/** What the adapter knows about a peer's connection. Throws TypeError for a peer of another adapter. */
export const transportOf = (peer: Pick<Peer, 'transport'>): SocketInfo => transportIn(peer, ConnTransport);
