/**
 * A mutant of the core: one condition of its built source, changed. `clause` is the section that the condition serves; a case that names it,
 * in its sections or in the reason it gives, has to fail. The text to find must be in the file exactly once, so that a mutant that no longer
 * fits is noticed.
 */
export interface Mutant {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly clause: string;
  /** Patterns of the cases that are run: those of the clause. */
  readonly cases: readonly string[];
}

type Row = readonly [find: string, replace: string, clause: string, cases: string];

export function mutantsOf(file: string, rows: readonly Row[]): Mutant[] {
  return rows.map(([find, replace, clause, cases]) => ({ file, find, replace, clause, cases: cases.split(',') }));
}
