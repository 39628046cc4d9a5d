/**
 * The classes bound to a platform: what adapters export.
 */
import type { Connector } from './connector.ts';
import { showMembersOf } from './web-idl.ts';
import { WebSocket } from './websocket.ts';
import { WebSocketStream } from './websocket-stream.ts';

/**
 * Subclasses of `WebSocket` and `WebSocketStream` that connect with `connector`. `class extends WebSocket { static override readonly connector
 * = connector }` does too; these have all members as their own besides, as a browser's have.
 */
export function defineWebSocket(connector: Connector): {
  readonly WebSocket: typeof WebSocket;
  readonly WebSocketStream: typeof WebSocketStream;
} {
  const Base = { WebSocket, WebSocketStream };
  // The names are what `constructor.name` and stack traces show.
  const bound = {
    WebSocket: class WebSocket extends Base.WebSocket {
      static override readonly connector: Connector = connector;
    },
    WebSocketStream: class WebSocketStream extends Base.WebSocketStream {
      static override readonly connector: Connector = connector;
    },
  };
  showMembersOf(Base.WebSocket, bound.WebSocket);
  showMembersOf(Base.WebSocketStream, bound.WebSocketStream);
  return bound;
}
