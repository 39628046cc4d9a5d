/**
 * What a script of frames must lead to, by the plainest reading of RFC 6455: frame by frame, byte by byte, with nothing of the core.
 *
 * The result is independent of how the bytes are split: `events` are as `joined` makes them, and `replies` the frames that answer.
 */
import type { Delivery, EndInfo, MessageKind, Role, ViolationCode } from '@ferrywire/core';
import type { FrameInit } from '@ferrywire/core/frame';
import type { Seen } from './connection-helpers.ts';
import { concat, utf8 } from './connection-helpers.ts';

export interface ScriptFrame extends FrameInit {
  readonly payload: Uint8Array;
  readonly masked: boolean;
}
export interface Script {
  readonly role: Role;
  readonly frames: readonly ScriptFrame[];
}
export interface ModelLimits {
  readonly maxMessageSize: number;
  readonly maxFragments: number;
}
export interface Outcome {
  /** Without the end event. */
  readonly events: readonly Seen[];
  /** Pongs in hex, and the close frame as `describeFrame` writes it; the reason of a failure is left out. */
  readonly replies: readonly string[];
  /** After EOF; `cause` by code only. */
  readonly end: Omit<EndInfo, 'cause' | 'sent'> & { readonly cause: ViolationCode | null; readonly sentCode: number | null };
  /** (state, input) pairs that were met. */
  readonly met: ReadonlySet<string>;
}

const CLOSE_CODES: Partial<Record<ViolationCode, number>> = {
  WS_INVALID_UTF8: 1007,
  WS_MESSAGE_TOO_BIG: 1009,
  WS_TOO_MANY_FRAGMENTS: 1008,
};

/** How many bytes at the start of `bytes` can be the start of UTF-8: all, or up to the first that cannot be. */
function validPrefix(bytes: Uint8Array): number {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  for (let at = 0; at < bytes.length; at++) {
    try {
      decoder.decode(bytes.subarray(at, at + 1), { stream: true });
    } catch {
      return at;
    }
  }
  return bytes.length;
}
function isText(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}
/** The whole code points at the start of valid bytes. */
function wholePoints(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true });
}

function headerBreach(frame: ScriptFrame, role: Role, open: boolean, left: number): ViolationCode | null {
  const { opcode, payload, masked, fin = true, rsv = 0 } = frame;
  const control = opcode >= 8;
  if (![0, 1, 2, 8, 9, 10].includes(opcode)) return 'WS_INVALID_OPCODE';
  if (rsv !== 0) return 'WS_RESERVED_BITS';
  if (control && !fin) return 'WS_CONTROL_FRAGMENTED';
  if (opcode === 0 && !open) return 'WS_UNEXPECTED_CONTINUATION';
  if ((opcode === 1 || opcode === 2) && open) return 'WS_EXPECTED_CONTINUATION';
  if (role === 'server' && !masked) return 'WS_MASK_REQUIRED';
  if (role === 'client' && masked) return 'WS_MASK_FORBIDDEN';
  const minimal = payload.length < 126 ? 0 : payload.length < 65_536 ? 2 : 8;
  const form = frame.lengthBytes ?? minimal;
  if (control && form !== 0) return 'WS_CONTROL_TOO_LONG';
  if (form !== minimal) return 'WS_LENGTH_NOT_MINIMAL';
  if (!control && payload.length > left) return 'WS_MESSAGE_TOO_BIG';
  return null;
}

function closeBreach(payload: Uint8Array): ViolationCode | null {
  if (payload.length === 0) return null;
  if (payload.length === 1) return 'WS_CLOSE_PAYLOAD';
  const code = ((payload[0] as number) << 8) | (payload[1] as number);
  const legal = (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);
  if (!legal) return 'WS_CLOSE_CODE';
  return isText(payload.subarray(2)) ? null : 'WS_INVALID_UTF8';
}

export function model({ role, frames }: Script, delivery: Delivery, limits: ModelLimits): Outcome {
  const events: Seen[] = [];
  const replies: string[] = [];
  const met = new Set<string>();
  let kind: MessageKind | null = null;
  let size = 0;
  let count = 0;
  /** Message delivery: all of it. Else: what is not delivered yet. */
  let held: Uint8Array = new Uint8Array(0);
  let soFar: Uint8Array = new Uint8Array(0);
  let cause: ViolationCode | null = null;
  let received: EndInfo['received'] = null;

  const piece = (bytes: Uint8Array): void => {
    const last = events.at(-1);
    if (delivery === 'message') return;
    if (delivery === 'chunk' && kind === 'text') {
      held = concat(held, bytes);
      const text = wholePoints(held);
      held = held.slice(utf8(text).length);
      if (text === '') return;
      if (last?.type === 'textChunk') events[events.length - 1] = { type: 'textChunk', data: last.data + text };
      else events.push({ type: 'textChunk', data: text });
    } else if (bytes.length > 0) {
      if (last?.type === 'span') events[events.length - 1] = { type: 'span', data: concat(last.data, bytes) };
      else events.push({ type: 'span', data: bytes });
    }
  };

  for (const frame of frames) {
    const { opcode, payload, fin = true } = frame;
    const breach = headerBreach(frame, role, kind !== null, limits.maxMessageSize - size);
    met.add(`${kind ?? 'idle'}: ${breach ?? `${opcode}${fin ? '' : '...'}`}`);
    cause = breach;
    if (cause === null && opcode >= 8) {
      if (opcode === 9) {
        events.push({ type: 'ping', data: payload });
        replies.push(`PONG ${Buffer.from(payload).toString('hex')}`);
      } else if (opcode === 10) events.push({ type: 'pong', data: payload, latency: null });
      else {
        cause = closeBreach(payload);
        if (cause === null) {
          const code = payload.length === 0 ? 1005 : ((payload[0] as number) << 8) | (payload[1] as number);
          received = { code, reason: new TextDecoder('utf-8', { ignoreBOM: true }).decode(payload.subarray(2)) };
          events.push({ type: 'close', ...received });
          replies.push(`CLOSE${code === 1005 ? '' : ` ${code}`}${received.reason === '' ? '' : ` '${received.reason}'`}`);
        }
        met.add(`close: ${cause ?? 'legal'}`);
        if (received !== null) break;
      }
    } else if (cause === null) {
      if (opcode !== 0) {
        kind = opcode === 1 ? 'text' : 'binary';
        size = 0;
        count = 0;
        held = new Uint8Array(0);
        soFar = new Uint8Array(0);
      }
      count++;
      if (count > limits.maxFragments) cause = 'WS_TOO_MANY_FRAGMENTS';
      else {
        size += payload.length;
        const before = soFar;
        soFar = concat(soFar, payload);
        const valid = kind === 'text' ? validPrefix(soFar) : soFar.length;
        piece(soFar.slice(before.length, valid));
        if (valid < soFar.length) cause = 'WS_INVALID_UTF8';
        else if (fin) {
          if (kind === 'text' && !isText(soFar)) cause = 'WS_INVALID_UTF8';
          else {
            if (delivery !== 'message') events.push({ type: 'finish', kind: kind as MessageKind });
            else if (kind === 'text') events.push({ type: 'text', data: wholePoints(soFar) });
            else events.push({ type: 'binary', data: soFar });
            kind = null;
            size = 0;
          }
        }
      }
    }
    if (cause !== null) {
      met.add(`fails: ${cause}`);
      replies.push(`CLOSE ${CLOSE_CODES[cause] ?? 1002}`);
      break;
    }
  }

  const failed = cause !== null;
  const sentCode = failed ? (CLOSE_CODES[cause as ViolationCode] ?? 1002) : (received?.code ?? null);
  return {
    events,
    replies,
    end: {
      clean: received !== null,
      code: received?.code ?? 1006,
      reason: received?.reason ?? '',
      received,
      initiator: failed ? 'local' : received === null ? null : 'remote',
      cause: cause ?? (received === null ? 'WS_EOF' : null),
      sentCode,
    },
    met,
  };
}
