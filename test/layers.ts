/**
 * The house: which package may import which. Arrows point down; `packages/core` points nowhere.
 *
 * One table. A package that is not in it may not exist.
 */
import { posix } from 'node:path';
import { importsOf } from './imports.ts';

const protocol = ['packages/core', 'packages/handshake', 'packages/deflate', 'packages/driver', 'packages/websocket'] as const;
const hosts = ['adapters/node', 'adapters/bun', 'adapters/deno', 'adapters/streams', 'adapters/http-listener'] as const;

export interface Layer {
  /** Packages of this repository it may import. */
  readonly below: readonly string[];
  /** Whether `node:` modules may be imported: everywhere, in the files listed, or nowhere. */
  readonly node: boolean | readonly string[];
  /** Import targets refused although their package is allowed. */
  readonly refused?: readonly string[];
}

const adapter: Layer = { below: protocol, node: true, refused: ['@ferrywire/core/frame'] };

export const layers: Readonly<Record<string, Layer>> = {
  'packages/core': { below: [], node: false },
  'packages/handshake': { below: ['packages/core'], node: false },
  'packages/deflate': { below: ['packages/core'], node: ['packages/deflate/src/zlib.ts'] },
  'packages/driver': { below: ['packages/core', 'packages/handshake'], node: false },
  'packages/websocket': { below: ['packages/core', 'packages/handshake', 'packages/deflate', 'packages/driver'], node: false },
  'adapters/node': adapter,
  'adapters/bun': adapter,
  'adapters/deno': adapter,
  // It serves browsers and workers too.
  'adapters/streams': { ...adapter, node: false },
  'adapters/http-listener': { ...adapter, below: [...protocol, 'adapters/node'] },
  conformance: { below: [...protocol, ...hosts], node: true },
  bench: { below: [...protocol, ...hosts], node: true },
};

export interface NamedPackage {
  readonly folder: string;
  readonly name: string;
  readonly dependencies: readonly string[];
}

/** Folders of programs for `npm test`: built with the package because they run on every runtime, but not part of it and not published. */
const suiteFolders = ['suite', 'contract'] as const;
const suitePackages = ['uvu'];

export function suiteFolder(path: string): string | null {
  return suiteFolders.find((folder) => path.includes(`/src/${folder}/`)) ?? null;
}

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** What a source file imports that its layer may not, one sentence each. `file` is a path from the root. */
export function upwardImports(file: string, source: string, packages: readonly NamedPackage[]): string[] {
  const owner = packages.find(({ folder }) => file.startsWith(`${folder}/`));
  const layer = owner === undefined ? undefined : layers[owner.folder];
  if (owner === undefined || layer === undefined) return [`${file}: belongs to no layer`];
  const { specifiers, references } = importsOf(file, source);
  const wrong = references.map((reference) => `${file}: pulls in ${reference.trim()}`);
  for (const specifier of specifiers) {
    const complain = (why: string): void => {
      wrong.push(`${file}: imports ${specifier}: ${why}`);
    };
    if (specifier.startsWith('.') || specifier.startsWith('/')) {
      const target = posix.join(posix.dirname(file), specifier);
      if (!target.startsWith(`${owner.folder}/src/`)) complain('it lies outside the sources of the package');
      else if (!specifier.endsWith('.ts')) complain('sources are named with .ts');
      else if (suiteFolder(target) !== null && suiteFolder(file) === null) complain('suites are not published');
      continue;
    }
    if (specifier.startsWith('node:')) {
      if (suiteFolder(file) !== null) continue;
      if (layer.node === false || (layer.node !== true && !layer.node.includes(file))) complain('this layer knows no platform');
      continue;
    }
    if (layer.refused?.includes(specifier) === true) complain('this layer knows no frames');
    const name = packageName(specifier);
    const target = packages.find((candidate) => candidate.name === name);
    if (suiteFolder(file) !== null && suitePackages.includes(name)) continue;
    if (target === owner) complain('a package imports itself by path');
    else if (target !== undefined && !layer.below.includes(target.folder)) complain('the arrow points upward');
    else if (!owner.dependencies.includes(name)) complain('it is not among the dependencies of the package');
  }
  return wrong;
}
