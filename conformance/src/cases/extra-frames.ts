/**
 * Groups F.1 to F.5, which the Autobahn suite does not have: masks, lengths, fragments and control frames, text across frames, closing codes
 * (RFC 6455 sections 5 and 7; RFC 3629). `F` for ferrywire: they run only where they are asked for.
 */
import type { Case, CloseExpectation, Step } from '../case.ts';
import { empty, hex, repeated, utf8 } from '../payload.ts';
import {
  BINARY,
  type CaseInit,
  CLOSE,
  CONTINUATION,
  cleanClose,
  close,
  closeAfter,
  defineCase,
  echoOf,
  failsWith,
  frame,
  ok,
  PING,
  PONG,
  part,
  pause,
  pongOf,
  raw,
  stillOpen,
  TEXT,
} from './build.ts';

/** Numbers the cases of a group. */
export function numbered(group: number, inits: readonly Omit<CaseInit, 'id'>[]): Case[] {
  return inits.map((init, index) => defineCase({ id: `F.${group}.${index + 1}`, ...init }));
}

export function refused(
  title: string,
  section: string,
  code: number,
  steps: readonly Step[],
  more: Partial<Case> = {},
): Omit<CaseInit, 'id'> {
  return { title, sections: [section], steps, expect: ok(), close: failsWith(code), ...more };
}

function accepted(title: string, section: string, steps: readonly Step[], ...events: ReturnType<typeof echoOf>[]): Omit<CaseInit, 'id'> {
  return { title, sections: [section], steps, expect: ok(...events) };
}

function masks(): Case[] {
  // The connection has to be closed, for which 1002 may be used. An answer of 1000 would be to a close frame as it should be.
  const closes = (step: Step): CloseExpectation => ({
    ...failsWith(1002),
    othersBut: step.do === 'frame' && step.opcode === CLOSE ? [1000] : [],
  });
  const wrong =
    (onlyFor: 'client' | 'server') =>
    (title: string, step: Step): Omit<CaseInit, 'id'> =>
      refused(title, 'RFC 6455 5.1', 1002, [step], { onlyFor, close: closes(step) });
  const bare = wrong('server');
  const masked = wrong('client');
  // A header with a key of zeros, which leaves the payload as it is.
  const zeroKey = raw(hex('8185000000006f74746572'));
  const usualKey = raw(hex('818537fa213d7f9f4d5158'));
  // The second is there to be read as the mask, or the payload, of the first.
  const twice = (mask: boolean): Step[] => [frame(TEXT, 'otter', { masked: mask }), frame(TEXT, 'otter', { masked: mask })];
  return numbered(1, [
    bare('text without a mask to a server', frame(TEXT, 'otter', { masked: false })),
    bare('empty text without a mask to a server', frame(TEXT, empty, { masked: false })),
    bare('ping without a mask to a server', frame(PING, empty, { masked: false })),
    bare('close without a mask to a server', frame(CLOSE, hex('03e8'), { masked: false })),
    masked('masked text to a client', frame(TEXT, 'otter', { masked: true })),
    masked('masked empty text to a client', frame(TEXT, empty, { masked: true })),
    masked('masked ping to a client', frame(PING, empty, { masked: true })),
    masked('masked close to a client', frame(CLOSE, hex('03e8'), { masked: true })),
    { ...accepted('mask of zeros', 'RFC 6455 5.3', [zeroKey], echoOf('text', 'otter')), onlyFor: 'server' },
    {
      ...bare('second frame of a message without a mask', frame(CONTINUATION, 'ter', { masked: false })),
      steps: [part(TEXT, 'ot'), frame(CONTINUATION, 'ter', { masked: false })],
    },
    { ...accepted('mask of four different bytes', 'RFC 6455 5.3', [usualKey], echoOf('text', 'Hello')), onlyFor: 'server' },
    { ...bare('two texts without a mask in one write', frame(TEXT, 'otter', { masked: false })), steps: twice(false) },
    { ...masked('two masked texts in one write', frame(TEXT, 'otter', { masked: true })), steps: twice(true) },
    {
      title: 'frames of a client, each under a mask of its own',
      sections: ['RFC 6455 5.3'],
      // No pings: of several only the last has to be answered (RFC 6455 5.5.3).
      steps: ['a', 'b', 'c'].map((text) => frame(TEXT, text)),
      expect: ok(echoOf('text', 'a'), echoOf('text', 'b'), echoOf('text', 'c')),
      onlyFor: 'client',
      freshMasks: true,
    },
  ]);
}

function lengths(): Case[] {
  const section = 'RFC 6455 5.2';
  const long = (size: number, lengthBytes: 2 | 8, opcode = BINARY): Omit<CaseInit, 'id'> => {
    const payload = repeated(7, size);
    const answer = opcode === PING ? pongOf(payload) : echoOf('binary', payload);
    return {
      title: `length ${size} written in ${lengthBytes} bytes${opcode === PING ? ', on a ping' : ''}`,
      sections: [section],
      steps: [frame(opcode, payload, { lengthBytes })],
      expect: [...ok(), { grade: 'NON-STRICT', events: [answer] }],
      close: failsWith(1002),
      recommended: true,
    };
  };
  const slow = (size: number): Omit<CaseInit, 'id'> => {
    const payload = repeated(0x61, size);
    return accepted(
      `text of ${size} bytes, its header byte by byte`,
      section,
      [frame(TEXT, payload, { chop: 1 })],
      echoOf('text', payload),
    );
  };
  return numbered(2, [
    long(0, 2),
    long(125, 2),
    long(0, 8),
    long(126, 8),
    long(65_535, 8),
    long(5, 2, PING),
    long(5, 8, PING),
    refused('64-bit length with its highest bit set', section, 1002, [frame(BINARY, empty, { claim: 1n << 63n })], {
      close: failsWith(1002, 1009),
    }),
    refused('length of 2^64 - 1', section, 1002, [frame(BINARY, empty, { claim: (1n << 64n) - 1n })], { close: failsWith(1002, 1009) }),
    slow(126),
    slow(300),
    accepted(
      'three messages in one write',
      section,
      ['a', 'b', 'c'].map((text) => frame(TEXT, text)),
      ...['a', 'b', 'c'].map((text) => echoOf('text', text)),
    ),
    slowHeader(65_535),
    slowHeader(65_536),
    accepted(
      'text of 300 bytes in writes of 20',
      section,
      [frame(TEXT, repeated(0x61, 300), { chop: 20 })],
      echoOf('text', repeated(0x61, 300)),
    ),
  ]);
}

/** A header in single bytes, then the payload at once. */
function slowHeader(size: number): Omit<CaseInit, 'id'> {
  const payload = repeated(0x61, size);
  const steps: readonly Step[] = [
    { do: 'header', opcode: BINARY, fin: true, size, chop: 1 },
    { do: 'data', payload },
  ];
  return accepted(`binary of ${size} bytes, its header byte by byte`, 'RFC 6455 5.2', steps, echoOf('binary', payload));
}

function fragments(): Case[] {
  const order = 'RFC 6455 5.4';
  const control = 'RFC 6455 5.5';
  const long = repeated(0x61, 65_536);
  const many = Array.from({ length: 200 }, () => part(CONTINUATION));
  const alternating = Array.from({ length: 30 }, (_, i) => [part(CONTINUATION, 'x'), frame(PING, `${i}`)]).flat();
  const answers = [...Array.from({ length: 30 }, (_, i) => pongOf(`${i}`)), echoOf('text', `${'x'.repeat(30)}!`)];
  return numbered(3, [
    refused('fragmented close', control, 1002, [part(CLOSE, hex('03e8'))]),
    refused('fragmented close inside a message', control, 1002, [part(TEXT, 'a'), part(CLOSE, hex('03e8'))]),
    refused('close of 126 bytes', control, 1002, [frame(CLOSE, repeated(0x61, 126))]),
    refused('pong of 126 bytes', control, 1002, [frame(PONG, repeated(0x61, 126))]),
    {
      // Nothing says that the header has to be enough; without what it claims, whoever reads whole frames would wait for it, as he may.
      ...refused('ping of 65536 bytes, its header first', control, 1002, [
        { do: 'header', opcode: PING, fin: true, size: long.size, chop: null },
        pause(1, 'A'),
        { do: 'data', payload: long },
      ]),
      expect: [
        { grade: 'OK', events: [] },
        { grade: 'NON-STRICT', events: [stillOpen('A')] },
      ],
    },
    refused('RSV1 on a ping', 'RFC 6455 5.2', 1002, [frame(PING, empty, { rsv: 4 })]),
    refused('RSV1 on a continuation', 'RFC 6455 5.2', 1002, [part(TEXT, 'a'), frame(CONTINUATION, 'b', { rsv: 4 })]),
    refused('reserved opcode between two fragments', 'RFC 6455 5.2', 1002, [part(TEXT, 'a'), frame(5, 'b')]),
    refused('binary inside an open text message', order, 1002, [part(TEXT, 'a'), frame(BINARY, 'b')]),
    refused('unfinished text inside an open binary message', order, 1002, [part(BINARY, 'a'), part(TEXT, 'b')]),
    accepted('message with 200 empty fragments', order, [part(BINARY, 'a'), ...many, frame(CONTINUATION, 'b')], echoOf('binary', 'ab')),
    {
      title: 'thirty pings between thirty fragments',
      sections: [control, 'RFC 6455 5.5.3'],
      steps: [part(TEXT), ...alternating, frame(CONTINUATION, '!')],
      expect: [
        { grade: 'OK', events: answers },
        { grade: 'NON-STRICT', events: answers, sparesPongs: true },
      ],
      limit: closeAfter(1),
    },
    accepted(
      'message after a fragmented one',
      order,
      [part(TEXT, 'a'), frame(CONTINUATION, 'b'), frame(BINARY, 'c')],
      echoOf('text', 'ab'),
      echoOf('binary', 'c'),
    ),
    refused('fragmented pong and nothing more', control, 1002, [part(PONG, 'a')]),
    refused('fragmented ping and nothing more', control, 1002, [part(PING, 'a')]),
    refused('continuation of nothing, not the last, and nothing more', order, 1002, [part(CONTINUATION, 'a')]),
  ]);
}

function texts(): Case[] {
  const section = 'RFC 6455 8.1';
  const failsText: CloseExpectation = { ...failsWith(1007), strictSide: true };
  const invalid = (title: string, steps: readonly Step[]): Omit<CaseInit, 'id'> => ({
    title,
    sections: [section, 'RFC 3629 3'],
    steps,
    expect: ok(),
    close: failsText,
  });
  /** Noticed while the message goes on; at its end it is late. */
  const early = (title: string, lead: Step): Omit<CaseInit, 'id'> => ({
    ...invalid(title, [lead, pause(1, 'A'), frame(CONTINUATION, 'a')]),
    expect: [
      { grade: 'OK', events: [] },
      { grade: 'NON-STRICT', events: [stillOpen('A')] },
    ],
  });
  const euro = utf8('€');
  const [first, rest] = [hex('e2'), hex('82ac')];
  const bom = utf8('\ufeffotter');
  return numbered(4, [
    {
      ...accepted('character cut by a ping', section, [part(TEXT, first), frame(PING), frame(CONTINUATION, rest)]),
      expect: ok(pongOf(empty), echoOf('text', euro)),
    },
    {
      ...invalid('character that a ping does not complete', [part(TEXT, first), frame(PING, rest), frame(CONTINUATION, 'a')]),
      // Whoever fails the connection at once may have no time for the answer: it comes as soon as is practical.
      expect: [
        { grade: 'OK', events: [pongOf(rest)] },
        { grade: 'NON-STRICT', events: [] },
      ],
    },
    accepted('byte order mark, which stays', section, [frame(TEXT, bom)], echoOf('text', bom)),
    accepted('NUL inside text', section, [frame(TEXT, 'a\0b')], echoOf('text', 'a\0b')),
    invalid('text that ends inside a character', [part(TEXT, 'a'), frame(CONTINUATION, first)]),
    early('ASCII inside a character, in a fragment that is not the last', part(TEXT, hex('e261'))),
    early('hopeless pair at the end of a fragment that is not the last', part(TEXT, hex('f490'))),
    early('lead byte that can begin nothing, in a fragment that is not the last', part(TEXT, hex('61f5'))),
    accepted(
      'a valid text after another ended on a boundary',
      section,
      [frame(TEXT, euro), frame(TEXT, euro)],
      echoOf('text', euro),
      echoOf('text', euro),
    ),
    accepted(
      'bytes that are no text, as binary',
      'RFC 6455 5.6',
      [part(BINARY, hex('ff')), frame(CONTINUATION, hex('c0'))],
      echoOf('binary', hex('ffc0')),
    ),
    early('lead byte of nothing but overlong forms, in a fragment that is not the last', part(TEXT, hex('61c0'))),
    early('overlong form of three bytes, in a fragment that is not the last', part(TEXT, hex('61e09f'))),
    early('overlong form of four bytes, in a fragment that is not the last', part(TEXT, hex('61f08f'))),
    early('half of a surrogate pair, in a fragment that is not the last', part(TEXT, hex('61eda0'))),
  ]);
}

function closings(): Case[] {
  const codes = 'RFC 6455 7.4.1';
  const valid = (code: number): Omit<CaseInit, 'id'> => ({
    title: `valid close code ${code}`,
    // Of the registry: the document does not list them itself.
    sections: ['RFC 6455 11.7', 'RFC 6455 7.4.2'],
    steps: [close(code, 'a reason')],
    expect: ok(),
    // Registered since (section 11.7).
    close: { ...cleanClose, codes: [1000, code], strictCode: true, mayRefuse: true },
  });
  const invalid = (code: number): Omit<CaseInit, 'id'> => ({
    title: `close code ${code}, never on the wire`,
    sections: [codes],
    steps: [close(code)],
    expect: ok(),
    close: { ...failsWith(1002), startedBy: 'harness', strictCode: true },
  });
  // Nothing says which code a close frame has that nobody has to send.
  const eof: CloseExpectation = { ...failsWith(), codes: [1002, 1000, 1001, 1011], frameless: true };
  return numbered(5, [
    valid(1012),
    valid(1013),
    valid(1014),
    invalid(1015),
    {
      title: 'reason cut inside a character',
      sections: ['RFC 6455 5.5.1'],
      steps: [close(1000, hex('e282'))],
      expect: ok(),
      close: { ...failsWith(1002, 1007), startedBy: 'harness', strictCode: true },
    },
    {
      title: 'close, then bytes that are no frame',
      sections: ['RFC 6455 1.4'],
      steps: [close(1000), raw(hex('ffffffffffffffff'))],
      expect: ok(),
      close: cleanClose,
      autoClose: false,
    },
    {
      title: 'ping and message in one write, and close at once',
      sections: ['RFC 6455 5.5.1'],
      steps: [frame(PING, 'p'), frame(TEXT, 't'), close(1000)],
      // Once it has answered the close, which it may read before it has sent its echo, a subject sends nothing more.
      expect: [
        { grade: 'OK', events: [pongOf('p'), echoOf('text', 't')] },
        { grade: 'NON-STRICT', events: [pongOf('p')] },
      ],
      schedulingOnly: true,
      autoClose: false,
    },
    { title: 'end of the transport without a close frame', sections: ['RFC 6455 7.1.5'], steps: [{ do: 'end' }], expect: ok(), close: eof },
    {
      title: 'end of the transport inside a frame',
      sections: ['RFC 6455 7.1.5'],
      steps: [frame(TEXT, 'abc', { claim: 100 }), { do: 'end' }],
      expect: ok(),
      close: eof,
    },
    {
      title: 'end of the transport inside a message',
      sections: ['RFC 6455 7.1.5'],
      steps: [part(TEXT, 'abc'), { do: 'end' }],
      expect: ok(),
      close: eof,
    },
  ]);
}

export function extraFrameCases(): Case[] {
  return [...masks(), ...lengths(), ...fragments(), ...texts(), ...closings()];
}
