/**
 * Words for writing cases down in tables: frames, messages, waits, and the two ways a connection may end.
 */
import type { MessageKind } from '@ferrywire/core';
import type { Case, CaseEvent, CaseLimit, CloseExpectation, Expectation, Step } from '../case.ts';
import { empty, type Payload, utf8 } from '../payload.ts';

export interface FrameOptions {
  readonly fin?: boolean;
  readonly rsv?: number;
  readonly chop?: number;
  readonly ownWrite?: boolean;
  readonly claim?: number | bigint;
  readonly lengthBytes?: 0 | 2 | 8;
  readonly masked?: boolean;
}

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

export function frame(opcode: number, payload: Payload | string = empty, options: FrameOptions = {}): Step {
  const { fin = true, rsv = 0, chop = null, ownWrite = false, ...overrides } = options;
  return { do: 'frame', opcode, fin, rsv, payload: typeof payload === 'string' ? utf8(payload) : payload, chop, ownWrite, ...overrides };
}

/** A frame that leaves its message open. */
export function part(opcode: number, payload: Payload | string = empty, options: FrameOptions = {}): Step {
  return frame(opcode, payload, { ...options, fin: false });
}

export function message(kind: MessageKind, payload: Payload, fragment: number | null = null): Step {
  return { do: 'message', kind, payload, fragment };
}

export function close(code: number | null, reason: Payload | string = empty): Step {
  return { do: 'close', code, reason: typeof reason === 'string' ? utf8(reason) : reason };
}

export function pause(seconds: number, tag: string | null = null): Step {
  return { do: 'pause', ms: seconds * 1000, tag };
}

export function awaits(what: 'message' | 'pong' | 'close' | 'end' | 'silence', seconds = 1): Step {
  return { do: 'await', what, ms: seconds * 1000 };
}

export function raw(payload: Payload, chop: number | null = null): Step {
  return { do: 'raw', payload, chop };
}

export function echoOf(kind: MessageKind, payload: Payload | string): CaseEvent {
  return { type: 'message', kind, payload: typeof payload === 'string' ? utf8(payload) : payload };
}

export function pongOf(payload: Payload | string): CaseEvent {
  return { type: 'pong', payload: typeof payload === 'string' ? utf8(payload) : payload };
}

export function stillOpen(tag: string): CaseEvent {
  return { type: 'stillOpen', tag };
}

export function ok(...events: CaseEvent[]): readonly Expectation[] {
  return [{ grade: 'OK', events }];
}

/** The harness closes normally, and both close frames and the server's transport end are needed. */
export const cleanClose: CloseExpectation = {
  startedBy: 'harness',
  codes: [1000],
  clean: true,
  strictSide: false,
  strictCode: false,
  frameless: false,
};

/** The subject has to fail the connection. */
export function failsWith(...codes: number[]): CloseExpectation {
  return { startedBy: 'subject', codes, clean: false, strictSide: false, strictCode: false, frameless: false };
}

export function failAfter(seconds: number): CaseLimit {
  return { ms: seconds * 1000, action: 'fail' };
}

export function closeAfter(seconds: number): CaseLimit {
  return { ms: seconds * 1000, action: 'close' };
}

export type CaseInit = Pick<Case, 'id' | 'title' | 'sections' | 'steps' | 'expect'> & Partial<Case>;

/** Fills in what most cases share: a clean close started by the harness, and a second to get there. */
export function defineCase(init: CaseInit): Case {
  return {
    close: cleanClose,
    limit: failAfter(1),
    autoClose: true,
    schedulingOnly: false,
    deflate: null,
    onlyFor: null,
    opening: null,
    maxMessageSize: null,
    inProcessOnly: false,
    recommended: false,
    ...init,
  };
}
