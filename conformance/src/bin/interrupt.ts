/**
 * Ctrl-C, SIGTERM and a terminal that closes (SIGHUP) during a run. The first ends the run, whose report is still written; another ends the
 * process, and with it the child under test, at once. Without a listener each would end the process with no 'exit', and leave the child.
 */

const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Interruption {
  /** Aborted by the first one. */
  readonly signal: AbortSignal;
  /** Leaves signals to the process again. */
  off(): void;
}

/** @param exitCode of a process that is ended at once */
export function onInterrupt(exitCode: number, first: (name: string) => void): Interruption {
  const stop = new AbortController();
  const listener = (name: string): void => {
    if (stop.signal.aborted) process.exit(exitCode);
    first(name);
    stop.abort();
  };
  for (const name of names) process.on(name, listener);
  return {
    signal: stop.signal,
    off: () => {
      for (const name of names) process.off(name, listener);
    },
  };
}
