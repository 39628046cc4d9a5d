/**
 * An echo server inside a framework that has parsed the HTTP request already: here `node:http` and its event 'upgrade'.
 * `decideUpgrade` is a pure function of the request's head, `drive` joins the connection and the socket.
 */
import http from 'node:http';
import type { Duplex } from 'node:stream';
import { Connection } from '@ferrywire/core';
import { serverDeflate } from '@ferrywire/deflate';
import { drive, type Transport } from '@ferrywire/driver';
import { decideUpgrade } from '@ferrywire/handshake';

const clock = (): number => performance.now();
const timers = {
  set: (call: () => void, ms: number) => setTimeout(call, ms),
  clear: (timer: unknown) => clearTimeout(timer as NodeJS.Timeout),
};
const policy = { extensions: [serverDeflate()] };

function transportOver(socket: Duplex): Transport {
  return {
    write(chunks) {
      socket.cork();
      for (const chunk of chunks) socket.write(chunk);
      socket.uncork();
      return !socket.writableNeedDrain;
    },
    end: () => socket.end(),
    abort: () => socket.destroy(),
    pauseReading: () => socket.pause(),
    resumeReading: () => socket.resume(),
    get bufferedAmount() {
      return socket.writableLength;
    },
  };
}

export const server: http.Server = http.createServer((_request, response) => response.writeHead(404).end('nothing but WebSockets here\n'));
server.on('upgrade', (request, socket, head) => {
  const { method = '', url = '', rawHeaders } = request;
  const decision = decideUpgrade(
    // Node's parser takes other versions too, in which there is no Upgrade.
    { method, target: url, httpVersion: request.httpVersion === '1.1' ? '1.1' : '1.0', headers: rawHeaders },
    policy,
  );
  const fields = decision.headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.write(`HTTP/1.1 ${decision.status} ${http.STATUS_CODES[decision.status]}\r\n${fields}\r\n${decision.ok ? '' : decision.body}`);
  if (!decision.ok) return void socket.on('error', () => {}).end();
  const ws: Connection = new Connection({
    ...decision.negotiated,
    clock,
    sink: { onText: (text) => void ws.send(text), onBinary: (data) => void ws.send(data) },
  });
  const driver = drive(ws, transportOver(socket), { clock, timers });
  if (head.length > 0) driver.data(head);
  socket.on('data', driver.data).on('end', driver.eof).on('error', driver.error).on('drain', driver.drain).on('close', driver.closed);
});
server.listen(Number(process.env.PORT ?? 8080), '127.0.0.1');
