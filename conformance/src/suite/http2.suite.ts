/**
 * Ferrywire's echo endpoints over HTTP/2, in both roles. The argument is the runtime of the endpoints; the harness runs where this runs.
 */

import { readOptions } from '../bin/options.ts';
import { selfTargets } from '../bin/self.ts';
import { runSuite } from './run-suite.ts';

const [runtime = 'node'] = process.argv.slice(2);
const messages = runtime === 'node' ? {} : { messages: 2 };

await runSuite(
  selfTargets(readOptions(['self', '--runtime', runtime, '--only', 'http2'])).map((target) => ({ target, options: messages })),
);
