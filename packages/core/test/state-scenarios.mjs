/**
 * What the state tables mean, as behaviour: each scenario brings a `Connection` into a state through its public methods, gives it an input
 * and looks at what anybody can see. Plain JavaScript on whatever core it is given, so that it also runs on one with a changed table: see
 * `state-mutants.mjs`.
 */
import assert from 'node:assert/strict';
import { FrameParser, serializeClosePayload, serializeFrame } from '@ferrywire/core/frame';

/**
 * @typedef {{ Connection: typeof import('@ferrywire/core').Connection, advance: (state: string, input: string) => string }} Core
 * @typedef {import('@ferrywire/core').Role} Role
 * @typedef {'open' | 'closeSent' | 'closeReceived' | 'closed' | 'failed' | 'ended' | 'aborted'} State
 */

/** @type {readonly State[]} */
export const states = ['open', 'closeSent', 'closeReceived', 'closed', 'failed', 'ended', 'aborted'];
/** @type {readonly Role[]} */
const roles = ['server', 'client'];
const utf8 = (/** @type {string} */ text) => new TextEncoder().encode(text);

/**
 * @param {Core} core
 * @param {Role} role
 * @param {import('@ferrywire/core').ConnectionSink} [hooks]
 */
function start({ Connection }, role, hooks = {}, autoClose = false) {
  const time = { now: 0 };
  /** @type {string[]} */
  const seen = [];
  /** @type {import('@ferrywire/core').EndInfo[]} */
  const ends = [];
  const connection = new Connection({
    role,
    autoClose,
    clock: () => time.now,
    random: (target) => void target.fill(7),
    timeouts: { keepalive: 0, closing: 1000 },
    sink: {
      onText: (text) => void seen.push(text),
      onPing: () => void seen.push('ping'),
      onClose: (code) => void seen.push(`close ${code}`),
      onEnd: (info) => {
        seen.push('end');
        ends.push(info);
      },
      ...hooks,
    },
  });
  const parser = new FrameParser();
  return {
    connection,
    seen,
    ends,
    time,
    /** @param {number} opcode @param {Uint8Array} [payload] */
    receive(opcode, payload = new Uint8Array(0), fin = true) {
      connection.receiveData(serializeFrame({ opcode, payload, fin, ...(role === 'server' && { maskKey: 0x01020304 }) }));
    },
    /** The opcodes of what was sent. */
    sent: () => [...parser.push(Buffer.concat(connection.takeOutput()))].map(({ header }) => header.opcode),
    /** Fires the deadline that is due. */
    expire() {
      const due = connection.nextTimeout();
      assert.notEqual(due, null);
      time.now = Number(due);
      connection.handleTimeout();
    },
  };
}
/** @typedef {ReturnType<typeof start>} Side */

const peerClose = (/** @type {Side} */ side) => side.receive(8, serializeClosePayload(1000, ''));

/** @type {{ [S in State]: (side: Side) => void }} */
const bring = {
  open: () => {},
  closeSent: ({ connection }) => void connection.close(1000),
  closeReceived: peerClose,
  closed: (side) => {
    side.connection.close(1000);
    peerClose(side);
  },
  failed: ({ connection }) => connection.fail(1011),
  ended: ({ connection }) => connection.receiveEof(),
  aborted: ({ connection }) => connection.abort(),
};

/**
 * What can be seen of each state. `end`: code of the cause that an end event has given.
 * @type {{ [S in State]: { server: string, client: string, state: string, sends: boolean, parses: boolean, terminal: boolean } }}
 */
const visible = {
  open: { server: 'open', client: 'open', state: 'open', sends: true, parses: true, terminal: false },
  closeSent: { server: 'open', client: 'open', state: 'closing', sends: false, parses: true, terminal: false },
  closeReceived: { server: 'open', client: 'open', state: 'closing', sends: true, parses: false, terminal: false },
  closed: { server: 'end', client: 'open', state: 'closing', sends: false, parses: false, terminal: false },
  failed: { server: 'end', client: 'end', state: 'closing', sends: false, parses: false, terminal: false },
  ended: { server: 'done', client: 'done', state: 'closed', sends: false, parses: false, terminal: true },
  aborted: { server: 'abort', client: 'abort', state: 'closed', sends: false, parses: false, terminal: true },
};

/** @param {Side} side @param {Role} role @param {State} state */
function expectState(side, role, state, /** @type {string} */ note = state) {
  const { connection, seen, ends } = side;
  const expected = visible[state];
  assert.equal(connection.transport, expected[role], `${note}: directive`);
  assert.equal(connection.state, expected.state, `${note}: state`);
  assert.equal(connection.wantsRead, !expected.terminal, `${note}: wantsRead`);
  assert.equal(ends.length, expected.terminal ? 1 : 0, `${note}: end events`);
  if (expected.terminal) assert.equal(connection.nextTimeout(), null, `${note}: deadline`);
  // Sending.
  connection.takeOutput();
  assert.equal(connection.sendText('x'), expected.sends, `${note}: sendText`);
  assert.equal(connection.ping(), expected.sends, `${note}: ping`);
  assert.equal(connection.startMessage('text').end('x'), expected.sends, `${note}: startMessage`);
  assert.deepEqual(side.sent(), expected.sends ? [1, 9, 1] : [], `${note}: frames sent`);
  // Receiving.
  const before = seen.length;
  side.receive(1, utf8('probe'));
  side.receive(9);
  assert.deepEqual(seen.slice(before), expected.parses ? ['probe', 'ping'] : [], `${note}: events`);
  connection.takeOutput();
  assert.equal(connection.wantsRead, !expected.terminal, `${note}: wantsRead after input`);
}

/** How each input is given. @type {{ [input: string]: (side: Side) => void }} */
const give = {
  sendClose: ({ connection }) => void connection.close(1000),
  receiveClose: peerClose,
  fail: ({ connection }) => connection.fail(1011),
  violation: (side) => side.receive(3),
  eof: ({ connection }) => connection.receiveEof(),
  reset: ({ connection }) => connection.receiveError(new Error('reset')),
  abort: ({ connection }) => connection.abort(),
};

/** Where each input leads, written down apart from the table. @type {{ [S in State]: { [input: string]: State } }} */
const leads = {
  open: {
    sendClose: 'closeSent',
    receiveClose: 'closeReceived',
    fail: 'failed',
    violation: 'failed',
    eof: 'ended',
    reset: 'aborted',
    abort: 'aborted',
  },
  closeSent: {
    sendClose: 'closeSent',
    receiveClose: 'closed',
    fail: 'failed',
    violation: 'failed',
    eof: 'ended',
    reset: 'aborted',
    abort: 'aborted',
  },
  closeReceived: {
    sendClose: 'closed',
    receiveClose: 'closeReceived',
    fail: 'failed',
    violation: 'closeReceived',
    eof: 'ended',
    reset: 'aborted',
    abort: 'aborted',
  },
  closed: {
    sendClose: 'closed',
    receiveClose: 'closed',
    fail: 'closed',
    violation: 'closed',
    eof: 'ended',
    reset: 'aborted',
    abort: 'aborted',
  },
  failed: {
    sendClose: 'failed',
    receiveClose: 'failed',
    fail: 'failed',
    violation: 'failed',
    eof: 'ended',
    reset: 'aborted',
    abort: 'aborted',
  },
  ended: { sendClose: 'ended', receiveClose: 'ended', fail: 'ended', violation: 'ended', eof: 'ended', reset: 'ended', abort: 'ended' },
  aborted: {
    sendClose: 'aborted',
    receiveClose: 'aborted',
    fail: 'aborted',
    violation: 'aborted',
    eof: 'aborted',
    reset: 'aborted',
    abort: 'aborted',
  },
};

/** @type {Map<string, (core: Core) => void>} */
export const scenarios = new Map();

for (const role of roles) {
  for (const state of states) {
    scenarios.set(`${role}: what ${state} means`, (core) => {
      const side = start(core, role);
      bring[state](side);
      expectState(side, role, state);
    });
    for (const [input, next] of Object.entries(leads[state])) {
      scenarios.set(`${role}: ${input} in ${state}`, (core) => {
        const side = start(core, role);
        bring[state](side);
        const act = give[input];
        assert.ok(act);
        act(side);
        expectState(side, role, next);
      });
    }
  }
  scenarios.set(`${role}: the closing handshake with automatic answers`, (core) => {
    for (const first of /** @type {State[]} */ (['open', 'closeSent'])) {
      const side = start(core, role, {}, true);
      bring[first](side);
      peerClose(side);
      assert.deepEqual(side.sent(), [8]);
      expectState(side, role, 'closed');
      side.connection.receiveEof();
      expectState(side, role, 'ended');
      assert.equal(side.ends[0]?.clean, true);
      assert.equal(side.ends[0]?.initiator, first === 'open' ? 'remote' : 'local');
    }
  });
  scenarios.set(`${role}: one close frame at most, whoever asks for it`, (core) => {
    const side = start(core, role);
    side.connection.close(1000);
    side.connection.close(1000);
    side.connection.fail(1011);
    assert.deepEqual(side.sent(), [8]);
    side.connection.fail(1011);
    side.connection.close(1000);
    assert.deepEqual(side.sent(), []);
    expectState(side, role, 'failed');
  });
  scenarios.set(`${role}: the closing deadline`, (core) => {
    for (const state of /** @type {State[]} */ (['closeSent', 'closeReceived', 'closed', 'failed'])) {
      const side = start(core, role);
      bring[state](side);
      side.connection.takeOutput();
      side.expire();
      expectState(side, role, 'aborted', `deadline in ${state}`);
      assert.equal(side.ends[0]?.clean, state === 'closed');
    }
  });
  scenarios.set(`${role}: failing from within a callback stops the input`, (core) => {
    /** @type {Side} */
    const side = start(core, role, { onText: () => side.connection.fail(1011) });
    side.receive(1, utf8('a'));
    expectState(side, role, 'failed');
  });

  scenarios.set(`${role}: fragments in`, (core) => {
    /** @type {[frames: [opcode: number, fin: boolean][], events: string[], violation: string | null][]} */
    const cases = [
      [[[1, true], [1, true]], ['x', 'x'], null],
      [[[1, false], [0, true], [1, true]], ['xx', 'x'], null],
      [[[1, false], [0, false], [0, false], [0, true]], ['xxxx'], null],
      [[[1, false], [9, true], [0, true]], ['ping', 'xx'], null],
      [[[0, true]], [], 'WS_UNEXPECTED_CONTINUATION'],
      [[[0, false]], [], 'WS_UNEXPECTED_CONTINUATION'],
      [[[1, true], [0, true]], ['x'], 'WS_UNEXPECTED_CONTINUATION'],
      [[[1, true], [0, false]], ['x'], 'WS_UNEXPECTED_CONTINUATION'],
      [[[1, false], [0, true], [0, true]], ['xx'], 'WS_UNEXPECTED_CONTINUATION'],
      [[[1, false], [0, true], [0, false]], ['xx'], 'WS_UNEXPECTED_CONTINUATION'],
      [[[1, false], [1, true]], [], 'WS_EXPECTED_CONTINUATION'],
      [[[1, false], [1, false]], [], 'WS_EXPECTED_CONTINUATION'],
      [[[1, false], [0, false], [1, true]], [], 'WS_EXPECTED_CONTINUATION'],
      [[[1, false], [0, false], [2, false]], [], 'WS_EXPECTED_CONTINUATION'],
    ]; // biome-ignore format: one case a line
    for (const [frames, events, violation] of cases) {
      const side = start(core, role);
      for (const [opcode, fin] of frames) side.receive(opcode, opcode === 9 ? undefined : utf8('x'), fin);
      assert.deepEqual(side.seen, events);
      assert.equal(side.connection.transport, violation === null ? 'open' : 'end');
      side.connection.receiveEof();
      assert.equal(side.ends[0]?.cause?.code, violation ?? 'WS_EOF');
    }
  });

  scenarios.set(`${role}: fragments out`, (core) => {
    /** @type {{ [name: string]: (connection: import('@ferrywire/core').Connection) => unknown }} */
    const sends = {
      whole: (connection) => connection.sendText('x'),
      first: (connection) => connection.sendText('x', { fin: false }),
      middle: (connection) => connection.sendContinuation('x', false),
      last: (connection) => connection.sendContinuation('x', true),
      writer: (connection) => connection.startMessage('text').end('x'),
    };
    /** @type {[sends: string[], error: string | null, frames: number[]][]} */
    const cases = [
      [['whole', 'whole'], null, [1, 1]],
      [['first', 'last', 'whole'], null, [1, 0, 1]],
      [['first', 'middle', 'middle', 'last', 'writer'], null, [1, 0, 0, 0, 1]],
      [['middle'], 'WS_MISUSE_NO_MESSAGE', []],
      [['last'], 'WS_MISUSE_NO_MESSAGE', []],
      [['whole', 'middle'], 'WS_MISUSE_NO_MESSAGE', [1]],
      [['whole', 'last'], 'WS_MISUSE_NO_MESSAGE', [1]],
      [['first', 'last', 'last'], 'WS_MISUSE_NO_MESSAGE', [1, 0]],
      [['first', 'whole'], 'WS_MISUSE_MESSAGE_OPEN', [1]],
      [['first', 'first'], 'WS_MISUSE_MESSAGE_OPEN', [1]],
      [['first', 'middle', 'whole'], 'WS_MISUSE_MESSAGE_OPEN', [1, 0]],
      [['first', 'writer'], 'WS_MISUSE_MESSAGE_OPEN', [1]],
    ];
    for (const [names, error, frames] of cases) {
      const side = start(core, role);
      /** @type {unknown} */
      let code = null;
      try {
        for (const name of names) assert.equal(sends[name]?.(side.connection), true);
      } catch (thrown) {
        code = thrown instanceof Error && 'code' in thrown ? thrown.code : thrown;
      }
      assert.equal(code, error, names.join());
      assert.deepEqual(side.sent(), frames, names.join());
      assert.equal(side.connection.transport, 'open');
    }
  });
}

scenarios.set('what can not come up is a defect of the core, and says so', ({ advance }) => {
  for (const state of ['closeReceived', 'closed', 'failed', 'ended', 'aborted']) {
    assert.throws(() => advance(state, 'receiveClose'), /core defect/);
  }
});

/** The name of the first scenario that fails on `core`, with the reason, or null. @param {Core} core */
export function firstFailure(core) {
  for (const [name, run] of scenarios) {
    try {
      run(core);
    } catch (error) {
      return `${name}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`;
    }
  }
  return null;
}
