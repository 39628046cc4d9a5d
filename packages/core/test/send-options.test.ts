/** Options are checked when a connection is made: a mistake is found at once, and the error names the option. */
import { Connection, type ConnectionOptions } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { open, pseudoRandom } from './connection-helpers.ts';
import { doubling, roles, thrownBy, wrong } from './sending-helpers.ts';

function make(options: object): Connection {
  return new Connection({ role: 'server', clock: () => 0, ...options } as ConnectionOptions);
}

const functionsOnly: readonly unknown[] = [5, 'text', {}, null, true];
const mistakes: readonly [
  option: string,
  error: 'TypeError' | 'RangeError',
  values: readonly unknown[],
  put: (value: unknown) => object,
][] = [
  ['role', 'TypeError', ['peer', '', 'Server', null, undefined, 5], (role) => ({ role })],
  ['clock', 'TypeError', [...functionsOnly, undefined], (clock) => ({ clock })],
  ['random', 'TypeError', functionsOnly, (random) => ({ role: 'client', random })],
  ['delivery', 'TypeError', ['messages', '', 5, null], (delivery) => ({ delivery })],
  ['input', 'TypeError', ['copy', '', 5, null], (input) => ({ input })],
  ['sink', 'TypeError', [5, 'text', null, () => {}], (sink) => ({ sink })],
  ['onTrace', 'TypeError', functionsOnly, (onTrace) => ({ onTrace })],
  ['extensions', 'TypeError', [5, 'permessage-deflate', {}, [5], [null]], (extensions) => ({ extensions })],
  ['kernels.decodeUtf8', 'TypeError', functionsOnly, (decodeUtf8) => ({ kernels: { decodeUtf8 } })],
  ['kernels.isUtf8', 'TypeError', functionsOnly, (isUtf8) => ({ kernels: { isUtf8 } })],
  ['kernels.applyMask', 'TypeError', functionsOnly, (applyMask) => ({ kernels: { applyMask } })],
  ['autoPong', 'TypeError', [0, 1, 'false', null, {}], (autoPong) => ({ autoPong })],
  ['autoClose', 'TypeError', [0, 1, 'false', null, {}], (autoClose) => ({ autoClose })],
  ['limits', 'TypeError', [5, null, 'none'], (limits) => ({ limits })],
  ['timeouts', 'TypeError', [5, null, 'none'], (timeouts) => ({ timeouts })],
  ['kernels', 'TypeError', [5, null, 'none'], (kernels) => ({ kernels })],
  ['lenient', 'TypeError', [5, null, 'all'], (lenient) => ({ lenient })],
  ['lenient.maskedServerFrames', 'TypeError', [0, 1, 'yes'], (maskedServerFrames) => ({ lenient: { maskedServerFrames } })],
  ['lenient.unmasked', 'TypeError', [true, false], (unmasked) => ({ lenient: { unmasked } })],
  ['subprotocol', 'TypeError', [5, {}, ['chat']], (subprotocol) => ({ subprotocol })],
];
const sizes = ['maxMessageSize', 'maxFrameSize', 'maxPendingPongs', 'maxFragments'] as const;
const times = ['opening', 'closing', 'keepalive', 'pong', 'idle'] as const;
const notNumbers: readonly unknown[] = [-1, Number.NaN, '5', null, {}, true, -0.001, 5n];

describe('a mistake in an option is an error that names it', () => {
  it.each(mistakes)('%s: %s', (option, error, values, put) => {
    for (const value of values) {
      expect(thrownBy(() => make(put(value)))).toMatchObject({ name: error, message: expect.stringContaining(`options.${option}`) });
    }
  });

  it.each(sizes)('limits.%s: RangeError, or TypeError for what is no number', (name) => {
    for (const value of notNumbers) {
      expect(thrownBy(() => make({ limits: { [name]: value } }))).toMatchObject({
        name: typeof value === 'number' ? 'RangeError' : expect.stringMatching(/^(Range|Type)Error$/),
        message: expect.stringContaining(`options.limits.${name}`),
      });
    }
  });

  it.each(times)('timeouts.%s: RangeError, or TypeError for what is no number', (name) => {
    for (const value of notNumbers) {
      expect(thrownBy(() => make({ timeouts: { [name]: value } }))).toMatchObject({
        name: typeof value === 'number' ? 'RangeError' : expect.stringMatching(/^(Range|Type)Error$/),
        message: expect.stringContaining(`options.timeouts.${name}`),
      });
    }
  });

  it('limits are whole numbers, and what counts frames or pongs is at least 1', () => {
    for (const name of sizes) expect(thrownBy(() => make({ limits: { [name]: 1.5 } }))).toMatchObject({ name: 'RangeError' });
    for (const name of ['maxPendingPongs', 'maxFragments']) {
      expect(thrownBy(() => make({ limits: { [name]: 0 } }))).toMatchObject({ name: 'RangeError', message: expect.stringContaining(name) });
    }
  });

  it('no options at all', () => {
    expect(thrownBy(() => new Connection(wrong(undefined)))).toMatchObject({
      name: 'TypeError',
      message: expect.stringContaining('options'),
    });
    expect(thrownBy(() => new Connection(wrong(5)))).toMatchObject({ name: 'TypeError', message: expect.stringContaining('options') });
  });

  it('nothing is left behind: the extensions of a refused connection are not set to work', () => {
    const extension = doubling();
    thrownBy(() => make({ extensions: [extension], timeouts: { pong: -1 } }));
    thrownBy(() => make({ extensions: [extension], limits: { maxFragments: -1 } }));
    expect(extension.roles).toEqual([]);
    expect(extension.disposals).toBe(0);
  });
});

describe('what is allowed', () => {
  it('undefined leaves the default', () => {
    const undefinedOnes = { random: undefined, limits: undefined, timeouts: undefined, lenient: undefined, delivery: undefined };
    const more = { input: undefined, sink: undefined, autoPong: undefined, autoClose: undefined, onTrace: undefined, kernels: undefined };
    const connection = make({ ...undefinedOnes, ...more, extensions: undefined, subprotocol: undefined });
    expect(connection).toMatchObject({ role: 'server', state: 'open', subprotocol: null, extensions: [], latency: null });
    expect(connection.nextTimeout()).toBe(20_000);
    for (const name of sizes) expect(make({ limits: { [name]: undefined } }).state).toBe('open');
    for (const name of times) expect(make({ timeouts: { [name]: undefined } }).state).toBe('open');
  });

  it('Infinity for limits, fractions for times', () => {
    for (const name of sizes) expect(make({ limits: { [name]: Number.POSITIVE_INFINITY } }).state).toBe('open');
    for (const name of times) expect(make({ timeouts: { [name]: 0.5 } }).state).toBe('open');
    for (const name of times) expect(make({ timeouts: { [name]: 0 } }).state).toBe('open');
  });

  it.each(roles)('what the handshake yields is shown as it is, %s', (role) => {
    const extensions = [doubling()];
    const { connection } = open({ role, subprotocol: 'chat', extensions });
    expect(connection).toMatchObject({ role, subprotocol: 'chat', state: 'open', transport: 'open', wantsRead: true, bufferedAmount: 0 });
    expect(connection.extensions).toEqual(extensions);
    expect(connection.closeSent).toBe(null);
    expect(connection.closeReceived).toBe(null);
  });

  it('a client without a source of randomness of its own', () => {
    expect(new Connection({ role: 'client', clock: () => 0 }).sendText('x')).toBe(true);
    expect(new Connection({ role: 'client', clock: () => 0, random: pseudoRandom() }).sendText('x')).toBe(true);
  });
});
