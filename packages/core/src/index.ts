/**
 * `@ferrywire/core`: WebSocket connections (RFC 6455 sections 5 to 8) as a state machine without I/O.
 *
 * The frame codec alone is `@ferrywire/core/frame`.
 */

export type { CloseInfo } from './close.ts';
export type { Clock, MessageKind, Millis, Protocol, RandomSource, Role, TransportDirective, WorkHost } from './common.ts';
export type { ConnectionState, ConnectionStats, MessageWriter, PreparedMessage, SendOptions } from './connection.ts';
export { Connection, prepareMessage } from './connection.ts';
export type { ChunkEvent, ConnectionEvent, ConnectionSink, EndInfo, MessageEvent } from './events.ts';
export type {
  ClientExtension,
  Extension,
  ExtensionOffer,
  ExtensionParam,
  InboundTransform,
  OutboundTransform,
  ServerExtension,
  TransformOutput,
  TransformStatus,
} from './extension.ts';
export type { LenientFlags } from './frame.ts';
export type { MisuseCode } from './misuse.ts';
export type { ConnectionOptions, Delivery, FrameScanner, Kernels, Limits, Negotiated, Timeouts } from './options.ts';
export type { Filled } from './outlet.ts';
export type { TraceEntry, TraceFrame } from './trace.ts';
export type { Violation, ViolationCode } from './violations.ts';
