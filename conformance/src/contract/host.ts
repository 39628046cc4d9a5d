/** The contract of an adapter: `host.js node|bun|deno|streams [part of a case's name]`, on every runtime that the adapter runs on. */
import { hostNamed } from './hosts.ts';
import { contractSuite } from './suite.ts';

const [name, only] = process.argv.slice(2);
contractSuite(await hostNamed(name), only);
