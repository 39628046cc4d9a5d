/** The two example programs: in virtual time, with each other, with `ws`, with a browser. */
import type { AddressInfo } from 'node:net';
import { type VirtualClock, virtualClock } from '@ferrywire/driver/testing';
import { HttpListener } from '@ferrywire/http-listener';
import { chromium } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { WebSocketServer, WebSocket as Ws } from 'ws';
import { findChromium } from '../../node/test/browser.ts';
import { receiveTexts } from '../examples/client.ts';
import { serveClock, type Time } from '../examples/clock-server.ts';
import { get } from './helpers.ts';

const found = findChromium();
console.log('path' in found ? `clock in a browser: runs in ${found.path}` : `clock in a browser: skipped, ${found.reason}`);

const epoch = Date.UTC(2026, 0, 1);
const ticks = Array.from({ length: 10 }, (_, tick) => new Date(epoch + 2000 * tick).toISOString());

/** Virtual time that moves whenever somebody has begun to wait. */
function timeOf(clock: VirtualClock): Time & { waits: number[] } {
  const start = clock.now();
  const waits: number[] = [];
  return {
    waits,
    now: () => new Date(epoch + clock.now() - start),
    delay: (milliseconds) =>
      new Promise((resolve) => {
        waits.push(milliseconds);
        clock.set(() => resolve(undefined), milliseconds);
        // Not before the message in front of it has had its turn.
        setImmediate(() => clock.step());
      }),
  };
}
async function clockServer() {
  const listener = new HttpListener();
  listener.prefixes.add('http://127.0.0.1:0/ws/');
  await listener.start();
  const time = timeOf(virtualClock());
  const done = serveClock(listener, time);
  const port = listener.endPoints[0]?.port ?? 0;
  return {
    port,
    time,
    url: `ws://127.0.0.1:${port}/ws/`,
    async [Symbol.asyncDispose]() {
      listener.abort();
      await done;
    },
  };
}

describe('the clock server', () => {
  it('answers 400 to anything but a WebSocket request', async () => {
    await using server = await clockServer();
    expect((await get(server.port, '/ws/')).status).toBe(400);
    expect((await get(server.port, '/ws/', {}, 'POST', 'x')).status).toBe(400);
    expect((await get(server.port, '/')).status).toBe(404);
  });
  it('tells ws the time ten times, two seconds apart, and closes normally', async () => {
    await using server = await clockServer();
    const client = new Ws(server.url);
    const seen: string[] = [];
    client.on('message', (data) => seen.push(data.toString()));
    const closed = await new Promise((resolve) => client.on('close', (code, reason) => resolve([code, reason.toString()])));
    expect(seen).toEqual(ticks);
    expect(server.time.waits).toEqual(Array(9).fill(2000));
    expect(closed).toEqual([1000, 'time is up']);
  });
  it('tells the client program', async () => {
    await using server = await clockServer();
    const seen: string[] = [];
    expect(await receiveTexts(server.url, (text) => seen.push(text))).toBe(1000);
    expect(seen).toEqual(ticks);
  });
  it.runIf('path' in found)('tells a browser', async () => {
    await using server = await clockServer();
    const browser = await chromium.launch({ executablePath: 'path' in found ? found.path : '' });
    try {
      const page = await browser.newPage();
      const outcome = await page.evaluate(
        (url) =>
          new Promise((resolve) => {
            const socket = new WebSocket(url);
            const seen: unknown[] = [];
            socket.onmessage = ({ data }) => seen.push(data);
            socket.onclose = ({ code, reason, wasClean }) => resolve({ seen, code, reason, wasClean });
          }),
        server.url,
      );
      expect(outcome).toEqual({ seen: ticks, code: 1000, reason: 'time is up', wasClean: true });
      expect(server.time.waits).toEqual(Array(9).fill(2000));
    } finally {
      await browser.close();
    }
  });
  it('serves several at once, and one that leaves early', async () => {
    await using server = await clockServer();
    const early = new Ws(server.url);
    early.on('message', () => early.terminate());
    const all = await Promise.all(
      [1, 2, 3].map(async () => {
        const seen: string[] = [];
        await receiveTexts(server.url, (text) => seen.push(text));
        return seen.length;
      }),
    );
    expect(all).toEqual([10, 10, 10]);
  });
});

describe('the client program', () => {
  /** What a ws server that does `talk` is closed with. */
  async function against(talk: (socket: Ws) => void) {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    await new Promise((resolve) => server.once('listening', resolve));
    const closed = new Promise<unknown>((resolve) =>
      server.on('connection', (socket) => {
        socket.on('close', (code, reason) => resolve([code, reason.toString()]));
        talk(socket);
      }),
    );
    const texts: string[] = [];
    try {
      const status = await receiveTexts(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`, (text) => texts.push(text));
      return { status, texts, closed: await closed };
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  }
  it('puts fragments together and answers a close', async () => {
    const result = await against((socket) => {
      socket.send('one');
      socket.send('fr', { fin: false });
      socket.send('ag', { fin: false });
      socket.send('ment', { fin: true });
      socket.send('x'.repeat(1024));
      socket.close(4001, 'done');
    });
    expect(result).toEqual({ status: 4001, texts: ['one', 'fragment', 'x'.repeat(1024)], closed: [1000, ''] });
  });
  it('answers a close in the middle of a message, which never becomes one', async () => {
    const result = await against((socket) => {
      socket.send('one');
      socket.send('fr', { fin: false });
      socket.close(4001, 'no more');
    });
    expect(result).toEqual({ status: 4001, texts: ['one'], closed: [1000, ''] });
  });
  it('refuses binary with InvalidMessageType', async () => {
    const result = await against((socket) => socket.send(Buffer.of(1, 2, 3)));
    expect(result).toEqual({ status: null, texts: [], closed: [1003, 'cannot accept binary messages'] });
  });
  it('refuses what is too long with InvalidPayloadData', async () => {
    const result = await against((socket) => {
      socket.send('short');
      socket.send('x'.repeat(1025));
    });
    expect(result).toEqual({ status: null, texts: ['short'], closed: [1007, 'the longest message is 1024 bytes'] });
  });
});
