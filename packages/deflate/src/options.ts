/**
 * Options, checked once per factory. Misuse throws at once with a message that names the option; what the codec cannot do is not misuse but
 * limits what is negotiated.
 */
import type { DeflateCodec } from './codec.ts';

/**
 * Options of both roles. Each names the side it is about, as the parameters of RFC 7692 section 7.1 do: `serverMaxWindowBits` limits what
 * the server compresses with, whoever sets it.
 */
export interface DeflateOptions {
  /** Default: node:zlib where there is one and it works, else pako. */
  readonly codec?: DeflateCodec;
  /** The server starts each message with an empty window. Default: true on servers (answered unasked), false on clients (not asked for). */
  readonly serverNoContextTakeover?: boolean;
  /** The client starts each message with an empty window. Default: true on servers (demanded), false on clients. */
  readonly clientNoContextTakeover?: boolean;
  /** 8 to 15. On a client: demanded of the server. On a server: the most it uses, or what its codec can do at least. Default: no limit. */
  readonly serverMaxWindowBits?: number;
  /**
   * 8 to 15. On a client: the most it uses, or what its codec can do at least, and it lets the server ask for less; `true` lets the server
   * ask and sets no limit; absent, the server may not ask. On a server: demanded of the client, so offers that do not allow it are declined;
   * `true` and absent demand nothing.
   */
  readonly clientMaxWindowBits?: number | true;
  /**
   * Messages of fewer bytes are sent uncompressed, unless they ask for compression by name. Default 128. Messages of unknown length are
   * compressed. A message that is left out does not enter the window, so any value goes with context takeover.
   */
  readonly threshold?: number;
  /** 0 (store) to 9 (smallest). Default 6. Level 1 takes about half the CPU on JSON. */
  readonly level?: number;
  /** 1 to 9: memory of the compressor. Default 8. */
  readonly memLevel?: number;
}

/** Options with everything decided that does not depend on the role. */
export interface Settings {
  readonly codec: DeflateCodec;
  readonly serverNoContextTakeover: boolean | undefined;
  readonly clientNoContextTakeover: boolean | undefined;
  readonly serverMaxWindowBits: number | undefined;
  readonly clientMaxWindowBits: number | true | undefined;
  readonly threshold: number;
  readonly level: number;
  readonly memLevel: number;
}

/** Below this, what compression without context saves does not pay for its CPU. */
const DEFAULT_THRESHOLD = 128;
const DEFAULT_LEVEL = 6;
const DEFAULT_MEM_LEVEL = 8;

function integer(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
  if (!Number.isInteger(value) || value < min || value > max) throw new RangeError(`${name} must be an integer from ${min} to ${max}`);
  return value;
}

function flag(name: string, value: unknown): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value;
  throw new TypeError(`${name} must be a boolean`);
}

function threshold(value: unknown): number {
  if (value === undefined) return DEFAULT_THRESHOLD;
  if (typeof value !== 'number') throw new TypeError('threshold must be a number');
  if (!(value >= 0)) throw new RangeError('threshold must not be negative');
  return value;
}

function codec(value: DeflateCodec): DeflateCodec {
  if (
    typeof value !== 'object' ||
    value === null ||
    typeof value.createInflate !== 'function' ||
    typeof value.createDeflate !== 'function'
  ) {
    throw new TypeError('codec must be a DeflateCodec');
  }
  for (const direction of ['inflate', 'deflate'] as const) {
    const [min, max] = value.windowBits[direction];
    integer(`codec.windowBits.${direction}[0]`, min, 8, 15);
    integer(`codec.windowBits.${direction}[1]`, max, min, 15);
  }
  return value;
}

export function checkOptions(options: DeflateOptions, defaultCodec: DeflateCodec): Settings {
  if (typeof options !== 'object' || options === null) throw new TypeError('options must be an object');
  const server = options.serverMaxWindowBits;
  const client = options.clientMaxWindowBits;
  return {
    codec: codec(options.codec === undefined ? defaultCodec : options.codec),
    serverNoContextTakeover: flag('serverNoContextTakeover', options.serverNoContextTakeover),
    clientNoContextTakeover: flag('clientNoContextTakeover', options.clientNoContextTakeover),
    serverMaxWindowBits: server === undefined ? undefined : integer('serverMaxWindowBits', server, 8, 15),
    clientMaxWindowBits: client === undefined || client === true ? client : integer('clientMaxWindowBits', client, 8, 15),
    threshold: threshold(options.threshold),
    level: options.level === undefined ? DEFAULT_LEVEL : integer('level', options.level, 0, 9),
    memLevel: options.memLevel === undefined ? DEFAULT_MEM_LEVEL : integer('memLevel', options.memLevel, 1, 9),
  };
}
