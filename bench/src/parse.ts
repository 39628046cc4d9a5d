/**
 * `parse`: CPU per message of a receiver in server role, fed the reads of a socket, against the receivers of `ws` (with and without its
 * native helper) and `websocket-driver`. Every variant in a process of its own, rounds interleaved, ratios taken within a round.
 */
import { Child } from './child.ts';
import { bytes, figure, type Goal, judge, printTable } from './report.ts';
import type { RuntimeName } from './runtimes.ts';
import { median, medianRatio } from './statistics.ts';
import type { PayloadKind } from './wire.ts';

export interface MeasureOptions {
  readonly runtime: RuntimeName;
  readonly rounds: number;
  readonly quick: boolean;
  /** Substrings of row names; empty for all rows. */
  readonly only: readonly string[];
}

const sizes = [16, 125, 1024, 16 * 1024, 64 * 1024, 1024 * 1024] as const;

/** Against `ws` with `bufferutil`. */
function goalOf(kind: PayloadKind, size: number): Goal | undefined {
  if (kind === 'text') return size === 16 ? { least: 4 } : size === 125 ? { least: 3 } : undefined;
  return { least: size <= 125 ? 4 : size === 1024 ? 2 : 1 };
}

/** From this size on there is a row more: the application hands messages back when done (`recycleInput`). Below, nothing is reused. */
const GIVEN_BACK_FROM = 16 * 1024;

const peers = [
  { name: 'ws+bufferutil', env: {} },
  { name: 'ws', env: { WS_NO_BUFFER_UTIL: '1' } },
  { name: 'websocket-driver', env: {} },
] as const;

type Sample = { readonly messages: number; readonly micros: number };

interface Row {
  readonly name: string;
  readonly kind: PayloadKind;
  readonly size: number;
  /** Ours. */
  readonly variant: 'ferrywire' | 'ferrywire given back';
}

function rowsOf(kind: PayloadKind, size: number): Row[] {
  const row: Row = { name: `${kind} ${bytes(size)}`, kind, size, variant: 'ferrywire' };
  if (kind === 'text' || size < GIVEN_BACK_FROM) return [row];
  return [row, { ...row, name: `${row.name}, given back`, variant: 'ferrywire given back' }];
}

async function measureRow(options: MeasureOptions, { name: row, kind, size, variant }: Row): Promise<string[]> {
  const variants = [{ name: variant, env: {} }, ...peers];
  const children = variants.map(
    ({ name, env }) => new Child(options.runtime, './parse-child.js', { args: [name, kind, String(size)], env }),
  );
  try {
    const costs = variants.map((): number[] => []);
    const slice = options.quick ? 60_000 : 150_000;
    for (const child of children) await child.ask<Sample>({ micros: options.quick ? 200_000 : 400_000 });
    for (let round = 0; round < options.rounds; round++) {
      for (const [index, child] of children.entries()) {
        const { messages, micros } = await child.ask<Sample>({ micros: slice });
        costs[index]?.push(micros / messages);
      }
    }
    const [ours = [], ...theirs] = costs;
    const ratios = theirs.map((cost) => medianRatio(cost, ours));
    const perSecond = 1e6 / median(ours);
    const rate = size >= 16 * 1024 ? `${figure((perSecond * size) / 1e9)} GB/s` : `${figure(perSecond / 1e6)} M/s`;
    return [row, rate, ...ratios.map(figure), judge(ratios[0] ?? Number.NaN, goalOf(kind, size))];
  } finally {
    await Promise.all(children.map((child) => child.stop()));
  }
}

export async function parse(options: MeasureOptions): Promise<void> {
  const rows: string[][] = [];
  for (const kind of ['binary', 'text'] as const) {
    for (const row of sizes.flatMap((size) => rowsOf(kind, size))) {
      if (options.only.length > 0 && !options.only.some((word) => row.name.includes(word))) continue;
      rows.push(await measureRow(options, row));
    }
  }
  printTable(
    `parse on ${options.runtime}: CPU per message, times ferrywire's (above 1: ferrywire is cheaper); goals against ws+bufferutil`,
    ['masked frames', 'ferrywire', 'ws+bufferutil', 'ws', 'websocket-driver', 'goal'],
    rows,
  );
}
