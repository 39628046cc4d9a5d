/**
 * A connection's options, checked once and with defaults filled in: what is wrong is found before a peer is there.
 */
import type { Clock, Role } from './common.ts';
import { Content } from './content.ts';
import type { ConnectionSink } from './events.ts';
import type { LenientFlags } from './frame.ts';
import { describe } from './misuse.ts';
import type { ConnectionOptions, Delivery, Kernels, Limits, Timeouts } from './options.ts';
import type { Periods } from './timers.ts';
import { periodsOf } from './timers.ts';
import { Tracer } from './trace.ts';

const MIB = 1_048_576;

export interface Settings extends Periods {
  readonly role: Role;
  /** In the second byte of each frame that is received. */
  readonly maskBit: 0 | 0x80;
  readonly clock: Clock;
  readonly delivery: Delivery;
  /** May input be written to? */
  readonly ownsInput: boolean;
  /** May input be kept by reference? */
  readonly keepsInput: boolean;
  readonly autoPong: boolean;
  readonly autoClose: boolean;
  readonly maxMessageSize: number;
  /** Null: follows from `maxMessageSize`. */
  readonly maxFrameSize: number | null;
  /** The most that a message of one frame may have. */
  readonly maxWhole: number;
  readonly maxPendingPongs: number;
  readonly maxFragments: number;
  /** Bytes of messages kept for an application that has called `close()` and not pulled them. */
  readonly maxKept: number;
  /** The RSV bits of all extensions. */
  readonly rsv: number;
  readonly lenient: LenientFlags;
  readonly tracer: Tracer | null;
  readonly content: Content;
}

const NO_LENIENCY: LenientFlags = {};
let latest: Settings | null = null;

/** Connections with the same options share one object: a server holds thousands of them, idle (bench: `memory`). */
function shared(settings: Settings, kernels: Kernels | undefined): Settings {
  // What is for one connection is not kept for longer than that lives.
  if (settings.tracer !== null || settings.lenient !== NO_LENIENCY) return settings;
  const known = latest;
  const same = known?.content.isMadeOf(kernels) === true && COMPARED.every((name) => settings[name] === known[name]);
  if (!same) latest = settings;
  return same ? known : settings;
}
const COMPARED = [
  'role',
  'clock',
  'delivery',
  'ownsInput',
  'keepsInput',
  'autoPong',
  'autoClose',
  'maxMessageSize',
  'maxFrameSize',
  'maxPendingPongs',
  'maxFragments',
  'rsv',
  'closing',
  'keepalive',
  'pong',
  'idle',
] as const satisfies readonly (keyof Settings)[];

/** Throws TypeError or RangeError naming the option. */
export function settingsOf(options: ConnectionOptions): Settings {
  if (typeof options !== 'object' || options === null) throw new TypeError(`options must be an object, not ${describe(options)}`);
  oneOf(options.role, ['client', 'server'], 'options.role');
  if (typeof options.clock !== 'function') throw new TypeError(`options.clock must be a function, not ${describe(options.clock)}`);
  if (options.delivery !== undefined) oneOf(options.delivery, ['message', 'chunk', 'span'], 'options.delivery');
  if (options.input !== undefined) oneOf(options.input, ['shared', 'reused', 'transferred'], 'options.input');
  for (const name of ['random', 'onTrace'] as const) optional(options[name], 'function', `options.${name}`);
  for (const name of ['autoPong', 'autoClose'] as const) optional(options[name], 'boolean', `options.${name}`);
  for (const name of ['sink', 'limits', 'timeouts', 'lenient', 'kernels'] as const) optional(options[name], 'object', `options.${name}`);
  if (options.subprotocol !== undefined && options.subprotocol !== null) optional(options.subprotocol, 'string', 'options.subprotocol');
  for (const name of ['decodeUtf8', 'decodeAscii', 'isUtf8', 'applyMask', 'copyMasked', 'allocate', 'markShared'] as const)
    optional(options.kernels?.[name], 'function', `options.kernels.${name}`);
  checkSink(options.sink);
  checkLenient(options.lenient);
  checkNames(options.limits, LIMITS, 'limits', 'limit');
  checkNames(options.timeouts, TIMEOUTS, 'timeouts', 'timeout');
  const limits: Limits = options.limits ?? {};
  const pieces = options.delivery === 'chunk' || options.delivery === 'span';
  const maxMessageSize = limit(limits.maxMessageSize, pieces ? Number.POSITIVE_INFINITY : MIB, 0, 'maxMessageSize');
  const maxFrameSize = limits.maxFrameSize === undefined ? null : limit(limits.maxFrameSize, 0, 0, 'maxFrameSize');
  const { role, clock, kernels } = options;
  const settings: Settings = {
    role,
    maskBit: role === 'server' ? 0x80 : 0,
    clock,
    delivery: options.delivery ?? 'message',
    ownsInput: options.input === 'transferred',
    keepsInput: options.input !== 'reused',
    autoPong: options.autoPong !== false,
    autoClose: options.autoClose !== false,
    maxMessageSize,
    maxFrameSize,
    maxWhole: maxFrameSize === null ? maxMessageSize : Math.min(maxMessageSize, maxFrameSize),
    maxPendingPongs: limit(limits.maxPendingPongs, 64, 1, 'maxPendingPongs'),
    maxFragments: limit(limits.maxFragments, MIB, 1, 'maxFragments'),
    maxKept: maxMessageSize === Number.POSITIVE_INFINITY ? MIB : maxMessageSize,
    rsv: rsvOf(options),
    lenient: options.lenient === undefined ? NO_LENIENCY : { ...options.lenient },
    tracer: options.onTrace === undefined ? null : new Tracer(options.onTrace, clock),
    content: new Content(kernels),
    ...periodsOf(options.timeouts),
  };
  return shared(settings, kernels);
}

function oneOf(value: unknown, allowed: readonly string[], name: string): void {
  if (!allowed.includes(value as string)) {
    const list = allowed.map((item) => `'${item}'`).join(', ');
    throw new TypeError(`${name} must be one of ${list}, not ${typeof value === 'string' ? `'${value}'` : describe(value)}`);
  }
}
function optional(value: unknown, type: string, name: string): void {
  if (value === undefined || (typeof value === type && value !== null)) return;
  throw new TypeError(`${name} must be ${type === 'object' ? 'an' : 'a'} ${type}, not ${describe(value)}`);
}
/** A whole number, or Infinity. */
function limit(value: number | undefined, fallback: number, least: number, name: string): number {
  if (value === undefined) return fallback;
  if (typeof value !== 'number') throw new TypeError(`options.limits.${name} must be a number, not ${describe(value)}`);
  if (value >= least && (Number.isSafeInteger(value) || value === Number.POSITIVE_INFINITY)) return value;
  throw new RangeError(`options.limits.${name} must be a whole number >= ${least} or Infinity, not ${value}`);
}

const FLAGS: Record<keyof LenientFlags, true> = {
  unmaskedClientFrames: true,
  maskedServerFrames: true,
  nonMinimalLength: true,
  reservedCloseCodes: true,
};

const LIMITS: Record<keyof Limits, true> = { maxMessageSize: true, maxFrameSize: true, maxPendingPongs: true, maxFragments: true };
const TIMEOUTS: Record<keyof Timeouts, true> = { opening: true, closing: true, keepalive: true, pong: true, idle: true };

/** A misspelt one would leave the default in force without a word: a limit that is wider than was asked for, or a departure from the RFC off. */
function checkNames(given: object | undefined, known: Readonly<Record<string, true>>, option: string, kind: string): void {
  if (given === undefined) return;
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(known, name)) throw new TypeError(`options.${option}.${name} is no ${kind}: ${Object.keys(known).join(', ')}`);
  }
}

const CALLBACKS = [
  'onText',
  'onBinary',
  'onMessageStart',
  'onTextChunk',
  'onSpan',
  'onMessageEnd',
  'onPing',
  'onPong',
  'onClose',
  'onEnd',
] as const satisfies readonly (keyof ConnectionSink)[];

/** What is no function would be an exception when the peer does what it is for. */
function checkSink(sink: ConnectionSink | undefined): void {
  if (sink === undefined) return;
  for (const name of CALLBACKS) optional(sink[name] ?? undefined, 'function', `options.sink.${name}`);
}

function checkLenient(flags: LenientFlags | undefined): void {
  checkNames(flags, FLAGS, 'lenient', 'flag');
  for (const [name, value] of Object.entries(flags ?? {})) optional(value, 'boolean', `options.lenient.${name}`);
}

/** Two extensions may not own the same bit (RFC 6455 section 9.1). */
function rsvOf(options: ConnectionOptions): number {
  if (options.extensions === undefined) return 0;
  if (!Array.isArray(options.extensions)) throw new TypeError(`options.extensions must be an array, not ${describe(options.extensions)}`);
  let all = 0;
  for (const [index, extension] of options.extensions.entries()) {
    if (typeof extension?.inbound !== 'function' || typeof extension.outbound !== 'function') {
      throw new TypeError(`options.extensions[${index}] must be an extension, with inbound() and outbound()`);
    }
    const { name, rsv } = extension;
    if ((rsv & 7) !== rsv) throw new RangeError(`options.extensions: the RSV bits of ${name} must be 0..7, not ${rsv}`);
    if ((all & rsv) !== 0) throw new TypeError(`options.extensions: ${name} claims a reserved bit that another extension owns`);
    all |= rsv;
  }
  return all;
}
