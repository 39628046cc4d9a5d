/**
 * What a case ends with: one verdict that includes how the connection closed, with the behaviour and the close also apart, and the reason of
 * anything but OK.
 */
import type { Role } from '@ferrywire/core';
import type { CloseVerdict, Verdict } from './case.ts';

export interface CaseResult {
  readonly id: string;
  readonly title: string;
  readonly sections: readonly string[];
  /** The role of the subject. */
  readonly role: Role;
  /** The one to look at: the worse of the two below. */
  readonly verdict: Verdict;
  /** What the subject did before the end, as the Autobahn suite grades it. */
  readonly behavior: Verdict;
  /** How the connection ended, as the Autobahn suite grades it. */
  readonly behaviorClose: CloseVerdict;
  /** The code in the subject's close frame; null when there was none. */
  readonly remoteCloseCode: number | null;
  /** Why it is not OK. Holds text that the subject chose: escape it before a terminal shows it. */
  readonly reason: string | null;
  /** Milliseconds from the open connection to its end, on the clock of the run. */
  readonly duration: number;
  /** A wait or a limit decided, so that a slow machine may be to blame. */
  readonly timed: boolean;
  /** Nothing at all came from the subject after the opening handshake, nor in it, until a limit ended the wait; or it hung up on the request. */
  readonly silent: boolean;
}

/** Whether a result is one that an implementation should not have: used for exit codes. */
export function isFailure(result: CaseResult): boolean {
  return result.verdict === 'FAILED';
}

/** OK, or graded by no one. */
export function isSpotless(result: CaseResult): boolean {
  return result.verdict === 'OK' || result.verdict === 'INFORMATIONAL';
}
