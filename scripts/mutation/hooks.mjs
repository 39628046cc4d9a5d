/**
 * For `--import`, on a Node that strips types: the core's sources are those in `CORE_DIST`, a copy with all mutants in it, and `vitest` and
 * `fast-check` are the shims.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @type {Readonly<Record<string, string>>} */
const shims = {
  vitest: new URL('./vitest-shim.mjs', import.meta.url).href,
  'fast-check': new URL('./fast-check-shim.mjs', import.meta.url).href,
};
/** The mutant that is switched on; 0 for none. Numbers start at 1. */
let active = Number(process.env.MUTANT ?? 0);
let hits = new Uint8Array(20_000);
/** Calls and rounds of loops that are left. */
let steps = Number.POSITIVE_INFINITY;

Object.assign(globalThis, {
  __mutation: (/** @type {number} */ id) => {
    hits[id] = 1;
    return id === active;
  },
  __step: () => {
    if (--steps < 0) throw new Error('a mutant that does not end');
  },
  __mutants: {
    activate: (/** @type {number} */ id) => {
      active = id;
    },
    /** What was asked for since the last call. */
    takeHits: () => {
      const taken = hits;
      hits = new Uint8Array(20_000);
      return taken;
    },
    /** Allows so many steps from here on; returns how many were left. @param {number} count */
    allow: (count) => {
      const left = steps;
      steps = count;
      return left;
    },
  },
});

/** Kept beside the copy: a process that is started for one mutant should not do it again. @param {string} file */
function stripped(file) {
  const kept = join(process.env.CORE_DIST ?? '', `${createHash('sha1').update(file).digest('hex')}.stripped`);
  if (existsSync(kept)) return readFileSync(kept, 'utf8');
  const source = stripTypeScriptTypes(readFileSync(file, 'utf8'));
  writeFileSync(kept, source);
  return source;
}

registerHooks({
  resolve(specifier, context, next) {
    // A test of a part that is not public names its source; what is compiled of it is what is changed.
    const [, part] = /^\.\.\/src\/([\w-]+)\.ts$/.exec(specifier) ?? [];
    if (part !== undefined) return next(`../dist/${part}.js`, context);
    const url = shims[specifier];
    return url === undefined || context.parentURL === url ? next(specifier, context) : { url, shortCircuit: true };
  },
  load(url, context, next) {
    const [, file] = /\/packages\/core\/dist\/([\w-]+\.js)$/.exec(url) ?? [];
    if (url.endsWith('.ts')) return { format: 'module', source: stripped(fileURLToPath(url)), shortCircuit: true };
    if (file === undefined) return next(url, context);
    return { format: 'module', source: readFileSync(join(process.env.CORE_DIST ?? '', file), 'utf8'), shortCircuit: true };
  },
});
