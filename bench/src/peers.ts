/**
 * The packages ferrywire is measured against, loaded from their files: `import 'ws'` on Bun gives Bun's own shim instead of `ws`.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const requireFile = createRequire(import.meta.url);

function load<T>(name: string, file: string): T {
  return requireFile(join(dirname(requireFile.resolve(`${name}/package.json`)), file)) as T;
}

export function versionOf(name: string): string {
  return load<{ version: string }>(name, 'package.json').version;
}

/** `ws/lib/receiver.js`, as far as it is used here. */
export interface WsReceiver {
  on(event: 'message', listener: (data: Buffer, isBinary: boolean) => void): this;
  on(event: 'error', listener: (error: Error) => void): this;
  write(chunk: Uint8Array): boolean;
}
export type WsReceiverClass = new (options: {
  isServer: boolean;
  maxPayload: number;
  binaryType: 'nodebuffer';
  allowSynchronousEvents: boolean;
  extensions: object;
  skipUTF8Validation: boolean;
}) => WsReceiver;
export const loadWsReceiver = (): WsReceiverClass => load<WsReceiverClass>('ws', 'lib/receiver.js');

export interface WsSocket {
  on(event: 'message', listener: (data: Buffer, isBinary: boolean) => void): this;
  on(event: 'error', listener: (error: Error) => void): this;
  send(data: Buffer, options: { binary: boolean }): void;
}
export interface WsServer {
  on(event: 'connection', listener: (socket: WsSocket) => void): this;
  on(event: 'listening', listener: () => void): this;
  on(event: 'error', listener: (error: Error) => void): this;
}
export type WsServerClass = new (options: { host: string; port: number; perMessageDeflate?: boolean }) => WsServer;
export const loadWsServer = (): WsServerClass => load<WsServerClass>('ws', 'lib/websocket-server.js');

/** `ws/lib/permessage-deflate.js`, as far as it is used here. */
export interface WsDeflate {
  accept(offers: readonly object[]): object;
  compress(data: Buffer, fin: boolean, callback: (error: Error | null, data: Buffer) => void): void;
  decompress(data: Buffer, fin: boolean, callback: (error: Error | null, data: Buffer) => void): void;
  cleanup(): void;
}
export type WsDeflateClass = new (options: {
  isServer: boolean;
  threshold: number;
  maxPayload: number;
  serverNoContextTakeover?: boolean;
  clientNoContextTakeover?: boolean;
}) => WsDeflate;
export const loadWsDeflate = (): WsDeflateClass => load<WsDeflateClass>('ws', 'lib/permessage-deflate.js');

/** `websocket-driver`, as far as it is used here. */
export interface DriverProtocol {
  readonly io: {
    on(event: 'data', listener: (chunk: Buffer) => void): unknown;
    on(event: 'error', listener: (error: Error) => void): unknown;
    write(chunk: Buffer): boolean;
    end(): void;
  };
  readonly messages: { on(event: 'data', listener: (data: string | Buffer) => void): unknown };
  on(event: 'connect', listener: () => void): this;
  on(event: 'error', listener: (error: Error) => void): this;
  parse(chunk: Buffer): void;
  start(): boolean;
  binary(data: Buffer): boolean;
}
interface DriverModule {
  server(options?: { maxLength?: number }): DriverProtocol;
}
export const loadWebsocketDriver = (): DriverModule => load<DriverModule>('websocket-driver', 'lib/websocket/driver.js');
