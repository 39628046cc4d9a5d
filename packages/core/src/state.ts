/**
 * The state machines, as data (RFC 6455 sections 5.4, 5.5.1 and 7.1). Everything that changes a connection's state goes through a table of
 * this file, and nothing else does: no other file assigns a state that it did not get from `fragmentation` or `lifecycle`.
 *
 * Two machines, and neither knows which side we are. `fragmentation` orders the frames of messages and serves both directions. `lifecycle`
 * is the connection. What a state means for the host and the application is in `meaning`; only there does the role count, since in a normal
 * close the server ends TCP first (section 7.1.1). The diagrams in `docs/states.md` are generated from these tables.
 */
import type { TransportDirective } from './common.ts';
import type { ViolationCode } from './violations.ts';

/** Is a fragmented message under way? */
export type FragmentationState = 'idle' | 'message';
/** A data frame by its opcode and FIN bit. */
export type FrameClass = 'whole' | 'first' | 'middle' | 'last';

/** RFC 6455 section 5.4. Receiving, a violation fails the connection; sending, it is misuse by the application. */
export const fragmentation: { readonly [S in FragmentationState]: { readonly [F in FrameClass]: FragmentationState | ViolationCode } } = {
  idle: { whole: 'idle', first: 'message', middle: 'WS_UNEXPECTED_CONTINUATION', last: 'WS_UNEXPECTED_CONTINUATION' },
  message: { whole: 'WS_EXPECTED_CONTINUATION', first: 'WS_EXPECTED_CONTINUATION', middle: 'message', last: 'idle' },
};

/**
 * - `open`: both sides may send
 * - `closeSent`: our close frame is queued, the peer's has not come
 * - `closeReceived`: the peer's has come, ours is still to be sent (`autoClose: false`)
 * - `closed`: both, and the transport is still there
 * - `failed`: a violation, or `fail()`: input is discarded until the peer ends
 * - `ended`: the peer has ended the transport
 * - `aborted`: the transport is to be dropped, or broke
 */
export type LifecycleState = 'open' | 'closeSent' | 'closeReceived' | 'closed' | 'failed' | 'ended' | 'aborted';
export type LifecycleInput = 'sendClose' | 'receiveClose' | 'fail' | 'eof' | 'abort';

/** RFC 6455 sections 7.1.2, 7.1.3 and 7.1.7. A null can't come up: in those states no frame is parsed. */
export const lifecycle: { readonly [S in LifecycleState]: { readonly [I in LifecycleInput]: LifecycleState | null } } = {
  open: { sendClose: 'closeSent', receiveClose: 'closeReceived', fail: 'failed', eof: 'ended', abort: 'aborted' },
  closeSent: { sendClose: 'closeSent', receiveClose: 'closed', fail: 'failed', eof: 'ended', abort: 'aborted' },
  closeReceived: { sendClose: 'closed', receiveClose: null, fail: 'failed', eof: 'ended', abort: 'aborted' },
  closed: { sendClose: 'closed', receiveClose: null, fail: 'closed', eof: 'ended', abort: 'aborted' },
  failed: { sendClose: 'failed', receiveClose: null, fail: 'failed', eof: 'ended', abort: 'aborted' },
  ended: { sendClose: 'ended', receiveClose: null, fail: 'ended', eof: 'ended', abort: 'ended' },
  aborted: { sendClose: 'aborted', receiveClose: null, fail: 'aborted', eof: 'aborted', abort: 'aborted' },
};

export interface StateMeaning {
  readonly server: TransportDirective;
  readonly client: TransportDirective;
  /** May frames still be sent? */
  readonly sends: boolean;
  /** Is input parsed? If not, it is discarded. */
  readonly parses: boolean;
  /** Has the transport gone? */
  readonly terminal: boolean;
  readonly state: 'open' | 'closing' | 'closed';
}

export const meaning: { readonly [S in LifecycleState]: StateMeaning } = {
  open: { server: 'open', client: 'open', sends: true, parses: true, terminal: false, state: 'open' },
  closeSent: { server: 'open', client: 'open', sends: false, parses: true, terminal: false, state: 'closing' },
  closeReceived: { server: 'open', client: 'open', sends: true, parses: false, terminal: false, state: 'closing' },
  closed: { server: 'end', client: 'open', sends: false, parses: false, terminal: false, state: 'closing' },
  failed: { server: 'end', client: 'end', sends: false, parses: false, terminal: false, state: 'closing' },
  ended: { server: 'done', client: 'done', sends: false, parses: false, terminal: true, state: 'closed' },
  aborted: { server: 'abort', client: 'abort', sends: false, parses: false, terminal: true, state: 'closed' },
};

/** The state after `input`. Throws for a pair the table calls impossible: that is a defect of the core, never of the peer. */
export function advance(state: LifecycleState, input: LifecycleInput): LifecycleState {
  const next = lifecycle[state][input];
  if (next === null) throw new Error(`core defect: ${input} in ${state}`);
  return next;
}

/** A data frame by its opcode and FIN bit; control frames have no class, they may come between any two (RFC 6455 section 5.4). */
export function frameClass(opcode: number, fin: boolean): FrameClass {
  if (opcode === 0) return fin ? 'last' : 'middle';
  return fin ? 'whole' : 'first';
}
