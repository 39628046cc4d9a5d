/**
 * `memory`: what an idle connection costs the server process, default deadlines on, beside a socket that was upgraded and only kept.
 */
import { Child } from './child.ts';
import type { MeasureOptions } from './parse.ts';
import { freePort } from './ports.ts';
import { figure, judge, printTable } from './report.ts';
import { loadRuntime } from './runtimes.ts';
import { median } from './statistics.ts';

const WARM = 1000;
const GOAL_KIB = 1;
/**
 * V8's young generation grows while connections come in, to 16 MiB and more, whatever survives: the more of them come at once, the more. It would
 * stand in the resident memory of 4000 connections as 1 to 4 KiB each.
 */
const FIXED_YOUNG_GENERATION = ['--max-semi-space-size=1'] as const;

type Sample = { readonly rss: number; readonly heap: number; readonly arrayBuffers: number };

interface PerConnection {
  readonly rss: number;
  readonly heap: number;
}

async function measure(options: MeasureOptions, variant: string, connections: number): Promise<PerConnection> {
  const port = await freePort();
  const server = new Child(options.runtime, './echo-server.js', {
    args: [variant, String(port)],
    flags: options.runtime.startsWith('node') ? FIXED_YOUNG_GENERATION : [],
  });
  const load = new Child(loadRuntime(), './load.js');
  try {
    await server.ask({ do: 'ready' });
    const mode = variant.endsWith('raw') ? 'raw' : 'ws';
    // The first connections pay for code and for tables that grow.
    await load.ask({ do: 'idle', mode, port, connections: WARM });
    const before = await server.ask<Sample>({ do: 'memory' });
    await load.ask({ do: 'idle', mode, port, connections });
    const after = await server.ask<Sample>({ do: 'memory' });
    return { rss: (after.rss - before.rss) / connections / 1024, heap: (after.heap - before.heap) / connections / 1024 };
  } finally {
    await load.stop();
    await server.stop();
  }
}

export async function memory(options: MeasureOptions): Promise<void> {
  const native = options.runtime === 'bun' || options.runtime === 'deno';
  const base = native ? `${options.runtime} raw` : 'bare upgrade';
  const variants = native ? [base, 'ferrywire', `${options.runtime} native`] : [base, 'ferrywire', 'ferrywire attach', 'ws', 'raw'];
  const connections = options.quick ? 1000 : 4000;
  const rounds = Math.min(options.rounds, options.quick ? 2 : 3);
  const samples = new Map<string, PerConnection[]>(variants.map((variant) => [variant, []]));
  for (let round = 0; round < rounds; round++) {
    for (const variant of variants) samples.get(variant)?.push(await measure(options, variant, connections));
  }
  const of = (variant: string, what: keyof PerConnection): number => median((samples.get(variant) ?? []).map((sample) => sample[what]));
  const rows = variants.map((variant) => {
    const above = of(variant, 'heap') - of(base, 'heap');
    return [
      variant,
      figure(of(variant, 'heap')),
      variant === base ? '' : above.toFixed(2),
      figure(of(variant, 'rss')),
      variant === base ? '' : (of(variant, 'rss') - of(base, 'rss')).toFixed(2),
      variant.startsWith('ferrywire') && !native ? judge(above, { most: GOAL_KIB }) : '',
    ];
  });
  printTable(
    `memory on ${options.runtime}: KiB per idle connection over ${connections} connections, after collection`,
    ['server', 'heap', `above ${base}`, 'resident', `above ${base}`, 'goal'],
    rows,
  );
}
