/**
 * A whole adapter: WebSocket between a program and a child process of it, over the child's standard input and output.
 *
 * What the child prints besides breaks the connection: log to standard error.
 */
import { EndpointHost } from '@ferrywire/driver';

/** @import { DriverHandle, PeerHandlers, TimerHost, Transport } from '@ferrywire/driver' */
/** @import { Readable, Writable } from 'node:stream' */

const clock = () => performance.now();
/** @type {TimerHost} */
const timers = {
  set: (callback, delay) => setTimeout(callback, delay).unref(),
  clear: (timer) => clearTimeout(/** @type {NodeJS.Timeout} */ (timer)),
};

/** @template {{ readonly driver: DriverHandle }} Started @param {Readable} input @param {Writable} output @param {(transport: Transport) => Started} start */
function join(input, output, start) {
  const started = start({
    write(chunks) {
      for (const chunk of chunks) output.write(chunk);
      return output.writableLength < output.writableHighWaterMark;
    },
    end: () => void output.end(),
    abort() {
      input.destroy();
      output.destroy();
    },
    pauseReading: () => void input.pause(),
    resumeReading: () => void input.resume(),
    get bufferedAmount() {
      return output.writableLength;
    },
  });
  const { data, eof, error, drain, closed } = started.driver;
  let open = 2;
  const close = () => --open === 0 && closed();
  input.on('data', data).on('end', eof).on('error', error).once('close', close);
  output.on('drain', drain).on('error', error).once('close', close);
  return started;
}

/** In the child. @param {PeerHandlers} handlers */
export function serve(handlers) {
  const host = new EndpointHost({ clock, timers, handlers });
  // Bun and Deno do not half-close standard output: what ends it everywhere is the end of the child.
  process.stdout.once('finish', () => process.exit());
  join(process.stdin, process.stdout, (transport) => ({ driver: host.serve(transport, { input: 'transferred' }) }));
}

/** In the parent, for a child spawned with pipes for both. @param {{ stdout: Readable, stdin: Writable }} child @param {PeerHandlers} handlers */
export function connect({ stdout, stdin }, handlers) {
  const host = new EndpointHost({ clock, timers, handlers });
  return join(stdout, stdin, (transport) => host.dial(transport, { url: 'ws://child/', input: 'transferred' })).opened;
}
