/** A peer of an adapter, or nothing, where a connection and its driver are asked for: named at the call. */
import { Connection } from '@ferrywire/core';
import type { DriverHandle } from '@ferrywire/driver';
import { pair, virtualClock } from '@ferrywire/driver/testing';
import { messageStreams, WebSocket } from '@ferrywire/websocket';
import { describe, expect, it } from 'vitest';

const wraps: readonly (readonly [string, (connection: Connection, driver: DriverHandle) => unknown])[] = [
  ['WebSocket.from', (connection, driver) => WebSocket.from(connection, driver)],
  ['messageStreams', (connection, driver) => messageStreams(connection, driver)],
];

describe.each(wraps)('%s', (_, wrap) => {
  const clock = virtualClock();
  const ends = pair(new Connection({ role: 'client', clock: clock.now }), new Connection({ role: 'server', clock: clock.now }), { clock });
  const { protocol: connection, driver } = ends.a;

  it.each([null, undefined, {}, { connection, driver }])('names a connection that is none', (given) => {
    expect(() => wrap(given as unknown as Connection, driver)).toThrow(
      new TypeError("connection must be a Connection: a peer's is peer.connection"),
    );
  });

  it.each([null, undefined, {}])('names a driver that is none', (given) => {
    expect(() => wrap(connection, given as unknown as DriverHandle)).toThrow(
      new TypeError("host must be a driver: a peer's is peer.driver"),
    );
  });
});

describe('WebSocket.from', () => {
  it.each(['chunk', 'span'] as const)('names a connection of delivery %s, and leaves it as it was', (delivery) => {
    const clock = virtualClock();
    const connection = new Connection({ role: 'client', clock: clock.now, delivery });
    const { driver } = pair(connection, new Connection({ role: 'server', clock: clock.now }), { clock }).a;
    const { onEvents, onDrain } = driver;
    expect(() => WebSocket.from(connection, driver)).toThrow(new TypeError(`connection must have delivery 'message', not '${delivery}'`));
    expect([driver.onEvents, driver.onDrain]).toEqual([onEvents, onDrain]);
  });
});
