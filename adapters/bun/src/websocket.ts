/** The WHATWG classes of `@ferrywire/websocket`, bound to this adapter's `connect`. */
import { type WebSocket as BaseSocket, type WebSocketStream as BaseStream, connectorOver, defineWebSocket } from '@ferrywire/websocket';
import { connect } from './connect.ts';

const bound = defineWebSocket(connectorOver(connect));

/** As browsers have it, over this adapter. */
export const WebSocket: typeof BaseSocket = bound.WebSocket;
export type WebSocket = BaseSocket;

/** As the WebSocketStream proposal has it, over this adapter. */
export const WebSocketStream: typeof BaseStream = bound.WebSocketStream;
export type WebSocketStream = BaseStream;
