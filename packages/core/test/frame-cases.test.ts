/** Every frame case against `Connection` in both roles, in virtual time: as written and byte by byte, in every way of using it. */

import type { Extension } from '@ferrywire/core';
import { clientDeflate, type DeflateOptions, serverDeflate } from '@ferrywire/deflate';
import { describe, expect, it } from 'vitest';
import { type FrameCase, frameCases, type Outcome } from './frame-case-data.ts';
import { runFrameCase, type Use } from './frame-case-runner.ts';

const judged = frameCases.filter(({ level }) => level !== 'informational');
const plain = judged.filter(({ deflate }) => deflate === null);
const compressed = judged.filter(({ deflate }) => deflate !== null);

const whole: Use = { mode: 'pull', delivery: 'message', input: 'shared', chop: null };
const bytewise: Use = { ...whole, chop: 1 };

/** permessage-deflate as a handshake would have agreed on it. */
function extensionsFor({ role, deflate }: FrameCase): Extension[] {
  if (deflate === null) return [];
  const { takeover, bits } = deflate;
  const options: DeflateOptions = {
    serverNoContextTakeover: !takeover,
    clientNoContextTakeover: !takeover,
    ...(bits < 15 && { serverMaxWindowBits: bits, clientMaxWindowBits: bits }),
  };
  const client = clientDeflate(bits < 15 ? options : { ...options, clientMaxWindowBits: true });
  const [offer = []] = client.offers();
  const accepted = serverDeflate(options).accept(offer, []);
  const extension = role === 'server' ? accepted?.extension : accepted && client.confirm(accepted.params, []);
  if (extension === undefined || extension === null) throw new Error('not negotiated');
  return [extension];
}

function failures(cases: readonly FrameCase[], use: Use): string[] {
  const failed: string[] = [];
  for (const testCase of cases) {
    const extensions = extensionsFor(testCase);
    try {
      const why = runFrameCase(testCase, extensions, use);
      if (why !== null) failed.push(`${testCase.id}: ${why}`);
    } catch (error) {
      failed.push(`${testCase.id}: ${error instanceof Error ? error.stack : error}`);
    }
    for (const extension of extensions) extension.dispose?.();
  }
  return failed;
}

/** The two ways that are printed. */
function both(title: string, cases: readonly FrameCase[]): void {
  const inOne = failures(cases, whole);
  const inBytes = failures(cases, bytewise);
  const of = (failed: string[]) => `${cases.length - failed.length} of ${cases.length}`;
  console.log(`${title}: ${of(inOne)} (whole), ${of(inBytes)} (byte by byte)`);
  expect([...inOne, ...inBytes]).toEqual([]);
}

describe('frame cases', () => {
  it('all are there', () => {
    expect(frameCases).toHaveLength(535);
    expect(new Set(frameCases.map(({ id }) => id)).size).toBe(535);
    expect([plain.length, compressed.length]).toEqual([423, 86]);
  });

  it('required and recommended, without compression', () => both('frame-cases', plain), 120_000);
  it('required and recommended, with permessage-deflate', () => both('frame-cases with permessage-deflate', compressed), 120_000);

  it('those with several legal outcomes end in one of them', () => {
    expect(
      failures(
        frameCases.filter(({ level }) => level === 'informational'),
        whole,
      ),
    ).toEqual([]);
  }, 120_000);

  it('the judge refuses every other outcome', () => {
    const others: Record<Outcome['state'], readonly Outcome['state'][]> = {
      open: ['closed', 'failed', 'lost'],
      waiting: ['open', 'closed', 'failed', 'lost'],
      closed: ['open', 'waiting', 'failed', 'lost'],
      failed: ['open', 'waiting', 'closed'],
      lost: ['open', 'waiting', 'closed', 'failed'],
    };
    const taken: string[] = [];
    for (const testCase of plain) {
      const [outcome] = testCase.outcomes;
      if (outcome === undefined || testCase.outcomes.length > 1) continue;
      const wrong: Outcome[] = others[outcome.state].map((state) => ({ ...outcome, state }));
      if (outcome.messages !== 'any') wrong.push({ ...outcome, messages: [...(outcome.messages ?? []), { text: 'another' }] });
      if (outcome.pongRule !== 'any') wrong.push({ ...outcome, pongs: [...(outcome.pongs ?? []), 'ff'] });
      if (outcome.codes !== undefined) wrong.push({ ...outcome, codes: [1011] });
      if (outcome.reply !== undefined && outcome.reply !== null) wrong.push({ ...outcome, reply: [4242] });
      if (outcome.reports !== undefined) wrong.push({ ...outcome, reports: { ...outcome.reports, reason: 'another' } });
      if (outcome.by !== undefined) wrong.push({ ...outcome, by: outcome.by - 1 });
      for (const [index, other] of wrong.entries()) {
        if (runFrameCase({ ...testCase, outcomes: [other] }, [], whole) === null)
          taken.push(`${testCase.id} ${index} ${JSON.stringify(other)}`);
      }
    }
    expect(taken).toEqual([]);
  }, 120_000);

  for (const mode of ['pull', 'push'] as const) {
    for (const delivery of ['message', 'chunk', 'span'] as const) {
      for (const [input, chop] of [
        ['shared', 3],
        ['reused', null],
        ['transferred', 7],
      ] as const) {
        // biome-ignore format: a table
        it(`${mode}, ${delivery}, ${input} input, ${chop === null ? 'whole' : `${chop} bytes at a time`}`, () => {
          expect(failures(judged, { mode, delivery, input, chop })).toEqual([]);
        }, 120_000);
      }
    }
  }
});
