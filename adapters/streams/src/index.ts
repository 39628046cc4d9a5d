/**
 * `@ferrywire/streams`: WebSockets over any pair of byte streams: `connect()` of Workers, WebTransport, HTTP/2, `TransformStream`, a pipe.
 *
 * Nothing here names a platform: it runs wherever there are web streams.
 */
export type { CloseAllOptions, EndpointErrorCode, Opening, Peer, PeerHandlers, PendingRequest } from '@ferrywire/driver';
export { EndpointError } from '@ferrywire/driver';
export { CloseEvent, messageStreams, WebSocket, WebSocketError, WebSocketStream, type WebSocketStreamInfo } from '@ferrywire/websocket';
export { capabilities } from './capabilities.ts';
export { type AdoptOptions, adopt, type ConnectOptions, connect } from './client.ts';
export type { ByteReader, ByteWriter, StreamPair } from './pair.ts';
export { type AttachOptions, attach, type InputOptions, StreamServer } from './server.ts';
