/**
 * Code blocks of Markdown files.
 */

export interface CodeBlock {
  /** From the root. */
  readonly file: string;
  /** Of the opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly code: string;
}

export function codeBlocks(file: string, markdown: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  const lines = markdown.split('\n');
  for (let index = 0; index < lines.length; index++) {
    const open = /^(\s*)(`{3,}|~{3,})\s*([\w-]*)/.exec(lines[index] ?? '');
    if (open === null) continue;
    const [, indent = '', fence = '', language = ''] = open;
    const line = index + 1;
    const code: string[] = [];
    for (index++; index < lines.length && (lines[index] ?? '').trim() !== fence; index++) {
      const text = lines[index] ?? '';
      code.push(text.startsWith(indent) ? text.slice(indent.length) : text.trimStart());
    }
    if (index >= lines.length) throw new Error(`${file}:${line}: the code block is not closed`);
    blocks.push({ file, line, language, code: code.join('\n') });
  }
  return blocks;
}

export type ExampleRuntime = 'node' | 'bun' | 'deno';
export interface Example {
  /** `README.md:12 echo` */
  readonly title: string;
  readonly name: string;
  readonly runtime: ExampleRuntime;
  readonly code: string;
}

const HEADER = /^\/\/ example: ([a-z0-9][a-z0-9 -]*?)(?: \((node|bun|deno)\))?$/;

/** The block as an example, null when it holds no script, an error when it is a script that nobody would run. */
export function exampleOf(block: CodeBlock): Example | null {
  if (!['ts', 'typescript', 'js', 'javascript', 'mjs', 'mts'].includes(block.language)) return null;
  const where = `${block.file}:${block.line}`;
  const header = HEADER.exec(block.code.split('\n', 1)[0] ?? '');
  if (header === null || block.language !== 'ts') {
    throw new Error(`${where}: a script in the docs is a \`\`\`ts block that starts with "// example: name", so that the tests run it`);
  }
  const [, name = '', runtime = 'node'] = header;
  return { title: `${where} ${name}`, name, runtime: runtime as ExampleRuntime, code: block.code };
}
