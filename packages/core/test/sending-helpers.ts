/**
 * What the suites of sending, closing and timers share beyond `connection-helpers.ts`: messages put together from frames, misuse caught, and
 * extensions whose transforms do as a test says.
 */
import { createHash } from 'node:crypto';
import type { Extension, InboundTransform, MessageKind, OutboundTransform, Role, TransformOutput, TransformStatus } from '@ferrywire/core';
import type { ParsedFrame } from '@ferrywire/core/frame';
import { concat, type Harness } from './connection-helpers.ts';

export const roles: readonly Role[] = ['server', 'client'];

export interface SentMessage {
  readonly kind: MessageKind;
  readonly rsv: number;
  readonly frames: number;
  readonly payload: Uint8Array;
}

/**
 * The messages in `frames`, control frames left out. Throws for frames that RFC 6455 section 5.4 forbids and for RSV bits on a continuation
 * or a control frame; a message that has not ended is an error too, unless `open`.
 */
export function sentMessages(frames: readonly ParsedFrame[], open = false): SentMessage[] {
  const messages: SentMessage[] = [];
  let parts: ParsedFrame[] = [];
  for (const frame of frames) {
    const { opcode, fin, rsv } = frame.header;
    if (opcode >= 8 || opcode === 0) {
      if (rsv !== 0) throw new Error(`RSV bits ${rsv} on opcode ${opcode}`);
    }
    if (opcode >= 8) continue;
    if ((opcode === 0) !== parts.length > 0) throw new Error(`opcode ${opcode} after ${parts.length} frames of a message`);
    parts.push(frame);
    if (!fin) continue;
    const first = parts[0] as ParsedFrame;
    messages.push({
      kind: first.header.opcode === 1 ? 'text' : 'binary',
      rsv: first.header.rsv,
      frames: parts.length,
      payload: concat(...parts.map(({ payload }) => payload)),
    });
    parts = [];
  }
  if (parts.length > 0 && !open) throw new Error('a message without an end');
  return messages;
}

/** Stands for the bytes in an expectation: comparing large arrays element by element takes seconds. */
export function digest(bytes: Uint8Array): string {
  return `${bytes.length} bytes ${createHash('sha1').update(bytes).digest('hex')}`;
}

/** Turns that one `drained` may take. */
const MOST_TURNS = 1000;

/** The frames of this turn and of those that a step budget has put off. */
export function drained(harness: Harness): ParsedFrame[] {
  const frames = harness.frames();
  for (let turn = 0; (harness.connection.nextTimeout() ?? Number.POSITIVE_INFINITY) <= harness.now; turn++) {
    if (turn > MOST_TURNS) throw new Error('turns without end');
    harness.connection.handleTimeout();
    frames.push(...harness.frames());
  }
  return frames;
}

export interface Thrown {
  readonly name: string;
  readonly code: unknown;
  readonly message: string;
}

/** What `act` throws. It must throw. */
export function thrownBy(act: () => unknown): Thrown {
  try {
    act();
  } catch (error) {
    if (!(error instanceof Error)) throw new Error(`not an Error: ${String(error)}`);
    return { name: error.name, code: 'code' in error ? error.code : undefined, message: error.message };
  }
  throw new Error('nothing was thrown');
}

/** A value of the wrong type, as a caller without types would pass it. */
export function wrong<T>(value: unknown): T {
  return value as T;
}

export interface DoublingOptions {
  readonly name?: string;
  readonly rsv?: number;
  /** Bytes of input taken in one step at most. Default: as many as there is room for. */
  readonly step?: number;
  readonly cacheKey?: string | null;
  /** Which messages are transformed. Default: all. */
  readonly wants?: (kind: MessageKind, size: number | null, compress: boolean | undefined) => boolean;
  /** Each message waits for `release()` before its first byte. */
  readonly waits?: boolean;
}
export interface DoublingExtension extends Extension {
  /** What `begin` was told, in order. */
  readonly begun: { readonly kind: MessageKind; readonly size: number | null; readonly compress: boolean | undefined }[];
  /** Calls of `push`. */
  readonly pushes: number;
  readonly disposals: number;
  readonly roles: readonly Role[];
  /** The work that was pending is done; the host still has to say so (`ready` or `wake`). */
  release(): void;
  ready(): void;
}

/** What the doubling transform makes of a message: every byte twice, and 0xEE at the end. */
export function doubled(payload: Uint8Array): Uint8Array {
  const result = new Uint8Array(payload.length * 2 + 1);
  for (let at = 0; at < payload.length; at++) {
    const byte = payload[at] as number;
    result[2 * at] = byte;
    result[2 * at + 1] = byte;
  }
  result[payload.length * 2] = 0xee;
  return result;
}

/** An extension whose outbound transform doubles every byte in steps; inbound it takes no part. */
export function doubling(options: DoublingOptions = {}): DoublingExtension {
  const { name = 'x-doubling', rsv = 4, step = Number.POSITIVE_INFINITY, cacheKey = null, wants = () => true, waits = false } = options;
  const begun: DoublingExtension['begun'] = [];
  const seenRoles: Role[] = [];
  const state = { pushes: 0, disposals: 0, pending: false, ready: (): void => {} };
  const pairs = new Uint8Array(65_536);
  const outbound: OutboundTransform = {
    cacheKey,
    begin(kind, size, compress) {
      begun.push({ kind, size, compress });
      const taken = wants(kind, size, compress);
      state.pending = taken && waits;
      return taken ? rsv : 0;
    },
    push(input: Uint8Array, start: number, end: number, fin: boolean, out: TransformOutput): { consumed: number; status: TransformStatus } {
      state.pushes++;
      if (state.pending) return { consumed: 0, status: 'pending' };
      const consumed = Math.min(end - start, step, out.room >> 1, pairs.length >> 1);
      for (let at = 0; at < consumed; at++) pairs.fill(input[start + at] as number, 2 * at, 2 * at + 2);
      out.write(pairs, 0, 2 * consumed);
      if (start + consumed < end) return { consumed, status: 'more' };
      if (!fin) return { consumed, status: 'need' };
      if (out.room < 1) return { consumed, status: 'more' };
      out.write(Uint8Array.of(0xee), 0, 1);
      return { consumed, status: 'need' };
    },
  };
  const inbound: InboundTransform = {
    begin: () => false,
    push: (_input, start, end) => ({ consumed: end - start, status: 'need' }),
    finish: () => 'need',
  };
  return {
    name,
    rsv,
    begun,
    roles: seenRoles,
    get pushes() {
      return state.pushes;
    },
    get disposals() {
      return state.disposals;
    },
    inbound: () => inbound,
    outbound(role, ready) {
      seenRoles.push(role);
      state.ready = ready;
      return outbound;
    },
    dispose() {
      state.disposals++;
    },
    release() {
      state.pending = false;
    },
    ready: () => state.ready(),
  };
}
