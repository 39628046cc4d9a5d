/**
 * Work put off to the end of the present microtask, for all drivers together: a broadcast to a thousand connections queues one microtask,
 * and any number of sends on one connection makes one write.
 */
import { queueMicrotask } from './platform.ts';

export interface Flushable {
  flush(): void;
}

let waiting: Flushable[] = [];
let spare: Flushable[] = [];

/** Each target must see to it that it is in the list only once. */
export function flushSoon(target: Flushable): void {
  if (waiting.push(target) === 1) queueMicrotask(flushAll);
}

function flushAll(): void {
  const batch = waiting;
  waiting = spare;
  spare = batch;
  let next = 0;
  try {
    while (next < batch.length) {
      const target = batch[next++];
      if (target !== undefined) target.flush();
    }
  } finally {
    // A flush threw (an application's callback): the others still get theirs, in a microtask of their own.
    const rest = batch.slice(next);
    batch.length = 0;
    for (const target of rest) flushSoon(target);
  }
}
