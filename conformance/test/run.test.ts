/**
 * How many cases are run, on a target whose results are written down: what is asked for again, with which limits, and when no more. No
 * waiting takes time here.
 */
import {
  type ActiveTarget,
  type Case,
  type CaseResult,
  collect,
  type PassiveTarget,
  type RunOptions,
  runCases,
  type TargetSettings,
  TargetUnavailable,
} from '@ferrywire/conformance';
import { describe, expect, it } from 'vitest';
import { defineCase, ok } from '../dist/cases/build.js';

const sections = ['RFC 6455 5'];

function some(count: number, limit = 1000): Case[] {
  return Array.from({ length: count }, (_, i) =>
    defineCase({ id: `X.${i + 1}`, title: 'a case', sections, steps: [], expect: ok(), limit: { ms: limit, action: 'fail' } }),
  );
}

function resultOf({ id, title }: Case, change: Partial<CaseResult> = {}): CaseResult {
  const verdict = change.verdict ?? 'OK';
  const closed = verdict === 'FAILED' ? 'FAILED' : 'OK';
  const rest = {
    behavior: verdict,
    behaviorClose: closed,
    remoteCloseCode: null,
    reason: null,
    duration: 1,
    timed: false,
    silent: false,
  } as const;
  return { id, title, sections, role: 'server', verdict, ...rest, ...change };
}

const slow: Partial<CaseResult> = { verdict: 'FAILED', timed: true };
const mute: Partial<CaseResult> = { ...slow, silent: true };

interface Asked {
  readonly id: string;
  readonly settings: TargetSettings;
}

/** @param answer what a case ends with, the how-manieth time it is asked for */
function scripted(answer: (test: Case, time: number) => Partial<CaseResult>, virtual = false) {
  const asked: Asked[] = [];
  const target: ActiveTarget = {
    kind: 'active',
    name: 'written down',
    role: 'server',
    virtual,
    open: async () => {},
    close: async () => {},
    run: async (test, settings) => {
      const time = asked.filter(({ id }) => id === test.id).length + 1;
      asked.push({ id: test.id, settings });
      return resultOf(test, answer(test, time));
    },
  };
  const run = async (options: RunOptions): Promise<CaseResult[]> => collect(runCases(target, { parallel: 1, ...options }));
  return { asked, target, run };
}

describe('a second try', () => {
  it('is for what a wait has decided, with four times the time, the pauses of the case, and its own result', async () => {
    const { asked, run } = scripted((_, time) => (time === 1 ? slow : { reason: 'second' }));
    const [result] = await run({ cases: some(1), timeScale: 2, seed: 5, messages: 3 });
    expect(result).toMatchObject({ verdict: 'OK', reason: 'second' });
    const common = { seed: 5, longest: null, messages: 3 };
    expect(asked.map(({ settings }) => settings)).toEqual([
      { ...common, timeScale: 2, pauseScale: 0.3 },
      { ...common, timeScale: 8, pauseScale: 2 },
    ]);
  });

  it.each([
    ['what is right already', { timed: true }],
    ['what is not graded', { verdict: 'INFORMATIONAL', timed: true }],
    ['what no wait has decided', { verdict: 'FAILED' }],
  ] as const)('is not for %s', async (_, change) => {
    const { asked, run } = scripted(() => change);
    await run({ cases: some(2) });
    expect(asked.map(({ id }) => id)).toEqual(['X.1', 'X.2']);
  });

  it('is for what is late though allowed', async () => {
    const { run } = scripted((_, time) => (time === 1 ? { verdict: 'NON-STRICT', timed: true } : {}));
    expect(await run({ cases: some(1) })).toMatchObject([{ verdict: 'OK' }]);
  });

  it('is not for a limit of ten seconds and more that was used up, and is for one that something else ended', async () => {
    const { asked, run } = scripted(({ id }) => ({ ...slow, duration: id === 'X.1' ? 20_000 : 19_999 }));
    await run({ cases: some(2, 10_000), timeScale: 2 });
    expect(asked.map(({ id }) => id)).toEqual(['X.1', 'X.2', 'X.2']);
    const shorter = scripted(() => ({ ...slow, duration: 9999 }));
    await shorter.run({ cases: some(1, 9999) });
    expect(shorter.asked).toHaveLength(2);
  });

  it('is not made in virtual time', async () => {
    const { asked, run } = scripted(() => slow, true);
    await run({ cases: some(2) });
    expect(asked.map(({ settings }) => settings.pauseScale)).toEqual([1, 1]);
  });

  it('is made no more when six have changed nothing; those that change something do not count', async () => {
    const { asked, run } = scripted(({ id }, time) => (time === 1 || Number(id.slice(2)) > 3 ? slow : {}));
    const results = await run({ cases: some(12) });
    const times = (id: string): number => asked.filter((one) => one.id === id).length;
    expect(some(12).map(({ id }) => times(id))).toEqual([2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1]);
    expect(results.map(({ verdict }) => verdict)).toEqual([...Array(3).fill('OK'), ...Array(9).fill('FAILED')]);
  });

  it('leaves the first result where there is nothing to test any more', async () => {
    const { target } = scripted((_, time) => {
      if (time === 2) throw new TargetUnavailable('it has gone');
      return slow;
    });
    const seen: CaseResult[] = [];
    const results = collect(runCases(target, { cases: some(3), parallel: 1 }), (result) => seen.push(result));
    await expect(results).rejects.toThrow('it has gone');
    expect(seen).toMatchObject([{ id: 'X.1', verdict: 'FAILED' }]);
  });
});

describe('a target without a word', () => {
  it('is given half a second from the thirteenth time on, second tries counted, and its limits again when one comes', async () => {
    const { asked, run } = scripted(({ id }) => (id === 'X.10' ? {} : mute));
    await run({ cases: some(12), timeScale: 2 });
    // Six second tries: the seventh case has the thirteenth.
    expect(asked.map(({ id, settings }) => `${id} ${settings.longest}`)).toEqual([
      ...[1, 2, 3, 4, 5, 6].flatMap((n) => [`X.${n} null`, `X.${n} null`]),
      'X.7 1000',
      'X.8 1000',
      'X.9 1000',
      'X.10 1000',
      'X.11 null',
      'X.12 null',
    ]);
  });

  it('is not asked again once it is given up', async () => {
    // These have taken their time.
    const { asked, run } = scripted(({ id }) => ({ ...mute, duration: Number(id.slice(2)) <= 12 ? 10_000 : 500 }));
    await run({ cases: some(14, 10_000) });
    expect(asked.map(({ id }) => id)).toEqual(some(14).map(({ id }) => id));
  });
});

describe('the run', () => {
  it('ends with the first fault, when the cases under way are done', async () => {
    const { asked, target } = scripted(({ id }) => {
      if (id === 'X.1') throw new Error('broken');
      return {};
    });
    const seen: string[] = [];
    await expect(collect(runCases(target, { cases: some(9), parallel: 2 }), ({ id }) => seen.push(id))).rejects.toThrow('broken');
    expect(seen).toContain('X.2');
    expect(asked.length).toBeLessThan(9);
  });

  it('has no more connections at a time than it is told, and one in virtual time', async () => {
    const most = async (count: number, parallel: number | undefined, virtual = false): Promise<number> => {
      let now = 0;
      let peak = 0;
      const { target } = scripted(() => ({}), virtual);
      const counting: ActiveTarget = {
        ...target,
        run: async (test) => {
          now += 1;
          peak = Math.max(peak, now);
          await new Promise((resolve) => setImmediate(resolve));
          now -= 1;
          return resultOf(test);
        },
      };
      const results = await collect(runCases(counting, { cases: some(count), ...(parallel === undefined ? {} : { parallel }) }));
      expect(results.map(({ id }) => id)).toEqual(some(count).map(({ id }) => id));
      return peak;
    };
    expect([await most(20, undefined), await most(20, 3), await most(4, 1), await most(2, 9), await most(4, 3, true)]).toEqual([
      6, 3, 1, 2, 1,
    ]);
  });

  it('gives the defaults, and `full` before a number of messages', async () => {
    const { asked, run } = scripted(() => ({}));
    await run({ cases: some(1) });
    await run({ cases: some(1), full: true, messages: 3 });
    expect(asked.map(({ settings }) => settings)).toEqual([
      { seed: 1, timeScale: 1, pauseScale: 0.15, longest: null, messages: null },
      { seed: 1, timeScale: 1, pauseScale: 0.15, longest: null, messages: 'full' },
    ]);
    const seen: TargetSettings[] = [];
    const passive: PassiveTarget = { kind: 'passive', name: 'p', role: 'client', serve: async (_, settings) => void seen.push(settings) };
    await collect(runCases(passive, { cases: some(1), timeScale: 3 }));
    expect(seen).toEqual([{ seed: 1, timeScale: 3, pauseScale: 1.5, longest: null, messages: null }]);
  });

  it.each([
    [1, 'fault'],
    [1, 'result'],
    [2, 'result'],
  ] as const)('that is ended in try %i of a case has nothing of it, nor what came of that: a %s', async (at, what) => {
    const stop = new AbortController();
    const { asked, target } = scripted(({ id }, time) => {
      if (id !== 'X.2') return {};
      if (time === at) stop.abort();
      if (what === 'fault') throw new Error('cut off');
      return slow;
    });
    const results = await collect(runCases(target, { cases: some(9), parallel: 1, signal: stop.signal }));
    expect(results.map(({ id }) => id)).toEqual(['X.1']);
    expect(asked).toHaveLength(1 + at);
    // Nor does one that has ended begin.
    const { signal } = stop;
    expect(await collect(runCases(target, { cases: some(9), signal }))).toEqual([]);
    expect(asked).toHaveLength(1 + at);
  });

  it('closes what was opened, and nothing that was not', async () => {
    const log: string[] = [];
    const { target } = scripted(() => ({}));
    const close = async (): Promise<void> => void log.push('closed');
    await collect(runCases({ ...target, close }, { cases: some(1) }));
    expect(log).toEqual(['closed']);
    const open = (): Promise<void> => Promise.reject(new TargetUnavailable('not there'));
    await expect(collect(runCases({ ...target, open, close }, { cases: some(1) }))).rejects.toThrow('not there');
    expect(log).toEqual(['closed']);
  });
});
