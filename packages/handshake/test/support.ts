/** What the tests of this package share: bytes as binary strings, splits, virtual time, and whole lives run to their end. */
import {
  type ClientEvent,
  ClientProtocol,
  type ClientProtocolOptions,
  type ServerEvent,
  ServerProtocol,
  type ServerProtocolOptions,
} from '@ferrywire/handshake';

/** One character per byte. */
export function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

export function text(chunks: readonly Uint8Array[]): string {
  return chunks.map((chunk) => Buffer.from(chunk).toString('latin1')).join('');
}

export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

/** The fields of a sound request; `undefined` takes one out. */
export function requestFields(change: { readonly [name: string]: string | undefined } = {}): [string, string][] {
  const fields = {
    Host: 'server.example.com',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': KEY,
    'Sec-WebSocket-Version': '13',
    ...change,
  };
  return Object.entries(fields).filter((field): field is [string, string] => field[1] !== undefined);
}

export function head(startLine: string, fields: readonly (readonly [string, string])[]): string {
  return `${startLine}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

export const goodRequest = (change?: { readonly [name: string]: string | undefined }): string =>
  head('GET /chat HTTP/1.1', requestFields(change));

export const goodResponse = (accept: string, more: readonly [string, string][] = []): string =>
  head('HTTP/1.1 101 Switching Protocols', [
    ['Upgrade', 'websocket'],
    ['Connection', 'Upgrade'],
    ['Sec-WebSocket-Accept', accept],
    ...more,
  ]);

/** A text frame of fewer than 126 bytes; masked with the key 37fa213d when it comes from a client. */
export function textFrame(payload: string, masked: boolean): Uint8Array {
  const content = new TextEncoder().encode(payload);
  if (!masked) return Uint8Array.of(0x81, content.length, ...content);
  const key = [0x37, 0xfa, 0x21, 0x3d];
  return Uint8Array.of(0x81, 0x80 | content.length, ...key, ...content.map((byte, index) => byte ^ (key[index % 4] as number)));
}

/** `data` in pieces that end at `cuts`. */
export function split(data: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [...new Set([0, ...cuts.map((cut) => cut % (data.length + 1)), data.length])].sort((a, b) => a - b);
  return at.slice(1).map((end, index) => data.slice(at[index], end));
}

export const eachByte = (data: Uint8Array): Uint8Array[] => Array.from(data, (byte) => Uint8Array.of(byte));

export class VirtualClock {
  now = 1000;
  readonly read = (): number => this.now;
}

/** The status of the response that `output` starts with, and its fields by lower-case name. */
export function parseResponse(output: string): { status: number; fields: Map<string, string>; body: string } {
  const end = output.indexOf('\r\n\r\n');
  const [line = '', ...lines] = output.slice(0, end).split('\r\n');
  const fields = new Map<string, string>();
  for (const field of lines) {
    const colon = field.indexOf(': ');
    const name = field.slice(0, colon).toLowerCase();
    const before = fields.get(name);
    fields.set(name, before === undefined ? field.slice(colon + 2) : `${before}, ${field.slice(colon + 2)}`);
  }
  return { status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)?.[1]), fields, body: output.slice(end + 4) };
}

export type Plain = { readonly type: string } & Record<string, unknown>;

/** An event without what can't be compared: the connection object. */
export function plain(event: ServerEvent | ClientEvent): Plain {
  if (event.type === 'open') return { ...event, connection: 'connection' };
  if (event.type === 'refused' && 'body' in event) return { ...event, body: text([event.body]) };
  if ('data' in event && typeof event.data !== 'string') return { ...event, data: text([event.data]) };
  return { ...event };
}

export interface Life {
  readonly events: Plain[];
  readonly output: string;
  readonly transport: string;
}

/** A server fed with chunks, pulled after each, that accepts and echoes text. */
export function serve(chunks: readonly Uint8Array[], options: Partial<ServerProtocolOptions> = {}, end = false): Life {
  const protocol = new ServerProtocol({ clock: () => 0, ...options });
  const events: Plain[] = [];
  const turn = (): void => {
    for (const event of protocol.events()) {
      events.push(plain(event));
      if (event.type === 'request') protocol.accept();
      else if (event.type === 'message') protocol.send(event.data);
    }
  };
  for (const chunk of chunks) {
    protocol.receiveData(chunk);
    turn();
  }
  if (end) protocol.receiveEof();
  turn();
  return { events, output: text(protocol.takeOutput()), transport: protocol.transport };
}

/** A client fed with chunks, pulled after each. The random source is all zeros. */
export function dial(
  chunks: (key: string) => readonly Uint8Array[],
  options: Partial<ClientProtocolOptions> = {},
  end = false,
): Life & { readonly request: string } {
  const protocol = new ClientProtocol({ clock: () => 0, url: 'ws://h.example/', random: (target) => target.fill(0), ...options });
  const request = text(protocol.takeOutput());
  const key = /Sec-WebSocket-Key: (\S+)/.exec(request)?.[1] ?? '';
  const events: Plain[] = [];
  const turn = (): void => {
    for (const event of protocol.events()) events.push(plain(event));
  };
  for (const chunk of chunks(key)) {
    protocol.receiveData(chunk);
    turn();
  }
  if (end) protocol.receiveEof();
  turn();
  return { events, output: text(protocol.takeOutput()), transport: protocol.transport, request };
}
