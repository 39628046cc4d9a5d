/**
 * For programs of their own that change globals before classes are loaded: a WebSocket over a transport that a test feeds.
 */
import { Connection } from '@ferrywire/core';
import { drive } from '@ferrywire/driver';
import { fakeTransport, virtualClock } from '@ferrywire/driver/testing';

/** Loads `@ferrywire/websocket` now, not before. */
export async function joinedSocket() {
  const { WebSocket } = await import('@ferrywire/websocket');
  const clock = virtualClock();
  const transport = fakeTransport({ clock });
  const connection = new Connection({ role: 'client', clock: clock.now });
  const driver = drive(connection, transport, { clock: clock.now, timers: clock });
  transport.attach(driver);
  return { socket: WebSocket.from(connection, driver), transport };
}
