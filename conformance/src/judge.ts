/**
 * Verdicts from what a connection did. Behaviour and close follow the rules of the Autobahn suite, so that its recorded verdicts can be
 * compared; the verdict adds what that suite can't see: a case is only OK when its connection ended well.
 */
import { Buffer } from 'node:buffer';
import type { MessageKind, Role } from '@ferrywire/core';
import type { Case, CaseEvent, CloseVerdict, Expectation, Verdict } from './case.ts';
import type { Breach } from './decoder.ts';
import { bytesOf, describePayload, previewOf } from './payload.ts';
import type { CaseResult } from './result.ts';

export type SeenEvent =
  | { readonly type: 'message'; readonly kind: MessageKind; readonly data: Uint8Array }
  | { readonly type: 'pong'; readonly data: Uint8Array }
  | { readonly type: 'stillOpen'; readonly tag: string };

/** All that the runner saw of one connection. */
export interface Record {
  readonly events: readonly SeenEvent[];
  /** The harness sent its close frame before it had one from the subject. */
  closedByHarness: boolean;
  /** Both close frames were exchanged. */
  clean: boolean;
  /** The harness had to drop the transport, since the subject did not end it in time. */
  droppedByHarness: boolean;
  remoteCode: number | null;
  remoteReason: string;
  gotClose: boolean;
  breach: Breach | null;
  /** permessage-deflate was needed and not agreed. */
  unimplemented: boolean;
  /** The first thing in the course of the case that went wrong by itself: a time limit, an echo that differs. */
  fault: string | null;
  /** What an `await` did not get, or what came after an exchange: the case fails, whatever came besides. */
  unmet: string | null;
  exchanged: boolean;
  transportError: string | null;
  timed: boolean;
  /** Anything came from the subject before a limit ended the wait for it. */
  heard: boolean;
  duration: number;
}

function sameEvent(expected: CaseEvent, seen: SeenEvent): boolean {
  if (expected.type === 'stillOpen') return seen.type === 'stillOpen' && seen.tag === expected.tag;
  if (seen.type !== expected.type) return false;
  if (expected.type === 'message' && (seen.type !== 'message' || seen.kind !== expected.kind)) return false;
  if (seen.data.length !== expected.payload.size) return false;
  return Buffer.compare(seen.data, bytesOf(expected.payload)) === 0;
}

function sameEvents(expected: readonly CaseEvent[], seen: readonly SeenEvent[]): boolean {
  return expected.length === seen.length && expected.every((event, i) => sameEvent(event, seen[i] as SeenEvent)); // equal lengths
}

/** What is still to come of the events when pongs may be missing, but not the last; null when they are not what has been seen. */
function sparing(events: readonly CaseEvent[], seen: readonly SeenEvent[]): readonly CaseEvent[] | null {
  const lastPong = events.map(({ type }) => type).lastIndexOf('pong');
  let next = 0;
  for (const event of seen) {
    for (let expected = events[next]; expected === undefined || !sameEvent(expected, event); expected = events[next]) {
      if (expected?.type !== 'pong' || next === lastPong) return null;
      next++;
    }
    next++;
  }
  return events.slice(next);
}

/** Whether what has been seen is what is expected. */
export function fulfils({ events, sparesPongs }: Expectation, seen: readonly SeenEvent[]): boolean {
  return sparesPongs === true ? sparing(events, seen)?.length === 0 : sameEvents(events, seen);
}

/** Whether what has been seen is how what is expected begins. */
export function mayBecome({ events, sparesPongs }: Expectation, seen: readonly SeenEvent[]): boolean {
  return sparesPongs === true ? sparing(events, seen) !== null : sameEvents(events.slice(0, seen.length), seen);
}

function describeExpected(event: CaseEvent): string {
  if (event.type === 'stillOpen') return `still open after wait ${event.tag}`;
  return `${event.type === 'message' ? event.kind : 'pong'} ${describePayload(event.payload)}`;
}

function describeSeen(event: SeenEvent): string {
  if (event.type === 'stillOpen') return `still open after wait ${event.tag}`;
  return `${event.type === 'message' ? event.kind : 'pong'} ${previewOf(event.data)}`;
}

function list(items: readonly string[]): string {
  if (items.length > 4) return `${items.slice(0, 3).join(', ')}, ... ${items.length} in all`;
  return items.length === 0 ? 'nothing' : items.join(', ');
}

function matching(expectations: readonly Expectation[], seen: readonly SeenEvent[]): Expectation | null {
  return expectations.find((expectation) => fulfils(expectation, seen)) ?? null;
}

interface Graded<T> {
  readonly verdict: T;
  readonly reason: string | null;
}

function judgeBehaviour(test: Case, record: Record): Graded<Verdict> {
  if (record.unimplemented) return { verdict: 'UNIMPLEMENTED', reason: 'permessage-deflate with these parameters was not agreed' };
  if (test.expect === 'informational') return { verdict: 'INFORMATIONAL', reason: 'graded for information only' };
  if (record.breach !== null) return { verdict: 'FAILED', reason: `${record.breach.message} (${record.breach.section})` };
  if (test.expect === 'exchange') {
    return record.exchanged && record.unmet === null
      ? { verdict: 'OK', reason: null }
      : { verdict: 'FAILED', reason: record.unmet ?? record.fault ?? `not every message came back${ending(record)}` };
  }
  const found = matching(test.expect, record.events);
  if (found === null) {
    const whole = test.expect.filter(({ sparesPongs }) => sparesPongs !== true);
    const wanted = whole.map((expectation) => list(expectation.events.map(describeExpected))).join(', or ');
    return { verdict: 'FAILED', reason: `expected ${wanted}; got ${list(record.events.map(describeSeen))}${ending(record)}` };
  }
  if (record.unmet !== null) return { verdict: 'FAILED', reason: record.unmet };
  if (found.grade === 'OK' || test.schedulingOnly) return { verdict: 'OK', reason: null };
  const seen = record.events.length === 0 ? '' : `: ${list(record.events.map(describeSeen))}`;
  return { verdict: found.grade, reason: `allowed, but ${shortcoming(test, found)}${seen}` };
}

function shortcoming(test: Case, { events, sparesPongs }: Expectation): string {
  const [best] = typeof test.expect === 'string' ? [] : test.expect;
  if (sparesPongs === true || pongsIn(best?.events ?? []) > pongsIn(events)) return 'not every ping was answered';
  if (test.opening?.pipelined === true && events.length === 0) return 'what came with the request was lost';
  return test.recommended || test.opening?.preferred === 'refused' ? 'not refused' : 'late';
}

function pongsIn(events: readonly CaseEvent[]): number {
  return events.filter(({ type }) => type === 'pong').length;
}

/** How it came to that, where it is known. */
function ending(record: Record): string {
  if (record.gotClose && !record.closedByHarness) {
    const reason = record.remoteReason === '' ? '' : ` '${record.remoteReason}'`;
    return `; the subject closed with ${record.remoteCode ?? 'no code'}${reason}`;
  }
  if (record.fault !== null) return `; ${record.fault}`;
  return record.gotClose || record.transportError === null ? '' : `; ${record.transportError}`;
}

/** @param taken what the subject could have refused, so that the end is the harness's to start */
function judgeClose(test: Case, record: Record, role: Role, taken: boolean): Graded<CloseVerdict> {
  if (test.expect === 'informational') return { verdict: 'INFORMATIONAL', reason: 'graded for information only' };
  if (record.unimplemented) return { verdict: 'OK', reason: null };
  const { startedBy, clean, codes } = test.close;
  if (record.breach !== null) return { verdict: 'FAILED', reason: record.breach.message };
  if (taken && record.closedByHarness) return { verdict: 'OK', reason: null };
  if (record.closedByHarness !== (startedBy === 'harness')) {
    const what = record.closedByHarness ? 'the subject did not fail the connection' : `the subject ended the connection${ending(record)}`;
    return { verdict: 'FAILED', reason: what };
  }
  if (clean && !record.clean) {
    const what = record.gotClose ? 'the subject did not end the transport in time' : 'no close frame came back';
    return { verdict: 'UNCLEAN', reason: what };
  }
  if (record.remoteCode !== null && !codes.includes(record.remoteCode) && !refuses(test, record) && !differs(test, record)) {
    return {
      verdict: 'WRONG CODE',
      reason: `close code ${record.remoteCode}, right ${codes.length > 1 ? 'are' : 'is'} ${codes.join(', ')}`,
    };
  }
  if (role === 'server' && record.droppedByHarness) {
    return { verdict: 'FAILED BY CLIENT', reason: 'the server did not end the transport in time' };
  }
  return { verdict: 'OK', reason: null };
}

function refuses({ close: { mayRefuse } }: Case, { remoteCode }: Record): boolean {
  return mayRefuse === true && remoteCode === protocolError;
}

/** The code is not the one that is meant for it, and allowed all the same. */
function differs({ close: { codes, othersBut } }: Case, { remoteCode }: Record): boolean {
  if (othersBut === undefined || remoteCode === null || codes.includes(remoteCode) || othersBut.includes(remoteCode)) return false;
  return (
    (remoteCode >= 1000 && remoteCode <= 1014 && ![1004, 1005, 1006].includes(remoteCode)) || (remoteCode >= 3000 && remoteCode <= 4999)
  );
}

const protocolError = 1002;
const dropped = 'the transport was dropped without a close frame (RFC 6455 7.1.7)';

/** @param role the subject's */
export function judge(test: Case, record: Record, role: Role): CaseResult {
  let behaviour = judgeBehaviour(test, record);
  const end = judgeClose(test, record, role, test.recommended && behaviour.verdict === 'NON-STRICT');
  const sideCounts = test.close.strictSide && end.verdict === 'FAILED';
  const codeCounts = test.close.strictCode && end.verdict === 'WRONG CODE';
  if ((sideCounts || codeCounts) && behaviour.verdict !== 'INFORMATIONAL') {
    // What would have been allowed by itself is no reason to fail.
    behaviour = { verdict: 'FAILED', reason: behaviour.verdict === 'FAILED' ? behaviour.reason : end.reason };
  }
  let verdict = behaviour.verdict;
  let reason = behaviour.reason;
  if (end.verdict !== 'OK' && end.verdict !== 'INFORMATIONAL' && verdict !== 'INFORMATIONAL') {
    reason = verdict === 'FAILED' && reason !== null ? reason : `closing ${end.verdict}: ${end.reason ?? ''}`;
    verdict = 'FAILED';
  }
  if (verdict !== 'FAILED' && verdict !== 'INFORMATIONAL' && record.droppedByHarness) {
    // The original suite lets a silent client pass where no clean close is asked for, and any peer that agreed to no compression.
    verdict = 'FAILED';
    reason = 'the subject did not answer the close frame, nor end the transport (RFC 6455 5.5.1)';
  }
  if (verdict === 'OK' && test.close.startedBy === 'subject' && !test.close.frameless && !record.gotClose) {
    verdict = 'NON-STRICT';
    reason = dropped;
  }
  if (verdict === 'OK' && refuses(test, record)) {
    verdict = 'NON-STRICT';
    reason = 'the code was refused with 1002 (RFC 6455 7.4.2)';
  }
  if (verdict === 'OK' && differs(test, record)) {
    verdict = 'NON-STRICT';
    reason = `allowed, but closed with ${record.remoteCode}; fitting: ${test.close.codes.join(', ')}`;
  }
  if (test.recommended && behaviour.verdict === 'OK' && end.verdict === 'WRONG CODE') verdict = 'NON-STRICT';
  return {
    id: test.id,
    title: test.title,
    sections: test.sections,
    role,
    verdict,
    behavior: behaviour.verdict,
    behaviorClose: end.verdict,
    remoteCloseCode: record.remoteCode,
    reason,
    duration: Math.round(record.duration),
    timed: record.timed,
    silent: record.timed && !record.heard,
  };
}

/** A case that never got to its frames; `silent` says that no answer came. */
export function handshakeFailed(test: Case, role: Role, reason: string, duration: number, silent: boolean): CaseResult {
  return failed(test, role, `opening handshake: ${reason} (RFC 6455 4.1)`, duration, silent);
}

/** A subject in process that threw. */
export function crashed(test: Case, role: Role, reason: string): CaseResult {
  return failed(test, role, `the subject threw ${reason}`, 0, false);
}

function failed(test: Case, role: Role, reason: string, duration: number, silent: boolean): CaseResult {
  const { id, title, sections } = test;
  const verdicts = { verdict: 'FAILED', behavior: 'FAILED', behaviorClose: 'FAILED' } as const;
  return { id, title, sections, role, ...verdicts, remoteCloseCode: null, reason, duration: Math.round(duration), timed: false, silent };
}
