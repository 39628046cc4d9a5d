/**
 * As much of vitest as the core's tests use, without its processes: tests are collected in `globalThis.__tests` and run by whoever asks. The
 * assertions are vitest's own.
 */
import { JestAsymmetricMatchers, JestChaiExpect, JestExtend } from '@vitest/expect';
import * as chai from 'chai';

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);
export const expect = chai.expect;

/** @typedef {() => unknown} Body */
/** @typedef {{ name: string, before: readonly Body[], after: readonly Body[], body: Body }} Test */

/** @type {Test[]} */
const tests = [];
Object.assign(globalThis, { __tests: tests });
/** @type {{ name: string, before: Body[], after: Body[] }[]} */
const path = [];

/** @param {readonly unknown[]} parts */
const bodyOf = (parts) => /** @type {Body} */ (parts.find((part) => typeof part === 'function'));

/** @param {string} name @param {...unknown} parts */
export function describe(name, ...parts) {
  path.push({ name, before: [], after: [] });
  bodyOf(parts)();
  path.pop();
}
/** @param {string} name @param {...unknown} parts */
export function it(name, ...parts) {
  tests.push({
    name: [...path.map((entry) => entry.name), name].join(' > '),
    before: path.flatMap((entry) => entry.before),
    after: path.flatMap((entry) => entry.after),
    body: bodyOf(parts),
  });
}
/** @param {typeof it | typeof describe} define @param {readonly unknown[]} cases */
const each =
  (define, cases) =>
  (/** @type {string} */ name, /** @type {unknown[]} */ ...parts) => {
    const body = /** @type {(...values: readonly unknown[]) => unknown} */ (bodyOf(parts));
    for (const [index, values] of cases.entries()) define(`${name} #${index}`, () => body(...(Array.isArray(values) ? values : [values])));
  };
/** @param {readonly unknown[]} cases */
it.each = (cases) => each(it, cases);
/** @param {readonly unknown[]} cases */
describe.each = (cases) => each(describe, cases);
const nothing = () => {};
it.runIf = (/** @type {unknown} */ wanted) => (wanted ? it : nothing);
describe.runIf = (/** @type {unknown} */ wanted) => (wanted ? describe : nothing);
export const test = it;
function suite() {
  const last = path.at(-1);
  if (last === undefined) throw new Error('beforeEach and afterEach of a file: put them into a describe()');
  return last;
}
/** @param {Body} body */
export function beforeEach(body) {
  suite().before.push(body);
}
/** @param {Body} body */
export function afterEach(body) {
  suite().after.push(body);
}
/** Run at once: files are loaded in order. @param {Body} body */
export function beforeAll(body) {
  body();
}
export function afterAll() {}
