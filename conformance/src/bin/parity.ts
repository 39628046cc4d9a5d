/**
 * `parity`: runs the implementations whose verdicts are recorded, and prints where ours differ.
 */
import { escaped } from '../escape.ts';
import { compareAll, type Difference, isExplained, parityTargets } from '../parity.ts';
import { onInterrupt } from './interrupt.ts';
import { type Options, UsageError } from './options.ts';
import type { Output } from './output.ts';

/** More differences than this are no parity, explained or not. */
const mostDifferences = 5;

export async function runParity(options: Options, output: Output): Promise<number> {
  const known = Object.keys(parityTargets);
  const names = options.words.length === 0 ? known : options.words;
  for (const name of names) if (!known.includes(name)) throw new UsageError(`no recorded run '${name}'; there are ${known.join(', ')}`);
  let compared = 0;
  const differences: Difference[] = [];
  const { include, exclude, seed, timeScale } = options;
  const missing = new Set(names);
  const { signal, off } = onInterrupt(1, (name) => output.err(`interrupted by ${name}`));
  try {
    for await (const { name, count, found, seconds } of compareAll(names, { include, exclude, seed, timeScale, signal })) {
      missing.delete(name);
      compared += count;
      differences.push(...found);
      for (const difference of found) output.out(lineOf(difference));
      if (count > 0) output.out(`${name}: ${count - found.length} of ${count} verdicts are the same (${seconds.toFixed(1)} s)`);
    }
  } finally {
    off();
  }
  for (const name of missing) output.out(`${name}: not compared`);
  if (compared === 0 && missing.size === 0) throw new UsageError('no recorded case is chosen');
  const unexplained = differences.filter((difference) => !isExplained(difference));
  const total = differences.length;
  output.out(`${compared} verdicts compared, ${total} differ, ${total - unexplained.length} of them explained in docs/parity.md`);
  return missing.size > 0 || unexplained.length > 0 || total > mostDifferences ? 1 : 0;
}

/** Safe for a terminal. */
export function lineOf({ run, id, recorded, result }: Difference): string {
  const words = [recorded.behavior, recorded.behaviorClose, recorded.closeCode ?? 'none'].join('/');
  if (result === null) return `${run} ${id}: recorded ${words}, now did not run`;
  const now = [result.behavior, result.behaviorClose, result.remoteCloseCode ?? 'none'].join('/');
  const reason = result.reason === null ? '' : `: ${escaped(result.reason)}`;
  return `${run} ${id}: recorded ${words}, now ${now}${reason}`;
}
