/**
 * The options of a script. `--help` prints what it takes. One that it does not take ends it with a line and exit code 2, as the commands of
 * the packages do.
 */
import { parseArgs } from 'node:util';

/** @typedef {NonNullable<import('node:util').ParseArgsConfig['options']>} Known */

/**
 * @template {Known} const T
 * @param {string} usage
 * @param {T} options
 * @returns {ReturnType<typeof parseArgs<{ options: T }>>['values']}
 */
export function readOptions(usage, options) {
  helpIfAsked(usage);
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    wrongUse(error instanceof Error ? lineOf(error) : String(error));
  }
}

/**
 * Ends the script when help was asked for.
 *
 * @param {string} usage
 */
export function helpIfAsked(usage) {
  if (!process.argv.slice(2).some((word) => word === '--help' || word === '-h')) return;
  console.log(usage);
  process.exit(0);
}

/**
 * Of a value that looks like an option, the last sentence says how it is given; elsewhere the rest is advice on escaping.
 *
 * @param {Error & { code?: unknown }} error
 */
function lineOf({ code, message }) {
  return code === 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE' ? message.replace(/\s+/g, ' ') : (message.split(/\.\s/)[0] ?? '');
}

/**
 * @param {string} message
 * @returns {never}
 */
export function wrongUse(message) {
  console.error(message);
  process.exit(2);
}
