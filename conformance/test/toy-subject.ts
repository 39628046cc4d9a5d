/**
 * A small echo endpoint, right in every case of groups 1 to 10, with one switch per way of being wrong, or unusual. It shares no code with the
 * core, so it tests the harness and nothing else.
 */
import type { ConnectionEvent, Protocol, Role, TransportDirective } from '@ferrywire/core';
import type { InProcessTarget, Subject } from '../src/harness.ts';
import { firstInvalidUtf8 } from '../src/utf8.ts';

export type Fault =
  | 'silent'
  | 'accepts-everything'
  | 'echoes-invalid-codes'
  | 'drops-transport'
  | 'drops-instead-of-closing'
  | 'wrong-mask'
  | 'late'
  | 'late-utf8'
  | 'judges-whole-frames'
  | 'never-ends-transport'
  | 'pongs-empty'
  | 'reorders'
  | 'pongs-newest'
  | 'pongs-nothing'
  | 'wrong-bytes'
  | 'wrong-kind'
  | 'echoes-nothing'
  | 'echoes-twice'
  | 'knows-codes-of-the-rfc'
  | 'closes-with-1001'
  | 'closes-with-1006'
  | 'throws'
  | 'stuck'
  | 'answers-after-close'
  | 'non-minimal-length'
  | 'long-control-frame'
  | 'reserved-bit'
  | 'bad-text'
  | 'fragmented-pong';

const empty = new Uint8Array(0);
const key = [1, 2, 3, 4] as const;

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

function sendable(code: number): boolean {
  return (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);
}

interface Frame {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  readonly payload: Uint8Array;
}

class Toy implements Protocol {
  readonly #role: Role;
  readonly #fault: Fault | null;
  readonly #now: () => number;
  #input: Uint8Array = empty;
  #output: Uint8Array[] = [];
  #message: { readonly opcode: number; data: Uint8Array } | null = null;
  #closing = false;
  #held: { readonly due: number; readonly bytes: Uint8Array }[] = [];
  #checked = 0;
  transport: TransportDirective = 'open';
  readonly wantsRead: boolean = true;
  readonly bufferedAmount: number = 0;

  constructor(role: Role, fault: Fault | null, now: () => number) {
    this.#role = role;
    this.#fault = fault;
    this.#now = now;
  }

  receiveData(chunk: Uint8Array): void {
    if (this.#fault === 'silent' || this.#closing || this.transport !== 'open') return;
    if (this.#fault === 'throws') throw new Error('no\u001b[2J');
    this.#input = this.#input.length === 0 ? chunk : concat(this.#input, chunk);
    for (let frame = this.#parse(); frame !== null && !this.#closing && this.transport === 'open'; frame = this.#parse())
      this.#handle(frame);
  }

  receiveEof(): void {
    if (this.#fault === 'closes-with-1001') this.#send(8, Uint8Array.of(3, 233));
    if (this.#fault === 'closes-with-1006') this.#send(8, Uint8Array.of(3, 238));
    this.transport = 'done';
  }

  receiveError(): void {
    this.transport = 'abort';
  }

  handleTimeout(): void {
    const due = this.#held.filter((held) => held.due <= this.#now());
    this.#held = this.#held.filter((held) => held.due > this.#now());
    for (const { bytes } of due) this.#output.push(bytes);
  }

  takeOutput(): Uint8Array[] {
    const output = this.#output;
    this.#output = [];
    return output;
  }

  recycleOutput(): void {}

  nextTimeout(): number | null {
    if (this.#fault === 'stuck') return this.#now();
    return this.#held[0]?.due ?? null;
  }

  #parse(): Frame | null {
    const input = this.#input;
    const [first, second] = input;
    if (first === undefined || second === undefined) return null;
    const header = { fin: first >= 128, rsv: (first >> 4) & 7, opcode: first & 15 };
    const short = second & 127;
    const masked = second >= 128;
    const bad =
      this.#fault !== 'accepts-everything' &&
      (header.rsv !== 0 ||
        (header.opcode > 2 && header.opcode < 8) ||
        header.opcode > 10 ||
        (header.opcode >= 8 && (!header.fin || short > 125)) ||
        (header.opcode === 0 && this.#message === null) ||
        ((header.opcode === 1 || header.opcode === 2) && this.#message !== null));
    if (bad && this.#fault !== 'judges-whole-frames') {
      this.#fail(1002);
      return null;
    }
    const extra = short === 127 ? 8 : short === 126 ? 2 : 0;
    const start = 2 + extra + (masked ? 4 : 0);
    if (input.length < start) return null;
    const view = new DataView(input.buffer, input.byteOffset, input.length);
    const length = extra === 0 ? short : extra === 2 ? view.getUint16(2) : Number(view.getBigUint64(2));
    const payload = input.slice(start, start + length);
    if (masked) for (let i = 0; i < payload.length; i += 1) payload[i] = (payload[i] as number) ^ (input[start - 4 + (i & 3)] as number);
    if (!this.#textSoFar(header.opcode, payload, payload.length === length && header.fin)) return null;
    if (payload.length < length) return null;
    if (bad) {
      this.#fail(1002);
      return null;
    }
    this.#input = input.subarray(start + length);
    return { ...header, payload };
  }

  /** Fail fast, at the first byte that can't be UTF-8, even inside a frame. Checks again only when bytes have come. */
  #textSoFar(opcode: number, payload: Uint8Array, last: boolean): boolean {
    if (opcode >= 8 || this.#fault === 'accepts-everything' || (this.#fault === 'late-utf8' && !last)) return true;
    const kind = this.#message?.opcode ?? opcode;
    const total = (this.#message?.data.length ?? 0) + payload.length;
    if (kind !== 1 || (total === this.#checked && !last)) return true;
    if (total > 100_000 && !last) return true;
    this.#checked = total;
    const text = this.#message === null ? payload : concat(this.#message.data, payload);
    const bad = firstInvalidUtf8(text);
    if (bad === -1 || (bad === text.length && !last && stillPossible(text))) return true;
    this.#fail(1007);
    return false;
  }

  #handle({ fin, opcode, payload }: Frame): void {
    if (opcode === 8) this.#onClose(payload);
    else if (opcode === 9 && this.#fault === 'pongs-nothing') return;
    else if (opcode === 9) this.#send(10, this.#fault === 'pongs-empty' ? empty : payload);
    else if (opcode < 8 && opcode !== 10) {
      const message = this.#message ?? { opcode: opcode === 0 ? 2 : opcode, data: empty };
      message.data = concat(message.data, payload);
      this.#message = fin ? null : message;
      if (fin) this.#echo(message.opcode, message.data);
    }
  }

  #echo(opcode: number, data: Uint8Array): void {
    this.#checked = 0;
    if (this.#fault === 'echoes-nothing') return;
    if (this.#fault === 'wrong-kind') this.#send(3 - opcode, data);
    else if (this.#fault === 'wrong-bytes' && data.length > 0)
      this.#send(
        opcode,
        data.map((byte, i) => (i === data.length - 1 ? byte ^ 1 : byte)),
      );
    else if (this.#fault === 'bad-text') this.#send(1, Uint8Array.of(0xff));
    else this.#send(opcode, data);
    if (this.#fault === 'echoes-twice') this.#send(opcode, data);
  }

  #onClose(payload: Uint8Array): void {
    const code = payload.length < 2 ? null : ((payload[0] as number) << 8) | (payload[1] as number);
    const isLater = code !== null && code > 1011 && code < 1015;
    const bad =
      payload.length === 1 ||
      (code !== null && !sendable(code)) ||
      (isLater && this.#fault === 'knows-codes-of-the-rfc') ||
      firstInvalidUtf8(payload.subarray(2)) !== -1;
    if (this.#fault === 'drops-transport' || this.#fault === 'drops-instead-of-closing') {
      this.transport = 'abort';
      return;
    }
    const answer = this.#fault === 'echoes-invalid-codes' || this.#fault === 'accepts-everything';
    this.#send(8, bad && !answer ? Uint8Array.of(3, 234) : payload.subarray(0, 2));
    if (this.#fault === 'answers-after-close') this.#send(1, empty);
    this.#end();
  }

  #fail(code: number): void {
    if (this.#fault === 'late') return;
    this.#closing = true;
    if (this.#fault === 'drops-transport') {
      this.transport = 'abort';
      return;
    }
    this.#send(8, Uint8Array.of(code >> 8, code & 255));
    this.#end();
  }

  #end(): void {
    this.#closing = true;
    if (this.#fault !== 'never-ends-transport') this.transport = 'end';
  }

  #send(opcode: number, payload: Uint8Array): void {
    const masked = (this.#role === 'client') !== (this.#fault === 'wrong-mask');
    const long = payload.length > 65_535 ? 127 : payload.length > 125 || this.#fault === 'non-minimal-length' ? 126 : payload.length;
    const control = opcode >= 8;
    const pong = opcode === 10;
    const fin = !(pong && this.#fault === 'fragmented-pong');
    const body = control && this.#fault === 'long-control-frame' ? concat(payload, new Uint8Array(126)) : payload;
    const form = body === payload ? long : 126;
    const head = [(fin ? 128 : 0) | (this.#fault === 'reserved-bit' ? 64 : 0) | opcode, (masked ? 128 : 0) | form];
    if (form === 126) head.push(body.length >> 8, body.length & 255);
    if (form === 127) head.push(0, 0, 0, 0, body.length >>> 24, (body.length >> 16) & 255, (body.length >> 8) & 255, body.length & 255);
    if (masked) head.push(...key);
    const wire = masked ? body.map((byte, i) => byte ^ (key[(i & 3) as 0 | 1 | 2 | 3] as number)) : body;
    const bytes = concat(Uint8Array.from(head), wire);
    if (this.#fault === 'late' && !control) this.#held.push({ due: this.#now() + 20_000_000, bytes });
    else if (this.#fault === 'reorders' && pong) this.#output.unshift(bytes);
    else if (this.#fault === 'pongs-newest' && pong) this.#output = [...this.#output.filter(([first]) => first !== bytes[0]), bytes];
    else this.#output.push(bytes);
  }
}

/** Whether a sequence that is cut off at the end of `text` could still be completed: every shorter prefix of it is. */
function stillPossible(text: Uint8Array): boolean {
  return firstInvalidUtf8(text) === text.length;
}

/** @param fault null for an endpoint without one */
export function toyTarget(fault: Fault | null): InProcessTarget {
  return {
    create: ({ role, clock }): Subject => {
      const protocol = new Toy(role, fault, clock);
      const none: readonly ConnectionEvent[] = [];
      return { protocol, events: () => none, call: () => undefined };
    },
  };
}
