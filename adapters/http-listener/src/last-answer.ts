/**
 * The end of an answer, and what is left of the body of its request then. Node closes the connection with the end of the last answer, at once:
 * where the body still comes, this is a reset, which takes the answer from a client that is not reading yet (RFC 9112 section 9.6). So the body
 * is read over first, for a while.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { timers } from '@ferrywire/node';
import { readOver } from './request-body.ts';

/** Milliseconds that the rest of a request may take when its answer is the last of the connection. */
const linger = 1000;
const nothing = new Uint8Array(0);

/** Ends a response whose head has been given; `connection` is what it says in that field. */
export function endAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  body: Uint8Array = nothing,
  connection: string | null = null,
): void {
  if (isWhole(request)) {
    if (body.length === 0) response.end();
    else response.end(body);
    return;
  }
  if (body.length > 0) response.write(body);
  else response.flushHeaders();
  // Bun's response does not know what its request says.
  if (!response.shouldKeepAlive || saysClose(connection) || saysClose(request.headers.connection)) {
    endLast(request, response);
    return;
  }
  // Not at once: who stops the listener behind the answer makes it the last one.
  process.nextTick(() => {
    if (!response.shouldKeepAlive && !isWhole(request)) {
      endLast(request, response);
      return;
    }
    response.once('finish', () => readOver(request));
    response.end();
  });
}

/** Nothing of it comes any more. */
function isWhole(request: IncomingMessage): boolean {
  return request.complete || request.destroyed;
}

function endLast(request: IncomingMessage, response: ServerResponse): void {
  const over = (): void => {
    timers.clear(timer);
    request.off('end', over).off('close', over);
    response.end();
  };
  const timer = timers.set(over, linger);
  request.once('end', over).once('close', over);
  // Not at once: who ends the answer and then reads the body may have it.
  process.nextTick(readOver, request);
}

export function saysClose(field: string | null | undefined): boolean {
  return /(^|,)[ \t]*close[ \t]*(,|$)/i.test(field ?? '');
}
