/**
 * Known implementations against their recorded verdicts, without the megabytes of group 9: the shorter half of the command `parity`.
 */
import { lineOf } from '../bin/parity.ts';
import { compareAll, isExplained, parityTargets } from '../parity.ts';

let passed = 0;
let failed = 0;
for await (const { name, count, found, seconds } of compareAll(Object.keys(parityTargets), { exclude: ['9.*'] })) {
  const wrong = found.filter((difference) => !isExplained(difference));
  for (const difference of wrong) console.log(lineOf(difference));
  console.log(`${name}: ${count} verdicts in ${seconds.toFixed(1)} s`);
  passed += count - wrong.length;
  failed += wrong.length;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
