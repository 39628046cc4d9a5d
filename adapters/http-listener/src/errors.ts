/**
 * The errors .NET documents, under their names, on JavaScript's own classes: a wrong argument is a TypeError, one out of range a RangeError.
 *
 * `name` is the .NET name and tells them apart across copies of this package; the numeric codes are those of Windows and of .NET's
 * `WebSocketError` and `WebSocketCloseStatus`.
 */

export type ExceptionName =
  | 'ArgumentException'
  | 'ArgumentNullException'
  | 'ArgumentOutOfRangeException'
  | 'InvalidOperationException'
  | 'ObjectDisposedException'
  | 'OperationCanceledException'
  | 'HttpListenerException'
  | 'WebSocketException';

/** An argument is not what it may be. */
export class ArgumentException extends TypeError {
  override readonly name: ExceptionName = 'ArgumentException';
  readonly paramName: string;
  constructor(message: string, paramName: string) {
    super(`${message} (parameter '${paramName}')`);
    this.paramName = paramName;
  }
}
/** An argument that is needed is missing. */
export class ArgumentNullException extends ArgumentException {
  override readonly name = 'ArgumentNullException';
  constructor(paramName: string) {
    super('value cannot be null', paramName);
  }
}
/** An argument of the right type, beyond its bounds. */
export class ArgumentOutOfRangeException extends RangeError {
  override readonly name = 'ArgumentOutOfRangeException';
  readonly paramName: string;
  readonly actualValue: unknown;
  constructor(paramName: string, actualValue: unknown, message: string) {
    super(`${message} (parameter '${paramName}', actual value ${String(actualValue)})`);
    this.paramName = paramName;
    this.actualValue = actualValue;
  }
}
/** The object is not in a state in which this can be done. */
export class InvalidOperationException extends Error {
  override readonly name: ExceptionName = 'InvalidOperationException';
}
/** The object was closed or disposed before the call. */
export class ObjectDisposedException extends InvalidOperationException {
  override readonly name = 'ObjectDisposedException';
  readonly objectName: string;
  constructor(objectName: string) {
    super(`cannot access a disposed object: ${objectName}`);
    this.objectName = objectName;
  }
}
/** The operation was waiting when the socket was aborted. An operation whose own signal fires rejects with the signal's reason instead. */
export class OperationCanceledException extends Error {
  override readonly name = 'OperationCanceledException';
}

/** Windows' system error codes, as far as they occur here. */
export const HttpListenerErrorCode: {
  readonly AccessDenied: 5;
  readonly SharingViolation: 32;
  readonly AlreadyExists: 183;
  readonly OperationAborted: 995;
  readonly InvalidNetName: 1214;
} = Object.freeze({ AccessDenied: 5, SharingViolation: 32, AlreadyExists: 183, OperationAborted: 995, InvalidNetName: 1214 });
export type HttpListenerErrorCode = (typeof HttpListenerErrorCode)[keyof typeof HttpListenerErrorCode];

/** The listener cannot start, or has stopped: see `errorCode`. */
export class HttpListenerException extends Error {
  override readonly name = 'HttpListenerException';
  readonly errorCode: HttpListenerErrorCode;
  constructor(errorCode: HttpListenerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.errorCode = errorCode;
  }
}

/** .NET's `WebSocketError`, by name. */
export type WebSocketErrorCode =
  | 'InvalidMessageType'
  | 'Faulted'
  | 'NotAWebSocket'
  | 'UnsupportedVersion'
  | 'UnsupportedProtocol'
  | 'HeaderError'
  | 'ConnectionClosedPrematurely'
  | 'InvalidState';

/** The handshake or the connection failed: see `webSocketErrorCode`. */
export class WebSocketException extends Error {
  override readonly name = 'WebSocketException';
  readonly webSocketErrorCode: WebSocketErrorCode;
  constructor(webSocketErrorCode: WebSocketErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.webSocketErrorCode = webSocketErrorCode;
  }
}
