/** Extensions that take their time: asynchronous ones, step budgets, pauses in the middle of their work. */
import { Connection, type Role } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, type Harness, hex, joined, messagesOf, type OpenOptions, open, utf8 } from './connection-helpers.ts';
import { Asynchronous, bomb, extension, finishWork, message } from './extension-helpers.ts';
import { checkSteady } from './steady-helpers.ts';

const roles: readonly Role[] = ['server', 'client'];
const ways: readonly Omit<OpenOptions, 'extensions'>[] = roles.flatMap((role) =>
  (['push', 'pull'] as const).flatMap((mode) => (['message', 'chunk', 'span'] as const).map((delivery) => ({ role, mode, delivery }))),
);
const title = ({ role, mode, delivery }: OpenOptions): string => `${role}, ${mode}, ${delivery}`;

describe('asynchronous transforms', () => {
  const flip = (text: string): Uint8Array => utf8(text).map((byte) => byte ^ 1);

  it.each(ways.map((way) => [title(way), way] as const))('%s: wait, then go on; nothing overtakes', (_, way) => {
    const work = new Asynchronous();
    const endpoint = open({ ...way, extensions: [work.extension] });
    const { connection, peer } = endpoint;
    const text = 'abcdefghi '.repeat(35);
    endpoint.receive(concat(message(peer, 1, 4, flip(text)), peer.ping('after'), peer.text('plain')));
    expect(endpoint.of('ping')).toEqual([]);
    expect(connection.wantsRead).toBe(false);
    endpoint.receive(peer.text('later'));
    let releases = 0;
    for (; releases < 50 && work.inFlight > 0; releases++) {
      expect(connection.wantsRead).toBe(false);
      work.release();
      connection.wake();
      if (way.mode === 'pull') endpoint.pull();
    }
    expect(releases).toBe(4);
    expect(messagesOf(endpoint.seen)).toEqual([text, 'plain', 'later']);
    expect(endpoint.seen.findIndex(({ type }) => type === 'ping')).toBeGreaterThan(0);
    expect(connection.wantsRead).toBe(true);
  });

  it('ready alone wakes a connection in push mode', () => {
    const work = new Asynchronous();
    const endpoint = open({ role: 'server', extensions: [work.extension] });
    endpoint.receive(message(endpoint.peer, 1, 4, flip('hello')));
    expect(endpoint.seen).toEqual([]);
    work.release();
    expect(messagesOf(endpoint.seen)).toEqual(['hello']);
  });

  it('ready only tells a host that works for the connection, which goes on with its wake', () => {
    const work = new Asynchronous();
    const endpoint = open({ role: 'server', extensions: [work.extension] });
    const { connection, peer, seen } = endpoint;
    let told = 0;
    connection.workFor({ onWork: () => void told++ });
    endpoint.receive(message(peer, 1, 4, flip('hello')));
    work.release();
    expect([told, seen]).toEqual([1, []]);
    connection.wake();
    expect(messagesOf(seen)).toEqual(['hello']);
    connection.abort();
    work.release();
    expect(told).toBe(1);
  });

  it('what it gives out in the middle of a frame comes without more input', () => {
    for (const delivery of ['chunk', 'span'] as const) {
      const work = new Asynchronous();
      const endpoint = open({ role: 'server', delivery, extensions: [work.extension] });
      const wire = message(endpoint.peer, 1, 4, flip('hello world'));
      endpoint.receive(wire.slice(0, -6));
      work.release();
      endpoint.connection.wake();
      const [piece] = joined(endpoint.seen);
      expect(piece !== undefined && 'data' in piece && Buffer.from(piece.data as Uint8Array).toString()).toBe('hello');
      endpoint.receive(wire.slice(-6));
      work.release();
      endpoint.connection.wake();
      expect(messagesOf(endpoint.seen)).toEqual(['hello world']);
    }
  });

  it('EOF, errors and pauses wait for it or hold it', () => {
    for (const end of ['receiveEof', 'receiveError'] as const) {
      const work = new Asynchronous();
      const endpoint = open({ role: 'client', extensions: [work.extension] });
      endpoint.receive(message(endpoint.peer, 1, 4, flip('last')));
      endpoint.connection[end](new Error('reset'));
      expect(endpoint.ended).toBe(false);
      endpoint.connection.pause();
      work.release();
      endpoint.connection.wake();
      expect(endpoint.seen).toEqual([]);
      endpoint.connection.resume();
      expect(messagesOf(endpoint.seen)).toEqual(['last']);
      expect(endpoint.ended).toBe(true);
    }
  });

  it.each(ways.map((way) => [title(way), way] as const))('%s: may be ready before they say that they are not', (_, way) => {
    for (const where of ['push', 'finish'] as const) {
      const early = extension('early', 4, (ready) => {
        let held: Uint8Array | null = null;
        return {
          begin: (_kind, rsv) => rsv !== 0,
          push(input, start, end, out) {
            if (where === 'push' && held === null) {
              held = input.slice(start, end);
              ready();
              return { consumed: end - start, status: 'pending' };
            }
            const bytes = held ?? input.slice(start, end);
            held = null;
            out.write(bytes, 0, bytes.length);
            return { consumed: where === 'push' ? 0 : end - start, status: 'need' };
          },
          finish() {
            if (where === 'push' || held !== null) return 'need';
            held = new Uint8Array(0);
            ready();
            return 'pending';
          },
        };
      });
      const endpoint = open({ ...way, extensions: [early] });
      endpoint.receive(concat(message(endpoint.peer, 1, 4, utf8('early')), endpoint.peer.text('plain')));
      expect(messagesOf(endpoint.seen)).toEqual(['early', 'plain']);
      expect(endpoint.connection.wantsRead).toBe(true);
      endpoint.connection.receiveEof();
      if (way.mode === 'pull') endpoint.pull();
      expect(endpoint.ended).toBe(true);
    }
  });

  it('that are always ready have no more of a turn than others, and may not do nothing for ever', () => {
    const MIB = 1 << 20;
    const block = new Uint8Array(16_384);
    let left = 32 * MIB;
    const eager = extension('eager', 4, (ready) => ({
      begin: (_kind, rsv) => rsv !== 0,
      push(_input, start, end, out) {
        ready();
        const count = Math.min(out.room, block.length, left);
        out.write(block, 0, count);
        left -= count;
        return { consumed: end - start, status: left > 0 || count === 0 ? 'pending' : 'need' };
      },
      finish: () => 'need',
    }));
    let total = 0;
    const endpoint = open({
      role: 'server',
      delivery: 'span',
      extensions: [eager],
      hooks: {
        onSpan(_buffer, start, end) {
          total += end - start;
        },
      },
    });
    endpoint.receive(message(endpoint.peer, 2, 4, hex('00')));
    expect(total).toBeGreaterThan(MIB);
    expect(total).toBeLessThanOrEqual(5 * MIB);
    expect(finishWork(endpoint, false)).toBeGreaterThan(5);
    expect(total).toBe(32 * MIB);
    expect(() => endpoint.receive(message(endpoint.peer, 2, 4, hex('00')))).toThrow('an extension asked for more steps');
  });

  it('wake out of turn is harmless, and late work after the end is dropped', () => {
    const work = new Asynchronous();
    const endpoint = open({ role: 'server', extensions: [work.extension] });
    endpoint.connection.wake();
    endpoint.receive(message(endpoint.peer, 1, 4, flip('x')));
    endpoint.connection.wake();
    endpoint.connection.wake();
    expect(endpoint.seen).toEqual([]);
    endpoint.connection.abort();
    expect(endpoint.ended).toBe(true);
    work.release();
    endpoint.connection.wake();
    expect(endpoint.seen).toHaveLength(1);
  });
});

describe('step budget', () => {
  const MIB = 1 << 20;

  it('a call of receiveData decodes a few MiB; the rest is due at once and goes on in handleTimeout', () => {
    for (const role of roles) {
      for (const delivery of ['span', 'chunk'] as const) {
        const blast = bomb(64 * MIB);
        let total = 0;
        const endpoint = open({
          role,
          delivery,
          extensions: [extension('bomb', 4, () => blast)],
          hooks: {
            onSpan(_buffer, start, end) {
              total += end - start;
              endpoint.seen.length = 0;
            },
          },
        });
        endpoint.receive(concat(message(endpoint.peer, 2, 4, hex('00')), endpoint.peer.ping('after')));
        expect(total).toBeGreaterThan(MIB);
        expect(total).toBeLessThanOrEqual(5 * MIB);
        expect(endpoint.of('ping')).toEqual([]);
        expect(endpoint.connection.wantsRead).toBe(false);
        expect(endpoint.connection.nextTimeout()).toBeLessThanOrEqual(endpoint.now);
        expect(checkSteady(endpoint.connection)).toBe(false);
        let last = total;
        let turns = 0;
        for (; turns < 100 && endpoint.of('ping').length === 0; turns++) {
          endpoint.connection.handleTimeout();
          expect(total - last).toBeLessThanOrEqual(5 * MIB);
          last = total;
        }
        expect(turns).toBeGreaterThan(10);
        expect(total).toBe(64 * MIB);
        expect(endpoint.connection.wantsRead).toBe(true);
        expect(endpoint.connection.nextTimeout()).toBeGreaterThan(endpoint.now);
        endpoint.output();
        expect(checkSteady(endpoint.connection)).toBe(true);
        expect(endpoint.connection.stats.payloadIn).toBe(64 * MIB);
      }
    }
  });

  it('input that comes meanwhile goes behind', () => {
    const blast = bomb(20 * MIB);
    const endpoint = open({
      role: 'server',
      delivery: 'message',
      limits: { maxMessageSize: 32 * MIB },
      extensions: [extension('bomb', 4, () => blast)],
    });
    endpoint.receive(message(endpoint.peer, 2, 4, hex('00')), endpoint.peer.ping('1'), endpoint.peer.ping('2'));
    expect(endpoint.seen).toEqual([]);
    endpoint.connection.receiveEof();
    expect(endpoint.seen).toEqual([]);
    expect(finishWork(endpoint, false)).toBeGreaterThan(2);
    expect(endpoint.seen.map(({ type }) => type)).toEqual(['binary', 'ping', 'ping', 'end']);
  });

  it('a pause stops in the middle of it, and no deadline is due then', () => {
    const blast = bomb(64 * MIB);
    let total = 0;
    const endpoint: Harness = open({
      role: 'server',
      delivery: 'span',
      extensions: [extension('bomb', 4, () => blast)],
      hooks: {
        onSpan(_buffer, start, end) {
          total += end - start;
          endpoint.seen.length = 0;
          endpoint.connection.pause();
        },
      },
    });
    endpoint.receive(message(endpoint.peer, 2, 4, hex('00')));
    const first = total;
    expect(first).toBeLessThanOrEqual(65_536);
    expect(blast.written).toBeLessThanOrEqual(2 * 65_536);
    endpoint.connection.handleTimeout();
    expect(total).toBe(first);
    const due = endpoint.connection.nextTimeout();
    expect(due === null || due > endpoint.now).toBe(true);
    endpoint.connection.resume();
    expect(total).toBeGreaterThan(first);
    expect(total).toBeLessThanOrEqual(2 * 65_536);
  });

  it('pulled, it decodes only what is asked for', () => {
    const blast = bomb(1e12);
    const connection = new Connection({
      role: 'server',
      clock: () => 0,
      delivery: 'span',
      extensions: [extension('bomb', 4, () => blast)],
    });
    connection.receiveData(message(open({ role: 'server' }).peer, 2, 4, hex('00')));
    expect(blast.written).toBe(0);
    for (let round = 1; round <= 20; round++) {
      expect(connection.readInto(new Uint8Array(100))).toEqual({ type: 'data', kind: 'binary', count: 100, endOfMessage: false });
      expect(blast.written).toBeLessThanOrEqual(round * 100 + 1);
    }
  });

  it('pulled in chunks, a pull decodes a piece', () => {
    const blast = bomb(1e12);
    const connection = new Connection({
      role: 'server',
      clock: () => 0,
      delivery: 'chunk',
      extensions: [extension('bomb', 4, () => blast)],
    });
    connection.receiveData(message(open({ role: 'server' }).peer, 2, 4, hex('00')));
    expect(blast.written).toBe(0);
    expect(connection.nextEvent()).toMatchObject({ type: 'chunk', first: true, last: false });
    expect(blast.written).toBeLessThanOrEqual(2 * 65_536);
  });
});
