/**
 * `@ferrywire/handshake`: the WebSocket opening handshake (RFC 6455 sections 3, 4 and 9.1, RFC 8441, RFC 9220) without I/O.
 *
 * Form 1 is pure functions on heads that a host has already parsed; form 2 takes bytes and stays for the whole life of a connection.
 */
export { acceptKey, constantTimeEqual } from './accept-key.ts';
export type { SharedOptions } from './base-protocol.ts';
export type { ClientEvent, ClientProtocolOptions, ClientSink } from './client-protocol.ts';
export { ClientProtocol } from './client-protocol.ts';
export type { UpgradeDecision } from './decide.ts';
export { decideUpgrade, isWebSocketRequest } from './decide.ts';
export type { HandshakeError, HandshakeErrorCode } from './errors.ts';
export { handshakeErrors } from './errors.ts';
export { formatExtensions, parseExtensions } from './extensions-header.ts';
export type { HeaderInput, HeaderList } from './headers.ts';
export { getHeader } from './headers.ts';
export type { HttpVersion, ParsedRequestHead, ParsedResponseHead, RequestHead, ResponseHead } from './heads.ts';
export type { HeadFault } from './http-head.ts';
export { HeadParser } from './http-head.ts';
export type { HttpLimits } from './limits.ts';
export { resolveLimits } from './limits.ts';
export type { SubprotocolPolicy } from './negotiate.ts';
export type { ServerPolicy } from './policy.ts';
export type { BodyFraming, BodyPlan, RejectionWriter } from './rejection.ts';
export { bytesOfBody, checkPiece, rejectionHead } from './rejection.ts';
export type { ServerEvent, ServerProtocolOptions, ServerSink } from './server-protocol.ts';
export { ServerProtocol } from './server-protocol.ts';
export type { ClientUpgrade, ClientUpgradeOptions, UpgradeVerdict } from './upgrade.ts';
export { createUpgrade } from './upgrade.ts';
export type { WebSocketUri } from './uri.ts';
export { parseUri, resolveWebSocketUrl } from './uri.ts';
