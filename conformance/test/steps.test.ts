/**
 * Every kind of step, and every way of judging, on cases written for it: own cases are part of the library.
 */
import {
  type Case,
  type CaseResult,
  CaseRun,
  cases,
  collect,
  explainCase,
  extraCases,
  type InProcessTarget,
  inProcess,
  type RunSettings,
  runCases,
  VirtualTime,
} from '@ferrywire/conformance';
import { describe, expect, it } from 'vitest';
import {
  awaits,
  close,
  defineCase,
  echoOf,
  failsWith,
  frame,
  message,
  ok,
  part,
  pause,
  pongOf,
  raw,
  stillOpen,
} from '../dist/cases/build.js';
import { Decoder } from '../dist/decoder.js';
import { Deflater, Inflater } from '../dist/deflate.js';
import { hex, repeated, utf8 } from '../dist/payload.js';
import { ferrywire } from '../dist/targets/ferrywire.js';
import { type Fault, toyTarget } from './toy-subject.ts';

async function run(
  test: Omit<Parameters<typeof defineCase>[0], 'id' | 'title' | 'sections'>,
  fault: Fault | null = null,
  role: 'client' | 'server' = 'server',
): Promise<CaseResult> {
  const whole = defineCase({ id: 'X.1', title: 'a case', sections: ['RFC 6455 5'], ...test });
  return runOne(whole, toyTarget(fault), role);
}

async function runOne(test: Case, target: InProcessTarget, role: 'client' | 'server' = 'server'): Promise<CaseResult> {
  const [result] = await collect(runCases(inProcess(target, { role, deflate: false }), { cases: [test] }));
  if (result === undefined) throw new Error('it did not run');
  return result;
}

/** An unmasked 'hi' would be refused: this one is masked with zeros. */
const rawHi = hex('8182000000006869');

describe('steps', () => {
  it('raw bytes, whole and in pieces', async () => {
    for (const chop of [null, 1, 3]) {
      const result = await run({ steps: [raw(rawHi, chop)], expect: ok(echoOf('text', 'hi')) });
      expect(result).toMatchObject({ verdict: 'OK', reason: null });
    }
  });

  it('messages in fragments, headers and data in pieces', async () => {
    expect((await run({ steps: [message('binary', repeated(7, 10), 3)], expect: ok(echoOf('binary', repeated(7, 10))) })).verdict).toBe(
      'OK',
    );
    const steps = [
      { do: 'header', opcode: 1, fin: true, size: 4, chop: null } as const,
      { do: 'data', payload: utf8('ab') } as const,
      pause(1),
      { do: 'data', payload: utf8('cd') } as const,
    ];
    expect((await run({ steps, expect: ok(echoOf('text', 'abcd')) })).verdict).toBe('OK');
  });

  it('waits for a message and for a pong, then goes on', async () => {
    const steps = [frame(1, 'a'), awaits('message'), frame(9, 'b'), awaits('pong'), frame(1, 'c')];
    expect((await run({ steps, expect: ok(echoOf('text', 'a'), pongOf('b'), echoOf('text', 'c')) })).verdict).toBe('OK');
  });

  it('waits no longer than it says', async () => {
    const result = await run({
      steps: [frame(1, 'a'), awaits('pong', 0.3)],
      expect: ok(echoOf('text', 'a'), pongOf('never')),
      limit: { ms: 60_000, action: 'fail' },
    });
    expect(result.verdict).toBe('FAILED');
    expect(result.reason).toContain("got text 'a'");
    expect(result.duration).toBeLessThan(2000);
    // Also where all else is as it should be.
    const unmet = await run({ steps: [frame(1, 'a'), awaits('pong', 0.3)], expect: ok(echoOf('text', 'a')), autoClose: false });
    expect(unmet).toMatchObject({ verdict: 'FAILED', behavior: 'FAILED', reason: 'no pong within 300 ms' });
  });

  it('waits for silence, and notices what breaks it', async () => {
    const quiet = await run({ steps: [part(1, 'a'), awaits('silence'), frame(0, 'b')], expect: ok(echoOf('text', 'ab')) });
    expect(quiet).toMatchObject({ verdict: 'OK' });
    expect(quiet.duration).toBeGreaterThanOrEqual(1000);
    const loud = await run({ steps: [frame(1, 'a'), awaits('silence'), frame(1, 'b')], expect: ok(), limit: { ms: 100, action: 'fail' } });
    expect(loud.verdict).toBe('FAILED');
    // Be it something that was expected, but later.
    const early = await run({
      steps: [frame(1, 'a'), awaits('silence'), frame(1, 'b')],
      expect: ok(echoOf('text', 'a'), echoOf('text', 'b')),
    });
    expect(early).toMatchObject({ verdict: 'FAILED', behavior: 'FAILED', reason: 'a message came where nothing should' });
  });

  it('waits for the close and for the end of the transport', async () => {
    const steps = [frame(3), awaits('close')];
    expect((await run({ steps, expect: ok(), close: failsWith(1002) })).verdict).toBe('OK');
    const late = await run({ steps: [frame(1, 'a'), awaits('end', 0.2)], expect: ok(echoOf('text', 'a')), close: failsWith(1000) });
    expect(late).toMatchObject({ verdict: 'FAILED', behaviorClose: 'FAILED' });
  });

  it('ends and resets the transport', async () => {
    const gone = { ...failsWith(1000), frameless: true };
    for (const last of [{ do: 'end' } as const, { do: 'reset' } as const]) {
      expect((await run({ steps: [frame(1, 'a'), awaits('message'), last], expect: ok(echoOf('text', 'a')), close: gone })).verdict).toBe(
        'OK',
      );
    }
  });

  it('calls the subject by name, in process', async () => {
    const calls: unknown[] = [];
    const toy = toyTarget(null);
    const target: InProcessTarget = {
      create: (options) => ({
        ...toy.create(options),
        call: (name, ...args) => {
          calls.push([name, args]);
        },
      }),
    };
    const test = defineCase({
      id: 'X.2',
      title: 'a call',
      sections: ['RFC 6455 5'],
      steps: [{ do: 'call', name: 'ping', args: [1] }, frame(1, 'a')],
      expect: ok(echoOf('text', 'a')),
      inProcessOnly: true,
    });
    expect((await runOne(test, target)).verdict).toBe('OK');
    expect(calls).toEqual([['ping', [1]]]);
  });

  it('tells the subject its limit, and what is in force', async () => {
    const seen: unknown[] = [];
    const toy = toyTarget(null);
    const target: InProcessTarget = {
      create: (options) => {
        seen.push([options.role, options.maxMessageSize, options.deflate]);
        return toy.create(options);
      },
    };
    const test = defineCase({
      id: 'X.3',
      title: 'a limit',
      sections: ['RFC 6455 5'],
      steps: [frame(1, 'a')],
      expect: ok(echoOf('text', 'a')),
      maxMessageSize: 77,
    });
    await runOne(test, target);
    expect(seen).toEqual([['server', 77, null]]);
    const deflate = {
      offers: ['permessage-deflate; server_max_window_bits=9; server_no_context_takeover'],
      policies: [{ clientNoContextTakeover: true, clientMaxWindowBits: 10 }],
    };
    const compressed = { ...test, deflate };
    for (const role of ['server', 'client'] as const) await collect(runCases(inProcess(target, { role }), { cases: [compressed] }));
    expect(seen.slice(1)).toEqual([
      ['server', 77, { serverNoContextTakeover: true, clientNoContextTakeover: false, serverMaxWindowBits: 9, clientMaxWindowBits: 15 }],
      ['client', 77, { serverNoContextTakeover: false, clientNoContextTakeover: true, serverMaxWindowBits: 15, clientMaxWindowBits: 10 }],
    ]);
  });
});

/** Of one frame with a length of two bytes, its mask taken off. */
function payloadOf(frame: Uint8Array): Uint8Array {
  const masked = (frame[1] as number) >= 0x80; // it has a header
  const key = masked ? frame.subarray(4, 8) : new Uint8Array(4);
  return frame.subarray(masked ? 8 : 4).map((byte, i) => byte ^ (key[i & 3] as number)); // of four bytes
}

describe('the harness as an endpoint', () => {
  const mask = '00000000';
  /** A case with a client, whose frames the test writes; in hexadecimal. */
  function meet(test: Partial<Case>, more: Partial<RunSettings> = {}) {
    const time = new VirtualTime();
    const written: string[] = [];
    const results: CaseResult[] = [];
    const whole = defineCase({ id: 'X.4', title: 'a case', sections: ['RFC 6455 5'], steps: [], expect: ok(), autoClose: false, ...test });
    const usual = { role: 'client', scheduler: time, seed: 1, timeScale: 1, pauseScale: 1, deflate: null, messages: null } as const;
    const settings = { ...usual, ...more };
    const channel = {
      write: (bytes: Uint8Array) => void written.push(Buffer.from(bytes).toString('hex')),
      end: () => void written.push('end'),
      abort: () => void written.push('abort'),
    };
    const run = new CaseRun(whole, settings, channel, (result) => void results.push(result));
    run.start();
    return {
      time,
      results,
      hear: (hex: string): void => run.data(Buffer.from(hex, 'hex')),
      ended: (): void => run.ended(null),
      said: (): string[] => written.splice(0),
      /** What is written when all that waits for a turn has had it; a line is a turn. */
      turns: (): string[][] => {
        const lines: string[][] = [];
        while (time.runTurns()) lines.push(written.splice(0));
        return lines;
      },
    };
  }

  it('answers pings until it has said that it closes, and ends the transport of a client', () => {
    const { time, results, hear, ended, said } = meet({ limit: { ms: 100, action: 'close' } });
    hear(`8981${mask}61`);
    expect(said()).toEqual(['8a0161']);
    time.jumpTo(time.now() + 100);
    expect(said()).toEqual(['8800']);
    hear(`8981${mask}61`);
    expect(said()).toEqual([]);
    hear(`8880${mask}`);
    expect(said()).toEqual(['end']);
    ended();
    expect(results).toMatchObject([{ verdict: 'OK', remoteCloseCode: null }]);
    hear(`8180${mask}`);
    hear(`8880${mask}`);
    ended();
    expect([results.length, said()]).toEqual([1, ['abort']]);
  });

  it('says in which part of a frame or a message the subject has ended the transport', () => {
    for (const [bytes, where] of [
      ['', ''],
      ['81', ' in the middle of a frame'],
      [`0180${mask}`, ' in the middle of a message'],
    ] as const) {
      const { results, hear, ended, said } = meet({ expect: ok(echoOf('text', 'a')) });
      hear(bytes);
      ended();
      hear(`8880${mask}`);
      expect(said()).toEqual(['abort']);
      expect(results[0]?.reason).toBe(`expected text 'a' [1 bytes]; got nothing; the subject ended the transport${where}`);
    }
  });

  it('calls silent who says nothing before the time is up, whatever comes after that', () => {
    const test = { expect: ok(echoOf('text', 'a')) };
    for (const wait of [{ limit: { ms: 100, action: 'fail' } }, { steps: [awaits('message', 0.1)] }] as const) {
      for (const first of ['', `8a80${mask}`]) {
        const { time, results, hear, ended } = meet({ ...test, ...wait });
        if (first !== '') hear(first);
        time.jumpTo(time.now() + 100);
        hear(`8880${mask}`);
        ended();
        expect(results).toMatchObject([{ verdict: 'FAILED', timed: true, silent: first === '' }]);
      }
    }
  });

  it('does not wait for what can not come any more, unless there is more to send', () => {
    const test = { autoClose: true, expect: ok(echoOf('text', 'a'), echoOf('text', 'b')) };
    const hopeless = meet({ ...test, steps: [frame(1, 'a')] });
    hopeless.hear(`8181${mask}61`);
    expect(hopeless.said()).toEqual(['810161']);
    hopeless.hear(`8181${mask}63`);
    expect(hopeless.said()).toEqual(['880203e9']);
    const later = meet({ ...test, steps: [frame(1, 'a'), pause(1)] });
    later.hear(`8181${mask}63`);
    expect(later.said()).toEqual(['810161']);
    later.time.jumpTo(later.time.now() + 1000);
    expect(later.said()).toEqual(['880203e9']);
  });

  it('puts neighbours into one write, messages into their own, and pieces into one a turn, all in their order', () => {
    const chopped = frame(1, 'abc', { chop: 2 });
    const header = { do: 'header', opcode: 2, fin: true, size: 1, chop: 1 } as const;
    const data = { do: 'data', payload: utf8('x') } as const;
    const first = meet({ steps: [frame(9, 'a'), frame(9, 'b'), frame(9, 'c', { ownWrite: true }), chopped, frame(9, 'd')] });
    expect(first.said()).toEqual(['890161890162', '890163']);
    expect(first.turns()).toEqual([['8103'], ['6162'], ['63', '890164']]);
    const second = meet({ steps: [frame(9, 'a'), message('text', utf8('b')), frame(9, 'c'), header, data, raw(hex('8900'), 1)] });
    expect(second.said()).toEqual(['890161', '810162', '890163']);
    expect(second.turns()).toEqual([['82'], ['01', '78'], ['89'], ['00']]);
    const third = meet({ steps: [frame(9, 'a'), { do: 'end' }] });
    expect(third.said()).toEqual(['890161', 'end']);
    const fourth = meet({ steps: [frame(9, 'a'), { do: 'reset' }] });
    expect(fourth.said()).toEqual(['890161', 'abort']);
  });

  it('answers no ping between the pieces of a frame', () => {
    const { time, hear, said } = meet({ steps: [frame(1, 'abc', { chop: 3 })] });
    time.runTurns();
    hear(`8980${mask}`);
    expect(said()).toEqual(['810361']);
    time.runTurns();
    hear(`8980${mask}`);
    expect(said()).toEqual(['6263', '8a00']);
  });

  it('shortens pauses and silences as it is told, and no limit by that', () => {
    const { time, said } = meet(
      { steps: [pause(1), frame(9, 'a'), awaits('silence', 1), frame(9, 'b'), awaits('pong', 1)] },
      { pauseScale: 0.5 },
    );
    const after = (ms: number): string[] => {
      time.jumpTo(time.now() + ms);
      return said();
    };
    expect([after(499), after(1), after(499), after(1), after(999), after(1)]).toEqual([[], ['890161'], [], ['890162'], [], ['880203e9']]);
  });

  it('forgets a wait that is over', () => {
    const { time, results, hear, ended } = meet({
      steps: [awaits('message', 1), pause(2), awaits('pong', 9)],
      expect: ok(echoOf('text', 'a'), pongOf('')),
      autoClose: true,
    });
    hear(`8181${mask}61`);
    time.runTurns();
    time.jumpTo(time.now() + 2000);
    hear(`8a80${mask}`);
    hear(`8880${mask}`);
    ended();
    expect(results).toMatchObject([{ verdict: 'OK' }]);
  });

  it('ends a case that it gives up inside a frame at once: a close frame would be payload', () => {
    const header = { do: 'header', opcode: 1, fin: true, size: 3, chop: null } as const;
    const { time, results, said } = meet({ steps: [header, awaits('message', 0.1)] });
    time.jumpTo(time.now() + 100);
    expect(said()).toEqual(['8103', 'abort']);
    expect(results).toMatchObject([{ verdict: 'FAILED', reason: 'no message within 100 ms', timed: true, silent: true }]);
  });

  it('cuts a limit short for a subject without a word, and for no other', () => {
    for (const [first, at] of [
      ['', 500],
      [`8980${mask}`, 2000],
    ] as const) {
      const test = { limit: { ms: 1000, action: 'fail' }, expect: ok(echoOf('text', 'a')) } as const;
      const { time, results, hear, said } = meet(test, { timeScale: 2, longest: 500 });
      if (first !== '') hear(first);
      said();
      const start = time.now();
      while (said().length === 0) time.jumpTo(time.nextTimer() ?? Number.NaN);
      expect(time.now() - start).toBe(at);
      while (results.length === 0) time.jumpTo(time.nextTimer() ?? Number.NaN);
      // Nor is the answer to a close frame waited for longer than that.
      expect(time.now() - start).toBe(at + 500);
      expect(results).toMatchObject([{ verdict: 'FAILED', timed: true, silent: first === '' }]);
      expect(results[0]?.reason).toContain(`time limit of ${at} ms`);
    }
  });

  it('waits a second for the answer to its close frame', () => {
    const limit = { ms: 9000, action: 'fail' } as const;
    const { time, results, hear, said } = meet({ steps: [frame(1, 'a')], expect: ok(echoOf('text', 'a')), autoClose: true, limit });
    hear(`8181${mask}61`);
    expect(said()).toEqual(['810161', '880203e8']);
    time.jumpTo(time.now() + 1000);
    expect(results).toMatchObject([{ verdict: 'FAILED', behavior: 'OK', behaviorClose: 'UNCLEAN', timed: true, silent: false }]);
  });

  it('waits a second for a server to end the transport, and holds that against no client', () => {
    for (const role of ['server', 'client'] as const) {
      const { time, results, hear, said } = meet({ close: failsWith(1000) }, { role });
      hear(role === 'server' ? '880203e8' : `8882${mask}03e8`);
      expect(said()).toHaveLength(role === 'server' ? 1 : 2);
      time.jumpTo(time.now() + 999);
      expect(results).toEqual([]);
      time.jumpTo(time.now() + 1);
      const late = { verdict: 'FAILED', behaviorClose: 'FAILED BY CLIENT', timed: true };
      expect(results).toMatchObject([role === 'server' ? late : { verdict: 'OK', timed: false }]);
      expect(said()).toEqual(['abort']);
    }
  });

  it('lays a connection that was still open to the wait, where it should have ended, and only there', () => {
    for (const [startedBy, tag, timed] of [
      ['subject', 'A', true],
      ['subject', null, false],
      ['harness', 'A', false],
    ] as const) {
      const close = { ...failsWith(1000), startedBy };
      const { time, results, ended } = meet({ steps: [pause(1, tag)], close, limit: { ms: 9000, action: 'fail' } });
      time.jumpTo(time.now() + 1000);
      ended();
      expect(results).toMatchObject([{ timed }]);
    }
  });

  it('sends nothing of a case whose kind of deflate is not in force, and does not grade it', () => {
    const [keeping, fresh] = [false, true].map((noContextTakeover) => ({ noContextTakeover, windowBits: 15 }));
    if (keeping === undefined || fresh === undefined) throw new Error('there are two');
    const any = { offers: [], policies: [] };
    const wanting = { ...any, takeover: true } as const;
    for (const [deflate, agreed, said] of [
      [any, null, '880203e8'],
      [wanting, null, '880203e8'],
      [wanting, { server: fresh, client: keeping }, '880203e8'],
      [wanting, { server: keeping, client: fresh }, '810161'],
      [any, { server: fresh, client: keeping }, '810161'],
    ] as const) {
      const met = meet({ deflate, steps: [frame(1, 'a')], expect: ok(echoOf('text', 'a')), autoClose: true }, { deflate: agreed });
      expect(met.said()).toEqual([said]);
      if (said === '810161') continue;
      met.hear(`8880${mask}`);
      met.ended();
      expect(met.results).toMatchObject([{ verdict: 'UNIMPLEMENTED', behavior: 'UNIMPLEMENTED', behaviorClose: 'OK' }]);
    }
  });

  it.each([
    ['server', true],
    ['server', false],
    ['client', true],
    ['client', false],
  ] as const)('sends to a %s what its own side has agreed on: each message by itself: %s', (role, noContextTakeover) => {
    const ours = { noContextTakeover, windowBits: 15 };
    const theirs = { noContextTakeover: !noContextTakeover, windowBits: 15 };
    const deflate = role === 'server' ? { client: ours, server: theirs } : { client: theirs, server: ours };
    const source = { from: 'corpus', corpus: 'json', size: 2000 } as const;
    const exchange = { do: 'exchange', kind: 'text', source, count: 3, fullCount: 4, fragment: null, compress: true } as const;
    for (const [messages, wanted] of [[null, 3] as const, [2, 2] as const, ['full', 4] as const]) {
      const { results, hear, ended, said } = meet(
        { steps: [exchange], expect: 'exchange', deflate: { offers: [], policies: [] } },
        { role, deflate, messages },
      );
      const [inflater, echo] = [new Inflater(ours), new Deflater(theirs)];
      const seen: string[] = [];
      const decoder = new Decoder(role === 'server' ? 'client' : 'server', deflate, {
        message: (_, data) => void seen.push(Buffer.from(data).toString()),
        ping: () => {},
        pong: () => {},
        close: () => void seen.push('close'),
        breach: ({ message }) => void seen.push(message),
      });
      const fresh = new Inflater({ noContextTakeover: true, windowBits: 15 });
      const alone: boolean[] = [];
      for (let i = 0; i < wanted; i += 1) {
        const wire = said().join('');
        decoder.push(Buffer.from(wire, 'hex'));
        const text = Buffer.from(seen.at(-1) ?? '');
        const payload = payloadOf(Buffer.from(wire, 'hex'));
        expect(Buffer.from(inflater.message(payload, 1e6) ?? []).equals(text)).toBe(true);
        alone.push(fresh.message(payload, 1e6) !== null);
        const packed = echo.message(text);
        const length = [126, packed.length >> 8, packed.length & 255];
        const head = role === 'client' ? [0xc1, 0x80 | 126, ...length.slice(1), 0, 0, 0, 0] : [0xc1, ...length];
        hear(Buffer.concat([Buffer.from(head), packed]).toString('hex'));
      }
      decoder.push(Buffer.from(said().join(''), 'hex'));
      expect([seen.length, new Set(seen).size, seen.at(-1)]).toEqual([wanted + 1, wanted + 1, 'close']);
      expect(alone).toEqual([true, ...Array(wanted - 1).fill(noContextTakeover)]);
      hear(role === 'client' ? `8880${mask}` : '8800');
      ended();
      expect(results).toMatchObject([{ verdict: 'OK' }]);
    }
  });

  it.each([
    ['03e8', '880203e8'],
    ['03e7', '8800'],
    ['1387', '88021387'],
    ['1388', '8800'],
  ])('answers the close code %s with %s', (code, answer) => {
    const { hear, said } = meet({});
    hear(`8882${mask}${code}`);
    expect(said()).toEqual([answer, 'end']);
  });

  it('puts nothing into the middle of a frame', () => {
    const header = { do: 'header', opcode: 1, fin: true, size: 3, chop: null } as const;
    const data = (text: string) => ({ do: 'data', payload: utf8(text) }) as const;
    const { results, hear, said } = meet({ steps: [header, data('a'), awaits('message'), data('bc'), awaits('message')] });
    expect(said()).toEqual(['8103', '61']);
    hear(`8981${mask}61`);
    expect(said()).toEqual([]);
    // Nor a close frame.
    hear(`8882${mask}03e8`);
    expect([said(), results.length]).toEqual([['end'], 0]);
  });
});

describe('grades', () => {
  it('the first expectation that fits gives the grade', async () => {
    const expectation = [
      { grade: 'OK', events: [echoOf('text', 'other')] },
      { grade: 'NON-STRICT', events: [echoOf('text', 'a')] },
    ] as const;
    const result = await run({ steps: [frame(1, 'a')], expect: expectation, limit: { ms: 100, action: 'close' } });
    expect(result).toMatchObject({ verdict: 'NON-STRICT', behavior: 'NON-STRICT', behaviorClose: 'OK' });
    expect(
      (await run({ steps: [frame(1, 'a')], expect: expectation, limit: { ms: 100, action: 'close' }, schedulingOnly: true })).verdict,
    ).toBe('OK');
  });

  it('a close may overtake the echo of a message that came with it, and nothing else (F.5.7)', async () => {
    const test = extraCases.find(({ id }) => id === 'F.5.7');
    if (test === undefined) throw new Error('no such case');
    for (const fault of [null, 'echoes-nothing'] as const) {
      expect(await runOne(test, toyTarget(fault))).toMatchObject({ verdict: 'OK', reason: null });
    }
    for (const fault of ['pongs-empty', 'wrong-bytes', 'silent'] as const) {
      expect(await runOne(test, toyTarget(fault))).toMatchObject({ verdict: 'FAILED' });
    }
  });

  it('a client takes a new mask for each frame, which the toy does not (F.1.14)', async () => {
    const test = extraCases.find(({ id }) => id === 'F.1.14');
    if (test === undefined) throw new Error('no such case');
    const reason = 'two frames in a row with the same mask (RFC 6455 5.3)';
    expect(await runOne(test, toyTarget(null), 'client')).toMatchObject({ verdict: 'FAILED', reason });
    const { freshMasks: _, ...lenient } = test;
    // Who has several pings to answer may answer the last (RFC 6455 5.5.3).
    for (const fault of [null, 'pongs-newest'] as const)
      expect(await runOne(lenient, toyTarget(fault), 'client')).toMatchObject({ verdict: 'OK' });
    expect(await runOne(test, ferrywire(), 'client')).toMatchObject({ verdict: 'OK' });
  });

  it('no close frame says that there was none, not even where the transport has ended without one (F.5.8 to F.5.10)', async () => {
    const tests = extraCases.filter(({ id }) => ['F.5.8', 'F.5.9', 'F.5.10'].includes(id));
    expect(tests).toHaveLength(3);
    for (const test of tests) {
      for (const fault of [null, 'closes-with-1001'] as const)
        expect(await runOne(test, toyTarget(fault))).toMatchObject({ verdict: 'OK' });
      expect(await runOne(test, toyTarget('closes-with-1006'))).toMatchObject({ verdict: 'FAILED', behaviorClose: 'WRONG CODE' });
    }
  });

  it('a subject that neither answers the close frame nor ends the transport fails, whatever the grade is', async () => {
    for (const grade of ['OK', 'NON-STRICT'] as const) {
      const result = await run(
        {
          steps: [frame(1, 'a')],
          expect: [{ grade, events: [] }],
          close: { startedBy: 'harness', codes: [1000], clean: false, strictSide: false, strictCode: false, frameless: false },
          limit: { ms: 100, action: 'close' },
          autoClose: false,
        },
        'silent',
        'client',
      );
      expect(result).toMatchObject({ verdict: 'FAILED', behavior: grade, behaviorClose: 'OK' });
    }
  });

  it('who takes what need not be refused has not failed, and who does neither has', async () => {
    const test = {
      steps: [frame(1, 'a')],
      expect: [...ok(), { grade: 'NON-STRICT', events: [echoOf('text', 'a')] }],
      close: failsWith(1002),
      recommended: true,
    } as const;
    const reason = "allowed, but not refused: text 'a' [1 bytes]";
    expect(await run(test)).toMatchObject({ verdict: 'NON-STRICT', behavior: 'NON-STRICT', behaviorClose: 'OK', reason });
    for (const fault of ['silent', 'echoes-nothing', 'echoes-twice', 'wrong-bytes', 'bad-text', 'late'] as const)
      expect(await run(test, fault), fault).toMatchObject({ verdict: 'FAILED' });
    const refused = { ...test, steps: [frame(3, 'a')] };
    expect(await run(refused)).toMatchObject({ verdict: 'OK', reason: null });
    expect(await run({ ...refused, close: failsWith(1007) })).toMatchObject({ verdict: 'NON-STRICT', behaviorClose: 'WRONG CODE' });
  });

  it('a length that is not minimal may be refused, or taken for what it says (F.2.1 to F.2.7)', async () => {
    const tests = extraCases.filter(({ recommended }) => recommended);
    expect(tests.map(({ id }) => id).join(' ')).toBe('F.2.1 F.2.2 F.2.3 F.2.4 F.2.5 F.2.6 F.2.7');
    for (const test of tests) {
      expect(await runOne(test, ferrywire()), test.id).toMatchObject({ verdict: 'OK' });
      // Known when the answer comes, and not at the limit.
      expect(await runOne(test, toyTarget('accepts-everything')), test.id).toMatchObject({
        verdict: 'NON-STRICT',
        duration: 0,
        timed: false,
      });
      expect(await runOne(test, toyTarget('silent')), test.id).toMatchObject({ verdict: 'FAILED' });
    }
  });

  it('a control frame that is too long may be refused late, when it is there, and is not answered (F.3.5)', async () => {
    const [test] = extraCases.filter(({ id }) => id === 'F.3.5');
    if (test === undefined) throw new Error('no such case');
    for (const role of ['client', 'server'] as const) {
      for (const target of [toyTarget(null), ferrywire()]) expect(await runOne(test, target, role)).toMatchObject({ verdict: 'OK' });
      const reason = 'allowed, but late: still open after wait A';
      expect(await runOne(test, toyTarget('judges-whole-frames'), role)).toMatchObject({
        verdict: 'NON-STRICT',
        behaviorClose: 'OK',
        reason,
      });
      for (const fault of ['accepts-everything', 'silent', 'late'] as const)
        expect(await runOne(test, toyTarget(fault), role), fault).toMatchObject({ verdict: 'FAILED' });
    }
  });

  it('who lets text that is none pass has failed for that, whatever was allowed besides (6.4.1, F.4.2, F.4.6)', async () => {
    const include = ['6.4.1', 'F.4.2', 'F.4.6'];
    const tests = [...cases, ...extraCases].filter(({ id }) => include.includes(id));
    expect(tests).toHaveLength(3);
    const reason = 'the subject did not fail the connection';
    for (const test of tests) expect(await runOne(test, toyTarget('silent')), test.id).toMatchObject({ verdict: 'FAILED', reason });
  });

  it('events are compared whole and in order', async () => {
    const steps = [frame(9, 'a'), frame(9, 'b')];
    expect((await run({ steps, expect: ok(pongOf('b'), pongOf('a')) })).verdict).toBe('FAILED');
    expect((await run({ steps, expect: ok(pongOf('a')) })).verdict).toBe('FAILED');
    expect((await run({ steps, expect: ok(pongOf('a'), pongOf('b'), pongOf('c')) })).verdict).toBe('FAILED');
    const one = [frame(1, 'a')];
    expect((await run({ steps: one, expect: ok(pongOf('a')) })).verdict).toBe('FAILED');
    expect((await run({ steps: one, expect: ok(echoOf('binary', 'a')) })).verdict).toBe('FAILED');
    expect((await run({ steps: [frame(9, 'a')], expect: ok(echoOf('text', 'a')) })).verdict).toBe('FAILED');
    expect((await run({ steps: [pause(1, 'w')], expect: ok(stillOpen('w')) })).verdict).toBe('OK');
    expect((await run({ steps: [pause(1, 'w')], expect: ok(stillOpen('v')) })).verdict).toBe('FAILED');
  });

  it('a code that was registered after the RFC may be refused (F.5.1 to F.5.3)', async () => {
    const tests = extraCases.filter(({ id }) => ['F.5.1', 'F.5.2', 'F.5.3'].includes(id));
    expect(tests).toHaveLength(3);
    for (const test of tests) {
      expect(await runOne(test, toyTarget(null))).toMatchObject({ verdict: 'OK', reason: null });
      expect(await runOne(test, toyTarget('knows-codes-of-the-rfc'))).toMatchObject({
        verdict: 'NON-STRICT',
        behaviorClose: 'OK',
        reason: 'the code was refused with 1002 (RFC 6455 7.4.2)',
      });
      expect(await runOne(test, toyTarget('drops-instead-of-closing'))).toMatchObject({ verdict: 'FAILED' });
      const other = { ...test, close: { ...test.close, codes: [1000] } };
      expect(await runOne(other, toyTarget(null))).toMatchObject({ verdict: 'FAILED', behaviorClose: 'WRONG CODE' });
      expect(explainCase(test).join('\n')).toContain('1002, which refuses ours, is NON-STRICT');
    }
  });

  it('who has several pings to answer may answer the newest alone, and that one has to be answered (F.3.12)', async () => {
    const [test] = extraCases.filter(({ id }) => id === 'F.3.12');
    if (test === undefined) throw new Error('no such case');
    expect(await runOne(test, toyTarget(null))).toMatchObject({ verdict: 'OK', reason: null });
    expect(await runOne(test, toyTarget('pongs-newest'))).toMatchObject({
      verdict: 'NON-STRICT',
      reason: expect.stringMatching(/^allowed, but not every ping was answered: .*pong/),
    });
    for (const fault of ['reorders', 'pongs-empty', 'echoes-nothing', 'echoes-twice', 'wrong-bytes'] as const) {
      expect([fault, (await runOne(test, toyTarget(fault))).verdict]).toEqual([fault, 'FAILED']);
    }
    // None at all.
    const { steps } = test;
    const unasked = { ...test, steps: steps.filter((step) => step.do !== 'frame' || step.opcode !== 9) };
    expect((await runOne(unasked, toyTarget(null))).verdict).toBe('FAILED');
    // All but the last.
    const lacking = { ...test, steps: steps.filter((_, index) => index !== steps.length - 2) };
    expect((await runOne(lacking, toyTarget(null))).verdict).toBe('FAILED');
  });

  it('a ping right before what has to be refused may go without an answer, but not be taken for text (F.4.2)', async () => {
    const [test] = extraCases.filter(({ id }) => id === 'F.4.2');
    if (test === undefined) throw new Error('no such case');
    for (const role of ['client', 'server'] as const) {
      expect(await runOne(test, toyTarget(null), role)).toMatchObject({ verdict: 'OK', reason: null });
      const reason = 'allowed, but not every ping was answered';
      expect(await runOne(test, toyTarget('pongs-nothing'), role)).toMatchObject({ verdict: 'NON-STRICT', reason });
      for (const fault of ['silent', 'late', 'accepts-everything', 'pongs-empty'] as const)
        expect(await runOne(test, toyTarget(fault), role), fault).toMatchObject({ verdict: 'FAILED' });
    }
    // A ping is no excuse where the connection goes on.
    const [other] = cases.filter(({ id }) => id === '2.1');
    if (other === undefined) throw new Error('no such case');
    expect(await runOne(other, toyTarget('pongs-nothing'))).toMatchObject({ verdict: 'FAILED' });
  });

  it('a wrong code counts for the behaviour where the case says so', async () => {
    const right = { startedBy: 'harness', codes: [1002], clean: false, strictSide: false, strictCode: true, frameless: false } as const;
    expect(await run({ steps: [close(3000)], expect: ok(), close: right })).toMatchObject({
      verdict: 'FAILED',
      behavior: 'FAILED',
      behaviorClose: 'WRONG CODE',
      remoteCloseCode: 3000,
    });
    expect(await run({ steps: [close(3000)], expect: ok(), close: { ...right, strictCode: false } })).toMatchObject({
      verdict: 'FAILED',
      behavior: 'OK',
      behaviorClose: 'WRONG CODE',
    });
  });
});
