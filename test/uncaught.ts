/** What is thrown where nobody catches it: handlers and listeners are called so that one that throws holds up nothing else. */

/** In words, while the work is done; vitest does not hear of it. */
export async function uncaughtDuring(work: () => Promise<unknown>): Promise<string[]> {
  const thrown: string[] = [];
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => void thrown.push(String(error)));
  try {
    await work();
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const listener of others) process.on('uncaughtException', listener);
  }
  return thrown;
}
