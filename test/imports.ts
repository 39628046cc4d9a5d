/**
 * The imports of a TypeScript source, type-only ones included, taken from its syntax tree.
 */
import { parseSync } from 'vite';

export interface SourceImports {
  readonly specifiers: readonly string[];
  /** `/// <reference … />` comments, which also pull things in. */
  readonly references: readonly string[];
}

interface TreeNode {
  readonly type: string;
  readonly [key: string]: unknown;
}

function isNode(value: unknown): value is TreeNode {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';
}

function literal(value: unknown): string | null {
  return isNode(value) && typeof value.value === 'string' ? value.value : null;
}

/** Throws when the source does not parse, or when an import's target is not a plain string: then nobody can tell where it points. */
export function importsOf(path: string, source: string): SourceImports {
  const { program, comments, errors } = parseSync(path, source, { sourceType: 'module' });
  if (errors.length > 0) throw new SyntaxError(`${path}: ${errors[0]?.message}`);
  const specifiers: string[] = [];
  const add = (node: TreeNode, target: unknown): void => {
    const value = literal(target);
    if (value === null) throw new TypeError(`${path}: ${node.type} of something that is not a plain string`);
    specifiers.push(value);
  };
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) {
      for (const item of value) visit(item);
      return;
    }
    if (!isNode(value)) return;
    switch (value.type) {
      case 'ImportDeclaration':
      case 'ExportAllDeclaration':
      case 'ImportExpression':
      case 'TSImportType':
        add(value, value.source);
        break;
      case 'ExportNamedDeclaration':
        if (value.source !== null && value.source !== undefined) add(value, value.source);
        break;
      case 'TSExternalModuleReference':
        add(value, value.expression);
        break;
      case 'CallExpression': {
        const callee = value.callee;
        if (isNode(callee) && callee.type === 'Identifier' && callee.name === 'require') {
          add(value, (value.arguments as readonly unknown[])[0]);
        }
        break;
      }
    }
    for (const child of Object.values(value)) visit(child);
  };
  visit(program);
  const references = comments
    .filter((comment) => comment.type === 'Line' && /^\/\s*<reference\b/.test(comment.value))
    .map((comment) => comment.value);
  return { specifiers, references };
}
