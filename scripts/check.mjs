/**
 * `npm run check`, after the build and the linter: the types of tests and scripts, then each published package as npm would pack it.
 *
 * A type error in a test passes both vitest and `tsc -b`, so the tests have a `tsconfig` of their own. Packages are packed into a
 * temporary folder: `publint --strict` and `attw` judge what would be published, not what lies in the working tree.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { readOptions } from './arguments.mjs';
import { outliveReader } from './output.mjs';
import { inParallel, run } from './process.mjs';
import { root } from './runtimes.mjs';

outliveReader();
readOptions('use: npm run check\n\nThe build, the linter, the types of tests and scripts, and each package as npm would pack it.', {});

const modules = join(root, 'node_modules');
// npm's own script where there is one: `npm` on the path may belong to another Node.
const npmScript = process.env.npm_execpath;
const npm = npmScript === undefined ? ['npm'] : [process.execPath, npmScript];

/** @type {string[]} */
const failures = [];

/**
 * @param {string} title
 * @param {readonly string[]} command
 * @param {string} [cwd]
 * @returns {Promise<boolean>}
 */
async function step(title, command, cwd = root) {
  const [program = '', ...args] = command;
  const { code, output, seconds, error, timedOut } = await run(program, args, { cwd, timeout: 300 });
  const ok = code === 0;
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${title} (${seconds.toFixed(1)} s)`);
  if (!ok) {
    failures.push(title);
    console.log((error ?? (timedOut ? `${output}\nstopped: out of time` : output)).trimEnd());
  }
  return ok;
}

/** @param {string} file */
const manifest = (file) => /** @type {{ name: string, private?: boolean }} */ (JSON.parse(readFileSync(file, 'utf8')));

const published = ['packages', 'adapters']
  .flatMap((parent) => readdirSync(join(root, parent)).map((name) => join(root, parent, name)))
  .concat(join(root, 'conformance'), join(root, 'bench'))
  .map((folder) => ({ folder, ...manifest(join(folder, 'package.json')) }))
  .filter((entry) => entry.private !== true);

await step('types of the sources', [process.execPath, join(modules, 'typescript/bin/tsc'), '-b']);
await step('types of the tests and scripts', [process.execPath, join(modules, 'typescript/bin/tsc'), '-p', 'tsconfig.test.json']);

const folder = mkdtempSync(join(tmpdir(), 'ferrywire-'));
try {
  await inParallel(
    published.map((entry) => async () => {
      const target = join(folder, entry.name.replace(/\W+/g, '-'));
      mkdirSync(target);
      if (!(await step(`${entry.name}: pack`, [...npm, 'pack', '--silent', '--pack-destination', target], entry.folder))) return;
      const tarball = readdirSync(target).find((name) => name.endsWith('.tgz'));
      if (tarball === undefined) {
        failures.push(`${entry.name}: npm pack left no tarball`);
        return;
      }
      const file = join(target, tarball);
      await step(`${entry.name}: publint --strict`, [process.execPath, join(modules, 'publint/src/cli.js'), file, '--strict']);
      await step(`${entry.name}: attw --profile esm-only`, [
        process.execPath,
        join(modules, '@arethetypeswrong/cli/dist/index.js'),
        file,
        '--profile',
        'esm-only',
      ]);
    }),
    availableParallelism(),
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}

console.log(
  failures.length === 0 ? `check: ${published.length} packages, all clean` : `check: ${failures.length} failed: ${failures.join('; ')}`,
);
process.exitCode = failures.length === 0 ? 0 : 1;
