/**
 * What an editor shows over an imported name: every class, function and constant that a package exports has a comment of its own. The
 * header of its file is no such comment, since it belongs to the file.
 */
import { describe, expect, it } from 'vitest';
import { filesBelow, packages, read } from './repository.ts';

const declaration = (name: string): RegExp =>
  new RegExp(`^export (?:abstract class|class|async function\\*?|function\\*?|const|let) ${name.replaceAll('$', '\\$')}\\b`);

/** Exported values, each where it is declared: the first lines of overloads and of everything else. */
function declarations(folder: string): readonly { readonly file: string; readonly lines: readonly string[] }[] {
  return filesBelow(`${folder}/src`)
    .filter((file) => file.endsWith('.ts') && !/\/src\/(suite|contract|demo|bin)\//.test(file))
    .map((file) => ({ file, lines: read(file).split('\n') }));
}

/** A type may share the name of a value, and its comment. */
function isDocumented(lines: readonly string[], line: number, name: string): boolean {
  const above = (at: number): boolean => lines[at - 1]?.trimEnd().endsWith('*/') === true;
  const type = lines.findIndex((text) => new RegExp(`^export (?:type|interface) ${name}\\b`).test(text));
  return above(line) || (type >= 0 && above(type));
}

describe('comments on what is exported', () => {
  for (const { folder, manifest } of packages) {
    if (manifest.private === true) continue;
    it(folder, async () => {
      const entries = Object.keys(manifest.exports ?? {}).filter((entry) => !entry.endsWith('.json'));
      expect(entries.length).toBeGreaterThan(0);
      const names = new Set<string>();
      for (const entry of entries) {
        const exported = (await import(`${manifest.name}${entry.slice(1)}`)) as object;
        for (const name of Object.keys(exported)) names.add(name);
      }
      const files = declarations(folder);
      const missing: string[] = [];
      let found = 0;
      for (const name of names) {
        for (const { file, lines } of files) {
          const line = lines.findIndex((text) => declaration(name).test(text));
          if (line < 0) continue;
          found += 1;
          if (!isDocumented(lines, line, name)) missing.push(`${file}:${line + 1} ${name}`);
        }
      }
      expect(found).toBeGreaterThan(1);
      expect(missing).toEqual([]);
    });
  }
});
