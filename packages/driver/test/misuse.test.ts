/** Parts that are missing are named when they are joined, and not in the event that first needs them. */
import { drive, EndpointHost, type EndpointHostOptions, type Transport } from '@ferrywire/driver';
import { fakeTransport } from '@ferrywire/driver/testing';
import { describe, expect, it } from 'vitest';
import { EchoProtocol } from './helpers.ts';

const clock = (): number => 0;
const timers = { set: (): number => 1, clear: (): void => {} };
const options = { clock, timers, handlers: {} };

const wrong: readonly (readonly [name: string, options: unknown])[] = [
  ['options', null],
  ['options.clock', {}],
  ['options.clock', { ...options, clock: 1 }],
  ['options.timers', { ...options, timers: null }],
  ['options.timers.set', { ...options, timers: { clear: timers.clear } }],
  ['options.timers.clear', { ...options, timers: { set: timers.set } }],
  // As a timer that would be due every millisecond.
  ['options.closing', { ...options, closing: Number.NaN }],
  ['options.closing', { ...options, closing: '10' }],
];
const wrongOfHost: readonly (readonly [name: string, options: unknown])[] = [
  ['options.handlers', { ...options, handlers: null }],
  ['options.handlers.onText', { ...options, handlers: { onText: 'x' } }],
  // Nothing would be more than that, and so nothing held back.
  ['options.highWaterMark', { ...options, highWaterMark: Number.NaN }],
  ['options.highWaterMark', { ...options, highWaterMark: '1' }],
  ['options.pull', { ...options, pull: 1 }],
];

function refused(name: string, call: () => unknown): void {
  expect(call).toThrow(TypeError);
  expect(call).toThrow(`${name} must be a`);
}

describe('drive', () => {
  it.each(wrong)('names %s', (name, given) => {
    refused(name, () => drive(new EchoProtocol(), fakeTransport(), given as EndpointHostOptions));
  });

  it('names a callback that is none, and a time that can not be', () => {
    refused('options.onEvents', () =>
      drive(new EchoProtocol(), fakeTransport(), { ...options, onEvents: 1 } as unknown as EndpointHostOptions),
    );
    for (const make of [
      () => drive(new EchoProtocol(), fakeTransport(), { ...options, closing: -1 }),
      () => new EndpointHost({ ...options, closing: -1 }),
    ])
      expect(make).toThrow(new RangeError('options.closing must be from 0 to Infinity'));
  });

  it('names what the protocol lacks', () => {
    refused('protocol', () => drive(null as unknown as EchoProtocol, fakeTransport(), options));
    refused('protocol.receiveData', () => drive({} as EchoProtocol, fakeTransport(), options));
    const forgetful = Object.assign(new EchoProtocol(), { recycleOutput: undefined }) as unknown as EchoProtocol;
    refused('protocol.recycleOutput', () => drive(forgetful, fakeTransport(), options));
  });

  it.each(['write', 'end', 'abort', 'pauseReading', 'resumeReading'] as const)('names %s of a transport without it', (name) => {
    const none = (): boolean => true;
    const whole: Transport = { write: none, end: none, abort: none, pauseReading: none, resumeReading: none, bufferedAmount: 0 };
    expect(() => drive(new EchoProtocol(), whole, options)).not.toThrow();
    refused(`transport.${name}`, () => drive(new EchoProtocol(), { ...whole, [name]: undefined } as unknown as Transport, options));
    const uncounted = { ...whole, bufferedAmount: undefined } as unknown as Transport;
    refused('transport.bufferedAmount', () => drive(new EchoProtocol(), uncounted, options));
  });

  it('names a transport that is none', () => {
    refused('transport', () => drive(new EchoProtocol(), null as unknown as Transport, options));
  });
});

describe('EndpointHost', () => {
  it.each([...wrong, ...wrongOfHost])('names %s', (name, given) => {
    refused(name, () => new EndpointHost(given as EndpointHostOptions));
  });

  it('names what a transport lacks before anything comes of it, and the heads that are not given', async () => {
    const host = new EndpointHost(options);
    const negotiated = { role: 'server', subprotocol: null, extensions: [] } as const;
    const heads = { request: null, response: null };
    for (const [name, given] of [
      ['transport', null],
      ['transport.write', {}],
    ] as const) {
      const transport = given as unknown as Transport;
      refused(name, () => host.serve(transport, {}));
      refused(name, () => host.serveOne(transport, {}));
      refused(name, () => host.dial(transport, { url: 'ws://127.0.0.1/' }));
      refused(name, () => host.adopt(transport, negotiated, {}, heads));
    }
    refused('opening', () => host.adopt(fakeTransport(), negotiated, {}, undefined as unknown as typeof heads));
    expect(host.peers.size).toBe(0);
    await host.close();
  });
});
