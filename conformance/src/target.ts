/**
 * What is tested. An active target is asked for one connection per case; a passive one is given all
 * of them and answers in its own order, as clients do that choose the case themselves.
 */
import type { Role } from '@ferrywire/core';
import type { Case } from './case.ts';
import { longestWait } from './options.ts';
import type { CaseResult } from './result.ts';

export interface TargetSettings {
  readonly seed: number;
  readonly timeScale: number;
  readonly pauseScale: number;
  /** Milliseconds that no limit may exceed; null for none. */
  readonly longest: number | null;
  readonly messages: number | 'full' | null;
}

/** What a limit of so many milliseconds is under these settings. */
export function limitUnder({ timeScale, longest }: Pick<TargetSettings, 'timeScale' | 'longest'>, ms: number): number {
  return Math.min(ms * timeScale, longest ?? longestWait, longestWait);
}

export interface ActiveTarget {
  readonly kind: 'active';
  readonly name: string;
  /** The subject's role. */
  readonly role: Role;
  /** No waiting takes real time, so nothing is run twice and nothing in parallel. */
  readonly virtual: boolean;
  /** False where the harness does not write the heads of the opening handshake itself. Default true. */
  readonly openings?: boolean;
  /** Rejects with TargetUnavailable when there is nothing to test. When `signal` is aborted nobody waits for it any longer, as for `run`. */
  open(signal?: AbortSignal): Promise<void>;
  /** Rejects with TargetUnavailable when there is nothing to test any more. */
  run(test: Case, settings: TargetSettings, signal?: AbortSignal): Promise<CaseResult>;
  /** Also while it opens or runs, after `signal` was aborted. */
  close(): Promise<void>;
}

export interface PassiveTarget {
  readonly kind: 'passive';
  readonly name: string;
  /** The subject's role. */
  readonly role: Role;
  /** In process, wherever. Default false. */
  readonly virtual?: boolean;
  /** As of an active target. */
  readonly openings?: boolean;
  /** Ends when the client has, or `signal` says so. */
  serve(cases: readonly Case[], settings: TargetSettings, onResult: (result: CaseResult) => void, signal?: AbortSignal): Promise<void>;
}

export type Target = ActiveTarget | PassiveTarget;

/** There is nothing to test: no server, no child process, no client. */
export class TargetUnavailable extends Error {
  override readonly name: string = 'TargetUnavailable';
}
