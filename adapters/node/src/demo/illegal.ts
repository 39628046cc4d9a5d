/**
 * Frames that a server must fail the connection for, as bytes: what the page's raw peer writes after its handshake. Written out by hand,
 * because an adapter knows no frames. The mask key is that of the examples in RFC 6455 section 5.7, 37fa213d.
 */
import type { ViolationCode } from '@ferrywire/core';

export interface IllegalInput {
  readonly name: string;
  readonly label: string;
  /** In hex. Empty: the raw peer ends TCP without a close frame. */
  readonly bytes: string;
  /** What the server calls it. */
  readonly violation: ViolationCode;
}

export const illegalInputs: readonly IllegalInput[] = [
  { name: 'opcode', label: 'Reserved opcode 3', bytes: '83 80 37fa213d', violation: 'WS_INVALID_OPCODE' },
  { name: 'rsv', label: 'Reserved bit 1 set', bytes: 'c1 80 37fa213d', violation: 'WS_RESERVED_BITS' },
  { name: 'unmasked', label: 'Text without a mask', bytes: '81 02 6869', violation: 'WS_MASK_REQUIRED' },
  { name: 'fragmented-ping', label: 'Fragmented ping', bytes: '09 80 37fa213d', violation: 'WS_CONTROL_FRAGMENTED' },
  { name: 'long-ping', label: 'Ping of 126 bytes', bytes: '89 fe 007e 37fa213d', violation: 'WS_CONTROL_TOO_LONG' },
  { name: 'length', label: 'Length 2 written in 16 bits', bytes: '81 fe 0002 37fa213d', violation: 'WS_LENGTH_NOT_MINIMAL' },
  { name: 'length-sign', label: 'Length of 2^63', bytes: '82 ff 8000000000000000 37fa213d', violation: 'WS_LENGTH_TOO_LARGE' },
  { name: 'too-big', label: 'Message of 2 GiB', bytes: '82 ff 0000000080000000 37fa213d', violation: 'WS_MESSAGE_TOO_BIG' },
  { name: 'continuation', label: 'Continuation of nothing', bytes: '80 80 37fa213d', violation: 'WS_UNEXPECTED_CONTINUATION' },
  { name: 'interleaved', label: 'A message inside another', bytes: '01 80 37fa213d 81 80 37fa213d', violation: 'WS_EXPECTED_CONTINUATION' },
  { name: 'utf8', label: 'Text that is not UTF-8 (ff)', bytes: '81 81 37fa213d c8', violation: 'WS_INVALID_UTF8' },
  { name: 'close-short', label: 'Close payload of one byte', bytes: '88 81 37fa213d 34', violation: 'WS_CLOSE_PAYLOAD' },
  { name: 'close-code', label: 'Close code 1005', bytes: '88 82 37fa213d 3417', violation: 'WS_CLOSE_CODE' },
  { name: 'no-close', label: 'End of TCP without a close frame', bytes: '', violation: 'WS_EOF' },
];

export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}
