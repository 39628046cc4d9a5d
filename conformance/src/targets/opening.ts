/**
 * Cases about the opening handshake itself (RFC 6455 section 4): the harness's head is the case, and being refused may be what is right.
 */
import { Buffer } from 'node:buffer';
import type { Role } from '@ferrywire/core';
import type { Case, Verdict } from '../case.ts';
import { Encoder } from '../encoder.ts';
import { type Head, listOf } from '../handshake.ts';
import { bytesOf } from '../payload.ts';
import { seededNumbers, seedFor } from '../random.ts';
import type { CaseResult } from '../result.ts';

/** The harness's own lines, their placeholders filled in. What somebody has asked for besides may look like one, and stays as it is. */
export function filledIn(lines: readonly string[], values: Readonly<Record<string, string>>): string[] {
  return lines.map((line) => line.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole));
}

/** The head as bytes. */
export function headOf(lines: readonly string[]): Buffer {
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

/** The frames that go out with the head, and the case without them. */
export function pipelined(test: Case, role: Role, seed: number): { readonly early: Uint8Array; readonly rest: Case } {
  const encoder = new Encoder(role === 'server', seededNumbers(seedFor(seed, `${test.id} early`)));
  const frames = test.steps.flatMap((step) =>
    step.do === 'frame' ? [encoder.frame({ opcode: step.opcode, fin: step.fin, rsv: step.rsv, payload: bytesOf(step.payload) })] : [],
  );
  return { early: Buffer.concat(frames), rest: { ...test, steps: [] } };
}

function verdict(test: Case, role: Role, grade: Verdict, reason: string | null, duration: number): CaseResult {
  const { id, title, sections } = test;
  const behaviorClose = grade === 'FAILED' ? 'FAILED' : 'OK';
  return {
    id,
    title,
    sections,
    role,
    verdict: grade,
    behavior: grade,
    behaviorClose,
    remoteCloseCode: null,
    reason,
    duration: Math.round(duration),
    timed: false,
    silent: false,
  };
}

/**
 * What a server's answer to a head that it has to refuse is worth. `status` is null where it only ended the transport.
 * @param versions the Sec-WebSocket-Version of the answer
 */
export function judgeRefusal(test: Case, status: number | null, duration: number, versions?: string): CaseResult {
  const right = test.opening?.statuses ?? [];
  if (status === null) {
    // With bytes behind the request there may be no response to give: nobody reads on.
    if (test.opening?.expect === 'either' && test.opening.pipelined) return verdict(test, 'server', 'OK', null, duration);
    return verdict(test, 'server', 'NON-STRICT', 'the transport ended without a response', duration);
  }
  if (test.opening?.preferred === 'accepted' && (status >= 400 || (status >= 200 && test.opening.ordinary === true))) {
    return verdict(test, 'server', 'NON-STRICT', `allowed, but refused with ${status}`, duration);
  }
  if (status >= 200 && status < 400 && test.opening?.ordinary === true) return verdict(test, 'server', 'OK', null, duration);
  if (status < 400) return verdict(test, 'server', 'FAILED', `answered with ${status} where the request has to be refused`, duration);
  if (right.length > 0 && !right.includes(status)) {
    return verdict(test, 'server', 'NON-STRICT', `refused with ${status}; fitting: ${right.join(', ')}`, duration);
  }
  if (test.opening?.namesVersion === true && !listOf(versions).includes('13')) {
    return verdict(test, 'server', 'NON-STRICT', 'refused without Sec-WebSocket-Version: 13 (RFC 6455 4.4)', duration);
  }
  return verdict(test, 'server', 'OK', null, duration);
}

/** The result of a connection to a server that has accepted it with this response. What it announces harms nobody who speaks WebSocket. */
export function judgeResponse(test: Case, head: Head | null, result: CaseResult): CaseResult {
  const wrong = ['Content-Length', 'Transfer-Encoding'].find((name) => head?.fields.has(name.toLowerCase()));
  if (test.opening?.noBody !== true || wrong === undefined || result.verdict !== 'OK') return result;
  const reason = `${wrong} in a response of 101 (RFC ${wrong === 'Content-Length' ? '9110 8.6' : '9112 6.1'})`;
  return { ...result, verdict: 'NON-STRICT', behavior: 'NON-STRICT', reason };
}

/** The result of a connection of a client whose key was also that of an earlier one, of whatever client: by chance it never is. */
export function judgeOldKey(test: Case, result: CaseResult): CaseResult {
  if (test.opening?.freshKey !== true || result.verdict === 'FAILED') return result;
  return { ...result, verdict: 'FAILED', behavior: 'FAILED', reason: 'the key of an earlier connection (RFC 6455 4.1)' };
}

/**
 * A client has to end a connection whose response is wrong, and send nothing more.
 * @param limit milliseconds after which it was not waited for any longer; null when it has ended the connection, or sent something
 */
export function judgeClient(test: Case, limit: number | null, bytes: number, duration: number): CaseResult {
  const timed = limit !== null;
  if (bytes > 0) return { ...verdict(test, 'client', 'FAILED', `${bytes} bytes came after a wrong response`, duration), timed };
  if (limit === null) return verdict(test, 'client', 'OK', null, duration);
  const reason = `the client did not end the connection within ${limit} ms of a wrong response`;
  return { ...verdict(test, 'client', 'FAILED', reason, duration), timed, silent: true };
}
