/**
 * An echo server over HTTP/2 (RFC 8441) with nothing but `node:http2`: the same decision function and the same driver as over HTTP/1.1.
 */
import http2 from 'node:http2';
import { Connection } from '@ferrywire/core';
import { serverDeflate } from '@ferrywire/deflate';
import { drive, type Transport } from '@ferrywire/driver';
import { decideUpgrade, type HeaderList, type RequestHead } from '@ferrywire/handshake';

const clock = (): number => performance.now();
const timers = {
  set: (call: () => void, ms: number) => setTimeout(call, ms),
  clear: (timer: unknown) => clearTimeout(timer as NodeJS.Timeout),
};
const policy = { extensions: [serverDeflate()] };

/** Pseudo-header fields become members of the head; repeated fields stay repeated. */
function headOf(raw: readonly string[]): RequestHead {
  const headers: [string, string][] = [];
  const pseudo: Record<string, string> = {};
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const [name = '', value = ''] = raw.slice(index, index + 2);
    if (name.startsWith(':')) pseudo[name.slice(1)] = value;
    else headers.push([name, value]);
  }
  const { method = '', path: target = '', ...others } = pseudo; // scheme, authority, protocol
  return { ...others, method, target, httpVersion: '2', headers };
}

/** A name that is repeated becomes a list. */
function fieldsOf(headers: HeaderList): http2.OutgoingHttpHeaders {
  const fields: Record<string, string[]> = {};
  for (const [name, value] of headers) fields[name] = [...(fields[name] ?? []), value];
  return fields;
}

function transportOver(stream: http2.ServerHttp2Stream): Transport {
  return {
    write(chunks) {
      if (!stream.writable) return true;
      stream.cork();
      for (const chunk of chunks) stream.write(chunk);
      stream.uncork();
      return stream.writableLength < stream.writableHighWaterMark;
    },
    end: () => stream.end(),
    // RST_STREAM with CANCEL is what a reset is over TCP (RFC 8441 section 5).
    abort: () => stream.close(http2.constants.NGHTTP2_CANCEL),
    pauseReading: () => stream.pause(),
    resumeReading: () => stream.resume(),
    get bufferedAmount() {
      return stream.writableLength;
    },
  };
}

export const server: http2.Http2Server = http2.createServer({ settings: { enableConnectProtocol: true } });
server.on('stream', (stream: http2.ServerHttp2Stream, _headers: unknown, _flags: number, rawHeaders: string[]) => {
  const decision = decideUpgrade(headOf(rawHeaders), policy);
  stream.on('error', () => {});
  stream.respond({ ...fieldsOf(decision.headers), ':status': decision.status });
  if (!decision.ok) return void stream.resume().end(decision.body);
  const ws: Connection = new Connection({
    ...decision.negotiated,
    clock,
    sink: { onText: (text) => void ws.send(text), onBinary: (data) => void ws.send(data) },
  });
  const driver = drive(ws, transportOver(stream), { clock, timers });
  stream.on('data', driver.data).on('drain', driver.drain).on('error', driver.error).on('close', driver.closed);
  // A reset shows as 'end' too.
  stream.on('end', () => (stream.rstCode ? driver.error(new Error(`reset with code ${stream.rstCode}`)) : driver.eof()));
});
server.listen(Number(process.env.PORT ?? 8080), '127.0.0.1');
