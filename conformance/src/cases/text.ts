/**
 * Group 6: text is UTF-8 (RFC 6455 sections 5.6 and 8.1, RFC 3629 sections 3 and 4). Sequences are made by rule: first and last of a length,
 * missing and lonely continuation bytes, overlong forms, surrogates, noncharacters.
 */
import { Buffer } from 'node:buffer';
import type { Case, CloseExpectation, Expectation, Step } from '../case.ts';
import { empty, hex, type Payload, utf8 } from '../payload.ts';
import { isValidUtf8 } from '../utf8.ts';
import {
  CONTINUATION,
  closeAfter,
  defineCase,
  echoOf,
  failAfter,
  failsWith,
  frame,
  message,
  ok,
  part,
  pause,
  stillOpen,
  TEXT,
} from './build.ts';

const sections = ['RFC 6455 5.6', 'RFC 6455 8.1', 'RFC 3629 3'];
/** The side that ends the connection decides: an endpoint that lets invalid text pass fails the case. */
const failsText: CloseExpectation = { ...failsWith(1007), strictSide: true };

/** Spelled with U+1F79, three bytes long, so that it holds sequences of two and of three bytes. */
const kosme = '\u03ba\u1f79\u03c3\u03bc\u03b5';
const mixed = 'Hello-µ@ßöäüàá-UTF-8!!';
/** A surrogate half in the middle. */
const broken = hex(`${Buffer.from(kosme).toString('hex')}eda080656469746564`);

function openings(): Case[] {
  const valid = (id: string, title: string, steps: readonly Step[], payload: Payload | string): Case =>
    defineCase({ id, title, sections, steps, expect: ok(echoOf('text', payload)), limit: closeAfter(1) });
  const invalid = (id: string, title: string, step: Step): Case =>
    defineCase({ id, title, sections, steps: [step], expect: ok(), close: failsText });
  const middle = 'middle frame payload';
  return [
    valid('6.1.1', 'empty text', [frame(TEXT)], empty),
    valid('6.1.2', 'empty text in three fragments', [part(TEXT), part(CONTINUATION), frame(CONTINUATION)], empty),
    valid('6.1.3', 'text between two empty fragments', [part(TEXT), part(CONTINUATION, middle), frame(CONTINUATION)], middle),
    valid('6.2.1', 'accented text', [message('text', utf8(mixed))], mixed),
    valid('6.2.2', 'accented text in two fragments', [part(TEXT, mixed.slice(0, 11)), frame(CONTINUATION, mixed.slice(11))], mixed),
    valid('6.2.3', 'accented text, a byte a fragment', [message('text', utf8(mixed), 1)], mixed),
    valid('6.2.4', 'Greek text, a byte a fragment', [message('text', utf8(kosme), 1)], kosme),
    invalid('6.3.1', 'surrogate half inside text', message('text', broken)),
    invalid('6.3.2', 'surrogate half inside text, a byte a fragment', message('text', broken, 1)),
  ];
}

/** Invalid bytes must be noticed when they arrive, not when the frame or the message ends. */
function failFast(): Case[] {
  const before = Buffer.from(kosme).toString('hex');
  const after = '656469746564';
  /** U+110000, whole, or cut so that its second byte is the first impossible one. */
  const cuts: readonly (readonly [string, string, string])[] = [
    [before, 'f4908080', after],
    [`${before}f4`, '90', `8080${after}`],
  ];
  const size = (before.length + 8 + after.length) / 2;
  const expect: readonly Expectation[] = [
    { grade: 'OK', events: [stillOpen('A')] },
    { grade: 'NON-STRICT', events: [stillOpen('A'), stillOpen('B')] },
  ];
  const make = (id: string, title: string, steps: readonly Step[]): Case =>
    defineCase({ id, title, sections: [...sections, 'RFC 6455 10.7'], steps, expect, close: failsText });
  const [first, second] = [
    'invalid bytes in the second of three fragments',
    'character that turns invalid in the second of three fragments',
  ];
  return [
    ...cuts.map(([a, b, c], index) =>
      make(`6.4.${index + 1}`, `fail fast: ${index === 0 ? first : second}`, [
        part(TEXT, hex(a)),
        pause(1, 'A'),
        part(CONTINUATION, hex(b)),
        pause(1, 'B'),
        frame(CONTINUATION, hex(c)),
      ]),
    ),
    ...cuts.map(([a, b, c], index) =>
      make(
        `6.4.${index + 3}`,
        `fail fast inside a frame: ${index === 0 ? 'invalid bytes' : 'character that turns invalid'} in its second piece`,
        [
          { do: 'header', opcode: TEXT, fin: false, size, chop: null },
          { do: 'data', payload: hex(a) },
          pause(1, 'A'),
          { do: 'data', payload: hex(b) },
          pause(1, 'B'),
          { do: 'data', payload: hex(c) },
          frame(CONTINUATION),
        ],
      ),
    ),
  ];
}

/** A code point in the form of `length` bytes, needed or not, allowed or not (up to the six bytes of RFC 2279). */
function encoded(codePoint: number, length: number): string {
  if (length === 1) return codePoint.toString(16).padStart(2, '0');
  const bytes: number[] = [];
  let rest = codePoint;
  for (let i = 1; i < length; i += 1) {
    bytes.unshift(0x80 | (rest % 64));
    rest = Math.floor(rest / 64);
  }
  bytes.unshift(((0xff00 >> length) & 0xff) | rest);
  return Buffer.from(bytes).toString('hex');
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function hexOf(bytes: readonly number[]): string {
  return Buffer.from(bytes).toString('hex');
}

function surrogateTables(): { single: string[]; paired: string[] } {
  const high = [0xd800, 0xdb7f, 0xdb80, 0xdbff];
  const low = [0xdc00, 0xdf80, 0xdfff];
  const three = (value: number): string => encoded(value, 3);
  const paired = high.flatMap((first) => [0xdc00, 0xdfff].map((second) => three(first) + three(second)));
  return { single: [...high, ...low].map(three), paired };
}

/** Sub-group number, what it is about, its texts. */
function tables(): readonly (readonly [number, string, readonly string[]])[] {
  const greek = Buffer.from(kosme).toString('hex');
  const continuations = (count: number): string => hexOf(range(0, count - 1).map((i) => (i % 2 === 0 ? 0x80 : 0xbf)));
  const lonely = (first: number, last: number): string => hexOf(range(first, last).flatMap((lead) => [lead, 0x20]));
  const zeroes = range(2, 6).map((length) => encoded(0, length).slice(0, -2));
  const largest = [0x7ff, 0xffff, 0x1fffff, 0x3ffffff, 0x7fffffff];
  const cutLargest = largest.map((value, index) => encoded(value, index + 2).slice(0, -2));
  const planes = [...range(1, 16)].flatMap((plane) => [plane * 0x10000 + 0xfffe, plane * 0x10000 + 0xffff]);
  const surrogates = surrogateTables();
  return [
    [5, 'valid text', ['$', '¢', '€', '\u{24b62}'].map((sign) => Buffer.from(`hello${sign}world`).toString('hex')).concat(greek)],
    [6, 'every prefix of Greek text', range(1, greek.length / 2).map((count) => greek.slice(0, count * 2))],
    [7, 'first code point of a length', [encoded(0, 1), encoded(0x80, 2), encoded(0x800, 3), encoded(0x10000, 4)]],
    [8, 'first code point of a length that does not exist', [encoded(0x200000, 5), encoded(0x4000000, 6)]],
    [9, 'last code point of a length', [encoded(0x7f, 1), encoded(0x7ff, 2), encoded(0xffff, 3), encoded(0x10ffff, 4)]],
    [10, 'last value of a length beyond U+10FFFF', [encoded(0x1fffff, 4), encoded(0x3ffffff, 5), encoded(0x7fffffff, 6)]],
    [11, 'boundary', [encoded(0xd7ff, 3), encoded(0xe000, 3), encoded(0xfffd, 3), encoded(0x10ffff, 4), encoded(0x110000, 4)]],
    [12, 'continuation bytes alone', ['80', 'bf', ...range(2, 6).map(continuations), hexOf(range(0x80, 0xbe))]],
    [13, 'first bytes alone', [lonely(0xc0, 0xde), lonely(0xe0, 0xee), lonely(0xf0, 0xf6), lonely(0xf8, 0xfa), lonely(0xfc, 0xfc)]],
    [14, 'last continuation byte missing', [...zeroes, ...cutLargest]],
    [15, 'incomplete sequences joined', [[...zeroes, ...cutLargest].join('')]],
    [16, 'impossible bytes', ['fe', 'ff', 'fefeffff']],
    [17, 'overlong slash', range(2, 6).map((length) => encoded(0x2f, length))],
    [18, 'overlong boundary', [0x7f, 0x7ff, 0xffff, 0x1fffff, 0x3ffffff].map((value, index) => encoded(value, index + 2))],
    [19, 'overlong NUL', range(2, 6).map((length) => encoded(0, length))],
    [20, 'single surrogate', surrogates.single],
    [21, 'surrogate pair', surrogates.paired],
    [22, 'noncharacter, which is valid', [encoded(0xfffe, 3), encoded(0xffff, 3), ...planes.map((value) => encoded(value, 4))]],
    [23, 'special, which is valid', range(0xfff9, 0xffff).map((value) => encoded(value, 3))],
  ];
}

function sequences(): Case[] {
  return tables().flatMap(([group, title, texts]) =>
    texts.map((digits, index) => {
      const payload = hex(digits);
      const valid = isValidUtf8(payload.unit);
      return defineCase({
        id: `6.${group}.${index + 1}`,
        title: `${title}: ${digits.length > 32 ? `${digits.slice(0, 32)}...` : digits}`,
        sections,
        steps: [message('text', payload)],
        expect: valid ? ok(echoOf('text', payload)) : ok(),
        ...(valid ? {} : { close: failsText }),
        limit: failAfter(0.5),
      });
    }),
  );
}

export function textCases(): Case[] {
  return [...openings(), ...failFast(), ...sequences()];
}
