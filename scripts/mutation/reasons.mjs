/** Why a mutant of the core survives: each entry names a change, or all changes of an expression. */

/** @typedef {{ file: string, where?: string, text: string, reason: string }} Reason `text` is part of the change. */
/** @type {readonly Reason[]} */
const reasons = [];

/** @param {{ file: string, where: string, what: string }} mutant @returns {string | null} */
export function reasonFor({ file, where, what }) {
  const found = reasons.find(
    (entry) => entry.file === file && (entry.where === undefined || entry.where === where) && what.includes(entry.text),
  );
  return found?.reason ?? null;
}
