/**
 * `deflate`: CPU per message of permessage-deflate with context takeover, against `ws` and against the bare zlib handle, which is the
 * least it can cost; the same through a whole connection, frames, masks and UTF-8 included; and the memory of one connection's contexts.
 */
import { Child } from './child.ts';
import type { MeasureOptions } from './parse.ts';
import { bytes, figure, type Goal, judge, printTable } from './report.ts';
import { median, medianRatio } from './statistics.ts';

const sizes = [100, 1024, 64 * 1024] as const;
const variants = ['ferrywire', 'ws', 'zlib', 'connection'] as const;
type Direction = 'inflate' | 'deflate';

/** The goals are for Node. */
function goalOf(runtime: string, direction: Direction, size: number): Goal | undefined {
  if (!runtime.startsWith('node')) return undefined;
  if (size === 100) return { least: 10 };
  if (size === 1024) return { least: direction === 'inflate' ? 8 : 2.5 };
  return undefined;
}
/** ferrywire at most 1.5 times the bare handle. */
const BARE: Goal = { least: 0.667 };
const bareGoal = (runtime: string): Goal | undefined => (runtime.startsWith('node') ? BARE : undefined);

async function measureRow(options: MeasureOptions, direction: Direction, size: number): Promise<string[]> {
  const children = variants.map((name) => new Child(options.runtime, './deflate-child.js', { args: [name, direction, String(size)] }));
  try {
    const costs = variants.map((): number[] => []);
    const slice = options.quick ? 60_000 : 150_000;
    for (const child of children) await child.ask({ micros: options.quick ? 150_000 : 400_000 });
    for (let round = 0; round < options.rounds; round++) {
      for (const [index, child] of children.entries()) {
        const { messages, micros } = await child.ask<{ messages: number; micros: number }>({ micros: slice });
        costs[index]?.push(micros / messages);
      }
    }
    const [own = [], ws = [], bare = [], connection = []] = costs;
    const overWs = medianRatio(ws, own);
    const overBare = medianRatio(bare, own);
    return [
      `${direction} ${bytes(size)}`,
      `${figure(median(own))} us`,
      figure(overWs),
      judge(overWs, goalOf(options.runtime, direction, size)),
      figure(overBare),
      judge(overBare, bareGoal(options.runtime)),
      `${figure(median(connection))} us, ${figure(medianRatio(connection, bare))} x bare`,
    ];
  } finally {
    await Promise.all(children.map((child) => child.stop()));
  }
}

async function measureMemory(options: MeasureOptions, variant: string): Promise<string[]> {
  const child = new Child(options.runtime, './deflate-memory.js', { args: [variant] });
  try {
    const { kib } = await child.ask<{ kib: number }>({ connections: options.quick ? 100 : 300 });
    return [variant, figure(kib)];
  } finally {
    await child.stop();
  }
}

export async function deflate(options: MeasureOptions): Promise<void> {
  const rows: string[][] = [];
  for (const direction of ['inflate', 'deflate'] as const) {
    for (const size of sizes) {
      if (options.only.length > 0 && !options.only.some((word) => `${direction} ${bytes(size)}`.includes(word))) continue;
      rows.push(await measureRow(options, direction, size));
    }
  }
  printTable(
    `deflate on ${options.runtime}: CPU per JSON message, times ferrywire's (above 1: ferrywire is cheaper)`,
    ['', 'ferrywire', 'ws', 'goal', 'bare zlib', 'goal', 'whole connection'],
    rows,
  );
  if (options.only.length > 0) return;
  const memory: string[][] = [];
  for (const variant of ['ferrywire', 'ferrywire takeover', 'ws', 'ws takeover']) memory.push(await measureMemory(options, variant));
  printTable(
    `deflate on ${options.runtime}: resident memory of one connection after 1 KiB of JSON each way`,
    ['', 'KiB per connection'],
    memory,
  );
}
