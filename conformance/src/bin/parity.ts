/**
 * `parity`: runs the implementations whose verdicts are recorded, and prints where ours differ. Two runs at a time: most of them wait.
 */
import { escaped } from '../escape.ts';
import { type Difference, differences, explained, parityTargets, recordedVerdicts } from '../parity.ts';
import { collect, runCases } from '../run.ts';
import type { Output } from './commands.ts';
import { type Options, UsageError } from './options.ts';

/** More differences than this are no parity, explained or not. */
const mostDifferences = 5;
const atATime = 2;

export async function runParity(options: Options, output: Output): Promise<number> {
  const known = Object.keys(parityTargets);
  const names = options.words.length === 0 ? known : options.words;
  for (const name of names) if (!known.includes(name)) throw new UsageError(`no recorded run '${name}'; there are ${known.join(', ')}`);
  // The longest first, so that it does not run alone at the end.
  const waiting = [...names].reverse();
  let compared = 0;
  let total = 0;
  let unexplained = 0;
  const worker = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const { count, found } = await compare(name, options, output);
      compared += count;
      total += found.length;
      unexplained += found.filter(({ id }) => explained[name]?.includes(id) !== true).length;
    }
  };
  await Promise.all(Array.from({ length: Math.min(atATime, names.length) }, worker));
  output.out(`${compared} verdicts compared, ${total} differ, ${total - unexplained} of them explained in docs/parity.md`);
  return unexplained > 0 || total > mostDifferences ? 1 : 0;
}

async function compare(name: string, options: Options, output: Output): Promise<{ count: number; found: Difference[] }> {
  const target = parityTargets[name]?.();
  if (target === undefined) throw new UsageError(`no recorded run '${name}'`);
  const recorded = recordedVerdicts(name);
  const started = performance.now();
  const results = await collect(runCases(target, { include: [...recorded.keys()], seed: options.seed, timeScale: options.timeScale }));
  const found = differences(recorded, results);
  for (const { id, recorded: before, result } of found) {
    const now = result === null ? 'did not run' : `${result.behavior}/${result.behaviorClose}/${result.remoteCloseCode ?? 'none'}`;
    const reason = result?.reason === null || result === null ? '' : `: ${escaped(result.reason)}`;
    output.out(`${name} ${id}: recorded ${before.behavior}/${before.behaviorClose}/${before.closeCode ?? 'none'}, now ${now}${reason}`);
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  output.out(`${name}: ${recorded.size - found.length} of ${recorded.size} verdicts are the same (${seconds} s)`);
  return { count: recorded.size, found };
}
