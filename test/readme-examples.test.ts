/**
 * Every example of every README and of `docs/` compiles under the project's strict settings and runs to its end.
 *
 * An example is a `ts` block whose first line is `// example: name`, or `// example: name (bun)` or `(deno)` where it needs that runtime.
 * It is a whole program: it imports the packages by name, ends by itself with exit code 0, and throws when something is not as it says.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../scripts/process.mjs';
import { runtimes } from '../scripts/runtimes.mjs';
import { type CodeBlock, codeBlocks, type Example, exampleOf } from './markdown.ts';
import { filesBelow, read, root } from './repository.ts';

const SECONDS = 20;

const documents = filesBelow('.').filter((file) => /(^|\/)README\.md$/.test(file) || /^docs\/.*\.md$|\/docs\/.*\.md$/.test(file));
const blocks: readonly CodeBlock[] = documents.flatMap((file) => codeBlocks(file, read(file)));
const examples: readonly Example[] = blocks.map(exampleOf).filter((example) => example !== null);

// Inside the repository, so that the packages resolve by name; the folder is ignored by git and by the other tests.
let folder = '';
let compiler = '';
const sourceName = (index: number): string => `example-${index}.ts`;

beforeAll(async () => {
  folder = mkdtempSync(join(root, '.examples-'));
  mkdirSync(join(folder, 'dist'));
  for (const [index, example] of examples.entries()) writeFileSync(join(folder, sourceName(index)), `${example.code}\nexport {};\n`);
  const settings = {
    extends: '../tsconfig.base.json',
    compilerOptions: {
      composite: false,
      declaration: false,
      declarationMap: false,
      isolatedDeclarations: false,
      sourceMap: false,
      types: ['node'],
      lib: ['ES2022', 'DOM', 'DOM.AsyncIterable', 'ESNext.Disposable'],
      rootDir: '.',
      outDir: 'dist',
    },
    include: ['*.ts'],
  };
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(settings));
  const result = await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], { cwd: folder, timeout: 120 });
  compiler = result.error ?? result.output;
}, 150_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('examples', () => {
  it('stand in documents that were found', () => {
    expect(documents).toEqual(expect.arrayContaining(['README.md', 'docs/README.md']));
  });

  for (const [index, example] of examples.entries()) {
    const { command, args } = runtimes[example.runtime];
    // Bun and Deno are dependencies of this repository, but have no build for every platform.
    const installed = existsSync(command);
    it(`${example.title} ${installed ? 'compiles and runs' : `compiles (${example.runtime} is not installed)`}`, {
      timeout: (SECONDS + 10) * 1000,
    }, async () => {
      const errors = compiler.split('\n').filter((line) => line.startsWith(`${sourceName(index)}(`));
      expect(errors).toEqual([]);
      if (!installed) return;
      const result = await run(command, [...args, join(folder, 'dist', sourceName(index).replace(/ts$/, 'js'))], {
        cwd: folder,
        timeout: SECONDS,
      });
      expect(result.timedOut, `still running after ${SECONDS} s:\n${result.output}`).toBe(false);
      expect(result.code, result.output).toBe(0);
    });
  }
});

describe('the runner', () => {
  const block = (code: string, language = 'ts'): CodeBlock => ({ file: 'planted.md', line: 1, language, code });

  it('finds blocks, nested fences and lists included', () => {
    const markdown = '```ts\n// example: a\n```\ntext\n````md\n```ts\nnot a block\n```\n````\n- item\n  ```sh\n  ls\n  ```\n';
    expect(codeBlocks('x.md', markdown).map(({ line, language, code }) => [line, language, code])).toEqual([
      [1, 'ts', '// example: a'],
      [5, 'md', '```ts\nnot a block\n```'],
      [11, 'sh', 'ls'],
    ]);
  });

  it('refuses a block that is not closed, and a script that nobody would run', () => {
    expect(() => codeBlocks('x.md', '```ts\n')).toThrow('not closed');
    expect(() => exampleOf(block('const a = 1;'))).toThrow('example: name');
    expect(() => exampleOf(block('// example: a', 'js'))).toThrow('example: name');
  });

  it('leaves other blocks alone and reads the runtime', () => {
    expect(exampleOf(block('npm test', 'sh'))).toBeNull();
    expect(exampleOf(block('// example: a'))).toMatchObject({ name: 'a', runtime: 'node' });
    expect(exampleOf(block('// example: a (bun)'))).toMatchObject({ name: 'a', runtime: 'bun' });
  });
});
