/**
 * Events: CloseEvent (WHATWG WebSockets section 6; Node 20 has none) and `on…` attributes (WHATWG HTML section 8.1.8.1).
 *
 * An attribute is a listener like any other, registered when it is first set to a function and keeping its place in the order while it is
 * replaced by another function; set to null it is removed, and set again it goes to the end.
 */
import type { CloseEventLike, EventConstructor, EventHandler, EventLike, EventTargetLike, HostEvent } from './dom-types.ts';
import { platform } from './platform.ts';
import { defineInterface, toDictionary, toNumber, toScalarText, toText } from './web-idl.ts';

const { CloseEvent: Host, Event, EventTarget } = platform;
/**
 * The host's own where it has one, so that `instanceof CloseEvent` is true in a program that asks with the global. Not a polyfill that is no Event of
 * this host, which nobody dispatches, nor one that assigns what has only a getter below.
 */
const EventBase: EventConstructor = Host?.prototype instanceof Event && 'code' in Host.prototype ? Host : Event;

export interface CloseEventInit {
  readonly wasClean?: boolean;
  readonly code?: number;
  readonly reason?: string;
  readonly bubbles?: boolean;
  readonly cancelable?: boolean;
  readonly composed?: boolean;
}

/** The event of type 'close'. An interface, since a class with private fields is nobody's CloseEvent but its own, the DOM library's neither. */
export interface CloseEvent extends HostEvent {
  readonly wasClean: boolean;
  readonly code: number;
  readonly reason: string;
}
export interface CloseEventConstructor {
  new (type: string, init?: CloseEventInit): CloseEvent;
  readonly prototype: CloseEvent;
}

/** The event of type 'close'. Defaults: wasClean false, code 0, reason ''. */
export const CloseEvent: CloseEventConstructor = class CloseEvent extends EventBase implements CloseEventLike {
  readonly #wasClean: boolean;
  readonly #code: number;
  readonly #reason: string;

  constructor(type: string, init: CloseEventInit = {}) {
    // biome-ignore lint/complexity/noArguments: Web IDL counts arguments, and undefined is one
    if (arguments.length === 0) throw new TypeError('new CloseEvent(type): type is required');
    const name = toText(type, 'type');
    const {
      bubbles = false,
      cancelable = false,
      composed = false,
      code = 0,
      reason = '',
      wasClean = false,
    }: CloseEventInit = toDictionary(init, 'init');
    const converted = {
      bubbles,
      cancelable,
      composed,
      // Web IDL `unsigned short` without [Clamp]: modulo 2^16.
      code: toNumber(code, 'code') & 0xffff,
      reason: toScalarText(reason, 'reason'),
      wasClean: Boolean(wasClean),
    };
    super(name, converted);
    this.#wasClean = converted.wasClean;
    this.#code = converted.code;
    this.#reason = converted.reason;
  }

  get wasClean(): boolean {
    return this.#wasClean;
  }
  get code(): number {
    return this.#code;
  }
  get reason(): string {
    return this.#reason;
  }

  static {
    defineInterface(CloseEvent, 'CloseEvent', ['wasClean', 'code', 'reason']);
  }
};

let calledByHost: boolean | null = null;
/**
 * Workers call the property `on…` of any target themselves, before its listeners: with a listener besides, each handler would be called twice.
 * Found out for the first socket, not as this is loaded: the adapters bring it to who makes none, and a program may have set an `Event` that
 * the host does not dispatch. Throws TypeError for one: each event would be an exception that nobody can catch.
 */
export function checkEvents(): boolean {
  if (calledByHost !== null) return calledByHost;
  let called = false;
  class Probe extends EventTarget {
    onprobe(): void {
      called = true;
    }
  }
  const probe = new Probe();
  try {
    // Those that there are now, as for the events of sockets.
    probe.dispatchEvent(new platform.Event('probe'));
    probe.dispatchEvent(new platform.MessageEvent('probe', { data: '', origin: '' }));
  } catch (cause) {
    const needs =
      "@ferrywire/websocket needs the Event and MessageEvent of this runtime, and its EventTarget does not dispatch globalThis's";
    throw new TypeError(needs, { cause });
  }
  calledByHost = called;
  return called;
}

/** The `on…` attributes of one target. */
export class HandlerAttributes {
  readonly #target: EventTargetLike;
  readonly #slots = new Map<string, { value: unknown; listener: (event: EventLike) => void }>();

  constructor(target: EventTargetLike) {
    this.#target = target;
  }

  get<E>(type: string): EventHandler<E> {
    return (this.#slots.get(type)?.value ?? null) as EventHandler<E>;
  }

  /** Anything but a function or an object counts as null (Web IDL [LegacyTreatNonObjectAsNull]); an object that cannot be called is kept and does nothing. */
  set(type: string, value: unknown): void {
    const slot = this.#slots.get(type);
    if (typeof value !== 'function' && (typeof value !== 'object' || value === null)) {
      if (slot === undefined) return;
      this.#slots.delete(type);
      this.#target.removeEventListener(type, slot.listener);
    } else if (slot !== undefined) {
      slot.value = value;
    } else {
      const created = {
        value: value as unknown,
        listener: (event: EventLike): void => {
          const handler = created.value;
          if (typeof handler === 'function') handler.call(this.#target, event);
        },
      };
      this.#slots.set(type, created);
      if (!checkEvents()) this.#target.addEventListener(type, created.listener);
    }
  }
}
