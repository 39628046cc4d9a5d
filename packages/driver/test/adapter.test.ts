/** What adapters share: errors by code, transports over promises, and the client's deadline and signal, in virtual time. */
import * as buffer from 'node:buffer';
import * as crypto from 'node:crypto';
import * as nodeTimers from 'node:timers';
import { type DriverHandle, EndpointError, type Peer, type PeerHandlers } from '@ferrywire/driver';
import {
  type AsyncBytes,
  AsyncTransport,
  checkCertificates,
  checkRuntime,
  checkTls,
  connectError,
  hostOptions,
  isVerdict,
  keyError,
  listenError,
  listening,
  markSharedKernel,
  openClient,
  placeOf,
  type RefListening,
  type Runtime,
  runtimeOf,
  serverNameOf,
  serverSettings,
  type ThreadsModule,
  tlsError,
} from '@ferrywire/driver/adapter';
import { type FakeTransport, fakeTransport, virtualClock } from '@ferrywire/driver/testing';
import { acceptKey } from '@ferrywire/handshake';
import fc from 'fast-check';
import { generate } from 'selfsigned';
import { describe, expect, it } from 'vitest';
import { uncaughtDuring } from '../../../test/uncaught.ts';

const named = (name: string, message: string): Error => Object.assign(new Error(message), { name });
const coded = (code: string): Error => Object.assign(new Error(`${code}: said the system`), { code });

describe('errors', () => {
  it.each([
    [coded('ECONNREFUSED'), 'WS_CONNECT_REFUSED'],
    [coded('ECONNRESET'), 'WS_CONNECT_REFUSED'],
    [coded('ENOTFOUND'), 'WS_CONNECT_HOST'],
    [coded('ETIMEDOUT'), 'WS_CONNECT_TIMEOUT'],
    [coded('EACCES'), 'WS_PERMISSION'],
    [coded('ERR_ACCESS_DENIED'), 'WS_PERMISSION'],
    [Object.assign(new AggregateError([coded('ECONNREFUSED')]), {}), 'WS_CONNECT_REFUSED'],
    [named('NotCapable', 'Requires net access'), 'WS_PERMISSION'],
    [new Error('failed to lookup address information: Name or service not known'), 'WS_CONNECT_HOST'],
    [new Error('Invalid port (out of range): 0'), 'WS_CONNECT_REFUSED'],
    [new Error('something else'), 'WS_TRANSPORT'],
    ['not even an error', 'WS_TRANSPORT'],
  ])('gives %s of connect the code %s', (cause, code) => {
    const error = connectError(cause, 'host:80', false);
    expect(error).toMatchObject({ code, cause });
    expect(error.message).toMatch(/^cannot connect to host:80: [^\n]+$/);
    expect(connectError(cause, 'host:80', true).code).toBe('WS_CONNECT_TLS');
  });

  it.each([
    [coded('EADDRINUSE'), 'WS_LISTEN_IN_USE', 'the address is in use'],
    [coded('EADDRNOTAVAIL'), 'WS_LISTEN_HOST', 'the host is not an address of this machine'],
    [new URIError("invalid host '*': invalid char found in FQDN"), 'WS_LISTEN_HOST', 'the host is not an address of this machine'],
    [new URIError("invalid host: '127.0.0.1'"), 'WS_LISTEN_HOST', 'the host is not an address of this machine'],
    [new URIError("invalid empty host: '.'"), 'WS_LISTEN_HOST', 'the host is not an address of this machine'],
    [new URIError("invalid IPv6 address in '[::zz]:0': '::zz'"), 'WS_LISTEN_HOST', 'the host is not an address of this machine'],
    [new Error('Failed to listen at nowhere'), 'WS_LISTEN_HOST', 'the host is not an address of this machine'],
    [new Error('Failed to listen at 256.1.1.1'), 'WS_LISTEN_HOST', 'the host is not an address of this machine'],
    [new Error('Failed to listen at 127.0.0.1.'), 'WS_LISTEN_HOST', 'the host is not an address of this machine'],
    [new Error('Failed to listen at fe80::1%none'), 'WS_LISTEN_HOST', 'the host is not an address of this machine'],
    [new Error('Failed to listen at 127.0.0.1'), 'WS_TRANSPORT', 'Failed to listen at 127.0.0.1'],
    [new Error('Failed to listen at ::1'), 'WS_TRANSPORT', 'Failed to listen at ::1'],
    [new Error('Failed to listen at /run/x.sock'), 'WS_TRANSPORT', 'Failed to listen at /run/x.sock'],
    [coded('ENOENT'), 'WS_LISTEN_HOST', 'the directory does not exist'],
    [named('NotCapable', 'Requires net access'), 'WS_PERMISSION', 'not permitted'],
    [coded('ERR_ACCESS_DENIED'), 'WS_PERMISSION', 'not permitted'],
    [new Error('two\nlines'), 'WS_TRANSPORT', 'two lines'],
  ])('gives %s of listen the code %s', (cause, code, sentence) => {
    expect(listenError(cause, 'host:80')).toMatchObject({ code, cause, message: `cannot listen on host:80: ${sentence}` });
  });

  it('knows all that systems say', () => {
    for (const [code, said] of [
      ['WS_CONNECT_REFUSED', ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOENT', 'ENOTSOCK']],
      ['WS_CONNECT_HOST', ['ENOTFOUND', 'EAI_AGAIN', 'EAI_NODATA', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'EINVAL']],
      ['WS_PERMISSION', ['EACCES', 'EPERM', 'ERR_ACCESS_DENIED']],
      ['WS_CONNECT_TLS', ['ERR_SSL_WRONG_VERSION_NUMBER']],
    ] as const) {
      expect(said.map((one) => connectError(coded(one), 'host:80', false).code)).toEqual(said.map(() => code));
    }
    for (const [code, said] of [
      ['WS_LISTEN_HOST', ['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EAI_NODATA', 'EINVAL', 'ENOENT', 'ENOTDIR']],
      ['WS_PERMISSION', ['EACCES', 'EPERM', 'ERR_ACCESS_DENIED']],
    ] as const) {
      expect(said.map((one) => listenError(coded(one), 'host:80').code)).toEqual(said.map(() => code));
    }
    expect(listenError(coded('ENOTDIR'), 'path').message).toBe('cannot listen on path: the directory does not exist');
    expect(connectError(named('PermissionDenied', 'no'), 'host:80', false).code).toBe('WS_PERMISSION');
    // It says nothing itself, and none of its own.
    expect(connectError(new AggregateError([]), 'host:80', false)).toMatchObject({
      code: 'WS_TRANSPORT',
      message: expect.not.stringMatching(/: $/),
    });
    for (const cause of [null, undefined, {}]) expect(connectError(cause, 'host:80', false).code).toBe('WS_TRANSPORT');
  });

  it('knows a key or a certificate that cannot be read', () => {
    expect(keyError(coded('ERR_BORINGSSL'))).toBeInstanceOf(TypeError);
    expect(keyError(new Error('invalid private key'))).toBeInstanceOf(TypeError);
    expect(keyError(new TypeError('no key'))).toBeInstanceOf(TypeError);
    expect(keyError(coded('ERR_OSSL_PEM_NO_START_LINE'))).toBeInstanceOf(TypeError);
    expect(keyError(named('InvalidData', 'No certificates found'))).toBeInstanceOf(TypeError);
    expect(keyError(new Error('keys may not be consistent: KeyMismatch'))).toBeInstanceOf(TypeError);
    expect(keyError(coded('EADDRINUSE'))).toBeNull();
    expect(tlsError(new Error('two\nlines')).message).toBe('options.tls cannot be used: two lines');
  });

  it('tells a certificate that is refused from TLS that fails', () => {
    for (const code of ['DEPTH_ZERO_SELF_SIGNED_CERT', 'ERR_TLS_CERT_ALTNAME_INVALID', 'CERT_HAS_EXPIRED']) {
      expect(isVerdict(coded(code)), code).toBe(true);
    }
    for (const cause of [coded('EPROTO'), coded('ECONNRESET'), new Error('nothing known'), null]) expect(isVerdict(cause)).toBe(false);
  });

  it('refuses a runtime that is another one, or too old', () => {
    const code = (version: string | undefined): string => {
      try {
        checkRuntime('Bun', version, [1, 4]);
        return 'fine';
      } catch (error) {
        return error instanceof EndpointError ? `${error.code}: ${error.message}` : String(error);
      }
    };
    expect(['1.4.0', '1.10.0', '2.0.0', '1.4.5-canary.1'].map(code)).toEqual(['fine', 'fine', 'fine', 'fine']);
    expect(code('1.3.14')).toBe('WS_RUNTIME: Bun 1.4 or later is needed, this is 1.3.14');
    expect(code('0.9.9')).toMatch(/^WS_RUNTIME/);
    expect(code(undefined)).toBe('WS_RUNTIME: this adapter runs on Bun only');
  });

  it('checks where to listen', () => {
    expect(placeOf({})).toEqual({ port: 0, host: '127.0.0.1', socketPath: undefined, where: '127.0.0.1:0' });
    for (const port of [-1, 65_536, 1.5, '80', Number.NaN]) {
      expect(() => placeOf({ port: port as number })).toThrow(expect.objectContaining({ code: 'WS_LISTEN_PORT' }));
    }
    expect(() => placeOf({ host: '' })).toThrow(TypeError);
    expect(() => placeOf({ socketPath: 'a\0b' })).toThrow(TypeError);
    expect(() => placeOf({ host: '[::1]' })).toThrow(expect.objectContaining({ code: 'WS_LISTEN_HOST' }));
    expect(() => placeOf({ tls: null })).toThrow(TypeError);
  });

  it('names a unix socket by its path', () => {
    expect(placeOf({ socketPath: '/run/socket' })).toMatchObject({ socketPath: '/run/socket', where: '/run/socket' });
  });

  it('hands on what is the host’s and what is the connections’, and judges both', () => {
    const time = virtualClock();
    const [kernels, own] = [{}, {}];
    const runtime: Runtime = { clock: time.now, timers: time, kernels };
    expect(hostOptions(runtime, { timeouts: { closing: 7 }, highWaterMark: 3, pull: true })).toEqual({
      clock: time.now,
      timers: time,
      handlers: {},
      closing: 7,
      highWaterMark: 3,
      pull: true,
    });
    expect(hostOptions(runtime, { timeouts: { closing: -1 } })).not.toHaveProperty('closing');
    expect(() => hostOptions(runtime, { handlers: 1 as unknown as PeerHandlers })).toThrow(TypeError);
    expect(serverSettings(runtime, { pull: true }, 'reused')).toEqual({ kernels, input: 'reused' });
    expect(serverSettings(runtime, { kernels: own }, 'transferred').kernels).toBe(own);
    expect(() => serverSettings(runtime, { timeouts: { closing: -1 } }, 'shared')).toThrow(RangeError);
  });

  it('has a listener say where it is, and close when its connections have', async () => {
    const calls: string[] = [];
    let closed = (): void => {};
    const endpoints = {
      peers: new Set<Peer>(),
      close: () => {
        calls.push('close');
        return new Promise<void>((resolve) => {
          closed = resolve;
        });
      },
    };
    const on = (port: number, host: string, secure: boolean): RefListening =>
      listening({ port, host, secure, endpoints, stop: () => void calls.push('stop'), ref() {}, unref() {} });
    expect([on(80, '127.0.0.1', false).url, on(8443, '::1', true).url]).toEqual(['ws://127.0.0.1:80/', 'wss://[::1]:8443/']);
    expect(on(0, '/run/socket', false).url).toBe('ws+unix:/run/socket');
    const closing = on(80, 'host', false)
      .close()
      .then(() => calls.push('closed'));
    await turn();
    expect(calls).toEqual(['stop', 'close']);
    closed();
    await closing;
  });

  it('wants a key and its certificate together, or what stands for them', () => {
    const [key, cert] = ['a key', 'a certificate'];
    for (const side of ['server', 'client'] as const) {
      checkTls({ key, cert }, side);
      checkTls({ key, pfx: 'x' }, side, ['pfx']);
      for (const none of [undefined, null, []]) {
        expect(() => checkTls({ key, cert: none }, side)).toThrow('options.tls.cert is missing');
        expect(() => checkTls({ cert, key: none }, side)).toThrow('options.tls.key is missing');
        expect(() => checkTls({ key, pfx: none }, side, ['pfx'])).toThrow('options.tls.cert is missing');
      }
    }
    checkTls({}, 'client');
    expect(() => checkTls({}, 'server')).toThrow('options.tls must have a key and a cert');
  });

  it('asks a server for its name, never for an address, nor for the dot behind a name', () => {
    expect(['host', 'host.', '127.0.0.1', '::1', '1.2.3.example'].map(serverNameOf)).toEqual(['host', 'host', '', '', '1.2.3.example']);
  });

  it('reads certificates and keys', async () => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], { keyType: 'ec' });
    const sealed = crypto.createPrivateKey(key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' });
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
    for (const good of [{}, { ca: cert }, { ca: [cert, bytes(cert)] }, { key, cert }, { key: bytes(key), cert: bytes(cert) }]) {
      checkCertificates(good, crypto);
    }
    checkCertificates({ key: sealed, cert, passphrase: 'secret' }, crypto);
    // Lists are the runtime's to judge.
    checkCertificates({ key: ['x'], cert: ['y'] }, crypto);
    const wrong: readonly (readonly [string, object])[] = [
      ['ca', { ca: 'x' }],
      ['ca', { ca: 1 }],
      ['ca', { ca: [cert, ''] }],
      ['cert', { key, cert: 'x' }],
      ['key', { key: 'x', cert }],
      ['key', { key: sealed, cert }],
      ['key', { key: sealed, cert, passphrase: 'wrong' }],
    ];
    for (const [option, tls] of wrong) {
      expect(() => checkCertificates(tls, crypto)).toThrow(new TypeError(`options.tls.${option} cannot be read`));
    }
    const other = await generate([{ name: 'commonName', value: 'localhost' }], { keyType: 'ec' });
    for (const given of [other.cert, Buffer.from(other.cert)]) {
      const apart = { key: typeof given === 'string' ? key : Buffer.from(key), cert: given };
      expect(() => checkCertificates(apart, crypto)).toThrow('options.tls.key does not belong to options.tls.cert');
    }
  });
});

/** A byte stream that does what the test says. */
class Scripted implements AsyncBytes<Uint8Array | null> {
  readonly written: number[] = [];
  readonly writes: number[] = [];
  closes = 0;
  ends = 0;
  /** How much a write takes. */
  take: (size: number) => number = (size) => size;
  readonly reads: { resolve(chunk: Uint8Array | null): void; reject(error: unknown): void }[] = [];
  gate: Promise<void> = Promise.resolve();

  read(): Promise<Uint8Array | null> {
    return new Promise((resolve, reject) => this.reads.push({ resolve, reject }));
  }
  chunkOf(read: Uint8Array | null): Uint8Array | null {
    return read;
  }
  isEnd(error: unknown): boolean {
    return String(error).includes('an end');
  }
  async write(bytes: Uint8Array): Promise<number> {
    await this.gate;
    const count = Math.max(1, Math.min(bytes.length, this.take(bytes.length)));
    this.writes.push(count);
    // More than fit a call as its arguments.
    for (const byte of bytes.subarray(0, count)) this.written.push(byte);
    return count;
  }
  async end(): Promise<void> {
    this.ends++;
  }
  close(): void {
    this.closes++;
  }
}

/** A driver that notes what it is told. */
function noting(): { readonly driver: DriverHandle; readonly calls: string[] } {
  const calls: string[] = [];
  const driver = {
    receive: (chunk: Uint8Array) => void calls.push(`data ${chunk.length}`),
    receiveEof: () => void calls.push('eof'),
    receiveError: (error: unknown) => void calls.push(`error ${String(error)}`),
    drained: () => void calls.push('drain'),
    gone: () => void calls.push('closed'),
  };
  return { driver: driver as unknown as DriverHandle, calls };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function join(): { readonly bytes: Scripted; readonly transport: AsyncTransport<Scripted>; readonly calls: string[] } {
  const bytes = new Scripted();
  const transport = new AsyncTransport(bytes);
  const { driver, calls } = noting();
  transport.join(driver);
  return { bytes, transport, calls };
}

describe('markShared', () => {
  it('is the module’s, and is not there where that has none or one that throws', () => {
    const marked: object[] = [];
    const { markShared } = markSharedKernel({ markAsUntransferable: (object) => void marked.push(object) });
    const memory = new ArrayBuffer(10);
    markShared?.(memory);
    expect(marked.at(-1)).toBe(memory);
    expect(markSharedKernel(undefined)).toEqual({});
    const throwing = (): never => {
      throw new Error('refused');
    };
    expect(markSharedKernel({ markAsUntransferable: throwing })).toEqual({});
    expect(markSharedKernel({} as ThreadsModule)).toEqual({});
  });
});

describe('memory cut from larger pieces', () => {
  it('is nobody else’s, up to 64 bytes, and said to be shared', () => {
    const shared: object[] = [];
    const threads: ThreadsModule = { markAsUntransferable: (memory) => void shared.push(memory) };
    const { kernels } = runtimeOf(buffer, nodeTimers, threads, { asciiFrom: Number.POSITIVE_INFINITY, cut: true });
    const allocate = (size: number): Uint8Array => kernels?.allocate?.(size) ?? new Uint8Array(0);
    const sizes = [0, 1, 63, 64, 65, 1000];
    const given = Array.from({ length: 1200 }, (_, index) => allocate(sizes[index % sizes.length] ?? 0).fill(index));
    const buffers = new Set<ArrayBufferLike>();
    for (const [index, bytes] of given.entries()) {
      const size = sizes[index % sizes.length] ?? 0;
      expect([bytes.length, bytes.every((byte) => byte === (index & 255))]).toEqual([size, true]);
      if (size > 64) expect(bytes.buffer.byteLength).toBe(size);
      else if (size > 0) buffers.add(bytes.buffer);
    }
    expect(buffers.size).toBeLessThan(10);
    for (const one of buffers) expect(shared).toContain(one);
  });
});

describe('a transport over promises', () => {
  it('writes everything in order, whatever a write takes', async () => {
    const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(pieces, fc.infiniteStream(fc.integer({ min: 1, max: 60 })), async (chunks, sizes) => {
        const { bytes, transport, calls } = join();
        bytes.take = () => sizes.next().value;
        for (const [index, chunk] of chunks.entries()) {
          expect(transport.write([chunk])).toBe(true);
          if (index % 3 === 0) await turn();
        }
        transport.end();
        for (let turns = 0; bytes.ends === 0 && turns < 1000; turns++) await turn();
        expect(bytes.written).toEqual(chunks.flatMap((chunk) => [...chunk]));
        expect([transport.bufferedAmount, bytes.ends, calls]).toEqual([0, 1, []]);
      }),
      { numRuns: 50 },
    );
  });

  it('says when it is full, and when there is room again', async () => {
    const { bytes, transport, calls } = join();
    let open = (): void => {};
    bytes.gate = new Promise((resolve) => {
      open = resolve;
    });
    expect(transport.write([new Uint8Array(60_000)])).toBe(true);
    expect(transport.write([new Uint8Array(60_000), new Uint8Array(100)])).toBe(false);
    expect(transport.bufferedAmount).toBe(120_100);
    await turn();
    expect([bytes.writes, calls]).toEqual([[], []]);
    open();
    await turn();
    // The first went alone; what waited behind it went as one.
    expect([bytes.writes, calls, transport.bufferedAmount]).toEqual([[60_000, 60_100], ['drain'], 0]);
  });

  it('pauses at a chunk and goes on from there, with one read under way', async () => {
    const { bytes, transport, calls } = join();
    expect(bytes.reads).toHaveLength(1);
    transport.pauseReading();
    bytes.reads[0]?.resolve(new Uint8Array(3));
    await turn();
    expect([calls, bytes.reads.length]).toEqual([['data 3'], 1]);
    transport.resumeReading();
    expect(bytes.reads).toHaveLength(2);
    transport.pauseReading();
    transport.resumeReading();
    expect(bytes.reads).toHaveLength(2);
    bytes.reads[1]?.resolve(new Uint8Array(4));
    await turn();
    expect([calls, bytes.reads.length]).toEqual([['data 3', 'data 4'], 3]);
  });

  it('closes once both sides have ended, in either order', async () => {
    const first = join();
    first.transport.end();
    await turn();
    expect(first.calls).toEqual([]);
    first.bytes.reads[0]?.resolve(null);
    await turn();
    expect([first.calls, first.bytes.closes]).toEqual([['eof', 'closed'], 1]);
    const second = join();
    second.bytes.reads[0]?.resolve(null);
    await turn();
    expect([second.calls, second.bytes.closes]).toEqual([['eof'], 0]);
    second.transport.end();
    await turn();
    expect([second.calls, second.bytes.closes]).toEqual([['eof', 'closed'], 1]);
  });

  it('does not read behind the end, however often reading is resumed', async () => {
    const { bytes, transport, calls } = join();
    transport.pauseReading();
    bytes.reads[0]?.resolve(null);
    await turn();
    transport.resumeReading();
    await turn();
    expect([calls, bytes.reads.length]).toEqual([['eof'], 1]);
  });

  it('reports a failure once, from whichever side, and drops what waits', async () => {
    const { bytes, transport, calls } = join();
    bytes.gate = Promise.reject(new Error('broken pipe'));
    transport.write([new Uint8Array(10)]);
    await turn();
    bytes.reads[0]?.reject(new Error('reset'));
    await turn();
    expect([calls, bytes.closes, transport.bufferedAmount]).toEqual([['error Error: broken pipe', 'closed'], 1, 0]);
    transport.write([new Uint8Array(10)]);
    transport.abort();
    expect(calls).toHaveLength(2);
  });

  it('takes a read that fails for an error, and tells nobody of what comes after the end', async () => {
    const failing = join();
    failing.bytes.reads[0]?.reject(new Error('reset'));
    await turn();
    expect([failing.calls, failing.bytes.closes]).toEqual([['error Error: reset', 'closed'], 1]);
    for (const late of [Uint8Array.of(1), null, new Error('reset'), new Error('an end')]) {
      const { bytes, transport, calls } = join();
      transport.abort();
      if (late instanceof Error) bytes.reads[0]?.reject(late);
      else bytes.reads[0]?.resolve(late);
      await turn();
      expect([calls, bytes.closes, bytes.reads.length]).toEqual([['closed'], 1, 1]);
    }
  });

  it('writes and ends nothing once it was let go', async () => {
    const early = join();
    early.transport.abort();
    early.transport.write([Uint8Array.of(1)]);
    early.transport.end();
    await turn();
    expect([early.bytes.writes, early.bytes.ends]).toEqual([[], 0]);
    // Let go by the driver, when it was told that there is room again.
    const bytes = new Scripted();
    const transport = new AsyncTransport(bytes);
    const { driver } = noting();
    driver.drained = () => transport.abort();
    transport.join(driver);
    expect(transport.write([new Uint8Array(70_000)])).toBe(false);
    transport.end();
    for (let turns = 0; !transport.closed && turns < 100; turns++) await turn();
    await turn();
    expect([bytes.writes, bytes.ends, bytes.closes]).toEqual([[70_000], 0, 1]);
  });

  it('goes through buffers of its own where a write copies, and says so', async () => {
    class Copying extends Scripted {
      readonly copies = true;
    }
    const bytes = new Copying();
    const transport = new AsyncTransport(bytes);
    let open = (): void => {};
    bytes.gate = new Promise((resolve) => {
      open = resolve;
    });
    const chunk = Uint8Array.of(1, 2, 3);
    const expected: number[] = [];
    for (let index = 0; index < 2000; index++) {
      chunk.fill(index);
      transport.write([chunk, chunk]);
      expect(transport.taken).toBe(true);
      for (let copy = 0; copy < 6; copy++) expected.push(index & 255);
      // The driver hands the memory back, and the next writer overwrites it.
      chunk.fill(99);
    }
    const large = new Uint8Array(70_000).fill(7);
    transport.write([large]);
    expect(transport.taken).toBe(false);
    transport.write([Uint8Array.of(5)]);
    open();
    for (let turns = 0; transport.bufferedAmount > 0 && turns < 1000; turns++) await turn();
    expect(Buffer.compare(Uint8Array.from(bytes.written), Uint8Array.from([...expected, ...large, 5]))).toBe(0);
    // The first write went alone; those that waited share buffers.
    expect(bytes.writes.length).toBeLessThan(12);
  });

  it('keeps no more than some of its buffers when many were in use at once', async () => {
    const buffers: WeakRef<ArrayBufferLike>[] = [];
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    class Copying extends Scripted {
      readonly copies = true;
      override async write(bytes: Uint8Array): Promise<number> {
        buffers.push(new WeakRef(bytes.buffer));
        await gate;
        return bytes.length;
      }
    }
    const transports = Array.from({ length: 40 }, () => new AsyncTransport(new Copying()));
    // Each takes the largest.
    for (const transport of transports) transport.write([new Uint8Array(60_000), new Uint8Array(60_000)]);
    expect(buffers).toHaveLength(40);
    open();
    const kept = (): number => buffers.filter((buffer) => buffer.deref() !== undefined).length;
    for (let turns = 0; kept() > 16 && turns < 100; turns++) {
      await turn();
      globalThis.gc?.();
    }
    expect(transports.map(({ bufferedAmount }) => bufferedAmount)).toEqual(new Array(40).fill(0));
    expect(kept()).toBeGreaterThan(0);
    expect(kept()).toBeLessThanOrEqual(16);
  });

  it('goes through them too when the answers of a turn fill several, and around them with a chunk that fits none', async () => {
    class Copying extends Scripted {
      readonly copies = true;
      readonly buffers = new Set<ArrayBufferLike>();
      override write(bytes: Uint8Array): Promise<number> {
        this.buffers.add(bytes.buffer);
        return super.write(bytes);
      }
    }
    const bytes = new Copying();
    const transport = new AsyncTransport(bytes);
    const expected: Uint8Array[] = [];
    const write = async (chunks: Uint8Array[]): Promise<boolean> => {
      expected.push(...chunks.map((chunk) => chunk.slice()));
      transport.write(chunks);
      const { taken } = transport;
      if (taken) for (const chunk of chunks) chunk.fill(99);
      for (let turns = 0; transport.bufferedAmount > 0 && turns < 1000; turns++) await turn();
      return taken;
    };
    const message = (size: number, value: number): Uint8Array => new Uint8Array(size).fill(value);
    for (let round = 0; round < 5; round++) {
      const pairs = [0, 2, 4].flatMap((value) => [message(10, round + value), message(65_536, round + value + 1)]);
      expect(await write(pairs)).toBe(true);
    }
    expect(bytes.buffers.size).toBe(2);
    expect(await write([message(10, 20), message(70_000, 21), message(10, 22)])).toBe(false);
    expect(Buffer.compare(Uint8Array.from(bytes.written), Buffer.concat(expected))).toBe(0);
  });

  it('takes a small one for the header of a message that goes around them', async () => {
    class Copying extends Scripted {
      readonly copies = true;
      readonly sizes: number[] = [];
      override write(bytes: Uint8Array): Promise<number> {
        this.sizes.push(bytes.buffer.byteLength);
        return super.write(bytes);
      }
    }
    const bytes = new Copying();
    const transport = new AsyncTransport(bytes);
    const [header, large] = [new Uint8Array(10), new Uint8Array(1 << 20)];
    transport.write([header, large, header, large]);
    for (let turns = 0; transport.bufferedAmount > 0 && turns < 1000; turns++) await turn();
    expect(bytes.sizes).toEqual([4096, 1 << 20, 4096, 1 << 20]);
  });

  it('writes for nobody else from a buffer that is under way', async () => {
    class Copying extends Scripted {
      readonly copies = true;
      last: ArrayBufferLike | null = null;
      override write(bytes: Uint8Array): Promise<number> {
        this.last = bytes.buffer;
        return super.write(bytes);
      }
    }
    const [first, second] = [new Copying(), new Copying()];
    const [one, other] = [new AsyncTransport(first), new AsyncTransport(second)];
    for (const size of [10, 70_000]) {
      one.write([new Uint8Array(size)]);
      for (let turns = 0; one.bufferedAmount > 0 && turns < 100; turns++) await turn();
    }
    one.write([Uint8Array.of(1)]);
    other.write([Uint8Array.of(2)]);
    expect(first.last).not.toBe(second.last);
  });

  it('writes no more once it was aborted, though less was taken than was given', async () => {
    const { bytes, transport, calls } = join();
    let open = (): void => {};
    bytes.gate = new Promise((resolve) => {
      open = resolve;
    });
    bytes.take = () => 10;
    transport.write([new Uint8Array(100)]);
    transport.end();
    transport.abort();
    open();
    await turn();
    expect([bytes.writes, bytes.ends, bytes.closes, calls]).toEqual([[10], 0, 1, ['closed']]);
  });

  it.each(['waits alone', 'waits behind another', 'was taken in part'])('fails when a chunk is transferred that %s', async (when) => {
    const { bytes, transport, calls } = join();
    let open = (): void => {};
    bytes.gate = new Promise((resolve) => {
      open = resolve;
    });
    bytes.take = (size) => (when === 'was taken in part' ? 10 : size);
    const chunk = new Uint8Array(70_000);
    if (when !== 'was taken in part') transport.write([Uint8Array.of(1, 2, 3)]);
    if (when === 'waits behind another') transport.write([Uint8Array.of(4, 5)]);
    transport.write([chunk]);
    transport.write([Uint8Array.of(6)]);
    await turn();
    if (when === 'was taken in part') {
      open();
      // The first write has been asked for 10 bytes.
      await Promise.resolve();
    }
    structuredClone(chunk, { transfer: [chunk.buffer] });
    open();
    for (let turns = 0; bytes.closes === 0 && turns < 100; turns++) await turn();
    expect(bytes.written).not.toContain(6);
    expect([calls, bytes.closes, transport.bufferedAmount]).toEqual([
      ['error Error: the buffer of a message was transferred before it was written', 'closed'],
      1,
      0,
    ]);
    if (when !== 'was taken in part') expect(bytes.written).toEqual(when === 'waits alone' ? [1, 2, 3] : [1, 2, 3, 4, 5]);
  });

  it('writes no chunk that was empty from the start', async () => {
    const { bytes, transport, calls } = join();
    transport.write([new Uint8Array(0), Uint8Array.of(1), new Uint8Array(0)]);
    await turn();
    expect([bytes.written, bytes.writes, calls, transport.bufferedAmount]).toEqual([[1], [1], [], 0]);
  });

  it('takes some failures of reading for an end', async () => {
    const { bytes, calls, transport } = join();
    bytes.reads[0]?.reject(new Error('an end, really'));
    await turn();
    expect(calls).toEqual(['eof']);
    transport.end();
    await turn();
    expect(calls).toEqual(['eof', 'closed']);
  });

  it('aborts at once, and tells a driver that comes too late', async () => {
    const bytes = new Scripted();
    const transport = new AsyncTransport(bytes);
    transport.abort();
    transport.abort();
    const { driver, calls } = noting();
    transport.join(driver);
    expect([calls, bytes.closes, bytes.reads]).toEqual([['closed'], 1, []]);
  });

  it('throws outside what a handler throws, and reads on', async () => {
    const { driver, calls } = noting();
    driver.receive = () => {
      throw new Error('on purpose');
    };
    const thrown = await uncaughtDuring(async () => {
      const bytes = new Scripted();
      new AsyncTransport(bytes).join(driver);
      bytes.reads[0]?.resolve(new Uint8Array(1));
      await turn();
      bytes.reads[1]?.resolve(null);
      await turn();
    });
    expect([thrown, calls]).toEqual([['Error: on purpose'], ['eof']]);
  });
});

describe('the client', () => {
  const setUp = (): { readonly time: ReturnType<typeof virtualClock>; readonly runtime: Runtime; readonly transport: FakeTransport } => {
    const time = virtualClock();
    return { time, runtime: { clock: time.now, timers: time }, transport: fakeTransport({ clock: time }) };
  };
  const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => 'it resolved',
      (error: { readonly code?: unknown }) => error.code ?? error,
    );
  const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => 'it resolved',
      (error: unknown) => error,
    );

  it('has one deadline over dialling and the handshake', async () => {
    const { time, runtime, transport } = setUp();
    const code = codeOf(
      openClient(runtime, 'ws://host/', { timeouts: { opening: 1000 } }, async ({ race }) => {
        await race(new Promise<void>((resolve) => time.set(resolve, 700)), () => {});
        return { transport, input: 'shared', start: (driver) => transport.attach(driver) };
      }),
    );
    time.advance(700);
    await turn();
    expect(transport.written.length).toBeGreaterThan(100);
    time.advance(299);
    await turn();
    expect(transport.calls).not.toContain('abort');
    time.advance(2);
    expect(await code).toBe('WS_CONNECT_TIMEOUT');
    expect(time.pending).toBe(0);
  });

  it.each([
    [200, false],
    [302, true],
    [401, false],
    [401, true],
  ])('tells an answer with status %d whose body is not complete in time (pull mode: %s)', async (status, pull) => {
    const { time, runtime, transport } = setUp();
    const failure = failureOf(
      openClient(runtime, 'ws://host/', { timeouts: { opening: 1000 }, pull }, async ({ race }) => {
        await race(new Promise<void>((resolve) => time.set(resolve, 0.4)), () => {});
        return { transport, input: 'shared', start: (driver) => transport.attach(driver) };
      }),
    );
    time.advance(1);
    await turn();
    transport.feed(new TextEncoder().encode(`HTTP/1.1 ${status} x\r\nContent-Length: 100\r\nX-Why: because\r\n\r\nhello`));
    time.advance(998);
    await turn();
    expect(transport.calls).not.toContain('abort');
    time.advance(2);
    const error = await failure;
    expect(error).toMatchObject({ code: 'WS_CONNECT_HANDSHAKE', handshake: 'WS_HS_STATUS', response: { status } });
    expect((error as EndpointError).body).toEqual(new TextEncoder().encode('hello'));
    expect([transport.aborted, time.pending]).toEqual([true, 0]);
  });

  it('gives up while dialling, and hands back what comes too late', async () => {
    const { time, runtime } = setUp();
    let arrive = (_: string): void => {};
    const dialling = new Promise<string>((resolve) => {
      arrive = resolve;
    });
    const late: string[] = [];
    const over: boolean[] = [];
    const code = codeOf(
      openClient(runtime, 'ws://host:81/', { timeouts: { opening: 50 } }, async (target) => {
        expect([target.host, target.port, target.secure, target.where]).toEqual(['host', 81, false, 'host:81']);
        try {
          await target.race(dialling, (value) => void late.push(value));
        } finally {
          over.push(target.isOver());
        }
        throw new Error('not reached');
      }),
    );
    time.advance(60);
    expect(await code).toBe('WS_CONNECT_TIMEOUT');
    arrive('the connection');
    await turn();
    expect([late, over]).toEqual([['the connection'], [true]]);
  });

  it('gives up at every step of dialling, also at one that begins when the time is over', async () => {
    for (const after of [0, 60]) {
      const { time, runtime } = setUp();
      const code = codeOf(
        openClient(runtime, 'ws://host/', { timeouts: { opening: 50 } }, async ({ race }) => {
          await race(Promise.resolve(), () => {});
          if (after > 0) await new Promise<void>((resolve) => time.set(resolve, after));
          return race(new Promise<never>(() => {}), () => {});
        }),
      );
      for (let turns = 0; turns < 2; turns++) {
        await turn();
        time.advance(70);
      }
      expect(await code).toBe('WS_CONNECT_TIMEOUT');
    }
  });

  it('lets nothing outside that fails when it has given up', async () => {
    const { time, runtime } = setUp();
    let fail = (_: Error): void => {};
    const dialling = new Promise<never>((_, reject) => {
      fail = reject;
    });
    const unhandled: unknown[] = [];
    const others = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', (reason) => void unhandled.push(reason));
    try {
      const code = codeOf(openClient(runtime, 'ws://host/', { timeouts: { opening: 50 } }, ({ race }) => race(dialling, () => {})));
      time.advance(60);
      expect(await code).toBe('WS_CONNECT_TIMEOUT');
      fail(new Error('ECONNREFUSED'));
      await turn();
    } finally {
      process.removeAllListeners('unhandledRejection');
      for (const listener of others) process.on('unhandledRejection', listener);
    }
    expect(unhandled).toEqual([]);
  });

  it('lets go of what was dialled when the handshake cannot begin', async () => {
    const { time, runtime, transport } = setUp();
    const mistake = new Error('no entropy');
    const random = (): never => {
      throw mistake;
    };
    const failure = failureOf(
      openClient(runtime, 'ws://host/', { random }, async () => ({
        transport,
        input: 'shared',
        start: (driver) => transport.attach(driver),
      })),
    );
    expect([await failure, transport.aborted, time.pending]).toEqual([mistake, true, 0]);
  });

  it('hands back nothing that came in time', async () => {
    const { time, runtime, transport } = setUp();
    const late: string[] = [];
    const code = codeOf(
      openClient(runtime, 'ws://host/', { timeouts: { opening: 50 } }, async ({ race }) => {
        await race(Promise.resolve('in time'), (value) => void late.push(value));
        await new Promise<void>((resolve) => time.set(resolve, 60));
        return { transport, input: 'shared', start: (driver) => transport.attach(driver) };
      }),
    );
    await turn();
    time.advance(70);
    expect(await code).toBe('WS_CONNECT_TIMEOUT');
    await turn();
    expect([late, transport.aborted]).toEqual([[], true]);
  });

  it('dials an IPv6 address without its brackets', async () => {
    const { runtime } = setUp();
    let dialled: readonly unknown[] = [];
    const refused = codeOf(
      openClient(runtime, 'wss://[::1]/', {}, async (target) => {
        dialled = [target.host, target.port, target.secure, target.where];
        throw connectError(coded('ECONNREFUSED'), target.where, false);
      }),
    );
    expect([await refused, dialled]).toEqual(['WS_CONNECT_REFUSED', ['::1', 443, true, '[::1]:443']]);
  });

  it('listens to its signal until it is open, and no longer', async () => {
    const { runtime, transport } = setUp();
    const controller = new AbortController();
    const code = codeOf(
      openClient(runtime, 'ws://host/', { signal: controller.signal }, async () => ({
        transport,
        input: 'shared',
        start: (driver) => transport.attach(driver),
      })),
    );
    await turn();
    controller.abort();
    expect(await code).toBe('WS_CONNECT_ABORTED');
    expect(transport.calls.at(-1)).toBe('abort');
    let dialled = 0;
    const again = openClient(runtime, 'ws://host/', { signal: controller.signal }, async () => {
      dialled++;
      throw new Error('dialled');
    });
    expect([await codeOf(again), dialled]).toEqual(['WS_CONNECT_ABORTED', 0]);
  });

  it('leaves a connection alone whose signal is aborted in onOpen', async () => {
    const { time, runtime, transport } = setUp();
    const controller = new AbortController();
    const opening = openClient(
      runtime,
      'ws://host/',
      { signal: controller.signal, handlers: { onOpen: () => controller.abort() } },
      async () => ({ transport, input: 'shared', start: (driver) => transport.attach(driver) }),
    );
    await turn();
    const key = /^sec-websocket-key: (.*)$/im.exec(new TextDecoder().decode(transport.written))?.[1] ?? '';
    transport.feed(
      new TextEncoder().encode(
        `HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(key)}\r\n\r\n`,
      ),
    );
    const peer = await opening;
    expect([peer.connection.state, transport.aborted]).toEqual(['open', false]);
    peer.abort();
    expect(time.pending).toBe(0);
  });

  it('finds mistakes before it dials', async () => {
    const { runtime } = setUp();
    const dialled = (): Promise<never> => Promise.reject(new Error('dialled'));
    const fails = (url: unknown, options: object): Promise<unknown> => codeOf(openClient(runtime, url, options, dialled));
    expect(await fails('http://host/', {})).toBe('WS_URL');
    expect(await fails('ws://host/', { handlers: 1 })).toBeInstanceOf(TypeError);
    expect(await fails('ws://host/', { signal: {} })).toBeInstanceOf(TypeError);
    expect(await fails('ws://host/', { timeouts: { opening: -1 } })).toBeInstanceOf(RangeError);
    expect(await fails('ws://host/', { timeouts: null })).toBeInstanceOf(TypeError);
    expect(await fails('ws://host/', { limits: { maxMessageSize: -1 } })).toBeInstanceOf(RangeError);
    expect(await fails('ws://host/', { http: { maxBodySize: -1 } })).toBeInstanceOf(RangeError);
    for (const options of [
      { autoPong: 1 },
      { onTrace: 1 },
      { random: 1 },
      { kernels: 1 },
      { headers: [['Host', 'x']] },
      { extensions: [1] },
    ]) {
      expect(await fails('ws://host/', options)).toBeInstanceOf(TypeError);
    }
  });
});
