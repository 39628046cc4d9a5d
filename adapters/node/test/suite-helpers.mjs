/** What the suites that run on every runtime share; the tests of HTTP/2 on Node take it from here too. */
import { connect, createServer } from 'node:net';

/** For what has to come. */
export const LIMIT = 10_000;

/**
 * Run after each case, the last one first.
 *
 * @type {(() => unknown)[]}
 */
export const cleanups = [];
export async function cleanUp() {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}

/**
 * A promise and its end; it rejects when nothing comes.
 *
 * @template Value
 * @returns {{ promise: Promise<Value>, resolve: (value: Value) => void }}
 */
export function deferred() {
  /** @type {(value: Value) => void} */
  let resolve = () => {};
  /** @type {Promise<Value>} */
  const promise = new Promise((settle, reject) => {
    const timer = setTimeout(() => reject(new Error(`nothing came within ${LIMIT} ms`)), LIMIT);
    // What a case does not wait for keeps nobody waiting.
    timer.unref?.();
    resolve = (value) => {
      clearTimeout(timer);
      settle(value);
    };
  });
  promise.catch(() => {});
  return { promise, resolve };
}

/** More than any buffer of the system takes, and windows that let all of it go to the socket. */
export const FLOOD = 32_000_000;
export const WIDE = 2_147_483_647;

/**
 * A way to a server on which `stop()` makes both sides look as if they read nothing.
 *
 * @param {number} port
 */
export async function relayTo(port) {
  /** @type {Set<import('node:net').Socket>} */
  const sockets = new Set();
  /** @type {(from: import('node:net').Socket, to: import('node:net').Socket) => void} */
  const join = (from, to) => {
    sockets.add(from);
    from
      .on('data', (chunk) => void to.write(chunk))
      .on('end', () => to.end())
      .on('error', () => {})
      .on('close', () => to.destroy());
  };
  const server = createServer((socket) => {
    const further = connect({ port, host: '127.0.0.1' });
    join(socket, further);
    join(further, socket);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    stop() {
      for (const socket of sockets) socket.pause();
    },
    go() {
      for (const socket of sockets) socket.resume();
    },
  };
}
