/**
 * Changes one cell of the core's state tables before the rest of the core is loaded, and runs the scenarios on what comes out. A thread of its
 * own, since a changed table may make a loop endless: the test gives up on a mutant that does not answer.
 *
 * Each mutant is a copy of `dist`, so the module graph is fresh and a table that is read while loading is changed as well.
 */
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { firstFailure, states } from './state-scenarios.mjs';

/**
 * @typedef {{ table: 'fragmentation' | 'lifecycle' | 'meaning', row: string, column: string, value: unknown }} Mutant
 * @typedef {{ [row: string]: { [column: string]: unknown } }} Table
 */

/** @param {Table} table @param {Mutant['table']} name @returns {Mutant[]} */
function mutantsOf(table, name) {
  /** What a cell may say. @type {(column: string) => unknown[]} */
  const values = (column) => {
    if (name === 'fragmentation') return ['idle', 'message', 'WS_UNEXPECTED_CONTINUATION', 'WS_EXPECTED_CONTINUATION', 'WS_INVALID_OPCODE'];
    if (name === 'lifecycle') return [...states, null];
    if (column === 'server' || column === 'client') return ['open', 'end', 'done', 'abort'];
    return column === 'state' ? ['open', 'closing', 'closed'] : [true, false];
  };
  return Object.entries(table).flatMap(([row, cells]) =>
    Object.entries(cells).flatMap(([column, now]) =>
      values(column)
        .filter((value) => value !== now)
        .map((value) => ({ table: name, row, column, value })),
    ),
  );
}

/** @param {{ [name: string]: Table }} tables */
export function allMutants({ fragmentation, lifecycle, meaning }) {
  if (fragmentation === undefined || lifecycle === undefined || meaning === undefined) throw new Error('a table is missing');
  return [...mutantsOf(fragmentation, 'fragmentation'), ...mutantsOf(lifecycle, 'lifecycle'), ...mutantsOf(meaning, 'meaning')];
}

/** What the scenarios say about a core with `mutant` in it, or with none. @param {string} dist @param {string} folder @param {Mutant | null} mutant */
async function judge(dist, folder, mutant) {
  mkdirSync(folder, { recursive: true });
  try {
    for (const file of readdirSync(dist)) if (file.endsWith('.js')) copyFileSync(join(dist, file), join(folder, file));
    const state = await import(pathToFileURL(join(folder, 'state.js')).href);
    if (mutant !== null) {
      const cells = state[mutant.table][mutant.row];
      cells[mutant.column] = mutant.value;
      if (cells[mutant.column] !== mutant.value) throw new Error('the table can not be changed');
    }
    const { Connection } = await import(pathToFileURL(join(folder, 'connection.js')).href);
    return firstFailure({ Connection, advance: state.advance });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (!isMainThread && parentPort !== null) {
  /** @type {{ dist: string, folder: string, mutants: Mutant[], from: number }} */
  const { dist, folder, mutants, from } = workerData;
  for (let at = from; at < mutants.length; at++) {
    parentPort.postMessage({ at, failure: await judge(dist, join(folder, String(at)), mutants[at] ?? null) });
  }
}
