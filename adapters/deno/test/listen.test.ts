/** The loop that accepts, over a listener that only looks like one of Deno's. */
import { afterEach, expect, it, vi } from 'vitest';
import { uncaughtDuring } from '../../../test/uncaught.ts';
import { listen } from '../dist/index.js';

afterEach(() => vi.unstubAllGlobals());

/** A listener whose first accept fails, and whose second waits for its end. */
function failing() {
  let accepts = 0;
  let again = (): void => {};
  const acceptedAgain = new Promise<void>((resolve) => {
    again = resolve;
  });
  let stop = (_error: Error): void => {};
  const listener = {
    addr: { hostname: '127.0.0.1', port: 1 },
    accept(): Promise<never> {
      accepts += 1;
      if (accepts === 1) return Promise.reject(new Error('too many open files'));
      again();
      return new Promise((_, reject) => {
        stop = reject;
      });
    },
    close: () => stop(new Error('closed')),
    ref: () => {},
    unref: () => {},
  };
  vi.stubGlobal('Deno', { version: { deno: '2.9.0' }, listen: () => listener });
  return { acceptedAgain };
}

it('accepts again after a failure, though onListenerError throws', async () => {
  const { acceptedAgain } = failing();
  const told: string[] = [];
  const thrown = await uncaughtDuring(async () => {
    const server = await listen({
      onListenerError(error) {
        told.push(error.message);
        throw new Error('from the handler');
      },
    });
    await acceptedAgain;
    await server.close();
  });
  expect(told).toEqual(['too many open files']);
  expect(thrown).toEqual(['Error: from the handler']);
});

it('warns of a failure where nobody asked to hear of it', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  const { acceptedAgain } = failing();
  const server = await listen();
  await acceptedAgain;
  await server.close();
  expect(warn.mock.calls).toEqual([[expect.objectContaining({ message: 'too many open files' })]]);
  warn.mockRestore();
});
