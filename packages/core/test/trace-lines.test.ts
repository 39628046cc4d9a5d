/** The lines of the trace, letter by letter: where they are cut, what is escaped, which bits are named. */
import { describe, expect, it } from 'vitest';
import { hex, open, type Peer, pattern, toHex, utf8 } from './connection-helpers.ts';
import { extension, identity } from './extension-helpers.ts';

/** The line that a server writes for a frame that came in. */
function lineFor(make: (peer: Peer) => Uint8Array, extended = false): string | undefined {
  const options = extended ? { extensions: [extension('x', 7, identity)] } : {};
  const { receive, peer, trace } = open({ role: 'server', tracing: true, ...options });
  receive(make(peer));
  return trace.find(({ direction }) => direction === 'in')?.text;
}
const text = (payload: string | Uint8Array): string | undefined => lineFor((peer) => peer.text(payload));
const binary = (payload: Uint8Array): string | undefined => lineFor((peer) => peer.binary(payload));
const close = (payload: string): string | undefined => lineFor((peer) => peer.frame({ opcode: 8, payload: hex(payload) }));

describe('a line of the trace', () => {
  it('counts bytes', () => {
    expect(text('')).toBe('< TEXT [0 bytes]');
    expect(text('a')).toBe("< TEXT 'a' [1 byte]");
    expect(text('ab')).toBe("< TEXT 'ab' [2 bytes]");
  });

  it('shows 32 bytes and says when there are more', () => {
    const letters = 'abcdefghijklmnopqrstuvwxyz012345';
    expect(text(letters)).toBe(`< TEXT '${letters}' [32 bytes]`);
    expect(text(`${letters}6`)).toBe(`< TEXT '${letters}…' [33 bytes]`);
    expect(text('x'.repeat(500))).toBe(`< TEXT '${'x'.repeat(32)}…' [500 bytes]`);
    const shown = (size: number): string => [...pattern(size)].map((byte) => toHex(Uint8Array.of(byte))).join(' ');
    expect(binary(pattern(32))).toBe(`< BINARY ${shown(32)} [32 bytes]`);
    expect(binary(pattern(33))).toBe(`< BINARY ${shown(32)} … [33 bytes]`);
    expect(binary(pattern(2))).toBe('< BINARY 00 01 [2 bytes]');
  });

  it('cuts between letters', () => {
    for (const [letter, sizes] of [
      ['é', [31]],
      ['€', [30, 31]],
      ['😀', [29, 30, 31]],
    ] as const) {
      for (const size of sizes) {
        const start = 'x'.repeat(size);
        expect(text(`${start}${letter}yz`)).toBe(`< TEXT '${start}…' [${size + utf8(letter).length + 2} bytes]`);
      }
      const whole = 'x'.repeat(32 - utf8(letter).length);
      expect(text(`${whole}${letter}y`)).toBe(`< TEXT '${whole}${letter}…' [33 bytes]`);
    }
  });

  it('shows what is not UTF-8 in hex', () => {
    const line = (digits: string): string | undefined => text(hex(digits));
    expect(line('61 62 63 ff 64 65 66 67')).toBe('< TEXT 61 62 63 ff 64 65 66 67 [8 bytes]');
    expect(line('61 ff 64 65 66')).toBe('< TEXT 61 ff 64 65 66 [5 bytes]');
    expect(line('ff')).toBe('< TEXT ff [1 byte]');
    expect(line('80 80')).toBe('< TEXT 80 80 [2 bytes]');
    expect(line('ff 64 65')).toBe('< TEXT ff 64 65 [3 bytes]');
    expect(line('ff 64 65 66')).toBe('< TEXT ff 64 65 66 [4 bytes]');
  });

  it('names reserved bits and what is continued', () => {
    const bits = (rsv: number): string | undefined =>
      lineFor((peer) => peer.frame({ opcode: 2, rsv, payload: hex('01'), fin: false }), true);
    expect(bits(0)).toBe('< BINARY 01 [1 byte, continued]');
    expect(bits(4)).toBe('< BINARY 01 [1 byte, continued, rsv1]');
    expect(bits(2)).toBe('< BINARY 01 [1 byte, continued, rsv2]');
    expect(bits(1)).toBe('< BINARY 01 [1 byte, continued, rsv3]');
    expect(bits(5)).toBe('< BINARY 01 [1 byte, continued, rsv1, rsv3]');
    expect(bits(7)).toBe('< BINARY 01 [1 byte, continued, rsv1, rsv2, rsv3]');
    expect(lineFor((peer) => peer.frame({ opcode: 1, rsv: 4, payload: utf8('hi') }), true)).toBe('< TEXT 68 69 [2 bytes, rsv1]');
  });

  it('escapes what is no letter', () => {
    expect(text("\t\n\r'\\")).toBe("< TEXT '\\t\\n\\r\\'\\\\' [5 bytes]");
    expect(text('\u0000\u001b\u007f')).toBe("< TEXT '\\u{0}\\u{1b}\\u{7f}' [3 bytes]");
    expect(text('\u2028\u202e\ufeff')).toBe("< TEXT '\\u{2028}\\u{202e}\\u{feff}' [9 bytes]");
  });

  it('reads a close frame', () => {
    expect(close('')).toBe('< CLOSE [0 bytes]');
    expect(close('03e8')).toBe('< CLOSE 1000 [2 bytes]');
    expect(close('03e8 62')).toBe("< CLOSE 1000 'b' [3 bytes]");
    expect(close('0fa0 62 79 65')).toBe("< CLOSE 4000 'bye' [5 bytes]");
    expect(close('03')).toBe('< CLOSE [1 byte] refused: a close payload is empty or starts with a two-byte code');
  });

  it('says of a refused frame what is known of it', () => {
    const refused = (bytes: string): string | undefined => lineFor(() => hex(bytes));
    expect(refused('c1')).toMatch(/^< TEXT \[length unknown, rsv1\] refused: a reserved bit/);
    expect(refused('81 02')).toMatch(/^< TEXT \[2 bytes\] refused: a frame from a client must be masked/);
    expect(refused('8b')).toMatch(/^< OPCODE 11 \[length unknown\] refused: the opcode/);
    expect(refused('87')).toMatch(/^< 7 \[length unknown\] refused: the opcode/);
  });

  it('shows as much of a client frame that goes out', () => {
    const { connection, trace } = open({ role: 'client', tracing: true });
    connection.sendText(`${'x'.repeat(31)}é`);
    connection.sendBinary(pattern(200));
    expect(trace[0]?.text).toBe(`> TEXT '${'x'.repeat(31)}…' [33 bytes]`);
    expect(trace[1]?.frame?.preview).toEqual(pattern(125));
  });
});
