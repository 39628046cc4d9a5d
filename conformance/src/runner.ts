/**
 * Runs one case over one open connection: interprets its steps, answers the subject as an endpoint would (pongs, close frames, who ends the
 * transport: RFC 6455 sections 5.5 and 7.1), keeps the time limits, and hands what it saw to the judge. Real and virtual time look the same
 * from here. All callbacks of one run come from one thread; none is called after the end.
 */
import { Buffer } from 'node:buffer';
import type { MessageKind, Role } from '@ferrywire/core';
import type { Case, Step } from './case.ts';
import type { Channel, ChannelEvents, Scheduler } from './channel.ts';
import { corpusWalker } from './corpus.ts';
import { Decoder, type DecoderEvents } from './decoder.ts';
import { type DeflateAgreement, Deflater } from './deflate.ts';
import { Encoder, type FrameToSend } from './encoder.ts';
import { type Record as CaseRecord, fulfils, judge, mayBecome, type SeenEvent } from './judge.ts';
import { bytesOf, empty, type Payload } from './payload.ts';
import { seededNumbers, seedFor } from './random.ts';
import type { CaseResult } from './result.ts';
import { limitUnder } from './target.ts';

export interface RunSettings {
  /** The subject's role. */
  readonly role: Role;
  readonly scheduler: Scheduler;
  readonly seed: number;
  /** Multiplies every limit of a case. */
  readonly timeScale: number;
  /** Multiplies the pauses of a case, which a subject may not shorten: less than 1 saves time on a fast machine. */
  readonly pauseScale: number;
  /** Milliseconds that no limit may exceed. Default: none. */
  readonly longest?: number | null;
  /** The parameters agreed on; null without permessage-deflate. */
  readonly deflate: DeflateAgreement | null;
  /** Round trips of an exchange; null takes the case's short count. */
  readonly messages: number | 'full' | null;
  /** In process only: calls a method of the subject. */
  readonly call?: (name: string, args: readonly unknown[]) => void;
}

/** Milliseconds for the answer to a close frame, and for a server's end of the transport (RFC 6455 section 7.1.1). */
const closeLimit = 1000;
/** Far more than any case asks for, and few enough to keep: messages and pongs, their bytes, and pings. */
const mostEvents = 1000;
const mostKept = 64 * 1024 * 1024;
const mostPings = 10_000;
const normal = 1000;
const goingAway = 1001;

type Awaited = (Step & { readonly do: 'await' })['what'];

/** One case over one open channel, for targets of your own: tell it what arrives, and `done` gets the result. */
export class CaseRun implements ChannelEvents {
  readonly #test: Case;
  readonly #settings: RunSettings;
  readonly #channel: Channel;
  readonly #done: (result: CaseResult) => void;
  readonly #encoder: Encoder;
  readonly #decoder: Decoder;
  readonly #deflater: Deflater | null;
  /** Is the case's kind of permessage-deflate in force? */
  readonly #agreed: boolean;
  readonly #events: SeenEvent[] = [];
  readonly #record: CaseRecord;
  readonly #timers = new Set<unknown>();
  readonly #startedAt: number;
  #next = 0;
  /** Writes that share one. */
  #pending: Uint8Array[] = [];
  #openFrame: ((piece: Uint8Array) => Uint8Array) | null = null;
  /** Bytes of a frame under way that have not gone; nothing else may go before them. */
  #midFrame = 0;
  /** The same of a frame whose header went alone. */
  #missing = 0;
  /** Bytes of payload in the events, and pings, so far. */
  #kept = 0;
  #pings = 0;
  /** A limit has ended the wait: what comes now is an answer to that. */
  #waitedOut = false;
  #closeSent = false;
  #over = false;
  #awaiting: { readonly what: Awaited; readonly from: number; readonly timer: unknown } | null = null;
  #echo: ((kind: MessageKind, data: Uint8Array) => void) | null = null;

  constructor(test: Case, settings: RunSettings, channel: Channel, done: (result: CaseResult) => void) {
    this.#test = test;
    this.#settings = settings;
    this.#channel = channel;
    this.#done = done;
    const { role, deflate, scheduler } = settings;
    this.#encoder = new Encoder(role === 'server', seededNumbers(seedFor(settings.seed, test.id)));
    const ours = role === 'server' ? deflate?.client : deflate?.server;
    this.#agreed = test.deflate === null || (ours !== undefined && !(test.deflate.takeover === true && ours.noContextTakeover));
    this.#deflater = ours === undefined ? null : new Deflater(ours);
    this.#record = {
      events: this.#events,
      closedByHarness: false,
      clean: false,
      droppedByHarness: false,
      remoteCode: null,
      remoteReason: '',
      gotClose: false,
      breach: null,
      unimplemented: false,
      fault: null,
      unmet: null,
      exchanged: false,
      transportError: null,
      timed: false,
      heard: false,
      duration: 0,
    };
    const heard: DecoderEvents = {
      message: (kind, data) => this.#onMessage(kind, data),
      ping: (data) => this.#onPing(data),
      pong: (data) => this.#onEvent({ type: 'pong', data }),
      close: (code, reason) => this.#onClose(code, reason),
      breach: (breach) => {
        this.#record.breach = breach;
        this.#finish();
      },
    };
    this.#decoder = new Decoder(role, deflate, heard, test.freshMasks);
    this.#startedAt = scheduler.now();
  }

  start(): void {
    if (!this.#agreed) {
      this.#record.unimplemented = true;
      this.#startClose(normal, empty);
      return;
    }
    this.#advance();
  }

  data(bytes: Uint8Array): void {
    if (this.#over) return;
    if (!this.#waitedOut) this.#record.heard = true;
    this.#decoder.push(bytes);
  }

  ended(error: string | null): void {
    if (this.#over) return;
    const half = this.#decoder.unfinished();
    this.#record.transportError = `${error ?? 'the subject ended the transport'}${half === null ? '' : ` in the middle of ${half}`}`;
    this.#finish();
  }

  /* ---- steps ---- */

  #advance(): void {
    while (!this.#over && !this.#stopped()) {
      const step = this.#test.steps[this.#next];
      this.#next += 1;
      if (step === undefined) {
        this.#flush();
        if (this.#next === this.#test.steps.length + 1) {
          this.#startLimit();
          if (this.#events.length > 0) this.#settle();
          else this.#despair();
        }
        return;
      }
      if (!this.#perform(step)) return;
    }
  }

  /** Nothing more is sent once the connection is ending, except what the case itself sends after its own close frame. */
  #stopped(): boolean {
    return this.#record.gotClose || (this.#closeSent && !this.#closedByStep);
  }
  #closedByStep = false;

  /** Returns whether the next step follows at once. */
  #perform(step: Step): boolean {
    switch (step.do) {
      case 'frame': {
        const { claim, lengthBytes, masked } = step;
        const bytes = this.#frame(
          { opcode: step.opcode, fin: step.fin, rsv: step.rsv, payload: bytesOf(step.payload), claim, lengthBytes },
          masked,
        );
        return step.chop !== null ? this.#chop(bytes, step.chop) : this.#queue(bytes, step.ownWrite);
      }
      case 'message':
        return this.#queue(this.#encoder.message(step.kind === 'text' ? 1 : 2, 0, bytesOf(step.payload), step.fragment), true);
      case 'header': {
        const { header, data } = this.#encoder.open(step.opcode, step.fin, step.size);
        this.#openFrame = data;
        this.#missing = step.size;
        this.#midFrame = step.size;
        return step.chop === null ? this.#queue(header, false) : this.#chop(header, step.chop);
      }
      case 'data': {
        const plain = bytesOf(step.payload);
        this.#missing -= plain.length;
        this.#midFrame = this.#missing;
        return this.#queue(this.#openFrame?.(plain) ?? plain, true);
      }
      case 'raw':
        return step.chop === null ? this.#queue(bytesOf(step.payload), true) : this.#chop(bytesOf(step.payload), step.chop);
      case 'close':
        this.#flush();
        this.#closedByStep = true;
        this.#startClose(step.code, step.reason);
        return true;
      case 'pause':
        return this.#pause(step.ms, step.tag);
      case 'await':
        return this.#await(step.what, step.ms);
      case 'exchange':
        return this.#exchange(step);
      case 'call':
        this.#flush();
        this.#settings.call?.(step.name, step.args);
        return true;
      case 'end':
        this.#flush();
        this.#channel.end();
        return true;
      case 'reset':
        this.#flush();
        this.#channel.abort();
        return true;
      default:
        return step satisfies never;
    }
  }

  #frame(frame: FrameToSend, masked: boolean | undefined): Uint8Array {
    return masked === undefined ? this.#encoder.frame(frame) : this.#encoder.frame(frame, masked);
  }

  #queue(bytes: Uint8Array, alone: boolean): true {
    if (alone) this.#flush();
    this.#pending.push(bytes);
    if (alone) this.#flush();
    return true;
  }

  #flush(): void {
    if (this.#pending.length === 0) return;
    const bytes = this.#pending.length === 1 ? (this.#pending[0] as Uint8Array) : Buffer.concat(this.#pending);
    this.#pending = [];
    this.#channel.write(bytes);
  }

  /** One piece a turn, then the next step. */
  #chop(bytes: Uint8Array, size: number): false {
    this.#flush();
    let at = 0;
    const piece = (): void => {
      if (this.#over || this.#stopped()) return;
      this.#channel.write(bytes.subarray(at, at + size));
      at += size;
      this.#midFrame = Math.max(0, bytes.length - at, this.#missing);
      if (at < bytes.length) this.#settings.scheduler.turn(piece);
      else this.#advance();
    };
    this.#settings.scheduler.turn(piece);
    return false;
  }

  #pause(ms: number, tag: string | null): false {
    this.#flush();
    this.#after(ms * this.#settings.pauseScale, () => {
      if (this.#stopped()) return;
      if (tag !== null) this.#onEvent({ type: 'stillOpen', tag });
      this.#advance();
    });
    return false;
  }

  #await(what: Awaited, ms: number): false {
    this.#flush();
    const limit = what === 'silence' ? ms * this.#settings.pauseScale : this.#limit(ms);
    const timer = this.#after(limit, () => {
      this.#awaiting = null;
      if (what === 'silence') return this.#advance();
      this.#waitedOut = true;
      this.#record.timed = true;
      this.#record.unmet ??= `no ${what} within ${ms} ms`;
      this.#giveUp(this.#record.unmet);
    });
    this.#awaiting = { what, from: this.#events.length, timer };
    return false;
  }

  #checkAwaited(): void {
    const waiting = this.#awaiting;
    if (waiting === null || waiting.what === 'close' || waiting.what === 'end') return;
    const came = this.#events.slice(waiting.from);
    if (waiting.what === 'silence') {
      if (came.length === 0) return;
      this.#record.unmet ??= `a ${came[0]?.type ?? 'frame'} came where nothing should`;
      this.#record.fault ??= this.#record.unmet;
    } else if (!came.some((event) => event.type === waiting.what)) return;
    this.#awaiting = null;
    this.#cancel(waiting.timer);
    // Not from inside the decoder: what the same read holds besides comes first.
    this.#settings.scheduler.turn(() => this.#advance());
  }

  #exchange(step: Step & { readonly do: 'exchange' }): false {
    const { source, kind } = step;
    const { messages } = this.#settings;
    const wanted = messages === 'full' || !step.compress ? step.fullCount : (messages ?? step.count);
    const same = source.from === 'payload' ? bytesOf(source.payload) : null;
    const next = source.from === 'corpus' ? corpusWalker(source.corpus, kind, source.size) : (): Uint8Array => same ?? new Uint8Array(0);
    const deflater = step.compress ? this.#deflater : null;
    const opcode = kind === 'text' ? 1 : 2;
    let sent = next();
    let count = 0;
    const send = (): void => {
      const wire = deflater === null ? sent : deflater.message(sent);
      this.#queue(this.#encoder.message(opcode, deflater === null ? 0 : 4, wire, step.fragment), true);
    };
    this.#echo = (echoKind, data) => {
      count += 1;
      if (echoKind !== kind) return this.#giveUp(`echo ${count} is ${echoKind}, not ${kind}`);
      if (Buffer.compare(data, sent) !== 0)
        return this.#giveUp(`echo ${count} differs from what was sent: ${data.length} bytes for ${sent.length}`);
      if (count < wanted) {
        sent = next();
        return send();
      }
      this.#echo = null;
      this.#record.exchanged = true;
      this.#startClose(normal, empty);
    };
    this.#startLimit();
    send();
    return false;
  }

  /* ---- what comes ---- */

  #onMessage(kind: MessageKind, data: Uint8Array): void {
    if (this.#echo !== null) {
      this.#echo(kind, data);
      return;
    }
    // An exchange has no list of events to compare with.
    if (this.#record.exchanged) this.#record.unmet ??= 'a message came after the last echo';
    this.#onEvent({ type: 'message', kind, data });
  }

  #onPing(data: Uint8Array): void {
    this.#pings += 1;
    if (this.#pings > mostPings) this.#giveUp(`more than ${mostPings} pings came`);
    else if (!this.#closeSent && this.#midFrame === 0) this.#pong(data);
  }

  #pong(data: Uint8Array): void {
    this.#queue(this.#encoder.frame({ opcode: 10, fin: true, rsv: 0, payload: data }), true);
  }

  #onEvent(event: SeenEvent): void {
    if (this.#over) return;
    if (this.#events.length >= mostEvents || this.#kept >= mostKept) {
      this.#giveUp('it did not stop sending');
      return;
    }
    if (event.type !== 'stillOpen') this.#kept += event.data.length;
    this.#events.push(event);
    this.#checkAwaited();
    this.#settle();
  }

  /** Starts the close when all that is expected has come. */
  #settle(): void {
    const { expect, recommended, steps } = this.#test;
    // Who has answered what need not be refused does not refuse it any more.
    if (typeof expect === 'string' || !(this.#mayClose() || (recommended && this.#mayEnd))) return;
    // What is right now, and can't become another right answer any more.
    const open = expect.filter((expectation) => !fulfils(expectation, this.#events));
    // Without a step all went with the request, and its answer may come with the response, before the start.
    const isSent = this.#next > steps.length || steps.length === 0;
    const isSettled = open.length < expect.length && isSent && !open.some((expectation) => mayBecome(expectation, this.#events));
    if (isSettled && recommended) this.#endTheWait();
    else if (open.length === 0 || isSettled) this.#startClose(normal, empty);
    else this.#despair();
  }

  /** Does not wait for what can't come any more, once everything has been sent. */
  #despair(): void {
    const { expect, steps } = this.#test;
    if (typeof expect === 'string' || !this.#mayClose() || this.#next <= steps.length) return;
    if (!expect.some((expectation) => mayBecome(expectation, this.#events))) this.#endTheWait();
  }

  #mayClose(): boolean {
    return this.#test.close.startedBy === 'harness' && this.#mayEnd;
  }
  get #mayEnd(): boolean {
    return this.#test.autoClose && !this.#closeSent && this.#midFrame === 0;
  }

  #onClose(code: number | null, reason: Uint8Array): void {
    const record = this.#record;
    record.gotClose = true;
    record.clean = true;
    record.remoteCode = code;
    record.remoteReason = Buffer.from(reason).toString('utf8');
    this.#clearTimers();
    if (!this.#closeSent && this.#midFrame === 0) this.#sendClose(code === null || code < 1000 || code > 4999 ? null : code, empty);
    if (this.#settings.role === 'client') this.#channel.end();
    this.#after(this.#limit(closeLimit), () => {
      if (this.#settings.role === 'server') {
        record.clean = false;
        record.droppedByHarness = true;
        record.timed = true;
      }
      this.#finish();
    });
  }

  /* ---- the end ---- */

  /** What a limit of the case is in this run. */
  #limit(ms: number): number {
    const { timeScale, longest = null } = this.#settings;
    return limitUnder({ timeScale, longest }, ms);
  }

  #startLimit(): void {
    if (this.#closeSent && !this.#closedByStep) return;
    const { ms } = this.#test.limit;
    const { timeScale } = this.#settings;
    const limit = this.#limit(ms);
    const end = (after: number): void => {
      this.#record.timed = true;
      this.#record.fault ??= `time limit of ${after} ms`;
      this.#waitedOut = true;
      this.#endTheWait();
    };
    this.#after(limit, () => {
      const rest = ms * timeScale - limit;
      // A limit cut short for a silent subject is not for one that has begun to answer.
      if (rest > 0 && this.#record.heard) this.#after(rest, () => end(ms * timeScale));
      else end(limit);
    });
  }

  /** As the case says that its limit does. */
  #endTheWait(): void {
    this.#echo = null;
    this.#startClose(this.#test.limit.action === 'fail' ? goingAway : null, empty);
  }

  #giveUp(fault: string): void {
    this.#record.fault ??= fault;
    this.#echo = null;
    if (this.#midFrame === 0 || this.#closeSent) this.#startClose(goingAway, empty);
    else {
      // A close frame would be taken for payload.
      this.#record.closedByHarness = true;
      this.#record.droppedByHarness = true;
      this.#finish();
    }
  }

  #startClose(code: number | null, reason: Payload): void {
    if (this.#over || this.#record.gotClose) return;
    if (!this.#closeSent) {
      this.#closeSent = true;
      this.#record.closedByHarness = true;
      this.#sendClose(code, reason);
      this.#after(this.#limit(closeLimit), () => {
        this.#record.timed = true;
        this.#record.droppedByHarness = true;
        this.#finish();
      });
    }
  }

  #sendClose(code: number | null, reason: Payload): void {
    const head = code === null ? [] : [code >> 8, code & 0xff];
    const payload = Buffer.concat([Buffer.from(head), bytesOf(reason)]);
    this.#queue(this.#encoder.frame({ opcode: 8, fin: true, rsv: 0, payload }), false);
    if (!this.#closedByStep || this.#next >= this.#test.steps.length) this.#flush();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#clearTimers();
    this.#record.duration = this.#settings.scheduler.now() - this.#startedAt;
    // A wait decided wherever a connection that should have ended was still open.
    if (this.#test.close.startedBy === 'subject' && this.#events.some(({ type }) => type === 'stillOpen')) this.#record.timed = true;
    this.#channel.abort();
    this.#done(judge(this.#test, this.#record, this.#settings.role));
  }

  #after(ms: number, run: () => void): unknown {
    const timer: unknown = this.#settings.scheduler.after(ms, () => {
      this.#timers.delete(timer);
      if (!this.#over) run();
    });
    this.#timers.add(timer);
    return timer;
  }

  #cancel(timer: unknown): void {
    this.#timers.delete(timer);
    this.#settings.scheduler.cancel(timer);
  }

  #clearTimers(): void {
    for (const timer of this.#timers) this.#settings.scheduler.cancel(timer);
    this.#timers.clear();
  }
}
