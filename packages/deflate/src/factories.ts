/**
 * `clientDeflate` and `serverDeflate` for a given default codec: the entry points differ in nothing else.
 */
import type { ClientExtension, Extension, ServerExtension } from '@ferrywire/core';
import type { DeflateCodec } from './codec.ts';
import { DeflateExtension } from './extension.ts';
import { judgeAnswer, makeOffer } from './negotiate-client.ts';
import { answerOffer } from './negotiate-server.ts';
import { checkOptions, type DeflateOptions } from './options.ts';
import { formatParams, NAME, parseParams, RSV1 } from './params.ts';

/** RFC 7692 section 5.1: a bit has one owner, and the extension is used once. */
function taken(accepted: readonly Extension[]): boolean {
  return accepted.some((extension) => extension.name === NAME || (extension.rsv & RSV1) !== 0);
}

export function createClientDeflate(options: DeflateOptions | undefined, defaultCodec: DeflateCodec): ClientExtension {
  const settings = checkOptions(options === undefined ? { clientMaxWindowBits: true } : options, defaultCodec);
  const offer = makeOffer(settings);
  const offers = Object.freeze([Object.freeze(formatParams(offer))]);
  return {
    name: NAME,
    offers: () => offers,
    confirm(params, accepted) {
      if (taken(accepted)) return null;
      const answer = parseParams(params, 'response');
      if (answer === null) return null;
      const agreement = judgeAnswer(answer, offer, settings);
      return agreement === null ? null : new DeflateExtension(settings, agreement);
    },
  };
}

export function createServerDeflate(options: DeflateOptions | undefined, defaultCodec: DeflateCodec): ServerExtension {
  const settings = checkOptions(options === undefined ? {} : options, defaultCodec);
  return {
    name: NAME,
    accept(params, accepted) {
      if (taken(accepted)) return null;
      const offer = parseParams(params, 'offer');
      if (offer === null) return null;
      const answer = answerOffer(offer, settings);
      if (answer === null) return null;
      return { params: formatParams(answer.params), extension: new DeflateExtension(settings, answer.agreement) };
    },
  };
}
