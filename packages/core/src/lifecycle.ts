/**
 * The life of a connection: closing, failing, ending (RFC 6455 section 7), and the deadlines that lead there.
 *
 * Every change of state goes through `#move`, which asks the table. The one terminal event is made here, from both close frames, who
 * started, and the first thing that went wrong. Beware: a close frame that we reply with is queued before the application hears of the
 * peer's, so whatever it sends in that callback comes too late and says so by returning false.
 */
import type { CloseInfo } from './close.ts';
import { isSendableCloseCode, serializeClosePayload, truncateReason } from './close.ts';
import type { Millis, TransportDirective } from './common.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { Outlet } from './outlet.ts';
import type { OutboundPipeline } from './pipeline.ts';
import type { ReceiverHost } from './receiver.ts';
import type { SenderHost } from './sender.ts';
import { CLOSE_QUEUED, PING_QUEUED, Sender } from './sender.ts';
import type { Settings } from './settings.ts';
import type { LifecycleInput, LifecycleState } from './state.ts';
import { advance, meaning } from './state.ts';
import type { Timers } from './timers.ts';
import type { Violation } from './violations.ts';
import { violations, violationWith } from './violations.ts';

/** How the connection came to its end: what `EndInfo` is made from. Made at the first close frame or failure. */
class Closing {
  sent: CloseInfo | null = null;
  received: CloseInfo | null = null;
  failure: Violation | null = null;
  initiator: 'local' | 'remote' | null = null;
}

const BROKEN: Violation = violationWith('WS_FAILED_LOCALLY', { message: 'an extension failed' });
/** Bytes in the payload of a keepalive ping: a counter, by which its pong is known. */
const PING_SIZE = 4;
/** Deadlines that one call may act on: each changes what is due, so more would be a defect. */
const MOST_DEADLINES = 8;

export class Lifecycle implements ReceiverHost, SenderHost {
  state: LifecycleState = 'open';
  latency: Millis | null = null;
  /** Is input read? Set by the connection: pong and idle stand still while it is not. */
  reads = true;
  readonly sender: Sender;
  readonly timers: Timers;
  readonly settings: Settings;
  readonly #outlet: Outlet;
  #ending: Closing | null = null;
  /** Has the transport stopped accepting output? */
  #stalled = false;
  #pings = 0;
  /** When the last keepalive ping was taken; null: it has been answered. */
  #pingTakenAt: Millis | null = null;

  constructor(settings: Settings, writer: FrameWriter, pipeline: OutboundPipeline | null, timers: Timers, outlet: Outlet) {
    this.settings = settings;
    this.sender = new Sender(writer, pipeline, this);
    this.sender.open = meaning[this.state].sends;
    this.timers = timers;
    this.#outlet = outlet;
  }

  get closeSent(): CloseInfo | null {
    return this.#ending === null ? null : this.#ending.sent;
  }
  get closeReceived(): CloseInfo | null {
    return this.#ending === null ? null : this.#ending.received;
  }
  private get closing(): Closing {
    this.#ending ??= new Closing();
    return this.#ending;
  }

  get terminal(): boolean {
    return meaning[this.state].terminal;
  }
  get parses(): boolean {
    return meaning[this.state].parses;
  }
  get directive(): TransportDirective {
    const directive = meaning[this.state][this.settings.role];
    // Not before the close frame is out, which may stand behind a message that is still being compressed.
    return directive === 'end' && this.sender.backlog ? 'open' : directive;
  }

  /** `payload` is that of a close frame to queue. The state changes first: the trace of that frame may call back, and must find sending closed. */
  private move(input: LifecycleInput, payload: Uint8Array | null = null): void {
    const before = this.state;
    const after = advance(before, input);
    this.state = after;
    this.sender.open = meaning[after].sends;
    if (payload !== null) this.sender.close(payload);
    const { tracer } = this.settings;
    if (tracer !== null && after !== before) tracer.note('state', `${before} -> ${after}`);
  }

  /* What the peer does. */

  onPing(payload: Uint8Array): void {
    if (this.settings.autoPong && this.sender.open) this.sender.autoPong(payload, this.settings.maxPendingPongs);
    this.#outlet.ping(payload);
  }

  onPong(payload: Uint8Array): void {
    let latency: Millis | null = null;
    if (this.#pingTakenAt !== null && payload.length === PING_SIZE && readCounter(payload) === this.#pings) {
      latency = this.settings.clock() - this.#pingTakenAt;
      this.latency = latency;
      this.#pingTakenAt = null;
    }
    this.#outlet.pong(payload, latency);
  }

  /** RFC 6455 section 5.5.1: the reply echoes the code; the reason comes back too, since programs log what their own side reports. */
  onClose(info: CloseInfo): void {
    const closing = this.closing;
    closing.received = info;
    closing.initiator ??= 'remote';
    this.move('receiveClose');
    this.timers.stopLiveness();
    if (this.sender.open && this.settings.autoClose) {
      let payload: Uint8Array;
      if (isSendableCloseCode(info.code)) payload = this.closeFrame(info.code, info.reason);
      else payload = this.closeFrame(undefined, '');
      this.move('sendClose', payload);
      this.mayWait();
    } else if (this.sender.open) this.timers.closing(this.settings.clock());
    this.#outlet.close(info);
  }

  /** RFC 6455 section 7.1.7: the close frame if one can still go out; then the transport is ended and input discarded. */
  onViolation(violation: Violation, reason: string = violation.message): void {
    if (advance(this.state, 'fail') === this.state) return;
    const closing = this.closing;
    closing.failure = violation;
    closing.initiator ??= 'local';
    this.sender.dropBacklog();
    // An extension may bring a violation of its own, with a code that is not for the wire.
    let payload: Uint8Array | null = null;
    if (this.sender.open && isSendableCloseCode(violation.closeCode))
      payload = this.closeFrame(violation.closeCode, truncateReason(reason));
    this.move('fail', payload);
    this.timers.stopLiveness();
    this.timers.closing(this.settings.clock());
  }

  /**
   * After both close frames: is ours still here, behind a message that is still being compressed or for a transport that has stopped accepting
   * output? What was sent before it is lost with it.
   */
  private get closeWaits(): boolean {
    return this.sender.backlog || (this.#stalled && (this.sender.queued & CLOSE_QUEUED) !== 0);
  }

  /** The transport's end. After both close frames it is in order, whatever its kind (section 7.1.4), unless our close frame never left. */
  onTransportOver(how: 'eof' | 'error'): void {
    if (how === 'error') {
      this.drop(violations.WS_TRANSPORT);
      return;
    }
    if (advance(this.state, 'eof') === this.state) return;
    if (this.state !== 'closed' || this.closeWaits) this.closing.failure ??= violations.WS_EOF;
    this.sender.dropBacklog();
    this.move('eof');
    this.end();
  }

  /* What the application does. */

  /** `payload` fits the arguments. False: our close frame went out before, or can't any more. */
  close(code: number | undefined, reason: string, payload: Uint8Array): boolean {
    if (advance(this.state, 'sendClose') === this.state) return false;
    const closing = this.closing;
    closing.sent = { code: code ?? 1005, reason };
    closing.initiator ??= 'local';
    this.move('sendClose', payload);
    this.timers.stopLiveness();
    this.mayWait();
    return true;
  }
  fail(code: number, reason: string): void {
    const known = violations.WS_FAILED_LOCALLY;
    this.onViolation(violationWith('WS_FAILED_LOCALLY', { closeCode: code, message: reason === '' ? known.message : reason }), reason);
  }
  abort(): void {
    this.drop(violations.WS_ABORTED);
  }
  /** A message that was queued can't be sent as announced, so no close frame can follow it either. */
  lost(): void {
    this.closing.initiator ??= 'local';
    this.drop(violationWith('WS_ABORTED', { message: 'the buffer of a message was transferred or resized before it was written' }));
  }
  /** An extension threw (`WS_FAILED_LOCALLY`). What waits for it is lost; only close frames go out. */
  broken(): void {
    // After both close frames it is too late to fail, but not for the one of ours that waits behind a message.
    if (this.state === 'closed') {
      this.closing.failure ??= BROKEN;
      this.sender.dropBacklog();
    } else this.onViolation(BROKEN);
  }
  onSent(): void {
    this.done();
  }
  /** The end of a call. */
  done(): void {
    this.sync();
    this.settings.tracer?.throwLate();
  }

  /** The payload of a close frame that is to be sent. */
  private closeFrame(code: number | undefined, reason: string): Uint8Array {
    this.closing.sent = { code: code ?? 1005, reason };
    return serializeClosePayload(code, reason);
  }

  /** Directive 'abort'. Output that was not taken is lost with the transport. */
  private drop(cause: Violation): void {
    if (advance(this.state, 'abort') === this.state) return;
    if (this.state !== 'closed' || this.closeWaits) {
      const closing = this.closing;
      closing.failure ??= cause;
      if (cause === violations.WS_ABORTED) closing.initiator ??= 'local';
    }
    this.move('abort');
    this.sender.drop();
    this.end();
  }

  private end(): void {
    const { sent, received, initiator, failure } = this.closing;
    this.#outlet.end({
      clean: received !== null && sent !== null && failure === null,
      code: received?.code ?? 1006,
      reason: received?.reason ?? '',
      sent,
      received,
      initiator,
      cause: failure,
    });
  }

  /* Time. */

  /** Our close frame was queued. If it has to wait, for the transport or behind a transform, its deadline starts now and not when it is taken. */
  private mayWait(): void {
    if (this.#stalled || this.sender.backlog) this.timers.closing(this.settings.clock());
  }
  /** A new turn of transforms, or one of them may be ready. As long as they make progress, the close frame behind them is not late. */
  goOn(isNewTurn: boolean, now: Millis): void {
    const went = isNewTurn ? this.sender.refill() : this.sender.wake();
    if (went && this.closeSent !== null && this.timers.closes) this.timers.closing(now);
  }
  /** Output has been taken; while the transport accepts none, only to be thrown away. */
  onTaken(): void {
    const { queued } = this.sender;
    if (queued === 0 || this.terminal || this.#stalled) return;
    this.sender.queued = 0;
    const now = this.settings.clock();
    if ((queued & CLOSE_QUEUED) !== 0) this.timers.closing(now);
    if ((queued & PING_QUEUED) === 0) return;
    this.#pingTakenAt = now;
    this.timers.pingTaken(now);
  }
  /** A peer that reads nothing must not keep a closing connection for ever. */
  onStalled(): void {
    this.#stalled = true;
    if (this.closeSent !== null && !this.timers.closes) this.timers.closing(this.settings.clock());
    this.sync();
  }
  onDrained(): void {
    this.#stalled = false;
    if (this.timers.closes) this.timers.closing(this.settings.clock());
    this.sync();
  }
  /**
   * Pong and idle count only while we read and our output leaves: what a stalled transport has taken may not have left, the ping for instance, and
   * hosts do not read meanwhile.
   */
  sync(): void {
    if (this.timers.counts) this.timers.still(!this.reads || this.#stalled || this.sender.bufferedAmount > 0, this.settings.clock());
  }

  /** Need not ask for the closing deadline, which runs in no open connection, nor for received work that is put off: `reads` is false then. */
  steadyUntil(due: Millis): boolean {
    return this.reads && this.state === 'open' && this.sender.plain && this.timers.steadyUntil(due);
  }
  /** Acts on all deadlines that are due. */
  onTime(now: Millis): void {
    for (let i = 0; i < MOST_DEADLINES && !this.terminal; i++) {
      const due = this.timers.due(now);
      if (due === null) return;
      this.settings.tracer?.note('timer', due);
      if (due === 'closing') this.drop(violations.WS_TIMEOUT_CLOSING);
      else if (due === 'keepalive') this.keepalive(now);
      else this.onViolation(due === 'pong' ? violations.WS_TIMEOUT_PONG : violations.WS_TIMEOUT_IDLE);
    }
  }
  private keepalive(now: Millis): void {
    this.timers.pinged(now);
    // One that nobody has taken yet is enough.
    if ((this.sender.queued & PING_QUEUED) !== 0 || !this.sender.open) return;
    this.#pings = (this.#pings + 1) >>> 0;
    const payload = new Uint8Array(PING_SIZE);
    for (let i = 0; i < PING_SIZE; i++) payload[i] = this.#pings >>> (24 - 8 * i);
    this.sender.ping(payload);
    this.sender.queued |= PING_QUEUED;
  }
}

function readCounter(payload: Uint8Array): number {
  let value = 0;
  for (let i = 0; i < PING_SIZE; i++) value = value * 256 + (payload[i] as number);
  return value;
}
