/**
 * Mistakes in the library's options: named at the call, since a run that leaves cases out, or fails them all, says nothing of its subject.
 */
import {
  type ClientListenerOptions,
  cases,
  clientCommand,
  clientListener,
  http2Server,
  type RunOptions,
  runCases,
  serverCommand,
  serverUrl,
} from '@ferrywire/conformance';
import { describe, expect, it } from 'vitest';

const target = serverUrl('ws://127.0.0.1:9/');

describe('options of a run', () => {
  it.each<readonly [string, unknown]>([
    ...[0, -1, 1.5, Number.NaN, '2'].map((value) => ['parallel', value] as const),
    ...[1.5, Number.NaN, Number.POSITIVE_INFINITY, '1'].map((value) => ['seed', value] as const),
    ...[0, -1, Number.NaN, Number.POSITIVE_INFINITY, '1'].map((value) => ['timeScale', value] as const),
    ...[0, -1, 1.5, Number.NaN, '20'].map((value) => ['messages', value] as const),
  ])('%s: %s is out of range', (name, value) => {
    expect(() => runCases(target, { [name]: value } as RunOptions)).toThrow(RangeError);
    expect(() => runCases(target, { [name]: value } as RunOptions)).toThrow(`options.${name} `);
  });

  it.each(['include', 'exclude'])('%s is a list of patterns', (name) => {
    for (const value of ['1.*', [1]]) {
      expect(() => runCases(target, { [name]: value } as unknown as RunOptions)).toThrow(TypeError);
      expect(() => runCases(target, { [name]: value } as unknown as RunOptions)).toThrow(`options.${name} `);
    }
  });

  it.each<readonly [string, unknown]>([
    ...[0, 'signal', {}, new AbortController()].map((value) => ['signal', value] as const),
    ...['1.1.1', ['1.1.1'], [null], { id: '1.1.1' }].map((value) => ['cases', value] as const),
  ])('%s is not %j', (name, value) => {
    expect(() => runCases(target, { [name]: value } as RunOptions)).toThrow(TypeError);
    expect(() => runCases(target, { [name]: value } as RunOptions)).toThrow(`options.${name} `);
  });

  it('what makes sense is taken', () => {
    for (const options of [
      {},
      { parallel: 1, seed: Date.now(), timeScale: 0.5, messages: 1, include: [], exclude: ['1.*'] },
      { seed: -1 },
      { cases, signal: AbortSignal.abort() },
    ])
      expect(() => runCases(target, options)).not.toThrow();
  });
});

describe('options of targets', () => {
  it.each<readonly [string, unknown]>([
    ...[-1, 65_536, 1.5, Number.NaN, '80'].map((value) => ['port', value] as const),
    ...[-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '60'].map((value) => ['idle', value] as const),
  ])('%s: %s is out of range for a listener', (name, value) => {
    const options = { port: 0, [name]: value } as ClientListenerOptions;
    expect(() => clientListener(options)).toThrow(RangeError);
    expect(() => clientListener(options)).toThrow(`options.${name} `);
    expect(() => clientCommand('node client.js {url}', options)).toThrow(RangeError);
  });

  it('a patience is a time, which may have no end', () => {
    for (const target of [serverUrl, http2Server]) {
      for (const patience of [-1, Number.NaN, '5'])
        expect(() => target('ws://127.0.0.1:9/', { patience: patience as number })).toThrow(
          new RangeError(`options.patience is a number from 0, not ${patience}`),
        );
      for (const patience of [0, 0.5, Number.POSITIVE_INFINITY]) expect(() => target('ws://127.0.0.1:9/', { patience })).not.toThrow();
    }
  });

  it('a command that is not told where to listen, or to connect to, is none', () => {
    expect(() => serverCommand('node server.js')).toThrow(new TypeError('the command needs {port} or {url}'));
    expect(() => clientCommand('node client.js')).toThrow(new TypeError('the command needs {port} or {url}'));
    for (const place of ['{port}', '{url}']) {
      expect(() => serverCommand(`node server.js ${place}`)).not.toThrow();
      expect(() => clientCommand(`node client.js ${place}`)).not.toThrow();
    }
  });
});
