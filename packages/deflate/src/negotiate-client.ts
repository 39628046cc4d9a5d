/**
 * The client's half of the negotiation (RFC 7692 sections 5.1 and 7.1): what is offered, and whether an answer fits the offer.
 *
 * One offer is made. A second one without the demands of the first would turn them into wishes, because an answer does not say which
 * offer it accepts.
 */
import type { Agreement } from './extension.ts';
import type { Settings } from './options.ts';
import type { DeflateParams } from './params.ts';

export function makeOffer(settings: Settings): DeflateParams {
  const { codec } = settings;
  const [inflateMin, inflateMax] = codec.windowBits.inflate;
  const [deflateMin, deflateMax] = codec.windowBits.deflate;
  const server = settings.serverMaxWindowBits;
  const client = settings.clientMaxWindowBits;
  return {
    serverNoContextTakeover: settings.serverNoContextTakeover === true || !codec.contextTakeover,
    clientNoContextTakeover: settings.clientNoContextTakeover === true || !codec.contextTakeover,
    serverMaxWindowBits: server !== undefined ? Math.min(Math.max(server, inflateMin), inflateMax) : inflateMax < 15 ? inflateMax : null,
    clientMaxWindowBits: client === undefined || client === true ? (client ?? null) : Math.min(Math.max(client, deflateMin), deflateMax),
  };
}

/** Null: the answer does not fit the offer or cannot be honoured, and the handshake fails. */
export function judgeAnswer(answer: DeflateParams, offer: DeflateParams, settings: Settings): Agreement | null {
  const { codec } = settings;
  const [inflateMin] = codec.windowBits.inflate;
  const [deflateMin, deflateMax] = codec.windowBits.deflate;

  // What the server will send. A demand must come back (7.1.1.1, 7.1.2.1); the server may limit itself unasked.
  if (offer.serverNoContextTakeover && !answer.serverNoContextTakeover) return null;
  // An answer without a size means 15 bits, which is not more than an offer of 15 allows; `permessage-deflate` for websocket-driver does that.
  if ((answer.serverMaxWindowBits ?? 15) > (offer.serverMaxWindowBits ?? 15)) return null;
  const inboundBits = Math.max(answer.serverMaxWindowBits ?? 15, inflateMin);

  // What this end will send. A limit must have been offered, must not exceed the offer (7.1.2.2), and must be one the codec can keep.
  const limit = answer.clientMaxWindowBits;
  if (limit === true) return null;
  if (limit !== null) {
    if (offer.clientMaxWindowBits === null) return null;
    if (offer.clientMaxWindowBits !== true && limit > offer.clientMaxWindowBits) return null;
    if (limit < deflateMin) return null;
  }
  const own = typeof offer.clientMaxWindowBits === 'number' ? offer.clientMaxWindowBits : 15;

  return {
    inbound: { takeover: !answer.serverNoContextTakeover, windowBits: inboundBits },
    outbound: {
      // The offer promised not to use context even where the server does not ask for it (7.1.1.2).
      takeover: !answer.clientNoContextTakeover && !offer.clientNoContextTakeover,
      windowBits: Math.min(limit ?? own, deflateMax),
    },
  };
}
