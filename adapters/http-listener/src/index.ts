/**
 * `@ferrywire/http-listener`: WebSockets in the shape of .NET's HttpListener, for Node.
 *
 * A server pulls requests (`getContext()`, `for await`), accepts some of them as WebSockets and receives into buffers of its own.
 */
export { ClientWebSocket, ClientWebSocketOptions } from './client.ts';
export { type AcceptWebSocketOptions, HttpListenerContext, HttpListenerWebSocketContext } from './context.ts';
export type { ListenEndPoint, TlsSettings } from './endpoints.ts';
export * from './errors.ts';
export { HttpListener, type HttpListenerOptions, HttpListenerPrefixCollection } from './listener.ts';
export type { WebSocketCreationOptions } from './over-stream.ts';
export { HttpListenerRequest } from './request.ts';
export { HttpListenerResponse } from './response.ts';
export { type BufferReceiveResult, receiveByBufferType, WebSocketBufferType } from './typed-receive.ts';
export { WebSocket } from './websocket.ts';
export { WebSocketCloseStatus, WebSocketMessageType, type WebSocketReceiveResult, WebSocketState } from './websocket-types.ts';
