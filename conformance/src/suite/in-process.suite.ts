/**
 * Ferrywire in process, in virtual time, in both roles: as the cases write, in single bytes up to 64 KiB a message (with 20 seeded cuts in
 * larger ones), and the extra cases. OK everywhere, and nothing NON-STRICT. Events are pulled in the first way and pushed in the second.
 * A message in single bytes takes ten times as long, so groups 12 and 13 have fewer of them there: enough for a window that goes on.
 */
import { singleBytes, whole } from '../split.ts';
import { ferrywire } from '../targets/ferrywire.ts';
import { inProcess } from '../targets/in-process.ts';
import { messagesHere, runSuite } from './run-suite.ts';

const roles = ['server', 'client'] as const;
const ways = [
  ['whole', whole, 'pull', messagesHere()],
  ['in single bytes', singleBytes(), 'push', Math.min(messagesHere(), 4)],
] as const;

await runSuite(
  ways.flatMap(([how, split, mode, messages]) =>
    roles.map((role) => ({
      target: inProcess(ferrywire(undefined, mode), { role, split, name: `${role}, ${how}` }),
      options: { messages },
    })),
  ),
);
