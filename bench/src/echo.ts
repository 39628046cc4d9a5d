/**
 * `echo`: CPU per message of a server process that echoes, load from another process. Against `ws` (with and without its native helper),
 * `websocket-driver`, the runtime's own server where it has one, and the raw socket echo of the same bytes, which is the limit.
 */
import { Child } from './child.ts';
import type { MeasureOptions } from './parse.ts';
import { freePort } from './ports.ts';
import { bytes, figure, type Goal, judge, printTable } from './report.ts';
import { loadRuntime, type RuntimeName } from './runtimes.ts';
import { median, medianRatio } from './statistics.ts';

interface Shape {
  readonly size: number;
  readonly connections: number;
  readonly window: number;
  /** Ferrywire's server hands the memory of each message back (`recycleInput`), which the others have no way to do. */
  readonly givenBack?: true;
}
const shapes: readonly Shape[] = [
  { size: 16, connections: 1, window: 64 },
  { size: 16, connections: 50, window: 16 },
  { size: 16, connections: 200, window: 1 },
  { size: 125, connections: 50, window: 16 },
  { size: 1024, connections: 50, window: 16 },
  { size: 1024, connections: 200, window: 1 },
  ...bothWays({ size: 16 * 1024, connections: 20, window: 4 }),
  ...bothWays({ size: 64 * 1024, connections: 10, window: 2 }),
  ...bothWays({ size: 1024 * 1024, connections: 4, window: 1 }),
];
function bothWays(shape: Shape): readonly Shape[] {
  return [shape, { ...shape, givenBack: true }];
}

interface Server {
  readonly name: string;
  readonly env?: Readonly<Record<string, string>>;
}
/** Ferrywire first; what the goals are held against second; the raw echo last. */
function serversOf(runtime: RuntimeName, { givenBack }: Pick<Shape, 'givenBack'>): readonly Server[] {
  const ours = { name: givenBack === true ? 'ferrywire given back' : 'ferrywire' };
  if (runtime === 'bun' || runtime === 'deno') {
    return [ours, { name: `${runtime} native` }, { name: 'ferrywire node' }, { name: `${runtime} raw` }];
  }
  return [ours, { name: 'ws+bufferutil' }, { name: 'ws', env: { WS_NO_BUFFER_UTIL: '1' } }, { name: 'websocket-driver' }, { name: 'raw' }];
}

function goalOf(runtime: RuntimeName, { size, window }: Shape): Goal | undefined {
  const batched = window > 1;
  if (runtime === 'bun') return { least: batched ? 1.1 : size === 16 ? 0.95 : size === 1024 ? 0.8 : 1.1 };
  if (runtime === 'deno') return { least: batched && size === 16 ? 8 : batched && size === 1024 ? 5 : 1 };
  if (!batched) return size <= 1024 ? { least: 1.2 } : undefined;
  return size === 16 ? { least: 8 } : undefined;
}

interface Pair {
  readonly server: Child;
  readonly load: Child;
}

/** Of one server, one each per round. */
interface Figures {
  readonly costs: number[];
  readonly loadShare: number[];
}

/**
 * So many rounds, and the processes are replaced: where a heap and compiled code come to lie makes up to 20 % of a difference, for as long as
 * the process lives.
 */
const ROUNDS_OF_A_PROCESS = 4;

async function startPair(runtime: RuntimeName, server: Server, shape: Shape): Promise<Pair> {
  const port = await freePort();
  const child = new Child(runtime, './echo-server.js', { args: [server.name, String(port)], env: server.env ?? {} });
  const load = new Child(loadRuntime(), './load.js');
  const pair: Pair = { server: child, load };
  try {
    await child.ask({ do: 'ready' });
    const mode = server.name.endsWith('raw') ? 'raw' : 'ws';
    await load.ask({ do: 'shape', mode, port, size: shape.size, window: shape.window, connections: shape.connections });
    return pair;
  } catch (error) {
    await stopPair(pair);
    throw error;
  }
}

async function stopPair({ server, load }: Pair): Promise<void> {
  await load.stop();
  await server.stop();
}

/**
 * Until the runtime's compilers have seen enough messages: on JavaScriptCore the first seconds cost twice as much. A time alone would not do
 * on a busy machine. Bounded either way.
 */
async function warmUp({ load }: Pair, quick: boolean): Promise<void> {
  const enough = quick ? 20_000 : 60_000;
  let messages = 0;
  for (let round = 0; round < 12 && (round < 2 || messages < enough); round++) {
    messages += (await load.ask<{ messages: number }>({ do: 'run', milliseconds: 500 })).messages;
  }
}

async function runRound({ server, load }: Pair, milliseconds: number, { costs, loadShare }: Figures): Promise<void> {
  const before = await server.ask<{ micros: number }>({ do: 'cpu' });
  const done = await load.ask<{ messages: number; micros: number }>({ do: 'run', milliseconds });
  const after = await server.ask<{ micros: number }>({ do: 'cpu' });
  const used = after.micros - before.micros;
  costs.push(used / done.messages);
  loadShare.push(done.micros / used);
}

/** Interleaved rounds of servers that were started together, then stopped. */
async function measureTogether(options: MeasureOptions, shape: Shape, rounds: number, figures: readonly Figures[]): Promise<void> {
  const pairs: Pair[] = [];
  try {
    for (const server of serversOf(options.runtime, shape)) pairs.push(await startPair(options.runtime, server, shape));
    for (const pair of pairs) await warmUp(pair, options.quick);
    const order = [...pairs.entries()];
    for (let round = 0; round < rounds; round++) {
      for (const [index, pair] of order) {
        const own = figures[index];
        if (own !== undefined) await runRound(pair, options.quick ? 250 : 500, own);
      }
      // There and back: what a server does to the machine is felt by the same neighbours on both sides.
      order.reverse();
    }
  } finally {
    await Promise.all(pairs.map(stopPair));
  }
}

async function measureRow(options: MeasureOptions, shape: Shape): Promise<string[]> {
  const figures = serversOf(options.runtime, shape).map((): Figures => ({ costs: [], loadShare: [] }));
  for (let done = 0; done < options.rounds; done += ROUNDS_OF_A_PROCESS) {
    await measureTogether(options, shape, Math.min(ROUNDS_OF_A_PROCESS, options.rounds - done), figures);
  }
  const [ours, ...theirs] = figures;
  const own = ours?.costs ?? [];
  const ratios = theirs.map(({ costs }) => medianRatio(costs, own));
  return [
    rowName(shape),
    `${figure(median(own))} us`,
    ...ratios.map(figure),
    judge(ratios[0] ?? Number.NaN, goalOf(options.runtime, shape)),
    figures.map(({ loadShare }) => figure(median(loadShare))).join(' '),
  ];
}

function rowName({ size, connections, window, givenBack }: Shape): string {
  return `${bytes(size)} c${connections} w${window}${givenBack === true ? ', given back' : ''}`;
}

export async function echo(options: MeasureOptions): Promise<void> {
  const rows: string[][] = [];
  for (const shape of shapes) {
    if (options.only.length > 0 && !options.only.some((word) => rowName(shape).includes(word))) continue;
    rows.push(await measureRow(options, shape));
  }
  const [, first, ...rest] = serversOf(options.runtime, {}).map(({ name }) => name);
  printTable(
    `echo on ${options.runtime}: server CPU per message, times ferrywire's (above 1: ferrywire is cheaper); goals against ${first}`,
    ['c connections, w in flight on each', 'ferrywire', first ?? '', ...rest, 'goal', 'load CPU / server CPU'],
    rows,
  );
  console.log('load CPU / server CPU: in the order of the columns; above 1 the load process was the busier one');
}
