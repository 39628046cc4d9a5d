/**
 * Groups 1 to 5: payload lengths, pings and pongs, reserved bits, reserved opcodes, fragmentation (RFC 6455 sections 5.2, 5.4, 5.5, 5.6).
 */
import type { Case, Expectation, Step } from '../case.ts';
import { empty, hex, type Payload, repeated, utf8 } from '../payload.ts';
import {
  BINARY,
  CLOSE,
  CONTINUATION,
  close,
  closeAfter,
  defineCase,
  echoOf,
  type FrameOptions,
  failAfter,
  failsWith,
  frame,
  ok,
  PING,
  PONG,
  part,
  pause,
  pongOf,
  TEXT,
} from './build.ts';

const greeting = 'Hello, world!';
const octets = hex('00fffefdfcfb00ff');

/** How frames are cut into writes: left to the transport, one write each, one byte a write. */
const writes: readonly (readonly [FrameOptions, string])[] = [
  [{}, ''],
  [{ ownWrite: true }, ', frame by frame'],
  [{ chop: 1 }, ', byte by byte'],
];

function payloadLengths(): Case[] {
  const lengths: readonly (readonly [size: number, chop?: number])[] = [[0], [125], [126], [127], [128], [65_535], [65_536], [65_536, 997]];
  return (['text', 'binary'] as const).flatMap((kind, group) =>
    lengths.map(([size, chop], index) => {
      const payload = repeated(kind === 'text' ? 0x2a : 0xfe, size);
      return defineCase({
        id: `1.${group + 1}.${index + 1}`,
        title: `${kind} message of ${size} bytes${chop ? ` in writes of ${chop} bytes` : ''}`,
        sections: ['RFC 6455 5.2', 'RFC 6455 5.6'],
        steps: [frame(kind === 'text' ? TEXT : BINARY, payload, chop ? { chop } : {})],
        expect: ok(echoOf(kind, payload)),
        limit: failAfter(size >= 65_535 ? 10 : 1),
      });
    }),
  );
}

function pingsAndPongs(): Case[] {
  const longest = repeated(0xfe, 125);
  const unsolicited = 'unsolicited pong payload';
  const burst = Array.from({ length: 10 }, (_, i) => `payload-${i}`);
  const answered = (id: string, title: string, payload: Payload): Case =>
    defineCase({
      id,
      title,
      sections: ['RFC 6455 5.5.2', 'RFC 6455 5.5.3'],
      steps: [frame(PING, payload)],
      expect: ok(pongOf(payload)),
      limit: closeAfter(1),
    });
  const ignored = (id: string, title: string, payload: Payload | string): Case =>
    defineCase({ id, title, sections: ['RFC 6455 5.5.3'], steps: [frame(PONG, payload), close(1000)], expect: ok(), limit: closeAfter(1) });
  return [
    answered('2.1', 'ping without a payload', empty),
    answered('2.2', 'ping with text', utf8(greeting)),
    answered('2.3', 'ping with octets that are not UTF-8', octets),
    answered('2.4', 'ping of 125 bytes, the longest', longest),
    defineCase({
      id: '2.5',
      title: 'ping of 126 bytes, too long for a control frame',
      sections: ['RFC 6455 5.5'],
      steps: [frame(PING, repeated(0xfe, 126))],
      expect: ok(),
      close: failsWith(1002),
    }),
    { ...answered('2.6', 'ping of 125 bytes, byte by byte', longest), steps: [frame(PING, longest, { chop: 1 })], limit: closeAfter(2) },
    ignored('2.7', 'unsolicited pong without a payload', empty),
    ignored('2.8', 'unsolicited pong with a payload', unsolicited),
    defineCase({
      id: '2.9',
      title: 'unsolicited pong, then a ping',
      sections: ['RFC 6455 5.5.2', 'RFC 6455 5.5.3'],
      steps: [frame(PONG, unsolicited), frame(PING, 'ping payload')],
      expect: ok(pongOf('ping payload')),
      limit: closeAfter(1),
    }),
    ...[{}, { chop: 1 }].map((cut, index) =>
      defineCase({
        id: `2.${10 + index}`,
        title: `ten pings${index === 1 ? ', byte by byte' : ''}, each answered, in order`,
        sections: ['RFC 6455 5.5.2', 'RFC 6455 5.5.3'],
        steps: burst.map((text) => frame(PING, text, cut)),
        expect: ok(...burst.map(pongOf)),
        limit: closeAfter(3),
      }),
    ),
  ];
}

/** A message, something forbidden, a ping: whether the echo comes before the failure only measures scheduling. */
const echoOrNot: readonly Expectation[] = [
  { grade: 'OK', events: [echoOf('text', greeting)] },
  { grade: 'NON-STRICT', events: [] },
];

function refused(id: string, title: string, sections: readonly string[], steps: readonly Step[]): Case {
  return defineCase({ id, title, sections, steps, expect: ok(), close: failsWith(1002) });
}

function refusedAfterMessage(id: string, title: string, sections: readonly string[], cut: FrameOptions, bad: Step): Case {
  const steps = [frame(TEXT, greeting, cut), bad, frame(PING, empty, cut)];
  return defineCase({ id, title, sections, steps, expect: echoOrNot, close: failsWith(1002), schedulingOnly: true });
}

function reservedBits(): Case[] {
  const sections = ['RFC 6455 5.2'];
  return [
    refused('3.1', 'text frame with RSV 1', sections, [frame(TEXT, greeting, { rsv: 1 })]),
    ...writes.map(([cut, how], index) =>
      refusedAfterMessage(
        `3.${index + 2}`,
        `RSV ${index + 2} after a message${how}`,
        sections,
        cut,
        frame(TEXT, greeting, { ...cut, rsv: index + 2 }),
      ),
    ),
    refused('3.5', 'binary frame with RSV 5', sections, [frame(BINARY, octets, { rsv: 5 })]),
    refused('3.6', 'binary frame with RSV 6', sections, [frame(BINARY, greeting, { rsv: 6 })]),
    refused('3.7', 'close frame with RSV 7', sections, [frame(CLOSE, empty, { rsv: 7 })]),
  ];
}

function reservedOpcodes(): Case[] {
  const sections = ['RFC 6455 5.2'];
  return [3, 11].flatMap((first, group) => {
    const prefix = `4.${group + 1}`;
    const kind = group === 0 ? 'data' : 'control';
    const title = (opcode: number, rest: string): string => `reserved ${kind} opcode ${opcode}${rest}`;
    const after = (offset: number, payload: Payload | string, cut: FrameOptions, how: string): Case =>
      refusedAfterMessage(
        `${prefix}.${offset + 1}`,
        title(first + offset, ` after a message${how}`),
        sections,
        cut,
        frame(first + offset, payload, cut),
      );
    return [
      refused(`${prefix}.1`, title(first, ''), sections, [frame(first)]),
      refused(`${prefix}.2`, title(first + 1, ' with a payload'), sections, [frame(first + 1, 'reserved opcode payload')]),
      after(2, empty, {}, ''),
      after(3, greeting, {}, ', with a payload'),
      after(4, greeting, { chop: 1 }, ', with a payload, byte by byte'),
    ];
  });
}

function fragmentation(): Case[] {
  const [one, two, three, four, five] = [1, 2, 3, 4, 5].map((n) => `fragment${n}`) as [string, string, string, string, string];
  const sections = ['RFC 6455 5.4'];
  const control = ['RFC 6455 5.5', 'RFC 6455 5.4'];
  const orphan = 'non-continuation payload';
  const joined = ok(echoOf('text', one + two));
  const threeWays = (first: number, make: (cut: FrameOptions, id: string, how: string) => Case): Case[] =>
    writes.map(([cut, how], index) => make(cut, `5.${first + index}`, how));
  const slow = (id: string, cut: FrameOptions, how: string): Case => {
    const [firstPing, secondPing] = ['pongme 1!', 'pongme 2!'];
    return defineCase({
      id,
      title: `five fragments with a pause and two pings between them${how}`,
      sections: control,
      steps: [
        part(TEXT, one, cut),
        part(CONTINUATION, two, cut),
        frame(PING, firstPing, cut),
        pause(1),
        part(CONTINUATION, three, cut),
        part(CONTINUATION, four, cut),
        frame(PING, secondPing, cut),
        frame(CONTINUATION, five, cut),
      ],
      expect: ok(pongOf(firstPing), pongOf(secondPing), echoOf('text', one + two + three + four + five)),
      limit: closeAfter(1),
    });
  };
  const mixedUp = (id: string, title: string, lead: Step): Case => {
    const round = [lead, part(TEXT, two), frame(CONTINUATION, three)];
    return refused(id, title, sections, [...round, ...round]);
  };
  return [
    refused('5.1', 'fragmented ping', ['RFC 6455 5.5'], [part(PING, one), frame(CONTINUATION, two)]),
    refused('5.2', 'fragmented pong', ['RFC 6455 5.5'], [part(PONG, one), frame(CONTINUATION, two)]),
    ...threeWays(3, (cut, id, how) =>
      defineCase({
        id,
        title: `text in two fragments${how}`,
        sections,
        steps: [part(TEXT, one, cut), frame(CONTINUATION, two, cut)],
        expect: joined,
        limit: closeAfter(1),
      }),
    ),
    ...threeWays(6, (cut, id, how) =>
      defineCase({
        id,
        title: `ping between two fragments${how}`,
        sections: control,
        steps: [part(TEXT, one, cut), frame(PING, 'ping payload', cut), frame(CONTINUATION, two, cut)],
        expect: ok(pongOf('ping payload'), echoOf('text', one + two)),
        limit: closeAfter(1),
      }),
    ),
    ...threeWays(9, (cut, id, how) =>
      refused(id, `final continuation without a message${how}`, sections, [frame(CONTINUATION, orphan, cut), frame(TEXT, greeting, cut)]),
    ),
    ...threeWays(12, (cut, id, how) =>
      refused(id, `continuation without a message${how}`, sections, [part(CONTINUATION, orphan, cut), frame(TEXT, greeting, cut)]),
    ),
    defineCase({
      id: '5.15',
      title: 'continuation after a finished message',
      sections,
      steps: [part(TEXT, one), frame(CONTINUATION, two), part(CONTINUATION, three), frame(TEXT, four)],
      expect: [
        { grade: 'OK', events: [echoOf('text', one + two)] },
        { grade: 'NON-STRICT', events: [] },
      ],
      close: failsWith(1002),
      schedulingOnly: true,
    }),
    mixedUp('5.16', 'continuation before a message, twice', part(CONTINUATION, one)),
    mixedUp('5.17', 'final continuation before a message, twice', frame(CONTINUATION, one)),
    refused('5.18', 'second text frame inside an open message', sections, [part(TEXT, one), frame(TEXT, two)]),
    slow('5.19', {}, ''),
    slow('5.20', { ownWrite: true }, ', frame by frame'),
  ];
}

export function frameCases(): Case[] {
  return [...payloadLengths(), ...pingsAndPongs(), ...reservedBits(), ...reservedOpcodes(), ...fragmentation()];
}
