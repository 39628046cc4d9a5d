/**
 * Reads how many tests passed and failed from what a suite printed.
 */

// biome-ignore lint/suspicious/noControlCharactersInRegex: this is what terminal colours are made of
const colours = /\u001b\[[0-9;]*m/g;

/**
 * @param {string} output
 * @returns {{ passed: number, failed: number, skipped: number } | null} Null when no figures were printed.
 */
export function parseCounts(output) {
  const text = output.replace(colours, '');
  const plain = [...text.matchAll(/^(\d+) passed, (\d+) failed$/gm)].at(-1);
  if (plain !== undefined) return { passed: Number(plain[1]), failed: Number(plain[2]), skipped: 0 };
  const total = [...text.matchAll(/^\s*Total:\s+(\d+)\s*$/gm)];
  const passed = [...text.matchAll(/^\s*Passed:\s+(\d+)\s*$/gm)];
  const skipped = [...text.matchAll(/^\s*Skipped:\s+(\d+)\s*$/gm)];
  if (total.length === 0 || total.length !== passed.length) return null;
  /** @param {readonly RegExpMatchArray[]} matches */
  const sum = (matches) => matches.reduce((all, match) => all + Number(match[1]), 0);
  // uvu counts a skipped test in neither figure.
  return { passed: sum(passed), failed: sum(total) - sum(passed), skipped: sum(skipped) };
}

/**
 * Figures of a vitest JSON report. A file that did not load has no tests and counts as one failure.
 *
 * @param {{ testResults?: readonly { name: string, status: string, message?: string, assertionResults: readonly { status: string }[] }[] }} report
 */
export function vitestCounts(report) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const notLoaded = [];
  for (const file of report.testResults ?? []) {
    let failed = 0;
    for (const { status } of file.assertionResults) {
      if (status === 'passed') counts.passed++;
      else if (status === 'failed') failed++;
      else counts.skipped++;
    }
    if (failed === 0 && file.status !== 'passed') {
      failed = 1;
      notLoaded.push(file.name);
    }
    counts.failed += failed;
  }
  return { ...counts, notLoaded };
}
