/**
 * `@ferrywire/driver`: the pump between a protocol that does no I/O and a transport, and the handle that every adapter hands out.
 *
 * The test kit is `@ferrywire/driver/testing`.
 */
export { drive } from './driver.ts';
export type { EndpointHostOptions } from './endpoint.ts';
export type { EndpointErrorCode, EndpointErrorDetails } from './errors.ts';
export { EndpointError } from './errors.ts';
export type { ClientSettings, ConnectionSettings, ServerSettings } from './host.ts';
export { EndpointHost } from './host.ts';
export type { Capabilities, CloseAllOptions, Listening, Opening, Peer, PeerHandlers, PendingRequest, ServerRequest } from './peer.ts';
export type { DriveOptions, Driver, DriverHandle, Timed, TimerHost, Transport, TransportEvents } from './types.ts';
