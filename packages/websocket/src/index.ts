/**
 * `@ferrywire/websocket`: the WHATWG `WebSocket` class, `WebSocketStream`, iterators and streams of messages over a ferrywire connection.
 *
 * The package knows no platform. Adapters bind the classes to theirs with a connector; the ones exported here cannot dial, only wrap
 * (`WebSocket.from`).
 */
export type { EndInfo } from '@ferrywire/core';
export type { WebSocketInit } from './arguments.ts';
export { type Connected, type Connector, type ConnectRequest, connectorOver, type PeerConnect } from './connector.ts';
export { defineWebSocket } from './define.ts';
export type * from './dom-types.ts';
export { CloseEvent, type CloseEventConstructor, type CloseEventInit } from './events.ts';
export type { MessagesOptions } from './iterate.ts';
export type { WebSocketStreamInfo, WebSocketStreamPair } from './message-pair.ts';
export { type MessageStream, messageStreams } from './message-streams.ts';
export type { TaskScheduler } from './task-queue.ts';
export { type BinaryType, makeDisappear, type ReadyState, WebSocket, type WebSocketEventMap } from './websocket.ts';
export { WebSocketError } from './websocket-error.ts';
export { type WebSocketCloseInfo, WebSocketStream } from './websocket-stream.ts';
