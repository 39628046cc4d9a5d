/**
 * Programs that come with packages: other runtimes, which are no dependencies of this one.
 */
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TargetUnavailable } from '../target.ts';

/** `path` in a `node_modules` of this package or of a folder around it; where that is, depends on how it was installed. */
function inModules(path: string): string[] {
  const paths: string[] = [];
  for (let folder = dirname(fileURLToPath(import.meta.url)); dirname(folder) !== folder; folder = dirname(folder)) {
    paths.push(join(folder, 'node_modules', path));
  }
  return paths;
}

function firstOf(paths: readonly string[], name: string): string {
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) throw new TargetUnavailable(`${name} is not installed`);
  return found;
}

/** Installed beside this package, or on the PATH. */
export function findCommand(name: string): string {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return firstOf([...inModules(join('.bin', name)), ...folders.map((folder) => join(folder, name))], name);
}

/** A file of the package `name`, installed beside this one. */
export function findFile(name: string, path: string): string {
  return firstOf(inModules(join(name, path)), name);
}
