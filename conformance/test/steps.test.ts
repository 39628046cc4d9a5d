/**
 * Every kind of step, and every way of judging, on cases written for it: own cases are part of the library.
 */
import {
  type Case,
  type CaseResult,
  CaseRun,
  collect,
  extraCases,
  type InProcessTarget,
  inProcess,
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
import { hex, repeated, utf8 } from '../dist/payload.js';
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

describe('the harness as an endpoint', () => {
  const mask = '00000000';
  /** A case with a client, whose frames the test writes; in hexadecimal. */
  function meet(test: Partial<Case>) {
    const time = new VirtualTime();
    const written: string[] = [];
    const results: CaseResult[] = [];
    const whole = defineCase({ id: 'X.4', title: 'a case', sections: ['RFC 6455 5'], steps: [], expect: ok(), autoClose: false, ...test });
    const settings = { role: 'client', scheduler: time, seed: 1, timeScale: 1, pauseScale: 1, deflate: null, messages: null } as const;
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
    expect([results.length, said()]).toEqual([1, ['abort']]);
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

  it('no close frame says that there was none, not even where the transport has ended without one (F.5.8 to F.5.10)', async () => {
    const tests = extraCases.filter(({ id }) => ['F.5.8', 'F.5.9', 'F.5.10'].includes(id));
    expect(tests).toHaveLength(3);
    for (const test of tests) {
      expect(await runOne(test, toyTarget(null))).toMatchObject({ verdict: 'OK' });
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

  it('what is recommended only does not fail', async () => {
    const result = await run({ steps: [frame(1, 'a')], expect: ok(), close: failsWith(1002), recommended: true });
    expect(result).toMatchObject({ verdict: 'NON-STRICT', behavior: 'FAILED' });
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
