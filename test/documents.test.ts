/**
 * The documents say what the sources say: generated pages are not stale, every pair of state and input is drawn, links lead somewhere, and
 * the tests that the manual names exist.
 */
import { existsSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generated, misuse, misuseInSources } from '../scripts/docs.mjs';
import { describedList, describedUnion, mermaid } from '../scripts/documents.mjs';
import { filesBelow, packages, read } from './repository.ts';

type StateTable = Readonly<Record<string, Readonly<Record<string, string | null>>>>;
const states = (await import('../packages/core/dist/state.js')) as { readonly fragmentation: StateTable; readonly lifecycle: StateTable };

/** `from input` → `to`, as a diagram says. */
function drawn(diagram: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [, from = '', to = '', inputs = ''] of diagram.matchAll(/^ {2}(\w+) --> (\w+): (.+)$/gm)) {
    for (const input of inputs.split(', ')) {
      expect(found.has(`${from} ${input}`), `${from} ${input} is drawn twice`).toBe(false);
      found.set(`${from} ${input}`, to);
    }
  }
  return found;
}
function pairs(table: StateTable): [string, string | null][] {
  return Object.entries(table).flatMap(([state, row]) =>
    Object.entries(row).map(([input, next]): [string, string | null] => [`${state} ${input}`, next]),
  );
}

describe('generated pages', () => {
  it('are what npm run docs writes', async () => {
    for (const [path, text] of Object.entries(await generated())) expect(read(path), `${path}: run npm run docs`).toBe(text);
  });

  it.each([
    ['fragmentation', states.fragmentation, 0],
    ['lifecycle', states.lifecycle, 1],
  ])('draw every pair of state and input of %s', (_, table, index) => {
    const page = read('docs/states.md');
    const diagrams = [...page.matchAll(/```mermaid\n(.*?)```/gs)].map(([, diagram = '']) => diagram);
    expect(diagrams).toHaveLength(2);
    const arrows = drawn(diagrams[index] ?? '');
    const inputs = Object.keys(Object.values(table)[0] ?? {});
    // Complete: the same inputs in each row, and as many pairs as there can be.
    for (const row of Object.values(table)) expect(Object.keys(row)).toEqual(inputs);
    expect(pairs(table)).toHaveLength(Object.keys(table).length * inputs.length);
    for (const [pair, next] of pairs(table)) expect([pair, arrows.get(pair) ?? null]).toEqual([pair, next]);
    expect(arrows.size).toBe(pairs(table).filter(([, next]) => next !== null).length);
    // Those that can't come up are said to be impossible, in the table of the page.
    const impossible = pairs(table).filter(([, next]) => next === null).length;
    const rows = Object.keys(table).flatMap((state) => page.split('\n').filter((line) => line.startsWith(`| \`${state}\` | `)));
    expect(rows.join('\n').split('impossible').length - 1).toBeGreaterThanOrEqual(impossible);
  });

  it('would notice a cell that changed, and one that is missing', () => {
    const changed = { ...states.lifecycle, open: { ...states.lifecycle.open, eof: 'failed' } };
    expect(mermaid(changed, 'open')).not.toBe(mermaid(states.lifecycle, 'open'));
    const { eof: _, ...rest } = states.lifecycle.open ?? {};
    expect(drawn(mermaid({ ...states.lifecycle, open: rest }, 'open')).has('open eof')).toBe(false);
  });

  it('name every code of misuse that the core throws', () => {
    expect(Object.keys(misuse).sort()).toEqual(misuseInSources());
  });

  it('read the comments of a union and of a list', () => {
    const source = "export type A =\n  /** One\u0020\n thing. */\n  | 'X'\n  /** Two. */\n  | 'Y';\n/**\n * - `open`: both\n */";
    expect(describedUnion(source, 'A').map(({ code }) => code)).toEqual(['X', 'Y']);
    expect(describedList(source)).toEqual({ open: 'both' });
    expect(() => describedUnion(source, 'B')).toThrow('B');
  });
});

const pages = filesBelow('.').filter((file) => file.endsWith('.md') && !file.startsWith('conformance/data'));

describe('links', () => {
  it.each(pages)('of %s lead to files that exist', (page) => {
    const text = read(page).replace(/^(`{3,}).*?^\1$/gms, '');
    const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target).filter((target) => !/^[a-z]+:|^#/.test(target));
    for (const target of targets) {
      const path = posix.join(posix.dirname(page), target.split('#', 1)[0] ?? '');
      expect(existsSync(new URL(`../${path}`, import.meta.url)), `${page}: ${target}`).toBe(true);
    }
  });
});

describe('what a README shows of its own package', () => {
  const published = packages.filter(({ manifest }) => manifest.private !== true);
  it.each(published.map(({ folder, manifest }) => [folder, manifest.files ?? []] as const))('%s packs', (folder, files) => {
    const text = read(`${folder}/README.md`).replace(/^(`{3,}).*?^\1$/gms, '');
    const named = [...text.matchAll(/\]\(([^)\s#]+)|`([\w.-]+\/[\w./-]*)`/g)].map(([, link, path = '']) => link ?? path);
    const own = named.filter((path) => !/^[a-z]+:|^\.\./.test(path) && existsSync(new URL(`../${folder}/${path}`, import.meta.url)));
    expect(own.filter((path) => !files.some((entry) => path === entry || path.startsWith(`${entry}/`)))).toEqual([]);
  });
});

describe('tests that the manual names', () => {
  it('exist', () => {
    const named = [...read('docs/pitfalls.md').matchAll(/`((?:packages|adapters|conformance|test)\/[\w./-]+)`(?: "([^"]+)")?/g)];
    expect(named.length).toBeGreaterThan(20);
    for (const [, path = '', title] of named) {
      expect(existsSync(new URL(`../${path}`, import.meta.url)), path).toBe(true);
      if (title !== undefined) expect(read(path).includes(title), `${path}: ${title}`).toBe(true);
    }
  });
});

describe('the classes of SECURITY.md', () => {
  const rows = [...read('SECURITY.md').matchAll(/^\| (S\d+(?:, S\d+)*) \| .* \| (.*) \|$/gm)];
  it('are all there, in order', () => {
    const classes = rows.flatMap(([, names = '']) => names.split(', ')).map((name) => Number(name.slice(1)));
    expect(classes).toEqual(Array.from({ length: 27 }, (_, index) => index + 1));
  });
  it.each(rows.map(([, names = '', files = '']) => [names, files] as const))(
    '%s have tests with their number in each file',
    (names, files) => {
      for (const [, file = ''] of files.matchAll(/`([^`]+)`/g)) {
        for (const name of names.split(', ')) expect(read(file), `${name} in ${file}`).toMatch(new RegExp(`['"\`]${name}\\b`));
      }
    },
  );
});

describe('Embedding', () => {
  it('has a word on each member of Protocol, since a host that leaves one out may hold connections for ever', () => {
    const source = read('packages/core/src/common.ts');
    const contract = source.slice(source.indexOf('export interface Protocol {'), source.indexOf('export interface WorkHost'));
    const members = [...contract.matchAll(/^ {2}(?:readonly )?(\w+)\??[:(]/gm)].map(([, name = '']) => name);
    expect(members).toContain('outputStalled');
    const page = read('docs/embedding.md');
    expect(members.filter((name) => !new RegExp(`\\b${name}\\b`).test(page))).toEqual([]);
  });
});
