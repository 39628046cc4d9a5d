/**
 * The classic client: receives into a buffer of 1024 bytes, which is also the longest message it takes, puts fragments together, answers a
 * close, and refuses binary messages and long ones.
 */
import { ClientWebSocket, WebSocketCloseStatus, WebSocketMessageType, WebSocketState } from '@ferrywire/http-listener';

const maxMessageSize = 1024;

/** Gives `onText` every text message, until one side has closed. Returns the status the peer closed with, null if it was this side. */
export async function receiveTexts(uri: string, onText: (text: string) => void): Promise<number | null> {
  const buffer = new Uint8Array(maxMessageSize);
  const webSocket = new ClientWebSocket();
  try {
    await webSocket.connect(uri);
    while (webSocket.state === WebSocketState.Open) {
      let count = 0;
      for (let endOfMessage = false; !endOfMessage; ) {
        if (count >= maxMessageSize) {
          await webSocket.close(WebSocketCloseStatus.InvalidPayloadData, `the longest message is ${maxMessageSize} bytes`);
          return null;
        }
        const result = await webSocket.receive(buffer.subarray(count));
        // Between two pieces of a message too, which is never finished then.
        if (result.messageType === WebSocketMessageType.Close) {
          await webSocket.close(WebSocketCloseStatus.NormalClosure, '');
          return result.closeStatus;
        }
        if (result.messageType === WebSocketMessageType.Binary) {
          await webSocket.close(WebSocketCloseStatus.InvalidMessageType, 'cannot accept binary messages');
          return null;
        }
        count += result.count;
        endOfMessage = result.endOfMessage;
      }
      onText(new TextDecoder().decode(buffer.subarray(0, count)));
    }
    return null;
  } finally {
    webSocket.dispose();
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const status = await receiveTexts(process.argv[2] ?? 'ws://127.0.0.1:8000/ws/', (text) => console.log(text));
  console.log(`closed: ${status}`);
}
