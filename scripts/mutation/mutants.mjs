/**
 * Small changes to compiled sources, all in one copy: each changed place asks `$r(number)` whether its change is switched on. So a process that
 * has loaded the tests once can run them against any mutant.
 */
import { insert, parse, walk } from '../instrument/branches.mjs';

/** @typedef {import('../instrument/branches.mjs').Node} Node */
/** @typedef {{ at: number, what: string, where: string }} Mutant `where`: the function that it is in. */
/** @typedef {{ at: number, text: string, closes?: boolean }} Edit */

/** @type {Readonly<Record<string, readonly string[]>>} */
const operators = {
  '<': ['<=', '>='],
  '<=': ['<', '>'],
  '>': ['>=', '<='],
  '>=': ['>', '<'],
  '===': ['!=='],
  '!==': ['==='],
  '-': ['+'],
  '*': ['/'],
  '/': ['*'],
  '&': ['|'],
  '|': ['&'],
  '^': ['&'],
  '<<': ['>>'],
  '>>': ['<<'],
  '>>>': ['<<'],
  '&&': ['||'],
  '||': ['&&'],
};

/** @param {unknown} value @returns {Node | null} */
const node = (value) => (typeof value === 'object' && value !== null && 'type' in value ? /** @type {Node} */ (value) : null);

/** Whether a sum is of text: then `-` makes no sense. @param {string} source @param {Node} sum */
const isText = (source, sum) => /['"`]/.test(source.slice(sum.start, sum.end));

/**
 * @param {string} path
 * @param {string} source JavaScript.
 * @param {number} first The number of the first mutant.
 * @returns {{ code: string, mutants: readonly Mutant[] }}
 */
export function mutate(path, source, first) {
  /** @type {Mutant[]} */
  const mutants = [];
  /** @type {Edit[]} */
  const edits = [];
  /** @type {{ start: number, end: number, name: string }[]} */
  const functions = [];
  /** @param {number} at */
  const whereOf = (at) => functions.filter(({ start, end }) => at >= start && at < end).at(-1)?.name ?? '';
  /** @param {number} at @param {string} what */
  const number = (at, what) => first + mutants.push({ at, what, where: whereOf(at) }) - 1;
  const text = (/** @type {Node} */ part) => source.slice(part.start, part.end);

  /** `original` becomes `$r(n)?changed:original`. @param {Node} whole @param {string} changed @param {string} what */
  const replace = (whole, changed, what) => {
    edits.push({ at: whole.start, text: `($r(${number(whole.start, what)})?${changed}:` }, { at: whole.end, text: ')', closes: true });
  };
  /** @param {Node} condition */
  const condition = (condition) => {
    const before = text(condition);
    edits.push(
      {
        at: condition.start,
        text: `($r(${number(condition.start, `${before} → true`)})||!$r(${number(condition.start, `${before} → false`)})&&(`,
      },
      { at: condition.end, text: '))', closes: true },
    );
  };

  /** Counts a step, so that a mutant without end has one. @param {Node | null} body */
  const step = (body) => {
    if (body === null) return;
    if (body.type === 'BlockStatement') edits.push({ at: body.start + 1, text: '$s();' });
    else edits.push({ at: body.start, text: '{$s();' }, { at: body.end, text: '}', closes: true });
  };

  walk(parse(path, source), (part, parent) => {
    switch (part.type) {
      case 'FunctionDeclaration':
      case 'FunctionExpression': {
        const named = node(part.id) ?? node(parent?.key);
        functions.push({ start: part.start, end: part.end, name: named === null ? '' : text(named) });
        if (node(part.body)?.type === 'BlockStatement') step(node(part.body));
        break;
      }
      case 'ForStatement':
      case 'ForOfStatement':
      case 'ForInStatement':
      case 'WhileStatement':
      case 'DoWhileStatement':
        step(node(part.body));
        break;
      case 'BinaryExpression':
      case 'LogicalExpression': {
        const operator = String(part.operator);
        const [left, right] = [node(part.left), node(part.right)];
        if (left === null || right === null || left.type === 'PrivateIdentifier') break;
        const others = operator === '+' && !isText(source, part) ? ['-'] : (operators[operator] ?? []);
        for (const other of others) {
          // Not with `??`, which may not stand beside the others without parentheses; the operands are written once more, unmutated.
          replace(part, `(${text(left)})${other}(${text(right)})`, `${text(part)} → ${other}`);
        }
        break;
      }
      case 'IfStatement':
      case 'ConditionalExpression': {
        const test = node(part.test);
        if (test !== null) condition(test);
        break;
      }
      case 'UnaryExpression': {
        const argument = node(part.argument);
        if (part.operator === '!' && argument !== null) replace(part, `(${text(argument)})`, `${text(part)} → without !`);
        break;
      }
      case 'AssignmentExpression': {
        const [left, right] = [node(part.left), node(part.right)];
        const other = part.operator === '+=' ? '-=' : part.operator === '-=' ? '+=' : part.operator === '|=' ? '&=' : null;
        if (other !== null && left !== null && right !== null && !isText(source, part)) {
          replace(part, `(${text(left)}${other}${text(right)})`, `${text(part)} → ${other}`);
        }
        break;
      }
      case 'Literal': {
        const isKey =
          parent !== null &&
          (parent.type === 'Property' || parent.type === 'PropertyDefinition') &&
          parent.key === part &&
          parent.computed !== true;
        if (
          isKey ||
          parent?.type === 'ImportDeclaration' ||
          parent?.type === 'ExportNamedDeclaration' ||
          parent?.type === 'ExportAllDeclaration'
        )
          break;
        if (typeof part.value === 'boolean') replace(part, String(!part.value), `${part.value} → ${!part.value}`);
        if (typeof part.value === 'number') replace(part, `(${text(part)}+1)`, `${text(part)} → +1`);
        break;
      }
      case 'ExpressionStatement': {
        const expression = node(part.expression);
        if (expression === null || parent?.type === 'Program') break;
        const isCall = expression.type === 'CallExpression' && node(expression.callee)?.type !== 'Super';
        const isAssignment = expression.type === 'AssignmentExpression' || expression.type === 'UpdateExpression';
        if (!isCall && !isAssignment) break;
        edits.push(
          { at: part.start, text: `{if(!$r(${number(part.start, `${text(part)} → nothing`)})){` },
          { at: part.end, text: '}}', closes: true },
        );
        break;
      }
    }
  });
  return { code: `const $r=globalThis.__mutation,$s=globalThis.__step;${insert(source, edits)}`, mutants };
}
