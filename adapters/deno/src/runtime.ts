/**
 * Deno, as far as this adapter needs it: the parts of its namespace that are used, declared by hand, its clock, timers and native text
 * functions, and whether it is Deno at all.
 */
import * as hooks from 'node:async_hooks';
import * as buffer from 'node:buffer';
import * as clocks from 'node:perf_hooks';
import * as timers from 'node:timers';
import * as threads from 'node:worker_threads';
import { checkRuntime, type Runtime, runtimeOf } from '@ferrywire/driver/adapter';

export interface DenoAddress {
  readonly hostname?: string;
  readonly port?: number;
}
export interface DenoConn {
  readonly remoteAddr: DenoAddress;
  /** The count of bytes, null at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Takes part of the bytes; settles once there is room. */
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): void;
  ref(): void;
  unref(): void;
  /** TCP only. */
  setNoDelay?(on: boolean): void;
  /** TLS only. */
  handshake?(): Promise<unknown>;
}
export interface DenoListener {
  readonly addr: DenoAddress;
  accept(): Promise<DenoConn>;
  close(): void;
  ref(): void;
  unref(): void;
}
interface Place {
  readonly hostname: string;
  readonly port: number;
}
interface Unix {
  readonly transport: 'unix';
  readonly path: string;
}
interface Keys {
  readonly cert?: string;
  readonly key?: string;
  readonly alpnProtocols?: readonly string[];
}
interface DenoNamespace {
  readonly version: { readonly deno: string };
  listen(options: Place | Unix): DenoListener;
  listenTls(options: Place & Keys): DenoListener;
  connect(options: Place | Unix): Promise<DenoConn>;
  connectTls(options: Place & Keys & { readonly caCerts?: readonly string[] }): Promise<DenoConn>;
  startTls(conn: DenoConn, options: Omit<Keys, 'cert' | 'key'> & { hostname: string; caCerts?: readonly string[] }): Promise<DenoConn>;
}

/** The namespace. Throws `WS_RUNTIME` where this is not Deno, or one older than 2.9. */
export function requireDeno(): DenoNamespace {
  const { Deno } = globalThis as { readonly Deno?: DenoNamespace };
  checkRuntime('Deno', Deno?.version.deno, [2, 9]);
  return Deno as DenoNamespace;
}

/** Deno's UTF-8 decoder is slow on plain ASCII: looking first is 10 times as fast at 16 KiB, twice at 1 KiB. */
const choice = { small: true, asciiFrom: 512, cut: true, blindTurns: true };
export const runtime: Runtime = runtimeOf(buffer, timers, threads, choice, hooks, clocks);
