/** Small extensions for the tests of `Connection`: each shows one thing a transform may do. */
import type { Extension, InboundTransform, OutboundTransform, TransformOutput, TransformStatus, Violation } from '@ferrywire/core';
import { concat, type Harness, type Peer } from './connection-helpers.ts';

/** Sends everything as it is. */
export const plainOutbound: OutboundTransform = {
  begin: () => 0,
  push: (_input, start, end) => ({ consumed: end - start, status: 'need' }),
  cacheKey: '',
};

export interface TestExtension extends Extension {
  /** What was asked of it, for instance `begin text 4`, `push 3 need`, `finish need`. */
  readonly calls: string[];
  disposed: number;
}

/** `make` is called once per connection, with `ready`. */
export function extension(
  name: string,
  rsv: number,
  make: (ready: () => void) => InboundTransform,
  outbound = plainOutbound,
): TestExtension {
  const calls: string[] = [];
  return {
    name,
    rsv,
    calls,
    disposed: 0,
    inbound(_role, ready) {
      const transform = make(ready);
      return {
        begin(kind, bits) {
          calls.push(`begin ${kind} ${bits}`);
          return transform.begin(kind, bits);
        },
        push(input, start, end, out) {
          const result = transform.push(input, start, end, out);
          calls.push(`push ${end - start} ${'status' in result ? result.status : result.code}`);
          return result;
        },
        finish(out) {
          const result = transform.finish(out);
          calls.push(`finish ${typeof result === 'string' ? result : result.code}`);
          return result;
        },
      };
    },
    outbound: () => outbound,
    dispose() {
      this.disposed++;
    },
  };
}

/** Bytes that wait for room. */
class Held {
  #bytes: Uint8Array[] = [];
  #at = 0;

  get empty(): boolean {
    return this.#bytes.length === 0;
  }
  add(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#bytes.push(bytes);
  }
  /** True when nothing is left. */
  drain(out: TransformOutput): boolean {
    for (let first = this.#bytes[0]; first !== undefined; first = this.#bytes[0]) {
      const count = Math.min(out.room, first.length - this.#at);
      if (count > 0) out.write(first, this.#at, this.#at + count);
      this.#at += count;
      if (this.#at < first.length) return false;
      this.#bytes.shift();
      this.#at = 0;
    }
    return true;
  }
}

/** As it is. */
export function identity(): InboundTransform {
  return {
    begin: (_kind, rsv) => rsv !== 0,
    push(input, start, end, out) {
      const count = Math.min(out.room, end - start);
      out.write(input, start, start + count);
      return { consumed: count, status: count < end - start ? 'more' : 'need' };
    },
    finish: () => 'need',
  };
}

/** Every byte XORed with `key`. */
export function xor(key: number): InboundTransform {
  return {
    begin: (_kind, rsv) => rsv !== 0,
    push(input, start, end, out) {
      const count = Math.min(out.room, end - start);
      const bytes = Uint8Array.from(input.subarray(start, start + count), (byte) => byte ^ key);
      out.write(bytes, 0, count);
      return { consumed: count, status: count < end - start ? 'more' : 'need' };
    },
    finish: () => 'need',
  };
}

/** Every byte `times` times, taking all input at once and holding back what finds no room; `tail` follows at the end of the message. */
export function repeater(times: number, tail: Uint8Array = new Uint8Array(0)): InboundTransform {
  const held = new Held();
  let tailed = false;
  return {
    begin(_kind, rsv) {
      tailed = false;
      return rsv !== 0;
    },
    push(input, start, end, out) {
      for (let at = start; at < end; at++) held.add(new Uint8Array(times).fill(input[at] as number));
      return { consumed: end - start, status: held.drain(out) ? 'need' : 'more' };
    },
    finish(out) {
      if (!tailed) held.add(tail);
      tailed = true;
      return held.drain(out) ? 'need' : 'more';
    },
  };
}

export interface Bomb extends InboundTransform {
  /** Bytes written, in all. */
  written: number;
  /** The most room it was ever given. */
  mostRoom: number;
}
/** Each byte becomes `factor` bytes, made only as there is room: a decompression bomb. */
export function bomb(factor: number): Bomb {
  const block = new Uint8Array(65_536).fill(0x7a);
  let left = 0;
  return {
    written: 0,
    mostRoom: 0,
    begin: (_kind, rsv) => rsv !== 0,
    push(_input, start, end, out) {
      this.mostRoom = Math.max(this.mostRoom, out.room);
      let at = start;
      for (;;) {
        if (left === 0) {
          if (at === end) return { consumed: at - start, status: 'need' };
          left = factor;
          at++;
        }
        const count = Math.min(left, out.room, block.length);
        if (count === 0) return { consumed: at - start, status: 'more' };
        out.write(block, 0, count);
        this.written += count;
        left -= count;
      }
    },
    finish: () => 'need',
  };
}

/** Works outside: what it was given comes out XORed with 1 after `release()`. */
export class Asynchronous {
  readonly extension: TestExtension;
  /** Steps of work in flight. */
  inFlight = 0;
  #ready: () => void = () => undefined;
  readonly #held = new Held();
  #working: Uint8Array[] = [];

  constructor(rsv = 4) {
    this.extension = extension('async', rsv, (ready) => {
      this.#ready = ready;
      return {
        begin: (_kind, bits) => bits !== 0,
        push: (input, start, end, out) => {
          if (this.inFlight > 0) return { consumed: 0, status: 'pending' };
          if (!this.#held.drain(out)) return { consumed: 0, status: 'more' };
          if (start === end) return { consumed: 0, status: 'need' };
          // At most 100 bytes per step of work.
          const count = Math.min(100, end - start);
          this.#working.push(Uint8Array.from(input.subarray(start, start + count), (byte) => byte ^ 1));
          this.inFlight++;
          return { consumed: count, status: 'pending' };
        },
        finish: (out): TransformStatus => {
          if (this.inFlight > 0) return 'pending';
          return this.#held.drain(out) ? 'need' : 'more';
        },
      };
    });
  }
  /** The work is done; `ready` is called. */
  release(): void {
    for (const bytes of this.#working) this.#held.add(bytes);
    this.#working = [];
    this.inFlight = 0;
    this.#ready();
  }
}

/** Fails at the byte 0xff, after giving out what came before it; or at the end of a message if `atEnd`. */
export function refusing(violation: Violation, atEnd = false): InboundTransform {
  const plain = identity();
  return {
    begin: (_kind, rsv) => rsv !== 0,
    push(input, start, end, out) {
      if (!atEnd && input[start] === 0xff) return violation;
      const bad = atEnd ? -1 : input.subarray(start, end).indexOf(0xff);
      const result = plain.push(input, start, bad < 0 ? end : start + bad, out);
      return 'code' in result || bad < 0 ? result : { consumed: result.consumed, status: 'more' };
    },
    finish: () => (atEnd ? violation : 'need'),
  };
}

/** A message in fragments, RSV bits on its first frame only. */
export function message(peer: Peer, opcode: number, rsv: number, ...parts: Uint8Array[]): Uint8Array {
  return concat(
    ...parts.map((payload, index) =>
      peer.frame({ opcode: index === 0 ? opcode : 0, rsv: index === 0 ? rsv : 0, fin: index === parts.length - 1, payload }),
    ),
  );
}

/** Fires what is due, without letting time pass, until nothing is; then pulls. Returns how often. */
export function finishWork(endpoint: Harness, pulls: boolean): number {
  let turns = 0;
  for (; turns < 10_000; turns++) {
    const due = endpoint.connection.nextTimeout();
    if (due === null || due > endpoint.now) break;
    endpoint.connection.handleTimeout();
    if (pulls) endpoint.pull();
  }
  return turns;
}
