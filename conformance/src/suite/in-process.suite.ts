/**
 * Ferrywire in process, in virtual time, in both roles: as the cases write, in single bytes up to 64 KiB a message (with 20 seeded cuts in
 * larger ones), and the extra cases. OK everywhere, and nothing NON-STRICT. Events are pulled in the first way and pushed in the second.
 */
import { singleBytes, whole } from '../split.ts';
import { ferrywire } from '../targets/ferrywire.ts';
import { inProcess } from '../targets/in-process.ts';
import { runSuite } from './run-suite.ts';

const roles = ['server', 'client'] as const;
const ways = [
  ['whole', whole, 'pull'],
  ['in single bytes', singleBytes(), 'push'],
] as const;

await runSuite(
  ways.flatMap(([how, split, mode]) =>
    roles.map((role) => ({ target: inProcess(ferrywire(undefined, mode), { role, split, name: `${role}, ${how}` }) })),
  ),
);
