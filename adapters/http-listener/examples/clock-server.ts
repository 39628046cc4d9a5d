/**
 * The classic clock: accepts WebSocket requests and answers 400 to anything else, sends the time ten times, two seconds apart, and closes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  HttpListener,
  type HttpListenerContext,
  WebSocketCloseStatus,
  WebSocketMessageType,
  WebSocketState,
} from '@ferrywire/http-listener';

export interface Time {
  readonly now: () => Date;
  readonly delay: (milliseconds: number) => Promise<unknown>;
}
const realTime: Time = { now: () => new Date(), delay: (milliseconds) => sleep(milliseconds) };

/** Serves until the listener is stopped. */
export async function serveClock(listener: HttpListener, time: Time = realTime): Promise<void> {
  for await (const context of listener) {
    if (context.request.isWebSocketRequest) {
      tellTime(context, time).catch((error: unknown) => console.error(String(error)));
    } else {
      context.response.statusCode = 400;
      context.response.close();
    }
  }
}

async function tellTime(context: HttpListenerContext, { now, delay }: Time): Promise<void> {
  const { webSocket } = await context.acceptWebSocket();
  try {
    for (let tick = 0; tick < 10 && webSocket.state === WebSocketState.Open; tick += 1) {
      if (tick > 0) await delay(2000);
      await webSocket.send(now().toISOString(), WebSocketMessageType.Text, true);
    }
    if (webSocket.state === WebSocketState.Open) await webSocket.close(WebSocketCloseStatus.NormalClosure, 'time is up');
  } finally {
    webSocket.dispose();
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const listener = new HttpListener();
  listener.prefixes.add('http://127.0.0.1:8000/ws/');
  await listener.start();
  console.log('Listening...');
  await serveClock(listener);
}
