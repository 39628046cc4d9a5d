/** What `steadyUntil` promises, held against the questions that a host need not ask then. */
import type { Connection, Millis } from '@ferrywire/core';
import { expect } from 'vitest';

const NEVER = Number.POSITIVE_INFINITY;
const dueOf = (connection: Connection): Millis => connection.nextTimeout() ?? NEVER;

function checkPromise(connection: Connection, due: Millis): void {
  expect([connection.transport, connection.wantsRead]).toEqual(['open', true]);
  expect(dueOf(connection)).toBeGreaterThanOrEqual(due);
}

/** As things are, for deadlines around the next one. Returns whether it promises anything about that one. */
export function checkSteady(connection: Connection): boolean {
  const next = dueOf(connection);
  for (const due of [0, next - 1, next, next + 1, NEVER]) if (connection.steadyUntil(due)) checkPromise(connection, due);
  return connection.steadyUntil(next);
}

/** `take` takes the output: what was promised before holds after it too. */
export function checkSteadyTaking(connection: Connection, take: () => void): void {
  const due = dueOf(connection);
  const promised = connection.steadyUntil(due);
  take();
  if (promised) checkPromise(connection, due);
}
