/**
 * `close` of whatever has connections, the same on every adapter: done once, and its options are judged at every call before anything is
 * stopped, so that a mistake in them leaves the server as it was.
 */
import { Connection, type Millis } from '@ferrywire/core';
import type { CloseAllOptions } from './peer.ts';

const DEADLINE = 5000;

/** `CloseAllOptions`, judged. */
export interface Closing {
  readonly code: number;
  readonly reason: string;
  readonly deadline: Millis;
}

export type CloseAll = (options?: CloseAllOptions) => Promise<void>;

function closingOf(options: CloseAllOptions): Closing {
  if (typeof options !== 'object' || options === null) throw new TypeError('options must be an object');
  const { code = 1001, reason = '', deadline = DEADLINE } = options;
  // What any connection would say to them.
  new Connection({ role: 'server', clock: () => 0 }).close(code, reason);
  if (typeof deadline !== 'number' || Number.isNaN(deadline)) throw new TypeError('options.deadline must be a number');
  if (deadline < 0) throw new RangeError('options.deadline must not be negative');
  return { code, reason, deadline };
}

/**
 * What it returns rejects with a TypeError or RangeError that names the option, as often as it is asked for such a thing; otherwise it is one
 * promise for all calls.
 *
 * @param close Called once. Rejects, but does not throw.
 */
export function closeOnce(close: (how: Closing) => Promise<void>): CloseAll {
  let closed: Promise<void> | null = null;
  return (options = {}) => {
    let how: Closing;
    try {
      how = closingOf(options);
    } catch (mistake) {
      return Promise.reject(mistake);
    }
    if (closed === null) {
      let settle = (_outcome: Promise<void>): void => {};
      // Before anything is closed: that calls handlers, and those may come here again.
      closed = new Promise((resolve) => {
        settle = resolve;
      });
      settle(close(how));
    }
    return closed;
  };
}
