/**
 * Every way a handshake can fail, as one table: code, HTTP status of the refusal, section, sentence.
 *
 * A refusal is a value, never a throw. Beware: the sentences go to the peer as the body of the response, so they name rules, never data.
 */

export type HandshakeErrorCode =
  | 'WS_HS_METHOD'
  | 'WS_HS_HTTP_VERSION'
  | 'WS_HS_UPGRADE'
  | 'WS_HS_CONNECTION'
  | 'WS_HS_KEY'
  | 'WS_HS_VERSION'
  | 'WS_HS_HOST'
  | 'WS_HS_ACCEPT'
  | 'WS_HS_ORIGIN'
  | 'WS_HS_SUBPROTOCOL'
  | 'WS_HS_EXTENSIONS'
  | 'WS_HS_STATUS'
  | 'WS_HS_SYNTAX'
  | 'WS_HS_TOO_LARGE'
  | 'WS_HS_PATH'
  | 'WS_HS_BODY'
  | 'WS_HS_EOF'
  | 'WS_HS_TIMEOUT';

export interface HandshakeError {
  readonly code: HandshakeErrorCode;
  /** What a server answers; 0 where there is nobody to answer, or where only a client finds the fault. */
  readonly status: number;
  /** For instance 'RFC 6455 4.2.1'. */
  readonly section: string;
  readonly message: string;
}

function entry(code: HandshakeErrorCode, status: number, section: string, message: string): HandshakeError {
  return Object.freeze({ code, status, section, message });
}

/** The table. Some faults are answered with another status where a section asks for one: 414, 501, and 403 for a host that is not served. */
export const handshakeErrors: { readonly [Code in HandshakeErrorCode]: HandshakeError } = Object.freeze({
  WS_HS_METHOD: entry(
    'WS_HS_METHOD',
    405,
    'RFC 6455 4.2.1',
    'a WebSocket handshake is a GET request (an extended CONNECT over HTTP/2 and 3)',
  ),
  WS_HS_HTTP_VERSION: entry('WS_HS_HTTP_VERSION', 505, 'RFC 6455 4.2.1', 'a WebSocket handshake needs HTTP/1.1'),
  WS_HS_UPGRADE: entry('WS_HS_UPGRADE', 426, 'RFC 6455 4.2.1', 'Upgrade must name websocket'),
  WS_HS_CONNECTION: entry('WS_HS_CONNECTION', 426, 'RFC 6455 4.2.1', 'Connection must list Upgrade'),
  WS_HS_KEY: entry('WS_HS_KEY', 400, 'RFC 6455 4.2.1', 'Sec-WebSocket-Key must be one field with 16 bytes in base64'),
  WS_HS_VERSION: entry('WS_HS_VERSION', 426, 'RFC 6455 4.4', 'Sec-WebSocket-Version must be 13'),
  WS_HS_HOST: entry('WS_HS_HOST', 400, 'RFC 9112 3.2', 'Host must be one valid field'),
  WS_HS_ACCEPT: entry(
    'WS_HS_ACCEPT',
    0,
    'RFC 6455 4.1',
    'Sec-WebSocket-Accept must be one field with the value for the key of the request',
  ),
  WS_HS_ORIGIN: entry('WS_HS_ORIGIN', 403, 'RFC 6455 10.2', 'this origin is not allowed'),
  WS_HS_SUBPROTOCOL: entry('WS_HS_SUBPROTOCOL', 400, 'RFC 6455 4.1', 'Sec-WebSocket-Protocol is malformed, or no subprotocol fits'),
  WS_HS_EXTENSIONS: entry('WS_HS_EXTENSIONS', 400, 'RFC 6455 9.1', 'Sec-WebSocket-Extensions is malformed, or names what was not offered'),
  WS_HS_STATUS: entry('WS_HS_STATUS', 0, 'RFC 6455 4.1', 'the response does not switch protocols'),
  WS_HS_SYNTAX: entry('WS_HS_SYNTAX', 400, 'RFC 9112 2.2', 'the head is not well-formed HTTP'),
  WS_HS_TOO_LARGE: entry('WS_HS_TOO_LARGE', 431, 'RFC 9110 5.4', 'the head exceeds a limit'),
  WS_HS_PATH: entry('WS_HS_PATH', 404, 'RFC 6455 4.2.2', 'no WebSocket endpoint at this path'),
  WS_HS_BODY: entry('WS_HS_BODY', 400, 'RFC 9112 6.3', 'a WebSocket handshake has no body'),
  WS_HS_EOF: entry('WS_HS_EOF', 400, 'RFC 9112 8', 'the transport ended before the handshake did'),
  WS_HS_TIMEOUT: entry('WS_HS_TIMEOUT', 408, 'RFC 6455 4.1', 'the handshake took longer than timeouts.opening'),
});
