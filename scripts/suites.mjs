/**
 * The suites of `npm test` that are run as a program of their own: the same built file, unchanged, on several runtimes.
 *
 * Append a row to add one. The vitest suites (`<package>/test/*.test.ts`) need no row: `vitest.config.ts` finds them.
 *
 * A suite must print its figures, either as uvu does (`Total:` and `Passed:`) or as a line `N passed, N failed`. One that prints none
 * counts as failed, and so does one that exits with another code than its figures call for, or that exceeds its time.
 *
 * @typedef {'node' | 'node24' | 'node26' | 'bun' | 'deno'} RuntimeName
 * @typedef {object} Suite
 * @property {string} name What the report calls it.
 * @property {string} file The built file, from the repository's root.
 * @property {readonly string[]} [args] Arguments after the file.
 * @property {readonly RuntimeName[]} [runtimes] Default: all five. `node` is the system's.
 * @property {number} [timeout] Seconds. Default 120.
 * @property {boolean} [alone] Run while nothing else runs (memory and time are measured). Default false.
 */

/**
 * The same four programs for each adapter, on every runtime it runs on.
 *
 * @param {string} host
 * @param {readonly RuntimeName[]} [only]
 * @returns {readonly Suite[]}
 */
const adapterSuites = (host, only) =>
  [
    { name: `adapter contract: ${host}`, file: 'conformance/dist/contract/host.js', timeout: 240 },
    { name: `adapter conformance: ${host}`, file: 'conformance/dist/suite/host.suite.js', timeout: 240 },
    { name: `adapter interop: ${host}`, file: 'conformance/dist/suite/interop.suite.js' },
    { name: `adapter errors: ${host}`, file: 'conformance/dist/suite/errors.suite.js' },
  ].map((suite) => ({ ...suite, args: [host], ...(only === undefined ? {} : { runtimes: only }) }));

/** @type {readonly Suite[]} */
export const suites = [
  { name: 'frame codec', file: 'packages/core/test/codec.suite.mjs' },
  { name: 'WHATWG classes', file: 'packages/websocket/test/websocket.suite.mjs' },
  { name: 'deflate codecs', file: 'packages/deflate/dist/suite/codec.suite.js' },
  ...adapterSuites('node'),
  ...adapterSuites('bun', ['bun']),
  ...adapterSuites('deno', ['deno']),
  ...adapterSuites('streams'),
  ...adapterSuites('node-http2').filter(({ name }) => /contract|conformance|errors/.test(name)),
  { name: 'conformance in process', file: 'conformance/dist/suite/in-process.suite.js', timeout: 600 },
  // Endpoints of each runtime as children; the adapters' own suites have the harness on every runtime.
  ...['node', 'bun', 'deno'].map(
    (runtime) =>
      /** @satisfies {Suite} */ ({
        name: `conformance over TCP: ${runtime}`,
        file: 'conformance/dist/suite/tcp.suite.js',
        args: [runtime],
        runtimes: ['node24'],
        timeout: 240,
      }),
  ),
  // Children of their own runtimes; all cases but those of megabytes (`npm run conform -- parity` has them too).
  { name: 'conformance parity', file: 'conformance/dist/suite/parity.suite.js', runtimes: ['node24'], timeout: 240 },
  { name: 'attach', file: 'adapters/node/test/attach.suite.mjs' },
  { name: 'HTTP/2', file: 'adapters/node/test/http2.suite.mjs' },
  { name: 'HttpListener', file: 'adapters/http-listener/test/http-listener.suite.mjs' },
];
