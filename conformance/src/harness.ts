/**
 * What the harness needs of a subject that it tests in process: the contract of `Protocol`, its events, and its API by name. The subject
 * starts after the opening handshake; the parameters of permessage-deflate (RFC 7692) that must be in force are given to `create`.
 */
import type { Clock, ConnectionEvent, Protocol, RandomSource, Role } from '@ferrywire/core';
import type { DeflateOptions } from '@ferrywire/deflate';

/** One connection under test, driven without a transport. */
export interface Subject {
  readonly protocol: Protocol;
  /** The events since the last call, in order. */
  events(): readonly ConnectionEvent[];
  /** Calls a method of the connection by its name, for instance `call('sendText', 'hello')`. */
  call(name: string, ...args: unknown[]): unknown;
}

/** Makes one subject per case. */
export interface InProcessTarget {
  /**
   * @param options.role the subject's role; the harness plays the other
   * @param options.clock milliseconds of virtual time
   * @param options.random the source of masks: deterministic
   * @param options.maxMessageSize bytes, or null for no limit
   * @param options.deflate the parameters in force, or null for an uncompressed connection
   */
  create(options: {
    role: Role;
    clock: Clock;
    random: RandomSource;
    maxMessageSize: number | null;
    deflate: DeflateOptions | null;
  }): Subject;
}
