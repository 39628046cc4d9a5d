/** The table of violations: each failure's close code and section (RFC 6455 section 7.4.1), and how one is told from other values. */
import { isViolation, violations } from '@ferrywire/core/frame';
import { describe, expect, it } from 'vitest';

/** 1006: nothing can be sent. */
const table: Readonly<Record<string, readonly [closeCode: number, section: string]>> = {
  WS_INVALID_OPCODE: [1002, 'RFC 6455 5.2'],
  WS_RESERVED_BITS: [1002, 'RFC 6455 5.2'],
  WS_MASK_REQUIRED: [1002, 'RFC 6455 5.1'],
  WS_MASK_FORBIDDEN: [1002, 'RFC 6455 5.1'],
  WS_LENGTH_NOT_MINIMAL: [1002, 'RFC 6455 5.2'],
  WS_LENGTH_TOO_LARGE: [1002, 'RFC 6455 5.2'],
  WS_CONTROL_TOO_LONG: [1002, 'RFC 6455 5.5'],
  WS_CONTROL_FRAGMENTED: [1002, 'RFC 6455 5.5'],
  WS_UNEXPECTED_CONTINUATION: [1002, 'RFC 6455 5.4'],
  WS_EXPECTED_CONTINUATION: [1002, 'RFC 6455 5.4'],
  WS_INVALID_UTF8: [1007, 'RFC 6455 8.1'],
  WS_CLOSE_PAYLOAD: [1002, 'RFC 6455 5.5.1'],
  WS_CLOSE_CODE: [1002, 'RFC 6455 7.4'],
  WS_MESSAGE_TOO_BIG: [1009, 'RFC 6455 7.4.1'],
  WS_TOO_MANY_FRAGMENTS: [1008, 'RFC 6455 10.4'],
  WS_EXTENSION_DATA: [1007, 'RFC 7692 7.2.2'],
  WS_EOF: [1006, 'RFC 6455 7.1.5'],
  WS_TRANSPORT: [1006, 'RFC 6455 7.2.1'],
  WS_TIMEOUT_OPENING: [1006, 'RFC 6455 4.1'],
  WS_TIMEOUT_CLOSING: [1006, 'RFC 6455 7.1.1'],
  WS_TIMEOUT_PONG: [1011, 'RFC 6455 5.5.2'],
  WS_TIMEOUT_IDLE: [1011, 'RFC 6455 7.2.1'],
  WS_ABORTED: [1006, 'RFC 6455 7.1.7'],
  WS_FAILED_LOCALLY: [1011, 'RFC 6455 7.1.7'],
};

describe('violations', () => {
  it('have the close code and the section of their rule', () => {
    const shown = Object.entries(violations).map(([name, { code, closeCode, section }]) => [name, code, closeCode, section]);
    expect(shown).toEqual(Object.entries(table).map(([name, [closeCode, section]]) => [name, name, closeCode, section]));
    for (const violation of Object.values(violations)) expect(isViolation(violation)).toBe(true);
  });
  it('are told from what has only a part of one', () => {
    expect(isViolation({ closeCode: 1002 })).toBe(false);
    expect(isViolation({ section: 'RFC 6455 5.2' })).toBe(false);
    expect(isViolation({ consumed: 1, status: 'need' })).toBe(false);
  });
});
