/**
 * The server's half of the negotiation (RFC 7692 sections 5.1 and 7.1): one offer in, the answer and what it means for this end out.
 *
 * Null declines the offer, and the next one is tried. Pure: no codec is created here.
 */
import type { Agreement } from './extension.ts';
import type { Settings } from './options.ts';
import type { DeflateParams } from './params.ts';

export function answerOffer(
  offer: DeflateParams,
  settings: Settings,
): { readonly params: DeflateParams; readonly agreement: Agreement } | null {
  const { codec } = settings;
  const [inflateMin, inflateMax] = codec.windowBits.inflate;
  const [deflateMin, deflateMax] = codec.windowBits.deflate;

  // What the server sends (7.1.1.1, 7.1.2.1): an offered limit must be answered with the same or a smaller value; one of its own may be added.
  const demanded = offer.serverMaxWindowBits;
  if (demanded !== null && demanded < deflateMin) return null;
  const own = Math.max(settings.serverMaxWindowBits ?? 15, deflateMin);
  const outboundBits = Math.min(own, demanded ?? 15, deflateMax);
  const answerServerBits = demanded !== null || outboundBits < 15 || settings.serverMaxWindowBits !== undefined;
  const serverNoContextTakeover = offer.serverNoContextTakeover || (settings.serverNoContextTakeover ?? true) || !codec.contextTakeover;

  // What the client sends (7.1.1.2, 7.1.2.2): its window may only be limited when the offer says that it can be.
  const allowed = offer.clientMaxWindowBits;
  const wanted = Math.min(typeof settings.clientMaxWindowBits === 'number' ? settings.clientMaxWindowBits : 15, inflateMax);
  const limit = Math.min(wanted, typeof allowed === 'number' ? allowed : 15);
  if (allowed === null && wanted < 15) return null;
  if (limit < inflateMin) return null;
  const answerClientBits = allowed !== null && (limit < 15 || typeof settings.clientMaxWindowBits === 'number' || allowed !== true);
  const clientNoContextTakeover = offer.clientNoContextTakeover || (settings.clientNoContextTakeover ?? true) || !codec.contextTakeover;

  return {
    params: {
      serverNoContextTakeover,
      clientNoContextTakeover,
      serverMaxWindowBits: answerServerBits ? outboundBits : null,
      clientMaxWindowBits: answerClientBits ? limit : null,
    },
    agreement: {
      inbound: { takeover: !clientNoContextTakeover, windowBits: limit },
      outbound: { takeover: !serverNoContextTakeover, windowBits: outboundBits },
    },
  };
}
