/** The readable wire log: one line for each frame both ways, each state change, each deadline; bounded, escaped, and without effect. */
import type { TraceEntry } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, type Harness, hex, type OpenOptions, open, pattern, split } from './connection-helpers.ts';
import { digest, doubling, roles } from './sending-helpers.ts';

const lines = (trace: readonly TraceEntry[], ...directions: TraceEntry['direction'][]): string[] =>
  trace.filter(({ direction }) => directions.includes(direction)).map(({ text }) => text);

describe.each(roles)('the trace of a %s', (role) => {
  const start = (options: Partial<OpenOptions> = {}): Harness => open({ role, tracing: true, ...options });

  it('shows every kind of frame that goes out', () => {
    const { connection, trace } = start();
    connection.sendText('hi');
    connection.sendBinary(hex('01 02 ff'));
    connection.sendText('a', { fin: false });
    connection.ping();
    connection.pong(hex('00'));
    connection.sendContinuation('b', true);
    connection.sendText('');
    connection.close(1000, 'bye');
    expect(lines(trace, 'out')).toEqual([
      "> TEXT 'hi' [2 bytes]",
      '> BINARY 01 02 ff [3 bytes]',
      "> TEXT 'a' [1 byte, continued]",
      '> PING [0 bytes]',
      '> PONG 00 [1 byte]',
      '> CONT 62 [1 byte]',
      '> TEXT [0 bytes]',
      "> CLOSE 1000 'bye' [5 bytes]",
    ]);
  });

  it.each([1, 3, Number.POSITIVE_INFINITY])('shows every kind of frame that comes in, %d bytes at a time', (size) => {
    const { peer, receive, trace } = start();
    const wire = concat(
      peer.text('hi'),
      peer.binary(hex('01 02 ff')),
      peer.text('a', false),
      peer.ping(),
      peer.pong(hex('00')),
      peer.continuation('b', true),
      peer.text(''),
      peer.close(1000, 'bye'),
    );
    receive(...split(wire, Math.min(size, wire.length)));
    expect(lines(trace, 'in')).toEqual([
      "< TEXT 'hi' [2 bytes]",
      '< BINARY 01 02 ff [3 bytes]',
      "< TEXT 'a' [1 byte, continued]",
      '< PING [0 bytes]',
      '< PONG 00 [1 byte]',
      '< CONT 62 [1 byte]',
      '< TEXT [0 bytes]',
      "< CLOSE 1000 'bye' [5 bytes]",
    ]);
  });

  it('shows automatic answers', () => {
    const { peer, receive, trace, output } = start();
    receive(peer.ping('p'), peer.close());
    output();
    expect(lines(trace, 'out').toString()).toContain('> PONG 70 [1 byte]');
    expect(lines(trace, 'out').toString()).toContain('> CLOSE [0 bytes]');
  });

  it('stamps each line with the clock, and shows the frame behind it', () => {
    const harness = start();
    harness.advance(500);
    harness.connection.sendText('hi');
    expect(harness.trace.at(-1)).toMatchObject({
      direction: 'out',
      at: 1500,
      frame: { fin: true, opcode: 1, rsv: 0, length: 2, lengthBytes: 0, masked: role === 'client' },
    });
    harness.advance(500);
    harness.receive(harness.peer.text('hi'));
    expect(harness.trace.at(-1)).toMatchObject({
      direction: 'in',
      at: 2000,
      frame: { fin: true, opcode: 1, length: 2, masked: role === 'server' },
    });
  });

  it('shows state changes and deadlines', () => {
    const harness = start();
    harness.advance(20_000, true);
    expect(lines(harness.trace, 'timer').length).toBe(1);
    expect(lines(harness.trace, 'timer')[0]).toMatch(/keepalive/);
    expect(lines(harness.trace, 'state')).toEqual([]);
    harness.advance(20_000);
    expect(lines(harness.trace, 'timer')[1]).toMatch(/pong/);
    expect(lines(harness.trace, 'state').join()).toMatch(/open.*failed/);
    harness.connection.receiveEof();
    expect(lines(harness.trace, 'state').at(-1)).toMatch(/failed.*ended/);
  });

  it.each([
    [
      'close handshake',
      'open.*closeSent.*closeSent.*closed.*closed.*ended',
      ({ connection, peer, receive }: Harness): void => {
        connection.close(1000);
        receive(peer.close(1000));
        connection.receiveEof();
      },
    ],
    ['abort', 'open.*aborted', ({ connection }: Harness): void => connection.abort()],
    ['EOF', 'open.*ended', ({ connection }: Harness): void => connection.receiveEof()],
  ])('names the states of a %s', (_name, expected, act) => {
    const harness = start();
    act(harness);
    expect(lines(harness.trace, 'state').join(' ')).toMatch(new RegExp(expected));
  });

  it('names the closing deadline', () => {
    const harness = start();
    harness.connection.close(1000);
    harness.output();
    harness.advance(10_000);
    expect(lines(harness.trace, 'timer').join()).toMatch(/closing/);
  });

  it('a refused frame is shown with the rule it broke', () => {
    const { peer, receive, trace } = start();
    receive(peer.frame({ opcode: 3 }));
    expect(lines(trace, 'in').join()).toMatch(/^< .*3.* refused: .*WS_INVALID_OPCODE|opcode/);
  });

  it('is bounded however large the message is, and escapes what a terminal would obey', () => {
    const { connection, peer, receive, trace } = start();
    connection.sendText('x'.repeat(1_000_000));
    connection.sendBinary(pattern(500_000));
    connection.sendText("a'b\\c\n\r\t\u001b[31m\u0007\u202e");
    receive(peer.text('y'.repeat(500_000)), peer.text('é'.repeat(300)), peer.text("a'b\n\u001b[0m"));
    for (const { text, frame } of trace) {
      expect(text.length).toBeLessThan(250);
      expect(frame?.preview.length ?? 0).toBeLessThanOrEqual(125);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
      expect(text).not.toMatch(/[\u0000-\u001f\u007f\u202e]/);
    }
    expect(lines(trace, 'out')[0]).toMatch(/^> TEXT 'x+…' \[1000000 bytes\]$/);
    expect(lines(trace, 'out')[2]).toContain("'a\\'b\\\\c\\n\\r\\t");
  });

  it('shows RSV bits and what is on the wire, not what the application gave', () => {
    const { connection, trace } = start({ extensions: [doubling({ rsv: 4 })] });
    connection.sendText('ab');
    expect(lines(trace, 'out')).toEqual(['> TEXT 61 61 62 62 ee [5 bytes, rsv1]']);
  });

  it('changes nothing: same events, same output', () => {
    const run = (tracing: boolean): unknown => {
      const harness = open({ role, tracing });
      const { connection, peer, receive } = harness;
      connection.sendText('hi');
      connection.sendBinary(pattern(40_000));
      receive(concat(peer.text('a', false), peer.ping('p'), peer.continuation('b', true), peer.binary(pattern(70_000)), peer.close(1000)));
      const bytes = harness.output();
      connection.receiveEof();
      return { bytes, seen: harness.seen, stats: connection.stats };
    };
    expect(run(true)).toEqual(run(false));
  });

  it.each(['push', 'pull'] as const)('changes nothing where it throws: same events, same output, same deadlines, mode %s', (mode) => {
    const endings: Readonly<Record<string, (harness: Harness) => void>> = {
      'our close': ({ connection }) => void connection.close(1000, 'ours'),
      'our close while paused': ({ connection, receive, peer }) => {
        connection.pause();
        receive(peer.text('unread'));
        connection.close(1000);
      },
      'their close': ({ receive, peer }) => receive(peer.close(1001, 'theirs')),
      'a violation': ({ receive, peer }) => receive(peer.frame({ opcode: 3 })),
      'fail()': ({ connection }) => connection.fail(1008, 'no'),
      'abort()': ({ connection }) => connection.abort(),
    };
    for (const end of Object.values(endings)) {
      let thrown = 0;
      /** Does it to its end, whatever comes out of it. */
      const attempt = (work: () => void): void => {
        try {
          work();
        } catch (error) {
          expect(error).toEqual(new Error('boom'));
        }
      };
      const run = (onTrace: Partial<OpenOptions>): unknown[] => {
        const harness = open({ role, mode, pulling: false, ...onTrace });
        const { connection, peer, receive } = harness;
        const steps: (() => void)[] = [
          () => void connection.sendText('hi'),
          // Pongs go before what waits.
          () => receive(concat(peer.text('a', false), peer.ping('p'), peer.continuation('b', true), peer.binary(pattern(70_000)))),
          () => void connection.sendBinary(pattern(40_000)),
          () => void connection.startMessage('text').end('c'),
          () => void connection.ping(),
          () => {
            harness.now += 20_000;
            connection.handleTimeout();
          },
          () => end(harness),
          () => receive(peer.close(1000)),
          () => connection.receiveEof(),
        ];
        const after = steps.map((step) => {
          attempt(step);
          for (let count = 0; mode === 'pull' && count < 10; count++) attempt(() => harness.pull());
          const bytes = digest(harness.output());
          return [bytes, connection.nextTimeout(), connection.state, connection.transport, connection.wantsRead, connection.stats];
        });
        const seen = harness.seen.map((event) =>
          'data' in event && typeof event.data !== 'string' ? [event.type, digest(event.data)] : event,
        );
        return [after, seen];
      };
      const quiet = run({});
      const throwing = (): void => {
        thrown++;
        throw new Error('boom');
      };
      expect(run({ onTrace: throwing })).toEqual(quiet);
      expect(thrown).toBeGreaterThan(5);
    }
  });

  it('tells the caller of the first thing that was thrown, once', () => {
    const errors = ['first', 'second'];
    const { connection, peer } = start({
      tracing: false,
      onTrace() {
        const message = errors.shift();
        if (message !== undefined) throw new Error(message);
      },
    });
    expect(() => connection.receiveData(concat(peer.ping(), peer.ping()))).toThrow('first');
    expect(errors).toEqual([]);
    connection.receiveData(peer.ping());
    errors.push('late');
    expect(connection.takeOutput()).not.toEqual([]);
    expect(() => connection.sendText('x')).toThrow('late');
    expect(connection.sendText('y')).toBe(true);
  });
});
