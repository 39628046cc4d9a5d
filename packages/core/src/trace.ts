/**
 * The readable wire log (`ConnectionOptions.onTrace`): one line per frame, state change and deadline.
 *
 * Lines look like `< TEXT 'hi' [2 bytes]`: `<` received, `>` queued for sending. Text and reasons are quoted and escaped, binary is shown in
 * hex, and both are cut after a few bytes, so a log never grows with the size of a message. A compressed frame shows what is on the wire.
 */
import type { Clock, Millis } from './common.ts';
import { decodeUtf8 } from './utf8.ts';

/** The frame behind a line. */
export interface TraceFrame {
  readonly fin: boolean;
  /** RSV1 = 4, RSV2 = 2, RSV3 = 1. */
  readonly rsv: number;
  readonly opcode: number;
  readonly masked: boolean;
  /** Big-endian uint32; 0 when not masked. */
  readonly maskKey: number;
  /** Of the payload, in bytes. */
  readonly length: number;
  /** Extra bytes that the length took: 0, 2 or 8. */
  readonly lengthBytes: 0 | 2 | 8;
  /** Up to 125 bytes of the payload, unmasked. */
  readonly preview: Uint8Array;
}

export interface TraceEntry {
  readonly direction: 'in' | 'out' | 'state' | 'timer';
  /** For people: its form may change. */
  readonly text: string;
  readonly at: Millis;
  /** Present for frames. */
  readonly frame?: TraceFrame;
}

export const PREVIEW_SIZE = 125;
const SHOWN_BYTES = 32;
const NAMES = ['CONT', 'TEXT', 'BINARY', '3', '4', '5', '6', '7', 'CLOSE', 'PING', 'PONG'];

export class Tracer {
  readonly #onTrace: (entry: TraceEntry) => void;
  readonly #clock: Clock;
  /** What the application threw and was not told yet; the first, where there are several. */
  #late: { readonly error: unknown } | null = null;

  constructor(onTrace: (entry: TraceEntry) => void, clock: Clock) {
    this.#onTrace = onTrace;
    this.#clock = clock;
  }
  note(direction: 'state' | 'timer', text: string): void {
    this.#tell({ direction, text, at: this.#clock() });
  }
  /** `problem`: the rule that the frame broke, when it was refused. */
  frame(direction: 'in' | 'out', frame: TraceFrame, problem?: string): void {
    const arrow = direction === 'in' ? '<' : '>';
    const text = problem === undefined ? describeFrame(frame) : `${describeHeader(frame)} refused: ${problem}`;
    this.#tell({ direction, text: `${arrow} ${text}`, at: this.#clock(), frame });
  }
  /** A trace that throws must not stop what it tells of: the error waits for the end of the call. */
  #tell(entry: TraceEntry): void {
    try {
      this.#onTrace(entry);
    } catch (error) {
      this.#late ??= { error };
    }
  }
  throwLate(): void {
    const late = this.#late;
    if (late === null) return;
    this.#late = null;
    throw late.error;
  }
}

function nameOf(opcode: number): string {
  return NAMES[opcode] ?? `OPCODE ${opcode}`;
}

function details(frame: TraceFrame): string {
  const notes = [frame.length < 0 ? 'length unknown' : `${frame.length} ${frame.length === 1 ? 'byte' : 'bytes'}`];
  if (!frame.fin) notes.push('continued');
  for (const [bit, name] of [
    [4, 'rsv1'],
    [2, 'rsv2'],
    [1, 'rsv3'],
  ] as const)
    if ((frame.rsv & bit) !== 0) notes.push(name);
  return `[${notes.join(', ')}]`;
}

function describeHeader(frame: TraceFrame): string {
  return `${nameOf(frame.opcode)} ${details(frame)}`;
}

function describeFrame(frame: TraceFrame): string {
  const { opcode, preview } = frame;
  const parts = [nameOf(opcode)];
  if (opcode === 8 && preview.length >= 2) {
    parts.push(String(((preview[0] as number) << 8) | (preview[1] as number)));
    if (preview.length > 2) parts.push(quote(preview.subarray(2), false));
  } else if (preview.length > 0) {
    const shown = preview.subarray(0, SHOWN_BYTES);
    const more = preview.length > SHOWN_BYTES;
    parts.push(opcode === 1 && frame.rsv === 0 ? quote(shown, more) : hex(shown, more));
  }
  parts.push(details(frame));
  return parts.join(' ');
}

/** A cut may fall into a code point: up to three bytes at the end are left out of the quotation. */
function quote(bytes: Uint8Array, more: boolean): string {
  for (let size = bytes.length; size > 0 && size >= bytes.length - 3; size--) {
    const text = decodeUtf8(bytes, 0, size);
    if (text === null) continue;
    const escaped = text.replace(/[\\'\p{C}\p{Zl}\p{Zp}]/gu, (unit) => (unit === "'" || unit === '\\' ? `\\${unit}` : escapePoint(unit)));
    return `'${escaped}${more || size < bytes.length ? '…' : ''}'`;
  }
  return hex(bytes, more);
}

function escapePoint(unit: string): string {
  if (unit === '\n') return '\\n';
  if (unit === '\r') return '\\r';
  if (unit === '\t') return '\\t';
  return `\\u{${(unit.codePointAt(0) as number).toString(16)}}`;
}

function hex(bytes: Uint8Array, more: boolean): string {
  const text = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return more ? `${text} …` : text;
}
