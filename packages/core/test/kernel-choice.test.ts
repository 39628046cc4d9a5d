/** Which of the host's functions is asked: each connection its own, one for ASCII only for what is ASCII, and none past a pause. */
import { Connection, type Kernels } from '@ferrywire/core';
import {
  applyMask,
  copyMasked,
  createFrameHeader,
  decodeFrameHeader,
  encodeFrameHeader,
  FrameParser,
  serializeFrame,
  Utf8Validator,
} from '@ferrywire/core/frame';
import { describe, expect, it } from 'vitest';
import { concat, open, pattern, peerOf, toHex, utf8 } from './connection-helpers.ts';
import { extension, identity } from './extension-helpers.ts';
import { plainScanner } from './plain-scanner.ts';

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
function decode(bytes: Uint8Array, start: number, end: number): string | null {
  try {
    return strict.decode(new Uint8Array(bytes.subarray(start, end)));
  } catch {
    return null;
  }
}

describe('connections that differ in one kernel', () => {
  const names = ['decodeUtf8', 'decodeAscii', 'isUtf8', 'applyMask', 'copyMasked', 'allocate', 'scanner'] as const;
  const peer = peerOf('server');
  // The same for all: what differs is the kernel alone.
  const clock = (): number => 0;
  const input = [
    peer.text('x'.repeat(100)),
    peer.text('é'.repeat(50)),
    concat(peer.text('y'.repeat(200), false), peer.continuation('z'.repeat(200), true)),
    peer.binary(pattern(5000)),
    concat(...Array.from({ length: 20 }, () => peer.binary(pattern(100)))),
  ];
  const made = (calls: string[], own: string): Required<Kernels> => {
    const note = (name: string): number => calls.push(`${own} ${name}`);
    const scanner = plainScanner();
    return {
      decodeUtf8(...values) {
        note('decodeUtf8');
        return decode(...values);
      },
      decodeAscii(...values) {
        note('decodeAscii');
        return decode(...values);
      },
      isUtf8(bytes, start, end) {
        note('isUtf8');
        const validator = new Utf8Validator();
        return validator.push(bytes, start, end) === -1 && validator.end();
      },
      applyMask: () => note('applyMask'),
      copyMasked: () => note('copyMasked'),
      allocate(size) {
        note('allocate');
        return new Uint8Array(size);
      },
      // Asked too seldom for this: `receive-transferred.test.ts`.
      markShared() {},
      scanner: {
        ...scanner,
        scan(...values) {
          note('scanner');
          return scanner.scan(...values);
        },
      },
    };
  };
  const feed = (kernels: Kernels, mode: 'shared' | 'transferred'): void => {
    const connection = new Connection({ role: 'server', clock, kernels, sink: {}, input: mode });
    for (const chunk of input) connection.receiveData(Uint8Array.from(chunk));
  };
  it.each(names)('%s: each asks its own', (name) => {
    const calls: string[] = [];
    const [common, one, other] = ['common', 'one', 'other'].map((own) => made(calls, own)) as [
      Required<Kernels>,
      Required<Kernels>,
      Required<Kernels>,
    ];
    // One after the other with the same of everything else: that is when one could be given what another has.
    const mode = name === 'applyMask' ? 'transferred' : 'shared';
    for (const base of [{}, common]) {
      for (const own of [one, other, one]) {
        calls.length = 0;
        feed({ ...base, [name]: own[name] }, mode);
        const asked = new Set(calls.filter((call) => call.endsWith(` ${name}`)).map((call) => call.split(' ')[0]));
        expect([...asked]).toEqual([own === one ? 'one' : 'other']);
      }
      calls.length = 0;
      feed(base, mode);
      expect(calls.filter((call) => !call.startsWith('common'))).toEqual([]);
    }
  });
});

describe('text that may be ASCII', () => {
  it('is given to decodeAscii if it is, wherever it lies, and to decodeUtf8 if a single letter is not', () => {
    const asked = { ascii: 0, utf8: 0 };
    const kernels: Kernels = {
      decodeAscii(bytes, start, end) {
        asked.ascii++;
        if (bytes.subarray(start, end).some((byte) => byte >= 0x80)) throw new Error('not ASCII');
        return decode(bytes, start, end);
      },
      decodeUtf8(bytes, start, end) {
        asked.utf8++;
        return decode(bytes, start, end);
      },
    };
    for (const scanner of [null, plainScanner()]) {
      const harness = open({ role: 'server', kernels: scanner === null ? kernels : { ...kernels, scanner } });
      let [ascii, other] = [0, 0];
      for (const size of [65, 66, 67, 68, 83, 127, 200, 383]) {
        for (let offset = 0; offset < 4; offset++) {
          const texts = ['x'.repeat(size)];
          for (let at = 0; at <= size - 2; at += 1 + (size >> 5)) texts.push(`${'x'.repeat(at)}é${'x'.repeat(size - 2 - at)}`);
          const lead = harness.peer.ping('p'.repeat(offset));
          harness.seen.length = 0;
          harness.receive(concat(lead, ...texts.map((text) => harness.peer.text(text))));
          expect(harness.of('text').map(({ data }) => data)).toEqual(texts);
          ascii++;
          other += texts.length - 1;
        }
      }
      expect(asked).toEqual({ ascii, utf8: other });
      Object.assign(asked, { ascii: 0, utf8: 0 });
    }
  });
  it('short text needs no kernel, found one by one or many at a time', () => {
    const fail = (): never => {
      throw new Error('asked for a short text');
    };
    for (const scanner of [undefined, plainScanner()]) {
      const harness = open({ role: 'server', kernels: { decodeAscii: fail, decodeUtf8: fail, ...(scanner !== undefined && { scanner }) } });
      const texts = Array.from({ length: 100 }, (_, size) => 'q'.repeat(size % 25));
      harness.receive(concat(...texts.map((text) => harness.peer.text(text))));
      expect(harness.of('text').map(({ data }) => data)).toEqual(texts);
    }
  });
  it('messages that were found many at a time stop at a pause', () => {
    const scanner = plainScanner();
    const harness = open({
      role: 'server',
      kernels: { scanner },
      hooks: {
        onBinary() {
          if (harness.of('binary').length % 50 === 0) harness.connection.pause();
        },
      },
    });
    harness.receive(concat(...Array.from({ length: 120 }, (_, at) => harness.peer.binary(pattern(60, at)))));
    for (const expected of [50, 100, 120]) {
      expect(harness.of('binary').length).toBe(expected);
      expect(harness.connection.stats.messagesIn).toBe(expected);
      harness.connection.resume();
    }
    expect(harness.of('binary').every(({ data }, at) => toHex(data) === toHex(pattern(60, at)))).toBe(true);
  });
});

describe('kernels that mask', () => {
  it('are asked from 384 bytes on, wherever those lie', () => {
    const calls: string[] = [];
    const kernels: Kernels = {
      applyMask(bytes, start, end, key, phase) {
        calls.push(`applyMask ${end - start}`);
        return applyMask(bytes, start, end, key, phase);
      },
      copyMasked(source, start, end, target, offset, key, phase) {
        calls.push(`copyMasked ${end - start}`);
        return copyMasked(source, start, end, target, offset, key, phase);
      },
    };
    for (const size of [10, 383, 384, 385]) {
      for (const input of ['shared', 'transferred'] as const) {
        const { connection, peer, of } = open({ role: 'server', kernels, input });
        const first = input === 'shared' ? 'copyMasked' : 'applyMask';
        const expected = size < 384 ? [] : [`${first} ${size}`];
        if (input === 'transferred' || size > 384) {
          connection.receiveData(concat(peer.ping('x'.repeat(100)), peer.text('y'.repeat(size))));
          expect(calls.splice(0)).toEqual(expected);
          expect(of('text').length).toBe(1);
        }
        connection.receiveData(concat(...Array.from({ length: 20 }, () => peer.ping('x'.repeat(100))), peer.binary(pattern(size), false)));
        expect(calls.splice(0)).toEqual(size < 384 ? [] : [`copyMasked ${size}`]);
      }
    }
  });
});

describe('pulled pieces', () => {
  it.each([null, identity])('a message that came whole is one piece, first and last (%o)', (make) => {
    const extensions = make === null ? {} : { extensions: [extension('x', 4, make)] };
    for (const role of ['client', 'server'] as const) {
      const { connection, peer } = open({ role, mode: 'pull', delivery: 'chunk', pulling: false, ...extensions });
      for (const opcode of [1, 2]) {
        connection.receiveData(concat(peer.ping('p'), peer.frame({ opcode, rsv: make === null ? 0 : 4, payload: utf8('hello') })));
        expect(connection.nextEvent()?.type).toBe('ping');
        expect(connection.nextEvent()).toMatchObject({ type: 'chunk', first: true, last: true });
        expect(connection.nextEvent()).toBe(null);
      }
    }
  });
  it('are never empty but for the last', () => {
    const { connection, peer } = open({ role: 'client', mode: 'pull', delivery: 'chunk', pulling: false });
    const letter = utf8('😀');
    for (let at = 0; at < 4; at++)
      connection.receiveData(peer.frame({ opcode: at === 0 ? 1 : 0, fin: false, payload: letter.subarray(at, at + 1) }));
    connection.receiveData(peer.continuation('', true));
    const seen: [string, boolean, boolean][] = [];
    for (let event = connection.nextEvent(); event !== null; event = connection.nextEvent()) {
      if (event.type === 'chunk' && event.kind === 'text') seen.push([event.data, event.first, event.last]);
    }
    expect(seen).toEqual([
      ['😀', true, false],
      ['', false, true],
    ]);
  });
  it('outlive the chunk that they came in, a Buffer too', () => {
    const { connection, peer } = open({ role: 'client', mode: 'pull', delivery: 'chunk', pulling: false });
    const chunk = Buffer.from(peer.binary(pattern(50)));
    connection.receiveData(chunk);
    const event = connection.nextEvent();
    chunk.fill(0xee);
    expect(event).toMatchObject({ type: 'chunk', kind: 'binary', first: true, last: true });
    expect(event?.type === 'chunk' && event.kind === 'binary' && toHex(event.data)).toBe(toHex(pattern(50)));
  });
});

describe('the frame codec at its edges', () => {
  it('says nothing of a header of which nothing is there, and of the first byte what it says', () => {
    const header = createFrameHeader();
    expect(decodeFrameHeader(new Uint8Array(0), 0, 0, header)).toBe(0);
    expect(header).toMatchObject({ fin: false, rsv: 0, opcode: -1, masked: false, maskKey: 0, payloadLength: -1, lengthBytes: 0 });
    for (let first = 0; first < 256; first++) {
      expect(decodeFrameHeader(Uint8Array.of(first), 0, 1, header)).toBe(0);
      expect([header.fin, header.rsv, header.opcode, header.payloadLength]).toEqual([first >= 0x80, (first >> 4) & 7, first & 15, -1]);
    }
  });
  it('writes lengths beyond 32 bits', () => {
    for (const [length, expected] of [
      [2 ** 32 - 1, '00000000ffffffff'],
      [2 ** 32, '0000000100000000'],
      [2 ** 32 + 5, '0000000100000005'],
      [3 * 2 ** 40 + 77, '000003000000004d'],
      [Number.MAX_SAFE_INTEGER, '001fffffffffffff'],
    ] as const) {
      const target = new Uint8Array(10);
      expect(encodeFrameHeader({ opcode: 2 }, length, target, 0)).toBe(10);
      expect(toHex(target)).toBe(`827f${expected}`);
    }
  });
  it('a parser of frames without payload takes those and no other', () => {
    const parser = new FrameParser({ maxFrameSize: 0 });
    expect([...parser.push(serializeFrame({ opcode: 2 }))].length).toBe(1);
    expect(parser.violation).toBe(null);
    expect(parser.incomplete).toBe(false);
    expect([...parser.push(Uint8Array.of(0x82))]).toEqual([]);
    expect(parser.incomplete).toBe(true);
    expect([...parser.push(Uint8Array.of(0x01, 0x00))]).toEqual([]);
    expect(parser.violation?.code).toBe('WS_MESSAGE_TOO_BIG');
    expect(() => new FrameParser({ maxFrameSize: -1 })).toThrow(RangeError);
    expect(() => new FrameParser({ maxFrameSize: Number.NaN })).toThrow(RangeError);
  });
});
