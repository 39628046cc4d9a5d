/**
 * The adapters by name, each where it runs: the suites are one set of programs for all adapters and all runtimes.
 */
import type { AdapterUnderTest } from './adapter.ts';
import { streamsOverNet } from './net-pair.ts';

export const hostNames = ['node', 'bun', 'deno', 'streams', 'node-http2'] as const;
export type HostName = (typeof hostNames)[number];

const loaders: Readonly<Record<HostName, () => Promise<AdapterUnderTest>>> = {
  node: async () => named('@ferrywire/node', await import('@ferrywire/node')),
  bun: async () => named('@ferrywire/bun', await import('@ferrywire/bun')),
  deno: async () => named('@ferrywire/deno', await import('@ferrywire/deno')),
  streams: async () => streamsOverNet,
  'node-http2': async () => (await import('./http2-host.ts')).nodeOverHttp2,
};

function named(
  name: string,
  { capabilities, listen, connect, transportOf }: Required<Omit<AdapterUnderTest, 'name' | 'http2'>>,
): AdapterUnderTest {
  return { name, capabilities, listen, connect, transportOf };
}

/** `node`, `bun` or `deno`. */
export const here: 'node' | 'bun' | 'deno' =
  process.versions.bun !== undefined ? 'bun' : process.versions.deno !== undefined ? 'deno' : 'node';

/** Throws RangeError for another name. */
export function hostNamed(name: string | undefined): Promise<AdapterUnderTest> {
  const known = hostNames.find((host) => host === name);
  if (known === undefined) throw new RangeError(`the first argument is one of ${hostNames.join(', ')}, not '${name}'`);
  return loaders[known]();
}
