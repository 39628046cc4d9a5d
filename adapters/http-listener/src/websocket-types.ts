/**
 * .NET's WebSocket enumerations as frozen objects of strings and numbers, and what `receive` returns.
 */

/** .NET's `WebSocketState`, by name. */
export type WebSocketState = 'None' | 'Connecting' | 'Open' | 'CloseSent' | 'CloseReceived' | 'Closed' | 'Aborted';
export const WebSocketState: { readonly [State in WebSocketState]: State } = Object.freeze({
  None: 'None',
  Connecting: 'Connecting',
  Open: 'Open',
  CloseSent: 'CloseSent',
  CloseReceived: 'CloseReceived',
  Closed: 'Closed',
  Aborted: 'Aborted',
});

/** .NET's `WebSocketMessageType`, by name. */
export type WebSocketMessageType = 'Text' | 'Binary' | 'Close';
export const WebSocketMessageType: { readonly [Type in WebSocketMessageType]: Type } = Object.freeze({
  Text: 'Text',
  Binary: 'Binary',
  Close: 'Close',
});

/** RFC 6455 section 7.4.1 by .NET's names. Any other number that may be sent is accepted where one of these is. */
export const WebSocketCloseStatus: {
  readonly NormalClosure: 1000;
  readonly EndpointUnavailable: 1001;
  readonly ProtocolError: 1002;
  readonly InvalidMessageType: 1003;
  /** No status: never on the wire. */
  readonly Empty: 1005;
  readonly InvalidPayloadData: 1007;
  readonly PolicyViolation: 1008;
  readonly MessageTooBig: 1009;
  readonly MandatoryExtension: 1010;
  readonly InternalServerError: 1011;
} = Object.freeze({
  NormalClosure: 1000,
  EndpointUnavailable: 1001,
  ProtocolError: 1002,
  InvalidMessageType: 1003,
  Empty: 1005,
  InvalidPayloadData: 1007,
  PolicyViolation: 1008,
  MessageTooBig: 1009,
  MandatoryExtension: 1010,
  InternalServerError: 1011,
});

export interface WebSocketReceiveResult {
  /** Bytes written to the start of the buffer. */
  readonly count: number;
  readonly messageType: WebSocketMessageType;
  /** This piece is the message's last. Pieces need not mirror frames. */
  readonly endOfMessage: boolean;
  /** Only with messageType 'Close'. */
  readonly closeStatus: number | null;
  readonly closeStatusDescription: string | null;
}
