/** The corpus of the fuzzer, replayed: every input that once reached a branch of its own, and whatever was a finding. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { targets } from '../scripts/fuzz/targets.mjs';
import { countBranches } from '../scripts/instrument/branches.mjs';

const corpus = new URL('../scripts/fuzz/corpus/', import.meta.url);

describe('the corpus of', () => {
  for (const [name, target] of Object.entries(targets)) {
    it(name, { timeout: 60_000 }, () => {
      const files = readdirSync(new URL(`${name}/`, corpus));
      expect(files.length).toBeGreaterThan(10);
      for (const file of files) {
        const bytes = new Uint8Array(readFileSync(new URL(`${name}/${file}`, corpus)));
        expect(() => target(bytes), `${name}/${file}`).not.toThrow();
      }
    });
  }
});

describe('the counters', () => {
  /** Runs the source with counters and returns them. */
  function counts(source: string): number[] {
    const { code, next } = countBranches('planted.js', source, 0);
    const coverage = new Uint8Array(next);
    new Function('globalThis', code)({ __coverage: coverage });
    return [...coverage];
  }

  it.each([
    ['if (1) { } ', [0, 1]],
    ['if (0) ; else if (1) 2; else 3;', [1, 0, 0, 1]],
    ['for (const a of [1, 2]) a;', [2]],
    ['const f = (a) => a ? 1 : 2; f(1); f(0); f(0);', [3, 1, 2]],
    ['(() => ({ a: 1 }))();', [1]],
    ['0 && 1; 1 && 2; 0 || 3; null ?? 4;', [0, 1, 1, 1]],
    ['switch (2) { case 1: 1; break; case 2: 2; default: 3; }', [0, 1, 1]],
    ['let n = 0; while (n < 3) n++; do n--; while (n > 0);', [3, 3]],
    ['class A { #x = 1; get x() { return this.#x; } } new A().x;', [1]],
  ])('of %s', (source, expected) => {
    expect(counts(source).sort()).toEqual([...expected].sort());
  });

  it('leave what the source does as it is', () => {
    const source =
      'const out = []; for (let i = 0; i < 4; i++) { if (i % 2) out.push(i > 2 ? "big" : "odd"); else out.push(i || "none"); } return out;';
    const plain = new Function(source)() as unknown;
    const { code, next } = countBranches('planted.js', `(() => {${source}})`, 0);
    const counted = new Function('globalThis', `${code.replace('(() =>', 'return (() =>')}()`)({
      __coverage: new Uint8Array(next),
    }) as unknown;
    expect(counted).toEqual(plain);
  });
});
