/** A stream of HTTP/2 as a channel: END_STREAM is the FIN, RST_STREAM with CANCEL the reset (RFC 8441 section 5). */
import type { Buffer } from 'node:buffer';
import type { Http2Stream } from 'node:http2';
import type { Channel, ChannelEvents } from '../channel.ts';

/** NGHTTP2_CANCEL. */
export const cancel = 8;

export function streamChannel(stream: Http2Stream): Channel {
  return {
    write: (bytes) => {
      if (stream.writable) stream.write(bytes);
    },
    end: () => {
      if (!stream.destroyed) stream.end();
    },
    abort: () => {
      if (stream.destroyed) return;
      // Nothing is left to reset, and Node takes many resets in a row for an attack.
      if (stream.readableEnded) stream.end();
      else stream.close(cancel);
    },
  };
}

/** Feeds the run from the stream until either ends. */
export function connectStream(stream: Http2Stream, events: ChannelEvents): void {
  let ended = false;
  const end = (error: string | null): void => {
    if (ended) return;
    ended = true;
    events.ended(error);
  };
  stream.on('end', () => end(null));
  stream.on('close', () => end(stream.rstCode ? `the stream was reset with code ${stream.rstCode}` : null));
  stream.on('data', (chunk: Buffer) => events.data(chunk));
}
