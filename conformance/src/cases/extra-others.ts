/**
 * Groups F.6 to F.10, which the Autobahn suite does not have: closes that the subject starts, hostile and unusual deflate data, limits, and
 * the opening handshake (RFC 6455 sections 4, 7.1 and 10.4; RFC 7692 section 7).
 */
import type { Case, DeflateParameters, Opening, Step } from '../case.ts';
import { empty, hex, repeated } from '../payload.ts';
import {
  awaits,
  BINARY,
  type CaseInit,
  CONTINUATION,
  closeAfter,
  echoOf,
  failsWith,
  frame,
  ok,
  PING,
  part,
  pongOf,
  TEXT,
} from './build.ts';
import { numbered, refused } from './extra-frames.ts';

function call(name: string, ...args: readonly unknown[]): Step {
  return { do: 'call', name, args };
}

function ownCloses(): Case[] {
  const starts = (title: string, code: number, steps: readonly Step[], events: ReturnType<typeof ok> = ok()): Omit<CaseInit, 'id'> => ({
    title,
    sections: ['RFC 6455 7.1.2', 'RFC 6455 7.1.1'],
    steps: [...steps, awaits('close')],
    expect: events,
    close: { ...failsWith(code), clean: true, strictCode: true },
    inProcessOnly: true,
  });
  return numbered(6, [
    starts('subject closes without a code', 1000, [call('close')]),
    starts('subject closes with 1000', 1000, [call('close', 1000)]),
    starts('subject closes with a code and a reason', 3000, [call('close', 3000, 'enough')]),
    starts('subject sends, then closes', 4999, [call('sendText', 'last'), call('close', 4999)], ok(echoOf('text', 'last'))),
    starts('subject closes between two fragments of ours', 1000, [part(TEXT, 'a'), call('close', 1000)]),
    starts('subject closes twice', 1001, [call('close', 1001), call('close', 1000)]),
    starts('subject fails the connection', 1011, [call('fail', 1011, 'broken')]),
    starts(
      'subject pings, sends a message in fragments, and closes',
      1000,
      [call('sendText', 'a', { fin: false }), call('sendContinuation', 'b', true), call('close', 1000)],
      ok(echoOf('text', 'ab')),
    ),
    {
      ...starts('message that crosses the close of the subject, which sends nothing more', 1000, [
        call('close', 1000),
        frame(TEXT, 'late'),
      ]),
      sections: ['RFC 6455 5.5.1', 'RFC 6455 7.1.2'],
    },
  ]);
}

const plain: DeflateParameters = {
  offers: ['permessage-deflate; client_max_window_bits'],
  policies: [{ clientNoContextTakeover: false, clientMaxWindowBits: null }],
};
/** 'Hello', in the forms of RFC 7692 section 7.2.3. */
const hello = 'f248cdc9c90700';
const stored = '000500faff48656c6c6f00';
const final = 'f348cdc9c9070000';
const twoBlocks = 'f24805000000ffffcac9c90700';
/** 4096 times 'a'. */
const bomb = 'ecc1010d000000c2a0acef5fc21e0e28000000e0dd00';

function deflate(): Case[] {
  const compressed = (digits: string, fin = true): Step => frame(TEXT, hex(digits), { rsv: 4, fin });
  const accepted = (title: string, section: string, steps: readonly Step[], ...texts: string[]): Omit<CaseInit, 'id'> => ({
    title,
    sections: [`RFC 7692 ${section}`],
    steps,
    expect: ok(...texts.map((text) => echoOf('text', text))),
    deflate: plain,
  });
  const bad = (title: string, section: string, code: number, steps: readonly Step[], more: Partial<Case> = {}): Omit<CaseInit, 'id'> =>
    refused(title, section, code, steps, { deflate: plain, ...more });
  // The document knows no code for it.
  const broken = (title: string, digits: string): Omit<CaseInit, 'id'> =>
    bad(title, 'RFC 7692 7.2.2', 1007, [compressed(digits)], { close: { ...failsWith(1002, 1007), othersBut: [] } });
  const cut = [...hello.matchAll(/../g)].map(([byte]) => hex(byte));
  const bytewise = cut.map((byte, i) => frame(i === 0 ? TEXT : CONTINUATION, byte, { rsv: i === 0 ? 4 : 0, fin: i === cut.length - 1 }));
  return numbered(7, [
    accepted('message of one block', '7.2.3.1', [compressed(hello)], 'Hello'),
    {
      ...accepted('second message that refers to the first', '7.2.3.2', [compressed(hello), compressed('f200110000')], 'Hello', 'Hello'),
      deflate: { ...plain, takeover: true },
    },
    accepted('block without compression', '7.2.3.3', [compressed(stored)], 'Hello'),
    accepted('block with BFINAL', '7.2.3.4', [compressed(final)], 'Hello'),
    accepted('message after a block with BFINAL', '7.2.3.4', [compressed(final), compressed(hello)], 'Hello', 'Hello'),
    accepted('two blocks', '7.2.3.5', [compressed(twoBlocks)], 'Hello'),
    accepted('message not compressed on a compressed connection', '6', [frame(TEXT, 'plain'), compressed(hello)], 'plain', 'Hello'),
    accepted('empty message', '7.2.3.6', [compressed('00')], ''),
    accepted('a byte a fragment', '6.1', bytewise, 'Hello'),
    accepted('empty last fragment', '6.1', [compressed(hello, false), frame(CONTINUATION)], 'Hello'),
    {
      ...accepted('ping between compressed fragments', '6.1', [
        frame(TEXT, hex(hello.slice(0, 6)), { rsv: 4, fin: false }),
        frame(PING, 'p'),
        frame(CONTINUATION, hex(hello.slice(6))),
      ]),
      expect: ok(pongOf('p'), echoOf('text', 'Hello')),
    },
    bad('RSV1 on a ping', 'RFC 6455 5.2', 1002, [frame(PING, empty, { rsv: 4 })]),
    bad('RSV1 on a continuation', 'RFC 7692 6.1', 1002, [
      compressed(hello.slice(0, 6), false),
      frame(CONTINUATION, hex(hello.slice(6)), { rsv: 4 }),
    ]),
    bad('RSV2 beside RSV1', 'RFC 6455 5.2', 1002, [frame(TEXT, hex(hello), { rsv: 6 })]),
    broken('data that is no deflate', 'ffffffff'),
    broken('reference before the beginning', 'f200110000'),
    broken('stored block whose lengths disagree', '000500ffff48656c6c6f00'),
    bad('text that is not UTF-8 when it is inflated', 'RFC 6455 8.1', 1007, [compressed('000100feffff00')]),
    {
      ...bad('RSV1 where deflate was not agreed', 'RFC 6455 5.2', 1002, [compressed(hello)]),
      deflate: null,
    },
  ]);
}

function limits(): Case[] {
  const limit = 1000;
  const section = 'RFC 6455 10.4';
  const limited = (init: Omit<CaseInit, 'id'>): Omit<CaseInit, 'id'> => ({ ...init, maxMessageSize: limit, inProcessOnly: true });
  const full = repeated(0x61, limit);
  const half = repeated(0x61, limit / 2);
  return numbered(8, [
    limited({
      title: 'message of the largest size',
      sections: [section],
      steps: [frame(BINARY, full)],
      expect: ok(echoOf('binary', full)),
    }),
    limited(refused('message of one byte more', section, 1009, [frame(BINARY, repeated(0x61, limit + 1))])),
    limited(refused('header that claims too much, without its payload', section, 1009, [frame(BINARY, empty, { claim: 1e9 })])),
    limited(
      refused('fragments that add up to too much', section, 1009, [part(BINARY, half), part(CONTINUATION, half), frame(CONTINUATION, 'a')]),
    ),
    limited({
      title: 'fragments that add up to the largest size',
      sections: [section],
      steps: [part(BINARY, half), part(CONTINUATION, half), frame(CONTINUATION)],
      expect: ok(echoOf('binary', full)),
    }),
    limited(
      refused('last fragment that claims too much', section, 1009, [part(BINARY, half), frame(CONTINUATION, empty, { claim: limit })]),
    ),
    limited({
      title: 'largest message twice',
      sections: [section],
      steps: [frame(TEXT, full), frame(TEXT, full)],
      expect: ok(echoOf('text', full), echoOf('text', full)),
    }),
    limited(
      refused('small frame that inflates beyond the limit', section, 1009, [frame(TEXT, hex(bomb), { rsv: 4 })], {
        deflate: plain,
      }),
    ),
  ]);
}

const request = [
  'GET {path} HTTP/1.1',
  'Host: {host}',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: {key}',
  'Sec-WebSocket-Version: 13',
];
const response = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Accept: {accept}'];

/** Base64, of a byte too few. */
const shortKey = 'AAAAAAAAAAAAAAAAAAAA';

/** The lines with one of them, found by its beginning, changed or left out. */
function change(lines: readonly string[], start: string, to: string | null): string[] {
  return lines.flatMap((line) => (line.startsWith(start) ? (to === null ? [] : [to]) : [line]));
}

function handshakes(): Case[] {
  const steps = [frame(TEXT, 'otter')];
  const expectEcho = ok(echoOf('text', 'otter'));
  const open = (lines: readonly string[], expect: Opening['expect'], statuses: readonly number[] = []): Opening => ({
    lines,
    expect,
    statuses,
    pipelined: false,
  });
  const toServer = (title: string, section: string, opening: Opening): Omit<CaseInit, 'id'> => ({
    title,
    sections: [`RFC 6455 ${section}`],
    steps,
    expect: expectEcho,
    opening,
    onlyFor: 'server',
  });
  const toClient = (title: string, opening: Opening): Omit<CaseInit, 'id'> => ({ ...toServer(title, '4.1', opening), onlyFor: 'client' });
  const refusal = (title: string, section: string, start: string, to: string | null, ...statuses: number[]): Omit<CaseInit, 'id'> =>
    toServer(title, section, open(change(request, start, to), 'refused', statuses));
  const noUpgrade = (title: string, start: string, to: string | null): Omit<CaseInit, 'id'> =>
    toServer(title, '4.2.1', { ...open(change(request, start, to), 'refused'), ordinary: true });
  const otherVersion = open(change(request, 'Sec-WebSocket-Version', 'Sec-WebSocket-Version: 12'), 'refused', [400, 426]);
  const fails = (title: string, start: string, to: string | null): Omit<CaseInit, 'id'> =>
    toClient(title, open(change(response, start, to), 'refused'));
  const ordinary = change(response, 'HTTP', 'HTTP/1.1 200 OK\r\nContent-Length: 0');
  return [
    ...numbered(9, [
      toServer('plain request', '4.2.1', open(request, 'accepted')),
      toServer(
        'names and values in other case',
        '4.2.1',
        open(
          [
            'GET {path} HTTP/1.1',
            'hOST: {host}',
            'uPGRADE: WebSocket',
            'CONNECTION: upgrade',
            'sec-websocket-KEY: {key}',
            'SEC-websocket-version: 13',
          ],
          'accepted',
        ),
      ),
      toServer('several tokens in Connection', '4.2.1', open(change(request, 'Connection', 'Connection: keep-alive, Upgrade'), 'accepted')),
      {
        // A request as it should be, whose Upgrade a server may ignore all the same.
        ...toServer('several tokens in Upgrade', '4.1', {
          ...open(change(request, 'Upgrade', 'Upgrade: h2c, websocket'), 'either'),
          preferred: 'accepted',
          ordinary: true,
        }),
        sections: ['RFC 6455 4.1', 'RFC 9110 7.8'],
      },
      toServer(
        'white space around values',
        '4.2.1',
        open(change(request, 'Sec-WebSocket-Key', 'Sec-WebSocket-Key: \t {key} \t'), 'accepted'),
      ),
      toServer('unknown extension offered', '9.1', open([...request, 'Sec-WebSocket-Extensions: x-unknown; a=1'], 'accepted')),
      {
        // A client has to wait for the response, so that a server may refuse it. No rule has one that goes on keep what came too early.
        ...toServer('first frame with the request', '4.1', { ...open(request, 'either'), pipelined: true }),
        expect: [...expectEcho, { grade: 'NON-STRICT', events: [] }],
        limit: closeAfter(1),
      },
      noUpgrade('POST', 'GET', 'POST {path} HTTP/1.1'),
      noUpgrade('HTTP/1.0', 'GET', 'GET {path} HTTP/1.0'),
      refusal('no Host', '4.2.1', 'Host', null, 400),
      noUpgrade('no Upgrade', 'Upgrade', null),
      noUpgrade('Upgrade to something else', 'Upgrade', 'Upgrade: h2c'),
      noUpgrade('Connection without Upgrade', 'Connection', 'Connection: keep-alive'),
      refusal('no key', '4.2.1', 'Sec-WebSocket-Key', null, 400),
      {
        // A server need not decode the key (section 4.2.2), and the wrong length shows only then.
        ...toServer('key of 15 bytes', '4.2.1', {
          ...open(change(request, 'Sec-WebSocket-Key', `Sec-WebSocket-Key: ${shortKey}`), 'either', [400]),
          preferred: 'refused',
          key: shortKey,
        }),
        sections: ['RFC 6455 4.2.1', 'RFC 6455 4.2.2'],
        expect: [{ grade: 'NON-STRICT', events: [echoOf('text', 'otter')] }],
      },
      refusal('key that is no base64', '4.2.1', 'Sec-WebSocket-Key', 'Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==', 400),
      refusal('no version', '4.2.1', 'Sec-WebSocket-Version', null, 400, 426),
      toServer('version 12', '4.4', { ...otherVersion, namesVersion: true }),
      refusal('version 013', '4.2.1', 'Sec-WebSocket-Version', 'Sec-WebSocket-Version: 013', 400, 426),
      refusal('two keys', '11.3.1', 'Sec-WebSocket-Key', 'Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Key: {key}', 400),
      {
        ...toServer('response that announces no body', '4.2.2', { ...open(request, 'accepted'), noBody: true }),
        sections: ['RFC 6455 4.2.2', 'RFC 9110 8.6'],
      },
    ]),
    ...numbered(10, [
      toClient('plain response', open(response, 'accepted')),
      toClient(
        'names and values in other case',
        open(['HTTP/1.1 101 x', 'uPGRADE: WEBSOCKET', 'CONNECTION: upgrade', 'sec-WEBSOCKET-accept: {accept}'], 'accepted'),
      ),
      toClient('frame with the response', { ...open(response, 'accepted'), pipelined: true }),
      // With a length: a client may read the body of a refusal to its end. And `close`: it might use the connection again (RFC 9112 9.6).
      toClient('status 200', open(change(ordinary, 'Connection', 'Connection: Upgrade, close'), 'refused')),
      fails('no Upgrade', 'Upgrade', null),
      fails('Upgrade to something else', 'Upgrade', 'Upgrade: h2c'),
      fails('no Connection', 'Connection', null),
      fails('Connection without Upgrade', 'Connection', 'Connection: close'),
      fails('no accept', 'Sec-WebSocket-Accept', null),
      fails('accept of another key', 'Sec-WebSocket-Accept', 'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo='),
      fails(
        'extension that was not offered',
        'Sec-WebSocket-Accept',
        'Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Extensions: x-unknown',
      ),
      fails('subprotocol that was not asked for', 'Sec-WebSocket-Accept', 'Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat'),
      // The last, so that there are other connections to compare it with.
      toClient('key that no connection before it had', { ...open(response, 'accepted'), freshKey: true }),
    ]),
  ];
}

export function extraOtherCases(): Case[] {
  return [...ownCloses(), ...deflate(), ...limits(), ...handshakes()];
}
