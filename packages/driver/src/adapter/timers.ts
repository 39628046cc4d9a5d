/**
 * One timer of the runtime for all connections: a binary heap of deadlines.
 *
 * Every open connection has one deadline pending (its keepalive ping), so what a timer costs is paid once per idle connection: a slot in the
 * heap where the object is its own timer, a `Timeout` of Node about 160 bytes (bench: `memory`). A `Timeout` also keeps the async context of
 * whoever set it, which would pin the request that opened a connection.
 */
import type { Clock, Millis } from '@ferrywire/core';
import { MAX_DELAY } from '../platform.ts';
import type { Timed, TimerHost } from '../types.ts';

/** Two deadlines are not told apart below this; it also keeps the sum of clock and delay from rounding to "not yet due". */
const GRAIN: Millis = 1;

/** Later than this the thread was held up, and what peers have sent meanwhile is still unread. */
const LATE: Millis = 20;

/** What is due waits as long as the thread was held up, and no longer than this. */
const PATIENCE: Millis = 1000;
/** A thread that is held up all the time has its deadlines too. */
const WAITS = 4;

/** The timer of a callback. */
export class Entry implements Timed {
  callback: () => void;
  due: Millis;
  /** Where it is in the heap; -1 when it is not. */
  index = -1;
  constructor(callback: () => void, due: Millis) {
    this.callback = callback;
    this.due = due;
  }
  fired(): void {
    this.callback();
  }
}

/** What a runtime supplies, or a test. */
export interface NativeTimers {
  /** Does not keep the process alive. */
  after(callback: () => void, delay: Millis): unknown;
  cancel(handle: unknown): void;
  nextTurn(callback: (entry: Entry) => void, entry: Entry): void;
}

/**
 * A delay of 0 is the next turn of the event loop; the others fire at most a millisecond late, timer resolution apart. They may be longer than the
 * runtime's own can be; Infinity never fires.
 *
 * Beware of blame: a runtime whose thread was held up (by a long computation, a debugger, sleep) may fire its timers before it reads. What is due
 * waits then, so that no peer pays for bytes that we left unread. One look at the sockets is not enough: many of them take more than one turn, and
 * a peer whose window of HTTP/2 we left closed, or that was asleep on the same machine, has yet to send what it owes.
 */
export class SharedTimers implements TimerHost {
  readonly #clock: Clock;
  readonly #heap: Timed[] = [];
  readonly #native: NativeTimers;
  #timeout: unknown = null;
  #armedFor: Millis = 0;
  /** How often what is due has been put off until what has come is read. */
  #waits = 0;
  readonly #fire = (): void => this.#run();
  readonly #waited = (): void => this.#look();
  readonly #afterReading = new Entry(() => this.#runDue(), 0);

  constructor(clock: Clock, native: NativeTimers) {
    this.#clock = clock;
    this.#native = native;
  }

  /** Deadlines that are pending. */
  get size(): number {
    return this.#heap.length;
  }

  set(callback: () => void, delay: Millis): unknown {
    const now = this.#clock();
    const entry = new Entry(callback, whole(now + delay));
    if (delay <= 0) {
      // Not in the heap: cleared by forgetting the callback.
      this.#native.nextTurn(runEntry, entry);
      return entry;
    }
    this.#insert(entry, now);
    return entry;
  }

  add(timed: Timed, delay: Millis): void {
    if (timed.index >= 0) this.#take(timed);
    const now = this.#clock();
    timed.due = whole(now + delay);
    this.#insert(timed, now);
  }

  remove(timed: Timed): void {
    if (timed.index < 0) return;
    this.#take(timed);
    this.#rest();
  }

  clear(handle: unknown): void {
    if (!(handle instanceof Entry)) return;
    handle.callback = nothing;
    this.remove(handle);
  }

  /** Without anything to wait for, no timer of the runtime is kept. */
  #rest(): void {
    if (this.#heap.length > 0 || this.#timeout === null) return;
    this.#native.cancel(this.#timeout);
    this.#timeout = null;
  }

  #run(): void {
    this.#timeout = null;
    const first = this.#heap[0];
    const late = first === undefined ? 0 : this.#clock() - first.due;
    if (late <= LATE) this.#runDue();
    else this.#wait(late);
  }

  #wait(late: Millis): void {
    const patience = Math.min(late, PATIENCE);
    this.#waits++;
    this.#armedFor = this.#clock() + patience;
    this.#native.after(this.#waited, patience);
  }

  #look(): void {
    const late = this.#clock() - this.#armedFor;
    if (late > LATE && this.#waits < WAITS) this.#wait(late);
    // On Deno turns follow each other without a look at the sockets; a timer makes it look, and may still be called before what was found there.
    else this.#native.nextTurn(runEntry, this.#afterReading);
  }

  #runDue(): void {
    this.#waits = 0;
    const now = this.#clock();
    try {
      for (let first = this.#heap[0]; first !== undefined && first.due <= now; first = this.#heap[0]) {
        this.#take(first);
        first.fired();
      }
    } finally {
      // A callback that throws leaves the others for the next turn.
      this.#arm(this.#clock());
    }
  }

  #arm(now: Millis): void {
    const first = this.#heap[0];
    if (first === undefined || this.#waits > 0) return;
    if (this.#timeout !== null) {
      // A later deadline is found when the timer fires.
      if (this.#armedFor <= first.due) return;
      this.#native.cancel(this.#timeout);
    }
    this.#armedFor = first.due;
    // What is due later than that is found not to be due, and armed again.
    this.#timeout = this.#native.after(this.#fire, Math.min(Math.max(GRAIN, first.due - now), MAX_DELAY));
  }

  #insert(entry: Timed, now: Millis): void {
    const heap = this.#heap;
    heap.push(entry);
    this.#up(entry, heap.length - 1);
    if (entry.index === 0) this.#arm(now);
  }

  #take(entry: Timed): void {
    const heap = this.#heap;
    const hole = entry.index;
    const last = heap.pop();
    entry.index = -1;
    if (last === undefined || last === entry) return;
    this.#up(last, hole);
    if (last.index === hole) this.#down(last, hole);
  }

  #up(entry: Timed, from: number): void {
    const heap = this.#heap;
    let at = from;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = heap[parentAt] as Timed; // 0 <= parentAt < at < heap.length
      if (parent.due <= entry.due) break;
      heap[at] = parent;
      parent.index = at;
      at = parentAt;
    }
    heap[at] = entry;
    entry.index = at;
  }

  #down(entry: Timed, from: number): void {
    const heap = this.#heap;
    let at = from;
    for (let childAt = 2 * at + 1; childAt < heap.length; childAt = 2 * at + 1) {
      let child = heap[childAt] as Timed; // childAt < heap.length
      const right = heap[childAt + 1];
      if (right !== undefined && right.due < child.due) {
        child = right;
        childAt++;
      }
      if (entry.due <= child.due) break;
      heap[at] = child;
      child.index = at;
      at = childAt;
    }
    heap[at] = entry;
    entry.index = at;
  }
}

/** Whole milliseconds are stored in the object, fractions in a box of their own. */
function whole(due: Millis): Millis {
  return Math.ceil(due);
}

function nothing(): void {}

function runEntry(entry: Entry): void {
  entry.callback();
}
