/**
 * The other side of `child.ts`: answers questions that arrive as lines on standard input. Runs on every runtime.
 */
import { createInterface } from 'node:readline';
import type { Json } from './child.ts';

export function answer(handle: (question: { readonly [key: string]: Json }) => Promise<Json> | Json): void {
  let last: Promise<void> = Promise.resolve();
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      last = last.then(async () => {
        const reply = await handle(JSON.parse(line) as { readonly [key: string]: Json });
        process.stdout.write(`${JSON.stringify(reply)}\n`);
      });
      last.catch((error: unknown) => {
        console.error(error);
        process.exit(1);
      });
    })
    // The parent is gone.
    .once('close', () => process.exit(0));
}

/** Microseconds of CPU this process has used, all threads, user and system. */
export function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Collects garbage where the runtime lets us; the parent starts every runtime so that it does. */
export function collectGarbage(): void {
  const host = globalThis as { gc?: () => void; Bun?: { gc(force: boolean): void } };
  if (host.Bun !== undefined) host.Bun.gc(true);
  else host.gc?.();
}
