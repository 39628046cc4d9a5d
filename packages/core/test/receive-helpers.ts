/** What the tests of pauses and of callbacks share: a script with every kind of event, and what must come of it. */
import { concat, joined, type OpenOptions, open, type Peer, pattern, type Seen } from './connection-helpers.ts';

/** Every kind of event, in small frames. */
export function everyEvent(peer: Peer): Uint8Array {
  return concat(
    peer.text('é€', false),
    peer.ping('p1'),
    peer.continuation('😀!', true),
    peer.binary(pattern(20)),
    peer.pong('q'),
    peer.text(''),
    peer.binary(pattern(130, 3), false),
    peer.continuation('', true),
    peer.ping(''),
    peer.text('z'.repeat(30)),
    peer.close(4000, 'bye'),
  );
}

/** What comes of it in one piece. */
export function reference(options: OpenOptions, wire: Uint8Array): { seen: Seen[]; output: Uint8Array } {
  const endpoint = open(options);
  endpoint.receive(Uint8Array.from(wire));
  return { seen: joined(endpoint.seen), output: endpoint.output() };
}
