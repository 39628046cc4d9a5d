/**
 * A connection and its driver, as they are handed in. A peer of an adapter has both and is neither, so that it is what is most likely given instead.
 */
import type { Connection } from '@ferrywire/core';
import type { Driver } from '@ferrywire/driver';

/** Throws TypeError naming the argument. By what they can do: a program may have two copies of a package. */
export function checkJoined(connection: Connection, host: Driver): void {
  if (typeof connection?.nextEvent !== 'function') throw new TypeError("connection must be a Connection: a peer's is peer.connection");
  if (typeof host?.pump !== 'function') throw new TypeError("host must be a driver: a peer's is peer.driver");
}
