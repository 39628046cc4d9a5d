/**
 * The classes bound to a platform: what adapters export.
 */
import type { Connector } from './connector.ts';
import { WebSocket } from './websocket.ts';
import { WebSocketStream } from './websocket-stream.ts';

/**
 * Subclasses of `WebSocket` and `WebSocketStream` that connect with `connector`. An adapter that wants them as classes of its own writes
 * `export class WebSocket extends Base { static override readonly connector = connector }` instead, which is the same.
 */
export function defineWebSocket(connector: Connector): {
  readonly WebSocket: typeof WebSocket;
  readonly WebSocketStream: typeof WebSocketStream;
} {
  const Base = { WebSocket, WebSocketStream };
  // The names are what `constructor.name` and stack traces show.
  return {
    WebSocket: class WebSocket extends Base.WebSocket {
      static override readonly connector: Connector = connector;
    },
    WebSocketStream: class WebSocketStream extends Base.WebSocketStream {
      static override readonly connector: Connector = connector;
    },
  };
}
