/**
 * The conformance cases over TCP, in both roles, on the adapter that the argument names: `host.suite.js node|bun|deno|streams`. Harness and
 * adapter run in this process, on whatever runtime that is.
 */
import { clientTarget, serverTarget } from '../contract/host-targets.ts';
import { hostNamed } from '../contract/hosts.ts';
import { runSuite } from './run-suite.ts';

const adapter = await hostNamed(process.argv[2]);
await runSuite([{ target: serverTarget(adapter) }, { target: clientTarget(adapter) }]);
// What is left over (a peer that does not end) must not keep the program.
process.exit();
