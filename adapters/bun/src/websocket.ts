/** The WHATWG classes of `@ferrywire/websocket`, bound to this adapter's `connect`. */
import { WebSocket as BaseSocket, WebSocketStream as BaseStream, type Connector, connectorOver } from '@ferrywire/websocket';
import { connect } from './connect.ts';

const connector = connectorOver(connect);

/** As browsers have it, over this adapter. */
export class WebSocket extends BaseSocket {
  static override readonly connector: Connector = connector;
}
/** As the WebSocketStream proposal has it, over this adapter. */
export class WebSocketStream extends BaseStream {
  static override readonly connector: Connector = connector;
}
