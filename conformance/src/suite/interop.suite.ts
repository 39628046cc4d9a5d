/** Interop on the adapter that the argument names: `interop.suite.js node|bun|deno|streams`, on every runtime that it runs on. */
import { hostNamed } from '../contract/hosts.ts';
import { interopCases } from '../contract/interop.ts';
import { runCasesAsSuite } from '../contract/suite.ts';

const adapter = await hostNamed(process.argv[2]);
runCasesAsSuite(`interop of ${adapter.name}`, interopCases(adapter), process.argv[3]);
