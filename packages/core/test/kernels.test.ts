/** The host's faster functions: asked from a certain size on, for everything that is large, and never with other arguments than the plain ones. */
import type { Kernels } from '@ferrywire/core';
import { applyMask, copyMasked, Utf8Validator } from '@ferrywire/core/frame';
import { describe, expect, it } from 'vitest';
import { concat, digest, type Harness, open, pattern, peerOf, utf8 } from './connection-helpers.ts';
import { extension, identity } from './extension-helpers.ts';
import { roles } from './sending-helpers.ts';

/** The plain functions, with the sizes that they were asked for. */
function counted(): {
  readonly kernels: Required<Pick<Kernels, 'applyMask' | 'copyMasked' | 'decodeUtf8' | 'isUtf8'>>;
  readonly calls: string[];
} {
  const calls: string[] = [];
  return {
    calls,
    kernels: {
      applyMask(bytes, start, end, key, phase) {
        calls.push(`applyMask ${end - start}`);
        return applyMask(bytes, start, end, key, phase);
      },
      copyMasked(from, start, end, target, offset, key, phase) {
        calls.push(`copyMasked ${end - start}`);
        return copyMasked(from, start, end, target, offset, key, phase);
      },
      isUtf8(bytes, start, end) {
        calls.push(`isUtf8 ${end - start}`);
        const validator = new Utf8Validator();
        return validator.push(bytes, start, end) === -1 && validator.end();
      },
      decodeUtf8(bytes, start, end) {
        calls.push(`decodeUtf8 ${end - start}`);
        try {
          return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(start, end));
        } catch {
          return null;
        }
      },
    },
  };
}

describe('kernels of a server', () => {
  it.each([
    [383, []],
    [384, []],
    [385, ['copyMasked 385']],
    [5000, ['copyMasked 5000']],
    [100_000, ['copyMasked 100000']],
  ])('a binary message of %i bytes', (size, expected) => {
    const { kernels, calls } = counted();
    const harness = open({ role: 'server', kernels });
    harness.receive(harness.peer.binary(pattern(size)));
    expect(digest(harness.of('binary')[0]?.data ?? new Uint8Array())).toBe(digest(pattern(size)));
    expect(calls).toEqual(expected);
  });
  it.each([
    [5000, ['applyMask 5000']],
    [4096, ['applyMask 4096']],
    [4095, ['copyMasked 4095']],
  ])('a transferred one of %i bytes is unmasked in place from 4096 bytes on', (size, expected) => {
    const { kernels, calls } = counted();
    const harness = open({ role: 'server', kernels, input: 'transferred' });
    harness.receive(Uint8Array.from(harness.peer.binary(pattern(size))));
    expect(digest(harness.of('binary')[0]?.data ?? new Uint8Array())).toBe(digest(pattern(size)));
    expect(calls).toEqual(expected);
  });
  it.each([
    ['x', 24, []],
    ['x', 25, ['decodeUtf8 25']],
    ['ä', 12, ['decodeUtf8 24']],
    ['x', 383, ['decodeUtf8 383']],
    ['x', 385, ['copyMasked 385', 'decodeUtf8 385']],
    ['x', 70_000, ['copyMasked 70000', 'decodeUtf8 70000']],
  ])('text of %j times %i', (unit, count, expected) => {
    for (const input of ['shared', 'transferred'] as const) {
      const { kernels, calls } = counted();
      const harness = open({ role: 'server', kernels, input });
      harness.receive(Uint8Array.from(harness.peer.text(unit.repeat(count))));
      expect(harness.of('text').map(({ data }) => data)).toEqual([unit.repeat(count)]);
      expect(calls).toEqual(input === 'shared' ? expected : expected.map((call) => call.replace('copyMasked', 'applyMask')));
    }
  });
});

describe('kernels of a client', () => {
  it('mask what is large: a copy of it, or in place where it was given away', () => {
    for (const transfer of [false, true]) {
      const { kernels, calls } = counted();
      const harness = open({ role: 'client', kernels });
      const mine = pattern(20_000);
      harness.connection.sendBinary(mine, { transfer });
      expect(calls).toEqual([transfer ? 'applyMask 20000' : 'copyMasked 20000']);
      expect(harness.frames().map(({ payload }) => digest(payload))).toEqual([digest(pattern(20_000))]);
      expect(digest(mine) === digest(pattern(20_000))).toBe(!transfer);
    }
  });
  it('are not asked where there is no mask', () => {
    const { kernels, calls } = counted();
    const harness = open({ role: 'client', kernels });
    harness.receive(harness.peer.binary(pattern(50_000)));
    const server = open({ role: 'server', kernels });
    server.connection.sendBinary(pattern(50_000));
    expect(calls).toEqual([]);
    expect(digest(harness.of('binary')[0]?.data ?? new Uint8Array())).toBe(digest(pattern(50_000)));
  });
});

describe.each(roles)('isUtf8 of a %s', (role) => {
  const fragments = (harness: Harness, ...parts: readonly Uint8Array[]): void => {
    for (const [index, payload] of parts.entries()) {
      harness.receive(harness.peer.frame({ opcode: index === 0 ? 1 : 0, payload, fin: index === parts.length - 1 }));
    }
  };
  it('is asked for pieces of 64 bytes and more, without the code points at their edges', () => {
    for (const [size, asked] of [
      [63, false],
      [64, true],
    ] as const) {
      const { kernels, calls } = counted();
      const harness = open({ role, kernels });
      fragments(harness, utf8('x'.repeat(size)), utf8('end'));
      expect(harness.of('text').map(({ data }) => data)).toEqual([`${'x'.repeat(size)}end`]);
      expect(calls.filter((call) => call.startsWith('isUtf8'))).toEqual(asked ? [`isUtf8 ${size}`] : []);
    }
  });
  it('agrees with the plain check wherever a code point is cut and whatever is wrong', () => {
    const text = utf8(`${'a'.repeat(100)}€${'b'.repeat(100)}😀${'c'.repeat(100)}`);
    for (let cut = 90; cut < text.length - 90; cut++) {
      const good = open({ role, kernels: counted().kernels });
      fragments(good, text.slice(0, cut), text.slice(cut));
      expect(good.of('text')).toHaveLength(1);
      for (const at of [cut - 1, cut, cut + 70]) {
        const bytes = text.slice();
        bytes[at] = 0xff;
        const verdicts = [counted().kernels, {}].map((kernels) => {
          const bad = open({ role, kernels, delivery: 'span' });
          fragments(bad, bytes.slice(0, cut), bytes.slice(cut));
          bad.connection.receiveEof();
          return [bad.end.cause?.code, digest(concat(...bad.of('span').map(({ data }) => data)))];
        });
        expect(verdicts[0]).toEqual(verdicts[1]);
        expect(verdicts[0]?.[0]).toBe('WS_INVALID_UTF8');
      }
    }
  });
  it('decodes what extensions give out', () => {
    const { kernels, calls } = counted();
    const harness = open({ role, kernels, extensions: [extension('plain', 4, identity)] });
    harness.receive(harness.peer.frame({ opcode: 1, rsv: 4, payload: utf8('ä'.repeat(500)) }));
    expect(harness.of('text').map(({ data }) => data)).toEqual(['ä'.repeat(500)]);
    expect(calls).toContain('decodeUtf8 1000');
  });
});

describe.each(roles)('short text to a %s', (role) => {
  it('is what was sent, with a character of two bytes at any place', () => {
    const harness = open({ role });
    const peer = peerOf(role);
    for (let size = 0; size < 40; size++) {
      for (let at = 0; at <= size; at++) {
        const text = `${'abcdefgh'.repeat(5).slice(0, at)}é${'ijklmnop'.repeat(5).slice(0, size - at)}`;
        harness.receive(peer.text(text));
        expect(harness.of('text').at(-1)?.data).toBe(text);
      }
      harness.receive(peer.text('~\u007f\u0000'.repeat(14).slice(0, size)));
      expect(harness.of('text').at(-1)?.data).toBe('~\u007f\u0000'.repeat(14).slice(0, size));
    }
  });
  it('fails with a bad byte at any place', () => {
    for (const bad of [0x80, 0xc3, 0xff]) {
      for (let size = 1; size < 34; size++) {
        for (let at = 0; at < size; at++) {
          const bytes = new Uint8Array(size).fill(0x61);
          bytes[at] = bad;
          const harness = open({ role });
          harness.receive(harness.peer.text(bytes));
          harness.connection.receiveEof();
          expect(harness.end.cause?.code).toBe('WS_INVALID_UTF8');
        }
      }
    }
  });
});
