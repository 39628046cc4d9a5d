/**
 * The next turn of an event loop that does not look at its sockets in between.
 *
 * Deno does `setImmediate` callbacks that follow each other without asking the system what has come, so that large messages, which are compressed
 * a turn at a time, would hold up every other connection until all of them are done. A timer makes it ask, and costs 2 ms.
 */
import type { Clock, Millis } from '@ferrywire/core';
import type { Entry, NativeTimers } from './timers.ts';

/** Turns in a row may take so long together before the sockets are looked at. */
const UNSEEN: Millis = 20;

/** What is used of the module `node:timers`, or of the runtime's globals. */
export interface TurnsModule {
  setTimeout(callback: () => void, delay: Millis): unknown;
  setImmediate(callback: (entry: Entry) => void, entry: Entry): unknown;
}

/** `nextTurn` for a runtime that would do one callback after the other without looking at its sockets. */
export function turnsThatLook(timers: TurnsModule, clock: Clock): NativeTimers['nextTurn'] {
  /** Asked for and not over yet: those without a timer, and all. */
  let blind = 0;
  let turns = 0;
  /** When the turns in a row began, or the sockets were last looked at. */
  let since: Millis = 0;
  const run = (callback: (entry: Entry) => void, entry: Entry): void => {
    try {
      callback(entry);
    } finally {
      turns--;
    }
  };
  return (callback, entry) => {
    const now = clock();
    if (turns++ === 0) since = now;
    if (now - since < UNSEEN) {
      blind++;
      timers.setImmediate((same) => {
        blind--;
        run(callback, same);
      }, entry);
      return;
    }
    timers.setTimeout(() => {
      // With a turn to be done the loop has not waited for the timer, and so has not looked.
      if (blind === 0) since = clock();
      run(callback, entry);
    }, 0);
  };
}
