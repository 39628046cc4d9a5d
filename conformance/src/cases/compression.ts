/**
 * Groups 12 and 13: messages compressed by permessage-deflate (RFC 7692), over kinds of data and over sets of parameters.
 */
import type { MessageKind } from '@ferrywire/core';
import type { Case, DeflateParameters, DeflatePolicy } from '../case.ts';
import type { CorpusName } from '../corpus.ts';
import { closeAfter, defineCase } from './build.ts';

/** The number of round trips that finds what a thousand find, and what a thousand are asked for by `full`. */
const shortCount = 20;
const fullCount = 1000;

const KiB = 1024;
const shapes: readonly (readonly [size: number, fragment: number | null])[] = [
  ...[16, 64, 256, KiB, 4 * KiB, 8 * KiB, 16 * KiB, 32 * KiB, 64 * KiB, 128 * KiB].map((size) => [size, null] as const),
  ...[8 * KiB, 16 * KiB, 32 * KiB, 64 * KiB, 128 * KiB].map((size) => [size, 256] as const),
  ...[KiB, 4 * KiB, 32 * KiB].map((fragment) => [128 * KiB, fragment] as const),
];

function seconds(size: number): number {
  return size <= 64 ? 60 : size <= 256 ? 120 : size <= KiB ? 240 : 480;
}

const corpora: readonly (readonly [CorpusName, MessageKind])[] = [
  ['json', 'text'],
  ['bitmap', 'binary'],
  ['prose', 'binary'],
  ['html', 'text'],
  ['document', 'binary'],
];

const base = 'permessage-deflate; client_no_context_takeover; client_max_window_bits';
const nothing: DeflatePolicy = { clientNoContextTakeover: false, clientMaxWindowBits: null };
const noTakeover: DeflatePolicy = { clientNoContextTakeover: true, clientMaxWindowBits: null };

function window(bits: number): DeflatePolicy {
  return { clientNoContextTakeover: false, clientMaxWindowBits: bits };
}

const plain: DeflateParameters = { offers: [base], policies: [nothing] };
const parameterSets: readonly DeflateParameters[] = [
  plain,
  { offers: [`${base}; server_no_context_takeover`], policies: [noTakeover] },
  { offers: [`${base}; server_max_window_bits=9`], policies: [window(9)] },
  { offers: [`${base}; server_max_window_bits=15`], policies: [window(15)] },
  {
    offers: [`${base}; server_no_context_takeover; server_max_window_bits=9`],
    policies: [{ ...window(9), clientNoContextTakeover: true }],
  },
  {
    offers: [`${base}; server_no_context_takeover; server_max_window_bits=15`],
    policies: [{ ...window(15), clientNoContextTakeover: true }],
  },
  {
    offers: [`${base}; server_no_context_takeover; server_max_window_bits=9`, `${base}; server_no_context_takeover`, base],
    policies: [{ ...window(9), clientNoContextTakeover: true }, noTakeover, nothing],
  },
];

function compressed(prefix: string, what: string, deflate: DeflateParameters, corpus: CorpusName, kind: MessageKind): Case[] {
  return shapes.map(([size, fragment], index) =>
    defineCase({
      id: `${prefix}.${index + 1}`,
      title: `${what}, messages of ${size} ${kind === 'text' ? 'characters' : 'bytes'}${fragment === null ? '' : `, in frames of ${fragment} bytes`}`,
      sections: ['RFC 7692 7.1', 'RFC 7692 7.2'],
      steps: [{ do: 'exchange', kind, source: { from: 'corpus', corpus, size }, count: shortCount, fullCount, fragment, compress: true }],
      expect: 'exchange',
      limit: closeAfter(seconds(size)),
      deflate,
    }),
  );
}

export function compressionCases(): Case[] {
  return [
    ...corpora.flatMap(([corpus, kind], index) => compressed(`12.${index + 1}`, `compressed ${corpus} as ${kind}`, plain, corpus, kind)),
    ...parameterSets.flatMap((deflate, index) => {
      // Of the subject's own direction: a server's are offered to it, a client's are what it is answered.
      const names = deflate.offers.map((offer) => offer.slice(base.length).replace(/^; /, '').replaceAll('server_', '') || 'defaults');
      return compressed(`13.${index + 1}`, `the subject's parameters ${names.join(', else ')}`, deflate, 'json', 'text');
    }),
  ];
}
