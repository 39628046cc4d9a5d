/**
 * `@ferrywire/bun`: WebSockets on `Bun.listen` and `Bun.connect`, from Bun 1.4.
 *
 * On another runtime the package loads, and `listen` and `connect` reject with `WS_RUNTIME`.
 */
export type { CloseAllOptions, EndpointErrorCode, Listening, Opening, Peer, PeerHandlers, PendingRequest } from '@ferrywire/driver';
export { EndpointError } from '@ferrywire/driver';
export type { SocketInfo } from '@ferrywire/driver/adapter';
export { CloseEvent, messageStreams, WebSocketError, type WebSocketInit, type WebSocketStreamInfo } from '@ferrywire/websocket';
export { capabilities } from './capabilities.ts';
export { type ConnectOptions, connect } from './connect.ts';
export { type ListenOptions, listen, listen as serve } from './listen.ts';
export type { TlsOptions } from './tls.ts';
export { transportOf } from './transport.ts';
export { WebSocket, WebSocketStream } from './websocket.ts';
