/** The classes as Web IDL makes them: what programs that ask a class for its members, or convert its arguments, see of a browser's. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { CloseEvent, WebSocket, WebSocketError, WebSocketStream } from '@ferrywire/websocket';
import { describe, expect, it } from 'vitest';
import { bench, closePayload, nameOf, opened } from './helpers.ts';

interface Interface {
  readonly name: string;
  readonly classes: readonly (new (...args: never[]) => object)[];
  /** Arguments that a call must have. */
  readonly length: number;
  readonly attributes: readonly string[];
  /** Attributes whose type is a promise: their getters reject. */
  readonly promises?: readonly string[];
  readonly operations: Readonly<Record<string, number>>;
  readonly constants?: Readonly<Record<string, number>>;
}
const interfaces: readonly Interface[] = [
  {
    name: 'WebSocket',
    classes: [WebSocket, bench().WebSocket],
    length: 1,
    attributes: [
      'url',
      'readyState',
      'bufferedAmount',
      'onopen',
      'onerror',
      'onclose',
      'extensions',
      'protocol',
      'onmessage',
      'binaryType',
    ],
    operations: { close: 0, send: 1 },
    constants: { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 },
  },
  {
    name: 'WebSocketStream',
    classes: [WebSocketStream, bench().WebSocketStream],
    length: 1,
    attributes: ['url'],
    promises: ['opened', 'closed'],
    operations: { close: 0 },
  },
  { name: 'CloseEvent', classes: [CloseEvent], length: 1, attributes: ['wasClean', 'code', 'reason'], operations: {} },
  { name: 'WebSocketError', classes: [WebSocketError], length: 0, attributes: ['closeCode', 'reason'], operations: {} },
];

describe.each(interfaces)('$name', ({ name, classes, length, attributes, promises = [], operations, constants = {} }) => {
  it.each(classes)('has the shape of an interface (%#)', (Class) => {
    expect(Object.getOwnPropertyDescriptor(Class, 'length')).toEqual({
      value: length,
      writable: false,
      enumerable: false,
      configurable: true,
    });
    expect([Class.name, Object.getOwnPropertyDescriptor(Class, 'prototype')?.writable]).toEqual([name, false]);
    expect(Object.getOwnPropertyDescriptor(Class.prototype, Symbol.toStringTag)).toEqual({
      value: name,
      writable: false,
      enumerable: false,
      configurable: true,
    });
    expect(Object.keys(Class)).toEqual(Object.keys(constants));
    expect(Object.keys(Class.prototype).sort()).toEqual(
      [...attributes, ...promises, ...Object.keys(operations), ...Object.keys(constants)].sort(),
    );
  });

  it.each(classes)('has attributes and operations of its own, which know their object (%#)', async (Class) => {
    for (const attribute of [...attributes, ...promises]) {
      const { get, set, configurable } = Object.getOwnPropertyDescriptor(Class.prototype, attribute) ?? {};
      const writable = attribute.startsWith('on') || attribute === 'binaryType';
      expect([get?.name, set?.name, configurable], attribute).toEqual([
        `get ${attribute}`,
        writable ? `set ${attribute}` : undefined,
        true,
      ]);
      for (const stranger of [undefined, {}, Class.prototype]) {
        if (promises.includes(attribute)) await expect(get?.call(stranger), attribute).rejects.toThrow(TypeError);
        else expect(() => get?.call(stranger), attribute).toThrow(TypeError);
        if (set !== undefined) expect(() => set.call(stranger, null), attribute).toThrow(TypeError);
      }
    }
    for (const [operation, required] of Object.entries(operations)) {
      const { value, writable, configurable } = Object.getOwnPropertyDescriptor(Class.prototype, operation) ?? {};
      expect([value.name, value.length, writable, configurable], operation).toEqual([operation, required, true, true]);
      for (const stranger of [undefined, {}, Class.prototype]) {
        expect(() => value.apply(stranger, Array(required).fill('x')), operation).toThrow(TypeError);
      }
    }
  });
});

it('classes that a bundler has renamed show the names of the interfaces', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ferrywire-renamed-'));
  try {
    const place = join(folder, 'dist');
    cpSync(fileURLToPath(new URL('../dist', import.meta.url)), place, { recursive: true });
    symlinkSync(fileURLToPath(new URL('../../../node_modules', import.meta.url)), join(folder, 'node_modules'));
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    const names = interfaces.map(({ name }) => name);
    const uses = new RegExp(`(?<!['\\w])(${names.join('|')})(?!\\w)`, 'g');
    for (const file of readdirSync(place).filter((entry) => entry.endsWith('.js'))) {
      writeFileSync(join(place, file), readFileSync(join(place, file), 'utf8').replace(uses, '$1Renamed'));
    }
    const renamed = (await import(pathToFileURL(join(place, 'index.js')).href)) as Record<string, { name: string; prototype: object }>;
    const shown = names.map((name) => {
      const Class = renamed[`${name}Renamed`];
      return [Class?.name, Object.prototype.toString.call(Class?.prototype)];
    });
    expect(shown).toEqual(names.map((name) => [name, `[object ${name}]`]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

it.each([WebSocket, bench().WebSocket])("constants are nobody's to change (%#)", (Class) => {
  for (const [constant, value] of Object.entries({ CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 })) {
    for (const holder of [Class, Class.prototype]) {
      expect(Object.getOwnPropertyDescriptor(holder, constant)).toEqual({ value, writable: false, enumerable: true, configurable: false });
      expect(() => Object.assign(holder, { [constant]: 7 })).toThrow(TypeError);
    }
  }
});

describe('conversions', () => {
  const no = Symbol('no') as unknown as string;
  /** The TypeError's message: a mistake is named. */
  const mistake = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      return error instanceof TypeError ? error.message : `not a TypeError: ${String(error)}`;
    }
    return 'nothing';
  };
  const fresh = (): InstanceType<typeof WebSocket> => new (bench().WebSocket)('ws://h/');
  const text = (value: string) => ({ toString: () => value }) as unknown as string;

  it('a symbol is no string', async () => {
    const { ws } = await opened();
    const { WebSocket: Bound, WebSocketStream: Stream } = bench();
    expect(mistake(() => new Bound(no))).toBe('url must not be a symbol');
    expect(mistake(() => new Stream(no))).toBe('url must not be a symbol');
    for (const protocols of [no, ['a', no], { protocols: no }, { protocols: [no] }] as (string | string[])[]) {
      expect(mistake(() => new Bound('ws://h/', protocols))).toBe('protocols must not be a symbol');
    }
    expect(mistake(() => ws.send(no))).toBe('data must not be a symbol');
    expect(mistake(() => fresh().send(no))).toBe('data must not be a symbol');
    expect(mistake(() => ws.close(1000, no))).toBe('reason must not be a symbol');
    expect(mistake(() => ws.close(no as unknown as number))).toBe('code must be a number, not a symbol');
    expect(mistake(() => Object.assign(ws, { binaryType: no }))).toBe('binaryType must not be a symbol');
    expect(mistake(() => new CloseEvent(no))).toBe('type must not be a symbol');
    expect(mistake(() => new CloseEvent('close', { reason: no }))).toBe('reason must not be a symbol');
    expect(mistake(() => new WebSocketError('', { reason: no }))).toBe('reason must not be a symbol');
    expect([ws.readyState, ws.bufferedAmount]).toEqual([1, 0]);
  });

  it('everything is converted before anything is judged', () => {
    const { WebSocket: Bound } = bench();
    expect(mistake(() => new Bound('ftp://h/', no))).toBe('protocols must not be a symbol');
    expect(mistake(() => fresh().close(1, no))).toBe('reason must not be a symbol');
  });

  it('objects are what they say they are', async () => {
    const made = bench();
    new made.WebSocket(text('ws://h/path'), [text('a'), 5 as unknown as string]);
    new made.WebSocket('ws://h/', { protocols: 5 as unknown as string[] });
    expect(made.requests.map(({ url, subprotocols }) => [url, subprotocols])).toEqual([
      ['ws://h/path', ['a', '5']],
      ['ws://h/', ['5']],
    ]);
    const ws = fresh();
    for (const [given, shown] of [
      [text('arraybuffer'), 'arraybuffer'],
      ['nothing of the kind', 'arraybuffer'],
      [['blob'], 'blob'],
      [null, 'blob'],
    ]) {
      Object.assign(ws, { binaryType: given });
      expect(ws.binaryType).toBe(shown);
    }
  });

  it("a class of a connector's own is the constructor of its prototype", () => {
    const { WebSocket: Own, WebSocketStream: OwnStream } = bench();
    expect([Own.prototype.constructor === Own, OwnStream.prototype.constructor === OwnStream]).toEqual([true, true]);
  });

  it('a code is a number that fits', () => {
    const big = 1000n as unknown as number;
    expect(mistake(() => fresh().close(big))).toBe('code must be a number, not a bigint');
    expect(mistake(() => new CloseEvent('close', { code: big }))).toBe('code must be a number, not a bigint');
    // [Clamp] for sockets, [EnforceRange] for streams and errors.
    for (const closeCode of [big, Number.NaN, Infinity, -1, 65_536, 'abc' as unknown as number]) {
      expect(
        nameOf(() => new WebSocketError('', { closeCode })),
        String(closeCode),
      ).toBe('TypeError');
      expect(
        nameOf(() => new (bench().WebSocketStream)('ws://h/').close({ closeCode })),
        String(closeCode),
      ).toBe('TypeError');
    }
    expect(new WebSocketError('', { closeCode: 3000.9 }).closeCode).toBe(3000);
    expect(nameOf(() => new WebSocketError('', { closeCode: 65_535 }))).toBe('InvalidAccessError');
  });

  it('a dictionary is an object, or left out', async () => {
    const { WebSocketStream: Stream } = bench();
    for (const init of [5, 'x', true] as unknown as object[]) {
      expect(mistake(() => new CloseEvent('close', init))).toBe('init must be an object');
      expect(mistake(() => new WebSocketError('', init))).toBe('info must be an object');
      expect(mistake(() => new Stream('ws://h/', init))).toBe('options must be an object');
      expect(mistake(() => new Stream('ws://h/').close(init))).toBe('info must be an object');
    }
    const none = null as unknown as object;
    expect(new CloseEvent('close', none).code).toBe(0);
    expect(new WebSocketError('', none).closeCode).toBeNull();
    expect(nameOf(() => new Stream('ws://h/', none).close(none))).toBe('nothing');
    expect(nameOf(() => Reflect.construct(CloseEvent, []))).toBe('TypeError');
    expect(new CloseEvent('close', { reason: null as unknown as string }).reason).toBe('null');
  });

  it('a lone surrogate of a reason shows as U+FFFD', () => {
    expect(new CloseEvent('close', { reason: 'a\ud800b\u{1f6a2}' }).reason).toBe('a\ufffdb\u{1f6a2}');
    expect(new WebSocketError('', { reason: '\udc00' }).reason).toBe('\ufffd');
  });

  it('memory that may be shared or change its size is refused', async () => {
    const { ws, sent } = await opened();
    const Resizable = ArrayBuffer as unknown as new (length: number, options: { maxByteLength: number }) => ArrayBuffer;
    const resizable = new Resizable(4, { maxByteLength: 8 });
    expect(nameOf(() => ws.send(resizable))).toBe('TypeError');
    expect(nameOf(() => ws.send(new Uint8Array(resizable)))).toBe('TypeError');
    expect(nameOf(() => ws.send(new Uint8Array(new SharedArrayBuffer(4))))).toBe('TypeError');
    expect(sent()).toEqual([]);
  });

  it('an object that cannot be called is kept as a handler and does nothing; what is no object counts as null', async () => {
    const { ws, feed, transport, tasks, log } = await opened();
    const handler = {};
    for (const [given, shown] of [
      [handler, handler],
      [5, null],
      ['x', null],
      [no, null],
    ]) {
      Object.assign(ws, { onclose: given });
      expect(ws.onclose).toBe(shown);
    }
    Object.assign(ws, { onclose: handler });
    feed(8, closePayload(1000));
    transport.feedEof();
    await tasks.run();
    expect(log).toEqual(['close 3 true 1000 ""']);
  });
});
