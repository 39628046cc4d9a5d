/** Small protocols for the driver's own tests: they show what was called, and do as they are told. */
import type { Millis, Protocol, TransportDirective } from '@ferrywire/core';
import type { Transport } from '@ferrywire/driver';

/** A transport that does something inside `write`, and nothing else. */
export function answering(write: () => boolean): Transport {
  return { write, end() {}, abort() {}, pauseReading() {}, resumeReading() {}, bufferedAmount: 0 };
}

export class ScriptedProtocol implements Protocol {
  readonly calls: string[] = [];
  readonly received: number[] = [];
  readonly recycled: Uint8Array[] = [];
  transport: TransportDirective = 'open';
  wantsRead = true;
  due: Millis | null = null;
  takes = 0;
  onData: ((chunk: Uint8Array) => void) | null = null;
  onEof: (() => void) | null = null;
  onTimeout: ((now: Millis) => void) | null = null;
  #output: Uint8Array[] = [];

  say(...bytes: number[]): void {
    this.#output.push(Uint8Array.from(bytes));
  }
  receiveData(chunk: Uint8Array): void {
    this.calls.push(`data ${chunk.length}`);
    this.received.push(...chunk);
    this.onData?.(chunk);
  }
  receiveEof(): void {
    this.calls.push('eof');
    this.onEof?.();
  }
  receiveError(error: unknown): void {
    this.calls.push(`error ${String(error)}`);
  }
  handleTimeout(now: Millis = Number.NaN): void {
    this.calls.push('timeout');
    this.onTimeout?.(now);
  }
  outputDrained(): void {
    this.calls.push('drained');
  }
  takeOutput(): Uint8Array[] {
    this.takes++;
    const output = this.#output;
    this.#output = [];
    return output;
  }
  recycleOutput(chunk: Uint8Array): void {
    this.recycled.push(chunk);
  }
  get bufferedAmount(): number {
    return this.#output.reduce((sum, chunk) => sum + chunk.length, 0);
  }
  nextTimeout(): Millis | null {
    return this.due;
  }
}

/**
 * Messages of one length byte and that many bytes, each answered with itself, for properties over splits. A zero-length message asks for
 * the end: it is answered with one, and the directive becomes 'end', then 'done' at EOF.
 */
export class EchoProtocol implements Protocol {
  readonly messages: string[] = [];
  ended = 0;
  transport: TransportDirective = 'open';
  wantsRead = true;
  #pending: number[] = [];
  #output: Uint8Array[] = [];

  receiveData(chunk: Uint8Array): void {
    if (this.transport !== 'open') return;
    this.#pending.push(...chunk);
    for (;;) {
      const length = this.#pending[0];
      if (length === undefined || this.#pending.length <= length) return;
      const message = this.#pending.splice(0, length + 1);
      this.#output.push(Uint8Array.from(message));
      if (length === 0) {
        this.transport = 'end';
        return;
      }
      this.messages.push(message.slice(1).join(','));
    }
  }
  receiveEof(): void {
    this.ended++;
    this.transport = 'done';
  }
  receiveError(): void {
    this.ended++;
    this.transport = 'abort';
  }
  handleTimeout(): void {}
  takeOutput(): Uint8Array[] {
    const output = this.#output;
    this.#output = [];
    return output;
  }
  recycleOutput(): void {}
  get bufferedAmount(): number {
    return this.#output.reduce((sum, chunk) => sum + chunk.length, 0);
  }
  nextTimeout(): Millis | null {
    return null;
  }
}
