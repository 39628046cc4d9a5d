/**
 * Ferrywire itself as a subject: the core's `Connection`, with the deflate extension where a case needs it, and no transport at all.
 */
import { Connection, type ConnectionEvent, type ConnectionOptions, type ConnectionSink, type Extension } from '@ferrywire/core';
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

/**
 * @param create makes the connection; another one is for mutants
 * @param mode how it hands out events: asked for one by one, or at once to a sink
 */
export function ferrywire(
  create: (options: ConnectionOptions) => Connection = (options) => new Connection(options),
  mode: 'pull' | 'push' = 'pull',
): InProcessTarget {
  return {
    create: ({ role, clock, random, maxMessageSize, deflate }) => {
      const extensions = deflate === null ? [] : [extensionFor(role, deflate)];
      const limits = { maxMessageSize: maxMessageSize ?? noLimit };
      const options: ConnectionOptions = { role, clock, random, extensions, subprotocol: null, limits };
      return mode === 'pull' ? new PullSubject(create(options)) : new PushSubject((sink) => create({ ...options, sink }));
    },
  };
}

abstract class ConnectionSubject implements Subject {
  readonly protocol: Connection;

  constructor(connection: Connection) {
    this.protocol = connection;
  }

  abstract events(): readonly ConnectionEvent[];

  call(name: string, ...args: unknown[]): unknown {
    const method: unknown = Reflect.get(this.protocol, name);
    if (typeof method !== 'function') throw new TypeError(`the connection has no method ${name}`);
    return Reflect.apply(method, this.protocol, args);
  }
}

class PullSubject extends ConnectionSubject {
  events(): readonly ConnectionEvent[] {
    const first = this.protocol.nextEvent();
    if (first === null) return none;
    const events = [first];
    for (let next = this.protocol.nextEvent(); next !== null; next = this.protocol.nextEvent()) events.push(next);
    return events;
  }
}

class PushSubject extends ConnectionSubject {
  readonly #events: { list: ConnectionEvent[] };

  constructor(create: (sink: ConnectionSink) => Connection) {
    const events: { list: ConnectionEvent[] } = { list: [] };
    super(create(sinkInto((event) => events.list.push(event))));
    this.#events = events;
  }

  events(): readonly ConnectionEvent[] {
    const { list } = this.#events;
    if (list.length === 0) return none;
    this.#events.list = [];
    return list;
  }
}

function sinkInto(push: (event: ConnectionEvent) => void): ConnectionSink {
  return {
    onText: (data) => push({ type: 'message', kind: 'text', data }),
    onBinary: (data) => push({ type: 'message', kind: 'binary', data }),
    onPing: (data) => push({ type: 'ping', data }),
    onPong: (data, latency) => push({ type: 'pong', data, latency }),
    onClose: (code, reason) => push({ type: 'close', code, reason }),
    onEnd: (info) => push({ type: 'end', ...info }),
  };
}

const none: readonly ConnectionEvent[] = [];
