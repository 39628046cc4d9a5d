/**
 * Ferrywire itself as a subject: the core's `Connection`, with the deflate extension where a case needs it, and no transport at all.
 */
import { Connection, type ConnectionEvent, type ConnectionOptions, type Extension } from '@ferrywire/core';
import { clientDeflate, type DeflateOptions, serverDeflate } from '@ferrywire/deflate';
import type { InProcessTarget, Subject } from '../harness.ts';

/** Larger than any case; a limit of its own kind is what the limit cases give. */
const noLimit = Number.POSITIVE_INFINITY;

/** What a handshake with these very parameters on both sides leads to. */
function extensionFor(role: 'client' | 'server', options: DeflateOptions): Extension {
  const client = clientDeflate(options);
  for (const offer of client.offers()) {
    const accepted = serverDeflate(options).accept(offer, []);
    if (accepted === null) continue;
    const extension = role === 'server' ? accepted.extension : client.confirm(accepted.params, []);
    if (extension !== null) return extension;
  }
  throw new Error('permessage-deflate does not agree with itself');
}

/** @param create makes the connection; another one is for mutants */
export function ferrywire(create: (options: ConnectionOptions) => Connection = (options) => new Connection(options)): InProcessTarget {
  return {
    create: ({ role, clock, random, maxMessageSize, deflate }) => {
      const extensions = deflate === null ? [] : [extensionFor(role, deflate)];
      const connection = create({
        role,
        clock,
        random,
        extensions,
        subprotocol: null,
        limits: { maxMessageSize: maxMessageSize ?? noLimit },
      });
      return new ConnectionSubject(connection);
    },
  };
}

class ConnectionSubject implements Subject {
  readonly protocol: Connection;

  constructor(connection: Connection) {
    this.protocol = connection;
  }

  events(): readonly ConnectionEvent[] {
    const first = this.protocol.nextEvent();
    if (first === null) return none;
    const events = [first];
    for (let next = this.protocol.nextEvent(); next !== null; next = this.protocol.nextEvent()) events.push(next);
    return events;
  }

  call(name: string, ...args: unknown[]): unknown {
    const method: unknown = Reflect.get(this.protocol, name);
    if (typeof method !== 'function') throw new TypeError(`the connection has no method ${name}`);
    return Reflect.apply(method, this.protocol, args);
  }
}

const none: readonly ConnectionEvent[] = [];
