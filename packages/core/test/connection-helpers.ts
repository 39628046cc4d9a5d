/**
 * What every test of `Connection` needs: frames as the peer would write them, an endpoint in virtual time whose events are recorded, and its
 * output read back as frames. Both modes record the same shapes, so one expectation serves push and pull.
 */
import { createHash } from 'node:crypto';
import {
  Connection,
  type ConnectionEvent,
  type ConnectionOptions,
  type ConnectionSink,
  type EndInfo,
  type MessageKind,
  type Millis,
  type Role,
  type TraceEntry,
} from '@ferrywire/core';
import { type FrameInit, FrameParser, Opcode, type ParsedFrame, serializeClosePayload, serializeFrame } from '@ferrywire/core/frame';

/* ---- bytes ---- */

/** `hex('81 02 68 69')`. */
export function hex(digits: string): Uint8Array {
  return Uint8Array.from(Buffer.from(digits.replaceAll(/\s/g, ''), 'hex'));
}
export function utf8(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'utf8'));
}
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
/** `size` bytes that repeat with a period prime to every power of two, so that a misplaced piece shows. */
export function pattern(size: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at++) bytes[at] = (at + seed) % 251;
  return bytes;
}
/** Consecutive pieces of `size` bytes, each with memory of its own. */
export function split(bytes: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(Uint8Array.from(bytes.subarray(at, at + size)));
  return pieces;
}

/** Deterministic bytes (a Lehmer generator), for `options.random` and for masks. */
export function pseudoRandom(seed = 1): (target: Uint8Array) => void {
  let state = seed;
  return (target) => {
    for (let at = 0; at < target.length; at++) {
      state = (state * 48_271) % 0x7fff_ffff;
      target[at] = state >>> 8;
    }
  };
}

/* ---- frames as the peer of an endpoint writes them ---- */

export interface Peer {
  /** Any frame, legal or not: masked with a fresh key if the endpoint is a server, unless `init.maskKey` is given (or `masked: false`). */
  frame(init: FrameInit & { readonly masked?: boolean }): Uint8Array;
  text(data: string | Uint8Array, fin?: boolean): Uint8Array;
  binary(data: Uint8Array, fin?: boolean): Uint8Array;
  continuation(data: string | Uint8Array, fin: boolean): Uint8Array;
  ping(data?: string | Uint8Array): Uint8Array;
  pong(data?: string | Uint8Array): Uint8Array;
  close(code?: number, reason?: string): Uint8Array;
  /** A header of `size` bytes in any form with no payload behind it. */
  header(opcode: number, size: number | bigint, init?: Partial<FrameInit>): Uint8Array;
  /** Size of the header `frame` writes for a payload of `size` bytes. */
  headerSize(size: number): number;
}

function bytesOf(data: string | Uint8Array): Uint8Array {
  return typeof data === 'string' ? utf8(data) : data;
}

/** `role` is that of the endpoint under test. */
export function peerOf(role: Role, seed = 7): Peer {
  const random = pseudoRandom(seed);
  const keyBytes = new Uint8Array(4);
  const nextKey = (): number => {
    random(keyBytes);
    return new DataView(keyBytes.buffer).getUint32(0);
  };
  const frame: Peer['frame'] = ({ masked = role === 'server', ...init }) =>
    serializeFrame(masked && init.maskKey === undefined ? { ...init, maskKey: nextKey() } : init);
  return {
    frame,
    text: (data, fin = true) => frame({ opcode: Opcode.Text, payload: bytesOf(data), fin }),
    binary: (data, fin = true) => frame({ opcode: Opcode.Binary, payload: data, fin }),
    continuation: (data, fin) => frame({ opcode: Opcode.Continuation, payload: bytesOf(data), fin }),
    ping: (data = '') => frame({ opcode: Opcode.Ping, payload: bytesOf(data) }),
    pong: (data = '') => frame({ opcode: Opcode.Pong, payload: bytesOf(data) }),
    close: (code, reason) => frame({ opcode: Opcode.Close, payload: serializeClosePayload(code, reason) }),
    header: (opcode, size, init = {}) => {
      const lengthBytes = init.lengthBytes ?? (size < 126 ? 0 : size < 65536 ? 2 : 8);
      const bare = frame({ ...init, opcode, payload: new Uint8Array(0), lengthBytes });
      const length = BigInt(size);
      if (lengthBytes === 0) bare[1] = ((bare[1] as number) & 0x80) | Number(length);
      for (let at = 0; at < lengthBytes; at++) bare[1 + lengthBytes - at] = Number((length >> BigInt(8 * at)) & 0xffn);
      return bare;
    },
    headerSize: (size) => (size < 126 ? 2 : size < 65536 ? 4 : 10) + (role === 'server' ? 4 : 0),
  };
}

/* ---- what an endpoint tells ---- */

/** One shape for both modes. Pieces without bytes are left out. */
export type Seen =
  | { readonly type: 'text'; readonly data: string }
  | { readonly type: 'binary'; readonly data: Uint8Array }
  | { readonly type: 'start'; readonly kind: MessageKind }
  | { readonly type: 'textChunk'; readonly data: string }
  | { readonly type: 'span'; readonly data: Uint8Array }
  | { readonly type: 'finish'; readonly kind: MessageKind }
  | { readonly type: 'ping'; readonly data: Uint8Array }
  | { readonly type: 'pong'; readonly data: Uint8Array; readonly latency: Millis | null }
  | { readonly type: 'close'; readonly code: number; readonly reason: string }
  | ({ readonly type: 'end' } & EndInfo);

/** A sink that records, and then calls `hooks`. */
export function recordingSink(seen: Seen[], hooks: ConnectionSink = {}): Required<ConnectionSink> {
  return {
    onText(data) {
      seen.push({ type: 'text', data });
      hooks.onText?.(data);
    },
    onBinary(data) {
      seen.push({ type: 'binary', data });
      hooks.onBinary?.(data);
    },
    onMessageStart(kind) {
      seen.push({ type: 'start', kind });
      hooks.onMessageStart?.(kind);
    },
    onTextChunk(data) {
      seen.push({ type: 'textChunk', data });
      hooks.onTextChunk?.(data);
    },
    onSpan(buffer, start, end) {
      seen.push({ type: 'span', data: new Uint8Array(buffer.subarray(start, end)) });
      hooks.onSpan?.(buffer, start, end);
    },
    onMessageEnd(kind) {
      seen.push({ type: 'finish', kind });
      hooks.onMessageEnd?.(kind);
    },
    onPing(data) {
      seen.push({ type: 'ping', data });
      hooks.onPing?.(data);
    },
    onPong(data, latency) {
      seen.push({ type: 'pong', data, latency });
      hooks.onPong?.(data, latency);
    },
    onClose(code, reason) {
      seen.push({ type: 'close', code, reason });
      hooks.onClose?.(code, reason);
    },
    onEnd(info) {
      seen.push({ type: 'end', ...info });
      hooks.onEnd?.(info);
    },
  };
}

/** Turns what is pulled into the shapes of `Seen`. One per connection: it remembers whether a message of `readInto` has begun. */
export class Collector {
  readonly seen: Seen[];
  #begun = false;

  constructor(seen: Seen[]) {
    this.seen = seen;
  }

  event(event: ConnectionEvent): void {
    const { seen } = this;
    if (event.type === 'message') {
      seen.push(event.kind === 'text' ? { type: 'text', data: event.data } : { type: 'binary', data: event.data });
    } else if (event.type === 'chunk') {
      if (event.first) seen.push({ type: 'start', kind: event.kind });
      if (event.data.length > 0) {
        seen.push(event.kind === 'text' ? { type: 'textChunk', data: event.data } : { type: 'span', data: event.data });
      }
      if (event.last) seen.push({ type: 'finish', kind: event.kind });
    } else seen.push(event);
  }

  data(kind: MessageKind, data: Uint8Array, endOfMessage: boolean): void {
    if (!this.#begun) this.seen.push({ type: 'start', kind });
    this.#begun = !endOfMessage;
    if (data.length > 0) this.seen.push({ type: 'span', data });
    if (endOfMessage) this.seen.push({ type: 'finish', kind });
  }
}

/** More events than any test makes: a connection that never says null is a defect. */
const MOST_EVENTS = 5_000_000;

/** Pulls until nothing more comes (or `most` events). With `target`, through `readInto`. */
export function collect(connection: Connection, collector: Collector, target: Uint8Array | null, most = MOST_EVENTS): void {
  for (let count = 0; count < most; count++) {
    if (target === null) {
      const event = connection.nextEvent();
      if (event === null) return;
      collector.event(event);
    } else {
      const got = connection.readInto(target);
      if (got === null) return;
      if (got.type === 'data') collector.data(got.kind, target.slice(0, got.count), got.endOfMessage);
      else collector.event(got);
    }
  }
  if (most === MOST_EVENTS) throw new Error('events without end');
}

/**
 * What must not depend on how the input was split: pieces of a message that stand next to each other are joined, and where a message started
 * is left out (pull mode tells it with the first piece, push mode with the header).
 */
export function joined(seen: readonly Seen[]): Seen[] {
  const result: Seen[] = [];
  let pieces: Uint8Array[] = [];
  let text = '';
  const flush = (): void => {
    if (pieces.length > 0) result.push({ type: 'span', data: concat(...pieces) });
    if (text !== '') result.push({ type: 'textChunk', data: text });
    pieces = [];
    text = '';
  };
  for (const event of seen) {
    if (event.type === 'span') pieces.push(event.data);
    else if (event.type === 'textChunk') text += event.data;
    else if (event.type !== 'start') {
      flush();
      result.push(event);
    }
  }
  flush();
  return result;
}

/** Bytes as text that is cheap to compare and short to read: in hex, or as size and hash. */
export function digest(bytes: Uint8Array): string {
  return bytes.length <= 64 ? toHex(bytes) : `${bytes.length} bytes, ${createHash('sha1').update(bytes).digest('hex')}`;
}

/** `joined`, with data as `digest` and `text.length` make it short. */
export function summary(seen: readonly Seen[]): object[] {
  return joined(seen).map((event) => {
    if (!('data' in event)) return event;
    const { data } = event;
    if (typeof data !== 'string') return { ...event, data: digest(data) };
    return data.length <= 64 ? event : { ...event, data: digest(utf8(data)) };
  });
}

/** Whole messages only, as strings (binary in hex), whatever the delivery. */
export function messagesOf(seen: readonly Seen[]): string[] {
  const messages: string[] = [];
  let pieces: Uint8Array[] = [];
  for (const event of seen) {
    if (event.type === 'text') messages.push(event.data);
    if (event.type === 'binary') messages.push(toHex(event.data));
    if (event.type === 'textChunk') pieces.push(utf8(event.data));
    if (event.type === 'span') pieces.push(event.data);
    if (event.type !== 'finish') continue;
    const data = concat(...pieces);
    pieces = [];
    messages.push(event.kind === 'text' ? Buffer.from(data).toString('utf8') : toHex(data));
  }
  return messages;
}

/* ---- an endpoint ---- */

export interface OpenOptions extends Omit<Partial<ConnectionOptions>, 'clock' | 'sink' | 'role'> {
  readonly role: Role;
  /** Default 'push'. */
  readonly mode?: 'push' | 'pull';
  /** Push mode: called after an event was recorded. */
  readonly hooks?: ConnectionSink;
  /** Pull mode: pull all there is after each `receive`. Default true. */
  readonly pulling?: boolean;
  /** Pull mode, delivery 'span': what `readInto` fills. Default 1024 bytes. */
  readonly target?: Uint8Array;
  /** Where the clock starts. Default 1000. */
  readonly now?: Millis;
  /** Record the trace in `harness.trace`. */
  readonly tracing?: boolean;
}

export interface Harness {
  readonly connection: Connection;
  readonly peer: Peer;
  readonly seen: Seen[];
  readonly trace: TraceEntry[];
  /** The virtual clock. Setting it fires nothing; `advance` does. */
  now: Millis;
  /** Gives chunks to `receiveData`, one call each, and pulls in pull mode. */
  receive(...chunks: readonly Uint8Array[]): void;
  /** Pull mode: pulls until nothing more comes (or `most` events). */
  pull(most?: number): void;
  /** Takes the output, hands its memory back, and returns it as one array. */
  output(): Uint8Array;
  /** Takes the output and returns the frames completed by it. */
  frames(): ParsedFrame[];
  /** `frames()`, each as one line: see `describeFrame`. */
  sent(): string[];
  /** Lets time pass, firing each deadline when it is due; the output stays where it is, unless `taking`. */
  advance(ms: Millis, taking?: boolean): void;
  /** Events of one type so far. */
  of<T extends Seen['type']>(type: T): Extract<Seen, { type: T }>[];
  /** The one end event. Throws when there is none or more than one. */
  readonly end: EndInfo;
  readonly ended: boolean;
}

/** `TEXT 'hi'`, `BINARY 0102`, `CLOSE 1000 'bye'`, `CLOSE`, with `RSV4` and `...` (no FIN) where they are set. */
export function describeFrame({ header, payload }: ParsedFrame): string {
  const names: Readonly<Record<number, string>> = { 0: 'CONTINUATION', 1: 'TEXT', 2: 'BINARY', 8: 'CLOSE', 9: 'PING', 10: 'PONG' };
  const text = Buffer.from(payload).toString('utf8');
  const plain = Buffer.compare(Buffer.from(text, 'utf8'), payload) === 0;
  let body = payload.length === 0 ? '' : plain && header.opcode !== 2 ? ` '${text}'` : ` ${toHex(payload)}`;
  if (header.opcode === 8 && payload.length >= 2) {
    const reason = Buffer.from(payload.subarray(2)).toString('utf8');
    body = ` ${((payload[0] as number) << 8) | (payload[1] as number)}${reason === '' ? '' : ` '${reason}'`}`;
  }
  return `${names[header.opcode] ?? header.opcode}${header.rsv === 0 ? '' : ` RSV${header.rsv}`}${body}${header.fin ? '' : ' ...'}`;
}

/** Deadlines that one `advance` may fire. */
const MOST_DEADLINES = 100_000;

export function open(options: OpenOptions): Harness {
  const { mode = 'push', hooks, pulling = true, target = new Uint8Array(1024), now = 1000, tracing = false, ...rest } = options;
  const seen: Seen[] = [];
  const trace: TraceEntry[] = [];
  const time = { now };
  const collector = new Collector(seen);
  const connection = new Connection({
    random: pseudoRandom(),
    ...rest,
    clock: () => time.now,
    ...(mode === 'push' && { sink: recordingSink(seen, hooks) }),
    ...(tracing && { onTrace: (entry: TraceEntry) => void trace.push(entry) }),
  });
  const parser = new FrameParser();
  const memory = rest.delivery === 'span' ? target : null;

  const harness: Harness = {
    connection,
    peer: peerOf(rest.role),
    seen,
    trace,
    get now() {
      return time.now;
    },
    set now(value) {
      time.now = value;
    },
    receive(...chunks) {
      for (const chunk of chunks) {
        connection.receiveData(chunk);
        if (mode === 'pull' && pulling) harness.pull();
      }
    },
    pull: (most) => collect(connection, collector, memory, most),
    output() {
      const chunks = connection.takeOutput();
      const bytes = concat(...chunks);
      for (const chunk of chunks) connection.recycleOutput(chunk);
      return bytes;
    },
    frames: () => [...parser.push(harness.output())],
    sent: () => harness.frames().map(describeFrame),
    advance(ms, taking = false) {
      const until = time.now + ms;
      for (let fired = 0; ; fired++) {
        if (fired > MOST_DEADLINES) throw new Error('deadlines without end');
        const due = connection.nextTimeout();
        if (due === null || due > until) break;
        time.now = Math.max(time.now, due);
        connection.handleTimeout();
        if (mode === 'pull' && pulling) harness.pull();
        if (taking) harness.output();
      }
      time.now = until;
    },
    of: <T extends Seen['type']>(type: T) => seen.filter((event) => event.type === type) as Extract<Seen, { type: T }>[],
    get end() {
      const ends = harness.of('end');
      const [only] = ends;
      if (only === undefined || ends.length > 1) throw new Error(`${ends.length} end events`);
      const { type: _, ...info } = only;
      return info;
    },
    get ended() {
      return seen.some(({ type }) => type === 'end');
    },
  };
  return harness;
}
