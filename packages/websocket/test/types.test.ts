/** The declarations as consumers see them: with the library of ES2022 and nothing else, with the DOM library, and with Node's types. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));
let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ferrywire-types-'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the compiler says to a consumer with these settings; declarations are checked too. */
function compile(name: string, source: string, settings: object): string {
  const place = join(folder, name);
  mkdirSync(place);
  writeFileSync(join(place, 'consumer.ts'), source);
  writeFileSync(
    join(place, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        target: 'ES2022',
        module: 'NodeNext',
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        noEmit: true,
        types: [],
        typeRoots: [join(root, 'node_modules/@types')],
        ...settings,
      },
      include: ['consumer.ts'],
    }),
  );
  const { stdout, stderr } = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', place], {
    encoding: 'utf8',
  });
  return `${stdout}${stderr}`.trim();
}

const plain = `
import { CloseEvent, type Connector, defineWebSocket, messageStreams, WebSocket, WebSocketError, WebSocketStream, type WebSocketStreamInfo } from '@ferrywire/websocket';
import type { Connection } from '@ferrywire/core';
import type { Driver } from '@ferrywire/driver';

declare const connection: Connection;
declare const host: Driver;
declare const connector: Connector;

const ws: WebSocket = WebSocket.from(connection, host);
const state: 0 | 1 | 2 | 3 = ws.readyState;
ws.onopen = (event) => void event.type;
ws.onmessage = (event) => void event.data;
ws.onclose = (event) => void (event.code + event.reason.length);
ws.onerror = null;
ws.addEventListener('close', (event) => void event.wasClean, { once: true });
ws.addEventListener('message', { handleEvent: (event) => void event.origin });
ws.addEventListener('anything', (event) => void event.type);
ws.addEventListener('message', function (event) {
  this.send(event.data === 'x' ? this.url : '');
});
ws.onopen = function () {
  this.close();
};
function leave(this: WebSocket): void {
  this.removeEventListener('close', leave);
}
ws.addEventListener('close', leave);
ws.binaryType = 'arraybuffer';
ws.send('x');
ws.send(new Uint8Array(1));
ws.send(new ArrayBuffer(1));
ws.close(1000, 'x');
const closed = new Promise<CloseEvent>((resolve) => {
  ws.onclose = resolve;
});
void closed;
const info: WebSocketStreamInfo = ws.stream();
for await (const message of ws.messages({ highWaterMark: 2 })) void (typeof message === 'string' ? message : message.byteLength);
for await (const { kind, body } of messageStreams(connection, host)) for await (const piece of body) void [kind, piece.length];
const { value } = await info.readable.getReader().read();
await info.writable.getWriter().write(value ?? 'x');
await ws[Symbol.asyncDispose]();
const bound = defineWebSocket(connector);
const other: WebSocketStream = new bound.WebSocketStream('ws://h/', { protocols: ['a'], headers: [['A', 'b']], deflate: false });
const { closeCode, reason } = await other.closed;
throw new WebSocketError(reason + state, { closeCode });
`;

const dom = `
import { CloseEvent as OwnCloseEvent, type Connector, WebSocket as Socket } from '@ferrywire/websocket';
declare const ws: Socket;
ws.onmessage = (event: MessageEvent) => void event.data;
ws.onclose = (event: CloseEvent) => void event.code;
ws.addEventListener('message', (event: MessageEvent) => void event.data);
await new Promise<Event>((resolve) => (ws.onopen = resolve));
await new Promise<MessageEvent>((resolve) => (ws.onmessage = resolve));
await new Promise<CloseEvent>((resolve) => (ws.onclose = resolve));
await new Promise<CloseEvent>((resolve) => ws.addEventListener('close', resolve));
const own: CloseEvent = new OwnCloseEvent('close', { code: 1000 });
const plainOwn: Event = own;
ws.send(new Blob(['x']));
const target: EventTarget = ws;
const controller = new AbortController();
new Socket(new URL('ws://h/'), { signal: controller.signal });
ws.messages({ signal: controller.signal });
const { readable, writable } = ws.stream();
await readable.pipeThrough(new TransformStream<string | Uint8Array, string>()).pipeTo(new WritableStream<string>());
await new ReadableStream<string>().pipeTo(writable);
const whole: ReadableStream<string | Uint8Array> = readable;
const sink: WritableStream<string | Uint8Array> = writable;
const connector: Connector = {
  connect(request) {
    const signal: AbortSignal = request.signal;
    return Promise.reject(signal.reason);
  },
};
void [plainOwn, target, whole, sink, connector];
`;

describe('a consumer compiles', () => {
  it('with types [] and lib ES2022 only', () => {
    expect(compile('plain', plain, { lib: ['ES2022'] })).toBe('');
  });
  it('with the DOM library, whose types are accepted', () => {
    const whole = `${dom}const standard: WebSocket = ws;\nvoid standard;\n`;
    expect(compile('dom', whole, { lib: ['ES2022', 'DOM', 'DOM.AsyncIterable', 'ESNext.Disposable'] })).toBe('');
  });
  it("with Node's types", () => {
    const settings = { lib: ['ES2022'], types: ['node'] };
    expect(compile('node', plain, settings)).toBe('');
    expect(compile('node-dom', dom, settings)).toBe('');
  });
  it('the test can fail', () => {
    expect(compile('broken', plain.replace("ws.binaryType = 'arraybuffer'", "ws.binaryType = 'text'"), { lib: ['ES2022'] })).toContain(
      'TS2322',
    );
  });
});

it('no declaration refers to a library or to types', () => {
  const declarations = join(root, 'packages/websocket/dist');
  const files = readdirSync(declarations).filter((file) => file.endsWith('.d.ts'));
  expect(files.length).toBeGreaterThan(10);
  for (const file of files) expect(readFileSync(join(declarations, file), 'utf8'), file).not.toMatch(/<reference/);
});
