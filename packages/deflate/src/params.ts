/**
 * The four parameters of permessage-deflate (RFC 7692 section 7.1) and what section 7 lets them be.
 *
 * A total function: a peer's parameters give a value or null, whatever they are. Names are compared with known ones and never used as keys.
 */
import type { ExtensionParam } from '@ferrywire/core';

export const NAME = 'permessage-deflate';
/** Section 6: the bit that marks the first frame of a compressed message. */
export const RSV1 = 4;

/** Absent flags are false, absent sizes null. `true` is a size without a value, which only an offer may have. */
export interface DeflateParams {
  readonly serverNoContextTakeover: boolean;
  readonly clientNoContextTakeover: boolean;
  readonly serverMaxWindowBits: number | null;
  readonly clientMaxWindowBits: number | true | null;
}

/** Section 7.1.2: a decimal integer from 8 to 15 without leading zeros. */
const WINDOW_BITS = /^(?:[89]|1[0-5])$/;

function windowBits(value: string | true): number | null {
  return typeof value === 'string' && WINDOW_BITS.test(value) ? Number(value) : null;
}

/** Null for an unknown or doubled name, a bad value, a value where none may be, and none where one must be. */
export function parseParams(params: readonly ExtensionParam[], from: 'offer' | 'response'): DeflateParams | null {
  let serverNoContextTakeover = false;
  let clientNoContextTakeover = false;
  let serverMaxWindowBits: number | null = null;
  let clientMaxWindowBits: number | true | null = null;
  for (const [name, value] of params) {
    switch (name) {
      case 'server_no_context_takeover':
        if (serverNoContextTakeover || value !== true) return null;
        serverNoContextTakeover = true;
        break;
      case 'client_no_context_takeover':
        if (clientNoContextTakeover || value !== true) return null;
        clientNoContextTakeover = true;
        break;
      case 'server_max_window_bits':
        if (serverMaxWindowBits !== null) return null;
        serverMaxWindowBits = windowBits(value);
        if (serverMaxWindowBits === null) return null;
        break;
      case 'client_max_window_bits':
        if (clientMaxWindowBits !== null) return null;
        clientMaxWindowBits = value === true && from === 'offer' ? true : windowBits(value);
        if (clientMaxWindowBits === null) return null;
        break;
      default:
        return null;
    }
  }
  return { serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits };
}

/** Lists what is present, in the order of section 7.1. */
export function formatParams(params: DeflateParams): readonly ExtensionParam[] {
  const list: ExtensionParam[] = [];
  if (params.serverNoContextTakeover) list.push(['server_no_context_takeover', true]);
  if (params.clientNoContextTakeover) list.push(['client_no_context_takeover', true]);
  if (params.serverMaxWindowBits !== null) list.push(['server_max_window_bits', String(params.serverMaxWindowBits)]);
  if (params.clientMaxWindowBits !== null) {
    list.push(['client_max_window_bits', params.clientMaxWindowBits === true ? true : String(params.clientMaxWindowBits)]);
  }
  return list;
}
