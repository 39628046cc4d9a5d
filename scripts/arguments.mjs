/**
 * The options of a script. One that it does not take ends it with a line and exit code 2, as the commands of the packages do.
 */
import { parseArgs } from 'node:util';

/** @typedef {NonNullable<import('node:util').ParseArgsConfig['options']>} Known */

/**
 * @template {Known} const T
 * @param {T} options
 * @returns {ReturnType<typeof parseArgs<{ options: T }>>['values']}
 */
export function readOptions(options) {
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    // Behind its first sentence Node says how to pass what starts with a dash.
    wrongUse(error instanceof Error ? (error.message.split(/\.\s/)[0] ?? '') : String(error));
  }
}

/**
 * @param {string} message
 * @returns {never}
 */
export function wrongUse(message) {
  console.error(message);
  process.exit(2);
}
