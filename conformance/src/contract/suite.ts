/**
 * The contract that every adapter keeps, as a uvu suite that runs unchanged on Node, Bun and Deno. `contractCases` gives the same cases to
 * any other test runner.
 */
import { suite } from 'uvu';
import type { AdapterUnderTest } from './adapter.ts';
import type { ContractCase } from './case.ts';
import { closingCases } from './closing.ts';
import { echoCases } from './echo.ts';
import { loadCases } from './load.ts';
import { openingCases } from './opening.ts';
import { resetCases } from './reset.ts';

export type { AdapterUnderTest, ContractConnect, ContractListen } from './adapter.ts';
export type { ContractCase } from './case.ts';

export function contractCases(adapter: AdapterUnderTest): ContractCase[] {
  return [...openingCases(adapter), ...echoCases(adapter), ...closingCases(adapter), ...resetCases(adapter), ...loadCases(adapter)];
}

/**
 * Registers the suite; uvu runs it when the entry file has been evaluated, and sets exit code 1 when a case fails. `only` leaves the cases
 * whose name contains it, for work on one of them; it throws when there is none.
 */
export function contractSuite(adapter: AdapterUnderTest, only = ''): void {
  runCasesAsSuite(`contract of ${adapter.name}`, contractCases(adapter), only);
}

export function runCasesAsSuite(title: string, all: readonly ContractCase[], only = ''): void {
  const cases = all.filter(({ name }) => name.includes(only));
  if (cases.length === 0) throw new RangeError(`no case of ${title} has '${only}' in its name`);
  const registered = suite(title);
  for (const { name, run } of cases) registered(name, run);
  registered.run();
}
