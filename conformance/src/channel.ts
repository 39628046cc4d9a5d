/**
 * What a case runs over: a byte stream that is open already, and a clock. The same runner works over TCP in real time and over a queue in
 * virtual time, because it sees nothing else.
 */
import { longestWait } from './options.ts';

/** The harness's end of the stream. */
export interface Channel {
  /** One write; the bytes stay as they are until they have gone. */
  write(bytes: Uint8Array): void;
  /** Ends the harness's side: FIN. */
  end(): void;
  /** Drops the transport. */
  abort(): void;
}

/** What comes from the stream. */
export interface ChannelEvents {
  /** The bytes must not change afterwards. */
  data(bytes: Uint8Array): void;
  /** The subject's side has ended (FIN), or the transport is gone, with the error's words if there was one. Once. */
  ended(error: string | null): void;
}

export interface Scheduler {
  /** Milliseconds on any scale. */
  now(): number;
  after(ms: number, run: () => void): unknown;
  cancel(timer: unknown): void;
  /** Soon, behind whatever input is waiting. */
  turn(run: () => void): void;
}

/** The event loop's own time. */
export const realTime: Scheduler = {
  now: () => performance.now(),
  after: (ms, run) => setTimeout(run, Math.min(ms, longestWait)),
  cancel: (timer) => clearTimeout(timer as NodeJS.Timeout), // made by `after` above
  turn: (run) => {
    setImmediate(run);
  },
};
