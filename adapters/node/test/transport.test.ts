/** The transport alone, under the driver, with a protocol that echoes bytes: what each directive does to a real socket. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Protocol, TransportDirective } from '@ferrywire/core';
import { type DriverHandle, drive } from '@ferrywire/driver';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clock, timers } from '../dist/timers.js';
import { SocketTransport } from '../dist/transport.js';
import { RawClient } from './helpers.ts';

/** Sends back what it gets; does as it is told otherwise. */
class Loop implements Protocol {
  transport: TransportDirective = 'open';
  wantsRead = true;
  readonly events: string[] = [];
  received = 0;
  recycled = 0;
  echo = true;
  #output: Uint8Array[] = [];
  say(chunk: Uint8Array): void {
    this.#output.push(chunk);
  }
  receiveData(chunk: Uint8Array): void {
    this.received += chunk.length;
    if (this.echo) this.#output.push(chunk);
  }
  receiveEof(): void {
    this.events.push('eof');
  }
  receiveError(error: unknown): void {
    this.events.push(`error ${String((error as NodeJS.ErrnoException).code)}`);
  }
  handleTimeout(): void {}
  takeOutput(): Uint8Array[] {
    const output = this.#output;
    this.#output = [];
    return output;
  }
  recycleOutput(): void {
    this.recycled++;
  }
  get bufferedAmount(): number {
    return this.#output.reduce((sum, chunk) => sum + chunk.length, 0);
  }
  nextTimeout(): null {
    return null;
  }
}

let server: Server;
let client: RawClient;
let accepted: Socket;
let protocol: Loop;
let driver: DriverHandle;
let transport: SocketTransport;
let released: Promise<void>;

beforeEach(async () => {
  server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const opening = once(server, 'connection');
  client = new RawClient(connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true }));
  [accepted] = (await opening) as [Socket];
  protocol = new Loop();
  transport = new SocketTransport(accepted);
  driver = drive(protocol, transport, { clock, timers });
  transport.join(driver);
  transport.startReading();
  released = new Promise((resolve) => accepted.on('close', () => resolve()));
});
afterEach(async () => {
  client.socket.destroy();
  accepted.destroy();
  await new Promise((resolve) => server.close(resolve));
});

describe('SocketTransport', () => {
  it('writes what it is given, in order, and says that the system has taken it', async () => {
    protocol.say(Buffer.from('one '));
    protocol.say(new Uint8Array(Buffer.from('two ')));
    protocol.say(Buffer.from('three'));
    driver.pump();
    expect([transport.taken, transport.bufferedAmount, protocol.recycled]).toEqual([true, 0, 3]);
    protocol.transport = 'end';
    driver.pump();
    expect(await client.rest()).toBe('one two three');
  });

  it('ends its side and goes on reading', async () => {
    protocol.transport = 'end';
    protocol.echo = false;
    driver.pump();
    await client.rest();
    client.write('after the FIN');
    client.socket.end();
    await released;
    expect([protocol.received, protocol.events, driver.isClosed]).toEqual([13, ['eof'], true]);
  });

  it('still writes after the other side has ended', async () => {
    client.socket.end('ping');
    await once(accepted, 'end');
    expect(protocol.events).toEqual(['eof']);
    protocol.say(Buffer.from(' and more'));
    protocol.transport = 'done';
    driver.pump();
    expect(await client.rest()).toBe('ping and more');
    await released;
  });

  it('stalls while the other side reads nothing, and is told when it does', async () => {
    client.socket.pause();
    const block = new Uint8Array(1_000_000);
    let written = 0;
    while (!driver.stalled && written < 100) {
      protocol.say(block);
      driver.pump();
      written++;
    }
    expect(driver.stalled).toBe(true);
    expect([transport.taken, transport.bufferedAmount > 0]).toEqual([false, true]);
    const drained = new Promise<void>((resolve) => {
      driver.onDrain = resolve;
    });
    client.socket.resume();
    await drained;
    expect([driver.stalled, transport.bufferedAmount]).toEqual([false, 0]);
    protocol.transport = 'end';
    driver.pump();
    expect((await client.rest()).length).toBe(written * block.length);
  });

  it('stops reading, so that the other side is held back, and goes on', async () => {
    protocol.echo = false;
    protocol.wantsRead = false;
    driver.pump();
    const total = 30_000_000;
    const everything = new Promise<void>((resolve) => client.socket.write(new Uint8Array(total), () => resolve()));
    await new Promise((resolve) => setImmediate(resolve));
    expect(protocol.received).toBeLessThan(1_000_000);
    protocol.wantsRead = true;
    driver.pump();
    await everything;
    while (protocol.received < total) await once(accepted, 'data');
    expect(protocol.received).toBe(total);
  });

  it('aborts with a reset, and sees one', async () => {
    protocol.transport = 'abort';
    driver.pump();
    expect(await client.closed).toBe('ECONNRESET');
    await released;
    expect(driver.isClosed).toBe(true);
  });

  it.each(['under way', 'done'])('aborts when its end is %s', async (how) => {
    const finished = once(accepted, 'finish').catch(() => {});
    protocol.transport = 'end';
    driver.pump();
    if (how === 'done') await finished;
    expect(accepted.writableFinished).toBe(how === 'done');
    protocol.transport = 'abort';
    driver.pump();
    await released;
    expect(driver.isClosed).toBe(true);
  });

  it('aborts with a reset while its end waits behind what is written', async () => {
    client.socket.pause();
    accepted.write(new Uint8Array(64 * 1024 * 1024));
    protocol.transport = 'end';
    driver.pump();
    expect(accepted.writableLength).toBeGreaterThan(0);
    protocol.transport = 'abort';
    driver.pump();
    await released;
    client.socket.resume();
    expect(await client.closed).toBe('ECONNRESET');
  });

  it('reports a reset of the other side', async () => {
    client.socket.resetAndDestroy();
    await released;
    expect(protocol.events).toEqual(['error ECONNRESET']);
  });

  it('notices what has happened before it was joined', async () => {
    const gone = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    gone.destroy();
    await once(gone, 'close');
    const late = new SocketTransport(gone);
    const other = drive(new Loop(), late, { clock, timers });
    late.join(other);
    expect(other.isClosed).toBe(true);
    // What a stream that is no socket does not know.
    expect([late.remoteAddress, late.remotePort, late.encrypted]).toEqual([null, null, false]);
    late.ref();
    late.unref();
    late.abort();
    const half = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    half.push(null);
    half.resume();
    await once(half, 'end');
    const told = new Loop();
    const joined = new SocketTransport(half);
    joined.join(drive(told, joined, { clock, timers }));
    expect(told.events).toEqual(['eof']);
    half.destroy();
  });
});
