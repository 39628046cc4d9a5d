/**
 * Every way a connection can end (RFC 6455 sections 7.1.5 to 7.2.1): EOF, a reset, our failure, theirs and `abort()`, in every state; what the
 * end event then says, which directive the transport gets, and that nothing comes after.
 */
import type { EndInfo, Role, TransportDirective, ViolationCode } from '@ferrywire/core';
import { violations } from '@ferrywire/core/frame';
import { describe, expect, it } from 'vitest';
import { concat, type Harness, hex, type OpenOptions, open, utf8 } from './connection-helpers.ts';
import { roles } from './sending-helpers.ts';

type Prepared = (role: Role, options?: Partial<OpenOptions>) => Harness;
/** A connection brought into each state. Our close frame says 4001 'ours', the peer's 4002 'theirs', our failure 1008 'no'. */
const states = {
  open: (role, options) => open({ role, ...options }),
  'open, in a message': (role, options) => {
    const harness = open({ role, ...options });
    harness.receive(harness.peer.text('part', false), harness.peer.frame({ opcode: 0, payload: utf8('cut') }).subarray(0, 4));
    return harness;
  },
  closeSent: (role, options) => {
    const harness = open({ role, ...options });
    harness.connection.close(4001, 'ours');
    return harness;
  },
  closeReceived: (role, options) => {
    const harness = open({ role, ...options, autoClose: false });
    harness.receive(harness.peer.close(4002, 'theirs'));
    return harness;
  },
  'closed by us': (role, options) => {
    const harness = open({ role, ...options });
    harness.connection.close(4001, 'ours');
    harness.receive(harness.peer.close(4002, 'theirs'));
    return harness;
  },
  'closed by the peer': (role, options) => {
    const harness = open({ role, ...options });
    harness.receive(harness.peer.close(4002, 'theirs'));
    return harness;
  },
  'failed by us': (role, options) => {
    const harness = open({ role, ...options });
    harness.connection.fail(1008, 'no');
    return harness;
  },
  'failed by the peer': (role, options) => {
    const harness = open({ role, ...options });
    harness.receive(harness.peer.frame({ opcode: 3 }));
    return harness;
  },
} satisfies Record<string, Prepared>;
type StateName = keyof typeof states;

const ours = { code: 4001, reason: 'ours' };
const theirs = { code: 4002, reason: 'theirs' };
const ourFailure = { code: 1008, reason: 'no' };
const invalidOpcode = { code: 1002, reason: violations.WS_INVALID_OPCODE.message };
const unknown = { code: 1006, reason: '' };

type Ending = 'EOF' | 'reset' | 'abort' | 'deadline';
/** What is known of the end in each state, except what depends on the ending. */
const known: { readonly [S in StateName]: Omit<EndInfo, 'cause' | 'initiator'> & { readonly initiator: EndInfo['initiator'] } } = {
  open: { clean: false, ...unknown, sent: null, received: null, initiator: null },
  'open, in a message': { clean: false, ...unknown, sent: null, received: null, initiator: null },
  closeSent: { clean: false, ...unknown, sent: ours, received: null, initiator: 'local' },
  closeReceived: { clean: false, ...theirs, sent: null, received: theirs, initiator: 'remote' },
  'closed by us': { clean: true, ...theirs, sent: ours, received: theirs, initiator: 'local' },
  'closed by the peer': { clean: true, ...theirs, sent: theirs, received: theirs, initiator: 'remote' },
  'failed by us': { clean: false, ...unknown, sent: ourFailure, received: null, initiator: 'local' },
  'failed by the peer': { clean: false, ...unknown, sent: invalidOpcode, received: null, initiator: 'local' },
};
const endings: {
  readonly [E in Ending]: {
    readonly end: (harness: Harness) => void;
    readonly transport: TransportDirective;
    readonly cause: ViolationCode;
  };
} = {
  EOF: { end: ({ connection }) => connection.receiveEof(), transport: 'done', cause: 'WS_EOF' },
  reset: { end: ({ connection }) => connection.receiveError(new Error('ECONNRESET')), transport: 'abort', cause: 'WS_TRANSPORT' },
  abort: { end: ({ connection }) => connection.abort(), transport: 'abort', cause: 'WS_ABORTED' },
  deadline: {
    end: (harness) => {
      harness.output();
      harness.advance(10_000);
    },
    transport: 'abort',
    cause: 'WS_TIMEOUT_CLOSING',
  },
};
function causeOf(state: StateName, ending: Ending): ViolationCode | null {
  if (known[state].clean) return null;
  if (state === 'failed by us') return 'WS_FAILED_LOCALLY';
  if (state === 'failed by the peer') return 'WS_INVALID_OPCODE';
  return endings[ending].cause;
}

const rows = Object.keys(states).flatMap((state) =>
  Object.keys(endings)
    .filter((ending) => !(state.startsWith('open') && ending === 'deadline'))
    .map((ending) => [state, ending] as [StateName, Ending]),
);

/** Both close frames are known here, and ours stands behind what the transport did not accept: the peer never had it. */
const waiting = ['closed by us', 'closed by the peer'] as const;

/** Everything that may be called after the end. */
function poke(harness: Harness): void {
  const { connection, peer } = harness;
  connection.receiveData(peer.text('late'));
  connection.receiveData(peer.close(1000));
  connection.receiveEof();
  connection.receiveError(new Error('late'));
  connection.fail(1011);
  connection.close(1000);
  connection.sendText('late');
  connection.ping();
  connection.pause();
  connection.resume();
  connection.wake();
  connection.handleTimeout();
  harness.advance(1_000_000);
  connection.abort();
}

describe.each(roles)('the end, %s', (role) => {
  describe.each(['push', 'pull'] as const)('%s mode', (mode) => {
    describe.each(waiting)('%s, behind output that the transport did not accept', (state) => {
      const behind = (): Harness => {
        const harness = states[state](role, { mode });
        harness.connection.outputStalled();
        if (mode === 'pull') harness.pull();
        return harness;
      };
      it.each(['EOF', 'reset', 'abort'] as const)('then %s: not clean', (ending) => {
        const harness = behind();
        endings[ending].end(harness);
        if (mode === 'pull') harness.pull();
        expect(harness.end).toMatchObject({ clean: false, ...theirs, sent: known[state].sent, received: theirs });
        expect(harness.end.cause?.code).toBe(endings[ending].cause);
      });
      it('then the deadline: not clean', () => {
        const harness = behind();
        harness.advance(10_000);
        if (mode === 'pull') harness.pull();
        expect(harness.end).toMatchObject({ clean: false, ...theirs, cause: { code: 'WS_TIMEOUT_CLOSING' } });
      });
      it('thrown away, then a reset: not clean', () => {
        const harness = behind();
        harness.output();
        endings.reset.end(harness);
        if (mode === 'pull') harness.pull();
        expect(harness.end).toMatchObject({ clean: false, ...theirs, cause: { code: 'WS_TRANSPORT' } });
      });
      it.each(['left', 'taken meanwhile', 'taken at last'])('%s by a transport that accepts again, then a reset: clean', (how) => {
        const harness = behind();
        if (how === 'taken meanwhile') harness.output();
        harness.connection.outputDrained();
        if (how === 'taken at last') harness.output();
        endings.reset.end(harness);
        if (mode === 'pull') harness.pull();
        expect(harness.end).toMatchObject({ clean: true, ...theirs, cause: null });
      });
    });
    it.each(rows)('%s, then %s', (state, ending) => {
      const harness = (states[state] as Prepared)(role, { mode });
      expect(harness.ended).toBe(false);
      const { end, transport } = endings[ending];
      end(harness);
      if (mode === 'pull') harness.pull();
      const { connection } = harness;
      expect([connection.transport, connection.state, connection.wantsRead]).toEqual([transport, 'closed', false]);
      expect(connection.nextTimeout()).toBe(null);
      const { cause, ...rest } = harness.end;
      const expected = known[state];
      // A bare end of the transport was started by nobody we know; an abort is ours.
      const initiator = ending === 'abort' && expected.initiator === null ? 'local' : expected.initiator;
      expect(rest).toEqual({ ...expected, initiator });
      expect(cause?.code ?? null).toBe(causeOf(state, ending));
      if (cause !== null) {
        expect(cause.section).toMatch(/^RFC 6455 \d/);
        expect(cause.message).not.toBe('');
        expect(Number.isInteger(cause.closeCode)).toBe(true);
      }
      expect(harness.seen.at(-1)?.type).toBe('end');
      expect([connection.closeSent, connection.closeReceived]).toEqual([expected.sent, expected.received]);
    });

    it.each(rows)('%s, then %s: nothing after it', (state, ending) => {
      const harness = (states[state] as Prepared)(role, { mode });
      const { end, transport } = endings[ending];
      end(harness);
      if (mode === 'pull') harness.pull();
      harness.output();
      const before = JSON.stringify([
        harness.seen,
        harness.connection.closeSent,
        harness.connection.closeReceived,
        harness.connection.stats.messagesIn,
      ]);
      poke(harness);
      if (mode === 'pull') harness.pull();
      const { connection } = harness;
      expect(JSON.stringify([harness.seen, connection.closeSent, connection.closeReceived, connection.stats.messagesIn])).toBe(before);
      expect([connection.transport, connection.state, connection.wantsRead]).toEqual([transport, 'closed', false]);
      expect(connection.takeOutput()).toEqual([]);
      expect(connection.bufferedAmount).toBe(0);
      expect(connection.nextTimeout()).toBe(null);
      expect(harness.of('end').length).toBe(1);
    });
  });

  it('abort() drops what is queued; EOF leaves it to be flushed', () => {
    const aborted = open({ role });
    aborted.connection.sendText('queued');
    aborted.connection.abort();
    expect(aborted.connection.takeOutput()).toEqual([]);
    const ended = open({ role });
    ended.connection.sendText('queued');
    ended.connection.receiveEof();
    expect(ended.connection.transport).toBe('done');
    expect(ended.sent()).toEqual(["TEXT 'queued'"]);
  });

  it('receiveError tells its cause without data of the peer', () => {
    const harness = open({ role });
    harness.connection.receiveError(undefined);
    expect(harness.end.cause).toMatchObject({ code: 'WS_TRANSPORT', closeCode: 1006, section: 'RFC 6455 7.2.1' });
  });
});

describe.each(roles)('fail(), %s', (role) => {
  it('sends a close frame, ends, discards', () => {
    const harness = open({ role });
    const { connection, peer, receive, sent } = harness;
    connection.sendText('before');
    connection.fail(1008, 'policy');
    expect([connection.state, connection.transport, connection.wantsRead]).toEqual(['closing', 'end', true]);
    expect(sent()).toEqual(["TEXT 'before'", "CLOSE 1008 'policy'"]);
    receive(peer.text('late'), peer.ping('late'), peer.close(1000), peer.frame({ opcode: 3 }));
    expect(harness.seen).toEqual([]);
    expect(sent()).toEqual([]);
    connection.receiveEof();
    expect(connection.transport).toBe('done');
    expect(harness.end).toMatchObject({
      clean: false,
      code: 1006,
      sent: { code: 1008, reason: 'policy' },
      received: null,
      initiator: 'local',
    });
    expect(harness.end.cause).toMatchObject({ code: 'WS_FAILED_LOCALLY', closeCode: 1008 });
  });

  it('without a reason', () => {
    const { connection, sent } = open({ role });
    connection.fail(1011);
    expect(sent()).toEqual(['CLOSE 1011']);
  });

  it('checks code and reason as close() does', () => {
    const { connection, sent } = open({ role });
    expect(() => connection.fail(1005)).toThrow(RangeError);
    expect(() => connection.fail(1015, 'x')).toThrow(/code/);
    expect(() => connection.fail(1011, 5 as never)).toThrow(/reason/);
    expect(connection.state).toBe('open');
    expect(sent()).toEqual([]);
  });

  it('cuts a reason that is too long: a failure is no time for another one', () => {
    const { connection, sent } = open({ role });
    connection.fail(1011, `x${'€'.repeat(60)}`);
    expect(sent()).toEqual([`CLOSE 1011 'x${'€'.repeat(40)}'`]);
  });

  it('after close(): no second close frame, and the end is not clean', () => {
    const harness = open({ role });
    const { connection, sent, receive, peer } = harness;
    connection.close(1000);
    connection.fail(1011, 'gave up');
    expect(connection.transport).toBe('end');
    expect(sent()).toEqual(['CLOSE 1000']);
    receive(peer.close(1000));
    expect(harness.of('close')).toEqual([]);
    connection.receiveEof();
    expect(harness.end).toMatchObject({
      clean: false,
      code: 1006,
      sent: { code: 1000 },
      received: null,
      cause: { code: 'WS_FAILED_LOCALLY' },
    });
  });

  it('after the close frame of the peer, with autoClose false: ours still goes out, and the end is not clean', () => {
    const harness = open({ role, autoClose: false });
    harness.receive(harness.peer.close(1000));
    harness.connection.fail(1011, 'no');
    expect(harness.sent()).toEqual(["CLOSE 1011 'no'"]);
    expect(harness.connection.transport).toBe('end');
    harness.connection.receiveEof();
    expect(harness.end).toMatchObject({ clean: false, code: 1000, initiator: 'remote', cause: { code: 'WS_FAILED_LOCALLY' } });
  });

  it('after both close frames: too late, the end stays clean', () => {
    const harness = open({ role });
    harness.connection.close(1000);
    harness.receive(harness.peer.close(1000));
    harness.output();
    harness.connection.fail(1011, 'too late');
    expect(harness.connection.transport).toBe(role === 'server' ? 'end' : 'open');
    expect(harness.output().length).toBe(0);
    harness.connection.receiveEof();
    expect(harness.end).toMatchObject({ clean: true, cause: null });
  });

  it('twice: the first one counts', () => {
    const harness = open({ role });
    harness.connection.fail(1008, 'first');
    harness.connection.fail(1011, 'second');
    expect(harness.sent()).toEqual(["CLOSE 1008 'first'"]);
    harness.connection.receiveEof();
    expect(harness.end).toMatchObject({ sent: { code: 1008, reason: 'first' }, cause: { closeCode: 1008 } });
  });

  it('after a violation: the violation counts', () => {
    const harness = open({ role });
    harness.receive(harness.peer.frame({ opcode: 3 }));
    harness.connection.fail(1011, 'second');
    expect(harness.sent().length).toBe(1);
    harness.connection.receiveEof();
    expect(harness.end.cause?.code).toBe('WS_INVALID_OPCODE');
  });

  it('from within a callback stops what follows', () => {
    const harness = open({ role, hooks: { onText: () => harness.connection.fail(1008, 'enough') } });
    harness.receive(concat(harness.peer.text('one'), harness.peer.text('two'), harness.peer.ping('p')));
    expect(harness.seen.map(({ type }) => type)).toEqual(['text']);
    expect(harness.sent()).toEqual(["CLOSE 1008 'enough'"]);
  });

  it('close() after it says false', () => {
    const { connection, sent } = open({ role });
    connection.fail(1008);
    expect(connection.close(1000)).toBe(false);
    expect(sent()).toEqual(['CLOSE 1008']);
  });
});

describe.each(roles)('a violation of the peer, %s', (role) => {
  const illegal: readonly [name: string, code: ViolationCode, closeCode: number, bytes: (harness: Harness) => Uint8Array][] = [
    ['a reserved opcode', 'WS_INVALID_OPCODE', 1002, ({ peer }) => peer.frame({ opcode: 11 })],
    ['reserved bits', 'WS_RESERVED_BITS', 1002, ({ peer }) => peer.frame({ opcode: 1, rsv: 4 })],
    ['a continuation of nothing', 'WS_UNEXPECTED_CONTINUATION', 1002, ({ peer }) => peer.continuation('x', true)],
    ['a message within a message', 'WS_EXPECTED_CONTINUATION', 1002, ({ peer }) => concat(peer.text('a', false), peer.text('b'))],
    ['bad UTF-8', 'WS_INVALID_UTF8', 1007, ({ peer }) => peer.text(hex('ff'))],
    ['too large', 'WS_MESSAGE_TOO_BIG', 1009, ({ peer }) => peer.header(2, 1_048_577)],
    ['a close payload of one byte', 'WS_CLOSE_PAYLOAD', 1002, ({ peer }) => peer.frame({ opcode: 8, payload: hex('03') })],
    ['a close code that may not be sent', 'WS_CLOSE_CODE', 1002, ({ peer }) => peer.frame({ opcode: 8, payload: hex('03 ed') })],
    ['a close reason that is not UTF-8', 'WS_INVALID_UTF8', 1007, ({ peer }) => peer.frame({ opcode: 8, payload: hex('03 e8 ff') })],
  ];
  it.each(illegal)('%s: %s, close frame with %i and the rule as its reason', (_name, code, closeCode, bytes) => {
    const harness = open({ role });
    const { connection, receive, sent } = harness;
    receive(bytes(harness));
    expect([connection.state, connection.transport, connection.wantsRead]).toEqual(['closing', 'end', true]);
    const [line, ...more] = sent();
    expect(more).toEqual([]);
    expect(line).toMatch(new RegExp(`^CLOSE ${closeCode} '.{5,}'$`));
    expect(connection.closeSent?.reason).toBe(connection.closeSent?.reason.slice(0, 123));
    expect(Buffer.byteLength(connection.closeSent?.reason ?? '')).toBeLessThanOrEqual(123);
    receive(harness.peer.text('late'), harness.peer.close(1000));
    expect(harness.of('close')).toEqual([]);
    connection.receiveEof();
    expect(harness.end).toMatchObject({ clean: false, code: 1006, reason: '', received: null, initiator: 'local' });
    expect(harness.end.cause).toMatchObject({ code, closeCode, section: violations[code].section });
  });

  it('names the option when a limit was passed', () => {
    const harness = open({ role, limits: { maxMessageSize: 10 } });
    harness.receive(harness.peer.text('x'.repeat(11)));
    expect(harness.sent()[0]).toMatch(/CLOSE 1009 '.*maxMessageSize/);
  });
});

describe.each(roles)('held input and the end of the transport, %s', (role) => {
  it.each(['EOF', 'reset'] as const)('%s takes effect after input that was held by a pause', (ending) => {
    const harness = open({ role });
    const { connection, peer, receive } = harness;
    connection.pause();
    receive(concat(peer.text('held'), peer.close(1000)));
    endings[ending].end(harness);
    expect(harness.seen).toEqual([]);
    connection.resume();
    expect(harness.seen.map(({ type }) => type)).toEqual(['text', 'close', 'end']);
    expect(harness.end.clean).toBe(true);
  });

  it('EOF takes effect after input that nobody has pulled', () => {
    const harness = open({ role, mode: 'pull', pulling: false });
    harness.receive(concat(harness.peer.text('one'), harness.peer.text('two')));
    harness.connection.receiveEof();
    harness.pull(2);
    expect(harness.seen.map(({ type }) => type)).toEqual(['text', 'text']);
    harness.pull();
    expect(harness.seen.map(({ type }) => type)).toEqual(['text', 'text', 'end']);
    expect(harness.end.cause?.code).toBe('WS_EOF');
    expect(harness.connection.nextEvent()).toBe(null);
  });

  it('abort() waits for nothing', () => {
    const harness = open({ role });
    harness.connection.pause();
    harness.receive(harness.peer.text('held'));
    harness.connection.abort();
    expect(harness.seen.map(({ type }) => type)).toEqual(['end']);
  });

  it('close() lifts a pause: the close frame of the peer is seen, messages are counted as discarded', () => {
    const harness = open({ role });
    const { connection, peer, receive } = harness;
    connection.pause();
    receive(concat(peer.text('one'), peer.text('two')));
    connection.close(1000);
    receive(peer.text('three'), peer.close(1000));
    expect(harness.seen.map(({ type }) => type)).toEqual(['close']);
    expect(connection.stats.messagesDiscarded).toBe(3);
    expect(connection.transport).toBe(role === 'server' ? 'end' : 'open');
    connection.receiveEof();
    expect(harness.end.clean).toBe(true);
  });
});
