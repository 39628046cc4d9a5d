/**
 * Rows of figures on a terminal, and the goals they are held to.
 */

export interface Goal {
  readonly least?: number;
  readonly most?: number;
}

let missed = 0;
let met = 0;
let shown = 0;

/** Rows printed so far. */
export function rowsShown(): number {
  return shown;
}

/** `≥ 4 met`, `≥ 4 NOT MET`, or nothing where there is no goal. Counted for the closing line. */
export function judge(value: number, goal: Goal | undefined): string {
  if (goal === undefined) return '';
  const { least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY } = goal;
  const ok = value >= least && value <= most;
  if (ok) met++;
  else missed++;
  const wanted = goal.least !== undefined ? `>= ${goal.least}` : `<= ${goal.most}`;
  return `${wanted} ${ok ? 'met' : 'NOT MET'}`;
}

export function goalsLine(): string {
  return met + missed === 0 ? 'no goals in this run' : `goals: ${met} met, ${missed} not met`;
}

/** Three significant digits, no exponent. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function bytes(size: number): string {
  if (size >= 1024 * 1024) return `${size / (1024 * 1024)} MiB`;
  return size >= 1024 ? `${size / 1024} KiB` : `${size} B`;
}

export function printTable(title: string, header: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = header.map((cell, column) => Math.max(cell.length, ...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  console.log(`\n${title}`);
  console.log(line(header));
  console.log(widths.map((width) => '-'.repeat(width)).join('  '));
  for (const row of rows) console.log(line(row));
  shown += rows.length;
}
