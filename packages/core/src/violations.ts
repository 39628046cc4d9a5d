/**
 * Every way a connection can fail, as one table: code, close code, RFC section, sentence.
 *
 * A violation is a value, never a throw. `closeCode` is what goes into the close frame; 1006 means that none can be sent
 * (RFC 6455 section 7.1.5). Beware: the messages reach logs, so they name options and rules, never data of the peer.
 */

export type ViolationCode =
  | 'WS_INVALID_OPCODE'
  | 'WS_RESERVED_BITS'
  | 'WS_MASK_REQUIRED'
  | 'WS_MASK_FORBIDDEN'
  | 'WS_LENGTH_NOT_MINIMAL'
  | 'WS_LENGTH_TOO_LARGE'
  | 'WS_CONTROL_TOO_LONG'
  | 'WS_CONTROL_FRAGMENTED'
  | 'WS_UNEXPECTED_CONTINUATION'
  | 'WS_EXPECTED_CONTINUATION'
  | 'WS_INVALID_UTF8'
  | 'WS_CLOSE_PAYLOAD'
  | 'WS_CLOSE_CODE'
  | 'WS_MESSAGE_TOO_BIG'
  | 'WS_TOO_MANY_FRAGMENTS'
  | 'WS_EXTENSION_DATA'
  | 'WS_EOF'
  | 'WS_TRANSPORT'
  | 'WS_TIMEOUT_OPENING'
  | 'WS_TIMEOUT_CLOSING'
  | 'WS_TIMEOUT_PONG'
  | 'WS_TIMEOUT_IDLE'
  | 'WS_ABORTED'
  | 'WS_FAILED_LOCALLY';

export interface Violation {
  readonly code: ViolationCode;
  /** What goes into the close frame, or 1006 when none can be sent. */
  readonly closeCode: number;
  /** For instance 'RFC 6455 5.5'. */
  readonly section: string;
  readonly message: string;
}

function entry(code: ViolationCode, closeCode: number, section: string, message: string): Violation {
  return Object.freeze({ code, closeCode, section, message });
}

/** The table. Frozen: a violation may be compared by identity. */
export const violations: { readonly [Code in ViolationCode]: Violation } = Object.freeze({
  WS_INVALID_OPCODE: entry('WS_INVALID_OPCODE', 1002, 'RFC 6455 5.2', 'the opcode is reserved and no extension defines it'),
  WS_RESERVED_BITS: entry(
    'WS_RESERVED_BITS',
    1002,
    'RFC 6455 5.2',
    'a reserved bit is set that no negotiated extension gives a meaning to here',
  ),
  WS_MASK_REQUIRED: entry('WS_MASK_REQUIRED', 1002, 'RFC 6455 5.1', 'a frame from a client must be masked'),
  WS_MASK_FORBIDDEN: entry('WS_MASK_FORBIDDEN', 1002, 'RFC 6455 5.1', 'a frame from a server must not be masked'),
  WS_LENGTH_NOT_MINIMAL: entry('WS_LENGTH_NOT_MINIMAL', 1002, 'RFC 6455 5.2', 'the payload length is not written in the fewest bytes'),
  WS_LENGTH_TOO_LARGE: entry('WS_LENGTH_TOO_LARGE', 1002, 'RFC 6455 5.2', 'the most significant bit of a 64-bit payload length must be 0'),
  WS_CONTROL_TOO_LONG: entry('WS_CONTROL_TOO_LONG', 1002, 'RFC 6455 5.5', 'a control frame carries at most 125 bytes'),
  WS_CONTROL_FRAGMENTED: entry('WS_CONTROL_FRAGMENTED', 1002, 'RFC 6455 5.5', 'a control frame must not be fragmented'),
  WS_UNEXPECTED_CONTINUATION: entry(
    'WS_UNEXPECTED_CONTINUATION',
    1002,
    'RFC 6455 5.4',
    'a continuation frame without a message to continue',
  ),
  WS_EXPECTED_CONTINUATION: entry('WS_EXPECTED_CONTINUATION', 1002, 'RFC 6455 5.4', 'a new message before the fragmented one has ended'),
  WS_INVALID_UTF8: entry('WS_INVALID_UTF8', 1007, 'RFC 6455 8.1', 'text that is not UTF-8'),
  WS_CLOSE_PAYLOAD: entry('WS_CLOSE_PAYLOAD', 1002, 'RFC 6455 5.5.1', 'a close payload is empty or starts with a two-byte code'),
  WS_CLOSE_CODE: entry('WS_CLOSE_CODE', 1002, 'RFC 6455 7.4', 'a close code that must not be sent'),
  WS_MESSAGE_TOO_BIG: entry(
    'WS_MESSAGE_TOO_BIG',
    1009,
    'RFC 6455 7.4.1',
    'larger than limits.maxMessageSize or limits.maxFrameSize allows',
  ),
  WS_TOO_MANY_FRAGMENTS: entry(
    'WS_TOO_MANY_FRAGMENTS',
    1008,
    'RFC 6455 10.4',
    'more frames in one message than limits.maxFragments allows',
  ),
  WS_EXTENSION_DATA: entry('WS_EXTENSION_DATA', 1007, 'RFC 7692 7.2.2', 'payload that the negotiated extension cannot decode'),
  WS_EOF: entry('WS_EOF', 1006, 'RFC 6455 7.1.5', 'the transport ended without a closing handshake'),
  WS_TRANSPORT: entry('WS_TRANSPORT', 1006, 'RFC 6455 7.2.1', 'the transport failed'),
  WS_TIMEOUT_OPENING: entry('WS_TIMEOUT_OPENING', 1006, 'RFC 6455 4.1', 'the opening handshake took longer than timeouts.opening'),
  WS_TIMEOUT_CLOSING: entry('WS_TIMEOUT_CLOSING', 1006, 'RFC 6455 7.1.1', 'the peer did not finish closing within timeouts.closing'),
  WS_TIMEOUT_PONG: entry('WS_TIMEOUT_PONG', 1011, 'RFC 6455 5.5.2', 'nothing received within timeouts.pong after a keepalive ping'),
  WS_TIMEOUT_IDLE: entry('WS_TIMEOUT_IDLE', 1011, 'RFC 6455 7.2.1', 'nothing received within timeouts.idle'),
  WS_ABORTED: entry('WS_ABORTED', 1006, 'RFC 6455 7.1.7', 'aborted by the application'),
  WS_FAILED_LOCALLY: entry('WS_FAILED_LOCALLY', 1011, 'RFC 6455 7.1.7', 'failed by the application'),
});

/** The table's entry with its own sentence, or with another close code where the RFC leaves a choice. */
export function violationWith(code: ViolationCode, change: { closeCode?: number; section?: string; message?: string }): Violation {
  return Object.freeze({ ...violations[code], ...change });
}

/** Tells a `Violation` from the other results of a function that returns one or the other. */
export function isViolation(value: object): value is Violation {
  return 'closeCode' in value && 'section' in value;
}
