/** Callbacks that throw, that call back, and that feed other connections. */
import { Connection, type ConnectionSink, type Role } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import {
  concat,
  digest,
  type Harness,
  hex,
  joined,
  messagesOf,
  open,
  type Peer,
  pattern,
  peerOf,
  recordingSink,
  type Seen,
  split,
  utf8,
} from './connection-helpers.ts';
import { everyEvent, reference } from './receive-helpers.ts';

const roles: readonly Role[] = ['server', 'client'];
const deliveries = ['message', 'chunk', 'span'] as const;
const inputs = ['shared', 'reused', 'transferred'] as const;

const CALLBACKS = ['onText', 'onBinary', 'onMessageStart', 'onTextChunk', 'onSpan', 'onMessageEnd', 'onPing', 'onPong', 'onClose'] as const;
function hooksOf(hook: () => void, names: readonly (keyof ConnectionSink)[] = CALLBACKS): ConnectionSink {
  return Object.fromEntries(names.map((name) => [name, hook]));
}

describe.each(roles.flatMap((role) => deliveries.map((delivery) => [role, delivery] as const)))('%s, %s: callbacks', (role, delivery) => {
  const wire = everyEvent(peerOf(role));
  const expected = reference({ role, delivery }, wire);

  it('that throw: the event is consumed, the rest unread, and resume goes on', () => {
    for (const input of inputs) {
      for (const cut of [wire.length, 11]) {
        let thrown = 0;
        const endpoint: Harness = open({
          role,
          delivery,
          input,
          hooks: hooksOf(() => {
            throw new Error(`thrown ${thrown}`);
          }),
        });
        const { connection, seen } = endpoint;
        for (const chunk of split(wire, cut)) {
          let call = (): void => connection.receiveData(chunk);
          for (let turn = 0; turn < 100; turn++) {
            const before = seen.length;
            try {
              call();
              expect(seen).toHaveLength(before);
              break;
            } catch (error) {
              expect((error as Error).message).toBe(`thrown ${thrown}`);
              thrown++;
              expect(seen).toHaveLength(before + 1);
            }
            call = () => connection.resume();
          }
        }
        expect(thrown).toBe(seen.length);
        expect(joined(seen)).toEqual(expected.seen);
        expect(endpoint.output()).toEqual(expected.output);
      }
    }
  });

  it('that throw: while input is held the host is asked to stop reading, and later input goes behind it', () => {
    let throws = true;
    const endpoint: Harness = open({
      role,
      delivery,
      hooks: hooksOf(() => {
        if (!throws) return;
        throws = false;
        throw new Error('once');
      }),
    });
    const { connection } = endpoint;
    expect(() => connection.receiveData(wire.slice(0, 60))).toThrow('once');
    expect(connection.wantsRead).toBe(false);
    connection.receiveData(wire.slice(60));
    connection.resume();
    expect(joined(endpoint.seen)).toEqual(expected.seen);
    expect(connection.wantsRead).toBe(true);
  });

  it('that throw do not leave the connection inside a callback', () => {
    for (const method of CALLBACKS) {
      const endpoint = open({
        role,
        delivery,
        hooks: hooksOf(() => {
          throw new Error('always');
        }, [method]),
      });
      for (let turn = 0; turn < 60; turn++) {
        try {
          if (turn === 0) endpoint.receive(wire.slice());
          else endpoint.connection.resume();
        } catch (error) {
          expect((error as Error).message).toBe('always');
        }
      }
      expect(joined(endpoint.seen)).toEqual(expected.seen);
    }
  });

  it('may not give input: WS_MISUSE_REENTRANT', () => {
    const codes: unknown[] = [];
    const endpoint: Harness = open({
      role,
      delivery,
      hooks: hooksOf(() => {
        try {
          endpoint.connection.receiveData(hex('ff'));
          codes.push('nothing');
        } catch (error) {
          codes.push(error instanceof Error && (error as { code?: string }).code);
        }
      }),
    });
    endpoint.receive(wire.slice());
    expect(new Set(codes)).toEqual(new Set(['WS_MISUSE_REENTRANT']));
    expect(codes).toHaveLength(endpoint.seen.length);
    expect(joined(endpoint.seen)).toEqual(expected.seen);
    endpoint.connection.receiveEof();
    expect(endpoint.end.clean).toBe(true);
  });

  it('may send, ping and pong', () => {
    let sent = 0;
    const endpoint: Harness = open({
      role,
      delivery,
      hooks: hooksOf(() => {
        if (!endpoint.connection.sendText(`m${sent}`)) return;
        endpoint.connection.ping(utf8(`i${sent}`));
        endpoint.connection.pong(utf8(`o${sent}`));
        sent++;
      }),
    });
    endpoint.receive(wire.slice());
    expect(joined(endpoint.seen)).toEqual(expected.seen);
    const lines = endpoint.sent();
    expect(lines.filter((line) => line.startsWith('TEXT'))).toEqual(Array.from({ length: sent }, (_, i) => `TEXT 'm${i}'`));
    expect(lines.filter((line) => line.startsWith('PING'))).toHaveLength(sent);
    expect(lines.filter((line) => /^PONG 'o/.test(line))).toHaveLength(sent);
    expect(lines.filter((line) => /^PONG( 'p1')?$/.test(line))).toEqual(["PONG 'p1'", 'PONG']);
    expect(lines.at(-1)).toBe("CLOSE 4000 'bye'");
  });

  it('may take the output and ask for everything', () => {
    const taken: Uint8Array[] = [];
    const endpoint: Harness = open({
      role,
      delivery,
      hooks: hooksOf(() => {
        const { connection } = endpoint;
        for (const chunk of connection.takeOutput()) taken.push(chunk.slice());
        expect([connection.bufferedAmount, connection.role, connection.paused]).toEqual([0, role, false]);
        expect(connection.stats.framesIn).toBeGreaterThan(0);
        connection.nextTimeout();
        connection.handleTimeout();
      }),
    });
    endpoint.receive(wire.slice());
    expect(joined(endpoint.seen)).toEqual(expected.seen);
    expect(concat(...taken, endpoint.output())).toHaveLength(expected.output.length);
  });

  it('may close: messages still come, up to the peer’s close frame', () => {
    for (const method of CALLBACKS) {
      let closed = false;
      const endpoint: Harness = open({
        role,
        delivery,
        hooks: hooksOf(() => {
          if (!closed && endpoint.connection.close(1001, 'enough')) closed = true;
        }, [method]),
      });
      endpoint.receive(wire.slice());
      expect(joined(endpoint.seen)).toEqual(expected.seen);
      const lines = endpoint.sent();
      if (closed) expect(lines.at(-1)).toBe("CLOSE 1001 'enough'");
      expect(lines.filter((line) => line.startsWith('CLOSE'))).toHaveLength(1);
      endpoint.connection.receiveEof();
      expect(endpoint.end).toMatchObject({ clean: true, code: 4000, reason: 'bye', initiator: closed ? 'local' : 'remote' });
    }
  });

  it('may fail or abort: nothing but the end follows', () => {
    for (const method of ['fail', 'abort'] as const) {
      for (let index = 0; index < joined(expected.seen).length; index++) {
        let left = index;
        const endpoint: Harness = open({
          role,
          delivery,
          hooks: hooksOf(() => {
            if (left-- > 0) return;
            if (method === 'fail') endpoint.connection.fail(4999, 'no');
            else endpoint.connection.abort();
          }),
        });
        endpoint.receive(wire.slice());
        const last = endpoint.seen.filter(({ type }) => type !== 'end').length;
        expect(last).toBe(index + 1);
        if (method === 'abort') {
          expect(endpoint.connection.transport).toBe('abort');
          expect(endpoint.ended).toBe(true);
        } else if (endpoint.connection.closeReceived === null) expect(endpoint.connection.transport).toBe('end');
        endpoint.receive(wire.slice());
        endpoint.connection.receiveEof();
        expect(endpoint.seen).toHaveLength(last + 1);
        expect(endpoint.seen.at(-1)?.type).toBe('end');
        const { cause } = endpoint.end;
        if (endpoint.end.received === null) expect(cause?.code).toBe(method === 'fail' ? 'WS_FAILED_LOCALLY' : 'WS_ABORTED');
      }
    }
  });

  it('may end the transport: what is unread is still read', () => {
    let done = false;
    const endpoint: Harness = open({
      role,
      delivery,
      hooks: hooksOf(() => {
        if (done) return;
        done = true;
        endpoint.connection.receiveEof();
      }),
    });
    endpoint.receive(wire.slice());
    expect(joined(endpoint.seen).slice(0, -1)).toEqual(expected.seen);
    expect(endpoint.end).toMatchObject({ clean: true, code: 4000 });
  });
});

describe('the end event', () => {
  it('comes once even if its callback throws or calls everything', () => {
    let ends = 0;
    const endpoint: Harness = open({
      role: 'server',
      hooks: {
        onEnd() {
          ends++;
          const { connection } = endpoint;
          connection.receiveEof();
          connection.receiveError(new Error('again'));
          connection.abort();
          connection.fail(1011);
          connection.handleTimeout();
          expect(connection.sendText('x')).toBe(false);
          expect(connection.close()).toBe(false);
          expect(connection.state).toBe('closed');
          throw new Error('from onEnd');
        },
      },
    });
    expect(() => endpoint.connection.receiveEof()).toThrow('from onEnd');
    endpoint.connection.resume();
    endpoint.connection.receiveEof();
    endpoint.receive(endpoint.peer.text('x'));
    expect(ends).toBe(1);
    expect(endpoint.connection.transport).toBe('done');
  });
});

describe('several connections', () => {
  it('a callback may feed another connection while its span stands', () => {
    for (const input of inputs) {
      const outer: Seen[] = [];
      const inner: Seen[] = [];
      const innermost: Seen[] = [];
      let torn = 0;
      const make = (sink: ConnectionSink): Connection => new Connection({ role: 'server', clock: () => 0, delivery: 'span', input, sink });
      const third = make(recordingSink(innermost));
      const chained = (seen: Seen[], next: Connection, nextPeer: Peer): ConnectionSink =>
        recordingSink(seen, {
          onSpan(buffer, start, end) {
            const before = buffer.slice(start, end);
            next.receiveData(nextPeer.binary(before.map((byte) => byte ^ 0xff)));
            next.receiveData(nextPeer.text('between'));
            if (Buffer.compare(before, buffer.subarray(start, end)) !== 0) torn++;
          },
        });
      const second = make(chained(inner, third, peerOf('server', 3)));
      const first = make(chained(outer, second, peerOf('server', 5)));
      for (const chunk of split(peerOf('server').binary(pattern(200_000)), 70_000)) first.receiveData(chunk);
      expect(torn).toBe(0);
      const bytesOf = (seen: Seen[]) => concat(...seen.flatMap((event) => (event.type === 'span' ? [event.data] : [])));
      expect(digest(bytesOf(outer))).toBe(digest(pattern(200_000)));
      const middle = messagesOf(inner).filter((text) => text !== 'between');
      expect(digest(Buffer.from(middle.join(''), 'hex'))).toBe(digest(pattern(200_000).map((byte) => byte ^ 0xff)));
      const last = messagesOf(innermost).filter(
        (text) => text !== 'between' && text !== Buffer.from(utf8('between').map((byte) => byte ^ 0xff)).toString('hex'),
      );
      expect(digest(Buffer.from(last.join(''), 'hex'))).toBe(digest(pattern(200_000)));
    }
  });

  it('two that answer each other inside callbacks', () => {
    const rounds = 50;
    const texts: string[] = [];
    const pending: (() => void)[] = [];
    const pass = (from: () => Connection, to: () => Connection) => () => {
      const bytes = concat(...from().takeOutput());
      if (bytes.length > 0) pending.push(() => to().receiveData(bytes));
    };
    const echo = (self: () => Connection, flush: () => void): ConnectionSink => ({
      onText(text) {
        texts.push(text);
        if (texts.length < rounds) self().sendText(`${text}.`);
        flush();
      },
    });
    const client: Connection = new Connection({
      role: 'client',
      clock: () => 0,
      sink: echo(
        () => client,
        () => toServer(),
      ),
    });
    const server: Connection = new Connection({
      role: 'server',
      clock: () => 0,
      sink: echo(
        () => server,
        () => toClient(),
      ),
    });
    const toServer = pass(
      () => client,
      () => server,
    );
    const toClient = pass(
      () => server,
      () => client,
    );
    client.sendText('x');
    toServer();
    for (let turn = 0; turn < 200; turn++) pending.shift()?.();
    expect(texts).toEqual(Array.from({ length: rounds }, (_, index) => `x${'.'.repeat(index)}`));
  });

  it('a callback feeds the other connection directly, to any depth', () => {
    const got: number[] = [];
    const depth = 100;
    const chain: Connection[] = [];
    const peer = peerOf('server');
    for (let index = 0; index < depth; index++) {
      chain.push(
        new Connection({
          role: 'server',
          clock: () => 0,
          sink: {
            onBinary(data) {
              got.push(index);
              chain[index + 1]?.receiveData(peer.binary(data));
              expect(data).toEqual(pattern(300));
            },
          },
        }),
      );
    }
    chain[0]?.receiveData(peer.binary(pattern(300)));
    expect(got).toEqual(Array.from({ length: depth }, (_, index) => index));
  });
});
