/**
 * The conformance cases over TCP, in both roles, on the adapter that the argument names: `host.suite.js node|bun|deno|streams`. Harness and
 * adapter run in this process, on whatever runtime that is.
 */
import { clientTarget, serverTarget } from '../contract/host-targets.ts';
import { hostNamed } from '../contract/hosts.ts';
import { runSuite } from './run-suite.ts';

const adapter = await hostNamed(process.argv[2]);
// Cases wait more than they work. Long exchanges with compression are the codecs' business.
const options = { parallel: 8, messages: 2 };
await runSuite([
  { target: serverTarget(adapter), options },
  { target: clientTarget(adapter), options },
]);
// What is left over (a peer that does not end) must not keep the program.
process.exit();
