#!/usr/bin/env node
/**
 * `npm start [-- --port 9001 --host 127.0.0.1]`: the demo until Ctrl-C. Exit code 1 with one line when it cannot start.
 */
import { startDemo } from '../demo/server.ts';
import { exitWith, onStop, outliveReader, readArgs, readHost, readPort, UsageError } from './cli.ts';

const usage = `use: npm start -- [options]

  --port P      where to listen (default 9001; 0: any that is free)
  --host HOST   a name or an address (default 127.0.0.1)

exit codes: 0 when ended by a signal, 1 it cannot listen, 2 wrong use`;

outliveReader();
try {
  const { values } = readArgs(usage, {
    options: { port: { type: 'string', default: '9001' }, host: { type: 'string', default: '127.0.0.1' } },
    strict: true,
  });
  const demo = await startDemo({ port: readPort(values.port), host: readHost(values.host) });
  onStop(() => demo.close());
  process.stdout.write(`listening on ${demo.url}\n`);
} catch (error) {
  exitWith(error, error instanceof UsageError ? 2 : 1);
}
