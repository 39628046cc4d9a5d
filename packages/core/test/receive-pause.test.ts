/** Pausing at any byte and going on from it, in push mode. */
import type { Role } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { type Harness, joined, messagesOf, open, peerOf, split } from './connection-helpers.ts';
import { everyEvent, reference } from './receive-helpers.ts';

const roles: readonly Role[] = ['server', 'client'];
const deliveries = ['message', 'chunk', 'span'] as const;
const inputs = ['shared', 'reused', 'transferred'] as const;

describe.each(roles.flatMap((role) => deliveries.map((delivery) => [role, delivery] as const)))('%s, %s: pause', (role, delivery) => {
  const wire = everyEvent(peerOf(role));
  const expected = reference({ role, delivery }, wire);

  it.each(inputs)('between any two bytes of %s input', (input) => {
    for (let at = 0; at <= wire.length; at++) {
      const endpoint = open({ role, delivery, input });
      const { connection, seen } = endpoint;
      endpoint.receive(wire.slice(0, at));
      const events = seen.length;
      const closed = seen.some(({ type }) => type === 'close');
      connection.pause();
      connection.pause();
      // Closing wins over pausing.
      expect(connection.paused).toBe(!closed);
      endpoint.receive(...split(wire.subarray(at), 50));
      expect(seen).toHaveLength(events);
      if (!closed) expect(connection.wantsRead).toBe(false);
      connection.resume();
      expect(connection.paused).toBe(false);
      expect(connection.wantsRead).toBe(true);
      expect(joined(seen)).toEqual(expected.seen);
      expect(endpoint.output()).toEqual(expected.output);
    }
  });

  it('from inside every callback, and on from the next event', () => {
    for (const input of inputs) {
      for (const cut of [wire.length, 7]) {
        const counts: number[] = [];
        const stop = (): void => {
          endpoint.connection.pause();
          counts.push(endpoint.seen.length);
        };
        const endpoint: Harness = open({
          role,
          delivery,
          input,
          hooks: {
            onText: stop,
            onBinary: stop,
            onMessageStart: stop,
            onTextChunk: stop,
            onSpan: stop,
            onMessageEnd: stop,
            onPing: stop,
            onPong: stop,
            onClose: stop,
          },
        });
        for (const chunk of split(wire, cut)) {
          endpoint.receive(chunk);
          for (let turn = 0; turn < 100 && endpoint.connection.paused; turn++) {
            // Nothing came after the event that paused.
            expect(endpoint.seen).toHaveLength(counts.at(-1) as number);
            endpoint.connection.resume();
          }
        }
        expect(counts).toEqual(endpoint.seen.map((_, index) => index + 1));
        expect(joined(endpoint.seen)).toEqual(expected.seen);
        expect(endpoint.output()).toEqual(expected.output);
      }
    }
  });

  it('holds EOF and errors back', () => {
    for (const [end, directive] of [
      ['receiveEof', 'done'],
      ['receiveError', 'abort'],
    ] as const) {
      const endpoint = open({ role, delivery });
      const { connection } = endpoint;
      connection.pause();
      endpoint.receive(endpoint.peer.text('held'));
      connection[end](new Error('reset'));
      expect(endpoint.seen).toEqual([]);
      expect(connection.transport).toBe('open');
      connection.resume();
      expect(messagesOf(endpoint.seen)).toEqual(['held']);
      expect(endpoint.end.clean).toBe(false);
      expect(connection.transport).toBe(directive);
    }
  });

  it('without held input neither EOF nor an error waits for ever: resume delivers it', () => {
    const endpoint = open({ role, delivery });
    endpoint.connection.pause();
    endpoint.connection.receiveEof();
    endpoint.connection.resume();
    expect(endpoint.end.cause?.code).toBe('WS_EOF');
  });

  it('pings wait as everything does', () => {
    const endpoint = open({ role, delivery });
    endpoint.connection.pause();
    endpoint.receive(endpoint.peer.ping('later'));
    expect(endpoint.sent()).toEqual([]);
    endpoint.connection.resume();
    expect(endpoint.sent()).toEqual(["PONG 'later'"]);
  });

  it('sending goes on', () => {
    const endpoint = open({ role, delivery });
    endpoint.connection.pause();
    expect(endpoint.connection.sendText('out')).toBe(true);
    expect(endpoint.sent()).toEqual(["TEXT 'out'"]);
  });

  it('resume without a pause does nothing', () => {
    const endpoint = open({ role, delivery });
    endpoint.connection.resume();
    endpoint.receive(endpoint.peer.text('a'));
    endpoint.connection.resume();
    expect(messagesOf(endpoint.seen)).toEqual(['a']);
  });

  it('pause and resume from within callbacks leave the order as it was', () => {
    const both = (): void => {
      endpoint.connection.pause();
      endpoint.connection.resume();
    };
    const endpoint: Harness = open({
      role,
      delivery,
      hooks: { onText: both, onBinary: both, onMessageStart: both, onTextChunk: both, onSpan: both, onMessageEnd: both, onPing: both },
    });
    endpoint.receive(wire.slice());
    expect(joined(endpoint.seen)).toEqual(expected.seen);
    expect(endpoint.output()).toEqual(expected.output);
  });
});

describe.each(roles)('%s: unread', (role) => {
  it('is what is held, and not that reading is paused', () => {
    const { connection, receive, peer } = open({ role });
    connection.pause();
    expect([connection.unread, connection.wantsRead]).toEqual([false, false]);
    receive(peer.text('a'));
    expect(connection.unread).toBe(true);
    connection.resume();
    expect([connection.unread, connection.wantsRead]).toEqual([false, true]);
  });
  it('is what was not pulled, down to half a frame', () => {
    const { connection, receive, peer, pull } = open({ role, mode: 'pull', pulling: false });
    receive(peer.text('a').subarray(0, 1));
    expect(connection.unread).toBe(true);
    pull();
    expect([connection.unread, connection.wantsRead]).toEqual([false, true]);
  });
  it('is nothing once nothing is read any more', () => {
    const { connection, receive, peer } = open({ role });
    connection.pause();
    receive(peer.text('a'));
    connection.fail(1011);
    expect(connection.unread).toBe(false);
  });
});
