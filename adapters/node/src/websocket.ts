/**
 * The WHATWG classes of `@ferrywire/websocket`, bound to this adapter's `connect`.
 */
import {
  WebSocket as BaseWebSocket,
  WebSocketStream as BaseWebSocketStream,
  type Connected,
  type Connector,
  type ConnectRequest,
} from '@ferrywire/websocket';
import { connect } from './connect.ts';

const connector: Connector = {
  async connect(request: ConnectRequest): Promise<Connected> {
    const { url, ...options } = request;
    const peer = await connect(url, { ...options, pull: true });
    return { connection: peer.connection, host: peer.driver };
  },
};

/** As browsers have it, over this adapter. */
export class WebSocket extends BaseWebSocket {
  static override readonly connector: Connector = connector;
}

/** As the WebSocketStream proposal has it, over this adapter. */
export class WebSocketStream extends BaseWebSocketStream {
  static override readonly connector: Connector = connector;
}

export {
  CloseEvent,
  messageStreams,
  WebSocketError,
  type WebSocketInit,
  type WebSocketStreamInfo,
} from '@ferrywire/websocket';
