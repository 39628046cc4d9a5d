/**
 * One connection of the echo endpoint that a page watches: its trace as lines, and its state and waiting bytes as a snapshot.
 */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Connection, EndInfo, TraceEntry } from '@ferrywire/core';
import type { Peer } from '@ferrywire/driver';
import type { ClientName, FrameView, Line, Snapshot, StateName, Verdict } from './browser/messages.ts';

export interface TapEvents {
  line(line: Line): void;
  changed(tap: Tap): void;
  ended(tap: Tap, verdict: Verdict): void;
}

/** The row of the core's table `lifecycle` that the connection is in, told from what it shows to anybody. */
export function stateOf(connection: Connection): StateName {
  if (connection.transport === 'abort') return 'aborted';
  if (connection.transport === 'done' || connection.state === 'closed') return 'ended';
  if (connection.state === 'open') return 'open';
  if (connection.closeSent !== null && connection.closeReceived !== null) return 'closed';
  if (connection.transport === 'end') return 'failed';
  return connection.closeReceived === null ? 'closeSent' : 'closeReceived';
}

function viewOf({ frame }: TraceEntry): FrameView | null {
  if (frame === undefined) return null;
  const { preview, length, ...bits } = frame;
  return {
    ...bits,
    length: Number.isSafeInteger(length) ? length : -1,
    preview: Buffer.from(preview.buffer, preview.byteOffset, preview.length).toString('hex'),
  };
}

/** Bytes of a frame on the wire. */
function sizeOf({ length, lengthBytes, masked }: FrameView): number {
  return 2 + lengthBytes + (masked ? 4 : 0) + Math.max(0, length);
}

export class Tap {
  readonly id: number;
  readonly client: ClientName;
  peer: Peer | null = null;
  gone = false;
  /** The raw peer's own half. */
  remote: Peer | null = null;
  readonly #socket: Duplex;
  readonly #headSize: number;
  readonly #events: TapEvents;
  #openedAt: number | null = null;
  #parsed = 0;

  /** `early`: bytes of frames that came with the request. */
  constructor(id: number, client: ClientName, socket: Duplex, early: number, events: TapEvents) {
    this.id = id;
    this.client = client;
    this.#socket = socket;
    this.#headSize = this.#bytesRead() - early;
    this.#events = events;
  }

  /** For `ConnectionOptions.onTrace`. */
  readonly trace = (entry: TraceEntry): void => {
    this.#openedAt ??= entry.at;
    const frame = viewOf(entry);
    if (entry.direction === 'in' && frame !== null) this.#parsed += sizeOf(frame);
    const { direction, text, at } = entry;
    this.#events.line({ connection: this.id, client: this.client, direction, text, at: at - this.#openedAt, frame });
    this.#events.changed(this);
  };

  opened(peer: Peer): void {
    this.peer = peer;
    this.#events.changed(this);
  }
  ended({ clean, code, reason, cause }: EndInfo): void {
    this.gone = true;
    this.#events.ended(this, { connection: this.id, client: this.client, clean, code, reason, cause });
    this.#events.changed(this);
  }

  snapshot(): Snapshot | null {
    const { peer } = this;
    if (peer === null) return null;
    const received = Math.max(0, this.#bytesRead() - this.#headSize);
    const { connection } = peer;
    return {
      connection: this.id,
      client: this.client,
      state: stateOf(connection),
      subprotocol: connection.subprotocol,
      paused: connection.paused,
      received,
      held: Math.max(0, received - this.#parsed),
      answers: peer.bufferedAmount,
      sent: this.remote?.connection.stats.bytesOut ?? null,
      unsent: this.remote?.bufferedAmount ?? null,
      gone: this.gone,
    };
  }

  #bytesRead(): number {
    return this.#socket instanceof Socket ? this.#socket.bytesRead : 0;
  }
}
