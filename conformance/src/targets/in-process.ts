/**
 * A subject in the same process, in virtual time: bytes go from one to the other without a transport, and a deadline costs nothing. Whatever
 * the subject throws is its failure.
 */
import type { Role } from '@ferrywire/core';
import type { Case } from '../case.ts';
import type { Channel } from '../channel.ts';
import type { DeflateAgreement } from '../deflate.ts';
import { parseExtensionList } from '../handshake.ts';
import type { InProcessTarget, Subject } from '../harness.ts';
import { crashed } from '../judge.ts';
import { seededBytes, seedFor } from '../random.ts';
import type { CaseResult } from '../result.ts';
import { CaseRun } from '../runner.ts';
import { largestMessage, type Split, splitterFor, whole } from '../split.ts';
import type { ActiveTarget, TargetSettings } from '../target.ts';
import { VirtualTime } from '../virtual-time.ts';

export interface InProcessOptions {
  /** The subject's role. */
  readonly role: Role;
  /** How the harness's bytes are cut on their way in. Default: not at all. */
  readonly split?: Split;
  readonly name?: string;
  /** False for a subject without permessage-deflate. Default true. */
  readonly deflate?: boolean;
}

/** A subject that keeps asking for its deadline without getting anywhere is stopped. */
const mostIdleRounds = 100_000;

/** A subject without I/O, run in virtual time: `create` makes a fresh one for each case. */
export function inProcess(target: InProcessTarget, options: InProcessOptions): ActiveTarget {
  const { role, split = whole, name = `in process, ${role}`, deflate = true } = options;
  return {
    kind: 'active',
    name,
    role,
    virtual: true,
    open: async () => {},
    close: async () => {},
    run: async (test, settings) => {
      const agreement = deflate ? agreementFor(test, role) : null;
      return runVirtual(target, test, settings, role, split, agreement);
    },
  };
}

/** Without a handshake: what the first offer, or the first policy, of the case leads to. */
function agreementFor(test: Case, role: Role): DeflateAgreement | null {
  if (test.deflate === null) return null;
  const [offer] = parseExtensionList(test.deflate.offers[0]);
  const [policy] = test.deflate.policies;
  const plain = { noContextTakeover: false, windowBits: 15 };
  if (role === 'client') {
    return {
      server: plain,
      client: { noContextTakeover: policy?.clientNoContextTakeover ?? false, windowBits: policy?.clientMaxWindowBits ?? 15 },
    };
  }
  const bits = offer?.params.get('server_max_window_bits');
  return {
    client: plain,
    server: {
      noContextTakeover: offer?.params.has('server_no_context_takeover') ?? false,
      windowBits: typeof bits === 'string' ? Number(bits) : 15,
    },
  };
}

function create(
  target: InProcessTarget,
  test: Case,
  settings: TargetSettings,
  role: Role,
  time: VirtualTime,
  deflate: DeflateAgreement | null,
): Subject {
  return target.create({
    role,
    clock: () => time.now(),
    random: seededBytes(seedFor(settings.seed, `subject ${test.id}`)),
    maxMessageSize: test.maxMessageSize,
    deflate:
      deflate === null
        ? null
        : {
            serverNoContextTakeover: deflate.server.noContextTakeover,
            clientNoContextTakeover: deflate.client.noContextTakeover,
            serverMaxWindowBits: deflate.server.windowBits,
            clientMaxWindowBits: deflate.client.windowBits,
          },
  });
}

/** Runs one case to its end, synchronously. */
export function runVirtual(
  target: InProcessTarget,
  test: Case,
  settings: TargetSettings,
  role: Role,
  split: Split,
  deflate: DeflateAgreement | null,
): CaseResult {
  const time = new VirtualTime();
  try {
    const subject = create(target, test, settings, role, time, deflate);
    return new Loop(subject, time, split, largestMessage(test)).run(test, settings, role, deflate);
  } catch (error) {
    return crashed(test, role, error instanceof Error ? `${error.name}: ${error.message}` : String(error));
  }
}

/** Moves bytes, events and time between one run and one subject. */
class Loop {
  readonly #subject: Subject;
  readonly #time: VirtualTime;
  readonly #split: ReturnType<typeof splitterFor>;
  readonly #largest: number;
  readonly #inbound: Uint8Array[] = [];
  #pieces: Iterator<Uint8Array> | null = null;
  #harnessEnded = false;
  #eofGiven = false;
  #subjectEnded = false;
  #run: CaseRun | null = null;
  #result: CaseResult | null = null;

  constructor(subject: Subject, time: VirtualTime, split: Split, largest: number) {
    this.#subject = subject;
    this.#largest = largest;
    this.#time = time;
    this.#split = splitterFor(split);
  }

  run(test: Case, settings: TargetSettings, role: Role, deflate: DeflateAgreement | null): CaseResult {
    const channel: Channel = {
      write: (bytes) => {
        if (!this.#harnessEnded) this.#inbound.push(bytes);
      },
      end: () => {
        this.#harnessEnded = true;
      },
      abort: () => {
        this.#harnessEnded = true;
        this.#inbound.length = 0;
        this.#pieces = null;
      },
    };
    const call = (name: string, args: readonly unknown[]): void => {
      this.#subject.call(name, ...args);
    };
    const run = new CaseRun(test, { ...settings, role, scheduler: this.#time, deflate, call }, channel, (result) => {
      this.#result = result;
    });
    this.#run = run;
    run.start();
    this.#pump();
    let idle = 0;
    while (this.#result === null) {
      if (this.#deliver() || this.#time.runTurns()) {
        idle = 0;
        this.#pump();
        continue;
      }
      idle += 1;
      if (!this.#wait() || idle > mostIdleRounds) run.ended('nothing more would ever happen');
      this.#pump();
    }
    return this.#result;
  }

  /** Gives the subject one piece of what the harness wrote, or its end. */
  #deliver(): boolean {
    const { protocol } = this.#subject;
    if (this.#eofGiven || this.#subjectEnded || !protocol.wantsRead) return false;
    for (;;) {
      if (this.#pieces === null) {
        const bytes = this.#inbound.shift();
        if (bytes === undefined) break;
        this.#pieces = this.#split(bytes, this.#largest)[Symbol.iterator]();
      }
      const next = this.#pieces.next();
      if (next.done !== true) {
        protocol.receiveData(next.value);
        return true;
      }
      this.#pieces = null;
    }
    if (!this.#harnessEnded) return false;
    this.#eofGiven = true;
    protocol.receiveEof();
    return true;
  }

  /** Jumps to whatever is due next, on either side. */
  #wait(): boolean {
    const { protocol } = this.#subject;
    const ours = this.#time.nextTimer();
    const theirs = this.#subjectEnded ? null : protocol.nextTimeout();
    if (ours === null && theirs === null) return false;
    this.#time.jumpTo(Math.min(ours ?? Number.POSITIVE_INFINITY, theirs ?? Number.POSITIVE_INFINITY));
    if (theirs !== null && theirs <= this.#time.now()) protocol.handleTimeout(this.#time.now());
    return true;
  }

  /** Events become echoes, output goes to the harness, the directive ends the stream. */
  #pump(): void {
    const subject = this.#subject;
    for (const event of subject.events()) {
      if (event.type !== 'message') continue;
      if (event.kind === 'text') subject.call('sendText', event.data);
      else subject.call('sendBinary', event.data);
    }
    const output = subject.protocol.takeOutput();
    if (this.#subjectEnded || this.#result !== null) return;
    for (const bytes of output) this.#run?.data(bytes);
    const directive = subject.protocol.transport;
    if (directive === 'open') return;
    this.#subjectEnded = true;
    this.#run?.ended(directive === 'abort' ? 'the subject aborted the transport' : null);
  }
}
