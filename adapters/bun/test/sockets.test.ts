/** What `connect` and `listen` do with the sockets that they get, in a namespace that only looks like Bun's. */
import { afterEach, expect, it, vi } from 'vitest';
import { deferred } from '../../node/test/helpers.ts';
import { connect, listen } from '../dist/index.js';

afterEach(() => vi.unstubAllGlobals());

function socket(log: string[]) {
  const made = {
    data: undefined as { closed(error: undefined): void } | undefined,
    readyState: 1,
    write: (bytes: Uint8Array) => bytes.length,
    shutdown: () => {},
    terminate() {
      log.push('terminate');
      setImmediate(() => made.data?.closed(undefined));
    },
    pause: () => {},
    resume: () => {},
    ref: () => {},
    unref: () => {},
    setNoDelay: (on: boolean) => void log.push(`noDelay ${on}`),
  };
  return made;
}
/** What is given to `Bun.listen` calls `accept`, as connections come in. */
function bun(log: string[]) {
  const accepting = { accept: (): void => {} };
  vi.stubGlobal('process', Object.create(process, { versions: { value: { ...process.versions, bun: '1.4.0' } } }));
  // Node 20 has none.
  Object.assign(Promise, { withResolvers: deferred });
  vi.stubGlobal('Bun', {
    connect: async () => socket(log),
    listen(options: { readonly socket: { open(accepted: object): void } }) {
      accepting.accept = () => options.socket.open(socket(log));
      return { port: 1, stop: () => {} };
    },
  });
  return accepting;
}

it('waits for no answer to what was written before (Nagle), on TCP', async () => {
  for (const [options, expected] of [
    [{}, ['noDelay true', 'terminate']],
    [{ socketPath: '/socket' }, ['terminate']],
  ] as const) {
    const log: string[] = [];
    bun(log);
    const controller = new AbortController();
    const connecting = connect('ws://127.0.0.1:1/', { ...options, signal: controller.signal });
    setImmediate(() => controller.abort());
    await expect(connecting).rejects.toMatchObject({ code: 'WS_CONNECT_ABORTED' });
    expect(log).toEqual(expected);
  }
});

it('drops who comes in when the listener has stopped', async () => {
  const log: string[] = [];
  const accepting = bun(log);
  const server = await listen();
  accepting.accept();
  expect(log).toEqual(['noDelay true']);
  await server.close({ deadline: 0 });
  expect(log.splice(0)).toEqual(['noDelay true', 'terminate']);
  accepting.accept();
  expect(log).toEqual(['terminate']);
});
