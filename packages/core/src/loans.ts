/**
 * Memory of messages that were sent on by reference, and then given back with `recycleInput`: it must not be written before the last transport
 * has written it out. Loans are counted by buffer and across connections, since one message may go to many of them.
 *
 * Beware: who never says that output was written (`recycleOutput`) leaves its loans open. Their memory is not used again, and goes with its buffer.
 */

/** Where memory goes that was given back. `Content` is one. */
export interface Home {
  /** Nobody shows or writes any of it any more. */
  keep(buffer: ArrayBufferLike): void;
}

interface Loan {
  count: number;
  /** Given back meanwhile. */
  home: Home | null;
}

const loans = new WeakMap<ArrayBufferLike, Loan>();

/** `bytes` are queued by reference. */
export function lend(bytes: Uint8Array): void {
  const { buffer } = bytes;
  const loan = loans.get(buffer);
  if (loan === undefined) loans.set(buffer, { count: 1, home: null });
  else loan.count++;
}

/** `bytes` were written, or dropped. Of no effect for what was not lent. */
export function settle(bytes: Uint8Array): void {
  const { buffer } = bytes;
  const loan = loans.get(buffer);
  if (loan === undefined || loan.count === 0) return;
  loan.count--;
  if (loan.count > 0) return;
  const { home } = loan;
  if (home === null) {
    loans.delete(buffer);
    return;
  }
  // The entry stays for the next message in this memory.
  loan.home = null;
  home.keep(buffer);
}

/** True: `home` will be given the buffer when it is free. */
export function isLent(buffer: ArrayBufferLike, home: Home): boolean {
  const loan = loans.get(buffer);
  if (loan === undefined || loan.count === 0) return false;
  loan.home = home;
  return true;
}
