/**
 * Ferrywire in process, in virtual time, in both roles: as the cases write, in single bytes up to 64 KiB a write (with 20 seeded cuts in
 * larger ones), and the extra cases. OK everywhere, and nothing NON-STRICT.
 */
import { singleBytes, whole } from '../split.ts';
import { ferrywire } from '../targets/ferrywire.ts';
import { inProcess } from '../targets/in-process.ts';
import { runSuite } from './run-suite.ts';

const roles = ['server', 'client'] as const;
const splits = [
  ['whole', whole],
  ['in single bytes', singleBytes()],
] as const;

await runSuite(
  splits.flatMap(([how, split]) => roles.map((role) => ({ target: inProcess(ferrywire(), { role, split, name: `${role}, ${how}` }) }))),
);
