/**
 * Faults of a runtime that end its process, whatever the program does: known, reported to its makers, and of no line of this repository.
 *
 * A suite that one of them ended is run once more, and the report says so; a second time counts as the failure it is. Beware: a row must
 * name what only this fault prints. Take a row out when the pinned runtime no longer has the fault.
 *
 * @typedef {object} Fault
 * @property {import('./suites.mjs').RuntimeName} runtime
 * @property {RegExp} suites The names of the suites that it can end.
 * @property {string} known Where it is reported, and what it is.
 * @property {RegExp} prints
 */

/** @type {readonly Fault[]} */
const faults = [
  {
    runtime: 'deno',
    suites: /http2|HTTP\/2/,
    known: 'denoland/deno#36788: a GOAWAY aborts the process, seen with 2.9.5 and 2.9.6',
    prints: /^deno: nghttp2\/lib\/nghttp2_session\.c:\d+: int find_stream_on_goaway_func\(.*\): Assertion `.*' failed\.$/m,
  },
];

/**
 * The fault that ended a suite before it printed its figures, or null.
 *
 * @param {string} suite
 * @param {import('./suites.mjs').RuntimeName} runtime
 * @param {{ code: number | null, output: string }} result
 * @returns {string | null}
 */
export function faultOf(suite, runtime, { code, output }) {
  if (code === 0) return null;
  const fault = faults.find((row) => row.runtime === runtime && row.suites.test(suite) && row.prints.test(output));
  return fault === undefined ? null : fault.known;
}
