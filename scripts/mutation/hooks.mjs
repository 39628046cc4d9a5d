/**
 * For `--import`, on a Node that strips types: the core's sources are loaded with all mutants in them, and `vitest` is the shim. The sources
 * are those in `CORE_DIST`, a copy, so that a build in the meantime does not renumber the mutants.
 */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { mutate } from './mutants.mjs';

/** @type {Readonly<Record<string, string>>} */
const shims = {
  vitest: new URL('./vitest-shim.mjs', import.meta.url).href,
  'fast-check': new URL('./fast-check-shim.mjs', import.meta.url).href,
};
/** @type {import('./mutants.mjs').Mutant[]} */
const all = [];
/** @type {{ file: string, first: number, count: number }[]} */
const files = [];
/** The mutant that is switched on; 0 for none. Numbers start at 1. */
let active = Number(process.env.MUTANT ?? 0);
let hits = new Uint8Array(20_000);

Object.assign(globalThis, {
  __mutation: (/** @type {number} */ id) => {
    hits[id] = 1;
    return id === active;
  },
  __mutants: {
    all,
    files,
    activate: (/** @type {number} */ id) => {
      active = id;
    },
    /** What was asked for since the last call. */
    takeHits: () => {
      const taken = hits;
      hits = new Uint8Array(20_000);
      return taken;
    },
  },
});

registerHooks({
  resolve(specifier, context, next) {
    const url = shims[specifier];
    return url === undefined || context.parentURL === url ? next(specifier, context) : { url, shortCircuit: true };
  },
  load(url, context, next) {
    const [, file] = /\/packages\/core\/dist\/([\w-]+\.js)$/.exec(url) ?? [];
    if (file === undefined) return next(url, context);
    const { code, mutants } = mutate(file, readFileSync(join(process.env.CORE_DIST ?? '', file), 'utf8'), all.length + 1);
    files.push({ file, first: all.length + 1, count: mutants.length });
    all.push(...mutants);
    return { format: 'module', source: code, shortCircuit: true };
  },
});
