/**
 * Group 7: the closing handshake, close codes and reasons (RFC 6455 sections 5.5.1, 7.1 and 7.4).
 */
import type { Case, CloseExpectation, Step } from '../case.ts';
import { hex, repeated, utf8 } from '../payload.ts';
import { CLOSE, CONTINUATION, cleanClose, close, defineCase, echoOf, failsWith, frame, ok, PING, part, TEXT } from './build.ts';

const handshake = ['RFC 6455 5.5.1', 'RFC 6455 7.1.2'];
const codes = ['RFC 6455 7.4.1', 'RFC 6455 7.4.2'];
const greeting = 'Hello World!';

/** In this group a wrong code is a wrong behaviour. */
const answered: CloseExpectation = { ...cleanClose, strictCode: true };
/** The harness has sent a close frame that is no legal one: the connection has to end, cleanly or not. */
function refusedWith(...right: number[]): CloseExpectation {
  return { ...failsWith(...right), startedBy: 'harness', strictCode: true };
}

function closingHandshake(): Case[] {
  const closes = (
    id: string,
    title: string,
    steps: readonly Step[],
    expectation = answered,
    sections: readonly string[] = handshake,
  ): Case => defineCase({ id, title, sections, steps, expect: ok(), close: expectation, autoClose: false });
  const afterClose = ['RFC 6455 5.5.1', 'RFC 6455 1.4'];
  return [
    defineCase({
      id: '7.1.1',
      title: 'message, then close',
      sections: handshake,
      steps: [frame(TEXT, greeting)],
      expect: ok(echoOf('text', greeting)),
      close: answered,
    }),
    closes('7.1.2', 'two close frames', [close(1000), frame(CLOSE)]),
    closes('7.1.3', 'ping after close', [close(1000), frame(PING)], answered, afterClose),
    closes('7.1.4', 'text after close', [close(1000), frame(TEXT, greeting)], answered, afterClose),
    closes(
      '7.1.5',
      'close between two fragments',
      [part(TEXT, 'fragment1'), close(1000), frame(CONTINUATION, 'fragment2')],
      answered,
      afterClose,
    ),
    {
      ...closes('7.1.6', 'large message, message, close, ping', [
        frame(TEXT, repeated(utf8('BAsd7&jh23'), 262_144)),
        frame(TEXT, greeting),
        close(1000),
        frame(PING),
      ]),
      expect: 'informational',
    },
    closes('7.3.1', 'close without a code', [close(null)]),
    closes('7.3.2', 'close with a payload of one byte', [close(null, 'a')], refusedWith(1002)),
    closes('7.3.3', 'close with a code', [close(1000)]),
    closes('7.3.4', 'close with a code and a reason', [close(1000, greeting)]),
    closes('7.3.5', 'close with the longest reason, 123 bytes', [close(1000, repeated(0x2a, 123))]),
    closes(
      '7.3.6',
      'close with a reason of 124 bytes, too long for a control frame',
      [close(1000, repeated(0x2a, 124))],
      refusedWith(1002),
      ['RFC 6455 5.5', 'RFC 6455 5.5.1'],
    ),
    closes(
      '7.5.1',
      'close reason that is not UTF-8',
      [close(1000, hex('cebae1bdb9cf83cebcceb5eda080656469746564'))],
      refusedWith(1002, 1007),
      ['RFC 6455 5.5.1', 'RFC 6455 8.1'],
    ),
  ];
}

function closeCodes(): Case[] {
  const valid = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
  const invalid = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
  const unassigned = [5000, 65_535];
  return [
    ...valid.map((code, index) =>
      defineCase({
        id: `7.7.${index + 1}`,
        title: `valid close code ${code}`,
        sections: codes,
        steps: [close(code)],
        expect: ok(),
        close: { ...answered, codes: code === 1000 ? [1000] : [1000, code] },
      }),
    ),
    ...invalid.map((code, index) =>
      defineCase({
        id: `7.9.${index + 1}`,
        title: `invalid close code ${code}`,
        sections: codes,
        steps: [close(code)],
        expect: ok(),
        close: refusedWith(1002),
      }),
    ),
    ...unassigned.map((code, index) =>
      defineCase({
        id: `7.13.${index + 1}`,
        title: `close code ${code}, outside every range`,
        sections: codes,
        steps: [close(code)],
        expect: 'informational',
        close: refusedWith(1000, code, 1002),
        autoClose: false,
      }),
    ),
  ];
}

export function closingCases(): Case[] {
  return [...closingHandshake(), ...closeCodes()];
}
