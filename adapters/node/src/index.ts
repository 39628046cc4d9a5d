/**
 * `@ferrywire/node`: WebSockets on Node, on Bun from 1.4 and on Deno from 2.9.
 *
 * `listen` has a listener of its own, `attach` takes upgrades of an `http`, `https` or `http2` server, `connect` is the client. Each hands
 * out peers and calls one object of handlers. All three speak HTTP/2 (RFC 8441) beside HTTP/1.1 where they are asked to.
 */

export type { CloseAllOptions, EndpointErrorCode, Listening, Opening, Peer, PeerHandlers, PendingRequest } from '@ferrywire/driver';
export { EndpointError } from '@ferrywire/driver';
export { type AttachableServer, type Attached, type AttachOptions, attach } from './attach.ts';
export { capabilities } from './capabilities.ts';
export { type ConnectOptions, connect } from './connect.ts';
export type { Address, ConnectHook, ConnectTarget } from './dial.ts';
export { checkListen } from './errors.ts';
export { kernels } from './kernels.ts';
export { type ListenOptions, listen, listen as serve, type NodeListening } from './listen.ts';
export { clock, timers } from './timers.ts';
export { type NodeTransport, SocketTransport, transportOf } from './transport.ts';
export { afterEarlierResponses } from './upgrade-socket.ts';
export {
  CloseEvent,
  messageStreams,
  WebSocket,
  WebSocketError,
  type WebSocketInit,
  WebSocketStream,
  type WebSocketStreamInfo,
} from './websocket.ts';
