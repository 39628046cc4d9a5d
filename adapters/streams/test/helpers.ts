/** Pairs of streams in memory, and ends to talk over them. */
import type { EndInfo } from '@ferrywire/core';
import type { Peer, PeerHandlers } from '@ferrywire/driver';
import type { StreamPair } from '@ferrywire/streams';

export interface TwoEnds {
  readonly left: StreamPair;
  readonly right: StreamPair;
}

/** Two `TransformStream`s: what one end writes the other reads. `cut` says how large the pieces are. */
export function twoEnds(cut: () => number = () => Number.POSITIVE_INFINITY): TwoEnds {
  const there = pipe(cut);
  const back = pipe(cut);
  return { left: { readable: back.readable, writable: there.writable }, right: { readable: there.readable, writable: back.writable } };
}

function pipe(cut: () => number): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream({
    transform(chunk, controller) {
      for (let at = 0; at < chunk.length; ) {
        const size = Math.max(1, Math.min(chunk.length - at, cut()));
        controller.enqueue(chunk.slice(at, at + size));
        at += size;
      }
    },
  });
}

/** What came to one end, and waits for more of it. */
export class Heard {
  readonly messages: (string | Uint8Array)[] = [];
  readonly handlers: PeerHandlers;
  readonly end: Promise<EndInfo>;
  peer: Peer | null = null;
  #wake: (() => void)[] = [];

  constructor(more: PeerHandlers = {}) {
    let over = (_: EndInfo): void => {};
    this.end = new Promise((resolve) => {
      over = resolve;
    });
    this.handlers = {
      ...more,
      onOpen: (peer, opening) => {
        this.peer = peer;
        more.onOpen?.(peer, opening);
      },
      onMessage: (peer, data) => {
        this.messages.push(data);
        more.onMessage?.(peer, data);
        for (const wake of this.#wake.splice(0)) wake();
      },
      onEnd: (peer, info) => {
        more.onEnd?.(peer, info);
        over(info);
      },
    };
  }
  async count(count: number): Promise<void> {
    while (this.messages.length < count) {
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
    }
  }
}

/** Turns of the event loop, for what raises no event. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}
