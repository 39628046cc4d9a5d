/** TLS, capabilities and errors of the adapter that the argument names: `errors.suite.js node|bun|deno|streams`, on every runtime that it runs on. */
import { capabilityCases } from '../contract/capability.ts';
import { type HostName, hostNamed } from '../contract/hosts.ts';
import { mistakeCases } from '../contract/mistakes.ts';
import { runCasesAsSuite } from '../contract/suite.ts';
import { tlsCases } from '../contract/tls.ts';

const [name, only] = process.argv.slice(2);
const adapter = await hostNamed(name);
const host = name as HostName;
runCasesAsSuite(
  `TLS and errors of ${adapter.name}`,
  [...tlsCases(adapter, host), ...mistakeCases(adapter), ...capabilityCases(adapter, host)],
  only,
);
