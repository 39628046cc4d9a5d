/** What each call leaves behind: levels and deadlines right after it, order when calls nest, and silence after the end. */
import { type ConnectionOptions, prepareMessage } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, digest, open, pattern, utf8 } from './connection-helpers.ts';
import { roles } from './sending-helpers.ts';

const IDLE: ConnectionOptions['timeouts'] = { idle: 1000, keepalive: 0 };

describe.each(roles)('the clocks of a %s', (role) => {
  it('stand still from the very call that holds input, and run again from the one that reads it', () => {
    const harness = open({ role, mode: 'pull', pulling: false, timeouts: IDLE });
    expect(harness.connection.nextTimeout()).toBe(harness.now + 1000);
    harness.receive(harness.peer.text('a'));
    expect(harness.connection.nextTimeout()).toBeNull();
    harness.now += 5000;
    harness.pull(2);
    expect(harness.connection.nextTimeout()).toBe(harness.now + 1000);
  });
  it.each(['pull', 'push'] as const)('stand still from pause() to resume(), %s mode', (mode) => {
    const harness = open({ role, mode, timeouts: IDLE });
    harness.now += 400;
    harness.connection.pause();
    expect([harness.connection.nextTimeout(), harness.connection.wantsRead]).toEqual([null, false]);
    harness.now += 5000;
    harness.connection.resume();
    expect([harness.connection.nextTimeout(), harness.connection.wantsRead]).toEqual([harness.now + 600, true]);
  });
  it('stand still from every call that queues something', () => {
    const prepared = prepareMessage('x');
    const calls = {
      sendText: (at) => at.sendText('x'),
      first: (at) => at.sendText('x', { fin: false }),
      continuation: (at) => at.sendContinuation('y', true),
      prepared: (at) => at.sendPrepared(prepared),
      ping: (at) => at.ping(),
      pong: (at) => at.pong(utf8('z')),
      writer: (at) => at.startMessage('text').end('x'),
    } satisfies Record<string, (at: ReturnType<typeof open>['connection']) => boolean>;
    const harness = open({ role, timeouts: IDLE });
    for (const [name, call] of Object.entries(calls)) {
      const due = harness.connection.nextTimeout();
      expect([name, call(harness.connection)]).toEqual([name, true]);
      expect([name, harness.connection.nextTimeout()]).toEqual([name, null]);
      harness.output();
      expect([name, harness.connection.nextTimeout()]).toEqual([name, due]);
    }
  });
  it('are not set back by input that says nothing', () => {
    const harness = open({ role, timeouts: { idle: 1000, keepalive: 0 } });
    harness.now += 700;
    harness.receive(new Uint8Array(0));
    expect(harness.connection.nextTimeout()).toBe(harness.now + 300);
  });
});

describe.each(roles)('a %s', (role) => {
  it('reads on after it failed, so that the end of the transport is seen, paused or not', () => {
    for (const paused of [false, true]) {
      const harness = open({ role });
      if (paused) harness.connection.pause();
      expect(harness.connection.wantsRead).toBe(!paused);
      harness.connection.fail(1011);
      expect(harness.connection.wantsRead).toBe(true);
      harness.receive(utf8('whatever'));
      expect(harness.connection.wantsRead).toBe(true);
      harness.connection.receiveEof();
      expect(harness.connection.wantsRead).toBe(false);
    }
  });
  it('takes no pause while it is closing', () => {
    const harness = open({ role });
    harness.connection.close(1000);
    harness.connection.pause();
    expect([harness.connection.paused, harness.connection.wantsRead]).toEqual([false, true]);
  });
  it('takes nothing behind the end of the transport, held input or not', () => {
    const harness = open({ role, mode: 'pull', pulling: false });
    harness.receive(harness.peer.text('before'));
    harness.connection.receiveEof();
    const { bytesIn } = harness.connection.stats;
    harness.receive(harness.peer.text('after'));
    harness.pull();
    expect(harness.seen.map(({ type }) => type)).toEqual(['text', 'end']);
    harness.receive(harness.peer.text('after'));
    expect(harness.connection.stats.bytesIn).toBe(bytesIn);
  });
  it('says nothing and wants nothing after the end, whatever it is called', () => {
    const harness = open({ role, timeouts: { idle: 1000 } });
    harness.connection.abort();
    const before = harness.seen.length;
    const { connection } = harness;
    connection.outputStalled();
    connection.outputDrained();
    connection.wake();
    connection.pause();
    connection.resume();
    connection.receiveEof();
    connection.receiveError(new Error('late'));
    harness.now += 100_000;
    connection.handleTimeout();
    expect([connection.close(1000), connection.sendText('x'), connection.ping()]).toEqual([false, false, false]);
    connection.fail(1011);
    connection.abort();
    expect(harness.seen).toHaveLength(before);
    expect([connection.nextTimeout(), connection.wantsRead, connection.transport, connection.bufferedAmount]).toEqual([
      null,
      false,
      'abort',
      0,
    ]);
    expect(connection.takeOutput()).toEqual([]);
  });
  it('keeps the order of held input when a callback wakes it', () => {
    const harness = open({
      role,
      hooks: {
        onText: () => {
          harness.connection.wake();
          harness.connection.handleTimeout();
        },
      },
    });
    const { peer } = harness;
    harness.connection.pause();
    harness.receive(concat(peer.text('1'), peer.text('2'), peer.text('3'), peer.binary(pattern(5000))), peer.text('4'), peer.text('5'));
    harness.connection.resume();
    expect(harness.of('text').map(({ data }) => data)).toEqual(['1', '2', '3', '4', '5']);
    expect(harness.of('binary')).toHaveLength(1);
  });
});

describe.each(roles)('pull mode of a %s', (role) => {
  it('is asked for before the first event is: a sink, and another delivery, throw at the call', () => {
    const push = open({ role }).connection;
    for (const call of [() => push.nextEvent(), () => push.events(), () => push.readInto(new Uint8Array(1))]) {
      expect(call).toThrow(/needs pull mode/);
    }
    const span = open({ role, mode: 'pull', delivery: 'span' }).connection;
    expect(() => span.nextEvent()).toThrow(/use readInto/);
    expect(() => span.events()).toThrow(/use readInto/);
    expect(() => span.readInto(new Uint8Array(0))).toThrow(RangeError);
    expect(() => span.readInto('x' as unknown as Uint8Array)).toThrow(TypeError);
    expect(() => open({ role, mode: 'pull' }).connection.readInto(new Uint8Array(1))).toThrow(/use nextEvent/);
  });
  it('writes into the target of the call and of no other, while closing too', () => {
    const harness = open({ role, mode: 'pull', delivery: 'span', pulling: false });
    const { connection, peer } = harness;
    const first = new Uint8Array(10);
    harness.receive(peer.binary(pattern(10, 1), false));
    expect(connection.readInto(first)).toEqual({ type: 'data', kind: 'binary', count: 10, endOfMessage: false });
    const copy = first.slice();
    connection.close(1000);
    harness.receive(peer.continuation(pattern(300, 2), true), peer.close(1000));
    expect(digest(first)).toBe(digest(copy));
    const rest = new Uint8Array(200);
    expect(connection.readInto(rest)).toEqual({ type: 'data', kind: 'binary', count: 200, endOfMessage: false });
    expect(digest(rest)).toBe(digest(pattern(300, 2).subarray(0, 200)));
    expect(connection.readInto(rest)).toEqual({ type: 'data', kind: 'binary', count: 100, endOfMessage: true });
    expect(digest(rest.subarray(0, 100))).toBe(digest(pattern(300, 2).subarray(200)));
    expect(connection.readInto(rest)).toMatchObject({ type: 'close', code: 1000 });
  });
});

describe('what a call is given', () => {
  it.each([null, 5, 'text'])('startMessage: options %j', (options) => {
    expect(() => open({ role: 'server' }).connection.startMessage('text', options as unknown as object)).toThrow(/options must be/);
  });
  it('fail: a reason that is no string is named', () => {
    expect(() => open({ role: 'server' }).connection.fail(1011, 5 as unknown as string)).toThrow(/reason must be a string/);
  });
  it('a MessageWriter masks in place what was given away, and nothing else', () => {
    for (const transfer of [false, true]) {
      const harness = open({ role: 'client' });
      const mine = pattern(40_000);
      harness.connection.startMessage('binary', { transfer }).end(mine);
      expect(digest(mine) === digest(pattern(40_000))).toBe(!transfer);
      expect(harness.frames().map(({ payload }) => digest(payload))).toEqual([digest(pattern(40_000))]);
    }
  });
});

describe.each(roles)('what a %s says of its own end', (role) => {
  it('fail() gives the reason that it was given, or the words of the table', () => {
    for (const [reason, message] of [
      ['', 'failed by the application'],
      [undefined, 'failed by the application'],
      ['no such room', 'no such room'],
    ] as const) {
      const harness = open({ role });
      harness.connection.fail(4001, reason);
      harness.connection.receiveEof();
      expect(harness.end.cause).toMatchObject({ code: 'WS_FAILED_LOCALLY', closeCode: 4001, message });
      expect(harness.end).toMatchObject({ clean: false, code: 1006, initiator: 'local', sent: { code: 4001, reason: reason ?? '' } });
    }
  });
  it('is clean with both close frames and nothing wrong, and else it is not', () => {
    const only = open({ role });
    only.connection.close(1000);
    only.connection.receiveEof();
    expect(only.end).toMatchObject({ clean: false, sent: { code: 1000 }, received: null });
    const theirs = open({ role, autoClose: false });
    theirs.receive(theirs.peer.close(1000));
    theirs.connection.receiveEof();
    expect(theirs.end).toMatchObject({ clean: false, sent: null, received: { code: 1000 } });
    const both = open({ role });
    both.connection.close(1000);
    both.receive(both.peer.close(1001));
    both.connection.receiveEof();
    expect(both.end).toMatchObject({ clean: true, code: 1001, cause: null });
  });
  it('keepalive pings count up, each with its own payload, and only the pong of the last is taken for its answer', () => {
    const harness = open({ role, timeouts: { keepalive: 1000, pong: 5000 } });
    const pings: Uint8Array[] = [];
    for (let count = 0; count < 300; count++) {
      harness.advance(1000);
      const [ping, ...more] = harness.frames();
      expect([ping?.header.opcode, ping?.payload.length, more.length]).toEqual([9, 4, 0]);
      pings.push(ping?.payload as Uint8Array);
      harness.now += 7;
      const before = pings[count - 1];
      if (before !== undefined) harness.receive(harness.peer.pong(before));
      harness.receive(harness.peer.pong(pings[count]));
      expect(harness.of('pong').at(-1)?.latency).toBe(7);
      if (before !== undefined) expect(harness.of('pong').at(-2)?.latency).toBeNull();
    }
    expect(new Set(pings.map((payload) => Buffer.from(payload).readUInt32BE())).size).toBe(300);
    expect(Buffer.from(pings[299] as Uint8Array).readUInt32BE() - Buffer.from(pings[0] as Uint8Array).readUInt32BE()).toBe(299);
  });
});
