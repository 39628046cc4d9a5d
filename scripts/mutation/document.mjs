/** `docs/mutation.md`: the figures of a whole run, by file, and each survivor with its reason. */

/** `Map.groupBy`, which Node 20 lacks. @template T, K @param {readonly T[]} items @param {(item: T) => K} keyOf @returns {Map<K, T[]>} */
export function groupBy(items, keyOf) {
  /** @type {Map<K, T[]>} */
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}

/** @typedef {{ file: string, where: string, what: string, outcome: string }} Result */

const isAlive = (/** @type {Result} */ { outcome }) => outcome === 'survived' || outcome === 'unreached';
const code = (/** @type {string} */ text) => `\`\` ${text.replaceAll('|', '\\|')} \`\``;

/**
 * @param {readonly Result[]} results
 * @param {(result: Result) => string | null} reasonFor
 * @param {number} total How many changes there are.
 */
export function documentOf(results, reasonFor, total) {
  const files = [...new Set(results.map(({ file }) => file))];
  const killed = results.filter((result) => !isAlive(result)).length;
  const rows = files.map((file) => {
    const own = results.filter((result) => result.file === file);
    const dead = own.filter((result) => !isAlive(result)).length;
    return `| ${file} | ${own.length} | ${dead} | ${own.length - dead} |`;
  });
  const groups = groupBy(results.filter(isAlive), (result) => reasonFor(result) ?? 'No reason yet.');
  const survivors = [...groups].map(([reason, own]) => {
    const lines = own.map(({ file, where, what }) => `| ${file} | ${where} | ${code(what)} |`);
    return `### ${reason}\n\n| file | function | change |\n| --- | --- | --- |\n${lines.join('\n')}\n`;
  });
  return `# Mutation testing of the core

Written by \`npm run mutation -- --document\`: of ${total} changes of the core's compiled sources ${results.length} were tried, and its tests notice
${killed} of them (${((100 * killed) / results.length).toFixed(1)} %). The suites of memory, of time, of whole processes and of missing globals are not asked.
A change has 2 s of the tests that reach it, 4 s when it is tried again: nearly all that take less than a millisecond, those that notice changes
near it, and those that reach little else.

| file | changes | noticed | not |
| --- | --- | --- | --- |
${rows.join('\n')}

## What nobody notices

${survivors.join('\n')}`;
}
