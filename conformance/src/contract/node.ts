/** The contract of `@ferrywire/node`, for Node, Bun and Deno alike: `node dist/contract/node.js [part of a case's name]`. */
import { capabilities, connect, listen } from '@ferrywire/node';
import { contractSuite } from './suite.ts';

contractSuite({ name: '@ferrywire/node', capabilities, listen, connect }, process.argv[2]);
