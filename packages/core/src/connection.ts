/**
 * A WebSocket connection after its handshake (RFC 6455 sections 5 to 8), without I/O: joins the receiver, the sender, the life cycle and the
 * deadlines. Public methods and the reading of input; every rule is in the file that has its name.
 *
 * Order in a host's turn: input, events, `takeOutput`, `transport`, `wantsRead`, `nextTimeout`. Any other order is safe too, since each of
 * them is a queue or a level; only latency suffers.
 */
import type { CloseInfo } from './close.ts';
import { isSendableCloseCode, serializeClosePayload, truncateReason } from './close.ts';
import type { MessageKind, Millis, Protocol, Role, TransportDirective, WorkHost } from './common.ts';
import type { ConnectionEvent, ConnectionSink } from './events.ts';
import type { Extension } from './extension.ts';
import { disposeAll } from './extension.ts';
import { MAX_CONTROL_PAYLOAD } from './frame.ts';
import { FrameWriter } from './frame-writer.ts';
import { InputQueue } from './input.ts';
import { Lifecycle } from './lifecycle.ts';
import { maskSource } from './masks.ts';
import type { MessageWriter } from './message-writer.ts';
import { checkBytes, checkData, checkPayload, describe, misuse } from './misuse.ts';
import type { ConnectionOptions, Delivery } from './options.ts';
import type { Filled } from './outlet.ts';
import { PullOutlet, PushOutlet } from './outlet.ts';
import { recycle } from './output.ts';
import type { PipelineHost } from './pipeline.ts';
import { InboundPipeline, OutboundPipeline } from './pipeline.ts';
import type { PreparedMessage } from './prepared.ts';
import { preparedOf } from './prepared.ts';
import { Receiver } from './receiver.ts';
import type { Settings } from './settings.ts';
import { settingsOf } from './settings.ts';
import { meaning } from './state.ts';
import { Timers } from './timers.ts';

export type { MessageWriter } from './message-writer.ts';
export type { PreparedMessage } from './prepared.ts';
export { prepareMessage } from './prepared.ts';

/** `closing` from the first close frame, or the failure, to the end of the transport. */
export type ConnectionState = 'open' | 'closing' | 'closed';

export interface SendOptions {
  /** False for the first frame of a fragmented message. Default true. */
  readonly fin?: boolean;
  /** Undefined leaves it to the extension (threshold). */
  readonly compress?: boolean;
  /** The buffer may be masked in place instead of copied (clients). */
  readonly transfer?: boolean;
}

/** Counts since the start. Bytes in and out are those of the wire; payload is that of messages, uncompressed. */
export interface ConnectionStats {
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly payloadIn: number;
  readonly payloadOut: number;
  readonly framesIn: number;
  readonly framesOut: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
  /** Of `messagesIn`: not delivered, because the application had closed and did not read. */
  readonly messagesDiscarded: number;
}

const EMPTY = new Uint8Array(0);
const CLIENT_CODE = 'code 1010 may be sent by clients only (RFC 6455 section 7.4.1)';
/** By the application. */
const PAUSED = 1;
/** Inside the receiver, so perhaps inside a callback. */
const BUSY = 2;
/** Memory and extensions were released. */
const RELEASED = 4;
/** The transport's end, which takes effect after the input that is held. With ERROR it was no orderly one. */
const EOF = 8;
const ERROR = 16;
const OVER = EOF | ERROR;
/** Set by the host while output is not taken: answers to more input would pile up. */
const WORK_HELD = 32;
/** An extension became ready while work was held. */
const WOKEN = 64;
const NO_EXTENSIONS: readonly Extension[] = [];

/**
 * One side of a WebSocket after its handshake: bytes and time go in, events, output, a directive for the transport and a deadline come out.
 * It does no I/O; `drive` of `@ferrywire/driver` and the adapters host it. Pull events with `events()`, or pass a `sink` to be called.
 */
export class Connection implements Protocol {
  readonly subprotocol: string | null;
  /** As negotiated, in the order of the response. */
  readonly extensions: readonly Extension[];
  readonly #life: Lifecycle;
  readonly #receiver: Receiver;
  /** Null in push mode. */
  readonly #pull: PullOutlet | null;
  /** Input that was not parsed yet. */
  #held: InputQueue | null = null;
  /** `PAUSED` to `ERROR`: a field for each would cost every connection 8 bytes (bench: `memory`). */
  #flags = 0;
  #bytesIn = 0;
  #bytesOut = 0;

  /** Throws TypeError or RangeError naming the option for what makes no sense. */
  constructor(options: ConnectionOptions) {
    const settings = settingsOf(options);
    const { role, clock } = settings;
    const extensions = options.extensions === undefined || options.extensions.length === 0 ? NO_EXTENSIONS : [...options.extensions];
    this.subprotocol = options.subprotocol ?? null;
    this.extensions = extensions;
    const transforms = extensions.length > 0;
    const host: PipelineHost = { worker: null, ready: () => this.#ready(host.worker), broken: () => this.#broken() };
    const outbound = transforms ? new OutboundPipeline(extensions, role, host, clock) : null;
    const inbound = transforms ? new InboundPipeline(extensions, role, host, clock) : null;
    this.#pull = options.sink === undefined ? new PullOutlet(settings.delivery === 'span') : null;
    const outlet = this.#pull ?? new PushOutlet(options.sink as ConnectionSink);
    const writer = new FrameWriter(settings, role === 'client' ? maskSource(options.random) : null);
    this.#life = new Lifecycle(settings, writer, outbound, new Timers(settings, clock()), outlet);
    this.#receiver = new Receiver(settings, inbound, this.#life, outlet);
    if (residents === null) makeResidents();
  }

  /* Input. */

  /**
   * Bytes from the transport; whose they are afterwards is what the `input` option says. Never throws for what they say. Throws TypeError for
   * anything but a Uint8Array, Error `WS_MISUSE_REENTRANT` inside a callback, and whatever a callback throws.
   */
  receiveData(chunk: Uint8Array): void {
    checkBytes(chunk, 'chunk');
    if ((this.#flags & BUSY) !== 0) throw misuse('WS_MISUSE_REENTRANT', 'receiveData() may not be called from inside a callback');
    const size = chunk.length;
    if (size === 0 || (this.#flags & OVER) !== 0) return;
    if (!this.#life.terminal) this.#bytesIn += size;
    if (this.#life.timers.listens) this.#life.timers.heard(this.#settings.clock());
    if (!this.#life.parses) return;
    const receiver = this.#receiver;
    if ((this.#pull?.lazy ?? this.paused) || this.#holds || !receiver.hungry) {
      this.#hold(chunk);
      this.#settle();
      return;
    }
    receiver.refill(true);
    receiver.stop = false;
    this.#parse(chunk, this.#settings.ownsInput, false);
  }

  /** The peer has ended its side (FIN, END_STREAM). Takes effect after input that is still held. */
  receiveEof(): void {
    this.#flags |= EOF;
    if ((this.#flags & BUSY) === 0) this.#settle();
  }

  /** The transport broke (reset, TLS failure). Takes effect after input that is still held. What `error` is makes no difference. */
  receiveError(_error: unknown): void {
    this.#flags |= ERROR;
    if ((this.#flags & BUSY) === 0) this.#settle();
  }

  /** Acts on every deadline that has passed at `now` (default: the clock). Early and spurious calls are harmless. */
  handleTimeout(now: Millis = this.#settings.clock()): void {
    if (this.#life.terminal) return;
    if (this.#life.sender.waits) this.#life.goOn(true, now);
    if (this.#hasWork) {
      this.#flags &= ~WOKEN;
      this.#receiver.refill(false);
      this.#read();
    }
    this.#life.sync();
    this.#life.onTime(now);
    this.#after();
  }

  /**
   * From here on `host` is told when an asynchronous extension is ready, so that the host can make a turn of it; without a host the connection
   * wakes itself. `drive` calls this.
   */
  workFor(host: WorkHost): void {
    this.#life.sender.workFor(host);
  }
  #ready(worker: WorkHost | null): void {
    if (worker === null) this.wake();
    else if (!this.#life.terminal) worker.onWork();
  }

  /** An asynchronous extension has finished what it called 'pending'. */
  wake(): void {
    if (this.#life.terminal) return;
    this.#life.goOn(false, this.#settings.clock());
    if ((this.#flags & WORK_HELD) !== 0 && !this.#lazy) this.#flags |= WOKEN;
    else {
      this.#receiver.refill(false);
      if (!this.#lazy) this.#read();
    }
    this.#after();
  }

  /**
   * While held, input that a step budget has stopped stays stopped: a compressed kilobyte may be a megabyte of messages to answer. `drive` holds
   * it while the peer is slow to take our output. No effect in pull mode, where the application asks for each event.
   */
  holdWork(isHeld: boolean): void {
    this.#flags = isHeld ? this.#flags | WORK_HELD : this.#flags & ~WORK_HELD;
  }
  /** Is there received work left that only the step budget has stopped? */
  get #hasWork(): boolean {
    if ((this.#flags & (PAUSED | WORK_HELD)) !== 0 || this.#lazy) return false;
    return this.#receiver.exhausted || (this.#flags & WOKEN) !== 0;
  }

  get #settings(): Settings {
    return this.#life.settings;
  }
  get #lazy(): boolean {
    return this.#pull?.lazy ?? false;
  }
  get #holds(): boolean {
    return this.#held !== null && !this.#held.empty;
  }
  #hold(bytes: Uint8Array): void {
    this.#held ??= new InputQueue();
    this.#held.push(bytes, this.#settings.keepsInput, this.#settings.ownsInput);
  }

  /** One piece of input. What is left of it, because the application paused or threw, is held. */
  #parse(bytes: Uint8Array, own: boolean, held: boolean): void {
    const receiver = this.#receiver;
    const size = bytes.length;
    this.#flags |= BUSY;
    try {
      receiver.run(bytes, 0, size, own);
    } finally {
      this.#flags &= ~BUSY;
      const rest = receiver.position;
      if (rest < size && this.#life.parses) {
        const unread = receiver.unread ?? new Uint8Array(bytes.buffer, bytes.byteOffset + rest, size - rest);
        if (held) this.#held?.unshift(unread, own);
        else this.#hold(unread);
      }
      if (!held) this.#settle();
    }
  }

  /** Goes on with what is held. */
  #read(): void {
    if ((this.#flags & BUSY) !== 0) return;
    const receiver = this.#receiver;
    receiver.stop = this.paused || !this.#life.parses;
    try {
      if (!receiver.stop && !receiver.hungry) {
        // Work is left: with what it has not used of its input, where there is such.
        const rest = this.#held?.shift() ?? null;
        if (rest === null) this.#parse(EMPTY, false, true);
        else this.#parse(rest.bytes, rest.own, true);
      }
      while (!receiver.stop && receiver.hungry) {
        const chunk = this.#held?.shift() ?? null;
        if (chunk === null) break;
        this.#parse(chunk.bytes, chunk.own, true);
      }
    } finally {
      this.#settle();
    }
  }

  #after(): void {
    if (!this.#life.parses) this.#receiver.stop = true;
    if ((this.#flags & BUSY) === 0) this.#settle();
  }

  /** An extension threw, perhaps in a callback, perhaps in the middle of sending. */
  #broken(): void {
    this.#life.broken();
    this.#after();
  }

  /** The end of every turn: what became of held input, of the transport's end, of the clocks. */
  #settle(): void {
    const life = this.#life;
    if (!life.parses) this.#held = null;
    const over = this.#flags & OVER;
    if (over !== 0 && (!life.parses || (!this.#holds && this.#receiver.hungry))) {
      this.#flags &= ~OVER;
      try {
        life.onTransportOver((over & ERROR) === 0 ? 'eof' : 'error');
      } finally {
        this.#release();
      }
    }
    if (life.terminal) this.#release();
    life.reads = this.wantsRead;
    life.done();
  }

  #release(): void {
    if ((this.#flags & RELEASED) !== 0) return;
    this.#flags |= RELEASED;
    this.#held = null;
    this.#receiver.drop();
    disposeAll(this.extensions);
  }

  /* Output. */

  /** Bytes to write, in order. Empties the queue. The memory is the connection's or the application's: the host reads it and never writes to it. */
  takeOutput(): Uint8Array[] {
    const chunks = this.#life.sender.take();
    if (chunks === null) return this.#lost();
    let size = 0;
    // Not `for of`, which costs more on JavaScriptCore than all else here (bench: `echo --runtime bun`, 16 B unbatched).
    for (let i = 0; i < chunks.length; i++) {
      const { length } = chunks[i] as Uint8Array;
      // not covered: what is the application's has been compared, and of ours a transport would have to transfer the memory.
      if (length === 0) return this.#lost();
      size += length;
    }
    this.#bytesOut += size;
    this.#life.onTaken();
    this.#life.sync();
    return chunks;
  }
  /** A chunk has become empty since it was queued: somebody transferred its memory, the application's or ours. */
  #lost(): Uint8Array[] {
    this.#life.lost();
    this.#after();
    return [];
  }
  /** Optional: the transport no longer refers to `chunk`, so its memory may be reused (the application's only if given back by `recycleInput`). */
  recycleOutput(chunk: Uint8Array): void {
    checkBytes(chunk, 'chunk');
    recycle(chunk);
  }
  /** The transport has stopped accepting output. From here the closing deadline runs, even for a close frame that is not taken yet. */
  outputStalled(): void {
    if (!this.#life.terminal) this.#life.onStalled();
  }
  /** The transport accepts output again after it had stopped. Restarts the closing deadline. */
  outputDrained(): void {
    if (!this.#life.terminal) this.#life.onDrained();
  }
  /** Bytes accepted and not yet taken. */
  get bufferedAmount(): number {
    return this.#life.sender.bufferedAmount;
  }
  get transport(): TransportDirective {
    return this.#life.directive;
  }
  /** False while paused, while unread input is held, and at the end. */
  get wantsRead(): boolean {
    if (this.#life.terminal) return false;
    if (!this.#life.parses) return true;
    return !this.paused && !this.#holds && this.#receiver.hungry;
  }
  /** Is input held that is still to be read, or work left of it? */
  get unread(): boolean {
    return this.#life.parses && (this.#holds || !this.#receiver.hungry);
  }
  /** When `handleTimeout` is due next, on the clock's scale. Already due while large compressed messages wait for their next step. */
  nextTimeout(): Millis | null {
    if (this.#life.terminal) return null;
    const timers = this.#life.timers;
    return this.#life.sender.waits || this.#hasWork ? timers.past : timers.next();
  }
  /** True when `transport` is 'open', `wantsRead` is true, nothing is due before `due`, and taking the output changes none of it. False in a callback. */
  steadyUntil(due: Millis): boolean {
    return this.#flags === 0 && this.#life.steadyUntil(due);
  }

  /* Events, pull mode. */

  /** The next event, or null when more input is needed. Throws TypeError with a sink, and in delivery 'span' (`readInto`). */
  nextEvent(): ConnectionEvent | null {
    const pull = this.#pulls('nextEvent()');
    if (this.#settings.delivery === 'span') throw new TypeError("nextEvent() is not for delivery 'span': use readInto()");
    const event = pull.shift();
    if (event !== null) return event as ConnectionEvent;
    this.#advance();
    return pull.shift() as ConnectionEvent | null;
  }
  /** `nextEvent` until it answers null. */
  events(): IterableIterator<ConnectionEvent> {
    this.#pulls('events()');
    if (this.#settings.delivery === 'span') throw new TypeError("events() is not for delivery 'span': use readInto()");
    return this.#iterate();
  }
  *#iterate(): IterableIterator<ConnectionEvent> {
    for (let event = this.nextEvent(); event !== null; event = this.nextEvent()) yield event;
  }

  /**
   * Delivery 'span': the next payload, unmasked, inflated and validated, into `target`, at most as much as fits. Other events come in their
   * order. Null: more input is needed. Throws RangeError for a target without room, TypeError with a sink or in another delivery.
   */
  readInto(target: Uint8Array): Filled | ConnectionEvent | null {
    const pull = this.#pulls('readInto()');
    if (this.#settings.delivery !== 'span') throw new TypeError("readInto() is for delivery 'span': use nextEvent()");
    checkBytes(target, 'target');
    if (target.length === 0) throw new RangeError('target must have room for at least one byte');
    let event = pull.shift();
    if (event === null) {
      if (pull.lazy) pull.target = target;
      try {
        this.#advance();
        // First of all: a held EOF or error takes effect behind the last byte, and its event stays in the queue.
        if (pull.filled !== null) return pull.filled;
      } finally {
        pull.target = null;
        pull.filled = null;
      }
      event = pull.shift();
    }
    return event !== null && event.type === 'piece' ? pull.copy(event, target) : (event as ConnectionEvent | null);
  }

  #pulls(name: string): PullOutlet {
    if (this.#pull === null) throw new TypeError(`${name} needs pull mode: events go to options.sink`);
    return this.#pull;
  }
  /** Parses up to the next event. The application asks for it and waits, so the step budget does not apply. */
  #advance(): void {
    const receiver = this.#receiver;
    do {
      receiver.refill(false);
      this.#read();
    } while (receiver.exhausted && !receiver.told);
  }

  /**
   * A message's memory may be reused for a later one. The caller must not touch it any more, but may have sent it on, here or on other connections:
   * it is reused once the last of them has written it, which hosts say with `recycleOutput`. Optional; of no effect below 4 KiB and above 1 MiB.
   */
  recycleInput(data: Uint8Array): void {
    checkBytes(data, 'data');
    if (!this.#life.terminal) this.#receiver.content.recycle(data);
  }

  /* Flow control. */

  /** Stops reading, in the middle of a frame too. No effect once the connection is closing. */
  pause(): void {
    if (this.#life.state !== 'open') return;
    this.#flags |= PAUSED;
    this.#receiver.stop = true;
    if ((this.#flags & BUSY) === 0) this.#settle();
  }
  /** Goes on from the very byte; events arrive during the call (push mode). */
  resume(): void {
    if (!this.paused && !this.#holds && this.#receiver.hungry) return;
    this.#flags &= ~PAUSED;
    this.#goOn();
  }
  get paused(): boolean {
    return (this.#flags & PAUSED) !== 0;
  }
  #goOn(): void {
    if ((this.#flags & BUSY) !== 0) this.#receiver.stop = !this.#life.parses;
    else if (this.#lazy) this.#settle();
    else this.#read();
  }

  /* Sending. */

  /** Queues a text message, or with `fin: false` the first frame of one. Bytes must be UTF-8, which is not checked. */
  sendText(data: string | Uint8Array, options?: SendOptions): boolean {
    checkData(data, 'data');
    return this.#send('text', data, options);
  }
  /**
   * Queues a binary message. Payloads of 16 KiB and more are held by reference: do not change them before they are written. One whose buffer
   * is transferred before it was taken, or resized so that it has another length, ends the connection (`WS_ABORTED`).
   */
  sendBinary(data: Uint8Array, options?: SendOptions): boolean {
    checkPayload(data, 'data');
    return this.#send('binary', data, options);
  }
  /** A string as text, bytes as binary. */
  send(data: string | Uint8Array, options?: SendOptions): boolean {
    checkData(data, 'data');
    return this.#send(typeof data === 'string' ? 'text' : 'binary', data, options);
  }
  #send(kind: MessageKind, data: string | Uint8Array, options: SendOptions | undefined): boolean {
    if (options !== undefined) checkOptions(options);
    const life = this.#life;
    if (!life.sender.open) return false;
    if (options === undefined) life.sender.message(kind, data, true, undefined, false);
    else life.sender.message(kind, data, options.fin !== false, options.compress, options.transfer === true);
    life.done();
    return true;
  }
  /** The next frame of the message begun with `fin: false`. Throws Error `WS_MISUSE_NO_MESSAGE` without one. */
  sendContinuation(data: string | Uint8Array, fin: boolean): boolean {
    checkData(data, 'data');
    if (typeof fin !== 'boolean') throw new TypeError(`fin must be a boolean, not ${describe(fin)}`);
    if (!this.#life.sender.open) return false;
    this.#life.sender.continuation(data, fin);
    this.#life.done();
    return true;
  }
  sendPrepared(message: PreparedMessage): boolean {
    const prepared = preparedOf(message);
    if (!this.#life.sender.open) return false;
    this.#life.sender.prepared(prepared);
    this.#life.done();
    return true;
  }
  /** A message in fragments of any number and size (RFC 6455 section 5.4). Until its end other messages throw `WS_MISUSE_MESSAGE_OPEN`. */
  startMessage(kind: MessageKind, options?: Omit<SendOptions, 'fin'>): MessageWriter {
    if (kind !== 'text' && kind !== 'binary') throw new TypeError(`kind must be 'text' or 'binary', not ${describe(kind)}`);
    if (options !== undefined) checkOptions(options);
    return this.#life.sender.start(kind, options?.compress, options?.transfer === true);
  }
  /** RFC 6455 section 5.5.2. Throws RangeError for more than 125 bytes. */
  ping(payload: Uint8Array = EMPTY): boolean {
    return this.#control(payload, 'ping');
  }
  /** An unsolicited pong (RFC 6455 section 5.5.3). */
  pong(payload: Uint8Array = EMPTY): boolean {
    return this.#control(payload, 'pong');
  }
  #control(payload: Uint8Array, kind: 'ping' | 'pong'): boolean {
    checkPayload(payload, 'payload');
    if (payload.length > MAX_CONTROL_PAYLOAD) {
      throw new RangeError(`payload must be at most ${MAX_CONTROL_PAYLOAD} bytes, not ${payload.length}`);
    }
    const sender = this.#life.sender;
    if (!sender.open) return false;
    if (kind === 'ping') sender.ping(payload);
    else sender.pong(payload);
    this.#life.done();
    return true;
  }

  /* Closing. */

  /**
   * Starts the closing handshake, or answers the peer's close (RFC 6455 section 7.1.2). True when this call queued the close frame. Throws
   * RangeError for a code that may not be sent (1010 is for clients only) and for a reason of more than 123 bytes. The answer may give back what
   * the peer has said, as `autoClose` would: 1010 of a client, and 1005, which goes out as no code.
   * From here a pause no longer holds: input is read on to the peer's close frame; messages still arrive, unless the application had paused. Of
   * what is not pulled meanwhile `maxMessageSize` bytes and 16 384 events are kept; then messages are discarded and counted, pings and pongs dropped.
   */
  close(code?: number, reason?: string): boolean {
    // Giving back what the peer sent is the usual answer (section 5.5.1), so it may not throw, whatever the code.
    const told = this.closeReceived;
    const isEcho = told !== null && code === told.code;
    if (isEcho && !isSendableCloseCode(code) && (reason === undefined || reason === told.reason)) return this.close();
    const payload = serializeClosePayload(code, reason);
    if (code === 1010 && this.role === 'server' && !isEcho) throw new RangeError(CLIENT_CODE);
    if (!this.#life.close(code, reason ?? '', payload)) return false;
    if (this.paused) this.#receiver.restrict(null);
    else if (this.#pull !== null) this.#receiver.restrict(this.#settings.maxKept);
    this.#flags &= ~PAUSED;
    if (this.#pull !== null) this.#pull.lazy = false;
    this.#goOn();
    return true;
  }
  /** Fails the connection (RFC 6455 section 7.1.7): a close frame if one can still go out, then the end; input is discarded. */
  fail(code: number, reason?: string): void {
    if (!isSendableCloseCode(code)) throw new RangeError(`code must be 1000 to 1003, 1007 to 1014 or 3000 to 4999, not ${String(code)}`);
    if (reason !== undefined && typeof reason !== 'string') throw new TypeError('reason must be a string');
    if (code === 1010 && this.role === 'server') throw new RangeError(CLIENT_CODE);
    this.#life.fail(code, truncateReason(reason ?? ''));
    this.#after();
  }
  /** No close frame, directive 'abort'. */
  abort(): void {
    this.#life.abort();
    this.#after();
  }

  get role(): Role {
    return this.#settings.role;
  }
  /** Of the options, or the default 'message'. For layers on top, which support one delivery each. */
  get delivery(): Delivery {
    return this.#settings.delivery;
  }
  get state(): ConnectionState {
    return meaning[this.#life.state].state;
  }
  get closeSent(): CloseInfo | null {
    return this.#life.closeSent;
  }
  get closeReceived(): CloseInfo | null {
    return this.#life.closeReceived;
  }
  /** The round trip of the last keepalive ping that was answered. */
  get latency(): Millis | null {
    return this.#life.latency;
  }
  get stats(): ConnectionStats {
    const receiver = this.#receiver;
    const { sender } = this.#life;
    return {
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      payloadIn: receiver.bytes,
      payloadOut: sender.bytes,
      framesIn: receiver.frames,
      framesOut: sender.frames,
      messagesIn: receiver.messages,
      messagesOut: sender.messages,
      messagesDiscarded: receiver.discarded,
    };
  }
}

function checkOptions(options: SendOptions): void {
  if (typeof options !== 'object' || options === null) throw new TypeError(`options must be an object, not ${describe(options)}`);
}

/**
 * Connections that nobody uses, one of each mode, in the middle of a text message. V8 drops the hidden classes of which no object is alive,
 * and all code compiled for them: a process whose last connection ends before each full collection would run ten times slower from the sixth
 * time on, for good (`receive-memory.test.ts`). The clock answers a fraction, since fields that start as small integers change class later.
 */
let residents: readonly Connection[] | null = null;

function makeResidents(): void {
  residents = [];
  const options: ConnectionOptions = { role: 'server', clock: () => 0.5 };
  residents = [new Connection(options), new Connection({ ...options, sink: {} })];
  for (const connection of residents) connection.receiveData(Uint8Array.of(0x01, 0x81, 0, 0, 0, 0, 0x61));
  residents[0]?.nextEvent();
}
