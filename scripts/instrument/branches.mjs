/**
 * Counters in compiled sources: every function, branch, loop body, case and right operand of a logical operator gets a number and counts its
 * executions in `globalThis.__coverage`. What coverage-guided fuzzing steers by.
 */
import { parseSync } from 'vite';

/** @typedef {{ type: string, start: number, end: number, [key: string]: unknown }} Node */

/** @param {unknown} value @returns {value is Node} */
const isNode = (value) =>
  typeof value === 'object' && value !== null && typeof (/** @type {{ type?: unknown }} */ (value).type) === 'string';

/**
 * Visits every node, parents first.
 *
 * @param {unknown} value
 * @param {(node: Node, parent: Node | null) => void} visit
 * @param {Node | null} [parent]
 */
export function walk(value, visit, parent = null) {
  if (Array.isArray(value)) {
    for (const item of value) walk(item, visit, parent);
    return;
  }
  if (!isNode(value)) return;
  visit(value, parent);
  for (const [key, child] of Object.entries(value)) if (key !== 'type') walk(child, visit, value);
}

/** @param {string} path @param {string} source */
export function parse(path, source) {
  const { program, errors } = parseSync(path, source, { sourceType: 'module' });
  if (errors.length > 0) throw new SyntaxError(`${path}: ${errors[0]?.message}`);
  return program;
}

/**
 * Text with insertions. Two at the same place: the one asked for first stands outside.
 *
 * @param {string} source
 * @param {readonly { at: number, text: string, closes?: boolean }[]} insertions
 */
export function insert(source, insertions) {
  const ordered = insertions
    .map((insertion, index) => ({ ...insertion, index }))
    // Closing texts before opening ones; of closing ones the innermost first.
    .sort(
      (a, b) => a.at - b.at || Number(b.closes ?? false) - Number(a.closes ?? false) || (a.closes ? b.index - a.index : a.index - b.index),
    );
  let result = '';
  let from = 0;
  for (const { at, text } of ordered) {
    result += source.slice(from, at) + text;
    from = at;
  }
  return result + source.slice(from);
}

/**
 * @param {string} path
 * @param {string} source JavaScript.
 * @param {number} first The number of the first counter.
 * @param {string} [counters] What the counters are, as an expression.
 * @returns {{ code: string, next: number, places: readonly number[] }} `places`: where in the source each counter stands.
 */
export function countBranches(path, source, first, counters = 'globalThis.__coverage') {
  let next = first;
  /** @type {number[]} */
  const places = [];
  /** @type {{ at: number, text: string, closes?: boolean }[]} */
  const edits = [];
  /** @param {number} at */
  const count = (at) => {
    places.push(at);
    return `$c[${next++}]++`;
  };
  /** @param {unknown} node */
  const statement = (node) => {
    if (!isNode(node)) return;
    if (node.type === 'BlockStatement') edits.push({ at: node.start + 1, text: `${count(node.start)};` });
    else edits.push({ at: node.start, text: `{${count(node.start)};` }, { at: node.end, text: '}', closes: true });
  };
  /** @param {unknown} node */
  const expression = (node) => {
    if (isNode(node)) edits.push({ at: node.start, text: `(${count(node.start)},` }, { at: node.end, text: ')', closes: true });
  };
  walk(parse(path, source), (node) => {
    switch (node.type) {
      case 'FunctionDeclaration':
      case 'FunctionExpression':
        statement(node.body);
        break;
      case 'ArrowFunctionExpression':
        if (isNode(node.body) && node.body.type === 'BlockStatement') statement(node.body);
        else expression(node.body);
        break;
      case 'IfStatement':
        // Before its consequent: what stands outside is asked for first.
        if (node.alternate === null) edits.push({ at: node.end, text: `else{${count(node.start)}}`, closes: true });
        else statement(node.alternate);
        statement(node.consequent);
        break;
      case 'ForStatement':
      case 'ForOfStatement':
      case 'ForInStatement':
      case 'WhileStatement':
      case 'DoWhileStatement':
        statement(node.body);
        break;
      case 'SwitchCase': {
        const [body] = /** @type {Node[]} */ (node.consequent);
        if (body !== undefined) edits.push({ at: body.start, text: `${count(body.start)};` });
        break;
      }
      case 'ConditionalExpression':
        expression(node.consequent);
        expression(node.alternate);
        break;
      case 'LogicalExpression':
        expression(node.right);
        break;
    }
  });
  return { code: `const $c=${counters};${insert(source, edits)}`, next, places };
}
