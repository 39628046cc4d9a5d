/**
 * Receiving by buffer type, as the WebSocket Protocol Component and WinHTTP have it (`WinHttpWebSocketReceive`).
 *
 * A message buffer holds a whole message or the last piece of one, a fragment buffer any other piece. Pieces need not mirror frames; the
 * memory is the caller's.
 */
import type { WebSocket } from './websocket.ts';

/** The buffer types of WinHTTP: a message buffer holds a whole message or its last piece, a fragment buffer any other piece. */
export type WebSocketBufferType = 'Utf8Message' | 'Utf8Fragment' | 'BinaryMessage' | 'BinaryFragment' | 'Close';
export const WebSocketBufferType: { readonly [Type in WebSocketBufferType]: Type } = Object.freeze({
  Utf8Message: 'Utf8Message',
  Utf8Fragment: 'Utf8Fragment',
  BinaryMessage: 'BinaryMessage',
  BinaryFragment: 'BinaryFragment',
  Close: 'Close',
});

export interface BufferReceiveResult {
  readonly bufferType: WebSocketBufferType;
  /** Bytes written to the start of the buffer; 0 for Close. */
  readonly bytesRead: number;
  /** Only with Close: 1005 when the peer gave none. */
  readonly closeStatus: number | null;
  readonly closeReason: string | null;
}

/** `webSocket.receive(buffer)`, told by buffer type. Rejects as that does. A UTF-8 fragment may end inside a character. */
export async function receiveByBufferType(
  webSocket: WebSocket,
  buffer: ArrayBufferView | ArrayBuffer,
  signal?: AbortSignal,
): Promise<BufferReceiveResult> {
  const { count, messageType, endOfMessage, closeStatus, closeStatusDescription } = await webSocket.receive(buffer, signal);
  if (messageType === 'Close') return { bufferType: 'Close', bytesRead: 0, closeStatus, closeReason: closeStatusDescription };
  const kind = messageType === 'Text' ? 'Utf8' : 'Binary';
  const bufferType: WebSocketBufferType = `${kind}${endOfMessage ? 'Message' : 'Fragment'}`;
  return { bufferType, bytesRead: count, closeStatus: null, closeReason: null };
}
